//! The gradient checks of attribution in f64: exact replay against runs with one record's weight changed, and the f32
//! replay of the oracle against it. The model is [`Reference`] in f64, everything else is written here from the
//! formulas: nothing of the engine's arithmetic is reused.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use weft_attribution::{replay::Scratch, Replay};
use weft_engine::{
    train::{Item, Trainer},
    Base, Compute, Evaluator, Layout, Tokens,
};
use weft_protocol::{
    dec::Dec,
    recipe::{Length, Recipe, Warmup},
};

use crate::candle::Reference;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;
const EPS_ROOT: f64 = 1e-4;
const WEIGHT_DECAY: f64 = 1e-2;
const SEED: [u8; 32] = [2; 32];
/// Records 0 to 5 train, the last two are the probe.
const TRAINED: usize = 6;
const PROBE: [u32; 2] = [6, 7];

/// Relative length of the finite difference inside the f64 replay. The Hessian-vector product is then off by about
/// (2^-17)² = 6e-11 of the third derivative, and by 1e-16 ÷ 2^-17 = 1e-11 of rounding.
const H: f64 = 1.0 / 131_072.0;
/// Change of a weight. A central difference is off by ε²/6 = 2e-9 of the third derivative of φ, and by rounding of φ,
/// 1e-15 ÷ ε = 1e-11.
const EPSILON: f64 = 1e-4;
/// Replay against brute force, relative L2 over the trained records: the gradient check of attribution. The two
/// lines above leave it three hundred times the difference's own error for a third derivative of the slope's size.
const BRUTE_FORCE: f64 = 1e-6;
/// f32 against f64, relative L2: the gradient check of attribution. With h = 2^-9 the dot product is off by up to
/// 1.2e-4.
const SINGLE: f64 = 1e-3;

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base")
}

fn records() -> Vec<(Vec<u32>, Vec<u8>)> {
    (0..8u32)
        .map(|i| {
            let ids: Vec<u32> = (0..7 + i % 3).map(|t| 6 + (t * 37 + i * 11 + t * t * i) % 500).collect();
            let mask = (0..ids.len()).map(|t| u8::from(t >= 3)).collect();
            (ids, mask)
        })
        .collect()
}

fn recipe(clip: f32) -> Recipe {
    let dec = |s: &str| Dec::parse(s).unwrap();
    Recipe {
        r: 2,
        alpha: 4,
        batch_size: 3,
        max_seq_len: 64,
        length: Length::MaxSteps(6),
        warmup: Warmup::Steps(1),
        learning_rate: dec("2e-3"),
        eps: dec("1e-8"),
        eps_root: dec("1e-4"),
        weight_decay: dec("1e-2"),
        record_clip: dec(&format!("{clip:.4}")),
        ..Recipe::attributed()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// y += s·x.
fn add(y: &mut [f64], s: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += s * x;
    }
}

/// What a step leaves for its replay: θ before it, m and v after it, g, and the clip factors of its batch.
struct Step {
    theta: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
    g: Vec<f64>,
    clips: Vec<f64>,
}

/// A run in f64: batches of (record, κ), learning rates and C are those of the trainer.
struct Run<'a> {
    model: RefCell<Reference>,
    layout: &'a Layout,
    records: &'a [(Vec<u32>, Vec<u8>)],
    batches: Vec<Vec<(usize, f64)>>,
    rates: Vec<f64>,
    limit: f64,
}

impl Run<'_> {
    /// Gradients of the records' summed losses at θ.
    fn gradients(&self, theta: &[f64], records: &[usize]) -> Vec<Vec<f64>> {
        self.model.borrow_mut().set(self.layout, theta);
        let model = self.model.borrow();
        let one = |i: &usize| model.gradient::<f64>(self.layout, &self.records[*i].0, &self.records[*i].1).1;
        records.iter().map(one).collect()
    }

    fn of_batch(&self, t: usize, theta: &[f64]) -> Vec<Vec<f64>> {
        self.gradients(theta, &self.batches[t].iter().map(|b| b.0).collect::<Vec<usize>>())
    }

    fn targets(&self, record: usize) -> f64 {
        self.records[record].1.iter().map(|m| f64::from(*m)).sum()
    }

    /// θ_T and the steps for record weights w. Clip factors are computed, or those of `frozen`.
    fn forward(&self, theta: &[f64], w: &[f64], frozen: Option<&[Step]>) -> (Vec<f64>, Vec<Step>) {
        let p = theta.len();
        let (mut theta, mut m, mut v) = (theta.to_vec(), vec![0.0; p], vec![0.0; p]);
        let mut steps = Vec::new();
        for (t, batch) in self.batches.iter().enumerate() {
            let grads = self.of_batch(t, &theta);
            let clips: Vec<f64> = match frozen {
                Some(steps) => steps[t].clips.clone(),
                None => grads.iter().map(|g| (self.limit / (norm(g) + 1e-6)).min(1.0)).collect(),
            };
            let mut g = vec![0.0; p];
            for (((record, kappa), clip), grad) in batch.iter().zip(&clips).zip(&grads) {
                add(&mut g, w[*record] * kappa * clip, grad);
            }
            let before = theta.clone();
            let (bc1, bc2) = corrections(t);
            for i in 0..p {
                m[i] = BETA1 * m[i] + (1.0 - BETA1) * g[i];
                v[i] = BETA2 * v[i] + (1.0 - BETA2) * g[i] * g[i];
                let d = (v[i] / bc2 + EPS_ROOT).sqrt() + EPS;
                theta[i] = (1.0 - self.rates[t] * WEIGHT_DECAY) * theta[i] - self.rates[t] * m[i] / bc1 / d;
            }
            steps.push(Step { theta: before, m: m.clone(), v: v.clone(), g, clips });
        }
        (theta, steps)
    }

    /// φ: mean log-probability per target of the probe.
    fn phi(&self, theta: &[f64]) -> f64 {
        self.model.borrow_mut().set(self.layout, theta);
        let (mut sum, mut targets) = (0.0, 0.0);
        for i in PROBE {
            let (ids, mask) = &self.records[i as usize];
            sum += self.model.borrow().loss(ids, mask).to_scalar::<f64>().unwrap();
            targets += self.targets(i as usize);
        }
        -sum / targets
    }

    /// dφ/dw per record by exact replay.
    fn replay(&self, last: &[f64], steps: &[Step]) -> Vec<f64> {
        let p = last.len();
        let probe = PROBE.map(|i| i as usize);
        let targets: f64 = probe.iter().map(|i| self.targets(*i)).sum();
        let (mut lt, mut lm, mut lv) = (vec![0.0; p], vec![0.0; p], vec![0.0; p]);
        for grad in self.gradients(last, &probe) {
            add(&mut lt, -1.0 / targets, &grad);
        }
        let mut scores = vec![0.0; self.records.len()];
        for (t, step) in steps.iter().enumerate().rev() {
            let rate = self.rates[t];
            let (bc1, bc2) = corrections(t);
            let mut a = vec![0.0; p];
            for i in 0..p {
                let r = (step.v[i] / bc2 + EPS_ROOT).sqrt();
                let d = 1.0 / (r + EPS);
                let s = step.m[i] / bc1 / (2.0 * r * (r + EPS) * (r + EPS));
                lm[i] -= rate / bc1 * d * lt[i];
                lv[i] += rate / bc2 * s * lt[i];
                a[i] = (1.0 - BETA1) * lm[i] + 2.0 * (1.0 - BETA2) * step.g[i] * lv[i];
            }
            let length = norm(&a);
            assert!(length > 0.0, "step {t} has no cotangent");
            let e = (H * (1.0 + norm(&step.theta)) / length).log2().floor().exp2();
            let at = |e: f64| {
                let mut theta = step.theta.clone();
                add(&mut theta, e, &a);
                self.of_batch(t, &theta)
            };
            let (plus, minus) = (at(e), at(-e));
            for x in &mut lt {
                *x *= 1.0 - rate * WEIGHT_DECAY;
            }
            for (k, (record, kappa)) in self.batches[t].iter().enumerate() {
                let f = kappa * step.clips[k];
                scores[*record] += f * (dot(&a, &plus[k]) + dot(&a, &minus[k])) / 2.0;
                add(&mut lt, f / (2.0 * e), &plus[k]);
                add(&mut lt, -f / (2.0 * e), &minus[k]);
            }
            for (lm, lv) in lm.iter_mut().zip(&mut lv) {
                *lm *= BETA1;
                *lv *= BETA2;
            }
        }
        scores
    }
}

/// 1 − b1^s and 1 − b2^s of step t, s = t + 1.
fn corrections(t: usize) -> (f64, f64) {
    let s = t as i32 + 1;
    (1.0 - BETA1.powi(s), 1.0 - BETA2.powi(s))
}

/// Relative L2 distance.
fn error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let off: f64 = got.iter().zip(want).map(|(a, b)| (a - b).powi(2)).sum();
    off.sqrt() / norm(want)
}

#[test]
fn replay_should_equal_brute_force_in_f64_and_the_f32_replay_when_some_records_are_clipped() {
    // GIVEN a run of the trainer, with C at the median norm of the records that train
    let base = Base::load(&tiny()).unwrap();
    let records = records();
    let layout = Layout::new(&base, &recipe(1.0)).unwrap();
    let tokens: Vec<Tokens<'_>> = records.iter().map(|(ids, mask)| Tokens { ids, mask }).collect();
    let (mut out, mut grads) = (Vec::new(), vec![Vec::new(); TRAINED]);
    Evaluator::new(&base, &layout, Compute::default())
        .run(&layout.init(&SEED), &tokens[..TRAINED], None, &mut out, &mut grads)
        .unwrap();
    let mut norms: Vec<f32> = out.iter().map(|e| e.inner.sqrt()).collect();
    norms.sort_by(f32::total_cmp);
    let recipe = recipe((norms[TRAINED / 2 - 1] + norms[TRAINED / 2]) / 2.0);
    let items = records
        .iter()
        .enumerate()
        .map(|(i, (ids, mask))| Item {
            tokens: Tokens { ids, mask },
            weight_ppm: if i < TRAINED { 1_000_000 } else { 0 },
            n_loss: mask.iter().map(|m| u32::from(*m)).sum(),
        })
        .collect();
    let mut trainer = Trainer::new(&base, &layout, &recipe, items, &SEED, Compute::default()).unwrap();
    let start: Vec<f64> = trainer.state.theta.iter().map(|x| f64::from(*x)).collect();
    let mut tapes = Vec::new();
    while trainer.state.t < trainer.steps() {
        let mut tape = None;
        trainer.step(Some(&mut tape)).unwrap();
        tapes.push(tape.unwrap());
    }
    let clips: Vec<f32> = tapes.iter().flat_map(|t| t.visits.iter().map(|v| v.clip)).collect();
    assert!(clips.iter().any(|c| *c < 1.0) && clips.contains(&1.0), "{clips:?}");

    // WHEN the same run is replayed in f64 from the same start
    let run = Run {
        model: RefCell::new(Reference::new(&tiny(), &layout, &recipe, &start)),
        layout: &layout,
        records: &records,
        batches: tapes.iter().map(|t| t.visits.iter().map(|v| (v.record as usize, v.kappa)).collect()).collect(),
        rates: (0..trainer.steps()).map(|t| trainer.learning_rate(t)).collect(),
        limit: recipe.record_clip.to_plain().parse().unwrap(),
    };
    let ones = vec![1.0; records.len()];
    let (last, steps) = run.forward(&start, &ones, None);
    let exact = run.replay(&last, &steps);

    // THEN its scores are the slopes of φ over each record's weight, clip factors frozen
    let slopes: Vec<f64> = (0..TRAINED)
        .map(|i| {
            let phi = |change: f64| {
                let mut w = ones.clone();
                w[i] += change;
                run.phi(&run.forward(&start, &w, Some(&steps)).0)
            };
            (phi(EPSILON) - phi(-EPSILON)) / (2.0 * EPSILON)
        })
        .collect();
    assert!(slopes.iter().all(|s| *s != 0.0), "{slopes:?}");
    let off = error(&exact[..TRAINED], &slopes);
    assert!(off <= BRUTE_FORCE, "relative L2 {off:e}: replay {exact:?}, brute force {slopes:?}");

    // AND the oracle's replay in f32 has the same scores
    let mut replay = Replay::start(&mut trainer, &PROBE, records.len()).unwrap();
    assert!(!replay.rough);
    let mut scratch = Scratch::default();
    for tape in tapes.iter().rev() {
        replay.step(&mut trainer, tape, 40, &mut scratch).unwrap();
    }
    let unit = 2f64.powi(i32::from(replay.x) - 40);
    let single: Vec<f64> = replay.scores.iter().map(|s| *s as f64 * unit).collect();
    let off = error(&single[..TRAINED], &exact[..TRAINED]);
    assert!(off <= SINGLE, "relative L2 {off:e}: f32 {single:?}, f64 {exact:?}");
    assert!(single[TRAINED..].iter().chain(&exact[TRAINED..]).all(|s| *s == 0.0));
}
