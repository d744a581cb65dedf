//! Weights of the calls and of the steps that hooks take.
//!
//! Upper bounds by hand until benchmarks replace them: each counts every storage item that its worst path touches, the
//! accounts and holds of the currency included, and adds a compute time several times what the hashing takes.

#![allow(missing_docs, reason = "the methods are named after the calls")]

use core::marker::PhantomData;
use frame::prelude::{frame_system, Get, Weight};

/// Weights of this pallet.
pub trait WeightInfo {
    fn create() -> Weight;
    fn set_curators(n: u32) -> Weight;
    fn commit() -> Weight;
    fn reveal() -> Weight;
    fn review() -> Weight;
    fn snapshot() -> Weight;
    /// What `on_idle` costs when nothing is due.
    fn idle() -> Weight;
    /// One look at the queue of commitments, with an expiry.
    fn expire() -> Weight;
    /// One look at the queue of risk deposits, with a release.
    fn free_risk() -> Weight;
}

/// Reads and writes that a change of one account's balance and hold costs: account and holds.
const ACCOUNT: u64 = 2;
/// Compute time of a call in picoseconds: decoding, events, a few hashes.
const BASE: u64 = 60_000_000;
/// Compute time of one hold, release or transfer.
const MONEY: u64 = 40_000_000;

fn parts<T: frame_system::Config>(time: u64, reads: u64, writes: u64) -> Weight {
    // 4 KiB of proof for each item read: more than any value of this pallet takes.
    Weight::from_parts(time, 4_096u64.saturating_mul(reads))
        .saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

/// Weights on the database of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> SubstrateWeight<T> {
    /// Two looks at either queue, as every call on contributions takes.
    fn queues() -> Weight {
        Self::expire().saturating_add(Self::free_risk()).saturating_mul(2)
    }
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn create() -> Weight {
        parts::<T>(BASE.saturating_add(MONEY), 2u64.saturating_add(ACCOUNT), 2u64.saturating_add(ACCOUNT))
    }
    fn set_curators(n: u32) -> Weight {
        // Every pair of accounts is compared.
        let pairs = u64::from(n).saturating_mul(u64::from(n)).saturating_mul(100_000);
        parts::<T>(BASE.saturating_add(pairs), 2, 2)
    }
    fn commit() -> Weight {
        parts::<T>(BASE.saturating_add(MONEY), 7u64.saturating_add(ACCOUNT), 5u64.saturating_add(ACCOUNT))
            .saturating_add(Self::queues())
    }
    fn reveal() -> Weight {
        parts::<T>(
            BASE.saturating_add(MONEY.saturating_mul(3)),
            8u64.saturating_add(ACCOUNT),
            6u64.saturating_add(ACCOUNT),
        )
        .saturating_add(Self::queues())
    }
    fn review() -> Weight {
        parts::<T>(
            BASE.saturating_add(MONEY.saturating_mul(3)),
            10u64.saturating_add(ACCOUNT.saturating_mul(2)),
            9u64.saturating_add(ACCOUNT.saturating_mul(2)),
        )
        .saturating_add(Self::queues())
    }
    fn snapshot() -> Weight {
        parts::<T>(BASE, 4, 2).saturating_add(Self::queues())
    }
    fn idle() -> Weight {
        parts::<T>(BASE, 4, 2)
    }
    fn expire() -> Weight {
        parts::<T>(
            MONEY.saturating_mul(2),
            6u64.saturating_add(ACCOUNT.saturating_mul(2)),
            5u64.saturating_add(ACCOUNT.saturating_mul(2)),
        )
    }
    fn free_risk() -> Weight {
        parts::<T>(MONEY.saturating_mul(2), 4u64.saturating_add(ACCOUNT), 3u64.saturating_add(ACCOUNT))
    }
}

impl WeightInfo for () {
    fn create() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn set_curators(_n: u32) -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn commit() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn reveal() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn review() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn snapshot() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn idle() -> Weight {
        Weight::from_parts(BASE, 0)
    }
    fn expire() -> Weight {
        Weight::from_parts(MONEY, 0)
    }
    fn free_risk() -> Weight {
        Weight::from_parts(MONEY, 0)
    }
}
