//! Datanets and their curators.

use crate::{
    deposits,
    types::{CuratorList, Datanet, Kind, Name, Rule, Status, MAX_CURATORS},
    Config, Curators, Datanets, Error, Event, HoldReason, NextDatanet, Pallet, Params,
};
use frame::{deps::sp_runtime::ArithmeticError, prelude::*};
use weft_protocol::{hash::Hash, mmr::Mmr};
use weft_traits::{Clock, DatanetId};

impl<T: Config> Pallet<T> {
    /// Stores a new Datanet and holds its deposit.
    pub(crate) fn do_create(
        owner: T::AccountId,
        kind: Kind,
        schema: u32,
        name: Name,
        card: Hash,
        rule: Rule,
    ) -> DispatchResult {
        ensure!(!name.is_empty() && core::str::from_utf8(&name).is_ok(), Error::<T>::NameInvalid);
        Self::ensure_rule(rule)?;
        let datanet = NextDatanet::<T>::get();
        NextDatanet::<T>::put(datanet.checked_add(1).ok_or(ArithmeticError::Overflow)?);
        let deposit = Params::<T>::get().datanet_deposit;
        deposits::hold::<T>(HoldReason::Datanet, &owner, deposit)?;
        Datanets::<T>::insert(
            datanet,
            Datanet {
                owner: owner.clone(),
                successor: None,
                kind,
                schema,
                status: Status::Open,
                rule,
                name,
                card,
                deposit,
                key_version: 0,
                created: T::Clock::now(),
                leaves: 0,
                tombstones: 0,
                records: 0,
                bytes: 0,
                root: Mmr::default().snapshot_root(),
                contributions: 0,
                snapshots: 0,
                reserves: 0,
                open: 0,
                pending: 0,
                curators_version: 0,
            },
        );
        Self::deposit_event(Event::Created { datanet, owner, kind, deposit });
        Ok(())
    }

    /// Replaces the curators. Votes on undecided contributions start again, since a position means another account now.
    pub(crate) fn do_set_curators(
        who: &T::AccountId,
        datanet: DatanetId,
        list: CuratorList<T::AccountId>,
    ) -> DispatchResult {
        let mut net = Self::owned(who, datanet)?;
        let distinct = list.iter().enumerate().all(|(i, a)| !list.iter().take(i).any(|b| a == b));
        ensure!(distinct, Error::<T>::DuplicateCurator);
        net.curators_version = net.curators_version.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        Datanets::<T>::insert(datanet, net);
        Curators::<T>::insert(datanet, list);
        Self::deposit_event(Event::Updated { datanet });
        Ok(())
    }

    /// The Datanet, if it exists.
    pub(crate) fn existing(datanet: DatanetId) -> Result<Datanet<T::AccountId>, DispatchError> {
        Datanets::<T>::get(datanet).ok_or_else(|| Error::<T>::UnknownDatanet.into())
    }

    /// The Datanet, if it takes contributions.
    pub(crate) fn open(datanet: DatanetId) -> Result<Datanet<T::AccountId>, DispatchError> {
        let net = Self::existing(datanet)?;
        ensure!(net.status == Status::Open, Error::<T>::DatanetClosed);
        Ok(net)
    }

    /// The Datanet, if `who` owns it.
    fn owned(who: &T::AccountId, datanet: DatanetId) -> Result<Datanet<T::AccountId>, DispatchError> {
        let net = Self::existing(datanet)?;
        ensure!(net.owner == *who, Error::<T>::NotOwner);
        Ok(net)
    }

    fn ensure_rule(rule: Rule) -> DispatchResult {
        match rule {
            Rule::Owner => Ok(()),
            Rule::Threshold(k) => {
                ensure!((1..=MAX_CURATORS).contains(&u32::from(k)), Error::<T>::RuleInvalid);
                Ok(())
            }
            Rule::MinScore(_) | Rule::Optimistic(_) => Err(Error::<T>::RuleNotBuilt.into()),
        }
    }
}
