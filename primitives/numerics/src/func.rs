//! exp, ln, sigmoid, reciprocal root, and the f64 functions of tables and
//! schedules. Coefficients come from `gen/poly.py` as bit patterns.

use crate::arith::{c, fma};

// 1.5·2^23: adding and subtracting it rounds to an integer.
const MAGIC: f32 = 12_582_912.0;
const LOG2E: f32 = f32::from_bits(0x3fb8_aa3b);
/// 355/512: nine bits, so that n·L1 is exact for every exponent n.
const L1: f32 = f32::from_bits(0x3f31_8000);
/// RN32(ln 2 − L1).
const L2: f32 = f32::from_bits(0xb95e_8083);

const EXP: [u32; 6] = [
    0x3f80_0000, // x^0: 1.00000003218
    0x3eff_fffe, // x^1: 0.499999942069
    0x3e2a_aa0d, // x^2: 0.166664312065
    0x3d2a_ac11, // x^3: 0.0416680023763
    0x3c09_33c6, // x^4: 0.00837416021326
    0x3ab5_7392, // x^5: 0.00138436469682
];

const LN: [u32; 8] = [
    0x3eaa_aaaa, // x^0: 0.333333317079
    0xbe80_0113, // x^1: -0.250008210318
    0x3e4c_d004, // x^2: 0.200012268641
    0xbe2a_3922, // x^3: -0.166233574118
    0x3e11_6d0f, // x^4: 0.142017582779
    0xbe06_c2a1, // x^5: -0.13160182112
    0x3e02_adb4, // x^6: 0.127615751869
    0xbd9c_5abe, // x^7: -0.0763449489046
];

/// Horner's rule with fma, highest power first.
#[inline(always)]
fn horner<const N: usize>(coeffs: &[u32; N], x: f32) -> f32 {
    let mut y = f32::from_bits(coeffs[N - 1]);
    for &k in coeffs[..N - 1].iter().rev() {
        y = fma(y, x, f32::from_bits(k));
    }
    y
}

/// e^x within 1.25 ulp. NaN → NaN, x ≥ 88.72284 → +∞, x < −87.33654 → +0, so
/// the result is never subnormal.
#[inline]
#[must_use]
pub fn exp(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    if x >= f32::from_bits(0x42b1_7218) {
        return f32::INFINITY;
    }
    if x < f32::from_bits(0xc2ae_ac4f) {
        return 0.0;
    }
    let n = fma(x, LOG2E, MAGIC) - MAGIC;
    let r = fma(n, -L1, x);
    let r = fma(n, -L2, r);
    let p = fma(horner(&EXP, r), r, 1.0);
    f32::from_bits(p.to_bits().wrapping_add(((n as i32) << 23) as u32))
}

/// ln x within 1 ulp. Zero → −∞, negative or NaN → NaN, +∞ → +∞.
#[inline]
#[must_use]
pub fn ln(x: f32) -> f32 {
    if x == 0.0 {
        return f32::NEG_INFINITY;
    }
    if x.is_nan() || x < 0.0 {
        return f32::NAN;
    }
    if x == f32::INFINITY {
        return x;
    }
    let (bits, low) = if x < f32::MIN_POSITIVE { ((x * 8_388_608.0).to_bits(), 23) } else { (x.to_bits(), 0) };
    let e = (bits as i32).wrapping_sub(0x3f35_04f3) >> 23;
    let f = f32::from_bits((bits as i32).wrapping_sub(e << 23) as u32);
    let e = (e - low) as f32;
    let t = f - 1.0;
    let z = t * t;
    let y = (horner(&LN, t) * t) * z;
    let y = fma(e, L2, y);
    let y = fma(-0.5, z, y);
    fma(e, L1, t + y)
}

/// σ(x) = 1 ÷ (1 + exp(−x)).
#[inline]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// c(exp(x − m)): operator 51, for scores and logits under their maximum m.
#[inline]
#[must_use]
pub fn exp_sub(x: f32, m: f32) -> f32 {
    c(exp(x - m))
}

/// c(1 ÷ x): operator 52.
#[inline]
#[must_use]
pub fn recip(x: f32) -> f32 {
    c(1.0 / x)
}

// 1.5·2^52: adding and subtracting it rounds to an integer.
const MAGIC64: f64 = 6_755_399_441_055_744.0;

/// sin r and cos r for |r| ≤ π/4: Taylor series to r^15 and r^16.
fn sin_cos_core(r: f64) -> (f64, f64) {
    // ±1/n! rounded to f64; each factorial is exact.
    const S: [f64; 7] = [
        -1.0 / 6.0,
        1.0 / 120.0,
        -1.0 / 5_040.0,
        1.0 / 362_880.0,
        -1.0 / 39_916_800.0,
        1.0 / 6_227_020_800.0,
        -1.0 / 1_307_674_368_000.0,
    ];
    const C: [f64; 8] = [
        -1.0 / 2.0,
        1.0 / 24.0,
        -1.0 / 720.0,
        1.0 / 40_320.0,
        -1.0 / 3_628_800.0,
        1.0 / 479_001_600.0,
        -1.0 / 87_178_291_200.0,
        1.0 / 20_922_789_888_000.0,
    ];
    let z = r * r;
    let horner = |k: &[f64]| k[..k.len() - 1].iter().rev().fold(k[k.len() - 1], |y, k| y * z + k);
    (r + r * (z * horner(&S)), 1.0 + z * horner(&C))
}

fn quadrant(n: f64, (s, c): (f64, f64)) -> (f64, f64) {
    match (n as i64) & 3 {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// (sin x, cos x) in f64, within 2^-50 for |x| ≤ 2^20: for tables only.
///
/// The reduction is that of FreeBSD's `e_rem_pio2f.c`.
#[must_use]
#[allow(clippy::excessive_precision, reason = "the constants as their source writes them")]
pub fn sin_cos(x: f64) -> (f64, f64) {
    const TWO_OVER_PI: f64 = core::f64::consts::FRAC_2_PI;
    const PIO2_HI: f64 = 1.570_796_310_901_641_845_70;
    const PIO2_LO: f64 = 1.589_325_477_352_819_669_16e-8;
    let n = (x * TWO_OVER_PI + MAGIC64) - MAGIC64;
    let r = (x - n * PIO2_HI) - n * PIO2_LO;
    quadrant(n, sin_cos_core(r))
}

/// cos(π·x) in f64.
#[must_use]
pub fn cospi(x: f64) -> f64 {
    let n = (2.0 * x + MAGIC64) - MAGIC64;
    let r = core::f64::consts::PI * (x - n / 2.0);
    quadrant(n, sin_cos_core(r)).1
}

/// b^n in f64 by square-and-multiply, high bit first.
#[must_use]
pub fn ipow(b: f64, n: u32) -> f64 {
    let mut y = 1.0;
    for bit in (0..32 - n.leading_zeros()).rev() {
        y *= y;
        if n >> bit & 1 == 1 {
            y *= b;
        }
    }
    y
}
