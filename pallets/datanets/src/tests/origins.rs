use crate::{mock::*, types::*};
use frame::testing_prelude::*;

#[test]
fn calls_should_refuse_when_the_origin_is_not_an_account() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        let n = contribute(&BOB, id, root(2));
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(
                Datanets::create(origin.clone(), Kind::Instruction, 0, name(), CARD, Rule::Owner),
                DispatchError::BadOrigin
            );
            assert_noop!(Datanets::set_curators(origin.clone(), id, Default::default()), DispatchError::BadOrigin);
            assert_noop!(Datanets::commit(origin.clone(), id, root(3)), DispatchError::BadOrigin);
            assert_noop!(
                Datanets::reveal(origin.clone(), id, root(1), SALT, CONTENT, 20, 4_000, None),
                DispatchError::BadOrigin
            );
            assert_noop!(
                Datanets::review(origin.clone(), id, n, Verdict::Accept, None, None),
                DispatchError::BadOrigin
            );
            assert_noop!(Datanets::snapshot(origin, id), DispatchError::BadOrigin);
        }
    });
}
