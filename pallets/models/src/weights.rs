//! Weights of the calls: hand-written upper bounds.
//!
//! Each is the sum of the storage accesses at the declared bounds (16 Datanets, a recipe of 33 KB) with a generous time
//! for hashing and decoding; benchmarks replace them.

use frame::weights_prelude::*;

/// Weights of the calls of this pallet.
pub trait WeightInfo {
    /// Weight of `register_base_model`.
    fn register_base_model() -> Weight;
    /// Weight of `activate`.
    fn activate() -> Weight;
    /// Weight of `retire`.
    fn retire() -> Weight;
    /// Weight of `submit_job` with `inputs` Datanets, without the use of their grants.
    fn submit_job(inputs: u32) -> Weight;
    /// Weight of `cancel_job`, without the return of the grants' uses.
    fn cancel_job() -> Weight;
    /// Weight of `set_prices`.
    fn set_prices() -> Weight;
    /// Weight of `poke`, without the return of the grants' uses.
    fn poke() -> Weight;
}

fn bound(micros: u64, proof: u64, reads: u64, writes: u64) -> Weight {
    Weight::from_parts(micros.saturating_mul(1_000_000), proof)
        .saturating_add(RocksDbWeight::get().reads_writes(reads, writes))
}

impl WeightInfo for () {
    fn register_base_model() -> Weight {
        bound(100, 16_000, 4, 4)
    }
    fn activate() -> Weight {
        bound(60, 8_000, 2, 2)
    }
    fn retire() -> Weight {
        // With the transfer of the deposit: two accounts and their holds.
        bound(140, 16_000, 6, 6)
    }
    fn submit_job(inputs: u32) -> Weight {
        let n = u64::from(inputs);
        // For each Datanet its snapshot, itself, and 16 reserves.
        bound(1_500, 120_000, 20, 14).saturating_add(bound(100, 24_000, 18, 0).saturating_mul(n))
    }
    fn cancel_job() -> Weight {
        bound(400, 120_000, 24, 24)
    }
    fn set_prices() -> Weight {
        bound(80, 12_000, 5, 4)
    }
    fn poke() -> Weight {
        // The heaviest transition mints: 16 parts with 17 payments each, 16 grants, 16 locks. Beside it 8 slashes with 20
        // recipients each are executed, and a draw looks for room in 256 blocks.
        bound(45_000, 3_200_000, 1_800, 1_550)
    }
}
