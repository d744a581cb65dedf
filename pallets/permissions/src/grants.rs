//! Grants: given, used, revoked, pruned.

use crate::{
    checks, deposits,
    types::{Cause, Grant, GrantState, Licence, Scope, Terms},
    Config, Error, Event, Grants, HoldReason, Licences, NextGrant, Pallet, Params, PruneAfter,
};
use alloc::vec::Vec;
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
        let deposit = Params::<T>::get().grant_deposit;
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
        Self::deposit_event(Event::Revoked { grant: id, cause });
        Self::keep_or_prune(id, grant);
        Ok(())
    }

    /// Removes a grant that no job can use and none holds; its consumer may give up one that jobs could still use.
    pub(crate) fn do_prune(who: &T::AccountId, id: GrantId) -> DispatchResult {
        let grant = Grants::<T>::get(id).ok_or(Error::<T>::UnknownGrant)?;
        let given_up = grant.consumer == *who && grant.in_flight == 0 && grant.state == GrantState::Active;
        ensure!(given_up || Self::is_done(&grant), Error::<T>::GrantInUse);
        Self::remove(id, &grant);
        Ok(())
    }

    /// Stores a changed grant, or removes it when nothing can come of it any more: its deposit is free at once.
    pub(crate) fn keep_or_prune(id: GrantId, grant: Grant<T::AccountId>) {
        if Self::is_done(&grant) {
            Self::remove(id, &grant);
        } else {
            Grants::<T>::insert(id, grant);
        }
    }

    /// Whether data may go out under a grant.
    ///
    /// A job that runs finishes, whatever becomes of its grant; a new one needs an active grant that is not over.
    pub(crate) fn is_open(grant: &Grant<T::AccountId>) -> bool {
        grant.in_flight > 0 || (grant.state == GrantState::Active && !Self::is_expired(grant))
    }

    /// Whether no job can use a grant any more and none holds it. A request waits for its answer.
    fn is_done(grant: &Grant<T::AccountId>) -> bool {
        let over = grant.left == 0 || grant.state != GrantState::Active || Self::is_expired(grant);
        over && grant.in_flight == 0 && grant.state != GrantState::Requested
    }

    /// Whether the last clock value of a grant is over.
    pub(crate) fn is_expired(grant: &Grant<T::AccountId>) -> bool {
        grant.expiry.is_some_and(|end| T::Clock::now() > end)
    }

    /// Removes what no job can use any more, looking at no more than `limit` stored grants in turn. Returns how many it
    /// looked at.
    ///
    /// Only an expiry is left for it to find: a grant that is used up or revoked goes when its last job ends. A round
    /// follows the order of the storage, so removed grants cost nothing.
    pub(crate) fn prune_some(limit: u32) -> u32 {
        if limit == 0 {
            return 0;
        }
        let count = usize::try_from(limit).unwrap_or(usize::MAX);
        let stored = match PruneAfter::<T>::get() {
            Some(last) => Grants::<T>::iter_from(Grants::<T>::hashed_key_for(last)),
            None => Grants::<T>::iter(),
        };
        let found: Vec<_> = stored.take(count).collect();
        let looked = u32::try_from(found.len()).unwrap_or(u32::MAX);
        // A short round has reached the end; the next one begins at the front.
        PruneAfter::<T>::set(if looked < limit { None } else { found.last().map(|(id, _)| *id) });
        for (id, grant) in found {
            if Self::is_done(&grant) {
                Self::remove(id, &grant);
            }
        }
        looked
    }

    fn remove(id: GrantId, grant: &Grant<T::AccountId>) {
        Grants::<T>::remove(id);
        // Bounded: a grant has at most 16 envelopes, and none while private Datanets are not built.
        let _ = crate::Envelopes::<T>::clear_prefix((id,), crate::types::MAX_ENVELOPES, None);
        if deposits::release::<T>(HoldReason::Grant, &grant.consumer, grant.deposit).is_err() {
            defensive!("a grant's deposit is not held");
        }
        Self::deposit_event(Event::Pruned { grant: id });
    }
}
