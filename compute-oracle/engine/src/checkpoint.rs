//! Checkpoints: `ckpt/<u>/state.safetensors` and `manifest.json`, complete or
//! absent. Written beside, synced, renamed.

use crate::error::{EngineError, Result};
use crate::lora::{bytes_of, floats_of, Layout};
use safetensors::tensor::{serialize, Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use weft_protocol::hash::content_id;

/// What a checkpoint belongs to and where in the run it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format.
    pub schema: u32,
    /// Place in the chain of states: u ≤ N forward, else reverse.
    pub u: u32,
    /// N.
    pub steps: u32,
    /// Exponent of the reverse part; 0 before it.
    pub x: i8,
    /// Whether the reverse part is not to be trusted.
    pub rough: bool,
    /// Class.
    pub class: String,
    /// Hexadecimal digests that must be those of the run.
    pub run: String,
    /// Base model.
    pub base: String,
    /// Recipe.
    pub recipe: String,
    /// Data.
    pub data: String,
    /// Content id of the digests X_0 … X_u, 32 bytes each: the beginning of the run's `states.bin`.
    pub states: String,
    /// Content id of `state.safetensors`.
    pub file: String,
}

/// Three flat vectors and, in the reverse part, the scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// θ or λθ.
    pub x: Vec<f32>,
    /// m or λm.
    pub y: Vec<f32>,
    /// v or λv.
    pub z: Vec<f32>,
    /// Scores; empty forward.
    pub scores: Vec<i64>,
}

/// Suffixes of the three tensors of a slot.
const SUFFIX: [&str; 3] = ["", ".m", ".v"];

/// Hexadecimal digits of a digest.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Snapshot {
    /// The bytes of `state.safetensors`: deterministic.
    ///
    /// # Errors
    /// `malformed` when the vectors do not fit the layout.
    pub fn to_bytes(&self, layout: &Layout) -> Result<Vec<u8>> {
        let bad = |e: safetensors::SafeTensorError| EngineError::Malformed {
            path: PathBuf::from("state.safetensors"),
            detail: e.to_string(),
        };
        let mut raw = Vec::new();
        for (i, s) in layout.slots().iter().enumerate() {
            for (suffix, x) in SUFFIX.iter().zip([&self.x, &self.y, &self.z]) {
                let dims = vec![s.dims[0] as usize, s.dims[1] as usize];
                raw.push((format!("{}{suffix}", s.name), Dtype::F32, dims, bytes_of(&x[layout.range(i)])));
            }
        }
        if !self.scores.is_empty() {
            let bytes = self.scores.iter().flat_map(|s| s.to_le_bytes()).collect();
            raw.push(("scores".to_owned(), Dtype::I64, vec![self.scores.len()], bytes));
        }
        let mut views = Vec::new();
        for (name, dtype, dims, bytes) in &raw {
            views.push((name.as_str(), TensorView::new(*dtype, dims.clone(), bytes).map_err(bad)?));
        }
        serialize(views, None).map_err(bad)
    }

    /// Reads [`Snapshot::to_bytes`].
    ///
    /// # Errors
    /// `malformed`, `missing_tensor`, `shape_mismatch`.
    pub fn from_bytes(layout: &Layout, bytes: &[u8], path: &Path) -> Result<Self> {
        let st = SafeTensors::deserialize(bytes)
            .map_err(|e| EngineError::Malformed { path: path.into(), detail: e.to_string() })?;
        let mut all = [const { Vec::new() }; 3];
        for s in layout.slots() {
            for (suffix, x) in SUFFIX.iter().zip(&mut all) {
                let name = format!("{}{suffix}", s.name);
                let Ok(t) = st.tensor(&name) else {
                    return Err(EngineError::MissingTensor { path: path.into(), name });
                };
                let dims = [s.dims[0] as usize, s.dims[1] as usize];
                if t.dtype() != Dtype::F32 || t.shape() != dims {
                    return Err(EngineError::ShapeMismatch {
                        path: path.into(),
                        name,
                        found: format!("{:?} {:?}", t.dtype(), t.shape()),
                        expected: format!("F32 {dims:?}"),
                    });
                }
                x.extend(floats_of(t.data()));
            }
        }
        let scores = match st.tensor("scores") {
            Ok(t) if t.dtype() == Dtype::I64 => t
                .data()
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                .collect(),
            _ => Vec::new(),
        };
        let [x, y, z] = all;
        Ok(Self { x, y, z, scores })
    }
}

fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(EngineError::io(path))
}

/// Writes a whole file and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut f = File::create(path).map_err(EngineError::io(path))?;
    f.write_all(bytes).and_then(|()| f.sync_all()).map_err(EngineError::io(path))
}

/// Replaces a file as a whole: beside, synced, renamed.
///
/// # Errors
/// Writing failed; the old file is then still there.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("tmp");
    write_synced(&beside, bytes)?;
    fs::rename(&beside, path).map_err(EngineError::io(path))?;
    sync_dir(parent_of(path))
}

/// A folder that appears whole or not at all: its files are written and synced in
/// a folder of its own beside, which is renamed at the end. Dropped before that,
/// nothing stays.
#[derive(Debug)]
pub struct NewFolder {
    beside: PathBuf,
    out: PathBuf,
    finished: bool,
}

impl NewFolder {
    /// Starts the folder `out`, which must not exist. Parents are made.
    ///
    /// # Errors
    /// `already_exists`; `io`, `disk_full`.
    pub fn create(out: &Path) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if fs::symlink_metadata(out).is_ok() {
            return Err(EngineError::AlreadyExists { path: out.into() });
        }
        let parent = parent_of(out);
        fs::create_dir_all(parent).map_err(EngineError::io(parent))?;
        loop {
            // No other folder of this process has the number, and none of another its id.
            let name = format!(".weft-{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let beside = parent.join(name);
            match fs::create_dir(&beside) {
                Ok(()) => return Ok(Self { beside, out: out.into(), finished: false }),
                // Left by a process that was killed and had the same id.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(EngineError::Io { path: beside, source }),
            }
        }
    }

    /// Writes one file of the folder.
    ///
    /// # Errors
    /// `io`, `disk_full`.
    pub fn put(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        write_synced(&self.beside.join(name), bytes)
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// `already_exists` when somebody else made it meanwhile; `io`.
    pub fn finish(mut self) -> Result<()> {
        sync_dir(&self.beside)?;
        if fs::symlink_metadata(&self.out).is_ok() {
            return Err(EngineError::AlreadyExists { path: self.out.clone() });
        }
        fs::rename(&self.beside, &self.out).map_err(EngineError::io(&self.out))?;
        self.finished = true;
        sync_dir(parent_of(&self.out))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.finished {
            // The error that ended the writing is on its way already; what is left is hidden and has no other use.
            let _ = fs::remove_dir_all(&self.beside);
        }
    }
}

/// The folder that a path lies in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The checkpoints of a run's folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    /// Opens (and makes) `dir/ckpt`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = dir.join("ckpt");
        fs::create_dir_all(&dir).map_err(EngineError::io(&dir))?;
        Ok(Self { dir })
    }

    /// Path of the state file of checkpoint `u`.
    #[must_use]
    pub fn file(&self, u: u32) -> PathBuf {
        self.dir.join(u.to_string()).join("state.safetensors")
    }

    /// Writes checkpoint `manifest.u`; one that is there already is kept.
    /// Returns the content id of the state file.
    ///
    /// # Errors
    /// Writing failed; nothing half-written stays under the final name.
    pub fn save(&self, layout: &Layout, manifest: &Manifest, snapshot: &Snapshot) -> Result<String> {
        let bytes = snapshot.to_bytes(layout)?;
        let id = hex(&content_id(&bytes));
        let target = self.dir.join(manifest.u.to_string());
        let manifest = Manifest { file: id.clone(), ..manifest.clone() };
        let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        // Also without a manifest: a crash may have come while a damaged checkpoint was removed.
        if target.is_dir() {
            let whole = fs::read(target.join("state.safetensors")).is_ok_and(|old| old == bytes);
            if whole && self.manifest(manifest.u)?.is_some_and(|m| m == manifest) {
                return Ok(id);
            }
            fs::remove_dir_all(&target).map_err(EngineError::io(&target))?;
        }
        let beside = self.dir.join(format!(".{}.tmp", manifest.u));
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(EngineError::io(&beside))?;
        }
        let write = || {
            fs::create_dir_all(&beside).map_err(EngineError::io(&beside))?;
            write_synced(&beside.join("state.safetensors"), &bytes)?;
            write_synced(&beside.join("manifest.json"), &text)?;
            sync_dir(&beside)?;
            fs::rename(&beside, &target).map_err(EngineError::io(&target))
        };
        write().inspect_err(|_| {
            // On a full disk the torn folder would keep others from writing; the error that counts is the first.
            let _ = fs::remove_dir_all(&beside);
        })?;
        sync_dir(&self.dir)?;
        Ok(id)
    }

    /// The manifest of checkpoint `u`; `None` when there is none, or a damaged one.
    fn manifest(&self, u: u32) -> Result<Option<Manifest>> {
        let path = self.dir.join(u.to_string()).join("manifest.json");
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(EngineError::io(&path)(e)),
        }
    }

    /// All checkpoints with a sound manifest, ascending by u.
    ///
    /// # Errors
    /// Reading failed: what cannot be read is not taken for absent.
    pub fn list(&self) -> Result<Vec<Manifest>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(EngineError::io(&self.dir))? {
            let name = entry.map_err(EngineError::io(&self.dir))?.file_name();
            let Some(u) = name.to_str().and_then(|n| n.parse().ok()) else { continue };
            all.extend(self.manifest(u)?.filter(|m| m.u == u));
        }
        all.sort_by_key(|m| m.u);
        Ok(all)
    }

    /// Reads checkpoint `u` and checks its content id.
    ///
    /// # Errors
    /// `malformed` when the file is not what the manifest says.
    pub fn load(&self, layout: &Layout, u: u32) -> Result<(Manifest, Snapshot)> {
        let path = self.file(u);
        let bad = |detail: &str| EngineError::Malformed { path: path.clone(), detail: detail.to_owned() };
        let manifest = self.manifest(u)?.ok_or_else(|| bad("no manifest"))?;
        let bytes = fs::read(&path).map_err(EngineError::io(&path))?;
        if hex(&content_id(&bytes)) != manifest.file {
            return Err(bad("the file differs from its manifest"));
        }
        Ok((manifest, Snapshot::from_bytes(layout, &bytes, &path)?))
    }
}

/// Names and bytes of the tensors of a checkpoint file, in the file's order.
///
/// # Errors
/// `malformed`.
pub fn tensors(file: &[u8]) -> Result<Vec<(String, &[u8])>> {
    let (_, header) = SafeTensors::read_metadata(file)
        .map_err(|e| EngineError::Malformed { path: PathBuf::from("state.safetensors"), detail: e.to_string() })?;
    let st = SafeTensors::deserialize(file)
        .map_err(|e| EngineError::Malformed { path: PathBuf::from("state.safetensors"), detail: e.to_string() })?;
    let mut all: Vec<(usize, String, &[u8])> = header
        .tensors()
        .into_iter()
        .filter_map(|(name, info)| Some((info.data_offsets.0, name.clone(), st.tensor(&name).ok()?.data())))
        .collect();
    all.sort();
    Ok(all.into_iter().map(|(_, name, data)| (name, data)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_should_appear_whole_or_not_at_all_when_it_is_written() {
        // GIVEN a place for a folder
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let names =
            || -> Vec<_> { fs::read_dir(out.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect() };
        // WHEN writing ends early, THEN nothing stays
        let folder = NewFolder::create(&out).unwrap();
        folder.put("x", b"1").unwrap();
        assert!(folder.put("no/such/place", b"1").is_err());
        drop(folder);
        assert!(names().is_empty());
        // WHEN it is finished, THEN it is there and is not overwritten
        let folder = NewFolder::create(&out).unwrap();
        let other = NewFolder::create(&out).unwrap();
        folder.put("x", b"1").unwrap();
        folder.finish().unwrap();
        assert_eq!(NewFolder::create(&out).unwrap_err().code(), "already_exists");
        assert_eq!(other.finish().unwrap_err().code(), "already_exists");
        assert_eq!((names(), fs::read(out.join("x")).unwrap()), (vec!["b".into()], b"1".to_vec()));
    }

    #[test]
    fn checkpoint_should_leave_no_folder_when_writing_fails() {
        let dir = tempfile::tempdir().unwrap();
        let points = Checkpoints::open(dir.path()).unwrap();
        // A file where the checkpoint's folder should be makes the last step, the renaming, fail.
        fs::write(dir.path().join("ckpt/3"), b"in the way").unwrap();
        let manifest = Manifest {
            schema: 1,
            u: 3,
            steps: 9,
            x: 0,
            rough: false,
            class: String::new(),
            run: String::new(),
            base: String::new(),
            recipe: String::new(),
            data: String::new(),
            states: String::new(),
            file: String::new(),
        };
        let snapshot = Snapshot { x: Vec::new(), y: Vec::new(), z: Vec::new(), scores: vec![1] };
        let base = crate::Base::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base")).unwrap();
        let none = Layout::from_slots(&base, Vec::new(), |_| 1.0).unwrap();
        assert_eq!(points.save(&none, &manifest, &snapshot).unwrap_err().code(), "io");
        assert_eq!(fs::read_dir(dir.path().join("ckpt")).unwrap().count(), 1);
    }
}
