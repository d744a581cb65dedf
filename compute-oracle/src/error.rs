//! Errors of the command line and the daemon, with exit codes.

use weft_chain::ChainError;
use weft_store::StoreError;

/// Exit codes of `weft`; scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Failed for another reason.
    Failed,
    /// Wrong use of the command line.
    Usage,
    /// Not permitted.
    NotPermitted,
    /// Not found.
    NotFound,
    /// Node or daemon unreachable.
    Unreachable,
    /// A verification failed.
    Verification,
    /// Funds or stake are missing.
    Funds,
    /// Memory or disk are short.
    Resources,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotPermitted => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Verification => 6,
            Self::Funds => 7,
            Self::Resources => 8,
            Self::Interrupted => 130,
        }
    }
}

/// An error shown to a person: what happened, why, what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{}", if next.is_empty() { String::new() } else { format!("\n  next: {next}") })]
pub struct CliError {
    /// Exit code.
    pub exit: Exit,
    /// Stable code for scripts.
    pub code: &'static str,
    /// What happened and why.
    pub cause: String,
    /// What to do next; empty when the cause says it.
    pub next: String,
}

impl CliError {
    /// An error with a next step.
    pub fn new(exit: Exit, code: &'static str, cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self { exit, code, cause: cause.into(), next: next.into() }
    }

    /// Something named by the user does not exist.
    pub fn not_found(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "not_found", cause, next)
    }

    /// The command line or a file was used wrongly.
    pub fn usage(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", cause, next)
    }

    /// As problem JSON (RFC 9457).
    #[must_use]
    pub fn problem(&self) -> serde_json::Value {
        serde_json::json!({
            "type": "about:blank", "title": self.code, "code": self.code, "cause": self.cause, "next": self.next,
            "exit": self.exit.code(),
        })
    }
}

/// Splits a library message of the form "cause. Next: step".
fn split(message: &str) -> (String, String) {
    match message.split_once("Next: ") {
        Some((cause, next)) => (cause.trim_end().trim_end_matches('.').to_string(), next.trim().to_string()),
        None => (message.to_string(), String::new()),
    }
}

impl From<ChainError> for CliError {
    fn from(e: ChainError) -> Self {
        let (exit, code) = match &e {
            ChainError::Unreachable { .. } => (Exit::Unreachable, "chain_unreachable"),
            ChainError::NotFound { .. } => (Exit::NotFound, "not_found"),
            ChainError::Funds { .. } => (Exit::Funds, "funds"),
            ChainError::Invalid { reason, .. } if reason.to_lowercase().contains("pay some fees") => {
                (Exit::Funds, "funds")
            }
            ChainError::Refused { name, docs, .. } => {
                if name.starts_with("Not") || name.contains("Grant") || name.contains("Licence") {
                    (Exit::NotPermitted, "refused")
                } else if name.contains("Stake") || name.contains("Budget") || docs.contains("Funds") {
                    (Exit::Funds, "funds")
                } else {
                    (Exit::Failed, "refused")
                }
            }
            ChainError::WrongGenesis { .. } => (Exit::Usage, "wrong_genesis"),
            ChainError::Invalid { .. } | ChainError::Dropped { .. } => (Exit::Failed, "transaction"),
            ChainError::Incompatible { .. } => (Exit::Failed, "incompatible"),
        };
        let (mut cause, mut next) = split(&e.to_string());
        if next.is_empty() && matches!(e, ChainError::Refused { .. }) {
            // The runtime writes "What is wrong. What to do."
            if let Some((what, step)) = cause.split_once(". ") {
                (cause, next) = (what.to_string(), step.to_string());
            }
        }
        Self { exit, code, cause, next }
    }
}

impl From<StoreError> for CliError {
    fn from(e: StoreError) -> Self {
        let (exit, code) = match &e {
            StoreError::NotFound { .. } => (Exit::NotFound, "blob_missing"),
            StoreError::Integrity { .. } | StoreError::Manifest { .. } => (Exit::Verification, "integrity_failed"),
            StoreError::DiskFull { .. } => (Exit::Resources, "disk_full"),
            _ if e.is_disk_full() => (Exit::Resources, "disk_full"),
            StoreError::Locked { .. } => (Exit::Failed, "locked"),
            _ => (Exit::Failed, "store"),
        };
        let (cause, next) = split(&e.to_string());
        Self { exit, code, cause, next }
    }
}

impl From<std::io::Error> for CliError {
    fn from(e: std::io::Error) -> Self {
        let exit = if e.kind() == std::io::ErrorKind::StorageFull { Exit::Resources } else { Exit::Failed };
        Self::new(exit, "io", e.to_string(), "")
    }
}

/// Result of a command.
pub type CliResult<T = ()> = Result<T, CliError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_should_have_cause_and_next_step() {
        let refused = |docs: &str| {
            CliError::from(ChainError::Refused {
                pallet: "Models".into(),
                name: "ValueTooLow".into(),
                docs: docs.into(),
            })
        };
        let e = refused("The declared value is below the least one. Raise it.");
        assert_eq!(e.cause, "Models.ValueTooLow: The declared value is below the least one");
        assert_eq!(e.next, "Raise it.");
        let e = refused("No grant has this number. Next: check the number; used up grants are removed.");
        assert_eq!(e.next, "check the number; used up grants are removed.");
    }
}
