//! `weft-demo`: the main job of Weft on this machine, on real data, step by step.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use weft::daemon::wait_for_signal;
use weft_harness::{process, HarnessError, HarnessResult, NetworkConfig, Plan, Ports, Programs, Scenario};

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
    /// Keep chain, stores and logs in this new or empty folder [default: a temporary one, removed at the end].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The small job of the tests on a random base and half-second slots, to try the machinery.
    #[arg(long)]
    small: bool,
}

/// JSON-RPC, network, first daemon.
const PORTS: Ports = Ports::Fixed(9944, 30333, 8000);
/// Disk that the demo needs, in megabytes: most of it is the node's database, which is allocated ahead.
const DISK_MB: u64 = 1_000;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "guard") {
        let (parent, program) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        let e = process::guard(&parent.to_string_lossy(), Path::new(&program), args);
        eprintln!("cannot run {}: {e}", Path::new(&program).display());
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            done = demo(&args) => match done {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => {
                    eprintln!("\nerror: {e}");
                    ExitCode::FAILURE
                }
            },
            () = wait_for_signal() => {
                eprintln!("\ninterrupted: ending everything that was started");
                ExitCode::from(130)
            }
        }
    })
}

async fn demo(args: &Args) -> HarnessResult {
    let programs = Programs::new(&args.bin_dir)?;
    let temporary = tempfile::Builder::new()
        .prefix("weft-demo-")
        .tempdir()
        .map_err(|e| HarnessError::io("create", &std::env::temp_dir(), e))?;
    let dir = match &args.dir {
        Some(dir) => fresh(dir)?,
        None => temporary.path().to_path_buf(),
    };
    ensure_space(&dir)?;
    let fixtures = std::path::absolute(&args.fixtures).map_err(|e| HarnessError::io("find", &args.fixtures, e))?;
    let (config, plan) = if args.small {
        let base = fixtures.join("tiny-base");
        (NetworkConfig { ports: PORTS, ..NetworkConfig::test(&dir, &base) }, Plan::small(&fixtures, &dir)?)
    } else {
        let config = NetworkConfig {
            dir: dir.clone(),
            base: fixtures.join("base"),
            base_name: "weft-base",
            fast: false,
            window: None,
            ports: PORTS,
            threads: 0,
            isa: "auto",
        };
        (config, Plan::full(&fixtures)?)
    };
    let mut scenario = Scenario::open(&programs, config, plan).await?;
    if let Err(e) = scenario.run().await {
        eprintln!("\n{}", scenario.net.logs());
        return Err(e);
    }
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
    println!(
        "\nTry:\n  OPENAI_API_KEY={} {} chat {} --url {}\n\nCtrl-C ends everything.",
        scenario.key.0,
        programs.path("weft").display(),
        scenario.model,
        scenario.net.daemon("Oracle")?.url()
    );
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

fn ensure_space(dir: &Path) -> HarnessResult {
    let stat = rustix::fs::statvfs(dir).map_err(|e| HarnessError::io("measure", dir, e.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if free < DISK_MB {
        return Err(HarnessError::Disk { path: dir.to_path_buf(), free, needed: DISK_MB });
    }
    Ok(())
}
