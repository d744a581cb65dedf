//! Protocol logic of Weft, shared by runtime, daemon and tests: hashes, trees, encodings, state machines, money.
//!
//! Everything here is a pure function of its arguments: no clock, no storage, no floating point. What a commitment
//! contains, who loses a dispute and how a fee is split is decided here once; pallets load, call and store.
//!
//! Encodings are SCALE with fixed-width little-endian integers. `H(tag, x)` is [`hash::h`].
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(clippy::as_conversions, reason = "the derive of SCALE codecs expands to casts of enum indices")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

extern crate alloc;

pub mod dec;
pub mod draw;
pub mod economics;
pub mod fee_tree;
pub mod graph;
pub mod hash;
pub mod job;
pub mod jury;
pub mod licence;
pub mod merkle;
pub mod mmr;
pub mod payout;
pub mod peft;
pub mod receipt;
pub mod recipe;
#[cfg(feature = "std")]
mod recipe_json;
pub mod record;
pub mod run;
pub mod shape;
pub mod slash;
pub mod split;
pub mod sum_tree;
mod tree;
pub mod voucher;

pub use hash::Hash;

/// An account as 32 bytes.
pub type AccountId = [u8; 32];
