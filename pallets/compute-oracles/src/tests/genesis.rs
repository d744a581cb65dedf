//! What genesis refuses.

use crate::{mock::Test, Stakes, Timers};
use frame::testing_prelude::*;

fn build(timers: Timers, stakes: Stakes) {
    crate::GenesisConfig::<Test> { timers, stakes, ..Default::default() }.build_storage().unwrap();
}

#[test]
fn genesis_should_take_the_defaults() {
    build(Timers::default(), Stakes::default());
}

#[test]
#[should_panic(expected = "the draw delay is at least two blocks")]
fn genesis_should_refuse_a_draw_delay_of_one_block() {
    build(Timers { draw: 1, ..Timers::default() }, Stakes::default());
}

#[test]
#[should_panic(expected = "beacon values are kept for the draw delay")]
fn genesis_should_refuse_a_beacon_history_that_is_too_short() {
    build(Timers { draw: 5, beacon_history: 4, ..Timers::default() }, Stakes::default());
}

#[test]
#[should_panic(expected = "the jury size is at least 1")]
fn genesis_should_refuse_an_empty_jury() {
    build(Timers::default(), Stakes { jury_size: 0, ..Stakes::default() });
}

#[test]
#[should_panic(expected = "the misses that jail")]
fn genesis_should_refuse_more_misses_than_are_remembered() {
    build(Timers::default(), Stakes { max_faults: 9, ..Stakes::default() });
}

#[test]
#[should_panic(expected = "the misses that jail")]
fn genesis_should_refuse_jail_without_a_miss() {
    build(Timers::default(), Stakes { max_faults: 0, ..Stakes::default() });
}

#[test]
#[should_panic(expected = "the challenger's part")]
fn genesis_should_refuse_a_challenger_that_takes_all() {
    build(Timers::default(), Stakes { beta_ppm: 1_000_000, ..Stakes::default() });
}

#[test]
#[should_panic(expected = "the lazy part")]
fn genesis_should_refuse_verifiers_that_never_look() {
    build(Timers::default(), Stakes { lazy_ppm: 1_000_000, ..Stakes::default() });
}
