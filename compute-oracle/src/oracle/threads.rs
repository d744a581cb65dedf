//! Computations on threads of their own: one per run's folder, stopped and joined at the end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
    thread::JoinHandle,
};

use weft_engine::Control;

use super::sending::lock;

#[derive(Default)]
struct Inner {
    active: Mutex<BTreeMap<PathBuf, (u32, Control)>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopping: AtomicBool,
    /// Most at a time; `None`: any number.
    limit: Option<usize>,
}

/// The computations of this daemon.
#[derive(Clone, Default)]
pub struct Computations(Arc<Inner>);

/// The right to compute in a folder, given back when dropped: also by a thread that panics.
pub(crate) struct Seat {
    all: Computations,
    folder: PathBuf,
    control: Control,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.all.0.active).remove(&self.folder);
    }
}

impl Computations {
    /// At most `limit` computations at a time, at least one: each needs memory for its base model's states, and shares
    /// the processor with the others.
    #[must_use]
    pub fn up_to(limit: usize) -> Self {
        Self(Arc::new(Inner { limit: Some(limit.max(1)), ..Inner::default() }))
    }

    /// The right to compute a job's run in `folder`; `None` while somebody has it, while as many as may run do, and at the
    /// end of the daemon.
    pub(crate) fn claim(&self, folder: &Path, job: u32) -> Option<Seat> {
        let mut active = lock(&self.0.active);
        // Under the lock, so that `stop` sees every control.
        let full = self.0.limit.is_some_and(|limit| active.len() >= limit);
        if full || self.0.stopping.load(Ordering::Relaxed) || active.contains_key(folder) {
            return None;
        }
        let control = Control::default();
        active.insert(folder.to_path_buf(), (job, control.clone()));
        Some(Seat { all: self.clone(), folder: folder.to_path_buf(), control })
    }

    /// Whether nothing is computed.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.0.active).is_empty()
    }

    /// Stops other runs of a job, after a checkpoint: another seed or another draw has made them useless.
    pub(crate) fn stop_others(&self, job: u32, keep: &Path) {
        for (folder, (_, control)) in lock(&self.0.active).iter().filter(|(_, (of, _))| *of == job) {
            if folder != keep {
                control.stop();
            }
        }
    }

    /// Runs `work` on a thread of its own while the seat is held.
    pub(crate) fn spawn(
        &self,
        name: String,
        seat: Seat,
        work: impl FnOnce(&Control) + Send + 'static,
    ) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // The whole seat, which is given back when this ends.
            let seat = seat;
            work(&seat.control);
        })?;
        let mut threads = lock(&self.0.threads);
        threads.retain(|t| !t.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Asks every computation to write a checkpoint and end; none begins any more.
    pub fn stop(&self) {
        let active = lock(&self.0.active);
        self.0.stopping.store(true, Ordering::Relaxed);
        for (_, control) in active.values() {
            control.stop();
        }
    }

    /// Waits until every computation has ended.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.0.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(
                    "a computation ended with a panic; it goes on from its last checkpoint at the next start"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seat_should_be_free_again_when_its_thread_panics() {
        let all = Computations::default();
        let folder = Path::new("runs/1-aa");
        let seat = all.claim(folder, 1).unwrap();
        assert!(all.claim(folder, 1).is_none() && !all.is_idle());
        all.spawn("run-1".into(), seat, |_| panic!("as wanted by the test")).unwrap();
        all.join();
        assert!(all.is_idle() && all.claim(folder, 1).is_some());
    }

    #[test]
    fn outdated_run_should_be_stopped_when_its_job_gets_another_seed() {
        let all = Computations::default();
        let old = all.claim(Path::new("runs/1-aa"), 1).unwrap();
        let new = all.claim(Path::new("runs/1-bb"), 1).unwrap();
        let other = all.claim(Path::new("runs/2-aa"), 2).unwrap();
        all.stop_others(1, &new.folder);
        assert!(old.control.stopping() && !new.control.stopping() && !other.control.stopping());
    }

    #[test]
    fn computation_should_wait_when_as_many_as_may_run_do() {
        let all = Computations::up_to(2);
        let first = all.claim(Path::new("runs/1-aa"), 1).unwrap();
        let _second = all.claim(Path::new("runs/2-aa"), 2).unwrap();
        assert!(all.claim(Path::new("runs/3-aa"), 3).is_none());
        drop(first);
        assert!(all.claim(Path::new("runs/3-aa"), 3).is_some());
        assert!(Computations::up_to(0).claim(Path::new("runs/1-aa"), 1).is_some());
    }

    #[test]
    fn nothing_should_begin_when_the_daemon_stops() {
        let all = Computations::default();
        let seat = all.claim(Path::new("runs/1-aa"), 1).unwrap();
        let control = seat.control.clone();
        all.spawn("run-1".into(), seat, |control| {
            while !control.stopping() {
                std::thread::yield_now();
            }
        })
        .unwrap();
        all.stop();
        all.join();
        assert!(control.stopping() && all.is_idle());
        assert!(all.claim(Path::new("runs/2-aa"), 2).is_none());
    }
}
