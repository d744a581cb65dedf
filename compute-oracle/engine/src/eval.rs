//! Loss and gradient per record, over many records and threads.
//!
//! A record is one sequence: its operators never see another record, so records
//! run on any thread, in any grouping and order.

use crate::error::{EngineError, Result};
use crate::kernels::{reduce, Isa};
use crate::lora::{Layout, Packed};
use crate::pass::{Pass, Work};
use crate::weights::Base;
use std::sync::Mutex;

/// How to compute: changes no bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// Instruction set.
    pub isa: Isa,
    /// Threads, at least 1.
    pub threads: usize,
}

impl Default for Compute {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { isa: Isa::detect(), threads }
    }
}

/// A tokenised record: ids and, per token, whether it is trained.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// 1 where the token is a target; the first is never one.
    pub mask: &'a [u8],
}

/// Most tokens computed together, so that activations stay small.
pub(crate) const GROUP: usize = 1024;

/// Records that are computed together: about equal shares for the threads, the
/// longest first, none above [`GROUP`] tokens unless one record alone is.
fn groups(records: &[Tokens<'_>], threads: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(records[*i].ids.len()));
    let total: usize = records.iter().map(|r| r.ids.len()).sum();
    let count = threads.max(total.div_ceil(GROUP)).min(records.len().max(1));
    let mut all: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new()); count];
    for i in order {
        let t = records[i].ids.len();
        let least = (0..all.len()).min_by_key(|g| all[*g].0).unwrap_or(0);
        if all[least].0 > 0 && all[least].0 + t > GROUP {
            all.push((t, vec![i]));
        } else {
            all[least].0 += t;
            all[least].1.push(i);
        }
    }
    all.into_iter().map(|g| g.1).filter(|g| !g.is_empty()).collect()
}

/// What an evaluation gives of a record besides its gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// Σ −ln p over its trained targets, nats.
    pub loss: f32,
    /// ⟨along, g⟩ over the slots.
    pub inner: f32,
}

/// Where a record's results go.
type Place<'a> = (&'a mut Evaluated, Option<&'a mut [f32]>);

/// Evaluates records at any θ: the pure function under trainer, replay and audits.
pub struct Evaluator<'a> {
    base: &'a Base,
    layout: &'a Layout,
    compute: Compute,
    packed: Packed,
    works: Vec<Work>,
}

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("compute", &self.compute).finish_non_exhaustive()
    }
}

impl<'a> Evaluator<'a> {
    /// An evaluator for adapters of `layout` on `base`.
    #[must_use]
    pub fn new(base: &'a Base, layout: &'a Layout, compute: Compute) -> Self {
        let compute = Compute { isa: compute.isa.or_best(), threads: compute.threads.max(1) };
        let works = (0..compute.threads).map(|_| Work::default()).collect();
        Self { base, layout, compute, packed: Packed::default(), works }
    }

    /// The settings in use.
    #[must_use]
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// Per record, in the order given: loss in nats (summed over its targets,
    /// unscaled), gradient with respect to θ `[p]`, and its inner product with
    /// `along` (itself when `None`). With `grads` empty only losses are computed.
    ///
    /// # Errors
    /// `record_invalid` for an id outside the vocabulary or a mask of another
    /// length, `context_length_exceeded` for a record that is too long.
    pub fn run(
        &mut self,
        theta: &[f32],
        records: &[Tokens<'_>],
        along: Option<&[f32]>,
        out: &mut Vec<Evaluated>,
        grads: &mut [Vec<f32>],
    ) -> Result<()> {
        assert_eq!(theta.len(), self.layout.len());
        assert!(grads.is_empty() || grads.len() >= records.len());
        for r in records {
            check(self.base, r)?;
        }
        self.packed.set(self.layout, theta);
        out.clear();
        out.resize(records.len(), Evaluated::default());
        let p = self.layout.len();
        let want = !grads.is_empty();
        // A record without targets has loss and gradient +0.
        let idle = |r: &Tokens<'_>| r.mask.iter().skip(1).all(|m| *m == 0);
        let mut slots: Vec<Option<Place<'_>>> = Vec::with_capacity(records.len());
        let mut grads = grads.iter_mut();
        for (r, out) in records.iter().zip(out.iter_mut()) {
            let grad = grads.next().map(|g| {
                g.resize(p, 0.0);
                if idle(r) {
                    g.fill(0.0);
                }
                &mut g[..]
            });
            slots.push((!idle(r)).then_some((out, grad)));
        }
        let busy: Vec<usize> = (0..records.len()).filter(|i| slots[*i].is_some()).collect();
        let tokens: Vec<Tokens<'_>> = busy.iter().map(|i| records[*i]).collect();
        let mut jobs = Vec::new();
        for group in groups(&tokens, self.compute.threads) {
            let tokens: Vec<Tokens<'_>> = group.iter().map(|g| tokens[*g]).collect();
            let out: Vec<_> = group.iter().filter_map(|g| slots[busy[*g]].take()).collect();
            jobs.push((tokens, out));
        }
        let queue = Mutex::new(jobs.into_iter());
        let isa = self.compute.isa;
        let pass = Pass { isa, base: self.base, lora: &self.packed };
        let ends = self.layout.ends();
        let worker = |w: &mut Work| {
            crate::kernels::assert_float_mode();
            loop {
                let next = match queue.lock() {
                    Ok(mut q) => q.next(),
                    Err(_) => None,
                };
                let Some((tokens, out)) = next else { break };
                let (mut outs, grads): (Vec<_>, Vec<_>) = out.into_iter().unzip();
                let mut grads: Vec<&mut [f32]> = grads.into_iter().flatten().collect();
                let losses = pass.group(&tokens, w, want.then_some(&mut grads[..]));
                for (out, loss) in outs.iter_mut().zip(losses) {
                    out.loss = loss;
                }
                for (out, g) in outs.iter_mut().zip(&grads) {
                    out.inner = reduce::inner(isa, along.unwrap_or(g), g, ends);
                }
            }
        };
        if self.works.len() == 1 || records.len() == 1 {
            worker(&mut self.works[0]);
        } else {
            std::thread::scope(|scope| {
                for w in self.works.iter_mut() {
                    scope.spawn(|| worker(w));
                }
            });
        }
        Ok(())
    }
}

/// Refuses what would index outside the model.
pub(crate) fn check(base: &Base, r: &Tokens<'_>) -> Result<()> {
    if r.ids.len() != r.mask.len() {
        return Err(EngineError::InvalidTokens { detail: "a record's mask has another length than its ids".into() });
    }
    if r.ids.len() > base.max_tokens() {
        return Err(EngineError::ContextLengthExceeded { tokens: r.ids.len(), context: base.max_tokens() });
    }
    if let Some(id) = r.ids.iter().find(|id| **id as usize >= base.dims.vocab) {
        return Err(EngineError::InvalidTokens {
            detail: format!(
                "token id {id} is outside the vocabulary of {}; the tokenizer is of another model",
                base.dims.vocab
            ),
        });
    }
    Ok(())
}
