//! What every command needs: configuration, chain, store, account.

use std::path::PathBuf;

use serde_json::json;
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
}

impl Context {
    /// A context over a configuration; nothing is opened yet.
    #[must_use]
    pub fn new(config: Config, data_dir: PathBuf, out: Output, account: Option<String>) -> Self {
        Self { config, data_dir, out, account, chain: tokio::sync::OnceCell::new() }
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
                let client = Client::connect(&self.config.chain.rpc_url).await?;
                let pinned = self.config.chain.genesis.trim_start_matches("0x");
                if !pinned.is_empty() && pinned != hex::encode(client.genesis()) {
                    return Err(CliError::usage(
                        format!("the node has genesis 0x{}, chain.genesis is {pinned}", hex::encode(client.genesis())),
                        "connect to the right chain, or clear chain.genesis",
                    ));
                }
                Ok(client)
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
            if !self.out.quiet {
                let mut text = format!("{} as {}\n", call.title(), keys::address(&who));
                for (name, value) in call.describe(&state)? {
                    text.push_str(&format!("  {name}: {value}\n"));
                }
                text.push_str(&format!(
                    "  fee {}, deposit {}, free balance after {}",
                    weft(fee),
                    weft(*held),
                    left.map_or_else(|| "below zero".to_string(), weft)
                ));
                self.out.note(&text);
            }
            shown.push(json!({ "call": call.title(), "fee": fee.to_string(), "deposit": held.to_string() }));
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
        for included in &done {
            self.out.note(&format!("final in block {} (0x{})", included.head.number, hex::encode(included.extrinsic)));
        }
        Ok(Some(done))
    }
}
