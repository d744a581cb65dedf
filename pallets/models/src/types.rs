//! What the pallet stores, and what its views answer.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame::prelude::*;
use scale_info::TypeInfo;
use weft_protocol::{
    economics,
    hash::Hash,
    job::{JobState, Tier},
    licence::Terms,
    run::{Commit, Part},
    shape::ModelShape,
    split::ModelSplit,
};
use weft_traits::{Amount, DatanetId, GrantId, JobId, JobInput, LicenceVersion, ModelId, RunBlocks, SnapshotIndex};

/// Most Datanets that one job may name.
pub const MAX_INPUTS: u32 = 16;
/// Most verifiers that a tier names.
pub const MAX_VERIFIERS: u8 = 8;
/// Longest encoded recipe in bytes.
pub const MAX_RECIPE: u32 = 33 * 1024;
/// Most generations between a model and its first ancestor.
pub const MAX_GENERATIONS: u32 = 8;

/// Most price versions that a model keeps.
pub const MAX_PRICES: u32 = 64;
/// Days for which a price version is kept after it was replaced.
pub const PRICE_DAYS: u32 = 30;

/// A text of at most 64 bytes; longer texts stay off chain, by digest.
pub type Name = BoundedVec<u8, ConstU32<64>>;
/// A recipe in its SCALE encoding.
pub type RecipeBytes = BoundedVec<u8, ConstU32<MAX_RECIPE>>;

/// Where a base model stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum BaseStatus {
    /// Registered; anyone may recompute its root.
    Registered,
    /// Jobs may use it.
    Active,
    /// Kept for old models; no new job may use it.
    Retired,
    /// Proved to be inconsistent before activation.
    Refuted,
}

/// What an account says of a base model when it registers it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct BaseModelSpec {
    /// Root over shape, tokenizer, template and weights.
    pub root: Hash,
    /// Name shown to people.
    pub name: Name,
    /// Shape of the network.
    pub shape: ModelShape,
    /// Digest of `tokenizer.json`.
    pub tokenizer: Hash,
    /// Digest of the chat template's text.
    pub template: Hash,
    /// SPDX or RAIL id of the licence of the weights.
    pub licence: Name,
}

/// A base model; the key in storage is its root.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct BaseModel<AccountId> {
    /// Who registered it and holds the deposit; `None` when it stood in genesis.
    pub registrant: Option<AccountId>,
    /// Deposit on hold.
    pub deposit: Amount,
    /// Name shown to people.
    pub name: Name,
    /// Shape of the network.
    pub shape: ModelShape,
    /// Digest of `tokenizer.json`.
    pub tokenizer: Hash,
    /// Digest of the chat template's text.
    pub template: Hash,
    /// SPDX or RAIL id of the licence of the weights.
    pub licence: Name,
    /// Status.
    pub status: BaseStatus,
}

/// What a builder asks for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct JobSpec {
    /// Root of an active base model.
    pub base: Hash,
    /// Model to start from; refused until generations are built.
    pub parent: Option<ModelId>,
    /// Datanets, ascending by id.
    pub inputs: BoundedVec<JobInput, ConstU32<MAX_INPUTS>>,
    /// The whole recipe in its SCALE encoding.
    pub recipe: RecipeBytes,
    /// `sem_id` of the class and graph that must run it.
    pub sem_id: Hash,
    /// Verification tier.
    pub tier: Tier,
    /// Fee R in the smallest unit.
    pub fee: Amount,
    /// Declared value G in the smallest unit.
    pub value: Amount,
    /// Shares of the model's fees in ppm.
    pub split: ModelSplit,
}

/// One Datanet of a job with the permission that was resolved for it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct JobData {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Its snapshot.
    pub snapshot: SnapshotIndex,
    /// Root of the snapshot.
    pub root: Hash,
    /// Records in the snapshot.
    pub records: u32,
    /// The grant whose use was consumed.
    pub grant: GrantId,
    /// Licence version of the grant.
    pub version: LicenceVersion,
    /// Price L_d of this training.
    pub price: Amount,
}

/// What is on hold for a job, by purpose.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Escrow {
    /// Fee R.
    pub fee: Amount,
    /// What is left of the verification escrow V.
    pub verification: Amount,
    /// Licence price L.
    pub licence: Amount,
}

impl Escrow {
    /// Sum of the three; `None` on overflow.
    pub fn total(&self) -> Option<Amount> {
        self.fee.checked_add(self.verification)?.checked_add(self.licence)
    }
}

/// A training job.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Job<AccountId> {
    /// Who pays, and owns the model.
    pub builder: AccountId,
    /// Root of the base model.
    pub base: Hash,
    /// Model it starts from.
    pub parent: Option<ModelId>,
    /// Datanets, ascending by id.
    pub inputs: BoundedVec<JobData, ConstU32<MAX_INPUTS>>,
    /// H("weft.cfg", recipe).
    pub recipe_hash: Hash,
    /// Content id of the recipe's encoding.
    pub recipe_content: Hash,
    /// Steps N.
    pub steps: u32,
    /// Records n over all snapshots.
    pub records: u32,
    /// Timestamp of the submitting block in milliseconds.
    pub time_ms: u64,
    /// `sem_id` of class and graph.
    pub sem_id: Hash,
    /// Attribution method; 0 is off.
    pub method: u16,
    /// Verification tier.
    pub tier: Tier,
    /// Exponent of the fixed-point scores.
    pub score_shift: u8,
    /// Root over the roots of the sealed reserves; zero without any.
    pub probe_root: Hash,
    /// Hash that binds job, class, base, data, recipe, method and tier.
    pub spec_hash: Hash,
    /// Fee R.
    pub fee: Amount,
    /// Verification escrow V as submitted.
    pub verification: Amount,
    /// Licence price L.
    pub licence: Amount,
    /// Declared value G.
    pub value: Amount,
    /// Stake S that the oracle locks.
    pub stake: Amount,
    /// What is still on hold.
    pub escrow: Escrow,
    /// Shares of the model's fees in ppm.
    pub split: ModelSplit,
    /// Inherited licence terms.
    pub terms: Terms,
    /// Length of the run and of its replay in blocks.
    pub blocks: RunBlocks,
    /// State.
    pub state: JobState,
    /// Clock value at submission.
    pub submitted: u32,
    /// Last clock value at which the present state's awaited message is accepted, where one limit holds for all of it.
    pub deadline: Option<u32>,
    /// The minted model.
    pub model: Option<ModelId>,
}

/// Whether a model is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum ModelStatus {
    /// Served and paid.
    Listed,
    /// Taken down by its owner.
    Delisted,
    /// Taken down because a licence stopped serving.
    Stopped,
}

/// What recomputes a model's run without an archive node.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ModelRun<AccountId> {
    /// Oracle of the run.
    pub oracle: AccountId,
    /// Beacon value that gave the seed.
    pub beacon: Hash,
    /// The seed.
    pub seed: Hash,
    /// The commitment.
    pub commit: Commit,
    /// The revealed secret.
    pub secret: Hash,
    /// Content id of the artifacts list.
    pub artifacts: Hash,
    /// Attribution method of the opening.
    pub method: u16,
    /// Cotangent (0: probe).
    pub cotangent: u32,
    /// Exponent of the start.
    pub x: i8,
    /// First reverse state R_0.
    pub r0: Hash,
    /// Payout parts, ascending by Datanet.
    pub parts: BoundedVec<Part, ConstU32<MAX_INPUTS>>,
    /// The method's extra hash.
    pub extra: Hash,
}

/// A minted model.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Model<AccountId> {
    /// Owner.
    pub owner: AccountId,
    /// Owner that has been named and has not accepted yet.
    pub successor: Option<AccountId>,
    /// Job whose run made it.
    pub job: JobId,
    /// Base model.
    pub base: Hash,
    /// Ancestors, the nearest first.
    pub lineage: BoundedVec<ModelId, ConstU32<MAX_GENERATIONS>>,
    /// Last state S_N.
    pub state: Hash,
    /// Length of `adapter_model.safetensors` in bytes.
    pub file_len: u64,
    /// Merkle root over the 1 KiB pages of that file.
    pub file_pages: Hash,
    /// Inherited licence terms.
    pub terms: Terms,
    /// Shares of the fees in ppm.
    pub split: ModelSplit,
    /// Declared value G.
    pub value: Amount,
    /// Newest price version.
    pub price_version: u32,
    /// Whether it is served.
    pub status: ModelStatus,
    /// Series it belongs to.
    pub series: Option<u32>,
    /// Version inside its series.
    pub version: u32,
    /// Clock value at Final.
    pub minted: u32,
    /// `sem_id` of its run.
    pub sem_id: Hash,
    /// Its run.
    pub run: ModelRun<AccountId>,
}

/// One version of a model's prices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Price {
    /// Price of 1,000 input tokens in the smallest unit.
    pub input: Amount,
    /// Price of 1,000 output tokens in the smallest unit.
    pub output: Amount,
    /// Clock value from which it holds.
    pub from: u32,
}

/// A line of models under one name.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ModelSeries<AccountId> {
    /// Owner.
    pub owner: AccountId,
    /// Name.
    pub name: Name,
    /// Newest model.
    pub latest: Option<ModelId>,
}

/// Parameters of the pallet, set in genesis and changed only by governance.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen, Serialize, Deserialize,
)]
#[serde(crate = "frame::derive::serde", rename_all = "camelCase", default)]
pub struct Parameters {
    /// Deposit of a base model.
    pub base_deposit: Amount,
    /// Least declared value G.
    pub min_value: Amount,
    /// Greatest declared value G while a jury decides disputes.
    pub value_cap: Amount,
    /// Arithmetic of the reference machine, in operations per millisecond.
    pub ref_flops_per_ms: u64,
    /// Blocks between `set_prices` and the first answer at the new price.
    pub price_notice: u32,
    /// Least treasury share in ppm.
    pub treasury_floor: u32,
    /// Least stakers' share in ppm.
    pub stakers_floor: u32,
    /// Part of the fee R that an oracle gets for a diverged run, in ppm.
    pub diverged_ppm: u32,
}

impl Default for Parameters {
    /// The values of the `development` preset; half of the fee for a diverged run.
    fn default() -> Self {
        let fast = economics::Params::fast();
        Self {
            base_deposit: fast.base_deposit,
            min_value: fast.job_min,
            value_cap: fast.value_cap,
            ref_flops_per_ms: fast.ref_flops_per_ms,
            price_notice: fast.price_notice,
            treasury_floor: fast.treasury_floor,
            stakers_floor: fast.stakers_floor,
            diverged_ppm: 500_000,
        }
    }
}

/// A base model that is active from genesis.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(crate = "frame::derive::serde", rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisBase {
    /// Root of the base model.
    pub root: H256,
    /// Name, at most 64 bytes.
    pub name: alloc::string::String,
    /// SPDX or RAIL id of the licence of the weights, at most 64 bytes.
    pub licence: alloc::string::String,
    /// SCALE encoding of [`ModelShape`].
    pub shape: frame::deps::sp_core::Bytes,
    /// Digest of `tokenizer.json`.
    pub tokenizer: H256,
    /// Digest of the chat template's text.
    pub template: H256,
}

/// Cost of a job before it is submitted, and everything that would refuse it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Quote {
    /// Steps N; 0 when they cannot be computed.
    pub steps: u32,
    /// Records n.
    pub records: u32,
    /// Fee R.
    pub fee: Amount,
    /// Fee of one verifier.
    pub verifier_fee: Amount,
    /// Verification escrow V.
    pub verification: Amount,
    /// Licence price by Datanet.
    pub licence: alloc::vec::Vec<(DatanetId, Amount)>,
    /// Amount that submission puts on hold: R + V + L.
    pub total: Amount,
    /// Stake S that an oracle must lock.
    pub stake: Amount,
    /// Run and replay time in blocks.
    pub blocks: RunBlocks,
    /// Attribution method.
    pub method: u16,
    /// Every reason for which submission would fail; empty when it would pass.
    pub refusals: alloc::vec::Vec<DispatchError>,
}

/// What [`crate::Pallet::job`] answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct JobView<AccountId> {
    /// The stored job.
    pub job: Job<AccountId>,
    /// Its encoded recipe, while kept.
    pub recipe: Option<alloc::vec::Vec<u8>>,
}

/// What [`crate::Pallet::model`] answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct ModelView<AccountId> {
    /// The stored model.
    pub model: Model<AccountId>,
    /// Number of the price version in force.
    pub price_version: u32,
    /// That price.
    pub price: Price,
}
