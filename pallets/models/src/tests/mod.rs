//! Tests, one file per concern.

mod invariants;
mod jobs;
mod registry;
mod results;
