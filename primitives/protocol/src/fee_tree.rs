//! Fee-sum trees over receipts: leaf `(H("weft.rcp", receipt), fee)`, every node binds both children's fees.

use crate::{
    hash::{h, tag, Hash},
    tree::{self, Join},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A node: hash and fees below it, 48 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct FeeNode {
    /// Hash of the receipt, or of both children.
    pub hash: Hash,
    /// Sum of the fees.
    pub fee: u128,
}

impl Join for FeeNode {
    fn join(left: &Self, right: &Self) -> Option<Self> {
        Some(Self { hash: h(&tag::FEE, &(left, right)), fee: left.fee.checked_add(right.fee)? })
    }
}

/// Root of receipts in the order of their index; zero without receipts; `None` when the fees overflow.
pub fn root(leaves: &[FeeNode]) -> Option<FeeNode> {
    if leaves.is_empty() {
        return Some(FeeNode::default());
    }
    tree::root(leaves)
}

/// Siblings from leaf `index` to the root.
pub fn proof(leaves: &[FeeNode], index: usize) -> Option<Vec<FeeNode>> {
    tree::proof(leaves, index)
}

/// Whether `leaf` stands at `index` of the `count` leaves under `root`: hash and fee must agree.
pub fn verify(root: &FeeNode, count: u32, index: u32, leaf: &FeeNode, path: &[FeeNode]) -> bool {
    tree::fold(u64::from(count), u64::from(index), *leaf, path).as_ref() == Some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u128 = 1_000_000_000_000;

    /// The node with the same hash and no fee.
    fn emptied(leaf: &FeeNode) -> FeeNode {
        FeeNode { fee: 0, ..*leaf }
    }

    #[test]
    fn forged_root_should_hold_one_of_two_receipts_when_each_claims_the_whole() {
        // GIVEN two receipts that each claim the whole, and roots of the whole that hide one of them behind a zero fee
        let (a, b) = (FeeNode { hash: [1; 32], fee: WHOLE }, FeeNode { hash: [2; 32], fee: WHOLE });
        for root in [FeeNode::join(&a, &emptied(&b)).unwrap(), FeeNode::join(&emptied(&a), &b).unwrap()] {
            assert_eq!(root.fee, WHOLE);
            // WHEN each is proved with its neighbour declared free
            let a_counts = verify(&root, 2, 0, &a, &[emptied(&b)]);
            let b_counts = verify(&root, 2, 1, &b, &[emptied(&a)]);
            // THEN the fees in the preimage let exactly one pass
            assert_ne!(a_counts, b_counts);
            assert!(!verify(&root, 2, 0, &a, &[b]));
            assert!(!verify(&root, 2, 1, &b, &[a]));
        }
        // AND the honest hash under half of the fees holds neither
        let honest = root(&[a, b]).unwrap();
        let lying = FeeNode { fee: WHOLE, ..honest };
        for neighbour in [b, emptied(&b)] {
            assert!(!verify(&lying, 2, 0, &a, &[neighbour]));
        }
        for neighbour in [a, emptied(&a)] {
            assert!(!verify(&lying, 2, 1, &b, &[neighbour]));
        }
        assert!(verify(&honest, 2, 0, &a, &[b]) && verify(&honest, 2, 1, &b, &[a]));
    }
}
