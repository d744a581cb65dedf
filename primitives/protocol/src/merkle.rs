//! Plain Merkle trees: `MR(leaves)`, pages and tensors.

use crate::{
    hash::{h, hash_many, tag, Hash, ZERO},
    tree::{self, Join},
};
use alloc::vec::Vec;
use codec::{Encode, Output};

/// Bytes of a page.
pub const PAGE: usize = 1024;

impl Join for Hash {
    fn join(left: &Self, right: &Self) -> Option<Self> {
        Some(inner(left, right))
    }
}

/// Inner node: `H("weft.inn", left, right)`.
pub fn inner(left: &Hash, right: &Hash) -> Hash {
    h(&tag::INNER, &(left, right))
}

/// `MR(leaves)`: 32 zero bytes without leaves; one leaf is its own root; an odd last node is promoted.
pub fn root(leaves: &[Hash]) -> Hash {
    tree::root(leaves).unwrap_or(ZERO)
}

/// Siblings from leaf `index` to the root, at most one per level; `None` when there is no such leaf.
pub fn proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    tree::proof(leaves, index)
}

/// Whether `leaf` stands at `index` of the `count` leaves under `root`.
pub fn verify(root: &Hash, count: u32, index: u32, leaf: &Hash, path: &[Hash]) -> bool {
    fold(count, index, leaf, path).as_ref() == Some(root)
}

/// The root that leaf, position and path lead to; `None` when the path does not have the shape of the tree.
pub fn fold(count: u32, index: u32, leaf: &Hash, path: &[Hash]) -> Option<Hash> {
    tree::fold(u64::from(count), u64::from(index), *leaf, path)
}

/// One page, zero padded: SCALE of a fixed array, without a length.
///
/// More than 1,024 bytes are an error of the caller: two texts would share a hash.
pub(crate) struct Page<'a>(pub(crate) &'a [u8]);

impl Encode for Page<'_> {
    fn size_hint(&self) -> usize {
        PAGE
    }

    fn encode_to<T: Output + ?Sized>(&self, dest: &mut T) {
        debug_assert!(self.0.len() <= PAGE, "a page of {} bytes", self.0.len());
        let bytes = self.0.get(..PAGE).unwrap_or(self.0);
        dest.write(bytes);
        let missing = PAGE.saturating_sub(bytes.len());
        dest.write([0u8; PAGE].get(..missing).unwrap_or_default());
    }
}

/// Hash of one page: `H("weft.pag", bytes)`, zero padded. `bytes` are at most 1,024, which debug builds assert.
pub fn page_hash(bytes: &[u8]) -> Hash {
    h(&tag::PAGE, &Page(bytes))
}

/// Pages hashed at once: a multiple of every vector width.
const BATCH: usize = 16;

/// Hashes of the 1 KiB pages of `bytes`, several at a time where the processor can: [`page_hash`] of each.
pub fn page_hashes(bytes: &[u8]) -> Vec<Hash> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(PAGE));
    let mut inputs: Vec<Vec<u8>> = Vec::with_capacity(BATCH);
    for batch in bytes.chunks(PAGE.saturating_mul(BATCH)) {
        inputs.clear();
        inputs.extend(batch.chunks(PAGE).map(|page| (&tag::PAGE, Page(page)).encode()));
        hash_many(&inputs, &mut out);
    }
    out
}

/// MR over the 1 KiB pages of `bytes`, the last one zero padded.
pub fn pages_root(bytes: &[u8]) -> Hash {
    root(&page_hashes(bytes))
}

/// Element types of tensors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Dtype {
    /// IEEE-754 binary32.
    F32,
    /// Upper half of binary32.
    Bf16,
    /// IEEE-754 binary16.
    F16,
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    I8,
    /// Unsigned 16 bits.
    U16,
    /// Signed 16 bits.
    I16,
    /// Unsigned 32 bits.
    U32,
    /// Signed 32 bits.
    I32,
    /// Unsigned 64 bits.
    U64,
    /// Signed 64 bits.
    I64,
    /// Signed 128 bits.
    I128,
}

impl Dtype {
    /// The byte that stands in preimages.
    pub const fn code(self) -> u8 {
        match self {
            Self::F32 => 0,
            Self::Bf16 => 1,
            Self::F16 => 2,
            Self::U8 => 3,
            Self::I8 => 4,
            Self::U16 => 5,
            Self::I16 => 6,
            Self::U32 => 7,
            Self::I32 => 8,
            Self::U64 => 9,
            Self::I64 => 10,
            Self::I128 => 11,
        }
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::Bf16 | Self::F16 | Self::U16 | Self::I16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::U64 | Self::I64 => 8,
            Self::I128 => 16,
        }
    }
}

/// Rank and dimensions: `rank u8, dims u32…`, without a length.
struct Dims<'a>(&'a [u32]);

impl Encode for Dims<'_> {
    fn encode_to<T: Output + ?Sized>(&self, dest: &mut T) {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX).encode_to(dest);
        for dim in self.0 {
            dim.encode_to(dest);
        }
    }
}

/// `T(x) = H("weft.tns", dtype u8, rank u8, dims u32…, MR(pages))` over the row-major little-endian bytes.
///
/// `dims` has at most 255 entries, and `raw` as many bytes as they say: debug builds assert both.
pub fn tensor_hash(dtype: Dtype, dims: &[u32], raw: &[u8]) -> Hash {
    debug_assert_eq!(tensor_bytes(dtype, dims), u128::try_from(raw.len()).ok(), "bytes of a tensor {dims:?}");
    tensor_hash_of_root(dtype, dims, &pages_root(raw))
}

/// Bytes of a tensor; `None` beyond u128.
fn tensor_bytes(dtype: Dtype, dims: &[u32]) -> Option<u128> {
    let one = u128::try_from(dtype.bytes()).ok()?;
    dims.iter().try_fold(one, |bytes, dim| bytes.checked_mul(u128::from(*dim)))
}

/// [`tensor_hash`] from the root of the pages.
pub fn tensor_hash_of_root(dtype: Dtype, dims: &[u32], pages: &Hash) -> Hash {
    debug_assert!(u8::try_from(dims.len()).is_ok(), "a tensor of rank {}", dims.len());
    h(&tag::TENSOR, &(dtype.code(), Dims(dims), pages))
}
