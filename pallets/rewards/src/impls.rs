//! Implementation of `weft-traits`.

use crate::pallet::*;
use frame::prelude::*;
use weft_traits::{Amount, Clock, Epoch, LicencePart, ModelId, ModelInspect, RevenueSink};

impl<T: Config> RevenueSink<T::AccountId> for Pallet<T> {
    fn pot() -> T::AccountId {
        T::RevenuePot::get()
    }

    fn licence_paid(model: ModelId, parts: &[LicencePart]) -> DispatchResult {
        Self::do_licence_paid(model, parts)
    }

    fn redeemed(model: ModelId, epoch: Epoch, oracle: &T::AccountId) -> Amount {
        Revenue::<T>::get(model, epoch).iter().find(|entry| entry.oracle == *oracle).map_or(0, |entry| entry.fees)
    }

    fn settled(model: ModelId, epoch: Epoch) -> bool {
        Settlements::<T>::contains_key(model, epoch)
    }

    fn epoch_over(model: ModelId, epoch: Epoch) -> bool {
        T::Models::model(model)
            .and_then(|terms| Self::epoch_end(terms.minted, epoch))
            .is_some_and(|end| T::Clock::now() >= end)
    }
}
