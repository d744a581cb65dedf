//! The compute oracle and command line of Weft.
//!
//! One binary, `weft`: contributors put records on chain, builders submit jobs, oracles train and serve, verifiers and
//! jurors recompute, anyone verifies and claims. The daemon (`weft serve`) has three kinds of threads: the chain task on
//! a runtime of its own, which never waits for computation; worker threads of lower priority that train and replay; and
//! the HTTP API.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "tests"))]

pub mod apikey;
pub mod cli;
pub mod commands;
pub mod config;
pub mod context;
pub mod daemon;
pub mod error;
pub mod guard;
pub mod http;
pub mod keys;
pub mod oracle;
pub mod output;
pub mod pay;
pub mod serving;
