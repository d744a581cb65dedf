use crate::{soft, stride, Rng};
use weft_numerics::arith::{c, dec, fma, fma_odd, sqrt, sqrt64, sqrt64_int, sqrt_int};
use weft_protocol::dec::Dec;

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

#[test]
fn c_should_leave_one_nan_and_one_zero() {
    assert_eq!(c(-0.0).to_bits(), 0);
    assert_eq!(c(f32::from_bits(0xffc1_2345)).to_bits(), 0x7fc0_0000);
    assert_eq!(c(f32::from_bits(1)).to_bits(), 1);
    assert_eq!(c(f32::NEG_INFINITY), f32::NEG_INFINITY);
}

#[test]
fn fma_should_round_once_when_the_result_is_subnormal() {
    let f = |a, b, c| fma_odd(f32::from_bits(a), f32::from_bits(b), f32::from_bits(c)).to_bits();
    assert_eq!(f(0x19ff_e002, 0x1a00_1001, 0x0040_0000), 0x0040_0001);
}

#[test]
fn fma_should_equal_soft_float_on_random_bits() {
    let mut rng = Rng::new(1);
    for i in 0..200_000u32 {
        let (a, b, mut x) = (rng.word(), rng.word(), rng.word());
        if i % 2 == 0 {
            // Near cancellation and near halfway: c about −a·b.
            let p = f32::from_bits(a) * f32::from_bits(b);
            x = (-p).to_bits().wrapping_add(rng.word() % 5).wrapping_sub(2);
        }
        let got = fma_odd(f32::from_bits(a), f32::from_bits(b), f32::from_bits(x));
        let want = soft::fma(soft::F(a), soft::F(b), soft::F(x));
        assert!(same(got, f32::from_bits(want.0)), "{a:08x} {b:08x} {x:08x}");
        assert!(same(fma(f32::from_bits(a), f32::from_bits(b), f32::from_bits(x)), got));
    }
}

#[test]
fn roots_by_integers_should_equal_the_hardware() {
    for bits in (0..=u32::MAX).step_by(stride()) {
        let x = f32::from_bits(bits);
        assert!(same(sqrt_int(x), x.sqrt()), "{bits:08x}");
        assert!(same(sqrt(x), x.sqrt()));
    }
    let mut rng = Rng::new(2);
    for i in 0..200_000u64 {
        let bits = (u64::from(rng.word()) << 32 | u64::from(rng.word())) >> (i % 3 * 6);
        let x = f64::from_bits(bits);
        let (a, b) = (sqrt64_int(x), x.sqrt());
        assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{bits:016x}");
        assert!(sqrt64(x).to_bits() == b.to_bits() || b.is_nan());
    }
}

#[test]
fn decimals_should_be_rounded_once() {
    for (text, value) in [("0.0002", 2e-4), ("0.9", 0.9), ("0.999", 0.999), ("0.00000001", 1e-8), ("16", 16.0)] {
        assert_eq!(dec(&Dec::parse(text).unwrap()), value, "{text}");
    }
    assert_eq!(dec(&Dec::ZERO), 0.0);
}
