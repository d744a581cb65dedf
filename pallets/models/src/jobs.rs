//! Jobs: assessment, submission, transitions, escrow.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use codec::DecodeAll;
use frame::{
    deps::frame_support::storage::{with_transaction, TransactionOutcome},
    prelude::*,
    token::{fungible::hold::Mutate, Precision},
};
use weft_protocol::{
    economics,
    hash::{content_id, Hash},
    job::{JobEvent, JobState, Tier},
    licence::{purpose, Terms},
    merkle,
    recipe::{self, Recipe},
    run,
    shape::ModelShape,
    split::{mul_div, PPM},
};
use weft_traits::{
    Amount, Clock, DatanetInspect, JobId, JobScope, OracleInspect, PermissionCheck, ResolvedGrant, RunBlocks,
    RunControl, RunLimits,
};

/// Attribution method of jobs with attribution on.
const METHOD: u16 = 1;
/// Jobs that one idle sweep looks at.
const SWEEP: u32 = 8;

/// Everything that submission computes from a specification.
#[derive(Default)]
struct Draft {
    recipe: Option<Recipe>,
    inputs: Vec<JobData>,
    records: u32,
    steps: u32,
    method: u16,
    blocks: Option<RunBlocks>,
    escrow: Escrow,
    limits: Option<RunLimits>,
    terms: Option<Terms>,
    probe_root: Hash,
    refusals: Vec<DispatchError>,
}

impl Draft {
    fn refuse(&mut self, error: impl Into<DispatchError>) {
        self.refusals.push(error.into());
    }
}

impl<T: Config> Pallet<T> {
    /// Submits a job: all checks, the hold, the stored job.
    pub(crate) fn do_submit(who: T::AccountId, spec: JobSpec) -> DispatchResult {
        let draft = Self::assess(&who, &spec);
        if let Some(refusal) = draft.refusals.first() {
            return Err(*refusal);
        }
        let Draft { recipe, inputs, records, steps, method, blocks, escrow, limits, terms, probe_root, .. } = draft;
        // No refusal means that every part is there.
        let recipe = recipe.ok_or(Error::<T>::RecipeOutOfBounds)?;
        let blocks = blocks.ok_or(Error::<T>::AmountTooLarge)?;
        let limits = limits.ok_or(Error::<T>::AmountTooLarge)?;
        let terms = terms.ok_or(Error::<T>::TermsConflict)?;
        let total = escrow.total().ok_or(Error::<T>::AmountTooLarge)?;

        let job = NextJob::<T>::get();
        NextJob::<T>::put(job.checked_add(1).ok_or(ArithmeticError::Overflow)?);
        let snapshots: Vec<run::Snapshot> = inputs
            .iter()
            .map(|input| run::Snapshot {
                datanet: input.datanet,
                root: input.root,
                records: input.records,
                clusters: Hash::default(),
            })
            .collect();
        let recipe_hash = recipe.hash();
        let spec_hash = run::Spec {
            job,
            sem_id: spec.sem_id,
            base_root: spec.base,
            snapshots,
            probe_root,
            recipe,
            method,
            tier: spec.tier,
            score_shift: run::SCORE_SHIFT,
        }
        .hash();
        T::Currency::hold(&HoldReason::Escrow.into(), &who, total)?;
        let now = T::Clock::now();
        let stored = Job {
            builder: who.clone(),
            base: spec.base,
            parent: None,
            inputs: inputs.try_into().map_err(|_| Error::<T>::InputsUnsorted)?,
            recipe_hash,
            recipe_content: content_id(&spec.recipe),
            steps,
            records,
            time_ms: T::Clock::timestamp_ms(),
            sem_id: spec.sem_id,
            method,
            tier: spec.tier,
            score_shift: run::SCORE_SHIFT,
            probe_root,
            spec_hash,
            fee: escrow.fee,
            verification: escrow.verification,
            licence: escrow.licence,
            value: spec.value,
            stake: limits.stake,
            escrow,
            split: spec.split,
            terms,
            blocks,
            state: JobState::Open,
            submitted: now,
            deadline: Some(now.saturating_add(limits.open)),
            model: None,
        };
        Jobs::<T>::insert(job, stored);
        Recipes::<T>::insert(job, spec.recipe);
        Self::deposit_event(Event::JobSubmitted { job, builder: who, spec_hash, escrow: total });
        Ok(())
    }

    /// Cost and refusals of a job; leaves storage as it was.
    pub(crate) fn do_quote(who: &T::AccountId, spec: &JobSpec) -> Quote {
        let draft = with_transaction(|| -> TransactionOutcome<Result<Draft, DispatchError>> {
            TransactionOutcome::Rollback(Ok(Self::assess(who, spec)))
        })
        .unwrap_or_default();
        Quote {
            steps: draft.steps,
            records: draft.records,
            fee: spec.fee,
            verifier_fee: draft.limits.map(|limits| limits.verifier_fee).unwrap_or_default(),
            verification: draft.escrow.verification,
            licence: draft.inputs.iter().map(|input| (input.datanet, input.price)).collect(),
            total: draft.escrow.total().unwrap_or(Amount::MAX),
            stake: draft.limits.map(|limits| limits.stake).unwrap_or_default(),
            blocks: draft.blocks.unwrap_or(RunBlocks { run: 0, replay: 0 }),
            method: draft.method,
            refusals: draft.refusals,
        }
    }

    /// Checks a specification and computes what follows from it. Consumes grants: the caller keeps or rolls back.
    fn assess(who: &T::AccountId, spec: &JobSpec) -> Draft {
        let params = Params::<T>::get();
        let mut draft = Draft { escrow: Escrow { fee: spec.fee, ..Default::default() }, ..Default::default() };

        if spec.parent.is_some() {
            draft.refuse(Error::<T>::ParentNotBuilt);
        }
        if spec.sem_id != run::sem_id(run::CLASS_CPU_F32, weft_protocol::graph::VERSION) {
            draft.refuse(Error::<T>::ClassUnsupported);
        }
        if spec.value < params.min_value {
            draft.refuse(Error::<T>::ValueTooLow);
        }
        if spec.value > params.value_cap {
            draft.refuse(Error::<T>::ValueAboveCap);
        }
        if !spec.split.is_whole() {
            draft.refuse(Error::<T>::SplitSumWrong);
        }
        if spec.split.treasury < params.treasury_floor || spec.split.stakers < params.stakers_floor {
            draft.refuse(Error::<T>::ShareBelowFloor);
        }
        let base = match BaseModels::<T>::get(spec.base) {
            None => {
                draft.refuse(Error::<T>::UnknownBase);
                None
            }
            Some(base) => {
                if base.status != BaseStatus::Active {
                    draft.refuse(Error::<T>::BaseNotActive);
                }
                Some(base)
            }
        };
        if spec.inputs.is_empty() {
            draft.refuse(Error::<T>::GrantMissing);
        }
        if !spec.inputs.windows(2).all(|pair| matches!(pair, [a, b] if a.datanet < b.datanet)) {
            draft.refuse(Error::<T>::InputsUnsorted);
        }
        let bytes = Self::read_snapshots(spec, &mut draft);
        if let Some(base) = &base {
            Self::read_recipe(spec, &base.shape, &mut draft);
        }
        if let (Some(base), Some(bytes), Some(recipe)) = (&base, bytes, draft.recipe.clone()) {
            Self::compute_fees(spec, &params, &base.shape, bytes, &recipe, &mut draft);
        }
        Self::check_tier(spec, &mut draft);
        Self::consume_grants(who, spec, &mut draft);
        draft
    }

    /// Reads the snapshots; returns their bytes when all exist.
    fn read_snapshots(spec: &JobSpec, draft: &mut Draft) -> Option<u64> {
        let mut records = 0u64;
        let mut bytes = 0u64;
        let mut reserves = Vec::new();
        let mut data = Vec::new();
        for input in &spec.inputs {
            let known = T::Datanets::snapshot(input.datanet, input.snapshot).filter(|snapshot| snapshot.records > 0);
            let Some(snapshot) = known else {
                draft.refuse(Error::<T>::UnknownSnapshot);
                return None;
            };
            let Ok(count) = u32::try_from(snapshot.records) else {
                draft.refuse(Error::<T>::TooManyRecords);
                return None;
            };
            records = records.saturating_add(snapshot.records);
            bytes = bytes.saturating_add(snapshot.bytes);
            let probe = T::Datanets::probe_root(input.datanet);
            if probe != Hash::default() {
                reserves.push(probe);
            }
            data.push(JobData {
                datanet: input.datanet,
                snapshot: input.snapshot,
                root: snapshot.root,
                records: count,
                grant: 0,
                version: 0,
                price: 0,
            });
        }
        let Ok(records) = u32::try_from(records) else {
            draft.refuse(Error::<T>::TooManyRecords);
            return None;
        };
        draft.records = records;
        draft.inputs = data;
        draft.probe_root = merkle::root(&reserves);
        Some(bytes)
    }

    fn read_recipe(spec: &JobSpec, shape: &ModelShape, draft: &mut Draft) {
        let Ok(recipe) = Recipe::decode_all(&mut &spec.recipe[..]) else {
            draft.refuse(Error::<T>::RecipeOutOfBounds);
            return;
        };
        if draft.records == 0 {
            return;
        }
        let Some(steps) = recipe.validate(shape, draft.records, true).ok().and_then(|()| recipe.steps(draft.records))
        else {
            draft.refuse(Error::<T>::RecipeOutOfBounds);
            return;
        };
        if recipe.method == recipe::Method::Qlora {
            draft.refuse(Error::<T>::QloraNotBuilt);
        }
        draft.steps = steps;
        draft.method = if recipe.attribution { METHOD } else { 0 };
        draft.recipe = Some(recipe);
    }

    fn compute_fees(
        spec: &JobSpec,
        params: &Parameters,
        shape: &ModelShape,
        bytes: u64,
        recipe: &Recipe,
        draft: &mut Draft,
    ) {
        let run =
            economics::job_blocks(shape, recipe, draft.records, bytes, params.ref_flops_per_ms, T::Clock::slot_ms());
        let replay = run.and_then(|run| economics::replay_blocks(run, draft.steps, draft.steps));
        let Some((run, replay)) = run.zip(replay) else {
            draft.refuse(Error::<T>::AmountTooLarge);
            return;
        };
        let blocks = RunBlocks { run, replay };
        draft.blocks = Some(blocks);
        draft.limits = T::Oracles::limits(spec.fee, spec.value, draft.steps, spec.tier, blocks);
        match draft.limits {
            Some(limits) => draft.escrow.verification = limits.verification,
            None if matches!(spec.tier, Tier::Full(0..=MAX_VERIFIERS)) => draft.refuse(Error::<T>::AmountTooLarge),
            None => {}
        }
    }

    fn check_tier(spec: &JobSpec, draft: &mut Draft) {
        let verifiers = spec.tier.verifiers();
        if matches!(spec.tier, Tier::Spot(_)) {
            draft.refuse(Error::<T>::SpotNotBuilt);
        }
        if verifiers > MAX_VERIFIERS {
            draft.refuse(Error::<T>::TierTooHigh);
        }
        if draft.limits.is_some_and(|limits| verifiers < limits.min_verifiers) {
            draft.refuse(Error::<T>::TierTooLow);
        }
        if T::Oracles::supporting(&spec.sem_id) < u32::from(verifiers).saturating_add(1) {
            draft.refuse(Error::<T>::TooFewVerifiers);
        }
    }

    /// Consumes one use of each grant and inherits the terms of their licences.
    fn consume_grants(who: &T::AccountId, spec: &JobSpec, draft: &mut Draft) {
        let (Some(limits), Some(recipe)) = (draft.limits, draft.recipe.as_ref()) else { return };
        if draft.inputs.is_empty() {
            return;
        }
        let scope = JobScope {
            base_root: spec.base,
            program: run::program_id(&spec.sem_id, recipe.schema),
            purpose: purpose::TRAIN,
            deadline: T::Clock::now().saturating_add(limits.open).saturating_add(limits.run),
            attributed: recipe.attribution,
        };
        let grants = match T::Permissions::consume(who, &scope, &spec.inputs) {
            Ok(grants) => grants,
            Err(refusal) => return draft.refuse(refusal),
        };
        let resolved = grants.len() == draft.inputs.len()
            && draft.inputs.iter().zip(&grants).all(|(input, grant)| input.datanet == grant.datanet);
        if !resolved {
            return draft.refuse(Error::<T>::GrantMissing);
        }
        let mut licence: Amount = 0;
        for (input, grant) in draft.inputs.iter_mut().zip(&grants) {
            input.grant = grant.grant;
            input.version = grant.version;
            input.price = grant.price;
            licence = licence.saturating_add(grant.price);
        }
        draft.escrow.licence = licence;
        if draft.escrow.total().is_none() || licence == Amount::MAX {
            draft.refuse(Error::<T>::AmountTooLarge);
        }
        let terms = inherit(&grants);
        if !terms.permit_training() {
            draft.refuse(Error::<T>::TermsConflict);
        }
        if terms.attribution && draft.method == 0 {
            draft.refuse(Error::<T>::AttributionRequired);
        }
        if draft.method != 0 && terms.min_ppm != terms.max_ppm {
            draft.refuse(Error::<T>::PoolRangeOpen);
        }
        if spec.split.data < terms.min_ppm || spec.split.data > terms.max_ppm {
            draft.refuse(Error::<T>::DataShareOutOfRange);
        }
        draft.terms = Some(terms);
    }

    /// Takes an open job back.
    pub(crate) fn do_cancel(who: T::AccountId, job: JobId) -> DispatchResult {
        let stored = Jobs::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
        ensure!(stored.builder == who, Error::<T>::NotBuilder);
        Self::transit(job, JobEvent::Cancel, None)?;
        Self::deposit_event(Event::JobCancelled { job });
        Ok(())
    }

    /// Applies what is due: expiry here, everything else in the run. Returns what that weighed.
    pub(crate) fn do_poke(job: JobId) -> Result<Weight, DispatchError> {
        let stored = Jobs::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
        match stored.state {
            JobState::Open => {
                ensure!(Self::is_past(stored.deadline), Error::<T>::NotDue);
                Self::transit(job, JobEvent::OpenTimeout, None)?;
                Ok(Self::cancel_weight())
            }
            _ => Ok(T::Runs::poke(job)?.saturating_add(T::Permissions::end_weight(MAX_INPUTS))),
        }
    }

    /// Whether the last accepted clock value is behind.
    pub(crate) fn is_past(deadline: Option<u32>) -> bool {
        deadline.is_some_and(|deadline| T::Clock::now() > deadline)
    }

    /// Weight of `submit_job` with that many Datanets.
    pub(crate) fn submit_weight(inputs: u32) -> Weight {
        <T::WeightInfo as crate::WeightInfo>::submit_job(inputs).saturating_add(T::Permissions::consume_weight(inputs))
    }

    /// Weight of the end of an open job, with the return of its grants' uses.
    pub(crate) fn cancel_weight() -> Weight {
        <T::WeightInfo as crate::WeightInfo>::cancel_job().saturating_add(T::Permissions::end_weight(MAX_INPUTS))
    }

    /// Weight of the heaviest transition that `poke` can bring about.
    pub(crate) fn poke_weight() -> Weight {
        <T::WeightInfo as crate::WeightInfo>::poke().saturating_add(T::Permissions::end_weight(MAX_INPUTS))
    }

    /// Expires open jobs in the order of their numbers, a few per block.
    ///
    /// No job becomes open again, and limits grow with the numbers, so one pointer that never goes back finds them: it
    /// stops at the first open job that is not due. Where governance shortened T_open, a later job may be due before that
    /// one; it waits for it, or for `poke`.
    pub(crate) fn sweep(remaining: Weight) -> Weight {
        let one = Self::cancel_weight();
        let mut used = T::DbWeight::get().reads_writes(2, 1);
        let end = NextJob::<T>::get();
        if used.saturating_add(one).any_gt(remaining) {
            return Weight::zero();
        }
        let start = Sweep::<T>::get();
        let mut job = start;
        for _ in 0..SWEEP {
            if job >= end || used.saturating_add(one).any_gt(remaining) {
                break;
            }
            let open = Jobs::<T>::get(job).filter(|stored| stored.state == JobState::Open);
            if let Some(stored) = open {
                if !Self::is_past(stored.deadline) {
                    used.saturating_accrue(T::DbWeight::get().reads(1));
                    break;
                }
                // An error leaves the job for `poke`, which reports it.
                let _ = with_transaction(|| match Self::transit(job, JobEvent::OpenTimeout, None) {
                    Ok(()) => TransactionOutcome::Commit(DispatchResult::Ok(())),
                    Err(error) => TransactionOutcome::Rollback(Err(error)),
                });
                used.saturating_accrue(one);
            } else {
                used.saturating_accrue(T::DbWeight::get().reads(1));
            }
            job = job.saturating_add(1);
        }
        if job != start {
            Sweep::<T>::put(job);
        }
        used
    }

    /// Applies one event of the state machine; releases escrow and grants of a job that ends without a model.
    pub(crate) fn transit(job: JobId, event: JobEvent, deadline: Option<u32>) -> DispatchResult {
        let mut stored = Jobs::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
        let state = stored.state.next(event).map_err(|_| Error::<T>::WrongState)?;
        stored.state = state;
        stored.deadline = deadline;
        if state.is_terminal() {
            let grants: Vec<_> = stored.inputs.iter().map(|input| input.grant).collect();
            T::Permissions::restore(&grants);
            Self::release(job, &mut stored)?;
            if matches!(state, JobState::Cancelled | JobState::Expired) {
                Recipes::<T>::remove(job);
            }
        }
        Jobs::<T>::insert(job, stored);
        Self::deposit_event(Event::JobAdvanced { job, state });
        Ok(())
    }

    /// Gives the builder everything that is still on hold for a job.
    pub(crate) fn release(job: JobId, stored: &mut Job<T::AccountId>) -> DispatchResult {
        let amount = stored.escrow.total().ok_or(Error::<T>::AmountTooLarge)?;
        stored.escrow = Escrow::default();
        if amount > 0 {
            T::Currency::release(&HoldReason::Escrow.into(), &stored.builder, amount, Precision::Exact)?;
            Self::deposit_event(Event::EscrowReleased { job, amount });
        }
        Ok(())
    }
}

/// The strictest terms of all grants.
fn inherit(grants: &[ResolvedGrant]) -> Terms {
    grants.iter().fold(Terms::FREE, |terms, grant| {
        terms.strictest(&Terms {
            purposes: grant.purposes,
            expiry: grant.expiry,
            min_ppm: grant.pool.0,
            max_ppm: grant.pool.1,
            base_ppm: grant.base_ppm,
            attribution: grant.attribution_required,
        })
    })
}

/// Part of an amount in ppm, rounded down.
pub(crate) fn part(amount: Amount, ppm: u32) -> Amount {
    mul_div(amount, Amount::from(ppm.min(PPM)), Amount::from(PPM)).map_or(0, |(part, _)| part)
}
