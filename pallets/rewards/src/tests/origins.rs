//! Calls take signed origins only.

use super::*;

#[test]
fn calls_should_refuse_origins_that_are_not_signed() {
    build_and_execute(|| {
        let leaves = &usual_leaves()[0].1;
        let path: BoundedVec<_, _> = sum_tree::proof(leaves, 0).unwrap().try_into().unwrap();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            let by = || origin.clone();
            assert_noop!(Rewards::open_budget(by(), ORACLE, 1), BadOrigin);
            assert_noop!(Rewards::top_up(by(), ORACLE, 1), BadOrigin);
            assert_noop!(Rewards::close_budget(by(), ORACLE), BadOrigin);
            assert_noop!(Rewards::withdraw(by(), ORACLE), BadOrigin);
            assert_noop!(Rewards::add_key(by(), [1; 32], any_rule()), BadOrigin);
            assert_noop!(Rewards::revoke_key(by(), [1; 32]), BadOrigin);
            assert_noop!(Rewards::redeem(by(), vec![sign(voucher(1))].try_into().unwrap()), BadOrigin);
            assert_noop!(Rewards::finalise(by(), MODEL, 1), BadOrigin);
            assert_noop!(Rewards::claim(by(), MODEL, 1, 0, 0, leaves[0], path.clone()), BadOrigin);
            assert_noop!(Rewards::claim_many(by(), MODEL, 1, 0, Default::default(), Default::default()), BadOrigin);
        }
    });
}
