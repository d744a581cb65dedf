//! Checkpoints and the list of states of a run, on disk or in memory.

use crate::error::Result;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use weft_engine::{
    checkpoint::{hex, Checkpoints, Manifest, Snapshot},
    EngineError, Layout,
};
use weft_protocol::{hash::content_id, Hash};

/// Where a run keeps what it needs to go on.
#[derive(Debug)]
pub(crate) enum Store {
    /// In memory: gone with the process.
    Memory(BTreeMap<u32, (Manifest, Snapshot)>),
    /// In a folder: `ckpt/<u>/`, `states.bin`.
    Disk { dir: PathBuf, points: Checkpoints, synced: usize },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_path_buf();
    move |source| EngineError::Io { path, source }
}

impl Store {
    pub(crate) fn open(dir: Option<&Path>) -> Result<Self> {
        let Some(dir) = dir else { return Ok(Self::Memory(BTreeMap::new())) };
        fs::create_dir_all(dir).map_err(io(dir))?;
        Ok(Self::Disk { dir: dir.to_path_buf(), points: Checkpoints::open(dir)?, synced: 0 })
    }

    /// Keeps a checkpoint, the states up to it first. Returns the content id on disk.
    pub(crate) fn save(
        &mut self,
        layout: &Layout,
        manifest: Manifest,
        snapshot: Snapshot,
        states: &[Hash],
    ) -> Result<Option<String>> {
        match self {
            Self::Memory(map) => {
                map.insert(manifest.u, (manifest, snapshot));
                Ok(None)
            }
            Self::Disk { dir, points, synced } => {
                let path = dir.join("states.bin");
                let mut file =
                    OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io(&path))?;
                let from = (*synced).min(states.len());
                let raw: Vec<u8> = states[from..].iter().flatten().copied().collect();
                file.seek(SeekFrom::Start(from as u64 * 32))
                    .and_then(|_| file.write_all(&raw))
                    .and_then(|()| file.sync_all())
                    .map_err(io(&path))?;
                *synced = states.len();
                let manifest = Manifest { states: hex(&content_id(&states.concat())), ..manifest };
                Ok(Some(points.save(layout, &manifest, &snapshot)?))
            }
        }
    }

    /// Checkpoint `u`, if it is kept and intact.
    ///
    /// A file that is there but cannot be read is an error: it may be intact, and starting over would hide that.
    pub(crate) fn load(&self, layout: &Layout, u: u32) -> Result<Option<(Manifest, Snapshot)>> {
        match self {
            Self::Memory(map) => Ok(map.get(&u).cloned()),
            Self::Disk { points, .. } => match points.load(layout, u) {
                Ok(found) => Ok(Some(found)),
                Err(EngineError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
                Err(e @ EngineError::Io { .. }) => Err(e.into()),
                // Damaged: an older one is used, and this one written again.
                Err(_) => Ok(None),
            },
        }
    }

    /// Manifests of all kept checkpoints, ascending by u.
    pub(crate) fn list(&self) -> Result<Vec<Manifest>> {
        match self {
            Self::Memory(map) => Ok(map.values().map(|v| v.0.clone()).collect()),
            Self::Disk { points, .. } => Ok(points.list()?),
        }
    }

    /// X_0 … X_u as an earlier process recorded them; `None` unless they are those of the checkpoint.
    pub(crate) fn states(&self, m: &Manifest) -> Result<Option<Vec<Hash>>> {
        let Self::Disk { dir, .. } = self else { return Ok(None) };
        let path = dir.join("states.bin");
        let raw = match fs::read(&path) {
            Ok(raw) => raw,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(&path)(e).into()),
        };
        let Some(raw) = raw.get(..(m.u as usize + 1) * 32) else { return Ok(None) };
        if hex(&content_id(raw)) != m.states {
            return Ok(None);
        }
        Ok(Some(raw.chunks_exact(32).filter_map(|c| c.try_into().ok()).collect()))
    }

    /// The run goes on behind its first `count` states, which are on disk.
    pub(crate) fn resumed(&mut self, count: usize) {
        if let Self::Disk { synced, .. } = self {
            *synced = count;
        }
    }

    /// Path of the file of checkpoint `u` on disk.
    pub(crate) fn file(&self, u: u32) -> Option<PathBuf> {
        match self {
            Self::Memory(_) => None,
            Self::Disk { points, .. } => Some(points.file(u)).filter(|p| p.exists()),
        }
    }
}
