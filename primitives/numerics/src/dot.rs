//! The order **dot**: blocks of 512 and superblocks of 16,384 of the axis index.
//!
//! ```text
//! block: acc = +0; k ascending: acc = fma(a_k, b_k, acc)      512 terms
//! super: ((b0 + b1) + b2) + …                                 32 blocks
//! dot:   ((s0 + s1) + s2) + …
//! ```
//!
//! Terms that a mask excludes are skipped. Lanes run over outputs only: the
//! axis is never split, so every shape and any number of threads agree.

use crate::arith::{c, fma};

/// Terms of a block.
pub const BLOCK: usize = 512;
/// Terms of a superblock.
pub const SUPER: usize = 16_384;

/// Outputs computed together: independent sums hide the latency of `fma`.
pub const LANES: usize = 8;

/// `L` sums in dot order over the axis indices `from..to`; indices before
/// `from` count as masked. `fused(k, acc)` adds term k to every lane by `fma`.
///
/// A masked leading block would add +0; leaving it out changes at most the
/// sign of a zero, which `c` removes.
#[inline(always)]
fn lanes<const L: usize>(from: usize, to: usize, mut fused: impl FnMut(usize, &mut [f32; L])) -> [f32; L] {
    // −0 is the neutral element of +: the first block is taken as it is.
    let mut total = [-0.0f32; L];
    let mut k = from;
    loop {
        let super_end = to.min((k / SUPER + 1) * SUPER);
        let mut sup = [-0.0f32; L];
        loop {
            let end = super_end.min((k / BLOCK + 1) * BLOCK);
            let mut acc = [0.0f32; L];
            while k < end {
                fused(k, &mut acc);
                k += 1;
            }
            for l in 0..L {
                sup[l] += acc[l];
            }
            if k >= super_end {
                break;
            }
        }
        for l in 0..L {
            total[l] += sup[l];
        }
        if k >= to {
            return total;
        }
    }
}

/// Σ a_k·b_k in dot order; not yet `c`. Slices of equal length `[K]`.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let [x] = lanes::<1>(0, a.len(), |k, acc| acc[0] = fma(a[k], b[k], acc[0]));
    x
}

/// `out[i, j] = c(dot_k(a[i, k], b[j, k]))`: a `[m, k]`, b `[n, k]`, out `[m, n]`.
///
/// This is `y = x·Wᵀ` for x `[tokens, in]`, W `[out, in]`.
pub fn nt(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    assert!(k > 0 && a.len().is_multiple_of(k) && b.len().is_multiple_of(k));
    let n = b.len() / k;
    assert_eq!(out.len(), a.len() / k * n);
    for (row, y) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        let mut j = 0;
        while j + LANES <= n {
            let w: [&[f32]; LANES] = core::array::from_fn(|l| &b[(j + l) * k..(j + l + 1) * k]);
            let sums = lanes::<LANES>(0, k, |k, acc| {
                for l in 0..LANES {
                    acc[l] = fma(row[k], w[l][k], acc[l]);
                }
            });
            for l in 0..LANES {
                y[j + l] = c(sums[l]);
            }
            j += LANES;
        }
        for j in j..n {
            y[j] = c(dot(row, &b[j * k..(j + 1) * k]));
        }
    }
}

/// `out[i, j] = c(dot_k(a[i, k], b[k, j]))`: a `[m, k]`, b `[k, n]`, out `[m, n]`.
///
/// This is `dx = dy·W` for dy `[tokens, out]`, W `[out, in]`.
pub fn nn(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    assert!(k > 0 && a.len().is_multiple_of(k) && b.len().is_multiple_of(k));
    let n = b.len() / k;
    assert_eq!(out.len(), a.len() / k * n);
    for (row, y) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        row_nn(row, b, n, 0, y);
    }
}

/// `out[j] = c(dot_k(a[k], b[k·stride + j]))` over `from ≤ k < a.len()`: one row
/// times a matrix whose rows lie `stride` apart, out `[n]`, n ≤ stride.
pub fn row_nn(a: &[f32], b: &[f32], stride: usize, from: usize, out: &mut [f32]) {
    let n = out.len();
    let to = a.len();
    if from >= to {
        out.fill(0.0);
        return;
    }
    assert!(n <= stride && b.len() >= (to - 1) * stride + n);
    let mut j = 0;
    while j + LANES <= n {
        let sums = lanes::<LANES>(from, to, |k, acc| {
            let at = k * stride + j;
            let w = &b[at..at + LANES];
            for l in 0..LANES {
                acc[l] = fma(a[k], w[l], acc[l]);
            }
        });
        for l in 0..LANES {
            out[j + l] = c(sums[l]);
        }
        j += LANES;
    }
    for j in j..n {
        let [x] = lanes::<1>(from, to, |k, acc| {
            acc[0] = fma(a[k], b[k * stride + j], acc[0]);
        });
        out[j] = c(x);
    }
}

/// `out[i, j] = c(dot_k(a[k, i], b[k, j]))`: a `[k, m]`, b `[k, n]`, out `[m, n]`.
///
/// This is a gradient over a record's tokens: dB from (dy, zs), dA from (dz, x').
pub fn tn(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    if k == 0 {
        out.fill(0.0);
        return;
    }
    assert!(a.len().is_multiple_of(k) && b.len().is_multiple_of(k));
    let (m, n) = (a.len() / k, b.len() / k);
    assert_eq!(out.len(), m * n);
    for (i, y) in out.chunks_exact_mut(n).enumerate() {
        column_nn(a, m, i, b, n, 0, k, y);
    }
}

/// `out[j] = c(dot_k(a[k·a_stride + i], b[k·b_stride + j]))` over
/// `from ≤ k < to`, out `[n]`: the masked form of [`tn`] for one row of its result.
pub fn column_nn(
    a: &[f32],
    a_stride: usize,
    i: usize,
    b: &[f32],
    b_stride: usize,
    from: usize,
    to: usize,
    out: &mut [f32],
) {
    if from >= to {
        out.fill(0.0);
        return;
    }
    let n = out.len();
    assert!(a.len() > (to - 1) * a_stride + i && b.len() >= (to - 1) * b_stride + n);
    let mut j = 0;
    while j + LANES <= n {
        let sums = lanes::<LANES>(from, to, |k, acc| {
            let x = a[k * a_stride + i];
            let at = k * b_stride + j;
            let w = &b[at..at + LANES];
            for l in 0..LANES {
                acc[l] = fma(x, w[l], acc[l]);
            }
        });
        for l in 0..LANES {
            out[j + l] = c(sums[l]);
        }
        j += LANES;
    }
    for j in j..n {
        let [x] = lanes::<1>(from, to, |k, acc| {
            acc[0] = fma(a[k * a_stride + i], b[k * b_stride + j], acc[0]);
        });
        out[j] = c(x);
    }
}
