//! Grants: given, used, revoked, pruned.

use crate::{
    checks, deposits,
    types::{Cause, Grant, GrantState, Licence, Scope, Terms},
    Config, Error, Event, Grants, HoldReason, Licences, NextGrant, Pallet, PruneNext,
};
use frame::{deps::sp_runtime::ArithmeticError, prelude::*};
use weft_traits::{Clock, DatanetId, GrantId, LicenceVersion};

impl<T: Config> Pallet<T> {
    /// Gives `who` a grant under the current licence.
    pub(crate) fn do_acquire(
        who: &T::AccountId,
        datanet: DatanetId,
        version: LicenceVersion,
        max_price: u128,
        scope: &Scope,
    ) -> Result<GrantId, DispatchError> {
        let licence = Self::offered(datanet, version).map_err(Error::<T>::from)?;
        Self::give(who, datanet, version, max_price, scope, &licence)
    }

    /// Checks `scope` against `licence` and stores the grant.
    pub(crate) fn give(
        who: &T::AccountId,
        datanet: DatanetId,
        version: LicenceVersion,
        max_price: u128,
        scope: &Scope,
        licence: &Licence<T::AccountId>,
    ) -> Result<GrantId, DispatchError> {
        checks::first::<T>(&Self::acquire_refusals(who, datanet, version, max_price, scope, licence))?;

        let id = NextGrant::<T>::get();
        NextGrant::<T>::put(id.checked_add(1).ok_or(ArithmeticError::Overflow)?);
        let deposit = T::GrantDeposit::get();
        deposits::hold::<T>(HoldReason::Grant, who, deposit)?;
        Grants::<T>::insert(id, Self::grant_of(who, datanet, version, scope, &licence.terms, deposit));
        Self::deposit_event(Event::Granted { grant: id, datanet, version, consumer: who.clone() });
        Ok(id)
    }

    /// The grant that `scope` of a licence makes.
    pub(crate) fn grant_of(
        who: &T::AccountId,
        datanet: DatanetId,
        version: LicenceVersion,
        scope: &Scope,
        terms: &Terms<T::AccountId>,
        deposit: u128,
    ) -> Grant<T::AccountId> {
        Grant {
            datanet,
            version,
            consumer: who.clone(),
            snapshots: scope.snapshots,
            base_models: scope.base_models.clone(),
            programs: scope.programs.clone(),
            purposes: scope.purposes,
            granted: scope.uses,
            left: scope.uses,
            in_flight: 0,
            used: 0,
            expiry: scope.expiry.or_else(|| Self::latest_end(terms)),
            state: GrantState::Active,
            deposit,
        }
    }

    /// Ends a grant for new jobs.
    pub(crate) fn do_revoke(who: &T::AccountId, id: GrantId, cause: Cause) -> DispatchResult {
        let mut grant = Grants::<T>::get(id).ok_or(Error::<T>::UnknownGrant)?;
        Self::ensure_owner(who, grant.datanet)?;
        ensure!(grant.state == GrantState::Active, Error::<T>::GrantNotActive);
        if cause == Cause::Convenience {
            let licence = Licences::<T>::get(grant.datanet, grant.version).ok_or(Error::<T>::NoLicence)?;
            ensure!(licence.terms.revocable, Error::<T>::NotRevocable);
        }
        grant.state = GrantState::Revoked(cause);
        Grants::<T>::insert(id, grant);
        Self::deposit_event(Event::Revoked { grant: id, cause });
        Ok(())
    }

    /// Whether the last clock value of a grant is over.
    pub(crate) fn is_expired(grant: &Grant<T::AccountId>) -> bool {
        grant.expiry.is_some_and(|end| T::Clock::now() > end)
    }

    /// Removes what no job can use any more, looking at no more than `limit` grants in turn. Returns how many it looked
    /// at.
    pub(crate) fn prune_some(limit: u32) -> u32 {
        let end = NextGrant::<T>::get();
        if end == 0 {
            return 0;
        }
        let looks = limit.min(end);
        let mut id = PruneNext::<T>::get();
        for _ in 0..looks {
            if id >= end {
                id = 0;
            }
            if let Some(grant) = Grants::<T>::get(id) {
                let over = grant.left == 0 || grant.state != GrantState::Active || Self::is_expired(&grant);
                if over && grant.in_flight == 0 && grant.state != GrantState::Requested {
                    Self::prune(id, &grant);
                }
            }
            id = id.saturating_add(1);
        }
        PruneNext::<T>::put(id);
        looks
    }

    fn prune(id: GrantId, grant: &Grant<T::AccountId>) {
        Grants::<T>::remove(id);
        // Bounded: a grant has at most 16 envelopes, and none while private Datanets are not built.
        let _ = crate::Envelopes::<T>::clear_prefix((id,), crate::types::MAX_ENVELOPES, None);
        if deposits::release::<T>(HoldReason::Grant, &grant.consumer, grant.deposit).is_err() {
            defensive!("a grant's deposit is not held");
        }
        Self::deposit_event(Event::Pruned { grant: id });
    }
}
