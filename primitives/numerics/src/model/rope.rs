//! Rotary position embedding (Su et al. 2021), pairs (i, i + d/2) as in
//! transformers' `rotate_half`.

use crate::arith::{c, fma, rn32};
use crate::func::sin_cos;

/// cos and sin of position `pos`, each `[d/2]`: the angle is pos × inv_freq in
/// f32, its sine and cosine are taken in f64 and rounded.
pub fn table_row(inv_freq: &[f32], pos: u32, cos: &mut [f32], sin: &mut [f32]) {
    assert!(inv_freq.len() == cos.len() && inv_freq.len() == sin.len());
    for i in 0..inv_freq.len() {
        let (s, k) = sin_cos(f64::from(pos as f32 * inv_freq[i]));
        cos[i] = c(rn32(k));
        sin[i] = c(rn32(s));
    }
}

/// [`table_row`] of the positions 0, 1, …: cos and sin `[positions, d/2]`.
pub fn table(inv_freq: &[f32], cos: &mut [f32], sin: &mut [f32]) {
    let h = inv_freq.len();
    assert!(h > 0 && cos.len() == sin.len() && cos.len().is_multiple_of(h));
    for (pos, (k, s)) in cos.chunks_exact_mut(h).zip(sin.chunks_exact_mut(h)).enumerate() {
        table_row(inv_freq, pos as u32, k, s);
    }
}

/// One head `[d]` rotated in place: y_i = c(fma(x_i, cos, −(x_j×sin))),
/// y_j = c(fma(x_j, cos, x_i×sin)), j = i + d/2.
pub fn forward_head(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let h = cos.len();
    assert!(x.len() == 2 * h && sin.len() == h);
    for i in 0..h {
        let (a, b) = (x[i], x[i + h]);
        x[i] = c(fma(a, cos[i], -(b * sin[i])));
        x[i + h] = c(fma(b, cos[i], a * sin[i]));
    }
}

/// The backward pass of [`forward_head`]: the same with −sin.
pub fn backward_head(dy: &mut [f32], cos: &[f32], sin: &[f32]) {
    let h = cos.len();
    assert!(dy.len() == 2 * h && sin.len() == h);
    for i in 0..h {
        let (a, b, s) = (dy[i], dy[i + h], -sin[i]);
        dy[i] = c(fma(a, cos[i], -(b * s)));
        dy[i + h] = c(fma(b, cos[i], a * s));
    }
}

/// All heads of the rows of `x` `[tokens, heads·d]`, token τ at position
/// `first + τ`; tables `[positions, d/2]` of `half` columns.
pub fn forward(x: &mut [f32], width: usize, half: usize, cos: &[f32], sin: &[f32], first: usize) {
    rows(x, width, half, cos, sin, first, forward_head);
}

/// The backward pass of [`forward`].
pub fn backward(dy: &mut [f32], width: usize, half: usize, cos: &[f32], sin: &[f32], first: usize) {
    rows(dy, width, half, cos, sin, first, backward_head);
}

fn rows(
    x: &mut [f32],
    width: usize,
    half: usize,
    cos: &[f32],
    sin: &[f32],
    first: usize,
    head: fn(&mut [f32], &[f32], &[f32]),
) {
    assert!(x.len().is_multiple_of(width) && width.is_multiple_of(2 * half));
    for (t, row) in x.chunks_exact_mut(width).enumerate() {
        let at = (first + t) * half..(first + t + 1) * half;
        for one in row.chunks_exact_mut(2 * half) {
            head(one, &cos[at.clone()], &sin[at.clone()]);
        }
    }
}
