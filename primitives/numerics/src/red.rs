//! The order **red** and the maximum.
//!
//! ```text
//! n ≤ 256: lane j = 0..15: l_j = +0; i = j, j+16, …: l_j = l_j + x_i    (or fma(x_i, z_i, l_j))
//!          for h in 8,4,2,1: for j < h: l_j = l_j + l_{j+h};  result l_0
//! n > 256: red(c(red(block 0)), c(red(block 1)), …)    blocks of 256; fma at the lowest level only
//! ```

use crate::arith::{c, fma};

/// Elements of a block.
pub const BLOCK: usize = 256;
const LANES: usize = 16;

/// One block of at most 256 elements; `add(i, l)` returns lane value `l` with
/// element `i` added.
#[inline(always)]
fn block(n: usize, mut add: impl FnMut(usize, f32) -> f32) -> f32 {
    let mut l = [0.0f32; LANES];
    let full = n - n % LANES;
    let mut i = 0;
    while i < full {
        for j in 0..LANES {
            l[j] = add(i + j, l[j]);
        }
        i += LANES;
    }
    for j in 0..n - full {
        l[j] = add(full + j, l[j]);
    }
    for h in [8, 4, 2, 1] {
        for j in 0..h {
            l[j] += l[j + h];
        }
    }
    l[0]
}

/// Red over `n` blocks' results, `leaf(b)` being red of block b before `c`.
fn tree(blocks: usize, leaf: &mut dyn FnMut(usize) -> f32) -> f32 {
    // Value b of level d (level 0: the leaves) covers 256 values of level d − 1.
    fn value(d: u32, b: usize, leaves: usize, leaf: &mut dyn FnMut(usize) -> f32) -> f32 {
        if d == 0 {
            return c(leaf(b));
        }
        let below = leaves.div_ceil(BLOCK.pow(d - 1));
        let first = b * BLOCK;
        let n = BLOCK.min(below - first);
        c(block(n, |i, l| l + value(d - 1, first + i, leaves, leaf)))
    }
    if blocks == 1 {
        return leaf(0);
    }
    let mut depth = 0;
    while blocks.div_ceil(BLOCK.pow(depth)) > BLOCK {
        depth += 1;
    }
    let top = blocks.div_ceil(BLOCK.pow(depth));
    block(top, |i, l| l + value(depth, i, blocks, leaf))
}

/// Σ x_i in red order; not yet `c`. Shape `[n]`; +0 when empty.
#[must_use]
pub fn red(x: &[f32]) -> f32 {
    tree(x.len().div_ceil(BLOCK).max(1), &mut |b| {
        let x = &x[b * BLOCK..x.len().min((b + 1) * BLOCK)];
        block(x.len(), |i, l| l + x[i])
    })
}

/// Σ x_i·z_i in red order, with fma at the lowest level; not yet `c`.
/// Shapes `[n]`, `[n]`.
#[must_use]
pub fn red_fma(x: &[f32], z: &[f32]) -> f32 {
    assert_eq!(x.len(), z.len());
    tree(x.len().div_ceil(BLOCK).max(1), &mut |b| {
        let at = b * BLOCK..x.len().min((b + 1) * BLOCK);
        let (x, z) = (&x[at.clone()], &z[at]);
        block(x.len(), |i, l| fma(x[i], z[i], l))
    })
}

/// The lowest level alone: c(red) of every block of 256, as the operators 30
/// and 31 store it. `z` is `None` for the plain sum. out `[⌈n/256⌉]`.
pub fn red_blocks(x: &[f32], z: Option<&[f32]>, out: &mut [f32]) {
    assert_eq!(out.len(), x.len().div_ceil(BLOCK));
    for (b, y) in out.iter_mut().enumerate() {
        let at = b * BLOCK..x.len().min((b + 1) * BLOCK);
        *y = c(match z {
            None => red(&x[at]),
            Some(z) => red_fma(&x[at.clone()], &z[at]),
        });
    }
}

/// The largest element; −∞ when there is none. NaN is never selected: it
/// returns through the exponentials.
#[must_use]
pub fn max(x: &[f32]) -> f32 {
    x.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

/// max |x_i|; +0 when there is none.
#[must_use]
pub fn max_abs(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |m, &x| if x.abs() > m { x.abs() } else { m })
}
