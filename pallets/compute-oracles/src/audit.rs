//! Blind audits: drawn verifiers commit to two unpublished states, then open them.

use crate::{assignment::RunOf, pallet::*, types::*};
use alloc::vec::Vec;
use frame::prelude::*;
use weft_protocol::{
    hash::{Hash, ZERO},
    job::JobEvent,
    run::{self, Commit, Outcome},
};
use weft_traits::{Clock, JobControl};

impl<T: Config> Pallet<T> {
    /// A verifier's blind answer.
    pub(crate) fn do_audit_commit(who: T::AccountId, key: RunKey, hash: Hash) -> DispatchResult {
        Self::job_of(key)?;
        let mut run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        let mut audit = Audits::<T>::get(key, &who).ok_or(Error::<T>::NotDrawn)?;
        ensure!(run.phase == Phase::Auditing && T::Clock::now() <= run.deadline, Error::<T>::TooLate);
        match audit.state {
            AuditState::Drawn => {}
            AuditState::Missed => return Err(Error::<T>::TooLate.into()),
            _ => return Err(Error::<T>::AlreadyAnswered.into()),
        }
        audit.state = AuditState::Committed;
        audit.commitment = Some(hash);
        Audits::<T>::insert(key, &who, audit);
        if !Audits::<T>::iter_prefix(key).any(|(_, audit)| audit.state == AuditState::Drawn) {
            Self::ask_oracle(key, &mut run);
            Runs::<T>::insert(key, run);
        }
        Self::deposit_event(Event::AuditCommitted { run: key, who });
        Ok(())
    }

    /// T_audit passed with a verifier silent, or with fewer drawn than the tier names.
    pub(crate) fn close_audit(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        let audits: Vec<_> = Audits::<T>::iter_prefix(key).collect();
        let mut answered = 0u32;
        for (who, audit) in audits {
            match audit.state {
                AuditState::Drawn => Self::miss_audit(key, &who, audit)?,
                AuditState::Committed => answered = answered.saturating_add(1),
                _ => {}
            }
        }
        if !run.replaced && answered < u32::from(run.verifiers) {
            run.replaced = true;
            run.phase = Phase::Replacing;
            Self::draw_later(Draw::Verifiers(key))?;
        } else if answered > 0 {
            Self::ask_oracle(key, &mut run);
        } else {
            Self::undecided(key, &mut run)?;
        }
        Runs::<T>::insert(key, run);
        Ok(())
    }

    fn miss_audit(key: RunKey, who: &T::AccountId, mut audit: Audit) -> DispatchResult {
        let lock = core::mem::take(&mut audit.lock);
        audit.state = AuditState::Missed;
        Audits::<T>::insert(key, who, audit);
        Self::slash_tenth(who, key, lock, Fault::SilentVerifier)
    }

    /// Opens a verifier's answer.
    pub(crate) fn do_audit_reveal(
        who: T::AccountId,
        key: RunKey,
        salt: Hash,
        state: Hash,
        reverse: Hash,
        agrees: bool,
        paths: AuditPaths,
    ) -> DispatchResult {
        Self::job_of(key)?;
        let run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        let mut audit = Audits::<T>::get(key, &who).ok_or(Error::<T>::NotDrawn)?;
        match run.phase {
            Phase::Answering => ensure!(T::Clock::now() <= run.deadline, Error::<T>::TooLate),
            Phase::Auditing | Phase::Replacing | Phase::Revealing => return Err(Error::<T>::TooEarly.into()),
            _ => return Err(Error::<T>::TooLate.into()),
        }
        match audit.state {
            AuditState::Committed => {}
            AuditState::Drawn | AuditState::Missed => return Err(Error::<T>::TooLate.into()),
            AuditState::Agreed | AuditState::Disagreed => return Err(Error::<T>::AlreadyAnswered.into()),
        }
        let blind = run::audit_answer(&who.clone().into(), &salt, &state, &reverse);
        ensure!(audit.commitment == Some(blind), Error::<T>::NotBlindCommitted);
        let commit = run.commit.ok_or(Error::<T>::WrongStage)?;
        let secret = run.secret.ok_or(Error::<T>::WrongStage)?;
        let holds = paths_hold(&run, &commit, &secret, &state, &reverse, &paths);
        if agrees && holds {
            audit.state = AuditState::Agreed;
            Self::deposit_event(Event::AuditPassed { run: key, who: who.clone() });
        } else {
            audit.state = AuditState::Disagreed;
            Self::deposit_event(Event::AuditFailed { run: key, who: who.clone() });
        }
        let earlier = Audits::<T>::iter_prefix(key).filter(|(_, audit)| audit.place.is_some()).count();
        audit.place = Some(u32::try_from(earlier).unwrap_or(u32::MAX));
        Audits::<T>::insert(key, &who, audit);
        if Audits::<T>::iter_prefix(key).any(|(_, audit)| audit.state == AuditState::Committed) {
            return Ok(());
        }
        Self::judge_audit(key, run)
    }

    /// Every answer is in, or T_reveal passed.
    pub(crate) fn judge_audit(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        let audits: Vec<_> = Audits::<T>::iter_prefix(key).collect();
        let mut agreed = 0u32;
        let mut challengers = Vec::new();
        for (who, audit) in audits {
            match audit.state {
                AuditState::Committed => Self::miss_audit(key, &who, audit)?,
                AuditState::Agreed => agreed = agreed.saturating_add(1),
                AuditState::Disagreed => challengers.push((audit.place, who, audit.lock)),
                AuditState::Drawn | AuditState::Missed => {}
            }
        }
        // The first one to answer is the first challenger, which a conviction rewards.
        challengers.sort_by_key(|(place, ..)| *place);
        let job = Self::job_of(key)?;
        if !challengers.is_empty() {
            for (_, who, lock) in challengers {
                Self::open_dispute(key, &mut run, who, 0, lock, true)?;
            }
            T::Jobs::advance(job, JobEvent::Disagreed, None)?;
            Self::call_jury(key, &mut run)?;
        } else if agreed > 0 || run.verifiers == 0 {
            Self::open_window(key, &mut run)?;
            T::Jobs::advance(job, JobEvent::Agreed, Some(run.deadline))?;
        } else {
            Self::undecided(key, &mut run)?;
        }
        Runs::<T>::insert(key, run);
        Ok(())
    }
}

/// Whether S_{d−1} and R_{c+1} are under the steps root. Without a reverse part R is zero with an empty path.
fn paths_hold<A>(
    run: &Run<A>,
    commit: &Commit,
    secret: &Hash,
    state: &Hash,
    reverse: &Hash,
    paths: &AuditPaths,
) -> bool {
    let has_reverse = run.method != 0 && commit.outcome == Outcome::Done;
    let Some(count) = run::state_count(commit.n_done, has_reverse) else { return false };
    let before_last = commit.n_done.saturating_sub(1);
    let forward = run::verify_state(&commit.steps_root, count, before_last, secret, state, &paths.state);
    let backward = if has_reverse {
        run::reverse_index(commit.n_done, 1)
            .is_some_and(|u| run::verify_state(&commit.steps_root, count, u, secret, reverse, &paths.reverse))
    } else {
        *reverse == ZERO && paths.reverse.is_empty()
    };
    forward && backward
}
