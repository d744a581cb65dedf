//! One optimiser step after the other, from states that resume exactly.
//!
//! The trainer knows nothing of files or commitments: it holds θ, m, v and the
//! step number, and gives back what a replay needs.

use crate::error::{EngineError, Result};
use crate::estimate::{estimate, Sizes};
use crate::eval::{Compute, Evaluated, Evaluator, Tokens};
use crate::lora::Layout;
use crate::vector;
use crate::weights::Base;
use weft_numerics::{
    dec, optim,
    order::Order,
    rn32,
    schedule::{self, Schedule},
    Key,
};
use weft_protocol::{
    hash,
    recipe::{Length, LossMean, Recipe, Schedule as RecipeSchedule},
    run, Hash,
};

/// One record of a run.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Ids and mask.
    pub tokens: Tokens<'a>,
    /// 1,000,000, or 0 for a record that does not train.
    pub weight_ppm: u32,
    /// Trained targets.
    pub n_loss: u32,
}

/// θ, m and v before step `t`, flat.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Number of steps done.
    pub t: u32,
    /// Parameters.
    pub theta: Vec<f32>,
    /// First moment.
    pub m: Vec<f32>,
    /// Second moment.
    pub v: Vec<f32>,
}

impl State {
    /// T of every slot of θ, m, v.
    #[must_use]
    pub fn hash(&self, layout: &Layout, run_id: &Hash, status: u8, threads: usize) -> Hash {
        run::state_hash(run_id, self.t, status, &layout.hashes(&self.theta, &self.m, &self.v, threads))
    }
}

/// A record of a step: what is constant in its replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    /// Index of the record in the run.
    pub record: u32,
    /// κ of the record in this step.
    pub kappa: f64,
    /// Clip factor.
    pub clip: f32,
    /// f = c(RN32(weight×κ) × clip).
    pub factor: f32,
}

/// What a step leaves behind for its replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Tape {
    /// Step t.
    pub t: u32,
    /// θ before the step.
    pub theta: Vec<f32>,
    /// m after the step.
    pub m: Vec<f32>,
    /// v after the step.
    pub v: Vec<f32>,
    /// G.
    pub g: Vec<f32>,
    /// The evaluated records, in batch order.
    pub visits: Vec<Visit>,
}

/// Numbers of a step that people read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, counted from 1.
    pub step: u32,
    /// Mean loss per trained token of the evaluated records, nats.
    pub loss: f32,
    /// Learning rate.
    pub learning_rate: f64,
    /// ‖G‖.
    pub grad_norm: f32,
    /// Tokens evaluated.
    pub tokens: u64,
    /// Trained targets evaluated.
    pub trained_tokens: u64,
    /// The norm was not finite: the state is unchanged and the run is over.
    pub diverged: bool,
}

/// The training loop's body.
pub struct Trainer<'a> {
    base: &'a Base,
    layout: &'a Layout,
    recipe: &'a Recipe,
    items: Vec<Item<'a>>,
    order: Order,
    steps: u32,
    warmup: u32,
    adam: optim::AdamW,
    eval: Evaluator<'a>,
    /// The state before the next step.
    pub state: State,
    grads: Vec<Vec<f32>>,
    out: Vec<Evaluated>,
    g: Vec<f32>,
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("t", &self.state.t).field("steps", &self.steps).finish_non_exhaustive()
    }
}

fn out_of_range(e: weft_protocol::recipe::RecipeError) -> EngineError {
    EngineError::RecipeOutOfRange { field: e.field, detail: e.bounds.to_owned() }
}

impl<'a> Trainer<'a> {
    /// A trainer at step 0 of the run that recipe, records and seed determine.
    ///
    /// # Errors
    /// `recipe_out_of_range`, `record_invalid`, `context_length_exceeded`; `out_of_memory` for a run that would not fit.
    pub fn new(
        base: &'a Base,
        layout: &'a Layout,
        recipe: &'a Recipe,
        items: Vec<Item<'a>>,
        seed: &Hash,
        compute: Compute,
    ) -> Result<Self> {
        let n = u32::try_from(items.len()).unwrap_or(u32::MAX);
        recipe.validate(base.shape(), n, false).map_err(out_of_range)?;
        for i in &items {
            crate::eval::check(base, &i.tokens)?;
        }
        let data = Sizes {
            records: n,
            tokens: items.iter().map(|i| i.tokens.ids.len() as u64).sum(),
            longest: items.iter().map(|i| i.tokens.ids.len() as u32).max().unwrap_or(0),
        };
        estimate(base.shape(), recipe, data, compute, None).require(true)?;
        let bad = |field| EngineError::RecipeOutOfRange { field, detail: "too many steps".into() };
        let steps = recipe.steps(n).ok_or_else(|| bad("epochs"))?;
        let warmup = recipe.warmup_steps(steps).ok_or_else(|| bad("warmup"))?;
        let key = Key(hash::rng_key(seed));
        let batch = u32::from(recipe.batch_size);
        let order = match recipe.length {
            Length::Epochs(e) => Order::epochs(key, n, batch, e),
            Length::MaxSteps(s) => Order::steps(key, n, batch, s),
        };
        let adam = optim::AdamW {
            beta1: dec(&recipe.beta1),
            beta2: dec(&recipe.beta2),
            eps: dec(&recipe.eps),
            eps_root: dec(&recipe.eps_root),
            weight_decay: dec(&recipe.weight_decay),
        };
        let p = layout.len();
        let state = State { t: 0, theta: layout.init(seed), m: vec![0.0; p], v: vec![0.0; p] };
        Ok(Self {
            base,
            layout,
            recipe,
            items,
            order,
            steps,
            warmup,
            adam,
            eval: Evaluator::new(base, layout, compute),
            state,
            grads: Vec::new(),
            out: Vec::new(),
            g: vec![0.0; p],
        })
    }

    /// N.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The settings in use.
    #[must_use]
    pub fn compute(&self) -> Compute {
        self.eval.compute()
    }

    /// Learning rate of step t (0…N−1).
    #[must_use]
    pub fn learning_rate(&self, t: u32) -> f64 {
        let shape = match self.recipe.schedule {
            RecipeSchedule::Linear => Schedule::Linear,
            RecipeSchedule::Cosine => Schedule::Cosine,
            RecipeSchedule::Constant => Schedule::Constant,
        };
        schedule::learning_rate(dec(&self.recipe.learning_rate), shape, t, self.warmup, self.steps)
    }

    /// The optimiser's constants of step t.
    #[must_use]
    pub fn adam(&self, t: u32) -> optim::AdamStep {
        optim::AdamStep::new(&self.adam, self.learning_rate(t), t)
    }

    /// Those of a step's records that are evaluated, in batch order, with their κ. `all` holds the records
    /// of weight 0 too: they count in the denominators.
    fn batch(&self, all: &[u32]) -> Vec<(u32, f64)> {
        let tokens: u32 = all.iter().map(|i| self.items[*i as usize].n_loss).sum();
        let count = all.len() as u32;
        let by_record = self.recipe.loss_mean == LossMean::Record;
        all.iter()
            .filter(|i| self.items[**i as usize].weight_ppm > 0)
            .map(|i| (*i, optim::kappa(by_record, self.items[*i as usize].n_loss, tokens, count)))
            .collect()
    }

    /// Loss, ⟨along, g⟩ and gradient of given records at given parameters.
    ///
    /// # Errors
    /// As [`Evaluator::run`].
    pub fn evaluate(
        &mut self,
        theta: &[f32],
        records: &[u32],
        along: Option<&[f32]>,
        out: &mut Vec<Evaluated>,
        grads: &mut Vec<Vec<f32>>,
        want: bool,
    ) -> Result<()> {
        let tokens: Vec<Tokens<'_>> = records.iter().map(|i| self.items[*i as usize].tokens).collect();
        if want {
            if grads.len() < tokens.len() {
                grads.resize_with(tokens.len(), Vec::new);
            }
            self.eval.run(theta, &tokens, along, out, &mut grads[..tokens.len()])
        } else {
            self.eval.run(theta, &tokens, along, out, &mut [])
        }
    }

    /// Mean loss per trained token of `records` at the current state; `None` without targets.
    ///
    /// # Errors
    /// As [`Evaluator::run`].
    pub fn mean_loss(&mut self, records: &[u32]) -> Result<Option<f32>> {
        let tokens: u64 = records.iter().map(|i| u64::from(self.items[*i as usize].n_loss)).sum();
        if tokens == 0 {
            return Ok(None);
        }
        let theta = std::mem::take(&mut self.state.theta);
        let mut out = Vec::new();
        let done = self.evaluate(&theta, records, None, &mut out, &mut Vec::new(), false);
        self.state.theta = theta;
        done?;
        Ok(Some(mean(&out, tokens)))
    }

    /// One step on the records that the seed's order gives it. `tape` receives what its replay needs.
    ///
    /// # Errors
    /// As [`Evaluator::run`].
    pub fn step(&mut self, tape: Option<&mut Option<Tape>>) -> Result<StepReport> {
        let records = self.order.step(self.state.t);
        self.step_on(&records, tape)
    }

    /// One step on given records: indices of [`Trainer::items`] in batch order, those of weight 0 included.
    /// Everything but the order is that of [`Trainer::step`], so that another implementation's batches can
    /// be followed.
    ///
    /// # Errors
    /// `record_invalid` for an index that is no record; as [`Evaluator::run`].
    pub fn step_on(&mut self, records: &[u32], tape: Option<&mut Option<Tape>>) -> Result<StepReport> {
        if let Some(i) = records.iter().find(|i| **i as usize >= self.items.len()) {
            let detail = format!("record {i} is none of the run's {}", self.items.len());
            return Err(EngineError::InvalidTokens { detail });
        }
        let t = self.state.t;
        let on = self.compute();
        let batch = self.batch(records);
        let records: Vec<u32> = batch.iter().map(|b| b.0).collect();
        let theta = std::mem::take(&mut self.state.theta);
        let mut out = std::mem::take(&mut self.out);
        let mut grads = std::mem::take(&mut self.grads);
        let done = self.evaluate(&theta, &records, None, &mut out, &mut grads, true);
        self.state.theta = theta;
        done?;
        let limit = rn32(dec(&self.recipe.record_clip));
        let visits: Vec<Visit> = batch
            .iter()
            .zip(&out)
            .map(|((record, kappa), e)| {
                let clip = optim::clip(weft_numerics::c(e.inner.sqrt()), limit);
                let weight = self.items[*record as usize].weight_ppm;
                Visit { record: *record, kappa: *kappa, clip, factor: optim::factor(weight, *kappa, clip) }
            })
            .collect();
        self.total(&visits, &grads);
        let norm = vector::norm(on, &self.g, self.layout.ends());
        let targets: u64 = records.iter().map(|i| u64::from(self.items[*i as usize].n_loss)).sum();
        let report = StepReport {
            step: t + 1,
            loss: mean(&out, targets),
            learning_rate: self.learning_rate(t),
            grad_norm: norm,
            tokens: records.iter().map(|i| self.items[*i as usize].tokens.ids.len() as u64).sum(),
            trained_tokens: targets,
            diverged: !norm.is_finite(),
        };
        (self.out, self.grads) = (out, grads);
        if report.diverged {
            return Ok(report);
        }
        let global = rn32(dec(&self.recipe.max_grad_norm));
        optim::global_clip(&mut self.g, norm, global);
        let before = tape.is_some().then(|| self.state.theta.clone());
        let k = self.adam(t);
        let State { theta, m, v, .. } = &mut self.state;
        vector::adamw(on, &k, &self.g, theta, m, v);
        self.state.t += 1;
        if let (Some(slot), Some(theta)) = (tape, before) {
            let (m, v) = (self.state.m.clone(), self.state.v.clone());
            *slot = Some(Tape { t, theta, m, v, g: self.g.clone(), visits });
        }
        Ok(report)
    }

    fn total(&mut self, visits: &[Visit], grads: &[Vec<f32>]) {
        let f: Vec<f32> = visits.iter().map(|v| v.factor).collect();
        let g: Vec<&[f32]> = grads[..visits.len()].iter().map(|g| &g[..]).collect();
        vector::accumulate(self.compute(), &f, &g, &mut self.g);
    }

    /// c(dot_k(f_k, g_k)) of given factors.
    pub fn combine(&self, factors: &[f32], grads: &[Vec<f32>], out: &mut Vec<f32>) {
        out.resize(self.layout.len(), 0.0);
        let g: Vec<&[f32]> = grads[..factors.len()].iter().map(|g| &g[..]).collect();
        vector::accumulate(self.compute(), factors, &g, out);
    }

    /// The records.
    #[must_use]
    pub fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// Slots and their places.
    #[must_use]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The base model.
    #[must_use]
    pub fn base(&self) -> &'a Base {
        self.base
    }
}

/// Σ loss ÷ targets: for people, not part of any state.
fn mean(out: &[Evaluated], targets: u64) -> f32 {
    let sum: f64 = out.iter().map(|e| f64::from(e.loss)).sum();
    (sum / targets.max(1) as f64) as f32
}
