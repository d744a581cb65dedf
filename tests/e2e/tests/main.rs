//! End to end: nodes and daemons as processes, one network at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests"
)]

mod dishonest;
mod failures;
mod job;
mod validators;

use std::path::{Path, PathBuf};

use tokio::sync::{Mutex, MutexGuard};
use weft_harness::{HarnessResult, Programs};

/// Networks share the machine's two cores: they run one after the other.
static ONE: Mutex<()> = Mutex::const_new(());

/// What every test needs: its turn, the programs, a folder of its own.
struct Setting {
    _turn: MutexGuard<'static, ()>,
    programs: Programs,
    dir: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        let turn = ONE.lock().await;
        let programs = Programs::from_env().unwrap_or_else(|e| panic!("{e}"));
        Self { _turn: turn, programs, dir: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The fixtures of the repository.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").canonicalize().unwrap()
}

/// The value, or a panic with the error as people read it and the ends of all logs.
fn held<T>(done: HarnessResult<T>, logs: impl FnOnce() -> String) -> T {
    match done {
        Ok(value) => value,
        Err(e) => panic!("{e}\n{}", logs()),
    }
}
