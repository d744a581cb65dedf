//! Immutable versions of a Datanet.

use crate::{
    types::{ContributionState, RecordOwner, RecordProof},
    Config, Contributions, Datanets, Error, Event, Pallet, Params, Snapshots,
};
use frame::{deps::sp_runtime::ArithmeticError, prelude::*};
use weft_protocol::merkle;
use weft_traits::{Clock, DatanetId, SnapshotIndex, SnapshotInfo};

impl<T: Config> Pallet<T> {
    /// Freezes root and counts under the next number.
    pub(crate) fn do_snapshot(datanet: DatanetId) -> DispatchResult {
        let mut net = Self::existing(datanet)?;
        let now = T::Clock::now();
        let last = net.snapshots.checked_sub(1).and_then(|s| Snapshots::<T>::get(datanet, s));
        if let Some(last) = &last {
            let next = last.block.saturating_add(Params::<T>::get().snapshot_interval);
            ensure!(now >= next, Error::<T>::SnapshotTooSoon);
        }
        ensure!(net.leaves > last.map_or(0, |s| s.leaves), Error::<T>::NoNewLeaves);

        let snapshot = net.snapshots;
        net.snapshots = snapshot.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        let info =
            SnapshotInfo { root: net.root, leaves: net.leaves, records: net.records, bytes: net.bytes, block: now };
        Snapshots::<T>::insert(datanet, snapshot, &info);
        Datanets::<T>::insert(datanet, net);
        Self::deposit_event(Event::SnapshotTaken { datanet, snapshot, root: info.root, records: info.records });
        Self::advance_queues();
        Ok(())
    }

    /// The first snapshot that holds leaf `index`, found by halving: sizes grow strictly.
    pub(crate) fn first_snapshot_with(datanet: DatanetId, index: u64) -> Option<SnapshotIndex> {
        let count = Datanets::<T>::get(datanet)?.snapshots;
        let (mut low, mut high) = (0u32, count);
        while low < high {
            let middle = low.saturating_add(high.saturating_sub(low) >> 1);
            if Snapshots::<T>::get(datanet, middle).is_some_and(|s| s.leaves > index) {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        (low < count).then_some(low)
    }

    /// Follows a record's path to the stored root of its contribution.
    pub(crate) fn prove_owner(proof: &RecordProof) -> Option<RecordOwner<T::AccountId>> {
        let item = Contributions::<T>::get(proof.datanet, proof.contribution)?;
        let leaf = item.leaf.filter(|_| item.state == ContributionState::Accepted)?;
        if !merkle::verify(&item.root, item.records, proof.index, &proof.leaf, &proof.path) {
            return None;
        }
        let position = leaf.first.checked_add(u64::from(proof.index))?;
        Some(RecordOwner { owner: item.owner, position, sequence: item.sequence })
    }
}
