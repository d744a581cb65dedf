//! Content-addressed blobs and the daemon's database.
//!
//! A blob is at most 1 MiB and named by the blake2b-256 of its bytes. Larger objects are a *manifest* blob that lists
//! chunk ids and the length. Every byte is hashed again when it is read; a blob that does not match its name is never
//! returned. [`BlobStore`] keeps the daemon's own folder and may read from *sources*: folders of other daemons on the
//! same machine, from which blobs are verified and copied. [`Database`] is SQLite in write-ahead mode.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sizes of files on this machine; money never passes through this crate"
)]

mod blobs;
mod database;
mod error;
mod files;

pub use blobs::{BlobStore, StoreConfig, StoreUsage, BLOB_LIMIT, OBJECT_LIMIT};
pub use database::{Database, JobRow, StoredEvent};
pub use error::StoreError;
pub use files::{create_private_folders, write_atomic, write_private, write_private_new, FolderLock};
