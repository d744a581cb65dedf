//! The operators' golden cases: edges in full, random cases by seed.
//!
//! A case is a list of integer parameters and a list of input words. Inputs of
//! long edges come from [`random_words`] with some words replaced.

use crate::reference as slow;
use crate::soft::{fma, sqrt, D, F};
use weft_numerics::model::{attention, basic, loss, mlp, norm, rope};
use weft_numerics::optim::{self, AdamStep, AdamW};
use weft_numerics::philox::{init_a, philox, Dropout, Purpose};
use weft_numerics::{arith::c, dot, func, red, replay, Key};

/// Where the inputs of a case come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Words(Vec<u32>),
    Random { seed: u32, n: u32, mode: u32, special: Vec<(u32, u32)> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub params: Vec<u32>,
    pub input: Input,
}

type Eval = Box<dyn Fn(&[u32], &[u32]) -> Vec<u32>>;

pub struct Op {
    pub id: u32,
    pub random: u32,
    pub edges: Vec<Case>,
    pub make: Box<dyn Fn(&mut Gen) -> Case>,
    /// The crate.
    pub fast: Eval,
    /// The reference on soft floats.
    pub soft: Eval,
}

/// ±0, least and greatest subnormal and normal, ±∞, NaN with sign and payload,
/// and numbers at which functions change.
pub const SPECIAL: [u32; 24] = [
    0x0000_0000,
    0x8000_0000,
    0x0000_0001,
    0x8000_0001,
    0x007f_ffff,
    0x807f_ffff,
    0x0080_0000,
    0x8080_0000,
    0x7f7f_ffff,
    0xff7f_ffff,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0001,
    0xff81_2345,
    0x3f80_0000,
    0xbf80_0000,
    0x3f80_0001,
    0x3f00_0000,
    0x4000_0000,
    0x42b1_7217,
    0xc2ae_ac4f,
    0xc2ae_ac50,
    0x3f35_04f3,
    0x4b80_0000,
];

/// Random words and the numbers made of them.
pub struct Gen {
    seed: u32,
    at: u32,
    left: Vec<u32>,
}

impl Gen {
    pub fn new(seed: u32) -> Self {
        Self { seed, at: 0, left: Vec::new() }
    }

    pub fn word(&mut self) -> u32 {
        if self.left.is_empty() {
            self.left = philox([self.at, 0, 0, 0], [self.seed, 0x676f_6c64]).iter().rev().copied().collect();
            self.at += 1;
        }
        self.left.pop().unwrap()
    }

    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    /// Modes: 0 exponents −4…3; 1 exponents −60…59; 2 any bits and specials.
    pub fn number(&mut self, mode: u32) -> u32 {
        let w = self.word();
        let scaled = |low: u32, n: u32, pick: u32| w & 0x807f_ffff | (low + pick % n) << 23;
        match mode {
            0 => scaled(123, 8, w >> 23),
            1 => {
                let pick = self.word();
                scaled(67, 120, pick)
            }
            _ => match self.below(16) {
                0 => SPECIAL[w as usize % SPECIAL.len()],
                _ => w,
            },
        }
    }

    pub fn numbers(&mut self, n: u32) -> Input {
        let mode = self.below(3);
        Input::Words((0..n).map(|_| self.number(mode)).collect())
    }
}

/// `n` numbers of a mode, then words replaced.
pub fn random_words(seed: u32, n: u32, mode: u32, special: &[(u32, u32)]) -> Vec<u32> {
    let mut g = Gen::new(seed);
    let mut words: Vec<u32> = (0..n).map(|_| g.number(mode)).collect();
    for (i, bits) in special {
        words[*i as usize] = *bits;
    }
    words
}

impl Case {
    pub fn words(&self) -> Vec<u32> {
        match &self.input {
            Input::Words(w) => w.clone(),
            Input::Random { seed, n, mode, special } => random_words(*seed, *n, *mode, special),
        }
    }
}

fn floats(w: &[u32]) -> Vec<f32> {
    w.iter().map(|x| f32::from_bits(*x)).collect()
}

fn softs(w: &[u32]) -> Vec<F> {
    w.iter().map(|x| F(*x)).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn soft_bits(x: &[F]) -> Vec<u32> {
    x.iter().map(|x| x.0).collect()
}

fn double(p: &[u32]) -> f64 {
    f64::from_bits(u64::from(p[0]) << 32 | u64::from(p[1]))
}

fn halves(x: f64) -> [u32; 2] {
    [(x.to_bits() >> 32) as u32, x.to_bits() as u32]
}

/// Edge inputs of `arity` numbers: all combinations of the specials where they
/// are few, else a fixed random choice of combinations.
fn combinations(arity: u32, limit: usize) -> Vec<Vec<u32>> {
    let n = SPECIAL.len();
    let all = n.pow(arity);
    if all <= limit {
        return (0..all)
            .map(|mut i| {
                (0..arity)
                    .map(|_| {
                        let x = SPECIAL[i % n];
                        i /= n;
                        x
                    })
                    .collect()
            })
            .collect();
    }
    let mut g = Gen::new(arity);
    (0..limit).map(|_| (0..arity).map(|_| SPECIAL[g.below(n as u32) as usize]).collect()).collect()
}

/// An operator of one output whose element takes `arity` numbers and parameters
/// made by `params`.
fn element(
    id: u32,
    arity: u32,
    params: fn(&mut Gen) -> Vec<u32>,
    fast: fn(&[u32], &[f32]) -> f32,
    soft: fn(&[u32], &[F]) -> F,
) -> Op {
    let mut g = Gen::new(id);
    let words = params(&mut Gen::new(id)).len();
    let limit = 60_000 / (4 * (words + arity as usize + 5));
    let edges = combinations(arity, limit.min(800))
        .into_iter()
        .map(|w| Case { params: params(&mut g), input: Input::Words(w) })
        .collect();
    Op {
        id,
        random: 100_000,
        edges,
        make: Box::new(move |g| Case { params: params(g), input: g.numbers(arity) }),
        fast: Box::new(move |p, w| vec![fast(p, &floats(w)).to_bits()]),
        soft: Box::new(move |p, w| vec![soft(p, &softs(w)).0]),
    }
}

fn none(_: &mut Gen) -> Vec<u32> {
    Vec::new()
}

/// An operator over vectors; `sizes` are the edges' parameters and `count` gives
/// the number of input words of a parameter list.
fn vector(
    id: u32,
    random: u32,
    sizes: Vec<Vec<u32>>,
    count: fn(&[u32]) -> u32,
    params: fn(&mut Gen) -> Vec<u32>,
    fast: fn(&[u32], &[f32]) -> Vec<f32>,
    soft: fn(&[u32], &[F]) -> Vec<F>,
) -> Op {
    let mut edges = Vec::new();
    for (i, p) in sizes.into_iter().enumerate() {
        let n = count(&p);
        let seed = id << 16 | i as u32;
        // Plain; with an infinity, a NaN and zeros of both signs; any bits.
        let mut g = Gen::new(seed);
        let mut some = |bits: &[u32]| -> Vec<(u32, u32)> {
            if n == 0 {
                return Vec::new();
            }
            bits.iter().map(|b| (g.below(n), *b)).collect()
        };
        let specials = [
            (0, Vec::new()),
            (1, some(&[0x8000_0000, 0x0000_0001, 0x8000_0001, 0])),
            (0, some(&[0x7f80_0000])),
            (0, some(&[0xff81_2345])),
            (1, some(&[0x7f7f_ffff, 0xff7f_ffff])),
        ];
        for (mode, special) in specials {
            edges.push(Case { params: p.clone(), input: Input::Random { seed, n, mode, special } });
        }
    }
    Op {
        id,
        random,
        edges,
        make: Box::new(move |g| {
            let params = params(g);
            let input = g.numbers(count(&params));
            Case { params, input }
        }),
        fast: Box::new(move |p, w| bits(&fast(p, &floats(w)))),
        soft: Box::new(move |p, w| soft_bits(&soft(p, &softs(w)))),
    }
}

fn sizes(list: &[&[u32]]) -> Vec<Vec<u32>> {
    list.iter().map(|x| x.to_vec()).collect()
}

fn one(list: &[u32]) -> Vec<Vec<u32>> {
    list.iter().map(|x| vec![*x]).collect()
}

fn unit(g: &mut Gen) -> f64 {
    f64::from(g.word()) / 4_294_967_296.0
}

/// t, then beta1, beta2, eps, eps_root, weight_decay, lr as f64 halves.
fn adam_params(g: &mut Gen) -> Vec<u32> {
    let log = 1 + g.word() % 17;
    let t = g.below(1 << log);
    let reals = [
        [0.9, 0.8, 0.0][g.below(3) as usize],
        [0.999, 0.95][g.below(2) as usize],
        [1e-8, 0.0][g.below(2) as usize],
        [0.0, 1e-6, 1.0][g.below(3) as usize],
        [0.0, 0.01, 1.0][g.below(3) as usize],
        unit(g) * 0.01,
    ];
    [t].into_iter().chain(reals.into_iter().flat_map(halves)).collect()
}

fn reals(p: &[u32]) -> [f64; 6] {
    core::array::from_fn(|i| double(&p[1 + 2 * i..]))
}

fn step(p: &[u32]) -> AdamStep {
    let [beta1, beta2, eps, eps_root, weight_decay, lr] = reals(p);
    AdamStep::new(&AdamW { beta1, beta2, eps, eps_root, weight_decay }, lr, p[0])
}

fn soft_step(p: &[u32]) -> slow::Adam {
    slow::adam(reals(p).map(D::of), p[0])
}

fn factor_params(g: &mut Gen) -> Vec<u32> {
    let weight = [0, 1, 500_000, 1_000_000][g.below(4) as usize];
    vec![weight, g.below(2), g.below(50), 1 + g.below(5_000), 1 + g.below(512)]
}

fn soft_factor(p: &[u32], x: &[F]) -> F {
    let d = |x: u32| D::of(f64::from(x));
    let kappa = match (p[2], p[1]) {
        (0, _) => d(0),
        (_, 0) => d(1) / d(p[3]),
        _ => d(1) / (d(p[4]) * d(p[2])),
    };
    ((d(p[0]) / d(1_000_000) * kappa).narrow() * x[0]).c()
}

/// Matrix `[rows, columns]` column `j`.
fn column<T: Copy>(x: &[T], columns: usize, j: usize) -> Vec<T> {
    x.iter().skip(j).step_by(columns).copied().collect()
}

fn split2(g: &mut Gen, a: u32, b: u32) -> u32 {
    a + g.below(b - a)
}

const KS: [u32; 13] = [1, 2, 255, 256, 257, 511, 512, 513, 1_025, 16_383, 16_384, 16_385, 33_000];
const NS: [u32; 8] = [1, 15, 16, 17, 255, 256, 257, 65_537];

/// Sums, products and the operators around linear layers.
fn sums() -> Vec<Op> {
    vec![
        element(
            0x02,
            1,
            factor_params,
            |p, x| optim::factor(p[0], optim::kappa(p[1] == 1, p[2], p[3], p[4]), x[0]),
            soft_factor,
        ),
        vector(
            0x10,
            2_000,
            one(&KS),
            |p| 2 * p[0],
            |g| vec![split2(g, 1, 2_000)],
            |p, x| {
                let k = p[0] as usize;
                vec![c(dot(&x[..k], &x[k..]))]
            },
            |p, x| {
                let k = p[0] as usize;
                vec![slow::dot(&slow::pairs(&x[..k], &x[k..])).c()]
            },
        ),
        vector(
            0x11,
            2_000,
            sizes(&[&[1, 3, 9], &[512, 1, 8], &[513, 2, 9], &[16_385, 1, 1]]),
            |p| p[0] * (p[1] + p[2]),
            |g| vec![split2(g, 1, 600), 1 + g.below(3), 1 + g.below(20)],
            |p, x| {
                let [t, m, n] = [p[0] as usize, p[1] as usize, p[2] as usize];
                let mut out = vec![0.0; m * n];
                dot::tn(&x[..t * m], &x[t * m..], t, &mut out);
                out
            },
            |p, x| {
                let [t, m, n] = [p[0] as usize, p[1] as usize, p[2] as usize];
                let (a, b) = x.split_at(t * m);
                (0..m * n).map(|i| slow::dot(&slow::pairs(&column(a, m, i / n), &column(b, n, i % n))).c()).collect()
            },
        ),
        vector(
            0x12,
            10_000,
            one(&[1, 2, 64, 512]),
            |p| 2 * p[0],
            |g| vec![1 + g.below(64)],
            |p, x| {
                let n = p[0] as usize;
                let mut acc = [0.0];
                for k in 0..n {
                    optim::accumulate(&mut acc, x[k], &x[n + k..n + k + 1]);
                }
                optim::finish(&mut acc);
                acc.to_vec()
            },
            |p, x| {
                let n = p[0] as usize;
                vec![slow::dot(&slow::pairs(&x[..n], &x[n..])).c()]
            },
        ),
        vector(
            0x13,
            100_000,
            one(&[1, 2, 3, 8]),
            |p| p[0],
            |g| vec![1 + g.below(8)],
            |_, x| {
                let mut acc = [c(x[0])];
                for y in &x[1..] {
                    basic::add(&mut acc, &[*y]);
                }
                acc.to_vec()
            },
            |_, x| vec![x[1..].iter().fold(x[0], |a, b| a + *b).c()],
        ),
        element(
            0x20,
            2,
            none,
            |_, x| {
                let mut y = [0.0];
                basic::scale(x[0], &x[1..], &mut y);
                y[0]
            },
            |_, x| (x[0] * x[1]).c(),
        ),
        element(
            0x21,
            2,
            none,
            |_, x| {
                let mut y = [x[0]];
                basic::add_row(&mut y, &x[1..]);
                y[0]
            },
            |_, x| (x[0] + x[1]).c(),
        ),
        vector(
            0x22,
            10_000,
            sizes(&[&[1, 2, 3, 4, 0, 0, 0, 0, 5], &[9, 9, 9, 9, 0x3fe0_0000, 0, 7, 3, 64]]),
            |p| p[8],
            |g| {
                let mut p = vec![g.word(), g.word(), g.below(100), g.below(50)];
                p.extend(halves(unit(g) / 2.0));
                p.extend([g.below(1_000), g.below(256), 1 + g.below(40)]);
                p
            },
            |p, x| {
                let mut y = vec![0.0; x.len()];
                Dropout::new(Key([p[0], p[1]]), p[2], p[3], double(&p[4..])).apply_row(p[6] as usize, p[7], x, &mut y);
                y
            },
            |p, x| {
                let drop = double(&p[4..]);
                let keep = (D::of(1.0) / (D::of(1.0) - D::of(drop))).narrow();
                (0..x.len())
                    .map(|i| {
                        let at = p[6] as usize * x.len() + i;
                        let w = philox([at as u32 / 4, p[7], p[2], 0x0200_0000 + p[3]], [p[0], p[1]])[at % 4];
                        let kept = f64::from(w) >= (drop * 4_294_967_296.0).floor();
                        if kept {
                            (x[i] * keep).c()
                        } else {
                            slow::ZERO
                        }
                    })
                    .collect()
            },
        ),
        vector(
            0x30,
            100_000,
            one(&NS),
            |p| p[0],
            |g| vec![1 + g.below(300)],
            |_, x| vec![c(red::red(x))],
            |_, x| vec![slow::red(x, None).c()],
        ),
        vector(
            0x31,
            50_000,
            one(&NS),
            |p| 2 * p[0],
            |g| vec![1 + g.below(300)],
            |p, x| {
                let n = p[0] as usize;
                vec![c(red::red_fma(&x[..n], &x[n..]))]
            },
            |p, x| {
                let n = p[0] as usize;
                vec![slow::red(&x[..n], Some(&x[n..])).c()]
            },
        ),
        vector(
            0x32,
            100_000,
            one(&NS),
            |p| p[0],
            |g| vec![1 + g.below(40)],
            |_, x| vec![c(red::max(x))],
            |_, x| vec![slow::max(x).c()],
        ),
        vector(
            0x70,
            10_000,
            sizes(&[&[1, 0, 1], &[4, 2, 3]]),
            |p| p[0] * p[2],
            |g| {
                let rows = 1 + g.below(5);
                vec![1 + g.below(9), g.below(rows), rows]
            },
            |p, x| {
                let mut y = vec![0.0; p[0] as usize];
                basic::gather(&p[1..2], x, p[0] as usize, &mut y).unwrap();
                weft_numerics::arith::c_all(&mut y);
                y
            },
            |p, x| {
                let n = p[0] as usize;
                x[p[1] as usize * n..][..n].iter().map(|x| x.c()).collect()
            },
        ),
        vector(
            0x78,
            10_000,
            sizes(&[&[0, 0, 0, 1, 9], &[1, 2, 3, 256, 64]]),
            |_| 0,
            |g| vec![g.word(), g.word(), g.below(400), 1 + g.below(4_096), 1 + g.below(16)],
            |p, _| {
                let mut a = vec![0.0; p[4] as usize];
                init_a(&Key([p[0], p[1]]), p[2], p[3] as usize, &mut a);
                a
            },
            |p, _| {
                let bound = D::of(1.0) / D::of(f64::from(p[3]).sqrt());
                (0..p[4])
                    .map(|i| {
                        let w = Key([p[0], p[1]]).draw(i / 4, 0, 0, Purpose::Init, p[2])[i as usize % 4];
                        (fma(F::of((w >> 8) as f32), F(0x3400_0000), -slow::ONE) * bound.narrow()).c()
                    })
                    .collect()
            },
        ),
    ]
}

/// Operators of a block and of the loss.
fn blocks() -> Vec<Op> {
    vec![
        element(
            0x40,
            1,
            |g| vec![1 + g.below(5_000), [0x3727_c5ac, 0][g.below(2) as usize]],
            |p, x| norm::factor(x[0], p[0] as usize, f32::from_bits(p[1])),
            |p, x| slow::rms_r(x[0], p[0] as usize, F(p[1])),
        ),
        element(0x41, 3, none, |_, x| norm::scaled(x[0], x[1], x[2]).1, |_, x| ((x[0] * x[1]).c() * x[2]).c()),
        vector(
            0x42,
            10_000,
            one(&[1, 16, 255, 257]),
            |p| 3 * p[0] + 1,
            |g| vec![1 + g.below(80)],
            |p, x| {
                let n = p[0] as usize;
                let mut dx = vec![0.0; n];
                norm::backward_row(&x[..n], &x[n..2 * n], &x[2 * n..3 * n], x[3 * n], &mut dx);
                dx
            },
            |p, x| {
                let n = p[0] as usize;
                slow::rms_dx(&x[..n], &x[n..2 * n], &x[2 * n..3 * n], x[3 * n])
            },
        ),
        vector(
            0x48,
            50_000,
            sizes(&[&[0, 0], &[1, 1], &[16_383, 0], &[1_048_575, 1]]),
            |_| 3,
            |g| {
                let log = 1 + g.word() % 20;
                vec![g.below(1 << log), g.below(2)]
            },
            |p, x| {
                let (mut cos, mut sin, mut y) = ([0.0], [0.0], [x[0], x[1]]);
                let inv = small(x[2]);
                rope::table_row(&[inv], p[0], &mut cos, &mut sin);
                if p[1] == 1 {
                    rope::backward_head(&mut y, &cos, &sin)
                } else {
                    rope::forward_head(&mut y, &cos, &sin)
                }
                y.to_vec()
            },
            |p, x| slow::rope(x[0], x[1], F::of(small(x[2].value())), p[0], p[1] == 1).to_vec(),
        ),
        vector(
            0x50,
            20_000,
            one(&[1, 32, 64, 128, 256]),
            |p| 2 * p[0],
            |g| vec![1 + g.below(256)],
            |p, x| {
                let k = p[0] as usize;
                vec![c(dot(&x[..k], &x[k..]))]
            },
            |p, x| {
                let k = p[0] as usize;
                vec![slow::dot(&slow::pairs(&x[..k], &x[k..])).c()]
            },
        ),
        element(0x51, 2, none, |_, x| func::exp_sub(x[0], x[1]), |_, x| slow::exp(x[0] - x[1]).c()),
        element(0x52, 1, none, |_, x| func::recip(x[0]), |_, x| (slow::ONE / x[0]).c()),
        vector(
            0x53,
            2_000,
            sizes(&[&[1, 0, 9], &[513, 1, 1], &[600, 512, 8], &[600, 599, 2], &[40, 40, 3]]),
            |p| p[0] * (1 + p[2]) + 1,
            |g| {
                let t = 1 + g.below(600);
                vec![t, g.below(t), 1 + g.below(17)]
            },
            |p, x| {
                let [t, first, d] = [p[0] as usize, p[1] as usize, p[2] as usize];
                let mut o = vec![0.0; d];
                attention::mix(&x[..t], &x[t..t + t * d], d, first, x[t + t * d], &mut o);
                o
            },
            |p, x| {
                let [t, first, d] = [p[0] as usize, p[1] as usize, p[2] as usize];
                (0..d)
                    .map(|j| {
                        let v = column(&x[t..t + t * d], d, j);
                        let terms: Vec<_> = (0..t).map(|k| (k >= first).then(|| (x[k], v[k]))).collect();
                        (slow::dot(&terms).c() * x[t + t * d]).c()
                    })
                    .collect()
            },
        ),
        vector(
            0x54,
            2_000,
            sizes(&[&[1, 0, 1, 9], &[600, 511, 600, 1], &[600, 0, 8, 8]]),
            |p| p[0] * (1 + p[3]),
            |g| {
                let t = 1 + g.below(600);
                let j = g.below(t);
                vec![t, j, j + 1 + g.below(t - j), 1 + g.below(17)]
            },
            |p, x| {
                let [t, from, to, d] = [p[0] as usize, p[1] as usize, p[2] as usize, p[3] as usize];
                let mut y = vec![0.0; d];
                dot::column_nn(&x[..t], 1, 0, &x[t..], d, from, to, &mut y);
                y
            },
            |p, x| {
                let [t, from, to, d] = [p[0] as usize, p[1] as usize, p[2] as usize, p[3] as usize];
                (0..d)
                    .map(|j| {
                        let a = column(&x[t..], d, j);
                        let terms: Vec<_> = (0..t).map(|i| (from <= i && i < to).then(|| (x[i], a[i]))).collect();
                        slow::dot(&terms).c()
                    })
                    .collect()
            },
        ),
        element(0x55, 2, none, |_, x| attention::prob(x[0], x[1]), |_, x| (x[0] * x[1]).c()),
        element(0x56, 3, none, |_, x| attention::ds(x[0], x[1], x[2]), |_, x| (x[0] * (x[1] - x[2])).c()),
        element(
            0x60,
            2,
            none,
            |_, x| {
                let mut h = [0.0];
                mlp::swiglu(&x[..1], &x[1..], &mut h);
                h[0]
            },
            |_, x| ((x[0] * slow::sigmoid(x[0])) * x[1]).c(),
        ),
        element(
            0x61,
            3,
            none,
            |_, x| swiglu_back(x)[0],
            |_, x| {
                let s = slow::sigmoid(x[0]);
                ((x[2] * x[1]) * (s * fma(x[0], slow::ONE - s, slow::ONE))).c()
            },
        ),
        element(0x62, 3, none, |_, x| swiglu_back(x)[1], |_, x| (x[2] * (x[0] * slow::sigmoid(x[0]))).c()),
        vector(
            0x68,
            20_000,
            sizes(&[&[1, 0], &[16, 3], &[257, 256], &[4_096, 77]]),
            |p| p[0],
            |g| {
                let v = 1 + g.below(100);
                vec![v, g.below(v)]
            },
            |p, x| {
                let mut e = vec![0.0; x.len()];
                vec![loss::forward_row(x, p[1] as usize, &mut e).0]
            },
            |p, x| {
                let (m, _, s) = soft_loss(x);
                vec![((m + slow::ln(s)) - x[p[1] as usize]).c()]
            },
        ),
        vector(
            0x69,
            20_000,
            sizes(&[&[1, 0], &[16, 3], &[257, 256]]),
            |p| p[0],
            |g| {
                let v = 1 + g.below(100);
                vec![v, g.below(v)]
            },
            |p, x| {
                let mut e = vec![0.0; x.len()];
                let (_, inv) = loss::forward_row(x, p[1] as usize, &mut e);
                loss::backward_row(&mut e, p[1] as usize, inv);
                e
            },
            |p, x| {
                let (_, e, s) = soft_loss(x);
                let inv = slow::ONE / s;
                e.iter()
                    .enumerate()
                    .map(|(v, e)| (*e * inv - if v == p[1] as usize { slow::ONE } else { slow::ZERO }).c())
                    .collect()
            },
        ),
    ]
}

/// A number usable as a frequency, so that angles stay within 2^20.
fn small(x: f32) -> f32 {
    if x.abs() <= 1.0 {
        x.abs()
    } else {
        0.25
    }
}

fn swiglu_back(x: &[f32]) -> [f32; 2] {
    let (mut dg, mut du) = ([0.0], [0.0]);
    mlp::swiglu_back(&x[..1], &x[1..2], &x[2..], &mut dg, &mut du);
    [dg[0], du[0]]
}

fn soft_loss(x: &[F]) -> (F, Vec<F>, F) {
    let m = slow::max(x);
    let e: Vec<F> = x.iter().map(|x| slow::exp(*x - m).c()).collect();
    let s = slow::red(&e, None).c();
    (m, e, s)
}

/// Operators of the optimiser step and of the replay.
fn steps() -> Vec<Op> {
    vec![
        element(
            0x80,
            2,
            none,
            |_, x| if x[1] == 0.0 { 1.0 } else { optim::clip(weft_numerics::arith::sqrt(x[0]), x[1]) },
            |_, x| if x[1].value() == 0.0 { slow::ONE } else { slow::min1(x[1] / (sqrt(x[0]) + F::of(1e-6))).c() },
        ),
        element(0x81, 2, adam_params, |p, x| step(p).m(x[0], x[1]), |p, x| soft_step(p).m(x[0], x[1])),
        element(0x82, 2, adam_params, |p, x| step(p).v(x[0], x[1]), |p, x| soft_step(p).v(x[0], x[1])),
        element(0x83, 3, adam_params, |p, x| step(p).theta(x[0], x[1], x[2]), |p, x| soft_step(p).p(x[0], x[1], x[2])),
        element(
            0x90,
            3,
            adam_params,
            |p, x| step(p).adj_m(x[0], x[1], x[2]),
            |p, x| {
                let s = soft_step(p);
                (s.b1 * s.mu(x[0], x[1], x[2])).c()
            },
        ),
        element(
            0x91,
            4,
            adam_params,
            |p, x| step(p).adj_v(x[0], x[1], x[2], x[3]),
            |p, x| {
                let s = soft_step(p);
                (s.b2 * s.nu(x[0], x[1], x[2], x[3])).c()
            },
        ),
        element(
            0x92,
            6,
            adam_params,
            |p, x| step(p).adjoint(x[0], x[1], x[2], x[3], x[4], x[5]).a,
            |p, x| {
                let s = soft_step(p);
                s.cotangent(x[0], s.mu(x[2], x[3], x[4]), s.nu(x[1], x[2], x[3], x[5]))
            },
        ),
        element(
            0x93,
            2,
            none,
            |_, x| replay::step_length(x[0], x[1]).unwrap_or(0.0),
            |_, x| {
                let h = F::of(1.0 / 512.0);
                if x[1].value() == 0.0 {
                    slow::ZERO
                } else {
                    F(((h * (slow::ONE + x[0])) / x[1]).0 & 0x7f80_0000)
                }
            },
        ),
        element(
            0x94,
            3,
            none,
            |_, x| {
                let mut y = [0.0];
                replay::shift(&x[2..], x[0], &x[1..2], &mut y);
                y[0]
            },
            |_, x| fma(x[0], x[1], x[2]).c(),
        ),
        element(
            0x95,
            5,
            none,
            |_, x| {
                let mut l = [x[4]];
                replay::lambda_theta(x[0], x[1], &x[2..3], &x[3..4], &mut l);
                l[0]
            },
            |_, x| fma(x[0], x[4], ((x[2] - x[3]) * (slow::ONE / (F::of(2.0) * x[1]))).c()).c(),
        ),
        score(),
        score_add(),
    ]
}

fn score() -> Op {
    let params = |g: &mut Gen| {
        let [a, b] = halves(unit(g));
        vec![a, b, [40, 0, 20, 63][g.below(4) as usize]]
    };
    let mut g = Gen::new(0x96);
    let words = |x: i64| vec![(x as u64 >> 32) as u32, x as u32];
    Op {
        id: 0x96,
        random: 100_000,
        edges: combinations(3, 800)
            .into_iter()
            .map(|w| Case { params: params(&mut g), input: Input::Words(w) })
            .collect(),
        make: Box::new(move |g| Case { params: params(g), input: g.numbers(3) }),
        fast: Box::new(move |p, w| {
            let x = floats(w);
            words(replay::fix(replay::score(double(p), x[0], x[1], x[2]), p[2] as u8))
        }),
        soft: Box::new(move |p, w| {
            let x = softs(w);
            let kappa = D::of(double(p)).narrow();
            words(slow::fix((kappa / F::of(2.0) * x[0]) * (x[1] + x[2]), p[2]))
        }),
    }
}

/// Scores at which sums change: zero, one unit, 1.0 in 40 bits, the greatest, the mark of a score that is no number.
static SCORES: [i64; 11] =
    [0, 1, -1, 1 << 40, -(1 << 40), i64::MAX / 2 + 1, i64::MIN / 2, i64::MAX - 1, i64::MAX, i64::MIN + 1, i64::MIN];

fn score_add() -> Op {
    let words = |x: i64| [(x as u64 >> 32) as u32, x as u32];
    let pair = move |a: i64, b: i64| Input::Words([words(a), words(b)].concat());
    let one = |g: &mut Gen| {
        let x = (u64::from(g.word()) << 32 | u64::from(g.word())) as i64;
        match g.below(4) {
            0 => SCORES[g.below(SCORES.len() as u32) as usize],
            1 => x >> 20,
            _ => x,
        }
    };
    let read = |w: &[u32]| -> [i64; 2] {
        core::array::from_fn(|i| (u64::from(w[2 * i]) << 32 | u64::from(w[2 * i + 1])) as i64)
    };
    let edges = SCORES.iter().flat_map(|a| SCORES.iter().map(move |b| (*a, *b)));
    Op {
        id: 0x97,
        random: 100_000,
        edges: edges.map(|(a, b)| Case { params: Vec::new(), input: pair(a, b) }).collect(),
        make: Box::new(move |g| {
            let a = one(g);
            let b = one(g);
            Case { params: Vec::new(), input: pair(a, b) }
        }),
        fast: Box::new(move |_, w| {
            let [a, b] = read(w);
            words(replay::add_fixed(a, b)).to_vec()
        }),
        soft: Box::new(move |_, w| {
            let [a, b] = read(w);
            // By 128 bits: a mark stays, and what does not fit becomes one.
            let sum = i128::from(a) + i128::from(b);
            let marked = [a, b].contains(&i64::MIN) || i64::try_from(sum).is_err();
            words(if marked { i64::MIN } else { sum as i64 }).to_vec()
        }),
    }
}

/// The opcodes in use: each has an element function here and a file of golden vectors.
pub const IN_USE: [u32; 41] = [
    0x02, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x30, 0x31, 0x32, 0x40, 0x41, 0x42, 0x48, 0x50, 0x51, 0x52, 0x53,
    0x54, 0x55, 0x56, 0x60, 0x61, 0x62, 0x68, 0x69, 0x70, 0x78, 0x80, 0x81, 0x82, 0x83, 0x90, 0x91, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97,
];

/// Every operator that this crate has elements for.
pub fn all() -> Vec<Op> {
    [sums(), blocks(), steps()].into_iter().flatten().collect()
}
