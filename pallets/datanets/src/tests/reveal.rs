use crate::{mock::*, types::*, Contributions, Error, Event, HoldReason, Reputation, Roots};
use frame::{deps::sp_runtime::ArithmeticError, testing_prelude::*};
use weft_protocol::record;

#[test]
fn reveal_should_store_and_swap_deposits_when_in_window() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(1));
        let hash = commit(&ALICE, id, root(1));
        advance(2);
        assert_ok!(try_reveal(&ALICE, id, root(1)));

        let item = Datanets::contribution(id, 0).unwrap();
        assert_eq!(
            (item.owner, item.root, item.content, item.records, item.bytes),
            (ALICE, root(1), CONTENT, 20, 4_000)
        );
        assert_eq!((item.state, item.rule, item.sequence), (ContributionState::Pending, Rule::Threshold(1), 0));
        assert_eq!((item.leaf, item.reason, item.decided), (None, None, None));
        assert_eq!(Datanets::commitment(ALICE, hash), None);
        assert_eq!(held(HoldReason::Commit, &ALICE), 0);
        assert_eq!(held(HoldReason::Storage, &ALICE), STORAGE_DEPOSIT);
        assert_eq!(held(HoldReason::Risk, &ALICE), RISK_DEPOSIT);
        let event =
            Event::Revealed { datanet: id, contribution: 0, who: ALICE, root: root(1), records: 20, bytes: 4_000 };
        assert_eq!(last_event(), event);
    });
}

#[test]
fn reveal_should_price_storage_by_started_mib_when_blob_is_large() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        let bytes = 2 * MIB + 1;
        assert_ok!(Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, 1, bytes, None));
        assert_eq!(held(HoldReason::Storage, &ALICE), 3 * STORAGE_DEPOSIT);
    });
}

#[test]
fn reveal_should_refuse_when_earlier_than_two_blocks() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(1);
        assert_noop!(try_reveal(&ALICE, id, root(1)), Error::<Test>::RevealTooEarly);
        advance(1);
        assert_ok!(try_reveal(&ALICE, id, root(1)));
    });
}

#[test]
fn reveal_should_refuse_when_window_is_over() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        commit(&BOB, id, root(2));
        advance(u64::from(COMMIT_WINDOW));
        assert_ok!(try_reveal(&ALICE, id, root(1)));
        advance(1);
        assert_noop!(try_reveal(&BOB, id, root(2)), Error::<Test>::RevealTooLate);
    });
}

#[test]
fn reveal_should_refuse_when_nothing_was_committed() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        // Another root, another account (a copied reveal), another salt.
        assert_noop!(try_reveal(&ALICE, id, root(2)), Error::<Test>::UnknownCommitment);
        assert_noop!(try_reveal(&BOB, id, root(1)), Error::<Test>::UnknownCommitment);
        assert_noop!(
            Datanets::reveal(signed(ALICE), id, root(1), [0; 32], CONTENT, 20, 4_000, None),
            Error::<Test>::UnknownCommitment
        );
    });
}

#[test]
fn reveal_should_refuse_when_only_another_account_committed_the_hash() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let hash = hash_of(&ALICE, id, &root(1));
        assert_ok!(Datanets::commit(signed(BOB), id, hash));
        advance(2);
        assert_noop!(try_reveal(&ALICE, id, root(1)), Error::<Test>::UnknownCommitment);
        assert_noop!(try_reveal(&BOB, id, root(1)), Error::<Test>::UnknownCommitment);
    });
}

#[test]
fn reveal_should_displace_a_later_commitment_when_that_waits_for_its_verdict() {
    build_and_execute(|| {
        // GIVEN two commitments to one root, of which the later is revealed first and has a vote
        let id = datanet(Rule::Threshold(2));
        commit(&ALICE, id, root(1));
        let later = contribute(&BOB, id, root(1));
        assert_ok!(accept(&CURATOR, id, later));
        // WHEN the earlier is revealed
        assert_ok!(try_reveal(&ALICE, id, root(1)));
        // THEN it owns the root, and the later one is a duplicate that lost nothing
        let item = Datanets::contribution(id, later).unwrap();
        assert_eq!((item.state, item.reason), (ContributionState::Rejected, Some(RejectCode::Duplicate)));
        assert_eq!(free(&BOB), START);
        assert_eq!(Reputation::<Test>::get(&BOB), Standing::default());
        assert_eq!(Roots::<Test>::get(id, root(1)), Some(1));
        let net = Datanets::datanet(id).unwrap();
        assert_eq!((net.contributions, net.pending, net.open), (2, 1, 0));
        assert_eq!(Datanets::votes(id, later), Votes::default());
        assert_noop!(accept(&CURATOR_2, id, later), Error::<Test>::AlreadyDecided);
        assert_ok!(accept(&CURATOR, id, 1));
        assert_ok!(accept(&CURATOR_2, id, 1));
    });
}

#[test]
fn reveal_should_refuse_when_an_earlier_commitment_brings_another_content() {
    build_and_execute(|| {
        // GIVEN a squatter's commitment to a root, and the author's contribution that waits for its verdict
        let id = datanet(Rule::Owner);
        let hash = commit(&ALICE, id, root(1));
        let later = contribute(&BOB, id, root(1));
        // WHEN the squatter opens it with another blob or other counts
        for (content, records, bytes) in [([0xbd; 32], 20, 4_000), (CONTENT, 19, 4_000), (CONTENT, 20, 4_001)] {
            assert_noop!(
                Datanets::reveal(signed(ALICE), id, root(1), SALT, content, records, bytes, None),
                Error::<Test>::RootAlreadyUsed
            );
        }
        // THEN the author's stays, and the commitment forfeits unless the truth is revealed
        assert_eq!(Datanets::contribution(id, later).unwrap().state, ContributionState::Pending);
        assert!(Datanets::commitment(ALICE, hash).is_some());
        assert_eq!(held(HoldReason::Commit, &ALICE), COMMIT_DEPOSIT);
    });
}

#[test]
fn reveal_should_refuse_when_the_account_has_the_root_itself() {
    build_and_execute(|| {
        // GIVEN two commitments of one account to one root, of which the later is revealed
        let id = datanet(Rule::Owner);
        let other_salt = [0x5b; 32];
        let earlier = record::commitment(id, &root(1), &other_salt, ALICE.as_ref());
        assert_ok!(Datanets::commit(signed(ALICE), id, earlier));
        contribute(&ALICE, id, root(1));
        // THEN the earlier does not displace it
        assert_noop!(
            Datanets::reveal(signed(ALICE), id, root(1), other_salt, CONTENT, 20, 4_000, None),
            Error::<Test>::RootAlreadyUsed
        );
    });
}

#[test]
fn reveal_should_free_the_commit_deposit_when_a_later_commitment_was_accepted() {
    build_and_execute(|| {
        // GIVEN a later commitment to the same root that is in the Datanet
        let id = datanet(Rule::Owner);
        let hash = commit(&ALICE, id, root(1));
        let later = contribute(&BOB, id, root(1));
        assert_ok!(accept(&OWNER, id, later));
        // WHEN the earlier is revealed
        assert_ok!(try_reveal(&ALICE, id, root(1)));
        // THEN nothing is stored, and nothing is lost
        assert_eq!(Datanets::datanet(id).unwrap().contributions, 1);
        assert_eq!(Datanets::commitment(ALICE, hash), None);
        assert_eq!(free(&ALICE), START);
        let event = Event::RevealSuperseded { datanet: id, contribution: later, who: ALICE, freed: COMMIT_DEPOSIT };
        assert_eq!(last_event(), event);
    });
}

#[test]
fn reveal_should_refuse_when_records_do_not_fit_into_the_bytes() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        for (records, bytes) in [(10, 19), (u32::MAX, 4_000)] {
            assert_noop!(
                Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, records, bytes, None),
                Error::<Test>::TooManyRecords
            );
        }
        assert_ok!(Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, 10, 20, None));
    });
}

#[test]
fn reveal_should_refuse_when_hash_was_committed_to_another_datanet() {
    build_and_execute(|| {
        let (here, there) = (datanet(Rule::Owner), datanet(Rule::Owner));
        let hash = hash_of(&ALICE, here, &root(1));
        assert_ok!(Datanets::commit(signed(ALICE), there, hash));
        advance(2);
        assert_noop!(try_reveal(&ALICE, here, root(1)), Error::<Test>::CommitmentMismatch);
    });
}

#[test]
fn reveal_should_refuse_when_root_is_there_but_take_it_elsewhere() {
    build_and_execute(|| {
        let (here, there) = (datanet(Rule::Owner), datanet(Rule::Owner));
        contribute(&ALICE, here, root(1));
        commit(&BOB, here, root(1));
        commit(&BOB, there, root(1));
        advance(2);
        assert_noop!(try_reveal(&BOB, here, root(1)), Error::<Test>::RootAlreadyUsed);
        assert_ok!(try_reveal(&BOB, there, root(1)));
    });
}

#[test]
fn reveal_should_take_a_root_again_when_it_was_rejected() {
    build_and_execute(|| {
        // GIVEN a thief who was refused
        let id = datanet(Rule::Owner);
        let n = contribute(&BOB, id, root(1));
        assert_ok!(reject(&OWNER, id, n, RejectCode::Plagiarism));
        assert!(!Roots::<Test>::contains_key(id, root(1)));
        // THEN the author can bring the records
        assert_eq!(contribute(&ALICE, id, root(1)), 1);
    });
}

#[test]
fn reveal_should_refuse_when_empty() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        for (records, bytes) in [(0, 10), (10, 0)] {
            assert_noop!(
                Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, records, bytes, None),
                Error::<Test>::EmptyContribution
            );
        }
    });
}

#[test]
fn reveal_should_refuse_by_name_when_hashes_are_given() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        assert_noop!(
            Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, 20, 4_000, Some(Default::default())),
            Error::<Test>::HashIndexNotBuilt
        );
    });
}

#[test]
fn reveal_should_refuse_when_datanet_is_unknown_or_closed() {
    build_and_execute(|| {
        assert_noop!(try_reveal(&ALICE, 0, root(1)), Error::<Test>::UnknownDatanet);
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        close(id);
        assert_noop!(try_reveal(&ALICE, id, root(1)), Error::<Test>::DatanetClosed);
    });
}

#[test]
fn reveal_should_refuse_when_storage_is_unaffordable() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        assert_noop!(
            Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, 20, 2_000 * MIB, None),
            TokenError::FundsUnavailable
        );
        // The largest size there is does not overflow u128, but nobody can pay it.
        assert_noop!(
            Datanets::reveal(signed(ALICE), id, root(1), SALT, CONTENT, 20, u64::MAX, None),
            TokenError::FundsUnavailable
        );
        assert_noop!(
            Datanets::reveal(RuntimeOrigin::root(), id, root(1), SALT, CONTENT, 20, 1, None),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn reveal_should_refuse_when_contributions_are_used_up() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        commit(&ALICE, id, root(1));
        advance(2);
        hypothetically!({
            crate::Datanets::<Test>::mutate(id, |net| net.as_mut().unwrap().contributions = u32::MAX);
            assert_noop!(try_reveal(&ALICE, id, root(1)), ArithmeticError::Overflow);
            Ok::<(), DispatchError>(())
        })
        .unwrap();
        assert_eq!(Contributions::<Test>::iter().count(), 0);
    });
}
