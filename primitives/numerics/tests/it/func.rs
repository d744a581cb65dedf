use crate::stride;
use weft_numerics::func::{cospi, exp, ipow, ln, sigmoid, sin_cos};

/// Distance in units of the last place of the f32 nearest to `want`.
fn ulps(got: f32, want: f64) -> f64 {
    let field = ((want as f32).to_bits() >> 23 & 0xff) as i32;
    (f64::from(got) - want).abs() / f64::powi(2.0, field.max(1) - 150)
}

/// Every `stride()`-th input and those around every exponent border.
fn inputs() -> impl Iterator<Item = f32> {
    let borders = (0..512u32).flat_map(|e| (0..9u32).map(move |d| (e << 23).wrapping_add(d).wrapping_sub(4)));
    (0..=u32::MAX).step_by(stride()).chain(borders).map(f32::from_bits)
}

fn check(name: &str, limit: f64, f: fn(f32) -> f32, exact: fn(f64) -> f64, valid: fn(f32) -> bool) {
    let mut worst = (0.0, 0.0);
    for x in inputs().filter(|x| valid(*x)) {
        let e = ulps(f(x), exact(f64::from(x)));
        assert!(e.is_finite(), "{name}({x})");
        if e > worst.0 {
            worst = (e, x);
        }
    }
    println!("{name}: worst {:.4} ulp at {:e} ({:08x})", worst.0, worst.1, worst.1.to_bits());
    assert!(worst.0 <= limit, "{name}: {worst:?}");
}

#[test]
fn exp_should_be_within_1_25_ulp() {
    check("exp", 1.25, exp, f64::exp, |x| x < f32::from_bits(0x42b1_7218) && x >= f32::from_bits(0xc2ae_ac4f));
}

#[test]
fn ln_should_be_within_1_ulp() {
    check("ln", 1.0, ln, f64::ln, |x| x > 0.0 && x.is_finite());
}

#[test]
fn exp_should_honour_its_borders() {
    assert!(exp(f32::NAN).is_nan());
    assert_eq!(exp(f32::from_bits(0x42b1_7218)), f32::INFINITY);
    assert!(exp(f32::from_bits(0x42b1_7217)).is_finite());
    assert_eq!(exp(f32::from_bits(0xc2ae_ac50)).to_bits(), 0);
    assert!(exp(f32::from_bits(0xc2ae_ac4f)) >= f32::MIN_POSITIVE);
    assert_eq!(exp(0.0), 1.0);
    assert_eq!(exp(-0.0), 1.0);
    assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
}

#[test]
fn ln_should_honour_its_borders() {
    assert_eq!(ln(0.0), f32::NEG_INFINITY);
    assert_eq!(ln(-0.0), f32::NEG_INFINITY);
    assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan());
    assert_eq!(ln(f32::INFINITY), f32::INFINITY);
    assert_eq!(ln(1.0), 0.0);
}

#[test]
fn sigmoid_should_saturate() {
    assert_eq!(sigmoid(0.0), 0.5);
    assert_eq!(sigmoid(200.0), 1.0);
    assert_eq!(sigmoid(-200.0), 0.0);
}

#[test]
fn sin_and_cos_should_be_within_2_pow_minus_50() {
    let limit = f64::powi(2.0, -50);
    let mut worst = 0.0f64;
    for i in 0..2_000_000u64 {
        // Angles as tables have them, dense below 1,024 and sparse up to 2^20.
        let x = if i % 2 == 0 { i as f64 / 2_000.0 } else { i as f64 * 0.524_287_9 };
        let (s, c) = sin_cos(x);
        worst = worst.max((s - x.sin()).abs()).max((c - x.cos()).abs());
    }
    println!("sin, cos: 2^{:.2}", worst.log2());
    assert!(worst <= limit, "2^{:.2}", worst.log2());
}

#[test]
fn cospi_and_ipow_should_be_accurate() {
    for i in 0..=10_000u32 {
        let x = f64::from(i) / 10_000.0;
        assert!((cospi(x) - (std::f64::consts::PI * x).cos()).abs() <= 1e-15);
    }
    assert_eq!(cospi(0.5), 0.0);
    assert_eq!(cospi(1.0), -1.0);
    for n in [0, 1, 2, 3, 10, 1_000, 1_000_000] {
        let want = 0.999f64.powi(n);
        assert!((ipow(0.999, n as u32) - want).abs() <= 1e-10 * want);
    }
}
