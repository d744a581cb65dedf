//! Causal attention of one record, per query head. No online rescaling: the
//! row maximum comes first. Axes are absolute positions.
//!
//! Keys and values are slices that begin at the head's first element, with
//! `stride` elements from a position to the next: `[position, head·d]` rows.

use crate::arith::{c, rn32, sqrt64};
use crate::dot::{column_nn, dot, row_nn};
use crate::func::{exp_sub, recip};
use crate::red::{max, red, red_fma};

/// RN32(1÷√d) for head width `d`.
#[must_use]
pub fn scale(d: usize) -> f32 {
    rn32(1.0 / sqrt64(d as f64))
}

/// The first key that row `i` sees: j > i − window; window 0 is none.
#[must_use]
pub fn first_key(i: usize, window: usize) -> usize {
    if window == 0 {
        0
    } else {
        (i + 1).saturating_sub(window)
    }
}

/// One past the last row that sees key `j` among `t` rows.
#[must_use]
pub fn end_row(j: usize, window: usize, t: usize) -> usize {
    if window == 0 {
        t
    } else {
        t.min(j + window)
    }
}

/// Row i of one head. `qs` `[d]` is c(q × scale), `e` `[i + 1]` receives
/// c(exp(S − m)) (+0 before `first`), `o` `[d]` receives
/// c(dot_j(e, v_j) × ρ). Returns ρ = c(1 ÷ red(e)).
pub fn forward_row(qs: &[f32], k: &[f32], v: &[f32], stride: usize, first: usize, e: &mut [f32], o: &mut [f32]) -> f32 {
    let d = qs.len();
    assert!(o.len() == d && first < e.len());
    e[..first].fill(0.0);
    for j in first..e.len() {
        e[j] = c(dot(qs, &k[j * stride..j * stride + d]));
    }
    let m = max(&e[first..]);
    for s in &mut e[first..] {
        *s = exp_sub(*s, m);
    }
    let rho = recip(c(red(e)));
    mix(e, v, stride, first, rho, o);
    rho
}

/// o = c(c(dot_j(e, v_j)) × ρ) over the keys `first ≤ j < e.len()`: operator 53
/// of one row. `e` `[keys]`, rows of `v` `stride` apart, `o` `[d]`.
pub fn mix(e: &[f32], v: &[f32], stride: usize, first: usize, rho: f32, o: &mut [f32]) {
    row_nn(e, v, stride, first, o);
    for o in o {
        *o = c(*o * rho);
    }
}

/// Backward pass of row i as far as the row goes: P = c(e×ρ), D = red(do·o),
/// dS = c(P×(c(dot(do, v_j)) − D)), dq = c(scale × c(dot_j(dS, k_j))).
/// `e`, `p`, `ds` `[i + 1]`; `o`, `d_o`, `dq` `[d]`.
pub fn backward_row(
    k: &[f32],
    v: &[f32],
    stride: usize,
    first: usize,
    e: &[f32],
    rho: f32,
    o: &[f32],
    d_o: &[f32],
    p: &mut [f32],
    ds: &mut [f32],
    dq: &mut [f32],
) {
    let d = o.len();
    assert!(d_o.len() == d && dq.len() == d && e.len() == p.len() && e.len() == ds.len());
    p[..first].fill(0.0);
    ds[..first].fill(0.0);
    let delta = c(red_fma(d_o, o));
    for j in first..e.len() {
        p[j] = prob(e[j], rho);
        let dp = c(dot(d_o, &v[j * stride..j * stride + d]));
        ds[j] = self::ds(p[j], dp, delta);
    }
    row_nn(ds, k, stride, first, dq);
    let s = scale(d);
    for x in dq {
        *x = c(s * *x);
    }
}

/// P = c(e×ρ).
#[inline(always)]
#[must_use]
pub fn prob(e: f32, rho: f32) -> f32 {
    c(e * rho)
}

/// dS = c(P×(dP − D)).
#[inline(always)]
#[must_use]
pub fn ds(p: f32, dp: f32, delta: f32) -> f32 {
    c(p * (dp - delta))
}

/// One head over a record of `t` tokens. `q` has `q_stride` elements from a
/// token to the next and is not yet scaled; `qs` `[t, d]` receives c(q × scale),
/// `e` `[t, t]` and `rho` `[t]` what the backward pass needs, and `o` (stride
/// `q_stride`) the result.
pub fn forward_head(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    q_stride: usize,
    stride: usize,
    d: usize,
    window: usize,
    qs: &mut [f32],
    e: &mut [f32],
    rho: &mut [f32],
    o: &mut [f32],
) {
    let t = rho.len();
    assert!(qs.len() == t * d && e.len() == t * t);
    let s = scale(d);
    for i in 0..t {
        let row = &mut qs[i * d..(i + 1) * d];
        for (x, q) in row.iter_mut().zip(&q[i * q_stride..i * q_stride + d]) {
            *x = c(q * s);
        }
        let (seen, hidden) = e[i * t..(i + 1) * t].split_at_mut(i + 1);
        hidden.fill(0.0);
        let out = &mut o[i * q_stride..i * q_stride + d];
        rho[i] = forward_row(row, k, v, stride, first_key(i, window), seen, out);
    }
}

/// Backward pass of [`forward_head`]. `d_o`, `o` and `dq` have `q_stride`
/// elements from a token to the next; `p` and `ds` `[t, t]` are scratch; `dk`
/// and `dv` `[t, d]` receive this head's share, to be added over the heads that
/// share the key in ascending order.
pub fn backward_head(
    k: &[f32],
    v: &[f32],
    q_stride: usize,
    stride: usize,
    d: usize,
    window: usize,
    qs: &[f32],
    e: &[f32],
    rho: &[f32],
    o: &[f32],
    d_o: &[f32],
    p: &mut [f32],
    ds: &mut [f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    let t = rho.len();
    assert!(qs.len() == t * d && e.len() == t * t && p.len() == t * t && ds.len() == t * t);
    assert!(dk.len() == t * d && dv.len() == t * d);
    for i in 0..t {
        let row = i * t..i * t + i + 1;
        let at = i * q_stride..i * q_stride + d;
        backward_row(
            k,
            v,
            stride,
            first_key(i, window),
            &e[row.clone()],
            rho[i],
            &o[at.clone()],
            &d_o[at.clone()],
            &mut p[row.clone()],
            &mut ds[row],
            &mut dq[at],
        );
    }
    for j in 0..t {
        let end = end_row(j, window, t);
        let at = j * d..(j + 1) * d;
        column_nn(p, t, j, d_o, q_stride, j, end, &mut dv[at.clone()]);
        column_nn(ds, t, j, qs, d, j, end, &mut dk[at]);
    }
}
