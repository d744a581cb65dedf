//! Weights: upper bounds by hand, from storage accesses, hashes and signatures of each call at its bounds.

use frame::weights_prelude::*;

/// Picoseconds of a balance change with its events: two accounts and their holds.
const MOVE: u64 = 60_000_000;
/// Picoseconds of an sr25519 verification.
const SIGNATURE: u64 = 120_000_000;
/// Picoseconds of one node of a Merkle-sum tree: a hash of 160 bytes and three additions.
const NODE: u64 = 2_000_000;
/// Largest settlement in bytes: 16 parts of 160 bytes and the head.
const SETTLEMENT: u64 = 3_072;
/// Proof bytes of one more storage item.
const ITEM: u64 = 2_048;

/// Weight of each call.
pub trait WeightInfo {
    /// `open_budget`.
    fn open_budget() -> Weight;
    /// `top_up`.
    fn top_up() -> Weight;
    /// `close_budget`.
    fn close_budget() -> Weight;
    /// `withdraw`.
    fn withdraw() -> Weight;
    /// `add_key`, with a full list of keys.
    fn add_key() -> Weight;
    /// `revoke_key`.
    fn revoke_key() -> Weight;
    /// `redeem` of `n` vouchers.
    fn redeem(n: u32) -> Weight;
    /// `finalise` with `n` payments.
    fn finalise(n: u32) -> Weight;
    /// `claim` with a path of `d` nodes.
    fn claim(d: u32) -> Weight;
    /// `claim_many` of `n` leaves with `m` nodes.
    fn claim_many(n: u32, m: u32) -> Weight;
}

/// The bounds, over any database weights.
fn open_budget(db: impl Fn(u64, u64) -> Weight) -> Weight {
    // Reads: oracle, budget, account, holds. Writes: budget, account, holds.
    Weight::from_parts(MOVE, 8 * 1_024).saturating_add(db(4, 3))
}

fn close_budget(db: impl Fn(u64, u64) -> Weight) -> Weight {
    Weight::from_parts(30_000_000, 2 * ITEM).saturating_add(db(2, 1))
}

fn withdraw(db: impl Fn(u64, u64) -> Weight) -> Weight {
    Weight::from_parts(MOVE, 8 * 1_024).saturating_add(db(3, 3))
}

fn add_key(db: impl Fn(u64, u64) -> Weight) -> Weight {
    // Reads: the key and the prefix of 32 keys with its end. Writes: the key, an evicted one.
    Weight::from_parts(200_000_000, 34 * ITEM).saturating_add(db(34, 2))
}

fn revoke_key(db: impl Fn(u64, u64) -> Weight) -> Weight {
    Weight::from_parts(30_000_000, ITEM).saturating_add(db(1, 1))
}

fn redeem(n: u32, db: impl Fn(u64, u64) -> Weight) -> Weight {
    let n = u64::from(n);
    // Each voucher reads model, key, prices, channel, budget, account, holds, revenue and writes key, channel, budget,
    // account, holds, revenue; the batch reads genesis hash, clock, parameters and pot, and writes the pot.
    Weight::from_parts(
        SIGNATURE.saturating_add(MOVE).saturating_mul(n).saturating_add(20_000_000),
        ITEM.saturating_mul(10).saturating_mul(n).saturating_add(8 * ITEM),
    )
    .saturating_add(db(n.saturating_mul(8).saturating_add(4), n.saturating_mul(6).saturating_add(1)))
}

fn finalise(n: u32, db: impl Fn(u64, u64) -> Weight) -> Weight {
    let n = u64::from(n);
    // Each payment reads and writes an account and what it was owed; each part reads licence version, shares, owner and
    // curators, each oracle its usage: at most one more read for every payment and 64 more. The rest: settlement, model,
    // parameters, revenue, weights.
    Weight::from_parts(
        MOVE.saturating_mul(n).saturating_add(200_000_000),
        ITEM.saturating_mul(3).saturating_mul(n).saturating_add(80 * ITEM),
    )
    .saturating_add(db(n.saturating_mul(3).saturating_add(70), n.saturating_mul(2).saturating_add(3)))
}

fn claim_many(n: u32, m: u32, db: impl Fn(u64, u64) -> Weight) -> Weight {
    let (n, m) = (u64::from(n), u64::from(m));
    // Nodes: those given, and at most 32 computed for each leaf. Each leaf reads and writes its chunk, the owner's
    // account and what it was owed; the last one pays the treasury too.
    Weight::from_parts(
        MOVE.saturating_add(NODE.saturating_mul(33))
            .saturating_mul(n)
            .saturating_add(NODE.saturating_mul(m))
            .saturating_add(2 * MOVE),
        ITEM.saturating_mul(4).saturating_mul(n).saturating_add(SETTLEMENT + 8 * ITEM),
    )
    .saturating_add(db(n.saturating_mul(3).saturating_add(4), n.saturating_mul(3).saturating_add(4)))
}

/// The bounds with the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> SubstrateWeight<T> {
    fn db(reads: u64, writes: u64) -> Weight {
        T::DbWeight::get().reads_writes(reads, writes)
    }
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn open_budget() -> Weight {
        open_budget(Self::db)
    }
    fn top_up() -> Weight {
        open_budget(Self::db)
    }
    fn close_budget() -> Weight {
        close_budget(Self::db)
    }
    fn withdraw() -> Weight {
        withdraw(Self::db)
    }
    fn add_key() -> Weight {
        add_key(Self::db)
    }
    fn revoke_key() -> Weight {
        revoke_key(Self::db)
    }
    fn redeem(n: u32) -> Weight {
        redeem(n, Self::db)
    }
    fn finalise(n: u32) -> Weight {
        finalise(n, Self::db)
    }
    fn claim(d: u32) -> Weight {
        claim_many(1, d, Self::db)
    }
    fn claim_many(n: u32, m: u32) -> Weight {
        claim_many(n, m, Self::db)
    }
}

/// Database weights of ParityDB, for mocks.
fn parity(reads: u64, writes: u64) -> Weight {
    ParityDbWeight::get().reads_writes(reads, writes)
}

impl WeightInfo for () {
    fn open_budget() -> Weight {
        open_budget(parity)
    }
    fn top_up() -> Weight {
        open_budget(parity)
    }
    fn close_budget() -> Weight {
        close_budget(parity)
    }
    fn withdraw() -> Weight {
        withdraw(parity)
    }
    fn add_key() -> Weight {
        add_key(parity)
    }
    fn revoke_key() -> Weight {
        revoke_key(parity)
    }
    fn redeem(n: u32) -> Weight {
        redeem(n, parity)
    }
    fn finalise(n: u32) -> Weight {
        finalise(n, parity)
    }
    fn claim(d: u32) -> Weight {
        claim_many(1, d, parity)
    }
    fn claim_many(n: u32, m: u32) -> Weight {
        claim_many(n, m, parity)
    }
}
