//! One file per call, one for the trait, one for the invariants, one for origins.

mod acquire;
mod consume;
mod encoding;
mod invariants;
mod origins;
mod params;
mod prune;
mod revoke;
mod set_licence;
mod views;
