//! Answers of the view functions.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use weft_traits::Clock;

impl<T: Config> Pallet<T> {
    /// An oracle with its stake.
    pub(crate) fn view_oracle(who: &T::AccountId) -> Option<OracleView> {
        let oracle = Oracles::<T>::get(who)?;
        let free = oracle.free();
        Some(OracleView {
            oracle,
            free,
            unbonding: Unbonding::<T>::get(who).into_inner(),
            locks: Locks::<T>::iter_prefix(who).collect(),
        })
    }

    /// A run with everything that hangs on it.
    pub(crate) fn view_run(key: RunKey) -> Option<RunView<T::AccountId>> {
        let run = Runs::<T>::get(key)?;
        let juries = run.juries.iter().filter_map(|id| Some((*id, Juries::<T>::get(id)?))).collect();
        let mut disputes: Vec<_> = Disputes::<T>::iter_prefix(key).collect();
        disputes.sort_by_key(|(number, _)| *number);
        Some(RunView { run, audits: Audits::<T>::iter_prefix(key).collect(), disputes, juries })
    }

    /// What an account must do: it has stake locked in every run in which it has a part.
    pub(crate) fn view_duties(who: &T::AccountId) -> Vec<Duty> {
        let now = T::Clock::now();
        let mut duties: Vec<_> = Locks::<T>::iter_key_prefix(who)
            .filter_map(|key| {
                let run = Runs::<T>::get(key).filter(|run| now <= run.deadline)?;
                let kind = Self::duty(who, key, &run)?;
                Some(Duty { run: key, kind, deadline: run.deadline })
            })
            .collect();
        duties.sort_by_key(|duty| (duty.deadline, duty.run));
        duties
    }

    fn duty(who: &T::AccountId, key: RunKey, run: &Run<T::AccountId>) -> Option<DutyKind> {
        let audit = || Audits::<T>::get(key, who);
        let juror = || {
            let id = *run.juries.last()?;
            let jury = Juries::<T>::get(id)?;
            let juror = jury.members.iter().find(|juror| juror.who == *who).cloned()?;
            Some((id, jury, juror))
        };
        match run.phase {
            Phase::Running => (run.oracle == *who).then_some(DutyKind::Commit),
            Phase::Revealing => (run.oracle == *who).then_some(DutyKind::RevealNonces),
            Phase::Auditing => audit()
                .filter(|audit| audit.state == AuditState::Drawn)
                .map(|audit| DutyKind::AuditCommit { segment: audit.segment }),
            Phase::Answering => audit()
                .filter(|audit| audit.state == AuditState::Committed)
                .map(|audit| DutyKind::AuditReveal { segment: audit.segment }),
            Phase::JuryCommit => juror()
                .filter(|(_, _, juror)| juror.commitment.is_none())
                .map(|(id, jury, _)| DutyKind::JuryCommit { jury: id, draw: jury.draw, step: jury.step }),
            Phase::JuryReveal => juror()
                .filter(|(_, _, juror)| juror.commitment.is_some() && juror.value.is_none())
                .map(|(id, jury, _)| DutyKind::JuryReveal { jury: id, draw: jury.draw, step: jury.step }),
            _ => None,
        }
    }
}
