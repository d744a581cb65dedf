//! Beacon and draws.

use crate::{mock::*, BeaconValue, Draw, Draws, Error, Phase, RunKey, Runs};
use frame::testing_prelude::*;
use weft_protocol::hash::next_beacon;
use weft_traits::{Beacon, Clock, ParentVrf};

#[test]
fn beacon_should_fold_every_block() {
    build_and_execute(0, || {
        let first = <Oracles as Beacon>::value(1).unwrap();
        next_block();
        assert_eq!(<Oracles as Beacon>::value(2), Some(next_beacon(&first, &Vrf::output())));
        blocks(300);
        assert_eq!(<Oracles as Beacon>::value(2), None);
        assert_eq!(BeaconValue::<Test>::iter_keys().count(), 256);
    });
}

#[test]
fn a_stopped_clock_should_keep_its_value() {
    build_and_execute(0, || {
        let before = <Oracles as Beacon>::value(1).unwrap();
        Frozen::set(1);
        next_block();
        assert_eq!(Time::now(), 1);
        assert_eq!(<Oracles as Beacon>::value(1), Some(before));
    });
}

#[test]
fn draws_should_move_on_when_a_block_is_full() {
    build_and_execute(1, || {
        let filler: Vec<_> = (0..32).map(|i| Draw::Seed(RunKey::Job(1_000 + i))).collect();
        Draws::<Test>::insert(3, BoundedVec::try_from(filler).unwrap());
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        assert_eq!(Draws::<Test>::get(4).into_inner(), [Draw::Seed(JOB)]);
        Draws::<Test>::remove(3);
        blocks(3);
        assert_eq!(phase(JOB), Phase::Running);
    });
}

#[test]
fn take_should_fail_when_all_draws_are_full() {
    build_and_execute(1, || {
        let filler: Vec<_> = (0..32).map(|i| Draw::Seed(RunKey::Job(1_000 + i))).collect();
        for block in 3..3 + 256 {
            Draws::<Test>::insert(block, BoundedVec::try_from(filler.clone()).unwrap());
        }
        submit(1);
        assert_noop!(Oracles::take(signed(&ORACLE), 0), Error::<Test>::TooManyDraws);
        for block in 3..3 + 256 {
            Draws::<Test>::remove(block);
        }
    });
}

#[test]
fn seed_should_come_from_the_beacon_after_take() {
    build_and_execute(1, || {
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        assert_eq!(Runs::<Test>::get(JOB).unwrap().seed, None);
        blocks(2);
        let run = Runs::<Test>::get(JOB).unwrap();
        assert_eq!(run.beacon, <Oracles as Beacon>::value(3));
        let spec_hash = pallet_models::Jobs::<Test>::get(0).unwrap().spec_hash;
        assert_eq!(run.seed, Some(weft_protocol::run::seed(&spec_hash, &[2; 32], &run.beacon.unwrap())));
    });
}

#[test]
fn draws_should_follow_stake() {
    build_and_execute(4, || {
        // GIVEN four times the tickets for one of two candidates
        assert_ok!(Oracles::unbond(signed(&OTHERS[0]), 4_000 * WEFT));
        pass_draw_delay();
        let excluded = [ORACLE, OTHERS[2].clone(), OTHERS[3].clone()].into_iter().collect();
        let mut small = 0;
        for i in 0..1_000u32 {
            let entropy = weft_protocol::hash::h(b"test.ent", &i);
            let (drawn, _) = Oracles::draw_accounts(&class(), &entropy, 1, WEFT, &excluded);
            small += u32::from(drawn == [OTHERS[0].clone()]);
        }
        // THEN it is drawn about one time in six (10 of 60 tickets; three deviations of 11.8)
        assert!((131..=203).contains(&small), "{small}");
    });
}

#[test]
fn draws_should_find_everyone_who_is_eligible() {
    build_and_execute(8, || {
        let (drawn, looked) = Oracles::draw_accounts(&class(), &[1; 32], 20, WEFT, &[ORACLE].into_iter().collect());
        assert_eq!((drawn.len(), looked), (8, 64 + 450));
        let (none, _) = Oracles::draw_accounts(&class(), &[1; 32], 20, BONDED + 1, &Default::default());
        assert!(none.is_empty());
    });
}

#[test]
fn draws_should_move_on_when_the_block_has_no_weight_left() {
    build_and_execute(8, || {
        // GIVEN twenty jobs taken in one block
        let oracles: Vec<_> = [ORACLE].into_iter().chain(OTHERS).collect();
        for job in 0..20u32 {
            submit(1);
            assert_ok!(Oracles::take(signed(&oracles[job as usize % oracles.len()]), job));
        }
        let drawn = || {
            let phase_of = |job| phase(RunKey::Job(job));
            (0..20u32).map(|job| phase_of(job) == Phase::Running).collect::<Vec<_>>()
        };
        blocks(2);
        // THEN the first ones are drawn, the rest in the same order in the next blocks
        let first = drawn().iter().filter(|is| **is).count();
        assert!((1..20).contains(&first), "{first}");
        assert!(drawn().is_sorted_by(|a, b| a >= b));
        Oracles::do_try_state().unwrap();
        blocks(20);
        assert!(drawn().into_iter().all(|is| is));
    });
}

#[test]
fn a_draw_should_be_dropped_when_no_run_waits_for_it() {
    build_and_execute(1, || {
        // GIVEN a draw of a run that waits for another one, and one of a run that there is not
        submit(1);
        take(0);
        assert_eq!(phase(JOB), Phase::Running);
        let draws = vec![Draw::Jury(JOB), Draw::Seed(RunKey::Job(7))];
        Draws::<Test>::insert(Time::now() + 1, BoundedVec::try_from(draws).unwrap());
        // WHEN they are due THEN nothing is made, and nothing tried again
        next_block();
        assert_eq!(Draws::<Test>::iter().count(), 0);
        assert_eq!(phase(JOB), Phase::Running);
    });
}

#[test]
fn a_draw_that_fails_should_go_behind_all_others() {
    build_and_execute(2, || {
        // GIVEN two jobs taken one after the other, of which the first has lost its terms
        submit(1);
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        next_block();
        assert_ok!(Oracles::take(signed(&OTHERS[0]), 1));
        let lost = pallet_models::Jobs::<Test>::take(0).unwrap();
        // WHEN its draw fails THEN it waits behind that of the other, which is made
        next_block();
        let second = Draw::Seed(RunKey::Job(1));
        assert_eq!(Draws::<Test>::get(Time::now() + 1).into_inner(), [second, Draw::Seed(JOB)]);
        next_block();
        assert_eq!(phase(RunKey::Job(1)), Phase::Running);
        assert_eq!(phase(JOB), Phase::Seeding);
        // AND it is made when it can be
        pallet_models::Jobs::<Test>::insert(0, lost);
        next_block();
        assert_eq!(phase(JOB), Phase::Running);
    });
}

#[test]
fn poke_should_queue_a_draw_that_was_lost() {
    build_and_execute(1, || {
        submit(1);
        assert_ok!(Oracles::take(signed(&ORACLE), 0));
        assert_noop!(poke(0), Error::<Test>::NotDue);
        Draws::<Test>::remove(Time::now() + 2);
        blocks(5);
        assert_eq!(phase(JOB), Phase::Seeding);
        assert_ok!(poke(0));
        assert_noop!(poke(0), Error::<Test>::NotDue);
        blocks(2);
        assert_eq!(phase(JOB), Phase::Running);
    });
}
