//! Random fees, weights and orders of claims: everything is paid out to the unit.

use super::*;
use frame::deps::sp_runtime::AccountId32;
use proptest::prelude::*;
use std::collections::BTreeSet;
use weft_protocol::{
    split::{split, ModelSplit},
    sum_tree::OwnerLeaf,
};
use weft_traits::PartShares;

/// Cases of each property; more by `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|value| value.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[derive(Debug, Clone)]
struct Case {
    /// Weights of the leaves of each Datanet.
    parts: Vec<Vec<u64>>,
    fees: Vec<u128>,
    split: ModelSplit,
    shares: Vec<PartShares>,
    curators: Vec<usize>,
    order: Vec<(usize, usize, bool)>,
}

fn whole<const N: usize>(weights: [u32; N]) -> [u32; N] {
    let parts = split(1_000_000, &weights.map(u128::from)).unwrap();
    let mut whole = [0; N];
    for (to, from) in whole.iter_mut().zip(parts) {
        *to = u32::try_from(from).unwrap();
    }
    whole
}

prop_compose! {
    fn case(most: u128)(
        parts in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0u64), any::<u64>()], 0..12), 1..5),
        fees in prop::collection::vec(prop_oneof![1..=most, 1..=1_000u128], 1..4),
        split in any::<[u16; 5]>(),
        shares in any::<[[u16; 3]; 4]>(),
        curators in prop::collection::vec(0usize..4, 4),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 80),
    ) -> Case {
        let [treasury, stakers, owner, oracle, data] = whole(split.map(u32::from));
        let split = ModelSplit { treasury, stakers, owner, oracle, data };
        let shares = shares.iter().map(|three| {
            let [contributors, owner, curators] = whole(three.map(u32::from));
            PartShares { contributors, owner, curators }
        }).collect();
        let order = order.iter().map(|(a, b, many)| (a.index(64), b.index(64), *many)).collect();
        Case { parts, fees, split, shares, curators, order }
    }
}

/// The leaves: 10^12 points by weight over all Datanets, or none when there is no leaf.
fn all_leaves(case: &Case) -> Vec<(u32, Vec<OwnerLeaf>)> {
    let weights: Vec<u128> = case.parts.iter().flatten().map(|weight| u128::from(*weight)).collect();
    let mut points = if weights.is_empty() { vec![] } else { split(1_000_000_000_000, &weights).unwrap() }.into_iter();
    (1u32..)
        .zip(&case.parts)
        .map(|(datanet, part)| {
            let paid: Vec<u128> = part.iter().map(|_| points.next().unwrap()).collect();
            (datanet, leaves(datanet, &paid))
        })
        .collect()
}

fn run(case: &Case, budget: u128) {
    let consumer = budget.checked_add(RICH).unwrap();
    execute(new_state(Params::default(), consumer), || {
        // GIVEN a model with random weights, split and licences
        add_model(MODEL, case.split);
        let all = all_leaves(case);
        for (at, (datanet, _)) in all.iter().enumerate() {
            let curators = (0..case.curators[at]).map(|i| contributor(1_000, u32::try_from(i).unwrap())).collect();
            DatanetTable::mutate(|table| table.insert(*datanet, (OWNER, curators)));
            ShareTable::mutate(|table| table.insert(*datanet, case.shares[at]));
        }
        record(MODEL, &all);
        open_channel(budget);

        // WHEN random fees are settled
        let mut cumulative = 0u128;
        let epochs: Vec<u32> = (1u32..).take(case.fees.len()).collect();
        for (epoch, fees) in epochs.iter().zip(&case.fees) {
            cumulative += fees;
            redeem(cumulative).unwrap();
            end_epoch(*epoch);
            post_usage(*epoch, *fees).unwrap();
            finalise(*epoch).unwrap();
            Rewards::do_try_state().unwrap();
        }

        // and claimed in a random order, some twice, some together
        let mut claimed = BTreeSet::new();
        let mut claim_one = |epoch: u32, part: usize, index: u32| {
            let leaves = &all[part].1;
            let number = u32::try_from(part).unwrap();
            let known = crate::Settlements::<Test>::get(MODEL, epoch).unwrap().parts[part].clone();
            if known.contributors == 0 {
                assert_noop!(claim(epoch, number, leaves, index), Error::<Test>::NothingToClaim);
            } else if claimed.insert((epoch, part, index)) {
                let who = AccountId32::new(leaves[index as usize].owner);
                let had = balance(&who) + crate::Owed::<Test>::get(&who);
                claim(epoch, number, leaves, index).unwrap();
                let due = known.due(leaves[index as usize].paid).unwrap();
                assert_eq!(balance(&who) + crate::Owed::<Test>::get(&who), had + due);
            } else {
                assert_noop!(claim(epoch, number, leaves, index), Error::<Test>::AlreadyClaimed);
            }
        };
        let filled: Vec<usize> = (0..all.len()).filter(|part| !all[*part].1.is_empty()).collect();
        if !filled.is_empty() {
            for (a, b, _) in &case.order {
                let part = filled[a % filled.len()];
                let epoch = epochs[b % epochs.len()];
                let index = u32::try_from((a + b) % all[part].1.len()).unwrap();
                claim_one(epoch, part, index);
            }
        }
        Rewards::do_try_state().unwrap();
        // the rest in one call per part
        for epoch in &epochs {
            for part in &filled {
                let leaves = &all[*part].1;
                let indices: Vec<u32> =
                    (0u32..).take(leaves.len()).filter(|index| !claimed.contains(&(*epoch, *part, *index))).collect();
                let known = crate::Settlements::<Test>::get(MODEL, epoch).unwrap().parts[*part].clone();
                if indices.is_empty() || known.contributors == 0 {
                    continue;
                }
                let proof = sum_tree::multiproof(leaves, &indices).unwrap().try_into().unwrap();
                let rest: Vec<_> = indices.iter().map(|at| (*at, leaves[*at as usize])).collect();
                let number = u32::try_from(*part).unwrap();
                Rewards::claim_many(signed(STRANGER), MODEL, *epoch, number, rest.try_into().unwrap(), proof).unwrap();
            }
        }

        // THEN the pot holds its deposit and what is owed: all fees were paid out
        let owed: u128 = crate::Owed::<Test>::iter().map(|(_, owed)| owed).sum();
        assert_eq!(balance(&POT), ED + owed);
    });
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everything_should_be_paid_out_to_the_unit(case in case(1_000_000)) {
        run(&case, 4_000_000);
    }

    #[test]
    fn everything_should_be_paid_out_to_the_unit_when_amounts_are_huge(case in case(u128::MAX / 16)) {
        run(&case, u128::MAX / 4);
    }

    #[test]
    fn wrong_proofs_should_change_nothing(case in case(1_000_000), flips in prop::collection::vec(any::<prop::sample::Index>(), 16)) {
        execute(new_state(Params::default(), RICH), || {
            let all = all_leaves(&case);
            for (datanet, _) in &all {
                DatanetTable::mutate(|table| table.insert(*datanet, (OWNER, vec![])));
                ShareTable::mutate(|table| table.insert(*datanet, SHARES));
            }
            record(MODEL, &all);
            open_channel(100_000_000);
            redeem(100_000_000).unwrap();
            end_epoch(1);
            post_usage(1, 100_000_000).unwrap();
            finalise(1).unwrap();
            for (part, (_, leaves)) in (0u32..).zip(&all) {
                if leaves.is_empty() || crate::Settlements::<Test>::get(MODEL, 1).unwrap().parts[part as usize].contributors == 0 {
                    continue;
                }
                for flip in &flips {
                    let index = u32::try_from(flip.index(leaves.len())).unwrap();
                    let path = sum_tree::proof(leaves, index as usize).unwrap();
                    let path: BoundedVec<_, ConstU32<MAX_DEPTH>> = path.try_into().unwrap();
                    let mut bytes = (index, leaves[index as usize], path).encode();
                    let bit = flip.index(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let Ok((index, leaf, path)) = Decode::decode(&mut &bytes[..]) else { continue };
                    let refused = Rewards::claim(signed(STRANGER), MODEL, 1, part, index, leaf, path);
                    assert_noop!(refused, Error::<Test>::ProofMismatch);
                }
            }
        });
    }
}
