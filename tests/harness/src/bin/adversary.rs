//! A daemon that cheats as oracle of a run and is honest in every other role. It exists to lose its stake in tests; no
//! command of `weft` can do what it does.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use weft::{config, daemon};
use weft_attribution::Tamper;

/// How it cheats.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cheat {
    /// Some steps are not computed.
    SkipSteps,
    /// Trained on other records than the job's.
    SwapData,
    /// Posts the adapter of another run.
    ForeignAdapter,
    /// Raises the score of one contributor.
    InflateScore,
}

impl From<Cheat> for Tamper {
    fn from(cheat: Cheat) -> Self {
        match cheat {
            Cheat::SkipSteps => Self::SkipSteps,
            Cheat::SwapData => Self::SwapData,
            Cheat::ForeignAdapter => Self::ForeignAdapter,
            Cheat::InflateScore => Self::InflateScore,
        }
    }
}

/// A dishonest daemon, for tests.
#[derive(Parser, Debug)]
struct Args {
    /// How it cheats.
    #[arg(long, value_enum)]
    tamper: Cheat,
    /// Configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Folder of database, runs and blobs.
    #[arg(long)]
    data_dir: PathBuf,
    /// JSON-RPC of the node.
    #[arg(long)]
    rpc_url: String,
    /// Account.
    #[arg(long)]
    oracle: String,
    /// Address of the HTTP API.
    #[arg(long)]
    listen: String,
    /// Folder of the base model.
    #[arg(long)]
    base: PathBuf,
    /// Take no job without being told.
    #[arg(long)]
    no_jobs: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut config = config::load(Some(&args.config), &args.data_dir)?;
    config.chain.rpc_url = args.rpc_url;
    config.server.listen = args.listen;
    config.oracle.key_file = args.oracle;
    config.oracle.base_models = vec![args.base];
    config.oracle.take_jobs = !args.no_jobs;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(daemon::serve(config, args.data_dir, daemon::Options { tamper: args.tamper.into() }))?;
    Ok(())
}
