//! Pallet compute-oracles: stake, runs, audits, juries.

use codec::Encode;
use subxt::ext::scale_decode::DecodeAsType;
use weft_protocol::{
    hash::Hash,
    run::{Commit, JuryValue, Opening},
};

use crate::{state::Static, Call, ChainError, State};

const PALLET: &str = "ComputeOracles";

/// A run: that of a job, or a replay settlement (not built).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, codec::Decode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum RunKey {
    /// Run of a job.
    Job(u32),
    /// Replay settlement of a model's epoch.
    Settle(u32, u32),
}

/// Whether an oracle takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType, serde::Serialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[serde(rename_all = "snake_case")]
pub enum OracleStatus {
    /// Takes jobs and is drawn.
    Active,
    /// Takes nothing new.
    Chilled,
    /// Takes nothing new until the clock passes.
    Jailed {
        /// Last clock value of the term.
        until: u32,
    },
}

/// An oracle.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Oracle {
    /// Stake, without what is unbonding.
    pub bonded: u128,
    /// Locked by runs.
    pub locked: u128,
    /// Classes.
    pub classes: Vec<Hash>,
    /// Receipt key.
    pub signing_key: Hash,
    /// Status.
    pub status: OracleStatus,
}

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType, serde::Serialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The seed is drawn soon.
    Seeding,
    /// The oracle trains.
    Running,
    /// Verifiers are drawn soon.
    Drawing,
    /// Verifiers recompute.
    Auditing,
    /// Replacements are drawn soon.
    Replacing,
    /// The oracle reveals.
    Revealing,
    /// Verifiers answer.
    Answering,
    /// Open to accusations.
    Window,
    /// Jurors are drawn soon.
    JuryDrawing,
    /// Jurors recompute.
    JuryCommit,
    /// Jurors reveal.
    JuryReveal,
    /// Over.
    Ended,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType, serde::Serialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Minted.
    Final,
    /// Too late.
    Late,
    /// The oracle lost its stake.
    Fraud,
    /// A page was withheld.
    Withheld,
    /// Honest, without a model.
    Diverged,
    /// Nobody could decide.
    Undecided,
    /// Declined.
    Declined,
}

/// The opening as stored: the same encoding as the protocol's.
pub type StoredOpening = Static<Opening>;

/// A run.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Run {
    /// Oracle.
    pub oracle: Static<[u8; 32]>,
    /// Stake S.
    pub stake: u128,
    /// Fee of one verifier or juror.
    pub verifier_fee: u128,
    /// Lock of one verifier or juror.
    pub lock: u128,
    /// Steps N.
    pub steps: u32,
    /// Attribution method.
    pub method: u16,
    /// Beacon of the seed.
    pub beacon: Option<Hash>,
    /// Seed.
    pub seed: Option<Hash>,
    /// Commitment.
    pub commit: Option<Static<Commit>>,
    /// Secret.
    pub secret: Option<Hash>,
    /// Opening.
    pub opening: Option<StoredOpening>,
    /// What it waits for.
    pub phase: Phase,
    /// Last clock value for the awaited message.
    pub deadline: u32,
    /// Last clock value for `accuse`.
    pub window: Option<u32>,
    /// Disputes so far.
    pub disputes: u32,
    /// How and when it ended.
    pub ended: Option<(RunOutcome, u32)>,
}

/// Where a verifier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType, serde::Serialize)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[serde(rename_all = "snake_case")]
pub enum AuditState {
    /// Owes its blind answer.
    Drawn,
    /// Owes its open answer once the nonces are out.
    Committed,
    /// It agreed.
    Agreed,
    /// It disagreed.
    Disagreed,
    /// It was silent.
    Missed,
}

/// A verifier's part in a run.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Audit {
    /// Where it stands.
    pub state: AuditState,
}

/// A juror's part.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Juror {
    /// Account.
    pub who: Static<[u8; 32]>,
    /// Blind answer.
    pub commitment: Option<Hash>,
    /// Revealed answer.
    pub value: Option<Static<JuryValue>>,
}

/// A jury.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Jury {
    /// Members.
    pub members: Vec<Juror>,
}

/// A run with those who check it.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Verifiers.
    pub audits: Vec<(Static<[u8; 32]>, Audit)>,
    /// Juries of the present question.
    pub juries: Vec<(u32, Jury)>,
}

/// Stake on its way out.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Unbond {
    /// Amount.
    pub amount: u128,
    /// Clock value from which it can be withdrawn.
    pub due: u32,
}

/// What an account must do.
#[derive(Clone, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum DutyKind {
    /// Train and commit.
    Commit,
    /// Replay and answer blindly.
    AuditCommit {
        /// First and last checkpoint.
        segment: (u32, u32),
    },
    /// Reveal secret and opening.
    RevealNonces,
    /// Reveal the answer.
    AuditReveal {
        /// First and last checkpoint.
        segment: (u32, u32),
    },
    /// Recompute and answer blindly.
    JuryCommit {
        /// The jury.
        jury: u32,
        /// Bytes drawn with it.
        draw: Hash,
        /// Step of `work`.
        step: u32,
    },
    /// Reveal the answer.
    JuryReveal {
        /// The jury.
        jury: u32,
        /// Bytes drawn with it.
        draw: Hash,
        /// Step of `work`.
        step: u32,
    },
}

/// One thing that an account must do.
#[derive(Clone, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Duty {
    /// The run.
    pub run: RunKey,
    /// What.
    pub kind: DutyKind,
    /// Last clock value.
    pub deadline: u32,
}

/// Genesis parameters of stakes that clients need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Stakes {
    /// Fixed part of a verifier's fee.
    pub audit_fee: u128,
    /// Fixed part of a bond.
    pub bond_floor: u128,
    /// Jurors of one draw.
    pub jury_size: u8,
}

/// Stakes of the chain.
pub async fn stakes(state: &State) -> Result<Stakes, ChainError> {
    let found = state.get(PALLET, "StakeParams", ()).await?;
    found.ok_or_else(|| state.missing("the parameters of stakes"))
}

/// An oracle.
pub async fn oracle(state: &State, who: &[u8; 32]) -> Result<Option<Oracle>, ChainError> {
    state.get(PALLET, "Oracles", (*who,)).await
}

/// A job's run.
pub async fn run(state: &State, job: u32) -> Result<Option<Run>, ChainError> {
    state.get(PALLET, "Runs", (Static(RunKey::Job(job)),)).await
}

/// A job's run with its verifiers and jurors.
pub async fn run_view(state: &State, job: u32) -> Result<Option<RunView>, ChainError> {
    state.view(PALLET, "run", (Static(RunKey::Job(job)),)).await
}

/// Stake of an oracle on its way out.
pub async fn unbonding(state: &State, who: &[u8; 32]) -> Result<Vec<Unbond>, ChainError> {
    Ok(state.get(PALLET, "Unbonding", (*who,)).await?.unwrap_or_default())
}

/// What `who` must do now.
pub async fn duties(state: &State, who: &[u8; 32]) -> Result<Vec<Duty>, ChainError> {
    state.view(PALLET, "duties", (*who,)).await
}

/// Registers an oracle.
#[must_use]
pub fn register(classes: &[Hash], endpoint: &str, signing_key: Hash, amount: u128) -> Call {
    Call::new(PALLET, "register", &(classes, endpoint.as_bytes(), signing_key, amount))
}

/// Adds stake.
#[must_use]
pub fn bond(amount: u128) -> Call {
    Call::new(PALLET, "bond", &amount)
}

/// Starts to take stake out.
#[must_use]
pub fn unbond(amount: u128) -> Call {
    Call::new(PALLET, "unbond", &amount)
}

/// Takes out what is due.
#[must_use]
pub fn withdraw() -> Call {
    Call::new(PALLET, "withdraw", &())
}

/// Takes nothing new.
#[must_use]
pub fn chill() -> Call {
    Call::new(PALLET, "chill", &())
}

/// Takes work again.
#[must_use]
pub fn resume() -> Call {
    Call::new(PALLET, "resume", &())
}

/// Takes a job.
#[must_use]
pub fn take(job: u32) -> Call {
    Call::new(PALLET, "take", &job)
}

/// Posts a run's commitment.
#[must_use]
pub fn commit(job: u32, c: &Commit) -> Call {
    Call::new(PALLET, "commit", &(RunKey::Job(job), c))
}

/// A verifier's blind answer.
#[must_use]
pub fn audit_commit(job: u32, hash: Hash) -> Call {
    Call::new(PALLET, "audit_commit", &(RunKey::Job(job), hash))
}

/// The oracle's secret and opening.
#[must_use]
pub fn reveal_nonces(job: u32, secret: Hash, opening: Option<&Opening>) -> Call {
    Call::new(PALLET, "reveal_nonces", &(RunKey::Job(job), secret, opening))
}

/// A verifier's answer.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "the call's own arguments")]
pub fn audit_reveal(
    job: u32,
    salt: Hash,
    state: Hash,
    reverse: Hash,
    agrees: bool,
    state_path: &[Hash],
    reverse_path: &[Hash],
) -> Call {
    Call::new(PALLET, "audit_reveal", &(RunKey::Job(job), salt, state, reverse, agrees, (state_path, reverse_path)))
}

/// Accuses a run of differing at X_u.
#[must_use]
pub fn accuse(job: u32, u: u32) -> Call {
    Call::new(PALLET, "accuse", &(RunKey::Job(job), u))
}

/// A juror's blind answer.
#[must_use]
pub fn jury_commit(jury: u32, hash: Hash) -> Call {
    Call::new(PALLET, "jury_commit", &(jury, hash))
}

/// A juror's answer.
#[must_use]
pub fn jury_reveal(jury: u32, commit: &Commit, work: Hash, salt: Hash) -> Call {
    Call::new(PALLET, "jury_reveal", &(jury, (commit, work), salt))
}
