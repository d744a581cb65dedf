//! One file per call, and one for the invariants.

mod commit;
mod create;
mod encoding;
mod growth;
mod idle;
mod invariants;
mod reveal;
mod review;
mod set_curators;
mod snapshot;
mod traits;
mod views;
