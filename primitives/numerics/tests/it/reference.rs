//! The operators written a second time, on the soft floats of `soft`, straight
//! from the definition of the class: one lane at a time, no shared code.

use crate::soft::{fma, sqrt, D, F};

pub const ZERO: F = F(0);
pub const ONE: F = F(0x3f80_0000);

/// Σ a·b in dot order over the pairs; `None` is a masked term.
pub fn dot(terms: &[Option<(F, F)>]) -> F {
    let fold = |xs: Vec<F>| xs.into_iter().reduce(|a, b| a + b).unwrap_or(ZERO);
    let block = |b: &[Option<(F, F)>]| b.iter().flatten().fold(ZERO, |acc, (x, y)| fma(*x, *y, acc));
    let sup = |s: &[Option<(F, F)>]| fold(s.chunks(512).map(block).collect());
    fold(terms.chunks(16_384).map(sup).collect())
}

pub fn pairs(a: &[F], b: &[F]) -> Vec<Option<(F, F)>> {
    a.iter().zip(b).map(|(a, b)| Some((*a, *b))).collect()
}

pub fn red(x: &[F], z: Option<&[F]>) -> F {
    if x.len() > 256 {
        let blocks: Vec<F> = (0..x.len().div_ceil(256))
            .map(|b| {
                let at = b * 256..x.len().min(b * 256 + 256);
                red(&x[at.clone()], z.map(|z| &z[at])).c()
            })
            .collect();
        return red(&blocks, None);
    }
    let mut l = [ZERO; 16];
    for i in 0..x.len() {
        l[i % 16] = match z {
            None => l[i % 16] + x[i],
            Some(z) => fma(x[i], z[i], l[i % 16]),
        };
    }
    for h in [8, 4, 2, 1] {
        for j in 0..h {
            l[j] = l[j] + l[j + h];
        }
    }
    l[0]
}

pub fn max(x: &[F]) -> F {
    x.iter().fold(F(0xff80_0000), |m, x| if x.value() > m.value() { *x } else { m })
}

fn horner(k: &[u32], x: F) -> F {
    k.iter().rev().map(|k| F(*k)).reduce(|y, k| fma(y, x, k)).unwrap()
}

const L1: F = F(0x3f31_8000);
const L2: F = F(0xb95e_8083);

pub fn exp(x: F) -> F {
    let v = x.value();
    if v.is_nan() {
        return x;
    }
    if v >= f32::from_bits(0x42b1_7218) {
        return F(0x7f80_0000);
    }
    if v < f32::from_bits(0xc2ae_ac4f) {
        return ZERO;
    }
    let magic = F(0x4b40_0000);
    let t = fma(x, F(0x3fb8_aa3b), magic);
    let n = t - magic;
    let r = fma(n, -L2, fma(n, -L1, x));
    let q = horner(&[0x3f80_0000, 0x3eff_fffe, 0x3e2a_aa0d, 0x3d2a_ac11, 0x3c09_33c6, 0x3ab5_7392], r);
    let p = fma(q, r, ONE);
    F((p.0 as i64 + ((n.value() as i64) << 23)) as u32)
}

pub fn ln(x: F) -> F {
    let v = x.value();
    if v == 0.0 {
        return F(0xff80_0000);
    }
    if v.is_nan() || v < 0.0 {
        return F(0x7fc0_0000);
    }
    if v == f32::INFINITY {
        return x;
    }
    let (x, less) = if x.0 < 0x0080_0000 { (x * F::of(8_388_608.0), 23) } else { (x, 0) };
    let e = (x.0 as i32 - 0x3f35_04f3) >> 23;
    let t = F((x.0 as i32 - (e << 23)) as u32) - ONE;
    let p = horner(
        &[0x3eaa_aaaa, 0xbe80_0113, 0x3e4c_d004, 0xbe2a_3922, 0x3e11_6d0f, 0xbe06_c2a1, 0x3e02_adb4, 0xbd9c_5abe],
        t,
    );
    let e = F::of((e - less) as f32);
    let z = t * t;
    let y = fma(e, L2, (p * t) * z);
    let y = fma(-F::of(0.5), z, y);
    fma(e, L1, t + y)
}

pub fn sigmoid(x: F) -> F {
    ONE / (ONE + exp(-x))
}

pub fn rms_r(ss: F, n: usize, eps: F) -> F {
    (ONE / sqrt(ss / F::of(n as f32) + eps)).c()
}

pub fn rms_dx(dy: &[F], w: &[F], xhat: &[F], r: F) -> Vec<F> {
    let t: Vec<F> = dy.iter().zip(w).map(|(a, b)| (*a * *b).c()).collect();
    let q = red(&t, Some(xhat));
    let n = F::of(dy.len() as f32);
    t.iter().zip(xhat).map(|(t, x)| (r * fma(-*x, q / n, *t)).c()).collect()
}

fn sin_cos(x: D) -> (D, D) {
    let magic = D::of(6_755_399_441_055_744.0);
    let n = (x * D::of("0.636619772367581343".parse().unwrap()) + magic) - magic;
    let hi = D::of("1.57079631090164184570".parse().unwrap());
    let lo = D::of("1.58932547735281966916e-8".parse().unwrap());
    let r = (x - n * hi) - n * lo;
    let z = r * r;
    // ±1/k! for k = first, first + 2, …, last; signs alternate from −.
    let series = |first: u64, last: u64| {
        let mut y = None;
        for k in (first..=last).rev().step_by(2) {
            let term = D::of(1.0) / D::of((1..=k).product::<u64>() as f64);
            let term = if k / 2 % 2 == 1 { -term } else { term };
            y = Some(y.map_or(term, |y: D| y * z + term));
        }
        y.unwrap()
    };
    let (s, c) = (r + r * (z * series(3, 15)), D::of(1.0) + z * series(2, 16));
    match (n.value() as i64).rem_euclid(4) {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// The pair (x_i, x_j) at `pos`.
pub fn rope(xi: F, xj: F, inv: F, pos: u32, back: bool) -> [F; 2] {
    let (s, k) = sin_cos((F::of(pos as f32) * inv).wide());
    let (s, k) = (s.narrow().c(), k.narrow().c());
    let s = if back { -s } else { s };
    [fma(xi, k, -(xj * s)).c(), fma(xj, k, xi * s).c()]
}

/// The constants of one AdamW step; see `optim::AdamStep`.
pub struct Adam {
    pub b1: F,
    pub b2: F,
    pub c1: F,
    pub c2: F,
    pub c2x2: F,
    pub a: F,
    pub a2: F,
    pub r: F,
    pub z: F,
    pub eps: F,
    pub eps_root: F,
}

/// Constants from (beta1, beta2, eps, eps_root, weight_decay, lr) at step t.
pub fn adam([b1, b2, eps, eps_root, wd, lr]: [D; 6], t: u32) -> Adam {
    let one = D::of(1.0);
    let ipow = |b: D, n: u32| {
        let mut y = one;
        for bit in (0..32).rev() {
            y = y * y;
            if n >> bit & 1 == 1 {
                y = y * b;
            }
        }
        y
    };
    let (bc1, bc2) = (one - ipow(b1, t + 1), one - ipow(b2, t + 1));
    let two = D::of(2.0);
    Adam {
        b1: b1.narrow(),
        b2: b2.narrow(),
        c1: (one - b1).narrow(),
        c2: (one - b2).narrow(),
        c2x2: (two * (one - b2)).narrow(),
        a: (lr / bc1).narrow(),
        a2: (lr / (two * bc1 * bc2)).narrow(),
        r: (one / bc2).narrow(),
        z: (one - lr * wd).narrow(),
        eps: eps.narrow(),
        eps_root: eps_root.narrow(),
    }
}

impl Adam {
    pub fn m(&self, m: F, g: F) -> F {
        fma(self.b1, m, self.c1 * g).c()
    }
    pub fn v(&self, v: F, g: F) -> F {
        fma(self.c2 * g, g, self.b2 * v).c()
    }
    fn rho_d(&self, v: F) -> (F, F) {
        let rho = sqrt(fma(v, self.r, self.eps_root));
        (rho, rho + self.eps)
    }
    pub fn p(&self, theta: F, m: F, v: F) -> F {
        fma(-self.a, m / self.rho_d(v).1, self.z * theta).c()
    }
    pub fn mu(&self, v: F, lt: F, lm: F) -> F {
        fma(-self.a, lt / self.rho_d(v).1, lm).c()
    }
    pub fn nu(&self, m: F, v: F, lt: F, lv: F) -> F {
        let (rho, d) = self.rho_d(v);
        fma(self.a2, (m * lt) / ((rho * d) * d), lv).c()
    }
    pub fn cotangent(&self, g: F, mu: F, nu: F) -> F {
        fma(self.c1, mu, self.c2x2 * (g * nu)).c()
    }
}

pub fn min1(y: F) -> F {
    if y.value() < 1.0 {
        y
    } else {
        ONE
    }
}

/// x×2^shift to nearest even, by big integers.
pub fn fix(x: F, shift: u32) -> i64 {
    let v = f64::from(x.value());
    if !v.is_finite() {
        return i64::MIN;
    }
    // Exact: a binary32 number has 24 bits, so only the exponent changes.
    let y = v * f64::powi(2.0, shift as i32);
    if y.abs() >= 9_223_372_036_854_775_808.0 {
        return i64::MIN;
    }
    y.round_ties_even() as i64
}
