//! Typed client of the Weft chain.
//!
//! [`Client`] speaks to one node, survives its restart, and reads finalised blocks only. [`State`] reads the chain at one
//! block; [`Call`] is what accounts sign. One module per pallet holds its calls and the stored types as this program
//! reads them: fields are found by name in the chain's metadata, so that a field added to the chain breaks nothing.
#![allow(clippy::multiple_crate_versions, reason = "the node's and the client's stacks differ")]
#![allow(clippy::as_conversions, reason = "the derived codecs of enums cast their indices; nothing else here casts")]

mod call;
mod client;
mod error;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub mod attribution;
pub mod datanets;
pub mod models;
pub mod oracles;
pub mod permissions;
pub mod rewards;
pub mod system;

pub use call::Call;
pub use client::{refusal, BlockEvents, Client, Config, Events, Head, Included, Pending};
pub use error::ChainError;
pub use state::State;

/// Reads an SS58 address.
#[must_use]
pub fn parse_address(text: &str) -> Option<[u8; 32]> {
    text.parse::<subxt::utils::AccountId32>().ok().map(|a| a.0)
}

/// Reads a 32-byte hash: hex in any case, with or without `0x`.
#[must_use]
pub fn parse_hash(text: &str) -> Option<weft_protocol::hash::Hash> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    hex::decode(digits).ok()?.try_into().ok()
}
