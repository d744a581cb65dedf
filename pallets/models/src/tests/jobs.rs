//! Submission, refusals, cancellation, expiry.

use crate::{mock::*, Error, Event, JobSpec, Jobs, Recipes, Sweep, MAX_INPUTS};
use frame::{testing_prelude::*, traits::Hooks};
use weft_protocol::{
    job::{JobEvent, JobState, Tier},
    licence::purpose,
    recipe::{Length, Method, Recipe},
    split::ModelSplit,
};
use weft_traits::{JobControl, PermissionCheck, RecipeInspect};

/// 12 steps: 2 epochs of 60 records in batches of 10. V = 1.2 · 15 + 0.01; L = 1 + 3.
const ESCROW: u128 = 15 * WEFT + 18 * WEFT + WEFT / 100 + 4 * WEFT;

#[test]
fn submit_job_should_hold_the_escrow_and_store_the_job() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        let job = Jobs::<Test>::get(0).unwrap();
        assert_eq!((job.steps, job.records, job.method), (12, 60, 1));
        assert_eq!(job.escrow.total(), Some(ESCROW));
        assert_eq!(held(&BUILDER), ESCROW);
        assert_eq!(job.state, JobState::Open);
        assert_eq!(job.deadline, Some(1 + OPEN));
        assert_eq!(job.time_ms, 2_000);
        assert_eq!(
            job.inputs.iter().map(|input| (input.datanet, input.grant)).collect::<Vec<_>>(),
            [(0, 100), (2, 102)]
        );
        assert_eq!(<Models as RecipeInspect>::recipe(0), Some(recipe()));
        let terms = <Models as JobControl<_>>::terms(0).unwrap();
        assert_eq!(terms.datanets, [0, 2]);
        assert_eq!(terms.spec_hash, job.spec_hash);
        System::assert_last_event(
            Event::JobSubmitted { job: 0, builder: BUILDER, spec_hash: job.spec_hash, escrow: ESCROW }.into(),
        );
    });
}

#[test]
fn submit_job_should_bind_the_job_number() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        assert_ok!(submit(spec()));
        assert_ne!(Jobs::<Test>::get(0).unwrap().spec_hash, Jobs::<Test>::get(1).unwrap().spec_hash);
    });
}

#[test]
fn spec_hash_should_be_that_of_the_protocol() {
    build_and_execute(|| {
        use weft_protocol::run;
        assert_ok!(submit(spec()));
        let snapshot =
            |datanet: u32| run::Snapshot { datanet, root: [datanet as u8 + 1; 32], records: 30, clusters: [0; 32] };
        let expected = run::Spec {
            job: 0,
            sem_id: spec().sem_id,
            base_root: BASE,
            snapshots: vec![snapshot(0), snapshot(2)],
            probe_root: [0; 32],
            recipe: recipe(),
            method: 1,
            tier: Tier::Full(1),
            score_shift: 40,
        };
        assert_eq!(Jobs::<Test>::get(0).unwrap().spec_hash, expected.hash());
    });
}

#[test]
fn submit_job_should_ask_for_grants_that_outlive_the_run() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        let job = Jobs::<Test>::get(0).unwrap();
        assert_eq!(LastScope::get().unwrap().deadline, 1 + OPEN + 62 + job.blocks.run);
    });
}

fn refused(spec: JobSpec, error: Error<Test>) {
    let error = DispatchError::from(error);
    let quote = Models::quote(BUILDER, spec.clone());
    assert_eq!(quote.refusals.first(), Some(&error), "the quote names the refusal");
    assert_noop!(submit(spec), error);
}

#[test]
fn submit_job_should_refuse_by_name() {
    build_and_execute(|| {
        refused(JobSpec { parent: Some(0), ..spec() }, Error::ParentNotBuilt);
        refused(JobSpec { tier: Tier::Spot(1), ..spec() }, Error::SpotNotBuilt);
        refused(JobSpec { sem_id: [0; 32], ..spec() }, Error::ClassUnsupported);
        refused(JobSpec { base: [0; 32], ..spec() }, Error::UnknownBase);
        refused(JobSpec { value: WEFT - 1, ..spec() }, Error::ValueTooLow);
        refused(JobSpec { value: 10_001 * WEFT, ..spec() }, Error::ValueAboveCap);
        refused(JobSpec { inputs: Default::default(), ..spec() }, Error::GrantMissing);
        refused(JobSpec { tier: Tier::Full(0), ..spec() }, Error::TierTooLow);
        refused(JobSpec { tier: Tier::Full(2), ..spec() }, Error::TooFewVerifiers);
        refused(JobSpec { tier: Tier::Full(9), ..spec() }, Error::TierTooHigh);
        refused(JobSpec { fee: u128::MAX, ..spec() }, Error::AmountTooLarge);
    });
}

#[test]
fn submit_job_should_refuse_wrong_splits() {
    build_and_execute(|| {
        let split = |split: ModelSplit| JobSpec { split, ..spec() };
        let whole = ModelSplit::DEFAULT;
        refused(split(ModelSplit { owner: 300_001, ..whole }), Error::SplitSumWrong);
        refused(split(ModelSplit { treasury: 19_999, owner: 330_001, ..whole }), Error::ShareBelowFloor);
        refused(split(ModelSplit { stakers: 19_999, owner: 330_001, ..whole }), Error::ShareBelowFloor);
        refused(split(ModelSplit { data: 399_999, owner: 300_001, ..whole }), Error::DataShareOutOfRange);
        Pool::set((300_000, 500_000));
        refused(spec(), Error::PoolRangeOpen);
    });
}

#[test]
fn submit_job_should_refuse_wrong_inputs() {
    build_and_execute(|| {
        let mut swapped = spec().inputs.into_inner();
        swapped.reverse();
        refused(JobSpec { inputs: swapped.try_into().unwrap(), ..spec() }, Error::InputsUnsorted);
        let mut twice = spec();
        twice.inputs[1].datanet = 0;
        refused(twice, Error::InputsUnsorted);
        let mut unknown = spec();
        unknown.inputs[1].datanet = 10;
        refused(unknown, Error::UnknownSnapshot);
        let mut empty = spec();
        empty.inputs[1].snapshot = 1;
        refused(empty, Error::UnknownSnapshot);
        // More records in one snapshot than a job counts, and in two together.
        for snapshot in [2, 3] {
            let mut large = spec();
            large.inputs[1].snapshot = snapshot;
            refused(large, Error::TooManyRecords);
        }
    });
}

#[test]
fn submit_job_should_refuse_wrong_recipes() {
    build_and_execute(|| {
        refused(JobSpec { recipe: vec![1, 2, 3].try_into().unwrap(), ..spec() }, Error::RecipeOutOfBounds);
        let mut longer = recipe().encode();
        longer.push(0);
        refused(JobSpec { recipe: longer.try_into().unwrap(), ..spec() }, Error::RecipeOutOfBounds);
        refused(spec_of(&Recipe { batch_size: 0, ..recipe() }), Error::RecipeOutOfBounds);
        refused(spec_of(&Recipe { r: 65, ..recipe() }), Error::RecipeOutOfBounds);
        // More steps than a run may have.
        refused(spec_of(&Recipe { length: Length::MaxSteps(1_000_001), ..recipe() }), Error::RecipeOutOfBounds);
        refused(spec_of(&Recipe { method: Method::Qlora, ..recipe() }), Error::QloraNotBuilt);
    });
}

#[test]
fn submit_job_should_refuse_conflicting_terms() {
    build_and_execute(|| {
        Purposes::set(purpose::EVALUATE);
        refused(spec(), Error::TermsConflict);
        Purposes::set(purpose::ALL);
        AttributionRequired::set(true);
        refused(
            spec_of(&Recipe { r: 4, batch_size: 10, max_seq_len: 64, ..Recipe::plain() }),
            Error::AttributionRequired,
        );
    });
}

#[test]
fn submit_job_should_pass_on_what_permissions_refuse() {
    build_and_execute(|| {
        Refuse::set(true);
        assert_noop!(submit(spec()), DispatchError::Other("refused by permissions"));
    });
}

#[test]
fn submit_job_should_fail_without_money() {
    build_and_execute(|| {
        assert_noop!(submit(JobSpec { fee: 9_990 * WEFT, ..spec() }), TokenError::FundsUnavailable);
    });
}

#[test]
fn submit_job_should_take_jobs_without_attribution() {
    build_and_execute(|| {
        assert_ok!(submit(spec_of(&Recipe { r: 4, batch_size: 10, max_seq_len: 64, ..Recipe::plain() })));
        assert_eq!(Jobs::<Test>::get(0).unwrap().method, 0);
    });
}

#[test]
fn quote_should_leave_storage_as_it_was() {
    build_and_execute(|| {
        let quote = assert_storage_unchanged(|| Models::quote(BUILDER, spec()));
        assert!(quote.refusals.is_empty(), "{:?}", quote.refusals);
        assert_eq!(quote.total, ESCROW);
        assert_eq!(quote.stake, STAKE);
        assert_eq!(quote.licence, [(0, WEFT), (2, 3 * WEFT)]);
    });
}

fn assert_storage_unchanged<R>(read: impl FnOnce() -> R) -> R {
    let _guard = StorageNoopGuard::default();
    read()
}

#[test]
fn cancel_job_should_give_everything_back() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        assert_noop!(Models::cancel_job(RuntimeOrigin::signed(STRANGER), 0), Error::<Test>::NotBuilder);
        assert_noop!(Models::cancel_job(RuntimeOrigin::signed(BUILDER), 1), Error::<Test>::UnknownJob);
        assert_ok!(Models::cancel_job(RuntimeOrigin::signed(BUILDER), 0));
        assert_eq!(held(&BUILDER), 0);
        assert_eq!(free(&BUILDER), 10_000 * WEFT);
        assert_eq!(Restored::get(), [100, 102]);
        assert_eq!(Jobs::<Test>::get(0).unwrap().state, JobState::Cancelled);
        assert!(!Recipes::<Test>::contains_key(0));
        assert!(<Models as JobControl<_>>::terms(0).is_none());
        assert_noop!(Models::cancel_job(RuntimeOrigin::signed(BUILDER), 0), Error::<Test>::WrongState);
    });
}

#[test]
fn cancel_job_should_fail_when_an_oracle_took_it() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        assert_ok!(<Models as JobControl<_>>::advance(0, JobEvent::Take, None));
        assert_noop!(Models::cancel_job(RuntimeOrigin::signed(BUILDER), 0), Error::<Test>::WrongState);
    });
}

#[test]
fn poke_should_expire_an_open_job_after_its_limit() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        run_to(u64::from(1 + OPEN));
        assert_noop!(Models::poke(RuntimeOrigin::signed(STRANGER), 0), Error::<Test>::NotDue);
        run_to(u64::from(2 + OPEN));
        assert_noop!(<Models as JobControl<_>>::advance(0, JobEvent::Take, None), Error::<Test>::WrongState);
        assert_ok!(Models::poke(RuntimeOrigin::signed(STRANGER), 0));
        assert_eq!(Jobs::<Test>::get(0).unwrap().state, JobState::Expired);
        assert_eq!(free(&BUILDER), 10_000 * WEFT);
        assert_noop!(Models::poke(RuntimeOrigin::signed(STRANGER), 1), Error::<Test>::UnknownJob);
    });
}

#[test]
fn poke_should_reach_the_run_when_a_job_is_taken() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        assert_ok!(<Models as JobControl<_>>::advance(0, JobEvent::Take, None));
        let done = Models::poke(RuntimeOrigin::signed(STRANGER), 0).unwrap();
        assert_eq!(Poked::get(), [0]);
        // AND it pays for what the run did, with the return of the grants' uses
        let ended = Weight::from_parts(100, 0).saturating_mul(MAX_INPUTS.into());
        assert_eq!(done.actual_weight, Some(Weight::from_parts(7, 5).saturating_add(ended)));
    });
}

#[test]
fn idle_blocks_should_expire_open_jobs() {
    build_and_execute(|| {
        assert_ok!(submit(spec()));
        assert_ok!(submit(spec()));
        run_to(u64::from(2 + OPEN));
        assert_eq!(<Models as Hooks<u64>>::on_idle(62, Weight::from_parts(1, 1)), Weight::zero());
        <Models as Hooks<u64>>::on_idle(62, Weight::MAX);
        assert_eq!(Jobs::<Test>::get(0).unwrap().state, JobState::Expired);
        assert_eq!(Jobs::<Test>::get(1).unwrap().state, JobState::Expired);
    });
}

#[test]
fn idle_blocks_should_look_at_a_job_once_when_it_is_no_longer_open() {
    build_and_execute(|| {
        // GIVEN a job that was taken, one that is cancelled, and one that is open
        for _ in 0..3 {
            assert_ok!(submit(spec()));
        }
        assert_ok!(<Models as JobControl<_>>::advance(0, JobEvent::Take, None));
        assert_ok!(Models::cancel_job(RuntimeOrigin::signed(BUILDER), 1));
        // WHEN blocks are idle
        <Models as Hooks<u64>>::on_idle(2, Weight::MAX);
        // THEN the pointer waits at the open one, and passes it when that has expired
        assert_eq!(Sweep::<Test>::get(), 2);
        <Models as Hooks<u64>>::on_idle(3, Weight::MAX);
        assert_eq!(Sweep::<Test>::get(), 2);
        run_to(u64::from(2 + OPEN));
        <Models as Hooks<u64>>::on_idle(62, Weight::MAX);
        assert_eq!(Jobs::<Test>::get(2).unwrap().state, JobState::Expired);
        assert_eq!(Sweep::<Test>::get(), 3);
    });
}

#[test]
fn calls_should_charge_what_their_grants_cost() {
    use crate::{Call, WeightInfo, MAX_INPUTS};
    use frame::deps::frame_support::dispatch::GetDispatchInfo;
    let call = Call::<Test>::submit_job { spec: Box::new(spec()) };
    let expected = <() as WeightInfo>::submit_job(2).saturating_add(Grants::consume_weight(2));
    assert_eq!(call.get_dispatch_info().call_weight, expected);
    let call = Call::<Test>::cancel_job { job: 0 };
    let expected = <() as WeightInfo>::cancel_job().saturating_add(Grants::end_weight(MAX_INPUTS));
    assert_eq!(call.get_dispatch_info().call_weight, expected);
}
