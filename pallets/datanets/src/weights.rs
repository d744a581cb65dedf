//! Weights of the calls and of the steps that hooks take.
//!
//! Upper bounds by hand until benchmarks replace them: each counts every storage item that its worst path touches, the
//! accounts and holds of the currency included, and adds a compute time several times what the hashing takes.

#![allow(missing_docs, reason = "the methods are named after the calls")]

use core::marker::PhantomData;
use frame::{
    deps::frame_support::weights::RuntimeDbWeight,
    prelude::{frame_system, Get, Weight},
    weights_prelude::RocksDbWeight,
};

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

fn parts<D: Get<RuntimeDbWeight>>(time: u64, reads: u64, writes: u64) -> Weight {
    // 4 KiB of proof for each item read: more than any value of this pallet takes.
    Weight::from_parts(time, 4_096u64.saturating_mul(reads)).saturating_add(D::get().reads_writes(reads, writes))
}

/// Weights on a database of these costs.
pub struct Bounds<D>(PhantomData<D>);

/// Weights on the database of `T`.
pub type SubstrateWeight<T> = Bounds<<T as frame_system::Config>::DbWeight>;

impl<D: Get<RuntimeDbWeight>> Bounds<D> {
    /// Two looks at either queue, as every call on contributions takes.
    fn queues() -> Weight {
        Self::expire().saturating_add(Self::free_risk()).saturating_mul(2)
    }
}

impl<D: Get<RuntimeDbWeight>> WeightInfo for Bounds<D> {
    fn create() -> Weight {
        parts::<D>(BASE.saturating_add(MONEY), 3u64.saturating_add(ACCOUNT), 2u64.saturating_add(ACCOUNT))
    }
    fn set_curators(n: u32) -> Weight {
        // Every pair of accounts is compared.
        let pairs = u64::from(n).saturating_mul(u64::from(n)).saturating_mul(100_000);
        parts::<D>(BASE.saturating_add(pairs), 2, 2)
    }
    fn commit() -> Weight {
        parts::<D>(BASE.saturating_add(MONEY), 8u64.saturating_add(ACCOUNT), 5u64.saturating_add(ACCOUNT))
            .saturating_add(Self::queues())
    }
    fn reveal() -> Weight {
        // With the rejection of a later contribution of the same root.
        parts::<D>(
            BASE.saturating_add(MONEY.saturating_mul(5)),
            12u64.saturating_add(ACCOUNT.saturating_mul(2)),
            10u64.saturating_add(ACCOUNT.saturating_mul(2)),
        )
        .saturating_add(Self::queues())
    }
    fn review() -> Weight {
        parts::<D>(
            BASE.saturating_add(MONEY.saturating_mul(3)),
            11u64.saturating_add(ACCOUNT.saturating_mul(2)),
            9u64.saturating_add(ACCOUNT.saturating_mul(2)),
        )
        .saturating_add(Self::queues())
    }
    fn snapshot() -> Weight {
        parts::<D>(BASE, 5, 2).saturating_add(Self::queues())
    }
    fn idle() -> Weight {
        parts::<D>(BASE, 5, 2)
    }
    fn expire() -> Weight {
        parts::<D>(
            MONEY.saturating_mul(2),
            7u64.saturating_add(ACCOUNT.saturating_mul(2)),
            5u64.saturating_add(ACCOUNT.saturating_mul(2)),
        )
    }
    fn free_risk() -> Weight {
        parts::<D>(MONEY.saturating_mul(2), 5u64.saturating_add(ACCOUNT), 3u64.saturating_add(ACCOUNT))
    }
}

/// The slower of the two databases that a node can use.
impl WeightInfo for () {
    fn create() -> Weight {
        Bounds::<RocksDbWeight>::create()
    }
    fn set_curators(n: u32) -> Weight {
        Bounds::<RocksDbWeight>::set_curators(n)
    }
    fn commit() -> Weight {
        Bounds::<RocksDbWeight>::commit()
    }
    fn reveal() -> Weight {
        Bounds::<RocksDbWeight>::reveal()
    }
    fn review() -> Weight {
        Bounds::<RocksDbWeight>::review()
    }
    fn snapshot() -> Weight {
        Bounds::<RocksDbWeight>::snapshot()
    }
    fn idle() -> Weight {
        Bounds::<RocksDbWeight>::idle()
    }
    fn expire() -> Weight {
        Bounds::<RocksDbWeight>::expire()
    }
    fn free_risk() -> Weight {
        Bounds::<RocksDbWeight>::free_risk()
    }
}
