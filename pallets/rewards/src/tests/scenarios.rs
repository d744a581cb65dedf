//! Several calls in a row, as people make them.

use super::*;

#[test]
fn fees_in_should_be_payouts_out_to_the_unit() {
    build_and_execute(|| {
        // GIVEN a consumer that pays odd fees over four epochs
        open_channel(1_000_000);
        let all = usual_leaves();
        let mut cumulative = 0;
        for (epoch, fees) in [(1u32, 9_999u128), (2, 1), (3, 77_777), (4, 123)] {
            cumulative += fees;
            assert_ok!(redeem(cumulative));
            end_epoch(epoch);
            assert_ok!(post_usage(epoch, fees));
            assert_ok!(finalise(epoch));
        }
        // WHEN everything is claimed
        for epoch in 1..=4 {
            for (part, (_, leaves)) in (0u32..).zip(&all) {
                for index in (0u32..).take(leaves.len()) {
                    match claim(epoch, part, leaves, index) {
                        Ok(()) => {}
                        // One unit of fees leaves nothing for some parts.
                        Err(refused) => assert_eq!(refused, Error::<Test>::NothingToClaim.into()),
                    }
                }
            }
        }
        // THEN the consumer lost what the others gained, and the pot keeps only its deposit and small debts
        let owed: u128 = crate::Owed::<Test>::iter().map(|(_, owed)| owed).sum();
        assert_eq!(balance(&POT), ED + owed);
        let contributors: u128 =
            all.iter().flat_map(|(_, leaves)| leaves.iter().map(|leaf| balance(&leaf.owner.into()))).sum();
        let gained = [TREASURY, STAKERS].iter().map(|who| balance(who) - ED).sum::<u128>()
            + [ORACLE, BUILDER, OWNER].iter().map(|who| balance(who) - RICH).sum::<u128>()
            + CURATORS.iter().map(|who| balance(who) - RICH).sum::<u128>();
        assert_eq!(gained + contributors + owed, cumulative);
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        Now::mutate(|now| *now += Params::default().unlock);
        assert_ok!(Rewards::withdraw(signed(CONSUMER), ORACLE));
        assert_eq!(balance(&CONSUMER), RICH - cumulative);
    });
}

#[test]
fn leaked_key_should_be_bounded_by_limit_and_revocation() {
    build_and_execute(|| {
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, 1_000_000));
        let rule = KeyRule { daily_limit: 5_000, ..any_rule() };
        assert_ok!(Rewards::add_key(signed(CONSUMER), api_public(), rule));
        assert_ok!(redeem(5_000));
        assert_noop!(redeem(5_001), Error::<Test>::LimitExceeded);
        assert_ok!(Rewards::revoke_key(signed(CONSUMER), api_public()));
        Now::set(2 * DAY);
        assert_noop!(redeem(5_001), Error::<Test>::KeyRevoked);
        assert_eq!(balance(&POT), ED + 5_000);
    });
}

#[test]
fn claims_should_stay_open_long_after_settlement() {
    build_and_execute(|| {
        open_channel(1_000_000);
        assert_ok!(redeem(10_000));
        end_epoch(1);
        assert_ok!(post_usage(1, 10_000));
        assert_ok!(finalise(1));
        Now::set(u32::MAX);
        ModelTable::mutate(|table| table.clear());
        assert_ok!(claim(1, 1, &usual_leaves()[1].1, 1));
        assert_eq!(balance(&contributor(PLAIN, 1)), 960);
    });
}
