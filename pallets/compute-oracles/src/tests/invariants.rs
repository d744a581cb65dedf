//! Each numbered invariant, broken.

use crate::{mock::*, Locks, Oracles as Stored, Runs, Slashes, Supporting, Tickets};
use frame::testing_prelude::*;

fn broken(name: &str, spoil: impl FnOnce()) {
    new_ext().execute_with(|| {
        for who in [&ORACLE, &OTHERS[0], &OTHERS[1]] {
            assert_ok!(register(who, BONDED));
        }
        submit(1);
        submit(1);
        take(0);
        take(1);
        pass_deadline(crate::RunKey::Job(1));
        assert_ok!(poke(0));
        Oracles::do_try_state().unwrap();
        spoil();
        let error = Oracles::do_try_state().unwrap_err();
        assert!(format!("{error:?}").contains(name), "{error:?}");
    });
}

#[test]
fn o1_should_fail_when_stake_is_not_held() {
    broken("O1", || Stored::<Test>::mutate(&OTHERS[0], |oracle| oracle.as_mut().unwrap().bonded += 1));
}

#[test]
fn o1_should_fail_when_a_lock_is_missing() {
    broken("O1", || Locks::<Test>::remove(&ORACLE, crate::RunKey::Job(1)));
}

#[test]
fn o2_should_fail_when_parts_exceed_a_slash() {
    broken("O2", || Slashes::<Test>::mutate(0, |slash| slash.as_mut().unwrap().amount = 1));
}

#[test]
fn o3_should_fail_when_a_ticket_is_missing() {
    broken("O3", || Tickets::<Test>::remove(class(), 0));
}

#[test]
fn o3_should_fail_when_supporters_are_miscounted() {
    broken("O3", || Supporting::<Test>::insert(class(), 9));
}

#[test]
fn o4_should_fail_when_a_run_waits_without_a_limit() {
    broken("O4", || Runs::<Test>::mutate(crate::RunKey::Job(1), |run| run.as_mut().unwrap().deadline = u32::MAX));
}

#[test]
fn m5_should_fail_when_phase_and_state_disagree() {
    broken("M5", || {
        Runs::<Test>::mutate(crate::RunKey::Job(1), |run| run.as_mut().unwrap().phase = crate::Phase::Window);
    });
}
