use crate::{mock::*, types::*, Error, Event, HoldReason, Peaks, Votes};
use frame::testing_prelude::*;
use weft_protocol::mmr::{self, Mmr};

fn state(id: u32, n: u32) -> ContributionState {
    Datanets::contribution(id, n).unwrap().state
}

#[test]
fn review_should_append_a_leaf_when_owner_accepts() {
    build_and_execute(|| {
        // GIVEN
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        // WHEN
        assert_ok!(Datanets::review(signed(OWNER), id, n, Verdict::Accept, None, Some([3; 32])));
        // THEN the range holds exactly this leaf
        let mut range = Mmr::default();
        range.append(mmr::leaf(&[5; 32], &root(1), 0, 20, 0), 20).unwrap();
        let net = Datanets::datanet(id).unwrap();
        assert_eq!((net.leaves, net.records, net.bytes, net.pending), (1, 20, 4_000, 0));
        assert_eq!(net.root, range.snapshot_root());
        assert_eq!(Peaks::<Test>::get(id).into_inner(), range.peaks);
        let leaf = Leaf { index: 0, first: 0 };
        let item = Datanets::contribution(id, n).unwrap();
        assert_eq!((item.state, item.leaf, item.note), (ContributionState::Accepted, Some(leaf), Some([3; 32])));
        assert_eq!(last_event(), Event::Accepted { datanet: id, contribution: n, who: ALICE, leaf });
        assert_eq!(Datanets::standing(ALICE), Standing { accepted: 1, rejected: 0, struck: 0 });
        // and both deposits stay
        assert_eq!(held(HoldReason::Storage, &ALICE), STORAGE_DEPOSIT);
        assert_eq!(held(HoldReason::Risk, &ALICE), RISK_DEPOSIT);
    });
}

#[test]
fn review_should_place_the_second_leaf_behind_the_first_when_accepted() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let a = contribute(&ALICE, id, root(1));
        let b = contribute(&BOB, id, root(2));
        // The later contribution is accepted first: leaves follow acceptance, sequences do not change.
        assert_ok!(accept(&OWNER, id, b));
        assert_ok!(accept(&OWNER, id, a));
        assert_eq!(Datanets::contribution(id, b).unwrap().leaf, Some(Leaf { index: 0, first: 0 }));
        assert_eq!(Datanets::contribution(id, a).unwrap().leaf, Some(Leaf { index: 1, first: 20 }));
    });
}

#[test]
fn review_should_free_deposits_when_reason_is_mild() {
    for code in [
        RejectCode::Duplicate,
        RejectCode::Format,
        RejectCode::OffTopic,
        RejectCode::Quality,
        RejectCode::PersonalData,
        RejectCode::Other,
    ] {
        build_and_execute(|| {
            let id = datanet(Rule::Owner);
            let n = contribute(&ALICE, id, root(1));
            assert_ok!(reject(&OWNER, id, n, code));
            let item = Datanets::contribution(id, n).unwrap();
            assert_eq!((item.state, item.reason), (ContributionState::Rejected, Some(code)));
            assert_eq!((item.storage, item.risk, item.leaf), (0, 0, None));
            assert_eq!(free(&ALICE), START);
            let event = Event::Rejected { datanet: id, contribution: n, who: ALICE, code, forfeited: 0 };
            assert_eq!(last_event(), event);
            assert_eq!(Datanets::standing(ALICE), Standing { accepted: 0, rejected: 1, struck: 0 });
        });
    }
}

#[test]
fn review_should_send_the_risk_deposit_to_the_treasury_when_reason_is_severe() {
    for code in [RejectCode::Plagiarism, RejectCode::Malware, RejectCode::Unlawful] {
        build_and_execute(|| {
            let id = datanet(Rule::Owner);
            let n = contribute(&ALICE, id, root(1));
            let issuance = Balances::total_issuance();
            assert_ok!(reject(&OWNER, id, n, code));
            assert_eq!(free(&ALICE), START - RISK_DEPOSIT);
            assert_eq!(free(&TREASURY), WEFT + RISK_DEPOSIT);
            assert_eq!(Balances::total_issuance(), issuance);
            let event = Event::Rejected { datanet: id, contribution: n, who: ALICE, code, forfeited: RISK_DEPOSIT };
            assert_eq!(last_event(), event);
        });
    }
}

#[test]
fn review_should_decide_when_threshold_of_curators_agrees() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(2));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(accept(&CURATOR, id, n));
        assert_eq!(state(id, n), ContributionState::Pending);
        let event = Event::Voted { datanet: id, contribution: n, who: CURATOR, verdict: Verdict::Accept };
        assert_eq!(last_event(), event);
        assert_ok!(reject(&CURATOR_2, id, n, RejectCode::Quality));
        assert_eq!(state(id, n), ContributionState::Pending);
        assert_ok!(accept(&CURATOR_3, id, n));
        assert_eq!(state(id, n), ContributionState::Accepted);
        assert!(!Votes::<Test>::contains_key(id, n));
    });
}

#[test]
fn review_should_reject_when_the_threshold_cannot_be_reached_any_more() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(3));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(reject(&CURATOR, id, n, RejectCode::Format));
        assert_eq!(Datanets::contribution(id, n).unwrap().reason, Some(RejectCode::Format));
    });
}

#[test]
fn review_should_not_forfeit_when_one_curator_rejects_where_all_must_accept() {
    build_and_execute(|| {
        // GIVEN a rule that needs all three curators, so that one rejection decides
        let id = datanet(Rule::Threshold(3));
        let n = contribute(&ALICE, id, root(1));
        // WHEN that one curator says Malware
        assert_ok!(reject(&CURATOR, id, n, RejectCode::Malware));
        // THEN the contribution is refused, and its contributor loses nothing
        let item = Datanets::contribution(id, n).unwrap();
        assert_eq!((item.state, item.reason), (ContributionState::Rejected, Some(RejectCode::Other)));
        assert_eq!(free(&ALICE), START);
        assert_eq!(free(&TREASURY), WEFT);
    });
}

#[test]
fn review_should_forfeit_when_the_rule_needs_one_curator_and_that_one_is_severe() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(1));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(reject(&CURATOR, id, n, RejectCode::Unlawful));
        assert_eq!(free(&ALICE), START - RISK_DEPOSIT);
    });
}

#[test]
fn review_should_not_forfeit_when_only_the_deciding_vote_is_severe() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(2));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(reject(&CURATOR, id, n, RejectCode::Quality));
        assert_ok!(reject(&CURATOR_2, id, n, RejectCode::Malware));
        assert_eq!(Datanets::contribution(id, n).unwrap().reason, Some(RejectCode::Other));
        assert_eq!(free(&ALICE), START);
    });
}

#[test]
fn review_should_forfeit_when_every_rejection_is_severe() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(2));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(reject(&CURATOR, id, n, RejectCode::Plagiarism));
        assert_ok!(reject(&CURATOR_2, id, n, RejectCode::Malware));
        assert_eq!(Datanets::contribution(id, n).unwrap().reason, Some(RejectCode::Malware));
        assert_eq!(free(&ALICE), START - RISK_DEPOSIT);
    });
}

#[test]
fn review_should_refuse_when_voter_is_not_the_one_the_rule_names() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        assert_noop!(accept(&CURATOR, id, n), Error::<Test>::NotOwner);
        let id = datanet(Rule::Threshold(1));
        let n = contribute(&ALICE, id, root(1));
        assert_noop!(accept(&OWNER, id, n), Error::<Test>::NotCurator);
        assert_noop!(accept(&ALICE, id, n), Error::<Test>::NotCurator);
        assert_noop!(
            Datanets::review(RuntimeOrigin::root(), id, n, Verdict::Accept, None, None),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn review_should_refuse_when_curator_votes_twice() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(2));
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(accept(&CURATOR, id, n));
        assert_noop!(accept(&CURATOR, id, n), Error::<Test>::AlreadyVoted);
        assert_noop!(reject(&CURATOR, id, n, RejectCode::Other), Error::<Test>::AlreadyVoted);
    });
}

#[test]
fn review_should_refuse_when_decided() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(1));
        let a = contribute(&ALICE, id, root(1));
        let b = contribute(&ALICE, id, root(2));
        assert_ok!(accept(&CURATOR, id, a));
        assert_ok!(reject(&CURATOR, id, b, RejectCode::Other));
        assert_noop!(reject(&CURATOR_2, id, a, RejectCode::Other), Error::<Test>::AlreadyDecided);
        assert_noop!(accept(&CURATOR_2, id, b), Error::<Test>::AlreadyDecided);
    });
}

#[test]
fn review_should_refuse_when_contribution_or_datanet_is_unknown() {
    build_and_execute(|| {
        assert_noop!(accept(&CURATOR, 0, 0), Error::<Test>::UnknownDatanet);
        let id = datanet(Rule::Owner);
        assert_noop!(accept(&OWNER, id, 0), Error::<Test>::UnknownContribution);
    });
}

#[test]
fn review_should_refuse_when_code_is_missing_or_out_of_place() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        assert_noop!(Datanets::review(signed(OWNER), id, n, Verdict::Reject, None, None), Error::<Test>::CodeMissing);
        assert_noop!(
            Datanets::review(signed(OWNER), id, n, Verdict::Accept, Some(RejectCode::Other), None),
            Error::<Test>::CodeNotAllowed
        );
    });
}

#[test]
fn review_should_follow_the_rule_of_the_reveal_when_the_rule_changed() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        crate::Datanets::<Test>::mutate(id, |net| net.as_mut().unwrap().rule = Rule::Threshold(1));
        assert_noop!(accept(&CURATOR, id, n), Error::<Test>::NotOwner);
        assert_ok!(accept(&OWNER, id, n));
    });
}

#[test]
fn review_should_refuse_by_name_when_rule_is_not_built() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        for rule in [Rule::MinScore(1), Rule::Optimistic(1)] {
            crate::Contributions::<Test>::mutate(id, n, |item| item.as_mut().unwrap().rule = rule);
            assert_noop!(accept(&OWNER, id, n), Error::<Test>::RuleNotBuilt);
        }
    });
}

#[test]
fn review_should_refuse_when_the_range_is_full() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        hypothetically!({
            // 2^40 − 1 leaves have 40 peaks; 2^41 − 2 have 40, the next makes 41.
            crate::Datanets::<Test>::mutate(id, |net| net.as_mut().unwrap().leaves = (1 << 41) - 2);
            Peaks::<Test>::insert(id, PeakList::try_from(vec![[1; 32]; 40]).unwrap());
            assert_noop!(accept(&OWNER, id, n), Error::<Test>::RangeFull);
            Ok::<(), DispatchError>(())
        })
        .unwrap();
    });
}
