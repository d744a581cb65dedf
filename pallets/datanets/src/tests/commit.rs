use crate::{mock::*, types::*, Activities, CommitHead, Commitments, Error, Event, HoldReason, Params};
use frame::testing_prelude::*;
use weft_protocol::hash::Hash;

fn plain(who: AccountId, id: u32, hash: Hash) -> DispatchResult {
    Datanets::commit(signed(who), id, hash)
}

/// Blocks of a day at slots of two seconds.
const DAY: u64 = 43_200;

#[test]
fn commit_should_take_the_next_sequence_when_open() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        assert_ok!(plain(ALICE, id, [1; 32]));
        assert_ok!(plain(BOB, id, [2; 32]));

        let first = Datanets::commitment(ALICE, [1; 32]).unwrap();
        assert_eq!((first.datanet, first.sequence, first.block), (id, 0, 1));
        assert_eq!(Datanets::commitment(BOB, [2; 32]).unwrap().sequence, 1);
        assert_eq!(Datanets::commitment(BOB, [1; 32]), None);
        assert_eq!(held(HoldReason::Commit, &ALICE), COMMIT_DEPOSIT);
        let expires = 1 + COMMIT_WINDOW;
        assert_eq!(last_event(), Event::Committed { datanet: id, who: BOB, hash: [2; 32], sequence: 1, expires });
    });
}

#[test]
fn commit_should_refuse_when_datanet_is_unknown_or_closed() {
    build_and_execute(|| {
        assert_noop!(plain(ALICE, 0, [1; 32]), Error::<Test>::UnknownDatanet);
        let id = datanet(Rule::Owner);
        close(id);
        assert_noop!(plain(ALICE, id, [1; 32]), Error::<Test>::DatanetClosed);
    });
}

#[test]
fn commit_should_refuse_when_hash_is_open_already() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        assert_ok!(plain(ALICE, id, [1; 32]));
        assert_noop!(plain(ALICE, id, [1; 32]), Error::<Test>::CommitmentExists);
    });
}

#[test]
fn commit_should_pass_when_another_account_copied_the_hash() {
    build_and_execute(|| {
        // GIVEN a copy that was in a block before the original
        let id = datanet(Rule::Owner);
        let hash = hash_of(&ALICE, id, &root(1));
        assert_ok!(plain(BOB, id, hash));
        // THEN it blocks nobody, and opens for nobody
        assert_ok!(plain(ALICE, id, hash));
        advance(2);
        assert_noop!(try_reveal(&BOB, id, root(1)), Error::<Test>::UnknownCommitment);
        assert_ok!(try_reveal(&ALICE, id, root(1)));
        assert_eq!(held(HoldReason::Commit, &BOB), COMMIT_DEPOSIT);
    });
}

#[test]
fn commit_should_refuse_when_thirty_two_are_open() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        for n in 0..32 {
            assert_ok!(plain(ALICE, id, [n; 32]));
        }
        assert_noop!(plain(ALICE, id, [99; 32]), Error::<Test>::TooManyOpen);
        // Another account is not concerned.
        assert_ok!(plain(BOB, id, [99; 32]));
    });
}

#[test]
fn commit_should_refuse_when_daily_limit_is_reached_until_the_next_day() {
    build_and_execute(|| {
        Params::<Test>::mutate(|params| params.commits_per_day = 2);
        let id = datanet(Rule::Owner);
        assert_ok!(plain(ALICE, id, [1; 32]));
        assert_ok!(plain(ALICE, id, [2; 32]));
        assert_noop!(plain(ALICE, id, [3; 32]), Error::<Test>::RateLimited);
        System::set_block_number(DAY - 1);
        assert_noop!(plain(ALICE, id, [3; 32]), Error::<Test>::RateLimited);
        System::set_block_number(DAY);
        assert_ok!(plain(ALICE, id, [3; 32]));
    });
}

#[test]
fn commit_should_refuse_when_account_cannot_pay_or_is_nobody() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        assert_noop!(plain(POOR, id, [1; 32]), TokenError::FundsUnavailable);
        assert_noop!(Datanets::commit(RuntimeOrigin::none(), id, [1; 32]), DispatchError::BadOrigin);
    });
}

#[test]
fn commit_should_expire_two_due_commitments_when_called() {
    build_and_execute(|| {
        // GIVEN three commitments whose window is over
        let id = datanet(Rule::Owner);
        for n in 1..=3 {
            assert_ok!(plain(ALICE, id, [n; 32]));
        }
        advance(u64::from(COMMIT_WINDOW) + 1);
        // WHEN somebody commits
        assert_ok!(plain(BOB, id, [4; 32]));
        // THEN the two oldest are gone and their deposits are the treasury's
        assert_eq!(Commitments::<Test>::iter().count(), 2);
        assert_eq!(CommitHead::<Test>::get(), 2);
        assert_eq!(free(&TREASURY), WEFT + 2 * COMMIT_DEPOSIT);
        assert_eq!(held(HoldReason::Commit, &ALICE), COMMIT_DEPOSIT);
        assert_eq!(Activities::<Test>::get(ALICE).open, 1);
        let event = Event::CommitmentExpired { datanet: id, who: ALICE, hash: [2; 32], forfeited: COMMIT_DEPOSIT };
        assert_eq!(last_event(), event);
    });
}

#[test]
fn commit_should_forget_the_day_when_account_is_done() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        System::set_block_number(DAY);
        commit(&BOB, id, root(2));
        // ALICE's only commitment expired on a later day: nothing is kept of her.
        assert!(!Activities::<Test>::contains_key(ALICE));
        assert_eq!(Activities::<Test>::get(BOB), Activity { day: 1, commits: 1, open: 1 });
    });
}
