//! Commitments, openings, checkpoints, draws.

use crate::strategies as s;
use proptest::{collection::vec, prelude::*, sample::Index};
use weft_protocol::{
    draw::{self, Choosable},
    hash::{choose, ZERO},
    job::Tier,
    merkle,
    run::*,
    Hash,
};

fn flip(hash: &Hash, at: Index) -> Hash {
    let (mut out, bit) = (*hash, at.index(256));
    out[bit / 8] ^= 1 << (bit % 8);
    out
}

proptest! {
    #[test]
    fn opening_should_match_its_commitment_alone(opening in s::opening(), commit in s::commit(), bit in any::<Index>()) {
        let commit = Commit {
            outcome: Outcome::Done,
            model_commitment: opening.model_commitment(),
            attribution_commitment: opening.attribution_commitment(),
            ..commit
        };
        assert!(opening.matches(&commit));
        assert!(!opening.matches(&Commit { outcome: Outcome::Diverged, ..commit }));
        let mut others = vec![
            Opening { s_n: flip(&opening.s_n, bit), ..opening.clone() },
            Opening { file_len: opening.file_len ^ 1, ..opening.clone() },
            Opening { file_pages: flip(&opening.file_pages, bit), ..opening.clone() },
            Opening { method: opening.method ^ 1, ..opening.clone() },
            Opening { cotangent: opening.cotangent ^ 1, ..opening.clone() },
            Opening { x: opening.x ^ 1, ..opening.clone() },
            Opening { r0: flip(&opening.r0, bit), ..opening.clone() },
            Opening { extra: flip(&opening.extra, bit), ..opening.clone() },
        ];
        for place in 0..opening.parts.len() {
            let mut parts = opening.parts.clone();
            parts[place].paid ^= 1;
            others.push(Opening { parts, ..opening.clone() });
        }
        for other in others {
            assert!(!other.matches(&commit));
        }
    }

    #[test]
    fn state_should_be_proved_by_secret_and_path(states in vec(s::hash(), 1..40), secret in s::hash(), at in any::<Index>(), bit in any::<Index>()) {
        let leaves = step_leaves(&secret, &states);
        let (root, count, u) = (steps_root(&leaves).unwrap(), states.len() as u32, at.index(states.len()));
        let path = merkle::proof(&leaves, u).unwrap();
        let check = |root: &Hash, count, u: usize, secret: &Hash, state: &Hash, path: &[Hash]| verify_state(root, count, u as u32, secret, state, path);
        assert!(check(&root, count, u, &secret, &states[u], &path));
        assert!(!check(&flip(&root, bit), count, u, &secret, &states[u], &path));
        assert!(!check(&root, count, u, &flip(&secret, bit), &states[u], &path));
        assert!(!check(&root, count, u, &secret, &flip(&states[u], bit), &path));
        assert!(!check(&root, count + 1, u, &secret, &states[u], &path));
        for level in 0..path.len() {
            let mut path = path.clone();
            path[level] = flip(&path[level], bit);
            assert!(!check(&root, count, u, &secret, &states[u], &path));
        }
    }

    #[test]
    fn every_bound_value_should_change_the_hash(spec in s::spec(), bit in any::<Index>()) {
        let hash = spec.hash();
        let mut recipe = spec.recipe.clone();
        recipe.eval_ppm ^= 1;
        let extra = Snapshot { datanet: 1, root: ZERO, records: 2, clusters: ZERO };
        let mut others: Vec<Spec> = Vec::new();
        for place in 0..spec.snapshots.len() {
            let one = spec.snapshots[place];
            for changed in [
                Snapshot { datanet: one.datanet ^ 1, ..one },
                Snapshot { root: flip(&one.root, bit), ..one },
                Snapshot { records: one.records ^ 1, ..one },
                Snapshot { clusters: flip(&one.clusters, bit), ..one },
            ] {
                let mut snapshots = spec.snapshots.clone();
                snapshots[place] = changed;
                others.push(Spec { snapshots, ..spec.clone() });
            }
            let mut snapshots = spec.snapshots.clone();
            snapshots.remove(place);
            others.push(Spec { snapshots, ..spec.clone() });
        }
        others.push(Spec { snapshots: [spec.snapshots.clone(), vec![extra]].concat(), ..spec.clone() });
        let tiers = match spec.tier {
            Tier::Spot(n) => [Tier::Spot(n ^ 1), Tier::Full(n)],
            Tier::Full(n) => [Tier::Full(n ^ 1), Tier::Spot(n)],
        };
        for tier in tiers {
            others.push(Spec { tier, ..spec.clone() });
        }
        others.extend([
            Spec { job: spec.job ^ 1, ..spec.clone() },
            Spec { sem_id: flip(&spec.sem_id, bit), ..spec.clone() },
            Spec { base_root: flip(&spec.base_root, bit), ..spec.clone() },
            Spec { probe_root: flip(&spec.probe_root, bit), ..spec.clone() },
            Spec { recipe, ..spec.clone() },
            Spec { method: spec.method ^ 1, ..spec.clone() },
            Spec { score_shift: spec.score_shift ^ 1, ..spec.clone() },
        ]);
        for other in others {
            prop_assert_ne!(other.hash(), hash);
        }
    }

    #[test]
    fn every_field_of_a_data_leaf_should_change_its_hash(leaf in s::data_leaf(), bit in any::<Index>(), number in 0u32..32) {
        let number = 1u32 << number;
        for other in [
            DataLeaf { index: leaf.index ^ number, ..leaf },
            DataLeaf { record_id: flip(&leaf.record_id, bit), ..leaf },
            DataLeaf { owner: flip(&leaf.owner, bit), ..leaf },
            DataLeaf { weight_ppm: leaf.weight_ppm ^ number, ..leaf },
            DataLeaf { tokens: leaf.tokens ^ number, ..leaf },
            DataLeaf { loss_tokens: leaf.loss_tokens ^ number, ..leaf },
            DataLeaf { ids: flip(&leaf.ids, bit), ..leaf },
            DataLeaf { mask: flip(&leaf.mask, bit), ..leaf },
        ] {
            prop_assert_ne!(other.hash(), leaf.hash());
            prop_assert_ne!(data_root(&[other]), data_root(&[leaf]));
        }
    }

    #[test]
    fn every_part_of_a_state_should_change_its_hash(
        run in s::hash(), t in any::<u32>(), status in any::<u8>(), slots in vec([s::hash(), s::hash(), s::hash()], 1..5),
        scores in s::hash(), aux in s::hash(), cotangent in any::<u32>(), bit in any::<Index>(), at in any::<Index>(),
    ) {
        let state = state_hash(&run, t, status, &slots);
        let reverse = reverse_hash(&run, cotangent, t, &slots, &scores, &aux);
        let place = at.index(slots.len() * 3);
        let mut changed = slots.clone();
        changed[place / 3][place % 3] = flip(&changed[place / 3][place % 3], bit);
        let shorter = slots[1..].to_vec();
        let longer = [slots.clone(), vec![[ZERO; 3]]].concat();
        for other in [
            state_hash(&flip(&run, bit), t, status, &slots),
            state_hash(&run, t ^ 1, status, &slots),
            state_hash(&run, t, status ^ 1, &slots),
            state_hash(&run, t, status, &changed),
            state_hash(&run, t, status, &shorter),
            state_hash(&run, t, status, &longer),
            reverse,
        ] {
            prop_assert_ne!(other, state);
        }
        for other in [
            reverse_hash(&flip(&run, bit), cotangent, t, &slots, &scores, &aux),
            reverse_hash(&run, cotangent ^ 1, t, &slots, &scores, &aux),
            reverse_hash(&run, cotangent, t ^ 1, &slots, &scores, &aux),
            reverse_hash(&run, cotangent, t, &changed, &scores, &aux),
            reverse_hash(&run, cotangent, t, &shorter, &scores, &aux),
            reverse_hash(&run, cotangent, t, &longer, &scores, &aux),
            reverse_hash(&run, cotangent, t, &slots, &flip(&scores, bit), &aux),
            reverse_hash(&run, cotangent, t, &slots, &scores, &flip(&aux, bit)),
        ] {
            prop_assert_ne!(other, reverse);
        }
    }

    #[test]
    fn data_root_should_bind_order_and_count(leaves in vec(s::data_leaf(), 2..10)) {
        let root = data_root(&leaves).unwrap();
        let mut swapped = leaves.clone();
        swapped.swap(0, 1);
        assert!(leaves[0] == leaves[1] || data_root(&swapped).unwrap() != root);
        prop_assert_ne!(data_root(&leaves[1..]).unwrap(), root);
    }

    #[test]
    fn checkpoints_and_segments_should_cover_every_step(n in 1u32..3000, draw in s::hash()) {
        let points = checkpoints(n);
        let stride = ceil_sqrt(n);
        assert!(stride * stride >= n && (stride - 1) * (stride - 1) < n);
        prop_assert_eq!((points[0], *points.last().unwrap()), (0, n));
        assert!(points.is_sorted_by(|a, b| a < b));
        assert!(points[..points.len() - 1].iter().all(|u| u % stride == 0));
        let segments = segments(n);
        prop_assert_eq!((segments[0].0, segments.last().unwrap().1), (0, n));
        assert!(segments.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert!(n == 1 || segments.iter().all(|(c, d)| d - c > 1));
        let u = jury_step(&draw, n);
        assert!(if n == 1 { u == 1 } else { (1..n).contains(&u) && !points.contains(&u) });
    }

    #[test]
    fn probe_and_held_out_should_be_disjoint_subsets(splits in vec(s::hash(), 0..300), eval in 0u32..=500_000, seed in any::<u32>()) {
        let choosable: Vec<Choosable> =
            (0u32..).step_by(2).zip(splits).map(|(index, split)| Choosable { index, split }).collect();
        let n = choosable.len() as u32 * 2;
        let held = draw::held_out(&choosable, eval, n);
        let want = (u64::from(eval) * u64::from(n) / 1_000_000).min(200).min(choosable.len() as u64);
        prop_assert_eq!(held.len() as u64, want);
        let worst = choosable.iter().filter(|r| held.contains(&r.index)).map(|r| (r.split, r.index)).max();
        assert!(choosable.iter().filter(|r| !held.contains(&r.index)).all(|r| Some((r.split, r.index)) > worst));
        let e: Vec<u32> = choosable.iter().map(|r| r.index).filter(|i| !held.contains(i)).collect();
        let word = |j: u32| seed.wrapping_mul(j.wrapping_mul(2_654_435_761).wrapping_add(1));
        let probe = draw::probe(&e, word);
        prop_assert_eq!(probe.len() as u32, draw::probe_size(e.len() as u32));
        assert!(probe.is_sorted_by(|a, b| a < b) && probe.iter().all(|i| e.contains(i)));
        // The three parts together are all choosable records, and without a probe its records train.
        let parts = draw::select(&choosable, eval, n, true, word);
        prop_assert_eq!((&parts.held_out, &parts.probe), (&held, &probe));
        let mut all = [parts.held_out.clone(), parts.probe.clone(), parts.train.clone()].concat();
        all.sort_unstable();
        prop_assert_eq!(all, choosable.iter().map(|r| r.index).collect::<Vec<_>>());
        let without = draw::select(&choosable, eval, n, false, word);
        prop_assert_eq!((&without.held_out, &without.train), (&held, &e));
        prop_assert!(without.probe.is_empty());
    }
}

/// The rule of [`jury_step`] as the specification says it, one step after the other.
fn jury_step_by_counting(draw: &Hash, n: u32) -> u32 {
    let stride = ceil_sqrt(n).max(1);
    let free: Vec<u32> = (1..n.max(1)).filter(|u| !u.is_multiple_of(stride)).collect();
    free.get(choose(draw, free.len() as u32) as usize).copied().unwrap_or(1)
}

#[test]
fn jury_step_should_be_the_drawn_one_of_the_free_steps() {
    let draw = |word: u32| -> Hash {
        let mut out = ZERO;
        out[..4].copy_from_slice(&word.to_le_bytes());
        out
    };
    for n in 0..3_000u32 {
        for word in [0, 1, u32::MAX / 3, u32::MAX / 2, u32::MAX - 1, u32::MAX, n.wrapping_mul(2_654_435_761)] {
            assert_eq!(jury_step(&draw(word), n), jury_step_by_counting(&draw(word), n), "{word} {n}");
        }
    }
    // Every free step of a small run can be drawn.
    for n in [2u32, 5, 9, 10, 90] {
        let mut seen: Vec<u32> = (0..=u32::MAX).step_by(1 << 22).map(|word| jury_step(&draw(word), n)).collect();
        seen.sort_unstable();
        seen.dedup();
        let stride = ceil_sqrt(n);
        assert_eq!(seen, (1..n).filter(|u| !u.is_multiple_of(stride)).collect::<Vec<_>>());
    }
}

#[test]
fn jury_step_should_take_no_time_when_the_run_is_longest() {
    let n = u32::MAX;
    let stride = ceil_sqrt(n);
    for word in (0..=u32::MAX).step_by(4_099) {
        let mut draw = ZERO;
        draw[..4].copy_from_slice(&word.to_le_bytes());
        let u = jury_step(&draw, n);
        assert!((1..n).contains(&u) && !u.is_multiple_of(stride), "{u}");
    }
    assert_eq!((jury_step(&ZERO, n), jury_step(&[0xff; 32], n)), (1, n - 1));
}

#[test]
fn held_out_should_be_the_lowest_hashes_with_ties_to_the_lower_index() {
    let count = |n: u32, eval, choosable| {
        let list: Vec<_> = (0u32..choosable).map(|index| Choosable { index, split: [index as u8; 32] }).collect();
        draw::held_out(&list, eval, n).len()
    };
    assert_eq!(count(180, 100_000, 180), 18);
    assert_eq!(count(100_000, 500_000, 1_000), 200);
    assert_eq!(count(10, 500_000, 3), 3);
    let ties: Vec<_> = (0..9).rev().map(|index| Choosable { index, split: ZERO }).collect();
    assert_eq!(draw::held_out(&ties, 333_334, 9), [0, 1, 2]);
}

#[test]
fn draws_should_take_the_specified_places() {
    assert_eq!(draw::probe(&[10, 20, 30, 40], |_| u32::MAX), [40]);
    assert_eq!(draw::probe(&(0..40).collect::<Vec<_>>(), |_| 0), [0, 1]);
    assert_eq!([0, 1, 20, 21, 1280, 5000].map(draw::probe_size), [0, 1, 1, 2, 64, 64]);
    assert_eq!(checkpoints(10), [0, 4, 8, 10]);
    assert_eq!(segments(10), [(0, 4), (4, 8), (8, 10)]);
    assert_eq!(segments(9), [(0, 3), (3, 6), (6, 9)]);
    assert_eq!(segments(5), [(0, 3), (3, 5)]);
    assert_eq!(segments(7), [(0, 3), (3, 7)]);
    assert_eq!((segments(1), segments(2)), (vec![(0, 1)], vec![(0, 2)]));
    assert_eq!((reverse_index(10, 10), reverse_index(10, 0)), (Some(11), Some(21)));
    assert_eq!((state_count(10, true), state_count(7, false)), (Some(22), Some(8)));
}

#[test]
fn opening_should_refuse_unsorted_or_too_many_parts() {
    let part = |datanet| Part { datanet, leaves: 0, root: ZERO, pos: 0, neg: 0, paid: 0 };
    let check = |parts: Vec<Part>| {
        let opening = Opening {
            s_n: ZERO,
            file_len: 0,
            file_pages: ZERO,
            method: 0,
            cotangent: 0,
            x: 0,
            r0: ZERO,
            parts,
            extra: ZERO,
            artifacts: ZERO,
        };
        let commit = Commit {
            n_done: 1,
            outcome: Outcome::Done,
            data_root: ZERO,
            steps_root: ZERO,
            model_commitment: opening.model_commitment(),
            attribution_commitment: opening.attribution_commitment(),
            secret: ZERO,
        };
        opening.matches(&commit)
    };
    assert!(check((0..16).map(part).collect()));
    assert!(!check((0..17).map(part).collect()));
    assert!(!check(vec![part(2), part(1)]) && !check(vec![part(1), part(1)]));
}
