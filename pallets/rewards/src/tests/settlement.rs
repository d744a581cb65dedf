//! `finalise`.

use super::*;

const BUDGET: u128 = 1_000_000;
const FEES: u128 = 10_000;

/// Runs a test in which [`FEES`] were redeemed in epoch 1, which is over, and usage is posted.
fn with_fees(test: impl FnOnce()) {
    build_and_execute(|| {
        open_channel(BUDGET);
        redeem(FEES).unwrap();
        end_epoch(1);
        post_usage(1, FEES).unwrap();
        test();
    });
}

#[test]
fn finalise_should_pay_everybody_but_the_contributors() {
    with_fees(|| {
        assert_ok!(finalise(1));
        System::assert_last_event(Event::Settled { model: MODEL, epoch: 1, fees: FEES }.into());
        // 5 % treasury, 5 % stakers, 30 % owner of the model, 20 % oracle, 40 % data
        assert_eq!(balance(&TREASURY), ED + 500);
        assert_eq!(balance(&STAKERS), ED + 500);
        assert_eq!(balance(&BUILDER), RICH + 3_000);
        assert_eq!(balance(&ORACLE), RICH + 2_000);
        // 2,800 for the curated Datanet: 10 % owner, 10 % curators; 1,200 for the plain one: 20 % owner
        assert_eq!(balance(&OWNER), RICH + 280 + 240);
        assert_eq!(CURATORS.map(|who| balance(&who)), [RICH + 140; 2]);
        assert_eq!(balance(&POT), ED + 2_240 + 960);

        let settlement = crate::Pallet::<Test>::settlement(MODEL, 1).unwrap();
        assert_eq!(settlement.kind, SettlementKind::Training);
        assert_eq!(settlement.state, SettlementState::Open);
        assert_eq!((settlement.fees, settlement.poster), (FEES, None));
        let shares = FeeShares { treasury: 500, stakers: 500, owner: 3_000, oracle: 2_000, data: 4_000 };
        assert_eq!(settlement.shares, shares);
        let known: Vec<_> = settlement
            .parts
            .iter()
            .map(|part| (part.datanet, part.contributors, part.owner, part.curators, part.leaves))
            .collect();
        assert_eq!(known, vec![(CURATED, 2_240, 280, 280, 3), (PLAIN, 960, 240, 0, 2)]);
        assert!(<Rewards as RevenueSink<_>>::settled(MODEL, 1));
        assert!(!<Rewards as RevenueSink<_>>::settled(MODEL, 2));
    });
}

#[test]
fn finalise_should_return_the_weight_of_what_it_did() {
    with_fees(|| {
        use crate::WeightInfo;
        let done = Rewards::finalise(signed(STRANGER), MODEL, 1).unwrap();
        // treasury, stakers, model owner, oracle, two Datanet owners, two curators
        assert_eq!(done.actual_weight, Some(<() as WeightInfo>::finalise(8)));
    });
}

#[test]
fn finalise_should_refuse_when_the_epoch_is_not_over() {
    build_and_execute(|| {
        open_channel(BUDGET);
        assert_noop!(Rewards::finalise(RuntimeOrigin::root(), MODEL, 1), BadOrigin);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        Now::mutate(|now| *now -= 1);
        assert!(!<Rewards as RevenueSink<_>>::epoch_over(MODEL, 1));
        assert_noop!(finalise(1), Error::<Test>::EpochOpen);
        assert_noop!(finalise(u32::MAX), Error::<Test>::EpochOpen);
        Now::mutate(|now| *now += 1);
        assert!(<Rewards as RevenueSink<_>>::epoch_over(MODEL, 1));
        assert!(!<Rewards as RevenueSink<_>>::epoch_over(MODEL, 2));
        assert!(!<Rewards as RevenueSink<_>>::epoch_over(MODEL, 0));
        assert!(!<Rewards as RevenueSink<_>>::epoch_over(NO_MODEL, 1));
        assert_ok!(post_usage(1, FEES));
        assert_ok!(finalise(1));
    });
}

#[test]
fn finalise_should_refuse_when_usage_is_missing_until_the_usage_delay_is_over() {
    build_and_execute(|| {
        open_channel(BUDGET);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_noop!(finalise(1), Error::<Test>::UsageMissing);
        Now::mutate(|now| *now += Params::default().usage_delay - 1);
        assert_noop!(finalise(1), Error::<Test>::UsageMissing);
        Now::mutate(|now| *now += 1);
        assert_ok!(finalise(1));
    });
}

#[test]
fn finalise_should_refuse_when_there_is_nothing_to_settle() {
    with_fees(|| {
        assert_noop!(finalise(0), Error::<Test>::NothingToSettle);
        assert_noop!(
            Rewards::finalise(signed(STRANGER), NO_MODEL, 1).map_err(|refused| refused.error),
            Error::<Test>::UnknownModel
        );
        assert_ok!(finalise(1));
        assert_noop!(finalise(1), Error::<Test>::AlreadySettled);
        end_epoch(2);
        assert_noop!(finalise(2), Error::<Test>::NothingToSettle);
    });
}

#[test]
fn finalise_should_refuse_when_weights_or_licences_are_missing() {
    execute(new_state(Params::default(), RICH), || {
        // GIVEN fees of a model without weights
        open_channel(BUDGET);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        assert_noop!(finalise(1), Error::<Test>::WeightsMissing);
        record(MODEL, &usual_leaves());
        // WHEN a licence or a Datanet is unknown
        let shares = ShareTable::mutate(|table| table.remove(&PLAIN)).unwrap();
        assert_noop!(finalise(1), Error::<Test>::LicenceMissing);
        ShareTable::mutate(|table| table.insert(PLAIN, shares));
        let datanet = DatanetTable::mutate(|table| table.remove(&PLAIN)).unwrap();
        assert_noop!(finalise(1), Error::<Test>::LicenceMissing);
        DatanetTable::mutate(|table| table.insert(PLAIN, datanet));
        // WHEN shares are not whole
        ShareTable::mutate(|table| table.get_mut(&PLAIN).unwrap().owner += 1);
        assert_noop!(finalise(1), Error::<Test>::SumMismatch);
        ShareTable::mutate(|table| table.get_mut(&PLAIN).unwrap().owner -= 1);
        ModelTable::mutate(|table| table.get_mut(&MODEL).unwrap().split.data += 1);
        assert_noop!(finalise(1), Error::<Test>::SumMismatch);
        ModelTable::mutate(|table| table.get_mut(&MODEL).unwrap().split.data -= 1);
        // THEN it goes through once they are there
        assert_ok!(finalise(1));
    });
}

#[test]
fn oracles_should_share_by_fees() {
    with_fees(|| {
        // GIVEN a second oracle with a third of the fees, paid for by the consumer
        assert_ok!(Rewards::add_revenue(MODEL, 1, &OTHER_ORACLE, 5_000, 0));
        assert_ok!(Balances::transfer_keep_alive(signed(CONSUMER), POT, 5_000));
        // Its usage is missing.
        assert_noop!(finalise(1), Error::<Test>::UsageMissing);
        Now::mutate(|now| *now += Params::default().usage_delay);
        // WHEN settled THEN 20 % of 15,000 are shared two to one
        assert_ok!(finalise(1));
        assert_eq!(balance(&ORACLE), RICH + 2_000);
        assert_eq!(balance(&OTHER_ORACLE), RICH + 1_000);
    });
}

#[test]
fn part_without_points_should_pay_its_owner() {
    execute(new_state(Params::default(), RICH), || {
        // GIVEN a model whose second Datanet has no leaf, and third a leaf without points
        let mut all = usual_leaves();
        all[0].1 = leaves(CURATED, &[1_000_000_000_000]);
        all[1].1 = vec![];
        all.push((PLAIN + 1, leaves(PLAIN + 1, &[0])));
        DatanetTable::mutate(|table| table.insert(PLAIN + 1, (STRANGER, CURATORS.to_vec())));
        ShareTable::mutate(|table| table.insert(PLAIN + 1, SHARES));
        record(MODEL, &all);
        open_channel(BUDGET);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        // WHEN settled
        assert_ok!(finalise(1));
        // THEN they have no part of the pool
        let settlement = crate::Pallet::<Test>::settlement(MODEL, 1).unwrap();
        assert_eq!(settlement.parts[0].contributors, 3_200);
        for part in &settlement.parts[1..] {
            assert_eq!((part.contributors, part.owner, part.curators), (0, 0, 0));
        }
        assert_noop!(claim(1, 2, &all[2].1, 0), Error::<Test>::NothingToClaim);
    });
}

#[test]
fn model_without_any_points_should_pay_owners_and_curators() {
    execute(new_state(Params::default(), RICH), || {
        // GIVEN no leaf has points: each part takes half of the pool
        record(MODEL, &[(CURATED, vec![]), (PLAIN, vec![])]);
        open_channel(BUDGET);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        // WHEN settled THEN curators have their tenth, owners the rest, and nothing is left to claim
        assert_ok!(finalise(1));
        assert_eq!(CURATORS.map(|who| balance(&who)), [RICH + 100; 2]);
        assert_eq!(balance(&OWNER), RICH + 1_800 + 2_000);
        assert_eq!(balance(&POT), ED);
    });
}

#[test]
fn fees_below_the_minimum_should_roll_into_the_running_epoch() {
    let params = Params { minimum: 1_000, ..Params::default() };
    execute(new_state(params, RICH), || {
        // GIVEN 999 units in epoch 1 and usage of them
        record(MODEL, &usual_leaves());
        open_channel(BUDGET);
        assert_ok!(redeem(999));
        end_epoch(1);
        assert_ok!(post_usage(1, 999));
        // WHEN finalised in epoch 3 THEN they belong to epoch 3
        end_epoch(2);
        assert_ok!(finalise(1));
        System::assert_last_event(Event::RolledOver { model: MODEL, epoch: 1, into: 3, fees: 999 }.into());
        assert_eq!(crate::Settlements::<Test>::get(MODEL, 1).unwrap().state, SettlementState::Rolled(3));
        assert_noop!(finalise(1), Error::<Test>::AlreadySettled);
        let entry = OracleFees { oracle: ORACLE, fees: 0, rolled: 999 };
        assert_eq!(crate::Revenue::<Test>::get(MODEL, 3).into_inner(), vec![entry]);
        assert_noop!(claim(1, 0, &usual_leaves()[0].1, 0), Error::<Test>::InWindow);
        // Rolled fees are no usage of the new epoch.
        assert_eq!(<Rewards as RevenueSink<_>>::redeemed(MODEL, 3, &ORACLE), 0);
        // WHEN one unit is added there THEN all is settled, and usage covers only the unit
        assert_ok!(redeem(1_000));
        end_epoch(3);
        assert_ok!(post_usage(3, 1));
        assert_ok!(finalise(3));
        assert_eq!(crate::Settlements::<Test>::get(MODEL, 3).unwrap().fees, 1_000);
        assert_eq!(balance(&ORACLE), RICH + 200);
    });
}

#[test]
fn epochs_should_start_at_the_mint() {
    build_and_execute(|| {
        ModelTable::mutate(|table| table.get_mut(&MODEL).unwrap().minted = 100);
        for (now, epoch) in [(99, 1), (100, 1), (104, 1), (105, 2), (110, 3)] {
            Now::set(now);
            assert_eq!(crate::Pallet::<Test>::epoch(MODEL), Some(epoch));
        }
        assert!(<Rewards as RevenueSink<_>>::epoch_over(MODEL, 2));
        assert!(!<Rewards as RevenueSink<_>>::epoch_over(MODEL, 3));
    });
}

#[test]
fn payments_below_the_existential_deposit_should_be_owed() {
    with_fees(|| {
        // GIVEN a model owner whose account does not exist
        let poor = contributor(77, 0);
        ModelTable::mutate(|table| table.get_mut(&MODEL).unwrap().owner = poor.clone());
        // 330 units of fees a day: 99 for the owner, one below the existential deposit
        assert_ok!(finalise(1));
        assert_eq!(balance(&poor), 3_000);
        let newer = contributor(77, 1);
        ModelTable::mutate(|table| table.get_mut(&MODEL).unwrap().owner = newer.clone());
        assert_ok!(redeem(FEES + 330));
        end_epoch(2);
        assert_ok!(post_usage(2, 330));
        assert_ok!(finalise(2));
        assert_eq!((balance(&newer), crate::Pallet::<Test>::owed(newer.clone())), (0, 99));
        System::assert_has_event(Event::Deferred { who: newer.clone(), owed: 99 }.into());
        // WHEN one more unit comes THEN it is paid with what is owed
        assert_ok!(redeem(FEES + 333));
        end_epoch(3);
        assert_ok!(post_usage(3, 3));
        assert_ok!(finalise(3));
        assert_eq!((balance(&newer), crate::Pallet::<Test>::owed(newer.clone())), (100, 0));
    });
}
