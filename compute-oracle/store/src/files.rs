//! Durable files: written whole or not at all.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use fs4::FileExt;

use crate::StoreError;

/// Writes `bytes` to `path` so that after a crash either the old or the new content stands there: temporary file,
/// fsync, rename, fsync of the folder.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write(path, bytes, 0o644)
}

/// As [`write_atomic`], readable by the owner alone (mode 0600).
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write(path, bytes, 0o600)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(StoreError::io("create a temporary file in", folder))?;
    temporary.write_all(bytes).map_err(StoreError::io("write", path))?;
    temporary.as_file().sync_all().map_err(StoreError::io("sync", path))?;
    temporary.persist(path).map_err(|e| StoreError::Io {
        action: "rename into",
        path: path.into(),
        source: e.error,
    })?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", folder))
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
