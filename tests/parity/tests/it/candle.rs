//! Test 12: loss and gradients against candle's differentiable operators, without Python.

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor, Var, WithDType, D};
use weft_engine::{Compute, Evaluator, Layout};
use weft_protocol::recipe::Recipe;

use crate::{distance, golden::Case};

/// A Llama model with a LoRA adapter out of candle's differentiable operators, in f32 or f64.
///
/// f64 holds throughout: `rms_norm_slow` widens half precision only, `rope_slow`, `softmax` and `log_softmax` are
/// compositions of elementwise operators and sums in the type of their input, and `silu`, `gather`, `index_select`,
/// `matmul` and their gradients are generic over it. Only the rotary angles are f32 products, as everywhere.
pub(crate) struct Reference {
    weights: BTreeMap<String, Tensor>,
    config: serde_json::Value,
    lora: BTreeMap<String, Var>,
    scale: f64,
    dtype: DType,
}

impl Reference {
    /// The model of a folder with the adapter θ of a layout; `theta` is f32 or f64 as `T`.
    pub(crate) fn new<T: WithDType>(folder: &Path, layout: &Layout, recipe: &Recipe, theta: &[T]) -> Self {
        let weights = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu)
            .unwrap()
            .into_iter()
            .map(|(k, v)| (k, v.to_dtype(T::DTYPE).unwrap()))
            .collect();
        let config = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        let scale = f64::from(recipe.alpha) / f64::from(recipe.r);
        let mut reference = Self { weights, config, lora: BTreeMap::new(), scale, dtype: T::DTYPE };
        reference.set(layout, theta);
        reference
    }

    /// Replaces θ.
    pub(crate) fn set<T: WithDType>(&mut self, layout: &Layout, theta: &[T]) {
        self.lora = layout
            .slots()
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let dims = (s.dims[0] as usize, s.dims[1] as usize);
                let tensor = Tensor::from_slice(&theta[layout.range(i)], dims, &Device::Cpu).unwrap();
                (s.name.clone(), Var::from_tensor(&tensor).unwrap())
            })
            .collect();
    }

    /// Summed loss of one record and its gradient, flat.
    pub(crate) fn gradient<T: WithDType>(&self, layout: &Layout, ids: &[u32], mask: &[u8]) -> (T, Vec<T>) {
        let loss = self.loss(ids, mask);
        let grads = loss.backward().unwrap();
        let flat = |name: &str| grads.get(&self.lora[name]).unwrap().flatten_all().unwrap().to_vec1::<T>().unwrap();
        (loss.to_scalar::<T>().unwrap(), layout.slots().iter().flat_map(|s| flat(&s.name)).collect())
    }

    fn number(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap() as usize
    }

    fn linear(&self, x: &Tensor, layer: usize, block: &str, name: &str) -> Tensor {
        let w = &self.weights[&format!("model.layers.{layer}.{block}.{name}.weight")];
        let y = x.matmul(&w.t().unwrap()).unwrap();
        let key = |part: &str| format!("base_model.model.model.layers.{layer}.{block}.{name}.lora_{part}.weight");
        match (self.lora.get(&key("A")), self.lora.get(&key("B"))) {
            (Some(a), Some(b)) => {
                let z = x.matmul(&a.t().unwrap()).unwrap().matmul(&b.t().unwrap()).unwrap();
                (y + (z * self.scale).unwrap()).unwrap()
            }
            _ => y,
        }
    }

    /// Summed loss of one record.
    pub(crate) fn loss(&self, ids: &[u32], mask: &[u8]) -> Tensor {
        let device = Device::Cpu;
        let (t, heads, kv) = (ids.len(), self.number("num_attention_heads"), self.number("num_key_value_heads"));
        let (hd, eps) = (self.number("head_dim"), self.config["rms_norm_eps"].as_f64().unwrap() as f32);
        let theta = self.config["rope_theta"].as_f64().unwrap_or(10_000.0);
        let embedding = &self.weights["model.embed_tokens.weight"];
        let mut x = embedding.index_select(&Tensor::new(ids, &device).unwrap(), 0).unwrap();
        let angles: Vec<f32> = (0..t)
            .flat_map(|p| (0..hd / 2).map(move |i| p as f32 * (1.0 / theta.powf(2.0 * i as f64 / hd as f64)) as f32))
            .collect();
        let angles = Tensor::from_vec(angles, (t, hd / 2), &device).unwrap().to_dtype(self.dtype).unwrap();
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        let hidden: Vec<f32> =
            (0..t).flat_map(|i| (0..t).map(move |j| if j > i { f32::NEG_INFINITY } else { 0.0 })).collect();
        let causal = Tensor::from_vec(hidden, (t, t), &device).unwrap().to_dtype(self.dtype).unwrap();
        let norm = |x: &Tensor, name: String| candle_nn::ops::rms_norm_slow(x, &self.weights[&name], eps).unwrap();
        for l in 0..self.number("num_hidden_layers") {
            let h = norm(&x, format!("model.layers.{l}.input_layernorm.weight"));
            let split =
                |y: Tensor, n: usize| y.reshape((1, t, n, hd)).unwrap().transpose(1, 2).unwrap().contiguous().unwrap();
            let q = split(self.linear(&h, l, "self_attn", "q_proj"), heads);
            let k = split(self.linear(&h, l, "self_attn", "k_proj"), kv);
            let v = split(self.linear(&h, l, "self_attn", "v_proj"), kv);
            let q = candle_nn::rotary_emb::rope_slow(&q, &cos, &sin).unwrap();
            let k = candle_nn::rotary_emb::rope_slow(&k, &cos, &sin).unwrap();
            let repeat = |y: Tensor| {
                let n = heads / kv;
                y.unsqueeze(2).unwrap().expand((1, kv, n, t, hd)).unwrap().reshape((1, heads, t, hd)).unwrap()
            };
            let (k, v) = (repeat(k), repeat(v));
            let scores = (q.matmul(&k.transpose(2, 3).unwrap()).unwrap() / (hd as f64).sqrt()).unwrap();
            let scores = scores.broadcast_add(&causal).unwrap();
            let p = candle_nn::ops::softmax(&scores, D::Minus1).unwrap();
            let o = p.matmul(&v).unwrap().transpose(1, 2).unwrap().reshape((t, heads * hd)).unwrap();
            x = (x + self.linear(&o, l, "self_attn", "o_proj")).unwrap();
            let h = norm(&x, format!("model.layers.{l}.post_attention_layernorm.weight"));
            let gate = candle_nn::ops::silu(&self.linear(&h, l, "mlp", "gate_proj")).unwrap();
            let up = self.linear(&h, l, "mlp", "up_proj");
            x = (x + self.linear(&(gate * up).unwrap(), l, "mlp", "down_proj")).unwrap();
        }
        let x = norm(&x, "model.norm.weight".into());
        let head = self.weights.get("lm_head.weight").unwrap_or(embedding);
        let logits = x.matmul(&head.t().unwrap()).unwrap();
        let logp = candle_nn::ops::log_softmax(&logits, D::Minus1).unwrap();
        let rows: Vec<u32> = (1..t).filter(|i| mask[*i] == 1).map(|i| i as u32 - 1).collect();
        let targets: Vec<u32> = rows.iter().map(|r| ids[*r as usize + 1]).collect();
        let picked = logp.index_select(&Tensor::new(rows.as_slice(), &device).unwrap(), 0).unwrap();
        let n = targets.len();
        let targets = Tensor::from_vec(targets, (n, 1), &device).unwrap();
        picked.gather(&targets, 1).unwrap().sum_all().unwrap().neg().unwrap()
    }
}

#[test]
fn gradient_should_equal_candle_when_b_is_random() {
    /// Relative L2 distance per tensor and relative error of the loss (engine parity, test 12).
    const TOLERANCE: f64 = 1e-5;
    for name in ["plain", "wide"] {
        let case = Case::gradients(name);
        let base = case.base();
        let recipe = case.recipe();
        let layout = Layout::new(&base, &recipe).unwrap();
        let theta = case.theta(&layout, "adapter.");
        let reference = Reference::new(&case.model_folder(), &layout, &recipe, &theta);
        let mut evaluator = Evaluator::new(&base, &layout, Compute::default());
        let tokens = case.tokens();
        let mut out = Vec::new();
        let mut grads = vec![Vec::new(); tokens.len()];
        evaluator.run(&theta, &tokens, None, &mut out, &mut grads).unwrap();
        for (r, (ids, mask)) in case.records.iter().enumerate() {
            let (value, theirs) = reference.gradient::<f32>(&layout, ids, mask);
            let value = f64::from(value);
            let error = (f64::from(out[r].loss) - value).abs() / value;
            assert!(error <= TOLERANCE, "{name} record {r}: loss {} candle {value}", out[r].loss);
            for (i, slot) in layout.slots().iter().enumerate() {
                let error = distance(&grads[r][layout.range(i)], &theirs[layout.range(i)]);
                assert!(error <= TOLERANCE, "{name} record {r} {}: relative L2 {error:e}", slot.name);
            }
        }
    }
}
