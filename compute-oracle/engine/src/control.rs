//! Requests to a running computation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Shared between a run and whoever watches it; honoured between two steps.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    stop: AtomicBool,
    checkpoint: AtomicBool,
}

impl Control {
    /// Asks the run to write a checkpoint and end with `stopped`.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Asks for a checkpoint of the present state.
    pub fn checkpoint_now(&self) {
        self.0.checkpoint.store(true, Ordering::Relaxed);
    }

    /// Whether [`Control::stop`] was called.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Whether a checkpoint was asked for since the last call.
    #[must_use]
    pub fn take_checkpoint(&self) -> bool {
        self.0.checkpoint.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_should_be_taken_once_when_it_is_asked_for() {
        let control = Control::default();
        let watcher = control.clone();
        assert!(!control.take_checkpoint());
        watcher.checkpoint_now();
        assert!(control.take_checkpoint() && !control.take_checkpoint());
        assert!(!control.stopping());
        watcher.stop();
        assert!(control.stopping());
    }
}
