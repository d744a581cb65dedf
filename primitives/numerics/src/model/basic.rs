//! Sums, scales, gather and scatter.

use crate::arith::c;

/// `acc = c(acc + x)`. Repeated in the order of the terms it is the operator
/// `chain`, c((x_0 + x_1) + …): an inner `c` changes no final bit.
pub fn add(acc: &mut [f32], x: &[f32]) {
    assert_eq!(acc.len(), x.len());
    for (a, x) in acc.iter_mut().zip(x) {
        *a = c(*a + x);
    }
}

/// `out = c(x + y)`.
pub fn add_to(x: &[f32], y: &[f32], out: &mut [f32]) {
    assert!(x.len() == y.len() && x.len() == out.len());
    for ((o, x), y) in out.iter_mut().zip(x).zip(y) {
        *o = c(x + y);
    }
}

/// `out = c(s × x)`.
pub fn scale(s: f32, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    for (o, x) in out.iter_mut().zip(x) {
        *o = c(s * x);
    }
}

/// Every row of `x` `[rows, n]` plus `bias` `[n]`, then `c`.
pub fn add_row(x: &mut [f32], bias: &[f32]) {
    assert!(!bias.is_empty() && x.len().is_multiple_of(bias.len()));
    for row in x.chunks_exact_mut(bias.len()) {
        add(row, bias);
    }
}

/// Rows `ids` of `table` `[rows, n]`, copied: out `[ids, n]`. Fails with `None`
/// when an id is outside the table.
#[must_use]
pub fn gather(ids: &[u32], table: &[f32], n: usize, out: &mut [f32]) -> Option<()> {
    assert_eq!(out.len(), ids.len() * n);
    for (id, y) in ids.iter().zip(out.chunks_exact_mut(n)) {
        let first = usize::try_from(*id).ok()?.checked_mul(n)?;
        y.copy_from_slice(table.get(first..first.checked_add(n)?)?);
    }
    Some(())
}

/// Gradient of [`gather`] for row `id` of the table: the rows of `dy`
/// `[ids, n]` whose id matches, added in ascending position from +0, then `c`.
pub fn scatter_row(id: u32, ids: &[u32], dy: &[f32], out: &mut [f32]) {
    let n = out.len();
    assert_eq!(dy.len(), ids.len() * n);
    out.fill(0.0);
    for (_, row) in ids.iter().zip(dy.chunks_exact(n)).filter(|(i, _)| **i == id) {
        for (o, g) in out.iter_mut().zip(row) {
            *o += g;
        }
    }
    crate::arith::c_all(out);
}
