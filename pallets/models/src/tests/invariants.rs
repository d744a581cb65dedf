//! Each numbered invariant, broken.

use crate::{mock::*, Jobs, Models as StoredModels};
use frame::testing_prelude::*;
use weft_protocol::job::{JobEvent, JobState};
use weft_traits::JobControl;

fn broken(name: &str, spoil: impl FnOnce()) {
    new_ext().execute_with(|| {
        assert_ok!(submit(spec()));
        assert_ok!(submit(spec()));
        for event in [JobEvent::Take, JobEvent::Commit, JobEvent::Drawn, JobEvent::Agreed] {
            assert_ok!(<Models as JobControl<_>>::advance(0, event, None));
        }
        assert_ok!(<Models as JobControl<_>>::finalise(0, result(Some(opening()))));
        Models::do_try_state().unwrap();
        spoil();
        let error = Models::do_try_state().unwrap_err();
        assert!(format!("{error:?}").contains(name), "{error:?}");
    });
}

fn job(id: u32, change: impl FnOnce(&mut crate::Job<frame::deps::sp_runtime::AccountId32>)) {
    Jobs::<Test>::mutate(id, |job| change(job.as_mut().unwrap()));
}

#[test]
fn m1_should_fail_when_escrow_and_hold_differ() {
    broken("M1", || job(1, |job| job.escrow.fee += 1));
}

#[test]
fn m1_should_fail_when_an_ended_job_keeps_escrow() {
    broken("M1", || job(1, |job| job.state = JobState::Final));
}

#[test]
fn m1_should_fail_when_a_hold_is_not_recorded() {
    use crate::HoldReason;
    use frame::token::fungible::MutateHold;
    // Of the builder, and of an account without job or base.
    for who in [BUILDER, STRANGER] {
        for reason in [HoldReason::Escrow, HoldReason::BaseDeposit, HoldReason::SeriesDeposit] {
            broken("M1", || {
                assert_ok!(Balances::hold(&reason.into(), &who, 1));
            });
        }
    }
}

#[test]
fn m2_should_fail_when_a_split_is_not_whole() {
    broken("M2", || job(1, |job| job.split.owner += 1));
}

#[test]
fn m3_should_fail_when_a_model_is_missing() {
    broken("M3", || StoredModels::<Test>::remove(0));
}

#[test]
fn a2_should_fail_when_a_model_has_no_weights() {
    broken("A2", || Book::forget(0));
}

#[test]
fn m5_should_fail_when_a_job_has_no_run_or_a_run_no_job() {
    // Job 1 is open and has no run.
    broken("M5", || Running::set(Some(true)));
    broken("M5", || {
        job(1, |job| job.state = JobState::Assigned);
        Running::set(Some(false));
    });
}

#[test]
fn m4_should_fail_when_a_parent_is_younger() {
    broken("M4", || {
        StoredModels::<Test>::mutate(0, |model| model.as_mut().unwrap().lineage.try_push(0).unwrap());
    });
}
