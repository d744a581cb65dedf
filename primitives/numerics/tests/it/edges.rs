//! Edges that random cases hardly meet, bit for bit against soft floats: results halfway between two numbers,
//! cancellation, subnormal results.

use crate::reference as slow;
use crate::soft::{self, F};
use crate::Rng;
use weft_numerics::arith::{c, fma, fma_odd};
use weft_numerics::{dot, red, red_fma};

/// Both forms of the fused operation give the soft float's bits; NaN is one after `c`.
fn check(a: u32, b: u32, x: u32) -> u32 {
    let want = soft::fma(F(a), F(b), F(x)).c().0;
    let [a, b, x] = [a, b, x].map(f32::from_bits);
    let got = [fma(a, b, x), fma_odd(a, b, x)].map(|y| c(y).to_bits());
    assert_eq!(got, [want; 2], "{a:e} {b:e} {x:e}");
    want
}

#[test]
fn fma_should_round_once_when_the_sum_is_near_halfway_and_subnormal() {
    // Two roundings give 0x00400000.
    assert_eq!(check(0x19ff_e002, 0x1a00_1001, 0x0040_0000), 0x0040_0001);
    for (a, x) in [(0x99ff_e002, 0x0040_0000), (0x19ff_e002, 0x8040_0000), (0x99ff_e002, 0x8040_0000)] {
        check(a, 0x1a00_1001, x);
    }
    for i in 0..64 {
        for x in [0x0040_0000, 0x0040_0001, 0x007f_ffff, 0x0000_0001, 0, 0x8000_0001, 0x8040_0000] {
            check(0x19ff_e002 + i, 0x1a00_1001, x);
        }
    }
}

#[test]
fn fma_should_round_halfway_to_even() {
    // 1 + 2^-24 stands halfway above an even number, 1 + 3·2^-24 above an odd one.
    let (half, three) = (2f32.powi(-24), 3.0 * 2f32.powi(-24));
    assert_eq!(check(half.to_bits(), 1f32.to_bits(), 1f32.to_bits()), 1f32.to_bits());
    assert_eq!(check(three.to_bits(), 1f32.to_bits(), 1f32.to_bits()), 1f32.to_bits() + 2);
    let mut rng = Rng::new(28);
    for _ in 0..20_000 {
        // x of 24 bits and an exact product of half a unit of its last place, with a neighbour on each side.
        let exponent = 40 + rng.word() % 150;
        let x = exponent << 23 | rng.word() & 0x007f_ffff | rng.word() & 0x8000_0000;
        let unit = f32::from_bits((exponent - 24) << 23);
        let (a, b) = (f32::from_bits(0x3f80_0000 + (rng.word() % 8)), unit);
        for sign in [0, 0x8000_0000] {
            for b in [b.to_bits(), b.to_bits() + 1, b.to_bits() - 1] {
                check(a.to_bits(), b ^ sign, x);
                check(1f32.to_bits(), b ^ sign, x);
            }
        }
    }
}

#[test]
fn fma_should_keep_what_cancellation_leaves() {
    let mut rng = Rng::new(29);
    for _ in 0..20_000 {
        // x is −a·b rounded, so that the result is the rounding error alone, and its neighbours.
        let scale = |rng: &mut Rng| f32::from_bits((100 + rng.word() % 54) << 23 | rng.word() & 0x807f_ffff);
        let (a, b) = (scale(&mut rng), scale(&mut rng));
        let x = -(a * b);
        let exact = f64::from(a) * f64::from(b) + f64::from(x);
        let got = check(a.to_bits(), b.to_bits(), x.to_bits());
        // A product of 24-bit numbers has 48 bits: the error is a number of 24 bits.
        assert_eq!(f64::from(f32::from_bits(got)), exact);
        for step in [1, 2, u32::MAX, u32::MAX - 1] {
            check(a.to_bits(), b.to_bits(), x.to_bits().wrapping_add(step));
        }
    }
    // Exact cancellation of either sign is +0 once stored.
    for a in [1f32, -1.0, f32::MIN_POSITIVE, f32::MAX] {
        assert_eq!(check(a.to_bits(), 1f32.to_bits(), (-a).to_bits()), 0);
    }
}

#[test]
fn sums_should_keep_their_order_when_terms_cancel() {
    let mut rng = Rng::new(30);
    for n in [2, 16, 17, 255, 256, 257, 511, 512, 513, 1_025, 16_384, 16_385] {
        // Each term comes back with the other sign, far or near; between them stand small ones.
        let mut x: Vec<f32> = rng.vec(n, 1e6);
        for i in 0..n / 2 {
            x[n - 1 - i] = -x[i];
        }
        let ones = vec![1f32; n];
        let small: Vec<f32> = x.iter().map(|x| x + rng.unit() * 1e-3).collect();
        let halves: Vec<f32> = (0..n).map(|i| if i % 2 == 0 { 1.0 } else { 2f32.powi(-24) }).collect();
        for x in [x, small, halves] {
            let (soft_x, soft_ones): (Vec<F>, Vec<F>) = (0..n).map(|i| (F::of(x[i]), F::of(ones[i]))).unzip();
            assert_eq!(c(red(&x)).to_bits(), slow::red(&soft_x, None).c().0, "{n}");
            assert_eq!(c(red_fma(&x, &ones)).to_bits(), slow::red(&soft_x, Some(&soft_ones)).c().0, "{n}");
            assert_eq!(c(dot(&x, &ones)).to_bits(), slow::dot(&slow::pairs(&soft_x, &soft_ones)).c().0, "{n}");
        }
    }
}
