//! Invariants M1 to M5, and the half of A2 that is seen from here: every model has training weights.
//!
//! M5 spans two pallets: the jobs in the states Assigned to Disputed, and no others, have a run that has not ended. Both
//! sides check it; that the run's stake is locked is the other pallet's part.

use crate::pallet::*;
use alloc::collections::BTreeMap;
use frame::{deps::sp_runtime::TryRuntimeError, prelude::*, token::fungible::InspectHold};
use weft_protocol::job::JobState;
use weft_traits::{Amount, AttributionBook, RunControl};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of this pallet.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        Self::escrow_equals_holds()?;
        Self::splits_are_whole()?;
        Self::one_model_per_final_job()?;
        Self::parents_are_older()?;
        Self::running_jobs_have_runs()
    }

    /// M1: what an account has on hold is the escrow of its live jobs and its base deposits, for each account of the chain.
    fn escrow_equals_holds() -> Result<(), TryRuntimeError> {
        // In the order of `HoldReason`. Series are not built: nothing may be held for them.
        let reasons = [HoldReason::Escrow, HoldReason::BaseDeposit, HoldReason::SeriesDeposit];
        let mut recorded = BTreeMap::<[u8; 32], [Amount; 3]>::new();
        for (_, job) in Jobs::<T>::iter() {
            let total = job.escrow.total().ok_or("M1: escrow overflows")?;
            ensure!(!job.state.is_terminal() || total == 0, "M1: an ended job keeps escrow");
            let [escrow, ..] = recorded.entry(job.builder.into()).or_default();
            *escrow = escrow.saturating_add(total);
        }
        for (_, base) in BaseModels::<T>::iter() {
            if let Some(who) = base.registrant {
                let [_, deposit, _] = recorded.entry(who.into()).or_default();
                *deposit = deposit.saturating_add(base.deposit);
            }
        }
        for who in frame_system::Account::<T>::iter_keys() {
            let key: [u8; 32] = who.clone().into();
            let amounts = recorded.remove(&key).unwrap_or_default();
            for (reason, amount) in reasons.iter().zip(amounts) {
                let held = T::Currency::balance_on_hold(&(*reason).into(), &who);
                ensure!(held == amount, "M1: a hold differs from escrow and deposits");
            }
        }
        let nobody = recorded.values().all(|amounts| amounts.iter().all(|amount| *amount == 0));
        ensure!(nobody, "M1: a hold differs from escrow and deposits");
        Ok(())
    }

    /// M2: every split sums to one million.
    fn splits_are_whole() -> Result<(), TryRuntimeError> {
        ensure!(Jobs::<T>::iter().all(|(_, job)| job.split.is_whole()), "M2: a job's split is not whole");
        ensure!(Models::<T>::iter().all(|(_, model)| model.split.is_whole()), "M2: a model's split is not whole");
        Ok(())
    }

    /// M3: one model per Final job, none otherwise.
    fn one_model_per_final_job() -> Result<(), TryRuntimeError> {
        let mut minted = 0u32;
        for (id, job) in Jobs::<T>::iter() {
            ensure!(job.model.is_some() == (job.state == JobState::Final), "M3: state and model of a job disagree");
            if let Some(model) = job.model {
                let stored = Models::<T>::get(model).ok_or("M3: a Final job's model is missing")?;
                ensure!(stored.job == id, "M3: a model names another job");
                ensure!(T::Attribution::training(model).is_some(), "A2: a model has no training weights");
                minted = minted.saturating_add(1);
            }
            let recipe = Recipes::<T>::contains_key(id);
            let dropped = matches!(job.state, JobState::Cancelled | JobState::Expired);
            // A failed job keeps its recipe as long as its run is kept.
            let either = matches!(job.state, JobState::Failed(_));
            ensure!(either || recipe != dropped, "M3: a recipe is missing, or kept for nothing");
        }
        let models = u32::try_from(Models::<T>::iter_keys().count()).unwrap_or(u32::MAX);
        ensure!(models == minted && models == NextModel::<T>::get(), "M3: a model has no Final job");
        Ok(())
    }

    /// M4: a parent is older than its child.
    fn parents_are_older() -> Result<(), TryRuntimeError> {
        for (id, model) in Models::<T>::iter() {
            ensure!(model.lineage.iter().all(|parent| *parent < id), "M4: a parent is younger than its child");
        }
        Ok(())
    }

    /// M5: jobs from Assigned to Disputed have a run that has not ended, and no other has one.
    fn running_jobs_have_runs() -> Result<(), TryRuntimeError> {
        for (id, job) in Jobs::<T>::iter() {
            ensure!(T::Runs::is_running(id) == job.state.has_run(), "M5: a job's state and its run disagree");
        }
        Ok(())
    }
}
