//! Weights of the calls: hand-written upper bounds.
//!
//! Each is the sum of the storage accesses at the declared bounds (16 verifiers, 15 jurors, 64 disputes, 20 recipients of
//! a slash, 16 parts with 17 recipients each at the mint, 256 full blocks before a draw finds room) with a generous time
//! for hashing; benchmarks replace them. Tickets cost nothing here: they follow at the start of a later block.

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
    /// Weight of `reveal_nonces`, with the end of the audit before it and the decision after it.
    fn reveal_nonces() -> Weight;
    /// Weight of `audit_reveal`; the last one decides the audit.
    fn audit_reveal() -> Weight;
    /// Weight of `accuse`.
    fn accuse() -> Weight;
    /// Weight of `jury_commit`.
    fn jury_commit() -> Weight;
    /// Weight of `jury_reveal`, with the end of the phase before it; the last one decides the question.
    fn jury_reveal() -> Weight;
    /// Weight of the heaviest transition of a run: the mint.
    fn transition() -> Weight;
    /// Weight of one executed slash.
    fn slash() -> Weight;
    /// Weight of one draw in `on_initialize` that looks at `looked` tickets.
    fn draw(looked: u32) -> Weight;
    /// Weight that a draw has in addition when nobody is found and the run ends.
    fn ending() -> Weight;
    /// Weight of moving draws to the next block.
    fn defer() -> Weight;
    /// Weight of looking at one change of tickets that waits, or of giving or taking one ticket.
    fn ticket() -> Weight;
}

fn bound(micros: u64, proof: u64, reads: u64, writes: u64) -> Weight {
    Weight::from_parts(micros.saturating_mul(1_000_000), proof)
        .saturating_add(RocksDbWeight::get().reads_writes(reads, writes))
}

/// Looking for a block with room for a draw: 32 draws of 10 bytes in each of 256 blocks.
fn schedule() -> Weight {
    bound(300, 120_000, 257, 1)
}

impl WeightInfo for () {
    fn register() -> Weight {
        bound(300, 60_000, 24, 24)
    }
    fn stake() -> Weight {
        bound(200, 20_000, 16, 12)
    }
    fn take() -> Weight {
        bound(300, 160_000, 24, 16).saturating_add(schedule())
    }
    fn commit() -> Weight {
        bound(150, 60_000, 12, 8).saturating_add(schedule())
    }
    fn audit_commit() -> Weight {
        bound(150, 60_000, 24, 8)
    }
    fn reveal_nonces() -> Weight {
        bound(300, 80_000, 24, 8).saturating_add(Self::transition().saturating_mul(2))
    }
    fn audit_reveal() -> Weight {
        bound(300, 80_000, 40, 4).saturating_add(Self::transition())
    }
    fn accuse() -> Weight {
        bound(400, 160_000, 40, 16).saturating_add(schedule())
    }
    fn jury_commit() -> Weight {
        bound(150, 80_000, 12, 6)
    }
    fn jury_reveal() -> Weight {
        bound(150, 80_000, 12, 6).saturating_add(Self::transition().saturating_mul(2))
    }
    fn transition() -> Weight {
        // The mint: 272 payments with what each account was owed, 16 licences and grants, model and weights, 16 locks.
        // Judging needs less: 64 bonds or slashes, 16 verifiers and 15 jurors with their slashes and misses.
        bound(25_000, 2_000_000, 950, 950).saturating_add(schedule())
    }
    fn slash() -> Weight {
        bound(2_000, 100_000, 64, 64)
    }
    fn draw(looked: u32) -> Weight {
        // Each ticket leads to an oracle; each of 16 accounts drawn locks its stake.
        bound(2_000, 100_000, 120, 120).saturating_add(bound(4, 1_500, 2, 0).saturating_mul(looked.into()))
    }
    fn ending() -> Weight {
        // 64 bonds and 17 locks are freed, escrow and grants go back.
        bound(6_000, 400_000, 330, 350)
    }
    fn defer() -> Weight {
        // The first of at most 64 draws fill the next block, the others look for room.
        schedule().saturating_add(bound(500, 60_000, 64, 64))
    }
    fn ticket() -> Weight {
        bound(20, 12_000, 6, 4)
    }
}
