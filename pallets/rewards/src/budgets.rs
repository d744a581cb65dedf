//! Budgets: money on hold for one oracle.

use crate::{pallet::*, types::*};
use frame::prelude::*;
use fungible::hold::Mutate as _;
use tokens::Precision;
use weft_traits::{Amount, Clock, OracleInspect};

impl<T: Config> Pallet<T> {
    /// Puts `amount` on hold for an oracle that is registered.
    pub(crate) fn do_open_budget(who: T::AccountId, oracle: T::AccountId, amount: Amount) -> DispatchResult {
        ensure!(amount > 0, Error::<T>::AmountZero);
        ensure!(T::Oracles::signing_key(&oracle).is_some(), Error::<T>::NotServing);
        ensure!(!Budgets::<T>::contains_key(&who, &oracle), Error::<T>::BudgetExists);
        T::Currency::hold(&HoldReason::Budget.into(), &who, amount)?;
        Budgets::<T>::insert(&who, &oracle, Budget { held: amount, spent: 0, unlock: None });
        Self::deposit_event(Event::BudgetOpened { consumer: who, oracle, amount, held: amount });
        Ok(())
    }

    /// Adds `amount` to an open budget.
    pub(crate) fn do_top_up(who: T::AccountId, oracle: T::AccountId, amount: Amount) -> DispatchResult {
        ensure!(amount > 0, Error::<T>::AmountZero);
        let held = Budgets::<T>::try_mutate(&who, &oracle, |budget| {
            let budget = budget.as_mut().ok_or(Error::<T>::BudgetMissing)?;
            ensure!(budget.unlock.is_none(), Error::<T>::BudgetClosing);
            budget.held = budget.held.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
            Ok::<_, DispatchError>(budget.held)
        })?;
        T::Currency::hold(&HoldReason::Budget.into(), &who, amount)?;
        Self::deposit_event(Event::BudgetOpened { consumer: who, oracle, amount, held });
        Ok(())
    }

    /// Starts the unlock time of a budget. Vouchers are redeemed from it until it is withdrawn.
    pub(crate) fn do_close_budget(who: T::AccountId, oracle: T::AccountId) -> DispatchResult {
        let unlock = T::Clock::now().saturating_add(Parameters::<T>::get().unlock);
        Budgets::<T>::try_mutate(&who, &oracle, |budget| {
            let budget = budget.as_mut().ok_or(Error::<T>::BudgetMissing)?;
            ensure!(budget.unlock.is_none(), Error::<T>::BudgetClosing);
            budget.unlock = Some(unlock);
            Ok::<_, DispatchError>(())
        })?;
        Self::deposit_event(Event::BudgetClosed { consumer: who, oracle, unlock, released: 0 });
        Ok(())
    }

    /// Frees what is left of a closed budget. Its channels stay, so no old voucher can be redeemed from a later budget.
    pub(crate) fn do_withdraw(who: T::AccountId, oracle: T::AccountId) -> DispatchResult {
        let budget = Budgets::<T>::get(&who, &oracle).ok_or(Error::<T>::BudgetMissing)?;
        let unlock = budget.unlock.ok_or(Error::<T>::BudgetLocked)?;
        ensure!(T::Clock::now() >= unlock, Error::<T>::BudgetLocked);
        T::Currency::release(&HoldReason::Budget.into(), &who, budget.held, Precision::Exact)?;
        Budgets::<T>::remove(&who, &oracle);
        Self::deposit_event(Event::BudgetClosed { consumer: who, oracle, unlock, released: budget.held });
        Ok(())
    }
}
