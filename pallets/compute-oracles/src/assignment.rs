//! Beacon, draws, `take`, and the sweep that applies what is due.

use crate::{pallet::*, slashing::SLASHES, types::*};
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
/// Transitions that one call applies to a run at most.
const TRANSITIONS: u32 = 4;

/// A run of this runtime.
pub(crate) type RunOf<T> = Run<<T as frame_system::Config>::AccountId>;

impl<T: Config> Pallet<T> {
    /// Folds the parent's VRF output and makes the draws of this block.
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
        let draws = Draws::<T>::take(now);
        let mut weight = T::DbWeight::get().reads_writes(6, 4);
        for draw in draws {
            weight.saturating_accrue(<T::WeightInfo as crate::WeightInfo>::draw());
            let made = with_transaction(|| match Self::make(draw) {
                Ok(()) => TransactionOutcome::Commit(DispatchResult::Ok(())),
                Err(error) => TransactionOutcome::Rollback(Err(error)),
            });
            if made.is_err() {
                defensive!("a draw failed and is tried again");
                let _ = Self::schedule(draw, now.saturating_add(1));
            }
        }
        weight
    }

    fn make(draw: Draw) -> DispatchResult {
        match draw {
            Draw::Seed(key) => Self::draw_seed(key),
            Draw::Verifiers(key) => Self::draw_verifiers(key),
            Draw::Jury(key) => Self::draw_jury(key),
        }
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
            stake: economics::stake(stakes.min_stake, detection, fee, value, stakes.beta_ppm)?,
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

    fn draw_verifiers(key: RunKey) -> DispatchResult {
        let mut run = Self::run_in(key, &[Phase::Drawing, Phase::Replacing])?;
        let commit = run.commit.ok_or(Error::<T>::WrongStage)?;
        let audits: Vec<_> = Audits::<T>::iter_prefix(key).collect();
        let standing = audits.iter().filter(|(_, audit)| audit.state != AuditState::Missed).count();
        let wanted = u32::from(run.verifiers).saturating_sub(u32::try_from(standing).unwrap_or(u32::MAX));
        let mut excluded: BTreeSet<_> = audits.into_iter().map(|(who, _)| who).collect();
        excluded.insert(run.oracle.clone());
        let room = MAX_VERIFIERS.saturating_sub(u32::try_from(excluded.len()).unwrap_or(u32::MAX).saturating_sub(1));
        let entropy = Self::entropy(&(key, run.replaced));
        let drawn = Self::draw_accounts(&run.sem_id, &entropy, wanted.min(room), run.lock, &excluded);
        for who in &drawn {
            Self::lock(who, key, run.lock)?;
            let audit = Audit {
                segment: (0, commit.n_done),
                commitment: None,
                state: AuditState::Drawn,
                lock: run.lock,
                replacement: run.replaced,
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
        Runs::<T>::insert(key, run);
        Ok(())
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

    /// Applies every transition of a run that is due; returns whether one was.
    pub(crate) fn apply_due(key: RunKey) -> Result<bool, DispatchError> {
        let mut applied = false;
        for _ in 0..TRANSITIONS {
            let Some(run) = Runs::<T>::get(key) else { break };
            if T::Clock::now() <= run.deadline {
                break;
            }
            match run.phase {
                Phase::Running => Self::late(key, run)?,
                Phase::Auditing => Self::close_audit(key, run)?,
                Phase::Revealing => Self::silent_oracle(key, run)?,
                Phase::Answering => Self::judge_audit(key, run)?,
                Phase::Window => Self::finalise(key, run)?,
                Phase::JuryCommit => Self::close_jury_commit(key, run)?,
                Phase::JuryReveal => Self::judge(key, run)?,
                Phase::Ended => Self::forget(key, &run),
                Phase::Seeding | Phase::Drawing | Phase::Replacing | Phase::JuryDrawing => break,
            }
            applied = true;
        }
        Ok(applied)
    }

    /// Applies what is due of a run and of the slashes.
    pub(crate) fn do_poke(key: RunKey) -> DispatchResult {
        let slashed = Self::execute_slashes(SLASHES) > 0;
        let applied = Self::apply_due(key)?;
        ensure!(slashed || applied, Error::<T>::NotDue);
        Ok(())
    }

    /// Applies what is due of a few runs, round robin.
    pub(crate) fn sweep(remaining: Weight) -> Weight {
        let one = <T::WeightInfo as crate::WeightInfo>::transition();
        let mut used = T::DbWeight::get().reads_writes(3, 1);
        if used.saturating_add(one).any_gt(remaining) {
            return Weight::zero();
        }
        if SlashQueue::<T>::get() != (0, 0) && Self::execute_slashes(SLASHES) > 0 {
            used.saturating_accrue(one);
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
