//! A chain of one validator with daemons and people.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use weft_chain::{Client, Head, State};
use weft_protocol::hash::Hash;

use crate::{
    daemon::{Daemon, DaemonConfig},
    genesis::Genesis,
    node::{ensure_free, Node, NodeConfig},
    people::Person,
    process::free_port,
    HarnessError, HarnessResult, Programs,
};

/// Timers of the fast networks of tests, in blocks of 500 ms. Every timer is a limit that an honest party does not
/// reach; five daemons on two cores need more room than one daemon on a machine of its own.
const PATIENT: [(&str, u32); 4] = [("run", 240), ("audit", 120), ("reveal", 60), ("jury", 120)];

/// Ports of a network.
#[derive(Clone, Copy, Debug)]
pub enum Ports {
    /// Whatever is free.
    Free,
    /// JSON-RPC, network, and the first daemon; daemons count on from there.
    Fixed(u16, u16, u16),
}

/// How a network is made.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Folder of everything.
    pub dir: PathBuf,
    /// Folder of the base model.
    pub base: PathBuf,
    /// Name of the base model on chain.
    pub base_name: &'static str,
    /// Slots of 500 ms and patient timers, or the preset as it is.
    pub fast: bool,
    /// T_window in blocks; `None` takes the preset's.
    pub window: Option<u32>,
    /// Ports.
    pub ports: Ports,
    /// Worker threads of each daemon; 0 takes all cores.
    pub threads: usize,
    /// Instruction set of each daemon; results are equal bit for bit.
    pub isa: &'static str,
}

impl NetworkConfig {
    /// A network for tests: free ports, 500 ms slots, one thread per daemon.
    #[must_use]
    pub fn test(dir: &Path, base: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            base: base.to_path_buf(),
            base_name: "tiny",
            fast: true,
            window: None,
            ports: Ports::Free,
            threads: 1,
            isa: "auto",
        }
    }
}

/// A running network. Dropping it ends everything it started.
pub struct Network {
    /// The node.
    pub node: Node,
    /// The daemons.
    pub daemons: Vec<Daemon>,
    /// How it was made.
    pub config: NetworkConfig,
    /// Root of the base model.
    pub base_root: Hash,
    /// The programs.
    pub programs: Programs,
    /// Root's own account: Alice holds the sudo key.
    pub root: Person,
}

impl Network {
    /// Starts the node.
    pub async fn start(programs: &Programs, config: NetworkConfig) -> HarnessResult<Self> {
        let (rpc_port, port) = match config.ports {
            Ports::Free => (free_port()?, free_port()?),
            Ports::Fixed(rpc, port, http) => {
                for taken in [rpc, port, http, http.saturating_add(1)] {
                    ensure_free(taken, "run beside it: make demo ARGS=--any-port")?;
                }
                (rpc, port)
            }
        };
        let mut genesis = Genesis::export(programs, "development").await?;
        if config.fast {
            genesis = genesis.pace(500, 240)?;
            for (name, blocks) in PATIENT {
                genesis = genesis.timer(name, blocks)?;
            }
        }
        if let Some(window) = config.window {
            genesis = genesis.timer("window", window)?;
        }
        let (genesis, base_root) = genesis.base(&config.base, config.base_name)?;
        let spec = genesis.write(&config.dir.join("spec.json"))?;
        let node = Node::start(
            programs,
            NodeConfig {
                name: "node".into(),
                authority: "alice",
                spec,
                base_path: config.dir.join("node"),
                rpc_port,
                port,
                node_key: 1,
                bootnodes: Vec::new(),
                alone: true,
            },
        )
        .await?;
        let root = Person::new("Alice", &config.dir, &node.url())?;
        Ok(Self { node, daemons: Vec::new(), config, base_root, programs: programs.clone(), root })
    }

    /// A person of this network.
    pub fn person(&self, name: &str) -> HarnessResult<Person> {
        Person::new(name, &self.config.dir, &self.node.url())
    }

    /// Blob folder of a daemon by its account's name.
    #[must_use]
    pub fn daemon_store(&self, name: &str) -> PathBuf {
        self.daemon_dir(name).join("store")
    }

    fn daemon_dir(&self, name: &str) -> PathBuf {
        self.config.dir.join("daemons").join(name.to_lowercase())
    }

    /// Configuration of the daemon of an account.
    #[must_use]
    pub fn daemon_config(&self, name: &str, takes_jobs: bool, sources: &[PathBuf]) -> DaemonConfig {
        let listen = match self.config.ports {
            Ports::Free => 0,
            Ports::Fixed(_, _, first) => first.saturating_add(u16::try_from(self.daemons.len()).unwrap_or(u16::MAX)),
        };
        DaemonConfig {
            name: format!("{} daemon", name.to_lowercase()),
            account: format!("//{name}"),
            data_dir: self.daemon_dir(name),
            rpc_url: self.node.url(),
            listen: format!("127.0.0.1:{listen}"),
            base: self.config.base.clone(),
            sources: sources.to_vec(),
            threads: self.config.threads,
            isa: self.config.isa,
            takes_jobs,
            tamper: None,
        }
    }

    /// Starts a daemon.
    pub async fn add_daemon(&mut self, config: DaemonConfig) -> HarnessResult {
        let daemon = Daemon::start(&self.programs, config).await?;
        self.daemons.push(daemon);
        Ok(())
    }

    /// The daemon of an account.
    pub fn daemon(&self, name: &str) -> HarnessResult<&Daemon> {
        let account = format!("//{name}");
        let found = self.daemons.iter().find(|d| d.account() == account);
        found.ok_or_else(|| HarnessError::failed(format!("{name} has no daemon")))
    }

    /// The daemon of an account, to be killed or restarted.
    pub fn daemon_mut(&mut self, name: &str) -> HarnessResult<&mut Daemon> {
        let account = format!("//{name}");
        let found = self.daemons.iter_mut().find(|d| d.account() == account);
        found.ok_or_else(|| HarnessError::failed(format!("{name} has no daemon")))
    }

    /// The chain.
    pub async fn chain(&self) -> HarnessResult<&Client> {
        self.root.chain().await
    }

    /// The newest finalised state.
    pub async fn state(&self) -> HarnessResult<State> {
        Ok(self.chain().await?.finalised().await?)
    }

    /// Ends of the logs of everything that runs: what to read when a step failed.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = self.node.tail();
        for daemon in &self.daemons {
            text.push('\n');
            text.push_str(&daemon.tail());
        }
        text
    }
}

/// Finalised blocks of a chain, one after the other, within a time limit. A node that is away is waited out.
pub struct Blocks<'a> {
    chain: &'a Client,
    what: String,
    end: Instant,
    last: Option<Head>,
}

impl<'a> Blocks<'a> {
    /// Blocks from the newest on; `what` is awaited for at most `limit`.
    #[must_use]
    pub fn new(chain: &'a Client, what: impl Into<String>, limit: Duration) -> Self {
        let now = Instant::now();
        Self { chain, what: what.into(), end: now.checked_add(limit).unwrap_or(now), last: None }
    }

    /// The next one: at first the newest, then whenever there is another.
    pub async fn next(&mut self) -> HarnessResult<State> {
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            let next = async {
                match self.last {
                    None => self.chain.finalised().await,
                    Some(head) => self.chain.next_finalised(head).await,
                }
            };
            match tokio::time::timeout(left, next).await {
                Err(_) => {
                    let log = format!("last finalised block: {:?}", self.last.map(|h| h.number));
                    return Err(HarnessError::Waited { what: self.what.clone(), log });
                }
                Ok(Ok(state)) => {
                    self.last = Some(state.head);
                    return Ok(state);
                }
                Ok(Err(e)) if e.is_transient() => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(Err(e)) => return Err(e.into()),
            }
        }
    }
}

/// What was read, or nothing where the node is away for a moment.
pub fn read<T, E: Into<HarnessError>>(found: Result<T, E>) -> HarnessResult<Option<T>> {
    match found.map_err(Into::into) {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.is_transient() => Ok(None),
        Err(e) => Err(e),
    }
}
