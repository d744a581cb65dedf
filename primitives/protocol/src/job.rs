//! The state machine of a job and its run.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// How a run is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
pub enum Tier {
    /// That many segments, one verifier each.
    #[codec(index = 0)]
    Spot(u8),
    /// That many verifiers, each replaying everything.
    #[codec(index = 1)]
    Full(u8),
}

impl Tier {
    /// Verifiers drawn.
    pub const fn verifiers(self) -> u8 {
        match self {
            Self::Spot(m) => m,
            Self::Full(v) => v,
        }
    }
}

/// Why a job failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum FailReason {
    /// The oracle did not commit in time.
    #[codec(index = 0)]
    Late,
    /// The oracle was proved wrong, or fell silent where it had to speak.
    #[codec(index = 1)]
    Fraud,
    /// A demanded page was not served.
    #[codec(index = 2)]
    Withheld,
    /// The training diverged: an honest outcome without a model.
    #[codec(index = 3)]
    Diverged,
    /// Nobody could decide.
    #[codec(index = 4)]
    Undecided,
}

/// State of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum JobState {
    /// Waits for an oracle.
    #[codec(index = 0)]
    Open,
    /// An oracle runs it.
    #[codec(index = 1)]
    Assigned,
    /// The oracle committed its result.
    #[codec(index = 2)]
    Committed,
    /// Drawn verifiers replay it.
    #[codec(index = 3)]
    Audit,
    /// Anyone may challenge.
    #[codec(index = 4)]
    Window,
    /// A challenge is open.
    #[codec(index = 5)]
    Disputed,
    /// The model is minted.
    #[codec(index = 6)]
    Final,
    /// Taken back before work began.
    #[codec(index = 7)]
    Cancelled,
    /// No oracle took it.
    #[codec(index = 8)]
    Expired,
    /// Ended without a model.
    #[codec(index = 9)]
    Failed(FailReason),
}

/// What can happen to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum JobEvent {
    /// The builder takes it back.
    Cancel,
    /// T_open passed.
    OpenTimeout,
    /// An oracle takes it.
    Take,
    /// The oracle declines a false envelope in T_key.
    Decline,
    /// T_run passed.
    RunTimeout,
    /// The oracle commits.
    Commit,
    /// The beacon came: verifiers and segments are drawn.
    Drawn,
    /// Every revealed answer agrees and all paths hold.
    Agreed,
    /// An answer disagrees, or a path fails.
    Disagreed,
    /// Nobody answered the audit, no answer was revealed, or juries came to no answer.
    Undecided,
    /// The oracle revealed nothing in T_reveal.
    OracleSilent,
    /// A challenge or accusation in the window.
    Challenge,
    /// The last open challenge failed.
    ChallengeFailed,
    /// Fraud was proved.
    FraudProved,
    /// A demanded page was not served.
    Withheld,
    /// T_window passed.
    WindowPassed,
    /// T_window passed over a diverged run.
    WindowPassedDiverged,
}

impl JobEvent {
    /// Every event.
    pub const ALL: [Self; 17] = [
        Self::Cancel,
        Self::OpenTimeout,
        Self::Take,
        Self::Decline,
        Self::RunTimeout,
        Self::Commit,
        Self::Drawn,
        Self::Agreed,
        Self::Disagreed,
        Self::Undecided,
        Self::OracleSilent,
        Self::Challenge,
        Self::ChallengeFailed,
        Self::FraudProved,
        Self::Withheld,
        Self::WindowPassed,
        Self::WindowPassedDiverged,
    ];
}

/// The event does not apply in this state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongState {
    /// The state.
    pub state: JobState,
    /// The event that was refused.
    pub event: JobEvent,
}

impl JobState {
    /// The state after `event`; [`WrongState`] when the event does not apply.
    pub const fn next(self, event: JobEvent) -> Result<Self, WrongState> {
        use FailReason as F;
        use JobEvent as E;
        Ok(match (self, event) {
            (Self::Open, E::Cancel) => Self::Cancelled,
            (Self::Open, E::OpenTimeout) => Self::Expired,
            (Self::Open, E::Take) => Self::Assigned,
            (Self::Assigned, E::Decline) => Self::Cancelled,
            (Self::Assigned, E::RunTimeout) => Self::Failed(F::Late),
            (Self::Assigned, E::Commit) => Self::Committed,
            (Self::Committed, E::Drawn) => Self::Audit,
            (Self::Audit, E::Agreed) => Self::Window,
            (Self::Audit, E::Disagreed) => Self::Disputed,
            (Self::Audit, E::OracleSilent) => Self::Failed(F::Fraud),
            (Self::Window, E::Challenge) => Self::Disputed,
            (Self::Window, E::WindowPassed) => Self::Final,
            (Self::Window, E::WindowPassedDiverged) => Self::Failed(F::Diverged),
            (Self::Disputed, E::ChallengeFailed) => Self::Window,
            (Self::Disputed, E::FraudProved) => Self::Failed(F::Fraud),
            (Self::Audit | Self::Disputed, E::Undecided) => Self::Failed(F::Undecided),
            (Self::Audit | Self::Window | Self::Disputed, E::Withheld) => Self::Failed(F::Withheld),
            (state, event) => return Err(WrongState { state, event }),
        })
    }

    /// Whether nothing can happen any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Final | Self::Cancelled | Self::Expired | Self::Failed(_))
    }

    /// Whether a run with locked stake exists.
    pub const fn has_run(self) -> bool {
        matches!(self, Self::Assigned | Self::Committed | Self::Audit | Self::Window | Self::Disputed)
    }
}
