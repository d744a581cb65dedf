//! Connection, finalised blocks, submission.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use subxt::{
    backend::LegacyBackend,
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    config::DefaultExtrinsicParamsBuilder,
    error::{DispatchError, TransactionProgressError},
    rpcs::{methods::legacy::LegacyRpcMethods, RpcClient},
    tx::Payload,
    utils::AccountId32,
    OnlineClient, PolkadotConfig,
};
use subxt_signer::sr25519::Keypair;
use tokio::sync::RwLock;
use weft_protocol::hash::Hash;

use crate::{error::without_layers, ChainError, State};

/// Configuration of the chain for subxt: 32-bit block numbers, 32-byte accounts, standard extensions.
pub type Config = PolkadotConfig;
/// Access to the chain's state at one block.
pub(crate) type At = ClientAtBlock<Config, OnlineClientAtBlockImpl<Config>>;
/// Events of a whole block.
pub type BlockEvents = subxt::events::Events<Config>;

/// Events of one transaction.
pub struct Events {
    block: BlockEvents,
    index: u32,
}

impl Events {
    /// The transaction's events in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<subxt::events::Event<'_, Config>, subxt::error::EventsError>> {
        self.block.iter().filter(|e| match e {
            Ok(e) => e.phase() == subxt::events::Phase::ApplyExtrinsic(self.index),
            Err(_) => true,
        })
    }
}

/// Number and hash of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Block number.
    pub number: u32,
    /// Block hash.
    pub hash: Hash,
}

/// A transaction that is in a finalised block and succeeded.
pub struct Included {
    /// The block.
    pub head: Head,
    /// Hash of the extrinsic.
    pub extrinsic: Hash,
    /// Its events.
    pub events: Events,
}

#[derive(Clone)]
struct Api {
    online: OnlineClient<Config>,
    rpc: LegacyRpcMethods<subxt::config::RpcConfigFor<Config>>,
    raw: RpcClient,
}

/// A client of one node that survives the node's restart: a broken connection is made anew by the next call. Clones share
/// the connection.
#[derive(Clone)]
pub struct Client {
    url: String,
    genesis: Hash,
    development: bool,
    api: Arc<RwLock<Option<Api>>>,
}

/// How often a waiting client looks for a new finalised block. Blocks take 500 ms or more.
const POLL: Duration = Duration::from_millis(120);
/// Longest wait for one answer: the node's WebSocket has no ping, so a connection whose other end went away without a
/// word shows only by silence.
const ANSWER: Duration = Duration::from_secs(10);
/// Without a new finalised block for this long the connection is made anew: a node behind a dead proxy still answers.
const SILENCE: Duration = Duration::from_secs(60);

impl Client {
    /// Connects to a node of any chain.
    pub async fn connect(url: &str) -> Result<Self, ChainError> {
        Self::connect_to(url, None).await
    }

    /// Connects to a node; a pinned genesis hash must be the node's.
    pub async fn connect_to(url: &str, pinned: Option<Hash>) -> Result<Self, ChainError> {
        let api = Self::dial(url).await?;
        let genesis = api.online.genesis_hash().0;
        same_chain(url, &genesis, &pinned.unwrap_or(genesis))?;
        let kind = in_time(url, api.rpc.system_chain_type()).await?;
        let api = Arc::new(RwLock::new(Some(api)));
        Ok(Self { url: url.to_string(), genesis, development: kind == "Development", api })
    }

    async fn dial(url: &str) -> Result<Api, ChainError> {
        let dialled = tokio::time::timeout(ANSWER, Self::dial_in_time(url)).await;
        dialled.map_err(|_| silent(url))?
    }

    async fn dial_in_time(url: &str) -> Result<Api, ChainError> {
        let rpc = RpcClient::from_insecure_url(url)
            .await
            .map_err(|e| ChainError::Unreachable { url: url.to_string(), reason: without_layers(&e.to_string()) })?;
        // The older RPC group: one answer per question. The chainHead group pins blocks for a subscription whose driver
        // must be polled by the runtime that built it, and this client is shared between runtimes.
        let backend = LegacyBackend::builder().build(rpc.clone());
        let online = OnlineClient::<Config>::from_backend(Arc::new(backend))
            .await
            .map_err(|e| ChainError::from_subxt(url, e))?;
        Ok(Api { online, rpc: LegacyRpcMethods::new(rpc.clone()), raw: rpc })
    }

    /// A client of the same node with a connection of its own, made by its first call. A connection is driven by the
    /// runtime that made it: a runtime that must not wait for another needs its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { api: Arc::new(RwLock::new(None)), ..self.clone() }
    }

    /// Address of the node.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Genesis hash: the identity of the chain.
    #[must_use]
    pub const fn genesis(&self) -> Hash {
        self.genesis
    }

    /// Whether development accounts such as `//Alice` may be used.
    #[must_use]
    pub const fn is_development(&self) -> bool {
        self.development
    }

    async fn api(&self) -> Result<Api, ChainError> {
        if let Some(api) = self.api.read().await.as_ref() {
            return Ok(api.clone());
        }
        let mut slot = self.api.write().await;
        if let Some(api) = slot.as_ref() {
            return Ok(api.clone());
        }
        let api = Self::dial(&self.url).await?;
        same_chain(&self.url, &api.online.genesis_hash().0, &self.genesis)?;
        *slot = Some(api.clone());
        Ok(api)
    }

    fn state(&self, at: At) -> State {
        State { head: head_of(&at), at, url: self.url.clone() }
    }

    /// Sorts an error; a broken connection is forgotten, so that the next call dials again.
    pub(crate) async fn fail(&self, e: impl Into<subxt::Error>) -> ChainError {
        let e = ChainError::from_subxt(&self.url, e);
        if matches!(e, ChainError::Unreachable { .. }) {
            *self.api.write().await = None;
        }
        e
    }

    /// The answer of one question, waited for no longer than [`ANSWER`]; after a silence the next call dials again.
    async fn ask<T, E>(&self, question: impl Future<Output = Result<T, E>>) -> Result<T, ChainError>
    where
        E: Into<subxt::Error>,
    {
        let told = tokio::time::timeout(ANSWER, question).await;
        match told {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => Err(self.fail(e).await),
            Err(_) => {
                *self.api.write().await = None;
                Err(silent(&self.url))
            }
        }
    }

    /// State at the newest finalised block.
    pub async fn finalised(&self) -> Result<State, ChainError> {
        let api = self.api().await?;
        Ok(self.state(self.ask(api.online.at_current_block()).await?))
    }

    /// State at a block number; fails when the chain is shorter or the state is pruned.
    pub async fn at(&self, number: u32) -> Result<State, ChainError> {
        let api = self.api().await?;
        Ok(self.state(self.ask(api.online.at_block(number)).await?))
    }

    /// Hash of the block with this number on the node's chain; `None` when the chain is shorter.
    pub async fn hash_at(&self, number: u32) -> Result<Option<Hash>, ChainError> {
        let api = self.api().await?;
        Ok(self.ask(api.rpc.chain_get_block_hash(Some(number.into()))).await?.map(|h| h.0))
    }

    /// Waits for a finalised block other than `after`. Returns at once when the finalised chain got *shorter* than
    /// `after`, as after the loss of a killed single validator's last blocks.
    pub async fn next_finalised(&self, after: Head) -> Result<State, ChainError> {
        let mut heard = Instant::now();
        loop {
            let state = self.finalised().await?;
            if state.head != after {
                return Ok(state);
            }
            if heard.elapsed() > SILENCE {
                let seconds = SILENCE.as_secs();
                tracing::warn!(block = after.number, "no new finalised block in {seconds} s; connecting anew");
                *self.api.write().await = None;
                heard = Instant::now();
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Next nonce of an account, transactions in the pool included.
    pub async fn next_nonce(&self, account: &[u8; 32]) -> Result<u64, ChainError> {
        let api = self.api().await?;
        self.ask(api.rpc.system_account_next_index(&AccountId32(*account))).await
    }

    /// Fee of a call, in units, without submitting it.
    pub async fn fee<P: Payload>(&self, signer: &Keypair, call: &P) -> Result<u128, ChainError> {
        let State { at, .. } = self.finalised().await?;
        let nonce = self.next_nonce(&signer.public_key().0).await?;
        let params = DefaultExtrinsicParamsBuilder::<Config>::new().nonce(nonce).build();
        let mut txs = at.transactions();
        let signed = self.ask(txs.create_signed(call, signer, params)).await?;
        self.ask(signed.partial_fee_estimate()).await
    }

    /// Signs a call and submits it without waiting. Returns the progress to wait on.
    pub async fn send<P: Payload>(&self, signer: &Keypair, nonce: u64, call: &P) -> Result<Pending, ChainError> {
        let State { at, .. } = self.finalised().await?;
        let params = DefaultExtrinsicParamsBuilder::<Config>::new().nonce(nonce).build();
        let mut txs = at.transactions();
        let signed = self.ask(txs.create_signed(call, signer, params)).await?;
        let from = u32::try_from(at.block_number()).unwrap_or(u32::MAX);
        let extrinsic = signed.hash().0;
        let handed_in = tokio::time::timeout(ANSWER, signed.submit_and_watch()).await;
        let progress = match handed_in {
            Ok(Ok(progress)) => Some(progress),
            // The pool took the transaction over from its own queue while it was being handed in: it is in the pool, and
            // only the subscription is missing.
            Ok(Err(e)) if e.to_string().contains("Already Imported") => None,
            Ok(Err(e)) => return Err(self.fail(e).await),
            // It may have arrived: the blocks decide, and it is handed in again with the same bytes.
            Err(_) => None,
        };
        let bytes = signed.into_encoded();
        Ok(Pending { progress, sent: Sent { client: self.clone(), from, extrinsic, bytes } })
    }

    /// Signs, submits, and waits until the call is in a finalised block and succeeded.
    pub async fn submit<P: Payload>(&self, signer: &Keypair, call: &P) -> Result<Included, ChainError> {
        let nonce = self.next_nonce(&signer.public_key().0).await?;
        self.send(signer, nonce, call).await?.wait().await
    }

    /// Submits several calls of one account back to back and waits until all are final; the first failure is returned
    /// after all have settled.
    pub async fn submit_all<P: Payload>(&self, signer: &Keypair, calls: &[P]) -> Result<Vec<Included>, ChainError> {
        let first = self.next_nonce(&signer.public_key().0).await?;
        let mut pending = Vec::new();
        for (nonce, call) in (first..).zip(calls) {
            pending.push(self.send(signer, nonce, call).await?);
        }
        let mut done = Vec::new();
        let mut failed = None;
        for p in pending {
            match p.wait().await {
                Ok(included) => done.push(included),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        failed.map_or(Ok(done), Err)
    }
}

/// How long a node that restarts may be away while somebody waits for a transaction.
const AWAY: Duration = Duration::from_secs(300);
/// Finalised blocks after submission in which a transaction is looked for: it lives 32 blocks at most, and the finalised
/// head lags the block that it is signed against.
const SCAN: u32 = 64;
/// Finalised blocks without the transaction after which it is handed in again: a node that ended in between has lost its
/// pool, and the message may be due within ten blocks.
const AGAIN: u32 = 4;

/// A submitted transaction.
pub struct Pending {
    /// The node's subscription; none when the pool had taken the transaction over by itself.
    progress: Option<subxt::tx::TransactionProgress<Config, OnlineClientAtBlockImpl<Config>>>,
    sent: Sent,
}

/// What finds a transaction in the blocks.
struct Sent {
    client: Client,
    /// Finalised when it was submitted.
    from: u32,
    /// Hash of the extrinsic.
    extrinsic: Hash,
    /// The signed extrinsic.
    bytes: Vec<u8>,
}

impl Pending {
    /// Waits until the transaction is final; an error of the runtime is named with cause and next step.
    ///
    /// A node that restarts ends its subscriptions, so the blocks have the last word: when the subscription ends without
    /// a verdict, or outlives the transaction, finalised blocks from the submission on are searched. That ends after 64
    /// finalised blocks at the latest.
    pub async fn wait(self) -> Result<Included, ChainError> {
        let Self { progress, sent } = self;
        let told = match progress {
            None => Err(None),
            Some(progress) => tokio::select! {
                done = progress.wait_for_finalized() => {
                    done.map(|block| block.block_hash().0).map_err(|e| sent.verdict(e))
                }
                () = sent.outlived() => Err(None),
            },
        };
        match told {
            Ok(block) => {
                if let Some(included) = sent.find(block).await? {
                    return Ok(included);
                }
            }
            Err(Some(refused)) => return Err(refused),
            Err(None) => {}
        }
        sent.scan().await
    }
}

impl Sent {
    /// The error that ends the wait; `None` when only the subscription has ended.
    fn verdict(&self, e: TransactionProgressError) -> Option<ChainError> {
        if matches!(e, TransactionProgressError::TransactionStatusError(_)) {
            return Some(ChainError::from_subxt(&self.client.url, e));
        }
        tracing::debug!("{e}; looking for the transaction in finalised blocks");
        None
    }

    /// Hands the same bytes in again. A pool or block that holds them already refuses them, and nothing changes.
    async fn hand_in(&self) {
        let done = async {
            let api = self.client.api().await?;
            let text = format!("0x{}", hex::encode(&self.bytes));
            let question =
                api.raw.request::<serde_json::Value>("author_submitExtrinsic", subxt::rpcs::rpc_params![text]);
            self.client.ask(question).await
        };
        match done.await {
            Ok(_) => tracing::info!("a transaction was not in the node's pool any more; it is handed in again"),
            Err(e) => tracing::debug!("not taken again: {e}"),
        }
    }

    /// Ends when the transaction can be in no later block; until then it is handed in again now and then.
    async fn outlived(&self) {
        let last = self.from.saturating_add(SCAN);
        let mut again = self.from.saturating_add(AGAIN);
        loop {
            // An unreachable node is waited out: its blocks decide.
            if let Ok(State { head, .. }) = self.client.finalised().await {
                if head.number >= last {
                    return;
                }
                if head.number >= again {
                    self.hand_in().await;
                    again = head.number.saturating_add(AGAIN);
                }
            }
            tokio::time::sleep(POLL.saturating_mul(4)).await;
        }
    }

    /// Reads finalised blocks after the submission until one holds the transaction.
    async fn scan(&self) -> Result<Included, ChainError> {
        let mut number = self.from.saturating_add(1);
        let last = self.from.saturating_add(SCAN);
        // The subscription has ended: the node that had the transaction may have, too.
        let mut again = number;
        let mut heard = Instant::now();
        while number <= last {
            match self.look(number).await {
                Ok(Some(Some(included))) => return Ok(included),
                Ok(Some(None)) => {
                    number = number.saturating_add(1);
                    heard = Instant::now();
                }
                Ok(None) => {
                    heard = Instant::now();
                    if number >= again {
                        self.hand_in().await;
                        again = number.saturating_add(AGAIN);
                    }
                    tokio::time::sleep(POLL).await;
                }
                // The node is away; the next call dials again.
                Err(e) if e.is_transient() && heard.elapsed() < AWAY => {
                    tokio::time::sleep(POLL.saturating_mul(4)).await;
                }
                Err(e) => return Err(e),
            }
        }
        Err(ChainError::Dropped { reason: format!("no finalised block up to {last} holds it") })
    }

    /// What block `number` says of the transaction; `None` while it is not final.
    async fn look(&self, number: u32) -> Result<Option<Option<Included>>, ChainError> {
        if self.client.finalised().await?.head.number < number {
            return Ok(None);
        }
        match self.client.hash_at(number).await? {
            Some(block) => self.find(block).await.map(Some),
            None => Ok(None),
        }
    }

    /// The transaction in a block, if it is there; an error when the runtime refused it.
    async fn find(&self, block: Hash) -> Result<Option<Included>, ChainError> {
        let api = self.client.api().await?;
        let place = self.client.ask(index_in_block(&api.raw, &block, &self.extrinsic)).await?;
        let Some(index) = place else { return Ok(None) };
        let at = self.client.ask(api.online.at_block(subxt::utils::H256(block))).await?;
        let block = self.client.ask(at.events().fetch()).await?;
        let events = Events { block, index };
        for event in events.iter() {
            let event = event.map_err(ChainError::incompatible)?;
            if event.pallet_name() == "System" && event.event_name() == "ExtrinsicFailed" {
                let cause =
                    DispatchError::decode_from(event.field_bytes(), at.metadata()).map_err(ChainError::incompatible)?;
                return Err(refusal(&cause));
            }
        }
        Ok(Some(Included { head: head_of(&at), extrinsic: self.extrinsic, events }))
    }
}

/// The answer of one question about a state, waited for no longer than [`ANSWER`].
pub(crate) async fn in_time<T, E>(url: &str, question: impl Future<Output = Result<T, E>>) -> Result<T, ChainError>
where
    E: Into<subxt::Error>,
{
    match tokio::time::timeout(ANSWER, question).await {
        Ok(told) => told.map_err(|e| ChainError::from_subxt(url, e)),
        Err(_) => Err(silent(url)),
    }
}

fn silent(url: &str) -> ChainError {
    ChainError::Unreachable {
        url: url.to_string(),
        reason: format!("the connection gave no answer in {} s", ANSWER.as_secs()),
    }
}

fn same_chain(url: &str, found: &Hash, expected: &Hash) -> Result<(), ChainError> {
    if found == expected {
        return Ok(());
    }
    Err(ChainError::WrongGenesis { url: url.to_string(), found: hex::encode(found), expected: hex::encode(expected) })
}

/// Place of an extrinsic in a block. The block is read as plain JSON: its justification has a form that the typed client
/// does not read.
async fn index_in_block(rpc: &RpcClient, block: &Hash, extrinsic: &Hash) -> Result<Option<u32>, subxt::Error> {
    let hash = format!("0x{}", hex::encode(block));
    let answer: serde_json::Value = rpc.request("chain_getBlock", subxt::rpcs::rpc_params![hash]).await?;
    let list = answer.pointer("/block/extrinsics").and_then(serde_json::Value::as_array);
    let place = list.into_iter().flatten().position(|e| {
        let text = e.as_str().unwrap_or_default().trim_start_matches("0x");
        hex::decode(text).is_ok_and(|bytes| weft_protocol::hash::blake2_256(&bytes) == *extrinsic)
    });
    Ok(place.and_then(|p| u32::try_from(p).ok()))
}

fn head_of(at: &At) -> Head {
    Head { number: u32::try_from(at.block_number()).unwrap_or(u32::MAX), hash: at.block_hash().0 }
}

/// Turns a dispatch error into cause and next step, from the metadata's own docs.
#[must_use]
pub fn refusal(e: &DispatchError) -> ChainError {
    if let DispatchError::Module(m) = e {
        if let Ok(d) = m.details() {
            return ChainError::Refused {
                pallet: d.pallet.name().to_string(),
                name: d.variant.name.clone(),
                docs: d.variant.docs.join(" ").trim().to_string(),
            };
        }
    }
    ChainError::Refused { pallet: "System".into(), name: "DispatchError".into(), docs: e.to_string() }
}
