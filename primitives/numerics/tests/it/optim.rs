use crate::Rng;
use weft_numerics::optim::{accumulate, clip, factor, finish, global_clip, kappa, AdamStep, AdamW};
use weft_numerics::replay::{add_fixed, fix, lambda_theta, shift, step_length, Start};
use weft_numerics::schedule::{lambda, learning_rate, Schedule};

const P: AdamW = AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 1e-6, weight_decay: 0.01 };

#[test]
fn schedules_should_be_within_1e_12_of_the_formulas() {
    let (w, n) = (9, 90);
    for t in 0..n {
        let (tf, wf, nf) = (f64::from(t), f64::from(w), f64::from(n));
        for (s, want) in [
            (Schedule::Constant, 1.0),
            (Schedule::Linear, (nf - tf) / (nf - wf)),
            (Schedule::Cosine, 0.5 * (1.0 + (std::f64::consts::PI * (tf - wf) / (nf - wf)).cos())),
        ] {
            let want = if t < w { tf / wf } else { want };
            assert!((lambda(s, t, w, n) - want).abs() <= 1e-12);
        }
    }
    assert_eq!(lambda(Schedule::Cosine, 0, 0, 10), 1.0);
    assert_eq!(learning_rate(2e-4, Schedule::Constant, 5, 0, 10), 2e-4);
}

/// One step in f64: (θ', m', v').
fn adam64(lr: f64, t: u32, [th, m, v, g]: [f64; 4]) -> [f64; 3] {
    let s = f64::from(t + 1);
    let (bc1, bc2) = (1.0 - P.beta1.powf(s), 1.0 - P.beta2.powf(s));
    let m = P.beta1 * m + (1.0 - P.beta1) * g;
    let v = P.beta2 * v + (1.0 - P.beta2) * g * g;
    let d = (v / bc2 + P.eps_root).sqrt() + P.eps;
    [(1.0 - lr * P.weight_decay) * th - lr * (m / bc1) / d, m, v]
}

#[test]
fn adamw_should_follow_f64_over_many_steps() {
    let mut rng = Rng::new(9);
    let n = 64;
    let (mut th, mut m, mut v) = (rng.vec(n, 0.1), vec![0.0; n], vec![0.0; n]);
    let mut want: Vec<[f64; 3]> = th.iter().map(|x| [f64::from(*x), 0.0, 0.0]).collect();
    for t in 0..200 {
        let g = rng.vec(n, 0.01);
        let lr = learning_rate(2e-3, Schedule::Cosine, t, 20, 200);
        AdamStep::new(&P, lr, t).apply(&g, &mut th, &mut m, &mut v);
        for (w, g) in want.iter_mut().zip(&g) {
            *w = adam64(lr, t, [w[0], w[1], w[2], f64::from(*g)]);
        }
    }
    for i in 0..n {
        assert!((f64::from(th[i]) - want[i][0]).abs() <= 1e-6, "{i}");
        assert!((f64::from(m[i]) - want[i][1]).abs() <= 1e-7);
        assert!((f64::from(v[i]) - want[i][2]).abs() <= 1e-5 * want[i][2]);
    }
}

#[test]
fn adjoint_should_equal_the_derivative_of_the_step() {
    let mut rng = Rng::new(10);
    let lr = 2e-3;
    for t in [0, 1, 10, 100] {
        let step = AdamStep::new(&P, lr, t);
        for _ in 0..100 {
            let at = [rng.unit(), rng.unit() * 0.01, (rng.unit() * 0.01).powi(2), rng.unit() * 0.02].map(f64::from);
            let l = [rng.unit(), rng.unit(), rng.unit()].map(f64::from);
            let value = |x: [f64; 4]| -> f64 { adam64(lr, t, x).iter().zip(l).map(|(y, l)| y * l).sum() };
            let slope = |i: usize, h: f64| {
                let (mut a, mut b) = (at, at);
                a[i] += h;
                b[i] -= h;
                (value(a) - value(b)) / (2.0 * h)
            };
            let [_, m1, v1] = adam64(lr, t, at);
            let got = step.adjoint(at[3] as f32, m1 as f32, v1 as f32, l[0] as f32, l[1] as f32, l[2] as f32);
            let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-4 * (b.abs() + scale);
            assert!(close(f64::from(got.a), slope(3, 1e-7), 1e-3), "{t} {got:?} {}", slope(3, 1e-7));
            assert!(close(f64::from(step.b1 * got.mu), slope(1, 1e-7), 1e-3));
            // At t = 0 the root bends over 1e-9 of v, so the difference must be finer.
            let want = slope(2, 3e-12);
            assert!(close(f64::from(step.b2 * got.nu), want, 1.0), "{} {want}", got.nu);
        }
    }
}

#[test]
fn adjoint_slot_should_equal_the_elements() {
    let mut rng = Rng::new(11);
    let n = 33;
    let step = AdamStep::new(&P, 1e-3, 4);
    let (g, m, lt) = (rng.vec(n, 0.1), rng.vec(n, 0.1), rng.vec(n, 1.0));
    let v: Vec<f32> = rng.vec(n, 0.1).iter().map(|x| x * x).collect();
    let (mut lm, mut lv, mut a) = (rng.vec(n, 1.0), rng.vec(n, 1.0), vec![0.0; n]);
    let want: Vec<_> = (0..n).map(|i| step.adjoint(g[i], m[i], v[i], lt[i], lm[i], lv[i])).collect();
    step.adjoint_slot(&g, &m, &v, &lt, &mut lm, &mut lv, &mut a);
    for i in 0..n {
        assert_eq!(a[i], want[i].a);
        assert_eq!(lm[i], step.b1 * want[i].mu);
        assert_eq!(lv[i], step.b2 * want[i].nu);
    }
}

#[test]
fn step_length_should_be_the_power_of_two_below() {
    assert_eq!(step_length(1.0, 0.0), None);
    assert_eq!(step_length(0.0, 1.0), Some(2f32.powi(-9)));
    assert_eq!(step_length(2.0, 1.0), Some(2f32.powi(-8)));
    assert_eq!(step_length(0.0, 3.0), Some(2f32.powi(-11)));
}

#[test]
fn lambda_should_add_the_difference_quotient() {
    // A quadratic with Hessian 3: G± = 3(θ ± e·a), so the quotient is 3a exactly.
    let (theta, a, e) = ([0.5f32, -0.25], [1.0f32, 2.0], 0.125);
    let (mut plus, mut minus) = ([0.0; 2], [0.0; 2]);
    shift(&theta, e, &a, &mut plus);
    shift(&theta, -e, &a, &mut minus);
    let mut lt = [1.0f32, 1.0];
    lambda_theta(0.5, e, &plus.map(|x| 3.0 * x), &minus.map(|x| 3.0 * x), &mut lt);
    assert_eq!(lt, [3.5, 6.5]);
}

#[test]
fn fix_should_round_half_to_even_and_mark_overflow() {
    for (x, shift, want) in [
        (0.5, 0, 0),
        (1.5, 0, 2),
        (2.5, 0, 2),
        (-1.5, 0, -2),
        (-2.5, 0, -2),
        (0.75, 0, 1),
        (1.0, 40, 1 << 40),
        (-3.25, 2, -13),
        (1e-30, 40, 0),
        (0.0, 40, 0),
        (f32::NAN, 40, i64::MIN),
        (f32::INFINITY, 40, i64::MIN),
        (8_388_608.0, 40, i64::MIN),
        (8_388_607.5, 40, 9_223_371_487_098_961_920),
        (1e38, 40, i64::MIN),
        (1e38, 200, i64::MIN),
        (f32::from_bits(1), 149, 1),
        (f32::from_bits(3), 148, 2),
    ] {
        assert_eq!(fix(x, shift), want, "{x} {shift}");
    }
    let mut rng = Rng::new(12);
    for _ in 0..100_000 {
        let x = f32::from_bits(rng.word());
        let exact = f64::from(x) * f64::powi(2.0, 40);
        let want = if exact.abs() < 9_223_372_036_854_775_807.0 { exact.round_ties_even() as i64 } else { i64::MIN };
        assert_eq!(fix(x, 40), want, "{x}");
    }
    assert_eq!(add_fixed(i64::MAX, 1), i64::MIN);
    assert_eq!(add_fixed(i64::MIN, 5), i64::MIN);
    assert_eq!(add_fixed(2, -5), -3);
}

#[test]
fn start_should_bring_the_gradient_to_length_one_to_two() {
    let g = [3.0f32, 4.0];
    let s = Start::of(5.0);
    assert_eq!(s, Start { x: 2, rough: false });
    let mut lt = [0.0; 2];
    s.lambda(&g, &mut lt);
    assert_eq!(lt, [-0.75, -1.0]);
    assert_eq!(Start::of(0.3).x, -2);
    for bad in [0.0, f32::NAN, f32::INFINITY] {
        assert_eq!(Start::of(bad), Start { x: 0, rough: true });
    }
    Start::of(f32::MAX).lambda(&[f32::MAX, 0.0], &mut lt);
    assert!((-2.0..=-1.0).contains(&lt[0]));
}

#[test]
fn factors_should_follow_the_recipe() {
    assert_eq!(kappa(false, 3, 12, 4), 1.0 / 12.0);
    assert_eq!(kappa(true, 3, 12, 4), 1.0 / 12.0);
    assert_eq!(kappa(true, 0, 12, 4), 0.0);
    assert_eq!(factor(1_000_000, 0.25, 0.5), 0.125);
    assert_eq!(factor(0, 0.25, 0.5), 0.0);
    assert_eq!(clip(2.0, 0.0), 1.0);
    assert_eq!(clip(0.0, 1.0), 1.0);
    assert!((clip(2.0, 1.0) - 0.5).abs() < 1e-6);
    let mut g = [1.0, -2.0];
    global_clip(&mut g, 5.0, 0.0);
    assert_eq!(g, [1.0, -2.0]);
    let mut acc = [0.0, 0.0];
    accumulate(&mut acc, 0.5, &[2.0, -0.0]);
    accumulate(&mut acc, 0.25, &[4.0, -0.0]);
    finish(&mut acc);
    assert_eq!(acc, [2.0, 0.0]);
}
