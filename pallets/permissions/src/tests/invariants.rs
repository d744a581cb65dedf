//! Each numbered invariant fails when the state is broken.

use crate::{deposits, mock::*, types::*, Current, Envelopes, Grants, HoldReason, Licences, NextGrant};
use frame::testing_prelude::*;

#[test]
fn p1_should_fail_when_uses_do_not_add_up() {
    build_and_break("P1: uses do not add up to what was granted", || {
        let id = granted();
        Grants::<Test>::mutate(id, |grant| grant.as_mut().unwrap().left += 1);
    });
    build_and_break("P1: a grant beyond the next number", || {
        granted();
        NextGrant::<Test>::put(0);
    });
}

#[test]
fn p2_should_fail_when_shares_are_not_a_whole() {
    build_and_break("P2: shares are not a whole", || {
        granted();
        Licences::<Test>::mutate(NET, 1, |licence| licence.as_mut().unwrap().terms.shares.owner += 1);
    });
    build_and_break("P2: a data pool is no range", || {
        granted();
        Licences::<Test>::mutate(NET, 1, |licence| licence.as_mut().unwrap().terms.pool.max_ppm = 0);
    });
}

#[test]
fn p3_should_fail_when_a_version_is_missing() {
    build_and_break("P3: a grant without licence", || {
        let id = granted();
        Grants::<Test>::mutate(id, |grant| grant.as_mut().unwrap().version = 2);
    });
    build_and_break("P3: a version is missing", || {
        granted();
        Current::<Test>::insert(NET, 2);
    });
    build_and_break("P3: a version beyond the current one", || {
        assert_ok!(set(terms()));
        Current::<Test>::remove(NET);
    });
}

#[test]
fn p4_should_fail_when_a_hold_is_not_recorded() {
    // Of an account with a record, and of one without any.
    for who in [OWNER, BUILDER, STRANGER] {
        for reason in [HoldReason::Licence, HoldReason::Grant, HoldReason::AllowList, HoldReason::Request] {
            build_and_break("P4: holds are not the recorded deposits", || {
                granted();
                assert_ok!(deposits::hold::<Test>(reason, &who, 1));
            });
        }
    }
}

#[test]
fn p4_should_fail_when_a_recorded_account_does_not_exist() {
    build_and_break("P4: holds are not the recorded deposits", || {
        let id = granted();
        // POOR has no account.
        Grants::<Test>::mutate(id, |grant| grant.as_mut().unwrap().consumer = POOR);
    });
}

#[test]
fn p5_should_fail_when_an_envelope_has_no_grant() {
    build_and_break("P5: an envelope without grant", || {
        let id = granted();
        Envelopes::<Test>::insert((id + 1, 1, STRANGER), Envelope::Digest([1; 32]));
    });
}
