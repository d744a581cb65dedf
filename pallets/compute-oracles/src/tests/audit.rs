//! Blind audits.

use crate::{mock::*, AuditPaths, AuditState, Audits, Error, Phase, RunKey, Runs};
use frame::testing_prelude::*;
use weft_protocol::{
    job::{FailReason, JobState},
    run,
};

/// A committed run with its verifiers drawn.
fn committed(verifier_count: u8) -> Truth {
    submit(verifier_count);
    take(0);
    let truth = Truth::of(JOB);
    commit(JOB, &truth);
    truth
}

#[test]
fn verifiers_should_never_be_the_oracle() {
    build_and_execute(4, || {
        committed(4);
        assert_eq!(verifiers(JOB, &[AuditState::Drawn]), OTHERS[..4].to_vec());
    });
}

#[test]
fn audit_commit_should_fail_by_name() {
    build_and_execute(2, || {
        let truth = committed(2);
        let [first, second] = [&OTHERS[0], &OTHERS[1]];
        assert_noop!(audit_commit(&ACCUSER, JOB, &truth), Error::<Test>::NotDrawn);
        assert_noop!(Oracles::audit_commit(signed(first), RunKey::Job(9), [1; 32]), Error::<Test>::UnknownRun);
        assert_ok!(audit_commit(first, JOB, &truth));
        assert_noop!(audit_commit(first, JOB, &truth), Error::<Test>::AlreadyAnswered);
        pass_deadline(JOB);
        assert_noop!(audit_commit(second, JOB, &truth), Error::<Test>::TooLate);
    });
}

#[test]
fn audit_reveal_should_fail_by_name() {
    build_and_execute(2, || {
        let truth = committed(2);
        let [first, second] = [&OTHERS[0], &OTHERS[1]];
        assert_noop!(audit_reveal(first, JOB, &truth, true), Error::<Test>::TooEarly);
        audit_to_answers(JOB, &truth, &truth);
        assert_noop!(audit_reveal(&ACCUSER, JOB, &truth, true), Error::<Test>::NotDrawn);
        let (state, reverse, paths) = truth.answer();
        assert_noop!(
            Oracles::audit_reveal(signed(first), JOB, [0; 32], state, reverse, true, paths.clone()),
            Error::<Test>::NotBlindCommitted
        );
        assert_noop!(
            Oracles::audit_reveal(signed(first), RunKey::Job(7), SALT, state, reverse, true, paths),
            Error::<Test>::UnknownRun
        );
        assert_ok!(audit_reveal(first, JOB, &truth, true));
        assert_noop!(audit_reveal(first, JOB, &truth, true), Error::<Test>::AlreadyAnswered);
        pass_deadline(JOB);
        assert_noop!(audit_reveal(second, JOB, &truth, true), Error::<Test>::TooLate);
    });
}

#[test]
fn audit_reveal_should_refuse_a_verifier_that_was_silent() {
    build_and_execute(2, || {
        let truth = committed(2);
        let [first, silent] = [&OTHERS[0], &OTHERS[1]];
        assert_ok!(audit_commit(first, JOB, &truth));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        blocks(2);
        assert_ok!(reveal(JOB, &truth));
        assert_eq!(Audits::<Test>::get(JOB, silent).unwrap().state, AuditState::Missed);
        assert_noop!(audit_reveal(silent, JOB, &truth, true), Error::<Test>::TooLate);
        assert_ok!(audit_reveal(first, JOB, &truth, true));
    });
}

#[test]
fn a_copied_answer_should_be_worthless() {
    build_and_execute(2, || {
        // GIVEN a verifier that copies another's blind hash
        let truth = committed(2);
        let (state, reverse, paths) = truth.answer();
        let hash = run::audit_answer(&OTHERS[0].clone().into(), &SALT, &state, &reverse);
        assert_ok!(Oracles::audit_commit(signed(&OTHERS[0]), JOB, hash));
        assert_ok!(Oracles::audit_commit(signed(&OTHERS[1]), JOB, hash));
        assert_ok!(reveal(JOB, &truth));
        // THEN it cannot open it, even when it knows the states
        assert_noop!(
            Oracles::audit_reveal(signed(&OTHERS[1]), JOB, SALT, state, reverse, true, paths),
            Error::<Test>::NotBlindCommitted
        );
    });
}

#[test]
fn all_agreeing_verifiers_should_be_paid() {
    build_and_execute(3, || {
        to_window(3, Truth::of);
        for who in &OTHERS[..3] {
            assert_eq!(free(who), START - BONDED + VERIFIER_FEE);
            assert_eq!(Audits::<Test>::get(JOB, who).unwrap().lock, LOCK);
        }
    });
}

#[test]
fn a_silent_verifier_should_be_replaced_once() {
    build_and_execute(2, || {
        // GIVEN a silent verifier
        let truth = committed(1);
        let silent = verifiers(JOB, &[AuditState::Drawn])[0].clone();
        assert_noop!(poke(0), Error::<Test>::NotDue);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(phase(JOB), Phase::Replacing);
        // WHEN the replacement is drawn and answers
        blocks(2);
        let replacement = verifiers(JOB, &[AuditState::Drawn])[0].clone();
        assert_ne!(silent, replacement);
        assert_noop!(audit_commit(&silent, JOB, &truth), Error::<Test>::TooLate);
        audit_to_answers(JOB, &truth, &truth);
        assert_ok!(audit_reveal(&replacement, JOB, &truth, true));
        assert_eq!(phase(JOB), Phase::Window);
        // THEN the silent one has lost a tenth of its lock, burned
        execute_slashes();
        assert_eq!(wealth(&silent), START - LOCK / 10);
        assert_eq!(wealth(&replacement), START + VERIFIER_FEE);
        assert_eq!(burned(), LOCK / 10);
    });
}

#[test]
fn nobody_left_to_audit_should_end_undecided() {
    build_and_execute(1, || {
        committed(1);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        blocks(2);
        assert_eq!(state(0), JobState::Failed(FailReason::Undecided));
        execute_slashes();
        assert_eq!(wealth(&OTHERS[0]), START - LOCK / 10);
        assert_eq!(wealth(&ORACLE), START);
        assert_eq!(free(&BUILDER), START);
        assert_eq!(Restored::get(), [100]);
    });
}

#[test]
fn a_second_silence_should_end_undecided() {
    build_and_execute(2, || {
        committed(1);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        blocks(2);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Failed(FailReason::Undecided));
        execute_slashes();
        assert_eq!(burned(), 2 * (LOCK / 10));
    });
}

#[test]
fn one_answer_should_be_enough_after_the_replacement() {
    build_and_execute(2, || {
        let truth = committed(2);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        // Nobody else is eligible.
        blocks(2);
        assert_eq!(phase(JOB), Phase::Revealing);
        assert_ok!(reveal(JOB, &truth));
        assert_ok!(audit_reveal(&OTHERS[0], JOB, &truth, true));
        assert_eq!(phase(JOB), Phase::Window);
    });
}

#[test]
fn an_unrevealed_answer_should_end_undecided() {
    build_and_execute(1, || {
        let truth = committed(1);
        audit_to_answers(JOB, &truth, &truth);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Failed(FailReason::Undecided));
        execute_slashes();
        assert_eq!(wealth(&OTHERS[0]), START - LOCK / 10);
        assert_eq!(wealth(&ORACLE), START);
    });
}

#[test]
fn a_failing_path_should_open_a_dispute() {
    build_and_execute(4, || {
        let truth = committed(1);
        audit_to_answers(JOB, &truth, &truth);
        let who = verifiers(JOB, &[AuditState::Committed])[0].clone();
        let (state, reverse, _) = truth.answer();
        let empty = AuditPaths { state: Default::default(), reverse: Default::default() };
        assert_ok!(Oracles::audit_reveal(signed(&who), JOB, SALT, state, reverse, true, empty));
        assert_eq!(phase(JOB), Phase::JuryDrawing);
        assert_eq!(super::super::Disputes::<Test>::get(JOB, 0).unwrap().challenger, who);
    });
}

#[test]
fn runs_should_pass_unaudited_when_the_chain_asks_for_no_verifiers() {
    build_and_execute(1, || {
        crate::StakeParams::<Test>::mutate(|stakes| stakes.min_verifiers = 0);
        submit(0);
        take(0);
        assert_eq!(Runs::<Test>::get(JOB).unwrap().stake, 1_000 * WEFT);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        assert_eq!(phase(JOB), Phase::Revealing);
        assert_ok!(reveal(JOB, &truth));
        assert_eq!((phase(JOB), state(0)), (Phase::Window, JobState::Window));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Final);
    });
}
