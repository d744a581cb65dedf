//! Tests by concern.

mod invariants;
mod training;
mod usage;

use crate::{mock::*, types::*, Error, Event};
use frame::testing_prelude::*;
use weft_protocol::{
    run::Part,
    sum_tree::{self, OwnerLeaf},
};
use weft_traits::{AttributionBook, TrainingWeights};

/// Datanets of the model.
const DATANETS: [u32; 2] = [5, 9];

/// Leaves of one Datanet: `count` owners who share `points`, the last taking the rest.
fn leaves(datanet: u32, count: u32, points: u128) -> Vec<OwnerLeaf> {
    let each = points / u128::from(count);
    (0..count)
        .map(|i| OwnerLeaf {
            datanet,
            owner: [u8::try_from(i).unwrap() + 10; 32],
            records: i + 1,
            inrun: u128::from(i) * 7,
            pos: 100,
            neg: 40,
            paid: if i + 1 == count { points - each * u128::from(count - 1) } else { each },
            held: 0,
        })
        .collect()
}

/// The part that leaves add up to.
fn part(leaves: &[OwnerLeaf]) -> Part {
    let root = sum_tree::root(leaves).unwrap();
    Part {
        datanet: leaves[0].datanet,
        leaves: u32::try_from(leaves.len()).unwrap(),
        root: root.hash,
        pos: root.sums.pos,
        neg: root.sums.neg,
        paid: root.sums.paid,
    }
}

/// Weights over two Datanets: three owners share 7/10, two share 3/10.
fn weights() -> (Vec<Vec<OwnerLeaf>>, TrainingWeights) {
    let all = vec![leaves(DATANETS[0], 3, 7 * POINTS / 10), leaves(DATANETS[1], 2, 3 * POINTS / 10)];
    let parts = all.iter().map(|leaves| part(leaves)).collect();
    (all, TrainingWeights { method: 1, cotangent: 0, x: -2, r0: [8; 32], extra: [9; 32], parts })
}
