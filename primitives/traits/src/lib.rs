//! The traits through which Weft's pallets see one another.
//!
//! Pallets never depend on each other: each depends on this crate, and the runtime wires implementations. Amounts are
//! `u128` in the smallest unit, block numbers are values of [`Clock`], shares are parts per million.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(clippy::as_conversions, reason = "the SCALE derive of enums expands to it")]

extern crate alloc;

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame::deps::sp_runtime::{DispatchError, DispatchResult, Weight};
use scale_info::TypeInfo;
use weft_protocol::{
    hash::Hash,
    job::Tier,
    recipe::Recipe,
    run::{Commit, Opening},
    split::ModelSplit,
};

/// Number of a Datanet.
pub type DatanetId = u32;
/// Number of a snapshot inside its Datanet.
pub type SnapshotIndex = u32;
/// Number of a job.
pub type JobId = u32;
/// Number of a model.
pub type ModelId = u32;
/// Number of a grant.
pub type GrantId = u32;
/// Version of a Datanet's licence, from 1.
pub type LicenceVersion = u32;
/// Settlement epoch of one model; 0 is its licence price.
pub type Epoch = u32;
/// Amount in the smallest unit.
pub type Amount = u128;

/// The chain's clock: block number minus blocks spent in safe mode.
pub trait Clock {
    /// Blocks since genesis, safe mode left out.
    fn now() -> u32;
    /// Timestamp of the current block in milliseconds.
    fn timestamp_ms() -> u64;
    /// Slot duration in milliseconds.
    fn slot_ms() -> u64;
    /// Blocks in a day of 86,400,000 ms.
    fn day() -> u32 {
        weft_protocol::economics::day_blocks(Self::slot_ms())
    }
}

/// The VRF output of the parent block, as the runtime's BABE pallet recorded it.
pub trait ParentVrf {
    /// 32 bytes; all zero when the parent carried none.
    fn output() -> Hash;
}

/// The randomness beacon that folds every block's VRF output.
pub trait Beacon {
    /// Value of the beacon after block `at`, while it is kept.
    fn value(at: u32) -> Option<Hash>;
}

/// What others need to know of one snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SnapshotInfo {
    /// Snapshot root: the bagged peaks with the counts.
    pub root: Hash,
    /// Leaves of the mountain range, tombstones included.
    pub leaves: u64,
    /// Records in the accepted contributions.
    pub records: u64,
    /// Bytes of the accepted contributions.
    pub bytes: u64,
    /// Clock value at which it was taken.
    pub block: u32,
}

/// Read access to Datanets. Implemented by pallet-datanets.
pub trait DatanetInspect<AccountId> {
    /// Owner, or `None` when the Datanet does not exist.
    fn owner(id: DatanetId) -> Option<AccountId>;
    /// Curators in stored order.
    fn curators(id: DatanetId) -> Vec<AccountId>;
    /// Whether new contributions, licences and grants are still taken.
    fn is_open(id: DatanetId) -> bool;
    /// A snapshot, if taken.
    fn snapshot(id: DatanetId, index: SnapshotIndex) -> Option<SnapshotInfo>;
    /// Merkle root over the roots of the Datanet's sealed reserves; zero when there is none.
    fn probe_root(id: DatanetId) -> Hash;
    /// Makes a Datanet with one snapshot for benchmarks and mocks of other pallets.
    #[cfg(feature = "std")]
    fn put_for_tests(_id: DatanetId, _owner: AccountId, _snapshot: SnapshotInfo) {}
}

/// How a job pays for the use of one Datanet.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum GrantRef {
    /// A grant the builder already holds.
    Held(GrantId),
    /// Acquire one in the same call (approval open, listed, or own Datanet).
    Acquire {
        /// Licence version the builder saw.
        version: LicenceVersion,
        /// Highest price per training the builder accepts.
        max_price: Amount,
        /// Purpose bits asked for.
        purpose: u16,
        /// Number of trainings.
        uses: u32,
    },
}

/// One Datanet of a job as the builder names it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct JobInput {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Its snapshot.
    pub snapshot: SnapshotIndex,
    /// The permission.
    pub grant: GrantRef,
}

/// What a job does with the data, for the permission check.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct JobScope {
    /// Root of the base model.
    pub base_root: Hash,
    /// H("weft.prg", sem_id, recipe schema u16).
    pub program: Hash,
    /// Purpose bits the job needs (always Train).
    pub purpose: u16,
    /// Clock value by which the run must have ended; grants must outlive it.
    pub deadline: u32,
    /// Whether attribution is on.
    pub attributed: bool,
}

/// What a resolved grant means for money and terms.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ResolvedGrant {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Its snapshot.
    pub snapshot: SnapshotIndex,
    /// The grant that was consumed.
    pub grant: GrantId,
    /// Licence version of the grant.
    pub version: LicenceVersion,
    /// Price of this training, L_d.
    pub price: Amount,
    /// Bounds of the model's data share in ppm.
    pub pool: (u32, u32),
    /// Part of the points paid by trained tokens, ppm.
    pub base_ppm: u32,
    /// Purposes of the grant.
    pub purposes: u16,
    /// Expiry of the grant, if any.
    pub expiry: Option<u32>,
    /// Whether the licence demands attribution.
    pub attribution_required: bool,
}

/// How a licence shares the money of one part, in ppm summing to 1,000,000.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct PartShares {
    /// Contributors, by attribution.
    pub contributors: u32,
    /// Owner of the Datanet.
    pub owner: u32,
    /// Curators, equally.
    pub curators: u32,
}

/// Grants and licences. Implemented by pallet-permissions.
pub trait PermissionCheck<AccountId> {
    /// Resolves, checks and consumes one use of each grant. All or nothing; inputs ascend by Datanet.
    fn consume(who: &AccountId, scope: &JobScope, inputs: &[JobInput]) -> Result<Vec<ResolvedGrant>, DispatchError>;
    /// The job ended with a model: uses in flight become used. A grant that nothing can use any more is removed.
    fn settle(grants: &[GrantId]);
    /// The job ended without a model: uses in flight return. A grant that nothing can use any more is removed.
    fn restore(grants: &[GrantId]);
    /// Whether data may go out under the grant: a job that has consumed it and not ended is running, whatever became of
    /// the grant since, or it is active and not past its expiry.
    fn is_live(grant: GrantId) -> bool;
    /// Bound of [`PermissionCheck::consume`] for that many inputs; the job's pallet charges it.
    fn consume_weight(inputs: u32) -> Weight;
    /// Bound of [`PermissionCheck::settle`] or [`PermissionCheck::restore`] for that many grants.
    fn end_weight(grants: u32) -> Weight;
    /// Shares of a licence version.
    fn shares(datanet: DatanetId, version: LicenceVersion) -> Option<PartShares>;
    /// Prepares a grant the `consume` of mocks and benchmarks accepts.
    #[cfg(feature = "std")]
    fn put_for_tests(_who: &AccountId, _datanet: DatanetId) -> GrantId {
        0
    }
}

/// Timers of one run in blocks, already computed from shape, recipe and genesis parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct RunBlocks {
    /// Blocks for the whole run on the reference machine.
    pub run: u32,
    /// Blocks for a full replay.
    pub replay: u32,
}

/// What the oracle pallet needs to know of a job it runs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RunTerms<AccountId> {
    /// Who pays and is indemnified.
    pub builder: AccountId,
    /// Hash that binds job, class, base, data, recipe, method and tier.
    pub spec_hash: Hash,
    /// `sem_id` of the class and graph.
    pub sem_id: Hash,
    /// Number of steps N.
    pub steps: u32,
    /// Number of records n.
    pub records: u32,
    /// Verification tier.
    pub tier: Tier,
    /// Attribution method, 0 when off.
    pub method: u16,
    /// Fee R.
    pub fee: Amount,
    /// Verification escrow V.
    pub verification: Amount,
    /// Declared value G.
    pub value: Amount,
    /// Timers.
    pub blocks: RunBlocks,
    /// Datanets of the job, ascending: the only ones its parts may name.
    pub datanets: Vec<DatanetId>,
}

/// How a run ended, told by the oracle pallet to the job's pallet.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RunResult<AccountId> {
    /// The oracle that ran it.
    pub oracle: AccountId,
    /// Beacon value from which the seed came.
    pub beacon: Hash,
    /// The seed.
    pub seed: Hash,
    /// The posted commitment.
    pub commit: Commit,
    /// The revealed secret.
    pub secret: Hash,
    /// The opening; `None` for a diverged run.
    pub opening: Option<Opening>,
}

/// Jobs and their escrow. Implemented by pallet-models; the oracle pallet drives the transitions.
pub trait JobControl<AccountId> {
    /// Terms of a job that exists and has not ended.
    fn terms(job: JobId) -> Option<RunTerms<AccountId>>;
    /// Current state.
    fn state(job: JobId) -> Option<weft_protocol::job::JobState>;
    /// Applies an event of the job state machine; refuses it when the state does not allow it. On events that end the
    /// job without a model, what is left of the escrow is released as the job's table of transitions says: what
    /// [`JobControl::pay_verifier`] paid before is gone from it.
    fn advance(job: JobId, event: weft_protocol::job::JobEvent, deadline: Option<u32>) -> DispatchResult;
    /// Pays `amount` from the verification escrow to a verifier.
    fn pay_verifier(job: JobId, who: &AccountId, amount: Amount) -> DispatchResult;
    /// The window passed undisputed: pays R to the oracle, L to rewards, mints the model, writes its training weights.
    /// For a diverged run pays the partial fee instead. Returns the model.
    fn finalise(job: JobId, result: RunResult<AccountId>) -> Result<Option<ModelId>, DispatchError>;
    /// The run of the job is no longer kept. What only a failed run needs is removed.
    fn forget(job: JobId);
    /// Prepares a job in state Open for mocks and benchmarks.
    #[cfg(feature = "std")]
    fn put_for_tests(_job: JobId, _terms: RunTerms<AccountId>) {}
}

/// What the job's pallet needs of its run. Implemented by pallet-compute-oracles.
pub trait RunControl {
    /// Applies what is due of the job's run and of the slashes, and queues a draw that was lost. Returns what that
    /// weighed; an error when nothing was to do.
    fn poke(job: JobId) -> Result<Weight, DispatchError>;
    /// Whether the job has a run that has not ended.
    fn is_running(job: JobId) -> bool;
}

/// What a job means for the oracle that would run it, from the oracle pallet's parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct RunLimits {
    /// Fee of one verifier or juror.
    pub verifier_fee: Amount,
    /// Escrow of all verifiers, V.
    pub verification: Amount,
    /// Stake S that taking the job locks.
    pub stake: Amount,
    /// Bond of `accuse` against its run.
    pub accuse_bond: Amount,
    /// Blocks for which the job stays open (T_open).
    pub open: u32,
    /// Blocks from `take` to the last accepted `commit`: draw delay and T_run.
    pub run: u32,
    /// Fewest verifiers that a tier may name.
    pub min_verifiers: u8,
}

/// Read access to oracles. Implemented by pallet-compute-oracles.
pub trait OracleInspect<AccountId> {
    /// Limits of a job with this fee R, declared value G, number of steps, tier and run length; `None` when the chain
    /// cannot compute them (overflow, or a tier that is not built).
    fn limits(fee: Amount, value: Amount, steps: u32, tier: Tier, blocks: RunBlocks) -> Option<RunLimits>;
    /// Number of registered, active oracles that support the class with this `sem_id`.
    fn supporting(sem_id: &Hash) -> u32;
    /// Whether the account is a registered, active oracle of that class.
    fn supports(who: &AccountId, sem_id: &Hash) -> bool;
    /// Key with which the oracle signs receipts.
    fn signing_key(who: &AccountId) -> Option<[u8; 32]>;
    /// Registers an oracle for mocks and benchmarks.
    #[cfg(feature = "std")]
    fn put_for_tests(_who: &AccountId, _sem_id: Hash) {}
}

/// Training weights of a model, copied from the run's opening at Final.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct TrainingWeights {
    /// Attribution method.
    pub method: u16,
    /// Cotangent (0: probe).
    pub cotangent: u32,
    /// Exponent of the start.
    pub x: i8,
    /// First reverse state R_0.
    pub r0: Hash,
    /// Method's extra hash.
    pub extra: Hash,
    /// Parts, ascending by Datanet.
    pub parts: Vec<weft_protocol::run::Part>,
}

/// Attribution of models. Implemented by pallet-attribution.
pub trait AttributionBook<AccountId> {
    /// Writes a model's training weights, once.
    fn record(model: ModelId, weights: TrainingWeights) -> DispatchResult;
    /// Training weights of a model.
    fn training(model: ModelId) -> Option<TrainingWeights>;
    /// Fees that `oracle` posted as usage of (model, epoch); `None` when it posted nothing.
    fn usage(model: ModelId, epoch: Epoch, oracle: &AccountId) -> Option<Amount>;
}

/// One part of a licence payment: the Datanet, the licence version that rules its shares, and the money.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct LicencePart {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Licence version.
    pub version: LicenceVersion,
    /// L_d.
    pub amount: Amount,
}

/// Where revenue goes. Implemented by pallet-rewards.
pub trait RevenueSink<AccountId> {
    /// The revenue pot's account: the caller moves the money there first, in the same transaction.
    fn pot() -> AccountId;
    /// Opens Settlement(model, 0) over money that the caller has just moved to [`RevenueSink::pot`].
    fn licence_paid(model: ModelId, parts: &[LicencePart]) -> DispatchResult;
    /// Fees redeemed by `oracle` for (model, epoch).
    fn redeemed(model: ModelId, epoch: Epoch, oracle: &AccountId) -> Amount;
    /// Whether (model, epoch) is settled.
    fn settled(model: ModelId, epoch: Epoch) -> bool;
    /// Whether the epoch lies wholly in the past; never for epoch 0, the licence price.
    fn epoch_over(model: ModelId, epoch: Epoch) -> bool;
}

/// What rewards and attribution need of a model.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ModelTerms<AccountId> {
    /// Owner.
    pub owner: AccountId,
    /// Oracle of the run, which serves it in stage 1.
    pub oracle: AccountId,
    /// Split of its fees.
    pub split: ModelSplit,
    /// Clock value at Final.
    pub minted: u32,
    /// `sem_id` of its run.
    pub sem_id: Hash,
    /// Whether it is served.
    pub listed: bool,
}

/// Read access to models. Implemented by pallet-models.
pub trait ModelInspect<AccountId> {
    /// Terms of a model.
    fn model(model: ModelId) -> Option<ModelTerms<AccountId>>;
    /// Input and output price per 1,000 tokens of a price version.
    fn prices(model: ModelId, version: u32) -> Option<(Amount, Amount)>;
    /// Licence version with which the model's run used a Datanet.
    fn licence_version(model: ModelId, datanet: DatanetId) -> Option<LicenceVersion>;
    /// Prepares a model for mocks and benchmarks.
    #[cfg(feature = "std")]
    fn put_for_tests(_model: ModelId, _terms: ModelTerms<AccountId>, _prices: (Amount, Amount)) {}
}

/// The recipe of a job, decoded; used by views.
pub trait RecipeInspect {
    /// Recipe of a job that is kept on chain.
    fn recipe(job: JobId) -> Option<Recipe>;
}
