//! Protocol logic of Weft, shared by runtime, daemon and tests: hashes, trees, encodings, state machines, money.
//!
//! Everything here is a pure function of its arguments: no clock, no storage, no floating point. What a commitment
//! contains, who loses a dispute and how a fee is split is decided here once; pallets load, call and store.
//!
//! Encodings are SCALE with fixed-width little-endian integers. `H(tag, x)` is [`hash::h`].
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "tests may panic"))]

extern crate alloc;

pub mod dec;
pub mod fee_tree;
pub mod graph;
pub mod hash;
pub mod job;
pub mod merkle;
pub mod mmr;
pub mod recipe;
pub mod record;
pub mod run;
pub mod shape;
pub mod split;
pub mod sum_tree;
mod tree;

pub use hash::Hash;

/// An account as 32 bytes.
pub type AccountId = [u8; 32];
