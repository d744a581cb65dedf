//! Token choice in generation.

use crate::arith::c;
use crate::func::{exp_sub, recip};
use crate::red::{max, red};

/// Canonical softmax: e = c(exp(z − max z)), p = c(e × c(1÷red(e))). `z` and
/// `p` `[n]`; the order of the entries is part of the result.
pub fn softmax(z: &[f32], p: &mut [f32]) {
    assert_eq!(z.len(), p.len());
    let m = max(z);
    for (p, z) in p.iter_mut().zip(z) {
        *p = exp_sub(*z, m);
    }
    let rho = recip(c(red(p)));
    for p in p {
        *p = c(*p * rho);
    }
}

/// The entry that the uniform number `u` in [0, 1) picks: the first whose
/// running sum (from +0, ascending) exceeds u, else the last of positive
/// probability, else 0.
#[must_use]
pub fn pick(p: &[f32], u: f32) -> usize {
    let mut sum = 0.0f32;
    for (i, p) in p.iter().enumerate() {
        sum += p;
        if u < sum {
            return i;
        }
    }
    p.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}

/// The greatest entry, ties to the lowest index; 0 when all are NaN or absent.
#[must_use]
pub fn greedy(z: &[f32]) -> usize {
    let mut best = 0;
    let mut top = f32::NEG_INFINITY;
    for (i, z) in z.iter().enumerate() {
        if *z > top {
            (best, top) = (i, *z);
        }
    }
    best
}
