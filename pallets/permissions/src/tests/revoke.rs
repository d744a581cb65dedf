use crate::{mock::*, types::*, Error, Event, HoldReason};
use frame::testing_prelude::*;
use weft_traits::PermissionCheck;

fn revoke(who: AccountId, grant: u32, cause: Cause) -> DispatchResult {
    Permissions::revoke(signed(who), grant, cause)
}

#[test]
fn revoke_should_end_the_grant_for_new_jobs_when_owner_names_a_breach() {
    build_and_execute(|| {
        let id = granted();
        assert!(Permissions::is_live(id));
        assert_ok!(revoke(OWNER, id, Cause::Breach));
        System::assert_has_event(RuntimeEvent::Permissions(Event::Revoked { grant: id, cause: Cause::Breach }));
        assert!(!Permissions::is_live(id));
        // No job holds it: its deposit is free and nothing is kept.
        assert_eq!(last_event(), Event::Pruned { grant: id });
        assert_eq!(free(&BUILDER), START);
        assert_noop!(Permissions::consume(&BUILDER, &job(), &with_held(id)), Error::<Test>::UnknownGrant);
    });
}

#[test]
fn revoke_should_let_running_jobs_finish_when_uses_are_in_flight() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        assert_ok!(revoke(OWNER, id, Cause::Breach));
        // The grant stays while the job runs, for that job alone.
        crate::Pallet::<Test>::prune_some(10);
        let grant = Permissions::grant(id).unwrap();
        assert_eq!((grant.state, grant.in_flight), (GrantState::Revoked(Cause::Breach), 1));
        assert!(Permissions::is_live(id));
        assert_noop!(Permissions::consume(&BUILDER, &job(), &with_held(id)), Error::<Test>::GrantNotActive);
        assert_eq!(held(HoldReason::Grant, &BUILDER), GRANT_DEPOSIT);
        Permissions::settle(&[id]);
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(free(&BUILDER), START);
    });
}

#[test]
fn revoke_should_need_the_licences_leave_when_for_convenience() {
    build_and_execute(|| {
        let id = granted();
        assert_noop!(revoke(OWNER, id, Cause::Convenience), Error::<Test>::NotRevocable);
        // A later version does not change an existing grant's terms.
        assert_ok!(set(Terms { revocable: true, ..terms() }));
        assert_noop!(revoke(OWNER, id, Cause::Convenience), Error::<Test>::NotRevocable);
        assert_ok!(Permissions::acquire(signed(BUILDER), NET, 2, PRICE, scope()));
        assert_ok!(revoke(OWNER, id + 1, Cause::Convenience));
    });
}

#[test]
fn revoke_should_refuse_when_caller_does_not_own_the_datanet() {
    build_and_execute(|| {
        let id = granted();
        assert_noop!(revoke(BUILDER, id, Cause::Breach), Error::<Test>::NotOwner);
        assert_noop!(revoke(OTHER_OWNER, id, Cause::Breach), Error::<Test>::NotOwner);
        assert_noop!(Permissions::revoke(RuntimeOrigin::root(), id, Cause::Breach), DispatchError::BadOrigin);
    });
}

#[test]
fn revoke_should_refuse_when_grant_is_unknown_or_revoked() {
    build_and_execute(|| {
        assert_noop!(revoke(OWNER, 0, Cause::Breach), Error::<Test>::UnknownGrant);
        let id = granted();
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        assert_ok!(revoke(OWNER, id, Cause::Breach));
        assert_noop!(revoke(OWNER, id, Cause::Breach), Error::<Test>::GrantNotActive);
        Permissions::restore(&[id]);
        assert_noop!(revoke(OWNER, id, Cause::Breach), Error::<Test>::UnknownGrant);
    });
}
