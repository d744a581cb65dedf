//! Every proof verifies, and a flipped bit anywhere makes it fail.

use crate::strategies as s;
use proptest::{collection::vec, prelude::*, sample::Index};
use weft_protocol::{fee_tree, fee_tree::FeeNode, hash::ZERO, merkle, mmr, sum_tree, sum_tree::*, Hash};

/// Flips bit `at` (modulo the length) of a list of hashes.
fn flip(hashes: &[Hash], at: Index) -> Option<Vec<Hash>> {
    if hashes.is_empty() {
        return None;
    }
    let bit = at.index(hashes.len() * 256);
    let mut out = hashes.to_vec();
    out[bit / 256][bit / 8 % 32] ^= 1 << (bit % 8);
    Some(out)
}

fn flip_one(hash: &Hash, at: Index) -> Hash {
    flip(&[*hash], at).unwrap()[0]
}

fn distinct(leaves: &[Hash]) -> Vec<Hash> {
    leaves.iter().enumerate().map(|(i, leaf)| weft_protocol::hash::h(b"test.lea", &(i as u64, leaf))).collect()
}

proptest! {
    #[test]
    fn merkle_proof_should_hold_and_break(leaves in vec(s::hash(), 1..70), at in any::<Index>(), bit in any::<Index>()) {
        let leaves = distinct(&leaves);
        let (count, index) = (leaves.len() as u32, at.index(leaves.len()));
        let (root, leaf, i) = (merkle::root(&leaves), leaves[index], index as u32);
        let path = merkle::proof(&leaves, index).unwrap();
        assert!(merkle::verify(&root, count, i, &leaf, &path));
        assert!(!merkle::verify(&root, count, i, &flip_one(&leaf, bit), &path));
        assert!(!merkle::verify(&flip_one(&root, bit), count, i, &leaf, &path));
        if let Some(path) = flip(&path, bit) {
            assert!(!merkle::verify(&root, count, i, &leaf, &path));
        }
        for other in (0..count).filter(|other| *other != i) {
            assert!(!merkle::verify(&root, count, other, &leaf, &path));
        }
        let mut longer = path.clone();
        longer.push(ZERO);
        assert!(!merkle::verify(&root, count, i, &leaf, &longer));
        assert!(path.is_empty() || !merkle::verify(&root, count, i, &leaf, &path[1..]));
        assert!(!merkle::verify(&root, count, count, &leaf, &path));
    }

    #[test]
    fn mountain_range_should_prove_every_leaf(leaves in vec((s::hash(), any::<u32>()), 1..70), at in any::<Index>(), bit in any::<Index>()) {
        let mut range = mmr::Mmr::default();
        let hashes = distinct(&leaves.iter().map(|(leaf, _)| *leaf).collect::<Vec<_>>());
        for (leaf, (_, records)) in hashes.iter().zip(&leaves) {
            range.append(*leaf, *records).unwrap();
        }
        prop_assert_eq!(range.leaves, leaves.len() as u64);
        prop_assert_eq!(range.peaks.len() as u32, range.leaves.count_ones());
        prop_assert_eq!(range.records, leaves.iter().map(|(_, records)| u64::from(*records)).sum::<u64>());
        let (root, index) = (range.snapshot_root(), at.index(leaves.len()));
        let proof = mmr::prove(&hashes, index as u64).unwrap();
        let check = |root: &Hash, leaf: &Hash, proof: &mmr::MmrProof| {
            mmr::verify(root, range.leaves, range.records, index as u64, leaf, proof)
        };
        assert!(check(&root, &hashes[index], &proof));
        assert!(!check(&flip_one(&root, bit), &hashes[index], &proof));
        assert!(!check(&root, &flip_one(&hashes[index], bit), &proof));
        if let Some(path) = flip(&proof.path, bit) {
            assert!(!check(&root, &hashes[index], &mmr::MmrProof { path, ..proof.clone() }));
        }
        if let Some(peaks) = flip(&proof.peaks, bit) {
            assert!(!check(&root, &hashes[index], &mmr::MmrProof { peaks, ..proof.clone() }));
        }
        assert!(!mmr::verify(&root, range.leaves, range.records ^ 1, index as u64, &hashes[index], &proof));
        for other in (0..range.leaves).filter(|other| *other != index as u64) {
            assert!(!mmr::verify(&root, range.leaves, range.records, other, &hashes[index], &proof));
        }
    }

    #[test]
    fn sum_proof_should_hold_and_break(leaves in vec(s::owner_leaf(), 1..40), at in any::<Index>(), bit in any::<Index>(), delta in 1u128..1000) {
        let (count, index) = (leaves.len() as u32, at.index(leaves.len()));
        let (root, path) = (sum_tree::root(&leaves).unwrap(), sum_tree::proof(&leaves, index).unwrap());
        let check = |root: &SumNode, leaf: &OwnerLeaf, path: &[SumNode]| sum_tree::verify(root, count, index as u32, leaf, path);
        let leaf = leaves[index];
        assert!(check(&root, &leaf, &path));
        prop_assert_eq!(root.sums.paid, leaves.iter().map(|leaf| leaf.paid).sum::<u128>());
        for changed in [
            OwnerLeaf { datanet: leaf.datanet ^ 1, ..leaf },
            OwnerLeaf { owner: flip_one(&leaf.owner, bit), ..leaf },
            OwnerLeaf { records: leaf.records ^ 1, ..leaf },
            OwnerLeaf { inrun: leaf.inrun ^ 1, ..leaf },
            OwnerLeaf { pos: leaf.pos ^ delta, ..leaf },
            OwnerLeaf { neg: leaf.neg ^ delta, ..leaf },
            OwnerLeaf { paid: leaf.paid ^ delta, ..leaf },
            OwnerLeaf { held: leaf.held ^ 1, ..leaf },
        ] {
            assert!(!check(&root, &changed, &path));
        }
        for sums in [
            Sums { pos: root.sums.pos ^ delta, ..root.sums },
            Sums { neg: root.sums.neg ^ delta, ..root.sums },
            Sums { paid: root.sums.paid ^ delta, ..root.sums },
        ] {
            assert!(!check(&SumNode { sums, ..root }, &leaf, &path));
        }
        assert!(!check(&SumNode { hash: flip_one(&root.hash, bit), ..root }, &leaf, &path));
        for level in 0..path.len() {
            let mut changed = path.clone();
            changed[level].hash = flip_one(&changed[level].hash, bit);
            assert!(!check(&root, &leaf, &changed));
            let mut changed = path.clone();
            changed[level].sums.paid ^= delta;
            assert!(!check(&root, &leaf, &changed));
        }
    }

    #[test]
    fn several_leaves_should_be_proved_together(leaves in vec(s::owner_leaf(), 1..40), picks in vec(any::<Index>(), 1..10), bit in any::<Index>()) {
        let mut indices: Vec<u32> = picks.iter().map(|pick| pick.index(leaves.len()) as u32).collect();
        indices.sort_unstable();
        indices.dedup();
        let claimed: Vec<_> = indices.iter().map(|i| (*i, leaves[*i as usize])).collect();
        let (root, count) = (sum_tree::root(&leaves).unwrap(), leaves.len() as u32);
        let proof = sum_tree::multiproof(&leaves, &indices).unwrap();
        assert!(sum_tree::verify_multi(&root, count, &claimed, &proof));
        for place in 0..claimed.len() {
            let mut changed = claimed.clone();
            changed[place].1.paid ^= 1;
            assert!(!sum_tree::verify_multi(&root, count, &changed, &proof));
        }
        for place in 0..proof.len() {
            let mut changed = proof.clone();
            changed[place].hash = flip_one(&changed[place].hash, bit);
            assert!(!sum_tree::verify_multi(&root, count, &claimed, &changed));
        }
        let mut longer = proof.clone();
        longer.push(SumNode::default());
        assert!(!sum_tree::verify_multi(&root, count, &claimed, &longer));
        let mut twice = claimed.clone();
        twice.push(*claimed.last().unwrap());
        assert!(!sum_tree::verify_multi(&root, count, &twice, &proof));
    }

    #[test]
    fn fee_proof_should_hold_and_break(leaves in vec((s::hash(), any::<u64>()), 1..40), at in any::<Index>(), bit in any::<Index>()) {
        let leaves: Vec<_> = leaves.iter().map(|(hash, fee)| FeeNode { hash: *hash, fee: u128::from(*fee) }).collect();
        let (count, index) = (leaves.len() as u32, at.index(leaves.len()));
        let (root, path, leaf) = (fee_tree::root(&leaves).unwrap(), fee_tree::proof(&leaves, index).unwrap(), leaves[index]);
        let check = |root: &FeeNode, leaf: &FeeNode, path: &[FeeNode]| fee_tree::verify(root, count, index as u32, leaf, path);
        assert!(check(&root, &leaf, &path));
        assert!(!check(&root, &FeeNode { fee: leaf.fee + 1, ..leaf }, &path));
        assert!(!check(&root, &FeeNode { hash: flip_one(&leaf.hash, bit), ..leaf }, &path));
        assert!(!check(&FeeNode { fee: root.fee + 1, ..root }, &leaf, &path));
        for level in 0..path.len() {
            let mut changed = path.clone();
            changed[level].fee ^= 1;
            assert!(!check(&root, &leaf, &changed));
        }
    }
}

#[test]
fn two_leaves_should_not_each_claim_the_whole() {
    // GIVEN a root that says 10^12, and two leaves of 10^12 each
    const WHOLE: u128 = 1_000_000_000_000;
    let leaf = |owner| OwnerLeaf {
        datanet: 1,
        owner: [owner; 32],
        records: 1,
        inrun: 0,
        pos: 0,
        neg: 0,
        paid: WHOLE,
        held: 0,
    };
    let leaves = [leaf(1), leaf(2)];
    let honest = sum_tree::root(&leaves).unwrap();
    assert_eq!(honest.sums.paid, 2 * WHOLE);
    // WHEN the root claims half of their sum, or a sibling lies about its own sum
    let lying = SumNode { sums: Sums { paid: WHOLE, ..honest.sums }, ..honest };
    for (index, leaf) in leaves.iter().enumerate() {
        let path = sum_tree::proof(&leaves, index).unwrap();
        assert!(!sum_tree::verify(&lying, 2, index as u32, leaf, &path));
        let empty = [SumNode { sums: Sums::default(), ..path[0] }];
        // THEN neither is paid: the children's sums are in the node's preimage
        assert!(!sum_tree::verify(&lying, 2, index as u32, leaf, &empty));
        assert!(!sum_tree::verify(&honest, 2, index as u32, leaf, &empty));
    }
    let both: Vec<_> = (0u32..).zip(leaves).collect();
    assert!(!sum_tree::verify_multi(&lying, 2, &both, &[]));
    assert!(sum_tree::verify_multi(&honest, 2, &both, &[]));
}

#[test]
fn overflowing_sums_should_have_no_root() {
    let leaf = |owner| OwnerLeaf {
        datanet: 1,
        owner: [owner; 32],
        records: 1,
        inrun: 0,
        pos: 0,
        neg: 0,
        paid: u128::MAX,
        held: 0,
    };
    assert_eq!(sum_tree::root(&[leaf(1), leaf(2)]), None);
    let node = FeeNode { hash: ZERO, fee: u128::MAX };
    assert_eq!(fee_tree::root(&[node, node]), None);
}

#[test]
fn range_should_not_change_when_a_leaf_cannot_be_appended() {
    let range = |peaks: usize, leaves, records| mmr::Mmr { peaks: vec![[7; 32]; peaks], leaves, records };
    let widest = (1u64 << 40) - 1;
    for refused in [
        // Peaks that do not belong to the count: too few to merge, too few, too many.
        range(1, 3, 0),
        range(0, 2, 0),
        range(2, 2, 0),
        range(1, 0, 0),
        // Counts at their ends.
        range(64, u64::MAX, 0),
        range(1, 1, u64::MAX),
        // One peak more than there may be.
        range(40, 2 * widest, 0),
    ] {
        let mut changed = refused.clone();
        assert_eq!(changed.append([1; 32], 1), None, "{refused:?}");
        assert_eq!(changed, refused);
    }
    let mut widest = range(39, widest - 1, 0);
    assert_eq!(widest.append([1; 32], 1), Some(()));
    assert_eq!((widest.peaks.len() as u32, widest.records), (mmr::MAX_PEAKS, 1));
    assert_eq!(widest.append([1; 32], 1), Some(()));
    assert_eq!((widest.peaks.len(), widest.leaves), (1, 1 << 40));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "a page of 1025 bytes")]
fn page_hash_should_refuse_more_than_a_page() {
    let _ = merkle::page_hash(&[0; 1025]);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "bytes of a tensor [2, 3]")]
fn tensor_hash_should_refuse_bytes_that_do_not_fit_the_dims() {
    let _ = merkle::tensor_hash(merkle::Dtype::F32, &[2, 3], &[0; 20]);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "a tensor of rank 256")]
fn tensor_hash_should_refuse_a_rank_that_a_byte_does_not_hold() {
    let _ = merkle::tensor_hash(merkle::Dtype::U8, &[1; 256], &[0]);
}

#[test]
fn tensor_hash_should_bind_type_and_dims() {
    use merkle::{tensor_hash, Dtype::*};
    let raw = [5; 24];
    let hashes = [
        tensor_hash(F32, &[6], &raw),
        tensor_hash(F32, &[2, 3], &raw),
        tensor_hash(F32, &[3, 2], &raw),
        tensor_hash(F32, &[1, 6], &raw),
        tensor_hash(I32, &[6], &raw),
        tensor_hash(U32, &[6], &raw),
        tensor_hash(U8, &[24], &raw),
        tensor_hash(Bf16, &[12], &raw),
        tensor_hash(F16, &[12], &raw),
    ];
    for (i, a) in hashes.iter().enumerate() {
        assert!(hashes[..i].iter().all(|b| a != b), "{i}");
    }
}

#[test]
fn small_trees_should_have_the_specified_shape() {
    let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
    assert_eq!(merkle::root(&[]), ZERO);
    assert_eq!(merkle::root(&[a]), a);
    assert_eq!(merkle::root(&[a, b, c]), merkle::inner(&merkle::inner(&a, &b), &c));
    assert_eq!(mmr::bag(&[]), ZERO);
    assert_eq!(mmr::bag(&[a, b, c]), merkle::inner(&a, &merkle::inner(&b, &c)));
    assert_eq!(merkle::pages_root(&[0; 1024]), merkle::page_hash(&[]));
    assert_eq!(merkle::pages_root(&[1; 1025]), merkle::inner(&merkle::page_hash(&[1; 1024]), &merkle::page_hash(&[1])));
}

proptest! {
    #[test]
    fn pages_should_hash_alike_one_by_one_and_together(bytes in vec(any::<u8>(), 0..40_000)) {
        let one_by_one: Vec<Hash> = bytes.chunks(merkle::PAGE).map(merkle::page_hash).collect();
        prop_assert_eq!(merkle::page_hashes(&bytes), one_by_one);
    }
}
