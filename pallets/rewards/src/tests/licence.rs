//! The licence price: Settlement(model, 0).

use super::*;
use weft_traits::LicencePart;

/// Moves the licence prices to the pot and opens the settlement, as the pallet of the jobs does at Final.
fn pay_licences(prices: &[(u32, u128)]) -> DispatchResult {
    let total = prices.iter().map(|(_, amount)| amount).sum();
    if total > 0 {
        Balances::transfer_keep_alive(signed(CONSUMER), <Rewards as RevenueSink<_>>::pot(), total)?;
    }
    let parts: Vec<_> =
        prices.iter().map(|(datanet, amount)| LicencePart { datanet: *datanet, version: 1, amount: *amount }).collect();
    <Rewards as RevenueSink<_>>::licence_paid(MODEL, &parts)
}

#[test]
fn licence_price_should_be_data_in_full_and_claimable_at_once() {
    build_and_execute(|| {
        assert_ok!(pay_licences(&[(CURATED, 1_000), (PLAIN, 500)]));
        System::assert_last_event(Event::Settled { model: MODEL, epoch: 0, fees: 1_500 }.into());
        // No treasury, staker, model owner or oracle share.
        for (who, before) in [(TREASURY, ED), (STAKERS, ED), (BUILDER, RICH), (ORACLE, RICH)] {
            assert_eq!(balance(&who), before);
        }
        let settlement = crate::Pallet::<Test>::settlement(MODEL, 0).unwrap();
        assert_eq!(settlement.shares, FeeShares { data: 1_500, ..Default::default() });
        assert_eq!(balance(&OWNER), RICH + 100 + 100);
        assert_eq!(CURATORS.map(|who| balance(&who)), [RICH + 50; 2]);
        let all = usual_leaves();
        for (part, (_, leaves)) in (0u32..).zip(&all) {
            for index in (0u32..).take(leaves.len()) {
                assert_ok!(claim(0, part, leaves, index));
            }
        }
        assert_eq!(balance(&contributor(CURATED, 0)), 571);
        assert_eq!(balance(&contributor(PLAIN, 1)), 400);
        // 228 of 800 for the second contributor of the curated Datanet, dust 1
        assert_eq!(balance(&TREASURY), ED + 1);
        assert_eq!(balance(&POT), ED);
        assert_noop!(finalise(0), Error::<Test>::AlreadySettled);
    });
}

#[test]
fn licence_price_should_open_nothing_when_it_is_zero() {
    build_and_execute(|| {
        assert_ok!(pay_licences(&[(CURATED, 0), (PLAIN, 0)]));
        assert_ok!(pay_licences(&[]));
        assert_eq!(crate::Pallet::<Test>::settlement(MODEL, 0), None);
    });
}

#[test]
fn licence_price_should_go_to_owner_and_curators_when_the_datanet_has_no_part() {
    build_and_execute(|| {
        let other = 20;
        DatanetTable::mutate(|table| table.insert(other, (BUILDER, CURATORS.to_vec())));
        ShareTable::mutate(|table| table.insert(other, SHARES));
        assert_ok!(pay_licences(&[(CURATED, 0), (other, 1_000)]));
        assert_eq!(balance(&BUILDER), RICH + 900);
        assert_eq!(CURATORS.map(|who| balance(&who)), [RICH + 50; 2]);
        assert_noop!(claim(0, 0, &usual_leaves()[0].1, 0), Error::<Test>::NothingToClaim);
    });
}

#[test]
fn licence_price_should_be_refused_when_it_is_paid_twice_or_unknown() {
    build_and_execute(|| {
        assert_ok!(pay_licences(&[(CURATED, 1_000)]));
        let again = [LicencePart { datanet: CURATED, version: 1, amount: 1 }];
        let paid = <Rewards as RevenueSink<_>>::licence_paid;
        assert_noop!(paid(MODEL, &again), Error::<Test>::AlreadySettled);
        let old = [LicencePart { datanet: CURATED, version: 2, amount: 1 }];
        assert_noop!(paid(NO_MODEL, &old), Error::<Test>::WeightsMissing);
        record(NO_MODEL, &usual_leaves());
        assert_noop!(paid(NO_MODEL, &old), Error::<Test>::LicenceMissing);
        let huge = [u128::MAX, 1].map(|amount| LicencePart { datanet: CURATED, version: 1, amount });
        assert_noop!(paid(NO_MODEL, &huge), ArithmeticError::Overflow);
    });
}
