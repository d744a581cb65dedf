//! The reverse step of a run's exact replay (MAGIC, arXiv 2504.16430): the
//! adjoint of AdamW elementwise, the finite-difference points, and scores.

use crate::arith::{c, fma, rn32};
use crate::optim::AdamStep;

/// h = 2^-9, the relative length of the finite difference.
pub const H: f32 = f32::from_bits(0x3b00_0000);

/// What [`AdamStep::adjoint`] gives per element.
#[derive(Clone, Copy, Debug)]
pub struct Adjoint {
    /// Cotangent of m'.
    pub mu: f32,
    /// Cotangent of v'.
    pub nu: f32,
    /// Cotangent of G.
    pub a: f32,
}

impl AdamStep {
    /// μ = c(fma(−A, λθ÷d, λm)), ν = c(fma(a2, (m'×λθ)÷((ρ×d)×d), λv)),
    /// a = c(fma(C1, μ, RN32(2(1−b2))×(G×ν))), with m' and v' after the step.
    #[inline(always)]
    #[must_use]
    pub fn adjoint(&self, g: f32, m: f32, v: f32, lt: f32, lm: f32, lv: f32) -> Adjoint {
        let (mu, nu) = (self.mu(v, lt, lm), self.nu(m, v, lt, lv));
        let a = c(fma(self.c1, mu, self.c2x2 * (g * nu)));
        Adjoint { mu, nu, a }
    }

    /// μ of [`AdamStep::adjoint`].
    #[inline(always)]
    fn mu(&self, v: f32, lt: f32, lm: f32) -> f32 {
        let d = self.rho(v) + self.eps;
        c(fma(-self.a, lt / d, lm))
    }

    /// ν of [`AdamStep::adjoint`].
    #[inline(always)]
    fn nu(&self, m: f32, v: f32, lt: f32, lv: f32) -> f32 {
        let rho = self.rho(v);
        let d = rho + self.eps;
        c(fma(self.a2, (m * lt) / ((rho * d) * d), lv))
    }

    /// λm ← c(b1×μ): operator 90 of one element, v after the step.
    #[inline(always)]
    #[must_use]
    pub fn adj_m(&self, v: f32, lt: f32, lm: f32) -> f32 {
        c(self.b1 * self.mu(v, lt, lm))
    }

    /// λv ← c(b2×ν): operator 91 of one element, m and v after the step.
    #[inline(always)]
    #[must_use]
    pub fn adj_v(&self, m: f32, v: f32, lt: f32, lv: f32) -> f32 {
        c(self.b2 * self.nu(m, v, lt, lv))
    }

    /// [`AdamStep::adjoint`] of one slot: λm and λv are replaced by c(b1×μ) and
    /// c(b2×ν), `a` receives the cotangent of G. λθ is left for [`lambda_theta`].
    pub fn adjoint_slot(
        &self,
        g: &[f32],
        m: &[f32],
        v: &[f32],
        lt: &[f32],
        lm: &mut [f32],
        lv: &mut [f32],
        a: &mut [f32],
    ) {
        let n = g.len();
        assert!(m.len() == n && v.len() == n && lt.len() == n);
        assert!(lm.len() == n && lv.len() == n && a.len() == n);
        for i in 0..n {
            a[i] = self.adjoint(g[i], m[i], v[i], lt[i], lm[i], lv[i]).a;
            (lm[i], lv[i]) = (self.adj_m(v[i], lt[i], lm[i]), self.adj_v(m[i], v[i], lt[i], lv[i]));
        }
    }
}

/// e = 2^⌊log2((h×(1+‖θ‖)) ÷ ‖a‖)⌋ by the exponent bits; `None` if ‖a‖ = 0,
/// when the step's scores and the (G⁺ − G⁻) term are 0.
#[must_use]
pub fn step_length(theta_norm: f32, a_norm: f32) -> Option<f32> {
    if a_norm == 0.0 {
        return None;
    }
    let y = (H * (1.0 + theta_norm)) / a_norm;
    Some(f32::from_bits(y.to_bits() & 0x7f80_0000))
}

/// θ± = c(fma(±e, a, θ)): `e` is given with its sign.
pub fn shift(theta: &[f32], e: f32, a: &[f32], out: &mut [f32]) {
    assert!(theta.len() == a.len() && theta.len() == out.len());
    for i in 0..theta.len() {
        out[i] = c(fma(e, a[i], theta[i]));
    }
}

/// λθ ← c(fma(Z, λθ, c((G⁺ − G⁻)×(1÷(2e))))), in place.
pub fn lambda_theta(z: f32, e: f32, g_plus: &[f32], g_minus: &[f32], lt: &mut [f32]) {
    assert!(g_plus.len() == lt.len() && g_minus.len() == lt.len());
    let inv = 1.0 / (2.0 * e);
    for i in 0..lt.len() {
        lt[i] = c(fma(z, lt[i], c((g_plus[i] - g_minus[i]) * inv)));
    }
}

/// [`lambda_theta`] when ‖a‖ = 0: the difference is 0.
pub fn lambda_theta_still(z: f32, lt: &mut [f32]) {
    for x in lt {
        *x = c(fma(z, *x, 0.0));
    }
}

/// (RN32(κ)/2 × clip) × (⟨a,g⁺⟩ + ⟨a,g⁻⟩): a record's score of one step before
/// [`fix`].
#[must_use]
pub fn score(kappa: f64, clip: f32, plus: f32, minus: f32) -> f32 {
    c((rn32(kappa) / 2.0 * clip) * (plus + minus))
}

/// x×2^shift to nearest even as i64. Overflow and NaN give the least i64.
#[must_use]
pub fn fix(x: f32, shift: u8) -> i64 {
    let bits = x.to_bits();
    let field = (bits >> 23 & 0xff) as i32;
    if field == 0xff {
        return i64::MIN;
    }
    let m = i128::from(bits & 0x007f_ffff | if field == 0 { 0 } else { 1 << 23 });
    let exp = field.max(1) - 150 + i32::from(shift);
    let q = if exp >= 0 {
        if m == 0 {
            0
        } else if exp > 64 {
            return i64::MIN;
        } else {
            m << exp
        }
    } else if exp < -30 {
        0
    } else {
        let down = -exp;
        let kept = m >> down;
        let rest = m & ((1 << down) - 1);
        let half = 1 << (down - 1);
        kept + i128::from(rest > half || (rest == half && kept & 1 == 1))
    };
    i64::try_from(if bits >> 31 == 1 { -q } else { q }).unwrap_or(i64::MIN)
}

/// Sum of two fixed-point scores. The least i64 marks a score that is not a
/// number: it stays, and an overflow gives it.
#[must_use]
pub fn add_fixed(a: i64, b: i64) -> i64 {
    if a == i64::MIN || b == i64::MIN {
        return i64::MIN;
    }
    a.checked_add(b).unwrap_or(i64::MIN)
}

/// The start of the replay: λθ = c(2^-x×(0 − G)) with x the exponent of ‖G‖.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The exponent: scores are in 2^x nats.
    pub x: i8,
    /// ‖G‖ = 0 or not finite: λθ = 0 and the run is rough.
    pub rough: bool,
}

impl Start {
    /// x and the rough flag from ‖G‖ of the probe.
    #[must_use]
    pub fn of(norm: f32) -> Self {
        if norm == 0.0 || !norm.is_finite() {
            return Self { x: 0, rough: true };
        }
        let field = (norm.to_bits() >> 23 & 0xff) as i32;
        Self { x: (field - 127) as i8, rough: false }
    }

    /// λθ of one slot from the probe's gradient.
    pub fn lambda(&self, g: &[f32], lt: &mut [f32]) {
        assert_eq!(g.len(), lt.len());
        if self.rough {
            lt.fill(0.0);
            return;
        }
        let f = rn32(crate::func::ipow(if self.x < 0 { 2.0 } else { 0.5 }, u32::from(self.x.unsigned_abs())));
        for (l, g) in lt.iter_mut().zip(g) {
            *l = c(f * (0.0 - g));
        }
    }
}
