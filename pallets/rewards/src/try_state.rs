//! Invariants R1 to R4. R5, the issuance, spans the chain: tests compare it around every scenario.

use crate::{pallet::*, types::*};
use alloc::collections::BTreeMap;
use frame::{deps::sp_runtime::TryRuntimeError, prelude::*};
use fungible::{hold::Inspect as _, Inspect as _};
use tokens::{Fortitude, Preservation};
use weft_traits::{Amount, Epoch, ModelId};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of the README but R5.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut liabilities: Amount = 0;
        let mut owe = |amount: Option<Amount>| -> Result<(), TryRuntimeError> {
            let amount = amount.ok_or("R1: an amount overflows")?;
            liabilities = liabilities.checked_add(amount).ok_or("R1: liabilities overflow")?;
            Ok(())
        };
        for (model, epoch, revenue) in Revenue::<T>::iter() {
            if !Settlements::<T>::contains_key(model, epoch) {
                owe(total(&revenue))?;
            }
        }
        let mut bits: BTreeMap<(ModelId, Epoch, u32), u32> = BTreeMap::new();
        for ((model, epoch, part, _), chunk) in ClaimedBits::<T>::iter() {
            let count = bits.entry((model, epoch, part)).or_default();
            *count = count.saturating_add(chunk.count_due());
        }
        for (model, epoch, settlement) in Settlements::<T>::iter() {
            Self::check_shares(&settlement)?;
            for (position, part) in (0u32..).zip(settlement.parts.iter()) {
                owe(part.unclaimed())?;
                let set = bits.remove(&(model, epoch, position)).unwrap_or(0);
                ensure!(set == part.claimed_leaves, "R2: claimed leaves are not the bits set");
                ensure!(part.claimed_leaves <= part.leaves, "R2: more leaves claimed than there are");
                let complete = part.leaves > 0 && part.claimed_leaves == part.leaves;
                ensure!(!complete || part.claimed == part.contributors, "R2: a complete part is not paid out");
            }
        }
        ensure!(bits.is_empty(), "R2: bits of an unknown part");
        for (_, owed) in Owed::<T>::iter() {
            owe(Some(owed))?;
        }
        // The existential deposit of the pot is never paid out: it covers nothing.
        let pot = T::Currency::reducible_balance(&T::RevenuePot::get(), Preservation::Preserve, Fortitude::Polite);
        ensure!(pot >= liabilities, "R1: the pot does not cover fees, claims and debts");

        let mut budgets: BTreeMap<T::AccountId, Amount> = BTreeMap::new();
        for (consumer, _, budget) in Budgets::<T>::iter() {
            let sum = budgets.entry(consumer).or_default();
            *sum = sum.checked_add(budget.held).ok_or("R4: budgets overflow")?;
        }
        for (consumer, sum) in budgets {
            let held = T::Currency::balance_on_hold(&HoldReason::Budget.into(), &consumer);
            ensure!(held >= sum, "R4: a consumer's hold does not cover its budgets");
        }
        Ok(())
    }

    /// R3 of one settlement.
    fn check_shares(settlement: &Settlement<T::AccountId>) -> Result<(), TryRuntimeError> {
        if matches!(settlement.state, SettlementState::Rolled(_)) {
            let empty = settlement.parts.is_empty() && settlement.shares == FeeShares::default();
            ensure!(empty, "R3: a rolled epoch has shares");
            return Ok(());
        }
        ensure!(settlement.shares.sum() == Some(settlement.fees), "R3: shares do not sum to the fees");
        let data = settlement.parts.iter().try_fold(0u128, |sum, part| {
            sum.checked_add(part.contributors)?.checked_add(part.owner)?.checked_add(part.curators)
        });
        ensure!(data == Some(settlement.shares.data), "R3: parts do not sum to the data share");
        Ok(())
    }
}
