//! Children that end with the process that started them.
//!
//! The kernel's parent-death signal is asked for by the child itself. So a program is started through this one:
//! `weft child-of PARENT PROGRAM ARGS…` asks for the signal and becomes PROGRAM, under the same process id. The signal
//! counts the end of the *thread* that started the child: start it from one that lives as long as the process.

use std::{ffi::OsString, os::unix::process::CommandExt, path::Path, process::Command};

/// First argument that makes this program become another.
pub const GUARD: &str = "child-of";

/// A command that runs `program`, killed when this process ends, however it ends. This process must be `weft`.
pub fn command(program: &Path) -> std::io::Result<Command> {
    Ok(command_through(&std::env::current_exe()?, program))
}

/// As [`command`], for a process that is not `weft`: `weft` is the path of that program.
#[must_use]
pub fn command_through(weft: &Path, program: &Path) -> Command {
    let mut command = Command::new(weft);
    command.arg(GUARD).arg(std::process::id().to_string()).arg(program);
    command
}

/// Becomes the program that `args` (parent, program, arguments) name. Returns only on failure.
pub fn become_child(mut args: impl Iterator<Item = OsString>) -> std::io::Error {
    let (Some(parent), Some(program)) = (args.next(), args.next()) else {
        return std::io::Error::other("no parent and no program are named");
    };
    if let Err(e) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        return e.into();
    }
    // The parent may have ended before the kernel was asked.
    let found = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if found.as_deref() != parent.to_str() {
        return std::io::Error::other("the process that started this one has ended");
    }
    Command::new(program).args(args).exec()
}
