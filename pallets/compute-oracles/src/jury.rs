//! Juries: oracles that recompute a whole run, blind, and decide by majority.

use crate::{
    assignment::{Drawn, RunOf},
    pallet::*,
    types::*,
};
use alloc::{collections::BTreeSet, vec::Vec};
use frame::prelude::*;
use weft_protocol::{
    hash::Hash,
    job::JobEvent,
    jury::{fate, majority, verdict, JurorFate, Verdict},
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
    pub(crate) fn draw_jury(key: RunKey) -> Result<Drawn, DispatchError> {
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
        let (drawn, looked) = Self::draw_accounts(&run.sem_id, &draw, size, run.lock, &excluded);
        if drawn.is_empty() {
            Self::undecided(key, &mut run)?;
            Runs::<T>::insert(key, run);
            return Ok(Drawn { looked, ended: true });
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
        Ok(Drawn { looked, ended: false })
    }

    /// The run that a jury decides about.
    fn run_of_jury(jury: &Jury<T::AccountId>) -> Result<RunKey, DispatchError> {
        match jury.question {
            Question::Run(key) => Ok(key),
            Question::Data(..) | Question::Clusters(..) => Err(Error::<T>::WrongStage.into()),
        }
    }

    /// Run and jury of a juror's message: the jury must be the one that sits.
    fn sitting(id: u32, phase: Phase) -> Result<Sitting<T>, DispatchError> {
        let jury = Juries::<T>::get(id).ok_or(Error::<T>::NotDrawn)?;
        let key = Self::run_of_jury(&jury)?;
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
        // Another juror may have been silent: then this call is the first to notice.
        let called = Juries::<T>::get(id).ok_or(Error::<T>::NotDrawn)?;
        Self::apply_due(Self::run_of_jury(&called)?)?;
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
        let values: Vec<_> = jury.members.iter().map(|juror| juror.value).collect();
        let answer = majority(&values);
        let mut right = Vec::new();
        for juror in &jury.members {
            match fate(juror.value.as_ref(), answer) {
                JurorFate::Silent => Self::slash_tenth(&juror.who, key, run.lock, Fault::SilentJuror)?,
                JurorFate::Wrong => Self::slash_tenth(&juror.who, key, run.lock, Fault::WrongJuror)?,
                JurorFate::Released => Self::unlock(&juror.who, key, run.lock)?,
                JurorFate::Paid => {
                    Self::unlock(&juror.who, key, run.lock)?;
                    right.push(juror.who.clone());
                }
            }
        }
        let draws = u32::try_from(run.juries.len()).unwrap_or(u32::MAX);
        let verdict = verdict(&values, run.commit.as_ref(), jury.short, draws);
        let fraud = match verdict {
            Verdict::Fraud => Some(true),
            Verdict::Honest => Some(false),
            Verdict::Redraw | Verdict::Undecided => None,
        };
        Self::deposit_event(Event::JuryDecided { run: key, jury: id, fraud });
        match verdict {
            Verdict::Fraud => {
                Self::convict(key, &mut run, Fault::Fraud, &right)?;
                T::Jobs::advance(Self::job_of(key)?, JobEvent::FraudProved, None)?;
            }
            Verdict::Honest => Self::acquit(key, &mut run, &right)?,
            Verdict::Undecided => Self::undecided(key, &mut run)?,
            Verdict::Redraw => {
                run.phase = Phase::JuryDrawing;
                Self::draw_later(Draw::Jury(key))?;
            }
        }
        Runs::<T>::insert(key, run);
        Ok(())
    }
}
