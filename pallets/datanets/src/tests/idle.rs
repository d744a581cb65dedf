use crate::{mock::*, types::*, Commitments, Event, HoldReason, RiskBounds, RiskQueue};
use frame::testing_prelude::*;

fn idle(weight: Weight) -> Weight {
    <Datanets as Hooks<u64>>::on_idle(System::block_number(), weight)
}

#[test]
fn on_idle_should_expire_commitments_when_window_is_over() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(10);
        commit(&BOB, id, root(2));
        advance(u64::from(COMMIT_WINDOW) - 10);
        idle(Weight::MAX);
        assert_eq!(Commitments::<Test>::iter().count(), 2);
        advance(1);
        idle(Weight::MAX);
        assert_eq!(Commitments::<Test>::iter().count(), 1);
        assert_eq!(free(&ALICE), START - COMMIT_DEPOSIT);
        assert_eq!(free(&TREASURY), WEFT + COMMIT_DEPOSIT);
        assert_eq!(Datanets::datanet(id).unwrap().open, 1);
    });
}

#[test]
fn on_idle_should_free_the_risk_deposit_when_duplicate_window_is_over() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(accept(&OWNER, id, n));
        advance(u64::from(DUPLICATE_WINDOW) - 1);
        idle(Weight::MAX);
        assert_eq!(held(HoldReason::Risk, &ALICE), RISK_DEPOSIT);
        advance(1);
        idle(Weight::MAX);
        assert_eq!(held(HoldReason::Risk, &ALICE), 0);
        assert_eq!(Datanets::contribution(id, n).unwrap().risk, 0);
        assert_eq!(RiskQueue::<Test>::iter().count(), 0);
        let event = Event::RiskFreed { datanet: id, contribution: n, who: ALICE, amount: RISK_DEPOSIT };
        assert_eq!(last_event(), event);
        // The storage deposit stays as long as the contribution.
        assert_eq!(held(HoldReason::Storage, &ALICE), STORAGE_DEPOSIT);
    });
}

#[test]
fn calls_should_free_two_risk_deposits_when_no_block_is_ever_idle() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        for r in 1..=3 {
            let n = contribute(&ALICE, id, root(r));
            assert_ok!(accept(&OWNER, id, n));
        }
        advance(u64::from(DUPLICATE_WINDOW));
        assert_ok!(Datanets::snapshot(signed(BOB), id));
        assert_eq!(held(HoldReason::Risk, &ALICE), RISK_DEPOSIT);
        assert_eq!(RiskBounds::<Test>::get(), (2, 3));
        commit(&BOB, id, root(9));
        assert_eq!(held(HoldReason::Risk, &ALICE), 0);
    });
}

#[test]
fn on_idle_should_do_nothing_when_no_weight_is_left() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(u64::from(COMMIT_WINDOW) + 1);
        assert_eq!(idle(Weight::zero()), Weight::zero());
        assert_eq!(Commitments::<Test>::iter().count(), 1);
    });
}

#[test]
fn on_idle_should_use_no_more_weight_than_is_left_when_much_is_due() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        for n in 0..32 {
            assert_ok!(Datanets::commit(signed(ALICE), id, [n; 32]));
        }
        advance(u64::from(COMMIT_WINDOW) + 1);
        let limit = Weight::from_parts(500_000_000, 1_000_000);
        let used = idle(limit);
        assert!(used.all_lte(limit), "{used:?}");
        let left = Commitments::<Test>::iter().count();
        assert!(left > 0 && left < 32, "{left}");
        idle(Weight::MAX);
        assert_eq!(Commitments::<Test>::iter().count(), 0);
    });
}

#[test]
fn queue_should_skip_gaps_when_commitments_were_revealed() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        for r in 1..=10 {
            contribute(&ALICE, id, root(r));
        }
        commit(&BOB, id, root(11));
        advance(u64::from(COMMIT_WINDOW) + 1);
        idle(Weight::MAX);
        assert_eq!(Commitments::<Test>::iter().count(), 0);
        assert_eq!(free(&TREASURY), WEFT + COMMIT_DEPOSIT);
    });
}
