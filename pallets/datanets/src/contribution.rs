//! Commit, reveal, and what happens to commitments that nobody reveals.

use crate::{
    deposits,
    types::{
        Commitment, Contribution, ContributionIndex, ContributionState, Datanet, RecordHashes, RejectCode, MAX_OPEN,
        MIB, MIN_RECORD, REVEAL_DELAY,
    },
    Activities, CommitHead, CommitQueue, Commitments, Config, Contributions, Datanets, Error, Event, HoldReason,
    NextSequence, Pallet, Params, Roots, Votes,
};
use frame::{deps::sp_runtime::ArithmeticError, prelude::*};
use weft_protocol::{hash::Hash, record};
use weft_traits::{Clock, DatanetId};

impl<T: Config> Pallet<T> {
    /// Takes the next global sequence for `hash`.
    pub(crate) fn do_commit(who: T::AccountId, datanet: DatanetId, hash: Hash) -> DispatchResult {
        let mut net = Self::open(datanet)?;
        ensure!(!Commitments::<T>::contains_key(&who, hash), Error::<T>::CommitmentExists);
        let params = Params::<T>::get();

        let now = T::Clock::now();
        let day = Self::today();
        let mut activity = Activities::<T>::get(&who);
        if activity.day != day {
            activity.day = day;
            activity.commits = 0;
        }
        ensure!(activity.commits < params.commits_per_day, Error::<T>::RateLimited);
        ensure!(activity.open < MAX_OPEN, Error::<T>::TooManyOpen);
        activity.commits = activity.commits.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        activity.open = activity.open.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        net.open = net.open.checked_add(1).ok_or(ArithmeticError::Overflow)?;

        let sequence = NextSequence::<T>::get();
        NextSequence::<T>::put(sequence.checked_add(1).ok_or(ArithmeticError::Overflow)?);
        let deposit = params.commit_deposit;
        deposits::hold::<T>(HoldReason::Commit, &who, deposit)?;

        Activities::<T>::insert(&who, activity);
        Datanets::<T>::insert(datanet, net);
        CommitQueue::<T>::insert(sequence, (who.clone(), hash));
        Commitments::<T>::insert(&who, hash, Commitment { datanet, sequence, block: now, deposit });
        let expires = now.saturating_add(params.commit_window);
        Self::deposit_event(Event::Committed { datanet, who, hash, sequence, expires });
        Self::advance_queues();
        Ok(())
    }

    /// Opens a commitment and stores the contribution.
    #[allow(clippy::too_many_arguments, reason = "the arguments of the call")]
    pub(crate) fn do_reveal(
        who: T::AccountId,
        datanet: DatanetId,
        root: Hash,
        salt: Hash,
        content: Hash,
        records: u32,
        bytes: u64,
        hashes: Option<RecordHashes>,
    ) -> DispatchResult {
        ensure!(hashes.is_none(), Error::<T>::HashIndexNotBuilt);
        ensure!(records > 0 && bytes > 0, Error::<T>::EmptyContribution);
        ensure!(u64::from(records).saturating_mul(MIN_RECORD) <= bytes, Error::<T>::TooManyRecords);
        let mut net = Self::open(datanet)?;
        let raw: [u8; 32] = who.clone().into();
        let hash = record::commitment(datanet, &root, &salt, &raw);
        let commitment = Commitments::<T>::get(&who, hash).ok_or(Error::<T>::UnknownCommitment)?;
        // The account may have sent this very hash to another Datanet: it opens only for what it binds.
        ensure!(commitment.datanet == datanet, Error::<T>::CommitmentMismatch);
        let now = T::Clock::now();
        ensure!(now >= commitment.block.saturating_add(REVEAL_DELAY), Error::<T>::RevealTooEarly);
        ensure!(!Self::is_expired(&commitment), Error::<T>::RevealTooLate);
        let rival = Roots::<T>::get(datanet, root)
            .and_then(|other| Contributions::<T>::get(datanet, other).map(|item| (other, item)));
        if let Some((other, item)) = rival {
            ensure!(item.sequence > commitment.sequence, Error::<T>::RootAlreadyUsed);
            if item.state != ContributionState::Pending {
                return Self::supersede(who, datanet, net, &hash, &commitment, other);
            }
            // The root is public by now: whoever had committed to it without the records must not push them out in favour
            // of a blob that nobody can check. The same blob under an earlier sequence is all that may take the place.
            let same = item.content == content && item.records == records && item.bytes == bytes;
            ensure!(item.owner != who && same, Error::<T>::RootAlreadyUsed);
            Self::displace(datanet, &mut net, other, item)?;
        }

        Self::close_commitment(&who, &hash, &commitment);
        deposits::release::<T>(HoldReason::Commit, &who, commitment.deposit)?;
        let params = Params::<T>::get();
        let storage =
            params.storage_deposit.checked_mul(u128::from(bytes.div_ceil(MIB))).ok_or(ArithmeticError::Overflow)?;
        let risk = params.risk_deposit;
        deposits::hold::<T>(HoldReason::Storage, &who, storage)?;
        deposits::hold::<T>(HoldReason::Risk, &who, risk)?;

        let contribution = net.contributions;
        net.contributions = contribution.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        net.pending = net.pending.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        net.open = net.open.saturating_sub(1);
        Roots::<T>::insert(datanet, root, contribution);
        Contributions::<T>::insert(
            datanet,
            contribution,
            Contribution {
                owner: who.clone(),
                root,
                content,
                records,
                bytes,
                sequence: commitment.sequence,
                state: ContributionState::Pending,
                reason: None,
                note: None,
                leaf: None,
                rule: net.rule,
                revealed: now,
                decided: None,
                storage,
                risk,
            },
        );
        Datanets::<T>::insert(datanet, net);
        Self::deposit_event(Event::Revealed { datanet, contribution, who, root, records, bytes });
        Self::advance_queues();
        Ok(())
    }

    /// Rejects a contribution that waits for its verdict as the duplicate of one that was committed before it. Nobody
    /// judged it, so it does not count against its owner.
    fn displace(
        datanet: DatanetId,
        net: &mut Datanet<T::AccountId>,
        later: ContributionIndex,
        mut item: Contribution<T::AccountId>,
    ) -> DispatchResult {
        Self::refuse(datanet, later, &mut item, RejectCode::Duplicate, None)?;
        net.pending = net.pending.saturating_sub(1);
        Votes::<T>::remove(datanet, later);
        Contributions::<T>::insert(datanet, later, item);
        Ok(())
    }

    /// Frees the deposit of a commitment that came first and is opened too late: the mountain range only grows, so the
    /// accepted copy stays until somebody proves it a duplicate.
    ///
    /// The account proved the root to which it had committed, in time, as in any other reveal: only a commitment that
    /// nobody opens forfeits. Whoever reserved the root without the records gets back its own deposit and nothing else.
    fn supersede(
        who: T::AccountId,
        datanet: DatanetId,
        mut net: Datanet<T::AccountId>,
        hash: &Hash,
        commitment: &Commitment,
        contribution: ContributionIndex,
    ) -> DispatchResult {
        Self::close_commitment(&who, hash, commitment);
        deposits::release::<T>(HoldReason::Commit, &who, commitment.deposit)?;
        net.open = net.open.saturating_sub(1);
        Datanets::<T>::insert(datanet, net);
        Self::deposit_event(Event::RevealSuperseded { datanet, contribution, who, freed: commitment.deposit });
        Self::advance_queues();
        Ok(())
    }

    /// Whether the window in which the commitment could be revealed is over.
    pub(crate) fn is_expired(commitment: &Commitment) -> bool {
        T::Clock::now() > commitment.block.saturating_add(Params::<T>::get().commit_window)
    }

    /// Expires the oldest commitments that are due, looking at no more than `limit` sequences. Returns how many it
    /// looked at.
    ///
    /// Commitments fall due in the order of their sequence, so one pointer finds them. A revealed one leaves a gap that
    /// costs one look; every commitment adds one sequence and every call looks at two, so the pointer catches up.
    pub(crate) fn expire_commitments(limit: u32) -> u32 {
        let end = NextSequence::<T>::get();
        let start = CommitHead::<T>::get();
        let mut head = start;
        let mut looked = 0u32;
        while looked < limit && head < end {
            looked = looked.saturating_add(1);
            if let Some((who, hash)) = CommitQueue::<T>::get(head) {
                match Commitments::<T>::get(&who, hash) {
                    Some(c) if Self::is_expired(&c) => Self::expire(who, &hash, &c),
                    Some(_) => break,
                    None => CommitQueue::<T>::remove(head),
                }
            }
            head = head.saturating_add(1);
        }
        if head != start {
            CommitHead::<T>::put(head);
        }
        looked
    }

    fn expire(who: T::AccountId, hash: &Hash, commitment: &Commitment) {
        Self::close_commitment(&who, hash, commitment);
        Datanets::<T>::mutate(commitment.datanet, |net| {
            if let Some(net) = net {
                net.open = net.open.saturating_sub(1);
            }
        });
        if deposits::forfeit::<T>(HoldReason::Commit, &who, commitment.deposit).is_err() {
            defensive!("a commitment's deposit is not held");
        }
        Self::deposit_event(Event::CommitmentExpired {
            datanet: commitment.datanet,
            who,
            hash: *hash,
            forfeited: commitment.deposit,
        });
    }

    /// Removes a commitment and the counts that stand for it, the Datanet's aside.
    fn close_commitment(who: &T::AccountId, hash: &Hash, commitment: &Commitment) {
        Commitments::<T>::remove(who, hash);
        CommitQueue::<T>::remove(commitment.sequence);
        let today = Self::today();
        Activities::<T>::mutate_exists(who, |slot| {
            if let Some(activity) = slot {
                activity.open = activity.open.saturating_sub(1);
                // An account that is done and whose count belongs to a past day needs no entry.
                if activity.open == 0 && activity.day != today {
                    *slot = None;
                }
            }
        });
    }

    fn today() -> u32 {
        T::Clock::now().checked_div(T::Clock::day()).unwrap_or_default()
    }
}
