//! Holds: taken when something is stored, freed or forfeited when its fate is known.

use crate::{Config, HoldReason};
use frame::{
    deps::frame_support::{
        defensive,
        traits::{
            fungible::MutateHold,
            tokens::{Fortitude, Precision, Restriction},
        },
    },
    prelude::*,
};

/// Holds `amount` of `who` for `reason`.
pub(crate) fn hold<T: Config>(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
    if amount == 0 {
        return Ok(());
    }
    T::Currency::hold(&reason.into(), who, amount)
}

/// Frees `amount` of `who` that is held for `reason`.
pub(crate) fn release<T: Config>(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
    if amount == 0 {
        return Ok(());
    }
    T::Currency::release(&reason.into(), who, amount, Precision::Exact).map(|_| ())
}

/// Sends `amount` of `who` that is held for `reason` to the treasury.
///
/// Should the treasury's account not be able to take it, the money goes back to its owner: a hook must not leave a hold
/// behind that nothing records.
pub(crate) fn forfeit<T: Config>(reason: HoldReason, who: &T::AccountId, amount: u128) -> DispatchResult {
    if amount == 0 {
        return Ok(());
    }
    let sent = T::Currency::transfer_on_hold(
        &reason.into(),
        who,
        &T::Treasury::get(),
        amount,
        Precision::Exact,
        Restriction::Free,
        Fortitude::Force,
    );
    if sent.is_err() {
        defensive!("the treasury account cannot take a forfeited deposit");
        return release::<T>(reason, who, amount);
    }
    Ok(())
}
