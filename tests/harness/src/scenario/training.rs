//! From the submitted job to the minted model.

use std::time::{Duration, Instant};

use serde_json::Value;
use weft_chain::{models, oracles};
use weft_protocol::job::JobState;

use super::Scenario;
use crate::{
    daemon::Daemon,
    network::{read, Blocks},
    report::{seconds, Report},
    HarnessError, HarnessResult,
};

/// Longest time of a run on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// What the run waits for, in words.
const fn words(phase: oracles::Phase) -> &'static str {
    match phase {
        oracles::Phase::Seeding => "taken: the beacon draws the seed",
        oracles::Phase::Running => "the oracle trains",
        oracles::Phase::Drawing => "committed: the beacon draws a verifier",
        oracles::Phase::Auditing => "a verifier recomputes the whole run and answers blindly",
        oracles::Phase::Replacing => "another verifier is drawn",
        oracles::Phase::Revealing => "the verifier has answered: the oracle reveals its nonces and opening",
        oracles::Phase::Answering => "the verifier opens its answer",
        oracles::Phase::Window => "the audit agrees: the window for accusations is open",
        oracles::Phase::JuryDrawing => "accused: the beacon draws a jury",
        oracles::Phase::JuryCommit => "jurors recompute the run and answer blindly",
        oracles::Phase::JuryReveal => "jurors open their answers",
        oracles::Phase::Ended => "the run is over",
    }
}

/// Short names of the phases in the table.
const fn short(phase: oracles::Phase) -> &'static str {
    match phase {
        oracles::Phase::Seeding => "take, draw the seed",
        oracles::Phase::Running => "train, commit",
        oracles::Phase::Drawing => "draw the verifier",
        oracles::Phase::Auditing | oracles::Phase::Replacing => "audit by full re-execution",
        oracles::Phase::Revealing => "reveal the opening",
        oracles::Phase::Answering => "reveal the audit",
        oracles::Phase::Window => "window",
        oracles::Phase::JuryDrawing | oracles::Phase::JuryCommit | oracles::Phase::JuryReveal => "jury",
        oracles::Phase::Ended => "end",
    }
}

/// Tells the progress of one daemon's run from its events.
struct Progress<'a> {
    daemon: &'a Daemon,
    job: u32,
    after: i64,
    shown: Option<u64>,
}

impl Progress<'_> {
    async fn tell(&mut self, report: &Report) {
        // Progress is for people: a daemon that is busy or restarting holds nothing up.
        let Ok(new) = self.daemon.events(self.job, &mut self.after).await else { return };
        let number = |e: &Value, key: &str| e.get(key).and_then(Value::as_u64);
        if let Some(error) = new.iter().rfind(|e| name(e) == "error") {
            report.say(format!("  {}: {error}", self.daemon.name()));
        }
        let Some(last) = new.iter().rfind(|e| matches!(name(e), "step" | "replay")) else { return };
        let (Some(step), Some(steps)) = (number(last, "step"), number(last, "steps")) else { return };
        if self.shown == Some(step) {
            return;
        }
        self.shown = Some(step);
        let eta = last.get("eta_s").and_then(Value::as_f64).unwrap_or_default();
        let text = if name(last) == "step" {
            let loss = last.get("loss").and_then(Value::as_f64).unwrap_or_default();
            format!("  {}: step {step} of {steps}, loss {loss:.3}, {eta:.0} s left", self.daemon.name())
        } else {
            format!("  {}: attribution, back at step {step} of {steps}, {eta:.0} s left", self.daemon.name())
        };
        report.say(text);
    }
}

fn name(event: &Value) -> &str {
    event.get("event").and_then(Value::as_str).unwrap_or_default()
}

impl Scenario {
    /// Follows the job to its model: loss and time left while a daemon computes, and every change of state on chain.
    pub async fn train(&mut self) -> HarnessResult<u32> {
        self.follow(self.job).await?;
        let state = self.net.state().await?;
        let job = models::job(&state, self.job).await?.ok_or_else(|| state.missing(format!("job {}", self.job)))?;
        if job.state.0 != JobState::Final {
            return Err(HarnessError::failed(format!("job {} ended as {:?}, not as Final", self.job, job.state.0)));
        }
        self.model = job.model.ok_or_else(|| HarnessError::failed(format!("job {} minted no model", self.job)))?;
        self.report.say(format!("model {} is minted; {} owns it", self.model, self.cast.builder.name));
        Ok(self.model)
    }

    /// Follows a job until it is over.
    pub async fn follow(&mut self, job: u32) -> HarnessResult {
        let chain = self.net.root.chain().await?;
        let mut blocks = Blocks::new(chain, format!("the end of job {job}"), LIMIT);
        let mut progress: Vec<Progress<'_>> =
            self.net.daemons.iter().map(|daemon| Progress { daemon, job, after: 0, shown: None }).collect();
        let mut last: Option<oracles::Phase> = None;
        let mut since = Instant::now();
        self.report.say(format!("job {job} is open: waiting for an oracle to take it"));
        loop {
            let state = blocks.next().await?;
            let Some(Some(found)) = read(models::job(&state, job).await)? else { continue };
            let run = read(oracles::run(&state, job).await)?.flatten();
            let phase = run.map(|r| r.phase);
            if let Some(now) = phase.filter(|now| Some(*now) != last) {
                if let Some(before) = last {
                    self.report.add(short(before), since.elapsed());
                    self.report.say(format!("  {} took {}", short(before), seconds(since.elapsed())));
                } else {
                    self.report.add("wait for an oracle", since.elapsed());
                }
                self.report.say(format!("block {}: {}", state.head.number, words(now)));
                (last, since) = (Some(now), Instant::now());
            }
            if found.state.0.is_terminal() {
                if let Some(before) = last.filter(|p| *p != oracles::Phase::Ended) {
                    self.report.add(short(before), since.elapsed());
                }
                self.report.say(format!("block {}: job {job} is {:?}", state.head.number, found.state.0));
                return Ok(());
            }
            for one in &mut progress {
                one.tell(&self.report).await;
            }
        }
    }
}
