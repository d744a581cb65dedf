//! Accusations and juries.

use crate::{mock::*, Disputes, DutyKind, Error, Event, Juries, OracleStatus, Oracles as Stored, Phase, RunKey, Runs};
use frame::testing_prelude::*;
use weft_protocol::{
    job::{FailReason, JobState},
    run::JuryValue,
};

/// A run in its window that somebody has accused, with the jury drawn.
fn accused(make: impl FnOnce(RunKey) -> Truth) -> (u32, Truth) {
    to_window(1, make);
    assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 3));
    blocks(2);
    (jury(JOB).0, Truth::of(JOB))
}

fn other(value: JuryValue, number: u8) -> JuryValue {
    JuryValue { work: [number; 32], ..value }
}

#[test]
fn accuse_should_hold_the_bond_and_call_a_jury() {
    build_and_execute(5, || {
        to_window(1, Truth::of);
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 3));
        System::assert_last_event(Event::Accused { run: JOB, who: ACCUSER, step: 3, bond: BOND }.into());
        assert_eq!(free(&ACCUSER), START - BOND);
        assert_eq!((phase(JOB), state(0)), (Phase::JuryDrawing, JobState::Disputed));
        blocks(2);
        let members = jurors(JOB);
        assert_eq!(members.len(), 3);
        let audited = verifiers(JOB, &[crate::AuditState::Agreed]);
        assert!(members.iter().all(|who| *who != ORACLE && *who != ACCUSER && !audited.contains(who)));
        let (id, sitting) = jury(JOB);
        assert!((1..STEPS).contains(&sitting.step) && sitting.step % 4 != 0, "no checkpoint: {}", sitting.step);
        assert_eq!(
            Oracles::duties(members[0].clone())[0].kind,
            DutyKind::JuryCommit { jury: id, draw: sitting.draw, step: sitting.step }
        );
    });
}

#[test]
fn accuse_should_fail_by_name() {
    build_and_execute(5, || {
        submit(1);
        assert_noop!(Oracles::accuse(signed(&ACCUSER), JOB, 0), Error::<Test>::UnknownRun);
        take(0);
        assert_noop!(Oracles::accuse(signed(&ACCUSER), JOB, 0), Error::<Test>::TooEarly);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        audit_to_answers(JOB, &truth, &truth);
        let verifier = verifiers(JOB, &[crate::AuditState::Committed])[0].clone();
        assert_ok!(audit_reveal(&verifier, JOB, &truth, true));
        assert_noop!(Oracles::accuse(signed(&ORACLE), JOB, 0), Error::<Test>::WrongMover);
        assert_noop!(Oracles::accuse(signed(&verifier), JOB, 0), Error::<Test>::WrongMover);
        assert_noop!(Oracles::accuse(signed(&ACCUSER), JOB, 2 * STEPS + 2), Error::<Test>::StepOutOfRange);
        assert_noop!(Oracles::accuse(signed(&POT), JOB, 0), TokenError::FundsUnavailable);
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 2 * STEPS + 1));
        blocks(2);
        let juror = jurors(JOB)[0].clone();
        assert_noop!(Oracles::accuse(signed(&juror), JOB, 0), Error::<Test>::WrongMover);
    });
}

#[test]
fn accuse_should_fail_after_the_window() {
    build_and_execute(5, || {
        to_window(1, Truth::of);
        pass_deadline(JOB);
        assert_noop!(Oracles::accuse(signed(&ACCUSER), JOB, 0), Error::<Test>::TooLate);
    });
}

#[test]
fn accuse_should_fail_when_too_many_are_open() {
    build_and_execute(5, || {
        to_window(1, Truth::of);
        for i in 0..64u8 {
            let who = frame::deps::sp_runtime::AccountId32::new([100 + i; 32]);
            Balances::force_set_balance(RuntimeOrigin::root(), who.clone(), 2 * BOND).unwrap();
            assert_ok!(Oracles::accuse(signed(&who), JOB, 0));
        }
        assert_noop!(Oracles::accuse(signed(&ACCUSER), JOB, 0), Error::<Test>::TooManyDisputes);
        // Take the money that the test made out again.
        let (_, truth) = (blocks(2), Truth::of(JOB));
        let (id, _) = jury(JOB);
        jury_answers(JOB, &[truth.value(id); 3]);
        execute_slashes();
        for _ in 0..10 {
            execute_slashes();
        }
        for i in 0..64u8 {
            let who = frame::deps::sp_runtime::AccountId32::new([100 + i; 32]);
            Balances::force_set_balance(RuntimeOrigin::root(), who, 0).unwrap();
        }
        let made: u128 = 64 * BOND;
        // The bonds went to jurors and oracle; only they are new money.
        Balances::force_set_balance(RuntimeOrigin::root(), ORACLE, free(&ORACLE) - (made - 3 * VERIFIER_FEE)).unwrap();
        Balances::force_set_balance(RuntimeOrigin::root(), BUILDER, free(&BUILDER) - 3 * VERIFIER_FEE).unwrap();
    });
}

#[test]
fn a_later_accuser_should_join_the_question() {
    build_and_execute(6, || {
        let (id, truth) = accused(Truth::of);
        assert_ok!(Oracles::accuse(signed(&SECOND_ACCUSER), JOB, 5));
        assert_eq!(Disputes::<Test>::iter_prefix(JOB).count(), 2);
        assert_eq!(jury(JOB).0, id);
        jury_answers(JOB, &[truth.value(id); 3]);
        execute_slashes();
        assert_eq!(wealth(&ACCUSER), START - BOND);
        assert_eq!(wealth(&SECOND_ACCUSER), START - BOND);
    });
}

#[test]
fn jury_calls_should_fail_by_name() {
    build_and_execute(5, || {
        let (id, truth) = accused(Truth::of);
        let members = jurors(JOB);
        let value = truth.value(id);
        assert_noop!(jury_commit(&ACCUSER, id, &value), Error::<Test>::NotDrawn);
        assert_noop!(jury_commit(&members[0], id + 1, &value), Error::<Test>::NotDrawn);
        assert_noop!(jury_reveal(&members[0], id, value), Error::<Test>::TooEarly);
        for who in &members {
            assert_ok!(jury_commit(who, id, &value));
            if who != &members[2] {
                assert_noop!(jury_commit(who, id, &value), Error::<Test>::AlreadyAnswered);
            }
        }
        assert_noop!(jury_commit(&members[0], id, &value), Error::<Test>::TooLate);
        assert_noop!(jury_reveal(&ACCUSER, id, value), Error::<Test>::NotDrawn);
        assert_noop!(jury_reveal(&members[0], id, other(value, 1)), Error::<Test>::NotBlindCommitted);
        assert_ok!(jury_reveal(&members[0], id, value));
        assert_noop!(jury_reveal(&members[0], id, value), Error::<Test>::AlreadyAnswered);
        pass_deadline(JOB);
        assert_noop!(jury_reveal(&members[1], id, value), Error::<Test>::TooLate);
    });
}

#[test]
fn jury_commit_should_fail_after_t_jury() {
    build_and_execute(5, || {
        let (id, truth) = accused(Truth::of);
        pass_deadline(JOB);
        assert_eq!(phase(JOB), Phase::JuryCommit);
        assert_noop!(jury_commit(&jurors(JOB)[0], id, &truth.value(id)), Error::<Test>::TooLate);
    });
}

#[test]
fn jury_reveal_should_end_the_blind_phase_when_another_juror_was_silent() {
    build_and_execute(5, || {
        // GIVEN T_jury over, one juror silent, and nobody who pokes
        let (id, truth) = accused(Truth::of);
        let members = jurors(JOB);
        let value = truth.value(id);
        assert_ok!(jury_commit(&members[0], id, &value));
        assert_ok!(jury_commit(&members[1], id, &value));
        pass_deadline(JOB);
        assert_eq!(phase(JOB), Phase::JuryCommit);
        // WHEN the others reveal
        assert_ok!(jury_reveal(&members[0], id, value));
        assert_eq!(phase(JOB), Phase::JuryReveal);
        assert_noop!(jury_reveal(&members[2], id, value), Error::<Test>::NotBlindCommitted);
        assert_ok!(jury_reveal(&members[1], id, value));
        // THEN two of three decide
        assert_eq!(phase(JOB), Phase::Window);
    });
}

#[test]
fn a_juror_should_not_copy_another() {
    build_and_execute(5, || {
        let (id, truth) = accused(Truth::of);
        let members = jurors(JOB);
        let value = truth.value(id);
        let hash = weft_protocol::run::jury_answer(id, &members[0].clone().into(), &SALT, &value);
        for who in &members {
            assert_ok!(Oracles::jury_commit(signed(who), id, hash));
        }
        assert_ok!(jury_reveal(&members[0], id, value));
        assert_noop!(jury_reveal(&members[1], id, value), Error::<Test>::NotBlindCommitted);
    });
}

#[test]
fn the_minority_should_lose_a_tenth() {
    build_and_execute(5, || {
        let (id, truth) = accused(Truth::of);
        let members = jurors(JOB);
        let value = truth.value(id);
        jury_answers(JOB, &[value, other(value, 1), value]);
        execute_slashes();
        assert_eq!(wealth(&members[0]), START + VERIFIER_FEE);
        assert_eq!(wealth(&members[1]), START - LOCK / 10);
        assert_eq!(wealth(&members[2]), START + VERIFIER_FEE);
    });
}

#[test]
fn a_silent_juror_should_lose_a_tenth() {
    build_and_execute(5, || {
        let (id, truth) = accused(Truth::of);
        let members = jurors(JOB);
        let value = truth.value(id);
        assert_ok!(jury_commit(&members[0], id, &value));
        assert_ok!(jury_commit(&members[1], id, &value));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(phase(JOB), Phase::JuryReveal);
        assert_noop!(jury_reveal(&members[2], id, value), Error::<Test>::NotBlindCommitted);
        assert_ok!(jury_reveal(&members[0], id, value));
        assert_ok!(jury_reveal(&members[1], id, value));
        // Everyone who can reveal has: two of three are a majority.
        assert_eq!(phase(JOB), Phase::Window);
        execute_slashes();
        assert_eq!(wealth(&members[2]), START - LOCK / 10);
        assert_eq!(Stored::<Test>::get(&members[2]).unwrap().faults.len(), 1);
    });
}

#[test]
fn three_juries_without_a_majority_should_end_undecided() {
    build_and_execute(8, || {
        crate::StakeParams::<Test>::mutate(|stakes| stakes.jury_size = 2);
        let (_, truth) = accused(Truth::of);
        let mut seen = Vec::new();
        for round in 0..3 {
            let (id, _) = jury(JOB);
            let members = jurors(JOB);
            assert_eq!(members.len(), 2);
            assert!(members.iter().all(|who| !seen.contains(who)), "nobody sits twice on one question");
            seen.extend(members);
            let value = truth.value(id);
            jury_answers(JOB, &[value, other(value, 1)]);
            if round < 2 {
                assert_eq!(phase(JOB), Phase::JuryDrawing);
                blocks(2);
            }
        }
        assert_eq!(state(0), JobState::Failed(FailReason::Undecided));
        execute_slashes();
        assert_eq!(burned(), 0);
        for who in seen.iter().chain([&ORACLE, &ACCUSER]) {
            assert_eq!(wealth(who), START);
        }
        // The verifier had been paid before.
        assert_eq!(wealth(&BUILDER), START - VERIFIER_FEE);
    });
}

#[test]
fn a_short_jury_should_decide_by_its_majority() {
    build_and_execute(2, || {
        // GIVEN one eligible juror for a jury of three
        let (id, truth) = accused(|key| Truth::false_from(key, 3));
        assert!(jury(JOB).1.short);
        assert_eq!(jurors(JOB).len(), 1);
        jury_answers(JOB, &[truth.value(id)]);
        assert_eq!(state(0), JobState::Failed(FailReason::Fraud));
    });
}

#[test]
fn a_tie_of_a_short_jury_should_end_undecided() {
    build_and_execute(3, || {
        let (id, truth) = accused(Truth::of);
        let value = truth.value(id);
        jury_answers(JOB, &[value, other(value, 1)]);
        assert_eq!(state(0), JobState::Failed(FailReason::Undecided));
    });
}

#[test]
fn nobody_eligible_should_end_undecided() {
    build_and_execute(1, || {
        to_window(1, Truth::of);
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 3));
        blocks(2);
        assert_eq!(state(0), JobState::Failed(FailReason::Undecided));
        assert_eq!(wealth(&ACCUSER), START);
        assert_eq!(wealth(&ORACLE), START);
    });
}

#[test]
fn a_silent_jury_should_be_drawn_again() {
    build_and_execute(8, || {
        let (first, _) = accused(Truth::of);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(phase(JOB), Phase::JuryDrawing);
        blocks(2);
        let (second, truth) = (jury(JOB).0, Truth::of(JOB));
        assert_ne!(first, second);
        assert_ne!(Juries::<Test>::get(first).unwrap().draw, Juries::<Test>::get(second).unwrap().draw);
        assert_noop!(jury_commit(&OTHERS[0], first, &truth.value(first)), Error::<Test>::TooLate);
        jury_answers(JOB, &[truth.value(second); 3]);
        assert_eq!(phase(JOB), Phase::Window);
        assert_eq!(Runs::<Test>::get(JOB).unwrap().disputes, 0);
        execute_slashes();
        assert_eq!(burned(), 3 * (LOCK / 10));
        assert!(Stored::<Test>::iter().all(|(_, oracle)| oracle.status == OracleStatus::Active));
    });
}
