//! The oracle's messages: `commit` and `reveal_nonces`; its silence; the end of a run.

use crate::{assignment::RunOf, pallet::*, types::*};
use alloc::vec::Vec;
use frame::prelude::*;
use weft_protocol::{
    economics,
    hash::Hash,
    job::JobEvent,
    payout,
    run::{self, Commit, Opening, Outcome},
    slash,
};
use weft_traits::{Clock, JobControl, RunResult};

impl<T: Config> Pallet<T> {
    /// Stores the commitment of a run.
    pub(crate) fn do_commit(who: T::AccountId, key: RunKey, commitment: Commit) -> DispatchResult {
        let job = Self::job_of(key)?;
        let mut run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        ensure!(run.oracle == who, Error::<T>::NotAssigned);
        match run.phase {
            Phase::Seeding => return Err(Error::<T>::TooEarly.into()),
            Phase::Running => ensure!(T::Clock::now() <= run.deadline, Error::<T>::TooLate),
            _ => return Err(Error::<T>::WrongStage.into()),
        }
        let fits = match commitment.outcome {
            Outcome::Done => commitment.n_done == run.steps,
            Outcome::Diverged => {
                commitment.n_done < run.steps
                    && commitment.model_commitment == run::NO_RESULT
                    && commitment.attribution_commitment == run::NO_RESULT
            }
        };
        ensure!(fits, Error::<T>::CommitMalformed);
        run.commit = Some(commitment);
        run.phase = Phase::Drawing;
        T::Jobs::advance(job, JobEvent::Commit, None)?;
        Self::draw_later(Draw::Verifiers(key))?;
        Runs::<T>::insert(key, run);
        Self::deposit_event(Event::RunCommitted { run: key, commit: commitment });
        Ok(())
    }

    /// Starts the oracle's time to reveal.
    pub(crate) fn ask_oracle(key: RunKey, run: &mut RunOf<T>) {
        run.phase = Phase::Revealing;
        run.deadline = Self::after(TimerParams::<T>::get().reveal, 0);
        Self::deposit_event(Event::RevealDue { run: key, deadline: run.deadline });
    }

    /// Stores secret and opening.
    pub(crate) fn do_reveal_nonces(
        who: T::AccountId,
        key: RunKey,
        secret: Hash,
        opening: Option<Opening>,
    ) -> DispatchResult {
        Self::job_of(key)?;
        // The last verifier may have been silent: then this call is the first to notice.
        Self::apply_due(key)?;
        let mut run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        ensure!(run.oracle == who, Error::<T>::NotAssigned);
        match run.phase {
            Phase::Revealing => {}
            Phase::Seeding | Phase::Running | Phase::Drawing | Phase::Auditing | Phase::Replacing => {
                return Err(Error::<T>::TooEarly.into())
            }
            Phase::Ended => return Err(Error::<T>::TooLate.into()),
            _ => return Err(Error::<T>::WrongStage.into()),
        }
        let commit = run.commit.ok_or(Error::<T>::WrongStage)?;
        ensure!(run::secret_hash(&secret) == commit.secret, Error::<T>::OpeningMismatch);
        run.opening = match (commit.outcome, opening) {
            (Outcome::Diverged, None) => None,
            (Outcome::Done, Some(opening)) => {
                ensure!(opening.matches(&commit) && Self::can_mint(key, &run, &opening), Error::<T>::OpeningMismatch);
                Some(StoredOpening::new(opening).map_err(|TooManyParts| Error::<T>::OpeningMismatch)?)
            }
            _ => return Err(Error::<T>::OpeningMismatch.into()),
        };
        run.secret = Some(secret);
        run.phase = Phase::Answering;
        run.deadline = Self::after(TimerParams::<T>::get().reveal, 0);
        Self::deposit_event(Event::NoncesRevealed { run: key, deadline: run.deadline });
        let awaited = Audits::<T>::iter_prefix(key).any(|(_, audit)| audit.state == AuditState::Committed);
        if awaited {
            Runs::<T>::insert(key, run);
            Ok(())
        } else {
            Self::judge_audit(key, run)
        }
    }

    /// Whether the chain could mint what is opened: the job's method and Datanets, all points or none, and none without a
    /// leaf. An honest opening always passes; one that could never be minted counts as none.
    fn can_mint(key: RunKey, run: &RunOf<T>, opening: &Opening) -> bool {
        let Some(terms) = Self::job_of(key).ok().and_then(T::Jobs::terms) else { return false };
        let known = opening.parts.iter().all(|part| terms.datanets.contains(&part.datanet));
        opening.method == run.method && known && payout::parts_are_whole(&opening.parts)
    }

    /// T_run passed.
    pub(crate) fn late(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        let amount = economics::late_slash(run.fee, StakeParams::<T>::get().late_floor, run.stake);
        let parts = slash::late_parts(amount);
        Self::unlock(&run.oracle, key, run.stake.checked_sub(amount).ok_or(ArithmeticError::Underflow)?)?;
        let pays = share(&run.builder, parts.builder);
        Self::decide_slash(&run.oracle, key, Source::Stake, Fault::Late, amount, pays)?;
        Self::note_miss(&run.oracle)?;
        T::Jobs::advance(Self::job_of(key)?, JobEvent::RunTimeout, None)?;
        Self::end(key, &mut run, RunOutcome::Late);
        Runs::<T>::insert(key, run);
        Ok(())
    }

    /// The oracle revealed nothing: fraud, without a challenger.
    pub(crate) fn silent_oracle(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        Self::convict(key, &mut run, Fault::SilentOracle, &[])?;
        T::Jobs::advance(Self::job_of(key)?, JobEvent::OracleSilent, None)?;
        Runs::<T>::insert(key, run);
        Ok(())
    }

    /// Opens the window, or opens it again after a failed challenge with the grace time left.
    pub(crate) fn open_window(key: RunKey, run: &mut RunOf<T>) -> DispatchResult {
        Self::pay_verifiers(key, run)?;
        let timers = TimerParams::<T>::get();
        let deadline = match run.window {
            Some(window) => window.max(Self::after(timers.grace, 0)),
            None => {
                let least = match timers.window_extra {
                    0 => 0,
                    extra => run.replay_blocks.saturating_mul(2).saturating_add(extra),
                };
                let end = Self::after(timers.window.max(least), 0);
                run.window = Some(end);
                end
            }
        };
        run.phase = Phase::Window;
        run.deadline = deadline;
        Self::deposit_event(Event::WindowOpened { run: key, deadline });
        Ok(())
    }

    /// Pays every verifier that agreed, once.
    fn pay_verifiers(key: RunKey, run: &mut RunOf<T>) -> DispatchResult {
        if run.paid {
            return Ok(());
        }
        run.paid = true;
        let job = Self::job_of(key)?;
        for (who, audit) in Audits::<T>::iter_prefix(key) {
            if audit.state == AuditState::Agreed {
                T::Jobs::pay_verifier(job, &who, run.verifier_fee)?;
            }
        }
        Ok(())
    }

    /// The window passed: the job pays and mints; all stake is free.
    pub(crate) fn finalise(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        let commit = run.commit.ok_or(Error::<T>::WrongStage)?;
        T::Jobs::finalise(
            Self::job_of(key)?,
            RunResult {
                oracle: run.oracle.clone(),
                beacon: run.beacon.ok_or(Error::<T>::WrongStage)?,
                seed: run.seed.ok_or(Error::<T>::WrongStage)?,
                commit,
                secret: run.secret.ok_or(Error::<T>::WrongStage)?,
                opening: run.opening.as_ref().map(StoredOpening::to_opening),
            },
        )?;
        Self::unlock(&run.oracle, key, run.stake)?;
        Self::free_verifiers(key)?;
        if commit.outcome == Outcome::Done {
            // Models keeps everything that recomputes the run.
            Self::end(key, &mut run, RunOutcome::Final);
            Self::forget(key, &run);
        } else {
            Self::end(key, &mut run, RunOutcome::Diverged);
            Runs::<T>::insert(key, run);
        }
        Ok(())
    }

    /// Frees what is still locked for the verifiers of a run.
    pub(crate) fn free_verifiers(key: RunKey) -> DispatchResult {
        let audits: Vec<_> = Audits::<T>::iter_prefix(key).collect();
        for (who, mut audit) in audits {
            Self::unlock(&who, key, core::mem::take(&mut audit.lock))?;
            Audits::<T>::insert(key, who, audit);
        }
        Ok(())
    }

    /// Marks a run as over.
    pub(crate) fn end(key: RunKey, run: &mut RunOf<T>, outcome: RunOutcome) {
        let now = T::Clock::now();
        run.phase = Phase::Ended;
        run.ended = Some((outcome, now));
        run.deadline = now.saturating_add(TimerParams::<T>::get().run_retention);
        Self::deposit_event(Event::RunEnded { run: key, outcome });
    }

    /// Removes a run and everything that hangs on it.
    pub(crate) fn forget(key: RunKey, run: &RunOf<T>) {
        let audits: Vec<_> = Audits::<T>::iter_key_prefix(key).collect();
        for who in audits {
            Audits::<T>::remove(key, who);
        }
        for jury in &run.juries {
            Juries::<T>::remove(jury);
        }
        Runs::<T>::remove(key);
        if let RunKey::Job(job) = key {
            T::Jobs::forget(job);
        }
    }
}

/// A list of one recipient, or none for nothing.
pub(crate) fn share<A: Clone>(who: &A, amount: u128) -> Vec<(A, u128)> {
    if amount == 0 {
        Vec::new()
    } else {
        alloc::vec![(who.clone(), amount)]
    }
}
