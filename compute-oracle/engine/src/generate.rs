//! Answers: prefill, then one token at a time over a KV cache.
//!
//! Every operator works on rows, so a token's logits have the bits they would
//! have in one pass over the whole sequence, with any prompt chunking.

use crate::adapter::Adapter;
use crate::error::{EngineError, Result};
use crate::eval::{check, Compute, Tokens};
use crate::kernels::{
    gemm::{Gemm, Right, Terms},
    ops,
};
use crate::lora::Pack;
use crate::pass::{linear, product, rope, scores, sized};
use crate::weights::Base;
use std::ops::ControlFlow;
use weft_numerics::{philox, sample, Key};
use weft_protocol::hash::rng_key;

/// Tokens of a prompt handled together.
const CHUNK: usize = 64;

/// A request for one answer.
#[derive(Clone, Debug)]
pub struct GenRequest {
    /// Token ids of the prompt, at least one.
    pub prompt: Vec<u32>,
    /// Most tokens of the answer.
    pub max_tokens: usize,
    /// 0: greedy.
    pub temperature: f32,
    /// Keep the most likely tokens up to this probability; 1: all.
    pub top_p: f32,
    /// Keep that many of the most likely tokens; 0: all.
    pub top_k: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Tokens that end the answer; the base's own are added.
    pub stop_ids: Vec<u32>,
}

impl GenRequest {
    /// A greedy request.
    #[must_use]
    pub fn greedy(prompt: Vec<u32>, max_tokens: usize) -> Self {
        Self { prompt, max_tokens, temperature: 0.0, top_p: 1.0, top_k: 0, seed: 0, stop_ids: Vec::new() }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token.
    Stop,
    /// `max_tokens` or the context.
    Length,
    /// The receiver asked to stop.
    Cancelled,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its tokens, without the stop token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: FinishReason,
}

struct Cache {
    /// Keys turned, `[kv·hd, capacity]`.
    kt: Vec<f32>,
    /// Values `[capacity, kv·hd]`.
    v: Vec<f32>,
}

/// A sequence in progress: its keys and values, and the logits of its last token.
pub struct Session<'a> {
    base: &'a Base,
    adapter: Option<&'a Adapter>,
    compute: Compute,
    layers: Vec<Cache>,
    capacity: usize,
    len: usize,
    logits: Vec<f32>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<'a> Session<'a> {
    /// An empty sequence of at most `capacity` tokens.
    ///
    /// # Errors
    /// `context_length_exceeded`.
    pub fn new(base: &'a Base, adapter: Option<&'a Adapter>, compute: Compute, capacity: usize) -> Result<Self> {
        if capacity > base.max_tokens() {
            return Err(EngineError::ContextLengthExceeded { tokens: capacity, context: base.max_tokens() });
        }
        let compute = Compute { isa: compute.isa.or_best(), ..compute };
        let capacity = capacity.max(1).next_multiple_of(32);
        let width = base.dims.k();
        let layers = (0..base.layers.len())
            .map(|_| Cache { kt: vec![0.0; width * capacity], v: vec![0.0; width * capacity] })
            .collect();
        Ok(Self { base, adapter, compute, layers, capacity, len: 0, logits: Vec::new() })
    }

    /// Tokens so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no token yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Logits `[vocabulary]` after the last token pushed.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn pack(&self, layer: usize, p: usize) -> Option<&'a Pack> {
        self.adapter.and_then(|a| a.packed.layers.get(layer)).and_then(|l| l[p].as_ref())
    }

    /// Adds tokens.
    ///
    /// # Errors
    /// `record_invalid` for an id outside the vocabulary, `context_length_exceeded`.
    pub fn push(&mut self, ids: &[u32]) -> Result<()> {
        crate::kernels::assert_float_mode();
        check(self.base, &Tokens { ids, mask: &vec![0; ids.len()] })?;
        if self.len + ids.len() > self.capacity {
            return Err(EngineError::ContextLengthExceeded { tokens: self.len + ids.len(), context: self.capacity });
        }
        for chunk in ids.chunks(CHUNK) {
            self.chunk(chunk);
        }
        Ok(())
    }

    fn chunk(&mut self, ids: &[u32]) {
        let Self { base, compute, capacity, len: first, .. } = *self;
        let isa = compute.isa;
        let d = &base.dims;
        let (t, qw, kw, hd) = (ids.len(), d.q(), d.k(), d.hd);
        let n = t * d.d;
        let mut x = Vec::with_capacity(n);
        for id in ids {
            x.extend_from_slice(&base.embedding[*id as usize * d.d..(*id as usize + 1) * d.d]);
        }
        let (mut r, mut xh, mut y, mut part, mut zs) =
            (vec![0.0; t], vec![0.0; n], vec![0.0; n], Vec::new(), Vec::new());
        let (mut q, mut k, mut v) = (vec![0.0; t * qw], vec![0.0; t * kw], vec![0.0; t * kw]);
        let (mut o, mut h) = (vec![0.0; t * qw], vec![0.0; t * d.f]);
        let (mut g, mut u, mut out) = (vec![0.0; t * d.f], vec![0.0; t * d.f], vec![0.0; n]);
        let mut s = vec![0.0; t * capacity];
        for l in 0..base.layers.len() {
            let layer = &base.layers[l];
            let mut apply = |p: usize, x: &[f32], y: &mut [f32]| {
                linear(isa, &layer.linear[p], self.pack(l, p), x, t, &mut zs, &mut part, y);
            };
            ops::rmsnorm(isa, &x, &layer.norm1, d.eps, &mut r, &mut xh, &mut y);
            apply(0, &y, &mut q);
            apply(1, &y, &mut k);
            apply(2, &y, &mut v);
            for (x, weight) in [(&mut q, &layer.q_norm), (&mut k, &layer.k_norm)] {
                if let Some(weight) = weight {
                    let rows = x.len() / weight.len();
                    let (mut r, mut xh, mut y) = (vec![0.0; rows], vec![0.0; x.len()], vec![0.0; x.len()]);
                    ops::rmsnorm(isa, x, weight, d.eps, &mut r, &mut xh, &mut y);
                    x.copy_from_slice(&y);
                }
            }
            rope(isa, base, &mut q, qw, first, false);
            rope(isa, base, &mut k, kw, first, false);
            ops::scale_in(isa, &mut q, weft_numerics::model::attention::scale(hd));
            let cache = &mut self.layers[l];
            for i in 0..t {
                for e in 0..kw {
                    cache.kt[e * capacity + first + i] = k[i * kw + e];
                }
            }
            cache.v[first * kw..(first + t) * kw].copy_from_slice(&v);
            let cache = &self.layers[l];
            for head in 0..d.heads {
                let kv = head / (d.heads / d.kv);
                let kt = &cache.kt[kv * hd * capacity..(kv + 1) * hd * capacity];
                let mut rho = [0.0f32; CHUNK];
                scores(isa, d, &q[head * hd..], qw, kt, capacity, first, t, &mut s, |r, _, _, x| rho[r] = x);
                Gemm {
                    m: t,
                    n: hd,
                    k: first + t,
                    a: &s,
                    a_row: capacity,
                    a_col: 1,
                    b: Right::Rows(&cache.v[kv * hd..], kw),
                    terms: Terms::UpTo { first, window: d.window },
                    out: &mut o[head * hd..],
                    out_row: qw,
                }
                .run(isa);
                for i in 0..t {
                    ops::scale_in(isa, &mut o[i * qw + head * hd..i * qw + head * hd + hd], rho[i]);
                }
            }
            let mut apply = |p: usize, x: &[f32], y: &mut [f32]| {
                linear(isa, &layer.linear[p], self.pack(l, p), x, t, &mut zs, &mut part, y);
            };
            apply(3, &o, &mut out);
            ops::add_to(isa, &out, &mut x);
            ops::rmsnorm(isa, &x, &layer.norm2, d.eps, &mut r, &mut xh, &mut y);
            apply(4, &y, &mut g);
            apply(5, &y, &mut u);
            ops::swiglu(isa, &g, &u, &mut h);
            apply(6, &h, &mut out);
            ops::add_to(isa, &out, &mut x);
        }
        self.len += t;
        let last = &x[(t - 1) * d.d..];
        ops::rmsnorm(isa, last, &base.norm, d.eps, &mut r[..1], &mut xh[..d.d], &mut y[..d.d]);
        let logits = sized(&mut self.logits, d.vocab);
        product(isa, 1, d.vocab, d.d, &y[..d.d], d.d, base.head.forward(), logits);
    }
}

/// The token that a request's settings pick from logits; `position` is that of the token.
#[must_use]
pub fn choose(logits: &[f32], r: &GenRequest, position: usize) -> u32 {
    if r.temperature <= 0.0 || r.top_k == 1 {
        return sample::greedy(logits) as u32;
    }
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    // Logit descending, then id ascending; stored values have no −0, and NaN goes last.
    let key = |i: u32| if logits[i as usize].is_nan() { f32::NEG_INFINITY } else { logits[i as usize] };
    order.sort_unstable_by(|a, b| key(*b).total_cmp(&key(*a)).then(a.cmp(b)));
    if r.top_k > 0 {
        order.truncate(r.top_k);
    }
    let z: Vec<f32> = order.iter().map(|i| weft_numerics::c(logits[*i as usize] / r.temperature)).collect();
    let mut p = vec![0.0; z.len()];
    sample::softmax(&z, &mut p);
    if r.top_p < 1.0 {
        let mut sum = 0.0;
        let kept = p.iter().position(|x| {
            sum += x;
            sum >= r.top_p
        });
        let kept = kept.map_or(p.len(), |i| i + 1);
        p.truncate(kept);
        sample::softmax(&z[..kept], &mut p);
    }
    let mut seed = [0u8; 32];
    seed[..8].copy_from_slice(&r.seed.to_le_bytes());
    let u = philox::sampling_uniform(&Key(rng_key(&seed)), position as u32);
    order[sample::pick(&p, u)]
}

/// Generates one answer; `on_token` sees each token as it comes and may break.
///
/// # Errors
/// `record_invalid` for an empty prompt or an id outside the vocabulary,
/// `context_length_exceeded` when prompt and `max_tokens` exceed the context.
pub fn generate(
    base: &Base,
    adapter: Option<&Adapter>,
    compute: &Compute,
    request: &GenRequest,
    on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<Generation> {
    if request.prompt.is_empty() {
        return Err(EngineError::InvalidTokens { detail: "the prompt has no token".into() });
    }
    let all = request.prompt.len() + request.max_tokens;
    let mut session = Session::new(base, adapter, *compute, all)?;
    session.push(&request.prompt)?;
    let mut tokens = Vec::new();
    while tokens.len() < request.max_tokens {
        let id = choose(session.logits(), request, session.len());
        if base.eos().contains(&id) || request.stop_ids.contains(&id) {
            return Ok(Generation { tokens, finish: FinishReason::Stop });
        }
        tokens.push(id);
        if on_token(id).is_break() {
            return Ok(Generation { tokens, finish: FinishReason::Cancelled });
        }
        if tokens.len() < request.max_tokens {
            session.push(&[id])?;
        }
    }
    Ok(Generation { tokens, finish: FinishReason::Length })
}
