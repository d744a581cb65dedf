//! Pallet permissions: licences and grants.

use codec::{Decode, Encode};
use subxt::ext::scale_decode::DecodeAsType;
use weft_protocol::hash::Hash;

use crate::{state::Static, Call, ChainError, State};

const PALLET: &str = "Permissions";

/// Base models or programs that are permitted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Allowed {
    /// Every one.
    Any,
    /// These; an empty list permits none.
    Only(Vec<Hash>),
}

/// Who may have a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Approval {
    /// Everyone who accepts the terms.
    Open,
    /// Listed accounts; not built.
    AllowList,
    /// Whoever the owner approves; not built.
    OnRequest,
}

/// What a model owes beyond its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Reciprocity {
    /// Nothing.
    None,
    /// The same terms; not built.
    SameTerms,
    /// A royalty in ppm; not built.
    ParentRoyalty(u32),
}

/// What a revocation means for existing models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum OnRevoke {
    /// They serve and pay on.
    KeepServing,
    /// Delisted after a notice; not built.
    StopServing(u32),
}

/// Terms of a licence.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// Purpose bits.
    pub purposes: u16,
    /// SPDX or RAIL id.
    pub name: Vec<u8>,
    /// Digest of the text.
    pub text: Hash,
    /// Price of one training.
    pub price: u128,
    /// Bounds of the data pool, ppm.
    pub pool: (u32, u32),
    /// Part of the points paid by trained tokens, ppm.
    pub base_ppm: u32,
    /// Contributors', owner's and curators' share, ppm.
    pub shares: (u32, u32, u32),
    /// Most trainings of one grant.
    pub max_uses: u32,
    /// Blocks for which a grant lives.
    pub duration: Option<u32>,
    /// Base models.
    pub base_models: Allowed,
    /// Programs.
    pub programs: Allowed,
    /// Whether jobs must have attribution on.
    pub attribution: bool,
    /// Who may have a grant.
    pub approval: Approval,
    /// What a model owes beyond its pool.
    pub reciprocity: Reciprocity,
    /// Oracles trusted with the data key.
    pub trusted: Vec<[u8; 32]>,
    /// Whether the owner may revoke for convenience.
    pub revocable: bool,
    /// What a revocation means for existing models.
    pub on_revoke: OnRevoke,
}

/// One version of a licence.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Licence {
    /// Terms.
    pub terms: Static<Terms>,
    /// Clock value at which it was set.
    pub block: u32,
}

/// Why a grant was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Cause {
    /// The consumer broke the terms.
    Breach,
    /// The owner changed their mind.
    Convenience,
}

/// State of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum GrantState {
    /// Waits for approval.
    Requested,
    /// Usable.
    Active,
    /// No new jobs.
    Revoked(Cause),
}

/// A grant.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Grant {
    /// The Datanet.
    pub datanet: u32,
    /// Licence version.
    pub version: u32,
    /// Who may use it.
    pub consumer: Static<[u8; 32]>,
    /// Trainings granted.
    pub granted: u32,
    /// Not yet asked for.
    pub left: u32,
    /// Of jobs that have not ended.
    pub in_flight: u32,
    /// That ended with a model.
    pub used: u32,
    /// Last clock value.
    pub expiry: Option<u32>,
    /// State.
    pub state: GrantState,
}

impl Grant {
    /// Whether data may go out under this grant at a clock value.
    #[must_use]
    pub fn is_live(&self, now: u32) -> bool {
        self.in_flight > 0 || (self.state == GrantState::Active && self.expiry.is_none_or(|end| now <= end))
    }
}

/// Deposits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Params {
    /// Deposit of a licence version.
    pub licence_deposit: u128,
    /// Deposit of a grant.
    pub grant_deposit: u128,
}

/// What a consumer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Scope {
    /// Purpose bits.
    pub purposes: u16,
    /// Trainings.
    pub uses: u32,
    /// First and last snapshot.
    pub snapshots: (u32, u32),
    /// Base models.
    pub base_models: Allowed,
    /// Programs.
    pub programs: Allowed,
    /// Last clock value.
    pub expiry: Option<u32>,
}

/// The current licence of a Datanet with its version.
pub async fn current(state: &State, datanet: u32) -> Result<Option<(u32, Licence)>, ChainError> {
    state.view(PALLET, "current_licence", (datanet,)).await
}

/// A licence version.
pub async fn licence(state: &State, datanet: u32, version: u32) -> Result<Option<Licence>, ChainError> {
    state.get(PALLET, "Licences", (datanet, version)).await
}

/// A grant.
pub async fn grant(state: &State, id: u32) -> Result<Option<Grant>, ChainError> {
    state.get(PALLET, "Grants", (id,)).await
}

/// Number of the next grant.
pub async fn next_grant(state: &State) -> Result<u32, ChainError> {
    state.view(PALLET, "next_grant", ()).await
}

/// Whether data may go out under a grant at this block.
///
/// A job that runs finishes, whatever became of its grant; without one the grant must be active and not over.
pub async fn is_live(state: &State, id: u32) -> Result<bool, ChainError> {
    Ok(grant(state, id).await?.is_some_and(|g| g.is_live(state.head.number)))
}

/// Deposits of the chain.
pub async fn params(state: &State) -> Result<Params, ChainError> {
    let found = state.get(PALLET, "Params", ()).await?;
    found.ok_or_else(|| state.missing("the deposits of licences and grants"))
}

/// Sets a new licence version.
#[must_use]
pub fn set_licence(datanet: u32, terms: &Terms) -> Call {
    Call::new(PALLET, "set_licence", &(datanet, terms))
}

/// Acquires a grant where approval is open.
#[must_use]
pub fn acquire(datanet: u32, version: u32, max_price: u128, scope: &Scope) -> Call {
    Call::new(PALLET, "acquire", &(datanet, version, max_price, scope))
}

/// Revokes a grant.
#[must_use]
pub fn revoke(grant: u32, cause: Cause) -> Call {
    Call::new(PALLET, "revoke", &(grant, cause))
}

/// Removes a grant that no job can use and none holds.
#[must_use]
pub fn prune(grant: u32) -> Call {
    Call::new(PALLET, "prune", &grant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(in_flight: u32, state: GrantState) -> Grant {
        Grant {
            datanet: 0,
            version: 1,
            consumer: Static([1; 32]),
            granted: 2,
            left: 2u32.saturating_sub(in_flight),
            in_flight,
            used: 0,
            expiry: Some(100),
            state,
        }
    }

    #[test]
    fn grant_should_be_live_until_its_end_when_active() {
        assert!(grant(0, GrantState::Active).is_live(100));
        assert!(!grant(0, GrantState::Active).is_live(101));
        assert!(!grant(0, GrantState::Requested).is_live(1));
        assert!(!grant(0, GrantState::Revoked(Cause::Breach)).is_live(1));
    }

    #[test]
    fn grant_should_be_live_when_a_job_holds_it() {
        assert!(grant(1, GrantState::Active).is_live(101));
        assert!(grant(1, GrantState::Revoked(Cause::Breach)).is_live(1));
        assert!(grant(2, GrantState::Revoked(Cause::Convenience)).is_live(101));
    }
}
