#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(clippy::expect_used, reason = "FRAME macros expand to it")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        unreachable_pub,
        missing_docs,
        reason = "tests fail loudly"
    )
)]

extern crate alloc;

mod contribution;
mod curation;
mod deposits;
mod impls;
mod registry;
mod snapshot;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
pub mod types;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use weights::WeightInfo;

/// The pallet.
#[allow(clippy::as_conversions, reason = "the SCALE derives of calls, events and errors expand to it")]
#[frame::pallet]
pub mod pallet {
    use crate::{
        types::{
            Activity, Clustering, Commitment, Contribution, ContributionIndex, CuratorList, Datanet, Funnel, Kind,
            Leaf, Name, Parameters, PeakList, RecordHashes, RecordOwner, RecordProof, RejectCode, Report, Reserve,
            ReserveIndex, Rule, SpentBits, Sponsorship, Standing, Verdict, Voucher, MAX_PAGE,
        },
        WeightInfo,
    };
    use alloc::vec::Vec;
    use frame::{deps::frame_support, prelude::*, traits::fungible};
    use weft_protocol::hash::Hash;
    use weft_traits::{Clock, DatanetId, SnapshotIndex, SnapshotInfo};

    /// Configuration.
    #[pallet::config(with_default)]
    pub trait Config: frame_system::Config<AccountId: From<[u8; 32]> + Into<[u8; 32]>> {
        /// Overarching event type.
        #[pallet::no_default_bounds]
        #[allow(deprecated)]
        type RuntimeEvent: From<Event<Self>> + IsType<<Self as frame_system::Config>::RuntimeEvent>;
        /// Overarching hold reason.
        #[pallet::no_default_bounds]
        type RuntimeHoldReason: From<HoldReason>;
        /// The currency in which deposits are held.
        #[pallet::no_default]
        type Currency: fungible::Inspect<Self::AccountId, Balance = u128>
            + fungible::MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The clock of all deadlines.
        #[pallet::no_default]
        type Clock: Clock;
        /// Account that takes forfeited deposits.
        #[pallet::no_default]
        type Treasury: Get<Self::AccountId>;
        /// Weights.
        type WeightInfo: WeightInfo;
    }

    /// Defaults for tests.
    pub mod config_preludes {
        use super::*;
        use frame_support::{derive_impl, register_default_impl};

        /// The values of the `development` preset.
        pub struct TestDefaultConfig;

        #[derive_impl(frame_system::config_preludes::TestDefaultConfig, no_aggregated_types)]
        impl frame_system::DefaultConfig for TestDefaultConfig {}

        #[register_default_impl(TestDefaultConfig)]
        impl DefaultConfig for TestDefaultConfig {
            #[inject_runtime_type]
            type RuntimeEvent = ();
            #[inject_runtime_type]
            type RuntimeHoldReason = ();
            type WeightInfo = ();
        }
    }

    /// Version of the stored layout.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// The pallet's storage and calls.
    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A Datanet exists.
        #[codec(index = 0)]
        Datanet,
        /// A commitment is open.
        #[codec(index = 1)]
        Commit,
        /// A contribution is stored.
        #[codec(index = 2)]
        Storage,
        /// A contribution may turn out to be copied or harmful.
        #[codec(index = 3)]
        Risk,
        /// A clustering may turn out to be wrong.
        #[codec(index = 4)]
        Cluster,
    }

    /// Parameters of the pallet.
    ///
    /// - Value: [`Parameters`]
    #[pallet::storage]
    pub type Params<T> = StorageValue<_, Parameters, ValueQuery>;

    /// Number of the next Datanet.
    ///
    /// - Value: [`DatanetId`]
    #[pallet::storage]
    pub type NextDatanet<T> = StorageValue<_, DatanetId, ValueQuery>;

    /// Sequence of the next commitment, over all Datanets.
    ///
    /// - Value: sequence
    #[pallet::storage]
    pub type NextSequence<T> = StorageValue<_, u64, ValueQuery>;

    /// Datanets.
    ///
    /// - Key: Datanet
    /// - Value: [`Datanet`]
    #[pallet::storage]
    pub type Datanets<T: Config> = StorageMap<_, Twox64Concat, DatanetId, Datanet<T::AccountId>>;

    /// Accounts that decide about contributions.
    ///
    /// - Key: Datanet
    /// - Value: at most 16 accounts; [`Votes`] name them by position
    #[pallet::storage]
    pub type Curators<T: Config> = StorageMap<_, Twox64Concat, DatanetId, CuratorList<T::AccountId>, ValueQuery>;

    /// Peaks of a Datanet's mountain range.
    ///
    /// - Key: Datanet
    /// - Value: at most 40 hashes, the largest mountain first
    #[pallet::storage]
    pub type Peaks<T> = StorageMap<_, Twox64Concat, DatanetId, PeakList, ValueQuery>;

    /// Commitments neither revealed nor expired.
    ///
    /// The account is part of the key: a copied hash is another entry, and blocks nobody.
    ///
    /// - Keys: account, hash of Datanet, root, salt and account
    /// - Value: [`Commitment`]
    #[pallet::storage]
    pub type Commitments<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Blake2_128Concat, Hash, Commitment>;

    /// Open commitments in the order in which they expire.
    ///
    /// - Key: sequence
    /// - Value: keys of [`Commitments`]
    #[pallet::storage]
    pub type CommitQueue<T: Config> = StorageMap<_, Twox64Concat, u64, (T::AccountId, Hash)>;

    /// Lowest sequence whose commitment may still be open.
    ///
    /// - Value: sequence
    #[pallet::storage]
    pub type CommitHead<T> = StorageValue<_, u64, ValueQuery>;

    /// What accounts have been committing, for the limits.
    ///
    /// - Key: account
    /// - Value: [`Activity`]
    #[pallet::storage]
    pub type Activities<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Activity, ValueQuery>;

    /// Contributions, decided or not.
    ///
    /// - Keys: Datanet, contribution
    /// - Value: [`Contribution`]
    #[pallet::storage]
    pub type Contributions<T: Config> =
        StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, ContributionIndex, Contribution<T::AccountId>>;

    /// Roots of the contributions of a Datanet that are not rejected.
    ///
    /// - Keys: Datanet, root
    /// - Value: contribution
    #[pallet::storage]
    pub type Roots<T> = StorageDoubleMap<_, Twox64Concat, DatanetId, Blake2_128Concat, Hash, ContributionIndex>;

    /// Votes on contributions that are not decided.
    ///
    /// - Keys: Datanet, contribution
    /// - Value: [`Votes`](crate::types::Votes), one bit per curator
    #[pallet::storage]
    pub type Votes<T> =
        StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, ContributionIndex, crate::types::Votes, ValueQuery>;

    /// Scores that listed oracles reported.
    ///
    /// - Keys: Datanet, contribution
    /// - Value: at most four [`Report`]s
    #[pallet::storage]
    pub type Reports<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        DatanetId,
        Twox64Concat,
        ContributionIndex,
        BoundedVec<Report<T::AccountId>, ConstU32<4>>,
        ValueQuery,
    >;

    /// Accepted contributions whose risk deposit is held, in the order in which it falls free.
    ///
    /// - Key: position
    /// - Value: Datanet and contribution
    #[pallet::storage]
    pub type RiskQueue<T> = StorageMap<_, Twox64Concat, u64, (DatanetId, ContributionIndex)>;

    /// First used and first unused position of [`RiskQueue`].
    ///
    /// - Value: both positions
    #[pallet::storage]
    pub type RiskBounds<T> = StorageValue<_, (u64, u64), ValueQuery>;

    /// Immutable versions of a Datanet.
    ///
    /// - Keys: Datanet, snapshot
    /// - Value: root, mountain range size, records, bytes, clock value
    #[pallet::storage]
    pub type Snapshots<T> = StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, SnapshotIndex, SnapshotInfo>;

    /// Indexed record hashes, of Datanets that ask for it.
    ///
    /// - Keys: Datanet, record hash
    /// - Value: contribution
    #[pallet::storage]
    pub type RecordIndex<T> = StorageDoubleMap<_, Twox64Concat, DatanetId, Blake2_128Concat, Hash, ContributionIndex>;

    /// Near-duplicate clusters of a snapshot.
    ///
    /// - Keys: Datanet, snapshot
    /// - Value: [`Clustering`]
    #[pallet::storage]
    pub type Clusters<T: Config> =
        StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, SnapshotIndex, Clustering<T::AccountId>>;

    /// Records sealed for probes.
    ///
    /// - Keys: Datanet, reserve (at most 16)
    /// - Value: [`Reserve`]
    #[pallet::storage]
    pub type Reserves<T: Config> =
        StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, ReserveIndex, Reserve<T::AccountId>>;

    /// Sealed records that a probe has drawn.
    ///
    /// - Keys: Datanet, reserve
    /// - Value: one bit per record
    #[pallet::storage]
    pub type Spent<T> = StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, ReserveIndex, SpentBits, ValueQuery>;

    /// What became of an account's contributions. Never decides what it is paid.
    ///
    /// - Key: account
    /// - Value: [`Standing`]
    #[pallet::storage]
    pub type Reputation<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Standing, ValueQuery>;

    /// Agents that may spend a Datanet's pot on newcomers.
    ///
    /// - Key: Datanet
    /// - Value: [`Sponsorship`]
    #[pallet::storage]
    pub type Sponsors<T: Config> = StorageMap<_, Twox64Concat, DatanetId, Sponsorship<T::AccountId>>;

    /// Calls that a Datanet's pot pays.
    ///
    /// - Keys: Datanet, account
    /// - Value: [`Voucher`]
    #[pallet::storage]
    pub type Vouchers<T: Config> =
        StorageDoubleMap<_, Twox64Concat, DatanetId, Blake2_128Concat, T::AccountId, Voucher>;

    /// Parameters of genesis.
    #[pallet::genesis_config]
    #[derive(frame::prelude::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Parameters of the pallet.
        pub params: Parameters,
        /// Marker.
        #[serde(skip)]
        pub marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Params::<T>::put(self.params.clone());
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A Datanet was created.
        Created {
            /// The Datanet.
            datanet: DatanetId,
            /// Its owner.
            owner: T::AccountId,
            /// What its records are.
            kind: Kind,
            /// Amount held.
            deposit: u128,
        },
        /// Name, card, rule or curators of a Datanet changed.
        Updated {
            /// The Datanet.
            datanet: DatanetId,
        },
        /// A Datanet has a new owner.
        Transferred {
            /// The Datanet.
            datanet: DatanetId,
            /// Former owner.
            from: T::AccountId,
            /// New owner.
            to: T::AccountId,
        },
        /// A Datanet takes nothing new any more.
        Closed {
            /// The Datanet.
            datanet: DatanetId,
        },
        /// A contribution was promised.
        Committed {
            /// The Datanet.
            datanet: DatanetId,
            /// Who committed.
            who: T::AccountId,
            /// The commitment.
            hash: Hash,
            /// Its place in the order of all commitments.
            sequence: u64,
            /// Last clock value for the reveal.
            expires: u32,
        },
        /// A contribution was revealed and waits for a verdict.
        Revealed {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// Who contributed.
            who: T::AccountId,
            /// Merkle root over its records.
            root: Hash,
            /// Number of records.
            records: u32,
            /// Size of its blob.
            bytes: u64,
        },
        /// A curator's vote was counted and did not decide yet.
        Voted {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// The curator.
            who: T::AccountId,
            /// The vote.
            verdict: Verdict,
        },
        /// A contribution is part of the Datanet.
        Accepted {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// Who contributed.
            who: T::AccountId,
            /// Where it lies.
            leaf: Leaf,
        },
        /// A contribution was refused.
        Rejected {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// Who contributed.
            who: T::AccountId,
            /// Why.
            code: RejectCode,
            /// Risk deposit sent to the treasury; 0 when it was freed.
            forfeited: u128,
        },
        /// A listed oracle scored a contribution.
        Reported {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// The oracle.
            oracle: T::AccountId,
            /// The score, ppm.
            score: u32,
        },
        /// Records were sealed for probes.
        ReserveSealed {
            /// The Datanet.
            datanet: DatanetId,
            /// The reserve.
            reserve: ReserveIndex,
            /// Number of records.
            records: u32,
        },
        /// An immutable version exists.
        SnapshotTaken {
            /// The Datanet.
            datanet: DatanetId,
            /// The snapshot.
            snapshot: SnapshotIndex,
            /// Its root.
            root: Hash,
            /// Its records.
            records: u64,
        },
        /// A contributor took records back.
        Withdrawn {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// Number of records.
            records: u32,
        },
        /// A contribution was proved to hold a record that another committed first.
        Struck {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution that stays.
            first: ContributionIndex,
            /// The contribution that was struck.
            later: ContributionIndex,
        },
        /// The near-duplicate clusters of a snapshot are fixed.
        ClustersFixed {
            /// The Datanet.
            datanet: DatanetId,
            /// The snapshot.
            snapshot: SnapshotIndex,
            /// Root over the clusters.
            root: Hash,
        },
        /// An agent gave a voucher.
        Sponsored {
            /// The Datanet.
            datanet: DatanetId,
            /// Who may use it.
            who: T::AccountId,
        },
        /// A sponsored call failed; its quota is used up.
        SponsoredCallFailed {
            /// The Datanet.
            datanet: DatanetId,
            /// Whose call.
            who: T::AccountId,
        },
        /// A commitment was not revealed in time; its deposit went to the treasury.
        CommitmentExpired {
            /// The Datanet.
            datanet: DatanetId,
            /// Who had committed.
            who: T::AccountId,
            /// The commitment.
            hash: Hash,
            /// Amount forfeited.
            forfeited: u128,
        },
        /// The duplicate window of an accepted contribution is over; its risk deposit is free.
        RiskFreed {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution.
            contribution: ContributionIndex,
            /// Who contributed.
            who: T::AccountId,
            /// Amount freed.
            amount: u128,
        },
        /// An earlier commitment was opened after a later one with the same root had been accepted: nothing is stored,
        /// and its deposit is free.
        RevealSuperseded {
            /// The Datanet.
            datanet: DatanetId,
            /// The contribution that holds the root.
            contribution: ContributionIndex,
            /// Who had committed.
            who: T::AccountId,
            /// Amount freed.
            freed: u128,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The account does not own the Datanet. Next: sign with the owner's account.
        NotOwner,
        /// The account is no curator of the Datanet. Next: ask the owner to list it.
        NotCurator,
        /// The Datanet is closed. Next: contribute to another one.
        DatanetClosed,
        /// The account has made all commitments that a day allows. Next: wait for the next day.
        RateLimited,
        /// The account has 32 open commitments. Next: reveal one or let one expire.
        TooManyOpen,
        /// No commitment has this hash. Next: check Datanet, root, salt and account, or commit first.
        UnknownCommitment,
        /// The commitment is younger than two blocks. Next: reveal two blocks after the commitment.
        RevealTooEarly,
        /// The window of the commitment is over. Next: commit again; the first deposit is forfeited.
        RevealTooLate,
        /// The commitment was made for another Datanet. Next: commit again, to this one.
        CommitmentMismatch,
        /// The Datanet has a contribution with this root. Next: contribute records that are not there yet.
        RootAlreadyUsed,
        /// The curator has voted on this contribution. Next: wait for the other curators.
        AlreadyVoted,
        /// The contribution is decided. Next: nothing; a decision stands.
        AlreadyDecided,
        /// The last snapshot is too recent. Next: wait for the snapshot interval.
        SnapshotTooSoon,
        /// The reserve was sealed after the contribution. Not built yet: no call returns it. Next: judge contributions of
        /// higher sequence with it.
        ReserveTooLate,
        /// The proof does not lead to the stored root. Not built yet: no call returns it. Next: rebuild it from the
        /// contribution's blob.
        ProofMismatch,
        /// The two records differ. Not built yet: no call returns it. Next: open two copies of one record.
        NotADuplicate,
        /// The Datanet's pot cannot pay the call. Not built yet: no call returns it. Next: fund it, or pay yourself.
        PotTooLow,
        /// No Datanet has this number. Next: check the number.
        UnknownDatanet,
        /// The Datanet has no contribution with this number. Next: check the number.
        UnknownContribution,
        /// The name is empty or not UTF-8. Next: choose a name of 1 to 64 bytes.
        NameInvalid,
        /// A threshold must be between 1 and 16 curators. Next: choose one of these.
        RuleInvalid,
        /// This rule is not built yet. Next: use the owner's decision or a threshold of curators.
        RuleNotBuilt,
        /// The index of record hashes is not built yet. Next: reveal without hashes.
        HashIndexNotBuilt,
        /// The list names an account twice. Next: list each curator once.
        DuplicateCurator,
        /// The commitment is open already. Next: reveal it, or commit with another salt.
        CommitmentExists,
        /// A contribution has at least one record and one byte. Next: add records.
        EmptyContribution,
        /// A rejection needs a reason. Next: give a code.
        CodeMissing,
        /// An acceptance has no reason code. Next: leave it out.
        CodeNotAllowed,
        /// Nothing was accepted since the last snapshot. Next: use that snapshot.
        NoNewLeaves,
        /// The mountain range is full. Next: create another Datanet.
        RangeFull,
        /// More records than the blob has room for: each takes two bytes or more. Next: give the blob's own counts.
        TooManyRecords,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_idle(_now: BlockNumberFor<T>, remaining: Weight) -> Weight {
            Self::idle(remaining)
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_now: BlockNumberFor<T>) -> Result<(), frame::try_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Creates a Datanet owned by the caller.
        ///
        /// `kind` and `schema` never change; `name` is 1 to 64 bytes of UTF-8; `card` is the content id of its
        /// description; `rule` decides its contributions. Holds the Datanet deposit. Emits [`Event::Created`].
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::create())]
        pub fn create(
            origin: OriginFor<T>,
            kind: Kind,
            schema: u32,
            name: Name,
            card: Hash,
            rule: Rule,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_create(who, kind, schema, name, card, rule)
        }

        /// Replaces the curators of a Datanet, by its owner.
        ///
        /// `list` names at most 16 accounts, each once. Votes on undecided contributions start again. Emits
        /// [`Event::Updated`].
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::set_curators(u32::try_from(list.len()).unwrap_or(u32::MAX)))]
        pub fn set_curators(
            origin: OriginFor<T>,
            datanet: DatanetId,
            list: CuratorList<T::AccountId>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_curators(&who, datanet, list)
        }

        /// Promises a contribution: the lowest sequence owns a record.
        ///
        /// `hash` is H("weft.ctb", Datanet, root, salt, account). Holds the commit deposit, which `reveal` frees and
        /// expiry sends to the treasury. Emits [`Event::Committed`].
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::commit())]
        pub fn commit(origin: OriginFor<T>, datanet: DatanetId, hash: Hash) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_commit(who, datanet, hash)
        }

        /// Opens a commitment, at least two blocks after it and within its window.
        ///
        /// `root` is the Merkle root over the record leaves, `content` the content id of the blob, `records` and
        /// `bytes` its counts; `hashes` must be absent. Holds storage and risk deposits. Emits [`Event::Revealed`].
        ///
        /// The lowest sequence owns a root: a later contribution of another account that waits for its verdict and has the
        /// same content, records and bytes is rejected as a duplicate ([`Event::Rejected`]); one that differs stays, and
        /// the reveal is refused. Where one was accepted already, the commit deposit is freed and nothing is stored
        /// ([`Event::RevealSuperseded`]).
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::reveal())]
        #[allow(clippy::too_many_arguments, reason = "the protocol's arguments")]
        pub fn reveal(
            origin: OriginFor<T>,
            datanet: DatanetId,
            root: Hash,
            salt: Hash,
            content: Hash,
            records: u32,
            bytes: u64,
            hashes: Option<RecordHashes>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_reveal(who, datanet, root, salt, content, records, bytes, hashes)
        }

        /// Votes on a contribution, by whoever its rule names.
        ///
        /// A rejection gives a `code`; Plagiarism, Malware and Unlawful send the risk deposit to the treasury when every
        /// rejecting vote gave one of them. `note` is the digest of an explanation. Emits [`Event::Voted`],
        /// [`Event::Accepted`] or [`Event::Rejected`].
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::review())]
        pub fn review(
            origin: OriginFor<T>,
            datanet: DatanetId,
            contribution: ContributionIndex,
            verdict: Verdict,
            code: Option<RejectCode>,
            note: Option<Hash>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_review(who, datanet, contribution, verdict, code, note)
        }

        /// Freezes what a Datanet holds now under the next snapshot number, by anyone.
        ///
        /// Needs a leaf since the last snapshot and the interval to be over. Emits [`Event::SnapshotTaken`].
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::snapshot())]
        pub fn snapshot(origin: OriginFor<T>, datanet: DatanetId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_snapshot(datanet)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// The Datanet, if it exists.
        pub fn datanet(datanet: DatanetId) -> Option<Datanet<T::AccountId>> {
            Datanets::<T>::get(datanet)
        }

        /// Number of the next Datanet: all lower numbers exist.
        pub fn next_datanet() -> DatanetId {
            NextDatanet::<T>::get()
        }

        /// Curators of a Datanet.
        pub fn curators(datanet: DatanetId) -> Vec<T::AccountId> {
            Curators::<T>::get(datanet).into_inner()
        }

        /// The contribution, if it exists.
        pub fn contribution(datanet: DatanetId, contribution: ContributionIndex) -> Option<Contribution<T::AccountId>> {
            Contributions::<T>::get(datanet, contribution)
        }

        /// Contributions from number `from` on, at most `limit` and at most 256.
        pub fn contributions(
            datanet: DatanetId,
            from: ContributionIndex,
            limit: u32,
        ) -> Vec<(ContributionIndex, Contribution<T::AccountId>)> {
            let end = Datanets::<T>::get(datanet).map_or(0, |net| net.contributions);
            (from..end.min(from.saturating_add(limit.min(MAX_PAGE))))
                .filter_map(|n| Contributions::<T>::get(datanet, n).map(|c| (n, c)))
                .collect()
        }

        /// Votes on a contribution that is not decided.
        pub fn votes(datanet: DatanetId, contribution: ContributionIndex) -> crate::types::Votes {
            Votes::<T>::get(datanet, contribution)
        }

        /// The commitment of `who` with this hash, while it is open.
        pub fn commitment(who: T::AccountId, hash: Hash) -> Option<Commitment> {
            Commitments::<T>::get(who, hash)
        }

        /// The snapshot, if it was taken.
        pub fn snapshot_info(datanet: DatanetId, snapshot: SnapshotIndex) -> Option<SnapshotInfo> {
            Snapshots::<T>::get(datanet, snapshot)
        }

        /// Snapshots from number `from` on, at most `limit` and at most 256.
        pub fn snapshots(datanet: DatanetId, from: SnapshotIndex, limit: u32) -> Vec<(SnapshotIndex, SnapshotInfo)> {
            let end = Datanets::<T>::get(datanet).map_or(0, |net| net.snapshots);
            (from..end.min(from.saturating_add(limit.min(MAX_PAGE))))
                .filter_map(|s| Snapshots::<T>::get(datanet, s).map(|info| (s, info)))
                .collect()
        }

        /// How far a contribution has come and why no further. Models are not known here.
        pub fn funnel(datanet: DatanetId, contribution: ContributionIndex) -> Option<Funnel> {
            let item = Contributions::<T>::get(datanet, contribution)?;
            Some(Funnel {
                submitted: item.records,
                accepted: if item.leaf.is_some() { item.records } else { 0 },
                snapshot: item.leaf.and_then(|leaf| Self::first_snapshot_with(datanet, leaf.index)),
                state: item.state,
                reason: item.reason,
                risk_free_at: Self::risk_free_at(&item),
            })
        }

        /// Who owns a record, if the proof leads to a contribution that is in the Datanet.
        pub fn record_owner(proof: RecordProof) -> Option<RecordOwner<T::AccountId>> {
            Self::prove_owner(&proof)
        }

        /// What became of an account's contributions.
        pub fn standing(who: T::AccountId) -> Standing {
            Reputation::<T>::get(who)
        }
    }

    impl<T: Config> Pallet<T> {
        /// Expires commitments and frees risk deposits with the weight that is left, at most 32 of each.
        fn idle(remaining: Weight) -> Weight {
            let step = T::WeightInfo::expire().max(T::WeightInfo::free_risk());
            let mut used = T::WeightInfo::idle();
            let budget = remaining.saturating_sub(used);
            if remaining.any_lt(used) {
                return Weight::zero();
            }
            let affordable = budget.checked_div_per_component(&step).unwrap_or(64).min(64);
            let each = u32::try_from(affordable >> 1).unwrap_or(0);
            let looked = Self::expire_commitments(each).saturating_add(Self::free_risk(each));
            used.saturating_accrue(step.saturating_mul(u64::from(looked)));
            used
        }
    }
}
