//! What a run leaves: the minted model, its money, its prices.

use crate::{jobs, pallet::*, types::*};
use alloc::vec::Vec;
use frame::{
    prelude::*,
    token::{fungible::hold::Mutate, tokens::Restriction, Fortitude, Precision},
};
use weft_protocol::job::JobEvent;
use weft_traits::{
    Amount, AttributionBook, Clock, JobId, LicencePart, ModelId, PermissionCheck, RevenueSink, RunResult,
    TrainingWeights,
};

impl<T: Config> Pallet<T> {
    /// Pays and mints, or ends a diverged run.
    pub(crate) fn do_finalise(job: JobId, result: RunResult<T::AccountId>) -> Result<Option<ModelId>, DispatchError> {
        let mut stored = Jobs::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
        let event = if result.opening.is_some() { JobEvent::WindowPassed } else { JobEvent::WindowPassedDiverged };
        let state = stored.state.next(event).map_err(|_| Error::<T>::WrongState)?;
        stored.state = state;
        stored.deadline = None;
        let grants: Vec<_> = stored.inputs.iter().map(|input| input.grant).collect();
        let model = match result.opening {
            Some(_) => {
                let fee = core::mem::take(&mut stored.escrow.fee);
                Self::pay_held(&stored.builder, &result.oracle, fee)?;
                T::Permissions::settle(&grants);
                let model = Self::mint(job, &mut stored, result)?;
                Some(model)
            }
            None => {
                let fee = jobs::part(stored.escrow.fee, Params::<T>::get().diverged_ppm);
                stored.escrow.fee = stored.escrow.fee.checked_sub(fee).ok_or(ArithmeticError::Underflow)?;
                Self::pay_held(&stored.builder, &result.oracle, fee)?;
                T::Permissions::restore(&grants);
                None
            }
        };
        Self::release(job, &mut stored)?;
        stored.model = model;
        Jobs::<T>::insert(job, stored);
        Self::deposit_event(Event::JobAdvanced { job, state });
        Ok(model)
    }

    /// Moves held escrow to another account's free balance.
    pub(crate) fn pay_held(builder: &T::AccountId, to: &T::AccountId, amount: Amount) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        let reason = HoldReason::Escrow.into();
        if builder == to {
            T::Currency::release(&reason, builder, amount, Precision::Exact)?;
        } else {
            T::Currency::transfer_on_hold(
                &reason,
                builder,
                to,
                amount,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )?;
        }
        Ok(())
    }

    fn mint(
        job: JobId,
        stored: &mut Job<T::AccountId>,
        result: RunResult<T::AccountId>,
    ) -> Result<ModelId, DispatchError> {
        let opening = result.opening.ok_or(Error::<T>::WrongState)?;
        let model = NextModel::<T>::get();
        NextModel::<T>::put(model.checked_add(1).ok_or(ArithmeticError::Overflow)?);
        let parts: BoundedVec<_, ConstU32<MAX_INPUTS>> =
            opening.parts.to_vec().try_into().map_err(|_| Error::<T>::AmountTooLarge)?;
        T::Attribution::record(
            model,
            TrainingWeights {
                method: opening.method,
                cotangent: opening.cotangent,
                x: opening.x,
                r0: opening.r0,
                extra: opening.extra,
                parts: parts.to_vec(),
            },
        )?;
        let now = T::Clock::now();
        Models::<T>::insert(
            model,
            Model {
                owner: stored.builder.clone(),
                successor: None,
                job,
                base: stored.base,
                lineage: Default::default(),
                state: opening.s_n,
                file_len: opening.file_len,
                file_pages: opening.file_pages,
                terms: stored.terms,
                split: stored.split,
                value: stored.value,
                price_version: 0,
                status: ModelStatus::Listed,
                series: None,
                version: 0,
                minted: now,
                sem_id: stored.sem_id,
                run: ModelRun {
                    oracle: result.oracle,
                    beacon: result.beacon,
                    seed: result.seed,
                    commit: result.commit,
                    secret: result.secret,
                    artifacts: opening.artifacts,
                    method: opening.method,
                    cotangent: opening.cotangent,
                    x: opening.x,
                    r0: opening.r0,
                    parts,
                    extra: opening.extra,
                },
            },
        );
        Prices::<T>::insert(model, 0, Price { input: 0, output: 0, from: now });

        // The money stands in the pot before the settlement is opened over it.
        let licence = core::mem::take(&mut stored.escrow.licence);
        Self::pay_held(&stored.builder, &T::Revenue::pot(), licence)?;
        let paid: Vec<_> = stored
            .inputs
            .iter()
            .map(|input| LicencePart { datanet: input.datanet, version: input.version, amount: input.price })
            .collect();
        T::Revenue::licence_paid(model, &paid)?;
        Self::deposit_event(Event::ModelMinted { model, job, owner: stored.builder.clone() });
        Ok(model)
    }

    /// Adds a price version.
    pub(crate) fn do_set_prices(who: T::AccountId, model: ModelId, input: Amount, output: Amount) -> DispatchResult {
        let mut stored = Models::<T>::get(model).ok_or(Error::<T>::UnknownModel)?;
        ensure!(stored.owner == who, Error::<T>::NotModelOwner);
        let now = T::Clock::now();
        let newest = Prices::<T>::get(model, stored.price_version).ok_or(Error::<T>::UnknownModel)?;
        ensure!(newest.from <= now, Error::<T>::PriceNoticePending);
        let version = stored.price_version.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        if let Some(oldest) = version.checked_sub(MAX_PRICES) {
            // A version is out of force since the next one holds. Vouchers that name it must have time to be redeemed.
            let next = Prices::<T>::get(model, oldest.saturating_add(1)).map_or(now, |price| price.from);
            let free = next.saturating_add(T::Clock::day().saturating_mul(PRICE_DAYS));
            ensure!(now >= free, Error::<T>::TooManyPrices);
            Prices::<T>::remove(model, oldest);
        }
        let from = now.saturating_add(Params::<T>::get().price_notice);
        stored.price_version = version;
        Models::<T>::insert(model, stored);
        Prices::<T>::insert(model, version, Price { input, output, from });
        Self::deposit_event(Event::PricesSet { model, version, input, output, from });
        Ok(())
    }

    /// The newest price version whose notice is over.
    pub(crate) fn price_in_force(model: ModelId, newest: u32) -> Option<(u32, Price)> {
        let now = T::Clock::now();
        let price = Prices::<T>::get(model, newest)?;
        if price.from <= now {
            return Some((newest, price));
        }
        // Only the newest version can be pending: a second one is refused until it holds.
        let before = newest.checked_sub(1)?;
        Some((before, Prices::<T>::get(model, before)?))
    }
}
