//! Every bit of a proof matters: whatever changes in leaf, path, place or root, the proof fails.
//!
//! The number of leaves is bound beside a root and not in it, so it is part of the bytes only where a commitment holds
//! both: mountain ranges and states of a run.

use codec::{Decode, Encode};
use weft_protocol::{
    fee_tree::{self, FeeNode},
    hash::{h, ZERO},
    merkle,
    mmr::{self, MmrProof},
    run,
    sum_tree::{self, OwnerLeaf, SumNode},
    Hash,
};

const COUNTS: [u32; 7] = [1, 2, 3, 5, 8, 13, 33];

/// First, middle and last place.
fn places(count: u32) -> Vec<u32> {
    let mut places = vec![0, count / 2, count - 1];
    places.dedup();
    places
}

fn digest(i: u32) -> Hash {
    h(b"test.lea", &i)
}

fn digests(count: u32) -> Vec<Hash> {
    (0..count).map(digest).collect()
}

fn owner(i: u32) -> OwnerLeaf {
    let x = u128::from(i);
    OwnerLeaf {
        datanet: 7,
        owner: digest(i),
        records: i + 1,
        inrun: 3 * x,
        pos: 1_000 + x,
        neg: 5 * x,
        paid: 10 + x,
        held: x,
    }
}

fn owners(count: u32) -> Vec<OwnerLeaf> {
    (0..count).map(owner).collect()
}

/// Encodes a claim with its proof and flips each bit: what still decodes must not verify.
fn every_bit_should_matter<P: Encode + Decode>(claim: &P, verify: impl Fn(&P) -> bool) {
    assert!(verify(claim));
    let bytes = claim.encode();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = P::decode(&mut changed.as_slice()) {
            assert!(!verify(&other), "bit {bit} of {} bytes", bytes.len());
        }
    }
}

/// A path proves its own place alone, and no longer or shorter path proves it.
fn other_shapes_should_fail<N: Clone>(count: u32, index: u32, path: &[N], more: N, verify: impl Fn(u32, &[N]) -> bool) {
    for other in 0..count + 2 {
        assert_eq!(verify(other, path), other == index, "place {other} of {count} by the path of {index}");
    }
    assert!(!verify(u32::MAX, path));
    assert!(!verify(index, &[path, [more.clone()].as_slice()].concat()));
    assert!(!verify(index, &[[more].as_slice(), path].concat()));
    if !path.is_empty() {
        assert!(!verify(index, &path[1..]));
        assert!(!verify(index, &path[..path.len() - 1]));
    }
}

#[test]
fn merkle_proof_should_fail_when_any_bit_flips() {
    for count in COUNTS {
        let leaves = digests(count);
        let root = merkle::root(&leaves);
        for at in places(count) {
            let leaf = leaves[at as usize];
            let path = merkle::proof(&leaves, at as usize).unwrap();
            every_bit_should_matter(&(at, leaf, path.clone(), root), |(at, leaf, path, root)| {
                merkle::verify(root, count, *at, leaf, path)
            });
            other_shapes_should_fail(count, at, &path, ZERO, |at, path| merkle::verify(&root, count, at, &leaf, path));
        }
    }
}

#[test]
fn sum_proof_should_fail_when_any_bit_flips() {
    for count in COUNTS {
        let leaves = owners(count);
        let root = sum_tree::root(&leaves).unwrap();
        for at in places(count) {
            let leaf = leaves[at as usize];
            let path = sum_tree::proof(&leaves, at as usize).unwrap();
            every_bit_should_matter(&(at, leaf, path.clone(), root), |(at, leaf, path, root)| {
                sum_tree::verify(root, count, *at, leaf, path)
            });
            other_shapes_should_fail(count, at, &path, SumNode::default(), |at, path| {
                sum_tree::verify(&root, count, at, &leaf, path)
            });
        }
    }
}

#[test]
fn fee_proof_should_fail_when_any_bit_flips() {
    for count in COUNTS {
        let leaves: Vec<_> = (0..count).map(|i| FeeNode { hash: digest(i), fee: 7 + u128::from(i) }).collect();
        let root = fee_tree::root(&leaves).unwrap();
        for at in places(count) {
            let leaf = leaves[at as usize];
            let path = fee_tree::proof(&leaves, at as usize).unwrap();
            every_bit_should_matter(&(at, leaf, path.clone(), root), |(at, leaf, path, root)| {
                fee_tree::verify(root, count, *at, leaf, path)
            });
            other_shapes_should_fail(count, at, &path, FeeNode::default(), |at, path| {
                fee_tree::verify(&root, count, at, &leaf, path)
            });
        }
    }
}

#[test]
fn mountain_range_proof_should_fail_when_any_bit_flips() {
    for count in COUNTS {
        let leaves = digests(count);
        let mut range = mmr::Mmr::default();
        for leaf in &leaves {
            range.append(*leaf, 3).unwrap();
        }
        let root = range.snapshot_root();
        for at in places(count) {
            let leaf = leaves[at as usize];
            let proof = mmr::prove(&leaves, at.into()).unwrap();
            let claim = (range.leaves, range.records, u64::from(at), leaf, proof.clone(), root);
            every_bit_should_matter(&claim, |(leaves, records, at, leaf, proof, root)| {
                mmr::verify(root, *leaves, *records, *at, leaf, proof)
            });
            let verify =
                |at: u32, proof: MmrProof| mmr::verify(&root, range.leaves, range.records, at.into(), &leaf, &proof);
            other_shapes_should_fail(count, at, &proof.path, ZERO, |at, path| {
                verify(at, MmrProof { path: path.to_vec(), ..proof.clone() })
            });
            other_shapes_should_fail(count, at, &proof.peaks, ZERO, |at, peaks| {
                verify(at, MmrProof { peaks: peaks.to_vec(), ..proof.clone() })
            });
        }
    }
}

#[test]
fn multiproof_should_fail_when_any_bit_flips() {
    for count in [1, 2, 3, 5, 8, 13] {
        let leaves = owners(count);
        let root = sum_tree::root(&leaves).unwrap();
        // One leaf, first and last, every third, all.
        let third: Vec<u32> = (0..count).step_by(3).collect();
        let mut ends = vec![0, count - 1];
        ends.dedup();
        for indices in [vec![count / 2], ends, third, (0..count).collect()] {
            let claimed: Vec<(u32, OwnerLeaf)> = indices.iter().map(|at| (*at, leaves[*at as usize])).collect();
            let proof = sum_tree::multiproof(&leaves, &indices).unwrap();
            every_bit_should_matter(&(claimed.clone(), proof.clone(), root), |(claimed, proof, root)| {
                sum_tree::verify_multi(root, count, claimed, proof)
            });
            let verify =
                |claimed: &[(u32, OwnerLeaf)], proof: &[SumNode]| sum_tree::verify_multi(&root, count, claimed, proof);
            for place in 0..claimed.len() {
                // The leaf at a place that nobody claims, and the leaf left out.
                for other in (0..count + 2).filter(|other| !indices.contains(other)) {
                    let mut moved = claimed.clone();
                    moved[place].0 = other;
                    moved.sort_by_key(|(at, _)| *at);
                    assert!(!verify(&moved, &proof));
                }
                let mut fewer = claimed.clone();
                fewer.remove(place);
                assert!(!verify(&fewer, &proof));
            }
            assert!(!verify(&claimed, &[proof.clone(), vec![SumNode::default()]].concat()));
            if !proof.is_empty() {
                assert!(!verify(&claimed, &proof[1..]));
                assert!(!verify(&claimed, &proof[..proof.len() - 1]));
            }
        }
    }
}

#[test]
fn state_proof_should_fail_when_any_bit_flips() {
    for count in COUNTS {
        let (secret, states) = (digest(1_000), digests(count));
        let leaves = run::step_leaves(&secret, &states);
        let root = run::steps_root(&leaves).unwrap();
        for u in places(count) {
            let path = merkle::proof(&leaves, u as usize).unwrap();
            let claim = (root, count, u, secret, states[u as usize], path);
            every_bit_should_matter(&claim, |(root, count, u, secret, state, path)| {
                run::verify_state(root, *count, *u, secret, state, path)
            });
        }
    }
}
