//! Single operations: storing, fused multiply-add, roots, rounding.

use weft_protocol::dec::Dec;

/// The bits of the one NaN that tensors hold.
pub const CANONICAL_NAN: u32 = 0x7fc0_0000;

/// The value an operator stores: the canonical NaN for any NaN, else `x + 0.0`,
/// which turns −0 into +0 and leaves everything else.
#[inline(always)]
#[must_use]
pub fn c(x: f32) -> f32 {
    if x.is_nan() {
        f32::from_bits(CANONICAL_NAN)
    } else {
        x + 0.0
    }
}

/// `c` of every element.
pub fn c_all(xs: &mut [f32]) {
    for x in xs {
        *x = c(*x);
    }
}

/// `a·b + c` rounded once. NaN bits are unspecified until [`c`].
///
/// Portable: the exact f64 product plus `c`, rounded to odd, then to f32
/// (Boldo and Melquiond, IEEE TC 2008). The f64 format has more than 24 + 2
/// bits, so the second rounding is correct, for subnormal results too.
#[cfg(not(all(feature = "std", target_feature = "fma")))]
#[inline(always)]
#[must_use]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    fma_odd(a, b, c)
}

/// `a·b + c` rounded once. NaN bits are unspecified until [`c`].
#[cfg(all(feature = "std", target_feature = "fma"))]
#[inline(always)]
#[must_use]
#[allow(clippy::disallowed_methods, reason = "compiled for hardware fma, so this is one correctly rounded instruction")]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

/// The portable form of [`fma`], always available so that tests can compare.
#[inline(always)]
#[must_use]
pub fn fma_odd(a: f32, b: f32, c: f32) -> f32 {
    let p = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    let s = p + c;
    let t = s - p;
    let err = (p - (s - t)) + (c - t);
    let bits = s.to_bits();
    // err is NaN when s is not finite; both comparisons are then false.
    let inexact = (err > 0.0) | (err < 0.0);
    let away = (err > 0.0) == (s > 0.0);
    let step = if away { 1 } else { u64::MAX };
    let odd = if inexact & (bits & 1 == 0) { step } else { 0 };
    f64::from_bits(bits.wrapping_add(odd)) as f32
}

/// f64 to f32, to nearest even.
#[inline(always)]
#[must_use]
pub fn rn32(x: f64) -> f32 {
    x as f32
}

/// The f64 value of a recipe real, mantissa ÷ 10^−exp10, rounded once: its
/// exponent is −22 to 0, and 10^22 is the largest power of ten that f64 holds.
#[must_use]
pub fn dec(x: &Dec) -> f64 {
    let mut scale = 1.0f64;
    for _ in x.exp10()..0 {
        scale *= 10.0;
    }
    f64::from(x.mantissa()) / scale
}

/// `y < 1 ? y : 1`, so NaN gives 1.
#[inline(always)]
#[must_use]
pub fn min1(y: f32) -> f32 {
    if y < 1.0 {
        y
    } else {
        1.0
    }
}

/// √x in f32, correctly rounded.
#[cfg(feature = "std")]
#[inline(always)]
#[must_use]
pub fn sqrt(x: f32) -> f32 {
    x.sqrt()
}

/// √x in f32, correctly rounded.
#[cfg(not(feature = "std"))]
#[must_use]
pub fn sqrt(x: f32) -> f32 {
    sqrt_int(x)
}

/// √x in f64, correctly rounded.
#[cfg(feature = "std")]
#[inline(always)]
#[must_use]
pub fn sqrt64(x: f64) -> f64 {
    x.sqrt()
}

/// √x in f64, correctly rounded.
#[cfg(not(feature = "std"))]
#[must_use]
pub fn sqrt64(x: f64) -> f64 {
    sqrt64_int(x)
}

/// √x in f32 by integer root: the form for targets whose `core` has no root.
#[must_use]
pub fn sqrt_int(x: f32) -> f32 {
    // A correctly rounded f64 root rounded again to f32 is correct: 53 ≥ 2·24 + 2.
    sqrt64_int(f64::from(x)) as f32
}

/// √x in f64 by integer root: the form for targets whose `core` has no root.
#[must_use]
pub fn sqrt64_int(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    let bits = x.to_bits();
    let (mut m, mut e) = (u128::from(bits & 0x000f_ffff_ffff_ffff), (bits >> 52) as i32);
    if e == 0 {
        let shift = m.leading_zeros() as i32 - 75;
        m <<= shift;
        e = 1 - shift;
    } else {
        m |= 1 << 52;
    }
    let e = e - 1075; // x = m·2^e, m in [2^52, 2^53)
    let up = if e & 1 == 0 { 56 } else { 55 };
    let wide = m << up; // 108 to 109 bits: the root has 54 or 55
    let q = wide.isqrt();
    let half = (e - up) / 2;
    let sticky = u128::from(q * q != wide);
    // Normalise to 53 bits with whatever guard bits there are, plus sticky.
    let q = (q << 1) | sticky;
    let extra = (128 - q.leading_zeros()) as i32 - 53;
    let kept = q >> extra;
    let rest = q & ((1 << extra) - 1);
    let tie = 1u128 << (extra - 1);
    let kept = kept + u128::from(rest > tie || (rest == tie && kept & 1 == 1));
    let exp = half - 1 + extra + 52 + 1023;
    f64::from_bits(((exp as u64) << 52).wrapping_add(kept as u64).wrapping_sub(1 << 52))
}
