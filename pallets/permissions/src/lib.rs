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
        reason = "tests fail loudly"
    )
)]

extern crate alloc;

mod checks;
mod deposits;
mod grants;
mod impls;
mod licence;
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
        types::{Cause, EncryptionKey, Envelope, Grant, Licence, Parameters, Refusal, Scope, Terms, MAX_PAGE},
        WeightInfo,
    };
    use alloc::vec::Vec;
    use frame::{deps::frame_support, prelude::*, traits::fungible};
    use weft_traits::{Clock, DatanetId, DatanetInspect, GrantId, JobInput, JobScope, LicenceVersion};

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
        /// Datanets.
        #[pallet::no_default]
        type Datanets: DatanetInspect<Self::AccountId>;
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
        /// A licence version is stored.
        #[codec(index = 0)]
        Licence,
        /// A grant is stored.
        #[codec(index = 1)]
        Grant,
        /// An entry of an allow list is stored.
        #[codec(index = 2)]
        AllowList,
        /// A request waits for an answer.
        #[codec(index = 3)]
        Request,
    }

    /// Parameters of the pallet.
    ///
    /// - Value: [`Parameters`]
    #[pallet::storage]
    pub type Params<T> = StorageValue<_, Parameters, ValueQuery>;

    /// Every version of every licence.
    ///
    /// - Keys: Datanet, version from 1
    /// - Value: [`Licence`]
    #[pallet::storage]
    pub type Licences<T: Config> =
        StorageDoubleMap<_, Twox64Concat, DatanetId, Twox64Concat, LicenceVersion, Licence<T::AccountId>>;

    /// Version under which grants are given now.
    ///
    /// - Key: Datanet
    /// - Value: version
    #[pallet::storage]
    pub type Current<T> = StorageMap<_, Twox64Concat, DatanetId, LicenceVersion>;

    /// Accounts that may have a grant where approval is `AllowList`.
    ///
    /// - Keys: Datanet, account
    /// - Value: deposit held from the owner
    #[pallet::storage]
    pub type AllowList<T: Config> = StorageDoubleMap<_, Twox64Concat, DatanetId, Blake2_128Concat, T::AccountId, u128>;

    /// Number of the next grant.
    ///
    /// - Value: [`GrantId`]
    #[pallet::storage]
    pub type NextGrant<T> = StorageValue<_, GrantId, ValueQuery>;

    /// Grants and requests.
    ///
    /// - Key: grant
    /// - Value: [`Grant`]
    #[pallet::storage]
    pub type Grants<T: Config> = StorageMap<_, Twox64Concat, GrantId, Grant<T::AccountId>>;

    /// Grant after which pruning goes on; absent at the beginning of a round.
    ///
    /// - Value: [`GrantId`]
    #[pallet::storage]
    pub type PruneAfter<T> = StorageValue<_, GrantId>;

    /// Keys to which data keys are wrapped.
    ///
    /// - Key: account
    /// - Value: [`EncryptionKey`]
    #[pallet::storage]
    pub type EncryptionKeys<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, EncryptionKey>;

    /// Wrapped data keys, at most 16 for a grant.
    ///
    /// - Keys: grant, version of the data key, recipient
    /// - Value: [`Envelope`]
    #[pallet::storage]
    pub type Envelopes<T: Config> = StorageNMap<
        _,
        (NMapKey<Twox64Concat, GrantId>, NMapKey<Twox64Concat, u32>, NMapKey<Blake2_128Concat, T::AccountId>),
        Envelope,
    >;

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
        /// A Datanet has a new licence version; existing grants keep theirs.
        LicenceSet {
            /// The Datanet.
            datanet: DatanetId,
            /// The version.
            version: LicenceVersion,
        },
        /// A consumer has a grant.
        Granted {
            /// The grant.
            grant: GrantId,
            /// The Datanet.
            datanet: DatanetId,
            /// The licence version that rules it.
            version: LicenceVersion,
            /// Who may use it.
            consumer: T::AccountId,
        },
        /// A consumer asked for a grant.
        Requested {
            /// The grant.
            grant: GrantId,
            /// The Datanet.
            datanet: DatanetId,
            /// Who asked.
            consumer: T::AccountId,
        },
        /// The owner refused a request.
        Refused {
            /// The grant.
            grant: GrantId,
        },
        /// A grant takes no new jobs.
        Revoked {
            /// The grant.
            grant: GrantId,
            /// Why.
            cause: Cause,
        },
        /// An account has a new encryption key.
        KeyRegistered {
            /// The account.
            who: T::AccountId,
            /// Version of its key.
            version: u32,
        },
        /// A data key was wrapped for a recipient.
        EnvelopePosted {
            /// The grant.
            grant: GrantId,
            /// The recipient.
            recipient: T::AccountId,
        },
        /// A grant that no job can use was removed; its deposit is free.
        Pruned {
            /// The grant.
            grant: GrantId,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The Datanet has no licence. Next: ask its owner to set one.
        NoLicence,
        /// The licence has a newer version. Next: read it and agree to its number.
        StaleVersion,
        /// The licence costs more than the caller accepts. Next: raise the limit or leave the Datanet out.
        PriceAboveMax,
        /// The grant belongs to another account or Datanet, or approval is not open to the account. Next: use a grant of
        /// your own.
        NotAllowed,
        /// The purposes are not those that the licence or grant gives. Next: ask for permitted purposes.
        PurposeForbidden,
        /// The grant does not permit this base model. Next: choose a permitted one.
        WrongBaseModel,
        /// The grant does not permit this program. Next: choose a permitted class and recipe schema.
        WrongProgram,
        /// The snapshot does not exist or the grant does not cover it. Next: choose a covered snapshot.
        SnapshotOutOfRange,
        /// The grant ends before the run must have ended. Next: acquire a new one.
        GrantExpired,
        /// The grant's uses are taken. Next: acquire a new one.
        GrantExhausted,
        /// The licence does not allow revocation for convenience. Next: name a breach, or wait for the expiry.
        NotRevocable,
        /// More was asked for than the licence gives, or nothing. Next: ask for less, and for at least one use.
        ScopeTooWide,
        /// Attribution is demanded and off, or on where the licence gives the pool a range. Next: switch it over, or leave
        /// the Datanet out.
        TermsConflict,
        /// The recipient has no encryption key. Not built yet: no call returns it. Next: register one.
        KeyMissing,
        /// The recipient is not on the licence's trusted list. Not built yet: no call returns it. Next: choose a trusted
        /// oracle.
        NotTrusted,
        /// The account does not own the Datanet. Next: sign with the owner's account.
        NotOwner,
        /// No Datanet has this number. Next: check the number.
        UnknownDatanet,
        /// The Datanet is closed. Next: use grants that exist, or another Datanet.
        DatanetClosed,
        /// No grant has this number. Next: check the number; used up grants are removed.
        UnknownGrant,
        /// The grant is revoked, or not approved yet. Next: acquire another one.
        GrantNotActive,
        /// The job's inputs do not ascend by Datanet. Next: sort them and name each Datanet once.
        InputsUnordered,
        /// A licence has at least one purpose and only known ones. Next: correct the purposes.
        PurposesInvalid,
        /// The licence identifier is empty or not UTF-8. Next: give an SPDX or RAIL identifier.
        LicenceNameInvalid,
        /// Contributors', owner's and curators' shares do not sum to 1,000,000. Next: correct the shares.
        SharesNotWhole,
        /// The data pool's bounds are no range within 1,000,000. Next: correct the bounds.
        PoolOutOfRange,
        /// The base part is above 500,000. Next: lower it.
        BasePartTooLarge,
        /// A licence gives at least one use and one block. Next: raise uses or duration.
        NothingGranted,
        /// Approval by list or on request is not built yet. Next: use open approval.
        ApprovalNotBuilt,
        /// Reciprocity is not built yet. Next: use none.
        ReciprocityNotBuilt,
        /// Private Datanets and trusted oracles are not built yet. Next: leave the list empty.
        TrustedOraclesNotBuilt,
        /// Delisting after a revocation is not built yet. Next: let models keep serving.
        StopServingNotBuilt,
        /// Jobs can still use the grant, or one that runs holds it. Next: wait until it is used up, over or revoked, and
        /// its jobs have ended.
        GrantInUse,
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
        /// Sets the next version of a Datanet's licence, by its owner.
        ///
        /// `terms` bind later grants; existing ones keep their version. Holds the licence deposit. Emits
        /// [`Event::LicenceSet`].
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::set_licence())]
        pub fn set_licence(origin: OriginFor<T>, datanet: DatanetId, terms: Terms<T::AccountId>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_licence(who, datanet, terms)
        }

        /// Takes a grant under the current licence.
        ///
        /// `version` must be the current one and its price at most `max_price`: nobody agrees to terms they have not
        /// seen. `scope` must be within the licence. Holds the grant deposit. Emits [`Event::Granted`].
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::acquire())]
        pub fn acquire(
            origin: OriginFor<T>,
            datanet: DatanetId,
            version: LicenceVersion,
            max_price: u128,
            scope: Scope,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_acquire(&who, datanet, version, max_price, &scope)?;
            Self::prune_some(2);
            Ok(())
        }

        /// Ends a grant for new jobs, by the Datanet's owner; running jobs finish.
        ///
        /// `cause` is a breach, or convenience where the licence allows it. Frees the deposit and removes the grant once
        /// no job holds it. Emits [`Event::Revoked`].
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::revoke())]
        pub fn revoke(origin: OriginFor<T>, grant: GrantId, cause: Cause) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_revoke(&who, grant, cause)
        }

        /// Removes a grant that no job can use and none holds, by anyone; its consumer may give up one that jobs could
        /// still use.
        ///
        /// The grant is used up, over or revoked, or its consumer calls; no job holds it. Frees the consumer's deposit.
        /// Emits [`Event::Pruned`].
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::prune())]
        pub fn prune(origin: OriginFor<T>, grant: GrantId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_prune(&who, grant)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// One version of a Datanet's licence.
        pub fn licence(datanet: DatanetId, version: LicenceVersion) -> Option<Licence<T::AccountId>> {
            Licences::<T>::get(datanet, version)
        }

        /// The licence under which grants are given now, with its version.
        pub fn current_licence(datanet: DatanetId) -> Option<(LicenceVersion, Licence<T::AccountId>)> {
            Self::current(datanet)
        }

        /// The grant, while it is stored.
        pub fn grant(grant: GrantId) -> Option<Grant<T::AccountId>> {
            Grants::<T>::get(grant)
        }

        /// Number of the next grant.
        pub fn next_grant() -> GrantId {
            NextGrant::<T>::get()
        }

        /// Stored grants from number `from` on; looks at `limit` numbers, at most 256.
        pub fn grants(from: GrantId, limit: u32) -> Vec<(GrantId, Grant<T::AccountId>)> {
            let end = NextGrant::<T>::get().min(from.saturating_add(limit.min(MAX_PAGE)));
            (from..end).filter_map(|id| Grants::<T>::get(id).map(|grant| (id, grant))).collect()
        }

        /// Every reason for which a job of `who` would be refused, with the Datanet concerned. Empty: it may run.
        pub fn check(who: T::AccountId, scope: JobScope, inputs: Vec<JobInput>) -> Vec<(DatanetId, Refusal)> {
            Self::refusals(&who, &scope, &inputs)
        }
    }

    impl<T: Config> Pallet<T> {
        /// Prunes with the weight that is left, looking at no more than 16 grants.
        fn idle(remaining: Weight) -> Weight {
            let base = T::WeightInfo::idle();
            if remaining.any_lt(base) {
                return Weight::zero();
            }
            let step = T::WeightInfo::prune();
            let looks = remaining.saturating_sub(base).checked_div_per_component(&step).unwrap_or(16).min(16);
            let looked = Self::prune_some(u32::try_from(looks).unwrap_or(0));
            base.saturating_add(step.saturating_mul(u64::from(looked)))
        }
    }
}
