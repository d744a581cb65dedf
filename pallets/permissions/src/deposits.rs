//! Holds of licences and grants.

use crate::{Config, HoldReason};
use frame::{
    deps::frame_support::traits::{fungible::MutateHold, tokens::Precision},
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
