//! What accepted and refused answers cost.

use crate::{mock::*, AuditState, Phase};
use frame::testing_prelude::*;
use weft_protocol::run;

fn accepted(result: DispatchResultWithPostInfo) {
    assert_eq!(result.unwrap().pays_fee, Pays::No);
}

fn refused(result: DispatchResultWithPostInfo) {
    assert_eq!(result.unwrap_err().post_info.pays_fee, Pays::Yes);
}

#[test]
fn answers_should_cost_no_fee_when_they_are_accepted() {
    build_and_execute(5, || {
        submit(1);
        take(0);
        let truth = Truth::of(JOB);
        let (state, reverse, paths) = truth.answer();
        // Oracle and verifier.
        let commit = || Oracles::commit(signed(&ORACLE), JOB, truth.commit);
        accepted(commit());
        refused(commit());
        blocks(2);
        let verifier = verifiers(JOB, &[AuditState::Drawn])[0].clone();
        let blind = run::audit_answer(&verifier.clone().into(), &SALT, &state, &reverse);
        let audit_commit = || Oracles::audit_commit(signed(&verifier), JOB, blind);
        accepted(audit_commit());
        refused(audit_commit());
        let reveal_nonces = || Oracles::reveal_nonces(signed(&ORACLE), JOB, truth.secret, truth.opening.clone());
        accepted(reveal_nonces());
        refused(reveal_nonces());
        let audit_reveal = || Oracles::audit_reveal(signed(&verifier), JOB, SALT, state, reverse, true, paths.clone());
        accepted(audit_reveal());
        refused(audit_reveal());
        // Jurors.
        assert_eq!(phase(JOB), Phase::Window);
        assert_ok!(Oracles::accuse(signed(&ACCUSER), JOB, 5));
        blocks(2);
        let (id, _) = jury(JOB);
        let value = truth.value(id);
        for who in jurors(JOB) {
            let hash = run::jury_answer(id, &who.clone().into(), &SALT, &value);
            accepted(Oracles::jury_commit(signed(&who), id, hash));
            refused(Oracles::jury_commit(signed(&who), id, hash));
        }
        for who in jurors(JOB) {
            accepted(Oracles::jury_reveal(signed(&who), id, value, SALT));
            refused(Oracles::jury_reveal(signed(&who), id, value, SALT));
        }
    });
}
