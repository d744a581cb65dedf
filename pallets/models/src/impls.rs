//! Implementations of the traits through which other pallets see jobs and models.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use codec::DecodeAll;
use frame::prelude::*;
use weft_protocol::{
    job::{JobEvent, JobState},
    recipe::Recipe,
};
use weft_traits::{
    Amount, DatanetId, JobControl, JobId, LicenceVersion, ModelId, ModelInspect, ModelTerms, RecipeInspect, RunResult,
    RunTerms,
};

impl<T: Config> JobControl<T::AccountId> for Pallet<T> {
    fn terms(job: JobId) -> Option<RunTerms<T::AccountId>> {
        let stored = Jobs::<T>::get(job).filter(|stored| !stored.state.is_terminal())?;
        Some(RunTerms {
            builder: stored.builder,
            spec_hash: stored.spec_hash,
            sem_id: stored.sem_id,
            steps: stored.steps,
            records: stored.records,
            tier: stored.tier,
            method: stored.method,
            fee: stored.fee,
            verification: stored.verification,
            value: stored.value,
            blocks: stored.blocks,
            datanets: stored.inputs.iter().map(|input| input.datanet).collect(),
        })
    }

    fn state(job: JobId) -> Option<JobState> {
        Some(Jobs::<T>::get(job)?.state)
    }

    fn advance(job: JobId, event: JobEvent, deadline: Option<u32>) -> DispatchResult {
        let stored = Jobs::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
        // An open job past its limit can only expire.
        ensure!(stored.state != JobState::Open || !Self::is_past(stored.deadline), Error::<T>::WrongState);
        // The events that end a run with money for its oracle go through `finalise`.
        ensure!(!matches!(event, JobEvent::WindowPassed | JobEvent::WindowPassedDiverged), Error::<T>::WrongState);
        Self::transit(job, event, deadline)
    }

    fn pay_verifier(job: JobId, who: &T::AccountId, amount: Amount) -> DispatchResult {
        Jobs::<T>::try_mutate(job, |stored| {
            let stored = stored.as_mut().ok_or(Error::<T>::UnknownJob)?;
            stored.escrow.verification =
                stored.escrow.verification.checked_sub(amount).ok_or(Error::<T>::EscrowTooLow)?;
            Self::pay_held(&stored.builder, who, amount)
        })
    }

    fn finalise(job: JobId, result: RunResult<T::AccountId>) -> Result<Option<ModelId>, DispatchError> {
        Self::do_finalise(job, result)
    }

    fn forget(job: JobId) {
        if Jobs::<T>::get(job).is_some_and(|stored| matches!(stored.state, JobState::Failed(_))) {
            Recipes::<T>::remove(job);
        }
    }
}

impl<T: Config> ModelInspect<T::AccountId> for Pallet<T> {
    fn model(model: ModelId) -> Option<ModelTerms<T::AccountId>> {
        let stored = Models::<T>::get(model)?;
        Some(ModelTerms {
            owner: stored.owner,
            oracle: stored.run.oracle,
            split: stored.split,
            minted: stored.minted,
            sem_id: stored.sem_id,
            listed: stored.status == ModelStatus::Listed,
        })
    }

    fn prices(model: ModelId, version: u32) -> Option<(Amount, Amount)> {
        use weft_traits::Clock;
        let price = Prices::<T>::get(model, version).filter(|price| price.from <= T::Clock::now())?;
        Some((price.input, price.output))
    }

    fn licence_version(model: ModelId, datanet: DatanetId) -> Option<LicenceVersion> {
        let job = Jobs::<T>::get(Models::<T>::get(model)?.job)?;
        job.inputs.iter().find(|input| input.datanet == datanet).map(|input| input.version)
    }
}

impl<T: Config> RecipeInspect for Pallet<T> {
    fn recipe(job: JobId) -> Option<Recipe> {
        let bytes: Vec<u8> = Recipes::<T>::get(job)?.into_inner();
        Recipe::decode_all(&mut &bytes[..]).ok()
    }
}
