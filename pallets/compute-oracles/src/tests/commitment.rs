//! `take`, `commit`, `reveal_nonces`.

use crate::{mock::*, AuditState, DutyKind, Error, Event, Locks, Oracles as Stored, Phase, RunKey, Runs};
use frame::testing_prelude::*;
use weft_protocol::{
    job::JobState,
    run::{Commit, Outcome, Part},
};

#[test]
fn take_should_lock_the_stake() {
    build_and_execute(1, || {
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        assert_eq!(Locks::<Test>::get(&ORACLE, JOB), stake(1));
        assert_eq!(state(0), JobState::Assigned);
        assert_eq!(phase(JOB), Phase::Seeding);
        System::assert_last_event(Event::Taken { run: JOB, oracle: ORACLE, stake: stake(1) }.into());
    });
}

#[test]
fn take_should_fail_by_name() {
    build_and_execute(1, || {
        submit(1);
        assert_noop!(Oracles::take(signed(&ACCUSER), 0), Error::<Test>::NotOracle);
        assert_noop!(Oracles::take(signed(&ORACLE), 1), Error::<Test>::UnknownJob);
        assert_ok!(Oracles::chill(signed(&ORACLE)));
        assert_noop!(Oracles::take(signed(&ORACLE), 0), Error::<Test>::NotActive);
        assert_ok!(Oracles::resume(signed(&ORACLE)));
        assert_ok!(Oracles::unbond(signed(&OTHERS[0]), 4_000 * WEFT));
        assert_noop!(Oracles::take(signed(&OTHERS[0]), 0), Error::<Test>::StakeTooLow);
        // An oracle of a class that a later release runs.
        let known = Stored::<Test>::mutate(&OTHERS[0], |oracle| {
            core::mem::replace(&mut oracle.as_mut().unwrap().classes, vec![[1; 32]].try_into().unwrap())
        });
        assert_noop!(Oracles::take(signed(&OTHERS[0]), 0), Error::<Test>::ClassUnsupported);
        Stored::<Test>::mutate(&OTHERS[0], |oracle| oracle.as_mut().unwrap().classes = known);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        assert_noop!(Oracles::take(signed(&ORACLE), 0), Error::<Test>::WrongStage);
    });
}

#[test]
fn take_should_fail_after_t_open() {
    build_and_execute(1, || {
        submit(1);
        blocks(61);
        assert_noop!(Oracles::take(signed(&ORACLE), 0), pallet_models::Error::<Test>::WrongState);
        assert_ok!(poke(0));
        assert_eq!(state(0), JobState::Expired);
    });
}

#[test]
fn commit_should_wait_for_the_draw() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        assert_ok!(Oracles::commit(signed(&ORACLE), JOB, truth.commit));
        assert_eq!((state(0), phase(JOB)), (JobState::Committed, Phase::Drawing));
        next_block();
        assert_eq!(phase(JOB), Phase::Drawing);
        next_block();
        assert_eq!((state(0), phase(JOB)), (JobState::Audit, Phase::Auditing));
        assert_eq!(verifiers(JOB, &[AuditState::Drawn]), OTHERS[..1]);
        assert_eq!(Locks::<Test>::get(&OTHERS[0], JOB), LOCK);
    });
}

#[test]
fn commit_should_fail_by_name() {
    build_and_execute(1, || {
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        let commit = |who, commitment| Oracles::commit(signed(who), JOB, commitment);
        let any = Commit {
            n_done: STEPS,
            outcome: Outcome::Done,
            data_root: [0; 32],
            steps_root: [0; 32],
            model_commitment: [1; 32],
            attribution_commitment: [1; 32],
            secret: [0; 32],
        };
        assert_noop!(commit(&ORACLE, any), Error::<Test>::TooEarly);
        blocks(2);
        assert_noop!(commit(&OTHERS[0], any), Error::<Test>::NotAssigned);
        assert_noop!(Oracles::commit(signed(&ORACLE), RunKey::Job(5), any), Error::<Test>::UnknownRun);
        assert_noop!(commit(&ORACLE, Commit { n_done: STEPS - 1, ..any }), Error::<Test>::CommitMalformed);
        let diverged = Commit { outcome: Outcome::Diverged, n_done: 3, ..any };
        assert_noop!(commit(&ORACLE, diverged), Error::<Test>::CommitMalformed);
        let full =
            Commit { outcome: Outcome::Diverged, model_commitment: [0; 32], attribution_commitment: [0; 32], ..any };
        assert_noop!(commit(&ORACLE, full), Error::<Test>::CommitMalformed);
        assert_ok!(commit(&ORACLE, any));
        assert_noop!(commit(&ORACLE, any), Error::<Test>::WrongStage);
    });
}

#[test]
fn commit_should_fail_after_t_run() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        pass_deadline(JOB);
        assert_noop!(Oracles::commit(signed(&ORACLE), JOB, Truth::of(JOB).commit), Error::<Test>::TooLate);
    });
}

#[test]
fn reveal_nonces_should_fail_by_name() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        assert_noop!(reveal(JOB, &truth), Error::<Test>::TooEarly);
        commit(JOB, &truth);
        assert_noop!(reveal(JOB, &truth), Error::<Test>::TooEarly);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        let with = |who, secret, opening| Oracles::reveal_nonces(signed(who), JOB, secret, opening);
        assert_noop!(with(&OTHERS[0], truth.secret, truth.opening.clone()), Error::<Test>::NotAssigned);
        assert_noop!(with(&ORACLE, [0; 32], truth.opening.clone()), Error::<Test>::OpeningMismatch);
        assert_noop!(with(&ORACLE, truth.secret, None), Error::<Test>::OpeningMismatch);
        let mut other = truth.opening.clone().unwrap();
        other.file_len += 1;
        assert_noop!(with(&ORACLE, truth.secret, Some(other)), Error::<Test>::OpeningMismatch);
        assert_noop!(
            Oracles::reveal_nonces(signed(&ORACLE), RunKey::Job(9), truth.secret, None),
            Error::<Test>::UnknownRun
        );
        assert_ok!(reveal(JOB, &truth));
        assert_noop!(reveal(JOB, &truth), Error::<Test>::WrongStage);
    });
}

#[test]
fn reveal_nonces_should_refuse_what_could_not_be_minted() {
    for spoil in [
        |part: &mut Part| part.datanet = 5,
        |part: &mut Part| part.paid = 7,
        |part: &mut Part| part.leaves = 0,
        |part: &mut Part| part.paid = 2 * WEFT,
    ] {
        build_and_execute(1, || {
            submit(1);
            take(0);
            let mut truth = Truth::of(JOB);
            let opening = truth.opening.as_mut().unwrap();
            spoil(&mut opening.parts[0]);
            truth.commit.attribution_commitment = opening.attribution_commitment();
            commit(JOB, &truth);
            assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
            assert_noop!(reveal(JOB, &truth), Error::<Test>::OpeningMismatch);
        });
    }
}

#[test]
fn reveal_nonces_should_refuse_parts_that_are_too_many_or_out_of_order() {
    let part = |datanet, paid| Part { datanet, leaves: 1, root: [1; 32], pos: 5, neg: 1, paid };
    let half = WEFT / 2;
    for parts in [
        vec![part(0, half), part(0, half)],
        vec![part(1, half), part(0, half)],
        (0..17).map(|datanet| part(datanet, if datanet == 0 { WEFT } else { 0 })).collect(),
    ] {
        build_and_execute(1, || {
            submit(1);
            take(0);
            let mut truth = Truth::of(JOB);
            let opening = truth.opening.as_mut().unwrap();
            opening.parts = parts;
            truth.commit.attribution_commitment = opening.attribution_commitment();
            commit(JOB, &truth);
            assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
            assert_noop!(reveal(JOB, &truth), Error::<Test>::OpeningMismatch);
        });
    }
}

#[test]
fn reveal_nonces_should_fail_after_t_reveal_and_when_the_run_is_over() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        pass_deadline(JOB);
        assert_noop!(reveal(JOB, &truth), Error::<Test>::TooLate);
        assert_ok!(poke(0));
        assert_eq!(phase(JOB), Phase::Ended);
        assert_noop!(reveal(JOB, &truth), Error::<Test>::TooLate);
        assert_noop!(Oracles::accuse(signed(&ACCUSER), JOB, 0), Error::<Test>::TooLate);
    });
}

#[test]
fn calls_should_refuse_the_run_of_a_settlement() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        let (state, reverse, paths) = truth.answer();
        let key = RunKey::Settle(0, 1);
        assert_noop!(Oracles::commit(signed(&ORACLE), key, truth.commit), Error::<Test>::SettleNotBuilt);
        assert_noop!(Oracles::audit_commit(signed(&OTHERS[0]), key, [1; 32]), Error::<Test>::SettleNotBuilt);
        assert_noop!(Oracles::reveal_nonces(signed(&ORACLE), key, truth.secret, None), Error::<Test>::SettleNotBuilt);
        assert_noop!(
            Oracles::audit_reveal(signed(&OTHERS[0]), key, SALT, state, reverse, true, paths),
            Error::<Test>::SettleNotBuilt
        );
        assert_noop!(Oracles::accuse(signed(&ACCUSER), key, 0), Error::<Test>::SettleNotBuilt);
    });
}

#[test]
fn take_should_fail_when_a_fee_cannot_be_computed() {
    build_and_execute(1, || {
        submit(1);
        crate::StakeParams::<Test>::mutate(|stakes| stakes.audit_fee = u128::MAX);
        assert_noop!(Oracles::take(signed(&ORACLE), 0), Error::<Test>::AmountTooLarge);
        crate::StakeParams::<Test>::kill();
    });
}

#[test]
fn poke_should_weigh_what_it_may_do() {
    use crate::WeightInfo;
    let most = <() as WeightInfo>::transition().saturating_add(<() as WeightInfo>::slash().saturating_mul(8));
    assert!(<() as pallet_models::WeightInfo>::poke().all_gte(most));
    // One that executes no slash gives back their weight.
    build_and_execute(1, || {
        submit(1);
        take(0);
        pass_deadline(JOB);
        let weight = Models::poke(signed(&ACCUSER), 0).unwrap().actual_weight.unwrap();
        assert_eq!(weight, <() as WeightInfo>::transition());
    });
    // A draw that finds nobody fits beside the first one into its part of a block of a second.
    let draw = <() as WeightInfo>::draw(crate::tickets::LOOKS).saturating_add(<() as WeightInfo>::ending());
    assert!(draw.ref_time() < 250_000_000_000);
}

#[test]
fn duties_should_name_what_is_due() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let due = |who| Oracles::duties(who).into_iter().map(|duty| duty.kind).collect::<Vec<_>>();
        assert_eq!(due(ORACLE), [DutyKind::Commit]);
        assert_eq!(Oracles::duties(ORACLE)[0].deadline, Runs::<Test>::get(JOB).unwrap().deadline);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        assert_eq!(due(ORACLE), []);
        assert_eq!(due(OTHERS[0].clone()), [DutyKind::AuditCommit { segment: (0, STEPS) }]);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        assert_eq!(due(OTHERS[0].clone()), []);
        assert_eq!(due(ORACLE), [DutyKind::RevealNonces]);
        assert_ok!(reveal(JOB, &truth));
        assert_eq!(due(OTHERS[0].clone()), [DutyKind::AuditReveal { segment: (0, STEPS) }]);
        assert_ok!(audit_reveal(&OTHERS[0], JOB, &truth, true));
        assert_eq!(due(OTHERS[0].clone()), []);
        assert!(Stored::<Test>::get(&OTHERS[0]).unwrap().locked > 0);
        assert!(Oracles::run(JOB).is_some() && Oracles::oracle(ORACLE).is_some());
    });
}

#[test]
fn reveal_nonces_should_refuse_an_opening_without_parts() {
    build_and_execute(1, || {
        submit(1);
        take(0);
        let mut truth = Truth::of(JOB);
        let opening = truth.opening.as_mut().unwrap();
        opening.parts.clear();
        truth.commit.attribution_commitment = opening.attribution_commitment();
        commit(JOB, &truth);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        assert_noop!(reveal(JOB, &truth), Error::<Test>::OpeningMismatch);
    });
}

#[test]
fn take_should_fail_when_the_oracle_has_too_many_locks() {
    build_and_execute(1, || {
        submit(1);
        Stored::<Test>::mutate(&ORACLE, |oracle| oracle.as_mut().unwrap().locks = 64);
        assert_noop!(Oracles::take(signed(&ORACLE), 0), Error::<Test>::TooManyLocks);
        Stored::<Test>::mutate(&ORACLE, |oracle| oracle.as_mut().unwrap().locks = 0);
    });
}

#[test]
fn reveal_nonces_should_wait_for_the_replacement() {
    build_and_execute(2, || {
        // GIVEN two verifiers, one silent, and nobody to replace it
        submit(2);
        take(0);
        let truth = Truth::of(JOB);
        commit(JOB, &truth);
        assert_ok!(audit_commit(&OTHERS[0], JOB, &truth));
        pass_deadline(JOB);
        assert_noop!(reveal(JOB, &truth), Error::<Test>::TooEarly);
        assert_ok!(poke(0));
        // THEN the oracle may reveal as soon as the draw finds nobody
        blocks(2);
        assert_ok!(reveal(JOB, &truth));
        assert_eq!(phase(JOB), Phase::Answering);
    });
}
