//! The frozen base model: safetensors files checked by their headers, decoded
//! to f32 and packed for both directions; and the commitment to them.

use crate::config::{read_object, Config};
use crate::error::{EngineError, Result};
use crate::kernels::gemm::pack;
use crate::kernels::gemm::Right;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weft_protocol::{hash, merkle, shape, shape::ModelShape, Hash};

/// Sizes as `usize`, derived from [`ModelShape`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dims {
    pub layers: usize,
    pub d: usize,
    pub heads: usize,
    pub kv: usize,
    pub hd: usize,
    pub f: usize,
    pub vocab: usize,
    pub context: usize,
    pub window: usize,
    pub eps: f32,
    pub qk_norm: bool,
}

impl Dims {
    /// Width of all query heads.
    pub(crate) fn q(&self) -> usize {
        self.heads * self.hd
    }
    /// Width of all key heads.
    pub(crate) fn k(&self) -> usize {
        self.kv * self.hd
    }
    /// (in, out) of projection `p`: 0 q, 1 k, 2 v, 3 o, 4 gate, 5 up, 6 down.
    pub(crate) fn linear(&self, p: usize) -> (usize, usize) {
        match p {
            0 => (self.d, self.q()),
            1 | 2 => (self.d, self.k()),
            3 => (self.q(), self.d),
            4 | 5 => (self.d, self.f),
            _ => (self.f, self.d),
        }
    }
}

/// Module path of projection `p` inside a layer.
pub(crate) const PROJECTIONS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// One frozen linear map W `[out, in]`, packed for y = x·Wᵀ and dx = dy·W.
#[derive(Debug)]
pub(crate) struct Linear {
    pub n_in: usize,
    pub n_out: usize,
    forward: Vec<f32>,
    backward: Vec<f32>,
    pub bias: Option<Vec<f32>>,
}

impl Linear {
    fn new(w: &[f32], n_in: usize, n_out: usize, bias: Option<Vec<f32>>) -> Self {
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        pack(w, n_in, n_out, 1, n_in, &mut forward);
        pack(w, n_out, n_in, n_in, 1, &mut backward);
        Self { n_in, n_out, forward, backward, bias }
    }

    /// Right operand of y = x·Wᵀ.
    pub(crate) fn forward(&self) -> Right<'_> {
        Right::Panels(&self.forward)
    }

    /// Right operand of dx = dy·W.
    pub(crate) fn backward(&self) -> Right<'_> {
        Right::Panels(&self.backward)
    }
}

/// One block of the model.
#[derive(Debug)]
pub(crate) struct Layer {
    pub norm1: Vec<f32>,
    pub norm2: Vec<f32>,
    pub q_norm: Option<Vec<f32>>,
    pub k_norm: Option<Vec<f32>>,
    /// q, k, v, o, gate, up, down.
    pub linear: [Linear; 7],
}

/// A base model in memory: immutable, shared by threads, training and serving.
#[derive(Debug)]
pub struct Base {
    pub(crate) dims: Dims,
    pub(crate) embedding: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Vec<f32>,
    pub(crate) head: Linear,
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
    config: Config,
    root: Hash,
    folder: PathBuf,
    tokenizer: Vec<u8>,
    template: String,
}

/// The safetensors files of a model folder.
pub(crate) fn dense_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = dir.join("model.safetensors");
    let index = dir.join("model.safetensors.index.json");
    if single.exists() {
        return Ok(vec![single]);
    }
    if index.exists() {
        let map = read_object(&index)?;
        let files = map.get("weight_map").and_then(|v| v.as_object());
        let mut names: Vec<&str> = files.into_iter().flatten().filter_map(|(_, v)| v.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if let Some(name) = names.iter().find(|n| n.contains(['/', '\\'])) {
            let detail = format!("`{name}` is not a file of this folder");
            return Err(EngineError::Malformed { path: index, detail });
        }
        return Ok(names.into_iter().map(|n| dir.join(n)).collect());
    }
    if ["pytorch_model.bin", "model.pt", "model.bin"].iter().any(|n| dir.join(n).exists()) {
        return Err(EngineError::UnsafeFormat { path: dir.into() });
    }
    let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no safetensors weights");
    Err(EngineError::Io { path: single, source })
}

/// Bytes of some files together.
fn size_of(paths: &[PathBuf]) -> Result<u64> {
    paths.iter().try_fold(0u64, |sum, path| {
        let size = std::fs::metadata(path).map_err(EngineError::io(path))?.len();
        Ok(sum.saturating_add(size))
    })
}

/// Names and dims that a model of this shape has, sorted.
fn expected(dims: &Dims, s: &ModelShape) -> BTreeMap<String, Vec<usize>> {
    let mut all = BTreeMap::new();
    all.insert("model.embed_tokens.weight".to_owned(), vec![dims.vocab, dims.d]);
    all.insert("model.norm.weight".to_owned(), vec![dims.d]);
    if !s.tied {
        all.insert("lm_head.weight".to_owned(), vec![dims.vocab, dims.d]);
    }
    for l in 0..dims.layers {
        let p = format!("model.layers.{l}.");
        all.insert(format!("{p}input_layernorm.weight"), vec![dims.d]);
        all.insert(format!("{p}post_attention_layernorm.weight"), vec![dims.d]);
        if dims.qk_norm {
            all.insert(format!("{p}self_attn.q_norm.weight"), vec![dims.hd]);
            all.insert(format!("{p}self_attn.k_norm.weight"), vec![dims.hd]);
        }
        for (i, name) in PROJECTIONS.iter().enumerate() {
            let (n_in, n_out) = dims.linear(i);
            all.insert(format!("{p}{name}.weight"), vec![n_out, n_in]);
            if has_bias(s.bias, i) {
                all.insert(format!("{p}{name}.bias"), vec![n_out]);
            }
        }
    }
    all
}

fn has_bias(bits: u8, projection: usize) -> bool {
    let bit = match projection {
        0..=2 => 0,
        3 => 1,
        _ => 2,
    };
    bits >> bit & 1 == 1
}

/// f32 values of raw bytes, exactly; `None` for other types than f32, bf16 and f16.
pub(crate) fn decode(dtype: Dtype, raw: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::BF16 => {
            raw.chunks_exact(2).map(|b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16)).collect()
        }
        Dtype::F16 => {
            raw.chunks_exact(2).map(|b| half::f16::from_bits(u16::from_le_bytes([b[0], b[1]])).to_f32()).collect()
        }
        _ => return None,
    })
}

fn dtype_of(dtype: Dtype) -> Option<merkle::Dtype> {
    Some(match dtype {
        Dtype::F32 => merkle::Dtype::F32,
        Dtype::BF16 => merkle::Dtype::Bf16,
        Dtype::F16 => merkle::Dtype::F16,
        _ => return None,
    })
}

/// The bytes of Wᵀ for the bytes of W `[rows, cols]`.
fn transposed(raw: &[u8], rows: usize, cols: usize) -> Vec<u8> {
    let size = raw.len() / (rows * cols).max(1);
    let mut out = vec![0; raw.len()];
    for r in 0..rows {
        for c in 0..cols {
            let (from, to) = ((r * cols + c) * size, (c * rows + r) * size);
            out[to..to + size].copy_from_slice(&raw[from..from + size]);
        }
    }
    out
}

impl Base {
    /// Loads a model folder: `config.json`, safetensors, `tokenizer.json` and the
    /// chat template, whose bytes the commitment binds.
    ///
    /// # Errors
    /// A refusal of the configuration; `out_of_memory` before a file is read; a
    /// missing, extra or misshapen tensor, found before any weight is decoded;
    /// an unreadable file.
    pub fn load(dir: &Path) -> Result<Self> {
        let tokenizer = read(&dir.join("tokenizer.json"))?;
        Self::with_tokenizer(dir, tokenizer)
    }

    /// [`Base::load`] of a folder without tokenizer, for tools that need none;
    /// its root binds an empty one.
    ///
    /// # Errors
    /// As [`Base::load`].
    pub fn load_bare(dir: &Path) -> Result<Self> {
        Self::with_tokenizer(dir, Vec::new())
    }

    fn with_tokenizer(dir: &Path, tokenizer: Vec<u8>) -> Result<Self> {
        let config = Config::read(dir)?;
        let s = &config.shape;
        let dims = Dims {
            layers: usize::from(s.layers),
            d: s.d as usize,
            heads: usize::from(s.heads),
            kv: usize::from(s.kv_heads),
            hd: usize::from(s.head_dim),
            f: s.f as usize,
            vocab: s.vocab as usize,
            context: s.context as usize,
            window: s.window as usize,
            eps: weft_numerics::dec(&s.rms_eps) as f32,
            qk_norm: s.arch == shape::Arch::Qwen3,
        };
        let template = weft_data::template_text(dir).map_err(|e| text_error(dir, e))?;

        let paths = dense_files(dir)?;
        crate::estimate::require_base(s, size_of(&paths)?)?;
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let bytes = read(&path)?;
            files.push((path, bytes));
        }
        let mut views = BTreeMap::new();
        let mut wanted = expected(&dims, s);
        let mut parsed = Vec::new();
        for (path, bytes) in &files {
            let st = SafeTensors::deserialize(bytes)
                .map_err(|e| EngineError::Malformed { path: path.clone(), detail: format!("not safetensors: {e}") })?;
            parsed.push((path, st));
        }
        for (path, st) in &parsed {
            for (name, view) in st.iter() {
                if name.ends_with("rotary_emb.inv_freq") || (s.tied && name == "lm_head.weight") {
                    continue;
                }
                let dims = wanted
                    .remove(name)
                    .ok_or_else(|| EngineError::ExtraTensor { path: (*path).clone(), name: name.to_owned() })?;
                if view.shape() != dims || dtype_of(view.dtype()).is_none() {
                    return Err(EngineError::ShapeMismatch {
                        path: (*path).clone(),
                        name: name.to_owned(),
                        found: format!("{:?} {:?}", view.dtype(), view.shape()),
                        expected: format!("f32, bf16 or f16 {dims:?}"),
                    });
                }
                views.insert(name.to_owned(), view);
            }
        }
        if let Some(name) = wanted.keys().next() {
            return Err(EngineError::MissingTensor { path: dir.into(), name: name.clone() });
        }

        let mut leaves = Vec::with_capacity(views.len() + 1);
        let mut tensors = BTreeMap::new();
        for (name, view) in &views {
            let kind = dtype_of(view.dtype());
            let data = decode(view.dtype(), view.data());
            let (Some(kind), Some(data)) = (kind, data) else {
                return Err(EngineError::MissingTensor { path: dir.into(), name: name.clone() });
            };
            let sizes: Vec<u32> = view.shape().iter().map(|x| *x as u32).collect();
            let plain = merkle::tensor_hash(kind, &sizes, view.data());
            let turned = match *view.shape() {
                [rows, cols] => {
                    merkle::tensor_hash(kind, &[cols as u32, rows as u32], &transposed(view.data(), rows, cols))
                }
                _ => plain,
            };
            leaves.push((name.clone(), shape::base_tensor(name, &plain, &turned)));
            tensors.insert(name.clone(), data);
        }
        // Packing needs the decoded weights alone: the files' bytes make room for it.
        drop((views, parsed));
        drop(files);
        let raw: Vec<u8> = config.inv_freq.iter().flat_map(|x| x.to_le_bytes()).collect();
        let freq = merkle::tensor_hash(merkle::Dtype::F32, &[config.inv_freq.len() as u32], &raw);
        leaves.push(("inv_freq".to_owned(), shape::base_tensor("inv_freq", &freq, &freq)));
        let root = shape::base_root(s, &hash::raw_hash(&tokenizer), &hash::raw_hash(template.as_bytes()), &leaves)
            .ok_or_else(|| EngineError::Malformed { path: dir.into(), detail: "too many tensors".into() })?;

        let mut take = |name: &str| {
            tensors.remove(name).ok_or_else(|| EngineError::MissingTensor { path: dir.into(), name: name.to_owned() })
        };
        let mut layers = Vec::with_capacity(dims.layers);
        for l in 0..dims.layers {
            let p = format!("model.layers.{l}.");
            let mut linear = Vec::with_capacity(7);
            for (i, name) in PROJECTIONS.iter().enumerate() {
                let (n_in, n_out) = dims.linear(i);
                let w = take(&format!("{p}{name}.weight"))?;
                let bias = has_bias(s.bias, i).then(|| take(&format!("{p}{name}.bias"))).transpose()?;
                linear.push(Linear::new(&w, n_in, n_out, bias));
            }
            let linear = <[Linear; 7]>::try_from(linear).map_err(|_| EngineError::Malformed {
                path: dir.into(),
                detail: "a layer has seven projections".into(),
            })?;
            let mut norm = |name: &str| -> Result<Option<Vec<f32>>> {
                dims.qk_norm.then(|| take(&format!("{p}self_attn.{name}.weight"))).transpose()
            };
            let (q_norm, k_norm) = (norm("q_norm")?, norm("k_norm")?);
            layers.push(Layer {
                norm1: take(&format!("{p}input_layernorm.weight"))?,
                norm2: take(&format!("{p}post_attention_layernorm.weight"))?,
                q_norm,
                k_norm,
                linear,
            });
        }
        let norm = take("model.norm.weight")?;
        let embedding = take("model.embed_tokens.weight")?;
        let head = if s.tied {
            Linear::new(&embedding, dims.d, dims.vocab, None)
        } else {
            Linear::new(&take("lm_head.weight")?, dims.d, dims.vocab, None)
        };
        let half = config.inv_freq.len();
        // Tables are caches; longer contexts than this are not trained on.
        let positions = dims.context.min(16_384);
        let (mut cos, mut sin) = (vec![0.0; positions * half], vec![0.0; positions * half]);
        weft_numerics::model::rope::table(&config.inv_freq, &mut cos, &mut sin);
        let folder = dir.to_path_buf();
        Ok(Self { dims, embedding, layers, norm, head, cos, sin, config, root, folder, tokenizer, template })
    }

    /// The bytes of `tokenizer.json` that [`Base::root`] binds; none after [`Base::load_bare`].
    #[must_use]
    pub fn tokenizer_json(&self) -> &[u8] {
        &self.tokenizer
    }

    /// The chat template that [`Base::root`] binds, as [`weft_data::template_text`] gives it.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The commitment to weights, shape, tokenizer and template.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Sizes and switches.
    #[must_use]
    pub fn shape(&self) -> &ModelShape {
        &self.config.shape
    }

    /// Tokens that end an answer.
    #[must_use]
    pub fn eos(&self) -> &[u32] {
        &self.config.eos
    }

    /// The folder it was loaded from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Longest sequence that can be computed: the context, at most 16,384.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.dims.context.min(16_384)
    }
}

/// [`Base::root`] of a folder, without keeping the weights.
///
/// # Errors
/// As for [`Base::load`].
pub fn base_root(dir: &Path) -> Result<Hash> {
    Base::load(dir).map(|b| b.root)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(EngineError::io(path))
}

/// An error of the model's text files as one of the engine.
fn text_error(dir: &Path, e: weft_data::DataError) -> EngineError {
    match e {
        weft_data::DataError::Io { path, source } => EngineError::Io { path, source },
        e => EngineError::Malformed { path: dir.into(), detail: e.to_string() },
    }
}
