//! The program `weft`.

use std::process::ExitCode;

use clap::Parser;
use weft::{
    cli::{Cli, Command},
    commands::{self, NOT_SIGNED},
    error::{CliError, Exit},
};

fn main() -> ExitCode {
    // clap prints help and version with code 0, and usage errors with code 2.
    let cli = Cli::parse();
    let (json, dry_run) = (cli.global.json, cli.global.dry_run);
    // Daemons and their parent handle signals themselves; every other command simply ends.
    let daemon = matches!(cli.command, Command::Serve(_) | Command::Dev(_));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&CliError::from(e), json),
    };
    let outcome = runtime.block_on(async {
        if daemon {
            return commands::run(cli).await;
        }
        tokio::select! {
            done = commands::run(cli) => done,
            _ = tokio::signal::ctrl_c() => Err(CliError::new(
                Exit::Interrupted,
                "interrupted",
                "interrupted",
                "what was sent stays sent; run the command again to go on",
            )),
        }
    });
    // A computation in a blocking thread must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The call was shown, as asked.
        Err(e) if dry_run && e.code == NOT_SIGNED => ExitCode::SUCCESS,
        Err(e) => fail(&e, json),
    }
}

fn fail(e: &CliError, json: bool) -> ExitCode {
    if json {
        eprintln!("{}", e.problem());
    } else {
        eprintln!("error: {e}");
    }
    ExitCode::from(e.exit.code())
}
