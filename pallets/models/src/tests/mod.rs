//! Tests, one file per concern.

mod invariants;
mod jobs;
mod origins;
mod registry;
mod results;
