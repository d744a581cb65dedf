//! The Weft validator and full node.
//!
//! `weft-node --dev` runs a development chain in a temporary folder; `weft-node --chain <file>` a chain from its
//! specification; `weft-node export-chain-spec --chain development` prints a specification whose genesis can be
//! edited as JSON.
#![allow(clippy::result_large_err, reason = "the errors are those of the SDK")]

mod chain_spec;
mod cli;
mod command;
mod executor;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
    command::run()
}
