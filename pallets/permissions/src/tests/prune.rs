use crate::{mock::*, types::*, Error, Event, HoldReason};
use frame::testing_prelude::*;
use weft_traits::PermissionCheck;

fn idle(weight: Weight) -> Weight {
    <Permissions as Hooks<u64>>::on_idle(System::block_number(), weight)
}

fn prune(id: u32) -> DispatchResult {
    Permissions::prune(signed(STRANGER), id)
}

#[test]
fn prune_should_free_the_deposit_when_the_grant_is_over() {
    build_and_execute(|| {
        let id = granted();
        System::set_block_number(102);
        assert_ok!(prune(id));
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(held(HoldReason::Grant, &BUILDER), 0);
        assert_eq!(free(&BUILDER), START);
        assert_eq!(last_event(), Event::Pruned { grant: id });
    });
}

#[test]
fn prune_should_refuse_when_jobs_can_use_the_grant_or_hold_it() {
    build_and_execute(|| {
        let id = granted();
        assert_noop!(prune(id), Error::<Test>::GrantInUse);
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        System::set_block_number(102);
        assert_noop!(prune(id), Error::<Test>::GrantInUse);
        assert_noop!(prune(id + 1), Error::<Test>::UnknownGrant);
    });
}

#[test]
fn prune_should_free_the_deposit_when_the_consumer_gives_a_grant_up() {
    build_and_execute(|| {
        // GIVEN a grant that jobs can use
        let id = granted();
        assert_noop!(prune(id), Error::<Test>::GrantInUse);
        // WHEN its consumer gives it up
        assert_ok!(Permissions::prune(signed(BUILDER), id));
        // THEN it is gone with its deposit, and no job can use it
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(held(HoldReason::Grant, &BUILDER), 0);
        assert_eq!(free(&BUILDER), START);
        assert_eq!(last_event(), Event::Pruned { grant: id });
        assert!(Permissions::consume(&BUILDER, &job(), &with_held(id)).is_err());
    });
}

#[test]
fn prune_should_refuse_the_consumer_when_a_job_holds_the_grant() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        assert_noop!(Permissions::prune(signed(BUILDER), id), Error::<Test>::GrantInUse);
    });
}

#[test]
fn prune_should_refuse_when_a_request_waits() {
    build_and_execute(|| {
        // GIVEN a request, which only a later version of the pallet could have stored
        let id = granted();
        crate::Grants::<Test>::mutate(id, |grant| grant.as_mut().unwrap().state = GrantState::Requested);
        System::set_block_number(102);
        // THEN it waits for its answer
        assert_noop!(prune(id), Error::<Test>::GrantInUse);
        assert_noop!(Permissions::prune(signed(BUILDER), id), Error::<Test>::GrantInUse);
    });
}

#[test]
fn on_idle_should_free_the_deposit_when_grant_expired() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(acquire(Scope { expiry: Some(40), ..scope() }));
        idle(Weight::MAX);
        assert!(Permissions::grant(id).is_some());
        System::set_block_number(41);
        idle(Weight::MAX);
        assert!(Permissions::grant(id).is_some());
        assert_eq!(Permissions::grant(id + 1), None);
        System::set_block_number(102);
        idle(Weight::MAX);
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(free(&BUILDER), START);
    });
}

#[test]
fn on_idle_should_reach_every_grant_when_there_are_more_than_one_round_takes() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        for _ in 0..40 {
            assert_ok!(acquire(scope()));
        }
        System::set_block_number(102);
        // 16 a block, in a round that may begin anywhere.
        for _ in 0..5 {
            idle(Weight::MAX);
        }
        assert_eq!(crate::Grants::<Test>::iter().count(), 0);
        assert_eq!(free(&BUILDER), START);
    });
}

#[test]
fn acquire_should_prune_others_when_no_block_is_ever_idle() {
    build_and_execute(|| {
        // GIVEN a grant that is over
        let id = granted();
        System::set_block_number(102);
        // WHEN others acquire grants
        for _ in 0..3 {
            assert_ok!(Permissions::acquire(signed(STRANGER), NET, 1, PRICE, scope()));
        }
        // THEN it is gone, and theirs stay
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(held(HoldReason::Grant, &STRANGER), 3 * GRANT_DEPOSIT);
    });
}

#[test]
fn on_idle_should_keep_within_the_weight_when_little_is_left() {
    build_and_execute(|| {
        let id = granted();
        System::set_block_number(102);
        assert_eq!(idle(Weight::zero()), Weight::zero());
        assert!(Permissions::grant(id).is_some());
        let limit = Weight::from_parts(200_000_000, 1_000_000);
        assert!(idle(limit).all_lte(limit));
        assert_eq!(Permissions::grant(id), None);
    });
}
