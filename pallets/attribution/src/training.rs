//! Training weights: written once, read for ever.

use crate::{pallet::*, types::*};
use frame::prelude::*;
use weft_protocol::sum_tree::{self, OwnerLeaf, SumNode, Sums};
use weft_traits::{ModelId, TrainingWeights};

impl<T: Config> Pallet<T> {
    /// Stores the weights of a model that has none.
    pub(crate) fn do_record(model: ModelId, weights: TrainingWeights) -> DispatchResult {
        ensure!(!Training::<T>::contains_key(model), Error::<T>::AlreadyRecorded);
        ensure!(Self::is_active(weights.method), Error::<T>::UnknownMethod);
        let weights = Weights::checked(weights).ok_or(Error::<T>::OpeningMismatch)?;
        let method = weights.method;
        Training::<T>::insert(model, weights);
        Self::deposit_event(Event::WeightsRecorded { model, method });
        Ok(())
    }

    /// The leaf of `who` when the proof leads to the stored root of the named part.
    pub(crate) fn proved_leaf(model: ModelId, who: &T::AccountId, proof: &WeightProof) -> Option<OwnerLeaf> {
        let weights = Training::<T>::get(model)?;
        let part = weights.parts.get(usize::try_from(proof.part).ok()?)?;
        let owner: [u8; 32] = who.clone().into();
        if proof.leaf.owner != owner || proof.leaf.datanet != part.datanet {
            return None;
        }
        let root = SumNode { hash: part.root, sums: Sums { pos: part.pos, neg: part.neg, paid: part.paid } };
        sum_tree::verify(&root, part.leaves, proof.index, &proof.leaf, &proof.path).then_some(proof.leaf)
    }
}
