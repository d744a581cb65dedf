use crate::{mock::*, types::*};
use frame::testing_prelude::*;

#[test]
fn calls_should_refuse_when_the_origin_is_not_an_account() {
    build_and_execute(|| {
        let id = granted();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(Permissions::set_licence(origin.clone(), NET, terms()), DispatchError::BadOrigin);
            assert_noop!(Permissions::acquire(origin.clone(), NET, 1, PRICE, scope()), DispatchError::BadOrigin);
            assert_noop!(Permissions::revoke(origin.clone(), id, Cause::Breach), DispatchError::BadOrigin);
            assert_noop!(Permissions::prune(origin, id), DispatchError::BadOrigin);
        }
    });
}
