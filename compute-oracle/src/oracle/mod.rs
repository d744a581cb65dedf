//! The daemon's work on chain: jobs, audits, juries, settlement.

pub mod duties;
pub mod gather;
pub mod runs;
pub mod settle;

pub use duties::{DutyLoop, Work};
