//! The pass against a scalar executor that is made of `weft_numerics::model`
//! alone, over the decoded weights: every bit of losses, gradients and logits.

use crate::{
    generate::Session,
    kernels::Isa,
    lora::{bytes_of, Layout},
    weights::{decode, PROJECTIONS},
    Adapter, Base, Compute, Evaluator, Tokens,
};
use safetensors::SafeTensors;
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};
use weft_numerics::{
    dot,
    model::{
        attention, basic,
        linear::{self, lora_scale, Lora},
        loss, mlp, norm, rope,
    },
};
use weft_protocol::{peft, recipe::Recipe};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn golden(model: &str) -> PathBuf {
    repository().join("tests/parity/golden/models").join(model)
}

/// Values in ±1/8 that are no round numbers.
fn numbers(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| ((i.wrapping_mul(2_654_435_761) >> 9) as f32 / (1u32 << 22) as f32 - 1.0) / 8.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// A record of `t` tokens with gaps in its mask.
fn record(t: usize, vocabulary: usize) -> (Vec<u32>, Vec<u8>) {
    let ids = (0..t).map(|i| ((i * i * 7 + i * 31 + t) % vocabulary) as u32).collect();
    (ids, (0..t).map(|i| u8::from(i > 0 && i % 3 != 1)).collect())
}

/// What the backward pass of a layer needs.
#[derive(Default)]
struct Kept {
    r1: Vec<f32>,
    xh1: Vec<f32>,
    y1: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// Per query head: scaled queries, e and ρ.
    heads: Vec<[Vec<f32>; 3]>,
    o: Vec<f32>,
    r2: Vec<f32>,
    xh2: Vec<f32>,
    y2: Vec<f32>,
    g: Vec<f32>,
    u: Vec<f32>,
    h: Vec<f32>,
    zs: [Vec<f32>; 7],
}

/// A model with an adapter of random numbers, and the scalar executor.
struct Case {
    base: Base,
    weights: BTreeMap<String, Vec<f32>>,
    recipe: Recipe,
    layout: Layout,
    theta: Vec<f32>,
}

impl Case {
    fn new(dir: &Path, recipe: Recipe) -> Self {
        let base = Base::load_bare(dir).unwrap();
        let raw = std::fs::read(dir.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&raw).unwrap();
        let weights =
            file.iter().map(|(name, view)| (name.to_owned(), decode(view.dtype(), view.data()).unwrap())).collect();
        let layout = Layout::new(&base, &recipe).unwrap();
        let theta = numbers(layout.len());
        Self { base, weights, recipe, layout, theta }
    }

    fn adapter(&self) -> Adapter {
        let slots = self.layout.slots();
        let raw: Vec<Vec<u8>> = (0..slots.len()).map(|i| bytes_of(&self.theta[self.layout.range(i)])).collect();
        let file = peft::file(slots, &raw.iter().map(|r| &r[..]).collect::<Vec<&[u8]>>()).unwrap();
        Adapter::from_files(&self.base, &file, &peft::adapter_config_json(&self.recipe, "base", None)).unwrap()
    }

    fn weight(&self, name: &str) -> &[f32] {
        &self.weights[name]
    }

    fn of_layer(&self, layer: usize, name: &str) -> &[f32] {
        self.weight(&format!("model.layers.{layer}.{name}.weight"))
    }

    fn head(&self) -> &[f32] {
        self.weights.get("lm_head.weight").unwrap_or_else(|| &self.weights["model.embed_tokens.weight"])
    }

    /// The adapter of a projection and the places of A and B in θ.
    fn lora(&self, layer: usize, p: usize) -> Option<(Lora<'_>, Range<usize>, Range<usize>)> {
        let place = |part: &str| {
            let name = format!("base_model.model.model.layers.{layer}.{}.lora_{part}.weight", PROJECTIONS[p]);
            self.layout.slots().iter().position(|s| s.name == name).map(|i| self.layout.range(i))
        };
        let (a, b) = (place("A")?, place("B")?);
        let s = lora_scale(u32::from(self.recipe.alpha), u32::from(self.recipe.r), self.recipe.rslora);
        let r = usize::from(self.recipe.r);
        Some((Lora { a: &self.theta[a.clone()], b: &self.theta[b.clone()], r, s }, a, b))
    }

    fn linear(&self, layer: usize, p: usize, x: &[f32], zs: &mut Vec<f32>) -> Vec<f32> {
        let (n_in, n_out) = self.base.dims.linear(p);
        let t = x.len() / n_in;
        let mut y = vec![0.0; t * n_out];
        linear::base_forward(x, self.of_layer(layer, PROJECTIONS[p]), None, n_in, &mut y);
        if let Some((lora, ..)) = self.lora(layer, p) {
            *zs = vec![0.0; t * lora.r];
            let mut part = vec![0.0; y.len()];
            lora.forward(x, zs, &mut part, &mut y);
        }
        y
    }

    /// dx of a projection; its dA and dB go into `grad`.
    fn linear_back(&self, layer: usize, p: usize, x: &[f32], zs: &[f32], dy: &[f32], grad: &mut [f32]) -> Vec<f32> {
        let (n_in, n_out) = self.base.dims.linear(p);
        let t = dy.len() / n_out;
        let mut dx = vec![0.0; t * n_in];
        linear::base_backward(dy, self.of_layer(layer, PROJECTIONS[p]), n_out, &mut dx);
        if let Some((lora, a, b)) = self.lora(layer, p) {
            let mut dz = vec![0.0; t * lora.r];
            let (mut da, mut db) = (vec![0.0; a.len()], vec![0.0; b.len()]);
            lora.backward(x, zs, dy, &mut dz, &mut da, &mut db);
            grad[a].copy_from_slice(&da);
            grad[b].copy_from_slice(&db);
            let mut part = vec![0.0; dx.len()];
            lora.backward_input(&dz, &mut part);
            basic::add(&mut dx, &part);
        }
        dx
    }

    /// x `[t, d]` becomes the layer's output.
    fn layer(&self, l: usize, x: &mut [f32]) -> Kept {
        let d = &self.base.dims;
        let (t, n) = (x.len() / d.d, x.len());
        let mut b = Kept { r1: vec![0.0; t], xh1: vec![0.0; n], y1: vec![0.0; n], ..Kept::default() };
        norm::forward(x, self.of_layer(l, "input_layernorm"), d.eps, &mut b.r1, &mut b.xh1, &mut b.y1);
        let mut q = self.linear(l, 0, &b.y1, &mut b.zs[0]);
        b.k = self.linear(l, 1, &b.y1, &mut b.zs[1]);
        b.v = self.linear(l, 2, &b.y1, &mut b.zs[2]);
        let (cos, sin) = (&self.base.cos, &self.base.sin);
        rope::forward(&mut q, d.q(), d.hd / 2, cos, sin, 0);
        rope::forward(&mut b.k, d.k(), d.hd / 2, cos, sin, 0);
        b.o = vec![0.0; t * d.q()];
        for head in 0..d.heads {
            let kv = head / (d.heads / d.kv) * d.hd;
            let (mut qs, mut e, mut rho) = (vec![0.0; t * d.hd], vec![0.0; t * t], vec![0.0; t]);
            let at = head * d.hd;
            let (k, v) = (&b.k[kv..], &b.v[kv..]);
            let o = &mut b.o[at..];
            attention::forward_head(&q[at..], k, v, d.q(), d.k(), d.hd, d.window, &mut qs, &mut e, &mut rho, o);
            b.heads.push([qs, e, rho]);
        }
        let y = self.linear(l, 3, &b.o, &mut b.zs[3]);
        basic::add(x, &y);
        (b.r2, b.xh2, b.y2) = (vec![0.0; t], vec![0.0; n], vec![0.0; n]);
        norm::forward(x, self.of_layer(l, "post_attention_layernorm"), d.eps, &mut b.r2, &mut b.xh2, &mut b.y2);
        b.g = self.linear(l, 4, &b.y2, &mut b.zs[4]);
        b.u = self.linear(l, 5, &b.y2, &mut b.zs[5]);
        b.h = vec![0.0; t * d.f];
        mlp::swiglu(&b.g, &b.u, &mut b.h);
        let y = self.linear(l, 6, &b.h, &mut b.zs[6]);
        basic::add(x, &y);
        b
    }

    /// The gradient of the layer's output becomes that of its input.
    fn layer_back(&self, l: usize, b: &Kept, dx: &mut [f32], grad: &mut [f32]) {
        let d = &self.base.dims;
        let (t, n) = (dx.len() / d.d, dx.len());
        let dh = self.linear_back(l, 6, &b.h, &b.zs[6], dx, grad);
        let (mut dg, mut du) = (vec![0.0; t * d.f], vec![0.0; t * d.f]);
        mlp::swiglu_back(&b.g, &b.u, &dh, &mut dg, &mut du);
        let mut dy = self.linear_back(l, 4, &b.y2, &b.zs[4], &dg, grad);
        basic::add(&mut dy, &self.linear_back(l, 5, &b.y2, &b.zs[5], &du, grad));
        let mut part = vec![0.0; n];
        norm::backward(&dy, self.of_layer(l, "post_attention_layernorm"), &b.xh2, &b.r2, &mut part);
        basic::add(dx, &part);

        let d_o = self.linear_back(l, 3, &b.o, &b.zs[3], dx, grad);
        let (mut dq, mut dk, mut dv) = (vec![0.0; t * d.q()], vec![0.0; t * d.k()], vec![0.0; t * d.k()]);
        for (head, [qs, e, rho]) in b.heads.iter().enumerate() {
            let group = d.heads / d.kv;
            let (kv, at) = (head / group * d.hd, head * d.hd);
            let (mut p, mut ds) = (vec![0.0; t * t], vec![0.0; t * t]);
            let (mut one_k, mut one_v) = (vec![0.0; t * d.hd], vec![0.0; t * d.hd]);
            attention::backward_head(
                &b.k[kv..],
                &b.v[kv..],
                d.q(),
                d.k(),
                d.hd,
                d.window,
                qs,
                e,
                rho,
                &b.o[at..],
                &d_o[at..],
                &mut p,
                &mut ds,
                &mut dq[at..],
                &mut one_k,
                &mut one_v,
            );
            for (all, one) in [(&mut dk, &one_k), (&mut dv, &one_v)] {
                for (row, one) in all.chunks_exact_mut(d.k()).zip(one.chunks_exact(d.hd)) {
                    let row = &mut row[kv..kv + d.hd];
                    if head % group == 0 {
                        row.copy_from_slice(one);
                    } else {
                        basic::add(row, one);
                    }
                }
            }
        }
        rope::backward(&mut dq, d.q(), d.hd / 2, &self.base.cos, &self.base.sin, 0);
        rope::backward(&mut dk, d.k(), d.hd / 2, &self.base.cos, &self.base.sin, 0);
        let mut dy = self.linear_back(l, 0, &b.y1, &b.zs[0], &dq, grad);
        basic::add(&mut dy, &self.linear_back(l, 1, &b.y1, &b.zs[1], &dk, grad));
        basic::add(&mut dy, &self.linear_back(l, 2, &b.y1, &b.zs[2], &dv, grad));
        norm::backward(&dy, self.of_layer(l, "input_layernorm"), &b.xh1, &b.r1, &mut part);
        basic::add(dx, &part);
    }

    /// Loss and gradient of one record, and the logits after its last token.
    fn execute(&self, ids: &[u32], mask: &[u8]) -> (f32, Vec<f32>, Vec<f32>) {
        let d = &self.base.dims;
        let t = ids.len();
        let mut x = vec![0.0; t * d.d];
        basic::gather(ids, self.weight("model.embed_tokens.weight"), d.d, &mut x).unwrap();
        let kept: Vec<Kept> = (0..d.layers).map(|l| self.layer(l, &mut x)).collect();

        let (mut r, mut xh, mut y) = (vec![0.0; t], vec![0.0; t * d.d], vec![0.0; t * d.d]);
        let weight = self.weight("model.norm.weight");
        norm::forward(&x, weight, d.eps, &mut r, &mut xh, &mut y);
        let (mut nll, mut dx) = (Vec::new(), vec![0.0; t * d.d]);
        let mut logits = vec![0.0; d.vocab];
        for i in 0..t {
            let row = i * d.d..(i + 1) * d.d;
            dot::nt(&y[row.clone()], self.head(), d.d, &mut logits);
            if i + 1 == t || mask[i + 1] == 0 {
                continue;
            }
            let label = ids[i + 1] as usize;
            let mut e = vec![0.0; d.vocab];
            let (value, inv) = loss::forward_row(&logits, label, &mut e);
            nll.push(value);
            loss::backward_row(&mut e, label, inv);
            let mut dy = vec![0.0; d.d];
            linear::base_backward(&e, self.head(), d.vocab, &mut dy);
            norm::backward_row(&dy, weight, &xh[row.clone()], r[i], &mut dx[row]);
        }
        let mut grad = vec![0.0; self.layout.len()];
        for (l, b) in kept.iter().enumerate().rev() {
            self.layer_back(l, b, &mut dx, &mut grad);
        }
        (loss::record(&nll), grad, logits)
    }

    /// Compares the engine with the executor on records of given lengths.
    fn check(&self, what: &str, lengths: &[usize], isas: &[Isa]) {
        // GIVEN what the executor computes
        let records: Vec<_> = lengths.iter().map(|t| record(*t, self.base.dims.vocab)).collect();
        let want: Vec<_> = records.iter().map(|(ids, mask)| self.execute(ids, mask)).collect();
        let tokens: Vec<Tokens<'_>> = records.iter().map(|(ids, mask)| Tokens { ids, mask }).collect();
        let adapter = self.adapter();
        for &isa in isas {
            if !isa.available() {
                println!("{what}: skipped, this machine has no {}", isa.name());
                continue;
            }
            for threads in [1, 3] {
                // WHEN the engine evaluates them together
                let on = Compute { isa, threads };
                let (mut out, mut grads) = (Vec::new(), vec![Vec::new(); tokens.len()]);
                Evaluator::new(&self.base, &self.layout, on)
                    .run(&self.theta, &tokens, None, &mut out, &mut grads)
                    .unwrap();
                // THEN losses and gradients have the executor's bits
                for (i, (loss, grad, _)) in want.iter().enumerate() {
                    assert_eq!(out[i].loss.to_bits(), loss.to_bits(), "{what} {isa:?} {threads} record {i}");
                    for (s, slot) in self.layout.slots().iter().enumerate() {
                        let at = self.layout.range(s);
                        assert!(
                            bits(&grads[i][at.clone()]) == bits(&grad[at]),
                            "{what} {isa:?} {threads} record {i} {}",
                            slot.name
                        );
                    }
                }
            }
            // AND so have the logits of a sequence with a cache, in one piece or in two
            for ((ids, _), (_, _, logits)) in records.iter().zip(&want) {
                for first in [ids.len(), ids.len() - 1] {
                    let mut session =
                        Session::new(&self.base, Some(&adapter), Compute { isa, threads: 1 }, ids.len()).unwrap();
                    session.push(&ids[..first]).unwrap();
                    if first < ids.len() {
                        session.push(&ids[first..]).unwrap();
                    }
                    assert!(bits(session.logits()) == bits(logits), "{what} {isa:?}: logits of {} tokens", ids.len());
                }
            }
        }
    }
}

const ALL: [Isa; 4] = [Isa::Reference, Isa::Scalar, Isa::Avx2, Isa::Avx512];

#[test]
fn pass_should_have_the_bits_of_the_scalar_executor_when_models_vary() {
    let all = Recipe { r: 4, alpha: 8, ..Recipe::plain() };
    let some = Recipe { r: 3, alpha: 7, rslora: true, targets: 0b101_0101, ..Recipe::plain() };
    // 70 tokens are more than one block of queries; `wide` has sums over more than one block of 512.
    for (name, dir, recipe) in [
        ("tiny-base", repository().join("fixtures/tiny-base"), all.clone()),
        ("plain", golden("plain"), all.clone()),
        ("linear", golden("linear"), some),
        ("llama3", golden("llama3"), all.clone()),
        ("wide", golden("wide"), all),
    ] {
        Case::new(&dir, recipe).check(name, &[9, 33, 70], &ALL);
    }
}

#[test]
fn pass_should_have_the_bits_of_the_scalar_executor_when_a_record_is_longer_than_a_block() {
    // GIVEN a golden model whose context is made longer: no weight depends on it
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        std::fs::copy(golden("linear").join(name), dir.path().join(name)).unwrap();
    }
    let path = dir.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["max_position_embeddings"] = serde_json::json!(1024);
    std::fs::write(&path, config.to_string()).unwrap();
    // WHEN keys, queries and tokens of a gradient are more than 512, THEN the bits are the executor's
    let recipe = Recipe { r: 2, alpha: 4, targets: 0b100_0101, ..Recipe::plain() };
    Case::new(dir.path(), recipe).check("long", &[530], &ALL[1..]);
}
