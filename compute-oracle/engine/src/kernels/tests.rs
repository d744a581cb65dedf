//! Equal bits with `weft-numerics` on every instruction set of the machine.

use super::gemm::{pack, Gemm, Right, Terms};
use super::{ops, reduce, Isa};
use weft_numerics::{c, dot, model, optim, red, replay};

/// SplitMix64: values of all magnitudes, now and then a special one.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn plain(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
    fn wild(&mut self) -> f32 {
        const SPECIAL: [u32; 10] = [
            0,
            0x8000_0000,
            1,
            0x8000_0001,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0xffc1_2345,
            0x7f7f_ffff,
            0x0080_0000,
        ];
        match self.next() % 40 {
            0 => f32::from_bits(SPECIAL[(self.next() % 10) as usize]),
            1..=6 => f32::from_bits(self.next() as u32),
            _ => self.plain() * 8.0,
        }
    }
    fn vec(&mut self, n: usize, wild: bool) -> Vec<f32> {
        (0..n).map(|_| if wild { self.wild() } else { self.plain() }).collect()
    }
}

/// The instruction sets of this machine; says which it lacks.
fn isas() -> Vec<Isa> {
    let (have, lack): (Vec<Isa>, Vec<Isa>) =
        [Isa::Reference, Isa::Scalar, Isa::Avx2, Isa::Avx512].into_iter().partition(|i| i.available());
    for isa in lack {
        println!("skipped: this machine has no {}", isa.name());
    }
    have
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn exp_should_equal_the_reference_when_inputs_are_any() {
    let mut rng = Rng(1);
    let mut x: Vec<f32> = (0..100_003u32).map(|i| f32::from_bits(i.wrapping_mul(42_949))).collect();
    for b in [0x42b1_7218u32, 0xc2ae_ac4f, 0, 0x7f80_0000, 0x7fc0_0000] {
        for d in 0..3 {
            x.push(f32::from_bits(b.wrapping_add(d)));
            x.push(f32::from_bits(b.wrapping_sub(d)));
        }
    }
    x.extend(rng.vec(1000, true));
    // m = 0: the largest element must be 0 for exp_row to pass values through.
    let neg: Vec<f32> = x.iter().map(|v| -v.abs()).chain([0.0]).collect();
    for isa in isas() {
        let mut y = neg.clone();
        ops::exp_row(isa, &mut y, 0);
        let want: Vec<f32> = neg.iter().map(|v| c(weft_numerics::exp(*v - 0.0))).collect();
        assert_eq!(bits(&y), bits(&want), "{isa:?}");
        let ones = vec![1.0; x.len()];
        let (mut h, mut want) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        ops::swiglu(isa, &x, &ones, &mut h);
        model::mlp::swiglu(&x, &ones, &mut want);
        assert_eq!(bits(&h), bits(&want), "{isa:?}");
    }
}

#[test]
fn products_should_equal_the_reference_when_shapes_are_any() {
    let mut rng = Rng(2);
    let shapes = [
        (1, 1, 1),
        (1, 32, 7),
        (3, 33, 16),
        (13, 16, 511),
        (12, 48, 512),
        (25, 31, 513),
        (7, 70, 1025),
        (2, 9, 16_385),
        (50, 64, 32),
        (5, 8, 255),
        (1, 100, 640),
        (29, 17, 2),
        (2, 40, 33_000),
    ];
    for (m, n, k) in shapes {
        for wild in [false, true] {
            let (a, b) = (rng.vec(m * k, wild), rng.vec(n * k, wild));
            let mut want = vec![0.0; m * n];
            dot::nt(&a, &b, k, &mut want);
            let mut bt = vec![0.0; n * k];
            for j in 0..n {
                for kk in 0..k {
                    bt[kk * n + j] = b[j * k + kk];
                }
            }
            let mut at = vec![0.0; m * k];
            for i in 0..m {
                for kk in 0..k {
                    at[kk * m + i] = a[i * k + kk];
                }
            }
            let mut panels = Vec::new();
            pack(&b, k, n, 1, k, &mut panels);
            for isa in isas() {
                for (right, name) in [(Right::Panels(&panels), "panels"), (Right::Rows(&bt, n), "rows")] {
                    for (a, a_row, a_col) in [(&a, k, 1), (&at, 1, m)] {
                        let mut out = vec![f32::NAN; m * n];
                        Gemm { m, n, k, a, a_row, a_col, b: right, terms: Terms::All, out: &mut out, out_row: n }
                            .run(isa);
                        assert_eq!(bits(&out), bits(&want), "{isa:?} {name} {m} {n} {k} wild {wild}");
                    }
                }
            }
        }
    }
}

#[test]
fn masked_products_should_equal_the_reference_when_windows_vary() {
    let mut rng = Rng(3);
    for (t, d) in [(1, 16), (5, 8), (70, 32), (600, 16)] {
        for window in [0, 1, 3, 64, 520] {
            let (p, v) = (rng.vec(t * t, false), rng.vec(t * d, true));
            for isa in isas() {
                let mut out = vec![0.0; t * d];
                let terms = Terms::UpTo { first: 0, window };
                Gemm {
                    m: t,
                    n: d,
                    k: t,
                    a: &p,
                    a_row: t,
                    a_col: 1,
                    b: Right::Rows(&v, d),
                    terms,
                    out: &mut out,
                    out_row: d,
                }
                .run(isa);
                for i in 0..t {
                    let mut want = vec![0.0; d];
                    let first = model::attention::first_key(i, window);
                    dot::row_nn(&p[i * t..i * t + i + 1], &v, d, first, &mut want);
                    assert_eq!(bits(&out[i * d..(i + 1) * d]), bits(&want), "{isa:?} up to, row {i} of {t}, {window}");
                }
                let terms = Terms::From { window };
                Gemm {
                    m: t,
                    n: d,
                    k: t,
                    a: &p,
                    a_row: 1,
                    a_col: t,
                    b: Right::Rows(&v, d),
                    terms,
                    out: &mut out,
                    out_row: d,
                }
                .run(isa);
                for j in 0..t {
                    let mut want = vec![0.0; d];
                    let end = model::attention::end_row(j, window, t);
                    dot::column_nn(&p, t, j, &v, d, j, end, &mut want);
                    assert_eq!(bits(&out[j * d..(j + 1) * d]), bits(&want), "{isa:?} from, row {j} of {t}, {window}");
                }
            }
        }
    }
}

#[test]
fn sums_should_equal_the_reference_when_lengths_vary() {
    let mut rng = Rng(4);
    for n in [0, 1, 15, 16, 17, 31, 255, 256, 257, 640, 65_535, 65_537, 70_001] {
        for wild in [false, true] {
            let (x, z) = (rng.vec(n, wild), rng.vec(n, wild));
            for isa in isas() {
                let got = c(reduce::red_fma(isa, &x, &z));
                assert_eq!(got.to_bits(), c(red::red_fma(&x, &z)).to_bits(), "{isa:?} {n}");
                if n > 0 {
                    let mut y = x.clone();
                    let (m, l) = ops::exp_row(isa, &mut y, n / 3);
                    let want_m = red::max(&x[n / 3..]);
                    let mut e: Vec<f32> = x.iter().map(|v| c(weft_numerics::exp(v - want_m))).collect();
                    e[..n / 3].fill(0.0);
                    assert_eq!((m + 0.0).to_bits(), (want_m + 0.0).to_bits());
                    assert_eq!(bits(&y), bits(&e), "{isa:?} {n}");
                    assert_eq!(l.to_bits(), c(red::red(&e)).to_bits());
                }
            }
        }
    }
}

#[test]
fn elementwise_should_equal_the_reference_when_inputs_are_any() {
    let mut rng = Rng(5);
    let k = optim::AdamStep::new(
        &optim::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 1e-7, weight_decay: 0.01 },
        1e-3,
        7,
    );
    for n in [1, 7, 16, 23, 4096, 10_007] {
        for wild in [false, true] {
            let v = |rng: &mut Rng| rng.vec(n, wild);
            let (g, th, m, w) = (v(&mut rng), v(&mut rng), v(&mut rng), v(&mut rng));
            let (lt, lm, lv) = (v(&mut rng), v(&mut rng), v(&mut rng));
            let (mut t0, mut m0, mut v0) = (th.clone(), m.clone(), w.clone());
            k.apply(&g, &mut t0, &mut m0, &mut v0);
            let (mut lm0, mut lv0, mut a0) = (lm.clone(), lv.clone(), vec![0.0; n]);
            k.adjoint_slot(&g, &m, &w, &lt, &mut lm0, &mut lv0, &mut a0);
            let mut lt0 = lt.clone();
            replay::lambda_theta(k.z, 0.125, &g, &th, &mut lt0);
            let (mut dg0, mut du0) = (vec![0.0; n], vec![0.0; n]);
            model::mlp::swiglu_back(&g, &th, &m, &mut dg0, &mut du0);
            let (mut xh0, mut y0) = (vec![0.0; n], vec![0.0; n]);
            let r0 = model::norm::forward_row(&g, &th, 1e-5, &mut xh0, &mut y0);
            let mut dx0 = vec![0.0; n];
            model::norm::backward_row(&m, &th, &g, 0.75, &mut dx0);
            let (mut p0, mut ds0) = (vec![0.0; n], vec![0.0; n]);
            for i in 0..n {
                p0[i] = model::attention::prob(g[i], 0.375);
                ds0[i] = model::attention::ds(p0[i], th[i], -0.5);
            }
            // The two halves of a head of 2n, with cos and sin of any value.
            let whole: Vec<f32> = g.iter().chain(&th).copied().collect();
            let (mut turned0, mut turned_back0) = (whole.clone(), whole);
            model::rope::forward_head(&mut turned0, &m, &w);
            model::rope::backward_head(&mut turned_back0, &m, &w);
            let (mut plus0, mut minus0) = (vec![0.0; n], vec![0.0; n]);
            replay::shift(&th, 0.125, &g, &mut plus0);
            replay::shift(&th, -0.125, &g, &mut minus0);
            // Slots of one element, of about a third, and the rest.
            let mut ends = vec![1, n / 3, n];
            ends.retain(|e| *e > 0 && *e <= n);
            ends.sort_unstable();
            ends.dedup();
            let inner_of = |y: &[f32]| {
                let mut from = 0;
                let mut per = Vec::new();
                for &to in &ends {
                    per.push(c(red::red_fma(&g[from..to], &y[from..to])));
                    from = to;
                }
                c(red::red(&per))
            };
            let (inner0, norm0) = (inner_of(&th), c(inner_of(&g).sqrt()));
            let fs = [0.5, -0.25, 1.0 / 3.0];
            let mut acc0 = vec![0.0; n];
            for (f, x) in fs.iter().zip([&g, &th, &m]) {
                optim::accumulate(&mut acc0, *f, x);
            }
            optim::finish(&mut acc0);
            for isa in isas() {
                for threads in [1, 2, 3, 8] {
                    let on = crate::eval::Compute { isa, threads };
                    let (mut t1, mut m1, mut v1) = (th.clone(), m.clone(), w.clone());
                    crate::vector::adamw(on, &k, &g, &mut t1, &mut m1, &mut v1);
                    assert_eq!((bits(&t1), bits(&m1), bits(&v1)), (bits(&t0), bits(&m0), bits(&v0)), "{isa:?}");
                    let (mut lm1, mut lv1, mut a1) = (lm.clone(), lv.clone(), vec![0.0; n]);
                    crate::vector::adjoint(on, &k, &g, &m, &w, &lt, &mut lm1, &mut lv1, &mut a1);
                    assert_eq!((bits(&lm1), bits(&lv1), bits(&a1)), (bits(&lm0), bits(&lv0), bits(&a0)), "{isa:?}");
                    let mut lt1 = lt.clone();
                    crate::vector::lambda_theta(on, k.z, 0.125, &g, &th, &mut lt1);
                    assert_eq!(bits(&lt1), bits(&lt0), "{isa:?}");
                    for (e, want) in [(0.125, &plus0), (-0.125, &minus0)] {
                        let mut at = vec![0.0; n];
                        crate::vector::shift(on, &th, e, &g, &mut at);
                        assert_eq!(bits(&at), bits(want), "{isa:?} {e}");
                    }
                    let mut acc1 = vec![0.0; n];
                    crate::vector::accumulate(on, &fs, &[&g, &th, &m], &mut acc1);
                    assert_eq!(bits(&acc1), bits(&acc0), "{isa:?}");
                }
                let (mut dg, mut du) = (vec![0.0; n], vec![0.0; n]);
                ops::swiglu_back(isa, &g, &th, &m, &mut dg, &mut du);
                assert_eq!((bits(&dg), bits(&du)), (bits(&dg0), bits(&du0)), "{isa:?}");
                let (mut r, mut xh, mut y) = (vec![0.0], vec![0.0; n], vec![0.0; n]);
                ops::rmsnorm(isa, &g, &th, 1e-5, &mut r, &mut xh, &mut y);
                assert_eq!((r[0].to_bits(), bits(&xh), bits(&y)), (r0.to_bits(), bits(&xh0), bits(&y0)), "{isa:?}");
                let mut dx = vec![0.0; n];
                ops::rmsnorm_back(isa, &m, &th, &[0.75], &g, &mut Vec::new(), &mut dx);
                assert_eq!(bits(&dx), bits(&dx0), "{isa:?}");
                let (mut p, mut ds) = (g.clone(), vec![0.0; n]);
                ops::prob_ds(isa, &th, &mut p, &mut ds, 0.375, -0.5);
                assert_eq!((bits(&p), bits(&ds)), (bits(&p0), bits(&ds0)), "{isa:?}");
                for (back, want) in [(false, &turned0), (true, &turned_back0)] {
                    let (mut a, mut b) = (g.clone(), th.clone());
                    if back {
                        ops::rotate_back(isa, &m, &w, &mut a, &mut b);
                    } else {
                        ops::rotate(isa, &m, &w, &mut a, &mut b);
                    }
                    assert_eq!((bits(&a), bits(&b)), (bits(&want[..n]), bits(&want[n..])), "{isa:?} back {back}");
                }
                let on = crate::eval::Compute { isa, threads: 1 };
                assert_eq!(crate::vector::inner(on, &g, &th, &ends).to_bits(), inner0.to_bits(), "{isa:?}");
                assert_eq!(crate::vector::norm(on, &g, &ends).to_bits(), norm0.to_bits(), "{isa:?}");
            }
        }
    }
}
