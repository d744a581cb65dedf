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
