//! What every command needs: configuration, chain, store, account.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{system, Call, Client, Included};
use weft_store::BlobStore;

use crate::{
    config::{self, Config},
    error::{CliError, CliResult, Exit},
    keys,
    output::{weft, Output},
};

/// Context of one command.
pub struct Context {
    /// Configuration.
    pub config: Config,
    /// Data folder.
    pub data_dir: PathBuf,
    /// How to talk.
    pub out: Output,
    /// `--account`.
    pub account: Option<String>,
    chain: tokio::sync::OnceCell<Client>,
    /// What this command signed, for its result in JSON.
    signed: Mutex<Vec<Value>>,
}

/// Refuses an address at which no node can answer, before anything waits for it.
pub(crate) fn node_url(url: &str) -> CliResult {
    if url.starts_with("ws://") || url.starts_with("wss://") {
        return Ok(());
    }
    Err(CliError::usage(format!("'{url}' is no address of a node"), "use ws:// or wss://, such as ws://127.0.0.1:9944"))
}

impl Context {
    /// A context over a configuration; nothing is opened yet.
    #[must_use]
    pub fn new(config: Config, data_dir: PathBuf, out: Output, account: Option<String>) -> Self {
        Self { config, data_dir, out, account, chain: tokio::sync::OnceCell::new(), signed: Mutex::default() }
    }

    /// Prints the result: `value` for scripts, with the calls that were signed, and `text` for people.
    pub fn result(&self, value: &Value, text: &str) {
        let calls = std::mem::take(&mut *self.signed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut value = value.clone();
        if let (Some(map), false) = (value.as_object_mut(), calls.is_empty()) {
            map.insert("calls".into(), calls.into());
        }
        self.out.result(&value, text);
    }

    /// Default data folder and configuration, for tests and scenarios.
    pub fn open(data_dir: PathBuf, rpc_url: &str, out: Output) -> CliResult<Self> {
        let mut config = config::load(None, &data_dir)?;
        config.chain.rpc_url = rpc_url.to_string();
        Ok(Self::new(config, data_dir, out, None))
    }

    /// The chain, connected on first use.
    pub async fn chain(&self) -> CliResult<&Client> {
        self.chain
            .get_or_try_init(|| async {
                let chain = &self.config.chain;
                node_url(&chain.rpc_url)?;
                Ok(Client::connect_to(&chain.rpc_url, chain.pinned()?).await?)
            })
            .await
    }

    /// The daemon's or user's blobs.
    pub fn store(&self) -> CliResult<BlobStore> {
        Ok(BlobStore::open(self.config.store.clone())?)
    }

    /// The key of `--account`.
    pub async fn signer(&self) -> CliResult<Keypair> {
        let name = self.account.as_deref().ok_or_else(|| {
            CliError::usage(
                "this command signs, and no account is named",
                "add --account NAME (a key of `weft key generate`), a key file, or //Name on a development chain",
            )
        })?;
        keys::load(name, &self.data_dir, self.chain().await?.is_development())
    }

    /// Shows call, fee, deposit and balance after, asks, signs, and waits until the call is final.
    ///
    /// `held` is what the call puts on hold in the smallest unit. Returns `None` for `--dry-run` and for "no".
    pub async fn sign(&self, signer: &Keypair, call: &Call, held: u128) -> CliResult<Option<Included>> {
        let done = self.sign_all(signer, &[(call.clone(), held)]).await?;
        Ok(done.and_then(|mut list| list.pop()))
    }

    /// As [`Context::sign`] for several calls of one account, sent back to back after one question.
    pub async fn sign_all(&self, signer: &Keypair, calls: &[(Call, u128)]) -> CliResult<Option<Vec<Included>>> {
        let chain = self.chain().await?;
        let state = chain.finalised().await?;
        let who = signer.public_key().0;
        let before = system::balance(&state, &who).await?;
        let mut left = Some(before.free);
        let mut needed = 0u128;
        let mut shown = Vec::new();
        for (call, held) in calls {
            let fee = chain.fee(signer, call).await?;
            let cost = fee.saturating_add(*held);
            needed = needed.saturating_add(cost);
            left = left.and_then(|l| l.checked_sub(cost));
            let arguments = call.describe(&state)?;
            let mut text = format!("{} as {}\n", call.title(), keys::address(&who));
            for (name, value) in &arguments {
                text.push_str(&format!("  {name}: {value}\n"));
            }
            text.push_str(&format!(
                "  fee {}, deposit {}, free balance after {}",
                weft(fee),
                weft(*held),
                left.map_or_else(|| format!("not enough: {} are free", weft(before.free)), weft)
            ));
            self.out.announce(&text);
            shown.push(json!({
                "call": call.title(),
                "args": call.describe_json(&state)?,
                "call_data": format!("0x{}", hex::encode(call.encoded(&state)?)),
                "account": keys::address(&who),
                "fee": fee.to_string(),
                "deposit": held.to_string(),
                "balance_after": left.map(|l| l.to_string()),
            }));
        }
        if left.is_none() {
            return Err(CliError::new(
                Exit::Funds,
                "funds",
                format!("{} has {} free, {} are needed", keys::address(&who), weft(before.free), weft(needed)),
                "fund the account",
            ));
        }
        if self.out.dry_run {
            self.out.result(&json!({ "calls": shown, "signed": false }), "not signed (--dry-run)");
            return Ok(None);
        }
        if !self.out.confirm("Sign and send?")? {
            self.out.note("not signed");
            return Ok(None);
        }
        let plain: Vec<Call> = calls.iter().map(|(call, _)| call.clone()).collect();
        let done = chain.submit_all(signer, &plain).await?;
        for (included, call) in done.iter().zip(&mut shown) {
            let extrinsic = format!("0x{}", hex::encode(included.extrinsic));
            self.out.note(&format!("final in block {} ({extrinsic})", included.head.number));
            if let Some(map) = call.as_object_mut() {
                map.insert("block".into(), included.head.number.into());
                map.insert("extrinsic".into(), extrinsic.into());
            }
        }
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).extend(shown);
        Ok(Some(done))
    }
}
