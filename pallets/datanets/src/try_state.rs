//! Invariants of the stored state.

use crate::{
    types::{ContributionState, MAX_OPEN},
    Activities, Clusters, CommitHead, CommitQueue, Commitments, Config, Contributions, Datanets, HoldReason,
    NextDatanet, NextSequence, Pallet, Peaks, RecordIndex, RiskBounds, RiskQueue, Roots, Snapshots, Vouchers,
};
use alloc::{collections::BTreeMap, vec::Vec};
use frame::{
    deps::sp_runtime::{ArithmeticError, DispatchError},
    prelude::*,
    traits::fungible::InspectHold,
};
use weft_protocol::mmr::snapshot_root;

type Check = Result<(), DispatchError>;

fn sum(total: &mut u128, amount: u128) -> Check {
    *total = total.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
    Ok(())
}

impl<T: Config> Pallet<T> {
    /// Checks every invariant.
    pub(crate) fn do_try_state() -> Check {
        Self::check_deposits()?;
        Self::check_ranges()?;
        Self::check_index()?;
        Self::check_snapshots()?;
        Self::check_vouchers()?;
        Self::check_counts()?;
        Self::check_queues()
    }

    /// D1: what is held equals what is recorded, for each account of the chain and each reason.
    fn check_deposits() -> Check {
        // In the order of `HoldReason`.
        let reasons =
            [HoldReason::Datanet, HoldReason::Commit, HoldReason::Storage, HoldReason::Risk, HoldReason::Cluster];
        let mut recorded: BTreeMap<T::AccountId, [u128; 5]> = BTreeMap::new();
        for net in Datanets::<T>::iter_values() {
            let [held, ..] = recorded.entry(net.owner).or_default();
            sum(held, net.deposit)?;
        }
        for (who, _, commitment) in Commitments::<T>::iter() {
            let [_, held, ..] = recorded.entry(who).or_default();
            sum(held, commitment.deposit)?;
        }
        for item in Contributions::<T>::iter_values() {
            let [_, _, storage, risk, _] = recorded.entry(item.owner).or_default();
            sum(storage, item.storage)?;
            sum(risk, item.risk)?;
        }
        for clustering in Clusters::<T>::iter_values() {
            let [.., bond] = recorded.entry(clustering.poster).or_default();
            sum(bond, clustering.bond)?;
        }
        for who in frame_system::Account::<T>::iter_keys() {
            let amounts = recorded.remove(&who).unwrap_or_default();
            for (reason, amount) in reasons.iter().zip(amounts) {
                let held = T::Currency::balance_on_hold(&(*reason).into(), &who);
                ensure!(held == amount, "D1: holds are not the recorded deposits");
            }
        }
        let nobody = recorded.values().all(|amounts| amounts.iter().all(|amount| *amount == 0));
        ensure!(nobody, "D1: holds are not the recorded deposits");
        Ok(())
    }

    /// D2: the peaks bag to the stored root, the size is accepts and tombstones, the records are the leaves'.
    fn check_ranges() -> Check {
        for (id, net) in Datanets::<T>::iter() {
            let root = snapshot_root(&Peaks::<T>::get(id), net.leaves, net.records);
            ensure!(root == net.root, "D2: peaks do not bag to the stored root");
            let mut leaves: Vec<(u64, u64, u32)> = Contributions::<T>::iter_prefix_values(id)
                .filter_map(|c| c.leaf.map(|leaf| (leaf.index, leaf.first, c.records)))
                .collect();
            leaves.sort_unstable();
            let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
            ensure!(
                Some(net.leaves) == count.checked_add(net.tombstones),
                "D2: the size is not accepts and tombstones"
            );
            let mut records = 0u64;
            for (_, first, n) in leaves {
                ensure!(first == records, "D2: a leaf does not begin where the one before ends");
                records = records.checked_add(u64::from(n)).ok_or(ArithmeticError::Overflow)?;
            }
            ensure!(records == net.records, "D2: records are not the sum of the leaves'");
        }
        for item in Contributions::<T>::iter_values() {
            let in_range = !matches!(item.state, ContributionState::Pending | ContributionState::Rejected);
            ensure!(item.leaf.is_some() == in_range, "D2: a leaf without acceptance, or the reverse");
        }
        Ok(())
    }

    /// D3: no indexed hash has an accepted contribution of lower sequence: an index entry names a contribution that
    /// exists, and of all with this root it is the only one.
    fn check_index() -> Check {
        for (id, _, n) in RecordIndex::<T>::iter() {
            ensure!(Contributions::<T>::contains_key(id, n), "D3: an indexed record without contribution");
        }
        for (id, root, n) in Roots::<T>::iter() {
            let same = Contributions::<T>::get(id, n)
                .is_some_and(|c| c.root == root && c.state != ContributionState::Rejected);
            ensure!(same, "D3: a root that its contribution does not have");
        }
        for (id, n, item) in Contributions::<T>::iter() {
            let expected = (item.state != ContributionState::Rejected).then_some(n);
            if expected.is_some() {
                ensure!(Roots::<T>::get(id, item.root) == expected, "D3: two contributions with one root");
            }
        }
        Ok(())
    }

    /// D4: snapshot sizes grow strictly, and none is larger than the range.
    fn check_snapshots() -> Check {
        for (id, net) in Datanets::<T>::iter() {
            let mut last = 0u64;
            for s in 0..net.snapshots {
                let info = Snapshots::<T>::get(id, s).ok_or("D4: a snapshot is missing")?;
                ensure!(info.leaves > last, "D4: snapshot sizes do not grow");
                last = info.leaves;
            }
            ensure!(last <= net.leaves, "D4: a snapshot is larger than its Datanet");
            let stored = u32::try_from(Snapshots::<T>::iter_prefix(id).count()).unwrap_or(u32::MAX);
            ensure!(stored == net.snapshots, "D4: a snapshot beyond the count");
        }
        Ok(())
    }

    /// D5: each pot covers its open vouchers' deposits. Sponsorship is not built, so there is no voucher to cover.
    fn check_vouchers() -> Check {
        ensure!(Vouchers::<T>::iter().next().is_none(), "D5: a voucher without a pot");
        Ok(())
    }

    /// D6: the counts kept beside the maps are theirs.
    fn check_counts() -> Check {
        let mut open_by_account: BTreeMap<T::AccountId, u32> = BTreeMap::new();
        let mut open_by_datanet: BTreeMap<u32, u32> = BTreeMap::new();
        for (who, _, commitment) in Commitments::<T>::iter() {
            let open = open_by_account.entry(who).or_default();
            *open = open.saturating_add(1);
            let open = open_by_datanet.entry(commitment.datanet).or_default();
            *open = open.saturating_add(1);
        }
        for (who, activity) in Activities::<T>::iter() {
            let open = open_by_account.remove(&who).unwrap_or_default();
            ensure!(activity.open == open, "D6: an account's count of open commitments is wrong");
            ensure!(open <= MAX_OPEN, "D6: an account has too many open commitments");
        }
        ensure!(open_by_account.is_empty(), "D6: an account's open commitments are not counted");
        for (id, net) in Datanets::<T>::iter() {
            ensure!(id < NextDatanet::<T>::get(), "D6: a Datanet beyond the next number");
            let open = open_by_datanet.remove(&id).unwrap_or_default();
            ensure!(net.open == open, "D6: a Datanet's count of open commitments is wrong");
            let (mut all, mut pending) = (0u32, 0u32);
            for item in Contributions::<T>::iter_prefix_values(id) {
                all = all.saturating_add(1);
                if item.state == ContributionState::Pending {
                    pending = pending.saturating_add(1);
                }
            }
            ensure!(net.contributions == all, "D6: a Datanet's count of contributions is wrong");
            ensure!(net.pending == pending, "D6: a Datanet's count of pending contributions is wrong");
        }
        ensure!(open_by_datanet.is_empty(), "D6: a commitment to no Datanet");
        Ok(())
    }

    /// D7: every deposit that time frees or forfeits waits in its queue.
    fn check_queues() -> Check {
        let (head, end) = (CommitHead::<T>::get(), NextSequence::<T>::get());
        for (who, hash, commitment) in Commitments::<T>::iter() {
            let s = commitment.sequence;
            ensure!((head..end).contains(&s), "D7: a commitment outside the queue's bounds");
            ensure!(CommitQueue::<T>::get(s) == Some((who, hash)), "D7: a commitment outside the queue");
        }
        ensure!(
            CommitQueue::<T>::iter_values().all(|(who, hash)| Commitments::<T>::contains_key(who, hash)),
            "D7: a queued commitment that does not exist"
        );
        let (head, tail) = RiskBounds::<T>::get();
        let mut queued = BTreeMap::new();
        for (position, item) in RiskQueue::<T>::iter() {
            ensure!((head..tail).contains(&position), "D7: a risk deposit outside the queue's bounds");
            ensure!(queued.insert(item, ()).is_none(), "D7: a risk deposit is queued twice");
        }
        for (id, n, item) in Contributions::<T>::iter() {
            let due = item.state == ContributionState::Accepted && item.risk > 0;
            ensure!(!due || queued.contains_key(&(id, n)), "D7: a risk deposit that nothing will free");
        }
        Ok(())
    }
}
