//! Stored types.

use frame::prelude::*;
use weft_protocol::{
    hash::Hash,
    payout,
    run::Part,
    sum_tree::{OwnerLeaf, SumNode},
};
use weft_traits::{Amount, TrainingWeights};

pub use weft_protocol::payout::POINTS;

/// Most parts of a model: one per Datanet of its job.
pub const MAX_PARTS: u32 = 16;
/// Most levels of a Merkle-sum tree, whose leaves are counted by a `u32`.
pub const MAX_DEPTH: u32 = 32;

/// Training weights of a model as stored: [`TrainingWeights`] with a bounded list.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Weights {
    /// Attribution method.
    pub method: u16,
    /// Cotangent; 0 is the probe.
    pub cotangent: u32,
    /// Exponent of the start of the reverse pass.
    pub x: i8,
    /// First reverse state R_0.
    pub r0: Hash,
    /// Hash of the method's further results.
    pub extra: Hash,
    /// Parts, ascending by Datanet.
    pub parts: BoundedVec<Part, ConstU32<MAX_PARTS>>,
}

impl Weights {
    /// Bounds the list of an opening; `None` unless [`payout::parts_are_whole`] holds of it.
    pub fn checked(weights: TrainingWeights) -> Option<Self> {
        let parts = BoundedVec::<_, ConstU32<MAX_PARTS>>::try_from(weights.parts).ok()?;
        let stored = Self {
            method: weights.method,
            cotangent: weights.cotangent,
            x: weights.x,
            r0: weights.r0,
            extra: weights.extra,
            parts,
        };
        stored.is_consistent().then_some(stored)
    }

    /// Whether the parts satisfy what [`Weights::checked`] asks.
    pub fn is_consistent(&self) -> bool {
        payout::parts_are_whole(&self.parts)
    }
}

impl From<Weights> for TrainingWeights {
    fn from(weights: Weights) -> Self {
        Self {
            method: weights.method,
            cotangent: weights.cotangent,
            x: weights.x,
            r0: weights.r0,
            extra: weights.extra,
            parts: weights.parts.into_inner(),
        }
    }
}

/// Sums over the receipts of one (model, epoch, oracle).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct UsageSums {
    /// Number of receipts.
    pub count: u32,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Answer tokens.
    pub tokens_out: u64,
    /// Fees in the smallest unit.
    pub fees: Amount,
}

/// Usage of a model in one settlement epoch, as its oracle posted it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct UsageReport {
    /// Root of the fee-sum tree over the receipts redeemed in the epoch, by receipt index.
    pub root: Hash,
    /// Sums over the same receipts.
    pub sums: UsageSums,
}

/// An attribution method.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Method {
    /// Content id of the specification's text.
    pub spec: Hash,
    /// `sem_id` of the operators that compute it.
    pub sem_id: Hash,
    /// Whether models may be attributed by it.
    pub active: bool,
}

/// Proof of an owner's weight under a part of a model.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct WeightProof {
    /// Position of the part in the model's list.
    pub part: u32,
    /// Position of the leaf in the part's tree.
    pub index: u32,
    /// The leaf.
    pub leaf: OwnerLeaf,
    /// Siblings from the leaf to the root.
    pub path: BoundedVec<SumNode, ConstU32<MAX_DEPTH>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn part(datanet: u32, leaves: u32, paid: u128) -> Part {
        Part { datanet, leaves, root: [datanet.to_le_bytes()[0]; 32], pos: 7, neg: 3, paid }
    }

    fn weights(parts: alloc::vec::Vec<Part>) -> TrainingWeights {
        TrainingWeights { method: 1, cotangent: 0, x: -3, r0: [1; 32], extra: [2; 32], parts }
    }

    #[test]
    fn weights_should_be_refused_when_their_sums_are_wrong() {
        assert!(Weights::checked(weights(vec![part(1, 1, POINTS)])).is_some());
        assert!(Weights::checked(weights(vec![part(1, 1, POINTS - 5), part(4, 2, 5)])).is_some());
        assert!(Weights::checked(weights(vec![part(1, 0, 0), part(2, 0, 0)])).is_some());
        assert!(Weights::checked(weights(vec![])).is_none());
        assert!(Weights::checked(weights(vec![part(1, 1, POINTS - 1)])).is_none());
        assert!(Weights::checked(weights(vec![part(1, 1, POINTS + 1)])).is_none());
        assert!(Weights::checked(weights(vec![part(1, 1, u128::MAX), part(2, 1, POINTS + 1)])).is_none());
        assert!(Weights::checked(weights(vec![part(1, 0, POINTS)])).is_none());
    }

    #[test]
    fn weights_should_be_refused_when_parts_do_not_ascend() {
        assert!(Weights::checked(weights(vec![part(2, 1, POINTS), part(1, 0, 0)])).is_none());
        assert!(Weights::checked(weights(vec![part(2, 1, POINTS), part(2, 0, 0)])).is_none());
        let many = (0..17u32).map(|i| part(i, 0, 0)).collect();
        assert!(Weights::checked(weights(many)).is_none());
    }

    #[test]
    fn stored_weights_should_encode_as_the_openings_do() {
        let given = weights(vec![part(1, 1, POINTS)]);
        let stored = Weights::checked(given.clone()).unwrap();
        assert_eq!(stored.encode(), given.encode());
        assert_eq!(TrainingWeights::from(stored), given);
    }
}
