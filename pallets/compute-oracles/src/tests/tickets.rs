//! The numbering of tickets, from which draws are made.

use crate::mock::Account;
use crate::{
    mock::*, AuditState, Draws, Oracles as Stored, Phase, Stale, StaleQueue, TicketCount, Tickets, TicketsOf,
    TimerParams,
};
use frame::testing_prelude::*;
use weft_traits::Clock;

/// The owner of every ticket, by number.
fn numbering() -> Vec<Account> {
    (0..TicketCount::<Test>::get(class())).map(|number| Tickets::<Test>::get(class(), number).unwrap()).collect()
}

fn tickets_of(who: &Account) -> usize {
    TicketsOf::<Test>::get(who, class()).len()
}

/// A run whose verifier is drawn in the next block.
fn before_the_draw() {
    submit(1);
    take(0);
    assert_ok!(Oracles::commit(signed(&ORACLE), JOB, Truth::of(JOB).commit));
    next_block();
    assert!(!Draws::<Test>::get(Time::now() + 1).is_empty());
    assert_eq!(Stale::<Test>::iter().count(), 0);
}

#[test]
fn numbering_should_stay_when_a_draw_is_due_in_the_next_block() {
    build_and_execute(4, || {
        // GIVEN a block whose author knows the beacon of the next draw
        before_the_draw();
        let before = numbering();
        // WHEN accounts register, chill, take stake out and resume in it
        assert_ok!(register(&ACCUSER, BONDED));
        assert_ok!(Oracles::chill(signed(&OTHERS[0])));
        assert_ok!(Oracles::unbond(signed(&OTHERS[1]), 3_000 * WEFT));
        assert_ok!(Oracles::chill(signed(&OTHERS[2])));
        assert_ok!(Oracles::resume(signed(&OTHERS[2])));
        assert_ok!(Oracles::bond(signed(&OTHERS[3]), 200 * WEFT));
        // THEN every ticket keeps its number until the draw is made
        assert_eq!(numbering(), before);
        Oracles::do_try_state().unwrap();
        next_block();
        assert_eq!(phase(JOB), Phase::Auditing);
        // AND after the draw delay all tickets fit
        pass_draw_delay();
        let queue = StaleQueue::<Test>::get();
        assert_eq!((Stale::<Test>::iter().count(), queue.0), (0, queue.1));
        assert_eq!((tickets_of(&ACCUSER), tickets_of(&OTHERS[0])), (50, 0));
    });
}

/// Everything by which the author of a block could change numbers of tickets and leave every account eligible.
fn meddle() {
    assert_ok!(register(&ACCUSER, BONDED));
    assert_ok!(register(&SECOND_ACCUSER, BONDED));
    assert_ok!(Oracles::bond(signed(&OTHERS[0]), 500 * WEFT));
    assert_ok!(Oracles::unbond(signed(&OTHERS[1]), 3_000 * WEFT));
    assert_ok!(Oracles::chill(signed(&OTHERS[2])));
    assert_ok!(Oracles::resume(signed(&OTHERS[2])));
}

/// The numbering before the draw of a verifier, and the one drawn, with meddling so many blocks after the draw was asked
/// for.
fn numbered_and_drawn(delay: u32, meddling: Option<u32>) -> (Vec<Account>, Vec<Account>) {
    let mut found = Default::default();
    build_and_execute(4, || {
        TimerParams::<Test>::mutate(|timers| timers.draw = delay);
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        pass_draw_delay();
        assert_ok!(Oracles::commit(signed(&ORACLE), JOB, Truth::of(JOB).commit));
        for block in 0..delay {
            if meddling == Some(block) {
                meddle();
            }
            found = (numbering(), Vec::new());
            next_block();
        }
        found.1 = verifiers(JOB, &[AuditState::Drawn]);
    });
    found
}

#[test]
fn a_draw_should_stay_when_accounts_change_in_any_block_of_its_delay() {
    for delay in [2, 3, 5] {
        let calm = numbered_and_drawn(delay, None);
        assert_eq!(calm.1.len(), 1);
        for block in 0..delay {
            assert_eq!(numbered_and_drawn(delay, Some(block)), calm, "delay {delay}, changes in block {block}");
        }
    }
}

#[test]
fn tickets_should_be_those_of_the_change_when_the_oracle_changes_again() {
    build_and_execute(0, || {
        // GIVEN a delay of three blocks, and two changes in two blocks
        TimerParams::<Test>::mutate(|timers| timers.draw = 3);
        assert_ok!(Oracles::chill(signed(&ORACLE)));
        next_block();
        assert_ok!(Oracles::resume(signed(&ORACLE)));
        assert_eq!(Stored::<Test>::get(&ORACLE).unwrap().changes, 2);
        Oracles::do_try_state().unwrap();
        // THEN each takes effect three blocks after it was made
        for tickets in [50, 0, 50] {
            next_block();
            assert_eq!(tickets_of(&ORACLE), tickets);
            Oracles::do_try_state().unwrap();
        }
        assert_eq!(Stored::<Test>::get(&ORACLE).unwrap().changes, 0);
    });
}

#[test]
fn a_change_should_be_skipped_when_a_newer_one_is_due_too() {
    build_and_execute(8, || {
        // GIVEN eight accounts that change all their tickets in every block, more than one block can bring in line
        let mut active = true;
        for _ in 0..12 {
            for who in &OTHERS {
                let change = if active { Oracles::chill(signed(who)) } else { Oracles::resume(signed(who)) };
                assert_ok!(change);
            }
            active = !active;
            next_block();
            Oracles::do_try_state().unwrap();
        }
        // THEN the queue is no longer than the delay and what one block leaves over, and the next account waits no longer
        assert!(Stale::<Test>::iter().count() <= 8 * 4, "{}", Stale::<Test>::iter().count());
        assert_ok!(register(&ACCUSER, BONDED));
        blocks(4);
        assert_eq!(tickets_of(&ACCUSER), 50);
    });
}

#[test]
fn a_ticket_should_be_drawn_again_when_its_oracle_is_not_eligible_any_more() {
    build_and_execute(2, || {
        before_the_draw();
        assert_ok!(Oracles::chill(signed(&OTHERS[0])));
        assert_eq!(tickets_of(&OTHERS[0]), 50);
        next_block();
        assert_eq!(verifiers(JOB, &[AuditState::Drawn]), OTHERS[1..2]);
    });
}

#[test]
fn tickets_should_follow_over_several_blocks_when_many_change() {
    build_and_execute(0, || {
        // GIVEN eight oracles with fifty tickets each, and work for 256 oracles and tickets per block
        for who in &OTHERS {
            assert_ok!(register(who, BONDED));
        }
        assert_eq!(TicketCount::<Test>::get(class()), 50);
        pass_draw_delay();
        assert_eq!(TicketCount::<Test>::get(class()), 50 + 5 * 50);
        Oracles::do_try_state().unwrap();
        next_block();
        assert_eq!(TicketCount::<Test>::get(class()), 50 + 8 * 50);
        assert_eq!(Stale::<Test>::iter().count(), 0);
    });
}

#[test]
fn an_oracle_should_wait_once_however_often_it_changes() {
    build_and_execute(1, || {
        for _ in 0..5 {
            assert_ok!(Oracles::chill(signed(&ORACLE)));
            assert_ok!(Oracles::resume(signed(&ORACLE)));
        }
        assert_eq!(Stale::<Test>::iter_values().map(|change| change.who).collect::<Vec<_>>(), [ORACLE]);
    });
}

#[test]
fn an_oracle_should_have_a_ticket_when_its_free_stake_covers_the_smallest_lock() {
    build_and_execute(0, || {
        // GIVEN 1,000 WEFT of stake; the smallest lock is a twentieth of the least stake
        let who = &OTHERS[0];
        assert_ok!(register(who, 1_000 * WEFT));
        for (locked, tickets) in [(0, 10), (900, 1), (50, 1), (1, 0)] {
            if locked > 0 {
                assert_ok!(Oracles::lock(who, JOB, locked * WEFT));
            }
            pass_draw_delay();
            assert_eq!(tickets_of(who), tickets);
        }
        // WHEN the lock ends THEN its tickets are back
        assert_ok!(Oracles::unlock(who, JOB, 951 * WEFT));
        pass_draw_delay();
        assert_eq!(tickets_of(who), 10);
    });
}
