//! Merkle-sum trees over contributors: every node binds the sums of both children, so no unit under a root can be
//! proved twice.

use crate::{
    hash::{h, tag, Hash},
    tree::{self, Join},
    AccountId,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The three sums of a node.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Sums {
    /// Positive scores.
    pub pos: u128,
    /// Absolute values of negative scores.
    pub neg: u128,
    /// Points of a model, or units of a settlement.
    pub paid: u128,
}

impl Sums {
    /// Sums of both; `None` on overflow.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            pos: self.pos.checked_add(other.pos)?,
            neg: self.neg.checked_add(other.neg)?,
            paid: self.paid.checked_add(other.paid)?,
        })
    }
}

/// A node: hash and sums, 80 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct SumNode {
    /// Hash of the leaf, or of both children.
    pub hash: Hash,
    /// Sums over all leaves below.
    pub sums: Sums,
}

impl Join for SumNode {
    fn join(left: &Self, right: &Self) -> Option<Self> {
        Some(Self { hash: h(&tag::SUM, &(left, right)), sums: left.sums.checked_add(&right.sums)? })
    }
}

/// What one contributor has in one Datanet of a model or settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct OwnerLeaf {
    /// The Datanet.
    pub datanet: u32,
    /// The contributor.
    pub owner: AccountId,
    /// Records that earn: with weight, drawn or held out.
    pub records: u32,
    /// Base weight: trained tokens, or the in-run share of method 2.
    pub inrun: u128,
    /// Positive scores.
    pub pos: u128,
    /// Absolute values of negative scores.
    pub neg: u128,
    /// Points of a model, or units of a settlement.
    pub paid: u128,
    /// Units of `paid` that fall due later; 0 for a model.
    pub held: u128,
}

impl OwnerLeaf {
    /// `H("weft.own", …)` over the fields in order.
    pub fn hash(&self) -> Hash {
        h(&tag::OWNER, self)
    }

    /// The leaf as a node.
    pub fn node(&self) -> SumNode {
        SumNode { hash: self.hash(), sums: Sums { pos: self.pos, neg: self.neg, paid: self.paid } }
    }
}

fn nodes(leaves: &[OwnerLeaf]) -> Vec<SumNode> {
    leaves.iter().map(OwnerLeaf::node).collect()
}

/// Root of the leaves, sorted by owner; without leaves a zero hash with zero sums; `None` when a sum overflows.
pub fn root(leaves: &[OwnerLeaf]) -> Option<SumNode> {
    if leaves.is_empty() {
        return Some(SumNode::default());
    }
    tree::root(&nodes(leaves))
}

/// Siblings from leaf `index` to the root.
pub fn proof(leaves: &[OwnerLeaf], index: usize) -> Option<Vec<SumNode>> {
    tree::proof(&nodes(leaves), index)
}

/// Whether `leaf` stands at `index` of the `leaves` leaves under `root`: hash and all sums must agree.
pub fn verify(root: &SumNode, leaves: u32, index: u32, leaf: &OwnerLeaf, path: &[SumNode]) -> bool {
    tree::fold(u64::from(leaves), u64::from(index), leaf.node(), path).as_ref() == Some(root)
}

/// Nodes that prove the leaves at `indices` (ascending, distinct) together: level by level, left to right.
pub fn multiproof(leaves: &[OwnerLeaf], indices: &[u32]) -> Option<Vec<SumNode>> {
    let indices: Option<Vec<usize>> = indices.iter().map(|at| usize::try_from(*at).ok()).collect();
    tree::multiproof(&nodes(leaves), &indices?)
}

/// Whether all `claimed` leaves (ascending, distinct indices) stand under `root`.
pub fn verify_multi(root: &SumNode, leaves: u32, claimed: &[(u32, OwnerLeaf)], proof: &[SumNode]) -> bool {
    let known = claimed.iter().map(|(at, leaf)| (u64::from(*at), leaf.node())).collect();
    tree::fold_many(u64::from(leaves), known, proof).as_ref() == Some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u128 = 1_000_000_000_000;

    fn leaf(owner: u8) -> OwnerLeaf {
        OwnerLeaf { datanet: 1, owner: [owner; 32], records: 1, inrun: 0, pos: 0, neg: 0, paid: WHOLE, held: 0 }
    }

    /// The leaf's node with sums that say nothing is below it.
    fn emptied(leaf: &OwnerLeaf) -> SumNode {
        SumNode { sums: Sums::default(), ..leaf.node() }
    }

    #[test]
    fn forged_root_should_pay_one_of_two_leaves_when_each_claims_the_whole() {
        // GIVEN two leaves that each claim the whole, and roots of the whole that hide one of them behind zero sums
        let (a, b) = (leaf(1), leaf(2));
        let forged = [SumNode::join(&a.node(), &emptied(&b)).unwrap(), SumNode::join(&emptied(&a), &b.node()).unwrap()];
        for root in forged {
            assert_eq!(root.sums.paid, WHOLE);
            // WHEN each claims with its neighbour declared empty
            let a_paid = verify(&root, 2, 0, &a, &[emptied(&b)]);
            let b_paid = verify(&root, 2, 1, &b, &[emptied(&a)]);
            // THEN the sums in the preimage let exactly one pass
            assert_ne!(a_paid, b_paid);
            // AND no claim passes beside the neighbour as it is, nor both together
            assert!(!verify(&root, 2, 0, &a, &[b.node()]));
            assert!(!verify(&root, 2, 1, &b, &[a.node()]));
            assert!(!verify_multi(&root, 2, &[(0, a), (1, b)], &[]));
        }
    }

    #[test]
    fn forged_sums_should_be_refused_when_the_hash_is_the_honest_one() {
        // GIVEN the honest hash of both leaves under sums of only one
        let (a, b) = (leaf(1), leaf(2));
        let honest = root(&[a, b]).unwrap();
        let lying = SumNode { sums: Sums { paid: WHOLE, ..honest.sums }, ..honest };
        // WHEN either claims, or both together
        // THEN nobody is paid under the lie, and both are under the honest root
        for neighbour in [b.node(), emptied(&b)] {
            assert!(!verify(&lying, 2, 0, &a, &[neighbour]));
        }
        for neighbour in [a.node(), emptied(&a)] {
            assert!(!verify(&lying, 2, 1, &b, &[neighbour]));
        }
        assert!(!verify_multi(&lying, 2, &[(0, a), (1, b)], &[]));
        assert!(verify_multi(&honest, 2, &[(0, a), (1, b)], &[]));
    }

    #[test]
    fn every_sum_of_both_children_should_be_in_the_hash() {
        let (a, b) = (leaf(1).node(), leaf(2).node());
        let honest = SumNode::join(&a, &b).unwrap();
        let changed = |node: SumNode| {
            let Sums { pos, neg, paid } = node.sums;
            [
                SumNode { sums: Sums { pos: pos ^ 1, ..node.sums }, ..node },
                SumNode { sums: Sums { neg: neg ^ 1, ..node.sums }, ..node },
                SumNode { sums: Sums { paid: paid ^ 1, ..node.sums }, ..node },
            ]
        };
        for other in changed(a) {
            assert_ne!(SumNode::join(&other, &b).unwrap().hash, honest.hash);
        }
        for other in changed(b) {
            assert_ne!(SumNode::join(&a, &other).unwrap().hash, honest.hash);
        }
    }
}
