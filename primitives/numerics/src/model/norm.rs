//! RMSNorm (Zhang and Sennrich 2019) over a row: a hidden state, or a head of
//! q or k where the architecture normalises those.

use crate::arith::{c, fma, sqrt};
use crate::red::red_fma;

/// r = c(1 ÷ √(ss ÷ n + ε)) from ss = red(x·x) over a row of `n`.
#[must_use]
pub fn factor(ss: f32, n: usize, eps: f32) -> f32 {
    c(1.0 / sqrt(ss / n as f32 + eps))
}

/// x̂ = c(x×r) and y = c(x̂×w): operator 41 of one element.
#[inline(always)]
#[must_use]
pub fn scaled(x: f32, r: f32, w: f32) -> (f32, f32) {
    let xhat = c(x * r);
    (xhat, c(xhat * w))
}

/// One row `[n]`: [`scaled`] elements. Returns r.
pub fn forward_row(x: &[f32], w: &[f32], eps: f32, xhat: &mut [f32], y: &mut [f32]) -> f32 {
    assert!(x.len() == w.len() && x.len() == xhat.len() && x.len() == y.len());
    let r = factor(c(red_fma(x, x)), x.len(), eps);
    for i in 0..x.len() {
        (xhat[i], y[i]) = scaled(x[i], r, w[i]);
    }
    r
}

/// Rows `[rows, n]`; `r` `[rows]` receives the factors.
pub fn forward(x: &[f32], w: &[f32], eps: f32, r: &mut [f32], xhat: &mut [f32], y: &mut [f32]) {
    let n = w.len();
    assert!(x.len() == r.len() * n && x.len() == xhat.len() && x.len() == y.len());
    for (i, r) in r.iter_mut().enumerate() {
        let at = i * n..(i + 1) * n;
        *r = forward_row(&x[at.clone()], w, eps, &mut xhat[at.clone()], &mut y[at]);
    }
}

/// One row: t = c(dy×w); q = red(t·x̂); dx = c(r × fma(−x̂, q ÷ n, t)).
/// `dx` holds t in between.
pub fn backward_row(dy: &[f32], w: &[f32], xhat: &[f32], r: f32, dx: &mut [f32]) {
    assert!(dy.len() == w.len() && dy.len() == xhat.len() && dy.len() == dx.len());
    for i in 0..dy.len() {
        dx[i] = c(dy[i] * w[i]);
    }
    let mean = c(red_fma(dx, xhat)) / dy.len() as f32;
    for i in 0..dy.len() {
        dx[i] = c(r * fma(-xhat[i], mean, dx[i]));
    }
}

/// Rows `[rows, n]` of [`backward_row`].
pub fn backward(dy: &[f32], w: &[f32], xhat: &[f32], r: &[f32], dx: &mut [f32]) {
    let n = w.len();
    assert!(dy.len() == r.len() * n && dy.len() == xhat.len() && dy.len() == dx.len());
    for (i, r) in r.iter().enumerate() {
        let at = i * n..(i + 1) * n;
        backward_row(&dy[at.clone()], w, &xhat[at.clone()], *r, &mut dx[at]);
    }
}
