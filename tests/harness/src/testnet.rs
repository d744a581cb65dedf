//! A network of validators.

use std::{path::Path, time::Duration};

use serde_json::{json, Value};
use tokio::time::Instant;
use weft_protocol::economics::Timers;

use crate::{
    genesis::Genesis,
    http,
    node::{Node, NodeConfig},
    process::free_port,
    HarnessError, HarnessResult, Programs,
};

/// Longest wait for blocks on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);
/// Validators of `local_testnet`.
const AUTHORITIES: [&str; 4] = ["alice", "bob", "charlie", "dave"];

/// Starts the four validators of `local_testnet`.
pub async fn start(programs: &Programs, dir: &Path) -> HarnessResult<Vec<Node>> {
    let spec = Genesis::export(programs, "local_testnet").await?.write(&dir.join("spec.json"))?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut bootnodes = Vec::new();
    for (key, authority) in (1u8..).zip(AUTHORITIES) {
        let config = NodeConfig {
            name: authority.to_string(),
            authority,
            spec: spec.clone(),
            base_path: dir.join(authority),
            rpc_port: free_port()?,
            port: free_port()?,
            node_key: key,
            bootnodes: bootnodes.clone(),
            alone: false,
        };
        let mut node = Node::start(programs, config).await?;
        bootnodes.push(node.address().await?);
        nodes.push(node);
    }
    Ok(nodes)
}

/// The shortest timer in which a daemon must answer.
#[must_use]
pub fn answers(t: &Timers) -> u32 {
    [t.run, t.audit, t.reveal, t.response, t.data, t.jury].into_iter().min().unwrap_or_default()
}

/// A JSON-RPC call over HTTP.
pub async fn rpc(url: &str, method: &str, params: Value) -> HarnessResult<Value> {
    let url = url.replacen("ws://", "http://", 1);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut answer = http::post(&url, &body).await?;
    answer
        .get_mut("result")
        .map(Value::take)
        .ok_or_else(|| HarnessError::Http { url: url.clone(), reason: format!("{method}: {answer}") })
}

fn number(header: &Value) -> Option<u32> {
    let text = header.get("number").and_then(Value::as_str)?;
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// Numbers of the best and of the newest finalised block.
pub async fn heads(url: &str) -> HarnessResult<(u32, u32)> {
    let bad = || HarnessError::Http { url: url.to_string(), reason: "a header has no number".into() };
    // The finalised block first: the best one may only move on meanwhile, so the lag is never too small.
    let hash = rpc(url, "chain_getFinalizedHead", json!([])).await?;
    let finalised = rpc(url, "chain_getHeader", json!([hash])).await?;
    let best = rpc(url, "chain_getHeader", json!([])).await?;
    Ok((number(&best).ok_or_else(bad)?, number(&finalised).ok_or_else(bad)?))
}

/// Waits until a node has finalised `block`.
pub async fn finalised(url: &str, block: u32) -> HarnessResult {
    let end = Instant::now() + LIMIT;
    loop {
        let (best, last) = heads(url).await?;
        if last >= block {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(HarnessError::Waited {
                what: format!("block {block} to be final at {url}"),
                log: format!("best {best}, finalised {last}"),
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Hash of a block.
pub async fn hash_of(url: &str, block: u32) -> HarnessResult<Value> {
    rpc(url, "chain_getBlockHash", json!([block])).await
}

/// Largest number of blocks by which finality lags behind the best block, watched over `blocks` new blocks.
pub async fn lag(url: &str, blocks: u32) -> HarnessResult<u32> {
    let end = Instant::now() + LIMIT;
    let (first, _) = heads(url).await?;
    let mut most = 0;
    loop {
        let (best, last) = heads(url).await?;
        most = most.max(best.saturating_sub(last));
        if best >= first.saturating_add(blocks) {
            return Ok(most);
        }
        if Instant::now() > end {
            return Err(HarnessError::Waited {
                what: format!("{blocks} blocks at {url}"),
                log: format!("best {best}"),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
