//! Learning-rate schedules, in f64.

use crate::func::cospi;

/// The shape of λ(t) after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// (N − t) ÷ (N − W).
    Linear,
    /// 0.5 × (1 + cospi((t − W) ÷ (N − W))).
    Cosine,
    /// 1.
    Constant,
}

/// λ(t) for step t = 0…N−1, `w` warm-up steps of `n`: t ÷ W in the warm-up.
#[must_use]
pub fn lambda(schedule: Schedule, t: u32, w: u32, n: u32) -> f64 {
    let f = |a: u32, b: u32| f64::from(a) - f64::from(b);
    if t < w {
        return f64::from(t) / f64::from(w);
    }
    match schedule {
        Schedule::Linear => f(n, t) / f(n, w),
        Schedule::Cosine => 0.5 * (1.0 + cospi(f(t, w) / f(n, w))),
        Schedule::Constant => 1.0,
    }
}

/// The learning rate of step t: peak × λ(t).
#[must_use]
pub fn learning_rate(peak: f64, schedule: Schedule, t: u32, w: u32, n: u32) -> f64 {
    peak * lambda(schedule, t, w, n)
}
