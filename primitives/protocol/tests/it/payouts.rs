//! Owner leaves: exact sums, margin, extension, and the limits of the rule.

use proptest::{collection::vec, prelude::*};
use weft_protocol::{hash::ZERO, payout::*, run::extra_hash, sum_tree};

fn record(datanet: u32, owner: u8, standing: Standing, score: i64, loss_tokens: u32) -> RecordInput {
    RecordInput { datanet, owner: [owner; 32], standing, score, loss_tokens }
}

fn records() -> impl Strategy<Value = Vec<RecordInput>> {
    let standing = prop_oneof![6 => Just(Standing::Trained), 1 => Just(Standing::Spared), 1 => Just(Standing::Nothing)];
    let score = prop_oneof![any::<i64>(), -1_000_000i64..1_000_000];
    vec((1u32..4, 0u8..6, standing, score, 1u32..500), 0..60).prop_map(|rows| {
        rows.into_iter()
            .map(|(datanet, owner, standing, score, loss)| record(datanet, owner, standing, score, loss))
            .collect()
    })
}

proptest! {
    #[test]
    fn points_should_sum_to_the_whole(records in records(), base in 0u32..=500_000, rough in any::<bool>(), method in 0u16..2) {
        let payout = owner_leaves(&[1, 2, 3], &records, method, base, rough).unwrap();
        let paid: u128 = payout.parts.iter().map(|(part, _)| part.paid).sum();
        let earning = records.iter().any(|record| record.standing != Standing::Nothing);
        prop_assert_eq!(paid, if earning { POINTS } else { 0 });
        prop_assert_eq!(payout.parts.iter().map(|(part, _)| part.datanet).collect::<Vec<_>>(), [1, 2, 3]);
        for (part, leaves) in &payout.parts {
            let root = sum_tree::root(leaves).unwrap();
            prop_assert_eq!((part.root, part.pos, part.neg, part.paid), (root.hash, root.sums.pos, root.sums.neg, root.sums.paid));
            prop_assert_eq!(part.leaves as usize, leaves.len());
            prop_assert!(leaves.is_sorted_by(|a, b| a.owner < b.owner));
            for leaf in leaves {
                let own = records.iter().filter(|r| (r.datanet, r.owner) == (part.datanet, leaf.owner) && r.standing != Standing::Nothing);
                prop_assert_eq!(leaf.records as usize, own.clone().count());
                prop_assert_eq!(leaf.inrun, own.map(|r| u128::from(r.loss_tokens)).sum::<u128>());
                prop_assert_eq!((leaf.held, leaf.records > 0), (0, true));
            }
        }
        let expected = if method == 0 { ZERO } else { extra_hash(payout.u, payout.sum_w, payout.sum_base, payout.rough) };
        prop_assert_eq!(payout.extra(method), expected);
        prop_assert!(parts_are_whole(&payout.parts()));
        if method == 0 {
            prop_assert_eq!((payout.u, payout.sum_w), (0, 0));
        }
    }

    #[test]
    fn order_of_records_should_not_matter(records in records(), base in 0u32..=500_000) {
        let mut reversed = records.clone();
        reversed.reverse();
        prop_assert_eq!(owner_leaves(&[1, 2, 3], &records, 1, base, false), owner_leaves(&[1, 2, 3], &reversed, 1, base, false));
    }
}

#[test]
fn an_example_should_be_computed_by_hand() {
    // GIVEN owner 1 with scores 400 and −100 and one drawn record, owner 2 with 90, a record that earns nothing
    let records = [
        record(7, 1, Standing::Trained, 400, 10),
        record(7, 1, Standing::Trained, -100, 20),
        record(7, 1, Standing::Spared, 999, 30),
        record(9, 2, Standing::Trained, 90, 40),
        record(9, 3, Standing::Nothing, 1_000_000, 50),
    ];
    // WHEN a fifth of the points goes by tokens
    let payout = owner_leaves(&[7, 8, 9], &records, 1, 200_000, false).unwrap();
    // THEN median 100, u = 222; margin 222·√3 = 384 and 222; W = 600 − 150 − 384 and 0
    assert_eq!((payout.u, payout.sum_w, payout.sum_base, payout.rough), (222, 66, 100, false));
    let [(seven, first), (eight, none), (nine, second)] = payout.parts.as_slice() else { panic!() };
    assert_eq!((first[0].records, first[0].inrun, first[0].pos, first[0].neg), (3, 60, 600, 150));
    assert_eq!((second[0].records, second[0].inrun, second[0].pos, second[0].neg), (1, 40, 90, 0));
    assert_eq!((seven.paid, nine.paid), (POINTS / 5 * 60 / 100 + POINTS / 5 * 4, POINTS / 5 * 40 / 100));
    assert_eq!((none.len(), eight.leaves, eight.root, eight.paid), (0, 0, ZERO, 0));
    // AND a rough run pays by tokens alone
    let rough = owner_leaves(&[7, 8, 9], &records, 1, 200_000, true).unwrap();
    assert_eq!((rough.parts[0].0.paid, rough.parts[2].0.paid), (POINTS * 60 / 100, POINTS * 40 / 100));
}

#[test]
fn margin_should_grow_with_the_root_of_the_records() {
    assert_eq!(margin_unit([].into_iter()), 0);
    assert_eq!(margin_unit([5, -3, 0, 9].into_iter()), 2224 * 3 / 1000);
    assert_eq!(margin_unit([i64::MIN].into_iter()), 2224 * (1u128 << 63) / 1000);
    assert_eq!((margin(1000, 1), margin(1000, 4), margin(1000, 2)), (Some(1000), Some(2000), Some(1414)));
    assert!(margin(2224 * (1u128 << 63) / 1000, u32::MAX).is_some());
}

#[test]
fn splitting_noise_over_accounts_should_not_pay() {
    // Scores of alternating sign and equal size: 100 records in one account, or one each.
    let scores = |i: u8| if i.is_multiple_of(2) { 1_000 } else { -1_000 };
    let honest: Vec<_> = (0..100).map(|i| record(1, 200, Standing::Trained, 1_500 + i64::from(i), 10)).collect();
    let paid = |noise: Vec<RecordInput>| {
        let all: Vec<_> = honest.iter().copied().chain(noise).collect();
        let payout = owner_leaves(&[1], &all, 1, 0, false).unwrap();
        payout.parts[0].1.iter().filter(|leaf| leaf.owner != [200; 32]).map(|leaf| leaf.paid).sum::<u128>()
    };
    assert_eq!(paid((0..100).map(|i| record(1, 1, Standing::Trained, scores(i), 10)).collect()), 0);
    assert_eq!(paid((0..100).map(|i| record(1, i, Standing::Trained, scores(i), 10)).collect()), 0);
}

#[test]
fn a_saturated_score_should_make_the_run_rough() {
    let records = [record(1, 1, Standing::Trained, i64::MIN, 10), record(1, 2, Standing::Trained, 5, 30)];
    let payout = owner_leaves(&[1], &records, 1, 200_000, false).unwrap();
    assert!(payout.rough);
    assert_eq!(payout.parts[0].1[0].paid, POINTS / 4);
    assert!(!owner_leaves(&[1], &records, 0, 200_000, false).unwrap().rough);
}

#[test]
fn wrong_inputs_should_be_refused() {
    let one = [record(1, 1, Standing::Trained, 1, 1)];
    assert_eq!(owner_leaves(&[2, 1], &one, 1, 0, false), None);
    assert_eq!(owner_leaves(&[2], &one, 1, 0, false), None);
    assert_eq!(owner_leaves(&(0..17).collect::<Vec<_>>(), &one, 1, 0, false), None);
    assert_eq!(owner_leaves(&[1], &one, 1, 1_000_001, false), None);
}

#[test]
fn parts_should_be_whole_only_when_they_ascend_and_share_out_all_points_or_none() {
    let part =
        |datanet, leaves, paid| weft_protocol::run::Part { datanet, leaves, root: [1; 32], pos: 0, neg: 0, paid };
    assert!(parts_are_whole(&[part(4, 1, POINTS)]));
    assert!(parts_are_whole(&[part(1, 2, POINTS - 5), part(4, 1, 5), part(9, 0, 0)]));
    assert!(parts_are_whole(&[part(1, 0, 0), part(2, 0, 0)]));
    for broken in [
        vec![],
        vec![part(4, 1, POINTS - 1)],
        vec![part(4, 1, POINTS + 1)],
        vec![part(4, 0, POINTS)],
        vec![part(4, 1, 5), part(1, 1, POINTS - 5)],
        vec![part(4, 1, 5), part(4, 1, POINTS - 5)],
        vec![part(1, 1, u128::MAX), part(2, 1, POINTS + 1)],
        (0..17).map(|datanet| part(datanet, 0, 0)).collect(),
    ] {
        assert!(!parts_are_whole(&broken), "{broken:?}");
    }
}
