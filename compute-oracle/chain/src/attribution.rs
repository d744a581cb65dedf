//! Pallet attribution: training weights and usage.

use subxt::ext::scale_decode::DecodeAsType;
use weft_protocol::{hash::Hash, run::Part};

use crate::{state::Static, Call, ChainError, State};

const PALLET: &str = "Attribution";

/// Training weights of a model.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Weights {
    /// Method.
    pub method: u16,
    /// Parts, ascending by Datanet.
    pub parts: Static<Vec<Part>>,
}

/// Training weights of a model.
pub async fn training(state: &State, model: u32) -> Result<Option<Weights>, ChainError> {
    state.get(PALLET, "Training", (model,)).await
}

/// Posts the usage of an epoch.
#[must_use]
pub fn post_usage(model: u32, epoch: u32, root: Hash, count: u32, tokens_in: u64, tokens_out: u64, fees: u128) -> Call {
    Call::new(PALLET, "post_usage", &(model, epoch, root, (count, tokens_in, tokens_out, fees)))
}

/// Whether an oracle has posted the usage of (model, epoch).
pub async fn has_usage(state: &State, model: u32, epoch: u32, oracle: &[u8; 32]) -> Result<bool, ChainError> {
    let found: Option<UsageReport> = state.get(PALLET, "Usage", (model, epoch, *oracle)).await?;
    Ok(found.is_some())
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct UsageReport {}
