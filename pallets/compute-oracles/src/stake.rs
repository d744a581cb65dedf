//! Registration, bonding, locks, status.

use crate::{pallet::*, types::*};
use frame::{
    prelude::*,
    token::{fungible::hold::Mutate, Precision},
};
use weft_protocol::{graph, hash::Hash, run};
use weft_traits::{Amount, Clock};

impl<T: Config> Pallet<T> {
    /// Makes an account an oracle.
    pub(crate) fn do_register(
        who: T::AccountId,
        classes: Classes,
        endpoint: Endpoint,
        signing_key: Hash,
        amount: Amount,
    ) -> DispatchResult {
        ensure!(!Oracles::<T>::contains_key(&who), Error::<T>::AlreadyRegistered);
        let distinct = classes
            .iter()
            .enumerate()
            .all(|(i, class)| !classes.iter().skip(i.saturating_add(1)).any(|other| other == class));
        ensure!(!classes.is_empty() && distinct, Error::<T>::ClassesMalformed);
        // Jobs of other classes cannot be submitted: their tickets would only fill the state.
        let known = run::sem_id(run::CLASS_CPU_F32, graph::VERSION);
        ensure!(classes.iter().all(|class| *class == known), Error::<T>::ClassUnknown);
        ensure!(amount >= StakeParams::<T>::get().min_stake, Error::<T>::StakeTooLow);
        T::Currency::hold(&HoldReason::Stake.into(), &who, amount)?;
        let mut oracle = Oracle {
            bonded: amount,
            locked: 0,
            locks: 0,
            classes,
            endpoint,
            signing_key,
            status: OracleStatus::Active,
            faults: Default::default(),
            changes: 0,
            last_change: 0,
        };
        for class in &oracle.classes {
            Supporting::<T>::mutate(class, |count| *count = count.saturating_add(1));
        }
        Self::tickets_changed(&who, &mut oracle);
        Oracles::<T>::insert(&who, oracle);
        Self::deposit_event(Event::OracleRegistered { who, bonded: amount });
        Ok(())
    }

    /// Adds stake.
    pub(crate) fn do_bond(who: T::AccountId, amount: Amount) -> DispatchResult {
        Self::change(&who, |oracle| {
            oracle.bonded = oracle.bonded.checked_add(amount).ok_or(Error::<T>::AmountTooLarge)?;
            T::Currency::hold(&HoldReason::Stake.into(), &who, amount)
        })?;
        Self::deposit_event(Event::Bonded { who, amount });
        Ok(())
    }

    /// Moves unlocked stake to the way out.
    pub(crate) fn do_unbond(who: T::AccountId, amount: Amount) -> DispatchResult {
        let due = T::Clock::now().saturating_add(TimerParams::<T>::get().unbonding);
        Self::change(&who, |oracle| {
            ensure!(amount > 0 && amount <= oracle.free(), Error::<T>::StakeLocked);
            oracle.bonded = oracle.bonded.checked_sub(amount).ok_or(Error::<T>::StakeLocked)?;
            let least = StakeParams::<T>::get().min_stake;
            ensure!(!oracle.is_active() || oracle.bonded >= least, Error::<T>::StakeTooLow);
            Unbonding::<T>::try_mutate(&who, |list| list.try_push(Unbond { amount, due }))
                .map_err(|_| Error::<T>::TooManyUnbondings)?;
            Ok(())
        })?;
        Self::deposit_event(Event::Unbonded { who, amount, due });
        Ok(())
    }

    /// Frees what is due; forgets an oracle without any stake.
    pub(crate) fn do_withdraw(who: T::AccountId) -> DispatchResult {
        let oracle = Oracles::<T>::get(&who).ok_or(Error::<T>::NotOracle)?;
        let now = T::Clock::now();
        let mut list = Unbonding::<T>::get(&who);
        let amount = list
            .iter()
            .filter(|entry| entry.due <= now)
            .try_fold(0, |sum: Amount, entry| sum.checked_add(entry.amount))
            .ok_or(Error::<T>::AmountTooLarge)?;
        ensure!(amount > 0, Error::<T>::TooEarly);
        list.retain(|entry| entry.due > now);
        T::Currency::release(&HoldReason::Stake.into(), &who, amount, Precision::Exact)?;
        if list.is_empty() {
            Unbonding::<T>::remove(&who);
            // One whose tickets have still to be taken back stays.
            if oracle.bonded == 0 && !oracle.is_active() && oracle.changes == 0 {
                Oracles::<T>::remove(&who);
            }
        } else {
            Unbonding::<T>::insert(&who, list);
        }
        Self::deposit_event(Event::Withdrawn { who, amount });
        Ok(())
    }

    /// Takes nothing new.
    pub(crate) fn do_chill(who: T::AccountId) -> DispatchResult {
        Self::change(&who, |oracle| {
            ensure!(oracle.is_active(), Error::<T>::NotActive);
            Self::set_status(oracle, OracleStatus::Chilled);
            Ok(())
        })?;
        Self::deposit_event(Event::Chilled { who });
        Ok(())
    }

    /// Takes work again.
    pub(crate) fn do_resume(who: T::AccountId) -> DispatchResult {
        Self::change(&who, |oracle| {
            match oracle.status {
                OracleStatus::Active => return Err(Error::<T>::WrongStage.into()),
                OracleStatus::Jailed { until } => ensure!(T::Clock::now() > until, Error::<T>::Jailed),
                OracleStatus::Chilled => {}
            }
            ensure!(oracle.bonded >= StakeParams::<T>::get().min_stake, Error::<T>::StakeTooLow);
            Self::set_status(oracle, OracleStatus::Active);
            Ok(())
        })?;
        Self::deposit_event(Event::Resumed { who });
        Ok(())
    }

    /// Changes an oracle; its tickets follow after the draw delay.
    pub(crate) fn change(who: &T::AccountId, apply: impl FnOnce(&mut Oracle) -> DispatchResult) -> DispatchResult {
        let mut oracle = Oracles::<T>::get(who).ok_or(Error::<T>::NotOracle)?;
        apply(&mut oracle)?;
        Self::tickets_changed(who, &mut oracle);
        Oracles::<T>::insert(who, oracle);
        Ok(())
    }

    /// Sets the status and keeps the count of supporting oracles.
    fn set_status(oracle: &mut Oracle, status: OracleStatus) {
        let before = oracle.is_active();
        oracle.status = status;
        let after = oracle.is_active();
        if before == after {
            return;
        }
        for class in &oracle.classes {
            Supporting::<T>::mutate(class, |count| {
                *count = if after { count.saturating_add(1) } else { count.saturating_sub(1) };
            });
        }
    }

    /// Locks free stake for a run, on top of what the run has locked already.
    pub(crate) fn lock(who: &T::AccountId, run: RunKey, amount: Amount) -> DispatchResult {
        Self::change(who, |oracle| {
            ensure!(oracle.free() >= amount, Error::<T>::StakeTooLow);
            oracle.locked = oracle.locked.checked_add(amount).ok_or(Error::<T>::AmountTooLarge)?;
            if !Locks::<T>::contains_key(who, run) {
                ensure!(oracle.locks < MAX_LOCKS, Error::<T>::TooManyLocks);
                oracle.locks = oracle.locks.saturating_add(1);
            }
            Locks::<T>::mutate(who, run, |locked| *locked = locked.saturating_add(amount));
            Ok(())
        })
    }

    /// Frees stake that a run has locked.
    pub(crate) fn unlock(who: &T::AccountId, run: RunKey, amount: Amount) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        Self::change(who, |oracle| Self::reduce_lock(who, oracle, run, amount))
    }

    fn reduce_lock(who: &T::AccountId, oracle: &mut Oracle, run: RunKey, amount: Amount) -> DispatchResult {
        let left = Locks::<T>::get(who, run).checked_sub(amount).ok_or(Error::<T>::StakeLocked)?;
        oracle.locked = oracle.locked.checked_sub(amount).ok_or(Error::<T>::StakeLocked)?;
        if left == 0 {
            Locks::<T>::remove(who, run);
            oracle.locks = oracle.locks.saturating_sub(1);
        } else {
            Locks::<T>::insert(who, run, left);
        }
        Ok(())
    }

    /// Takes slashed stake out of lock and bond; chills an oracle that falls below the least stake.
    pub(crate) fn forfeit(who: &T::AccountId, run: RunKey, amount: Amount) -> DispatchResult {
        Self::change(who, |oracle| {
            Self::reduce_lock(who, oracle, run, amount)?;
            oracle.bonded = oracle.bonded.checked_sub(amount).ok_or(Error::<T>::StakeLocked)?;
            if oracle.is_active() && oracle.bonded < StakeParams::<T>::get().min_stake {
                Self::set_status(oracle, OracleStatus::Chilled);
                Self::deposit_event(Event::Chilled { who: who.clone() });
            }
            Ok(())
        })
    }

    /// Counts a miss; the last one of a series jails.
    pub(crate) fn note_miss(who: &T::AccountId) -> DispatchResult {
        let now = T::Clock::now();
        let timers = TimerParams::<T>::get();
        let most = StakeParams::<T>::get().max_faults;
        let period = T::Clock::day().saturating_mul(timers.fault_days);
        Self::change(who, |oracle| {
            oracle.faults.retain(|at| at.saturating_add(period) > now);
            if oracle.faults.is_full() {
                oracle.faults.remove(0);
            }
            // There is room: the oldest has just made it.
            let _ = oracle.faults.try_push(now);
            if u32::try_from(oracle.faults.len()).unwrap_or(u32::MAX) >= most {
                let until = now.saturating_add(timers.jail);
                oracle.faults = Default::default();
                Self::set_status(oracle, OracleStatus::Jailed { until });
                Self::deposit_event(Event::Jailed { who: who.clone(), until });
            }
            Ok(())
        })
    }
}
