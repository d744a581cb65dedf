//! What the chain expects of this account, done in time.
//!
//! The loop runs on its own thread and never waits for the engine: computation happens on worker threads of lower
//! priority, and each message is sent by a task of its own. What has been sent is read from finalised state, never from
//! memory: after a crash, a lost node or a lost head the same state leads to the same message.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    models,
    oracles::{self, Duty, DutyKind, RunKey},
    Call, Client, Head, State,
};
use weft_engine::{Compute, Control, Event};
use weft_protocol::{
    hash::{Hash, ZERO},
    job::JobState,
    run::{self, JuryValue},
};
use weft_store::{BlobStore, Database, JobRow};

use super::{
    gather,
    runs::{self, Bases, RunFolder, RunRecord},
};
use crate::{
    daemon::Progress,
    error::{CliError, CliResult},
};

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
    /// Live progress for HTTP and the terminal.
    pub progress: Progress,
    /// Stops the engine at shutdown.
    pub control: Control,
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

/// Messages by name: on their way (`None`), or final in a block. A state older than that block still shows the duty.
pub(crate) type Sending = Shared<BTreeMap<String, Option<u32>>>;

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panicking task leaves the set consistent: entries are inserted and removed whole.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop.
pub struct DutyLoop {
    work: Work,
    /// Messages on their way, or the block in which they became final, by name.
    sending: Sending,
    /// Computations on their way, by job.
    computing: Shared<BTreeSet<u32>>,
    /// Jobs that failed to compute, with the head at which to try again.
    failed: Shared<BTreeMap<u32, u32>>,
    /// Jobs that this daemon passed over, with the reason.
    passed: BTreeMap<u32, String>,
    /// All jobs below are over.
    scanned: u32,
}

impl DutyLoop {
    /// A loop that has done nothing yet.
    #[must_use]
    pub fn new(work: Work) -> Self {
        Self {
            work,
            sending: Shared::default(),
            computing: Shared::default(),
            failed: Shared::default(),
            passed: BTreeMap::new(),
            scanned: 0,
        }
    }

    /// Runs until the shutdown flag is set. Errors of the node are waited out.
    pub async fn run(mut self, mut shutdown: tokio::sync::watch::Receiver<bool>) {
        let mut head = Head { number: 0, hash: ZERO };
        let mut silent = false;
        loop {
            if *shutdown.borrow() {
                return;
            }
            let next = tokio::select! {
                next = self.work.client.next_finalised(head) => next,
                _ = shutdown.changed() => return,
            };
            match next {
                Ok(state) => {
                    if silent {
                        tracing::info!(block = state.head.number, "the node answers again");
                        silent = false;
                    }
                    if state.head.number < head.number {
                        tracing::warn!(
                            from = head.number,
                            to = state.head.number,
                            "the chain lost finalised blocks; starting over from its state"
                        );
                        self.scanned = 0;
                        self.passed.clear();
                    }
                    head = state.head;
                    self.work.progress.head(&state).await;
                    if let Err(e) = self.step(&state).await {
                        tracing::warn!(block = head.number, "{e}");
                    }
                }
                Err(e) => {
                    if !silent {
                        tracing::warn!("{e}");
                        silent = true;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {}
                        _ = shutdown.changed() => return,
                    }
                }
            }
        }
    }

    /// Acts on one finalised block.
    async fn step(&mut self, state: &State) -> CliResult {
        let me = self.work.me();
        let duties = oracles::duties(state, &me).await?;
        for duty in &duties {
            if let Err(e) = self.duty(state, duty).await {
                tracing::warn!(?duty, "{e}");
            }
        }
        super::settle::step(&self.work, state, &self.sending).await?;
        self.poke(state).await?;
        if self.work.take_jobs && duties.is_empty() && lock(&self.computing).is_empty() {
            self.look_for_work(state).await?;
        }
        Ok(())
    }

    async fn duty(&mut self, state: &State, duty: &Duty) -> CliResult {
        let RunKey::Job(job) = duty.run else { return Ok(()) };
        let folder = RunFolder::new(&self.work.data_dir, job);
        match &duty.kind {
            DutyKind::Commit => {
                let Some(result) = self.result(state, job, Role::Oracle).await? else { return Ok(()) };
                let secret = folder.random("secret")?;
                let commit = commit_of(&result, &secret)?;
                self.send(state, job, "commit", oracles::commit(job, &commit));
            }
            DutyKind::AuditCommit { .. } => {
                let Some(result) = self.result(state, job, Role::Verifier).await? else { return Ok(()) };
                let salt = folder.random("audit-salt")?;
                let (s, r) = result.audit;
                self.send(
                    state,
                    job,
                    "audit_commit",
                    oracles::audit_commit(job, run::audit_answer(&self.work.me(), &salt, &s, &r)),
                );
            }
            DutyKind::RevealNonces => {
                let Some(result) = self.result(state, job, Role::Oracle).await? else { return Ok(()) };
                let secret = folder.random("secret")?;
                result.publish(&self.work.store)?;
                self.send(state, job, "reveal_nonces", oracles::reveal_nonces(job, secret, result.opening().as_ref()));
            }
            DutyKind::AuditReveal { .. } => self.audit_reveal(state, job, &folder).await?,
            DutyKind::JuryCommit { jury, draw, .. } => {
                let Some(value) = self.jury_value(state, job, *draw).await? else { return Ok(()) };
                let salt = folder.random(&format!("jury-salt-{jury}"))?;
                self.send(
                    state,
                    job,
                    "jury_commit",
                    oracles::jury_commit(*jury, run::jury_answer(*jury, &self.work.me(), &salt, &value)),
                );
            }
            DutyKind::JuryReveal { jury, draw, .. } => {
                let Some(value) = self.jury_value(state, job, *draw).await? else { return Ok(()) };
                let salt = folder.random(&format!("jury-salt-{jury}"))?;
                self.send(state, job, "jury_reveal", oracles::jury_reveal(*jury, &value.commit, value.work, salt));
            }
        }
        Ok(())
    }

    async fn audit_reveal(&mut self, state: &State, job: u32, folder: &RunFolder) -> CliResult {
        let Some(result) = self.result(state, job, Role::Verifier).await? else { return Ok(()) };
        let run = oracles::run(state, job).await?.ok_or_else(|| state.missing(format!("the run of job {job}")))?;
        let (Some(secret), Some(posted)) = (run.secret, run.commit) else { return Ok(()) };
        let salt = folder.random("audit-salt")?;
        let mine = commit_of(&result, &secret)?;
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
        self.send(
            state,
            job,
            "audit_reveal",
            oracles::audit_reveal(job, salt, s, r, agrees, &state_path, &reverse_path),
        );
        Ok(())
    }

    async fn jury_value(&mut self, state: &State, job: u32, draw: Hash) -> CliResult<Option<JuryValue>> {
        let Some(result) = self.result(state, job, Role::Juror { draw }).await? else { return Ok(None) };
        let run = oracles::run(state, job).await?.ok_or_else(|| state.missing(format!("the run of job {job}")))?;
        let Some(secret) = run.secret else { return Ok(None) };
        let commit = commit_of(&result, &secret)?;
        Ok(result.work.map(|work| JuryValue { commit, work }))
    }

    /// The kept result of a job's run; starts the computation when there is none.
    async fn result(&mut self, state: &State, job: u32, role: Role) -> CliResult<Option<RunRecord>> {
        let folder = self.folder(job, role);
        if let Some(result) = folder.result()? {
            return Ok(Some(result));
        }
        if lock(&self.failed).get(&job).is_some_and(|at| state.head.number < *at) {
            return Ok(None);
        }
        if !lock(&self.computing).insert(job) {
            return Ok(None);
        }
        match self.start(state, job, role, folder).await {
            Ok(true) => Ok(None),
            Ok(false) => {
                lock(&self.computing).remove(&job);
                Ok(None)
            }
            Err(e) => {
                lock(&self.computing).remove(&job);
                lock(&self.failed).insert(job, state.head.number.saturating_add(5));
                self.work.progress.failed(job, role.name(), &e).await;
                Err(e)
            }
        }
    }

    /// A juror's work depends on the draw, so that each draw has a folder of its own.
    fn folder(&self, job: u32, role: Role) -> RunFolder {
        match role {
            Role::Juror { draw } => RunFolder::new(
                &self.work.data_dir.join("juries").join(hex::encode(draw.get(..8).unwrap_or_default())),
                job,
            ),
            Role::Oracle | Role::Verifier => RunFolder::new(&self.work.data_dir, job),
        }
    }

    /// Reads the inputs and starts a worker; `false` while the seed is not drawn.
    async fn start(&mut self, state: &State, job: u32, role: Role, folder: RunFolder) -> CliResult<bool> {
        let run = oracles::run(state, job).await?.ok_or_else(|| state.missing(format!("the run of job {job}")))?;
        let Some(seed) = run.seed else { return Ok(false) };
        let facts = gather::facts(state, job).await?;
        let base = self.work.bases.get(&facts.job.base).ok_or_else(|| {
            CliError::not_found(
                format!("base model {} of job {job} is not on this machine", hex::encode(facts.job.base)),
                "add its folder to oracle.base_models",
            )
        })?;
        // The duty itself proves, at this finalised block, that the run is assigned to or drawn for this account.
        gather::grants_live(state, &facts).await?;
        self.work.progress.phase(job, role.name(), "loading", json!({ "block": state.head.number })).await;
        let prepared = runs::prepare(facts, &run.oracle.0, seed, base, &self.work.store)?;
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
        let (computing, failed) = (Arc::clone(&self.computing), Arc::clone(&self.failed));
        let draw = match role {
            Role::Juror { draw } => Some(draw),
            Role::Oracle | Role::Verifier => None,
        };
        let how = runs::How {
            compute: work.compute,
            dir: Some(folder.engine()),
            jury_draw: draw,
            also_keep: Vec::new(),
            control: work.control.clone(),
            tamper: if role == Role::Oracle { work.tamper } else { weft_attribution::Tamper::None },
        };
        let number = state.head.number;
        let spawned = std::thread::Builder::new().name(format!("run-{job}")).spawn(move || {
            // The chain task answers in time because computation yields to it.
            if let Err(e) = rustix::process::nice(10) {
                tracing::debug!("priority stays as it is: {e}");
            }
            let progress = work.progress.clone();
            let mut on_event = |event: &Event| progress.event(job, role.name(), event);
            let done = (|| -> CliResult<()> {
                let output = prepared.execute(&how, &mut on_event)?;
                folder.keep(&RunRecord::of(&output))
            })();
            if let Err(e) = done {
                tracing::error!(job, role = role.name(), "{e}");
                progress.failed_now(job, role.name(), &e);
                lock(&failed).insert(job, number.saturating_add(10));
            }
            lock(&computing).remove(&job);
        });
        spawned.map_err(CliError::from)?;
        Ok(true)
    }

    /// Sends a message unless it is on its way already. Whether it arrived is read from the next finalised state.
    fn send(&self, state: &State, job: u32, name: &'static str, call: Call) {
        send(&self.work, &self.sending, state, format!("{name}/{job}"), call);
    }

    /// Applies due transitions of jobs in which this account has a part: nobody's silence may hold up its money.
    async fn poke(&mut self, state: &State) -> CliResult {
        let me = self.work.me();
        let next = models::next_job(state).await?;
        for id in self.scanned..next {
            let Some(job) = models::job(state, id).await? else { continue };
            let over =
                matches!(job.state.0, JobState::Final | JobState::Cancelled | JobState::Expired | JobState::Failed(_));
            if over {
                if id == self.scanned {
                    self.scanned = self.scanned.saturating_add(1);
                }
                continue;
            }
            let Some(run) = oracles::run(state, id).await? else { continue };
            let involved = run.oracle.0 == me || self.folder(id, Role::Verifier).result()?.is_some();
            if involved && run.ended.is_none() && state.head.number > run.deadline {
                self.send(state, id, "poke", models::poke(id));
            }
        }
        Ok(())
    }

    /// Takes the oldest open job that this machine can run.
    async fn look_for_work(&mut self, state: &State) -> CliResult {
        let me = self.work.me();
        let Some(oracle) = oracles::oracle(state, &me).await? else { return Ok(()) };
        if oracle.status != oracles::OracleStatus::Active {
            return Ok(());
        }
        let next = models::next_job(state).await?;
        for id in self.scanned..next {
            if self.passed.contains_key(&id) {
                continue;
            }
            let Some(job) = models::job(state, id).await? else { continue };
            if job.state.0 != JobState::Open {
                continue;
            }
            let reason = if !oracle.classes.contains(&job.sem_id) {
                Some("another class".to_string())
            } else if self.work.bases.get(&job.base).is_none() {
                Some(format!("base model {} is not on this machine", hex::encode(job.base)))
            } else if oracle.bonded.saturating_sub(oracle.locked) < job.stake {
                Some(format!("free stake is below {}", crate::output::weft(job.stake)))
            } else {
                let facts = gather::facts(state, id).await?;
                if gather::all_present(&facts, &self.work.store) {
                    None
                } else {
                    Some("not every record can be fetched".to_string())
                }
            };
            match reason {
                Some(reason) => {
                    tracing::info!(job = id, "not taken: {reason}");
                    self.passed.insert(id, reason);
                }
                None => {
                    self.send(state, id, "take", oracles::take(id));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn commit_of(result: &RunRecord, secret: &Hash) -> CliResult<run::Commit> {
    result.commit(secret).ok_or_else(|| {
        CliError::new(crate::error::Exit::Failed, "too_long", "the run has more than 2^32 states", "report this")
    })
}

/// Sends a call in a task of its own, once at a time per name; not again at a state that cannot show it yet.
pub(crate) fn send(work: &Work, sending: &Sending, state: &State, name: String, call: Call) {
    {
        let mut known = lock(sending);
        match known.get(&name) {
            Some(None) => return,
            Some(Some(block)) if state.head.number <= *block => return,
            _ => {}
        }
        known.insert(name.clone(), None);
    }
    let (client, signer, sending) = (Arc::clone(&work.client), work.signer.clone(), Arc::clone(sending));
    let queue = work.progress.sending();
    tokio::spawn(async move {
        let pending = {
            // One submission at a time per account: the next nonce is the pool's.
            let _turn = queue.lock().await;
            match client.next_nonce(&signer.public_key().0).await {
                Ok(nonce) => client.send(&signer, nonce, &call).await,
                Err(e) => Err(e),
            }
        };
        let done = match pending {
            Ok(pending) => pending.wait().await,
            Err(e) => Err(e),
        };
        match done {
            Ok(included) => {
                tracing::info!(call = %call.title(), %name, block = included.head.number, "final");
                lock(&sending).insert(name, Some(included.head.number));
            }
            Err(e) => {
                tracing::warn!(call = %call.title(), %name, "{e}");
                lock(&sending).remove(&name);
            }
        }
    });
}
