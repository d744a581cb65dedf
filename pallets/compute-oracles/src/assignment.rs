//! Beacon, draws, `take`, and the sweep that applies what is due.

use crate::{
    pallet::*,
    slashing::SLASHES,
    tickets::{LOOKS, TICKET_WORK},
    types::*,
    WeightInfo,
};
use alloc::{collections::BTreeSet, vec::Vec};
use frame::{
    deps::frame_support::storage::{with_transaction, TransactionOutcome},
    prelude::*,
};
use weft_protocol::{
    economics,
    hash::next_beacon,
    job::{JobEvent, JobState, Tier},
    run,
};
use weft_traits::{Amount, Clock, JobControl, JobId, ParentVrf, RunBlocks, RunLimits};

/// Blocks after the wanted one in which a draw may find room.
const DRAW_SEARCH: u32 = 256;
/// Runs that one idle sweep looks at.
const SWEEP: u32 = 8;
/// Draws may use that part of a block: a quarter.
const DRAW_PART: u64 = 4;

/// A run of this runtime.
pub(crate) type RunOf<T> = Run<<T as frame_system::Config>::AccountId>;

/// What a draw did, for its weight.
#[derive(Default)]
pub(crate) struct Drawn {
    /// Tickets that it looked at.
    pub(crate) looked: u32,
    /// Whether it ended the run, for nobody can be drawn.
    pub(crate) ended: bool,
}

impl Drawn {
    /// The most that a draw can do.
    const MOST: Self = Self { looked: LOOKS, ended: true };

    fn weight<T: Config>(&self) -> Weight {
        let drawing = T::WeightInfo::draw(self.looked);
        if self.ended {
            drawing.saturating_add(T::WeightInfo::ending())
        } else {
            drawing
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Folds the parent's VRF output, makes the draws of this block, then brings tickets in line. Draws that do not fit
    /// into their part of the block go first in the next one; one that failed goes last, so that it holds up no other.
    pub(crate) fn beacon_and_draws() -> Weight {
        let now = T::Clock::now();
        let beacon = next_beacon(&BeaconNow::<T>::get(), &T::Vrf::output());
        BeaconNow::<T>::put(beacon);
        // While the clock stands still, the value of that clock reading stays.
        if !BeaconValue::<T>::contains_key(now) {
            BeaconValue::<T>::insert(now, beacon);
        }
        let history = TimerParams::<T>::get().beacon_history;
        if let Some(old) = now.checked_sub(history) {
            BeaconValue::<T>::remove(old);
        }
        let mut weight = T::DbWeight::get().reads_writes(8, 5);
        let room = <T as frame_system::Config>::BlockWeights::get().max_block.div(DRAW_PART);
        let most = Drawn::MOST.weight::<T>();
        let (mut later, mut failed) = (Vec::new(), Vec::new());
        let mut tried = false;
        for draw in Draws::<T>::take(now) {
            weight.saturating_accrue(T::DbWeight::get().reads(1));
            if !Self::is_awaited(draw) {
                continue;
            }
            // The first one is always made, so that small blocks do not stop the chain.
            if tried && weight.saturating_add(most).any_gt(room) {
                later.push(draw);
                continue;
            }
            tried = true;
            let made = with_transaction(|| match Self::make(draw) {
                Ok(drawn) => TransactionOutcome::Commit(Result::<Drawn, DispatchError>::Ok(drawn)),
                Err(error) => TransactionOutcome::Rollback(Err(error)),
            });
            if let Err(error) = &made {
                frame::log::error!(target: "runtime::compute-oracles", "{draw:?} failed and is tried again: {error:?}");
                failed.push(draw);
            }
            weight.saturating_accrue(made.unwrap_or(Drawn::MOST).weight::<T>());
        }
        if !later.is_empty() || !failed.is_empty() {
            weight.saturating_accrue(T::WeightInfo::defer());
            Self::defer(later, failed, now.saturating_add(1));
        }
        let work = Self::bring_in_line(TICKET_WORK);
        weight.saturating_add(T::WeightInfo::ticket().saturating_mul(work.into()))
    }

    fn make(draw: Draw) -> Result<Drawn, DispatchError> {
        match draw {
            Draw::Seed(key) => Self::draw_seed(key).map(|()| Drawn::default()),
            Draw::Verifiers(key) => Self::draw_verifiers(key),
            Draw::Jury(key) => Self::draw_jury(key),
        }
    }

    /// Queues draws before those of a clock value that has not come, and failed ones behind them.
    fn defer(draws: Vec<Draw>, failed: Vec<Draw>, at: u32) {
        let queued = Draws::<T>::take(at);
        for draw in draws.into_iter().chain(queued).chain(failed) {
            // One that finds no room is lost here and queued again by `poke`.
            let _ = Self::schedule(draw, at);
        }
    }

    /// The draw that a run in this phase waits for.
    pub(crate) fn awaited_draw(key: RunKey, phase: Phase) -> Option<Draw> {
        match phase {
            Phase::Seeding => Some(Draw::Seed(key)),
            Phase::Drawing | Phase::Replacing => Some(Draw::Verifiers(key)),
            Phase::JuryDrawing => Some(Draw::Jury(key)),
            _ => None,
        }
    }

    /// Whether its run still waits for a draw.
    fn is_awaited(draw: Draw) -> bool {
        let (Draw::Seed(key) | Draw::Verifiers(key) | Draw::Jury(key)) = draw;
        Runs::<T>::get(key).and_then(|run| Self::awaited_draw(key, run.phase)) == Some(draw)
    }

    /// Queues the draw for which a run waits in vain; returns whether it did.
    fn mend_draw(key: RunKey) -> Result<bool, DispatchError> {
        let Some(draw) = Runs::<T>::get(key).and_then(|run| Self::awaited_draw(key, run.phase)) else {
            return Ok(false);
        };
        let now = T::Clock::now();
        if Draws::<T>::iter().any(|(at, queued)| at > now && queued.contains(&draw)) {
            return Ok(false);
        }
        Self::draw_later(draw)?;
        Ok(true)
    }

    /// Queues a draw for a clock value, or the first later one with room.
    fn schedule(draw: Draw, at: u32) -> DispatchResult {
        for delay in 0..DRAW_SEARCH {
            let block = at.saturating_add(delay);
            if Draws::<T>::try_mutate(block, |draws| draws.try_push(draw)).is_ok() {
                return Ok(());
            }
        }
        Err(Error::<T>::TooManyDraws.into())
    }

    /// Queues a draw for the beacon of the draw delay.
    pub(crate) fn draw_later(draw: Draw) -> DispatchResult {
        Self::schedule(draw, T::Clock::now().saturating_add(TimerParams::<T>::get().draw))
    }

    /// Stake and limits of a job.
    pub(crate) fn run_limits(
        fee: Amount,
        value: Amount,
        steps: u32,
        tier: Tier,
        blocks: RunBlocks,
    ) -> Option<RunLimits> {
        let Tier::Full(verifiers) = tier else { return None };
        if u32::from(verifiers) > MAX_VERIFIERS / 2 {
            return None;
        }
        let timers = TimerParams::<T>::get();
        let stakes = StakeParams::<T>::get();
        let detection = economics::detection_ppm(tier, steps, stakes.lazy_ppm)?;
        Some(RunLimits {
            verifier_fee: economics::verifier_fee(fee, steps, steps, stakes.audit_fee)?,
            verification: economics::verification(tier, fee, steps, stakes.audit_fee)?,
            stake: economics::stake(stakes.min_stake, tier, detection, fee, value, stakes.beta_ppm)?,
            accuse_bond: Self::accuse_bond(fee, steps)?,
            open: timers.open,
            run: timers.draw.saturating_add(timers.run).saturating_add(blocks.run),
            min_verifiers: stakes.min_verifiers,
        })
    }

    /// Bond of an accusation against a run with this fee and number of steps.
    pub(crate) fn accuse_bond(fee: Amount, steps: u32) -> Option<Amount> {
        let stakes = StakeParams::<T>::get();
        economics::accuse_bond(fee, steps, stakes.jury_size, stakes.audit_fee, stakes.bond_floor)
    }

    /// Takes an open job.
    pub(crate) fn do_take(who: T::AccountId, job: JobId) -> DispatchResult {
        let oracle = Oracles::<T>::get(&who).ok_or(Error::<T>::NotOracle)?;
        match oracle.status {
            OracleStatus::Active => {}
            OracleStatus::Chilled => return Err(Error::<T>::NotActive.into()),
            OracleStatus::Jailed { .. } => return Err(Error::<T>::Jailed.into()),
        }
        let terms = T::Jobs::terms(job).ok_or(Error::<T>::UnknownJob)?;
        ensure!(T::Jobs::state(job) == Some(JobState::Open), Error::<T>::WrongStage);
        ensure!(oracle.classes.contains(&terms.sem_id), Error::<T>::ClassUnsupported);
        let verifiers = terms.tier.verifiers();
        let limits = Self::run_limits(terms.fee, terms.value, terms.steps, terms.tier, terms.blocks)
            .ok_or(Error::<T>::AmountTooLarge)?;
        // What the escrow holds for each verifier, should parameters have changed since submission.
        let verifier_fee = terms.verification.checked_div(Amount::from(verifiers)).unwrap_or(limits.verifier_fee);
        let lock = economics::lock(verifier_fee, limits.stake).ok_or(Error::<T>::AmountTooLarge)?;
        let key = RunKey::Job(job);
        let now = T::Clock::now();
        let deadline = now.saturating_add(limits.run);
        Self::lock(&who, key, limits.stake)?;
        T::Jobs::advance(job, JobEvent::Take, Some(deadline))?;
        Self::draw_later(Draw::Seed(key))?;
        Runs::<T>::insert(
            key,
            Run {
                oracle: who.clone(),
                builder: terms.builder,
                stake: limits.stake,
                fee: terms.fee,
                verifier_fee,
                lock,
                sem_id: terms.sem_id,
                steps: terms.steps,
                method: terms.method,
                verifiers,
                run_blocks: terms.blocks.run,
                replay_blocks: terms.blocks.replay,
                taken: now,
                beacon: None,
                seed: None,
                commit: None,
                secret: None,
                opening: None,
                phase: Phase::Seeding,
                deadline,
                window: None,
                replaced: false,
                paid: false,
                disputes: 0,
                juries: Default::default(),
                ended: None,
            },
        );
        Self::deposit_event(Event::Taken { run: key, oracle: who, stake: limits.stake });
        Ok(())
    }

    fn draw_seed(key: RunKey) -> DispatchResult {
        let mut run = Self::run_in(key, &[Phase::Seeding])?;
        let terms = T::Jobs::terms(Self::job_of(key)?).ok_or(Error::<T>::UnknownJob)?;
        let beacon = BeaconNow::<T>::get();
        let seed = run::seed(&terms.spec_hash, &run.oracle.clone().into(), &beacon);
        run.beacon = Some(beacon);
        run.seed = Some(seed);
        run.phase = Phase::Running;
        run.deadline = Self::after(TimerParams::<T>::get().run, run.run_blocks);
        Self::deposit_event(Event::SeedDrawn { run: key, seed, deadline: run.deadline });
        Runs::<T>::insert(key, run);
        Ok(())
    }

    fn draw_verifiers(key: RunKey) -> Result<Drawn, DispatchError> {
        let mut run = Self::run_in(key, &[Phase::Drawing, Phase::Replacing])?;
        let commit = run.commit.ok_or(Error::<T>::WrongStage)?;
        let audits: Vec<_> = Audits::<T>::iter_prefix(key).collect();
        let standing = audits.iter().filter(|(_, audit)| audit.state != AuditState::Missed).count();
        let wanted = u32::from(run.verifiers).saturating_sub(u32::try_from(standing).unwrap_or(u32::MAX));
        let mut excluded: BTreeSet<_> = audits.into_iter().map(|(who, _)| who).collect();
        excluded.insert(run.oracle.clone());
        let room = MAX_VERIFIERS.saturating_sub(u32::try_from(excluded.len()).unwrap_or(u32::MAX).saturating_sub(1));
        let entropy = Self::entropy(&(key, run.replaced));
        let (drawn, looked) = Self::draw_accounts(&run.sem_id, &entropy, wanted.min(room), run.lock, &excluded);
        for who in &drawn {
            Self::lock(who, key, run.lock)?;
            let audit = Audit {
                segment: (0, commit.n_done),
                commitment: None,
                state: AuditState::Drawn,
                lock: run.lock,
                replacement: run.replaced,
                place: None,
            };
            Audits::<T>::insert(key, who, audit);
        }
        let deadline = Self::after_replay(TimerParams::<T>::get().audit, &run);
        if run.phase == Phase::Drawing {
            T::Jobs::advance(Self::job_of(key)?, JobEvent::Drawn, Some(deadline))?;
        }
        if !drawn.is_empty() || (run.phase == Phase::Drawing && run.verifiers > 0) {
            run.phase = Phase::Auditing;
            run.deadline = deadline;
            Self::deposit_event(Event::VerifiersDrawn { run: key, verifiers: drawn, deadline });
        } else if standing > 0 || run.verifiers == 0 {
            Self::ask_oracle(key, &mut run);
        } else {
            Self::undecided(key, &mut run)?;
        }
        let ended = run.phase == Phase::Ended;
        Runs::<T>::insert(key, run);
        Ok(Drawn { looked, ended })
    }

    /// Clock value that many blocks, and `more`, from now.
    pub(crate) fn after(base: u32, more: u32) -> u32 {
        T::Clock::now().saturating_add(base).saturating_add(more)
    }

    /// Clock value a base and twice the replay from now.
    pub(crate) fn after_replay(base: u32, run: &RunOf<T>) -> u32 {
        Self::after(base, run.replay_blocks.saturating_mul(2))
    }

    /// The run when it is in one of the phases.
    pub(crate) fn run_in(key: RunKey, phases: &[Phase]) -> Result<RunOf<T>, DispatchError> {
        let run = Runs::<T>::get(key).ok_or(Error::<T>::UnknownRun)?;
        ensure!(phases.contains(&run.phase), Error::<T>::WrongStage);
        Ok(run)
    }

    /// The job of a run.
    pub(crate) fn job_of(key: RunKey) -> Result<JobId, DispatchError> {
        match key {
            RunKey::Job(job) => Ok(job),
            RunKey::Settle(..) => Err(Error::<T>::SettleNotBuilt.into()),
        }
    }

    /// Applies the transition of a run that is due; returns whether one was. There is never a second one: each sets a
    /// limit that is not over yet, or waits for a draw.
    pub(crate) fn apply_due(key: RunKey) -> Result<bool, DispatchError> {
        let Some(run) = Runs::<T>::get(key).filter(|run| T::Clock::now() > run.deadline) else { return Ok(false) };
        match run.phase {
            Phase::Running => Self::late(key, run)?,
            Phase::Auditing => Self::close_audit(key, run)?,
            Phase::Revealing => Self::silent_oracle(key, run)?,
            Phase::Answering => Self::judge_audit(key, run)?,
            Phase::Window => Self::finalise(key, run)?,
            Phase::JuryCommit => Self::close_jury_commit(key, run)?,
            Phase::JuryReveal => Self::judge(key, run)?,
            Phase::Ended => Self::forget(key, &run),
            Phase::Seeding | Phase::Drawing | Phase::Replacing | Phase::JuryDrawing => return Ok(false),
        }
        Ok(true)
    }

    /// Applies what is due of a run and of the slashes, and queues a draw that was lost. Returns what that weighed.
    pub(crate) fn do_poke(key: RunKey) -> Result<Weight, DispatchError> {
        let slashes = Self::execute_slashes(SLASHES);
        let applied = Self::apply_due(key)? || Self::mend_draw(key)?;
        ensure!(slashes > 0 || applied, Error::<T>::NotDue);
        Ok(T::WeightInfo::transition().saturating_add(T::WeightInfo::slash().saturating_mul(slashes.into())))
    }

    /// Applies what is due of a few runs, round robin.
    pub(crate) fn sweep(remaining: Weight) -> Weight {
        let one = T::WeightInfo::transition();
        let slash = T::WeightInfo::slash();
        let mut used = T::DbWeight::get().reads_writes(4, 2);
        if used.saturating_add(one).any_gt(remaining) {
            return Weight::zero();
        }
        for _ in 0..SLASHES {
            if used.saturating_add(slash).any_gt(remaining) || Self::execute_slashes(1) == 0 {
                break;
            }
            used.saturating_accrue(slash);
        }
        let mut keys = match Sweep::<T>::get() {
            Some(last) => Runs::<T>::iter_keys_from(Runs::<T>::hashed_key_for(last)),
            None => Runs::<T>::iter_keys(),
        };
        let mut last = None;
        for _ in 0..SWEEP {
            if used.saturating_add(one).any_gt(remaining) {
                break;
            }
            let Some(key) = keys.next() else {
                last = None;
                break;
            };
            last = Some(key);
            used.saturating_accrue(T::DbWeight::get().reads(2));
            // An error leaves the run for `poke`, which reports it.
            let applied = with_transaction(|| match Self::apply_due(key) {
                Ok(applied) => TransactionOutcome::Commit(Result::<bool, DispatchError>::Ok(applied)),
                Err(error) => TransactionOutcome::Rollback(Err(error)),
            });
            if applied.unwrap_or(true) {
                used.saturating_accrue(one);
            }
        }
        match last {
            Some(key) => Sweep::<T>::put(key),
            None => Sweep::<T>::kill(),
        }
        used
    }
}
