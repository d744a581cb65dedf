use crate::{mock::*, types::*, Event, HoldReason};
use frame::testing_prelude::*;
use weft_traits::PermissionCheck;

fn idle(weight: Weight) -> Weight {
    <Permissions as Hooks<u64>>::on_idle(System::block_number(), weight)
}

#[test]
fn on_idle_should_free_the_deposit_when_grant_is_used_up() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        Permissions::settle(&[id]);
        idle(Weight::MAX);
        // One use is still in flight.
        assert!(Permissions::grant(id).is_some());
        Permissions::settle(&[id]);
        idle(Weight::MAX);
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(held(HoldReason::Grant, &BUILDER), 0);
        assert_eq!(free(&BUILDER), START);
        assert_eq!(last_event(), Event::Pruned { grant: id });
    });
}

#[test]
fn on_idle_should_free_the_deposit_when_grant_expired_or_was_revoked() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(acquire(scope()));
        assert_ok!(Permissions::revoke(signed(OWNER), id + 1, Cause::Breach));
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
fn acquire_should_prune_others_when_no_block_is_ever_idle() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(Permissions::revoke(signed(OWNER), id, Cause::Breach));
        for _ in 0..3 {
            assert_ok!(Permissions::acquire(signed(STRANGER), NET, 1, PRICE, scope()));
        }
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(held(HoldReason::Grant, &STRANGER), 3 * GRANT_DEPOSIT);
    });
}

#[test]
fn on_idle_should_keep_within_the_weight_when_little_is_left() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(Permissions::revoke(signed(OWNER), id, Cause::Breach));
        assert_eq!(idle(Weight::zero()), Weight::zero());
        assert!(Permissions::grant(id).is_some());
        let limit = Weight::from_parts(200_000_000, 0);
        assert!(idle(limit).all_lte(limit));
        assert_eq!(Permissions::grant(id), None);
    });
}
