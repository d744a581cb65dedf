//! Invariants O1 to O5, and M5 as seen from here.
//!
//! O2 (slash parts sum to the slash) is checked on every waiting slash; O5 (an oracle's accounts together hold less after
//! losing to its own Sybil) needs a history and is a test.

use crate::{pallet::*, types::*};
use alloc::{collections::BTreeMap, vec::Vec};
use frame::{deps::sp_runtime::TryRuntimeError, prelude::*, token::fungible::InspectHold};
use weft_protocol::job::JobState;
use weft_traits::{Amount, Clock, JobControl};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of this pallet.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        Self::stake_covers_locks()?;
        Self::slashes_are_whole()?;
        Self::tickets_match_free_stake()?;
        Self::runs_match_jobs()?;
        Self::draws_match_runs()?;
        Self::bonds_are_held()
    }

    /// O1: the stake on hold is bonded plus unbonding, and bonded covers the locks.
    fn stake_covers_locks() -> Result<(), TryRuntimeError> {
        for (who, oracle) in Oracles::<T>::iter() {
            let unbonding = Unbonding::<T>::get(&who).iter().map(|entry| entry.amount).fold(0, Amount::saturating_add);
            let held = T::Currency::balance_on_hold(&HoldReason::Stake.into(), &who);
            ensure!(
                held == oracle.bonded.saturating_add(unbonding),
                "O1: stake on hold differs from bonded + unbonding"
            );
            let mut locked: Amount = 0;
            let mut locks = 0u32;
            for (_, amount) in Locks::<T>::iter_prefix(&who) {
                ensure!(amount > 0, "O1: an empty lock is stored");
                locked = locked.saturating_add(amount);
                locks = locks.saturating_add(1);
            }
            ensure!(locked == oracle.locked && locks == oracle.locks, "O1: locks differ from the oracle's sums");
            ensure!(locked <= oracle.bonded, "O1: locks exceed the stake");
        }
        ensure!(
            Locks::<T>::iter_keys().all(|(who, _)| Oracles::<T>::contains_key(who)),
            "O1: a lock without an oracle"
        );
        ensure!(Unbonding::<T>::iter_keys().all(Oracles::<T>::contains_key), "O1: unbonding stake without an oracle");
        for who in frame_system::Account::<T>::iter_keys() {
            let held = T::Currency::balance_on_hold(&HoldReason::Stake.into(), &who);
            ensure!(held == 0 || Oracles::<T>::contains_key(who), "O1: stake on hold without an oracle");
        }
        Ok(())
    }

    /// O2: the parts of a slash do not exceed it (what is left is burned), and its money is there.
    fn slashes_are_whole() -> Result<(), TryRuntimeError> {
        let (first, end) = SlashQueue::<T>::get();
        let count = u32::try_from(Slashes::<T>::iter_keys().count()).unwrap_or(u32::MAX);
        ensure!(count == end.saturating_sub(first), "O2: slashes are missing in the queue");
        let mut locked = BTreeMap::<(T::AccountId, RunKey), Amount>::new();
        for (_, slash) in Slashes::<T>::iter() {
            let paid = slash.pays.iter().fold(0, |sum: Amount, (_, share)| sum.saturating_add(*share));
            ensure!(paid <= slash.amount, "O2: the parts of a slash exceed it");
            if slash.source == Source::Stake {
                let entry = locked.entry((slash.who, slash.run)).or_default();
                *entry = entry.saturating_add(slash.amount);
            }
        }
        for ((who, run), amount) in locked {
            ensure!(Locks::<T>::get(who, run) >= amount, "O2: slashed stake is not locked");
        }
        Ok(())
    }

    /// O3: tickets are numbered without a gap; once the changes that wait are made, they match status and free stake. The
    /// supporting oracles are counted.
    fn tickets_match_free_stake() -> Result<(), TryRuntimeError> {
        let (first, end) = StaleQueue::<T>::get();
        ensure!(
            Stale::<T>::iter_keys().all(|at| (first..end).contains(&at)),
            "O3: a change of tickets is beyond its queue"
        );
        let mut waiting = BTreeMap::<T::AccountId, u32>::new();
        for change in Stale::<T>::iter_values() {
            let count = waiting.entry(change.who).or_default();
            *count = count.saturating_add(1);
        }
        ensure!(waiting.keys().all(Oracles::<T>::contains_key), "O3: a change of tickets without an oracle");
        let mut supporting = BTreeMap::<[u8; 32], u32>::new();
        let mut expected = 0usize;
        for (who, oracle) in Oracles::<T>::iter() {
            let wanted = Self::wanted_tickets(&oracle);
            let changes = waiting.get(&who).copied().unwrap_or(0);
            ensure!(changes == oracle.changes, "O3: a change of tickets is not queued");
            if changes > 0 {
                let newest = Stale::<T>::get(oracle.last_change).filter(|newest| newest.who == who);
                let fits = newest.is_some_and(|newest| newest.wanted == wanted && newest.next.is_none());
                ensure!(fits, "O3: the newest change of tickets differs from free stake");
            }
            for class in &oracle.classes {
                let mine = TicketsOf::<T>::get(&who, class);
                let fits = changes > 0 || u32::try_from(mine.len()) == Ok(wanted);
                ensure!(fits, "O3: tickets differ from free stake");
                for number in &mine {
                    ensure!(Tickets::<T>::get(class, number).as_ref() == Some(&who), "O3: a ticket is another's");
                    ensure!(*number < TicketCount::<T>::get(class), "O3: a ticket is beyond the count");
                }
                expected = expected.saturating_add(mine.len());
                if oracle.is_active() {
                    let entry = supporting.entry(*class).or_default();
                    *entry = entry.saturating_add(1);
                }
            }
        }
        ensure!(Tickets::<T>::iter_keys().count() == expected, "O3: a ticket without an owner");
        for (class, count) in Supporting::<T>::iter() {
            ensure!(count == supporting.get(&class).copied().unwrap_or(0), "O3: supporting oracles are miscounted");
        }
        Ok(())
    }

    /// M5 and O4: a job from Assigned to Disputed has one run with locked stake, in a phase that fits; a phase that waits
    /// for a message has a limit, so `poke` ends it.
    fn runs_match_jobs() -> Result<(), TryRuntimeError> {
        let now = T::Clock::now();
        let horizon = now.saturating_add(1 << 30);
        for (key, run) in Runs::<T>::iter() {
            let RunKey::Job(job) = key else { return Err("M5: a settlement's run is stored".into()) };
            let state = T::Jobs::state(job).ok_or("M5: a run without a job")?;
            let fits = match run.phase {
                Phase::Seeding | Phase::Running => state == JobState::Assigned,
                Phase::Drawing => state == JobState::Committed,
                Phase::Auditing | Phase::Replacing | Phase::Revealing | Phase::Answering => state == JobState::Audit,
                Phase::Window => state == JobState::Window,
                Phase::JuryDrawing | Phase::JuryCommit | Phase::JuryReveal => state == JobState::Disputed,
                Phase::Ended => state.is_terminal(),
            };
            ensure!(fits, "M5: phase of a run and state of its job disagree");
            ensure!(run.deadline < horizon, "O4: a run waits without a limit");
            ensure!(run.ended.is_some() == (run.phase == Phase::Ended), "O4: end and phase of a run disagree");
            if run.phase != Phase::Ended {
                ensure!(Locks::<T>::get(&run.oracle, key) >= run.stake, "M5: the stake of a run is not locked");
            }
            let disputes = u32::try_from(Disputes::<T>::iter_key_prefix(key).count()).unwrap_or(u32::MAX);
            ensure!(disputes == run.disputes, "O4: open disputes are miscounted");
            ensure!(disputes == 0 || state == JobState::Disputed, "O4: a dispute is open outside its state");
            for (who, audit) in Audits::<T>::iter_prefix(key) {
                ensure!(Locks::<T>::get(who, key) >= audit.lock, "M5: the lock of a verifier is missing");
            }
            ensure!(run.juries.iter().all(Juries::<T>::contains_key), "O4: a jury of a run is missing");
        }
        Ok(())
    }

    /// O4: a run that waits for a draw has exactly one in the queue, at a clock value that comes, and no other draw waits.
    fn draws_match_runs() -> Result<(), TryRuntimeError> {
        let now = T::Clock::now();
        ensure!(Draws::<T>::iter_keys().all(|at| at > now), "O4: a draw was passed over");
        let queued: Vec<Draw> = Draws::<T>::iter_values().flatten().collect();
        let mut awaited = 0usize;
        for (key, run) in Runs::<T>::iter() {
            let Some(draw) = Self::awaited_draw(key, run.phase) else { continue };
            let count = queued.iter().filter(|other| **other == draw).count();
            ensure!(count == 1, "O4: a run waits for a draw that is not queued once");
            awaited = awaited.saturating_add(1);
        }
        ensure!(queued.len() == awaited, "O4: a draw is queued for which no run waits");
        Ok(())
    }

    /// Bonds on hold are those of open disputes and of slashes that wait.
    fn bonds_are_held() -> Result<(), TryRuntimeError> {
        let mut bonds = BTreeMap::<T::AccountId, Amount>::new();
        let open = Disputes::<T>::iter().filter(|(.., d)| !d.on_lock).map(|(.., d)| (d.challenger, d.bond));
        let waiting = Slashes::<T>::iter().filter(|(_, s)| s.source == Source::Bond).map(|(_, s)| (s.who, s.amount));
        for (who, amount) in open.chain(waiting) {
            let entry = bonds.entry(who).or_default();
            *entry = entry.saturating_add(amount);
        }
        for who in frame_system::Account::<T>::iter_keys() {
            let amount = bonds.remove(&who).unwrap_or(0);
            ensure!(Self::held_bond(&who) == amount, "O1: bonds on hold differ from disputes and slashes");
        }
        ensure!(bonds.is_empty(), "O1: a bond of an account that does not exist");
        Ok(())
    }
}
