//! Each invariant, broken.

use super::*;

#[test]
fn a1_should_break_when_points_do_not_sum() {
    expect_broken("A1", || {
        let mut stored = Weights::checked(weights().1).unwrap();
        stored.parts[1].paid += 1;
        crate::Training::<Test>::insert(MODEL, stored);
    });
}

#[test]
fn a2_should_break_when_a_model_with_usage_has_no_weights() {
    expect_broken("A2", || {
        let sums = UsageSums { count: 1, tokens_in: 1, tokens_out: 1, fees: 0 };
        crate::Usage::<Test>::insert((NO_MODEL, 1, ORACLE), UsageReport { root: [0; 32], sums });
    });
}

#[test]
fn a3_should_break_when_usage_exceeds_the_fees() {
    expect_broken("A3", || {
        crate::Training::<Test>::insert(MODEL, Weights::checked(weights().1).unwrap());
        let sums = UsageSums { count: 1, tokens_in: 1, tokens_out: 1, fees: 1 };
        crate::Usage::<Test>::insert((MODEL, 1, ORACLE), UsageReport { root: [0; 32], sums });
    });
}
