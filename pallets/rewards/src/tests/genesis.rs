//! What genesis refuses.

use super::*;

fn build(params: Params) {
    crate::GenesisConfig::<Test> { params, ..Default::default() }.build_storage().unwrap();
}

#[test]
fn genesis_should_take_the_defaults() {
    build(Params::default());
}

#[test]
#[should_panic(expected = "a settlement epoch has at least one block")]
fn genesis_should_refuse_epochs_without_a_block() {
    build(Params { epoch_length: 0, ..Params::default() });
}

#[test]
#[should_panic(expected = "a budget stays longer than a settlement epoch")]
fn genesis_should_refuse_budgets_that_end_within_an_epoch() {
    build(Params { epoch_length: 20, unlock: 20, ..Params::default() });
}
