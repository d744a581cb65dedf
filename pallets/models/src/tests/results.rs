//! Ends of runs: mint, divergence, failure; prices.

use crate::{mock::*, Error, Event, Jobs, Models as StoredModels, Params};
use frame::testing_prelude::*;
use weft_protocol::job::{FailReason, JobEvent, JobState};
use weft_traits::{AttributionBook, Clock, JobControl, ModelInspect};

const FEE: u128 = 15 * WEFT;
const VERIFIER_FEE: u128 = 18 * WEFT + WEFT / 100;
const LICENCE: u128 = 4 * WEFT;
const START: u128 = 10_000 * WEFT;

type Control = Models;

fn advance(event: JobEvent) {
    assert_ok!(<Control as JobControl<_>>::advance(0, event, None));
}

fn to_window() {
    assert_ok!(submit(spec()));
    for event in [JobEvent::Take, JobEvent::Commit, JobEvent::Drawn, JobEvent::Agreed] {
        advance(event);
    }
}

#[test]
fn finalise_should_pay_and_mint() {
    build_and_execute(|| {
        to_window();
        assert_ok!(<Control as JobControl<_>>::pay_verifier(0, &VERIFIER, VERIFIER_FEE));
        let issuance = Balances::total_issuance();
        assert_eq!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))), Ok(Some(0)));
        assert_eq!(free(&ORACLE), START + FEE);
        assert_eq!(free(&VERIFIER), START + VERIFIER_FEE);
        assert_eq!(free(&POT), 1_000_000_000 + LICENCE);
        assert_eq!(free(&BUILDER), START - FEE - VERIFIER_FEE - LICENCE);
        assert_eq!(held(&BUILDER), 0);
        assert_eq!(Balances::total_issuance(), issuance);
        assert_eq!(Settled::get(), [100, 102]);
        assert_eq!(PaidParts::get().iter().map(|part| part.amount).sum::<u128>(), LICENCE);
        assert_eq!(Book::training(0).unwrap().parts, opening().parts);
        let model = StoredModels::<Test>::get(0).unwrap();
        assert_eq!((model.owner.clone(), model.job, model.state), (BUILDER, 0, [11; 32]));
        assert_eq!(model.run.artifacts, [15; 32]);
        assert_eq!(Jobs::<Test>::get(0).unwrap().state, JobState::Final);
        let terms = <Control as ModelInspect<_>>::model(0).unwrap();
        assert_eq!((terms.oracle, terms.minted, terms.listed), (ORACLE, 1, true));
        assert_eq!(<Control as ModelInspect<_>>::licence_version(0, 2), Some(1));
        assert_eq!(<Control as ModelInspect<_>>::licence_version(0, 1), None);
        assert_eq!(Models::lineage(0), Some((vec![], BASE)));
    });
}

#[test]
fn finalise_should_give_unused_verification_back() {
    build_and_execute(|| {
        to_window();
        assert_ok!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))));
        assert_eq!(free(&BUILDER), START - FEE - LICENCE);
    });
}

#[test]
fn finalise_should_pay_a_part_when_the_run_diverged() {
    build_and_execute(|| {
        to_window();
        assert_eq!(<Control as JobControl<_>>::finalise(0, result(None)), Ok(None));
        assert_eq!(free(&ORACLE), START + FEE / 2);
        assert_eq!(free(&BUILDER), START - FEE / 2);
        assert_eq!(Jobs::<Test>::get(0).unwrap().state, JobState::Failed(FailReason::Diverged));
        assert_eq!(Restored::get(), [100, 102]);
    });
}

#[test]
fn finalise_should_fail_outside_the_window() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        assert_noop!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))), Error::<Test>::WrongState);
    });
}

#[test]
fn advance_should_release_the_rest_when_a_run_fails() {
    build_and_execute(|| {
        to_window();
        assert_ok!(<Control as JobControl<_>>::pay_verifier(0, &VERIFIER, VERIFIER_FEE));
        advance(JobEvent::Challenge);
        advance(JobEvent::FraudProved);
        assert_eq!(free(&BUILDER), START - VERIFIER_FEE);
        assert_eq!(Restored::get(), [100, 102]);
        assert_eq!(Jobs::<Test>::get(0).unwrap().state, JobState::Failed(FailReason::Fraud));
        assert!(crate::Recipes::<Test>::contains_key(0));
    });
}

#[test]
fn forget_should_drop_the_recipe_when_the_job_failed() {
    build_and_execute(|| {
        to_window();
        // While the job lives, and for ever when it made a model, its recipe stays.
        <Control as JobControl<_>>::forget(0);
        assert!(crate::Recipes::<Test>::contains_key(0));
        hypothetically!({
            assert_ok!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))));
            <Control as JobControl<_>>::forget(0);
            assert!(crate::Recipes::<Test>::contains_key(0));
            Ok::<(), DispatchError>(())
        })
        .unwrap();
        advance(JobEvent::Challenge);
        advance(JobEvent::FraudProved);
        <Control as JobControl<_>>::forget(0);
        assert!(!crate::Recipes::<Test>::contains_key(0));
        <Control as JobControl<_>>::forget(7);
    });
}

#[test]
fn advance_should_refuse_what_only_finalise_may_do() {
    build_and_execute(|| {
        to_window();
        assert_noop!(<Control as JobControl<_>>::advance(0, JobEvent::WindowPassed, None), Error::<Test>::WrongState);
    });
}

#[test]
fn pay_verifier_should_fail_beyond_the_escrow() {
    build_and_execute(|| {
        to_window();
        assert_noop!(
            <Control as JobControl<_>>::pay_verifier(0, &VERIFIER, VERIFIER_FEE + 1),
            Error::<Test>::EscrowTooLow
        );
        assert_noop!(<Control as JobControl<_>>::pay_verifier(1, &VERIFIER, 1), Error::<Test>::UnknownJob);
    });
}

fn set_prices(input: u128, output: u128) -> DispatchResult {
    Models::set_prices(RuntimeOrigin::signed(BUILDER), 0, input, output)
}

#[test]
fn set_prices_should_add_a_version() {
    build_and_execute(|| {
        to_window();
        assert_ok!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))));
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 0), Some((0, 0)));
        assert_noop!(Models::set_prices(RuntimeOrigin::signed(STRANGER), 0, 1, 2), Error::<Test>::NotModelOwner);
        assert_noop!(Models::set_prices(RuntimeOrigin::signed(BUILDER), 1, 1, 2), Error::<Test>::UnknownModel);
        assert_ok!(set_prices(1, 2));
        System::assert_last_event(Event::PricesSet { model: 0, version: 1, input: 1, output: 2, from: 1 }.into());
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 1), Some((1, 2)));
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 2), None);
        assert_eq!(Models::model(0).unwrap().price_version, 1);
    });
}

#[test]
fn set_prices_should_wait_for_the_notice() {
    build_and_execute(|| {
        to_window();
        assert_ok!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))));
        Params::<Test>::mutate(|params| params.price_notice = 5);
        assert_ok!(set_prices(1, 2));
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 1), None);
        assert_eq!(Models::model(0).unwrap().price_version, 0);
        assert_noop!(set_prices(3, 4), Error::<Test>::PriceNoticePending);
        run_to(6);
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 1), Some((1, 2)));
        assert_ok!(set_prices(3, 4));
    });
}

#[test]
fn set_prices_should_keep_64_versions_and_each_for_30_days() {
    build_and_execute(|| {
        // GIVEN a model with as many versions as are kept, one for each block
        to_window();
        assert_ok!(<Control as JobControl<_>>::finalise(0, result(Some(opening()))));
        for version in 1..64 {
            run_to(1 + version);
            assert_ok!(set_prices(u128::from(version), 2));
        }
        // THEN the next waits until version 0 has been out of force, since block 2, for 30 days
        assert_noop!(set_prices(64, 2), Error::<Test>::TooManyPrices);
        let day = u64::from(Time::day());
        run_to(2 + 30 * day - 1);
        assert_noop!(set_prices(64, 2), Error::<Test>::TooManyPrices);
        run_to(2 + 30 * day);
        assert_ok!(set_prices(64, 2));
        assert_eq!(crate::Prices::<Test>::iter_prefix(0).count(), 64);
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 0), None);
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 1), Some((1, 2)));
        assert_eq!(<Control as ModelInspect<_>>::prices(0, 64), Some((64, 2)));
    });
}
