//! Pallet rewards: budgets, keys, vouchers, settlements, claims.

use codec::Encode;
use subxt::{dynamic, ext::scale_decode::DecodeAsType};
use weft_protocol::{
    hash::Hash,
    sum_tree::{OwnerLeaf, SumNode},
    voucher::Voucher,
};

use crate::{client::in_time, state::Static, Call, ChainError, State};

const PALLET: &str = "Rewards";

/// Budget of a consumer at an oracle.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Budget {
    /// Units on hold.
    pub held: u128,
    /// Units redeemed.
    pub spent: u128,
    /// Clock value from which the rest can be withdrawn.
    pub unlock: Option<u32>,
}

/// Models that a key may pay for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum KeyModels {
    /// Every model.
    Any,
    /// These.
    Only(Vec<u32>),
}

impl KeyModels {
    /// Whether the key may pay for a model.
    #[must_use]
    pub fn allows(&self, model: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.contains(&model),
        }
    }
}

/// What a key may spend.
#[derive(Clone, Debug, PartialEq, Eq, Encode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct KeyRule {
    /// Most units per day.
    pub daily_limit: u128,
    /// Models.
    pub models: KeyModels,
    /// Clock value from which it is refused.
    pub expiry: Option<u32>,
}

/// An API key.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct ApiKey {
    /// What it may spend.
    pub rule: KeyRule,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Day of the last redemption.
    pub day: u32,
    /// Units redeemed on that day.
    pub spent: u128,
}

/// What a channel has paid.
#[derive(Clone, Copy, Debug, Default, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Channel {
    /// Cumulative fee redeemed.
    pub paid: u128,
    /// Price version of the last voucher.
    pub price_version: u32,
}

/// The five shares of an epoch's fees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType, serde::Serialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct FeeShares {
    /// Treasury.
    pub treasury: u128,
    /// Stakers' pot.
    pub stakers: u128,
    /// Model owner.
    pub owner: u128,
    /// Oracles.
    pub oracle: u128,
    /// Data pool.
    pub data: u128,
}

/// One Datanet of a settlement.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct SettlementPart {
    /// The Datanet.
    pub datanet: u32,
    /// Units for the contributors.
    pub contributors: u128,
    /// Units of the Datanet's owner.
    pub owner: u128,
    /// Units of the curators.
    pub curators: u128,
    /// Payout root.
    pub root: Hash,
    /// Leaves.
    pub leaves: u32,
    /// Points of all leaves.
    pub paid: u128,
    /// Leaves claimed.
    pub claimed_leaves: u32,
    /// Units claimed.
    pub claimed: u128,
}

/// Where a settlement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum SettlementState {
    /// May be disputed.
    Posted(u32),
    /// Disputed.
    Disputed,
    /// Claims are open.
    Open,
    /// Its fees went to this later epoch.
    Rolled(u32),
}

/// Settlement of one epoch.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Settlement {
    /// Fees.
    pub fees: u128,
    /// Shares.
    pub shares: FeeShares,
    /// Parts.
    pub parts: Vec<SettlementPart>,
    /// State.
    pub state: SettlementState,
}

/// Fees of one oracle in one epoch.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct OracleFees {
    /// The oracle.
    pub oracle: Static<[u8; 32]>,
    /// Redeemed in the epoch.
    pub fees: u128,
    /// Rolled over from earlier ones.
    pub rolled: u128,
}

/// State of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct ClaimStatus {
    /// Whether it was paid.
    pub claimed: bool,
    /// Units due.
    pub due: u128,
}

/// Genesis parameters of the pallet that clients need.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Params {
    /// Length of a settlement epoch in blocks.
    pub epoch_length: u32,
    /// Blocks after the end of an epoch from which it is settled without the usage of silent oracles.
    pub usage_delay: u32,
}

/// Parameters of settlement.
pub async fn params(state: &State) -> Result<Params, ChainError> {
    let found = state.get(PALLET, "Parameters", ()).await?;
    found.ok_or_else(|| state.missing("the parameters of settlement"))
}

/// A budget.
pub async fn budget(state: &State, consumer: &[u8; 32], oracle: &[u8; 32]) -> Result<Option<Budget>, ChainError> {
    state.get(PALLET, "Budgets", (*consumer, *oracle)).await
}

/// An API key of a consumer.
pub async fn api_key(state: &State, consumer: &[u8; 32], key: &[u8; 32]) -> Result<Option<ApiKey>, ChainError> {
    state.get(PALLET, "ApiKeys", (*consumer, *key)).await
}

/// All API keys: (consumer, public key). Who serves answers indexes them by public key.
pub async fn api_keys(state: &State) -> Result<Vec<([u8; 32], [u8; 32])>, ChainError> {
    let address = dynamic::storage::<(Static<[u8; 32]>, Static<[u8; 32]>), ApiKey>(PALLET, "ApiKeys");
    let storage = state.at.storage();
    let mut entries = in_time(&state.url, storage.iter(address, ())).await?;
    let mut keys = Vec::new();
    while let Some(entry) = in_time(&state.url, async { entries.next().await.transpose() }).await? {
        // Both keys are hashed by blake2_128_concat: 16 bytes of hash, then the key itself, behind 32 bytes of prefix.
        let bytes = entry.key_bytes();
        let part = |from: usize| bytes.get(from..from.checked_add(32)?)?.try_into().ok();
        if let (Some(consumer), Some(key)) = (part(48), part(96)) {
            keys.push((consumer, key));
        }
    }
    Ok(keys)
}

/// What a channel has paid.
pub async fn channel(
    state: &State,
    consumer: &[u8; 32],
    key: &[u8; 32],
    oracle: &[u8; 32],
    model: u32,
) -> Result<Channel, ChainError> {
    state.view(PALLET, "channel", (*consumer, *key, *oracle, model)).await
}

/// The running settlement epoch of a model.
pub async fn epoch(state: &State, model: u32) -> Result<Option<u32>, ChainError> {
    state.view(PALLET, "epoch", (model,)).await
}

/// Fees of an epoch by oracle.
pub async fn revenue(state: &State, model: u32, epoch: u32) -> Result<Vec<OracleFees>, ChainError> {
    state.view(PALLET, "revenue", (model, epoch)).await
}

/// A settlement.
pub async fn settlement(state: &State, model: u32, epoch: u32) -> Result<Option<Settlement>, ChainError> {
    state.get(PALLET, "Settlements", (model, epoch)).await
}

/// Epochs of a model that have a settlement, ascending; 0 is that of the licence prices.
pub async fn settled_epochs(state: &State, model: u32) -> Result<Vec<u32>, ChainError> {
    let address = dynamic::storage::<(u32, u32), Settlement>(PALLET, "Settlements");
    let storage = state.at.storage();
    let mut entries = in_time(&state.url, storage.iter(address, (model,))).await?;
    let mut epochs = Vec::new();
    while let Some(entry) = in_time(&state.url, async { entries.next().await.transpose() }).await? {
        // The epoch is the last part of the key, hashed by twox_64_concat: it ends with the number itself.
        let epoch = entry.key_bytes().last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        epochs.push(epoch.ok_or_else(|| ChainError::incompatible("the key of a settlement holds no epoch"))?);
    }
    epochs.sort_unstable();
    Ok(epochs)
}

/// State of a claim.
pub async fn claim_status(
    state: &State,
    model: u32,
    epoch: u32,
    part: u32,
    index: u32,
    paid: u128,
) -> Result<Option<ClaimStatus>, ChainError> {
    state.view(PALLET, "claim_status", (model, epoch, part, index, paid)).await
}

/// Units kept for an account because they are below the existential deposit.
pub async fn owed(state: &State, who: &[u8; 32]) -> Result<u128, ChainError> {
    state.view(PALLET, "owed", (*who,)).await
}

/// Opens a budget at an oracle.
#[must_use]
pub fn open_budget(oracle: &[u8; 32], amount: u128) -> Call {
    Call::new(PALLET, "open_budget", &(oracle, amount))
}

/// Adds to a budget.
#[must_use]
pub fn top_up(oracle: &[u8; 32], amount: u128) -> Call {
    Call::new(PALLET, "top_up", &(oracle, amount))
}

/// Starts to close a budget.
#[must_use]
pub fn close_budget(oracle: &[u8; 32]) -> Call {
    Call::new(PALLET, "close_budget", &oracle)
}

/// Takes the rest of a closed budget.
#[must_use]
pub fn withdraw(oracle: &[u8; 32]) -> Call {
    Call::new(PALLET, "withdraw", &oracle)
}

/// Registers an API key.
#[must_use]
pub fn add_key(key: [u8; 32], rule: &KeyRule) -> Call {
    Call::new(PALLET, "add_key", &(key, rule))
}

/// Revokes an API key.
#[must_use]
pub fn revoke_key(key: [u8; 32]) -> Call {
    Call::new(PALLET, "revoke_key", &key)
}

/// Redeems vouchers, each with the signature of its API key.
#[must_use]
pub fn redeem(vouchers: &[(Voucher, [u8; 64])]) -> Call {
    Call::new(PALLET, "redeem", &vouchers)
}

/// Settles an epoch.
#[must_use]
pub fn finalise(model: u32, epoch: u32) -> Call {
    Call::new(PALLET, "finalise", &(model, epoch))
}

/// Claims one leaf, for whoever it names.
#[must_use]
pub fn claim(model: u32, epoch: u32, part: u32, index: u32, leaf: &OwnerLeaf, path: &[SumNode]) -> Call {
    Call::new(PALLET, "claim", &(model, epoch, part, index, leaf, path))
}

/// Claims many leaves of one part.
#[must_use]
pub fn claim_many(model: u32, epoch: u32, part: u32, leaves: &[(u32, OwnerLeaf)], proof: &[SumNode]) -> Call {
    Call::new(PALLET, "claim_many", &(model, epoch, part, leaves, proof))
}
