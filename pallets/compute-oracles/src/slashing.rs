//! Slashes: decided at once, executed after the delay; only what nobody gets is burned.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame::{
    deps::frame_support::storage::{with_transaction, TransactionOutcome},
    prelude::*,
    token::{fungible::hold::Mutate, tokens::Restriction, Fortitude, Precision},
};
use weft_protocol::economics;
use weft_traits::{Amount, Clock};

/// Slashes that one call executes at most.
pub(crate) const SLASHES: u32 = 8;

impl<T: Config> Pallet<T> {
    /// Queues a slash. Its amount stays locked, or its bond held, until it executes.
    pub(crate) fn decide_slash(
        who: &T::AccountId,
        run: RunKey,
        source: Source,
        fault: Fault,
        amount: Amount,
        pays: Vec<(T::AccountId, Amount)>,
    ) -> DispatchResult {
        if amount == 0 {
            return Ok(());
        }
        let paid = pays.iter().try_fold(0, |sum: Amount, (_, share)| sum.checked_add(*share));
        ensure!(paid.is_some_and(|paid| paid <= amount), Error::<T>::AmountTooLarge);
        let due = T::Clock::now().saturating_add(TimerParams::<T>::get().slash_delay);
        let pays = pays.try_into().map_err(|_| Error::<T>::AmountTooLarge)?;
        let (first, end) = SlashQueue::<T>::get();
        Slashes::<T>::insert(end, Slash { who: who.clone(), run, amount, source, fault, pays, due });
        SlashQueue::<T>::put((first, end.checked_add(1).ok_or(ArithmeticError::Overflow)?));
        Self::deposit_event(Event::SlashDecided { slash: end, who: who.clone(), fault, amount, due });
        Ok(())
    }

    /// Executes slashes that are due; returns how many.
    pub(crate) fn execute_slashes(limit: u32) -> u32 {
        let now = T::Clock::now();
        let (mut first, end) = SlashQueue::<T>::get();
        let mut done = 0u32;
        while first < end && done < limit {
            let Some(slash) = Slashes::<T>::get(first) else { break };
            if slash.due > now {
                break;
            }
            let executed = with_transaction(|| match Self::execute(&slash) {
                Ok(()) => TransactionOutcome::Commit(DispatchResult::Ok(())),
                Err(error) => TransactionOutcome::Rollback(Err(error)),
            });
            if executed.is_err() {
                defensive!("a slash cannot be executed");
                break;
            }
            Slashes::<T>::remove(first);
            first = first.saturating_add(1);
            done = done.saturating_add(1);
        }
        if done > 0 {
            SlashQueue::<T>::put((first, end));
        }
        done
    }

    fn execute(slash: &Slash<T::AccountId>) -> DispatchResult {
        let reason = match slash.source {
            Source::Stake => HoldReason::Stake.into(),
            Source::Bond => HoldReason::Bond.into(),
        };
        let mut burned = slash.amount;
        let mut paid = Vec::new();
        for (to, share) in &slash.pays {
            let moved = T::Currency::transfer_on_hold(
                &reason,
                &slash.who,
                to,
                *share,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            );
            // A share below the existential deposit of an account that is gone cannot be paid: it is burned.
            if moved.is_ok() {
                burned = burned.checked_sub(*share).ok_or(ArithmeticError::Underflow)?;
                paid.push((to.clone(), *share));
            }
        }
        if burned > 0 {
            T::Currency::burn_held(&reason, &slash.who, burned, Precision::Exact, Fortitude::Force)?;
        }
        if slash.source == Source::Stake {
            Self::forfeit(&slash.who, slash.run, slash.amount)?;
        }
        Self::deposit_event(Event::Slashed {
            who: slash.who.clone(),
            run: slash.run,
            fault: slash.fault,
            amount: slash.amount,
            burned,
            paid,
        });
        Ok(())
    }

    /// Slashes a tenth of a lock, frees the rest and counts a miss when the fault is silence.
    pub(crate) fn slash_tenth(who: &T::AccountId, run: RunKey, lock: Amount, fault: Fault) -> DispatchResult {
        let tenth = economics::tenth(lock);
        Self::unlock(who, run, lock.checked_sub(tenth).ok_or(ArithmeticError::Underflow)?)?;
        Self::decide_slash(who, run, Source::Stake, fault, tenth, Vec::new())?;
        if matches!(fault, Fault::SilentVerifier | Fault::SilentJuror) {
            Self::note_miss(who)?;
        }
        Ok(())
    }

    /// Frees the bond of an accusation.
    pub(crate) fn release_bond(who: &T::AccountId, amount: Amount) -> DispatchResult {
        T::Currency::release(&HoldReason::Bond.into(), who, amount, Precision::Exact)?;
        Ok(())
    }

    /// Bonds that slashes still have to take from an account.
    #[cfg(any(test, feature = "try-runtime"))]
    pub(crate) fn held_bond(who: &T::AccountId) -> Amount {
        <T::Currency as frame::token::fungible::InspectHold<T::AccountId>>::balance_on_hold(
            &HoldReason::Bond.into(),
            who,
        )
    }
}
