//! `open_budget`, `top_up`, `close_budget`, `withdraw`.

use super::*;

const AMOUNT: u128 = 5_000;

fn held() -> u128 {
    Balances::balance_on_hold(&crate::HoldReason::Budget.into(), &CONSUMER)
}

use frame::token::fungible::hold::Inspect as _;

#[test]
fn open_budget_should_hold_the_amount() {
    build_and_execute(|| {
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_eq!(held(), AMOUNT);
        let budget = Budget { held: AMOUNT, spent: 0, unlock: None };
        assert_eq!(crate::Pallet::<Test>::budget(CONSUMER, ORACLE), Some(budget));
        let event = Event::BudgetOpened { consumer: CONSUMER, oracle: ORACLE, amount: AMOUNT, held: AMOUNT };
        System::assert_last_event(event.into());
    });
}

#[test]
fn open_budget_should_refuse_when_it_cannot_be_held() {
    build_and_execute(|| {
        let open = |oracle, amount| Rewards::open_budget(signed(CONSUMER), oracle, amount);
        assert_noop!(Rewards::open_budget(RuntimeOrigin::root(), ORACLE, AMOUNT), BadOrigin);
        assert_noop!(open(ORACLE, 0), Error::<Test>::AmountZero);
        assert_noop!(open(STRANGER, AMOUNT), Error::<Test>::NotServing);
        assert_noop!(open(ORACLE, RICH * 2), TokenError::FundsUnavailable);
        assert_ok!(open(ORACLE, AMOUNT));
        assert_noop!(open(ORACLE, AMOUNT), Error::<Test>::BudgetExists);
    });
}

#[test]
fn top_up_should_add_to_an_open_budget() {
    build_and_execute(|| {
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_ok!(Rewards::top_up(signed(CONSUMER), ORACLE, 7));
        assert_eq!(held(), AMOUNT + 7);
        let event = Event::BudgetOpened { consumer: CONSUMER, oracle: ORACLE, amount: 7, held: AMOUNT + 7 };
        System::assert_last_event(event.into());
    });
}

#[test]
fn top_up_should_refuse_when_there_is_no_open_budget() {
    build_and_execute(|| {
        let top_up = |amount| Rewards::top_up(signed(CONSUMER), ORACLE, amount);
        assert_noop!(Rewards::top_up(RuntimeOrigin::root(), ORACLE, 1), BadOrigin);
        assert_noop!(top_up(1), Error::<Test>::BudgetMissing);
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_noop!(top_up(0), Error::<Test>::AmountZero);
        assert_noop!(top_up(RICH), TokenError::FundsUnavailable);
        assert_noop!(top_up(u128::MAX), ArithmeticError::Overflow);
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        assert_noop!(top_up(1), Error::<Test>::BudgetClosing);
    });
}

#[test]
fn close_budget_should_start_the_unlock_time() {
    build_and_execute(|| {
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        let unlock = 1 + Params::default().unlock;
        assert_eq!(crate::Pallet::<Test>::budget(CONSUMER, ORACLE).unwrap().unlock, Some(unlock));
        assert_eq!(held(), AMOUNT);
        let event = Event::BudgetClosed { consumer: CONSUMER, oracle: ORACLE, unlock, released: 0 };
        System::assert_last_event(event.into());
    });
}

#[test]
fn close_budget_should_refuse_when_there_is_no_open_budget() {
    build_and_execute(|| {
        assert_noop!(Rewards::close_budget(RuntimeOrigin::root(), ORACLE), BadOrigin);
        assert_noop!(Rewards::close_budget(signed(CONSUMER), ORACLE), Error::<Test>::BudgetMissing);
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        assert_noop!(Rewards::close_budget(signed(CONSUMER), ORACLE), Error::<Test>::BudgetClosing);
    });
}

#[test]
fn withdraw_should_free_the_rest_when_the_unlock_time_has_come() {
    build_and_execute(|| {
        // GIVEN a budget of which a part was redeemed while it was closing
        open_channel(AMOUNT);
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        let unlock = 1 + Params::default().unlock;
        Now::set(unlock);
        assert_ok!(redeem(2_000));
        // WHEN it is withdrawn
        assert_ok!(Rewards::withdraw(signed(CONSUMER), ORACLE));
        // THEN the rest is free and the budget gone
        assert_eq!((held(), balance(&CONSUMER)), (0, RICH - 2_000));
        assert_eq!(crate::Pallet::<Test>::budget(CONSUMER, ORACLE), None);
        let event = Event::BudgetClosed { consumer: CONSUMER, oracle: ORACLE, unlock, released: AMOUNT - 2_000 };
        System::assert_last_event(event.into());
    });
}

#[test]
fn withdraw_should_refuse_when_the_budget_is_locked() {
    build_and_execute(|| {
        let withdraw = || Rewards::withdraw(signed(CONSUMER), ORACLE);
        assert_noop!(Rewards::withdraw(RuntimeOrigin::root(), ORACLE), BadOrigin);
        assert_noop!(withdraw(), Error::<Test>::BudgetMissing);
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_noop!(withdraw(), Error::<Test>::BudgetLocked);
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        Now::set(Params::default().unlock);
        assert_noop!(withdraw(), Error::<Test>::BudgetLocked);
        Now::set(1 + Params::default().unlock);
        assert_ok!(withdraw());
    });
}

#[test]
fn budgets_of_one_consumer_should_be_apart() {
    build_and_execute(|| {
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, AMOUNT));
        assert_ok!(Rewards::open_budget(signed(CONSUMER), OTHER_ORACLE, 70));
        assert_ok!(Rewards::close_budget(signed(CONSUMER), OTHER_ORACLE));
        Now::set(1 + Params::default().unlock);
        assert_ok!(Rewards::withdraw(signed(CONSUMER), OTHER_ORACLE));
        assert_eq!(held(), AMOUNT);
    });
}
