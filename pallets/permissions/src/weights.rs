//! Weights of the calls and of the steps that hooks take.
//!
//! Upper bounds by hand until benchmarks replace them: each counts every storage item that its worst path touches, the
//! accounts and holds of the currency included, and adds a compute time several times what the work takes.

#![allow(missing_docs, reason = "the methods are named after the calls")]

use core::marker::PhantomData;
use frame::{
    deps::frame_support::weights::RuntimeDbWeight,
    prelude::{frame_system, Get, Weight},
    weights_prelude::RocksDbWeight,
};

/// Weights of this pallet.
pub trait WeightInfo {
    fn set_licence() -> Weight;
    fn acquire() -> Weight;
    fn revoke() -> Weight;
    /// Consuming one input of a job; the job's pallet adds it for each input.
    fn consume() -> Weight;
    /// What `on_idle` costs when nothing is due.
    fn idle() -> Weight;
    /// One look at a grant, or the end of one of its uses, with its removal.
    fn prune() -> Weight;
}

/// Reads and writes that a change of one account's balance and hold costs: account and holds.
const ACCOUNT: u64 = 2;
/// Compute time of a call in picoseconds: decoding, events, comparing lists of 32 hashes.
const BASE: u64 = 80_000_000;
/// Compute time of one hold or release.
const MONEY: u64 = 40_000_000;

fn parts<D: Get<RuntimeDbWeight>>(time: u64, reads: u64, writes: u64) -> Weight {
    // 4 KiB of proof for each item read: more than any value of this pallet takes.
    Weight::from_parts(time, 4_096u64.saturating_mul(reads)).saturating_add(D::get().reads_writes(reads, writes))
}

/// Weights on a database of these costs.
pub struct Bounds<D>(PhantomData<D>);

/// Weights on the database of `T`.
pub type SubstrateWeight<T> = Bounds<<T as frame_system::Config>::DbWeight>;

impl<D: Get<RuntimeDbWeight>> WeightInfo for Bounds<D> {
    fn set_licence() -> Weight {
        parts::<D>(BASE.saturating_add(MONEY), 4u64.saturating_add(ACCOUNT), 2u64.saturating_add(ACCOUNT))
    }
    fn acquire() -> Weight {
        parts::<D>(BASE.saturating_add(MONEY), 8u64.saturating_add(ACCOUNT), 3u64.saturating_add(ACCOUNT))
            .saturating_add(Self::prune().saturating_mul(2))
    }
    fn revoke() -> Weight {
        parts::<D>(BASE, 3, 1).saturating_add(Self::prune())
    }
    fn consume() -> Weight {
        parts::<D>(BASE.saturating_add(MONEY), 11u64.saturating_add(ACCOUNT), 4u64.saturating_add(ACCOUNT))
    }
    fn idle() -> Weight {
        parts::<D>(BASE, 2, 1)
    }
    fn prune() -> Weight {
        // The step to the next grant, the grant, its 16 envelopes, the consumer's hold.
        parts::<D>(MONEY.saturating_mul(2), 19u64.saturating_add(ACCOUNT), 17u64.saturating_add(ACCOUNT))
    }
}

/// The slower of the two databases that a node can use.
impl WeightInfo for () {
    fn set_licence() -> Weight {
        Bounds::<RocksDbWeight>::set_licence()
    }
    fn acquire() -> Weight {
        Bounds::<RocksDbWeight>::acquire()
    }
    fn revoke() -> Weight {
        Bounds::<RocksDbWeight>::revoke()
    }
    fn consume() -> Weight {
        Bounds::<RocksDbWeight>::consume()
    }
    fn idle() -> Weight {
        Bounds::<RocksDbWeight>::idle()
    }
    fn prune() -> Weight {
        Bounds::<RocksDbWeight>::prune()
    }
}
