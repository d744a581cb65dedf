//! Invariants A1 to A3.

use crate::pallet::*;
use frame::{deps::sp_runtime::TryRuntimeError, prelude::*};
use weft_traits::RevenueSink;

impl<T: Config> Pallet<T> {
    /// Checks every invariant of the README.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        for (_, weights) in Training::<T>::iter() {
            ensure!(weights.is_consistent(), "A1: parts of a model are out of order or do not sum to 10^12 or 0");
        }
        for ((model, epoch, oracle), report) in Usage::<T>::iter() {
            ensure!(Training::<T>::contains_key(model), "A2: a model with usage has no weights");
            let redeemed = T::Revenue::redeemed(model, epoch, &oracle);
            ensure!(report.sums.fees == redeemed, "A3: posted fees are not those redeemed");
        }
        Ok(())
    }
}
