//! Exact replay: the cotangent of the probe loss carried from the last step to
//! the first, and each record's score on the way.
//!
//! Per step two ordinary batch evaluations at θ ± e·a: their mean dotted with a
//! is the score, their difference the Hessian-vector product. Clip factors are
//! those of the forward step, never recomputed. Rounding: `weft_numerics::replay`.

use crate::error::Result;
use weft_engine::{
    eval::Evaluated,
    train::{Tape, Trainer},
    vector, Layout,
};
use weft_numerics::{optim, replay as num};
use weft_protocol::{hash, merkle, run, Hash};

/// Cotangents of θ, m and v, and the scores so far: the content of R_t.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The state it belongs to.
    pub t: u32,
    /// λθ.
    pub theta: Vec<f32>,
    /// λm.
    pub m: Vec<f32>,
    /// λv.
    pub v: Vec<f32>,
    /// Fixed-point score per record of the job.
    pub scores: Vec<i64>,
    /// Scores are in 2^x nats.
    pub x: i8,
    /// Length 0, not finite, or an empty probe: the scores mean nothing.
    pub rough: bool,
}

/// Buffers of the two evaluations of a step.
#[derive(Debug, Default)]
pub struct Scratch {
    a: Vec<f32>,
    at: Vec<f32>,
    out: Vec<Evaluated>,
    grads: Vec<Vec<f32>>,
    plus: Vec<f32>,
    minus: Vec<f32>,
}

impl Replay {
    /// R_N: the cotangent of the probe's mean log-probability at the trainer's
    /// state, which is that after the last step.
    ///
    /// # Errors
    /// As the evaluation's.
    pub fn start(trainer: &mut Trainer<'_>, probe: &[u32], records: usize) -> Result<Self> {
        let p = trainer.layout().len();
        let tokens: u64 = probe.iter().map(|i| u64::from(trainer.items()[*i as usize].n_loss)).sum();
        let mut lambda = vec![0.0; p];
        let mut start = num::Start { x: 0, rough: true };
        if let Some(tokens) = u32::try_from(tokens).ok().filter(|t| *t > 0) {
            let theta = trainer.state.theta.clone();
            let mut g = Vec::new();
            let factor = optim::factor(1_000_000, optim::kappa(false, 1, tokens, 1), 1.0);
            let (mut out, mut grads) = (Vec::new(), Vec::new());
            trainer.evaluate(&theta, probe, None, &mut out, &mut grads, true)?;
            trainer.combine(&vec![factor; probe.len()], &grads, &mut g);
            let norm = vector::norm(trainer.compute(), &g, trainer.layout().ends());
            start = num::Start::of(norm);
            start.lambda(&g, &mut lambda);
        }
        Ok(Self {
            t: trainer.steps(),
            theta: lambda,
            m: vec![0.0; p],
            v: vec![0.0; p],
            scores: vec![0; records],
            x: start.x,
            rough: start.rough,
        })
    }

    /// Goes from R_{t+1} to R_t over the step that `tape` recorded.
    ///
    /// # Errors
    /// As the evaluation's.
    pub fn step(&mut self, trainer: &mut Trainer<'_>, tape: &Tape, shift: u8, s: &mut Scratch) -> Result<()> {
        let on = trainer.compute();
        let ends = trainer.layout().ends().to_vec();
        let k = trainer.adam(tape.t);
        let p = self.theta.len();
        s.a.resize(p, 0.0);
        vector::adjoint(on, &k, &tape.g, &tape.m, &tape.v, &self.theta, &mut self.m, &mut self.v, &mut s.a);
        let norm_theta = vector::norm(on, &tape.theta, &ends);
        let norm_a = vector::norm(on, &s.a, &ends);
        let Some(e) = num::step_length(norm_theta, norm_a) else {
            vector::lambda_theta_still(on, k.z, &mut self.theta);
            self.t = tape.t;
            return Ok(());
        };
        let records: Vec<u32> = tape.visits.iter().map(|v| v.record).collect();
        let factors: Vec<f32> = tape.visits.iter().map(|v| v.factor).collect();
        let mut dots = [const { Vec::new() }; 2];
        s.at.resize(p, 0.0);
        for (side, dots) in dots.iter_mut().enumerate() {
            let sign = if side == 0 { e } else { -e };
            vector::shift(on, &tape.theta, sign, &s.a, &mut s.at);
            trainer.evaluate(&s.at, &records, Some(&s.a), &mut s.out, &mut s.grads, true)?;
            *dots = s.out.iter().map(|o| o.inner).collect::<Vec<f32>>();
            let total = if side == 0 { &mut s.plus } else { &mut s.minus };
            trainer.combine(&factors, &s.grads, total);
        }
        for (i, v) in tape.visits.iter().enumerate() {
            let q = num::fix(num::score(v.kappa, v.clip, dots[0][i], dots[1][i]), shift);
            let slot = &mut self.scores[v.record as usize];
            *slot = num::add_fixed(*slot, q);
        }
        vector::lambda_theta(on, k.z, e, &s.plus, &s.minus, &mut self.theta);
        self.t = tape.t;
        Ok(())
    }

    /// Little-endian bytes of the scores, i64 `[n]`.
    #[must_use]
    pub fn score_bytes(&self) -> Vec<u8> {
        self.scores.iter().flat_map(|s| s.to_le_bytes()).collect()
    }

    /// R_t of method 1.
    #[must_use]
    pub fn hash(&self, layout: &Layout, run_id: &Hash, threads: usize) -> Hash {
        let scores = merkle::tensor_hash(merkle::Dtype::I64, &[self.scores.len() as u32], &self.score_bytes());
        let slots = layout.hashes(&self.theta, &self.m, &self.v, threads);
        run::reverse_hash(run_id, 0, self.t, &slots, &scores, &hash::ZERO)
    }
}
