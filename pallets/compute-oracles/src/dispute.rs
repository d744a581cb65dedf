//! Accusations, and what a decision means for money.

use crate::{assignment::RunOf, commitment::share, pallet::*, types::*};
use alloc::vec::Vec;
use frame::{prelude::*, token::fungible::hold::Mutate};
use weft_protocol::{
    job::JobEvent,
    jury::pay_in_order,
    run::{self, Outcome},
    slash,
};
use weft_traits::{Amount, Clock, JobControl};

/// Who gets how much.
type Pays<T> = Vec<(<T as frame_system::Config>::AccountId, Amount)>;

impl<T: Config> Pallet<T> {
    /// Accuses a run, or joins the question of a sitting jury.
    pub(crate) fn do_accuse(who: T::AccountId, key: RunKey, step: u32) -> DispatchResult {
        Self::job_of(key)?;
        let mut run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        match run.phase {
            Phase::Window | Phase::JuryDrawing | Phase::JuryCommit | Phase::JuryReveal => {}
            Phase::Ended => return Err(Error::<T>::TooLate.into()),
            _ => return Err(Error::<T>::TooEarly.into()),
        }
        ensure!(run.window.is_none_or(|window| T::Clock::now() <= window), Error::<T>::TooLate);
        let commit = run.commit.ok_or(Error::<T>::WrongStage)?;
        let has_reverse = run.method != 0 && commit.outcome == Outcome::Done;
        let states = run::state_count(commit.n_done, has_reverse).ok_or(Error::<T>::AmountTooLarge)?;
        ensure!(step < states, Error::<T>::StepOutOfRange);
        // Parties and judges of the question cannot accuse: they have spoken, or will.
        let judges =
            run.juries.iter().filter_map(Juries::<T>::get).any(|jury| jury.members.iter().any(|m| m.who == who));
        let party = who == run.oracle || Audits::<T>::contains_key(key, &who);
        ensure!(!judges && !party, Error::<T>::WrongMover);

        let bond = Self::accuse_bond(run.fee, run.steps).ok_or(Error::<T>::AmountTooLarge)?;
        T::Currency::hold(&HoldReason::Bond.into(), &who, bond)?;
        Self::open_dispute(key, &mut run, who.clone(), step, bond, false)?;
        if run.phase == Phase::Window {
            T::Jobs::advance(Self::job_of(key)?, JobEvent::Challenge, None)?;
            Self::call_jury(key, &mut run)?;
        }
        Runs::<T>::insert(key, run);
        Self::deposit_event(Event::Accused { run: key, who, step, bond });
        Ok(())
    }

    /// Stores a dispute.
    pub(crate) fn open_dispute(
        key: RunKey,
        run: &mut RunOf<T>,
        challenger: T::AccountId,
        step: u32,
        bond: Amount,
        on_lock: bool,
    ) -> DispatchResult {
        ensure!(run.disputes < MAX_DISPUTES, Error::<T>::TooManyDisputes);
        let clock = TimerParams::<T>::get().clock;
        let dispute = Dispute { challenger, step, bond, on_lock, cursor: Cursor::Jury, clocks: (clock, clock) };
        Disputes::<T>::insert(key, run.disputes, dispute);
        run.disputes = run.disputes.saturating_add(1);
        Ok(())
    }

    /// Takes the open disputes of a run out of storage, in the order of their opening.
    fn take_disputes(key: RunKey, run: &mut RunOf<T>) -> Vec<Dispute<T::AccountId>> {
        let count = core::mem::take(&mut run.disputes);
        (0..count).filter_map(|number| Disputes::<T>::take(key, number)).collect()
    }

    /// Fraud, or silence where the oracle had to speak: all of S goes; who helped is paid, who vouched loses its lock.
    pub(crate) fn convict(key: RunKey, run: &mut RunOf<T>, fault: Fault, jurors: &[T::AccountId]) -> DispatchResult {
        let disputes = Self::take_disputes(key, run);
        for dispute in disputes.iter().filter(|dispute| !dispute.on_lock) {
            Self::release_bond(&dispute.challenger, dispute.bond)?;
        }
        let audits: Vec<_> = Audits::<T>::iter_prefix(key).collect();
        for (who, mut audit) in audits {
            let lock = core::mem::take(&mut audit.lock);
            if audit.state == AuditState::Agreed {
                Self::decide_slash(&who, key, Source::Stake, Fault::FalseAgreement, lock, Vec::new())?;
            } else {
                Self::unlock(&who, key, lock)?;
            }
            Audits::<T>::insert(key, who, audit);
        }
        let challenger = disputes.first().map(|dispute| &dispute.challenger);
        let (mut pays, fees) = Self::juror_pays(run, jurors, run.stake)?;
        let parts = slash::slash_parts(run.stake, fees, challenger.is_some()).ok_or(Error::<T>::AmountTooLarge)?;
        if let Some(challenger) = challenger {
            pays.extend(share(challenger, parts.challenger));
        }
        pays.extend(share(&run.builder, parts.builder));
        Self::decide_slash(&run.oracle, key, Source::Stake, fault, run.stake, pays)?;
        Self::end(key, run, RunOutcome::Fraud);
        Ok(())
    }

    /// A verifier fee for each juror while `most` lasts; the list and its sum.
    fn juror_pays(run: &RunOf<T>, jurors: &[T::AccountId], most: Amount) -> Result<(Pays<T>, Amount), DispatchError> {
        let (paid, left) = pay_in_order(most, &Self::juror_fees(run, jurors));
        let pays = jurors.iter().zip(paid).flat_map(|(juror, paid)| share(juror, paid)).collect();
        Ok((pays, most.checked_sub(left).ok_or(ArithmeticError::Underflow)?))
    }

    /// The fee of each juror: a verifier's.
    fn juror_fees(run: &RunOf<T>, jurors: &[T::AccountId]) -> Vec<Amount> {
        jurors.iter().map(|_| run.verifier_fee).collect()
    }

    /// The run is what it should be: every challenger loses its bond or lock, jurors first, the rest to the oracle.
    pub(crate) fn acquit(key: RunKey, run: &mut RunOf<T>, jurors: &[T::AccountId]) -> DispatchResult {
        let mut unpaid = Self::juror_fees(run, jurors);
        for dispute in Self::take_disputes(key, run) {
            let owed = unpaid.iter().try_fold(0, |sum: Amount, fee| sum.checked_add(*fee));
            let parts = slash::lost_bond(dispute.bond, owed.ok_or(Error::<T>::AmountTooLarge)?);
            let (paid, _) = pay_in_order(parts.jurors, &unpaid);
            let mut pays = Vec::new();
            for ((juror, fee), paid) in jurors.iter().zip(&mut unpaid).zip(paid) {
                *fee = fee.checked_sub(paid).ok_or(ArithmeticError::Underflow)?;
                pays.extend(share(juror, paid));
            }
            pays.extend(share(&run.oracle, parts.oracle));
            let source = if dispute.on_lock { Source::Stake } else { Source::Bond };
            Self::decide_slash(&dispute.challenger, key, source, Fault::FailedChallenge, dispute.bond, pays)?;
            if dispute.on_lock {
                Audits::<T>::mutate(key, &dispute.challenger, |audit| {
                    if let Some(audit) = audit {
                        audit.lock = 0;
                    }
                });
            }
        }
        Self::open_window(key, run)?;
        T::Jobs::advance(Self::job_of(key)?, JobEvent::ChallengeFailed, Some(run.deadline))
    }

    /// Nobody could decide: everything goes back, only silence has cost something.
    pub(crate) fn undecided(key: RunKey, run: &mut RunOf<T>) -> DispatchResult {
        for dispute in Self::take_disputes(key, run).iter().filter(|dispute| !dispute.on_lock) {
            Self::release_bond(&dispute.challenger, dispute.bond)?;
        }
        Self::unlock(&run.oracle, key, run.stake)?;
        Self::free_verifiers(key)?;
        T::Jobs::advance(Self::job_of(key)?, JobEvent::Undecided, None)?;
        Self::end(key, run, RunOutcome::Undecided);
        Ok(())
    }
}
