//! Grants as the other pallets use them.

use crate::{checks, Config, Error, Grants, Licences, Pallet, WeightInfo};
use alloc::vec::Vec;
use frame::{
    deps::{frame_support::storage::with_storage_layer, sp_runtime::ArithmeticError},
    prelude::*,
};
use weft_traits::{
    DatanetId, GrantId, GrantRef, JobInput, JobScope, LicenceVersion, PartShares, PermissionCheck, ResolvedGrant,
};

impl<T: Config> PermissionCheck<T::AccountId> for Pallet<T> {
    fn consume(who: &T::AccountId, scope: &JobScope, inputs: &[JobInput]) -> Result<Vec<ResolvedGrant>, DispatchError> {
        // The caller may go on after an error, so that nothing of a refused job must stay.
        with_storage_layer(|| {
            let ascend = inputs.iter().zip(inputs.iter().skip(1)).all(|(a, b)| a.datanet < b.datanet);
            ensure!(ascend, Error::<T>::InputsUnordered);
            inputs.iter().map(|input| Self::consume_one(who, scope, input)).collect()
        })
    }

    fn settle(grants: &[GrantId]) {
        for id in grants {
            match Grants::<T>::get(id) {
                Some(mut grant) if grant.in_flight > 0 => {
                    grant.in_flight = grant.in_flight.saturating_sub(1);
                    grant.used = grant.used.saturating_add(1);
                    Self::keep_or_prune(*id, grant);
                }
                _ => {
                    defensive!("a grant without use in flight is settled");
                }
            }
        }
    }

    fn restore(grants: &[GrantId]) {
        for id in grants {
            match Grants::<T>::get(id) {
                Some(mut grant) if grant.in_flight > 0 => {
                    grant.in_flight = grant.in_flight.saturating_sub(1);
                    grant.left = grant.left.saturating_add(1);
                    Self::keep_or_prune(*id, grant);
                }
                _ => {
                    defensive!("a grant without use in flight is restored");
                }
            }
        }
    }

    fn is_live(grant: GrantId) -> bool {
        Grants::<T>::get(grant).is_some_and(|grant| Self::is_open(&grant))
    }

    fn consume_weight(inputs: u32) -> Weight {
        T::WeightInfo::consume().saturating_mul(u64::from(inputs))
    }

    fn end_weight(grants: u32) -> Weight {
        T::WeightInfo::prune().saturating_mul(u64::from(grants))
    }

    fn shares(datanet: DatanetId, version: LicenceVersion) -> Option<PartShares> {
        Licences::<T>::get(datanet, version).map(|licence| licence.terms.shares)
    }

    #[cfg(feature = "std")]
    fn put_for_tests(who: &T::AccountId, datanet: DatanetId) -> GrantId {
        use crate::{types::*, Current, NextGrant};
        use weft_protocol::licence::purpose;
        let terms = Terms {
            purposes: purpose::ALL,
            name: Default::default(),
            text: Default::default(),
            price: 0,
            pool: PoolRange { min_ppm: 400_000, max_ppm: 400_000 },
            base_ppm: 200_000,
            shares: PartShares { contributors: 800_000, owner: 100_000, curators: 100_000 },
            max_uses: u32::MAX,
            duration: None,
            base_models: Allowed::Any,
            programs: Allowed::Any,
            attribution: false,
            approval: Approval::Open,
            reciprocity: Reciprocity::None,
            trusted: Default::default(),
            revocable: true,
            on_revoke: OnRevoke::KeepServing,
        };
        let scope = Self::whole_scope(&terms, purpose::ALL, u32::MAX);
        let id = NextGrant::<T>::mutate(|next| {
            let id = *next;
            *next = next.saturating_add(1);
            id
        });
        Grants::<T>::insert(id, Self::grant_of(who, datanet, 1, &scope, &terms, 0));
        Licences::<T>::insert(datanet, 1, Licence { terms, setter: who.clone(), deposit: 0, block: 0 });
        Current::<T>::insert(datanet, 1);
        id
    }
}

impl<T: Config> Pallet<T> {
    fn consume_one(who: &T::AccountId, scope: &JobScope, input: &JobInput) -> Result<ResolvedGrant, DispatchError> {
        let id = match &input.grant {
            GrantRef::Held(id) => *id,
            GrantRef::Acquire { version, max_price, purpose, uses } => {
                let licence = Self::offered(input.datanet, *version).map_err(Error::<T>::from)?;
                let asked = Self::whole_scope(&licence.terms, *purpose, *uses);
                Self::give(who, input.datanet, *version, *max_price, &asked, &licence)?
            }
        };
        let mut grant = Grants::<T>::get(id).ok_or(Error::<T>::UnknownGrant)?;
        checks::first::<T>(&Self::use_refusals(who, scope, input, &grant))?;
        let terms = Licences::<T>::get(grant.datanet, grant.version).ok_or(Error::<T>::NoLicence)?.terms;
        grant.left = grant.left.checked_sub(1).ok_or(Error::<T>::GrantExhausted)?;
        grant.in_flight = grant.in_flight.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        let resolved = ResolvedGrant {
            datanet: input.datanet,
            snapshot: input.snapshot,
            grant: id,
            version: grant.version,
            price: terms.price,
            pool: (terms.pool.min_ppm, terms.pool.max_ppm),
            base_ppm: terms.base_ppm,
            purposes: grant.purposes,
            expiry: grant.expiry,
            attribution_required: terms.attribution,
        };
        Grants::<T>::insert(id, grant);
        Ok(resolved)
    }
}
