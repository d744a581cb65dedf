//! The demo's program: what it refuses, and that it leaves nothing behind.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use weft_harness::process::{self, Process};

use crate::{fixtures, Setting};

/// Longest wait on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Makes a command that runs `weft-demo` the small demo.
fn small(setting: &Setting, mut command: Command) -> Command {
    let program = setting.programs.path("weft-demo");
    command.arg("--bin-dir").arg(program.parent().unwrap()).arg("--fixtures").arg(fixtures()).arg("--small");
    command
}

/// Starts the small demo on free ports in a folder below the test's.
fn start(setting: &Setting, name: &str) -> (Process, PathBuf) {
    let dir = setting.dir().join(name);
    // It must not outlive this process either, whatever becomes of the test.
    let mut command = small(setting, setting.programs.guarded("weft-demo"));
    command.arg("--any-port").arg("--dir").arg(&dir);
    let demo = Process::start("the demo", command, &setting.dir().join(format!("{name}.log"))).unwrap();
    (demo, dir)
}

/// Command lines of the processes that name a folder, but for the process `but`.
fn processes(dir: &Path, but: u32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let id = entry.file_name().to_string_lossy().parse::<u32>();
        // A process may end between the listing and this; one that has ended has no command line.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if id.is_ok_and(|id| id != but) && line.contains(dir.to_str().unwrap()) {
            found.push(line);
        }
    }
    found
}

/// Waits until the demo has started so many processes.
async fn until(demo: &mut Process, dir: &Path, count: usize) {
    let start = Instant::now();
    while processes(dir, demo.id()).len() < count {
        assert!(demo.is_running() && start.elapsed() < LIMIT, "{}", demo.tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until no process names the folder.
async fn until_gone(dir: &Path) {
    let start = Instant::now();
    loop {
        let left = processes(dir, 0);
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "still there: {left:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_should_name_the_port_when_it_is_taken() {
    let setting = Setting::new().await;
    // GIVEN a port that this test holds, or that somebody else holds already
    let _listener = TcpListener::bind(("127.0.0.1", 9944));
    // WHEN the demo starts
    let command = small(&setting, setting.programs.command("weft-demo"));
    let (status, output) = process::run(command, LIMIT).await.unwrap_or_else(|e| panic!("{e}"));
    // THEN it refuses with the port and a way out
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("port 9944 on 127.0.0.1 is taken. Next: "), "{output}");
    assert!(output.contains("--any-port"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_should_be_left_when_the_demo_is_killed() {
    let setting = Setting::new().await;
    // GIVEN a demo with its node and both daemons
    let (mut demo, dir) = start(&setting, "killed");
    until(&mut demo, &dir, 3).await;
    // WHEN it gets no chance to end them
    demo.kill();
    // THEN the kernel does
    until_gone(&dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_should_be_left_when_the_demo_is_interrupted() {
    let setting = Setting::new().await;
    type Signal = fn(&mut Process);
    let signals: [(&str, Signal); 2] = [("interrupted", Process::interrupt), ("hung-up", Process::hang_up)];
    for (name, signal) in signals {
        // GIVEN a demo that starts its node, WHEN Ctrl-C is pressed or its terminal closed
        let (mut demo, dir) = start(&setting, name);
        until(&mut demo, &dir, 1).await;
        signal(&mut demo);
        // THEN it ends everything and says so
        let status = demo.ended(LIMIT).await.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(status.code(), Some(130), "{name}: {}", demo.tail());
        assert!(demo.tail().contains("interrupted: ending everything that was started"), "{}", demo.tail());
        until_gone(&dir).await;
    }
}
