//! Usage: what a serving oracle posts about an epoch.

use crate::{pallet::*, types::*};
use frame::prelude::*;
use weft_protocol::hash::Hash;
use weft_traits::{Epoch, ModelId, ModelInspect, RevenueSink};

impl<T: Config> Pallet<T> {
    /// Stores the usage of an epoch that is over and not settled. Only oracles with redeemed fees get here, and rewards
    /// bounds those by 32 per epoch, so `Usage` needs no bound of its own.
    pub(crate) fn do_post_usage(
        who: T::AccountId,
        model: ModelId,
        epoch: Epoch,
        root: Hash,
        sums: UsageSums,
    ) -> DispatchResult {
        let terms = T::Models::model(model).ok_or(Error::<T>::UnknownModel)?;
        ensure!(terms.oracle == who, Error::<T>::NotServing);
        let open = T::Revenue::epoch_over(model, epoch) && !T::Revenue::settled(model, epoch);
        ensure!(open, Error::<T>::WindowClosed);
        ensure!(!Usage::<T>::contains_key((model, epoch, &who)), Error::<T>::AlreadyPosted);
        let redeemed = T::Revenue::redeemed(model, epoch, &who);
        ensure!(redeemed > 0 && sums.fees == redeemed && sums.count > 0, Error::<T>::FeesMismatch);
        Usage::<T>::insert((model, epoch, &who), UsageReport { root, sums });
        Self::deposit_event(Event::UsagePosted { model, epoch, oracle: who, root, fees: sums.fees });
        Ok(())
    }
}
