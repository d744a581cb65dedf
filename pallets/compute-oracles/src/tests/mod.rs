//! Tests: one file per concern, whole histories in `scenarios`, random ones in `random`.

mod audit;
mod beacon;
mod commitment;
mod invariants;
mod jury;
mod random;
mod scenarios;
mod stake;
