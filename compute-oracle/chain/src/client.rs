//! Connection, finalised blocks, submission.

use std::{sync::Arc, time::Duration};

use subxt::{
    backend::LegacyBackend,
    client::{ClientAtBlock, OnlineClientAtBlockImpl},
    config::DefaultExtrinsicParamsBuilder,
    error::DispatchError,
    rpcs::{methods::legacy::LegacyRpcMethods, RpcClient},
    tx::Payload,
    utils::AccountId32,
    OnlineClient, PolkadotConfig,
};
use subxt_signer::sr25519::Keypair;
use tokio::sync::RwLock;
use weft_protocol::hash::Hash;

use crate::{ChainError, State};

/// Configuration of the chain for subxt: 32-bit block numbers, 32-byte accounts, standard extensions.
pub type Config = PolkadotConfig;
/// Access to the chain's state at one block.
pub type At = ClientAtBlock<Config, OnlineClientAtBlockImpl<Config>>;
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

/// A client of one node that survives the node's restart: a broken connection is made anew by the next call.
pub struct Client {
    url: String,
    genesis: Hash,
    development: bool,
    api: RwLock<Option<Api>>,
}

/// How often a waiting client looks for a new finalised block. Blocks take 500 ms or more.
const POLL: Duration = Duration::from_millis(120);

impl Client {
    /// Connects to a node.
    pub async fn connect(url: &str) -> Result<Self, ChainError> {
        let api = Self::dial(url).await?;
        let genesis = api.online.genesis_hash().0;
        let kind = api.rpc.system_chain_type().await.map_err(|e| ChainError::from_subxt(url, e))?;
        Ok(Self { url: url.to_string(), genesis, development: kind == "Development", api: RwLock::new(Some(api)) })
    }

    async fn dial(url: &str) -> Result<Api, ChainError> {
        let rpc = RpcClient::from_insecure_url(url)
            .await
            .map_err(|e| ChainError::Unreachable { url: url.to_string(), reason: e.to_string() })?;
        // The older RPC group: one answer per question. The chainHead group pins blocks for a subscription whose driver
        // must be polled by the runtime that built it, and this client is shared between runtimes.
        let backend = LegacyBackend::builder().build(rpc.clone());
        let online = OnlineClient::<Config>::from_backend(Arc::new(backend))
            .await
            .map_err(|e| ChainError::from_subxt(url, e))?;
        Ok(Api { online, rpc: LegacyRpcMethods::new(rpc.clone()), raw: rpc })
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
        let found = api.online.genesis_hash().0;
        if found != self.genesis {
            return Err(ChainError::WrongGenesis {
                url: self.url.clone(),
                found: hex::encode(found),
                expected: hex::encode(self.genesis),
            });
        }
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

    /// State at the newest finalised block.
    pub async fn finalised(&self) -> Result<State, ChainError> {
        let api = self.api().await?;
        match api.online.at_current_block().await {
            Ok(at) => Ok(self.state(at)),
            Err(e) => Err(self.fail(e).await),
        }
    }

    /// State at a block number; fails when the chain is shorter or the state is pruned.
    pub async fn at(&self, number: u32) -> Result<State, ChainError> {
        let api = self.api().await?;
        match api.online.at_block(number).await {
            Ok(at) => Ok(self.state(at)),
            Err(e) => Err(self.fail(e).await),
        }
    }

    /// Waits for a finalised block above `after`. Returns at once when the finalised chain got *shorter* than `after`,
    /// as after the loss of a killed single validator's last blocks.
    pub async fn next_finalised(&self, after: Head) -> Result<State, ChainError> {
        loop {
            let state = self.finalised().await?;
            if state.head != after {
                return Ok(state);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Next nonce of an account, transactions in the pool included.
    pub async fn next_nonce(&self, account: &[u8; 32]) -> Result<u64, ChainError> {
        let api = self.api().await?;
        match api.rpc.system_account_next_index(&AccountId32(*account)).await {
            Ok(n) => Ok(n),
            Err(e) => Err(self.fail(subxt::Error::from(e)).await),
        }
    }

    /// Fee of a call, in units, without submitting it.
    pub async fn fee<P: Payload>(&self, signer: &Keypair, call: &P) -> Result<u128, ChainError> {
        let State { at, .. } = self.finalised().await?;
        let nonce = self.next_nonce(&signer.public_key().0).await?;
        let params = DefaultExtrinsicParamsBuilder::<Config>::new().nonce(nonce).build();
        let mut txs = at.transactions();
        let signed = match txs.create_signed(call, signer, params).await {
            Ok(signed) => signed,
            Err(e) => return Err(self.fail(e).await),
        };
        match signed.partial_fee_estimate().await {
            Ok(fee) => Ok(fee),
            Err(e) => Err(self.fail(e).await),
        }
    }

    /// Signs a call and submits it without waiting. Returns the progress to wait on.
    pub async fn send<P: Payload>(&self, signer: &Keypair, nonce: u64, call: &P) -> Result<Pending, ChainError> {
        let State { at, .. } = self.finalised().await?;
        let api = self.api().await?;
        let params = DefaultExtrinsicParamsBuilder::<Config>::new().nonce(nonce).build();
        let mut txs = at.transactions();
        let signed = match txs.create_signed(call, signer, params).await {
            Ok(signed) => signed,
            Err(e) => return Err(self.fail(e).await),
        };
        let from = u32::try_from(at.block_number()).unwrap_or(u32::MAX);
        let progress = match signed.submit_and_watch().await {
            Ok(progress) => Watch::Subscribed(progress),
            // The pool took the transaction over from its own queue while it was being handed in: it is in the pool, and
            // only the subscription is missing.
            Err(e) if e.to_string().contains("Already Imported") => Watch::Scan { from, extrinsic: signed.hash().0 },
            Err(e) => return Err(self.fail(e).await),
        };
        Ok(Pending { progress, api, url: self.url.clone() })
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

/// How a submitted transaction is followed.
enum Watch {
    /// By the node's subscription.
    Subscribed(subxt::tx::TransactionProgress<Config, OnlineClientAtBlockImpl<Config>>),
    /// By reading finalised blocks above `from`.
    Scan {
        /// Finalised when it was submitted.
        from: u32,
        /// Hash of the extrinsic.
        extrinsic: Hash,
    },
}

/// Blocks that a scan reads: a transaction lives 32 blocks at most.
const SCAN: u32 = 64;

/// A submitted transaction.
pub struct Pending {
    progress: Watch,
    api: Api,
    url: String,
}

impl Pending {
    /// Waits until the transaction is final; an error of the runtime is named with cause and next step.
    pub async fn wait(self) -> Result<Included, ChainError> {
        let fail = |e: subxt::Error| ChainError::from_subxt(&self.url, e);
        let (at, extrinsic, index) = match self.progress {
            Watch::Subscribed(progress) => {
                let block = progress.wait_for_finalized().await.map_err(|e| fail(e.into()))?;
                let at = self.api.online.at_block(block.block_hash()).await.map_err(|e| fail(e.into()))?;
                let extrinsic = block.extrinsic_hash().0;
                let index = index_in_block(&self.api.raw, &block.block_hash().0, &extrinsic).await.map_err(fail)?;
                (at, extrinsic, index)
            }
            Watch::Scan { from, extrinsic } => {
                let mut number = from.saturating_add(1);
                loop {
                    let newest = self.api.online.at_current_block().await.map_err(|e| fail(e.into()))?;
                    if head_of(&newest).number < number {
                        tokio::time::sleep(POLL).await;
                        continue;
                    }
                    let at = self.api.online.at_block(number).await.map_err(|e| fail(e.into()))?;
                    let index = index_in_block(&self.api.raw, &at.block_hash().0, &extrinsic).await.map_err(fail)?;
                    if index.is_some() || number > from.saturating_add(SCAN) {
                        break (at, extrinsic, index);
                    }
                    number = number.saturating_add(1);
                }
            }
        };
        let index = index.ok_or_else(|| ChainError::Dropped {
            reason: "the finalised block does not hold the transaction any more".into(),
        })?;
        let events = Events { block: at.events().fetch().await.map_err(|e| fail(e.into()))?, index };
        for event in events.iter() {
            let event = event.map_err(ChainError::incompatible)?;
            if event.pallet_name() == "System" && event.event_name() == "ExtrinsicFailed" {
                let cause =
                    DispatchError::decode_from(event.field_bytes(), at.metadata()).map_err(ChainError::incompatible)?;
                return Err(refusal(&cause));
            }
        }
        Ok(Included { head: head_of(&at), extrinsic, events })
    }
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
