//! Pallet datanets: registries of records.

use codec::Encode;
use subxt::ext::scale_decode::DecodeAsType;
use weft_protocol::hash::Hash;

use crate::{state::Static, Call, ChainError, State};

const PALLET: &str = "Datanets";

/// What the records of a Datanet are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Kind {
    /// Conversations of several turns.
    Chat,
    /// Prompt and completion.
    Instruction,
    /// Running text.
    Text,
}

/// How a contribution is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Rule {
    /// The owner's vote.
    Owner,
    /// This many equal votes of curators.
    Threshold(u8),
    /// A reported score; not built.
    MinScore(u32),
    /// Silence accepts; not built.
    Optimistic(u32),
}

/// A curator's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Verdict {
    /// It belongs into the Datanet.
    Accept,
    /// It does not.
    Reject,
}

/// Why a contribution was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, DecodeAsType, serde::Serialize, serde::Deserialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[serde(rename_all = "snake_case")]
pub enum RejectCode {
    /// The records are already here.
    Duplicate,
    /// The blob is not in the format.
    Format,
    /// Another subject.
    OffTopic,
    /// Wrong, unclear or useless.
    Quality,
    /// Private persons.
    PersonalData,
    /// Another reason.
    Other,
    /// Taken from somebody else.
    Plagiarism,
    /// Made to harm.
    Malware,
    /// Unlawful.
    Unlawful,
}

impl std::str::FromStr for RejectCode {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        serde_json::from_value(serde_json::Value::String(s.replace('-', "_"))).map_err(|_| {
            format!("'{s}' is not a reason; take one of duplicate, format, off-topic, quality, personal-data, plagiarism, malware, unlawful, other")
        })
    }
}

/// Where a contribution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType, serde::Serialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[serde(rename_all = "snake_case")]
pub enum ContributionState {
    /// Waits for a verdict.
    Pending,
    /// In the mountain range.
    Accepted,
    /// Refused.
    Rejected,
    /// Taken back.
    Withdrawn,
    /// Proved a copy.
    Struck,
}

/// Deposits and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Params {
    /// Deposit of a Datanet.
    pub datanet_deposit: u128,
    /// Deposit of a commitment.
    pub commit_deposit: u128,
    /// Deposit of a contribution for each started MiB.
    pub storage_deposit: u128,
    /// Deposit of a contribution against copying and malice.
    pub risk_deposit: u128,
    /// Blocks in which a commitment can be revealed.
    pub commit_window: u32,
}

/// A Datanet.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Datanet {
    /// Owner.
    pub owner: Static<[u8; 32]>,
    /// Kind.
    pub kind: Kind,
    /// Rule.
    pub rule: Rule,
    /// Name.
    pub name: Vec<u8>,
    /// Content id of the card.
    pub card: Hash,
    /// Leaves, tombstones included.
    pub leaves: u64,
    /// Accepted records.
    pub records: u64,
    /// Accepted bytes.
    pub bytes: u64,
    /// Contributions revealed.
    pub contributions: u32,
    /// Snapshots taken.
    pub snapshots: u32,
    /// Contributions without a verdict.
    pub pending: u32,
}

/// Place in the mountain range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Leaf {
    /// Position among the leaves.
    pub index: u64,
    /// Records before it.
    pub first: u64,
}

/// A contribution.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Contribution {
    /// Contributor.
    pub owner: Static<[u8; 32]>,
    /// Root of the record leaves.
    pub root: Hash,
    /// Content id of the blob.
    pub content: Hash,
    /// Records.
    pub records: u32,
    /// Bytes.
    pub bytes: u64,
    /// Sequence of the commitment.
    pub sequence: u64,
    /// State.
    pub state: ContributionState,
    /// Why rejected.
    pub reason: Option<RejectCode>,
    /// Digest of the curator's note.
    pub note: Option<Hash>,
    /// Place, once accepted.
    pub leaf: Option<Leaf>,
}

/// A commitment that waits for its reveal.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Commitment {
    /// The Datanet.
    pub datanet: u32,
    /// Clock of the commitment.
    pub block: u32,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Snapshot {
    /// Root.
    pub root: Hash,
    /// Leaves of the range.
    pub leaves: u64,
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Clock.
    pub block: u32,
}

/// A Datanet.
pub async fn datanet(state: &State, id: u32) -> Result<Option<Datanet>, ChainError> {
    state.get(PALLET, "Datanets", (id,)).await
}

/// Number of the next Datanet.
pub async fn next_datanet(state: &State) -> Result<u32, ChainError> {
    state.view(PALLET, "next_datanet", ()).await
}

/// Curators.
pub async fn curators(state: &State, id: u32) -> Result<Vec<[u8; 32]>, ChainError> {
    let list: Option<Static<Vec<[u8; 32]>>> = state.get(PALLET, "Curators", (id,)).await?;
    Ok(list.map(|l| l.0).unwrap_or_default())
}

/// A contribution.
pub async fn contribution(state: &State, datanet: u32, n: u32) -> Result<Option<Contribution>, ChainError> {
    state.get(PALLET, "Contributions", (datanet, n)).await
}

/// An open commitment of an account.
pub async fn commitment(state: &State, who: &[u8; 32], hash: &Hash) -> Result<Option<Commitment>, ChainError> {
    state.get(PALLET, "Commitments", (*who, *hash)).await
}

/// Deposits and limits of the chain.
pub async fn params(state: &State) -> Result<Params, ChainError> {
    let found = state.get(PALLET, "Params", ()).await?;
    found.ok_or_else(|| state.missing("the deposits and limits of Datanets"))
}

/// A snapshot.
pub async fn snapshot(state: &State, datanet: u32, s: u32) -> Result<Option<Snapshot>, ChainError> {
    state.get(PALLET, "Snapshots", (datanet, s)).await
}

/// Creates a Datanet.
#[must_use]
pub fn create(kind: Kind, name: &str, card: Hash, rule: Rule) -> Call {
    Call::new(PALLET, "create", &(kind, 0u32, name.as_bytes(), card, rule))
}

/// Sets the curators.
#[must_use]
pub fn set_curators(datanet: u32, list: &[[u8; 32]]) -> Call {
    Call::new(PALLET, "set_curators", &(datanet, list))
}

/// Commits to a contribution.
#[must_use]
pub fn commit(datanet: u32, hash: Hash) -> Call {
    Call::new(PALLET, "commit", &(datanet, hash))
}

/// Reveals a contribution.
#[must_use]
pub fn reveal(datanet: u32, root: Hash, salt: Hash, content: Hash, records: u32, bytes: u64) -> Call {
    Call::new(PALLET, "reveal", &(datanet, root, salt, content, records, bytes, None::<Vec<Hash>>))
}

/// Votes on a contribution.
#[must_use]
pub fn review(datanet: u32, n: u32, verdict: Verdict, code: Option<RejectCode>, note: Option<Hash>) -> Call {
    Call::new(PALLET, "review", &(datanet, n, verdict, code, note))
}

/// Takes a snapshot.
#[must_use]
pub fn snapshot_now(datanet: u32) -> Call {
    Call::new(PALLET, "snapshot", &datanet)
}
