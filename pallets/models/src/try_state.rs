//! Invariants M1 to M5.
//!
//! M5 spans two pallets (the states Assigned to Disputed have exactly one run with locked stake); the half seen from
//! here is that such a job has terms, and pallet-compute-oracles checks the other half.

use crate::pallet::*;
use alloc::collections::BTreeMap;
use frame::{deps::sp_runtime::TryRuntimeError, prelude::*, token::fungible::InspectHold};
use weft_protocol::job::JobState;
use weft_traits::Amount;

impl<T: Config> Pallet<T> {
    /// Checks every invariant of this pallet.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        Self::escrow_equals_holds()?;
        Self::splits_are_whole()?;
        Self::one_model_per_final_job()?;
        Self::parents_are_older()
    }

    /// M1: a builder's hold equals the escrow of its live jobs; base deposits likewise.
    fn escrow_equals_holds() -> Result<(), TryRuntimeError> {
        let mut escrow = BTreeMap::<[u8; 32], Amount>::new();
        for (_, job) in Jobs::<T>::iter() {
            let total = job.escrow.total().ok_or("M1: escrow overflows")?;
            ensure!(!job.state.is_terminal() || total == 0, "M1: an ended job keeps escrow");
            let entry = escrow.entry(job.builder.into()).or_default();
            *entry = entry.saturating_add(total);
        }
        for (who, total) in escrow {
            let held = T::Currency::balance_on_hold(&HoldReason::Escrow.into(), &who.into());
            ensure!(held == total, "M1: a builder's hold differs from the escrow of its jobs");
        }
        let mut deposits = BTreeMap::<[u8; 32], Amount>::new();
        for (_, base) in BaseModels::<T>::iter() {
            if let Some(who) = base.registrant {
                let entry = deposits.entry(who.into()).or_default();
                *entry = entry.saturating_add(base.deposit);
            }
        }
        for (who, total) in deposits {
            let held = T::Currency::balance_on_hold(&HoldReason::BaseDeposit.into(), &who.into());
            ensure!(held == total, "M1: a registrant's hold differs from its deposits");
        }
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
                minted = minted.saturating_add(1);
            }
            let recipe = Recipes::<T>::contains_key(id);
            let dropped = matches!(job.state, JobState::Cancelled | JobState::Expired);
            ensure!(recipe != dropped, "M3: a recipe is missing, or kept for nothing");
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
}
