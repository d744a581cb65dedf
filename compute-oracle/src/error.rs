//! Errors of the command line and the daemon, with exit codes.

use std::{io::ErrorKind, path::Path};

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

    /// A file operation failed: what was tried, on which path.
    pub fn io<'a>(action: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |e| Self::io_as(format!("cannot {action} {}: {e}", path.display()), &e)
    }

    fn io_as(cause: String, e: &std::io::Error) -> Self {
        let (exit, code, next) = match e.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                (Exit::Resources, "disk_full", "free space on this disk, or move the folder to another, then try again")
            }
            ErrorKind::OutOfMemory => (Exit::Resources, "out_of_memory", "end other programs, then try again"),
            ErrorKind::NotFound => (Exit::NotFound, "not_found", "check the path"),
            _ => (Exit::Failed, "io", "check that the file or folder exists and is yours to read and write"),
        };
        Self::new(exit, code, cause, next)
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

/// Refusals that say that somebody else may do this, or that a licence or grant does not cover it.
const NOT_PERMITTED: &[&str] = &[
    "GrantExhausted",
    "GrantExpired",
    "GrantMissing",
    "GrantNotActive",
    "Jailed",
    "KeyExpired",
    "KeyForbidsModel",
    "KeyRevoked",
    "NoLicence",
    "NotAllowed",
    "NotAssigned",
    "NotBuilder",
    "NotCurator",
    "NotDrawn",
    "NotModelOwner",
    "NotOracle",
    "NotOwner",
    "NotRevocable",
    "NotServing",
    "NotTrusted",
    "PurposeForbidden",
    "RequireSudo",
    "ScopeTooWide",
    "SnapshotOutOfRange",
    "WrongBaseModel",
    "WrongMover",
    "WrongProgram",
];

/// Refusals for want of money or stake.
const FUNDS: &[&str] = &[
    "BudgetClosing",
    "BudgetMissing",
    "BudgetTooLow",
    "ExistentialDeposit",
    "Expendability",
    "InsufficientBalance",
    "LimitExceeded",
    "LiquidityRestrictions",
    "PotTooLow",
    "StakeLocked",
    "StakeTooLow",
];

/// Refusals for want of a thing, besides those that begin with `Unknown`.
const NOT_FOUND: &[&str] = &["KeyUnknown", "PartUnknown", "PriceUnknown"];

/// Exit code of a refusal. The names are listed one by one: a part of a name says nothing (`NotDue` is no permission).
fn refusal_exit(pallet: &str, name: &str, docs: &str) -> (Exit, &'static str) {
    if NOT_PERMITTED.contains(&name) {
        return (Exit::NotPermitted, "refused");
    }
    if FUNDS.contains(&name) {
        return (Exit::Funds, "funds");
    }
    if name.starts_with("Unknown") || NOT_FOUND.contains(&name) {
        return (Exit::NotFound, "not_found");
    }
    // An error of the runtime itself has no name of ours, only words.
    let words = docs.to_lowercase();
    if pallet == "System" && (words.contains("funds") || words.contains("unwanted loss of account")) {
        return (Exit::Funds, "funds");
    }
    if pallet == "System" && (words.contains("bad origin") || words.contains("badorigin")) {
        return (Exit::NotPermitted, "refused");
    }
    (Exit::Failed, "refused")
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
            ChainError::Refused { pallet, name, docs } => refusal_exit(pallet, name, docs),
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
            StoreError::Integrity { .. } | StoreError::Manifest { .. } | StoreError::TooLarge { .. } => {
                (Exit::Verification, "integrity_failed")
            }
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
        // Where a path is known, `CliError::io` names it.
        Self::io_as(e.to_string(), &e)
    }
}

/// Result of a command.
pub type CliResult<T = ()> = Result<T, CliError>;

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of all errors of our pallets, read from their sources: a new one cannot escape the table.
    fn pallet_errors() -> Vec<(String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pallets");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(path.join("src/lib.rs")) else { continue };
            let pallet = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some((_, list)) = text.split_once("pub enum Error<T> {") else { continue };
            let (list, _) = list.split_once("\n    }").unwrap();
            for line in list.lines().map(str::trim).filter(|l| !l.starts_with("//") && !l.starts_with('#')) {
                if let Some(name) = line.strip_suffix(',').filter(|n| n.chars().all(char::is_alphanumeric)) {
                    found.push((pallet.clone(), name.to_string()));
                }
            }
        }
        found
    }

    #[test]
    fn exit_code_should_be_that_of_the_table_for_every_error_of_the_pallets() {
        let errors = pallet_errors();
        assert!(errors.len() > 100, "{} errors found", errors.len());
        for (pallet, name) in &errors {
            let exit = refusal_exit(pallet, name, "").0;
            let expected = match name.as_str() {
                n if n.starts_with("Unknown") => Exit::NotFound,
                n if NOT_FOUND.contains(&n) => Exit::NotFound,
                n if NOT_PERMITTED.contains(&n) => Exit::NotPermitted,
                n if FUNDS.contains(&n) => Exit::Funds,
                _ => Exit::Failed,
            };
            assert_eq!(exit, expected, "{pallet}.{name}");
        }
        // What is no error of ours belongs to pallets of the SDK.
        let foreign =
            ["ExistentialDeposit", "Expendability", "InsufficientBalance", "LiquidityRestrictions", "RequireSudo"];
        for name in NOT_PERMITTED.iter().chain(FUNDS).chain(NOT_FOUND).filter(|n| !foreign.contains(n)) {
            assert!(errors.iter().any(|(_, n)| n == name), "no pallet has the error {name}");
        }
    }

    #[test]
    fn exit_code_should_follow_the_meaning_of_a_refusal() {
        for (pallet, name, docs, exit) in [
            ("Models", "NotDue", "", Exit::Failed),
            ("ComputeOracles", "NotFraud", "", Exit::Failed),
            ("Datanets", "NotADuplicate", "", Exit::Failed),
            ("Models", "NotBuilder", "", Exit::NotPermitted),
            ("Permissions", "GrantExhausted", "", Exit::NotPermitted),
            ("Models", "UnknownJob", "", Exit::NotFound),
            ("Rewards", "BudgetExists", "", Exit::Failed),
            ("Rewards", "BudgetTooLow", "", Exit::Funds),
            ("Balances", "InsufficientBalance", "", Exit::Funds),
            ("System", "DispatchError", "Token error: Funds are unavailable.", Exit::Funds),
            ("System", "DispatchError", "Bad origin.", Exit::NotPermitted),
            ("System", "DispatchError", "Arithmetic error: Overflow.", Exit::Failed),
        ] {
            assert_eq!(refusal_exit(pallet, name, docs).0, exit, "{pallet}.{name}");
        }
    }

    #[test]
    fn file_error_should_name_path_and_next_step() {
        for (kind, exit, code) in [
            (ErrorKind::StorageFull, Exit::Resources, "disk_full"),
            (ErrorKind::QuotaExceeded, Exit::Resources, "disk_full"),
            (ErrorKind::NotFound, Exit::NotFound, "not_found"),
            (ErrorKind::PermissionDenied, Exit::Failed, "io"),
        ] {
            let e = CliError::io("write", Path::new("/some/file"))(kind.into());
            assert_eq!((e.exit, e.code), (exit, code));
            assert!(e.cause.starts_with("cannot write /some/file: ") && !e.next.is_empty(), "{e}");
            let e = CliError::from(std::io::Error::from(kind));
            assert!(e.exit == exit && !e.next.is_empty(), "{e}");
        }
        let full = StoreError::Io { action: "write", path: "x".into(), source: ErrorKind::StorageFull.into() };
        assert_eq!(CliError::from(full).code, "disk_full");
    }

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
