//! What can go wrong in a test network.

use std::path::{Path, PathBuf};

use weft::error::CliError;
use weft_chain::ChainError;

/// An error of the harness: cause first, then what to do or where to look.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A file, folder, program or port could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A program ended that should run.
    #[error("{name} has ended\n{log}")]
    Ended {
        /// The program.
        name: String,
        /// End of its log.
        log: String,
    },
    /// A condition did not come true in time.
    #[error("waited too long for {what}\n{log}")]
    Waited {
        /// The condition.
        what: String,
        /// What is known instead.
        log: String,
    },
    /// A program of the workspace is not built.
    #[error("{} does not exist. Next: build it with `make build`, or set WEFT_BIN_DIR to the folder of the programs", path.display())]
    Missing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// A port is in use.
    #[error("port {port} on 127.0.0.1 is taken. Next: stop the program that uses it (`ss -ltnp 'sport = :{port}'` names it), or {next}")]
    PortTaken {
        /// The port.
        port: u16,
        /// Another way out.
        next: &'static str,
    },
    /// The disk is short.
    #[error("{} has {free} MB free, {needed} MB are needed. Next: free some space, or {next}", path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// Free megabytes.
        free: u64,
        /// Needed megabytes.
        needed: u64,
        /// Another way out.
        next: &'static str,
    },
    /// A chain specification is not what this program expects.
    #[error("the chain specification has no {what}. Next: use the node that belongs to this program")]
    Spec {
        /// What is missing.
        what: String,
    },
    /// A fixture is not what this program expects.
    #[error("{}: {reason}", path.display())]
    Fixture {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A command of `weft` failed.
    #[error("{0}")]
    Weft(#[from] CliError),
    /// The chain refused or did not answer.
    #[error("{0}")]
    Chain(#[from] ChainError),
    /// A daemon did not answer over HTTP.
    #[error("{url}: {reason}")]
    Http {
        /// Address.
        url: String,
        /// The cause.
        reason: String,
    },
    /// A step of the scenario did not hold.
    #[error("{0}")]
    Failed(String),
}

impl HarnessError {
    /// An error of a file, folder, program or port.
    #[must_use]
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }

    /// A step that did not hold.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// Whether trying again later can help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Chain(e) => e.is_transient(),
            Self::Weft(e) => e.exit == weft::error::Exit::Unreachable,
            _ => false,
        }
    }

    /// A fixture that is not what this program expects.
    pub fn fixture(path: &Path, reason: impl ToString) -> Self {
        Self::Fixture { path: path.to_path_buf(), reason: reason.to_string() }
    }
}

impl From<weft_store::StoreError> for HarnessError {
    fn from(e: weft_store::StoreError) -> Self {
        Self::Weft(e.into())
    }
}

/// Result of a step.
pub type HarnessResult<T = ()> = Result<T, HarnessError>;

/// An error with `text` unless `holds`.
pub fn ensure(holds: bool, text: impl FnOnce() -> String) -> HarnessResult {
    if holds {
        Ok(())
    } else {
        Err(HarnessError::Failed(text()))
    }
}
