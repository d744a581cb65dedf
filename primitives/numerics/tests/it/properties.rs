use crate::soft;
use proptest::prelude::*;
use weft_numerics::arith::{c, fma};
use weft_numerics::order::permute;
use weft_numerics::replay::{add_fixed, fix};
use weft_numerics::{dot, red, Key};

fn same(a: f32, b: f32) -> bool {
    c(a).to_bits() == c(b).to_bits()
}

proptest! {
    #[test]
    fn c_should_change_nothing_twice(x: u32) {
        let once = c(f32::from_bits(x));
        prop_assert_eq!(c(once).to_bits(), once.to_bits());
    }

    #[test]
    fn fma_should_equal_soft_float(a: u32, b: u32, x: u32) {
        let want = soft::fma(soft::F(a), soft::F(b), soft::F(x)).value();
        prop_assert!(same(fma(f32::from_bits(a), f32::from_bits(b), f32::from_bits(x)), want));
    }

    #[test]
    fn sums_should_not_see_trailing_zeros(x in prop::collection::vec(-1e3f32..1e3, 1..700), pad in 0usize..700) {
        let mut longer = x.clone();
        longer.resize(x.len() + pad, 0.0);
        prop_assert!(same(red(&x), red(&longer)));
        prop_assert!(same(dot(&x, &x), dot(&longer, &longer)));
    }

    #[test]
    fn order_should_separate_places(key: [u32; 2], n in 2u32..100_000, epoch in 0u32..50, x: u32, y: u32) {
        let (x, y) = (x % n, y % n);
        let (a, b) = (permute(&Key(key), n, epoch, x), permute(&Key(key), n, epoch, y));
        prop_assert!(a < n && b < n);
        prop_assert_eq!(a == b, x == y);
    }

    #[test]
    fn fix_should_be_odd_and_monotone(x in -8e6f32..8e6, y in -8e6f32..8e6) {
        prop_assert_eq!(fix(-x, 40), -fix(x, 40));
        prop_assert!(x > y || fix(x, 40) <= fix(y, 40));
    }

    #[test]
    fn a_score_that_is_not_a_number_should_stay(x: i64) {
        prop_assert_eq!(add_fixed(x, i64::MIN), i64::MIN);
        prop_assert_eq!(add_fixed(i64::MIN, x), i64::MIN);
    }
}
