//! Engine and attribution against candle's differentiable operators. The golden vectors of PyTorch and PEFT are
//! tested in `compute-oracle/engine/tests/it/parity.rs`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::needless_range_loop,
    reason = "tests"
)]

mod candle;
mod golden;
mod replay64;

/// Relative L2 distance of two vectors, in f64.
pub(crate) fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let (mut d, mut n) = (0f64, 0f64);
    for (a, b) in ours.iter().zip(theirs) {
        d += (f64::from(*a) - f64::from(*b)).powi(2);
        n += f64::from(*b).powi(2);
    }
    if n == 0.0 {
        d.sqrt()
    } else {
        (d / n).sqrt()
    }
}
