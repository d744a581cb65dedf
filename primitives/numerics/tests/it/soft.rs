//! binary32 and binary64 by `rustc_apfloat`, on bit patterns: an implementation
//! that shares nothing with the crate.

use core::ops::{Add, Div, Mul, Neg, Sub};
use rustc_apfloat::ieee::{Double, Single};
use rustc_apfloat::{Float, FloatConvert};

/// A binary32 number by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct F(pub u32);

/// A binary64 number by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct D(pub u64);

fn s(x: F) -> Single {
    Single::from_bits(u128::from(x.0))
}

fn d(x: D) -> Double {
    Double::from_bits(u128::from(x.0))
}

macro_rules! operator {
    ($name:ident, $method:ident, $op:tt) => {
        impl $name for F {
            type Output = F;
            fn $method(self, y: F) -> F {
                F((s(self) $op s(y)).value.to_bits() as u32)
            }
        }
        impl $name for D {
            type Output = D;
            fn $method(self, y: D) -> D {
                D((d(self) $op d(y)).value.to_bits() as u64)
            }
        }
    };
}
operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);
operator!(Div, div, /);

impl Neg for F {
    type Output = F;
    fn neg(self) -> F {
        F(self.0 ^ 0x8000_0000)
    }
}

impl Neg for D {
    type Output = D;
    fn neg(self) -> D {
        D(self.0 ^ 1 << 63)
    }
}

impl F {
    pub fn of(x: f32) -> F {
        F(x.to_bits())
    }
    /// For comparisons, which round nothing.
    pub fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
    pub fn wide(self) -> D {
        let mut lost = false;
        D(FloatConvert::<Double>::convert(s(self), &mut lost).value.to_bits() as u64)
    }
    pub fn c(self) -> F {
        match self.0 {
            0x8000_0000 => F(0),
            x if x & 0x7fff_ffff > 0x7f80_0000 => F(0x7fc0_0000),
            _ => self,
        }
    }
}

impl D {
    pub fn of(x: f64) -> D {
        D(x.to_bits())
    }
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
    pub fn narrow(self) -> F {
        let mut lost = false;
        F(FloatConvert::<Single>::convert(d(self), &mut lost).value.to_bits() as u32)
    }
}

pub fn fma(a: F, b: F, c: F) -> F {
    F(s(a).mul_add(s(b), s(c)).value.to_bits() as u32)
}

/// √x by search: the greatest r with r·r ≤ x, then the midpoint. Squares of
/// 25-bit numbers are exact in binary64.
pub fn sqrt(x: F) -> F {
    let v = x.value();
    if v.is_nan() || v == 0.0 || v == f32::INFINITY {
        return x;
    }
    if v < 0.0 {
        return F(0x7fc0_0000);
    }
    let below = |r: D| (r * r).value() <= f64::from(v);
    let (mut low, mut high) = (0u32, 0x7f80_0000u32);
    while high - low > 1 {
        let mid = low + (high - low) / 2;
        if below(F(mid).wide()) {
            low = mid;
        } else {
            high = mid;
        }
    }
    let middle = (F(low).wide() + F(low + 1).wide()) * D::of(0.5);
    // A root is never halfway: its square would need 50 bits.
    if below(middle) {
        F(low + 1)
    } else {
        F(low)
    }
}
