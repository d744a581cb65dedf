//! Calls take signed origins only.

use crate::mock::*;
use frame::testing_prelude::*;
use weft_protocol::run::JuryValue;

#[test]
fn calls_should_refuse_origins_that_are_not_signed() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        let (state, reverse, paths) = truth.answer();
        let value = JuryValue { commit: truth.commit, work: [1; 32] };
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            let by = || origin.clone();
            let classes = vec![class()].try_into().unwrap();
            assert_noop!(Oracles::register(by(), classes, Default::default(), [1; 32], BONDED), BadOrigin);
            assert_noop!(Oracles::bond(by(), WEFT), BadOrigin);
            assert_noop!(Oracles::chill(by()), BadOrigin);
            assert_noop!(Oracles::resume(by()), BadOrigin);
            assert_noop!(Oracles::unbond(by(), WEFT), BadOrigin);
            assert_noop!(Oracles::withdraw(by()), BadOrigin);
            assert_noop!(Oracles::take(by(), 0), BadOrigin);
            assert_noop!(Oracles::commit(by(), JOB, truth.commit), BadOrigin);
            assert_noop!(Oracles::audit_commit(by(), JOB, [1; 32]), BadOrigin);
            assert_noop!(Oracles::reveal_nonces(by(), JOB, truth.secret, truth.opening.clone()), BadOrigin);
            assert_noop!(Oracles::audit_reveal(by(), JOB, SALT, state, reverse, true, paths.clone()), BadOrigin);
            assert_noop!(Oracles::accuse(by(), JOB, 0), BadOrigin);
            assert_noop!(Oracles::jury_commit(by(), 0, [1; 32]), BadOrigin);
            assert_noop!(Oracles::jury_reveal(by(), 0, value, SALT), BadOrigin);
        }
    });
}
