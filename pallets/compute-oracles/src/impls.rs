//! Implementations of the traits through which other pallets see oracles and runs.

use crate::{pallet::*, types::*};
use frame::prelude::*;
use weft_protocol::{hash::Hash, job::Tier};
use weft_traits::{Amount, Beacon, JobId, OracleInspect, RunBlocks, RunControl, RunLimits};

impl<T: Config> OracleInspect<T::AccountId> for Pallet<T> {
    fn limits(fee: Amount, value: Amount, steps: u32, tier: Tier, blocks: RunBlocks) -> Option<RunLimits> {
        Self::run_limits(fee, value, steps, tier, blocks)
    }

    fn supporting(sem_id: &Hash) -> u32 {
        Supporting::<T>::get(sem_id)
    }

    fn supports(who: &T::AccountId, sem_id: &Hash) -> bool {
        Oracles::<T>::get(who).is_some_and(|oracle| oracle.is_active() && oracle.classes.contains(sem_id))
    }

    fn signing_key(who: &T::AccountId) -> Option<[u8; 32]> {
        Some(Oracles::<T>::get(who)?.signing_key)
    }

    #[cfg(feature = "std")]
    fn put_for_tests(who: &T::AccountId, sem_id: Hash) {
        let oracle = Oracle {
            bonded: 0,
            locked: 0,
            locks: 0,
            classes: alloc::vec![sem_id].try_into().unwrap_or_default(),
            endpoint: Default::default(),
            signing_key: who.clone().into(),
            status: OracleStatus::Active,
            faults: Default::default(),
            changes: 0,
            last_change: 0,
        };
        Supporting::<T>::mutate(sem_id, |count| *count = count.saturating_add(1));
        Oracles::<T>::insert(who, oracle);
    }
}

impl<T: Config> RunControl for Pallet<T> {
    fn poke(job: JobId) -> Result<Weight, DispatchError> {
        Self::do_poke(RunKey::Job(job))
    }

    fn is_running(job: JobId) -> bool {
        Runs::<T>::get(RunKey::Job(job)).is_some_and(|run| run.phase != Phase::Ended)
    }
}

impl<T: Config> Beacon for Pallet<T> {
    fn value(at: u32) -> Option<Hash> {
        BeaconValue::<T>::get(at)
    }
}
