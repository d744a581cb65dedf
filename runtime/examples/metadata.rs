//! Writes the metadata of the runtime, for the chain client.
//!
//! `cargo run -p weft-runtime --example metadata -- compute-oracle/chain/metadata.scale`; without a path it goes to
//! the standard output.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let metadata = weft_runtime::native_metadata();
    match std::env::args_os().nth(1) {
        Some(path) => std::fs::write(path, metadata),
        None => std::io::stdout().write_all(&metadata),
    }
}
