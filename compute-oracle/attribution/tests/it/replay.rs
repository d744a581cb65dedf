//! The replay against brute force: the adjoint of one optimiser step in f64,
//! and scores against runs with one record's weight changed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a test"
)]

use std::path::Path;
use weft_attribution::{replay::Scratch, Replay};
use weft_engine::{
    train::{Item, Trainer},
    vector, Base, Compute, Isa, Layout, Tokens,
};
use weft_numerics::optim::{AdamStep, AdamW};
use weft_protocol::{
    dec::Dec,
    recipe::{Length, Recipe, Warmup},
};

/// One AdamW step in f64: (θ', m', v').
fn step(p: &AdamW, lr: f64, s: i32, g: f64, x: [f64; 3]) -> [f64; 3] {
    let [theta, m, v] = x;
    let m = p.beta1 * m + (1.0 - p.beta1) * g;
    let v = p.beta2 * v + (1.0 - p.beta2) * g * g;
    let mh = m / (1.0 - p.beta1.powi(s));
    let vh = v / (1.0 - p.beta2.powi(s));
    [(1.0 - lr * p.weight_decay) * theta - lr * mh / ((vh + p.eps_root).sqrt() + p.eps), m, v]
}

/// The adjoint's formulas in f64: (cotangent of g, λm, λv) from λ = (λθ, λm, λv) and m', v'.
fn adjoint(p: &AdamW, lr: f64, s: i32, g: f64, m1: f64, v1: f64, l: [f64; 3]) -> [f64; 3] {
    let (bc1, bc2) = (1.0 - p.beta1.powi(s), 1.0 - p.beta2.powi(s));
    let r = (v1 / bc2 + p.eps_root).sqrt();
    let d = r + p.eps;
    let mu = l[1] - lr / bc1 * l[0] / d;
    let nu = l[2] + lr / bc2 * (m1 / bc1) / (2.0 * r * d * d) * l[0];
    [(1.0 - p.beta1) * mu + 2.0 * (1.0 - p.beta2) * g * nu, p.beta1 * mu, p.beta2 * nu]
}

#[test]
fn adjoint_should_equal_brute_force_when_a_step_is_differentiated() {
    let p = AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, eps_root: 1e-4, weight_decay: 0.01 };
    let lr = 1e-2;
    let mut seed = 1u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    /// Relative L2 error of a cotangent over all draws: that of attribution's gradient checks. The central
    /// difference of 1e-5 is off by less than 1e-9 of it.
    const TOLERANCE: f64 = 1e-7;
    for s in [1, 2, 10, 300] {
        let (mut off, mut size) = ([0.0f64; 3], [0.0f64; 3]);
        for _ in 0..200 {
            let (g, theta, m, v) = (next(), next(), next(), next().abs() + 0.05);
            let l = [next(), next(), next()];
            let value = |g: f64, m: f64, v: f64| {
                let y = step(&p, lr, s, g, [theta, m, v]);
                l[0] * y[0] + l[1] * y[1] + l[2] * y[2]
            };
            let h = 1e-5;
            let brute = [
                (value(g + h, m, v) - value(g - h, m, v)) / (2.0 * h),
                (value(g, m + h, v) - value(g, m - h, v)) / (2.0 * h),
                (value(g, m, v + h) - value(g, m, v - h)) / (2.0 * h),
            ];
            let [_, m1, v1] = step(&p, lr, s, g, [theta, m, v]);
            let exact = adjoint(&p, lr, s, g, m1, v1, l);
            for ((off, size), (a, b)) in off.iter_mut().zip(&mut size).zip(exact.iter().zip(brute)) {
                // A single wrong draw hardly moves the error over all of them.
                assert!((a - b).abs() <= 1e-7 * (1.0 + b.abs()), "step {s}: {a} {b}");
                *off += (a - b).powi(2);
                *size += b.powi(2);
            }
            let k = AdamStep::new(&p, lr, s as u32 - 1);
            let on = Compute { isa: Isa::detect(), threads: 1 };
            let (mut lm, mut lv, mut a) = (vec![l[1] as f32], vec![l[2] as f32], vec![0.0]);
            vector::adjoint(on, &k, &[g as f32], &[m1 as f32], &[v1 as f32], &[l[0] as f32], &mut lm, &mut lv, &mut a);
            for (got, want) in [a[0], lm[0], lv[0]].into_iter().zip(exact) {
                assert!((f64::from(got) - want).abs() <= 1e-5 * (1.0 + want.abs()), "step {s}: {got} {want}");
            }
        }
        for (name, (off, size)) in ["g", "m", "v"].into_iter().zip(off.into_iter().zip(size)) {
            let error = (off / size).sqrt();
            assert!(size > 0.0 && error <= TOLERANCE, "step {s}, cotangent of {name}: relative error {error:e}");
        }
    }
}

/// Sixteen records of the tiny base's vocabulary; the last three are the probe.
fn records() -> Vec<(Vec<u32>, Vec<u8>)> {
    (0..16u32)
        .map(|i| {
            let ids: Vec<u32> = (0..9 + i % 5).map(|t| 6 + (t * 37 + i * 11 + t * t * i) % 500).collect();
            let mask = (0..ids.len()).map(|t| u8::from(t >= 3)).collect();
            (ids, mask)
        })
        .collect()
}

fn recipe() -> Recipe {
    let dec = |s: &str| Dec::parse(s).unwrap();
    Recipe {
        r: 4,
        alpha: 8,
        batch_size: 4,
        max_seq_len: 64,
        length: Length::MaxSteps(10),
        warmup: Warmup::Steps(1),
        learning_rate: dec("2e-3"),
        eps_root: dec("1e-4"),
        record_clip: dec("1e6"),
        ..Recipe::attributed()
    }
}

/// A trainer in which record `changed` weighs `ppm`.
fn trainer<'a>(
    base: &'a Base,
    layout: &'a Layout,
    recipe: &'a Recipe,
    records: &'a [(Vec<u32>, Vec<u8>)],
    changed: usize,
    ppm: u32,
) -> Trainer<'a> {
    let items = records
        .iter()
        .enumerate()
        .map(|(i, (ids, mask))| Item {
            tokens: Tokens { ids, mask },
            weight_ppm: if i >= 13 {
                0
            } else if i == changed {
                ppm
            } else {
                1_000_000
            },
            n_loss: mask.iter().map(|m| u32::from(*m)).sum(),
        })
        .collect();
    Trainer::new(base, layout, recipe, items, &[2; 32], Compute { isa: Isa::detect(), threads: 2 }).unwrap()
}

#[test]
fn scores_should_equal_finite_differences_when_a_weight_changes() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
    let base = Base::load(&dir).unwrap();
    let (recipe, records) = (recipe(), records());
    let layout = Layout::new(&base, &recipe).unwrap();
    let probe = [13, 14, 15];

    let mut run = trainer(&base, &layout, &recipe, &records, 99, 0);
    let mut tapes = Vec::new();
    while run.state.t < run.steps() {
        let mut tape = None;
        run.step(Some(&mut tape)).unwrap();
        tapes.push(tape.unwrap());
    }
    let mut replay = Replay::start(&mut run, &probe, records.len()).unwrap();
    assert!(!replay.rough);
    let mut scratch = Scratch::default();
    for tape in tapes.iter().rev() {
        replay.step(&mut run, tape, 40, &mut scratch).unwrap();
    }
    let unit = 2f64.powi(i32::from(replay.x) - 40);
    let scores: Vec<f64> = replay.scores.iter().map(|s| *s as f64 * unit).collect();

    // φ is the mean log-probability of the probe: minus its mean loss.
    let phi = |changed: usize, ppm: u32| {
        let mut t = trainer(&base, &layout, &recipe, &records, changed, ppm);
        while t.state.t < t.steps() {
            t.step(None).unwrap();
        }
        let theta = t.state.theta.clone();
        let mut out = Vec::new();
        t.evaluate(&theta, &probe, None, &mut out, &mut Vec::new(), false).unwrap();
        let targets: u32 = probe.iter().map(|i| t.items()[*i as usize].n_loss).sum();
        -out.iter().map(|o| f64::from(o.loss)).sum::<f64>() / f64::from(targets)
    };
    let (mut off, mut size) = (0.0, 0.0);
    for (i, score) in scores.iter().enumerate().take(13) {
        let slope = |e: u32| (phi(i, 1_000_000 + e) - phi(i, 1_000_000 - e)) / (2e-6 * f64::from(e));
        // Richardson: the error of a central difference is quadratic in the change.
        let slope = (4.0 * slope(50_000) - slope(100_000)) / 3.0;
        off += (slope - score).powi(2);
        size += slope.powi(2);
    }
    let error = (off / size).sqrt();
    assert!(size > 0.0 && error <= 1e-2, "relative error {error}: {scores:?}");
    assert_eq!(&replay.scores[13..], &[0, 0, 0]);
}
