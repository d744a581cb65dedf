//! Cross-entropy of one loss row, in nats.

use crate::arith::c;
use crate::func::{exp_sub, ln};
use crate::red::{max, red};

/// nll = c((m + ln s) − z_y) with m = max z, s = red(c(exp(z − m))).
///
/// `z` `[vocabulary]`, label `y`; `e` `[vocabulary]` receives c(exp(z − m)).
/// Returns (nll, 1 ÷ s).
pub fn forward_row(z: &[f32], y: usize, e: &mut [f32]) -> (f32, f32) {
    assert!(z.len() == e.len() && y < z.len());
    let m = max(z);
    for (e, z) in e.iter_mut().zip(z) {
        *e = exp_sub(*z, m);
    }
    let s = c(red(e));
    (c((m + ln(s)) - z[y]), 1.0 / s)
}

/// dz_v = c(e_v×(1÷s) − [v = y]), in place of `e`; `inv` is 1 ÷ s.
pub fn backward_row(e: &mut [f32], y: usize, inv: f32) {
    assert!(y < e.len());
    for (v, e) in e.iter_mut().enumerate() {
        *e = c(*e * inv - if v == y { 1.0 } else { 0.0 });
    }
}

/// The loss of a record: c(red) of its loss rows' nll. Divided by their number
/// it is the mean.
#[must_use]
pub fn record(nll: &[f32]) -> f32 {
    c(red(nll))
}
