//! One file per call, one for the trait, one for the invariants.

mod acquire;
mod consume;
mod encoding;
mod invariants;
mod prune;
mod revoke;
mod set_licence;
mod views;
