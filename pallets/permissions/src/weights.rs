//! Weights of the calls and of the steps that hooks take.
//!
//! Upper bounds by hand until benchmarks replace them: each counts every storage item that its worst path touches, the
//! accounts and holds of the currency included, and adds a compute time several times what the work takes.

#![allow(missing_docs, reason = "the methods are named after the calls")]

use core::marker::PhantomData;
use frame::prelude::{frame_system, Get, Weight};

/// Weights of this pallet.
pub trait WeightInfo {
    fn set_licence() -> Weight;
    fn acquire() -> Weight;
    fn revoke() -> Weight;
    /// Consuming one input of a job; the job's pallet adds it for each input.
    fn consume() -> Weight;
    /// What `on_idle` costs when nothing is due.
    fn idle() -> Weight;
    /// One look at a grant, with its removal.
    fn prune() -> Weight;
}

/// Reads and writes that a change of one account's balance and hold costs: account and holds.
const ACCOUNT: u64 = 2;
/// Compute time of a call in picoseconds: decoding, events, comparing lists of 32 hashes.
const BASE: u64 = 80_000_000;
/// Compute time of one hold or release.
const MONEY: u64 = 40_000_000;

fn parts<T: frame_system::Config>(time: u64, reads: u64, writes: u64) -> Weight {
    // 4 KiB of proof for each item read: more than any value of this pallet takes.
    Weight::from_parts(time, 4_096u64.saturating_mul(reads))
        .saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

/// Weights on the database of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn set_licence() -> Weight {
        parts::<T>(BASE.saturating_add(MONEY), 3u64.saturating_add(ACCOUNT), 2u64.saturating_add(ACCOUNT))
    }
    fn acquire() -> Weight {
        parts::<T>(BASE.saturating_add(MONEY), 7u64.saturating_add(ACCOUNT), 3u64.saturating_add(ACCOUNT))
            .saturating_add(Self::prune().saturating_mul(2))
    }
    fn revoke() -> Weight {
        parts::<T>(BASE, 3, 1)
    }
    fn consume() -> Weight {
        parts::<T>(BASE.saturating_add(MONEY), 10u64.saturating_add(ACCOUNT), 4u64.saturating_add(ACCOUNT))
    }
    fn idle() -> Weight {
        parts::<T>(BASE, 2, 1)
    }
    fn prune() -> Weight {
        // A grant, its 16 envelopes, the consumer's hold.
        parts::<T>(MONEY.saturating_mul(2), 17u64.saturating_add(ACCOUNT), 17u64.saturating_add(ACCOUNT))
    }
}

impl WeightInfo for () {
    fn set_licence() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn acquire() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn revoke() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn consume() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn idle() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn prune() -> Weight {
        Weight::from_parts(MONEY, 0)
    }
}
