//! What the pallet stores, and what its views answer.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame::prelude::*;
use scale_info::TypeInfo;
use weft_protocol::{
    economics,
    hash::Hash,
    run::{Commit, JuryValue, Opening, Part},
};
use weft_traits::{Amount, DatanetId, Epoch, JobId, ModelId, SnapshotIndex};

/// Most classes that one oracle supports.
pub const MAX_CLASSES: u32 = 8;
/// Longest multiaddr in bytes.
pub const MAX_ENDPOINT: u32 = 128;
/// Most tickets of one oracle in one class.
pub const MAX_TICKETS: u32 = 64;
/// Most runs in which one oracle has stake at the same time.
pub const MAX_LOCKS: u32 = 64;
/// Most misses that are remembered of one oracle.
pub const MAX_FAULTS: u32 = 8;
/// Most withdrawals that wait at the same time.
pub const MAX_UNBONDINGS: u32 = 16;
/// Most draws in one block.
pub const MAX_DRAWS: u32 = 32;
/// Most verifiers of one run, replacements included: twice the most that a tier names.
pub const MAX_VERIFIERS: u32 = 16;
/// Most jurors of one draw.
pub const MAX_JURORS: u32 = 15;
/// Draws of one question.
pub const MAX_JURY_DRAWS: u32 = weft_protocol::jury::MAX_DRAWS;
/// Most open disputes of one run.
pub const MAX_DISPUTES: u32 = 64;
/// Most payout parts of one run.
pub const MAX_PARTS: u32 = 16;
/// Longest Merkle path of a step: 2^32 leaves.
pub const MAX_PATH: u32 = 32;
/// Most recipients of one slash.
pub const MAX_PAYS: u32 = 20;

/// Classes of an oracle, each a `sem_id`.
pub type Classes = BoundedVec<Hash, ConstU32<MAX_CLASSES>>;
/// Multiaddr under which an oracle's daemon is reached.
pub type Endpoint = BoundedVec<u8, ConstU32<MAX_ENDPOINT>>;
/// A Merkle path under `steps_root`, from the leaf up.
pub type Path = BoundedVec<Hash, ConstU32<MAX_PATH>>;

/// Names one run.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub enum RunKey {
    /// Run of a job.
    Job(JobId),
    /// Replay settlement of a model's epoch; not built yet.
    Settle(ModelId, Epoch),
}

/// Whether an oracle takes work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum OracleStatus {
    /// Takes jobs and is drawn.
    Active,
    /// Takes nothing new, by its own choice or because its stake fell below the least.
    Chilled,
    /// Takes nothing new until the clock passes `until`, after three misses.
    Jailed {
        /// Last clock value of the term.
        until: u32,
    },
}

/// A compute oracle.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Oracle {
    /// Stake on hold, without what is unbonding.
    pub bonded: Amount,
    /// Part of the stake that runs have locked.
    pub locked: Amount,
    /// Runs in which it has stake.
    pub locks: u32,
    /// Classes it supports.
    pub classes: Classes,
    /// Multiaddr of its daemon.
    pub endpoint: Endpoint,
    /// Public key with which it signs receipts.
    pub signing_key: Hash,
    /// Whether it takes work.
    pub status: OracleStatus,
    /// Clock values of its latest misses.
    pub faults: BoundedVec<u32, ConstU32<MAX_FAULTS>>,
    /// Changes of its tickets that wait for their time.
    pub changes: u32,
    /// Number of the newest of them, when there is one.
    pub last_change: u64,
}

impl Oracle {
    /// Stake that no run has locked.
    pub fn free(&self) -> Amount {
        self.bonded.saturating_sub(self.locked)
    }

    /// Whether it takes jobs and is drawn.
    pub fn is_active(&self) -> bool {
        self.status == OracleStatus::Active
    }
}

/// A change of an oracle's tickets that waits until no draw depends on the block that made it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct TicketChange<AccountId> {
    /// The oracle.
    pub who: AccountId,
    /// Tickets that it shall have in each of its classes.
    pub wanted: u32,
    /// Clock value from which the change is made.
    pub due: u32,
    /// Number of the next change of the same oracle.
    pub next: Option<u64>,
}

/// Stake on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Unbond {
    /// Amount.
    pub amount: Amount,
    /// Clock value from which it can be withdrawn.
    pub due: u32,
}

/// The opening of a run's commitments as stored.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct StoredOpening {
    /// Last state S_N.
    pub s_n: Hash,
    /// Length of the adapter file in bytes.
    pub file_len: u64,
    /// Merkle root over its 1 KiB pages.
    pub file_pages: Hash,
    /// Attribution method.
    pub method: u16,
    /// Cotangent (0: probe).
    pub cotangent: u32,
    /// Exponent of the start.
    pub x: i8,
    /// First reverse state R_0.
    pub r0: Hash,
    /// Payout parts, ascending by Datanet.
    pub parts: BoundedVec<Part, ConstU32<MAX_PARTS>>,
    /// The method's extra hash.
    pub extra: Hash,
    /// Content id of the artifacts list.
    pub artifacts: Hash,
}

/// Where a run stands inside its job's state, with what it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Phase {
    /// The seed is drawn soon.
    Seeding,
    /// The oracle trains; waits for `commit`.
    Running,
    /// Verifiers are drawn soon.
    Drawing,
    /// Waits for `audit_commit` of the drawn verifiers.
    Auditing,
    /// Replacements of silent verifiers are drawn soon.
    Replacing,
    /// Waits for the oracle's `reveal_nonces`.
    Revealing,
    /// Waits for `audit_reveal` of the verifiers that committed.
    Answering,
    /// Open to accusations; the model is minted when it passes.
    Window,
    /// Jurors are drawn soon.
    JuryDrawing,
    /// Waits for `jury_commit`.
    JuryCommit,
    /// Waits for `jury_reveal`.
    JuryReveal,
    /// Over.
    Ended,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum RunOutcome {
    /// The model is minted.
    Final,
    /// The oracle did not commit in time.
    Late,
    /// The oracle lost its stake.
    Fraud,
    /// A demanded page was not served.
    Withheld,
    /// An honest run without a model.
    Diverged,
    /// Nobody could decide.
    Undecided,
    /// Declined in time because of a false envelope.
    Declined,
}

/// The execution of one job by one oracle.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Run<AccountId> {
    /// Its oracle.
    pub oracle: AccountId,
    /// Who pays and is indemnified.
    pub builder: AccountId,
    /// Stake S that it locked.
    pub stake: Amount,
    /// Fee R.
    pub fee: Amount,
    /// Fee of one verifier or juror.
    pub verifier_fee: Amount,
    /// Lock of one verifier or juror.
    pub lock: Amount,
    /// `sem_id` of class and graph.
    pub sem_id: Hash,
    /// Steps N.
    pub steps: u32,
    /// Attribution method.
    pub method: u16,
    /// Verifiers that the tier names.
    pub verifiers: u8,
    /// Blocks of the whole run on the reference machine.
    pub run_blocks: u32,
    /// Blocks of a full replay.
    pub replay_blocks: u32,
    /// Clock value at `take`.
    pub taken: u32,
    /// Beacon value that gave the seed.
    pub beacon: Option<Hash>,
    /// The seed.
    pub seed: Option<Hash>,
    /// The commitment.
    pub commit: Option<Commit>,
    /// The revealed secret.
    pub secret: Option<Hash>,
    /// The revealed opening; a diverged run has none.
    pub opening: Option<StoredOpening>,
    /// What it waits for.
    pub phase: Phase,
    /// Last clock value at which the awaited message is accepted; in `Window` the last one before Final.
    pub deadline: u32,
    /// Last clock value at which `accuse` is accepted, once the window has opened.
    pub window: Option<u32>,
    /// Whether silent verifiers have been replaced.
    pub replaced: bool,
    /// Whether verifiers that agreed have been paid.
    pub paid: bool,
    /// Number of its disputes so far; open ones among them stand in `Disputes`.
    pub disputes: u32,
    /// Juries drawn for the present question.
    pub juries: BoundedVec<u32, ConstU32<MAX_JURY_DRAWS>>,
    /// How and when it ended.
    pub ended: Option<(RunOutcome, u32)>,
}

/// State of one verifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum AuditState {
    /// Drawn; owes `audit_commit`.
    Drawn,
    /// Its blind answer stands; owes `audit_reveal` once the nonces are out.
    Committed,
    /// It agreed and both paths held.
    Agreed,
    /// It disagreed, or a path failed: challenger on its own lock.
    Disagreed,
    /// It was silent.
    Missed,
}

/// One verifier's part in a run.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Audit {
    /// First and last checkpoint of its segment.
    pub segment: (u32, u32),
    /// Its blind answer.
    pub commitment: Option<Hash>,
    /// State.
    pub state: AuditState,
    /// Stake still locked for it.
    pub lock: Amount,
    /// Whether it was drawn to replace a silent one.
    pub replacement: bool,
    /// Place of its opened answer among those of the run, from 0.
    pub place: Option<u32>,
}

/// The two Merkle paths of an audit answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct AuditPaths {
    /// Path of S_{d−1}.
    pub state: Path,
    /// Path of R_{c+1}; empty without a reverse part.
    pub reverse: Path,
}

/// Move that a dispute waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Cursor {
    /// A jury decides (stage 1).
    Jury,
    /// The oracle opens the step; not built yet.
    Open,
    /// The challenger picks a child under this node; not built yet.
    Pick(Hash, u8),
    /// The oracle shows the children of this node; not built yet.
    Children(Hash, u8),
    /// The challenger proves one element; not built yet.
    Prove(Hash),
}

/// A challenge of a run.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Dispute<AccountId> {
    /// Who challenges.
    pub challenger: AccountId,
    /// Index u at which it differs.
    pub step: u32,
    /// Bond, or lock of a verifier.
    pub bond: Amount,
    /// Whether the bond is the verifier's own lock.
    pub on_lock: bool,
    /// Whose move it is.
    pub cursor: Cursor,
    /// Blocks left to oracle and challenger.
    pub clocks: (u32, u32),
}

/// A demand for one page of a checkpoint; not built yet.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Demand<AccountId> {
    /// Who asked.
    pub asker: AccountId,
    /// Byte fee.
    pub fee: Amount,
    /// Last clock value for the answer.
    pub due: u32,
}

/// What waits for the beacon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Draw {
    /// Seed of a run.
    Seed(RunKey),
    /// Verifiers of a run, or replacements of silent ones.
    Verifiers(RunKey),
    /// Jurors of a run's question.
    Jury(RunKey),
}

/// What a jury decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Question {
    /// Whether a run's commitment is the honest one.
    Run(RunKey),
    /// Whether a data leaf follows from its record; not built yet.
    Data(RunKey, u32),
    /// Whether clusters of near-duplicates are right; not built yet.
    Clusters(DatanetId, SnapshotIndex),
}

/// One juror.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Juror<AccountId> {
    /// Account.
    pub who: AccountId,
    /// Blind answer.
    pub commitment: Option<Hash>,
    /// Revealed answer.
    pub value: Option<JuryValue>,
}

/// One draw of jurors.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Jury<AccountId> {
    /// What it decides.
    pub question: Question,
    /// Bytes drawn with it, from which `work` is computed.
    pub draw: Hash,
    /// Step u whose states `work` covers.
    pub step: u32,
    /// Whether fewer jurors were eligible than the jury size.
    pub short: bool,
    /// Members.
    pub members: BoundedVec<Juror<AccountId>, ConstU32<MAX_JURORS>>,
}

/// Why somebody is slashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Fault {
    /// The run did not arrive in time.
    Late,
    /// The run was proved false.
    Fraud,
    /// The oracle did not reveal secret and opening.
    SilentOracle,
    /// A verifier did not answer.
    SilentVerifier,
    /// A juror did not answer.
    SilentJuror,
    /// A juror's answer differs from the majority's.
    WrongJuror,
    /// A verifier agreed to a run that was proved false.
    FalseAgreement,
    /// A challenge failed.
    FailedChallenge,
    /// A demanded page was not served; not built yet.
    Withheld,
}

/// Where slashed money is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Source {
    /// Locked stake of an oracle.
    Stake,
    /// Bond of an accuser.
    Bond,
}

/// A slash that waits for its delay.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Slash<AccountId> {
    /// Who is slashed.
    pub who: AccountId,
    /// In which run.
    pub run: RunKey,
    /// Amount.
    pub amount: Amount,
    /// Where the money is held.
    pub source: Source,
    /// Why.
    pub fault: Fault,
    /// Who gets how much; what is left is burned.
    pub pays: BoundedVec<(AccountId, Amount), ConstU32<MAX_PAYS>>,
    /// Clock value from which it executes.
    pub due: u32,
}

/// Timers in blocks, set in genesis and changed only by governance.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen, Serialize, Deserialize,
)]
#[serde(crate = "frame::derive::serde", rename_all = "camelCase", default)]
pub struct Timers {
    /// Draw delay δ.
    pub draw: u32,
    /// A job stays open that long.
    pub open: u32,
    /// A private job may be declined that long.
    pub key: u32,
    /// Base of T_run; the run's length is added.
    pub run: u32,
    /// Base of T_audit; twice the replay is added.
    pub audit: u32,
    /// T_reveal, for nonces and then for answers.
    pub reveal: u32,
    /// T_window.
    pub window: u32,
    /// When not 0, T_window is at least twice the replay and this; production needs it.
    pub window_extra: u32,
    /// T_resp per move of a dispute.
    pub resp: u32,
    /// T_clock per side of a dispute.
    pub clock: u32,
    /// Blocks that a move leaves to the other side at least.
    pub extension: u32,
    /// T_da for a demanded page.
    pub da: u32,
    /// Base of T_jury per phase; twice the replay is added.
    pub jury: u32,
    /// Blocks between the last decision and Final at least.
    pub grace: u32,
    /// Blocks between unbonding and withdrawal.
    pub unbonding: u32,
    /// Blocks between a slash's decision and its execution.
    pub slash_delay: u32,
    /// Blocks for which failed runs are kept.
    pub run_retention: u32,
    /// Misses count for that many days.
    pub fault_days: u32,
    /// Length of the term in jail, in blocks.
    pub jail: u32,
    /// Blocks for which beacon values are kept.
    pub beacon_history: u32,
}

impl Timers {
    /// The timers of a preset, with the values that verification does not set: unbonding outlasts an undisputed run, a
    /// term in jail is as long as the retention of failed runs.
    pub fn of(timers: &economics::Timers, params: &economics::Params) -> Self {
        Self {
            draw: timers.draw_delay,
            open: timers.open,
            key: timers.key,
            run: timers.run,
            audit: timers.audit,
            reveal: timers.reveal,
            window: timers.window,
            window_extra: 0,
            resp: timers.response,
            clock: timers.clock,
            extension: timers.extension,
            da: timers.data,
            jury: timers.jury,
            grace: timers.grace,
            unbonding: timers.run.saturating_add(timers.window),
            slash_delay: params.slash_delay,
            run_retention: params.run_retention,
            fault_days: 30,
            jail: params.run_retention,
            beacon_history: 256,
        }
    }
}

impl Default for Timers {
    /// The values of the `development` preset.
    fn default() -> Self {
        Self::of(&economics::Timers::development(), &economics::Params::fast())
    }
}

/// Stakes, bonds and juries, set in genesis and changed only by governance.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen, Serialize, Deserialize,
)]
#[serde(crate = "frame::derive::serde", rename_all = "camelCase", default)]
pub struct Stakes {
    /// Least stake S_min of an oracle.
    pub min_stake: Amount,
    /// Free stake that one ticket stands for.
    pub ticket: Amount,
    /// Least S_late.
    pub late_floor: Amount,
    /// Fixed part of a verifier's fee.
    pub audit_fee: Amount,
    /// Fixed part of a bond.
    pub bond_floor: Amount,
    /// Assumed lazy or colluding fraction r of verifiers, in ppm.
    pub lazy_ppm: u32,
    /// Challenger's part β of a slash, in ppm.
    pub beta_ppm: u32,
    /// Jurors of one draw.
    pub jury_size: u8,
    /// Fewest verifiers of a tier; 0 lets runs pass unaudited.
    pub min_verifiers: u8,
    /// Misses that jail an oracle.
    pub max_faults: u32,
}

impl Default for Stakes {
    /// The values of the `development` preset.
    fn default() -> Self {
        let fast = economics::Params::fast();
        Self {
            min_stake: fast.s_min,
            ticket: fast.ticket,
            late_floor: fast.late_floor,
            audit_fee: fast.audit_fee,
            bond_floor: fast.bond_floor,
            lazy_ppm: fast.lazy_ppm,
            beta_ppm: fast.beta_ppm,
            jury_size: fast.jury_size,
            min_verifiers: fast.min_verifiers,
            max_faults: 3,
        }
    }
}

/// What an account must do.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum DutyKind {
    /// Train and call `commit`.
    Commit,
    /// Replay and call `audit_commit`.
    AuditCommit {
        /// First and last checkpoint of the segment.
        segment: (u32, u32),
    },
    /// Call `reveal_nonces`.
    RevealNonces,
    /// Call `audit_reveal`.
    AuditReveal {
        /// First and last checkpoint of the segment.
        segment: (u32, u32),
    },
    /// Recompute the run and call `jury_commit`.
    JuryCommit {
        /// The jury.
        jury: u32,
        /// Bytes drawn with it.
        draw: Hash,
        /// Step u whose states `work` covers.
        step: u32,
    },
    /// Call `jury_reveal`.
    JuryReveal {
        /// The jury.
        jury: u32,
        /// Bytes drawn with it.
        draw: Hash,
        /// Step u whose states `work` covers.
        step: u32,
    },
}

/// One thing that an account must do, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Duty {
    /// The run.
    pub run: RunKey,
    /// What to do.
    pub kind: DutyKind,
    /// Last clock value at which it is accepted.
    pub deadline: u32,
}

/// What [`crate::Pallet::oracle`] answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct OracleView {
    /// The stored oracle.
    pub oracle: Oracle,
    /// Stake that no run has locked.
    pub free: Amount,
    /// Stake on its way out.
    pub unbonding: Vec<Unbond>,
    /// Locks by run.
    pub locks: Vec<(RunKey, Amount)>,
}

/// What [`crate::Pallet::run`] answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RunView<AccountId> {
    /// The stored run.
    pub run: Run<AccountId>,
    /// Its verifiers.
    pub audits: Vec<(AccountId, Audit)>,
    /// Its open disputes.
    pub disputes: Vec<(u32, Dispute<AccountId>)>,
    /// Juries of its present question.
    pub juries: Vec<(u32, Jury<AccountId>)>,
}

/// Error of [`StoredOpening::new`]: more parts than a run may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyParts;

impl StoredOpening {
    /// Bounds an opening for storage.
    pub fn new(opening: Opening) -> Result<Self, TooManyParts> {
        let Opening { s_n, file_len, file_pages, method, cotangent, x, r0, parts, extra, artifacts } = opening;
        let parts = parts.to_vec().try_into().map_err(|_| TooManyParts)?;
        Ok(Self { s_n, file_len, file_pages, method, cotangent, x, r0, parts, extra, artifacts })
    }

    /// The opening as the protocol crate knows it.
    pub fn to_opening(&self) -> Opening {
        Opening {
            s_n: self.s_n,
            file_len: self.file_len,
            file_pages: self.file_pages,
            method: self.method,
            cotangent: self.cotangent,
            x: self.x,
            r0: self.r0,
            parts: self.parts.to_vec(),
            extra: self.extra,
            artifacts: self.artifacts,
        }
    }
}
