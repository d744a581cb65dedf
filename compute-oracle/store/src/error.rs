//! What can go wrong with blobs, files and the database.

use std::path::PathBuf;

/// An error of the store. Every message says what happened and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused a file operation.
    #[error("cannot {action} {path}: {source}. Next: check that the folder exists, is writable and has space")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A blob is held neither here nor by any source.
    #[error("blob {id} is not in the store {path} nor in its {sources} sources. Next: check store.sources, or ask who contributed it")]
    NotFound {
        /// Content id in hex.
        id: String,
        /// Folder of the store.
        path: PathBuf,
        /// Number of sources searched.
        sources: usize,
    },
    /// Bytes do not hash to their name, here and in every source.
    #[error("integrity_failed: {path} does not hold blob {id}: its bytes hash to {found}. Next: remove the file, it is copied again from an intact source")]
    Integrity {
        /// The file read.
        path: PathBuf,
        /// Content id asked for, hex.
        id: String,
        /// Content id found, hex.
        found: String,
    },
    /// A manifest is malformed or its chunks do not add up.
    #[error("manifest {id} is malformed: {reason}. Next: ask its publisher for an intact object")]
    Manifest {
        /// Content id in hex.
        id: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An object is larger than its reader allows.
    #[error(
        "object {id} has {length} bytes, at most {limit} are expected. Next: ask its publisher for the right object"
    )]
    TooLarge {
        /// Content id in hex.
        id: String,
        /// Bytes it has, or says to have.
        length: u64,
        /// Most bytes expected.
        limit: u64,
    },
    /// Less disk is free than the reserve demands.
    #[error("disk is short: {free} bytes free on the disk of {path}, {needed} needed. Next: free space, lower store.reserve_percent, or move store.path")]
    DiskFull {
        /// Folder of the store.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes needed, reserve included.
        needed: u64,
    },
    /// Another process holds the folder.
    #[error("{path} is in use by another weft process. Next: stop it, or choose another --data-dir")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// SQLite refused.
    #[error("database {path}: {source}. Next: check the disk; a copy of the file can be opened with sqlite3")]
    Database {
        /// The database file.
        path: PathBuf,
        /// The cause.
        source: sqlx::Error,
    },
    /// The database was written by a newer program.
    #[error(
        "database {path} has version {found}, this program knows {known}. Next: use the newer program that wrote it"
    )]
    NewerDatabase {
        /// The database file.
        path: PathBuf,
        /// Version found.
        found: i64,
        /// Version known.
        known: i64,
    },
    /// A stored row cannot be read back.
    #[error("a stored {what} cannot be read: {reason}. Next: restore the database from a backup")]
    Corrupt {
        /// Kind of row.
        what: &'static str,
        /// The cause.
        reason: String,
    },
}

/// SQLite's result code for a full disk.
const SQLITE_FULL: u32 = 13;

impl StoreError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the disk is full, for the exit code and the daemon's pause.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            // SQLITE_FULL, extended codes included: the low byte is the primary code.
            Self::Database { source, .. } => source
                .as_database_error()
                .and_then(|e| e.code())
                .and_then(|code| code.parse::<u32>().ok())
                .is_some_and(|code| code & 0xff == SQLITE_FULL),
            _ => false,
        }
    }
}
