use crate::{mock::*, types::*, Error, Event};
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
        assert_eq!(Permissions::grant(id).unwrap().state, GrantState::Revoked(Cause::Breach));
        assert_eq!(last_event(), Event::Revoked { grant: id, cause: Cause::Breach });
        assert!(!Permissions::is_live(id));
        assert_noop!(Permissions::consume(&BUILDER, &job(), &with_held(id)), Error::<Test>::GrantNotActive);
    });
}

#[test]
fn revoke_should_let_running_jobs_finish_when_uses_are_in_flight() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(Permissions::consume(&BUILDER, &job(), &with_held(id)));
        assert_ok!(revoke(OWNER, id, Cause::Breach));
        // The grant stays while the job runs, and settles as if nothing had happened.
        crate::Pallet::<Test>::prune_some(10);
        Permissions::settle(&[id]);
        let grant = Permissions::grant(id).unwrap();
        assert_eq!((grant.used, grant.in_flight, grant.left), (1, 0, 1));
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
        assert_ok!(revoke(OWNER, id, Cause::Breach));
        assert_noop!(revoke(OWNER, id, Cause::Breach), Error::<Test>::GrantNotActive);
    });
}
