//! Matrix products in dot order: `out[i, j] = c(dot_k(a[i, k], b[k, j]))`.
//!
//! Lanes run over columns j, k ascends, blocks of 512 terms and superblocks of
//! 32 blocks are summed as `weft_numerics::dot` does; k is never split.

use super::{dispatch, lane::Lane, Isa, Kernel};
use core::mem::MaybeUninit;
use weft_numerics::dot::{BLOCK, SUPER};

/// Columns of a packed panel.
pub(crate) const PANEL: usize = 32;
const MAX_MR: usize = 12;
const TILE: usize = MAX_MR * PANEL;

/// The right operand, logically `[k, n]`.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Panels of [`PANEL`] columns, each `[k, PANEL]`, zero padded: [`pack`].
    Panels(&'a [f32]),
    /// Row-major with the given distance between rows.
    Rows(&'a [f32], usize),
}

/// Which terms of the axis an output row sums; the others are masked.
#[derive(Clone, Copy)]
pub(crate) enum Terms {
    /// All of them.
    All,
    /// Row i of the product is row r = first + i: `r − window < k ≤ r`; window 0: `k ≤ r`.
    UpTo { first: usize, window: usize },
    /// Row i: `i ≤ k < i + window`; window 0: `i ≤ k`.
    From { window: usize },
}

impl Terms {
    #[inline(always)]
    fn range(self, i: usize, k: usize) -> (usize, usize) {
        match self {
            Self::All => (0, k),
            Self::UpTo { first, window: 0 } => (0, k.min(first + i + 1)),
            Self::UpTo { first, window } => ((first + i + 1).saturating_sub(window), k.min(first + i + 1)),
            Self::From { window: 0 } => (i.min(k), k),
            Self::From { window } => (i.min(k), k.min(i + window)),
        }
    }
}

/// One product. `a` holds element (i, k) at `i·a_row + k·a_col`.
pub(crate) struct Gemm<'a> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: &'a [f32],
    pub a_row: usize,
    pub a_col: usize,
    pub b: Right<'a>,
    pub terms: Terms,
    pub out: &'a mut [f32],
    pub out_row: usize,
}

impl Gemm<'_> {
    /// Computes it.
    pub(crate) fn run(self, isa: Isa) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        assert!(self.out.len() >= (self.m - 1) * self.out_row + self.n && self.out_row >= self.n);
        if self.k == 0 {
            for row in self.out.chunks_mut(self.out_row).take(self.m) {
                row[..self.n].fill(0.0);
            }
            return;
        }
        assert!(self.a.len() > (self.m - 1) * self.a_row + (self.k - 1) * self.a_col);
        match self.b {
            Right::Panels(b) => assert!(b.len() >= self.n.div_ceil(PANEL) * PANEL * self.k),
            Right::Rows(b, ld) => assert!(b.len() >= (self.k - 1) * ld + self.n),
        }
        dispatch(isa, self);
    }
}

/// `dst` becomes the panels of the `[k, n]` matrix whose element (k, j) is
/// `src[k·k_step + j·j_step]`.
pub(crate) fn pack(src: &[f32], k: usize, n: usize, k_step: usize, j_step: usize, dst: &mut Vec<f32>) {
    dst.clear();
    dst.resize(n.div_ceil(PANEL) * PANEL * k, 0.0);
    if k == 0 || n == 0 {
        return;
    }
    for (p, panel) in dst.chunks_exact_mut(PANEL * k).enumerate() {
        let cols = PANEL.min(n - p * PANEL);
        if j_step == 1 {
            for (kk, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                let at = kk * k_step + p * PANEL;
                row[..cols].copy_from_slice(&src[at..at + cols]);
            }
        } else {
            for j in 0..cols {
                let at = (p * PANEL + j) * j_step;
                for kk in 0..k {
                    panel[kk * PANEL + j] = src[at + kk * k_step];
                }
            }
        }
    }
}

/// `acc[i, …] += a·b` over `k0 ≤ k < k1`, one fma per term, for MR rows of
/// NV·W columns that lie `acc_row` apart. `FRESH` starts from +0 instead,
/// `LAST` stores with `c`.
///
/// # Safety
/// `a` reaches element (MR − 1, k1 − 1), `b` row k1 − 1 with NV·W elements,
/// `acc` row MR − 1 with NV·W elements.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "two strided operands, a strided result and a range")]
unsafe fn update<L: Lane, const MR: usize, const NV: usize, const FRESH: bool, const LAST: bool>(
    acc: *mut f32,
    acc_row: usize,
    a: *const f32,
    a_row: usize,
    a_col: usize,
    b: *const f32,
    ldb: usize,
    k0: usize,
    k1: usize,
) {
    // SAFETY: all offsets stay within what the caller guarantees.
    unsafe {
        let mut r = [[L::splat(0.0); NV]; MR];
        if !FRESH {
            for i in 0..MR {
                for v in 0..NV {
                    r[i][v] = L::load(acc.add(i * acc_row + v * L::W));
                }
            }
        }
        let mut bp = b.add(k0 * ldb);
        let mut ap = a.add(k0 * a_col);
        for _ in k0..k1 {
            let mut bv = [L::splat(0.0); NV];
            for v in 0..NV {
                bv[v] = L::load(bp.add(v * L::W));
            }
            for i in 0..MR {
                let x = L::splat(*ap.add(i * a_row));
                for v in 0..NV {
                    r[i][v] = L::fma(x, bv[v], r[i][v]);
                }
            }
            bp = bp.wrapping_add(ldb);
            ap = ap.wrapping_add(a_col);
        }
        for i in 0..MR {
            for v in 0..NV {
                let y = if LAST { L::canon(r[i][v]) } else { r[i][v] };
                L::store(acc.add(i * acc_row + v * L::W), y);
            }
        }
    }
}

#[repr(align(64))]
struct Tile {
    _room: [f32; TILE],
}

/// Operands of one tile.
#[derive(Clone, Copy)]
pub(crate) struct Operands {
    i0: usize,
    a: *const f32,
    a_row: usize,
    a_col: usize,
    b: *const f32,
    ldb: usize,
    k: usize,
    terms: Terms,
}

/// [`update`] of one row, compiled once per lane and width.
///
/// # Safety
/// As for [`update`]; the lane's instructions exist.
#[inline(always)]
pub(crate) unsafe fn row<L: Lane, const NV: usize>(acc: *mut f32, o: &Operands, i: usize, k0: usize, k1: usize) {
    // SAFETY: passed on to the caller.
    unsafe {
        let a = o.a.add((o.i0 + i) * o.a_row);
        update::<L, 1, NV, false, false>(acc, 0, a, o.a_row, o.a_col, o.b, o.ldb, k0, k1);
    }
}

/// MR rows of an unmasked product of one block, straight into the result.
///
/// # Safety
/// As for [`update`]; the lane's instructions exist.
#[inline(always)]
pub(crate) unsafe fn direct<L: Lane, const MR: usize, const NV: usize>(out: *mut f32, out_row: usize, o: &Operands) {
    // SAFETY: passed on to the caller.
    unsafe {
        let a = o.a.add(o.i0 * o.a_row);
        update::<L, MR, NV, true, true>(out, out_row, a, o.a_row, o.a_col, o.b, o.ldb, 0, o.k);
    }
}

/// Rows `i0..i0 + MR` of one column tile; the result lies in `acc` as
/// `[MR, NV·W]`, stored with `c`.
///
/// # Safety
/// As for [`update`], for all k below `o.k`; the lane's instructions exist.
#[inline(always)]
pub(crate) unsafe fn tile<L: Lane, const MR: usize, const NV: usize>(acc: *mut f32, o: &Operands) {
    let Operands { i0, a, a_row, a_col, b, ldb, k, terms } = *o;
    let len = MR * NV * L::W;
    let width = NV * L::W;
    let (mut sup, mut total) = (MaybeUninit::<Tile>::uninit(), MaybeUninit::<Tile>::uninit());
    // SAFETY: offsets as guaranteed by the caller; `len` ≤ TILE because MR ≤ 12 and
    // width ≤ 32; the first `len` elements of `sup` and `total` are written before they are read.
    unsafe {
        let a = a.add(i0 * a_row);
        let (sup, total) = (sup.as_mut_ptr().cast::<f32>(), total.as_mut_ptr().cast::<f32>());
        let single = k <= BLOCK;
        if !single {
            for e in (0..len).step_by(L::W) {
                L::store(sup.add(e), L::splat(-0.0));
                L::store(total.add(e), L::splat(-0.0));
            }
        }
        let mut k0 = 0;
        while k0 < k {
            let k1 = k.min(k0 + BLOCK);
            if let Terms::All = terms {
                update::<L, MR, NV, true, false>(acc, width, a, a_row, a_col, b, ldb, k0, k1);
            } else {
                for e in (0..len).step_by(L::W) {
                    L::store(acc.add(e), L::splat(0.0));
                }
                // Terms that all rows sum; the others row by row.
                let (mut lo, mut hi) = (k0, k1);
                for i in 0..MR {
                    let (l, h) = terms.range(i0 + i, k);
                    lo = lo.max(l);
                    hi = hi.min(h);
                }
                let common = lo < hi;
                for i in 0..MR {
                    let (l, h) = terms.range(i0 + i, k);
                    let (l, h) = (l.max(k0), h.min(k1));
                    let h = if common { h.min(lo) } else { h };
                    if l < h {
                        L::row::<NV>(acc.add(i * width), o, i, l, h);
                    }
                }
                if common {
                    update::<L, MR, NV, false, false>(acc, width, a, a_row, a_col, b, ldb, lo, hi);
                    for i in 0..MR {
                        let h = terms.range(i0 + i, k).1.min(k1);
                        if hi < h {
                            L::row::<NV>(acc.add(i * width), o, i, hi, h);
                        }
                    }
                }
            }
            if !single {
                let end = k1 == k || k1 % SUPER == 0;
                for e in (0..len).step_by(L::W) {
                    let s = L::add(L::load(sup.add(e)), L::load(acc.add(e)));
                    L::store(sup.add(e), if end { L::splat(-0.0) } else { s });
                    if end {
                        L::store(total.add(e), L::add(L::load(total.add(e)), s));
                    }
                }
            }
            k0 = k1;
        }
        let from = if single { acc.cast_const() } else { total.cast_const() };
        for e in (0..len).step_by(L::W) {
            L::store(acc.add(e), L::canon(L::load(from.add(e))));
        }
    }
}

impl Kernel for Gemm<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<L: Lane>(self) {
        let Gemm { m, n, k, a, a_row, a_col, b, terms, out, out_row } = self;
        let mut spill: Vec<f32> = Vec::new();
        let mut res = MaybeUninit::<Tile>::uninit();
        let res = res.as_mut_ptr().cast::<f32>();
        let mut j = 0;
        while j < n {
            let nv = if n - j <= L::W { 1 } else { 2 };
            let width = nv * L::W;
            let cols = width.min(n - j);
            let (bp, ldb) = match b {
                Right::Panels(data) => (data[(j / PANEL) * PANEL * k + j % PANEL..].as_ptr(), PANEL),
                Right::Rows(data, ld) if cols == width => (data[j..].as_ptr(), ld),
                Right::Rows(data, ld) => {
                    spill.clear();
                    spill.resize(k * width, 0.0);
                    for kk in 0..k {
                        spill[kk * width..kk * width + cols].copy_from_slice(&data[kk * ld + j..kk * ld + j + cols]);
                    }
                    (spill.as_ptr(), width)
                }
            };
            let mut i0 = 0;
            while i0 < m {
                // Few tile heights, so that the kernels stay quick to compile.
                let mr = [12, 8, 6, 4, 2, 1].into_iter().find(|r| *r <= L::MR && *r <= m - i0).unwrap_or(1);
                let o = Operands { i0, a: a.as_ptr(), a_row, a_col, b: bp, ldb, k, terms };
                let straight = cols == width && k <= BLOCK && matches!(terms, Terms::All);
                let to = out[i0 * out_row + j..].as_mut_ptr();
                macro_rules! straight {
                    ($($r:literal)*) => {
                        match (mr, nv) {
                            $(($r, 1) if $r <= L::MR => L::direct::<$r, 1>(to, out_row, &o),
                              ($r, 2) if $r <= L::MR => L::direct::<$r, 2>(to, out_row, &o),)*
                            _ => unreachable!("row tiles have 1, 2, 4, 6, 8 or 12 rows"),
                        }
                    };
                }
                if straight {
                    // SAFETY: as below; rows i0..i0 + mr of `out` have `cols` elements from column j.
                    unsafe { straight!(1 2 4 6 8 12) };
                    i0 += mr;
                    continue;
                }
                macro_rules! go {
                    ($($r:literal)*) => {
                        match (mr, nv) {
                            $(($r, 1) if $r <= L::MR => L::tile::<$r, 1>(res, &o),
                              ($r, 2) if $r <= L::MR => L::tile::<$r, 2>(res, &o),)*
                            _ => unreachable!("row tiles have 1, 2, 4, 6, 8 or 12 rows"),
                        }
                    };
                }
                // SAFETY: `Gemm::run` has asserted the bounds of a and b for all
                // m rows, k terms and n columns; padded columns lie in the panel or in `spill`.
                unsafe { go!(1 2 4 6 8 12) };
                for i in 0..mr {
                    let at = (i0 + i) * out_row + j;
                    // SAFETY: the tile has written mr rows of `width` elements.
                    let done = unsafe { core::slice::from_raw_parts(res.add(i * width), cols) };
                    out[at..at + cols].copy_from_slice(done);
                }
                i0 += mr;
            }
            j += width;
        }
    }
}
