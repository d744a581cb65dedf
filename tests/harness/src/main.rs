//! `weft-demo`: the main job of Weft on this machine, on real data, step by step.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use clap::Parser;
use weft_harness::{
    daemon::{self, RESERVE_PERCENT},
    HarnessError, HarnessResult, NetworkConfig, Plan, Ports, Programs, Scenario,
};

/// Runs Weft's main job: contributors' records, training on a chain, audit by re-execution, paid answers, claims.
///
/// Ports: 9944 JSON-RPC, 30333 network, 8000 the oracle's and 8001 the verifier's HTTP API, all on 127.0.0.1.
#[derive(Parser, Debug)]
#[command(name = "weft-demo", version)]
struct Args {
    /// Folder of weft-node, weft and weft-demo.
    #[arg(long, value_name = "DIR")]
    bin_dir: PathBuf,
    /// Folder of base model, Datanets and recipe.
    #[arg(long, value_name = "DIR", default_value = "fixtures")]
    fixtures: PathBuf,
    /// End after the table instead of leaving everything running until Ctrl-C.
    #[arg(long)]
    exit: bool,
    /// Keep chain, stores and logs in this new or empty folder [default: a temporary one, removed unless a step fails].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The small job of the tests on a random base and half-second slots, to try the machinery.
    #[arg(long)]
    small: bool,
    /// Take any free ports, to run beside another demo.
    #[arg(long)]
    any_port: bool,
}

/// JSON-RPC, network, first daemon.
const PORTS: Ports = Ports::Fixed(9944, 30333, 8000);
/// Disk that the demo needs, in megabytes: most of it is the node's database, which is allocated ahead. The stores leave a
/// part of the disk free beyond it.
const DISK_MB: u64 = 1_000;
/// Longest time of the whole job on a slow and busy machine, should a wait inside have no limit of its own.
const LONGEST: Duration = Duration::from_secs(2_400);
/// Disk for what is written beside the demo's folder, in megabytes: the chain specification on its way.
const TEMPORARY_MB: u64 = 50;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    let held = AtomicBool::new(false);
    runtime.block_on(async {
        tokio::select! {
            done = demo(&args, &held) => match done {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => {
                    eprintln!("\nerror: {e}");
                    ExitCode::FAILURE
                }
            },
            // What was started runs in process groups of its own and hears nothing of the terminal.
            () = weft::daemon::wait_for_signal() => {
                // Once every step held, ending the stack is what the reader was told to do.
                if held.load(Ordering::Relaxed) {
                    eprintln!("\nending everything that was started");
                    return ExitCode::SUCCESS;
                }
                eprintln!("\ninterrupted: ending everything that was started");
                ExitCode::from(130)
            }
        }
    })
}

/// Prints commands that work as they stand, with a settings file that names node, blobs and bases of this stack.
fn try_it(programs: &Programs, scenario: &Scenario, dir: &Path, fixtures: &Path) -> HarnessResult {
    let you = dir.join("you");
    std::fs::create_dir_all(&you).map_err(|e| HarnessError::io("create", &you, e))?;
    let mut blobs: Vec<PathBuf> = Vec::new();
    for part in ["daemons", "people"] {
        let folder = dir.join(part);
        let entries = std::fs::read_dir(&folder).map_err(|e| HarnessError::io("read", &folder, e))?;
        blobs.extend(entries.flatten().map(|e| e.path().join("store")).filter(|store| store.is_dir()));
    }
    blobs.sort();
    let mut settings = daemon::settings(&you.join("store"), &blobs);
    settings.chain.rpc_url = scenario.net.node.url();
    settings.oracle.base_models = vec![fixtures.join("base"), fixtures.join("tiny-base")];
    let file = you.join("weft.toml");
    daemon::write_settings(&settings, &file)?;
    let weft = format!("{} --config {} --data-dir {}", programs.path("weft").display(), file.display(), you.display());
    let (oracle, model, job) = (scenario.net.daemon("Oracle")?.url(), scenario.model, scenario.job);
    println!(
        "\nTry, in another terminal (the first line asks the model, the second recomputes its training run):
  OPENAI_API_KEY={} {weft} chat {model} --url {oracle}
  {weft} verify run {job}
  {weft} job show {job}
  {weft} reward show --account //Contributor1 --daemon {oracle}
  {weft} model export {model} {}\n\nCtrl-C ends everything.",
        scenario.key.0,
        you.join("adapter").display()
    );
    Ok(())
}

async fn demo(args: &Args, held: &AtomicBool) -> HarnessResult {
    let programs = Programs::new(&args.bin_dir)?;
    let mut temporary = tempfile::Builder::new()
        .prefix("weft-demo-")
        .tempdir()
        .map_err(|e| HarnessError::io("create", &std::env::temp_dir(), e))?;
    let dir = match &args.dir {
        Some(dir) => fresh(dir)?,
        None => temporary.path().to_path_buf(),
    };
    let done = run_in(args, &programs, &dir, held).await;
    // Whoever looks for the cause of a failure needs the logs; before the node starts there are none.
    if done.is_err() && dir.join("node").exists() {
        temporary.disable_cleanup(args.dir.is_none());
        eprintln!("\nchain, stores and logs are kept in {}", dir.display());
    }
    done
}

async fn run_in(args: &Args, programs: &Programs, dir: &Path, held: &AtomicBool) -> HarnessResult {
    ensure_space(dir, DISK_MB, RESERVE_PERCENT, "choose another folder with --dir")?;
    ensure_space(&std::env::temp_dir(), TEMPORARY_MB, 0, "set TMPDIR to another folder")?;
    let ports = if args.any_port { Ports::Free } else { PORTS };
    let fixtures = std::path::absolute(&args.fixtures).map_err(|e| HarnessError::io("find", &args.fixtures, e))?;
    let (config, plan) = if args.small {
        let base = fixtures.join("tiny-base");
        (NetworkConfig { ports, ..NetworkConfig::test(dir, &base) }, Plan::small(&fixtures, dir)?)
    } else {
        let config = NetworkConfig {
            dir: dir.to_path_buf(),
            base: fixtures.join("base"),
            base_name: "weft-base",
            fast: false,
            window: None,
            ports,
            threads: 0,
            isa: "auto",
        };
        (config, Plan::full(&fixtures)?)
    };
    let mut scenario = Scenario::open(programs, config, plan).await?;
    let done = tokio::time::timeout(LONGEST, scenario.run()).await.unwrap_or_else(|_| {
        Err(HarnessError::Waited { what: "the whole job".into(), log: format!("{} s are over", LONGEST.as_secs()) })
    });
    if let Err(e) = done {
        eprintln!("\n{}", scenario.net.logs());
        return Err(e);
    }
    held.store(true, Ordering::Relaxed);
    println!("Every step held.");
    if args.exit {
        return Ok(());
    }
    println!(
        "\nThe stack runs on:\n  node    {}\n  oracle  {}\n  verifier {}\n  folder  {}",
        scenario.net.node.url(),
        scenario.net.daemon("Oracle")?.url(),
        scenario.net.daemon("Verifier")?.url(),
        dir.display()
    );
    try_it(programs, &scenario, dir, &fixtures)?;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !scenario.net.node.is_running() {
            return Err(HarnessError::Ended { name: "the node".into(), log: scenario.net.node.tail() });
        }
        for daemon in &mut scenario.net.daemons {
            if !daemon.is_running() {
                return Err(HarnessError::Ended { name: daemon.name().to_string(), log: daemon.tail() });
            }
        }
    }
}

/// A folder that holds nothing yet: a chain is never mixed with another.
fn fresh(dir: &Path) -> HarnessResult<PathBuf> {
    std::fs::create_dir_all(dir).map_err(|e| HarnessError::io("create", dir, e))?;
    let mut entries = std::fs::read_dir(dir).map_err(|e| HarnessError::io("read", dir, e))?;
    if entries.next().is_some() {
        return Err(HarnessError::fixture(dir, "the folder is not empty. Next: name a new one"));
    }
    std::path::absolute(dir).map_err(|e| HarnessError::io("find", dir, e))
}

/// Refuses when a folder's disk has less room than `megabytes` and `reserve_percent` of the whole disk.
fn ensure_space(dir: &Path, megabytes: u64, reserve_percent: u8, next: &'static str) -> HarnessResult {
    let stat = rustix::fs::statvfs(dir).map_err(|e| HarnessError::io("measure", dir, e.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    let whole = stat.f_blocks.saturating_mul(stat.f_frsize) >> 20;
    let needed = megabytes.saturating_add((whole / 100).saturating_mul(u64::from(reserve_percent)));
    if free < needed {
        return Err(HarnessError::Disk { path: dir.to_path_buf(), free, needed, next });
    }
    Ok(())
}
