//! One file per call, one for the invariants, one for origins.

mod commit;
mod create;
mod encoding;
mod growth;
mod idle;
mod invariants;
mod origins;
mod params;
mod reveal;
mod review;
mod set_curators;
mod snapshot;
mod traits;
mod views;
