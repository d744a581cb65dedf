//! End to end: nodes and daemons as processes, one network at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests"
)]

mod demo;
mod dishonest;
mod failures;
mod job;
mod validators;

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard};
use weft_harness::{
    daemon::{settings, write_settings},
    process, HarnessError, HarnessResult, Network, Programs,
};

/// Networks share the machine's two cores: they run one after the other.
static ONE: Mutex<()> = Mutex::const_new(());

/// Longest time of a recomputation on a busy machine.
const VERIFY: Duration = Duration::from_secs(300);
/// Longest time of one test, should a wait inside have no limit of its own.
const TEST: Duration = Duration::from_secs(1_200);

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

/// What `work` gives, or an error when it takes longer than any test may.
async fn limited<T>(work: impl Future<Output = HarnessResult<T>>) -> HarnessResult<T> {
    tokio::time::timeout(TEST, work).await.unwrap_or_else(|_| {
        Err(HarnessError::Waited { what: "the end of the test".into(), log: format!("{} s are over", TEST.as_secs()) })
    })
}

/// The value, or a panic with the error as people read it and the ends of all logs.
fn held<T>(done: HarnessResult<T>, logs: impl FnOnce() -> String) -> T {
    match done {
        Ok(value) => value,
        Err(e) => panic!("{e}\n{}", logs()),
    }
}

/// `weft verify run` in a process of its own, over the stores of the network's daemons: exit code and output.
async fn verify(setting: &Setting, net: &Network, job: u32, more: &[&str]) -> HarnessResult<(Option<i32>, String)> {
    let dir = setting.dir().join("verify");
    std::fs::create_dir_all(&dir).unwrap();
    let config = dir.join("weft.toml");
    let stores: Vec<PathBuf> = net.daemons.iter().map(weft_harness::daemon::Daemon::store).collect();
    write_settings(&settings(&dir.join("store"), &stores), &config)?;
    let mut command = setting.programs.command("weft");
    command.args(["verify", "run", &job.to_string(), "--rpc-url", &net.node.url()]).args(more);
    command.arg("--config").arg(&config).arg("--data-dir").arg(&dir).arg("--base").arg(&net.config.base);
    let (status, output) = process::run(command, VERIFY).await?;
    Ok((status.code(), output))
}
