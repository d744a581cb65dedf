//! What juries decide, against a model that counts, and who is paid.

use crate::strategies as s;
use proptest::{collection::vec, prelude::*};
use weft_protocol::{
    hash::ZERO,
    jury::*,
    run::{Commit, JuryValue, Outcome},
    slash::{lost_bond, slash_parts},
};

fn commit(steps: u32) -> Commit {
    Commit {
        n_done: steps,
        outcome: Outcome::Done,
        data_root: ZERO,
        steps_root: ZERO,
        model_commitment: ZERO,
        attribution_commitment: ZERO,
        secret: ZERO,
    }
}

/// A juror that found this commitment, with this work.
fn value(steps: u32, work: u8) -> JuryValue {
    JuryValue { commit: commit(steps), work: [work; 32] }
}

/// Members of a jury: silent, or one of few values, so that majorities are common.
fn members() -> impl Strategy<Value = Vec<Option<JuryValue>>> {
    let one = prop_oneof![1 => Just(None::<JuryValue>), 4 => (0u32..2, 0u8..2).prop_map(|(steps, work)| Some(value(steps, work)))];
    vec(one, 0..16)
}

proptest! {
    #[test]
    fn majority_should_be_the_value_that_more_than_half_revealed(values in members()) {
        let wins = |candidate: &JuryValue| 2 * values.iter().filter(|v| v.as_ref() == Some(candidate)).count() > values.len();
        let winners: Vec<JuryValue> =
            (0..2).flat_map(|steps| (0..2).map(move |work| value(steps, work))).filter(|v| wins(v)).collect();
        prop_assert!(winners.len() <= 1);
        prop_assert_eq!(majority(&values), winners.first());
        // The order of the members decides nothing, nor does a silent one more help.
        let mut turned = values.clone();
        turned.reverse();
        prop_assert_eq!(majority(&turned), winners.first());
        if majority(&values).is_none() {
            turned.push(None);
            prop_assert_eq!(majority(&turned), None);
        }
    }

    #[test]
    fn verdict_should_follow_the_majority_alone(values in members(), short in any::<bool>(), draws in 1u32..=MAX_DRAWS) {
        let verdict = verdict(&values, Some(&commit(0)), short, draws);
        let expected = match majority(&values) {
            Some(answer) if answer.commit == commit(0) => Verdict::Honest,
            Some(_) => Verdict::Fraud,
            None if short || draws == MAX_DRAWS => Verdict::Undecided,
            None => Verdict::Redraw,
        };
        prop_assert_eq!(verdict, expected);
        let answer = majority(&values);
        let fates: Vec<JurorFate> = values.iter().map(|v| fate(v.as_ref(), answer)).collect();
        let count = |fate: JurorFate| fates.iter().filter(|other| **other == fate).count();
        prop_assert_eq!(count(JurorFate::Silent), values.iter().filter(|v| v.is_none()).count());
        match verdict {
            Verdict::Fraud | Verdict::Honest => {
                prop_assert!(2 * count(JurorFate::Paid) > values.len());
                prop_assert_eq!(count(JurorFate::Released), 0);
                prop_assert!(verdict.payer() != Payer::Nobody);
            }
            Verdict::Redraw | Verdict::Undecided => {
                prop_assert_eq!(count(JurorFate::Paid) + count(JurorFate::Wrong), 0);
                prop_assert_eq!(verdict.payer(), Payer::Nobody);
            }
        }
    }

    #[test]
    fn any_other_field_of_the_commitment_should_be_fraud(found in s::commit(), posted in s::commit()) {
        let values = [Some(JuryValue { commit: found, work: ZERO }); 3];
        let expected = if found == posted { Verdict::Honest } else { Verdict::Fraud };
        prop_assert_eq!(verdict(&values, Some(&posted), false, 1), expected);
        prop_assert_eq!(verdict(&values, Some(&found), true, MAX_DRAWS), Verdict::Honest);
    }

    #[test]
    fn payments_should_sum_to_what_there_is(most in any::<u128>(), fees in vec(prop_oneof![any::<u128>(), 0u128..1_000], 0..16)) {
        let (paid, left) = pay_in_order(most, &fees);
        prop_assert_eq!(paid.len(), fees.len());
        prop_assert_eq!(paid.iter().try_fold(left, |sum, paid| sum.checked_add(*paid)), Some(most));
        prop_assert!(paid.iter().zip(&fees).all(|(paid, fee)| paid <= fee));
        // Nobody is paid before an earlier one is paid in full, and nothing is left while somebody is not.
        let open = paid.iter().zip(&fees).position(|(paid, fee)| paid < fee);
        if let Some(open) = open {
            prop_assert!(paid[open + 1..].iter().all(|paid| *paid == 0));
            prop_assert_eq!(left, 0);
        }
    }

    /// The accusers' bonds, one after the other, pay what is still owed to the jurors; the oracle has the rest.
    #[test]
    fn accusers_should_pay_jurors_once_and_the_oracle_the_rest(bonds in vec(0u128..1_000, 1..5), fee in 0u128..300, jurors in 0usize..6) {
        let mut unpaid = vec![fee; jurors];
        let owed: u128 = unpaid.iter().sum();
        let (mut to_jurors, mut to_oracle) = (0, 0);
        for bond in &bonds {
            let parts = lost_bond(*bond, unpaid.iter().sum());
            let (paid, left) = pay_in_order(parts.jurors, &unpaid);
            prop_assert_eq!(left, 0);
            for (unpaid, paid) in unpaid.iter_mut().zip(&paid) {
                *unpaid -= paid;
            }
            to_jurors += parts.jurors;
            to_oracle += parts.oracle;
        }
        let total: u128 = bonds.iter().sum();
        prop_assert_eq!(to_jurors, owed.min(total));
        prop_assert_eq!(to_jurors + to_oracle, total);
    }

    #[test]
    fn stake_should_pay_jurors_before_anyone_else(stake in 0u128..10_000, fee in 0u128..3_000, jurors in 0usize..6, challenger in any::<bool>()) {
        let fees = vec![fee; jurors];
        let (paid, _) = pay_in_order(stake, &fees);
        let parts = slash_parts(stake, fees.iter().sum(), challenger).unwrap();
        prop_assert_eq!(paid.iter().sum::<u128>(), parts.jurors);
        prop_assert_eq!(parts.jurors + parts.challenger + parts.builder + parts.burned, stake);
    }
}

#[test]
fn jury_should_not_decide_when_exactly_half_agree() {
    let half = [Some(value(1, 0)), Some(value(1, 0)), Some(value(0, 0)), None];
    assert_eq!(majority(&half), None);
    assert_eq!(verdict(&half, Some(&commit(0)), false, 1), Verdict::Redraw);
    assert_eq!(verdict(&half, Some(&commit(0)), false, MAX_DRAWS), Verdict::Undecided);
    assert_eq!(verdict(&half, Some(&commit(0)), true, 1), Verdict::Undecided);
    assert_eq!(verdict(&[], Some(&commit(0)), true, 1), Verdict::Undecided);
}

#[test]
fn equal_commitments_should_not_be_one_answer_when_their_work_differs() {
    let copied = [Some(value(1, 0)), Some(value(1, 1)), Some(value(1, 2))];
    assert_eq!(majority(&copied), None);
}

#[test]
fn a_run_without_commitment_should_be_fraud_when_jurors_agree() {
    assert_eq!(verdict(&[Some(value(1, 0))], None, true, 1), Verdict::Fraud);
}
