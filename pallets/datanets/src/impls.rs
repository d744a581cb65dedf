//! What the other pallets may ask.

use crate::{types::Status, Config, Curators, Datanets, Pallet, Reserves, Snapshots};
use alloc::vec::Vec;
use weft_protocol::{hash::Hash, merkle};
use weft_traits::{DatanetId, DatanetInspect, SnapshotIndex, SnapshotInfo};

impl<T: Config> DatanetInspect<T::AccountId> for Pallet<T> {
    fn owner(id: DatanetId) -> Option<T::AccountId> {
        Datanets::<T>::get(id).map(|net| net.owner)
    }

    fn curators(id: DatanetId) -> Vec<T::AccountId> {
        Curators::<T>::get(id).into_inner()
    }

    fn is_open(id: DatanetId) -> bool {
        Datanets::<T>::get(id).is_some_and(|net| net.status == Status::Open)
    }

    fn snapshot(id: DatanetId, index: SnapshotIndex) -> Option<SnapshotInfo> {
        Snapshots::<T>::get(id, index)
    }

    fn probe_root(id: DatanetId) -> Hash {
        let count = Datanets::<T>::get(id).map_or(0, |net| net.reserves);
        let roots: Vec<Hash> = (0..count).filter_map(|r| Reserves::<T>::get(id, r)).map(|r| r.root).collect();
        merkle::root(&roots)
    }

    #[cfg(feature = "std")]
    fn put_for_tests(id: DatanetId, owner: T::AccountId, snapshot: SnapshotInfo) {
        use crate::types::{Datanet, Kind, Rule};
        Datanets::<T>::insert(
            id,
            Datanet {
                owner,
                successor: None,
                kind: Kind::Instruction,
                schema: 0,
                status: Status::Open,
                rule: Rule::Owner,
                name: Default::default(),
                card: Default::default(),
                deposit: 0,
                key_version: 0,
                created: 0,
                leaves: snapshot.leaves,
                tombstones: 0,
                records: snapshot.records,
                bytes: snapshot.bytes,
                root: snapshot.root,
                contributions: 0,
                snapshots: 1,
                reserves: 0,
                open: 0,
                pending: 0,
                curators_version: 0,
            },
        );
        Snapshots::<T>::insert(id, 0, snapshot);
    }
}
