//! The program `weft`.

use std::process::ExitCode;

use clap::Parser;
use weft::{
    cli::{Cli, Command},
    commands::{self, NOT_SIGNED},
    error::{CliError, Exit},
    guard,
};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == guard::GUARD) {
        return fail(&CliError::from(guard::become_child(args)), false);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() && std::env::args_os().any(|arg| arg == "--json") => {
            return fail(&CliError::usage(e.render().to_string().trim(), "see `weft --help`"), true);
        }
        // clap prints help and version with code 0, and usage errors with code 2.
        Err(e) => e.exit(),
    };
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
