//! `claim`, `claim_many`.

use super::*;
use weft_protocol::sum_tree::{OwnerLeaf, SumNode};

const FEES: u128 = 10_000;

/// Runs a test in which epoch 1 is settled: 2,240 units for the contributors of part 0, 960 for those of part 1.
fn with_settlement(test: impl FnOnce()) {
    build_and_execute(|| {
        open_channel(1_000_000);
        redeem(FEES).unwrap();
        end_epoch(1);
        post_usage(1, FEES).unwrap();
        finalise(1).unwrap();
        test();
    });
}

fn many(part: u32, leaves: Vec<(u32, OwnerLeaf)>, proof: Vec<SumNode>) -> DispatchResult {
    let (leaves, proof) = (leaves.try_into().unwrap(), proof.try_into().unwrap());
    Rewards::claim_many(signed(STRANGER), MODEL, 1, part, leaves, proof)
}

fn status(part: u32, index: u32, paid: u128) -> Option<ClaimStatus> {
    crate::Pallet::<Test>::claim_status(MODEL, 1, part, index, paid)
}

#[test]
fn claim_should_pay_the_owner_whoever_calls() {
    with_settlement(|| {
        let leaves = &usual_leaves()[0].1;
        assert_eq!(status(0, 0, leaves[0].paid), Some(ClaimStatus { claimed: false, due: 1_600 }));
        assert_ok!(claim(1, 0, leaves, 0));
        let who = contributor(CURATED, 0);
        assert_eq!(balance(&who), 1_600);
        assert_eq!(balance(&STRANGER), RICH);
        let event = Event::Claimed { model: MODEL, epoch: 1, part: 0, index: 0, who, amount: 1_600 };
        System::assert_has_event(event.into());
        assert_eq!(status(0, 0, leaves[0].paid), Some(ClaimStatus { claimed: true, due: 1_600 }));
        assert_eq!(status(0, 1, leaves[1].paid), Some(ClaimStatus { claimed: false, due: 639 }));
        assert_eq!(status(0, 3, 1), None);
        assert_eq!(status(2, 0, 1), None);
        assert_eq!(crate::Pallet::<Test>::claim_status(MODEL, 2, 0, 0, 1), None);
    });
}

#[test]
fn last_claim_should_send_the_dust_to_the_treasury() {
    with_settlement(|| {
        let before = balance(&TREASURY);
        let leaves = &usual_leaves()[0].1;
        for index in [2, 0, 1] {
            assert_eq!(balance(&TREASURY), before);
            assert_ok!(claim(1, 0, leaves, index));
        }
        // 2,240 = 1,600 + 639 + 0 + dust
        assert_eq!(balance(&contributor(CURATED, 1)), 639);
        assert_eq!(balance(&TREASURY), before + 1);
        let part = &crate::Settlements::<Test>::get(MODEL, 1).unwrap().parts[0];
        assert_eq!((part.claimed, part.claimed_leaves), (2_240, 3));
        assert_eq!(balance(&POT), ED + 960);
    });
}

#[test]
fn claim_should_refuse_when_the_leaf_is_claimed() {
    with_settlement(|| {
        let leaves = &usual_leaves()[0].1;
        assert_ok!(claim(1, 0, leaves, 0));
        assert_noop!(claim(1, 0, leaves, 0), Error::<Test>::AlreadyClaimed);
        let indices = [0, 1];
        let proof = sum_tree::multiproof(leaves, &indices).unwrap();
        let both = indices.map(|at| (at, leaves[at as usize])).to_vec();
        assert_noop!(many(0, both, proof), Error::<Test>::AlreadyClaimed);
    });
}

#[test]
fn claim_should_refuse_when_there_is_no_such_settlement_or_part() {
    with_settlement(|| {
        let leaves = &usual_leaves()[0].1;
        let path: BoundedVec<_, _> = sum_tree::proof(leaves, 0).unwrap().try_into().unwrap();
        let refused = Rewards::claim(RuntimeOrigin::root(), MODEL, 1, 0, 0, leaves[0], path);
        assert_noop!(refused, BadOrigin);
        let refused = Rewards::claim_many(RuntimeOrigin::none(), MODEL, 1, 0, Default::default(), Default::default());
        assert_noop!(refused, BadOrigin);
        assert_noop!(claim(2, 0, leaves, 0), Error::<Test>::NotSettled);
        assert_noop!(claim(1, 2, leaves, 0), Error::<Test>::PartUnknown);
        assert_noop!(claim(1, u32::MAX, leaves, 0), Error::<Test>::PartUnknown);
    });
}

#[test]
fn claim_should_refuse_when_the_proof_is_of_another_place() {
    with_settlement(|| {
        let all = usual_leaves();
        // The other part's tree, also with the Datanet's number changed.
        assert_noop!(claim(1, 1, &all[0].1, 0), Error::<Test>::ProofMismatch);
        let mut moved = all[0].1.clone();
        moved.iter_mut().for_each(|leaf| leaf.datanet = PLAIN);
        assert_noop!(claim(1, 1, &moved, 0), Error::<Test>::ProofMismatch);
        // Another index.
        let leaves = &all[0].1;
        let path: BoundedVec<_, _> = sum_tree::proof(leaves, 0).unwrap().try_into().unwrap();
        for index in [1, 2, 3, u32::MAX] {
            let refused = Rewards::claim(signed(STRANGER), MODEL, 1, 0, index, leaves[0], path.clone());
            assert_noop!(refused, Error::<Test>::ProofMismatch);
        }
        // No leaves at all.
        assert_noop!(many(0, vec![], vec![]), Error::<Test>::ProofMismatch);
    });
}

#[test]
fn claim_should_refuse_when_any_bit_of_the_proof_is_flipped() {
    with_settlement(|| {
        let leaves = &usual_leaves()[0].1;
        let path = sum_tree::proof(leaves, 1).unwrap();
        let good = (leaves[1], BoundedVec::<SumNode, ConstU32<32>>::try_from(path).unwrap()).encode();
        for byte in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[byte] ^= 1 << bit;
                // A flip in the length of the path does not decode.
                let Ok((leaf, path)) = Decode::decode(&mut &bad[..]) else { continue };
                let refused = Rewards::claim(signed(STRANGER), MODEL, 1, 0, 1, leaf, path);
                assert_noop!(refused, Error::<Test>::ProofMismatch);
            }
        }
        assert_ok!(claim(1, 0, leaves, 1));
    });
}

#[test]
fn two_leaves_should_not_both_take_the_whole() {
    execute(new_state(Params::default(), RICH), || {
        // GIVEN a root of 10^12 whose builder claims 10^12 in both leaves: the node binds both children's sums, so no
        // root with that sum exists, and the forged one has the hash of two leaves with twice the sum
        const ALL: u128 = 1_000_000_000_000;
        let greedy = leaves(CURATED, &[ALL, ALL]);
        let mut forged = part(CURATED, &greedy);
        assert_eq!(forged.paid, 2 * ALL);
        forged.paid = ALL;
        use weft_traits::{AttributionBook, TrainingWeights};
        let parts = vec![forged];
        let weights = TrainingWeights { method: 1, cotangent: 0, x: 0, r0: [0; 32], extra: [0; 32], parts };
        assert_ok!(<Attribution as AttributionBook<frame::deps::sp_runtime::AccountId32>>::record(MODEL, weights));
        open_channel(1_000_000);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        assert_ok!(finalise(1));
        // WHEN either leaf is claimed, with either sum of its sibling THEN it is refused
        for index in [0, 1] {
            assert_noop!(claim(1, 0, &greedy, index), Error::<Test>::ProofMismatch);
            let mut path = sum_tree::proof(&greedy, index as usize).unwrap();
            path[0].sums.paid = 0;
            let path: BoundedVec<_, _> = path.try_into().unwrap();
            let refused = Rewards::claim(signed(STRANGER), MODEL, 1, 0, index, greedy[index as usize], path);
            assert_noop!(refused, Error::<Test>::ProofMismatch);
        }
        let both = vec![(0, greedy[0]), (1, greedy[1])];
        assert_noop!(many(0, both, vec![]), Error::<Test>::ProofMismatch);
    });
}

#[test]
fn claim_should_refuse_when_the_leaf_holds_units_back() {
    execute(new_state(Params::default(), RICH), || {
        let mut held = leaves(CURATED, &[1_000_000_000_000]);
        held[0].held = 1;
        record(MODEL, &[(CURATED, held.clone())]);
        open_channel(1_000_000);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        assert_ok!(finalise(1));
        assert_noop!(claim(1, 0, &held, 0), Error::<Test>::ProofMismatch);
    });
}

#[test]
fn claim_many_should_pay_all_or_none() {
    with_settlement(|| {
        let leaves = &usual_leaves()[0].1;
        let indices = [0, 2];
        let proof = sum_tree::multiproof(leaves, &indices).unwrap();
        let pick = |list: &[u32]| list.iter().map(|at| (*at, leaves[*at as usize])).collect::<Vec<_>>();
        // Wrong order, twice the same, one too many, proof cut or extended.
        assert_noop!(many(0, pick(&[2, 0]), proof.clone()), Error::<Test>::ProofMismatch);
        assert_noop!(many(0, pick(&[0, 0]), proof.clone()), Error::<Test>::ProofMismatch);
        assert_noop!(many(0, pick(&[0, 1, 2]), proof.clone()), Error::<Test>::ProofMismatch);
        assert_noop!(many(0, pick(&indices), vec![]), Error::<Test>::ProofMismatch);
        let longer = [proof.clone(), proof.clone()].concat();
        assert_noop!(many(0, pick(&indices), longer), Error::<Test>::ProofMismatch);
        // The right one.
        assert_ok!(many(0, pick(&indices), proof));
        assert_eq!(balance(&contributor(CURATED, 0)), 1_600);
        assert_ok!(claim(1, 0, leaves, 1));
        assert_eq!(balance(&POT), ED + 960);
    });
}

#[test]
fn small_claims_should_add_up_until_they_can_be_paid() {
    execute(new_state(Params::default(), RICH), || {
        // GIVEN a contributor with a hundredth of the points
        let all = vec![(CURATED, leaves(CURATED, &[10_000_000_000, 990_000_000_000]))];
        record(MODEL, &all);
        open_channel(1_000_000);
        let who = contributor(CURATED, 0);
        for epoch in 1..=4u32 {
            // 10,000 of fees: 3,200 for contributors, 32 for this one; the existential deposit is 100
            assert_ok!(redeem(FEES * u128::from(epoch)));
            end_epoch(epoch);
            assert_ok!(post_usage(epoch, FEES));
            assert_ok!(finalise(epoch));
            assert_ok!(claim(epoch, 0, &all[0].1, 0));
            let (paid, owed) = (balance(&who), crate::Pallet::<Test>::owed(who.clone()));
            assert_eq!((paid, owed), if epoch < 4 { (0, 32 * u128::from(epoch)) } else { (128, 0) });
        }
    });
}

/// A contributor with a hundredth of the points that is owed 32 units of epoch 1.
fn with_debt(test: impl FnOnce(&[OwnerLeaf], frame::deps::sp_runtime::AccountId32)) {
    execute(new_state(Params::default(), RICH), || {
        let all = vec![(CURATED, leaves(CURATED, &[10_000_000_000, 990_000_000_000, 0]))];
        record(MODEL, &all);
        open_channel(1_000_000);
        let who = contributor(CURATED, 0);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        assert_ok!(finalise(1));
        assert_ok!(claim(1, 0, &all[0].1, 0));
        assert_eq!(crate::Pallet::<Test>::owed(who.clone()), 32);
        test(&all[0].1, who);
    });
}

#[test]
fn claim_should_pay_what_is_owed_when_the_leaf_is_claimed_and_the_owner_can_take_it() {
    with_debt(|leaves, who| {
        // GIVEN an owner that cannot take 32 units yet
        assert_noop!(claim(1, 0, leaves, 0), Error::<Test>::AlreadyClaimed);
        assert_ok!(Balances::transfer_keep_alive(signed(STRANGER), who.clone(), ED));
        // WHEN its account exists and the leaf is claimed again
        assert_ok!(claim(1, 0, leaves, 0));
        // THEN it has them, once
        System::assert_last_event(Event::Collected { who: who.clone(), amount: 32 }.into());
        assert_eq!((balance(&who), crate::Pallet::<Test>::owed(who.clone())), (ED + 32, 0));
        assert_noop!(claim(1, 0, leaves, 0), Error::<Test>::AlreadyClaimed);
        let part = &crate::Settlements::<Test>::get(MODEL, 1).unwrap().parts[0];
        assert_eq!((part.claimed, part.claimed_leaves), (32, 1));
    });
}

#[test]
fn claim_should_refuse_a_claimed_leaf_with_another_proof_when_units_are_owed() {
    with_debt(|leaves, who| {
        assert_ok!(Balances::transfer_keep_alive(signed(STRANGER), who, ED));
        let path: BoundedVec<_, _> = sum_tree::proof(leaves, 1).unwrap().try_into().unwrap();
        let refused = Rewards::claim(signed(STRANGER), MODEL, 1, 0, 0, leaves[0], path);
        assert_noop!(refused, Error::<Test>::ProofMismatch);
    });
}

#[test]
fn claim_of_a_leaf_without_points_should_pay_what_is_owed() {
    with_debt(|leaves, _| {
        // GIVEN the owner of a leaf without points, owed 10 units that another payment left in the pot
        let who = contributor(CURATED, 2);
        crate::Owed::<Test>::insert(&who, 10);
        assert_ok!(Balances::transfer_keep_alive(signed(CONSUMER), POT, 10));
        assert_ok!(Balances::transfer_keep_alive(signed(STRANGER), who.clone(), ED));
        // WHEN its leaf is claimed THEN the units are paid
        assert_ok!(claim(1, 0, leaves, 2));
        assert_eq!((balance(&who), crate::Pallet::<Test>::owed(who.clone())), (ED + 10, 0));
    });
}

#[test]
fn claim_many_should_pay_what_is_owed_beside_new_leaves() {
    with_debt(|leaves, who| {
        assert_ok!(Balances::transfer_keep_alive(signed(STRANGER), who.clone(), ED));
        let indices = [0, 1, 2];
        let proof = sum_tree::multiproof(leaves, &indices).unwrap();
        let all = indices.map(|at| (at, leaves[at as usize])).to_vec();
        assert_ok!(many(0, all.clone(), proof.clone()));
        assert_eq!(balance(&who), ED + 32);
        assert_noop!(many(0, all, proof), Error::<Test>::AlreadyClaimed);
    });
}

#[test]
fn bits_should_span_chunks() {
    execute(new_state(Params::default(), RICH), || {
        // GIVEN more leaves than one chunk holds
        const COUNT: usize = 2_050;
        let mut points = vec![1; COUNT];
        points[0] = 1_000_000_000_000 - (COUNT as u128 - 1);
        let all = vec![(CURATED, leaves(CURATED, &points))];
        record(MODEL, &all);
        open_channel(1_000_000);
        assert_ok!(redeem(FEES));
        end_epoch(1);
        assert_ok!(post_usage(1, FEES));
        assert_ok!(finalise(1));
        for index in [0, 2_047, 2_048, 2_049] {
            assert_ok!(claim(1, 0, &all[0].1, index));
            assert_noop!(claim(1, 0, &all[0].1, index), Error::<Test>::AlreadyClaimed);
        }
        assert_eq!(crate::ClaimedBits::<Test>::get((MODEL, 1, 0, 1)).count_due(), 2);
    });
}
