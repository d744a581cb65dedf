//! Configuration: defaults, then a TOML file, then environment variables `WEFT_SECTION__KEY`, then flags.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weft_store::StoreConfig;

use crate::error::{CliError, CliResult};

/// Everything `weft` reads from its configuration file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// HTTP server.
    pub server: ServerConfig,
    /// The chain.
    pub chain: ChainConfig,
    /// Work as a compute oracle.
    pub oracle: OracleConfig,
    /// Blobs. `store.path` defaults to `store` in the data folder.
    pub store: StoreConfig,
    /// Bounds on requests.
    pub limits: LimitsConfig,
    /// Logging.
    pub log: LogConfig,
}

/// HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// Host names a request may carry besides the listening address.
    pub allowed_hosts: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".into(),
            allowed_hosts: vec!["localhost".into(), "127.0.0.1".into(), "[::1]".into()],
        }
    }
}

/// The chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// JSON-RPC address of a node.
    pub rpc_url: String,
    /// Genesis hash that the node must have, hex; empty takes the node's.
    pub genesis: String,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self { rpc_url: "ws://127.0.0.1:9944".into(), genesis: String::new() }
    }
}

impl ChainConfig {
    /// The genesis hash that the node must have; `None` takes the node's.
    pub fn pinned(&self) -> CliResult<Option<weft_protocol::hash::Hash>> {
        if self.genesis.trim().is_empty() {
            return Ok(None);
        }
        weft_chain::parse_hash(&self.genesis).map(Some).ok_or_else(|| {
            CliError::usage(
                format!("chain.genesis '{}' is not a hash", self.genesis),
                "write 32 bytes in hex, or clear it",
            )
        })
    }
}

/// Work as a compute oracle.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OracleConfig {
    /// Whether to take jobs. Audits and juries are always answered by a registered account.
    pub take_jobs: bool,
    /// Key: a name, a file, or `//Name` on a development chain.
    pub key_file: String,
    /// Folders of base models in Hugging Face layout; their roots are computed at start.
    pub base_models: Vec<PathBuf>,
    /// Worker threads; 0 takes all cores.
    pub threads: usize,
    /// Runs computed at a time; those due first begin first.
    pub computations: usize,
    /// Instruction set: auto, scalar, avx2 or avx512. Results are equal bit for bit.
    pub isa: String,
}

impl Default for OracleConfig {
    fn default() -> Self {
        Self {
            take_jobs: true,
            key_file: String::new(),
            base_models: Vec::new(),
            threads: 0,
            computations: 2,
            isa: "auto".into(),
        }
    }
}

/// Bounds on requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests that may wait for the model.
    pub queue: usize,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// Units of unredeemed fees above which a channel is redeemed at once. Smaller sums wait for a settlement epoch, or
    /// until the key or the budget ends.
    pub redeem_above: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { queue: 32, max_tokens: 4096, redeem_above: 0 }
    }
}

/// Logging.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Filter such as `info` or `weft=debug`.
    pub level: String,
    /// text or json.
    pub format: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: "text".into() }
    }
}

/// Data folder: `$XDG_DATA_HOME/weft`, else `~/.local/share/weft`, else `./weft-data`.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    directories::ProjectDirs::from("", "", "weft")
        .map_or_else(|| PathBuf::from("weft-data"), |d| d.data_dir().to_path_buf())
}

/// Reads the configuration: `explicit`, else `/etc/weft/weft.toml`, else the user's. Unknown keys are refused.
pub fn load(explicit: Option<&Path>, data_dir: &Path) -> CliResult<Config> {
    let user = directories::ProjectDirs::from("", "", "weft").map(|d| d.config_dir().join("weft.toml"));
    let path = match explicit {
        Some(p) => Some(p.to_path_buf()),
        None => [Some(PathBuf::from("/etc/weft/weft.toml")), user].into_iter().flatten().find(|p| p.exists()),
    };
    let mut table = toml::Table::new();
    if let Some(path) = &path {
        let text = std::fs::read_to_string(path)
            .map_err(|e| CliError::usage(format!("cannot read {}: {e}", path.display()), "check --config"))?;
        table = text
            .parse()
            .map_err(|e| CliError::usage(format!("{} is not TOML: {e}", path.display()), "mend the line named"))?;
    }
    for (name, value) in std::env::vars() {
        let Some((section, key)) = name.strip_prefix("WEFT_").and_then(|n| n.split_once("__")) else { continue };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let parsed = format!("v = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.clone()));
        if let Some(t) = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new())).as_table_mut() {
            t.insert(key, parsed);
        }
    }
    let mut config: Config = toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| {
        let file = path.as_ref().map_or_else(|| "the environment".to_string(), |p| p.display().to_string());
        CliError::usage(format!("configuration in {file}: {e}"), "see `weft config show` for every key and its default")
    })?;
    if config.store.path == StoreConfig::default().path {
        config.store.path = data_dir.join("store");
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_should_be_refused_when_loading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weft.toml");
        std::fs::write(&path, "[server]\nlistne = \"x\"\n").unwrap();
        let e = load(Some(&path), dir.path()).unwrap_err();
        assert!(e.cause.contains("listne"), "{e}");
        std::fs::write(&path, "[server]\nlisten = \"127.0.0.1:1\"\n").unwrap();
        let c = load(Some(&path), dir.path()).unwrap();
        assert_eq!(c.server.listen, "127.0.0.1:1");
        assert_eq!(c.store.path, dir.path().join("store"));
    }
}
