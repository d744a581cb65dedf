//! The mountain range grows as the plain model says, whatever the order of verdicts and snapshots.

use crate::{mock::*, types::*};
use frame::testing_prelude::*;
use proptest::prelude::*;
use weft_protocol::mmr::{self, Mmr};

#[derive(Clone, Debug)]
enum Act {
    Accept { records: u32, bytes: u64 },
    Reject(bool),
    Snapshot,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u32..5_000, 10_000u64..3_000_000).prop_map(|(records, bytes)| Act::Accept { records, bytes }),
        1 => any::<bool>().prop_map(Act::Reject),
        2 => Just(Act::Snapshot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn range_and_snapshots_should_match_the_model_when_anything_happens(acts in prop::collection::vec(act(), 1..40)) {
        build_and_execute(|| {
            let id = datanet(Rule::Owner);
            let mut range = Mmr::default();
            let mut leaves = Vec::new();
            let mut snapshots = Vec::new();
            let mut bytes_total = 0;
            let mut n = 0u32;
            for act in acts {
                let mut root = [0; 32];
                root[..4].copy_from_slice(&n.to_le_bytes());
                match act {
                    Act::Accept { records, bytes } => {
                        commit(&ALICE, id, root);
                        advance(2);
                        assert_ok!(Datanets::reveal(signed(ALICE), id, root, SALT, CONTENT, records, bytes, None));
                        assert_ok!(accept(&OWNER, id, n));
                        let item = Datanets::contribution(id, n).unwrap();
                        let leaf = mmr::leaf(&[5; 32], &root, range.records, records, item.sequence);
                        range.append(leaf, records).unwrap();
                        leaves.push(leaf);
                        bytes_total += bytes;
                        n += 1;
                    }
                    Act::Reject(severe) => {
                        contribute(&BOB, id, root);
                        let code = if severe { RejectCode::Malware } else { RejectCode::Quality };
                        assert_ok!(reject(&OWNER, id, n, code));
                        n += 1;
                    }
                    Act::Snapshot => {
                        advance(1);
                        let new = snapshots.last().map_or(0, |(count, _, _): &(u64, _, _)| *count) < range.leaves;
                        assert_eq!(Datanets::snapshot(signed(BOB), id).is_ok(), new);
                        if new {
                            snapshots.push((range.leaves, range.records, range.snapshot_root()));
                        }
                    }
                }
                let net = Datanets::datanet(id).unwrap();
                assert_eq!((net.leaves, net.records, net.bytes), (range.leaves, range.records, bytes_total));
                assert_eq!(net.root, range.snapshot_root());
            }
            for (s, (count, records, root)) in snapshots.into_iter().enumerate() {
                let info = Datanets::snapshot_info(id, u32::try_from(s).unwrap()).unwrap();
                assert_eq!((info.leaves, info.records, info.root), (count, records, root));
                // Every leaf of the snapshot is provable against its root.
                let held = &leaves[..usize::try_from(count).unwrap()];
                for (index, leaf) in held.iter().enumerate() {
                    let index = u64::try_from(index).unwrap();
                    let proof = mmr::prove(held, index).unwrap();
                    assert!(mmr::verify(&info.root, info.leaves, info.records, index, leaf, &proof));
                }
            }
        });
    }
}
