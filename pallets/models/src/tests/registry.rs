//! Base models.

use crate::{mock::*, BaseModelSpec, BaseModels, BaseStatus, Error, Event, HoldReason};
use frame::{testing_prelude::*, token::fungible::InspectHold};

const ROOT: [u8; 32] = [8; 32];

fn base() -> BaseModelSpec {
    BaseModelSpec {
        root: ROOT,
        name: b"second".to_vec().try_into().unwrap(),
        shape: shape(),
        tokenizer: [1; 32],
        template: [2; 32],
        licence: b"MIT".to_vec().try_into().unwrap(),
    }
}

fn register(spec: BaseModelSpec) -> DispatchResult {
    Models::register_base_model(RuntimeOrigin::signed(STRANGER), spec)
}

#[test]
fn genesis_should_hold_active_base_models() {
    build_and_execute(|| {
        let stored = Models::base_model(BASE).unwrap();
        assert_eq!(stored.status, BaseStatus::Active);
        assert_eq!(stored.registrant, None);
        assert_eq!(stored.shape, shape());
    });
}

#[test]
fn register_base_model_should_hold_the_deposit() {
    build_and_execute(|| {
        assert_ok!(register(base()));
        assert_eq!(Balances::balance_on_hold(&HoldReason::BaseDeposit.into(), &STRANGER), 100 * WEFT);
        assert_eq!(BaseModels::<Test>::get(ROOT).unwrap().status, BaseStatus::Registered);
        System::assert_last_event(Event::BaseModelRegistered { root: ROOT, who: STRANGER }.into());
    });
}

#[test]
fn register_base_model_should_fail_when_the_root_is_known() {
    build_and_execute(|| {
        assert_noop!(register(BaseModelSpec { root: BASE, ..base() }), Error::<Test>::BaseExists);
    });
}

#[test]
fn register_base_model_should_fail_when_the_shape_is_inconsistent() {
    build_and_execute(|| {
        let spec = BaseModelSpec { shape: weft_protocol::shape::ModelShape { heads: 3, ..shape() }, ..base() };
        assert_noop!(register(spec), Error::<Test>::ShapeOutOfBounds);
    });
}

#[test]
fn register_base_model_should_fail_without_money() {
    build_and_execute(|| {
        let poor = RuntimeOrigin::signed(POT);
        assert!(Models::register_base_model(poor, base()).is_err());
    });
}

#[test]
fn activate_should_open_a_registered_base() {
    build_and_execute(|| {
        assert_ok!(register(base()));
        assert_noop!(submit(crate::JobSpec { base: ROOT, ..spec() }), Error::<Test>::BaseNotActive);
        assert_noop!(Models::activate(RuntimeOrigin::signed(BUILDER), ROOT), BadOrigin);
        assert_ok!(Models::activate(RuntimeOrigin::root(), ROOT));
        assert_noop!(Models::activate(RuntimeOrigin::root(), ROOT), Error::<Test>::WrongState);
        assert_ok!(submit(crate::JobSpec { base: ROOT, ..spec() }));
    });
}

#[test]
fn activate_should_fail_when_the_base_is_unknown() {
    build_and_execute(|| {
        assert_noop!(Models::activate(RuntimeOrigin::root(), ROOT), Error::<Test>::UnknownBase);
    });
}
