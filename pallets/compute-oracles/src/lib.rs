#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(clippy::expect_used, clippy::as_conversions, reason = "FRAME and codec macros expand to them")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        unreachable_pub,
        missing_docs,
        reason = "tests may"
    )
)]

extern crate alloc;

mod assignment;
mod audit;
mod commitment;
mod dispute;
mod impls;
mod jury;
mod slashing;
mod stake;
mod tickets;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
pub mod types;
mod views;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

#[frame::pallet]
pub mod pallet {
    use super::{types::*, weights::WeightInfo};
    use alloc::vec::Vec;
    use frame::{
        prelude::*,
        token::fungible::{hold, Inspect, Mutate},
    };
    use weft_protocol::{
        hash::Hash,
        job::Tier,
        run::{Commit, JuryValue, Opening},
        split::PPM,
    };
    use weft_traits::{Amount, Clock, JobControl, JobId, ParentVrf, RunBlocks, RunLimits};

    /// Version of the stored layout.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// The pallet.
    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What the runtime provides.
    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId: From<[u8; 32]> + Into<[u8; 32]>> {
        /// Reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// The token.
        type Currency: Inspect<Self::AccountId, Balance = Amount>
            + Mutate<Self::AccountId>
            + hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The chain's clock.
        type Clock: Clock;
        /// VRF output of the parent block.
        type Vrf: ParentVrf;
        /// Jobs and their escrow.
        type Jobs: JobControl<Self::AccountId>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Stake of an oracle, also while it unbonds.
        Stake,
        /// Bond of an accusation.
        Bond,
    }

    /// Timers.
    ///
    /// - Value: [`Timers`]
    #[pallet::storage]
    pub type TimerParams<T: Config> = StorageValue<_, Timers, ValueQuery>;

    /// Stakes, bonds and juries.
    ///
    /// - Value: [`Stakes`]
    #[pallet::storage]
    pub type StakeParams<T: Config> = StorageValue<_, Stakes, ValueQuery>;

    /// Registered oracles.
    ///
    /// - Key: account
    /// - Value: [`Oracle`]
    #[pallet::storage]
    pub type Oracles<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Oracle>;

    /// Stake on its way out.
    ///
    /// - Key: account
    /// - Value: amounts with the clock values from which they can be withdrawn
    #[pallet::storage]
    pub type Unbonding<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, BoundedVec<Unbond, ConstU32<MAX_UNBONDINGS>>, ValueQuery>;

    /// Stake locked in runs. An account has an entry here for every run in which it has a part.
    ///
    /// - Keys: account, run
    /// - Value: amount
    #[pallet::storage]
    pub type Locks<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, RunKey, Amount, ValueQuery>;

    /// Tickets of a class, numbered without a gap: an account is drawn in proportion to its free stake.
    ///
    /// - Keys: class, number
    /// - Value: account
    #[pallet::storage]
    pub type Tickets<T: Config> = StorageDoubleMap<_, Blake2_128Concat, Hash, Twox64Concat, u32, T::AccountId>;

    /// Number of tickets of a class.
    ///
    /// - Key: class
    /// - Value: count
    #[pallet::storage]
    pub type TicketCount<T: Config> = StorageMap<_, Blake2_128Concat, Hash, u32, ValueQuery>;

    /// Numbers of an oracle's tickets.
    ///
    /// - Keys: account, class
    /// - Value: ticket numbers
    #[pallet::storage]
    pub type TicketsOf<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Blake2_128Concat,
        Hash,
        BoundedVec<u32, ConstU32<MAX_TICKETS>>,
        ValueQuery,
    >;

    /// Changes of tickets that wait, in the order in which they were asked for.
    ///
    /// - Key: number
    /// - Value: [`TicketChange`]
    #[pallet::storage]
    pub type Stale<T: Config> = StorageMap<_, Twox64Concat, u64, TicketChange<T::AccountId>>;

    /// First change of [`Stale`] and the number after the last.
    ///
    /// - Value: (first, end)
    #[pallet::storage]
    pub type StaleQueue<T: Config> = StorageValue<_, (u64, u64), ValueQuery>;

    /// Number of active oracles that support a class.
    ///
    /// - Key: class
    /// - Value: count
    #[pallet::storage]
    pub type Supporting<T: Config> = StorageMap<_, Blake2_128Concat, Hash, u32, ValueQuery>;

    /// Runs: one per live job; failed ones stay for the retention time.
    ///
    /// - Key: run
    /// - Value: [`Run`]
    #[pallet::storage]
    pub type Runs<T: Config> = StorageMap<_, Twox64Concat, RunKey, Run<T::AccountId>>;

    /// Verifiers of a run.
    ///
    /// - Keys: run, verifier
    /// - Value: [`Audit`]
    #[pallet::storage]
    pub type Audits<T: Config> = StorageDoubleMap<_, Twox64Concat, RunKey, Blake2_128Concat, T::AccountId, Audit>;

    /// Blind challenges; empty until disputes are built.
    ///
    /// - Key: blind hash
    /// - Value: clock value at which it was committed
    #[pallet::storage]
    pub type Challenges<T: Config> = StorageMap<_, Blake2_128Concat, Hash, u32>;

    /// Open disputes of a run, numbered from 0: accusations, and verifiers that disagree.
    ///
    /// - Keys: run, number
    /// - Value: [`Dispute`]
    #[pallet::storage]
    pub type Disputes<T: Config> = StorageDoubleMap<_, Twox64Concat, RunKey, Twox64Concat, u32, Dispute<T::AccountId>>;

    /// Trace roots of opened steps; empty until disputes are built.
    ///
    /// - Keys: run, step
    /// - Value: trace root
    #[pallet::storage]
    pub type Traces<T: Config> = StorageDoubleMap<_, Twox64Concat, RunKey, Twox64Concat, u32, Hash>;

    /// Demands for pages of checkpoints; empty until they are built.
    ///
    /// - Keys: run, (checkpoint, page)
    /// - Value: [`Demand`]
    #[pallet::storage]
    pub type Demands<T: Config> =
        StorageDoubleMap<_, Twox64Concat, RunKey, Twox64Concat, (u32, u32), Demand<T::AccountId>>;

    /// Draws that wait for the beacon of a clock value.
    ///
    /// - Key: clock value
    /// - Value: draws
    #[pallet::storage]
    pub type Draws<T: Config> = StorageMap<_, Twox64Concat, u32, BoundedVec<Draw, ConstU32<MAX_DRAWS>>, ValueQuery>;

    /// Values of the beacon, kept for the history.
    ///
    /// - Key: clock value
    /// - Value: hash
    #[pallet::storage]
    pub type BeaconValue<T: Config> = StorageMap<_, Twox64Concat, u32, Hash>;

    /// Newest value of the beacon.
    ///
    /// - Value: hash
    #[pallet::storage]
    pub type BeaconNow<T: Config> = StorageValue<_, Hash, ValueQuery>;

    /// Juries of live questions.
    ///
    /// - Key: jury
    /// - Value: [`Jury`]
    #[pallet::storage]
    pub type Juries<T: Config> = StorageMap<_, Twox64Concat, u32, Jury<T::AccountId>>;

    /// Number of the next jury.
    ///
    /// - Value: jury
    #[pallet::storage]
    pub type NextJury<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Slashes that wait for their delay, in order of decision.
    ///
    /// - Key: number
    /// - Value: [`Slash`]
    #[pallet::storage]
    pub type Slashes<T: Config> = StorageMap<_, Twox64Concat, u32, Slash<T::AccountId>>;

    /// First waiting slash and the number after the last.
    ///
    /// - Value: (first, end)
    #[pallet::storage]
    pub type SlashQueue<T: Config> = StorageValue<_, (u32, u32), ValueQuery>;

    /// Run after which the next idle sweep starts.
    ///
    /// - Value: run
    #[pallet::storage]
    pub type Sweep<T: Config> = StorageValue<_, RunKey>;

    /// Timers and stakes of genesis.
    #[pallet::genesis_config]
    #[derive(frame::prelude::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Timers.
        pub timers: Timers,
        /// Stakes, bonds and juries.
        pub stakes: Stakes,
        /// Marker.
        #[serde(skip)]
        pub marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            // Whoever writes the block before a draw knows its beacon: the event that asks for it must be older.
            assert!(self.timers.draw > 1, "the draw delay is at least two blocks");
            assert!(self.timers.beacon_history >= self.timers.draw, "beacon values are kept for the draw delay");
            assert!(
                (1..=MAX_JURORS).contains(&self.stakes.jury_size.into()),
                "the jury size is at least 1 and at most the bound"
            );
            assert!(
                (1..=MAX_FAULTS).contains(&self.stakes.max_faults),
                "the misses that jail are at least 1 and at most the bound"
            );
            assert!(self.stakes.beta_ppm < PPM, "the challenger's part is less than the whole");
            // Verifiers that never look find nothing: no stake would make honesty the better choice.
            assert!(self.stakes.lazy_ppm < PPM, "the lazy part is less than the whole");
            TimerParams::<T>::put(self.timers.clone());
            StakeParams::<T>::put(self.stakes.clone());
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An account became an oracle.
        OracleRegistered {
            /// The oracle.
            who: T::AccountId,
            /// Its stake.
            bonded: Amount,
        },
        /// An oracle added stake.
        Bonded {
            /// The oracle.
            who: T::AccountId,
            /// Amount added.
            amount: Amount,
        },
        /// An oracle takes stake out.
        Unbonded {
            /// The oracle.
            who: T::AccountId,
            /// Amount.
            amount: Amount,
            /// Clock value from which it can be withdrawn.
            due: u32,
        },
        /// Unbonded stake is free again.
        Withdrawn {
            /// The oracle.
            who: T::AccountId,
            /// Amount.
            amount: Amount,
        },
        /// An oracle takes nothing new.
        Chilled {
            /// The oracle.
            who: T::AccountId,
        },
        /// An oracle takes work again.
        Resumed {
            /// The oracle.
            who: T::AccountId,
        },
        /// An oracle missed too often and takes nothing new for a term.
        Jailed {
            /// The oracle.
            who: T::AccountId,
            /// Last clock value of the term.
            until: u32,
        },
        /// An oracle took a job.
        Taken {
            /// The run.
            run: RunKey,
            /// Its oracle.
            oracle: T::AccountId,
            /// Stake locked.
            stake: Amount,
        },
        /// A run has its seed.
        SeedDrawn {
            /// The run.
            run: RunKey,
            /// The seed.
            seed: Hash,
            /// Last clock value for `commit`.
            deadline: u32,
        },
        /// An oracle committed its result.
        RunCommitted {
            /// The run.
            run: RunKey,
            /// The commitment.
            commit: Commit,
        },
        /// Verifiers of a run were drawn.
        VerifiersDrawn {
            /// The run.
            run: RunKey,
            /// Those drawn now.
            verifiers: Vec<T::AccountId>,
            /// Last clock value for `audit_commit`.
            deadline: u32,
        },
        /// A verifier's blind answer stands.
        AuditCommitted {
            /// The run.
            run: RunKey,
            /// The verifier.
            who: T::AccountId,
        },
        /// The oracle's turn: it must reveal secret and opening.
        RevealDue {
            /// The run.
            run: RunKey,
            /// Last clock value for `reveal_nonces`.
            deadline: u32,
        },
        /// The oracle revealed secret and opening.
        NoncesRevealed {
            /// The run.
            run: RunKey,
            /// Last clock value for `audit_reveal`.
            deadline: u32,
        },
        /// A verifier found the run as committed.
        AuditPassed {
            /// The run.
            run: RunKey,
            /// The verifier.
            who: T::AccountId,
        },
        /// A verifier differs from the commitment, or its path fails.
        AuditFailed {
            /// The run.
            run: RunKey,
            /// The verifier.
            who: T::AccountId,
        },
        /// A run is open to accusations.
        WindowOpened {
            /// The run.
            run: RunKey,
            /// Last clock value before it is final.
            deadline: u32,
        },
        /// An account says that a run is false.
        Accused {
            /// The run.
            run: RunKey,
            /// The accuser.
            who: T::AccountId,
            /// Index at which it differs.
            step: u32,
            /// Bond on hold.
            bond: Amount,
        },
        /// Jurors were drawn.
        JuryDrawn {
            /// The run.
            run: RunKey,
            /// The jury.
            jury: u32,
            /// Its members.
            members: Vec<T::AccountId>,
            /// Last clock value for `jury_commit`.
            deadline: u32,
        },
        /// A juror's blind answer stands.
        JuryCommitted {
            /// The jury.
            jury: u32,
            /// The juror.
            who: T::AccountId,
        },
        /// The jurors' blind answers are in; now they reveal.
        JuryRevealDue {
            /// The jury.
            jury: u32,
            /// Last clock value for `jury_reveal`.
            deadline: u32,
        },
        /// A jury came to an answer, or to none.
        JuryDecided {
            /// The run.
            run: RunKey,
            /// The jury.
            jury: u32,
            /// Whether it found fraud; `None` without a majority.
            fraud: Option<bool>,
        },
        /// A run is over.
        RunEnded {
            /// The run.
            run: RunKey,
            /// How.
            outcome: RunOutcome,
        },
        /// A slash was decided and waits for its delay.
        SlashDecided {
            /// Number of the slash.
            slash: u32,
            /// Who is slashed.
            who: T::AccountId,
            /// Why.
            fault: Fault,
            /// Amount.
            amount: Amount,
            /// Clock value from which it executes.
            due: u32,
        },
        /// A slash was executed.
        Slashed {
            /// Who was slashed.
            who: T::AccountId,
            /// In which run.
            run: RunKey,
            /// Why.
            fault: Fault,
            /// Amount.
            amount: Amount,
            /// Part of it that was burned: issuance fell by so much.
            burned: Amount,
            /// Who got the rest.
            paid: Vec<(T::AccountId, Amount)>,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The account is not a registered oracle. Next: call `register` first.
        NotOracle,
        /// The account is an oracle already. Next: use `bond` to add stake.
        AlreadyRegistered,
        /// The oracle names no class, or one twice. Next: correct the list.
        ClassesMalformed,
        /// The stake is below what this needs. Next: bond more.
        StakeTooLow,
        /// The stake is locked in runs. Next: wait until they end.
        StakeLocked,
        /// The oracle has stake in too many runs. Next: wait until one ends.
        TooManyLocks,
        /// Too many withdrawals wait. Next: call `withdraw` first.
        TooManyUnbondings,
        /// The oracle is not active. Next: call `resume`.
        NotActive,
        /// The oracle's term in jail is not over. Next: wait, then call `resume`.
        Jailed,
        /// The oracle does not support the class of this job. Next: register with the class.
        ClassUnsupported,
        /// No live job has this number. Next: look at the list of open jobs.
        UnknownJob,
        /// No run has this key. Next: check it.
        UnknownRun,
        /// The run is not assigned to this account. Next: sign with the oracle's account.
        NotAssigned,
        /// The account was not drawn for this. Next: look at its duties.
        NotDrawn,
        /// The time for this has not come. Next: look at the run's phase.
        TooEarly,
        /// The time for this is over. Next: look at the run's phase.
        TooLate,
        /// Steps, outcome and commitments do not fit together, or do not fit the job. Next: build the commitment again.
        CommitMalformed,
        /// Secret or opening do not match the commitment. Next: send those from which it was computed.
        OpeningMismatch,
        /// The account has answered already. Next: nothing is left to do.
        AlreadyAnswered,
        /// The answer does not match the blind one. Next: send the values and salt from which it was computed.
        NotBlindCommitted,
        /// The run has no state of that index. Next: give one below the number of its states.
        StepOutOfRange,
        /// Too many disputes are open on this run. Next: wait for their decision.
        TooManyDisputes,
        /// The proof shows no fraud. No call answers it before proofs are built. Next: check it against the run's
        /// commitment.
        NotFraud,
        /// This account may not make this move. Next: leave it to the account whose turn it is.
        WrongMover,
        /// The run is in another phase. Next: look at the run.
        WrongStage,
        /// Nothing is due. Next: try again after the deadline shown for the run.
        NotDue,
        /// Too many draws wait. Next: try again in a few blocks.
        TooManyDraws,
        /// An amount is too large to compute with. Next: report it: parameters bound all amounts.
        AmountTooLarge,
        /// Replay settlements are not built yet. Next: use the run of a job.
        SettleNotBuilt,
        /// The list names a class that this chain does not run. Next: name only the exact class `cpu-f32/1`.
        ClassUnknown,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::beacon_and_draws()
        }

        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            Self::sweep(remaining)
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), frame::try_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Makes the account an oracle.
        ///
        /// - `classes`: classes it supports, each a `sem_id`
        /// - `endpoint`: multiaddr of its daemon
        /// - `key`: public key with which it signs receipts
        /// - `amount`: stake, at least the least stake
        ///
        /// Holds the stake. Emits [`Event::OracleRegistered`].
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register())]
        pub fn register(
            origin: OriginFor<T>,
            classes: Classes,
            endpoint: Endpoint,
            key: Hash,
            amount: Amount,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_register(who, classes, endpoint, key, amount)
        }

        /// Adds stake.
        ///
        /// - `amount`: stake to add
        ///
        /// Emits [`Event::Bonded`].
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::stake())]
        pub fn bond(origin: OriginFor<T>, amount: Amount) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond(who, amount)
        }

        /// Takes nothing new; runs that have begun go on.
        ///
        /// Emits [`Event::Chilled`].
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::stake())]
        pub fn chill(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_chill(who)
        }

        /// Takes work again, after `chill` or a term in jail.
        ///
        /// Emits [`Event::Resumed`].
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::stake())]
        pub fn resume(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_resume(who)
        }

        /// Takes unlocked stake out; it can be withdrawn when it is due.
        ///
        /// - `amount`: stake to take out; an active oracle keeps the least stake
        ///
        /// Emits [`Event::Unbonded`].
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::stake())]
        pub fn unbond(origin: OriginFor<T>, amount: Amount) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unbond(who, amount)
        }

        /// Frees unbonded stake that is due; an oracle without any stake is forgotten.
        ///
        /// Emits [`Event::Withdrawn`].
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::stake())]
        pub fn withdraw(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw(who)
        }

        /// Takes an open job and locks its stake; the seed is drawn soon.
        ///
        /// - `job`: the job
        ///
        /// Emits [`Event::Taken`].
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::take())]
        pub fn take(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_take(who, job)
        }

        /// Commits the result of a run. Costs no fee when it is accepted: that happens once.
        ///
        /// - `run`: the run
        /// - `commitment`: outcome and roots over data, states, model and attribution
        ///
        /// Emits [`Event::RunCommitted`].
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::commit())]
        pub fn commit(origin: OriginFor<T>, run: RunKey, commitment: Commit) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_commit(who, run, commitment)?;
            Ok(Pays::No.into())
        }

        /// A drawn verifier's blind answer. Costs no fee when it is accepted: that happens once.
        ///
        /// - `run`: the run
        /// - `hash`: H("weft.ans", who, salt, S, R) of the two unpublished states
        ///
        /// Emits [`Event::AuditCommitted`].
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::audit_commit())]
        pub fn audit_commit(origin: OriginFor<T>, run: RunKey, hash: Hash) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_audit_commit(who, run, hash)?;
            Ok(Pays::No.into())
        }

        /// The oracle's secret and opening; from then on its artifacts are public. Costs no fee when they are accepted:
        /// that happens once.
        ///
        /// - `run`: the run
        /// - `secret`: the secret of the commitment
        /// - `opening`: opens model and attribution commitment; none for a diverged run
        ///
        /// Emits [`Event::NoncesRevealed`].
        #[pallet::call_index(11)]
        #[pallet::weight((T::WeightInfo::reveal_nonces(), DispatchClass::Operational))]
        pub fn reveal_nonces(
            origin: OriginFor<T>,
            run: RunKey,
            secret: Hash,
            opening: Option<Opening>,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_reveal_nonces(who, run, secret, opening)?;
            Ok(Pays::No.into())
        }

        /// Opens a verifier's answer. The last one decides the audit. Costs no fee when it is accepted: that happens
        /// once.
        ///
        /// - `run`: the run
        /// - `salt`: salt of the blind answer
        /// - `state`, `reverse`: the two states, S_{d−1} and R_{c+1}
        /// - `agrees`: whether everything recomputed equals the commitment
        /// - `paths`: Merkle paths of the two states
        ///
        /// Emits [`Event::AuditPassed`] or [`Event::AuditFailed`].
        #[pallet::call_index(12)]
        #[pallet::weight((T::WeightInfo::audit_reveal(), DispatchClass::Operational))]
        pub fn audit_reveal(
            origin: OriginFor<T>,
            run: RunKey,
            salt: Hash,
            state: Hash,
            reverse: Hash,
            agrees: bool,
            paths: AuditPaths,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_audit_reveal(who, run, salt, state, reverse, agrees, paths)?;
            Ok(Pays::No.into())
        }

        /// Says with a bond that a run is false; a jury recomputes it. Later accusers join the sitting jury's question.
        ///
        /// - `run`: the run
        /// - `step`: index u of the state at which the accuser differs
        ///
        /// Holds the bond. Emits [`Event::Accused`].
        #[pallet::call_index(13)]
        #[pallet::weight(T::WeightInfo::accuse())]
        pub fn accuse(origin: OriginFor<T>, run: RunKey, step: u32) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_accuse(who, run, step)
        }

        /// A juror's blind answer. Costs no fee when it is accepted: that happens once.
        ///
        /// - `jury`: the jury
        /// - `hash`: H("weft.jur", jury, who, salt, value)
        ///
        /// Emits [`Event::JuryCommitted`].
        #[pallet::call_index(30)]
        #[pallet::weight((T::WeightInfo::jury_commit(), DispatchClass::Operational))]
        pub fn jury_commit(origin: OriginFor<T>, jury: u32, hash: Hash) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_jury_commit(who, jury, hash)?;
            Ok(Pays::No.into())
        }

        /// Opens a juror's answer. The last one decides the question. Costs no fee when it is accepted: that happens
        /// once.
        ///
        /// - `jury`: the jury
        /// - `value`: recomputed commitment and proof of work
        /// - `salt`: salt of the blind answer
        ///
        /// Emits [`Event::JuryDecided`] when it is the last.
        #[pallet::call_index(31)]
        #[pallet::weight((T::WeightInfo::jury_reveal(), DispatchClass::Operational))]
        pub fn jury_reveal(
            origin: OriginFor<T>,
            jury: u32,
            value: JuryValue,
            salt: Hash,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            Self::do_jury_reveal(who, jury, value, salt)?;
            Ok(Pays::No.into())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// An oracle with its stake.
        pub fn oracle(who: T::AccountId) -> Option<OracleView> {
            Self::view_oracle(&who)
        }

        /// A run with its verifiers, disputes and juries.
        pub fn run(run: RunKey) -> Option<RunView<T::AccountId>> {
            Self::view_run(run)
        }

        /// Stake and limits of a job with this fee, declared value, number of steps, tier and run length.
        pub fn stake_for(fee: Amount, value: Amount, steps: u32, tier: Tier, blocks: RunBlocks) -> Option<RunLimits> {
            Self::run_limits(fee, value, steps, tier, blocks)
        }

        /// Everything that the account must do in runs, and until when.
        pub fn duties(who: T::AccountId) -> Vec<Duty> {
            Self::view_duties(&who)
        }

        /// Open disputes of a run.
        pub fn dispute(run: RunKey, number: u32) -> Option<Dispute<T::AccountId>> {
            Disputes::<T>::get(run, number)
        }

        /// A jury.
        pub fn jury(jury: u32) -> Option<Jury<T::AccountId>> {
            Juries::<T>::get(jury)
        }

        /// Timers and stakes.
        pub fn parameters() -> (Timers, Stakes) {
            (TimerParams::<T>::get(), StakeParams::<T>::get())
        }
    }
}
