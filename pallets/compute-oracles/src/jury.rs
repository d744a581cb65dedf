//! Juries: oracles that recompute a whole run, blind, and decide by majority.

use crate::{assignment::RunOf, pallet::*, types::*};
use alloc::{collections::BTreeSet, vec::Vec};
use frame::prelude::*;
use weft_protocol::{
    hash::Hash,
    job::JobEvent,
    run::{self, JuryValue},
};
use weft_traits::{Clock, JobControl};

/// A run and the jury that sits over it.
type Sitting<T> = (RunKey, RunOf<T>, Jury<<T as frame_system::Config>::AccountId>);

impl<T: Config> Pallet<T> {
    /// Opens a new question: jurors are drawn soon.
    pub(crate) fn call_jury(key: RunKey, run: &mut RunOf<T>) -> DispatchResult {
        for old in core::mem::take(&mut run.juries) {
            Juries::<T>::remove(old);
        }
        run.phase = Phase::JuryDrawing;
        Self::draw_later(Draw::Jury(key))
    }

    /// Draws jurors that have no part in the question yet.
    pub(crate) fn draw_jury(key: RunKey) -> DispatchResult {
        let mut run = Self::run_in(key, &[Phase::JuryDrawing])?;
        let mut excluded: BTreeSet<_> = Audits::<T>::iter_key_prefix(key).collect();
        excluded.insert(run.oracle.clone());
        excluded.extend(Disputes::<T>::iter_prefix(key).map(|(_, dispute)| dispute.challenger));
        for earlier in run.juries.iter().filter_map(Juries::<T>::get) {
            excluded.extend(earlier.members.into_iter().map(|juror| juror.who));
        }
        let size = u32::from(StakeParams::<T>::get().jury_size).min(MAX_JURORS);
        let jury = NextJury::<T>::get();
        let draw = Self::entropy(&(key, jury));
        let drawn = Self::draw_accounts(&run.sem_id, &draw, size, run.lock, &excluded);
        if drawn.is_empty() {
            Self::undecided(key, &mut run)?;
            Runs::<T>::insert(key, run);
            return Ok(());
        }
        NextJury::<T>::put(jury.checked_add(1).ok_or(ArithmeticError::Overflow)?);
        for who in &drawn {
            Self::lock(who, key, run.lock)?;
        }
        let members: Vec<_> =
            drawn.iter().map(|who| Juror { who: who.clone(), commitment: None, value: None }).collect();
        let short = u32::try_from(members.len()).unwrap_or(u32::MAX) < size;
        Juries::<T>::insert(
            jury,
            Jury {
                question: Question::Run(key),
                draw,
                step: run::jury_step(&draw, run.steps),
                short,
                members: members.try_into().map_err(|_| Error::<T>::AmountTooLarge)?,
            },
        );
        run.juries.try_push(jury).map_err(|_| Error::<T>::WrongStage)?;
        run.phase = Phase::JuryCommit;
        run.deadline = Self::after_replay(TimerParams::<T>::get().jury, &run);
        Self::deposit_event(Event::JuryDrawn { run: key, jury, members: drawn, deadline: run.deadline });
        Runs::<T>::insert(key, run);
        Ok(())
    }

    /// Run and jury of a juror's message: the jury must be the one that sits.
    fn sitting(id: u32, phase: Phase) -> Result<Sitting<T>, DispatchError> {
        let jury = Juries::<T>::get(id).ok_or(Error::<T>::NotDrawn)?;
        let Question::Run(key) = jury.question else { return Err(Error::<T>::WrongStage.into()) };
        let run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        ensure!(run.juries.last() == Some(&id), Error::<T>::TooLate);
        if phase == Phase::JuryReveal && run.phase == Phase::JuryCommit {
            return Err(Error::<T>::TooEarly.into());
        }
        ensure!(run.phase == phase && T::Clock::now() <= run.deadline, Error::<T>::TooLate);
        Ok((key, run, jury))
    }

    /// A juror's blind answer.
    pub(crate) fn do_jury_commit(who: T::AccountId, id: u32, hash: Hash) -> DispatchResult {
        let (key, run, mut jury) = Self::sitting(id, Phase::JuryCommit)?;
        let juror = jury.members.iter_mut().find(|juror| juror.who == who).ok_or(Error::<T>::NotDrawn)?;
        ensure!(juror.commitment.is_none(), Error::<T>::AlreadyAnswered);
        juror.commitment = Some(hash);
        let complete = jury.members.iter().all(|juror| juror.commitment.is_some());
        Juries::<T>::insert(id, jury);
        Self::deposit_event(Event::JuryCommitted { jury: id, who });
        if complete {
            Self::close_jury_commit(key, run)?;
        }
        Ok(())
    }

    /// The blind answers are in, or their time is over.
    pub(crate) fn close_jury_commit(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        let id = *run.juries.last().ok_or(Error::<T>::WrongStage)?;
        let jury = Juries::<T>::get(id).ok_or(Error::<T>::WrongStage)?;
        if jury.members.iter().all(|juror| juror.commitment.is_none()) {
            return Self::judge(key, run);
        }
        run.phase = Phase::JuryReveal;
        run.deadline = Self::after_replay(TimerParams::<T>::get().jury, &run);
        Self::deposit_event(Event::JuryRevealDue { jury: id, deadline: run.deadline });
        Runs::<T>::insert(key, run);
        Ok(())
    }

    /// Opens a juror's answer.
    pub(crate) fn do_jury_reveal(who: T::AccountId, id: u32, value: JuryValue, salt: Hash) -> DispatchResult {
        let (key, run, mut jury) = Self::sitting(id, Phase::JuryReveal)?;
        let juror = jury.members.iter_mut().find(|juror| juror.who == who).ok_or(Error::<T>::NotDrawn)?;
        ensure!(juror.value.is_none(), Error::<T>::AlreadyAnswered);
        let blind = run::jury_answer(id, &who.clone().into(), &salt, &value);
        ensure!(juror.commitment == Some(blind), Error::<T>::NotBlindCommitted);
        juror.value = Some(value);
        let complete = jury.members.iter().all(|juror| juror.commitment.is_none() || juror.value.is_some());
        Juries::<T>::insert(id, jury);
        if complete {
            Self::judge(key, run)?;
        }
        Ok(())
    }

    /// The value that more than half of those drawn revealed decides. Each draw stands alone: its `work` belongs to its
    /// own bytes, so that earlier answers, public by then, help nobody.
    pub(crate) fn judge(key: RunKey, mut run: RunOf<T>) -> DispatchResult {
        let id = *run.juries.last().ok_or(Error::<T>::WrongStage)?;
        let jury = Juries::<T>::get(id).ok_or(Error::<T>::WrongStage)?;
        let answer = majority(&jury);
        let mut right = Vec::new();
        for juror in &jury.members {
            match (&juror.value, &answer) {
                (None, _) => Self::slash_tenth(&juror.who, key, run.lock, Fault::SilentJuror)?,
                (Some(value), Some(answer)) if value != answer => {
                    Self::slash_tenth(&juror.who, key, run.lock, Fault::WrongJuror)?
                }
                (Some(_), Some(_)) => {
                    Self::unlock(&juror.who, key, run.lock)?;
                    right.push(juror.who.clone());
                }
                (Some(_), None) => Self::unlock(&juror.who, key, run.lock)?,
            }
        }
        let fraud = answer.map(|answer| Some(answer.commit) != run.commit);
        Self::deposit_event(Event::JuryDecided { run: key, jury: id, fraud });
        match fraud {
            Some(true) => {
                Self::convict(key, &mut run, Fault::Fraud, &right)?;
                T::Jobs::advance(Self::job_of(key)?, JobEvent::FraudProved, None)?;
            }
            Some(false) => Self::acquit(key, &mut run, &right)?,
            None if jury.short || run.juries.is_full() => Self::undecided(key, &mut run)?,
            None => {
                run.phase = Phase::JuryDrawing;
                Self::draw_later(Draw::Jury(key))?;
            }
        }
        Runs::<T>::insert(key, run);
        Ok(())
    }
}

/// The answer of more than half of the members, silent ones counted.
fn majority<A>(jury: &Jury<A>) -> Option<JuryValue> {
    let values = || jury.members.iter().filter_map(|juror| juror.value.as_ref());
    let needed = jury.members.len().checked_div(2)?;
    values().find(|value| values().filter(|other| other == value).count() > needed).copied()
}
