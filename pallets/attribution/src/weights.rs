//! Weights: upper bounds by hand, from the number of storage accesses and hashes of each call at its bounds.

use frame::weights_prelude::*;

/// Weight of each call.
pub trait WeightInfo {
    /// `post_usage`.
    fn post_usage() -> Weight;
}

/// Bounds with the runtime's database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    // Reads: model, parameters, settlement, revenue, usage. Writes: usage, event. Proof size: a full revenue entry
    // (32 oracles of 64 bytes) and a model.
    fn post_usage() -> Weight {
        Weight::from_parts(60_000_000, 16_384).saturating_add(T::DbWeight::get().reads_writes(5, 1))
    }
}

impl WeightInfo for () {
    fn post_usage() -> Weight {
        Weight::from_parts(60_000_000, 16_384).saturating_add(ParityDbWeight::get().reads_writes(5, 1))
    }
}
