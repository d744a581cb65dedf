//! Licences: checked, stored under the next version, never changed.

use crate::{
    deposits,
    types::{Approval, Licence, OnRevoke, Reciprocity, Terms, MILLION},
    Config, Current, Error, Event, HoldReason, Licences, Pallet, Params,
};
use frame::{deps::sp_runtime::ArithmeticError, prelude::*};
use weft_protocol::licence::{purpose, MAX_BASE_PPM};
use weft_traits::{Clock, DatanetId, DatanetInspect, LicenceVersion};

impl<T: Config> Pallet<T> {
    /// Stores the next version of a Datanet's licence.
    pub(crate) fn do_set_licence(who: T::AccountId, datanet: DatanetId, terms: Terms<T::AccountId>) -> DispatchResult {
        Self::ensure_owner(&who, datanet)?;
        ensure!(T::Datanets::is_open(datanet), Error::<T>::DatanetClosed);
        Self::ensure_built(&terms)?;
        Self::ensure_sound(&terms)?;
        let version = Current::<T>::get(datanet).unwrap_or_default().checked_add(1).ok_or(ArithmeticError::Overflow)?;
        let deposit = Params::<T>::get().licence_deposit;
        deposits::hold::<T>(HoldReason::Licence, &who, deposit)?;
        let licence = Licence { terms, setter: who, deposit, block: T::Clock::now() };
        Licences::<T>::insert(datanet, version, licence);
        Current::<T>::insert(datanet, version);
        Self::deposit_event(Event::LicenceSet { datanet, version });
        Ok(())
    }

    /// The current version and its terms.
    pub(crate) fn current(datanet: DatanetId) -> Option<(LicenceVersion, Licence<T::AccountId>)> {
        let version = Current::<T>::get(datanet)?;
        Licences::<T>::get(datanet, version).map(|licence| (version, licence))
    }

    /// Checks that `who` owns the Datanet.
    pub(crate) fn ensure_owner(who: &T::AccountId, datanet: DatanetId) -> DispatchResult {
        let owner = T::Datanets::owner(datanet).ok_or(Error::<T>::UnknownDatanet)?;
        ensure!(owner == *who, Error::<T>::NotOwner);
        Ok(())
    }

    /// Refuses by name what is not built: nobody must believe that a term binds which nothing enforces.
    fn ensure_built(terms: &Terms<T::AccountId>) -> DispatchResult {
        ensure!(terms.approval == Approval::Open, Error::<T>::ApprovalNotBuilt);
        ensure!(terms.reciprocity == Reciprocity::None, Error::<T>::ReciprocityNotBuilt);
        ensure!(terms.trusted.is_empty(), Error::<T>::TrustedOraclesNotBuilt);
        ensure!(terms.on_revoke == OnRevoke::KeepServing, Error::<T>::StopServingNotBuilt);
        Ok(())
    }

    fn ensure_sound(terms: &Terms<T::AccountId>) -> DispatchResult {
        ensure!(purpose::is_valid(terms.purposes), Error::<T>::PurposesInvalid);
        ensure!(!terms.name.is_empty() && core::str::from_utf8(&terms.name).is_ok(), Error::<T>::LicenceNameInvalid);
        ensure!(Self::shares_are_whole(terms), Error::<T>::SharesNotWhole);
        let pool = terms.pool;
        ensure!(pool.min_ppm <= pool.max_ppm && pool.max_ppm <= MILLION, Error::<T>::PoolOutOfRange);
        ensure!(terms.base_ppm <= MAX_BASE_PPM, Error::<T>::BasePartTooLarge);
        ensure!(terms.max_uses > 0 && terms.duration != Some(0), Error::<T>::NothingGranted);
        Ok(())
    }

    /// Whether contributors', owner's and curators' shares are a whole.
    pub(crate) fn shares_are_whole(terms: &Terms<T::AccountId>) -> bool {
        let s = terms.shares;
        s.contributors.checked_add(s.owner).and_then(|sum| sum.checked_add(s.curators)) == Some(MILLION)
    }
}
