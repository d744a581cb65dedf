//! `config.json` of a Hugging Face model folder, read without guessing: a key
//! is honoured, known to be without effect, or refused.

use crate::error::{EngineError, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use weft_numerics::inv_freq::{self, Llama3};
use weft_protocol::{
    dec::Dec,
    shape::{Arch, ModelShape},
};

/// Keys that change no number of training or inference here.
const WITHOUT_EFFECT: &[&str] = &[
    "architectures",
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "use_cache",
    "initializer_range",
    "pretraining_tp",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torchscript",
    "id2label",
    "label2id",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "tokenizer_class",
    "task_specific_params",
    "problem_type",
    "_attn_implementation",
    "attn_implementation",
    "unsloth_version",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "unk_token_id",
    "sep_token_id",
    "decoder_start_token_id",
    "dtype",
    "torch_dtype",
    "model_type",
];

/// What the engine takes from a model folder's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sizes and switches that `base_root` binds.
    pub shape: ModelShape,
    /// Rotary frequencies `[head_dim / 2]`.
    pub inv_freq: Vec<f32>,
    /// Tokens that end an answer; `generation_config.json` wins.
    pub eos: Vec<u32>,
}

struct Keys<'a> {
    path: &'a Path,
    map: Map<String, Value>,
}

impl Keys<'_> {
    fn unsupported(&self, key: &str, value: &Value, next: &'static str) -> EngineError {
        EngineError::UnsupportedConfig {
            path: self.path.to_path_buf(),
            key: key.to_owned(),
            value: value.to_string(),
            next,
        }
    }

    /// Removes a key; JSON null counts as absent.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|v| !v.is_null())
    }

    fn uint(&mut self, key: &str) -> Result<Option<u32>> {
        let Some(v) = self.take(key) else { return Ok(None) };
        match v.as_u64().and_then(|x| u32::try_from(x).ok()) {
            Some(x) => Ok(Some(x)),
            None => Err(self.unsupported(key, &v, "it must be a whole number below 2^32")),
        }
    }

    fn need(&mut self, key: &'static str) -> Result<u32> {
        self.uint(key)?.ok_or_else(|| EngineError::Malformed {
            path: self.path.to_path_buf(),
            detail: format!("key `{key}` is missing"),
        })
    }

    fn flag(&mut self, key: &str, default: bool) -> Result<bool> {
        let Some(v) = self.take(key) else { return Ok(default) };
        v.as_bool().ok_or_else(|| self.unsupported(key, &v, "it must be true or false"))
    }

    fn real(&mut self, key: &str) -> Result<Option<f64>> {
        let Some(v) = self.take(key) else { return Ok(None) };
        match v.as_f64() {
            Some(x) => Ok(Some(x)),
            None => Err(self.unsupported(key, &v, "it must be a number")),
        }
    }

    fn expect(&mut self, key: &str, want: &Value, next: &'static str) -> Result<()> {
        match self.take(key) {
            Some(v) if v != *want && v.as_f64().zip(want.as_f64()).is_none_or(|(a, b)| a != b) => {
                Err(self.unsupported(key, &v, next))
            }
            _ => Ok(()),
        }
    }
}

/// The object in a JSON file of a model folder.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read(path).map_err(EngineError::io(path))?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(EngineError::Malformed { path: path.into(), detail: "not a JSON object".into() }),
        Err(e) => Err(EngineError::Malformed { path: path.into(), detail: format!("not JSON: {e}") }),
    }
}

fn dec(keys: &Keys<'_>, key: &str, x: f64) -> Result<Dec> {
    // The shortest decimal that reads back as x is what the file says.
    Dec::parse(&format!("{x:e}")).ok_or_else(|| {
        keys.unsupported(key, &Value::from(x), "it needs at most nine digits and an exponent from -22 to 0")
    })
}

/// Ids of `eos_token_id`: absent, one, or a list.
fn token_ids(path: &Path, v: Option<&Value>) -> Result<Vec<u32>> {
    let one = |v: &Value| v.as_u64().and_then(|x| u32::try_from(x).ok());
    let all = match v {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(all)) => all.iter().map(one).collect(),
        Some(v) => one(v).map(|id| vec![id]),
    };
    all.ok_or_else(|| EngineError::UnsupportedConfig {
        path: path.into(),
        key: "eos_token_id".into(),
        value: v.map(Value::to_string).unwrap_or_default(),
        next: "it must be a token id or a list of them",
    })
}

/// What two spellings of one setting say together; a contradiction is refused.
fn agreed(keys: &Keys<'_>, key: &str, a: Option<Value>, b: Option<Value>) -> Result<Option<Value>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b && a.as_f64().zip(b.as_f64()).is_none_or(|(a, b)| a != b) => {
            let next = "two places of the file say different things; leave the one that holds";
            Err(keys.unsupported(key, &Value::from(vec![a, b]), next))
        }
        (a, b) => Ok(a.or(b)),
    }
}

fn rope(keys: &mut Keys<'_>, head_dim: u32) -> Result<Vec<f32>> {
    const NEXT: &str = "only default, linear and llama3 rotary scaling are computed";
    let theta = keys.take("rope_theta");
    let scaling = keys.take("rope_scaling");
    let parameters = keys.take("rope_parameters");
    let object = |key: &str, v: Option<Value>| match v {
        None => Ok(None),
        Some(Value::Object(m)) => Ok(Some(m)),
        Some(v) => Err(keys.unsupported(key, &v, NEXT)),
    };
    let mut map = match (object("rope_scaling", scaling)?, object("rope_parameters", parameters)?) {
        (Some(a), Some(b)) if a != b => {
            let next = "rope_scaling and rope_parameters say different things; leave the one that holds";
            return Err(keys.unsupported("rope_scaling", &Value::from(vec![Value::Object(a), Value::Object(b)]), next));
        }
        (a, b) => a.or(b).unwrap_or_default(),
    };
    let whole = Value::Object(map.clone());
    let mut inner = |key: &str| map.remove(key).filter(|v| !v.is_null());
    let theta = agreed(keys, "rope_theta", inner("rope_theta"), theta)?;
    let kind = agreed(keys, "rope_type", inner("rope_type"), inner("type"))?;
    let partial = inner("partial_rotary_factor");
    let names = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];
    let values = names.map(&mut inner);
    if let Some(key) = map.keys().next() {
        return Err(EngineError::UnknownConfigKey { path: keys.path.into(), key: format!("rope_scaling.{key}") });
    }
    let real = |key: &str, v: Option<Value>| match v {
        None => Ok(None),
        Some(v) => match v.as_f64() {
            Some(x) => Ok(Some(x)),
            None => Err(keys.unsupported(key, &v, "it must be a number")),
        },
    };
    let theta = real("rope_theta", theta)?.unwrap_or(10_000.0);
    if real("partial_rotary_factor", partial)?.is_some_and(|x| x != 1.0) {
        return Err(keys.unsupported("rope_scaling", &whole, NEXT));
    }
    let [factor, low, high, original] = values;
    let (factor, low) = (real(names[0], factor)?, real(names[1], low)?);
    let (high, original) = (real(names[2], high)?, real(names[3], original)?);
    let kind = match &kind {
        None => "default",
        Some(Value::String(s)) => s.as_str(),
        Some(v) => return Err(keys.unsupported("rope_type", v, NEXT)),
    };
    let bad = || keys.unsupported("rope_scaling", &whole, NEXT);
    let mut freq = inv_freq::default(theta, head_dim).ok_or_else(bad)?;
    match kind {
        // A factor without a type would be dropped.
        "default" if factor.is_some_and(|f| f != 1.0) => return Err(bad()),
        "default" => {}
        "linear" => inv_freq::scale_linear(&mut freq, factor.filter(|f| *f >= 1.0).ok_or_else(bad)?),
        "llama3" => {
            let p = Llama3 {
                factor: factor.filter(|f| *f >= 1.0).ok_or_else(bad)?,
                low_freq_factor: low.filter(|f| *f > 0.0).ok_or_else(bad)?,
                high_freq_factor: high.filter(|f| *f > low.unwrap_or(0.0)).ok_or_else(bad)?,
                original_context: original
                    .filter(|x| x.fract() == 0.0 && (1.0..4e9).contains(x))
                    .map(|x| x as u32)
                    .ok_or_else(bad)?,
            };
            inv_freq::scale_llama3(&mut freq, &p);
        }
        _ => return Err(bad()),
    }
    Ok(freq)
}

impl Config {
    /// Reads `config.json` and, when there, `generation_config.json` of `dir`.
    ///
    /// # Errors
    /// A refusal of the module's list, or an unreadable file.
    pub fn read(dir: &Path) -> Result<Self> {
        let path: PathBuf = dir.join("config.json");
        let map = read_object(&path)?;
        let eos = map.get("eos_token_id").cloned();
        let mut keys = Keys { path: &path, map };

        let model = keys.take("model_type").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let arch = match model.as_str() {
            "llama" => Arch::Llama,
            "mistral" => Arch::Mistral,
            "qwen2" => Arch::Qwen2,
            "qwen3" => Arch::Qwen3,
            _ => return Err(EngineError::UnsupportedArchitecture { path: path.clone(), found: model }),
        };
        for (key, next) in [
            ("auto_map", "models that bring their own code are not run"),
            ("quantization_config", "use the unquantised model"),
            ("num_experts", "mixtures of experts are not computed"),
            ("num_local_experts", "mixtures of experts are not computed"),
        ] {
            if let Some(v) = keys.take(key) {
                return Err(keys.unsupported(key, &v, next));
            }
        }
        keys.expect("hidden_act", &Value::from("silu"), "only silu is computed")?;
        keys.expect("attention_dropout", &Value::from(0.0), "set it to 0")?;
        keys.expect("partial_rotary_factor", &Value::from(1.0), "only full rotation is computed")?;
        keys.expect("use_mrope", &Value::from(false), "positions in several dimensions are not computed")?;

        let d = keys.need("hidden_size")?;
        let heads = keys.need("num_attention_heads")?;
        let kv_heads = keys.uint("num_key_value_heads")?.unwrap_or(heads);
        let layers = keys.need("num_hidden_layers")?;
        let head_dim = match keys.uint("head_dim")? {
            Some(x) => x,
            None => d.checked_div(heads).unwrap_or(0),
        };
        let f = keys.need("intermediate_size")?;
        let vocab = keys.need("vocab_size")?;
        let context = keys.need("max_position_embeddings")?;
        let eps = keys.real("rms_norm_eps")?.unwrap_or(1e-6);
        let eps = dec(&keys, "rms_norm_eps", eps)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        let attention_bias = keys.flag("attention_bias", false)?;
        let mlp_bias = keys.flag("mlp_bias", false)?;
        let attention_bits = if arch == Arch::Qwen2 { 1 } else { u8::from(attention_bias) * 3 };
        let bias = attention_bits | (u8::from(mlp_bias) * 4);
        let invalid = |detail: &str| EngineError::Malformed { path: path.clone(), detail: detail.to_owned() };
        if head_dim == 0 || head_dim > 256 || head_dim % 2 != 0 {
            return Err(invalid("head_dim must be even and at most 256"));
        }
        let inv_freq = rope(&mut keys, head_dim)?;

        let mut window = keys.uint("sliding_window")?.unwrap_or(0);
        let use_window = keys.flag("use_sliding_window", arch == Arch::Mistral)?;
        let windowed_from = keys.uint("max_window_layers")?;
        let types = keys.take("layer_types");
        if !use_window || arch == Arch::Llama {
            window = 0;
        }
        if let Some(v) = &types {
            let want = if window == 0 { "full_attention" } else { "sliding_attention" };
            let uniform = v.as_array().is_some_and(|a| a.iter().all(|x| x.as_str() == Some(want)));
            if !uniform {
                return Err(keys.unsupported("layer_types", v, "all layers must have the same window"));
            }
        } else if window != 0 && arch != Arch::Mistral && windowed_from.is_some_and(|x| x != 0) {
            return Err(keys.unsupported(
                "max_window_layers",
                &Value::from(windowed_from),
                "all layers must have the same window",
            ));
        }

        for key in WITHOUT_EFFECT {
            keys.map.remove(*key);
        }
        if let Some(key) = keys.map.keys().next() {
            return Err(EngineError::UnknownConfigKey { path, key: key.clone() });
        }

        if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 {
            return Err(invalid("num_attention_heads must be a multiple of num_key_value_heads"));
        }
        if layers == 0 || d == 0 || f == 0 || vocab == 0 || context == 0 {
            return Err(invalid("a size is 0"));
        }
        // Bounds far above any model that fits a machine, so that no product below overflows.
        if d > 1 << 20 || f > 1 << 20 || vocab > 1 << 24 || layers > 1 << 12 || heads > 1 << 12 {
            return Err(invalid("a size is out of range"));
        }
        let small = |x: u32, what: &str| u16::try_from(x).map_err(|_| invalid(&format!("{what} is out of range")));
        let shape = ModelShape {
            arch,
            layers: small(layers, "num_hidden_layers")?,
            d,
            heads: small(heads, "num_attention_heads")?,
            kv_heads: small(kv_heads, "num_key_value_heads")?,
            head_dim: small(head_dim, "head_dim")?,
            f,
            vocab,
            context,
            rms_eps: eps,
            tied,
            bias,
            window,
        };

        let generation = dir.join("generation_config.json");
        let mut ids = token_ids(&path, eos.as_ref())?;
        if generation.exists() {
            let found = token_ids(&generation, read_object(&generation)?.get("eos_token_id"))?;
            if !found.is_empty() {
                ids = found;
            }
        }
        Ok(Self { shape, inv_freq, eos: ids })
    }
}
