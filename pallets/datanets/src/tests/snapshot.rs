use crate::{mock::*, types::*, Error, Event, Params};
use frame::testing_prelude::*;

fn filled() -> u32 {
    let id = datanet(Rule::Owner);
    let n = contribute(&ALICE, id, root(1));
    assert_ok!(accept(&OWNER, id, n));
    id
}

#[test]
fn snapshot_should_freeze_root_and_counts_when_leaves_are_new() {
    build_and_execute(|| {
        let id = filled();
        assert_ok!(Datanets::snapshot(signed(BOB), id));
        let net = Datanets::datanet(id).unwrap();
        let info = Datanets::snapshot_info(id, 0).unwrap();
        assert_eq!((info.root, info.leaves, info.records, info.bytes), (net.root, 1, 20, 4_000));
        assert_eq!(u64::from(info.block), System::block_number());
        assert_eq!(last_event(), Event::SnapshotTaken { datanet: id, snapshot: 0, root: net.root, records: 20 });

        // Later contributions do not change it.
        let n = contribute(&BOB, id, root(2));
        assert_ok!(accept(&OWNER, id, n));
        assert_eq!(Datanets::snapshot_info(id, 0).unwrap(), info);
        assert_ok!(Datanets::snapshot(signed(BOB), id));
        assert_eq!(Datanets::snapshot_info(id, 1).unwrap().leaves, 2);
    });
}

#[test]
fn snapshot_should_refuse_when_the_interval_is_not_over() {
    build_and_execute(|| {
        Params::<Test>::mutate(|params| params.snapshot_interval = 10);
        let id = filled();
        assert_ok!(Datanets::snapshot(signed(BOB), id));
        let n = contribute(&BOB, id, root(2));
        assert_ok!(accept(&OWNER, id, n));
        assert_noop!(Datanets::snapshot(signed(BOB), id), Error::<Test>::SnapshotTooSoon);
        advance(8);
        assert_ok!(Datanets::snapshot(signed(BOB), id));
    });
}

#[test]
fn snapshot_should_refuse_when_nothing_is_new() {
    build_and_execute(|| {
        let empty = datanet(Rule::Owner);
        assert_noop!(Datanets::snapshot(signed(BOB), empty), Error::<Test>::NoNewLeaves);
        let id = filled();
        assert_ok!(Datanets::snapshot(signed(BOB), id));
        advance(5);
        assert_noop!(Datanets::snapshot(signed(BOB), id), Error::<Test>::NoNewLeaves);
    });
}

#[test]
fn snapshot_should_refuse_when_datanet_is_unknown_or_caller_is_nobody() {
    build_and_execute(|| {
        assert_noop!(Datanets::snapshot(signed(BOB), 0), Error::<Test>::UnknownDatanet);
        assert_noop!(Datanets::snapshot(RuntimeOrigin::none(), 0), DispatchError::BadOrigin);
    });
}

#[test]
fn snapshot_should_still_be_taken_when_datanet_is_closed() {
    build_and_execute(|| {
        let id = filled();
        close(id);
        assert_ok!(Datanets::snapshot(signed(BOB), id));
    });
}
