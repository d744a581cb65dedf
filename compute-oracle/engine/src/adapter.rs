//! PEFT adapters: reading what others write, and merging.

use crate::checkpoint::NewFolder;
use crate::error::{EngineError, Result};
use crate::lora::{Layout, Packed};
use crate::weights::{dense_files, Base};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use weft_numerics::{c, dot, model::linear::lora_scale};
use weft_protocol::{
    graph::{Part, Slot, Target},
    hash::content_id,
    Hash,
};

/// An adapter in memory, packed for serving: immutable, shared by requests.
#[derive(Debug)]
pub struct Adapter {
    layout: Layout,
    theta: Vec<f32>,
    pub(crate) packed: Packed,
    content: Hash,
    scales: Vec<f32>,
}

/// Ranks and scales of `adapter_config.json`.
struct Settings {
    path: PathBuf,
    r: u32,
    alpha: f64,
    rslora: bool,
    ranks: Vec<(Pattern, f64)>,
    alphas: Vec<(Pattern, f64)>,
}

/// A key of `rank_pattern` or `alpha_pattern`: a regular expression of which
/// names, `.` (any character), `\.` (a dot), a leading `^` and a trailing `$` are computed.
struct Pattern {
    /// One entry per character; `None` is any.
    characters: Vec<Option<char>>,
    /// Whether it must be the whole name.
    anchored: bool,
}

impl Pattern {
    /// `None` for an expression that is not computed.
    fn parse(key: &str) -> Option<Self> {
        let (anchored, key) = key.strip_prefix('^').map_or((false, key), |rest| (true, rest));
        let key = key.strip_suffix('$').unwrap_or(key);
        let (mut characters, mut rest) = (Vec::new(), key.chars());
        while let Some(x) = rest.next() {
            characters.push(match x {
                '.' => None,
                '\\' => Some(rest.next().filter(|x| *x == '.')?),
                x if x.is_ascii_alphanumeric() || x == '_' || x == '-' => Some(x),
                _ => return None,
            });
        }
        (!characters.is_empty()).then_some(Self { characters, anchored })
    }

    /// `re.match(rf"(.*\.)?({key})$", module)` of PEFT's `get_pattern_key`: the
    /// expression matches the name's end, and what is before it is nothing or ends
    /// with a dot.
    fn matches(&self, module: &str) -> bool {
        let name: Vec<char> = module.chars().collect();
        let Some(at) = name.len().checked_sub(self.characters.len()) else { return false };
        let (before, end) = name.split_at(at);
        let whole = before.is_empty() || (!self.anchored && before.ends_with(&['.']));
        whole && end.iter().zip(&self.characters).all(|(x, want)| want.is_none_or(|want| want == *x))
    }
}

impl Settings {
    fn parse(path: &Path, text: &str) -> Result<Self> {
        let bad = |detail: String| EngineError::Malformed { path: path.into(), detail };
        let Value::Object(map) = serde_json::from_str(text).map_err(|e| bad(format!("not JSON: {e}")))? else {
            return Err(bad("not a JSON object".into()));
        };
        let refuse = |detail: String| EngineError::AdapterUnsupported { path: path.into(), detail };
        if map.get("peft_type").and_then(Value::as_str).is_some_and(|t| t != "LORA") {
            return Err(refuse("only LoRA adapters are computed".into()));
        }
        let set = |key: &str| match map.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(a)) => !a.is_empty(),
            Some(Value::Object(o)) => !o.is_empty(),
            Some(_) => true,
        };
        for key in [
            "use_dora",
            "modules_to_save",
            "fan_in_fan_out",
            "lora_bias",
            "layer_replication",
            "trainable_token_indices",
        ] {
            if set(key) {
                return Err(refuse(format!("`{key}` is not supported")));
            }
        }
        if map.get("bias").and_then(Value::as_str).is_some_and(|b| b != "none") {
            return Err(refuse("`bias` must be none".into()));
        }
        let number = |key: &str| map.get(key).and_then(Value::as_f64).filter(|x| *x > 0.0);
        let pattern = |key: &str, whole: bool| -> Result<Vec<(Pattern, f64)>> {
            let mut out = Vec::new();
            let entries = match map.get(key) {
                None | Some(Value::Null) => return Ok(out),
                Some(Value::Object(entries)) => entries,
                Some(_) => return Err(refuse(format!("`{key}` is not an object"))),
            };
            for (k, v) in entries {
                let Some(name) = Pattern::parse(k) else {
                    return Err(refuse(format!("`{key}`: pattern `{k}` is not a module name")));
                };
                let Some(x) = v.as_f64().filter(|x| *x > 0.0 && (!whole || x.fract() == 0.0)) else {
                    return Err(refuse(format!(
                        "`{key}`: the value {v} of `{k}` is not a positive number of its kind"
                    )));
                };
                out.push((name, x));
            }
            Ok(out)
        };
        let rslora = match map.get("use_rslora") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(x)) => *x,
            Some(other) => return Err(refuse(format!("`use_rslora` = {other} is not true or false"))),
        };
        let r = number("r").filter(|r| r.fract() == 0.0 && *r <= 4096.0);
        Ok(Self {
            path: path.to_path_buf(),
            r: r.ok_or_else(|| refuse("`r` is missing".into()))? as u32,
            alpha: number("lora_alpha").ok_or_else(|| refuse("`lora_alpha` is missing".into()))?,
            rslora,
            ranks: pattern("rank_pattern", true)?,
            alphas: pattern("alpha_pattern", false)?,
        })
    }

    /// The value for a module: that of the first key that matches, in the order of the file.
    fn of(patterns: &[(Pattern, f64)], module: &str) -> Option<f64> {
        patterns.iter().find(|(p, _)| p.matches(module)).map(|(_, x)| *x)
    }

    fn scale(&self, module: &str, rank: u32) -> Result<f32> {
        let want = Self::of(&self.ranks, module).map_or(self.r, |r| r as u32);
        if want != rank {
            return Err(EngineError::ShapeMismatch {
                path: self.path.clone(),
                name: module.to_owned(),
                found: format!("rank {rank}"),
                expected: format!("rank {want}"),
            });
        }
        let alpha = Self::of(&self.alphas, module).unwrap_or(self.alpha);
        if alpha.fract() == 0.0 && alpha <= f64::from(u32::MAX) {
            return Ok(lora_scale(alpha as u32, rank, self.rslora));
        }
        let r = f64::from(rank);
        Ok((alpha / if self.rslora { r.sqrt() } else { r }) as f32)
    }
}

/// Layer, projection and part of a tensor name such as
/// `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`.
fn parse(name: &str) -> Option<(u16, Target, Part, String)> {
    let rest = name.strip_prefix("base_model.model.")?;
    let (module, part) = match rest.strip_suffix(".lora_A.weight") {
        Some(m) => (m, Part::A),
        None => (rest.strip_suffix(".lora_B.weight")?, Part::B),
    };
    let (layer, path) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let target = Target::ALL.into_iter().find(|t| path == format!("{}.{}", t.parent(), t.module()))?;
    Some((layer.parse().ok()?, target, part, module.to_owned()))
}

fn decode(dtype: Dtype, raw: &[u8]) -> Option<Vec<f32>> {
    crate::weights::decode(dtype, raw)
}

impl Adapter {
    fn new(layout: Layout, theta: Vec<f32>, content: Hash, scales: Vec<f32>) -> Self {
        let mut packed = Packed::default();
        packed.set(&layout, &theta);
        Self { layout, theta, packed, content, scales }
    }

    /// Reads a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// `adapter_unsupported` for what is not plain LoRA on the seven projections,
    /// a stray tensor among it; `shape_mismatch`; `malformed`; `io`.
    pub fn load(base: &Base, dir: &Path) -> Result<Self> {
        let path = dir.join("adapter_model.safetensors");
        if !path.exists() && dir.join("adapter_model.bin").exists() {
            return Err(EngineError::UnsafeFormat { path: dir.into() });
        }
        let config = fs::read_to_string(dir.join("adapter_config.json"))
            .map_err(EngineError::io(dir.join("adapter_config.json")))?;
        let bytes = fs::read(&path).map_err(EngineError::io(&path))?;
        Self::from_bytes(base, &bytes, &config, dir)
    }

    /// [`Adapter::load`] from the two files' contents; `dir` stands in errors.
    ///
    /// # Errors
    /// As [`Adapter::load`].
    pub fn from_files(base: &Base, safetensors: &[u8], config_json: &str) -> Result<Self> {
        Self::from_bytes(base, safetensors, config_json, Path::new(""))
    }

    fn from_bytes(base: &Base, bytes: &[u8], config: &str, dir: &Path) -> Result<Self> {
        let path = dir.join("adapter_model.safetensors");
        let settings = Settings::parse(&dir.join("adapter_config.json"), config)?;
        let st = SafeTensors::deserialize(bytes)
            .map_err(|e| EngineError::Malformed { path: path.clone(), detail: format!("not safetensors: {e}") })?;
        let mut found: BTreeMap<String, (Slot, String, Vec<f32>)> = BTreeMap::new();
        for (name, view) in st.iter() {
            let stray = || EngineError::AdapterUnsupported {
                path: path.clone(),
                detail: format!("stray tensor `{name}`: not a LoRA factor of the seven projections"),
            };
            let (layer, target, part, module) = parse(name).ok_or_else(stray)?;
            if usize::from(layer) >= base.dims.layers {
                return Err(stray());
            }
            let (n_in, n_out) = target.dims(base.shape());
            let mismatch = || EngineError::ShapeMismatch {
                path: path.clone(),
                name: name.to_owned(),
                found: format!("{:?} {:?}", view.dtype(), view.shape()),
                expected: match part {
                    Part::A => format!("[r, {n_in}]"),
                    Part::B => format!("[{n_out}, r]"),
                },
            };
            let &[rows, cols] = view.shape() else { return Err(mismatch()) };
            let fits = match part {
                Part::A => cols == n_in as usize && rows > 0,
                Part::B => rows == n_out as usize && cols > 0,
            };
            let data = decode(view.dtype(), view.data()).filter(|_| fits).ok_or_else(mismatch)?;
            let slot = Slot { name: name.to_owned(), dims: [rows as u32, cols as u32], layer, target, part };
            found.insert(name.to_owned(), (slot, module, data));
        }
        let (mut slots, mut theta, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        for (name, (slot, module, data)) in &found {
            let other = if slot.part == Part::A {
                name.replace(".lora_A.", ".lora_B.")
            } else {
                name.replace(".lora_B.", ".lora_A.")
            };
            let rank = |s: &Slot| if s.part == Part::A { s.dims[0] } else { s.dims[1] };
            let pair = found.get(&other).map(|o| rank(&o.0));
            if pair != Some(rank(slot)) {
                let detail = format!("`{name}` has no counterpart of the same rank");
                return Err(EngineError::AdapterUnsupported { path: path.clone(), detail });
            }
            scales.push(settings.scale(module, rank(slot))?);
            slots.push(slot.clone());
            theta.extend_from_slice(data);
        }
        let layout = Layout::from_slots(base, slots, |i| scales[i])?;
        let mut id = bytes.to_vec();
        id.extend_from_slice(config.as_bytes());
        Ok(Self::new(layout, theta, content_id(&id), scales))
    }

    /// Content hash: the generation of what is served.
    #[must_use]
    pub fn content(&self) -> Hash {
        self.content
    }

    /// Slots and their places in [`Adapter::theta`].
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The parameters, flat.
    #[must_use]
    pub fn theta(&self) -> &[f32] {
        &self.theta
    }

    /// W + s·B·A of one weight, in f32: c(W + c(s×c(dot_j(B_oj, A_ji)))).
    fn merge_into(&self, slot: usize, w: &mut [f32], n_in: usize) {
        let name = self.layout.slots()[slot].name.replace(".lora_A.", ".lora_B.");
        let Some(b) = self.layout.slots().iter().position(|s| s.name == name) else { return };
        let (a, b) = (&self.theta[self.layout.range(slot)], &self.theta[self.layout.range(b)]);
        let rank = a.len() / n_in;
        let mut column = vec![0.0; rank];
        for i in 0..n_in {
            for (j, x) in column.iter_mut().enumerate() {
                *x = a[j * n_in + i];
            }
            for (o, row) in b.chunks_exact(rank).enumerate() {
                let delta = c(self.scales[slot] * c(dot(row, &column)));
                w[o * n_in + i] = c(w[o * n_in + i] + delta);
            }
        }
    }
}

/// Writes the model folder `out` with the adapter merged: W + s·B·A in f32, one
/// cast to the weight's own type. Other files are copied.
///
/// # Errors
/// `already_exists` when there is anything under that name; `io`, `disk_full`, `malformed`: nothing stays then.
pub fn merge(base: &Base, adapter: &Adapter, out: &Path) -> Result<()> {
    let folder = NewFolder::create(out)?;
    let io = || EngineError::io(base.folder());
    for entry in fs::read_dir(base.folder()).map_err(io())? {
        let entry = entry.map_err(io())?;
        let (path, name) = (entry.path(), entry.file_name());
        let text = name.to_string_lossy();
        let wanted =
            text.ends_with(".json") || text.ends_with(".jinja") || text.ends_with(".txt") || text.ends_with(".model");
        if wanted && path.is_file() {
            folder.put(&name, &fs::read(&path).map_err(EngineError::io(&path))?)?;
        }
    }
    let targets: BTreeMap<String, usize> = adapter
        .layout
        .slots()
        .iter()
        .enumerate()
        .filter(|(_, s)| s.part == Part::A)
        .map(|(i, s)| (s.target.weight_name(s.layer), i))
        .collect();
    for file in dense_files(base.folder())? {
        let bytes = fs::read(&file).map_err(EngineError::io(&file))?;
        let bad =
            |e: safetensors::SafeTensorError| EngineError::Malformed { path: file.clone(), detail: e.to_string() };
        let st = SafeTensors::deserialize(&bytes).map_err(bad)?;
        let mut merged: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, view) in st.iter() {
            let raw = match (targets.get(name), view.shape()) {
                (Some(slot), [_, n_in]) => {
                    let mut w = decode(view.dtype(), view.data()).unwrap_or_default();
                    adapter.merge_into(*slot, &mut w, *n_in);
                    encode(view.dtype(), &w)
                }
                _ => view.data().to_vec(),
            };
            merged.push((name.to_owned(), view.dtype(), view.shape().to_vec(), raw));
        }
        let mut views = Vec::new();
        for (name, dtype, dims, raw) in &merged {
            views.push((name.as_str(), TensorView::new(*dtype, dims.clone(), raw).map_err(bad)?));
        }
        let meta = Some([("format".to_owned(), "pt".to_owned())].into());
        let bytes = safetensors::tensor::serialize(views, meta).map_err(bad)?;
        let name = file.file_name().unwrap_or_default();
        folder.put(name, &bytes)?;
    }
    folder.finish()
}

/// f32 values in a weight's type, to nearest even.
fn encode(dtype: Dtype, w: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::BF16 => w.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
        Dtype::F16 => w.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect(),
        _ => crate::lora::bytes_of(w),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_should_match_what_peft_matches_when_it_is_computed() {
        let q0 = "model.layers.0.self_attn.q_proj";
        let q10 = "model.layers.10.self_attn.q_proj";
        // What Python's `re.match(rf"(.*\.)?({key})$", module)` says.
        for (key, module, want) in [
            ("q_proj", q0, true),
            ("proj", q0, false),
            ("^q_proj", q0, false),
            ("q_proj$", q0, true),
            ("self_attn.q_proj", q0, true),
            ("self_attn\\.q_proj", q0, true),
            ("self.attn.q.proj", q0, true),
            ("0.self_attn.q_proj", q0, true),
            ("0.self_attn.q_proj", q10, false),
            ("layers.1..self_attn.q_proj", q10, true),
            ("^model.layers.0.self_attn.q_proj$", q0, true),
            (q0, q0, true),
            (q10, q0, false),
        ] {
            assert_eq!(Pattern::parse(key).unwrap().matches(module), want, "{key} {module}");
        }
        for key in ["", "^", ".*q_proj", "q|k", "(q)", "q{1}", "\\d", "q\\", "^^q", "q$$", "q+", "[q]_proj"] {
            assert!(Pattern::parse(key).is_none(), "{key}");
        }
    }

    #[test]
    fn pattern_should_be_the_first_of_the_file_when_several_match() {
        let settings = |patterns: &str| {
            let text = format!("{{\"r\":8,\"lora_alpha\":16,\"alpha_pattern\":{patterns}}}");
            Settings::parse(Path::new("x"), &text).unwrap()
        };
        let (long, short) = ("\"layers.0.self_attn.q_proj\":1", "\"q_proj\":2");
        for (patterns, first, second) in
            [(format!("{{{long},{short}}}"), 1.0, 2.0), (format!("{{{short},{long}}}"), 2.0, 2.0)]
        {
            let s = settings(&patterns);
            assert_eq!(Settings::of(&s.alphas, "model.layers.0.self_attn.q_proj"), Some(first), "{patterns}");
            assert_eq!(Settings::of(&s.alphas, "model.layers.1.self_attn.q_proj"), Some(second), "{patterns}");
            assert_eq!(Settings::of(&s.alphas, "model.layers.1.mlp.up_proj"), None);
        }
    }
}
