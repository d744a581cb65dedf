//! What a scenario tells while it runs, and how long each phase took.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use crate::HarnessResult;

/// Tells steps and measures phases.
#[derive(Debug)]
pub struct Report {
    start: Instant,
    phases: Vec<(String, Duration)>,
}

impl Default for Report {
    fn default() -> Self {
        Self { start: Instant::now(), phases: Vec::new() }
    }
}

impl Report {
    /// A sentence about what happens.
    pub fn say(&self, text: impl AsRef<str>) {
        let seconds = self.start.elapsed();
        println!("[{:>5}.{} s] {}", seconds.as_secs(), seconds.subsec_millis() / 100, text.as_ref());
    }

    /// Runs a phase, says what it waits for, and keeps its time.
    pub async fn phase<T>(&mut self, name: &str, work: impl Future<Output = HarnessResult<T>>) -> HarnessResult<T> {
        self.say(format!("{name} …"));
        let start = Instant::now();
        let done = work.await?;
        self.add(name, start.elapsed());
        Ok(done)
    }

    /// Keeps the time of a phase.
    pub fn add(&mut self, name: &str, time: Duration) {
        self.phases.push((name.to_string(), time));
    }

    /// Phases with their times, in order.
    #[must_use]
    pub fn phases(&self) -> &[(String, Duration)] {
        &self.phases
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Seconds with one decimal.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100)
}
