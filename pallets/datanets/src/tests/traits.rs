use crate::{mock::*, types::*, Datanets as Stored, Reserves};
use frame::testing_prelude::*;
use weft_protocol::merkle;
use weft_traits::{DatanetInspect, SnapshotInfo};

#[test]
fn inspect_should_answer_what_is_stored_when_asked() {
    build_and_execute(|| {
        assert_eq!(<Datanets as DatanetInspect<AccountId>>::owner(0), None);
        assert!(!<Datanets as DatanetInspect<AccountId>>::is_open(0));
        let id = datanet(Rule::Owner);
        let n = contribute(&ALICE, id, root(1));
        assert_ok!(accept(&OWNER, id, n));
        assert_ok!(Datanets::snapshot(signed(OWNER), id));

        assert_eq!(<Datanets as DatanetInspect<AccountId>>::owner(id), Some(OWNER));
        assert_eq!(<Datanets as DatanetInspect<AccountId>>::curators(id), vec![CURATOR, CURATOR_2, CURATOR_3]);
        assert!(<Datanets as DatanetInspect<AccountId>>::is_open(id));
        let info = <Datanets as DatanetInspect<AccountId>>::snapshot(id, 0);
        assert_eq!(info, Datanets::snapshot_info(id, 0));
        assert_eq!(<Datanets as DatanetInspect<AccountId>>::snapshot(id, 1), None);
        close(id);
        assert!(!<Datanets as DatanetInspect<AccountId>>::is_open(id));
    });
}

#[test]
fn probe_root_should_be_zero_without_reserves_and_their_root_when_sealed() {
    build_and_execute(|| {
        let id = datanet(Rule::Owner);
        assert_eq!(<Datanets as DatanetInspect<AccountId>>::probe_root(id), [0; 32]);
        for r in 0..2u8 {
            let reserve = Reserve { curator: CURATOR, root: root(r), records: 8, sequence: 0 };
            Reserves::<Test>::insert(id, u32::from(r), reserve);
        }
        Stored::<Test>::mutate(id, |net| net.as_mut().unwrap().reserves = 2);
        assert_eq!(<Datanets as DatanetInspect<AccountId>>::probe_root(id), merkle::root(&[root(0), root(1)]));
    });
}

#[test]
fn put_for_tests_should_make_a_usable_snapshot_when_called() {
    new_state(|| {
        let info = SnapshotInfo { root: root(1), leaves: 3, records: 60, bytes: 9_000, block: 1 };
        <Datanets as DatanetInspect<AccountId>>::put_for_tests(4, BOB, info.clone());
        assert_eq!(<Datanets as DatanetInspect<AccountId>>::snapshot(4, 0), Some(info));
        assert!(<Datanets as DatanetInspect<AccountId>>::is_open(4));
    });
}

/// A chain whose invariants are not checked: the helper stores a Datanet without its contributions.
fn new_state(test: impl FnOnce()) {
    TestState::default().execute_with(test);
}
