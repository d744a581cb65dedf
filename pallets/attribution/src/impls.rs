//! Implementation of `weft-traits`.

use crate::pallet::*;
use frame::prelude::*;
use weft_traits::{Amount, AttributionBook, Epoch, ModelId, TrainingWeights};

impl<T: Config> AttributionBook<T::AccountId> for Pallet<T> {
    fn record(model: ModelId, weights: TrainingWeights) -> DispatchResult {
        Self::do_record(model, weights)
    }

    fn training(model: ModelId) -> Option<TrainingWeights> {
        Training::<T>::get(model).map(Into::into)
    }

    fn usage(model: ModelId, epoch: Epoch, oracle: &T::AccountId) -> Option<Amount> {
        Usage::<T>::get((model, epoch, oracle)).map(|report| report.sums.fees)
    }
}
