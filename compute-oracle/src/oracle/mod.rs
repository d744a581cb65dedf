//! The daemon's work on chain: jobs, audits, juries, settlement.

pub mod duties;
pub mod gather;
pub(crate) mod own;
pub mod runs;
mod sending;
pub mod settle;
pub mod threads;

pub use duties::{DutyLoop, Work};
pub use threads::Computations;
