use crate::Rng;
use weft_numerics::arith::c;
use weft_numerics::dot::{column_nn, dot, nn, nt, row_nn, tn, BLOCK, SUPER};
use weft_numerics::fma;
use weft_numerics::red::{max, max_abs, red, red_blocks, red_fma};

const U: f64 = 5.960_464_477_539_063e-8; // 2^-24

const LENGTHS: [usize; 17] = [0, 1, 2, 15, 16, 17, 255, 256, 257, 511, 512, 513, 4_097, 16_383, 16_384, 16_385, 40_000];

fn gamma(m: f64) -> f64 {
    m * U / (1.0 - m * U)
}

#[test]
fn dot_should_be_within_its_error_bound() {
    let mut rng = Rng::new(3);
    for k in LENGTHS {
        let (a, b) = (rng.vec(k, 3.0), rng.vec(k, 0.7));
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let size: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) * f64::from(*b)).abs()).sum();
        let m = k.min(512) as f64 + 32.0 + k.div_ceil(16_384) as f64;
        assert!((f64::from(dot(&a, &b)) - exact).abs() <= gamma(m) * size, "{k}");
    }
}

#[test]
fn red_should_be_within_60_u() {
    let mut rng = Rng::new(4);
    for n in LENGTHS.into_iter().chain([65_536, 65_537, 200_000]) {
        let x = rng.vec(n, 3.0);
        let z = rng.vec(n, 2.0);
        let exact: f64 = x.iter().map(|x| f64::from(*x)).sum();
        let size: f64 = x.iter().map(|x| f64::from(*x).abs()).sum();
        assert!((f64::from(red(&x)) - exact).abs() <= 60.0 * U * size, "{n}");
        let exact: f64 = x.iter().zip(&z).map(|(x, z)| f64::from(*x) * f64::from(*z)).sum();
        let size: f64 = x.iter().zip(&z).map(|(x, z)| (f64::from(*x) * f64::from(*z)).abs()).sum();
        assert!((f64::from(red_fma(&x, &z)) - exact).abs() <= 60.0 * U * size, "{n}");
        // The operator's form: the lowest level as stored, then red of the values.
        if n > 256 {
            let mut level = vec![0.0; n.div_ceil(256)];
            red_blocks(&x, None, &mut level);
            assert_eq!(red(&level).to_bits(), red(&x).to_bits(), "{n}");
            red_blocks(&x, Some(&z), &mut level);
            assert_eq!(red(&level).to_bits(), red_fma(&x, &z).to_bits(), "{n}");
        }
    }
}

#[test]
fn red_should_not_change_when_padded_with_zeros() {
    let mut rng = Rng::new(5);
    for n in [1, 17, 256, 300, 65_537] {
        let mut x = rng.vec(n, 1.0);
        let before = red(&x).to_bits();
        x.resize(n + 70_000, 0.0);
        assert_eq!(red(&x).to_bits(), before);
    }
}

/// The order as the specification writes it; terms before `from` are left out. Not yet `c`.
fn plain(a: &[f32], b: &[f32], from: usize) -> f32 {
    let mut total: Option<f32> = None;
    for first in (0..a.len()).step_by(SUPER) {
        let end = a.len().min(first + SUPER);
        let mut sup: Option<f32> = None;
        for block in (first..end).step_by(BLOCK) {
            let terms = (block..end.min(block + BLOCK)).filter(|k| *k >= from);
            let sum = terms.fold(0.0f32, |acc, k| fma(a[k], b[k], acc));
            sup = Some(sup.map_or(sum, |sup| sup + sum));
        }
        let sup = sup.unwrap();
        total = Some(total.map_or(sup, |total| total + sup));
    }
    total.unwrap()
}

#[test]
fn every_form_of_dot_should_agree() {
    let mut rng = Rng::new(6);
    for k in LENGTHS.into_iter().skip(1) {
        let (m, n) = (2, 11);
        let a = rng.vec(m * k, 1.0);
        let b = rng.vec(n * k, 1.0);
        let transpose = |x: &[f32], rows: usize| -> Vec<f32> {
            let columns = x.len() / rows;
            (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
        };
        let (at, bt) = (transpose(&a, m), transpose(&b, n));
        let mut want = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                want[i * n + j] = c(dot(&a[i * k..(i + 1) * k], &b[j * k..(j + 1) * k]));
            }
        }
        let mut got = vec![0.0; m * n];
        nt(&a, &b, k, &mut got);
        assert_eq!(got, want);
        nn(&a, &bt, k, &mut got);
        assert_eq!(got, want);
        tn(&at, &bt, k, &mut got);
        assert_eq!(got, want);
        assert_eq!(c(plain(&a[..k], &b[..k], 0)), want[0]);

        // A window: the same terms, by both forms that have one.
        let from = k / 3;
        let want = c(plain(&a[..k], &b[..k], from));
        let mut row = vec![0.0; n];
        row_nn(&a[..k], &bt, n, from, &mut row);
        assert_eq!(row[0], want);
        column_nn(&at, m, 0, &bt, n, from, k, &mut row);
        assert_eq!(row[0], want);
        row_nn(&a[..k], &bt, n, k, &mut row);
        assert!(row.iter().all(|x| x.to_bits() == 0));
    }
}

#[test]
fn max_should_never_select_nan() {
    assert_eq!(max(&[f32::NAN, 1.0, f32::NAN, 3.0]), 3.0);
    assert_eq!(max(&[f32::NAN]), f32::NEG_INFINITY);
    assert_eq!(max(&[]), f32::NEG_INFINITY);
    assert_eq!(max_abs(&[f32::NAN, -4.0, 3.0, f32::NAN]), 4.0);
    assert_eq!(max_abs(&[]).to_bits(), 0);
}
