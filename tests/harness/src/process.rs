//! Child processes with log files; none outlives its owner.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc, OnceLock,
    },
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

    /// Signals its process group, unless it has ended: its number may be another process's by now.
    fn signal(&mut self, signal: rustix::process::Signal) {
        if !self.is_running() {
            return;
        }
        if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) {
            // It may end just now; until it is waited for, its number stays its own.
            let _gone = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Kills it at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        let _ended = self.child.wait();
    }

    /// What Ctrl-C sends (SIGINT).
    pub fn interrupt(&mut self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// What a closed terminal sends (SIGHUP).
    pub fn hang_up(&mut self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Waits until it has ended by itself, and returns how.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus, HarnessError> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if start.elapsed() <= limit => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(None) => {
                    return Err(HarnessError::Waited { what: format!("{} to end", self.name), log: self.tail() })
                }
                Err(e) => return Err(HarnessError::io("wait for", &self.log, e)),
            }
        }
    }

    /// Asks it to stop (SIGTERM), and kills it when it does not within `limit`.
    pub fn stop(&mut self, limit: Duration) {
        self.signal(rustix::process::Signal::TERM);
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

/// Runs a command to its end and returns its status and both outputs. What runs longer than `limit` is killed, and so is
/// what nobody waits for any more.
pub async fn run(command: Command, limit: Duration) -> Result<(ExitStatus, String), HarnessError> {
    let program = PathBuf::from(command.get_program());
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| HarnessError::Waited {
            what: format!("{} to end", program.display()),
            log: format!("it was killed after {} s", limit.as_secs()),
        })?
        .map_err(|e| HarnessError::io("run", &program, e))?;
    let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&done.stderr));
    Ok((done.status, text))
}

/// First port that [`free_port`] gives, and how many there are: below the ports that the kernel gives to outgoing
/// connections and to listeners on port 0, so that none of these takes one before its user does.
const PORTS: (u16, u16) = (20_000, 12_000);

/// A TCP port on loopback that was free a moment ago. It is given once in this process; other processes start elsewhere.
pub fn free_port() -> Result<u16, HarnessError> {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU32::new(std::process::id().wrapping_mul(211)));
    let (first, count) = PORTS;
    let mut last = None;
    for _ in 0..count {
        let offset = next.fetch_add(1, Ordering::Relaxed) % u32::from(count);
        let port = first.saturating_add(u16::try_from(offset).unwrap_or(0));
        match std::net::TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(e) => last = Some(e),
        }
    }
    let error = last.unwrap_or_else(|| std::io::Error::other("no port is left"));
    Err(HarnessError::io("bind a port in", Path::new("127.0.0.1"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn run_should_kill_a_command_when_it_takes_too_long() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let start = Instant::now();
        let e = run(command, Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(e, HarnessError::Waited { .. }), "{e}");
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn free_port_should_give_each_port_once_outside_of_the_kernels_range() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (20_000..32_000).contains(port)), "{ports:?}");
    }
}
