//! What the pallet stores.

#![allow(clippy::as_conversions, reason = "the SCALE derives expand to it")]

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame::{
    derive::{Deserialize, Serialize},
    prelude::{BoundedVec, ConstU32, Debug},
};
use scale_info::TypeInfo;
use weft_protocol::{economics, hash::Hash, licence::purpose};
use weft_traits::{Amount, DatanetId, LicenceVersion, PartShares, SnapshotIndex};

/// Most entries of a list of base models or programs.
pub const MAX_LIST: u32 = 32;
/// Most oracles that one licence trusts with keys.
pub const MAX_TRUSTED: u32 = 16;
/// Most envelopes of one grant.
pub const MAX_ENVELOPES: u32 = 16;
/// A whole in parts per million.
pub const MILLION: u32 = 1_000_000;
/// Most grants that one view returns.
pub const MAX_PAGE: u32 = 256;

/// SPDX or RAIL identifier: 1 to 64 bytes of UTF-8.
pub type LicenceName = BoundedVec<u8, ConstU32<64>>;

/// Parameters of the pallet, set in genesis and changed only by governance.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen, Serialize, Deserialize,
)]
#[serde(crate = "frame::derive::serde", rename_all = "camelCase", default)]
pub struct Parameters {
    /// Deposit of a licence version.
    pub licence_deposit: Amount,
    /// Deposit of a grant.
    pub grant_deposit: Amount,
}

impl Default for Parameters {
    /// The values of the `development` preset.
    fn default() -> Self {
        let fast = economics::Params::fast();
        Self { licence_deposit: fast.grant_deposit, grant_deposit: fast.grant_deposit }
    }
}

/// Base models or programs that are permitted. An empty list permits none.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Allowed {
    /// Every one.
    Any,
    /// These, at most 32.
    Only(BoundedVec<Hash, ConstU32<MAX_LIST>>),
}

impl Allowed {
    /// Whether `item` is permitted.
    pub fn permits(&self, item: &Hash) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.contains(item),
        }
    }

    /// Whether everything that `narrower` permits is permitted here.
    pub fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Any, _) => true,
            (Self::Only(_), Self::Any) => false,
            (Self::Only(_), Self::Only(list)) => list.iter().all(|item| self.permits(item)),
        }
    }
}

/// Who may have a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Approval {
    /// Everyone who accepts the terms.
    Open,
    /// Accounts that the owner listed. Not built yet.
    AllowList,
    /// Whoever the owner approves. Not built yet.
    OnRequest,
}

/// What a model owes to the Datanet beyond its pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Reciprocity {
    /// Nothing.
    None,
    /// The model is offered on the same terms. Not built yet.
    SameTerms,
    /// Models trained from it pay this royalty, ppm. Not built yet.
    ParentRoyalty(u32),
}

/// What happens to existing models when a grant is revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum OnRevoke {
    /// They serve and pay on.
    KeepServing,
    /// They are delisted after a notice in blocks. Not built yet.
    StopServing(u32),
}

/// Bounds of the data pool of a model, ppm of its fees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct PoolRange {
    /// Least.
    pub min_ppm: u32,
    /// Most.
    pub max_ppm: u32,
}

/// Terms of a licence. Immutable once set.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Terms<AccountId> {
    /// Purpose bits of [`weft_protocol::licence::purpose`].
    pub purposes: u16,
    /// SPDX or RAIL identifier.
    pub name: LicenceName,
    /// Digest of the text.
    pub text: Hash,
    /// Price of one training, L_d.
    pub price: u128,
    /// Bounds of the model's data pool.
    pub pool: PoolRange,
    /// Part of the points paid by trained tokens, ppm, at most 500,000.
    pub base_ppm: u32,
    /// How the Datanet's money is shared, ppm.
    pub shares: PartShares,
    /// Most trainings of one grant.
    pub max_uses: u32,
    /// Blocks for which a grant lives; `None`: without end.
    pub duration: Option<u32>,
    /// Base models, by base root.
    pub base_models: Allowed,
    /// Programs: H("weft.prg", sem_id, recipe schema).
    pub programs: Allowed,
    /// Whether jobs must have attribution on.
    pub attribution: bool,
    /// Who may have a grant.
    pub approval: Approval,
    /// What a model owes beyond its pool.
    pub reciprocity: Reciprocity,
    /// Oracles that may hold the data key. None while approval is open.
    pub trusted: BoundedVec<AccountId, ConstU32<MAX_TRUSTED>>,
    /// Whether the owner may revoke without a breach.
    pub revocable: bool,
    /// What a revocation means for existing models.
    pub on_revoke: OnRevoke,
}

/// One version of a Datanet's licence.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Licence<AccountId> {
    /// The terms.
    pub terms: Terms<AccountId>,
    /// Who set it and holds its deposit.
    pub setter: AccountId,
    /// Amount held.
    pub deposit: u128,
    /// Clock value at which it was set.
    pub block: u32,
}

/// Snapshots that a grant covers, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SnapshotRange {
    /// First.
    pub first: SnapshotIndex,
    /// Last; `u32::MAX`: every later one.
    pub last: SnapshotIndex,
}

impl SnapshotRange {
    /// Every snapshot, future ones too.
    pub const ALL: Self = Self { first: 0, last: u32::MAX };

    /// Whether `snapshot` is covered.
    pub fn contains(&self, snapshot: SnapshotIndex) -> bool {
        (self.first..=self.last).contains(&snapshot)
    }
}

/// What a consumer asks for, within a licence.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Scope {
    /// Purpose bits.
    pub purposes: u16,
    /// Number of trainings.
    pub uses: u32,
    /// Snapshots.
    pub snapshots: SnapshotRange,
    /// Base models.
    pub base_models: Allowed,
    /// Programs.
    pub programs: Allowed,
    /// Last clock value; `None`: as long as the licence gives.
    pub expiry: Option<u32>,
}

/// Why a grant was revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Cause {
    /// The consumer broke the terms.
    Breach,
    /// The owner changed their mind, and the licence allows that.
    Convenience,
}

/// State of a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum GrantState {
    /// Waits for the owner's approval.
    Requested,
    /// Usable.
    Active,
    /// No new jobs; running ones finish.
    Revoked(Cause),
}

/// One consumer's permission.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Grant<AccountId> {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Version of the licence that rules it, for ever.
    pub version: LicenceVersion,
    /// Who may use it.
    pub consumer: AccountId,
    /// Snapshots.
    pub snapshots: SnapshotRange,
    /// Base models.
    pub base_models: Allowed,
    /// Programs.
    pub programs: Allowed,
    /// Purpose bits.
    pub purposes: u16,
    /// Trainings granted.
    pub granted: u32,
    /// Trainings not yet asked for.
    pub left: u32,
    /// Trainings of jobs that have not ended.
    pub in_flight: u32,
    /// Trainings that ended with a model.
    pub used: u32,
    /// Last clock value.
    pub expiry: Option<u32>,
    /// State.
    pub state: GrantState,
    /// Amount held from the consumer.
    pub deposit: u128,
}

/// An account's key for receiving data keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct EncryptionKey {
    /// X25519 public key.
    pub key: [u8; 32],
    /// Version, from 1.
    pub version: u32,
}

/// A data key on its way to one recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Envelope {
    /// HPKE encapsulation and wrapped key.
    Sealed {
        /// Encapsulated key.
        encapsulation: [u8; 32],
        /// Wrapped data key with its tag.
        wrapped: [u8; 48],
    },
    /// Digest of an envelope kept off the chain.
    Digest(Hash),
}

/// Why a job may not use a Datanet. Each is an [`Error`](crate::Error) of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Refusal {
    /// The inputs do not ascend by Datanet.
    InputsUnordered,
    /// No Datanet has this number.
    UnknownDatanet,
    /// The Datanet is closed.
    DatanetClosed,
    /// The Datanet has no such licence.
    NoLicence,
    /// The licence has a newer version.
    StaleVersion,
    /// The price is above what the builder accepts.
    PriceAboveMax,
    /// The approval is not open to the account.
    NotAllowed,
    /// More was asked for than the licence gives.
    ScopeTooWide,
    /// No grant has this number.
    UnknownGrant,
    /// The grant is revoked, or not approved yet.
    GrantNotActive,
    /// The purposes do not cover the job.
    PurposeForbidden,
    /// The base model is not listed.
    WrongBaseModel,
    /// The program is not listed.
    WrongProgram,
    /// The snapshot does not exist or is not covered.
    SnapshotOutOfRange,
    /// The grant ends before the run must.
    GrantExpired,
    /// All uses are taken.
    GrantExhausted,
    /// Attribution is demanded and off, or on where the pool has a range.
    TermsConflict,
}

impl<AccountId> Terms<AccountId> {
    /// Whether a job with attribution `attributed` fits these terms.
    ///
    /// Attribution method 1 fixes the pool's size before the run, so it needs a pool without a range.
    pub fn fits(&self, attributed: bool) -> bool {
        if attributed {
            self.pool.min_ppm == self.pool.max_ppm
        } else {
            !self.attribution
        }
    }

    /// Whether the purposes are known ones, at least one, and `asked` is within them.
    pub fn permits(&self, asked: u16) -> bool {
        purpose::is_valid(asked) && asked & !self.purposes == 0
    }
}
