//! The daemon: chain duties, serving, HTTP, one process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use tokio::sync::{broadcast, watch};
use weft_chain::{Client, Head, State};
use weft_engine::{Compute, Control, Event, Isa};
use weft_store::{BlobStore, Database, FolderLock};

use crate::{
    config::Config,
    error::{CliError, CliResult, Exit},
    http, keys,
    oracle::{runs::Bases, DutyLoop, Work},
    pay::Payments,
    serving::Serving,
};

/// What the daemon knows of the chain and of its own work, for HTTP and logs.
#[derive(Clone)]
pub struct Progress {
    db: Database,
    payments: Arc<Payments>,
    sending: Arc<tokio::sync::Mutex<()>>,
    head: Arc<RwLock<Option<Head>>>,
    live: Arc<Mutex<BTreeMap<u32, Value>>>,
    events: broadcast::Sender<(u32, String)>,
    writer: tokio::sync::mpsc::UnboundedSender<(String, String)>,
}

impl Progress {
    fn new(db: Database, payments: Arc<Payments>) -> Self {
        let (events, _) = broadcast::channel(1024);
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
        Self { db, payments, sending: Arc::default(), head: Arc::default(), live: Arc::default(), events, writer }
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
    pub async fn phase(&self, job: u32, role: &str, phase: &str, facts: Value) {
        self.publish(job, json!({ "event": "phase", "role": role, "phase": phase, "facts": facts }));
    }

    /// A run that could not be computed.
    pub async fn failed(&self, job: u32, role: &str, e: &CliError) {
        self.failed_now(job, role, e);
    }

    /// As [`Progress::failed`], from a worker thread.
    pub fn failed_now(&self, job: u32, role: &str, e: &CliError) {
        self.publish(job, json!({ "event": "error", "role": role, "code": e.code, "cause": e.cause, "next": e.next }));
    }

    fn publish(&self, job: u32, body: Value) {
        let text = body.to_string();
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(job, body);
        // The writer ends only with the process; nobody may be listening to the broadcast.
        if self.writer.send((format!("job/{job}"), text.clone())).is_err() {
            tracing::error!("the event log is closed");
        }
        let _listeners = self.events.send((job, text));
    }

    /// The newest event of each run.
    #[must_use]
    pub fn live(&self) -> BTreeMap<u32, Value> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows events from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<(u32, String)> {
        self.events.subscribe()
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
    let client = Arc::new(connect(&config).await?);
    let store = BlobStore::open(config.store.clone())?;
    store.check_space(64 << 20)?;
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
    let payments = Arc::new(Payments::new(db.clone(), Arc::clone(&client), me));
    let progress = Progress::new(db.clone(), Arc::clone(&payments));
    let control = Control::default();
    let (stop, stopped) = watch::channel(false);

    let serving = signer.as_ref().map(|s| {
        Arc::new(Serving::start(
            Arc::clone(&client),
            store.clone(),
            bases.clone(),
            compute,
            s.public_key().0,
            data_dir.clone(),
            config.limits.queue,
        ))
    });
    let mut chain_thread = None;
    if let Some(signer) = &signer {
        let work = Work {
            client: Arc::clone(&client),
            signer: signer.clone(),
            store: store.clone(),
            db: db.clone(),
            data_dir: data_dir.clone(),
            bases: bases.clone(),
            compute,
            take_jobs: config.oracle.take_jobs,
            progress: progress.clone(),
            control: control.clone(),
            tamper: options.tamper,
        };
        let stopped = stopped.clone();
        let thread = std::thread::Builder::new().name("chain".into()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(DutyLoop::new(work).run(stopped)),
                Err(e) => tracing::error!("the chain thread has no runtime: {e}"),
            }
        })?;
        chain_thread = Some(thread);
    }

    let listen = config.server.listen.clone();
    let app = Arc::new(App { client, db: db.clone(), store, progress, serving, payments, signer, config });
    let listener = tokio::net::TcpListener::bind(&listen).await.map_err(|e| {
        CliError::new(
            Exit::Failed,
            "port_taken",
            format!("cannot listen on {listen}: {e}"),
            "stop the program that uses the port, or choose another with --listen",
        )
    })?;
    let address: SocketAddr = listener.local_addr()?;
    tracing::info!("HTTP API on http://{address}");
    // Scripts wait for this line.
    println!("listening http://{address}");
    let shutdown = async {
        wait_for_signal().await;
        tracing::info!("stopping: finishing the step, writing a checkpoint");
    };
    axum::serve(listener, http::router(Arc::clone(&app)))
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(CliError::from)?;
    control.stop();
    let _received = stop.send(true);
    if let Some(thread) = chain_thread {
        if tokio::task::spawn_blocking(move || thread.join()).await.map_or(true, |r| r.is_err()) {
            tracing::error!("the chain thread ended with a panic");
        }
    }
    db.close().await;
    Ok(())
}

async fn connect(config: &Config) -> CliResult<Client> {
    let client = Client::connect(&config.chain.rpc_url).await?;
    let pinned = config.chain.genesis.trim_start_matches("0x");
    if !pinned.is_empty() && pinned != hex::encode(client.genesis()) {
        return Err(CliError::usage(
            format!("the node has genesis 0x{}, chain.genesis is {pinned}", hex::encode(client.genesis())),
            "connect to the right chain, or clear chain.genesis",
        ));
    }
    Ok(client)
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

/// Ctrl-C or SIGTERM.
pub async fn wait_for_signal() {
    use tokio::signal::unix::{signal, SignalKind};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ctrl_c = tokio::signal::ctrl_c().await;
        }
    }
}
