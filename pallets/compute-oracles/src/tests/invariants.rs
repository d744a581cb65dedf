//! Each numbered invariant, broken.

use crate::mock::Account;
use crate::{
    mock::*, Draw, Draws, HoldReason, Locks, Oracles as Stored, RunKey, Runs, Slashes, Supporting, TicketChange,
    Tickets,
};
use frame::{testing_prelude::*, token::fungible::hold::Mutate};
use weft_traits::Clock;

/// The run that goes on; the other one was late.
const LIVE: RunKey = RunKey::Job(1);

/// A change of tickets that nobody asked for.
fn change_of(who: Account) -> TicketChange<Account> {
    TicketChange { who, wanted: 1, due: 1, next: None }
}

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
fn o1_should_fail_when_a_lock_has_no_oracle() {
    broken("O1: a lock without an oracle", || Locks::<Test>::insert(&ACCUSER, JOB, 1));
}

#[test]
fn o1_should_fail_when_a_lock_is_empty() {
    broken("O1: an empty lock", || Locks::<Test>::insert(&OTHERS[0], JOB, 0));
}

#[test]
fn o1_should_fail_when_held_stake_has_no_oracle() {
    broken("O1: stake on hold without", || {
        assert_ok!(Balances::hold(&HoldReason::Stake.into(), &ACCUSER, 1));
    });
}

#[test]
fn o1_should_fail_when_unbonding_stake_has_no_oracle() {
    broken("O1: unbonding stake without", || {
        let entry = crate::Unbond { amount: 1, due: 9 };
        crate::Unbonding::<Test>::insert(&ACCUSER, BoundedVec::try_from(vec![entry]).unwrap());
    });
}

#[test]
fn o1_should_fail_when_a_bond_belongs_to_nothing() {
    broken("O1: bonds on hold", || {
        assert_ok!(Balances::hold(&HoldReason::Bond.into(), &ACCUSER, 1));
    });
}

#[test]
fn o2_should_fail_when_a_slash_is_missing_in_the_queue() {
    broken("O2: slashes are missing", || Slashes::<Test>::remove(0));
}

#[test]
fn o2_should_fail_when_slashed_stake_is_not_locked() {
    broken("O2: slashed stake is not locked", || {
        let locked = Locks::<Test>::get(&ORACLE, JOB);
        Locks::<Test>::insert(&ORACLE, JOB, 1);
        Stored::<Test>::mutate(&ORACLE, |oracle| oracle.as_mut().unwrap().locked -= locked - 1);
    });
}

#[test]
fn o3_should_fail_when_a_change_of_tickets_is_not_queued() {
    broken("O3: a change of tickets is not queued", || {
        Stored::<Test>::mutate(&OTHERS[0], |oracle| oracle.as_mut().unwrap().changes = 1);
    });
}

#[test]
fn o3_should_fail_when_a_change_of_tickets_is_beyond_the_queue() {
    broken("O3: a change of tickets is beyond", || crate::Stale::<Test>::insert(1_000, change_of(ACCUSER)));
}

#[test]
fn o3_should_fail_when_a_change_of_tickets_has_no_oracle() {
    broken("O3: a change of tickets without an oracle", || {
        let (first, end) = crate::StaleQueue::<Test>::get();
        crate::Stale::<Test>::insert(end, change_of(ACCUSER));
        crate::StaleQueue::<Test>::put((first, end + 1));
    });
}

#[test]
fn o3_should_fail_when_the_newest_change_of_tickets_is_another() {
    broken("O3: the newest change of tickets", || {
        let newest = Stored::<Test>::get(&ORACLE).unwrap().last_change;
        crate::Stale::<Test>::mutate(newest, |change| change.as_mut().unwrap().wanted += 1);
    });
}

#[test]
fn o3_should_fail_when_tickets_are_too_few() {
    broken("O3: tickets differ", || {
        crate::TicketsOf::<Test>::mutate(&OTHERS[0], class(), |numbers| numbers.pop());
    });
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
fn o4_should_fail_when_disputes_are_miscounted() {
    broken("O4: open disputes", || Runs::<Test>::mutate(LIVE, |run| run.as_mut().unwrap().disputes = 1));
}

#[test]
fn o4_should_fail_when_a_jury_is_missing() {
    broken("O4: a jury of a run is missing", || {
        Runs::<Test>::mutate(LIVE, |run| run.as_mut().unwrap().juries.try_push(7).unwrap());
    });
}

#[test]
fn o4_should_fail_when_a_draw_is_lost() {
    broken("O4: a run waits for a draw", || {
        submit(1);
        assert_ok!(Oracles::take(signed(&OTHERS[0]), 2));
        Oracles::do_try_state().unwrap();
        Draws::<Test>::remove(Time::now() + 2);
    });
}

#[test]
fn o4_should_fail_when_a_draw_is_wanted_by_nobody() {
    broken("O4: a draw is queued", || {
        let draws = BoundedVec::try_from(vec![Draw::Seed(LIVE)]).unwrap();
        Draws::<Test>::insert(Time::now() + 2, draws);
    });
}

#[test]
fn o4_should_fail_when_a_draw_was_passed_over() {
    broken("O4: a draw was passed over", || {
        let draws = BoundedVec::try_from(vec![Draw::Seed(LIVE)]).unwrap();
        Draws::<Test>::insert(Time::now(), draws);
    });
}

#[test]
fn m5_should_fail_when_the_stake_is_not_locked() {
    broken("M5: the stake of a run", || Runs::<Test>::mutate(LIVE, |run| run.as_mut().unwrap().stake += 1));
}

#[test]
fn m5_should_fail_when_phase_and_state_disagree() {
    broken("M5", || {
        Runs::<Test>::mutate(crate::RunKey::Job(1), |run| run.as_mut().unwrap().phase = crate::Phase::Window);
    });
}
