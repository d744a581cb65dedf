//! Recording weights and proving them.

use super::*;
use frame::deps::sp_runtime::AccountId32;

#[test]
fn weights_should_be_stored_when_the_model_has_none() {
    build_and_execute(|| {
        let (_, weights) = weights();
        assert_ok!(Attribution::record(MODEL, weights.clone()));
        assert_eq!(<Attribution as AttributionBook<AccountId32>>::training(MODEL), Some(weights.clone()));
        assert_eq!(crate::Pallet::<Test>::training(MODEL).map(Into::into), Some(weights));
        System::assert_last_event(Event::WeightsRecorded { model: MODEL, method: 1 }.into());
    });
}

#[test]
fn record_should_refuse_when_the_weights_are_known() {
    build_and_execute(|| {
        let (_, weights) = weights();
        assert_ok!(Attribution::record(MODEL, weights.clone()));
        assert_noop!(Attribution::record(MODEL, weights), Error::<Test>::AlreadyRecorded);
    });
}

#[test]
fn record_should_refuse_when_the_method_is_unknown_or_inactive() {
    build_and_execute(|| {
        let (_, mut weights) = weights();
        weights.method = 2;
        assert_noop!(Attribution::record(MODEL, weights.clone()), Error::<Test>::UnknownMethod);
        crate::Methods::<Test>::mutate(1, |method| method.as_mut().unwrap().active = false);
        weights.method = 1;
        assert_noop!(Attribution::record(MODEL, weights), Error::<Test>::UnknownMethod);
    });
}

#[test]
fn record_should_refuse_when_the_points_do_not_sum() {
    build_and_execute(|| {
        let (_, mut weights) = weights();
        weights.parts[0].paid += 1;
        assert_noop!(Attribution::record(MODEL, weights.clone()), Error::<Test>::OpeningMismatch);
        weights.parts[0].paid -= 1;
        weights.parts.swap(0, 1);
        assert_noop!(Attribution::record(MODEL, weights.clone()), Error::<Test>::OpeningMismatch);
        weights.parts.clear();
        assert_noop!(Attribution::record(MODEL, weights), Error::<Test>::OpeningMismatch);
    });
}

#[test]
fn methods_should_be_those_of_genesis() {
    build_and_execute(|| {
        for id in [0, 1] {
            let method = crate::Pallet::<Test>::method(id).unwrap();
            assert!(method.active);
            assert_eq!(method.sem_id, weft_protocol::run::sem_id(crate::methods::CLASS, 0));
        }
        assert_ne!(crate::Methods::<Test>::get(0).unwrap().spec, crate::Methods::<Test>::get(1).unwrap().spec);
        assert_eq!(crate::Pallet::<Test>::method(2), None);
    });
}

#[test]
fn weight_should_answer_only_to_a_true_proof() {
    build_and_execute(|| {
        // GIVEN a model with two parts
        let (all, weights) = weights();
        assert_ok!(Attribution::record(MODEL, weights));
        for (at, leaves) in (0u32..).zip(&all) {
            for (index, leaf) in (0u32..).zip(leaves) {
                let who = AccountId32::new(leaf.owner);
                let path: BoundedVec<_, _> =
                    sum_tree::proof(leaves, usize::try_from(index).unwrap()).unwrap().try_into().unwrap();
                let proof = WeightProof { part: at, index, leaf: *leaf, path };
                // WHEN the proof is true THEN the leaf is the answer
                assert_eq!(crate::Pallet::<Test>::weight(MODEL, who.clone(), proof.clone()), Some(*leaf));
                // WHEN anything differs THEN there is no answer
                let refused = |proof: WeightProof| {
                    assert_eq!(crate::Pallet::<Test>::weight(MODEL, who.clone(), proof), None);
                };
                refused(WeightProof { part: 1 - at, ..proof.clone() });
                refused(WeightProof { part: 7, ..proof.clone() });
                refused(WeightProof { index: index + 1, ..proof.clone() });
                refused(WeightProof { leaf: OwnerLeaf { paid: leaf.paid + 1, ..*leaf }, ..proof.clone() });
                refused(WeightProof { leaf: OwnerLeaf { owner: [1; 32], ..*leaf }, ..proof.clone() });
                refused(WeightProof { path: Default::default(), ..proof.clone() });
                assert_eq!(crate::Pallet::<Test>::weight(MODEL, STRANGER, proof.clone()), None);
                assert_eq!(crate::Pallet::<Test>::weight(NO_MODEL, who.clone(), proof), None);
            }
        }
    });
}
