//! Daemons of a test network, honest and not.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use weft::config::Config;

use crate::{http, process::Process, HarnessError, HarnessResult, Programs};

/// How long a daemon may take to start: it loads its base models.
const START: Duration = Duration::from_secs(120);

/// How a daemon is started; a restart uses the same.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// Its name in messages.
    pub name: String,
    /// Its account: `//Name`.
    pub account: String,
    /// Folder of database, runs and blobs.
    pub data_dir: PathBuf,
    /// JSON-RPC of its node.
    pub rpc_url: String,
    /// Address of its HTTP API; port 0 takes a free one.
    pub listen: String,
    /// Folder of the base model.
    pub base: PathBuf,
    /// Blob folders that it may copy from.
    pub sources: Vec<PathBuf>,
    /// Worker threads; 0 takes all cores.
    pub threads: usize,
    /// Instruction set: auto, scalar, avx2 or avx512.
    pub isa: &'static str,
    /// Whether it takes open jobs by itself.
    pub takes_jobs: bool,
    /// How it cheats as oracle of a run; `None` is honest.
    pub tamper: Option<&'static str>,
}

/// Percent of a filesystem that the stores of a test network leave free: a machine with a nearly full disk may still run
/// a few megabytes of tests.
pub const RESERVE_PERCENT: u8 = 1;

/// Settings with a store and the blob folders that it may copy from.
#[must_use]
pub fn settings(store: &Path, sources: &[PathBuf]) -> Config {
    let mut settings = Config::default();
    settings.store.path = store.to_path_buf();
    settings.store.sources = sources.to_vec();
    settings.store.reserve_percent = RESERVE_PERCENT;
    settings
}

/// Writes settings as `weft` reads them.
pub fn write_settings(settings: &Config, file: &Path) -> HarnessResult {
    let text = toml::to_string(settings)
        .map_err(|e| HarnessError::failed(format!("the configuration does not encode: {e}")))?;
    std::fs::write(file, text).map_err(|e| HarnessError::io("write", file, e))
}

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    programs: Programs,
    config: DaemonConfig,
    process: Process,
    url: String,
}

impl Daemon {
    /// Starts a daemon and waits until its HTTP API listens.
    pub async fn start(programs: &Programs, config: DaemonConfig) -> HarnessResult<Self> {
        let process = Self::launch(programs, &config)?;
        let mut daemon = Self { programs: programs.clone(), config, process, url: String::new() };
        daemon.ready(0).await?;
        Ok(daemon)
    }

    fn launch(programs: &Programs, config: &DaemonConfig) -> HarnessResult<Process> {
        let file = config.data_dir.join("weft.toml");
        std::fs::create_dir_all(&config.data_dir).map_err(|e| HarnessError::io("create", &config.data_dir, e))?;
        let mut settings = settings(&config.data_dir.join("store"), &config.sources);
        settings.chain.rpc_url.clone_from(&config.rpc_url);
        settings.oracle.threads = config.threads;
        settings.oracle.isa = config.isa.into();
        write_settings(&settings, &file)?;
        let mut command = match config.tamper {
            None => {
                let mut command = programs.guarded("weft");
                command.arg("serve");
                command
            }
            Some(tamper) => {
                let mut command = programs.guarded("weft-adversary");
                command.args(["--tamper", tamper]);
                command
            }
        };
        command
            .arg("--config")
            .arg(&file)
            .arg("--data-dir")
            .arg(&config.data_dir)
            .args(["--rpc-url", &config.rpc_url, "--oracle", &config.account, "--listen", &config.listen])
            .arg("--base")
            .arg(&config.base);
        if !config.takes_jobs {
            command.arg("--no-jobs");
        }
        Process::start(&config.name, command, &config.data_dir.join("daemon.log"))
    }

    async fn ready(&mut self, from: u64) -> HarnessResult {
        let address = self.process.wait_for_line("listening http://", from, START).await?;
        self.url = format!("http://{address}");
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its account: `//Name`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.config.account
    }

    /// Address of its HTTP API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its blob folder.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.config.data_dir.join("store")
    }

    /// Folder of database, runs and blobs.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Folder of its run of a job, once there is one: the job's number, and what tells runs of equal numbers apart.
    pub fn run_dir(&self, job: u32) -> HarnessResult<PathBuf> {
        let runs = self.config.data_dir.join("runs");
        let (name, start) = (job.to_string(), format!("{job}-"));
        for entry in std::fs::read_dir(&runs).map_err(|e| HarnessError::io("read", &runs, e))? {
            let path = entry.map_err(|e| HarnessError::io("read", &runs, e))?.path();
            let found = path.file_name().and_then(std::ffi::OsStr::to_str);
            if found.is_some_and(|found| found == name || found.starts_with(&start)) {
                return Ok(path);
            }
        }
        Err(HarnessError::failed(format!("{} holds no run of job {job}", runs.display())))
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop.
    pub fn stop(&mut self) {
        self.process.stop(Duration::from_secs(20));
    }

    /// Starts it again with the same folder.
    pub async fn restart(&mut self) -> HarnessResult {
        self.process.kill();
        let from = self.process.log_len();
        self.process = Self::launch(&self.programs, &self.config)?;
        self.ready(from).await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// Reads an address of its HTTP API.
    pub async fn get(&self, path: &str) -> HarnessResult<Value> {
        http::get(&format!("{}{path}", self.url)).await
    }

    /// Events of a job's run as this daemon saw them, after the event numbered `after`. Moves `after` on.
    pub async fn events(&self, job: u32, after: &mut i64) -> HarnessResult<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let page = self.get(&format!("/api/v1/runs/{job}/events?after={after}")).await?;
            let list = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            let Some(last) = list.last().and_then(|e| e.get("seq")).and_then(Value::as_i64) else { return Ok(all) };
            *after = last;
            all.extend(list.into_iter().filter_map(|mut e| e.get_mut("event").map(Value::take)));
        }
    }
}
