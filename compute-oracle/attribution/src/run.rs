//! A run from public inputs: forward to S_N, back to R_0, payout, commitments.

use crate::error::{Result, RunError};
use crate::replay::{Replay, Scratch};
use crate::result::{AdapterFiles, RunOutput};
use crate::store::Store;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use weft_data::JobData;
use weft_engine::{
    checkpoint::{hex, Manifest, Snapshot},
    estimate::keeps_tape,
    events::{Event, EventKind, EventLog},
    lora::bytes_of,
    train::{Item, State, Tape, Trainer},
    Base, Compute, Control, EngineError, Layout, Tokens,
};
use weft_protocol::{
    hash::ZERO,
    payout::{owner_leaves, RecordInput},
    peft,
    recipe::Recipe,
    run::{self, Outcome, CLASS_CPU_F32},
    Hash,
};

/// Evaluations of the held-out records in a run.
const EVALUATIONS: u32 = 10;

/// What determines every bit of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunInputs<'a> {
    /// The base model.
    pub base: &'a Base,
    /// The records as numbers.
    pub data: &'a JobData,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Id of the run; any value for a run that nobody commits to.
    pub run_id: Hash,
    /// The seed.
    pub seed: Hash,
    /// Attribution method: 0 off, 1 exact replay of the probe.
    pub method: u16,
    /// Fixed-point shift of scores.
    pub score_shift: u8,
    /// Part of the points that trained tokens share out, ppm.
    pub base_ppm: u32,
    /// Name of the base in `adapter_config.json`.
    pub base_name: &'a str,
}

/// How to run; changes no bit of the result.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// Instruction set and threads.
    pub compute: Compute,
    /// Folder for checkpoints, states and events. A run that finds its own
    /// checkpoints there goes on from the last one.
    pub dir: Option<PathBuf>,
    /// Secret for [`RunOutput::commit`].
    pub secret: Option<Hash>,
    /// Stop and checkpoint requests.
    pub control: Control,
    /// The bytes drawn with a jury: asks for [`RunOutput::work`].
    pub jury_draw: Option<Hash>,
    /// Dishonesty, for tests.
    pub tamper: Tamper,
}

/// What a dishonest oracle does. Only builds with the feature `adversary` can do anything but `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tamper {
    /// Honest.
    #[default]
    None,
    /// Trains half the steps and repeats the last state.
    #[cfg(feature = "adversary")]
    SkipSteps,
    /// Trains every record on its neighbour's tokens, and commits to the true ones.
    #[cfg(feature = "adversary")]
    SwapData,
    /// Posts the adapter of another seed.
    #[cfg(feature = "adversary")]
    ForeignAdapter,
    /// Adds to the scores of the first record's owner when it pays out.
    #[cfg(feature = "adversary")]
    InflateScore,
}

impl Tamper {
    fn skips(self, t: u32, steps: u32) -> bool {
        #[cfg(feature = "adversary")]
        if self == Self::SkipSteps {
            return t >= steps / 2;
        }
        let _ = (t, steps);
        false
    }

    fn item(self, i: usize, n: usize) -> usize {
        #[cfg(feature = "adversary")]
        if self == Self::SwapData {
            return (i + 1) % n;
        }
        let _ = n;
        i
    }

    fn adapter_seed(self, seed: &Hash) -> Option<Hash> {
        #[cfg(feature = "adversary")]
        if self == Self::ForeignAdapter {
            return Some(weft_protocol::hash::blake2_256(seed));
        }
        let _ = seed;
        None
    }

    fn score(self, data: &JobData, i: usize, score: i64) -> i64 {
        #[cfg(feature = "adversary")]
        if self == Self::InflateScore && data.leaves[i].owner == data.leaves[0].owner {
            return score.saturating_add(1 << 40);
        }
        let _ = (data, i);
        score
    }
}

struct Runner<'a, 'b> {
    inputs: &'b RunInputs<'a>,
    opts: &'b ExecOptions,
    layout: &'b Layout,
    store: Store,
    log: EventLog,
    states: Vec<Hash>,
    manifest: Manifest,
    steps: u32,
    reverse: bool,
    keep: Vec<u32>,
    tapes: BTreeMap<u32, Tape>,
    keep_all: bool,
    /// Pages that a juror works on: tensors of S_u, then of R_u.
    work_u: u32,
    work: [Option<Vec<Vec<u8>>>; 2],
    eval_loss: Option<f32>,
    started: Instant,
    evaluations: (f64, f64),
}

/// Runs to the end, or goes on where an earlier process stopped.
///
/// # Errors
/// Inputs that do not belong together; errors of model, recipe and folder;
/// `stopped` when the control asked for it, after a checkpoint.
pub fn execute(inputs: &RunInputs<'_>, opts: &ExecOptions, progress: &mut dyn FnMut(&Event)) -> Result<RunOutput> {
    let refuse = |detail: &str| RunError::Inputs { detail: detail.to_owned() };
    let reverse = match inputs.method {
        0 => false,
        1 => true,
        _ => return Err(refuse("attribution methods 0 and 1 are computed")),
    };
    if reverse && !inputs.recipe.attribution {
        return Err(refuse("the recipe has `attribution` off but the run has an attribution method"));
    }
    let layout = Layout::new(inputs.base, inputs.recipe)?;
    let n = inputs.data.leaves.len();
    let items: Vec<Item<'_>> = (0..n)
        .map(|i| {
            let e = &inputs.data.encoded[opts.tamper.item(i, n)];
            let leaf = &inputs.data.leaves[i];
            Item {
                tokens: Tokens { ids: &e.ids, mask: &e.mask },
                weight_ppm: leaf.weight_ppm,
                n_loss: leaf.loss_tokens,
            }
        })
        .collect();
    let trainer = Trainer::new(inputs.base, &layout, inputs.recipe, items, &inputs.seed, opts.compute)?;
    let steps = trainer.steps();
    let mut keep = run::checkpoints(steps);
    if reverse {
        let back: Vec<u32> = keep.iter().map(|t| 2 * steps + 1 - t).collect();
        keep.extend(back);
    }
    let manifest = Manifest {
        schema: 1,
        u: 0,
        steps,
        x: 0,
        rough: false,
        class: CLASS_CPU_F32.to_owned(),
        run: hex(&inputs.run_id),
        base: hex(&inputs.base.root()),
        recipe: hex(&inputs.recipe.hash()),
        data: hex(&inputs.data.data_root),
        states: String::new(),
        file: String::new(),
    };
    let runner = Runner {
        inputs,
        opts,
        layout: &layout,
        store: Store::open(opts.dir.as_deref())?,
        log: EventLog::open(opts.dir.as_deref())?,
        states: Vec::new(),
        manifest,
        steps,
        reverse,
        keep,
        tapes: BTreeMap::new(),
        keep_all: reverse && keeps_tape(layout.len(), steps),
        work_u: opts.jury_draw.map_or(u32::MAX, |d| run::jury_step(&d, steps)),
        work: [None, None],
        eval_loss: None,
        started: Instant::now(),
        evaluations: (0.0, 1.0),
    };
    runner.run(trainer, progress)
}

impl<'a> Runner<'a, '_> {
    fn run(mut self, mut trainer: Trainer<'a>, progress: &mut dyn FnMut(&Event)) -> Result<RunOutput> {
        let mut replay = self.resume(&mut trainer, progress)?;
        let work = if self.reverse { 3.0 } else { 1.0 };
        let u = self.states.len().saturating_sub(1) as f64;
        let done = if replay.is_some() { self.steps as f64 + 2.0 * (u - 1.0 - self.steps as f64) } else { u };
        self.evaluations = (0.0, (work * f64::from(self.steps) - done).max(1.0));
        let mut diverged = false;
        if replay.is_none() {
            self.phase("training", progress)?;
            diverged = self.forward(&mut trainer, progress)?;
        }
        self.eval_loss = trainer.mean_loss(&self.inputs.data.held_out)?;
        let last = State { ..trainer.state.clone() };
        let n_done = last.t;
        if diverged {
            let status = last.hash(self.layout, &self.inputs.run_id, 1, trainer.compute().threads);
            if let Some(x) = self.states.last_mut() {
                *x = status;
            }
            if self.opts.jury_draw.is_some() {
                self.work[0] = Some(self.tensors(&last.theta, &last.m, &last.v));
            }
        } else if self.reverse {
            if replay.is_none() {
                self.phase("attributing", progress)?;
                let first = Replay::start(&mut trainer, &self.inputs.data.probe, self.inputs.data.leaves.len())?;
                self.backward_state(&first, progress, trainer.compute())?;
                replay = Some(first);
            }
            if let Some(r) = &mut replay {
                self.backward(r, &mut trainer, progress)?;
            }
        }
        self.phase("saving", progress)?;
        self.finish(&last, n_done, diverged, replay, progress)
    }

    fn phase(&mut self, name: &str, progress: &mut dyn FnMut(&Event)) -> Result<()> {
        Ok(self.log.emit(EventKind::Phase { phase: name.to_owned(), steps: self.steps }, progress)?)
    }

    fn eta(&self) -> f64 {
        let (done, all) = self.evaluations;
        let spent = self.started.elapsed().as_secs_f64();
        spent / done.max(1e-9) * (all - done).max(0.0)
    }

    /// Raw bytes of the tensors of three flat vectors, by slot.
    fn tensors(&self, x: &[f32], y: &[f32], z: &[f32]) -> Vec<Vec<u8>> {
        let slots = 0..self.layout.slots().len();
        slots.flat_map(|i| [x, y, z].map(|v| bytes_of(&v[self.layout.range(i)]))).collect()
    }

    /// Loads the newest intact checkpoint of this run, if there is one.
    fn resume(&mut self, trainer: &mut Trainer<'_>, progress: &mut dyn FnMut(&Event)) -> Result<Option<Replay>> {
        let mismatch = |what| {
            RunError::from(EngineError::ResumeMismatch { path: self.opts.dir.clone().unwrap_or_default(), what })
        };
        let mut found = self.store.list()?;
        for m in &found {
            for (what, ours, theirs) in [
                ("base", &self.manifest.base, &m.base),
                ("recipe", &self.manifest.recipe, &m.recipe),
                ("data", &self.manifest.data, &m.data),
                ("class", &self.manifest.class, &m.class),
                ("run", &self.manifest.run, &m.run),
            ] {
                if ours != theirs {
                    return Err(mismatch(what));
                }
            }
        }
        // A juror needs the content of two inner states: go back far enough to see them.
        if self.opts.jury_draw.is_some() {
            found.retain(|m| m.u <= self.work_u);
        }
        while let Some(m) = found.pop() {
            let Some((m, snap)) = self.store.load(self.layout, m.u)? else { continue };
            let Some(states) = self.store.states(&m)? else { continue };
            let forward = m.u <= self.steps;
            // The reverse part needs the last forward state too.
            let last = if forward { None } else { self.store.load(self.layout, self.steps)? };
            if !forward && last.is_none() {
                continue;
            }
            self.store.resumed(states.len());
            self.states = states;
            // It may have been lost between the checkpoint and its event.
            self.log.emit(EventKind::Checkpoint { u: m.u, content: m.file }, progress)?;
            let Some((_, last)) = last else {
                trainer.state = State { t: m.u, theta: snap.x, m: snap.y, v: snap.z };
                return Ok(None);
            };
            trainer.state = State { t: self.steps, theta: last.x, m: last.y, v: last.z };
            return Ok(Some(Replay {
                t: 2 * self.steps + 1 - m.u,
                theta: snap.x,
                m: snap.y,
                v: snap.z,
                scores: snap.scores,
                x: m.x,
                rough: m.rough,
            }));
        }
        Ok(None)
    }

    /// Keeps a state. All events before it are recorded first: a resumed run starts behind them.
    fn checkpoint(&mut self, manifest: Manifest, snap: Snapshot, progress: &mut dyn FnMut(&Event)) -> Result<()> {
        let u = manifest.u;
        self.log.sync()?;
        if let Some(content) = self.store.save(self.layout, manifest, snap, &self.states)? {
            self.log.emit(EventKind::Checkpoint { u, content }, progress)?;
        }
        Ok(())
    }

    /// Whether state u must be kept now.
    fn keeps(&self, u: u32) -> bool {
        self.keep.contains(&u) || self.opts.control.take_checkpoint() || self.opts.control.stopping()
    }

    fn stop_if_asked(&self, u: u32) -> Result<()> {
        if self.opts.control.stopping() {
            return Err(EngineError::Stopped { step: u }.into());
        }
        Ok(())
    }

    fn forward_state(&mut self, trainer: &Trainer<'_>, progress: &mut dyn FnMut(&Event)) -> Result<()> {
        let s = &trainer.state;
        if self.states.len() == s.t as usize {
            self.states.push(s.hash(self.layout, &self.inputs.run_id, 0, trainer.compute().threads));
        }
        if s.t == self.work_u {
            self.work[0] = Some(self.tensors(&s.theta, &s.m, &s.v));
        }
        if self.keeps(s.t) {
            let manifest = Manifest { u: s.t, ..self.manifest.clone() };
            let snap = Snapshot { x: s.theta.clone(), y: s.m.clone(), z: s.v.clone(), scores: Vec::new() };
            self.checkpoint(manifest, snap, progress)?;
        }
        self.stop_if_asked(s.t)
    }

    /// Trains to the last step; true when it diverged.
    fn forward(&mut self, trainer: &mut Trainer<'_>, progress: &mut dyn FnMut(&Event)) -> Result<bool> {
        let n = self.inputs.data.leaves.len() as f64;
        let batch = f64::from(self.inputs.recipe.batch_size);
        self.forward_state(trainer, progress)?;
        while trainer.state.t < self.steps {
            let t = trainer.state.t;
            let before = Instant::now();
            let mut tape = None;
            let report = if self.opts.tamper.skips(t, self.steps) {
                let mut copy = trainer.state.clone();
                let report = trainer.step(self.keep_all.then_some(&mut tape))?;
                copy.t += 1;
                trainer.state = copy;
                report
            } else {
                trainer.step(self.keep_all.then_some(&mut tape))?
            };
            let rate = report.tokens as f64 / before.elapsed().as_secs_f64().max(1e-9);
            self.evaluations.0 += 1.0;
            let epoch =
                (f64::from(report.step) * batch / n).min(f64::from(self.inputs.recipe.epochs(n as u32).unwrap_or(0)));
            self.log.emit(EventKind::step(&report, self.steps, epoch, rate, self.eta()), progress)?;
            if report.diverged {
                return Ok(true);
            }
            if let Some(tape) = tape {
                self.tapes.insert(t, tape);
            }
            let done = t + 1;
            let stage = |t: u32| u64::from(t) * u64::from(EVALUATIONS) / u64::from(self.steps);
            if stage(done) > stage(t) {
                if let Some(loss) = trainer.mean_loss(&self.inputs.data.held_out)? {
                    self.log.emit(EventKind::Eval { step: done, loss }, progress)?;
                }
            }
            self.forward_state(trainer, progress)?;
        }
        Ok(false)
    }

    fn backward_state(&mut self, r: &Replay, progress: &mut dyn FnMut(&Event), on: Compute) -> Result<()> {
        let u = 2 * self.steps + 1 - r.t;
        if self.states.len() == u as usize {
            self.states.push(r.hash(self.layout, &self.inputs.run_id, on.threads));
        }
        if r.t == self.work_u {
            let mut tensors = self.tensors(&r.theta, &r.m, &r.v);
            tensors.push(r.score_bytes());
            self.work[1] = Some(tensors);
        }
        if self.keeps(u) {
            let manifest = Manifest { u, x: r.x, rough: r.rough, ..self.manifest.clone() };
            let snap = Snapshot { x: r.theta.clone(), y: r.m.clone(), z: r.v.clone(), scores: r.scores.clone() };
            self.checkpoint(manifest, snap, progress)?;
        }
        self.stop_if_asked(u)
    }

    fn backward(&mut self, r: &mut Replay, trainer: &mut Trainer<'_>, progress: &mut dyn FnMut(&Event)) -> Result<()> {
        let mut scratch = Scratch::default();
        while r.t > 0 {
            let t = r.t - 1;
            if !self.tapes.contains_key(&t) {
                self.recompute(t, trainer)?;
            }
            let tape = self.tapes.remove(&t).ok_or_else(|| RunError::Inputs {
                detail: "a step of the run could not be recomputed; delete the folder and start again".to_owned(),
            })?;
            r.step(trainer, &tape, self.inputs.score_shift, &mut scratch)?;
            self.evaluations.0 += 2.0;
            let eta_s = self.eta();
            self.log.emit(EventKind::Replay { step: t, steps: self.steps, eta_s }, progress)?;
            self.backward_state(r, progress, trainer.compute())?;
        }
        Ok(())
    }

    /// Tapes of the steps from the checkpoint at or before t, up to t.
    fn recompute(&mut self, t: u32, trainer: &mut Trainer<'_>) -> Result<()> {
        let last = trainer.state.clone();
        let mut kept = self.store.list()?;
        kept.retain(|m| m.u <= t);
        let mut point = None;
        while point.is_none() {
            let Some(m) = kept.pop() else { break };
            point = self.store.load(self.layout, m.u)?;
        }
        trainer.state = match point {
            Some((m, s)) => State { t: m.u, theta: s.x, m: s.y, v: s.z },
            None => {
                let p = self.layout.len();
                State { t: 0, theta: self.layout.init(&self.inputs.seed), m: vec![0.0; p], v: vec![0.0; p] }
            }
        };
        while trainer.state.t <= t {
            let at = trainer.state.t;
            let mut tape = None;
            let skip = self.opts.tamper.skips(at, self.steps).then(|| trainer.state.clone());
            trainer.step(Some(&mut tape))?;
            if let Some(mut copy) = skip {
                copy.t += 1;
                trainer.state = copy;
            }
            match tape {
                Some(tape) => self.tapes.insert(at, tape),
                None => break,
            };
        }
        trainer.state = last;
        Ok(())
    }

    fn finish(
        mut self,
        last: &State,
        n_done: u32,
        diverged: bool,
        replay: Option<Replay>,
        progress: &mut dyn FnMut(&Event),
    ) -> Result<RunOutput> {
        let inputs = self.inputs;
        let overflow = || RunError::Inputs { detail: "the sums of the payout overflow".to_owned() };
        let s_n = self.states.get(n_done as usize).copied().unwrap_or(ZERO);
        let (mut adapter, mut payout, mut r_0, mut x) = (None, None, ZERO, 0);
        let (mut model, mut attribution, mut scores) = (ZERO, ZERO, Vec::new());
        if !diverged {
            let foreign = self.opts.tamper.adapter_seed(&inputs.seed).map(|s| self.layout.init(&s));
            let theta = foreign.as_deref().unwrap_or(&last.theta);
            let safetensors = adapter_file(self.layout, theta).ok_or_else(overflow)?;
            let pages = peft::file_pages(&safetensors);
            model = run::model_commitment(&s_n, safetensors.len() as u64, &pages);
            let config_json = peft::adapter_config_json(inputs.recipe, inputs.base_name, None);
            adapter = Some(AdapterFiles { safetensors, config_json });

            let mut rough = false;
            if let Some(r) = &replay {
                (x, rough) = (r.x, r.rough);
                r_0 = self.states.last().copied().unwrap_or(ZERO);
                scores.clone_from(&r.scores);
            }
            let data = inputs.data;
            let records: Vec<RecordInput> = (0..data.leaves.len())
                .map(|i| RecordInput {
                    datanet: data.datanets[i],
                    owner: data.leaves[i].owner,
                    standing: data.uses[i].standing(),
                    score: self.opts.tamper.score(data, i, scores.get(i).copied().unwrap_or(0)),
                    loss_tokens: data.leaves[i].loss_tokens,
                })
                .collect();
            let paid =
                owner_leaves(&data.parts, &records, inputs.method, inputs.base_ppm, rough).ok_or_else(overflow)?;
            let extra = paid.extra(inputs.method);
            attribution = run::attribution_commitment(inputs.method, 0, x, &r_0, &paid.parts(), &extra);
            payout = Some(paid);
        }
        let outcome = if diverged { Outcome::Diverged } else { Outcome::Done };
        let mut wanted = self.keep.clone();
        wanted.sort_unstable();
        let checkpoints = wanted.into_iter().filter_map(|u| self.store.file(u).map(|p| (u, p))).collect();
        let [s_work, r_work] = std::mem::take(&mut self.work);
        let work = self.opts.jury_draw.map(|draw| {
            let all = s_work.into_iter().chain(r_work).flatten().collect::<Vec<Vec<u8>>>();
            run::work_hash(&draw, all.iter().map(|t| &t[..]))
        });
        let name = if diverged { "diverged" } else { "done" };
        self.log.emit(EventKind::Done { outcome: name.to_owned(), steps: n_done }, progress)?;
        let mut output = RunOutput {
            n_done,
            outcome,
            states: self.states,
            data_root: inputs.data.data_root,
            s_n,
            r_0,
            adapter,
            scores,
            x,
            payout,
            method: inputs.method,
            model_commitment: model,
            attribution_commitment: attribution,
            checkpoints,
            work,
            commit: None,
            eval_loss: self.eval_loss,
        };
        output.commit = self.opts.secret.map(|s| output.commit_with(&s));
        Ok(output)
    }
}

/// Bytes of `adapter_model.safetensors` at given parameters.
#[must_use]
pub fn adapter_file(layout: &Layout, theta: &[f32]) -> Option<Vec<u8>> {
    let raw: Vec<Vec<u8>> = (0..layout.slots().len()).map(|i| bytes_of(&theta[layout.range(i)])).collect();
    peft::file(layout.slots(), &raw.iter().map(|r| &r[..]).collect::<Vec<&[u8]>>())
}
