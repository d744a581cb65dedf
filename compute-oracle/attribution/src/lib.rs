//! Influence of records on a training run by exact replay, and the run as a
//! whole: training, replay, payout and commitments, from public inputs.
//!
//! A run is deterministic, so "what would this adapter be without record i" has
//! one answer. [`replay`] differentiates the run in reverse (MAGIC, arXiv
//! 2504.16430) from record gradients alone; [`run::execute`] is the one entry
//! point of oracle, verifier, juror and command line.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::needless_range_loop,
    reason = "numerical code over vectors whose sizes follow from one layout"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may unwrap"))]

pub mod compare;
pub mod error;
pub mod replay;
pub mod result;
pub mod run;
mod store;

pub use compare::{compare, Comparison};
pub use error::RunError;
pub use replay::Replay;
pub use result::{AdapterFiles, RunOutput};
pub use run::{execute, ExecOptions, RunInputs, Tamper};
