//! The daemon: chain duties, serving, HTTP, one process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use tokio::sync::watch;
use weft_chain::{Client, Head, State};
use weft_engine::{Compute, Event, Isa};
use weft_store::{BlobStore, Database, FolderLock};

use crate::{
    config::Config,
    error::{CliError, CliResult, Exit},
    http, keys,
    oracle::{runs::Bases, Computations, DutyLoop, Work},
    pay::Payments,
    serving::Serving,
};

/// Proofs of claims that are put together at a time, for anybody who asks: each reads all owner leaves of a model.
const PROOFS: usize = 4;
/// How long open connections may hold up the end.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_secs(10);

/// What the daemon knows of the chain and of its own work, for HTTP and logs.
#[derive(Clone)]
pub struct Progress {
    db: Database,
    payments: Arc<Payments>,
    sending: Arc<tokio::sync::Mutex<()>>,
    head: Arc<RwLock<Option<Head>>>,
    live: Arc<Mutex<BTreeMap<u32, Value>>>,
    writer: tokio::sync::mpsc::UnboundedSender<(String, String)>,
}

impl Progress {
    fn new(db: Database, payments: Arc<Payments>) -> Self {
        // Events are few (a handful per training step) and each is a short line: the queue drains faster than it fills.
        let (writer, mut queue) = tokio::sync::mpsc::unbounded_channel::<(String, String)>();
        let log = db.clone();
        tokio::spawn(async move {
            while let Some((topic, body)) = queue.recv().await {
                if let Err(e) = log.append_event(&topic, &body).await {
                    tracing::error!("{e}");
                }
            }
        });
        Self { db, payments, sending: Arc::default(), head: Arc::default(), live: Arc::default(), writer }
    }

    /// Payments of this daemon.
    #[must_use]
    pub fn payments(&self) -> Arc<Payments> {
        Arc::clone(&self.payments)
    }

    /// The turn to submit: nonces of one account are given one at a time.
    #[must_use]
    pub fn sending(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.sending)
    }

    /// A new finalised head; stored, so that a restarted daemon sees whether the chain lost it.
    pub async fn head(&self, state: &State) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Some(state.head);
        let body = json!({ "number": state.head.number, "hash": hex::encode(state.head.hash) }).to_string();
        if let Err(e) = self.db.set_value("head", &body).await {
            tracing::error!("{e}");
        }
    }

    /// The newest finalised head this daemon has acted on.
    #[must_use]
    pub fn last_head(&self) -> Option<Head> {
        *self.head.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event of a run.
    pub fn event(&self, job: u32, role: &str, event: &Event) {
        let mut body = serde_json::to_value(event).unwrap_or(Value::Null);
        if let Some(map) = body.as_object_mut() {
            map.insert("role".into(), role.into());
        }
        self.publish(job, body);
    }

    /// A phase of a run.
    pub fn phase(&self, job: u32, role: &str, phase: &str, facts: Value) {
        self.publish(job, json!({ "event": "phase", "role": role, "phase": phase, "facts": facts }));
    }

    /// A run that could not be computed.
    pub fn failed(&self, job: u32, role: &str, e: &CliError) {
        self.publish(job, json!({ "event": "error", "role": role, "code": e.code, "cause": e.cause, "next": e.next }));
    }

    fn publish(&self, job: u32, body: Value) {
        let text = body.to_string();
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(job, body);
        // The writer ends only with the process.
        if self.writer.send((format!("job/{job}"), text)).is_err() {
            tracing::error!("the event log is closed");
        }
    }

    /// The newest event of each run.
    #[must_use]
    pub fn live(&self) -> BTreeMap<u32, Value> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Shared state of the HTTP handlers.
pub struct App {
    /// The chain.
    pub client: Arc<Client>,
    /// Database.
    pub db: Database,
    /// Blobs.
    pub store: BlobStore,
    /// Progress of runs.
    pub progress: Progress,
    /// Models; `None` without an oracle key.
    pub serving: Option<Arc<Serving>>,
    /// Payments.
    pub payments: Arc<Payments>,
    /// Key that signs receipts.
    pub signer: Option<Keypair>,
    /// Configuration.
    pub config: Config,
    /// The turn to put a proof together.
    pub proofs: tokio::sync::Semaphore,
}

/// Instruction set and threads of the configuration.
pub fn compute(isa: &str, threads: usize) -> CliResult<Compute> {
    let default = Compute::default();
    let isa = if isa == "auto" {
        Isa::detect()
    } else {
        isa.parse::<Isa>()
            .map_err(|e| CliError::usage(format!("isa '{isa}': {e}"), "take auto, scalar, avx2 or avx512"))?
    };
    if !isa.available() {
        return Err(CliError::usage(
            format!("this processor has no {}", isa.name()),
            "take auto: results are equal bit for bit",
        ));
    }
    Ok(Compute { isa, threads: if threads == 0 { default.threads } else { threads } })
}

/// How to start a daemon beyond its configuration.
#[derive(Default)]
pub struct Options {
    /// Makes this daemon dishonest, for the tests that prove it loses.
    pub tamper: weft_attribution::Tamper,
}

/// Runs the daemon until SIGTERM or Ctrl-C.
pub async fn serve(config: Config, data_dir: std::path::PathBuf, options: Options) -> CliResult {
    let _lock = FolderLock::take(&data_dir)?;
    let client = Arc::new(Client::connect_to(&config.chain.rpc_url, config.chain.pinned()?).await?);
    let store = BlobStore::open(config.store.clone())?;
    if let Err(e) = store.check_space(64 << 20) {
        if config.oracle.key_file.is_empty() {
            return Err(e.into());
        }
        // What the chain expects of an oracle must be done from the reserve: its silence costs the stake.
        tracing::warn!("only what the chain expects is done until there is space: {e}");
    }
    let db = Database::open(&data_dir.join("weft.db")).await?;
    pin_genesis(&db, &client).await?;
    let bases = Bases::load(&config.oracle.base_models)?;
    let compute = compute(&config.oracle.isa, config.oracle.threads)?;
    let signer = if config.oracle.key_file.is_empty() {
        None
    } else {
        Some(keys::load(&config.oracle.key_file, &data_dir, client.is_development())?)
    };
    let me = signer.as_ref().map_or([0; 32], |s| s.public_key().0);
    let payments = Arc::new(Payments::new(db.clone(), client.genesis(), me));
    let progress = Progress::new(db.clone(), Arc::clone(&payments));
    let computations = Computations::up_to(config.oracle.computations);
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    // Before anything works: a daemon whose port is taken ends without a trace.
    let listen = config.server.listen.clone();
    let listener = tokio::net::TcpListener::bind(&listen).await.map_err(|e| {
        CliError::new(
            Exit::Failed,
            "port_taken",
            format!("cannot listen on {listen}: {e}"),
            "stop the program that uses the port, or choose another with --listen",
        )
    })?;
    let address: SocketAddr = listener.local_addr()?;

    let serving = signer.as_ref().map(|s| {
        Arc::new(Serving::start(
            store.clone(),
            bases.clone(),
            compute,
            s.public_key().0,
            data_dir.clone(),
            config.limits.queue,
        ))
    });
    let mut chain_thread = None;
    // Its sender lives as long as the chain thread.
    let (alive, dead) = tokio::sync::oneshot::channel::<()>();
    let mut dead = Some(dead);
    if let (Some(signer), Some(serving)) = (&signer, &serving) {
        let work = Work {
            // A connection that its own runtime drives: requests over HTTP must not hold up what is due.
            client: Arc::new(client.apart()),
            signer: signer.clone(),
            store: store.clone(),
            db: db.clone(),
            data_dir: data_dir.clone(),
            bases: bases.clone(),
            compute,
            take_jobs: config.oracle.take_jobs,
            redeem_above: config.limits.redeem_above.into(),
            progress: progress.clone(),
            serving: Arc::clone(serving),
            computations: computations.clone(),
            tamper: options.tamper,
        };
        let stopped = stopped.clone();
        let (begun, begins) = tokio::sync::oneshot::channel::<std::io::Result<()>>();
        let thread = std::thread::Builder::new().name("chain".into()).spawn(move || {
            // Dropped however this ends, by a panic too.
            let _alive = alive;
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let _nobody_waits = begun.send(Ok(()));
                    runtime.block_on(DutyLoop::new(work).run(stopped));
                }
                Err(e) => {
                    let _nobody_waits = begun.send(Err(e));
                }
            }
        })?;
        begins.await.map_err(|_| chain_thread_ended())??;
        chain_thread = Some(thread);
    } else {
        dead = None;
    }

    let proofs = tokio::sync::Semaphore::new(PROOFS);
    let app = Arc::new(App { client, db: db.clone(), store, progress, serving, payments, signer, config, proofs });
    tracing::info!("HTTP API on http://{address}");
    // Scripts wait for this line.
    println!("listening http://{address}");
    let (runs, ending) = (computations.clone(), Arc::clone(&stop));
    let shutdown = async move {
        wait_for_signal().await;
        tracing::info!("stopping: finishing the step, writing a checkpoint");
        runs.stop();
        let _nobody_waits = ending.send(true);
        tokio::spawn(async {
            wait_for_signal().await;
            tracing::warn!("stopped by a second signal; a run goes on from its last checkpoint at the next start");
            std::process::exit(Exit::Interrupted.code().into());
        });
    };
    let mut ended = stopped.clone();
    let late = async move {
        // A closed channel is an end too.
        let _closed = ended.changed().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    let asked = stopped.clone();
    let died = async move {
        match dead {
            Some(dead) => {
                // Nothing is ever sent: this ends with the thread.
                let _closed = dead.await;
            }
            None => std::future::pending().await,
        }
        if *asked.borrow() {
            // It ended as it was told to.
            std::future::pending::<()>().await;
        }
    };
    let mut outcome = Ok(());
    let server = axum::serve(listener, http::router(Arc::clone(&app))).with_graceful_shutdown(shutdown);
    tokio::select! {
        done = std::future::IntoFuture::into_future(server) => outcome = done.map_err(CliError::from),
        // Without it every duty is missed in silence: whoever supervises this process starts it again.
        () = died => outcome = Err(chain_thread_ended()),
        () = late => tracing::warn!("open connections are cut: their answers take too long"),
    }
    // However it came to this, runs write their checkpoints.
    computations.stop();
    let _nobody_waits = stop.send(true);
    let ended = tokio::task::spawn_blocking(move || {
        if chain_thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the chain thread ended with a panic");
        }
        // After the chain thread, which could begin one more run; each writes its checkpoint.
        computations.join();
    });
    if let Err(e) = ended.await {
        tracing::error!("the last checkpoints may be missing: {e}");
    }
    db.close().await;
    outcome
}

fn chain_thread_ended() -> CliError {
    CliError::new(
        Exit::Failed,
        "chain_thread",
        "the thread that does what the chain expects has ended",
        "read the log, report it, and start the daemon again: runs go on from their last checkpoints",
    )
}

/// A data folder belongs to one chain.
async fn pin_genesis(db: &Database, client: &Client) -> CliResult {
    let found = hex::encode(client.genesis());
    match db.value("genesis").await? {
        Some(known) if known != found => Err(CliError::usage(
            format!("this data folder belongs to the chain 0x{known}, the node has 0x{found}"),
            "connect to the right chain, or use another --data-dir",
        )),
        Some(_) => Ok(()),
        None => Ok(db.set_value("genesis", &found).await?),
    }
}

/// Ctrl-C, SIGTERM or SIGHUP.
pub async fn wait_for_signal() {
    use tokio::signal::unix::{signal, SignalKind};
    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut stream) => {
                let _received = stream.recv().await;
            }
            // The other signals still end the program.
            Err(e) => {
                tracing::warn!("a signal cannot be received: {e}");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}
