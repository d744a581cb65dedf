//! Every split is exact.

use proptest::{collection::vec, prelude::*};
use weft_protocol::split::*;

fn weight() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), Just(1), 0u128..1000, any::<u64>().prop_map(u128::from), Just(1 << 100), (0u128..1 << 100)]
}

fn total() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), 0u128..1000, any::<u128>(), Just(u128::MAX), Just(u128::MAX / 2)]
}

/// Numbers of every size, so that quotients stand on both sides of 2^128.
fn factor() -> impl Strategy<Value = u128> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u128::MAX),
        (any::<u128>(), 0u32..128).prop_map(|(x, shift)| x >> shift),
        (0u32..128).prop_map(|shift| 1u128 << shift),
    ]
}

/// The 256-bit product as (upper, lower) half, by schoolbook over halves of 64 bits.
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    const HALF: u128 = (1 << 64) - 1;
    let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let low = a0 * b0;
    let (cross, carry) = (a1 * b0).overflowing_add(a0 * b1);
    let (sum, over) = low.overflowing_add(cross << 64);
    (a1 * b1 + (cross >> 64) + (u128::from(carry) << 64) + u128::from(over), sum)
}

proptest! {
    #[test]
    fn parts_should_sum_to_the_total(total in total(), weights in vec(weight(), 1..60)) {
        let parts = split(total, &weights).unwrap();
        prop_assert_eq!(parts.iter().sum::<u128>(), total);
        let even = weights.iter().all(|w| *w == 0);
        let weights: Vec<u128> = weights.iter().map(|w| if even { 1 } else { *w }).collect();
        let sum: u128 = weights.iter().sum();
        for (part, weight) in parts.iter().zip(&weights) {
            let (floor, remainder) = mul_div(total, *weight, sum).unwrap();
            prop_assert!(*part == floor || (*part == floor + 1 && remainder > 0));
        }
        // Whoever got an extra unit has a larger remainder, or the same and a lower index, than whoever did not.
        let rank = |i: usize| { let (floor, remainder) = mul_div(total, weights[i], sum).unwrap(); (parts[i] > floor, remainder) };
        for i in 0..parts.len() {
            for j in 0..parts.len() {
                let ((up_i, rem_i), (up_j, rem_j)) = (rank(i), rank(j));
                if up_i && !up_j {
                    prop_assert!(rem_i > rem_j || (rem_i == rem_j && i < j));
                }
            }
        }
    }

    #[test]
    fn product_should_not_wrap(a in factor(), b in factor(), c in factor()) {
        // The quotient exceeds u128 exactly when the upper half of the 256-bit product reaches the divisor.
        let (high, low) = wide_product(a, b);
        let result = mul_div(a, b, c);
        prop_assert_eq!(result.is_none(), high >= c, "{} {} {}", a, b, c);
        if let Some((quotient, remainder)) = result {
            prop_assert!(remainder < c);
            // Quotient · divisor + remainder is the product, in all 256 bits.
            let (back_high, back_low) = wide_product(quotient, c);
            let (back_low, carry) = back_low.overflowing_add(remainder);
            prop_assert_eq!((back_high + u128::from(carry), back_low), (high, low));
            prop_assert_eq!(mul_div_up(a, b, c), quotient.checked_add(u128::from(remainder > 0)));
        } else {
            prop_assert_eq!(mul_div_up(a, b, c), None);
        }
    }

    #[test]
    fn shares_should_sum(total in total(), a in 0u32..=1_000_000, b in 0u32..=1_000_000) {
        let (low, high) = (a.min(b), a.max(b));
        let parts = ppm(total, &[low, high - low, 1_000_000 - high]).unwrap();
        prop_assert_eq!(parts.iter().sum::<u128>(), total);
        prop_assert_eq!(ppm(total, &[low, 1_000_001 - low]), None);
    }
}

#[test]
fn largest_totals_and_weights_should_split_exactly() {
    let weights = vec![1u128 << 100; MAX_WEIGHTS];
    for total in [u128::MAX, u128::MAX / 2] {
        assert_eq!(split(total, &weights).unwrap().iter().sum::<u128>(), total);
    }
    assert_eq!(split(1, &vec![1; MAX_WEIGHTS + 1]), None);
    assert_eq!(split_any(1, &vec![1; MAX_WEIGHTS + 1]).unwrap()[0], 1);
    assert_eq!(split(5, &[u128::MAX, 1]), None);
    assert_eq!(split(0, &[]), Some(vec![]));
    assert_eq!(split(1, &[]), None);
}

#[test]
fn ties_should_go_to_the_lower_index_and_zero_weights_count_one() {
    assert_eq!(split(10, &[1, 1, 1]).unwrap(), [4, 3, 3]);
    assert_eq!(split(11, &[0, 0, 0]).unwrap(), [4, 4, 3]);
    assert_eq!(split(7, &[0, 5, 0]).unwrap(), [0, 7, 0]);
    assert_eq!(ModelSplit::DEFAULT.split(101).unwrap().iter().sum::<u128>(), 101);
    assert!(ModelSplit::DEFAULT.is_whole());
    assert!(!ModelSplit { data: u32::MAX, ..ModelSplit::DEFAULT }.is_whole());
}
