//! The trained state: which slots it has, where each lies in the flat vector,
//! and the adapter packed for one evaluation.

use crate::error::{EngineError, Result};
use crate::kernels::gemm::{pack, Right};
use crate::weights::Base;
use std::ops::Range;
use weft_numerics::{model::linear::lora_scale, philox, Key};
use weft_protocol::{
    graph::{self, Part, Slot},
    hash, merkle,
    recipe::Recipe,
    run, Hash,
};

/// Slots of a recipe on a base, sorted bytewise by name, and their places in
/// the flat f32 vectors θ, m, v, gradient and cotangents.
#[derive(Clone, Debug)]
pub struct Layout {
    slots: Vec<Slot>,
    ranges: Vec<Range<usize>>,
    ends: Vec<usize>,
    /// Per layer and projection: (range of A, range of B, rank, s).
    parts: Vec<[Option<LoraPart>; 7]>,
}

#[derive(Clone, Debug)]
struct LoraPart {
    a: Range<usize>,
    b: Range<usize>,
    rank: usize,
    scale: f32,
}

impl Layout {
    /// The layout of `recipe` on `base`.
    ///
    /// # Errors
    /// `recipe_out_of_range` for a recipe with dropout (jobs have none).
    pub fn new(base: &Base, recipe: &Recipe) -> Result<Self> {
        if !recipe.dropout.is_zero() {
            return Err(EngineError::RecipeOutOfRange { field: "dropout", detail: "set it to 0".into() });
        }
        if recipe.method != weft_protocol::recipe::Method::Lora {
            return Err(EngineError::RecipeOutOfRange {
                field: "method",
                detail: "qlora is not built; set it to lora".into(),
            });
        }
        let slots = graph::lora_slots(base.shape(), recipe);
        let scale = lora_scale(u32::from(recipe.alpha), u32::from(recipe.r), recipe.rslora);
        Self::from_slots(base, slots, |_| scale)
    }

    /// A layout of given slots; `scale` gives s of the slot at an index.
    pub(crate) fn from_slots(base: &Base, slots: Vec<Slot>, scale: impl Fn(usize) -> f32) -> Result<Self> {
        let mut ranges = Vec::with_capacity(slots.len());
        let mut at = 0;
        for s in &slots {
            let n = s.dims[0] as usize * s.dims[1] as usize;
            ranges.push(at..at + n);
            at += n;
        }
        let mut halves: Vec<[(Option<usize>, Option<usize>); 7]> = vec![[(None, None); 7]; base.dims.layers];
        for (i, s) in slots.iter().enumerate() {
            let p = graph::Target::ALL.iter().position(|t| *t == s.target);
            if let Some(pair) = p.and_then(|p| halves.get_mut(usize::from(s.layer)).map(|l| &mut l[p])) {
                match s.part {
                    Part::A => pair.0 = Some(i),
                    Part::B => pair.1 = Some(i),
                }
            }
        }
        let mut parts = Vec::with_capacity(halves.len());
        for layer in halves {
            let mut row = [const { None }; 7];
            for (p, pair) in layer.into_iter().enumerate() {
                row[p] = match pair {
                    (None, None) => None,
                    (Some(a), Some(b)) => Some(LoraPart {
                        a: ranges[a].clone(),
                        b: ranges[b].clone(),
                        rank: slots[a].dims[0] as usize,
                        scale: scale(a),
                    }),
                    _ => {
                        let detail = "a projection has only one of lora_A and lora_B".into();
                        return Err(EngineError::AdapterUnsupported { path: base.folder().into(), detail });
                    }
                };
            }
            parts.push(row);
        }
        let ends = ranges.iter().map(|r| r.end).collect();
        Ok(Self { slots, ranges, ends, parts })
    }

    /// Number of trained parameters p.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether nothing is trained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slots, sorted by name.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Place of slot `i` in a flat vector.
    #[must_use]
    pub fn range(&self, i: usize) -> Range<usize> {
        self.ranges[i].clone()
    }

    /// Where each slot ends in a flat vector.
    #[must_use]
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// θ before the first step: A uniform ±1/√in from the seed, B = 0.
    #[must_use]
    pub fn init(&self, seed: &Hash) -> Vec<f32> {
        let key = Key(hash::rng_key(seed));
        let mut theta = vec![0.0; self.len()];
        for (i, s) in self.slots.iter().enumerate() {
            if s.part == Part::A {
                philox::init_a(&key, i as u32, s.dims[1] as usize, &mut theta[self.range(i)]);
            }
        }
        theta
    }

    /// T(x_s) of every slot of three flat vectors, for state hashes.
    #[must_use]
    pub fn hashes(&self, x: &[f32], y: &[f32], z: &[f32], threads: usize) -> Vec<run::SlotHashes> {
        let one = |i: usize, x: &[f32]| {
            let dims = self.slots[i].dims;
            merkle::tensor_hash(merkle::Dtype::F32, &dims, &bytes_of(&x[self.range(i)]))
        };
        let mut out = vec![[hash::ZERO; 3]; self.slots.len()];
        let share = self.slots.len().div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            for (c, chunk) in out.chunks_mut(share).enumerate() {
                let mut work = move || {
                    for (k, h) in chunk.iter_mut().enumerate() {
                        let i = c * share + k;
                        *h = [one(i, x), one(i, y), one(i, z)];
                    }
                };
                if threads <= 1 {
                    work();
                } else {
                    scope.spawn(work);
                }
            }
        });
        out
    }
}

/// Little-endian bytes of f32 values.
#[must_use]
pub fn bytes_of(x: &[f32]) -> Vec<u8> {
    let mut out = vec![0; x.len() * 4];
    for (to, v) in out.chunks_exact_mut(4).zip(x) {
        to.copy_from_slice(&v.to_le_bytes());
    }
    out
}

/// f32 values of little-endian bytes.
#[must_use]
pub fn floats_of(raw: &[u8]) -> Vec<f32> {
    raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// One projection's adapter, ready for products.
#[derive(Debug)]
pub(crate) struct Pack {
    pub rank: usize,
    pub scale: f32,
    pub a_range: Range<usize>,
    pub b_range: Range<usize>,
    /// A `[r, in]`.
    a: Vec<f32>,
    /// B `[out, r]`.
    b: Vec<f32>,
    /// Panels of Aᵀ and Bᵀ.
    a_forward: Vec<f32>,
    b_forward: Vec<f32>,
}

impl Pack {
    /// Right operand of z = x·Aᵀ.
    pub(crate) fn a_forward(&self) -> Right<'_> {
        Right::Panels(&self.a_forward)
    }
    /// Right operand of y = zs·Bᵀ.
    pub(crate) fn b_forward(&self) -> Right<'_> {
        Right::Panels(&self.b_forward)
    }
    /// Right operand of dz = dy·B.
    pub(crate) fn b_backward(&self) -> Right<'_> {
        Right::Rows(&self.b, self.rank)
    }
    /// Right operand of dx = dz·A, `[r, in]`.
    pub(crate) fn a_backward(&self) -> Right<'_> {
        Right::Rows(&self.a, self.a.len() / self.rank)
    }
}

/// An adapter at one θ, packed once per evaluation and shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Per layer, q k v o gate up down.
    pub layers: Vec<[Option<Pack>; 7]>,
}

impl Packed {
    /// Packs θ. Buffers of an earlier call are reused.
    pub(crate) fn set(&mut self, layout: &Layout, theta: &[f32]) {
        if self.layers.len() != layout.parts.len() {
            self.layers = layout.parts.iter().map(|_| [const { None }; 7]).collect();
        }
        for (row, parts) in self.layers.iter_mut().zip(&layout.parts) {
            for (slot, part) in row.iter_mut().zip(parts) {
                let Some(part) = part else {
                    *slot = None;
                    continue;
                };
                let p = slot.get_or_insert_with(|| Pack {
                    rank: part.rank,
                    scale: part.scale,
                    a_range: part.a.clone(),
                    b_range: part.b.clone(),
                    a: Vec::new(),
                    b: Vec::new(),
                    a_forward: Vec::new(),
                    b_forward: Vec::new(),
                });
                p.a.clear();
                p.a.extend_from_slice(&theta[part.a.clone()]);
                p.b.clear();
                p.b.extend_from_slice(&theta[part.b.clone()]);
                let (n_in, n_out) = (p.a.len() / p.rank, p.b.len() / p.rank);
                pack(&p.a, n_in, p.rank, 1, n_in, &mut p.a_forward);
                pack(&p.b, p.rank, n_out, 1, p.rank, &mut p.b_forward);
            }
        }
    }
}
