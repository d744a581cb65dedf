//! Nodes of a test network.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{process::Process, HarnessError, HarnessResult, Programs};

/// How long a node may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// How a node is started; a restart uses the same.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name in messages.
    pub name: String,
    /// Account whose session keys it holds: `alice`, `bob`, `charlie`, `dave`.
    pub authority: &'static str,
    /// Chain specification.
    pub spec: PathBuf,
    /// Folder of its database: always given, so that a killed node comes back with its blocks.
    pub base_path: PathBuf,
    /// Port of JSON-RPC.
    pub rpc_port: u16,
    /// Port of the network.
    pub port: u16,
    /// Its network key: this byte, preceded by zeros.
    pub node_key: u8,
    /// Addresses of other nodes.
    pub bootnodes: Vec<String>,
    /// Whether it may write blocks without peers.
    pub alone: bool,
}

/// A running node. Dropping it kills it.
pub struct Node {
    programs: Programs,
    config: NodeConfig,
    process: Process,
}

/// Refuses when nobody can listen on a port of loopback.
pub fn ensure_free(port: u16, next: &'static str) -> HarnessResult {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(HarnessError::PortTaken { port, next }),
    }
}

/// Whether a node that listens on `addresses`, joined by commas, serves `port` of loopback.
fn serves(addresses: &str, port: u16) -> bool {
    let wanted = format!("127.0.0.1:{port}");
    addresses.split(',').any(|address| address.trim() == wanted)
}

impl Node {
    /// Starts a node and waits until it serves JSON-RPC.
    pub async fn start(programs: &Programs, config: NodeConfig) -> HarnessResult<Self> {
        let process = Self::launch(programs, &config)?;
        let mut node = Self { programs: programs.clone(), config, process };
        node.ready(0).await?;
        Ok(node)
    }

    fn launch(programs: &Programs, config: &NodeConfig) -> HarnessResult<Process> {
        let mut command = programs.guarded("weft-node");
        command
            .arg("--chain")
            .arg(&config.spec)
            .arg("--base-path")
            .arg(&config.base_path)
            .arg(format!("--{}", config.authority))
            .args(["--rpc-port", &config.rpc_port.to_string()])
            .arg("--listen-addr")
            .arg(format!("/ip4/127.0.0.1/tcp/{}", config.port))
            .arg("--node-key")
            .arg(format!("{:064x}", config.node_key))
            .args(["--no-mdns", "--no-telemetry", "--no-prometheus", "--allow-private-ip"])
            .args(["--state-pruning", "archive", "--blocks-pruning", "archive"])
            .args(["--rpc-max-connections", "1000", "--rpc-rate-limit-whitelisted-ips", "127.0.0.1/32"]);
        if config.alone {
            command.arg("--force-authoring");
        }
        for address in &config.bootnodes {
            command.args(["--bootnodes", address]);
        }
        Process::start(&config.name, command, &Self::log_file(config))
    }

    fn log_file(config: &NodeConfig) -> PathBuf {
        config.base_path.join("node.log")
    }

    /// Waits until it serves JSON-RPC, and on the port that was asked for: a node that finds it taken quietly takes
    /// another one.
    async fn ready(&mut self, from: u64) -> HarnessResult {
        let addresses = self.process.wait_for_line("Running JSON-RPC server: addr=", from, START).await?;
        if serves(&addresses, self.config.rpc_port) {
            return Ok(());
        }
        self.process.kill();
        Err(HarnessError::PortTaken { port: self.config.rpc_port, next: "start again" })
    }

    /// Address of JSON-RPC.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.config.rpc_port)
    }

    /// Its address in the network, for other nodes.
    pub async fn address(&mut self) -> HarnessResult<String> {
        let id = self.process.wait_for_line("Local node identity is: ", 0, START).await?;
        Ok(format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.config.port, id.trim()))
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same folder and ports.
    pub async fn restart(&mut self) -> HarnessResult {
        self.process.kill();
        let from = self.process.log_len();
        self.process = Self::launch(&self.programs, &self.config)?;
        self.ready(from).await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_should_be_told_apart_when_a_node_listens_on_another() {
        assert!(serves("127.0.0.1:9944,", 9944));
        assert!(serves("127.0.0.1:9944,[::1]:9944", 9944));
        assert!(!serves("127.0.0.1:39944,[::1]:9944", 9944));
        assert!(!serves("127.0.0.1:40123,", 9944));
    }
}
