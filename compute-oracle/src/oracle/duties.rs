//! What the chain expects of this account, done in time.
//!
//! The loop runs on its own thread and never waits for the engine: computation happens on worker threads of lower
//! priority, and each message is sent by a task of its own. What has been sent is read from finalised state, never from
//! memory: after a crash, a lost node or a lost head the same state leads to the same message.

use std::{
    collections::{btree_map::Entry, BTreeMap, BTreeSet},
    panic::{catch_unwind, AssertUnwindSafe},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    models,
    oracles::{self, Duty, DutyKind, RunKey},
    permissions, Call, ChainError, Client, Head, State,
};
use weft_engine::{Compute, Event, Layout};
use weft_protocol::{
    hash::{Hash, ZERO},
    job::JobState,
    run::{self, JuryValue},
};
use weft_store::{BlobStore, Database, JobRow};

use super::{
    gather,
    runs::{self, short, Bases, RunFolder, RunRecord},
    sending::{lock, send, Backoff, Sending},
    settle::Settlement,
    threads::Computations,
};
use crate::{
    daemon::Progress,
    error::{CliError, CliResult, Exit},
    serving::Serving,
};

/// Space beyond the reserve without which no job is taken.
const SPACE: u64 = 64 << 20;

/// What the daemon works with.
#[derive(Clone)]
pub struct Work {
    /// The chain.
    pub client: Arc<Client>,
    /// The oracle's account.
    pub signer: Keypair,
    /// Blobs.
    pub store: BlobStore,
    /// Database.
    pub db: Database,
    /// Data folder.
    pub data_dir: std::path::PathBuf,
    /// Base models.
    pub bases: Bases,
    /// Threads and instruction set.
    pub compute: Compute,
    /// Whether to take jobs.
    pub take_jobs: bool,
    /// Unredeemed fees of a channel above which they are redeemed at once.
    pub redeem_above: u128,
    /// Live progress for HTTP and the terminal.
    pub progress: Progress,
    /// Models that answer.
    pub serving: Arc<Serving>,
    /// Runs on their threads.
    pub computations: Computations,
    /// Makes this daemon dishonest, for the tests that prove it loses.
    pub tamper: weft_attribution::Tamper,
}

impl Work {
    /// The account.
    #[must_use]
    pub fn me(&self) -> [u8; 32] {
        self.signer.public_key().0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Oracle,
    Verifier,
    Juror { draw: Hash },
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Verifier => "verifier",
            Self::Juror { .. } => "juror",
        }
    }
}

type Shared<T> = Arc<Mutex<T>>;

/// A job's run at one state.
struct Current {
    job: u32,
    run: oracles::Run,
    run_id: Hash,
    seed: Hash,
    folder: RunFolder,
    /// Last block for the duty.
    deadline: u32,
}

/// Whether a job whose records are open to everybody can be computed at all.
enum Check {
    /// A thread reads its records.
    Underway,
    /// It can.
    Passed,
    /// It never can, and why.
    Failed(String),
    /// The check itself failed, and why; it begins anew after a wait.
    Again(String),
}

/// Why a job is not taken while a thread reads its records.
const CHECKING: &str = "its records are being checked";

/// Where the artifacts of a revealed run are.
enum Artifacts {
    /// Not in the store; when to try.
    Waiting(Arc<RunRecord>, Backoff),
    /// A thread puts them there.
    Underway,
    /// In the store.
    Stored,
}

/// The loop.
pub struct DutyLoop {
    work: Work,
    sending: Sending,
    settlement: Settlement,
    /// Kept results that duties need now, by folder.
    results: Shared<BTreeMap<PathBuf, Arc<RunRecord>>>,
    /// Folders whose computation failed.
    failed: Shared<BTreeMap<PathBuf, Backoff>>,
    /// Artifacts of revealed runs on their way into the store, by folder.
    artifacts: Shared<BTreeMap<PathBuf, Artifacts>>,
    /// `spec_hash` by job.
    specs: BTreeMap<u32, Hash>,
    /// Jobs that this machine can never run.
    passed: BTreeSet<u32>,
    /// Jobs that cannot be taken now, with the reason that was logged and when to look again.
    later: BTreeMap<u32, (String, Backoff)>,
    /// Jobs whose records were read before they are taken, by `spec_hash`: it binds the job's number too.
    checks: Shared<BTreeMap<Hash, Check>>,
    /// Whether the lack of space was logged.
    short_of_space: bool,
    /// All jobs below were seen.
    scanned: u32,
    /// Jobs seen that are not over.
    live: BTreeSet<u32>,
}

impl DutyLoop {
    /// A loop that has done nothing yet.
    #[must_use]
    pub fn new(work: Work) -> Self {
        let left = RunFolder::unpublished(&work.data_dir).into_iter();
        let waiting = |record| Artifacts::Waiting(Arc::new(record), Backoff::default());
        let artifacts = left.map(|(folder, record)| (folder.path().to_path_buf(), waiting(record))).collect();
        Self {
            artifacts: Arc::new(Mutex::new(artifacts)),
            work,
            sending: Sending::default(),
            settlement: Settlement::new(),
            results: Shared::default(),
            failed: Shared::default(),
            specs: BTreeMap::new(),
            passed: BTreeSet::new(),
            later: BTreeMap::new(),
            checks: Shared::default(),
            short_of_space: false,
            scanned: 0,
            live: BTreeSet::new(),
        }
    }

    /// Runs until the shutdown flag is set. Errors of the node are waited out.
    pub async fn run(mut self, mut shutdown: tokio::sync::watch::Receiver<bool>) {
        let mut known = self.stored_head().await;
        // The first state is acted on even when it is the one that an earlier process has seen.
        let mut after = Head { number: 0, hash: ZERO };
        let mut silent = false;
        while !*shutdown.borrow() {
            let done = tokio::select! {
                done = self.block(after, &mut known) => done,
                _ = shutdown.changed() => return,
            };
            match done {
                Ok(head) => {
                    if silent {
                        tracing::info!(block = head.number, "the node answers again");
                        silent = false;
                    }
                    after = head;
                }
                Err(e) => {
                    if !silent {
                        tracing::warn!("no duty is done while the node is away: {e}");
                        silent = true;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(500)) => {}
                        _ = shutdown.changed() => return,
                    }
                }
            }
        }
    }

    /// Waits for a block after `after` and acts on it.
    async fn block(&mut self, after: Head, known: &mut Option<Head>) -> Result<Head, ChainError> {
        let state = self.work.client.next_finalised(after).await?;
        if let Some(before) = *known {
            if self.is_lost(before, &state).await? {
                self.chain_lost(before, state.head);
            }
        }
        *known = Some(state.head);
        self.work.progress.head(&state).await;
        self.step(&state).await;
        self.publish(state.head.number);
        Ok(state.head)
    }

    /// The newest finalised block that an earlier process has acted on.
    async fn stored_head(&self) -> Option<Head> {
        match self.work.db.value("head").await {
            Ok(body) => {
                let body: Value = serde_json::from_str(&body?).ok()?;
                let hash = weft_chain::parse_hash(body.get("hash")?.as_str()?)?;
                Some(Head { number: u32::try_from(body.get("number")?.as_u64()?).ok()?, hash })
            }
            Err(e) => {
                tracing::error!("a chain that lost blocks since the last start would not be noticed: {e}");
                None
            }
        }
    }

    /// Whether a block that was final is on the chain no more.
    async fn is_lost(&self, before: Head, state: &State) -> Result<bool, ChainError> {
        if state.head.number <= before.number {
            return Ok(state.head != before);
        }
        Ok(self.work.client.hash_at(before.number).await? != Some(before.hash))
    }

    /// Starts over from the chain's state: whatever was concluded from lost blocks is forgotten.
    fn chain_lost(&mut self, from: Head, to: Head) {
        tracing::warn!(
            from = from.number,
            to = to.number,
            "the chain lost finalised blocks; starting over from its state"
        );
        lock(&self.sending).clear();
        lock(&self.failed).clear();
        lock(&self.results).clear();
        self.specs.clear();
        self.passed.clear();
        self.later.clear();
        self.scanned = 0;
        self.live.clear();
        self.settlement.chain_lost();
        self.work.progress.payments().chain_lost();
        self.work.serving.chain_lost();
    }

    /// Acts on one finalised block. What fails holds up nothing else, but a node that is away ends the step: every further
    /// question would wait for it, and the next block asks all of them again.
    async fn step(&mut self, state: &State) {
        let block = state.head.number;
        let idle = match oracles::duties(state, &self.work.me()).await {
            Ok(mut duties) => {
                // What is due first is computed first.
                duties.sort_by_key(|duty| duty.deadline);
                let mut needed = BTreeSet::new();
                for duty in &duties {
                    if let Err(e) = self.duty(state, duty, &mut needed).await {
                        tracing::warn!(block, ?duty, "not done yet, it is tried again: {e}");
                        if e.exit == Exit::Unreachable {
                            return;
                        }
                    }
                }
                lock(&self.results).retain(|folder, _| needed.contains(folder));
                duties.is_empty()
            }
            Err(e) => {
                tracing::warn!(block, "duties are not known at this block: {e}");
                if e.is_transient() {
                    return;
                }
                false
            }
        };
        if !self.settlement.step(&self.work, state, &self.sending).await {
            return;
        }
        let busy = match self.poke(state).await {
            Ok(busy) => busy,
            Err(e) => {
                tracing::warn!(block, "overdue jobs are not moved on at this block: {e}");
                true
            }
        };
        if self.work.take_jobs && idle && !busy && self.work.computations.is_idle() {
            if let Err(e) = self.look_for_work(state).await {
                tracing::warn!(block, "no job is taken at this block: {e}");
            }
        }
    }

    /// Puts artifacts into the store, on threads: checkpoints of a large model are gigabytes.
    fn publish(&self, now: u32) {
        for (path, at) in lock(&self.artifacts).iter_mut() {
            let (record, mut backoff) = match at {
                Artifacts::Waiting(record, backoff) if !backoff.holds(now) => (Arc::clone(record), *backoff),
                _ => continue,
            };
            *at = Artifacts::Underway;
            let (store, path, artifacts) = (self.work.store.clone(), path.clone(), Arc::clone(&self.artifacts));
            tokio::task::spawn_blocking(move || {
                let folder = RunFolder::at(&path);
                let done = record.publish(&store, &folder).and_then(|()| folder.set_unpublished(false));
                let at = match done {
                    Ok(()) => Artifacts::Stored,
                    Err(e) => {
                        let folder = path.display();
                        tracing::warn!(%folder, "the run's artifacts are not in the store, that is tried again: {e}");
                        backoff.grow(now, None);
                        Artifacts::Waiting(record, backoff)
                    }
                };
                lock(&artifacts).insert(path, at);
            });
        }
    }

    /// The run of a job, once its seed is drawn.
    async fn current(
        &mut self,
        state: &State,
        job: u32,
        draw: Option<&Hash>,
        deadline: u32,
    ) -> CliResult<Option<Current>> {
        let run = oracles::run(state, job).await?.ok_or_else(|| state.missing(format!("the run of job {job}")))?;
        let Some(seed) = run.seed else { return Ok(None) };
        let spec = match self.specs.get(&job) {
            Some(spec) => *spec,
            None => {
                let found = models::job(state, job).await?.ok_or_else(|| state.missing(format!("job {job}")))?;
                self.specs.insert(job, found.spec_hash);
                found.spec_hash
            }
        };
        let run_id = run::run_id(&spec, &run.oracle.0, &seed);
        let dir = &self.work.data_dir;
        let folder = match draw {
            // A juror's work depends on the draw, so that each draw has a folder of its own.
            Some(draw) => RunFolder::new(&dir.join("juries").join(short(draw)), job, &run_id),
            None => RunFolder::new(dir, job, &run_id),
        };
        Ok(Some(Current { job, run, run_id, seed, folder, deadline }))
    }

    async fn duty(&mut self, state: &State, duty: &Duty, needed: &mut BTreeSet<PathBuf>) -> CliResult {
        let RunKey::Job(job) = duty.run else { return Ok(()) };
        let role = match &duty.kind {
            DutyKind::Commit | DutyKind::RevealNonces => Role::Oracle,
            DutyKind::AuditCommit { .. } | DutyKind::AuditReveal { .. } => Role::Verifier,
            DutyKind::JuryCommit { draw, .. } | DutyKind::JuryReveal { draw, .. } => Role::Juror { draw: *draw },
        };
        let draw = match &role {
            Role::Juror { draw } => Some(draw),
            Role::Oracle | Role::Verifier => None,
        };
        let Some(current) = self.current(state, job, draw, duty.deadline).await? else { return Ok(()) };
        needed.insert(current.folder.path().to_path_buf());
        let Some(result) = self.result(state, &current, role).await? else { return Ok(()) };
        let folder = &current.folder;
        match &duty.kind {
            DutyKind::Commit => {
                let secret = folder.random("secret")?;
                self.send(state, &current, "commit", oracles::commit(job, &commit_of(&result, &secret)?));
            }
            DutyKind::AuditCommit { .. } => {
                let salt = folder.random("audit-salt")?;
                let (s, r) = result.audit;
                let answer = run::audit_answer(&self.work.me(), &salt, &s, &r);
                self.send(state, &current, "audit_commit", oracles::audit_commit(job, answer));
            }
            DutyKind::RevealNonces => {
                let secret = self.committed_secret(&current)?;
                // A reveal that comes too late is fraud, so it waits for nothing: artifacts follow, after a restart too.
                if let Entry::Vacant(place) = lock(&self.artifacts).entry(folder.path().to_path_buf()) {
                    if let Err(e) = folder.set_unpublished(true) {
                        tracing::warn!(job, "a restart would forget to publish the artifacts: {e}");
                    }
                    place.insert(Artifacts::Waiting(Arc::clone(&result), Backoff::default()));
                }
                let call = oracles::reveal_nonces(job, secret, result.opening().as_ref());
                self.send(state, &current, "reveal_nonces", call);
            }
            DutyKind::AuditReveal { .. } => self.audit_reveal(state, &current, &result)?,
            DutyKind::JuryCommit { jury, .. } => {
                let Some(value) = jury_value(&current, &result)? else { return Ok(()) };
                let salt = folder.random(&format!("jury-salt-{jury}"))?;
                let answer = run::jury_answer(*jury, &self.work.me(), &salt, &value);
                self.send(state, &current, "jury_commit", oracles::jury_commit(*jury, answer));
            }
            DutyKind::JuryReveal { jury, .. } => {
                let Some(value) = jury_value(&current, &result)? else { return Ok(()) };
                let salt = folder.known(&format!("jury-salt-{jury}"))?;
                self.send(state, &current, "jury_reveal", oracles::jury_reveal(*jury, &value.commit, value.work, salt));
            }
        }
        Ok(())
    }

    /// The secret that the run's commitment binds: another one would be a false opening.
    fn committed_secret(&self, current: &Current) -> CliResult<Hash> {
        let bound = current.run.commit.as_ref().map(|c| c.0.secret);
        // Earlier programs kept one folder per job.
        let former = RunFolder::at(&self.work.data_dir.join("runs").join(current.job.to_string()));
        runs::bound_secret(&[&current.folder, &former], bound.as_ref())
    }

    fn audit_reveal(&self, state: &State, current: &Current, result: &RunRecord) -> CliResult {
        let job = current.job;
        let (Some(secret), Some(posted)) = (current.run.secret, current.run.commit.as_ref()) else { return Ok(()) };
        let salt = current.folder.known("audit-salt")?;
        let mine = commit_of(result, &secret)?;
        let agrees = mine == posted.0;
        let last = result.n_done;
        let state_path = last.checked_sub(1).and_then(|u| result.path(&secret, u)).unwrap_or_default();
        let (s, r) = result.audit;
        let reverse_path = if r == ZERO {
            Vec::new()
        } else {
            run::reverse_index(last, 1).and_then(|u| result.path(&secret, u)).unwrap_or_default()
        };
        if !agrees {
            tracing::warn!(job, ?mine, posted = ?posted.0, "this run is not what was committed: the audit says so");
        }
        let call = oracles::audit_reveal(job, salt, s, r, agrees, &state_path, &reverse_path);
        self.send(state, current, "audit_reveal", call);
        Ok(())
    }

    /// The kept result of a run; starts the computation when there is none.
    async fn result(&mut self, state: &State, current: &Current, role: Role) -> CliResult<Option<Arc<RunRecord>>> {
        let path = current.folder.path();
        if let Some(result) = lock(&self.results).get(path) {
            return Ok(Some(Arc::clone(result)));
        }
        if let Some(result) = current.folder.result(&current.run_id)? {
            let result = Arc::new(result);
            lock(&self.results).insert(path.to_path_buf(), Arc::clone(&result));
            return Ok(Some(result));
        }
        if lock(&self.failed).get(path).is_some_and(|b| b.holds(state.head.number)) {
            return Ok(None);
        }
        if let Err(e) = self.start(state, current, role).await {
            let (now, deadline) = (state.head.number, current.deadline);
            lock(&self.failed).entry(path.to_path_buf()).or_default().grow(now, Some(deadline));
            self.work.progress.failed(current.job, role.name(), &e);
            return Err(e);
        }
        Ok(None)
    }

    /// Reads what the chain fixes of the job and starts a worker, which reads the records itself: that takes as long as
    /// they are many.
    async fn start(&self, state: &State, current: &Current, role: Role) -> CliResult {
        let (job, run_id, seed) = (current.job, current.run_id, current.seed);
        let folder = current.folder.clone();
        // First, so that an outdated run of the job leaves its place to this one.
        self.work.computations.stop_others(job, folder.path());
        let Some(seat) = self.work.computations.claim(folder.path(), job) else { return Ok(()) };
        let facts = gather::facts(state, job).await?;
        let base = self.work.bases.get(&facts.job.base).ok_or_else(|| {
            CliError::not_found(
                format!("base model {} of job {job} is not on this machine", hex::encode(facts.job.base)),
                "add its folder to oracle.base_models",
            )
        })?;
        // The duty itself proves, at this finalised block, that the run is assigned to or drawn for this account.
        gather::grants_live(state, &facts).await?;
        folder.create()?;
        self.work.progress.phase(job, role.name(), "loading", json!({ "block": state.head.number }));
        self.work
            .db
            .set_job(&JobRow {
                run: job,
                role: role.name().into(),
                phase: "computing".into(),
                body: json!({ "seed": hex::encode(seed), "block": state.head.number }).to_string(),
            })
            .await?;
        let work = self.work.clone();
        let (results, failed) = (Arc::clone(&self.results), Arc::clone(&self.failed));
        let (oracle, from, deadline) = (current.run.oracle.0, state.head.number, current.deadline);
        let compute = move |control: &weft_engine::Control| {
            // The chain task answers in time because computation yields to it.
            if let Err(e) = rustix::process::nice(10) {
                tracing::debug!("priority stays as it is: {e}");
            }
            let how = runs::How {
                compute: work.compute,
                dir: Some(folder.engine()),
                jury_draw: match role {
                    Role::Juror { draw } => Some(draw),
                    Role::Oracle | Role::Verifier => None,
                },
                control: control.clone(),
                tamper: if role == Role::Oracle { work.tamper } else { weft_attribution::Tamper::None },
            };
            let mut on_event = |event: &Event| work.progress.event(job, role.name(), event);
            let done = catch_unwind(AssertUnwindSafe(|| -> CliResult<RunRecord> {
                let prepared = runs::prepare(facts, &oracle, seed, base, &work.store)?;
                let output = prepared.execute(&how, &mut on_event)?;
                let record = RunRecord::of(&output, run_id, &folder)?;
                folder.keep(&record)?;
                Ok(record)
            }));
            let done = done.unwrap_or_else(|_| {
                Err(CliError::new(
                    Exit::Failed,
                    "panic",
                    format!("the computation of job {job} ended with a panic"),
                    "read the log and report it; the run goes on from its last checkpoint",
                ))
            });
            match done {
                Ok(record) => {
                    lock(&failed).remove(folder.path());
                    lock(&results).insert(folder.path().to_path_buf(), Arc::new(record));
                }
                // Asked for, and the checkpoint is written.
                Err(e) if e.code == "stopped" => tracing::info!(job, role = role.name(), "{e}"),
                Err(e) => {
                    tracing::error!(job, role = role.name(), "not computed, it is tried again while it is due: {e}");
                    work.progress.failed(job, role.name(), &e);
                    let head = work.progress.last_head().map_or(from, |h| h.number);
                    lock(&failed).entry(folder.path().to_path_buf()).or_default().grow(head, Some(deadline));
                }
            }
        };
        Ok(self.work.computations.spawn(format!("run-{job}"), seat, compute)?)
    }

    /// Sends a message of a run unless it is on its way already. Whether it arrived is read from the next finalised state.
    fn send(&self, state: &State, current: &Current, name: &str, call: Call) {
        let name = format!("{name}/{}/{}", current.job, short(&current.run_id));
        send(&self.work, &self.sending, state, name, call, Some(current.deadline));
    }

    /// Applies due transitions of jobs in which this account has a part: nobody's silence may hold up its money. Returns
    /// whether a run of this account waits for its seed or its commitment; the chain names no duty before the seed.
    async fn poke(&mut self, state: &State) -> CliResult<bool> {
        let me = self.work.me();
        let mut busy = false;
        let next = models::next_job(state).await?;
        self.live.extend(self.scanned..next);
        self.scanned = self.scanned.max(next);
        for id in self.live.clone() {
            let job = models::job(state, id).await?;
            let job = job.filter(|job| !job.state.0.is_terminal());
            let Some(job) = job else {
                self.live.remove(&id);
                self.passed.remove(&id);
                self.later.remove(&id);
                self.specs.remove(&id);
                continue;
            };
            let Some(run) = oracles::run(state, id).await? else { continue };
            busy |= run.oracle.0 == me && matches!(run.phase, oracles::Phase::Seeding | oracles::Phase::Running);
            if run.ended.is_some() || state.head.number <= run.deadline {
                continue;
            }
            let computed = run.seed.is_some_and(|seed| {
                let run_id = run::run_id(&job.spec_hash, &run.oracle.0, &seed);
                RunFolder::new(&self.work.data_dir, id, &run_id).has_result()
            });
            if run.oracle.0 == me || computed {
                let name = format!("poke/{id}/{}", run.deadline);
                send(&self.work, &self.sending, state, name, models::poke(id), None);
            }
        }
        Ok(busy)
    }

    /// Takes the oldest open job that this machine can run.
    async fn look_for_work(&mut self, state: &State) -> CliResult {
        let me = self.work.me();
        let Some(oracle) = oracles::oracle(state, &me).await? else { return Ok(()) };
        if oracle.status != oracles::OracleStatus::Active {
            return Ok(());
        }
        if let Err(e) = self.work.store.check_space(SPACE) {
            if !std::mem::replace(&mut self.short_of_space, true) {
                tracing::warn!("no job is taken until there is space: {e}");
            }
            return Ok(());
        }
        self.short_of_space = false;
        let now = state.head.number;
        for id in self.live.clone() {
            if self.passed.contains(&id) || self.later.get(&id).is_some_and(|(_, b)| b.holds(now)) {
                continue;
            }
            let Some(job) = models::job(state, id).await? else { continue };
            if job.state.0 != JobState::Open {
                self.later.remove(&id);
                continue;
            }
            if let Some(reason) = self.never(state, &job, id, &oracle).await? {
                tracing::info!(job = id, "never taken here: {reason}");
                self.passed.insert(id);
                continue;
            }
            if let Some(reason) = self.not_now(state, &job, id, &oracle).await? {
                let (logged, backoff) = self.later.entry(id).or_default();
                // The thread ends when it ends: the next block looks again.
                if reason != CHECKING {
                    backoff.grow(now, None);
                }
                if *logged != reason {
                    tracing::info!(job = id, "not taken now: {reason}");
                    *logged = reason;
                }
                continue;
            }
            send(&self.work, &self.sending, state, format!("take/{id}"), oracles::take(id), None);
            return Ok(());
        }
        Ok(())
    }

    /// Why this machine can never run a job.
    async fn never(
        &self,
        state: &State,
        job: &models::Job,
        id: u32,
        oracle: &oracles::Oracle,
    ) -> CliResult<Option<String>> {
        if !oracle.classes.contains(&job.sem_id) {
            return Ok(Some("another class".into()));
        }
        if let Some(Check::Failed(why)) = lock(&self.checks).get(&job.spec_hash) {
            return Ok(Some(why.clone()));
        }
        // The root of a base binds its tokenizer and template too.
        let Some(base) = self.work.bases.get(&job.base) else {
            return Ok(Some(format!("base model {} is not on this machine", hex::encode(job.base))));
        };
        let Some(bytes) = models::recipe(state, id).await? else { return Ok(Some("it has no recipe".into())) };
        let recipe: Result<weft_protocol::recipe::Recipe, _> = codec::Decode::decode(&mut bytes.as_slice());
        Ok(match recipe {
            Ok(recipe) => Layout::new(&base.base, &recipe).err().map(|e| e.to_string()),
            Err(e) => Some(format!("its recipe does not decode: {e}")),
        })
    }

    /// Why a job cannot be run now; time may change that.
    async fn not_now(
        &self,
        state: &State,
        job: &models::Job,
        id: u32,
        oracle: &oracles::Oracle,
    ) -> CliResult<Option<String>> {
        if oracle.bonded.saturating_sub(oracle.locked) < job.stake {
            return Ok(Some(format!("free stake is below {}", crate::output::weft(job.stake))));
        }
        let facts = gather::facts(state, id).await?;
        if let Err(e) = gather::grants_live(state, &facts).await {
            return if e.code == "grant_missing" { Ok(Some(e.cause)) } else { Err(e) };
        }
        if !gather::all_present(&facts, &self.work.store) {
            return Ok(Some("not every record can be fetched".into()));
        }
        self.unchecked(state, facts).await
    }

    /// Why the records of a job are not known to be good. Who takes a job and cannot compute it loses stake, so that
    /// records which everybody may read are read first, on a thread; private ones are for the assigned oracle alone.
    async fn unchecked(&self, state: &State, facts: gather::JobFacts) -> CliResult<Option<String>> {
        let spec = facts.job.spec_hash;
        {
            let mut checks = lock(&self.checks);
            match checks.get(&spec) {
                Some(Check::Passed) => return Ok(None),
                Some(Check::Failed(why)) => return Ok(Some(why.clone())),
                Some(Check::Again(why)) => {
                    let why = why.clone();
                    checks.remove(&spec);
                    return Ok(Some(why));
                }
                Some(Check::Underway) => return Ok(Some(CHECKING.into())),
                // One at a time: each reads all records of its job.
                None if checks.values().any(|c| matches!(c, Check::Underway)) => return Ok(Some(CHECKING.into())),
                None => {}
            }
        }
        for input in &facts.job.inputs {
            let licence = permissions::licence(state, input.datanet, input.version).await?;
            if licence.is_none_or(|l| l.terms.0.approval != permissions::Approval::Open) {
                return Ok(None);
            }
        }
        let Some(base) = self.work.bases.get(&facts.job.base) else { return Ok(None) };
        let (id, store, checks) = (facts.id, self.work.store.clone(), Arc::clone(&self.checks));
        let progress = self.work.progress.clone();
        lock(&self.checks).insert(spec, Check::Underway);
        let started = std::thread::Builder::new().name(format!("check-{id}")).spawn(move || {
            if let Err(e) = rustix::process::nice(10) {
                tracing::debug!("priority stays as it is: {e}");
            }
            // Seed and oracle change neither whether the records are intact nor whether they can be encoded.
            let done = catch_unwind(AssertUnwindSafe(|| runs::prepare(facts, &ZERO, ZERO, base, &store).map(drop)));
            let mut checks = lock(&checks);
            match done {
                Ok(Ok(())) => {
                    checks.insert(spec, Check::Passed);
                }
                // Intact records that cannot be encoded stay so; a damaged blob may be replaced by an intact one.
                Ok(Err(e)) => {
                    progress.failed(id, Role::Oracle.name(), &e);
                    let check = match e.exit {
                        Exit::Usage => Check::Failed(e.cause),
                        _ => Check::Again(format!("its records cannot be used: {}", e.cause)),
                    };
                    checks.insert(spec, check);
                }
                Err(_) => {
                    checks.insert(spec, Check::Failed("reading its records ended with a panic".into()));
                }
            }
        });
        if let Err(e) = started {
            lock(&self.checks).remove(&spec);
            return Err(e.into());
        }
        Ok(Some(CHECKING.into()))
    }
}

fn jury_value(current: &Current, result: &RunRecord) -> CliResult<Option<JuryValue>> {
    let Some(secret) = current.run.secret else { return Ok(None) };
    let commit = commit_of(result, &secret)?;
    Ok(result.work.map(|work| JuryValue { commit, work }))
}

fn commit_of(result: &RunRecord, secret: &Hash) -> CliResult<run::Commit> {
    result
        .commit(secret)
        .ok_or_else(|| CliError::new(Exit::Failed, "too_long", "the run has more than 2^32 states", "report this"))
}
