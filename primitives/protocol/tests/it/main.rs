//! Tests of `weft-protocol`: encodings, proofs, splits, state machine, money, files, vectors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests panic on purpose"
)]

mod encodings;
mod files;
mod jobs;
mod juries;
mod money;
mod payouts;
mod proofs;
mod recipes;
mod records;
mod runs;
mod splits;
mod strategies;
mod trees;
mod vectors;
