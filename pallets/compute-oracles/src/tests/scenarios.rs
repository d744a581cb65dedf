//! Whole histories, from submission to the last slash.

use crate::mock::Account;
use crate::{mock::*, AuditState, Error, Phase, Runs, Slashes};
use frame::{testing_prelude::*, traits::Hooks};
use weft_protocol::{
    job::{FailReason, JobState},
    slash::slash_parts,
};

/// Price of the only Datanet.
const LICENCE: u128 = WEFT;

#[test]
fn an_honest_run_should_be_minted_and_paid() {
    build_and_execute(1, || {
        to_window(1, Truth::of);
        assert_noop!(poke(0), Error::<Test>::NotDue);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Final);
        assert_eq!(Minted::get(), [0]);
        assert_eq!(free(&ORACLE), START - BONDED + FEE);
        assert_eq!(wealth(&OTHERS[0]), START + VERIFIER_FEE);
        assert_eq!(free(&POT), 1_000_000_000 + LICENCE);
        assert_eq!(wealth(&BUILDER), START - FEE - VERIFIER_FEE - LICENCE);
        assert!(Runs::<Test>::get(JOB).is_none());
        let model = pallet_models::Models::<Test>::get(0).unwrap();
        assert_eq!(model.run.oracle, ORACLE);
        assert_eq!(burned(), 0);
    });
}

#[test]
fn idle_blocks_should_finish_an_honest_run() {
    build_and_execute(1, || {
        to_window(1, Truth::of);
        for _ in 0..10 {
            next_block();
            <Oracles as Hooks<u64>>::on_idle(System::block_number(), Weight::MAX);
        }
        assert_eq!(state(0), JobState::Final);
    });
}

#[test]
fn a_late_run_should_cost_s_late() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Failed(FailReason::Late));
        assert_eq!(wealth(&BUILDER), START);
        execute_slashes();
        // max(15 / 2, 10) WEFT: half to the builder, half burned.
        assert_eq!(wealth(&ORACLE), START - 10 * WEFT);
        assert_eq!(wealth(&BUILDER), START + 5 * WEFT);
        assert_eq!(burned(), 5 * WEFT);
        assert_eq!(Restored::get(), [100]);
        // Later the run is forgotten.
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert!(Runs::<Test>::get(JOB).is_none());
    });
}

#[test]
fn a_silent_oracle_at_the_reveal_should_lose_all() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Failed(FailReason::Fraud));
        execute_slashes();
        assert_eq!(wealth(&ORACLE), START - stake(1));
        assert_eq!(wealth(&BUILDER), START + stake(1) * 15 / 100);
        assert_eq!(burned(), stake(1) - stake(1) * 15 / 100);
        assert_eq!(wealth(&OTHERS[0]), START);
    });
}

#[test]
fn a_disagreeing_verifier_should_bring_down_a_false_run() {
    build_and_execute(4, || {
        // GIVEN a run that is false from step 5
        submit(1);
        take(0);
        let posted = Truth::false_from(JOB, 5);
        let truth = Truth::of(JOB);
        commit(JOB, &posted);
        audit_to_answers(JOB, &posted, &truth);
        let verifier = verifiers(JOB, &[AuditState::Committed])[0].clone();
        // WHEN the verifier says so and the jury agrees with it
        assert_ok!(audit_reveal(&verifier, JOB, &truth, false));
        assert_eq!((phase(JOB), state(0)), (Phase::JuryDrawing, JobState::Disputed));
        blocks(2);
        let (id, _) = jury(JOB);
        let members = jurors(JOB);
        jury_answers(JOB, &[truth.value(id); 3]);
        assert_eq!(state(0), JobState::Failed(FailReason::Fraud));
        assert_eq!(wealth(&BUILDER), START);
        assert_noop!(poke(0), Error::<Test>::NotDue);
        execute_slashes();
        // THEN fees come first, then 50, 15, 35
        let parts = slash_parts(stake(1), 3 * VERIFIER_FEE, true).unwrap();
        assert_eq!(parts.challenger, (stake(1) - 3 * VERIFIER_FEE).div_ceil(2));
        for who in &members {
            assert_eq!(wealth(who), START + VERIFIER_FEE);
        }
        assert_eq!(wealth(&ORACLE), START - stake(1));
        assert_eq!(wealth(&verifier), START + parts.challenger);
        assert_eq!(wealth(&BUILDER), START + parts.builder);
        assert_eq!(burned(), parts.burned);
        assert_eq!(Slashes::<Test>::iter().count(), 0);
    });
}

#[test]
fn an_accuser_should_bring_down_a_false_run_and_its_verifier() {
    build_and_execute(4, || {
        let verifier = {
            to_window(1, |key| Truth::false_from(key, 5));
            verifiers(JOB, &[AuditState::Agreed])[0].clone()
        };
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 5));
        assert_ok!(Oracles::accuse(signed(&SECOND_ACCUSER), JOB, 5));
        blocks(2);
        let (id, truth) = (jury(JOB).0, Truth::of(JOB));
        jury_answers(JOB, &[truth.value(id); 3]);
        assert_eq!(state(0), JobState::Failed(FailReason::Fraud));
        execute_slashes();
        let parts = slash_parts(stake(1), 3 * VERIFIER_FEE, true).unwrap();
        assert_eq!(wealth(&ACCUSER), START + parts.challenger);
        assert_eq!(wealth(&SECOND_ACCUSER), START, "it gets its bond back");
        // The verifier had agreed: it was paid and loses its lock.
        assert_eq!(wealth(&verifier), START + VERIFIER_FEE - LOCK);
    });
}

#[test]
fn a_false_accusation_should_cost_the_bond() {
    build_and_execute(4, || {
        to_window(1, Truth::of);
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 5));
        blocks(2);
        let (id, truth) = (jury(JOB).0, Truth::of(JOB));
        let members = jurors(JOB);
        jury_answers(JOB, &[truth.value(id); 3]);
        assert_eq!((phase(JOB), state(0)), (Phase::Window, JobState::Window));
        assert!(
            Runs::<Test>::get(JOB).unwrap().deadline >= Oracles::parameters().0.grace + System::block_number() as u32
        );
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Final);
        execute_slashes();
        assert_eq!(wealth(&ACCUSER), START - BOND);
        assert_eq!(wealth(&ORACLE), START + FEE + BOND - 3 * VERIFIER_FEE);
        for who in &members {
            assert_eq!(wealth(who), START + VERIFIER_FEE);
        }
        assert_eq!(burned(), 0);
    });
}

#[test]
fn a_lying_verifier_should_lose_its_lock_to_the_honest_oracle() {
    build_and_execute(4, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        audit_to_answers(JOB, &truth, &truth);
        let liar = verifiers(JOB, &[AuditState::Committed])[0].clone();
        assert_ok!(audit_reveal(&liar, JOB, &truth, false));
        blocks(2);
        let (id, _) = jury(JOB);
        jury_answers(JOB, &[truth.value(id); 3]);
        assert_eq!(phase(JOB), Phase::Window);
        // The whole window is still to come.
        assert_eq!(Runs::<Test>::get(JOB).unwrap().window, Some(Runs::<Test>::get(JOB).unwrap().deadline));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        execute_slashes();
        assert_eq!(wealth(&liar), START - LOCK);
        assert_eq!(wealth(&ORACLE), START + FEE + LOCK - 3 * VERIFIER_FEE);
        assert_eq!(wealth(&BUILDER), START - FEE - LICENCE, "nobody was paid from V");
    });
}

/// A run of two verifiers of which the first agrees and the second does not, with the jury drawn.
fn split_audit(make: impl FnOnce(crate::RunKey) -> Truth) -> (Account, Account, u32) {
    submit(2);
    take(0);
    let posted = make(JOB);
    commit(JOB, &posted);
    audit_to_answers(JOB, &posted, &posted);
    let list = verifiers(JOB, &[AuditState::Committed]);
    assert_ok!(audit_reveal(&list[0], JOB, &posted, true));
    assert_ok!(audit_reveal(&list[1], JOB, &posted, false));
    blocks(2);
    (list[0].clone(), list[1].clone(), jury(JOB).0)
}

#[test]
fn the_verifier_that_agreed_should_be_paid_after_an_acquittal() {
    build_and_execute(5, || {
        let (honest, liar, id) = split_audit(Truth::of);
        assert_eq!(wealth(&honest), START, "it waits for the decision");
        jury_answers(JOB, &[Truth::of(JOB).value(id); 3]);
        assert_eq!(wealth(&honest), START + VERIFIER_FEE);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        execute_slashes();
        assert_eq!(wealth(&liar), START - LOCK);
        assert_eq!(wealth(&ORACLE), START + FEE + LOCK - 3 * VERIFIER_FEE);
        assert_eq!(wealth(&BUILDER), START - FEE - LICENCE - VERIFIER_FEE);
    });
}

#[test]
fn the_verifier_that_agreed_should_lose_its_lock_with_a_false_run() {
    build_and_execute(5, || {
        let (liar, honest, id) = split_audit(|key| Truth::false_from(key, 5));
        jury_answers(JOB, &[Truth::of(JOB).value(id); 3]);
        execute_slashes();
        let parts = slash_parts(stake(2), 3 * VERIFIER_FEE, true).unwrap();
        assert_eq!(wealth(&liar), START - LOCK);
        assert_eq!(wealth(&honest), START + parts.challenger);
        assert_eq!(wealth(&BUILDER), START + parts.builder);
        assert_eq!(burned(), parts.burned + LOCK);
    });
}

#[test]
fn the_first_verifier_to_disagree_should_be_rewarded_when_several_do() {
    for first in [0, 1] {
        build_and_execute(5, || {
            // GIVEN two verifiers that both say that the run is false
            submit(2);
            take(0);
            let posted = Truth::false_from(JOB, 5);
            commit(JOB, &posted);
            audit_to_answers(JOB, &posted, &posted);
            let list = verifiers(JOB, &[AuditState::Committed]);
            for who in [&list[first], &list[1 - first]] {
                assert_ok!(audit_reveal(who, JOB, &posted, false));
            }
            blocks(2);
            // WHEN the jury agrees with them
            let (id, _) = jury(JOB);
            jury_answers(JOB, &[Truth::of(JOB).value(id); 3]);
            execute_slashes();
            // THEN the one that answered first has the challenger's part
            let parts = slash_parts(stake(2), 3 * VERIFIER_FEE, true).unwrap();
            assert_eq!(wealth(&list[first]), START + parts.challenger);
            assert_eq!(wealth(&list[1 - first]), START);
        });
    }
}

#[test]
fn a_slash_should_wait_for_its_delay() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_noop!(poke(0), Error::<Test>::NotDue);
        next_block();
        assert_noop!(poke(0), Error::<Test>::NotDue);
        assert_eq!(wealth(&ORACLE), START);
        next_block();
        assert_ok!(poke(0));
        assert_eq!(wealth(&ORACLE), START - 10 * WEFT);
    });
}

#[test]
fn a_slash_below_the_least_stake_should_chill() {
    build_and_execute(1, || {
        assert_ok!(Oracles::unbond(signed(&ORACLE), BONDED - stake(1)));
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        execute_slashes();
        let oracle = crate::Oracles::<Test>::get(&ORACLE).unwrap();
        assert_eq!((oracle.bonded, oracle.locks, oracle.status), (0, 0, crate::OracleStatus::Chilled));
    });
}

#[test]
fn a_stopped_clock_should_cost_nobody_anything() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        for _ in 0..500 {
            Frozen::mutate(|frozen| *frozen += 1);
            next_block();
        }
        assert_noop!(poke(0), Error::<Test>::NotDue);
        assert_ok!(Oracles::commit(signed(&ORACLE), JOB, Truth::of(JOB).commit));
    });
}

#[test]
fn a_second_accusation_should_be_judged_anew() {
    build_and_execute(8, || {
        crate::TimerParams::<Test>::mutate(|timers| timers.window = 40);
        to_window(1, Truth::of);
        for (round, who) in [ACCUSER, SECOND_ACCUSER].iter().enumerate() {
            assert_ok!(Oracles::accuse(signed(who), JOB, 5));
            blocks(2);
            let (id, truth) = (jury(JOB).0, Truth::of(JOB));
            assert_eq!(id, round as u32);
            jury_answers(JOB, &[truth.value(id); 3]);
        }
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Final);
        execute_slashes();
        assert_eq!(wealth(&SECOND_ACCUSER), START - BOND);
    });
}

#[test]
fn a_diverged_run_should_end_with_a_part_of_the_fee() {
    build_and_execute(1, || {
        let posted = to_window(1, |key| Truth::diverged(key, 5));
        assert_eq!(posted.opening, None);
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Failed(FailReason::Diverged));
        assert_eq!(wealth(&ORACLE), START + FEE / 2);
        assert_eq!(wealth(&OTHERS[0]), START + VERIFIER_FEE);
        assert_eq!(Runs::<Test>::get(JOB).unwrap().phase, Phase::Ended);
    });
}

#[test]
fn losing_to_its_own_sybil_should_cost_more_than_honest_work_earns() {
    // O5.
    build_and_execute(4, || {
        to_window(1, |key| Truth::false_from(key, 5));
        // ACCUSER belongs to the oracle.
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 5));
        blocks(2);
        let (id, truth) = (jury(JOB).0, Truth::of(JOB));
        jury_answers(JOB, &[truth.value(id); 3]);
        execute_slashes();
        assert!(wealth(&ORACLE) + wealth(&ACCUSER) < 2 * START);
    });
}

#[test]
fn concurrent_runs_should_not_touch_one_another() {
    build_and_execute(5, || {
        submit(1);
        submit(1);
        take(0);
        take(1);
        let second = crate::RunKey::Job(1);
        let (good, bad) = (Truth::of(JOB), Truth::false_from(second, 2));
        assert_ne!(good.commit, Truth::of(second).commit);
        commit(JOB, &good);
        commit(second, &bad);
        audit_to_answers(JOB, &good, &good);
        audit_to_answers(second, &bad, &bad);
        for key in [JOB, second] {
            let posted = if key == JOB { &good } else { &bad };
            for who in verifiers(key, &[AuditState::Committed]) {
                assert_ok!(audit_reveal(&who, key, posted, true));
            }
        }
        assert_ok!(Oracles::accuse(signed(&ACCUSER), second, 2));
        blocks(2);
        let (id, truth) = (jury(second).0, Truth::of(second));
        let count = jurors(second).len();
        jury_answers(second, &vec![truth.value(id); count]);
        assert_eq!(state(1), JobState::Failed(FailReason::Fraud));
        pass_deadline(JOB);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Final);
        execute_slashes();
    });
}
