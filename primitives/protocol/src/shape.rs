//! Shape and root of a base model.

use crate::{
    dec::Dec,
    hash::{h, tag, Hash},
    merkle,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Family of a base model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
pub enum Arch {
    /// Llama 2 and 3.
    #[codec(index = 0)]
    Llama,
    /// Mistral: sliding window.
    #[codec(index = 1)]
    Mistral,
    /// Qwen2 and 2.5: bias on q, k, v.
    #[codec(index = 2)]
    Qwen2,
    /// Qwen3: norm per head on q and k.
    #[codec(index = 3)]
    Qwen3,
}

/// Everything about a base model that its graph depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct ModelShape {
    /// Family.
    pub arch: Arch,
    /// Blocks.
    pub layers: u16,
    /// Hidden width.
    pub d: u32,
    /// Query heads.
    pub heads: u16,
    /// Key and value heads.
    pub kv_heads: u16,
    /// Width of a head.
    pub head_dim: u16,
    /// Intermediate width.
    pub f: u32,
    /// Entries of the vocabulary.
    pub vocab: u32,
    /// Longest sequence in tokens.
    pub context: u32,
    /// Epsilon of the norms.
    pub rms_eps: Dec,
    /// Whether head and embedding share their weights.
    pub tied: bool,
    /// Bit 0: bias on q, k, v; bit 1: on o; bit 2: on gate, up, down.
    pub bias: u8,
    /// Attention window in tokens; 0: none.
    pub window: u32,
}

impl ModelShape {
    /// Width of all query heads.
    pub fn q_dim(&self) -> u32 {
        u32::from(self.heads).saturating_mul(u32::from(self.head_dim))
    }

    /// Width of all key (or value) heads.
    pub fn kv_dim(&self) -> u32 {
        u32::from(self.kv_heads).saturating_mul(u32::from(self.head_dim))
    }

    /// Whether the sizes fit together.
    pub fn is_consistent(&self) -> bool {
        let positive = self.layers > 0
            && self.d > 0
            && self.heads > 0
            && self.kv_heads > 0
            && self.head_dim > 0
            && self.f > 0
            && self.vocab > 0
            && self.context > 0
            && !self.rms_eps.is_zero();
        positive
            && self.heads.checked_rem(self.kv_heads) == Some(0)
            && self.head_dim.is_multiple_of(2)
            && u32::from(self.heads).checked_mul(u32::from(self.head_dim)).is_some()
            && self.bias < 8
    }

    /// Parameters of the blocks' linears and of the head.
    pub fn linear_parameters(&self) -> Option<u128> {
        let (d, q, kv, f) =
            (u128::from(self.d), u128::from(self.q_dim()), u128::from(self.kv_dim()), u128::from(self.f));
        let attention = d.checked_mul(q.checked_mul(2)?.checked_add(kv.checked_mul(2)?)?)?;
        let mlp = d.checked_mul(f)?.checked_mul(3)?;
        let blocks = attention.checked_add(mlp)?.checked_mul(u128::from(self.layers))?;
        blocks.checked_add(d.checked_mul(u128::from(self.vocab))?)
    }
}

/// Leaf of one base tensor: `H("weft.bst", name, T(W), T(Wᵀ))`. A tensor of rank 1 is its own transpose.
pub fn base_tensor(name: &str, w: &Hash, wt: &Hash) -> Hash {
    h(&tag::BASE_TENSOR, &(name, w, wt))
}

/// `base_root`: binds shape, tokenizer, template and all tensors.
///
/// `leaves` are (name, [`base_tensor`]) of every tensor and of `inv_freq`, a tied head listed once; they are sorted here
/// bytewise by name. `tokenizer` and `template` are [`crate::hash::raw_hash`] of the files. `None` when two leaves have
/// the same name, or beyond 2^32 tensors.
pub fn base_root<N: AsRef<[u8]>>(
    shape: &ModelShape,
    tokenizer: &Hash,
    template: &Hash,
    leaves: &[(N, Hash)],
) -> Option<Hash> {
    let mut sorted: Vec<(&[u8], Hash)> = leaves.iter().map(|(name, leaf)| (name.as_ref(), *leaf)).collect();
    sorted.sort_unstable();
    if !sorted.is_sorted_by(|a, b| a.0 < b.0) {
        return None;
    }
    let hashes: Vec<Hash> = sorted.into_iter().map(|(_, leaf)| leaf).collect();
    let count = u32::try_from(hashes.len()).ok()?;
    Some(h(&tag::BASE, &(shape, tokenizer, template, count, merkle::root(&hashes))))
}
