//! Invariants of the stored state.

use crate::{types::MILLION, Config, Current, Envelopes, Grants, HoldReason, Licences, NextGrant, Pallet};
use alloc::collections::BTreeMap;
use frame::{
    deps::sp_runtime::{ArithmeticError, DispatchError},
    prelude::*,
    traits::fungible::InspectHold,
};

type Check = Result<(), DispatchError>;

impl<T: Config> Pallet<T> {
    /// Checks every invariant.
    pub(crate) fn do_try_state() -> Check {
        Self::check_uses()?;
        Self::check_licences()?;
        Self::check_versions()?;
        Self::check_deposits()?;
        Self::check_envelopes()
    }

    /// P1: used + in flight + left = granted.
    fn check_uses() -> Check {
        for (id, grant) in Grants::<T>::iter() {
            let sum = grant.used.checked_add(grant.in_flight).and_then(|sum| sum.checked_add(grant.left));
            ensure!(sum == Some(grant.granted), "P1: uses do not add up to what was granted");
            ensure!(id < NextGrant::<T>::get(), "P1: a grant beyond the next number");
        }
        Ok(())
    }

    /// P2: the shares of a licence sum to 1,000,000, and its pool is a range.
    fn check_licences() -> Check {
        for licence in Licences::<T>::iter_values() {
            ensure!(Self::shares_are_whole(&licence.terms), "P2: shares are not a whole");
            let pool = licence.terms.pool;
            ensure!(pool.min_ppm <= pool.max_ppm && pool.max_ppm <= MILLION, "P2: a data pool is no range");
        }
        Ok(())
    }

    /// P3: every grant's version exists, and versions run from 1 to the current one.
    fn check_versions() -> Check {
        for grant in Grants::<T>::iter_values() {
            ensure!(Licences::<T>::contains_key(grant.datanet, grant.version), "P3: a grant without licence");
        }
        for (datanet, current) in Current::<T>::iter() {
            for version in 1..=current {
                ensure!(Licences::<T>::contains_key(datanet, version), "P3: a version is missing");
            }
        }
        for (datanet, version) in Licences::<T>::iter_keys() {
            let known = (1..=Current::<T>::get(datanet).unwrap_or_default()).contains(&version);
            ensure!(known, "P3: a version beyond the current one");
        }
        Ok(())
    }

    /// P4: what is held equals what is recorded, for each account of the chain and each reason.
    fn check_deposits() -> Check {
        // In the order of `HoldReason`. Allow lists and requests are not built: nothing may be held for them.
        let reasons = [HoldReason::Licence, HoldReason::Grant, HoldReason::AllowList, HoldReason::Request];
        let mut recorded: BTreeMap<T::AccountId, [u128; 4]> = BTreeMap::new();
        for licence in Licences::<T>::iter_values() {
            let [held, ..] = recorded.entry(licence.setter).or_default();
            *held = held.checked_add(licence.deposit).ok_or(ArithmeticError::Overflow)?;
        }
        for grant in Grants::<T>::iter_values() {
            let [_, held, ..] = recorded.entry(grant.consumer).or_default();
            *held = held.checked_add(grant.deposit).ok_or(ArithmeticError::Overflow)?;
        }
        for who in frame_system::Account::<T>::iter_keys() {
            let amounts = recorded.remove(&who).unwrap_or_default();
            for (reason, amount) in reasons.iter().zip(amounts) {
                let held = T::Currency::balance_on_hold(&(*reason).into(), &who);
                ensure!(held == amount, "P4: holds are not the recorded deposits");
            }
        }
        let nobody = recorded.values().all(|amounts| amounts.iter().all(|amount| *amount == 0));
        ensure!(nobody, "P4: holds are not the recorded deposits");
        Ok(())
    }

    /// P5: each envelope belongs to a stored grant.
    fn check_envelopes() -> Check {
        for (grant, _, _) in Envelopes::<T>::iter_keys() {
            ensure!(Grants::<T>::contains_key(grant), "P5: an envelope without grant");
        }
        Ok(())
    }
}
