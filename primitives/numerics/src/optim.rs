//! Factors, clipping, accumulation and AdamW (Loshchilov and Hutter 2019) with
//! ε under the root.

use crate::arith::{c, fma, min1, rn32, sqrt};
use crate::func::ipow;

/// Recipe reals of the optimiser as f64 values of their decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of m.
    pub beta1: f64,
    /// Decay of v.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Added under the root.
    pub eps_root: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// The f32 constants of one optimiser step and of its replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// RN32(b1).
    pub b1: f32,
    /// RN32(b2).
    pub b2: f32,
    /// C1 = RN32(1 − b1).
    pub c1: f32,
    /// C2 = RN32(1 − b2).
    pub c2: f32,
    /// RN32(2(1 − b2)).
    pub c2x2: f32,
    /// A = RN32(lr ÷ bc1).
    pub a: f32,
    /// a2 = RN32(lr ÷ (2·bc1·bc2)).
    pub a2: f32,
    /// R = RN32(1 ÷ bc2).
    pub r: f32,
    /// Z = RN32(1 − lr·wd).
    pub z: f32,
    /// RN32(eps).
    pub eps: f32,
    /// RN32(eps_root).
    pub eps_root: f32,
}

impl AdamStep {
    /// The constants of step `t` (0…N−1; s = t + 1) at learning rate `lr`.
    #[must_use]
    pub fn new(p: &AdamW, lr: f64, t: u32) -> Self {
        let s = t.saturating_add(1);
        let bc1 = 1.0 - ipow(p.beta1, s);
        let bc2 = 1.0 - ipow(p.beta2, s);
        Self {
            b1: rn32(p.beta1),
            b2: rn32(p.beta2),
            c1: rn32(1.0 - p.beta1),
            c2: rn32(1.0 - p.beta2),
            c2x2: rn32(2.0 * (1.0 - p.beta2)),
            a: rn32(lr / bc1),
            a2: rn32(lr / (2.0 * bc1 * bc2)),
            r: rn32(1.0 / bc2),
            z: rn32(1.0 - lr * p.weight_decay),
            eps: rn32(p.eps),
            eps_root: rn32(p.eps_root),
        }
    }

    /// m' = c(fma(b1, m, C1×g)).
    #[inline(always)]
    #[must_use]
    pub fn m(&self, m: f32, g: f32) -> f32 {
        c(fma(self.b1, m, self.c1 * g))
    }

    /// v' = c(fma(C2×g, g, b2×v)).
    #[inline(always)]
    #[must_use]
    pub fn v(&self, v: f32, g: f32) -> f32 {
        c(fma(self.c2 * g, g, self.b2 * v))
    }

    /// ρ = √fma(v', R, eps_root).
    #[inline(always)]
    #[must_use]
    pub fn rho(&self, v: f32) -> f32 {
        sqrt(fma(v, self.r, self.eps_root))
    }

    /// θ' = c(fma(−A, m'÷d, Z×θ)), d = ρ + eps, from m' and v'.
    #[inline(always)]
    #[must_use]
    pub fn theta(&self, theta: f32, m: f32, v: f32) -> f32 {
        let d = self.rho(v) + self.eps;
        c(fma(-self.a, m / d, self.z * theta))
    }

    /// The step of one slot, in place.
    pub fn apply(&self, g: &[f32], theta: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let n = g.len();
        assert!(theta.len() == n && m.len() == n && v.len() == n);
        for i in 0..n {
            m[i] = self.m(m[i], g[i]);
            v[i] = self.v(v[i], g[i]);
            theta[i] = self.theta(theta[i], m[i], v[i]);
        }
    }
}

/// κ of a record: 1÷D (mean over the step's `loss_tokens` D) or 1÷(B_t·n_k)
/// (mean over records), 0 for a record without loss tokens.
#[must_use]
pub fn kappa(by_record: bool, record_tokens: u32, loss_tokens: u32, records: u32) -> f64 {
    if record_tokens == 0 {
        0.0
    } else if by_record {
        1.0 / (f64::from(records) * f64::from(record_tokens))
    } else {
        1.0 / f64::from(loss_tokens)
    }
}

/// f_k = c(RN32(weight×κ) × clip), weight = `weight_ppm` ÷ 10^6.
#[must_use]
pub fn factor(weight_ppm: u32, kappa: f64, clip: f32) -> f32 {
    c(rn32(f64::from(weight_ppm) / 1_000_000.0 * kappa) * clip)
}

/// clip = min(1, C ÷ (norm + 1e-6)) where min(1, y) is `y < 1 ? y : 1`.
/// A limit of 0 means no clipping.
#[must_use]
pub fn clip(norm: f32, limit: f32) -> f32 {
    if limit == 0.0 {
        return 1.0;
    }
    c(min1(limit / (norm + 1e-6)))
}

/// G before [`finish`]: `acc = fma(f_k, g_k, acc)` per record in batch order,
/// from +0. At most 512 records, one block of the dot order.
pub fn accumulate(acc: &mut [f32], f: f32, g: &[f32]) {
    assert_eq!(acc.len(), g.len());
    for (a, g) in acc.iter_mut().zip(g) {
        *a = fma(f, *g, *a);
    }
}

/// Ends [`accumulate`]: G = c(acc).
pub fn finish(acc: &mut [f32]) {
    crate::arith::c_all(acc);
}

/// Global clip: G = c(G × min(1, C ÷ (norm + 1e-6))).
pub fn global_clip(g: &mut [f32], norm: f32, limit: f32) {
    if limit == 0.0 {
        return;
    }
    let f = clip(norm, limit);
    for x in g {
        *x = c(*x * f);
    }
}
