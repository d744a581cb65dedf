//! Durable files: written whole or not at all.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use fs4::FileExt;

use crate::StoreError;

/// Temporary files begin with this.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// Writes `bytes` to `path` so that after a crash either the old or the new content stands there: temporary file,
/// fsync, rename, fsync of the folder.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write(None, path, bytes, 0o644)
}

/// As [`write_atomic`], with the temporary file in another folder of the same file system.
pub(crate) fn write_atomic_from(temporary: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write(Some(temporary), path, bytes, 0o644)
}

/// As [`write_atomic`], readable by the owner alone (mode 0600).
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write(None, path, bytes, 0o600)
}

/// As [`write_private`], for a file that must not exist: of two writers one fails, and none overwrites the other.
pub fn write_private_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = folder_of(path);
    create_folders(folder)?;
    let failed = |e: tempfile::PersistError| StoreError::io("create", path)(e.error);
    prepared(folder, path, bytes, 0o600)?.persist_noclobber(path).map_err(failed)?;
    sync_folder(folder)
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", folder))
}

/// Creates a folder with its parents and syncs each folder that got a new entry: otherwise a crash may lose the branch
/// with everything that was synced in it.
pub(crate) fn create_folders(folder: &Path) -> Result<(), StoreError> {
    create_folders_as(folder, 0o777)
}

/// Creates a folder with its parents, each new one for the owner alone (mode 0700), and syncs each folder that got a new
/// entry.
pub fn create_private_folders(folder: &Path) -> Result<(), StoreError> {
    create_folders_as(folder, 0o700)
}

fn create_folders_as(folder: &Path, mode: u32) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut grown = Vec::new();
    let mut at = folder;
    while !at.exists() {
        at = folder_of(at);
        grown.push(at);
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder);
    made.map_err(StoreError::io("create", folder))?;
    grown.into_iter().try_for_each(sync_folder)
}

/// A temporary file with these bytes, synced.
fn prepared(folder: &Path, path: &Path, bytes: &[u8], mode: u32) -> Result<tempfile::NamedTempFile, StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(StoreError::io("create a temporary file in", folder))?;
    temporary.write_all(bytes).map_err(StoreError::io("write", path))?;
    temporary.as_file().sync_all().map_err(StoreError::io("sync", path))?;
    Ok(temporary)
}

fn write(temporary: Option<&Path>, path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let folder = folder_of(path);
    create_folders(folder)?;
    prepared(temporary.unwrap_or(folder), path, bytes, mode)?
        .persist(path)
        .map_err(|e| StoreError::io("rename into", path)(e.error))?;
    sync_folder(folder)
}

/// An exclusive lock on a folder, released when dropped or when the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    path: PathBuf,
}

impl FolderLock {
    /// Locks `folder`; fails at once when another process holds it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        if FileExt::try_lock(&file).is_err() {
            return Err(StoreError::Locked { path });
        }
        Ok(Self { _file: file, path })
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
