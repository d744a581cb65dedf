//! Registration, bonding, status, tickets.

use crate::{mock::*, Error, Event, OracleStatus, Oracles as Stored, Stakes, TicketCount, TimerParams};
use frame::testing_prelude::*;
use weft_traits::{Clock, OracleInspect};

#[test]
fn register_should_hold_stake_and_give_tickets() {
    build_and_execute(0, || {
        assert_ok!(register(&OTHERS[0], 1_250 * WEFT));
        System::assert_last_event(Event::OracleRegistered { who: OTHERS[0].clone(), bonded: 1_250 * WEFT }.into());
        assert_eq!(free(&OTHERS[0]), START - 1_250 * WEFT);
        pass_draw_delay();
        // 50 of ORACLE's 5,000 and 12 of 1,250.
        assert_eq!(TicketCount::<Test>::get(class()), 62);
        assert_eq!(<Oracles as OracleInspect<_>>::supporting(&class()), 2);
        assert!(<Oracles as OracleInspect<_>>::supports(&OTHERS[0], &class()));
        assert!(!<Oracles as OracleInspect<_>>::supports(&OTHERS[0], &[0; 32]));
        assert_eq!(<Oracles as OracleInspect<_>>::signing_key(&OTHERS[0]), Some([21; 32]));
    });
}

#[test]
fn register_should_fail_by_name() {
    build_and_execute(0, || {
        assert_noop!(register(&ORACLE, BONDED), Error::<Test>::AlreadyRegistered);
        assert_noop!(register(&OTHERS[0], 1_000 * WEFT - 1), Error::<Test>::StakeTooLow);
        let with = |classes: Vec<[u8; 32]>| {
            Oracles::register(signed(&OTHERS[0]), classes.try_into().unwrap(), Default::default(), [1; 32], BONDED)
        };
        assert_noop!(with(vec![]), Error::<Test>::ClassesMalformed);
        assert_noop!(with(vec![class(), [1; 32], class()]), Error::<Test>::ClassesMalformed);
        assert_noop!(with(vec![[1; 32]]), Error::<Test>::ClassUnknown);
        assert_noop!(with(vec![class(), [1; 32]]), Error::<Test>::ClassUnknown);
        assert_noop!(register(&OTHERS[0], START + 1), TokenError::FundsUnavailable);
    });
}

#[test]
fn bond_should_add_stake() {
    build_and_execute(0, || {
        assert_ok!(Oracles::bond(signed(&ORACLE), 100 * WEFT));
        assert_eq!(Stored::<Test>::get(&ORACLE).unwrap().bonded, BONDED + 100 * WEFT);
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 51);
        assert_noop!(Oracles::bond(signed(&ACCUSER), WEFT), Error::<Test>::NotOracle);
        assert_noop!(Oracles::bond(signed(&ORACLE), START), TokenError::FundsUnavailable);
    });
}

#[test]
fn tickets_should_be_bounded() {
    build_and_execute(0, || {
        assert_ok!(register(&OTHERS[0], 50_000 * WEFT));
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 50 + 64);
    });
}

#[test]
fn unbond_should_pay_out_when_it_is_due() {
    build_and_execute(1, || {
        assert_ok!(Oracles::unbond(signed(&ORACLE), 3_000 * WEFT));
        let due = Time::now() + TimerParams::<Test>::get().unbonding;
        assert_noop!(Oracles::withdraw(signed(&ORACLE)), Error::<Test>::TooEarly);
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 20 + 50);
        while Time::now() < due {
            assert_noop!(Oracles::withdraw(signed(&ORACLE)), Error::<Test>::TooEarly);
            next_block();
        }
        assert_ok!(Oracles::withdraw(signed(&ORACLE)));
        assert_eq!(free(&ORACLE), START - BONDED + 3_000 * WEFT);
    });
}

#[test]
fn unbond_should_fail_by_name() {
    build_and_execute(1, || {
        assert_noop!(Oracles::unbond(signed(&ACCUSER), 1), Error::<Test>::NotOracle);
        assert_noop!(Oracles::unbond(signed(&ORACLE), 0), Error::<Test>::StakeLocked);
        assert_noop!(Oracles::unbond(signed(&ORACLE), BONDED + 1), Error::<Test>::StakeLocked);
        assert_noop!(Oracles::unbond(signed(&ORACLE), 4_001 * WEFT), Error::<Test>::StakeTooLow);
        for _ in 0..16 {
            assert_ok!(Oracles::unbond(signed(&ORACLE), WEFT));
        }
        assert_noop!(Oracles::unbond(signed(&ORACLE), WEFT), Error::<Test>::TooManyUnbondings);
        submit(1);
        take(0);
        assert_ok!(Oracles::chill(signed(&OTHERS[0])));
        assert_noop!(Oracles::unbond(signed(&ORACLE), BONDED - 16 * WEFT - stake(1) + 1), Error::<Test>::StakeLocked);
    });
}

#[test]
fn withdraw_should_forget_an_oracle_without_stake() {
    build_and_execute(0, || {
        assert_noop!(Oracles::withdraw(signed(&ACCUSER)), Error::<Test>::NotOracle);
        assert_ok!(Oracles::chill(signed(&ORACLE)));
        assert_ok!(Oracles::unbond(signed(&ORACLE), BONDED));
        blocks(TimerParams::<Test>::get().unbonding);
        assert_ok!(Oracles::withdraw(signed(&ORACLE)));
        assert!(!Stored::<Test>::contains_key(&ORACLE));
        assert_eq!(free(&ORACLE), START);
        assert_ok!(register(&ORACLE, BONDED));
    });
}

#[test]
fn withdraw_should_keep_an_oracle_whose_tickets_are_still_numbered() {
    build_and_execute(0, || {
        // GIVEN a chain without an unbonding time
        TimerParams::<Test>::mutate(|timers| timers.unbonding = 0);
        assert_ok!(Oracles::chill(signed(&ORACLE)));
        assert_ok!(Oracles::unbond(signed(&ORACLE), BONDED));
        // WHEN all stake leaves in one block THEN the account stays an oracle until its tickets are gone
        assert_ok!(Oracles::withdraw(signed(&ORACLE)));
        assert!(Stored::<Test>::contains_key(&ORACLE));
        assert_eq!((free(&ORACLE), TicketCount::<Test>::get(class())), (START, 50));
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 0);
        assert_ok!(Oracles::bond(signed(&ORACLE), BONDED));
        assert_ok!(Oracles::resume(signed(&ORACLE)));
    });
}

#[test]
fn chill_and_resume_should_give_tickets_up_and_back() {
    build_and_execute(1, || {
        assert_ok!(Oracles::chill(signed(&ORACLE)));
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 50);
        assert_eq!(<Oracles as OracleInspect<_>>::supporting(&class()), 1);
        assert_noop!(Oracles::chill(signed(&ORACLE)), Error::<Test>::NotActive);
        assert_ok!(Oracles::resume(signed(&ORACLE)));
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 100);
        assert_noop!(Oracles::resume(signed(&ORACLE)), Error::<Test>::WrongStage);
        assert_noop!(Oracles::chill(signed(&ACCUSER)), Error::<Test>::NotOracle);
        assert_noop!(Oracles::resume(signed(&ACCUSER)), Error::<Test>::NotOracle);
    });
}

#[test]
fn resume_should_fail_when_the_stake_is_too_low() {
    build_and_execute(0, || {
        assert_ok!(Oracles::chill(signed(&ORACLE)));
        assert_ok!(Oracles::unbond(signed(&ORACLE), BONDED - 999 * WEFT));
        assert_noop!(Oracles::resume(signed(&ORACLE)), Error::<Test>::StakeTooLow);
    });
}

#[test]
fn three_misses_should_jail() {
    build_and_execute(2, || {
        for job in 0..3 {
            submit(1);
            take(job);
            pass_deadline(crate::RunKey::Job(job));
            assert_ok!(poke(job));
            execute_slashes();
        }
        let OracleStatus::Jailed { until } = Stored::<Test>::get(&ORACLE).unwrap().status else { panic!("not jailed") };
        submit(1);
        assert_noop!(Oracles::take(signed(&ORACLE), 3), Error::<Test>::Jailed);
        assert_noop!(Oracles::resume(signed(&ORACLE)), Error::<Test>::Jailed);
        System::set_block_number(u64::from(until) + 1);
        assert_ok!(Oracles::resume(signed(&ORACLE)));
        assert_noop!(Oracles::take(signed(&OTHERS[0]), 9), Error::<Test>::UnknownJob);
    });
}

#[test]
fn limits_should_be_those_of_the_protocol() {
    build_and_execute(0, || {
        use weft_protocol::job::Tier;
        use weft_traits::RunBlocks;
        let blocks = RunBlocks { run: 5, replay: 5 };
        let limits = <Oracles as OracleInspect<_>>::limits(FEE, VALUE, STEPS, Tier::Full(1), blocks).unwrap();
        assert_eq!(limits.stake, stake(1));
        assert_eq!(limits.verifier_fee, VERIFIER_FEE);
        assert_eq!(limits.verification, VERIFIER_FEE);
        assert_eq!(limits.accuse_bond, BOND);
        assert_eq!((limits.open, limits.run), (60, 67));
        assert_eq!(<Oracles as OracleInspect<_>>::limits(FEE, VALUE, STEPS, Tier::Spot(1), blocks), None);
        assert_eq!(
            <Oracles as OracleInspect<_>>::limits(FEE, VALUE, STEPS, Tier::Full(0), blocks).unwrap().stake,
            Stakes::default().min_stake
        );
    });
}
