//! Tests of the composed runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod base;
mod fees;
mod funnel;
mod layout;
mod metadata;
mod presets;
