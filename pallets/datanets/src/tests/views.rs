use crate::{mock::*, types::*};
use frame::testing_prelude::*;
use weft_protocol::merkle;

#[test]
fn funnel_should_say_how_far_and_why_when_asked() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        let (a, b, c) =
            (contribute(&ALICE, id, root(1)), contribute(&ALICE, id, root(2)), contribute(&BOB, id, root(3)));
        let funnel = Datanets::funnel(id, a).unwrap();
        assert_eq!((funnel.submitted, funnel.accepted, funnel.snapshot), (20, 0, None));
        assert_eq!((funnel.state, funnel.risk_free_at), (ContributionState::Pending, None));

        assert_ok!(accept(&OWNER, id, a));
        assert_ok!(Datanets::snapshot(signed(OWNER), id));
        assert_ok!(reject(&OWNER, id, b, RejectCode::OffTopic));
        assert_ok!(accept(&OWNER, id, c));
        let funnel = Datanets::funnel(id, a).unwrap();
        assert_eq!((funnel.accepted, funnel.snapshot, funnel.state), (20, Some(0), ContributionState::Accepted));
        let accepted_at = u32::try_from(System::block_number()).unwrap();
        assert_eq!(funnel.risk_free_at, Some(accepted_at + DUPLICATE_WINDOW));
        let funnel = Datanets::funnel(id, b).unwrap();
        assert_eq!((funnel.accepted, funnel.reason), (0, Some(RejectCode::OffTopic)));
        assert_eq!(Datanets::funnel(id, c).unwrap().snapshot, None);
        advance(1);
        assert_ok!(Datanets::snapshot(signed(OWNER), id));
        assert_eq!(Datanets::funnel(id, c).unwrap().snapshot, Some(1));
        assert_eq!(Datanets::funnel(id, a).unwrap().snapshot, Some(0));
        assert_eq!(Datanets::funnel(id, 9), None);
    });
}

#[test]
fn lists_should_be_paged_when_asked_for_a_part() {
    build_and_execute(|| {
        let id = datanet(Rule::Threshold(2));
        for r in 1..=5 {
            contribute(&ALICE, id, root(r));
        }
        assert_ok!(accept(&CURATOR, id, 0));
        let numbers =
            |from, limit| Datanets::contributions(id, from, limit).into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(numbers(0, 2), vec![0, 1]);
        assert_eq!(numbers(3, u32::MAX), vec![3, 4]);
        assert_eq!(numbers(u32::MAX, 1), Vec::<u32>::new());
        assert_eq!(Datanets::votes(id, 0), Votes { version: 1, accepts: 1, rejects: 0, severe: 0 });
        assert_eq!(Datanets::snapshots(id, 0, 10), vec![]);
        assert_eq!(Datanets::next_datanet(), 1);
        assert_eq!(Datanets::contributions(7, 0, 10), vec![]);
    });
}

#[test]
fn record_owner_should_be_found_when_the_path_leads_to_an_accepted_contribution() {
    build_and_execute(|| {
        // GIVEN an accepted contribution before one of 20 real leaves
        let id = datanet(Rule::Owner);
        let before = contribute(&BOB, id, root(1));
        assert_ok!(accept(&OWNER, id, before));
        let leaves: Vec<_> = (0..20).map(|n| [n; 32]).collect();
        let n = contribute(&ALICE, id, merkle::root(&leaves));
        let path = merkle::proof(&leaves, 7).unwrap();
        let proof = RecordProof { datanet: id, contribution: n, index: 7, leaf: leaves[7], path };
        // THEN it owns nothing before its acceptance
        assert_eq!(Datanets::record_owner(proof.clone()), None);
        assert_ok!(accept(&OWNER, id, n));
        let owner = Datanets::record_owner(proof.clone()).unwrap();
        assert_eq!(owner, RecordOwner { owner: ALICE, position: 27, sequence: 1 });
        // and no other record, position or contribution is proved by this path
        assert_eq!(Datanets::record_owner(RecordProof { index: 6, ..proof.clone() }), None);
        assert_eq!(Datanets::record_owner(RecordProof { leaf: leaves[6], ..proof.clone() }), None);
        assert_eq!(Datanets::record_owner(RecordProof { contribution: before, ..proof.clone() }), None);
        assert_eq!(Datanets::record_owner(RecordProof { datanet: 9, ..proof }), None);
    });
}
