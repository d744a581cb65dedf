//! Weights of the calls: hand-written upper bounds.
//!
//! Each is the sum of the storage accesses at the declared bounds (64 tickets in each of 8 classes, 16 verifiers, 15
//! jurors, 64 disputes) with a generous time for hashing; benchmarks replace them.

use frame::weights_prelude::*;

/// Weights of the calls of this pallet.
pub trait WeightInfo {
    /// Weight of `register`.
    fn register() -> Weight;
    /// Weight of `bond`, `unbond`, `withdraw`, `chill` and `resume`.
    fn stake() -> Weight;
    /// Weight of `take`.
    fn take() -> Weight;
    /// Weight of `commit`.
    fn commit() -> Weight;
    /// Weight of `audit_commit`.
    fn audit_commit() -> Weight;
    /// Weight of `reveal_nonces`.
    fn reveal_nonces() -> Weight;
    /// Weight of `audit_reveal`; the last one decides the audit.
    fn audit_reveal() -> Weight;
    /// Weight of `accuse`.
    fn accuse() -> Weight;
    /// Weight of `jury_commit`.
    fn jury_commit() -> Weight;
    /// Weight of `jury_reveal`; the last one decides the question.
    fn jury_reveal() -> Weight;
    /// Weight of one transition of a run, in the idle sweep.
    fn transition() -> Weight;
    /// Weight of one draw in `on_initialize`.
    fn draw() -> Weight;
}

fn bound(micros: u64, proof: u64, reads: u64, writes: u64) -> Weight {
    Weight::from_parts(micros.saturating_mul(1_000_000), proof)
        .saturating_add(RocksDbWeight::get().reads_writes(reads, writes))
}

/// Reads and writes of bringing one oracle's tickets in line with its free stake, at the bounds.
fn tickets() -> Weight {
    bound(800, 40_000, 24, 24)
}

impl WeightInfo for () {
    fn register() -> Weight {
        bound(300, 60_000, 24, 24).saturating_add(tickets())
    }
    fn stake() -> Weight {
        bound(200, 20_000, 12, 8).saturating_add(tickets())
    }
    fn take() -> Weight {
        bound(300, 160_000, 20, 12).saturating_add(tickets())
    }
    fn commit() -> Weight {
        bound(150, 60_000, 12, 8)
    }
    fn audit_commit() -> Weight {
        bound(150, 60_000, 24, 8)
    }
    fn reveal_nonces() -> Weight {
        bound(300, 80_000, 24, 8)
    }
    fn audit_reveal() -> Weight {
        bound(2_000, 300_000, 120, 90)
    }
    fn accuse() -> Weight {
        bound(400, 160_000, 40, 16)
    }
    fn jury_commit() -> Weight {
        bound(150, 80_000, 12, 6)
    }
    fn jury_reveal() -> Weight {
        Self::transition()
    }
    fn transition() -> Weight {
        bound(6_000, 600_000, 400, 400)
    }
    fn draw() -> Weight {
        bound(30_000, 200_000, 120, 80).saturating_add(tickets().saturating_mul(8))
    }
}
