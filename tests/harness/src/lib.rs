//! Test networks of Weft and the scenarios that run on them.
//!
//! [`Network`] is a node with daemons on one machine; [`Scenario`] is the main job of Weft on it: contributors' records,
//! a training run, its audit, paid answers, claims. `weft-demo` shows it, the end-to-end tests assert it.
//! [`adversaries`] and [`crash`] are what else the tests do to a network.
#![allow(clippy::arithmetic_side_effects, reason = "counts, times and play money of a test network")]
#![allow(clippy::multiple_crate_versions, reason = "the node's and the client's stacks differ")]

pub mod adversaries;
pub mod crash;
pub mod daemon;
mod error;
pub mod genesis;
mod http;
pub mod ledger;
pub mod network;
pub mod node;
pub mod people;
pub mod plan;
pub mod process;
mod programs;
pub mod report;
pub mod scenario;
pub mod testnet;

pub use error::{ensure, HarnessError, HarnessResult};
pub use network::{Network, NetworkConfig, Ports};
pub use plan::Plan;
pub use programs::Programs;
pub use report::Report;
pub use scenario::Scenario;
