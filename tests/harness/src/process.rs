//! Child processes with log files; none outlives its owner.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{mpsc, OnceLock},
    time::{Duration, Instant},
};

use crate::HarnessError;

/// A running program of the test network. Dropping it kills its whole process group.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in its own process group, both outputs appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, HarnessError> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).map_err(|e| HarnessError::io("create", folder, e))?;
        }
        let out = File::options().create(true).append(true).open(log).map_err(|e| HarnessError::io("open", log, e))?;
        let err = out.try_clone().map_err(|e| HarnessError::io("open", log, e))?;
        let program = PathBuf::from(command.get_program());
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = spawn(command).map_err(|e| HarnessError::io("start", &program, e))?;
        Ok(Self { name: name.to_string(), child, log: log.to_path_buf() })
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the log holds `marker` after byte `from`, and returns the text after the marker up to the line's end.
    pub async fn wait_for_line(&mut self, marker: &str, from: u64, limit: Duration) -> Result<String, HarnessError> {
        let start = Instant::now();
        loop {
            let text = self.log_text(from);
            if let Some((_, rest)) = text.split_once(marker) {
                if let Some((line, _)) = rest.split_once('\n') {
                    return Ok(line.trim().to_string());
                }
            }
            if !self.is_running() {
                return Err(HarnessError::Ended { name: self.name.clone(), log: self.tail() });
            }
            if start.elapsed() > limit {
                return Err(HarnessError::Waited { what: format!("{}: '{marker}'", self.name), log: self.tail() });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Length of the log in bytes: what comes later is after this point.
    #[must_use]
    pub fn log_len(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |m| m.len())
    }

    fn log_text(&self, from: u64) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// The last lines of the log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.log_text(0);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(40);
        format!("--- {} ({})\n{}", self.name, self.log.display(), lines.get(from..).unwrap_or_default().join("\n"))
    }

    /// Kills it at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) {
            // The process may have ended by itself; then there is nothing left to kill.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ended = self.child.wait();
    }

    /// Asks it to stop (SIGTERM), and kills it when it does not within `limit`.
    pub fn stop(&mut self, limit: Duration) {
        if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
        let start = Instant::now();
        while self.is_running() && start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts a program from one thread that lives as long as this process: the kernel's parent-death signal counts the end
/// of the *thread* that started the child.
fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<std::io::Result<mpsc::Sender<Order>>> = OnceLock::new();
    let gone = || std::io::Error::other("the thread that starts programs has ended");
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            for (mut command, answer) in queue {
                // Whoever asked may be gone; then nobody owns the child and it must not stay.
                if let Err(mpsc::SendError(Ok(mut orphan))) = answer.send(command.spawn()) {
                    let _ended = orphan.kill();
                }
            }
        })?;
        Ok(orders)
    });
    let spawner = spawner.as_ref().map_err(|e| std::io::Error::new(e.kind(), e.to_string()))?;
    let (answer, child) = mpsc::channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

/// Becomes `program`, killed by the kernel when the parent with process id `parent` ends. Returns only on failure.
pub fn guard(parent: &str, program: &Path, args: impl Iterator<Item = std::ffi::OsString>) -> std::io::Error {
    if let Err(e) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        return e.into();
    }
    // The parent may have ended before the kernel was asked.
    if rustix::process::getppid().map(|p| p.as_raw_nonzero().to_string()).as_deref() != Some(parent) {
        return std::io::Error::other("the process that started this one has ended");
    }
    Command::new(program).args(args).exec()
}

/// Runs a command to its end and returns its status and both outputs.
pub async fn run(mut command: Command) -> Result<(ExitStatus, String), HarnessError> {
    let program = PathBuf::from(command.get_program());
    let failed = |e| HarnessError::io("run", &program, e);
    let done = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await
        .map_err(|e| failed(std::io::Error::other(e.to_string())))?
        .map_err(failed)?;
    let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&done.stderr));
    Ok((done.status, text))
}

/// A TCP port on loopback that was free a moment ago.
pub fn free_port() -> Result<u16, HarnessError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")
        .map_err(|e| HarnessError::io("bind a port in", Path::new("127.0.0.1"), e))?;
    let address = listener.local_addr().map_err(|e| HarnessError::io("read", Path::new("127.0.0.1"), e))?;
    Ok(address.port())
}
