//! What the pallet stores.

#![allow(clippy::as_conversions, reason = "the SCALE derives expand to it")]

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame::{
    derive::{Deserialize, Serialize},
    prelude::{BoundedVec, ConstU32, Debug},
};
use scale_info::TypeInfo;
use weft_protocol::{economics::Params as Economics, hash::Hash};
pub use weft_protocol::{economics::REVEAL_DELAY, mmr::MAX_PEAKS};
use weft_traits::{Amount, DatanetId, SnapshotIndex};

/// Number of a contribution inside its Datanet, in order of reveal.
pub type ContributionIndex = u32;
/// Number of a sealed reserve inside its Datanet.
pub type ReserveIndex = u32;

/// Most curators of one Datanet. [`Votes`] keeps one bit for each.
pub const MAX_CURATORS: u32 = 16;
/// Most commitments that one account may have open.
pub const MAX_OPEN: u32 = 32;
/// Fewest bytes of a record in its blob: one character and the end of its line.
pub const MIN_RECORD: u64 = 2;
/// Bytes of the unit in which storage is priced.
pub const MIB: u64 = 1_048_576;
/// Most contributions or snapshots that one view returns.
pub const MAX_PAGE: u32 = 256;

/// Name of a Datanet: 1 to 64 bytes of UTF-8.
pub type Name = BoundedVec<u8, ConstU32<64>>;
/// Curators of a Datanet, in the order in which the owner listed them.
pub type CuratorList<AccountId> = BoundedVec<AccountId, ConstU32<MAX_CURATORS>>;
/// Peaks of a mountain range, the largest first.
pub type PeakList = BoundedVec<Hash, ConstU32<MAX_PEAKS>>;
/// Record hashes of one contribution that the chain indexes, at most 64.
pub type RecordHashes = BoundedVec<Hash, ConstU32<64>>;

/// Parameters of the pallet, set in genesis and changed only by governance.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen, Serialize, Deserialize,
)]
#[serde(crate = "frame::derive::serde", rename_all = "camelCase", default)]
pub struct Parameters {
    /// Deposit of a Datanet.
    pub datanet_deposit: Amount,
    /// Deposit of a commitment.
    pub commit_deposit: Amount,
    /// Deposit of a contribution for each started MiB of its blob.
    pub storage_deposit: Amount,
    /// Deposit of a contribution against copying and malice.
    pub risk_deposit: Amount,
    /// Blocks in which a commitment can be revealed.
    pub commit_window: u32,
    /// Blocks after acceptance for which the risk deposit stays.
    pub duplicate_window: u32,
    /// Fewest blocks between two snapshots of a Datanet.
    pub snapshot_interval: u32,
    /// Most commitments of one account in a day.
    pub commits_per_day: u32,
}

impl Default for Parameters {
    /// The values of the `development` preset.
    fn default() -> Self {
        let fast = Economics::fast();
        Self {
            datanet_deposit: fast.datanet_deposit,
            commit_deposit: fast.commit_deposit,
            storage_deposit: fast.storage_deposit,
            risk_deposit: fast.risk_deposit,
            commit_window: fast.commit_window,
            duplicate_window: fast.duplicate_window,
            snapshot_interval: fast.snapshot_interval,
            commits_per_day: fast.commits_per_day,
        }
    }
}

/// What the records of a Datanet are. Never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Kind {
    /// Conversations of several turns.
    Chat,
    /// Prompt and completion.
    Instruction,
    /// Running text.
    Text,
}

/// Whether a Datanet takes contributions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Status {
    /// Contributions, licences and grants are taken.
    Open,
    /// Snapshots, grants, payouts and deposit live on; nothing new is taken.
    Closed,
}

/// How a contribution is decided. A new rule binds later reveals only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Rule {
    /// The owner's vote decides.
    Owner,
    /// This many equal votes of curators decide, 1 to 16.
    Threshold(u8),
    /// A score of at least this many ppm, reported by a listed oracle, accepts. Not built yet.
    MinScore(u32),
    /// Accepted unless a curator objects within this many blocks. Not built yet.
    Optimistic(u32),
}

/// A curator's vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Verdict {
    /// The contribution belongs into the Datanet.
    Accept,
    /// It does not; a [`RejectCode`] says why.
    Reject,
}

/// Why a contribution was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum RejectCode {
    /// The records are already here.
    Duplicate,
    /// The blob is not what the format page says.
    Format,
    /// The records do not concern the Datanet's subject.
    OffTopic,
    /// Wrong, unclear or useless records.
    Quality,
    /// The records name or describe private persons.
    PersonalData,
    /// Any other reason; the note says which.
    Other,
    /// Taken from somebody else. Forfeits the risk deposit.
    Plagiarism,
    /// Made to harm who trains on it. Forfeits the risk deposit.
    Malware,
    /// Unlawful to keep or pass on. Forfeits the risk deposit.
    Unlawful,
}

impl RejectCode {
    /// Whether this reason sends the risk deposit to the treasury.
    pub fn forfeits(self) -> bool {
        matches!(self, Self::Plagiarism | Self::Malware | Self::Unlawful)
    }
}

/// A registry of records.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Datanet<AccountId> {
    /// Who holds the deposit and decides about curators and licences.
    pub owner: AccountId,
    /// Who may accept ownership.
    pub successor: Option<AccountId>,
    /// What the records are.
    pub kind: Kind,
    /// Schema of the records; 0 is that of the kind.
    pub schema: u32,
    /// Whether contributions are taken.
    pub status: Status,
    /// How the next reveals are decided.
    pub rule: Rule,
    /// Name shown to people.
    pub name: Name,
    /// Content id of the card: what is in it, from where, for what.
    pub card: Hash,
    /// Amount held from the owner.
    pub deposit: u128,
    /// Version of the data key; 0 while the Datanet is not encrypted.
    pub key_version: u32,
    /// Clock value of `create`.
    pub created: u32,
    /// Leaves of the mountain range, tombstones included.
    pub leaves: u64,
    /// Leaves that are tombstones.
    pub tombstones: u64,
    /// Records under the leaves.
    pub records: u64,
    /// Bytes of the accepted contributions.
    pub bytes: u64,
    /// Root of the mountain range with its counts, as a snapshot taken now would store it.
    pub root: Hash,
    /// Contributions revealed so far.
    pub contributions: u32,
    /// Snapshots taken so far.
    pub snapshots: u32,
    /// Reserves sealed so far.
    pub reserves: u32,
    /// Commitments neither revealed nor expired.
    pub open: u32,
    /// Contributions that wait for a verdict.
    pub pending: u32,
    /// Goes up with every new list of curators: votes given under another list do not count.
    pub curators_version: u32,
}

/// A promise to reveal a contribution. Its key says who made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Commitment {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Position in the order of all commitments of the chain: the lowest owns a record.
    pub sequence: u64,
    /// Clock value of `commit`.
    pub block: u32,
    /// Amount held from the account.
    pub deposit: u128,
}

/// What an account has been committing.
#[derive(
    Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Activity {
    /// Day of the last commitment, counted in days of `Clock` since genesis.
    pub day: u32,
    /// Commitments on that day.
    pub commits: u32,
    /// Commitments neither revealed nor expired.
    pub open: u32,
}

/// Where a contribution stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum ContributionState {
    /// Revealed, waits for a verdict.
    Pending,
    /// In the mountain range.
    Accepted,
    /// Refused, with a reason.
    Rejected,
    /// Taken back by its contributor, wholly.
    Withdrawn,
    /// Proved to hold a record that somebody else committed first.
    Struck,
}

/// Where an accepted contribution lies in the mountain range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Leaf {
    /// Position among the leaves, tombstones included.
    pub index: u64,
    /// Records in the range before it.
    pub first: u64,
}

/// A batch of records by one account.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Contribution<AccountId> {
    /// Who contributed it.
    pub owner: AccountId,
    /// Merkle root over the record leaves.
    pub root: Hash,
    /// Content id of the blob.
    pub content: Hash,
    /// Number of records.
    pub records: u32,
    /// Size of the blob.
    pub bytes: u64,
    /// Sequence of its commitment.
    pub sequence: u64,
    /// Where it stands.
    pub state: ContributionState,
    /// Why it was rejected.
    pub reason: Option<RejectCode>,
    /// Digest of the curator's note.
    pub note: Option<Hash>,
    /// Where it lies, once accepted.
    pub leaf: Option<Leaf>,
    /// Rule in force at its reveal, which decides it.
    pub rule: Rule,
    /// Clock value of `reveal`.
    pub revealed: u32,
    /// Clock value of the deciding vote.
    pub decided: Option<u32>,
    /// Amount held for storage.
    pub storage: u128,
    /// Amount held against copying and malice; 0 once freed or forfeited.
    pub risk: u128,
}

/// Votes on one contribution, one bit per position in the list of curators.
#[derive(
    Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Votes {
    /// List of curators under which these votes were given.
    pub version: u32,
    /// Who accepts.
    pub accepts: u16,
    /// Who rejects.
    pub rejects: u16,
    /// Which of them gave a code that forfeits the risk deposit.
    pub severe: u16,
}

/// A score that a listed oracle reported.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Report<AccountId> {
    /// The oracle.
    pub oracle: AccountId,
    /// Its score, ppm.
    pub score: u32,
    /// Digest of its report.
    pub digest: Hash,
}

/// State of a near-duplicate clustering.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum ClusterState {
    /// Posted; may be challenged until this clock value.
    Posted {
        /// Last clock value for a challenge.
        until: u32,
    },
    /// A jury decides.
    Challenged,
    /// Fixed: runs use it.
    Fixed,
}

/// Near-duplicate clusters of one snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Clustering<AccountId> {
    /// Root over the clusters.
    pub root: Hash,
    /// Method by which they were found.
    pub method: u16,
    /// Who posted it, on a bond.
    pub poster: AccountId,
    /// Amount held from the poster.
    pub bond: u128,
    /// State.
    pub state: ClusterState,
}

/// Records sealed by a curator for probes.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Reserve<AccountId> {
    /// Who sealed it.
    pub curator: AccountId,
    /// Merkle root over the sealed records.
    pub root: Hash,
    /// Number of records, at most 4,096.
    pub records: u32,
    /// Sequence at sealing: it judges contributions of higher sequence only.
    pub sequence: u64,
}

/// One bit per record of a reserve: drawn already.
pub type SpentBits = BoundedVec<u8, ConstU32<512>>;

/// What became of an account's contributions.
#[derive(
    Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Standing {
    /// Contributions accepted.
    pub accepted: u32,
    /// Contributions rejected.
    pub rejected: u32,
    /// Contributions struck as copies.
    pub struck: u32,
}

/// Who may spend a Datanet's pot on newcomers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Sponsorship<AccountId> {
    /// Agents who give vouchers.
    pub agents: BoundedVec<AccountId, ConstU32<8>>,
    /// Most that one day may cost.
    pub cap: u128,
    /// Day to which `spent` belongs.
    pub day: u32,
    /// Spent on that day.
    pub spent: u128,
}

/// Calls that a Datanet's pot pays for one account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Voucher {
    /// Calls left.
    pub calls: u32,
    /// Bytes left.
    pub bytes: u64,
    /// Last clock value.
    pub expiry: u32,
}

/// How far a contribution has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Funnel {
    /// Records submitted.
    pub submitted: u32,
    /// Records accepted.
    pub accepted: u32,
    /// First snapshot that holds it.
    pub snapshot: Option<SnapshotIndex>,
    /// Where it stands.
    pub state: ContributionState,
    /// Why it came no further.
    pub reason: Option<RejectCode>,
    /// Clock value from which its risk deposit is free, while it is held after acceptance.
    pub risk_free_at: Option<u32>,
}

/// Path from a record to its contribution's root.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RecordProof {
    /// The Datanet.
    pub datanet: DatanetId,
    /// The contribution.
    pub contribution: ContributionIndex,
    /// Index of the record in the contribution.
    pub index: u32,
    /// Leaf of the record.
    pub leaf: Hash,
    /// Siblings from the leaf up.
    pub path: Vec<Hash>,
}

/// Whose a record is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RecordOwner<AccountId> {
    /// The contributor.
    pub owner: AccountId,
    /// Position among all records of the Datanet.
    pub position: u64,
    /// Sequence of the contribution's commitment.
    pub sequence: u64,
}
