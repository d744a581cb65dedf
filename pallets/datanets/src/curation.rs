//! Verdicts on contributions, and the risk deposit that outlives them.

use crate::{
    deposits,
    types::{
        Contribution, ContributionIndex, ContributionState, Datanet, Leaf, PeakList, RejectCode, Rule, Verdict,
        Votes as VoteBits,
    },
    Config, Contributions, Curators, Datanets, Error, Event, HoldReason, Pallet, Params, Peaks, Reputation, RiskBounds,
    RiskQueue, Roots, Votes,
};
use frame::{deps::sp_runtime::ArithmeticError, prelude::*};
use weft_protocol::{
    hash::Hash,
    mmr::{self, Mmr},
};
use weft_traits::{Clock, DatanetId};

/// What a vote brings about.
enum Outcome {
    Undecided,
    Accept,
    Reject(RejectCode),
}

impl<T: Config> Pallet<T> {
    /// Counts one vote and, when it decides, accepts or rejects.
    pub(crate) fn do_review(
        who: T::AccountId,
        datanet: DatanetId,
        contribution: ContributionIndex,
        verdict: Verdict,
        code: Option<RejectCode>,
        note: Option<Hash>,
    ) -> DispatchResult {
        let mut net = Self::existing(datanet)?;
        let mut item = Contributions::<T>::get(datanet, contribution).ok_or(Error::<T>::UnknownContribution)?;
        let position = Self::ensure_may_review(&who, datanet, &net, item.rule)?;
        ensure!(item.state == ContributionState::Pending, Error::<T>::AlreadyDecided);
        let code = match (verdict, code) {
            (Verdict::Accept, None) => None,
            (Verdict::Accept, Some(_)) => return Err(Error::<T>::CodeNotAllowed.into()),
            (Verdict::Reject, None) => return Err(Error::<T>::CodeMissing.into()),
            (Verdict::Reject, Some(code)) => Some(code),
        };
        let outcome = match item.rule {
            Rule::Threshold(k) => Self::vote(datanet, contribution, &net, position, u32::from(k), code)?,
            _ => code.map_or(Outcome::Accept, Outcome::Reject),
        };
        match outcome {
            Outcome::Undecided => {
                Self::deposit_event(Event::Voted { datanet, contribution, who, verdict });
                return Ok(());
            }
            Outcome::Accept => Self::accept(datanet, contribution, &mut net, &mut item, note)?,
            Outcome::Reject(code) => Self::reject(datanet, contribution, &mut item, code, note)?,
        }
        net.pending = net.pending.saturating_sub(1);
        Votes::<T>::remove(datanet, contribution);
        Datanets::<T>::insert(datanet, net);
        Contributions::<T>::insert(datanet, contribution, item);
        Self::advance_queues();
        Ok(())
    }

    /// Checks that `who` may vote under `rule` and returns the position in the list of curators.
    fn ensure_may_review(
        who: &T::AccountId,
        datanet: DatanetId,
        net: &Datanet<T::AccountId>,
        rule: Rule,
    ) -> Result<u32, DispatchError> {
        match rule {
            Rule::Owner => {
                ensure!(net.owner == *who, Error::<T>::NotOwner);
                Ok(0)
            }
            Rule::Threshold(_) => {
                let list = Curators::<T>::get(datanet);
                let position = list.iter().position(|a| a == who).ok_or(Error::<T>::NotCurator)?;
                u32::try_from(position).map_err(|_| ArithmeticError::Overflow.into())
            }
            Rule::MinScore(_) | Rule::Optimistic(_) => Err(Error::<T>::RuleNotBuilt.into()),
        }
    }

    /// `k` equal votes decide; so does a rejection after which `k` curators can no longer accept.
    fn vote(
        datanet: DatanetId,
        contribution: ContributionIndex,
        net: &Datanet<T::AccountId>,
        position: u32,
        k: u32,
        code: Option<RejectCode>,
    ) -> Result<Outcome, DispatchError> {
        let mut votes = Votes::<T>::get(datanet, contribution);
        if votes.version != net.curators_version {
            votes = VoteBits { version: net.curators_version, ..Default::default() };
        }
        let bit = 1u16.checked_shl(position).ok_or(ArithmeticError::Overflow)?;
        ensure!((votes.accepts | votes.rejects) & bit == 0, Error::<T>::AlreadyVoted);
        match code {
            None => votes.accepts |= bit,
            Some(code) => {
                votes.rejects |= bit;
                if code.forfeits() {
                    votes.severe |= bit;
                }
            }
        }
        Votes::<T>::insert(datanet, contribution, votes);
        let Some(code) = code else {
            return Ok(if votes.accepts.count_ones() >= k { Outcome::Accept } else { Outcome::Undecided });
        };
        let curators = Curators::<T>::decode_len(datanet).unwrap_or_default();
        let able = u32::try_from(curators).unwrap_or(u32::MAX).saturating_sub(votes.rejects.count_ones());
        if votes.rejects.count_ones() < k && able >= k {
            return Ok(Outcome::Undecided);
        }
        // Fewer curators than have to agree on an acceptance must not cost a contributor the deposit, however few there
        // are: a rejection that comes only because too few are left is no verdict on the contributor.
        let agreed = votes.severe == votes.rejects && votes.rejects.count_ones() >= k;
        Ok(Outcome::Reject(if code.forfeits() && !agreed { RejectCode::Other } else { code }))
    }

    fn accept(
        datanet: DatanetId,
        contribution: ContributionIndex,
        net: &mut Datanet<T::AccountId>,
        item: &mut Contribution<T::AccountId>,
        note: Option<Hash>,
    ) -> DispatchResult {
        let mut range = Mmr { peaks: Peaks::<T>::get(datanet).into_inner(), leaves: net.leaves, records: net.records };
        let leaf = Leaf { index: net.leaves, first: net.records };
        let raw: [u8; 32] = item.owner.clone().into();
        let hash = mmr::leaf(&raw, &item.root, leaf.first, item.records, item.sequence);
        range.append(hash, item.records).ok_or(Error::<T>::RangeFull)?;

        net.leaves = range.leaves;
        net.records = range.records;
        net.bytes = net.bytes.checked_add(item.bytes).ok_or(ArithmeticError::Overflow)?;
        net.root = range.snapshot_root();
        Peaks::<T>::insert(datanet, PeakList::try_from(range.peaks).map_err(|_| Error::<T>::RangeFull)?);

        item.state = ContributionState::Accepted;
        item.leaf = Some(leaf);
        item.note = note;
        item.decided = Some(T::Clock::now());
        if item.risk > 0 {
            let (head, tail) = RiskBounds::<T>::get();
            RiskQueue::<T>::insert(tail, (datanet, contribution));
            RiskBounds::<T>::put((head, tail.checked_add(1).ok_or(ArithmeticError::Overflow)?));
        }
        Reputation::<T>::mutate(&item.owner, |r| r.accepted = r.accepted.saturating_add(1));
        Self::deposit_event(Event::Accepted { datanet, contribution, who: item.owner.clone(), leaf });
        Ok(())
    }

    /// Refuses a contribution by a verdict, which counts against its owner.
    fn reject(
        datanet: DatanetId,
        contribution: ContributionIndex,
        item: &mut Contribution<T::AccountId>,
        code: RejectCode,
        note: Option<Hash>,
    ) -> DispatchResult {
        Self::refuse(datanet, contribution, item, code, note)?;
        Reputation::<T>::mutate(&item.owner, |r| r.rejected = r.rejected.saturating_add(1));
        Ok(())
    }

    /// Refuses a contribution: its root is free again, and its deposits are freed or forfeited.
    pub(crate) fn refuse(
        datanet: DatanetId,
        contribution: ContributionIndex,
        item: &mut Contribution<T::AccountId>,
        code: RejectCode,
        note: Option<Hash>,
    ) -> DispatchResult {
        let forfeited = if code.forfeits() { item.risk } else { 0 };
        if code.forfeits() {
            deposits::forfeit::<T>(HoldReason::Risk, &item.owner, item.risk)?;
        } else {
            deposits::release::<T>(HoldReason::Risk, &item.owner, item.risk)?;
        }
        deposits::release::<T>(HoldReason::Storage, &item.owner, item.storage)?;
        // The root is free again: whoever wrote the records must be able to bring what a thief was refused for.
        Roots::<T>::remove(datanet, item.root);
        item.risk = 0;
        item.storage = 0;
        item.state = ContributionState::Rejected;
        item.reason = Some(code);
        item.note = note;
        item.decided = Some(T::Clock::now());
        Self::deposit_event(Event::Rejected { datanet, contribution, who: item.owner.clone(), code, forfeited });
        Ok(())
    }

    /// Clock value from which the risk deposit of an accepted contribution is free.
    pub(crate) fn risk_free_at(item: &Contribution<T::AccountId>) -> Option<u32> {
        if item.state != ContributionState::Accepted || item.risk == 0 {
            return None;
        }
        item.decided.map(|at| at.saturating_add(Params::<T>::get().duplicate_window))
    }

    /// Frees the oldest risk deposits whose duplicate window is over, at most `limit`. Returns how many it looked at.
    pub(crate) fn free_risk(limit: u32) -> u32 {
        let (start, tail) = RiskBounds::<T>::get();
        let mut head = start;
        let mut looked = 0u32;
        let now = T::Clock::now();
        while looked < limit && head < tail {
            looked = looked.saturating_add(1);
            if let Some((datanet, contribution)) = RiskQueue::<T>::get(head) {
                if let Some(mut item) = Contributions::<T>::get(datanet, contribution) {
                    match Self::risk_free_at(&item) {
                        Some(at) if now < at => break,
                        Some(_) => {
                            let amount = core::mem::take(&mut item.risk);
                            if deposits::release::<T>(HoldReason::Risk, &item.owner, amount).is_err() {
                                defensive!("a risk deposit is not held");
                            }
                            Self::deposit_event(Event::RiskFreed {
                                datanet,
                                contribution,
                                who: item.owner.clone(),
                                amount,
                            });
                            Contributions::<T>::insert(datanet, contribution, item);
                        }
                        None => {}
                    }
                }
                RiskQueue::<T>::remove(head);
            }
            head = head.saturating_add(1);
        }
        if head != start {
            RiskBounds::<T>::put((head, tail));
        }
        looked
    }

    /// What every call does for others: nothing waits for a hook that full blocks may skip.
    pub(crate) fn advance_queues() {
        Self::expire_commitments(2);
        Self::free_risk(2);
    }
}
