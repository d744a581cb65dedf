//! Tests: one file per concern, whole histories in `scenarios`, random ones in `random`.

mod audit;
mod beacon;
mod commitment;
mod fees;
mod genesis;
mod invariants;
mod jury;
mod origins;
mod random;
mod scenarios;
mod stake;
mod tickets;
