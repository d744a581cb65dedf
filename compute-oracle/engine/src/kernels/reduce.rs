//! Sums in red order, maxima, and norms of flat states.

use super::{dispatch, lane::Lane, Isa, Kernel};
use weft_numerics::red::BLOCK;

/// Lane sums of one block of at most 256 elements, then the tree.
///
/// # Safety
/// `x` (and `z`, when `FMA`) point to `n` elements.
#[inline(always)]
unsafe fn block<L: Lane, const FMA: bool>(x: *const f32, z: *const f32, n: usize) -> f32 {
    let full = n - n % 16;
    let mut l = [0.0f32; 16];
    // SAFETY: indices stay below n; sixteen lanes are a whole number of vectors.
    unsafe {
        let mut v = 0;
        while v < 16 {
            let mut acc = L::splat(0.0);
            let mut i = v;
            while i < full {
                let xv = L::load(x.add(i));
                acc = if FMA { L::fma(xv, L::load(z.add(i)), acc) } else { L::add(acc, xv) };
                i += 16;
            }
            L::store(l.as_mut_ptr().add(v), acc);
            v += L::W;
        }
        for j in 0..n - full {
            let mut pad = [0.0f32; 16];
            let xv = *x.add(full + j);
            if FMA {
                // One lane of the vector's fma: the same single rounding.
                pad[0] = *z.add(full + j);
                let y = L::fma(L::splat(xv), L::splat(pad[0]), L::splat(l[j]));
                L::store(pad.as_mut_ptr(), y);
                l[j] = pad[0];
            } else {
                l[j] += xv;
            }
        }
    }
    for h in [8, 4, 2, 1] {
        for j in 0..h {
            l[j] += l[j + h];
        }
    }
    l[0]
}

#[inline(always)]
fn canon(x: f32) -> f32 {
    weft_numerics::c(x)
}

/// Red of `n` elements; not yet `c`.
///
/// # Safety
/// As for [`block`].
#[inline(always)]
pub(crate) unsafe fn red_raw<L: Lane, const FMA: bool>(x: *const f32, z: *const f32, n: usize) -> f32 {
    // SAFETY: blocks lie within the n elements.
    unsafe {
        if n <= BLOCK {
            return block::<L, FMA>(x, z, n);
        }
        let at = |p: *const f32, b: usize| if FMA { p.add(b * BLOCK) } else { p };
        let blocks = n.div_ceil(BLOCK);
        let mut few = [0.0f32; BLOCK];
        if blocks <= BLOCK {
            for b in 0..blocks {
                few[b] = canon(block::<L, FMA>(x.add(b * BLOCK), at(z, b), BLOCK.min(n - b * BLOCK)));
            }
            return block::<L, false>(few.as_ptr(), few.as_ptr(), blocks);
        }
        let many: Vec<f32> =
            (0..blocks).map(|b| canon(block::<L, FMA>(x.add(b * BLOCK), at(z, b), BLOCK.min(n - b * BLOCK)))).collect();
        // Two more levels reach 2^24 elements; beyond, the reference recurses.
        weft_numerics::red(&many)
    }
}

struct RedFma<'a>(&'a [f32], &'a [f32]);

impl Kernel for RedFma<'_> {
    type Out = f32;
    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> f32 {
        // SAFETY: both slices have the same length, asserted by `red_fma`.
        unsafe { red_raw::<L, true>(self.0.as_ptr(), self.1.as_ptr(), self.0.len()) }
    }
}

/// Σ x·z in red order; not yet `c`.
pub(crate) fn red_fma(isa: Isa, x: &[f32], z: &[f32]) -> f32 {
    assert_eq!(x.len(), z.len());
    dispatch(isa, RedFma(x, z))
}

/// ⟨x, y⟩ over a flat state whose slots end at `ends`, then `c`.
pub(crate) fn inner(isa: Isa, x: &[f32], y: &[f32], ends: &[usize]) -> f32 {
    let mut from = 0;
    let per: Vec<f32> = ends
        .iter()
        .map(|&to| {
            let v = canon(red_fma(isa, &x[from..to], &y[from..to]));
            from = to;
            v
        })
        .collect();
    canon(weft_numerics::red(&per))
}

/// ‖x‖ over a flat state, then `c`.
pub(crate) fn norm(isa: Isa, x: &[f32], ends: &[usize]) -> f32 {
    canon(inner(isa, x, x, ends).sqrt())
}

/// The largest element, −∞ when there is none; NaN is never selected.
///
/// # Safety
/// `x` points to `n` elements.
#[inline(always)]
pub(crate) unsafe fn max_raw<L: Lane>(x: *const f32, n: usize) -> f32 {
    let mut m = f32::NEG_INFINITY;
    // SAFETY: indices stay below n.
    unsafe {
        let full = n - n % L::W;
        if full > 0 {
            let mut acc = L::splat(f32::NEG_INFINITY);
            for i in (0..full).step_by(L::W) {
                acc = L::max_step(acc, L::load(x.add(i)));
            }
            let mut lanes = [0.0f32; 16];
            L::store(lanes.as_mut_ptr(), acc);
            for &v in &lanes[..L::W] {
                if v > m {
                    m = v;
                }
            }
        }
        for i in full..n {
            if *x.add(i) > m {
                m = *x.add(i);
            }
        }
    }
    m
}
