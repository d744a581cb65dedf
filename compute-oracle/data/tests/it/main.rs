//! Data against its references: transformers, and the hashes of the fixtures.
#![allow(missing_docs, reason = "tests")]

mod fixtures;
mod golden;
