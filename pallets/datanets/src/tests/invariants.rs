//! Each numbered invariant fails when the state is broken.

use crate::{
    deposits, mock::*, types::*, CommitHead, CommitQueue, Commitments, Contributions, Datanets as Stored, HoldReason,
    Peaks, RecordIndex, RiskQueue, Roots, Snapshots, Vouchers,
};
use frame::testing_prelude::*;

/// A Datanet with one accepted contribution of ALICE and a snapshot.
fn filled() -> u32 {
    let id = datanet(Rule::Owner);
    let n = contribute(&ALICE, id, root(1));
    assert_ok!(accept(&OWNER, id, n));
    assert_ok!(Datanets::snapshot(signed(OWNER), id));
    id
}

fn change(id: u32, f: impl FnOnce(&mut Datanet<AccountId>)) {
    Stored::<Test>::mutate(id, |net| f(net.as_mut().unwrap()));
}

fn change_item(id: u32, n: u32, f: impl FnOnce(&mut Contribution<AccountId>)) {
    Contributions::<Test>::mutate(id, n, |item| f(item.as_mut().unwrap()));
}

#[test]
fn d1_should_fail_when_a_hold_is_not_recorded() {
    // Of accounts with a record, and of one without any.
    for who in [OWNER, ALICE, BOB] {
        for reason in
            [HoldReason::Datanet, HoldReason::Commit, HoldReason::Storage, HoldReason::Risk, HoldReason::Cluster]
        {
            build_and_break("D1: holds are not the recorded deposits", || {
                filled();
                assert_ok!(deposits::hold::<Test>(reason, &who, 1));
            });
        }
    }
}

#[test]
fn d1_should_fail_when_a_recorded_deposit_is_not_held() {
    build_and_break("D1: holds are not the recorded deposits", || {
        let id = filled();
        commit(&BOB, id, root(2));
        assert_ok!(deposits::release::<Test>(HoldReason::Commit, &BOB, COMMIT_DEPOSIT));
    });
}

#[test]
fn d2_should_fail_when_peaks_do_not_bag_to_the_root() {
    build_and_break("D2: peaks do not bag to the stored root", || {
        let id = filled();
        Peaks::<Test>::mutate(id, |peaks| peaks[0][0] ^= 1);
    });
}

#[test]
fn d2_should_fail_when_size_is_not_accepts_and_tombstones() {
    build_and_break("D2: the size is not accepts and tombstones", || {
        let id = filled();
        change(id, |net| net.tombstones = 1);
    });
}

#[test]
fn d2_should_fail_when_records_are_not_the_sum() {
    build_and_break("D2: records are not the sum of the leaves'", || {
        let id = filled();
        change_item(id, 0, |item| item.records += 1);
    });
    build_and_break("D2: a leaf does not begin where the one before ends", || {
        let id = filled();
        change_item(id, 0, |item| item.leaf = Some(Leaf { index: 0, first: 5 }));
    });
}

#[test]
fn d2_should_fail_when_a_leaf_has_no_acceptance() {
    build_and_break("D2: a leaf without acceptance, or the reverse", || {
        let id = filled();
        change_item(id, 0, |item| item.state = ContributionState::Pending);
    });
}

#[test]
fn d3_should_fail_when_an_index_entry_has_no_contribution() {
    build_and_break("D3: an indexed record without contribution", || {
        RecordIndex::<Test>::insert(filled(), root(5), 7);
    });
}

#[test]
fn d3_should_fail_when_a_root_is_not_its_contributions() {
    build_and_break("D3: a root that its contribution does not have", || {
        Roots::<Test>::insert(filled(), root(5), 0);
    });
    build_and_break("D3: two contributions with one root", || {
        Roots::<Test>::remove(filled(), root(1));
    });
}

#[test]
fn d4_should_fail_when_snapshots_do_not_grow() {
    build_and_break("D4: snapshot sizes do not grow", || {
        let id = filled();
        let again = Snapshots::<Test>::get(id, 0).unwrap();
        Snapshots::<Test>::insert(id, 1, again);
        change(id, |net| net.snapshots = 2);
    });
    build_and_break("D4: a snapshot is missing", || change(filled(), |net| net.snapshots = 2));
    build_and_break("D4: a snapshot beyond the count", || change(filled(), |net| net.snapshots = 0));
    build_and_break("D4: a snapshot is larger than its Datanet", || {
        Snapshots::<Test>::mutate(filled(), 0, |info| info.as_mut().unwrap().leaves = 9);
    });
}

#[test]
fn d5_should_fail_when_a_voucher_has_no_pot() {
    build_and_break("D5: a voucher without a pot", || {
        Vouchers::<Test>::insert(filled(), BOB, Voucher { calls: 1, bytes: 1, expiry: 1 });
    });
}

#[test]
fn d6_should_fail_when_counts_are_wrong() {
    build_and_break("D6: a Datanet's count of open commitments is wrong", || change(filled(), |net| net.open = 1));
    build_and_break("D6: a Datanet's count of contributions is wrong", || {
        change(filled(), |net| net.contributions = 4);
    });
    build_and_break("D6: a Datanet's count of pending contributions is wrong", || {
        change(filled(), |net| net.pending = 1);
    });
    build_and_break("D6: an account's count of open commitments is wrong", || {
        let id = filled();
        commit(&BOB, id, root(2));
        crate::Activities::<Test>::mutate(BOB, |activity| activity.open = 2);
    });
    build_and_break("D6: an account's open commitments are not counted", || {
        let id = filled();
        commit(&BOB, id, root(2));
        crate::Activities::<Test>::remove(BOB);
    });
}

#[test]
fn d7_should_fail_when_a_deposit_waits_in_no_queue() {
    build_and_break("D7: a commitment outside the queue", || {
        let id = filled();
        let hash = commit(&BOB, id, root(2));
        CommitQueue::<Test>::remove(Commitments::<Test>::get(BOB, hash).unwrap().sequence);
    });
    build_and_break("D7: a commitment outside the queue's bounds", || {
        let id = filled();
        commit(&BOB, id, root(2));
        CommitHead::<Test>::put(9);
    });
    build_and_break("D7: a queued commitment that does not exist", || {
        filled();
        CommitQueue::<Test>::insert(7, (BOB, root(7)));
    });
    build_and_break("D7: a risk deposit that nothing will free", || {
        filled();
        RiskQueue::<Test>::remove(0);
    });
    build_and_break("D7: a risk deposit outside the queue's bounds", || {
        let id = filled();
        RiskQueue::<Test>::insert(5, (id, 0));
    });
}
