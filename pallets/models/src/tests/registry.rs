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
        assert_noop!(Models::register_base_model(poor, base()), TokenError::FundsUnavailable);
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
fn retire_should_close_an_active_base_to_new_jobs() {
    build_and_execute(|| {
        // GIVEN an active base of an account, with a job
        assert_ok!(register(base()));
        assert_ok!(Models::activate(RuntimeOrigin::root(), ROOT));
        assert_ok!(submit(crate::JobSpec { base: ROOT, ..spec() }));
        // WHEN it is retired
        assert_ok!(Models::retire(RuntimeOrigin::root(), ROOT));
        System::assert_last_event(Event::BaseModelRetired { root: ROOT }.into());
        // THEN new jobs are refused, old ones go on, and its deposit stays as long as its entry
        assert_noop!(submit(crate::JobSpec { base: ROOT, ..spec() }), Error::<Test>::BaseNotActive);
        assert_eq!(crate::Jobs::<Test>::get(0).unwrap().base, ROOT);
        assert_eq!(BaseModels::<Test>::get(ROOT).unwrap().status, BaseStatus::Retired);
        assert_eq!(Balances::balance_on_hold(&HoldReason::BaseDeposit.into(), &STRANGER), 100 * WEFT);
        assert_noop!(Models::retire(RuntimeOrigin::root(), ROOT), Error::<Test>::WrongState);
        assert_noop!(Models::activate(RuntimeOrigin::root(), ROOT), Error::<Test>::WrongState);
        // One of genesis, without registrant, can be retired too.
        assert_ok!(Models::retire(RuntimeOrigin::root(), BASE));
    });
}

#[test]
fn retire_should_free_a_root_that_somebody_took_with_wrong_parts() {
    build_and_execute(|| {
        // GIVEN a root that was registered under a wrong shape
        let wrong = weft_protocol::shape::ModelShape { layers: 3, ..shape() };
        assert_ok!(register(BaseModelSpec { shape: wrong, ..base() }));
        let issuance = Balances::total_issuance();
        // WHEN the registrar refuses it
        assert_ok!(Models::retire(RuntimeOrigin::root(), ROOT));
        // THEN the deposit is the treasury's, and the root can be registered as it is
        System::assert_last_event(Event::BaseModelRemoved { root: ROOT, forfeited: 100 * WEFT }.into());
        assert_eq!(Balances::balance_on_hold(&HoldReason::BaseDeposit.into(), &STRANGER), 0);
        assert_eq!(free(&TREASURY), 1_000_000_000 + 100 * WEFT);
        assert_eq!(Balances::total_issuance(), issuance);
        assert_ok!(Models::register_base_model(RuntimeOrigin::signed(BUILDER), base()));
        assert_eq!(BaseModels::<Test>::get(ROOT).unwrap().registrant, Some(BUILDER));
    });
}

#[test]
fn retire_should_fail_when_the_base_is_unknown() {
    build_and_execute(|| {
        assert_noop!(Models::retire(RuntimeOrigin::root(), ROOT), Error::<Test>::UnknownBase);
    });
}

#[test]
fn activate_should_fail_when_the_base_is_unknown() {
    build_and_execute(|| {
        assert_noop!(Models::activate(RuntimeOrigin::root(), ROOT), Error::<Test>::UnknownBase);
    });
}
