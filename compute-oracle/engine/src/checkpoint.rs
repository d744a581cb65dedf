//! Checkpoints: `ckpt/<u>/state.safetensors` and `manifest.json`, complete or
//! absent. Written beside, synced, renamed.

use crate::error::{EngineError, Result};
use crate::lora::{bytes_of, floats_of, Layout};
use safetensors::tensor::{serialize, Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
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
    sync_dir(path.parent().unwrap_or(Path::new(".")))
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
        if target.join("manifest.json").exists() {
            let whole = fs::read(target.join("state.safetensors")).is_ok_and(|old| old == bytes);
            if whole && self.manifest(manifest.u).is_some_and(|m| m == manifest) {
                return Ok(id);
            }
            fs::remove_dir_all(&target).map_err(EngineError::io(&target))?;
        }
        let beside = self.dir.join(format!(".{}.tmp", manifest.u));
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(EngineError::io(&beside))?;
        }
        fs::create_dir_all(&beside).map_err(EngineError::io(&beside))?;
        write_synced(&beside.join("state.safetensors"), &bytes)?;
        write_synced(&beside.join("manifest.json"), &text)?;
        sync_dir(&beside)?;
        fs::rename(&beside, &target).map_err(EngineError::io(&target))?;
        sync_dir(&self.dir)?;
        Ok(id)
    }

    fn manifest(&self, u: u32) -> Option<Manifest> {
        let text = fs::read(self.dir.join(u.to_string()).join("manifest.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// All checkpoints with a readable manifest, ascending by u.
    #[must_use]
    pub fn list(&self) -> Vec<Manifest> {
        let mut all: Vec<Manifest> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok()))
            .filter_map(|u| self.manifest(u).filter(|m| m.u == u))
            .collect();
        all.sort_by_key(|m| m.u);
        all
    }

    /// Reads checkpoint `u` and checks its content id.
    ///
    /// # Errors
    /// `malformed` when the file is not what the manifest says.
    pub fn load(&self, layout: &Layout, u: u32) -> Result<(Manifest, Snapshot)> {
        let path = self.file(u);
        let bad = |detail: &str| EngineError::Malformed { path: path.clone(), detail: detail.to_owned() };
        let manifest = self.manifest(u).ok_or_else(|| bad("no manifest"))?;
        let bytes = fs::read(&path).map_err(EngineError::io(&path))?;
        if hex(&content_id(&bytes)) != manifest.file {
            return Err(bad("the file differs from its manifest; delete this checkpoint"));
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
