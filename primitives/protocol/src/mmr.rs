//! Mountain range of a Datanet's accepted contributions, and its snapshot root.

use crate::{
    hash::{h, tag, Hash, ZERO},
    merkle::inner,
    tree, AccountId,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

/// Most peaks of a mountain range: enough for 2^40 leaves.
pub const MAX_PEAKS: u32 = 40;

/// Leaf of an accepted contribution.
///
/// `first` is the number of records in the range before it: it fixes every record's position.
pub fn leaf(account: &AccountId, root: &Hash, first: u64, records: u32, sequence: u64) -> Hash {
    h(&tag::MMR_LEAF, &(account, root, first, records, sequence))
}

/// Leaf that withdraws ranges (first, count) of contribution `n`.
pub fn tombstone(n: u32, ranges: &[(u32, u32)]) -> Hash {
    h(&tag::TOMBSTONE, &(n, ranges))
}

/// Peaks of a mountain range, largest first, with its counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Mmr {
    /// Peaks, largest mountain first.
    pub peaks: Vec<Hash>,
    /// Leaves, tombstones included.
    pub leaves: u64,
    /// Records of all leaves; tombstones hold none.
    pub records: u64,
}

impl Mmr {
    /// Appends a leaf that holds `records` records; `None`, and no change, when a count overflows, the range would have
    /// more than [`MAX_PEAKS`] peaks, or its peaks do not belong to its count.
    #[must_use]
    pub fn append(&mut self, leaf: Hash, records: u32) -> Option<()> {
        let leaves = self.leaves.checked_add(1)?;
        // Checked first, so that no pop below can fail half-way.
        if leaves.count_ones() > MAX_PEAKS || u32::try_from(self.peaks.len()).ok()? != self.leaves.count_ones() {
            return None;
        }
        let total = self.records.checked_add(u64::from(records))?;
        let mut node = leaf;
        // Each trailing one bit of the old count is a mountain of the same height as the node.
        for _ in 0..self.leaves.trailing_ones() {
            let left = self.peaks.pop()?;
            node = inner(&left, &node);
        }
        self.peaks.push(node);
        self.leaves = leaves;
        self.records = total;
        Some(())
    }

    /// Snapshot root: `H("weft.bag", leaves, records, acc)`.
    pub fn snapshot_root(&self) -> Hash {
        snapshot_root(&self.peaks, self.leaves, self.records)
    }
}

/// Bags peaks: the last (smallest) first, then the others from right to left; zero when empty.
pub fn bag(peaks: &[Hash]) -> Hash {
    let mut right_to_left = peaks.iter().rev();
    let Some(last) = right_to_left.next() else { return ZERO };
    right_to_left.fold(*last, |acc, peak| inner(peak, &acc))
}

/// Snapshot root of given peaks and counts.
pub fn snapshot_root(peaks: &[Hash], leaves: u64, records: u64) -> Hash {
    h(&tag::BAG, &(leaves, records, bag(peaks)))
}

/// Proof that a leaf stands in a mountain range.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct MmrProof {
    /// Siblings inside the leaf's mountain, bottom up.
    pub path: Vec<Hash>,
    /// The other mountains' peaks, left to right.
    pub peaks: Vec<Hash>,
}

/// Sizes of the mountains of `leaves` leaves, left to right.
fn mountains(leaves: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS).rev().map(|bit| 1u64 << bit).filter(move |size| leaves & size != 0)
}

/// The mountain of leaf `index`: its place, its size and the leaf's index inside.
fn locate(leaves: u64, index: u64) -> Option<(usize, u64, u64)> {
    let mut rest = index;
    for (place, size) in mountains(leaves).enumerate() {
        match rest.checked_sub(size) {
            Some(beyond) => rest = beyond,
            None => return Some((place, size, rest)),
        }
    }
    None
}

/// Proof of leaf `index` among all leaves.
pub fn prove(leaves: &[Hash], index: u64) -> Option<MmrProof> {
    let (place, _, inside) = locate(u64::try_from(leaves.len()).ok()?, index)?;
    let (mut rest, mut peaks, mut path) = (leaves, Vec::new(), None);
    for (at, size) in mountains(u64::try_from(leaves.len()).ok()?).enumerate() {
        let (mountain, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        if at == place {
            path = Some(tree::proof(mountain, usize::try_from(inside).ok()?)?);
        } else {
            peaks.push(tree::root(mountain)?);
        }
        rest = after;
    }
    Some(MmrProof { path: path?, peaks })
}

/// Whether `leaf` is leaf `index` of the range with this snapshot root and these counts.
pub fn verify(root: &Hash, leaves: u64, records: u64, index: u64, leaf: &Hash, proof: &MmrProof) -> bool {
    fold(leaves, records, index, leaf, proof).as_ref() == Some(root)
}

fn fold(leaves: u64, records: u64, index: u64, leaf: &Hash, proof: &MmrProof) -> Option<Hash> {
    let (place, size, inside) = locate(leaves, index)?;
    let others = usize::try_from(leaves.count_ones()).ok()?.checked_sub(1)?;
    if proof.peaks.len() != others {
        return None;
    }
    let peak = tree::fold(size, inside, *leaf, &proof.path)?;
    let (left, right) = proof.peaks.split_at_checked(place)?;
    let mut peaks = left.to_vec();
    peaks.push(peak);
    peaks.extend_from_slice(right);
    Some(snapshot_root(&peaks, leaves, records))
}
