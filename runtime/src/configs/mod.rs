//! Configuration of the pallets, one file per group.

#![deny(missing_docs)]

pub mod consensus;
pub mod money;
pub mod staking;
pub mod system;
pub mod weft;
