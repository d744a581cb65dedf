//! Who may call what.

use crate::{mock::*, BaseModelSpec};
use frame::testing_prelude::*;

#[test]
fn calls_should_refuse_when_the_origin_is_not_an_account() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        let base = || BaseModelSpec {
            root: [8; 32],
            name: Default::default(),
            shape: shape(),
            tokenizer: [1; 32],
            template: [2; 32],
            licence: Default::default(),
        };
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(Models::register_base_model(origin.clone(), base()), DispatchError::BadOrigin);
            assert_noop!(Models::submit_job(origin.clone(), Box::new(spec())), DispatchError::BadOrigin);
            assert_noop!(Models::cancel_job(origin.clone(), 0), DispatchError::BadOrigin);
            assert_noop!(Models::set_prices(origin.clone(), 0, 1, 2), DispatchError::BadOrigin);
            assert_noop!(Models::poke(origin, 0), DispatchError::BadOrigin);
        }
    });
}

#[test]
fn calls_of_the_registrar_should_refuse_when_the_origin_is_another() {
    build_and_execute(|| {
        for origin in [RuntimeOrigin::signed(BUILDER), RuntimeOrigin::none()] {
            assert_noop!(Models::activate(origin.clone(), BASE), DispatchError::BadOrigin);
            assert_noop!(Models::retire(origin, BASE), DispatchError::BadOrigin);
        }
    });
}
