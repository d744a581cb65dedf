#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(clippy::expect_used, clippy::as_conversions, reason = "FRAME macros and SCALE derives expand to them")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        missing_docs,
        reason = "tests"
    )
)]

extern crate alloc;

mod budgets;
mod claims;
mod impls;
mod keys;
mod settlement;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
pub mod types;
mod vouchers;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The pallet.
#[frame::pallet]
pub mod pallet {
    use super::{types::*, weights::WeightInfo};
    use frame::prelude::*;
    use weft_protocol::sum_tree::{OwnerLeaf, SumNode};
    use weft_traits::{
        Amount, AttributionBook, Clock, DatanetInspect, Epoch, ModelId, ModelInspect, OracleInspect, PermissionCheck,
    };

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// Budgets, fees, settlements and claims.
    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What the pallet needs of its runtime.
    #[pallet::config(with_default)]
    pub trait Config: frame_system::Config<AccountId: From<[u8; 32]> + Into<[u8; 32]>> {
        /// Reason of this pallet's holds in the runtime.
        #[pallet::no_default_bounds]
        type RuntimeHoldReason: From<HoldReason>;

        /// Weights of the calls.
        type WeightInfo: WeightInfo;

        /// Balances, in the smallest unit.
        #[pallet::no_default]
        type Currency: fungible::Mutate<Self::AccountId>
            + fungible::Inspect<Self::AccountId, Balance = Amount>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;

        /// The chain's clock.
        #[pallet::no_default]
        type Clock: Clock;

        /// Read access to models.
        #[pallet::no_default]
        type Models: ModelInspect<Self::AccountId>;

        /// Training weights and usage.
        #[pallet::no_default]
        type Attribution: AttributionBook<Self::AccountId>;

        /// Read access to oracles.
        #[pallet::no_default]
        type Oracles: OracleInspect<Self::AccountId>;

        /// Read access to Datanets.
        #[pallet::no_default]
        type Datanets: DatanetInspect<Self::AccountId>;

        /// Shares of licences.
        #[pallet::no_default]
        type Permissions: PermissionCheck<Self::AccountId>;

        /// Account of the treasury. Has the existential deposit from genesis.
        #[pallet::no_default]
        type Treasury: Get<Self::AccountId>;

        /// Account of the revenue pot (`weft/rev`). Has the existential deposit from genesis.
        #[pallet::no_default]
        type RevenuePot: Get<Self::AccountId>;

        /// Account of the stakers' pot (`weft/stk`). Has the existential deposit from genesis.
        #[pallet::no_default]
        type StakersPot: Get<Self::AccountId>;
    }

    /// Defaults for mocks.
    pub mod config_preludes {
        use super::*;
        use frame::deps::frame_support::derive_impl;

        /// Defaults for mocks.
        pub struct TestDefaultConfig;

        #[derive_impl(frame_system::config_preludes::TestDefaultConfig, no_aggregated_types)]
        impl frame_system::DefaultConfig for TestDefaultConfig {}

        #[frame::deps::frame_support::register_default_impl(TestDefaultConfig)]
        impl DefaultConfig for TestDefaultConfig {
            #[inject_runtime_type]
            type RuntimeHoldReason = ();
            type WeightInfo = ();
        }
    }

    /// Why the pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Budgets of a consumer.
        Budget,
    }

    /// Genesis parameters.
    ///
    /// - Value: [`Params`]
    #[pallet::storage]
    pub type Parameters<T: Config> = StorageValue<_, Params, ValueQuery>;

    /// Money that a consumer set aside for an oracle.
    ///
    /// - Keys: consumer, oracle
    /// - Value: [`Budget`]
    #[pallet::storage]
    pub type Budgets<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Blake2_128Concat, T::AccountId, Budget>;

    /// API keys.
    ///
    /// - Keys: consumer, public key
    /// - Value: [`ApiKey`]
    #[pallet::storage]
    pub type ApiKeys<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Blake2_128Concat, [u8; 32], ApiKey>;

    /// Cumulative fees paid.
    ///
    /// - Keys: consumer, API key, oracle, model
    /// - Value: [`Channel`]
    #[pallet::storage]
    pub type Channels<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, <T as frame_system::Config>::AccountId>,
            NMapKey<Blake2_128Concat, [u8; 32]>,
            NMapKey<Blake2_128Concat, <T as frame_system::Config>::AccountId>,
            NMapKey<Twox64Concat, ModelId>,
        ),
        Channel,
        ValueQuery,
    >;

    /// Fees redeemed, by oracle. Entries stay after settlement.
    ///
    /// - Keys: model, epoch
    /// - Value: at most 32 [`OracleFees`]
    #[pallet::storage]
    pub type Revenue<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        ModelId,
        Twox64Concat,
        Epoch,
        BoundedVec<OracleFees<<T as frame_system::Config>::AccountId>, ConstU32<MAX_ORACLES>>,
        ValueQuery,
    >;

    /// Settled epochs; epoch 0 is the licence price.
    ///
    /// - Keys: model, epoch
    /// - Value: [`Settlement`]
    #[pallet::storage]
    pub type Settlements<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        ModelId,
        Twox64Concat,
        Epoch,
        Settlement<<T as frame_system::Config>::AccountId>,
    >;

    /// Claimed leaves.
    ///
    /// - Keys: model, epoch, part, chunk of 2,048 leaves
    /// - Value: [`ClaimBits`]
    #[pallet::storage]
    pub type ClaimedBits<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Twox64Concat, ModelId>,
            NMapKey<Twox64Concat, Epoch>,
            NMapKey<Twox64Concat, u32>,
            NMapKey<Twox64Concat, u32>,
        ),
        ClaimBits,
        ValueQuery,
    >;

    /// Queue of payout lists that are paid without proofs. No call fills it yet.
    ///
    /// - Key: place in the queue
    /// - Value: at most 64 recipients with their units
    #[pallet::storage]
    pub type Inline<T: Config> = StorageMap<
        _,
        Twox64Concat,
        u32,
        BoundedVec<(<T as frame_system::Config>::AccountId, Amount), ConstU32<MAX_INLINE>>,
    >;

    /// Units waiting in the pot for an account that cannot take them yet: below the existential deposit.
    ///
    /// - Key: account
    /// - Value: units
    #[pallet::storage]
    pub type Owed<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Amount, ValueQuery>;

    /// What recipients prefer for their payouts. No call fills it yet.
    ///
    /// - Key: recipient
    /// - Value: [`Preference`]
    #[pallet::storage]
    pub type Prefs<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Preference<<T as frame_system::Config>::AccountId>>;

    /// Genesis parameters.
    #[pallet::genesis_config]
    #[derive(DefaultNoBound, DebugNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The parameters; by default those of the preset `development`.
        pub params: Params,
        #[serde(skip)]
        #[doc(hidden)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(self.params.epoch_length > 0, "a settlement epoch has at least one block");
            // Or a consumer could take its money back before the epoch is over in which it was served.
            assert!(self.params.unlock > self.params.epoch_length, "a budget stays longer than a settlement epoch");
            Parameters::<T>::put(self.params);
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A budget was opened or topped up.
        BudgetOpened {
            /// The consumer.
            consumer: T::AccountId,
            /// The oracle.
            oracle: T::AccountId,
            /// Units added.
            amount: Amount,
            /// Units on hold now.
            held: Amount,
        },
        /// A budget is closing, or its rest was withdrawn.
        BudgetClosed {
            /// The consumer.
            consumer: T::AccountId,
            /// The oracle.
            oracle: T::AccountId,
            /// Clock value from which the rest can be withdrawn.
            unlock: u32,
            /// Units freed; 0 while it is closing.
            released: Amount,
        },
        /// An API key was registered.
        KeyAdded {
            /// The consumer.
            consumer: T::AccountId,
            /// The public key.
            key: [u8; 32],
        },
        /// An API key was revoked.
        KeyRevoked {
            /// The consumer.
            consumer: T::AccountId,
            /// The public key.
            key: [u8; 32],
        },
        /// A voucher was redeemed.
        Redeemed {
            /// Who pays.
            consumer: T::AccountId,
            /// The API key that signed.
            key: [u8; 32],
            /// Who served.
            oracle: T::AccountId,
            /// The model.
            model: ModelId,
            /// Settlement epoch to which the fees belong.
            epoch: Epoch,
            /// Units moved to the revenue pot.
            amount: Amount,
            /// Cumulative fee of the channel.
            cumulative: Amount,
        },
        /// An epoch was settled; its claims are open.
        Settled {
            /// The model.
            model: ModelId,
            /// The epoch; 0 is the licence price.
            epoch: Epoch,
            /// Units settled.
            fees: Amount,
        },
        /// The fees of an epoch are below the settlement minimum and went to a later one.
        RolledOver {
            /// The model.
            model: ModelId,
            /// The epoch.
            epoch: Epoch,
            /// The epoch that has the fees now.
            into: Epoch,
            /// Units moved.
            fees: Amount,
        },
        /// A leaf was claimed.
        Claimed {
            /// The model.
            model: ModelId,
            /// The epoch.
            epoch: Epoch,
            /// Position of the part.
            part: u32,
            /// Position of the leaf.
            index: u32,
            /// Owner of the leaf.
            who: T::AccountId,
            /// Units due.
            amount: Amount,
        },
        /// An account cannot take its units yet; they are owed.
        Deferred {
            /// The account.
            who: T::AccountId,
            /// Units owed now.
            owed: Amount,
        },
        /// An account got the units that it was owed.
        Collected {
            /// The account.
            who: T::AccountId,
            /// Units that it was owed.
            amount: Amount,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The budget does not cover the voucher. Next: ask the consumer to top up the budget.
        BudgetTooLow,
        /// The voucher brings nothing new, or its price version is older than the channel's. Next: redeem the newest
        /// voucher.
        VoucherStale,
        /// The API key is revoked. Next: register another key.
        KeyRevoked,
        /// The voucher exceeds the daily limit of its key. Next: redeem tomorrow, or raise the limit.
        LimitExceeded,
        /// The epoch is not over. Next: wait for its end.
        EpochOpen,
        /// An oracle with fees in the epoch has not posted its usage. Next: wait for it, or for the usage delay.
        UsageMissing,
        /// The account is not the oracle that serves the model, or not a registered oracle. Next: use the model's
        /// oracle.
        NotServing,
        /// Shares or weights do not add up. Next: check the split of the model and the shares of the licence.
        SumMismatch,
        /// The epoch is already settled. Next: claim from it.
        AlreadySettled,
        /// The settlement can still be disputed, or its fees went to a later epoch. Next: look at the view
        /// `settlement`.
        InWindow,
        /// The leaf is already claimed. Next: nothing is left to do.
        AlreadyClaimed,
        /// The rest of the leaf falls due later. No call answers it before replay settlements are built. Next: claim
        /// again after the holding time.
        StillHeld,
        /// The proof does not lead to the root of this part. Next: build it from the leaves of the model's run.
        ProofMismatch,
        /// The amount is zero. Next: name an amount.
        AmountZero,
        /// There is already a budget for this oracle. Next: top it up.
        BudgetExists,
        /// There is no budget for this oracle. Next: open one.
        BudgetMissing,
        /// The budget is closing. Next: withdraw it, then open a new one.
        BudgetClosing,
        /// The budget is open, or its unlock time has not come. Next: close it and wait.
        BudgetLocked,
        /// The key is already registered. Next: revoke it first to change its rule.
        KeyExists,
        /// The key is not registered by this consumer. Next: register it.
        KeyUnknown,
        /// The expiry of the key has passed. Next: register a key with a later expiry.
        KeyExpired,
        /// The key may not pay for this model. Next: register a key that names it.
        KeyForbidsModel,
        /// The consumer has 32 keys that are in use. Next: revoke one.
        TooManyKeys,
        /// The API key did not sign this voucher for this chain. Next: sign the voucher's hash over this chain's
        /// genesis hash with the key it names.
        BadSignature,
        /// There is no model with this number. Next: check the number of the model.
        UnknownModel,
        /// The model has no such price version. Next: take a version that the model's prices list.
        PriceUnknown,
        /// Too many oracles have fees in this epoch. Next: redeem or finalise in the next one.
        TooManyOracles,
        /// The epoch has no fees. Next: nothing is left to do.
        NothingToSettle,
        /// The model has no training weights. Next: name a model of a final run.
        WeightsMissing,
        /// A Datanet of the model, or the licence with which it was used, is unknown. Next: report this chain's state.
        LicenceMissing,
        /// The epoch is not settled. Next: finalise it first.
        NotSettled,
        /// The settlement has no such part. Next: look at the view `settlement`.
        PartUnknown,
        /// The contributors of this part have nothing to claim: it has no points or no money. Next: nothing is left to
        /// do.
        NothingToClaim,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), frame::deps::sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    /// Most payments of one settlement: treasury, stakers, model owner, 32 oracles, and owner and 16 curators of each of
    /// 16 parts.
    pub(crate) const MAX_PAYMENTS: u32 = 3 + MAX_ORACLES + MAX_PARTS * 17;

    /// Length of a bounded list as a weight parameter.
    pub(crate) fn length<X, S>(list: &BoundedVec<X, S>) -> u32 {
        u32::try_from(list.len()).unwrap_or(u32::MAX)
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Opens a budget for an oracle.
        ///
        /// - `oracle`: a registered oracle
        /// - `amount`: units to hold on the caller's account
        ///
        /// Emits `BudgetOpened`.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::open_budget())]
        pub fn open_budget(origin: OriginFor<T>, oracle: T::AccountId, amount: Amount) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_open_budget(who, oracle, amount)
        }

        /// Adds to an open budget.
        ///
        /// - `oracle`: the oracle of the budget
        /// - `amount`: units to hold in addition
        ///
        /// Emits `BudgetOpened`.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::top_up())]
        pub fn top_up(origin: OriginFor<T>, oracle: T::AccountId, amount: Amount) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_top_up(who, oracle, amount)
        }

        /// Closes a budget: after T_unlock its rest can be withdrawn. Until then vouchers are still redeemed from it.
        ///
        /// - `oracle`: the oracle of the budget
        ///
        /// Emits `BudgetClosed`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::close_budget())]
        pub fn close_budget(origin: OriginFor<T>, oracle: T::AccountId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_close_budget(who, oracle)
        }

        /// Frees the rest of a closed budget.
        ///
        /// - `oracle`: the oracle of the budget
        ///
        /// Emits `BudgetClosed`.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::withdraw())]
        pub fn withdraw(origin: OriginFor<T>, oracle: T::AccountId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw(who, oracle)
        }

        /// Registers an API key.
        ///
        /// - `key`: sr25519 public key that signs vouchers
        /// - `rule`: daily limit, models, expiry
        ///
        /// Emits `KeyAdded`.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::add_key())]
        pub fn add_key(origin: OriginFor<T>, key: [u8; 32], rule: KeyRule) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_add_key(who, key, rule)
        }

        /// Revokes an API key at once.
        ///
        /// - `key`: the public key
        ///
        /// Emits `KeyRevoked`.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::revoke_key())]
        pub fn revoke_key(origin: OriginFor<T>, key: [u8; 32]) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_revoke_key(who, key)
        }

        /// Moves what vouchers add to their channels from the consumers' budgets to the revenue pot: all, or none.
        ///
        /// - `vouchers`: at most 256, of any consumers and keys, served by the caller
        ///
        /// Emits `Redeemed` for each.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::redeem(length(vouchers)))]
        pub fn redeem(
            origin: OriginFor<T>,
            vouchers: BoundedVec<SignedVoucher, ConstU32<MAX_BATCH>>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_redeem(&who, &vouchers)
        }

        /// Settles an epoch of a model that is over, and pays everybody but the contributors, whose claims open.
        ///
        /// - `model`, `epoch`: the settlement epoch, from 1
        ///
        /// Emits `Settled`, or `RolledOver` when the fees are below the settlement minimum.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::finalise(MAX_PAYMENTS))]
        pub fn finalise(origin: OriginFor<T>, model: ModelId, epoch: Epoch) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            let done = Self::do_finalise(model, epoch)?;
            Ok(Some(T::WeightInfo::finalise(done.payments)).into())
        }

        /// Claims a contributor's leaf for its owner. Anyone may call it for anyone. A leaf that is claimed already pays what
        /// its owner is owed, once the owner can take it.
        ///
        /// - `model`, `epoch`, `part`: the settlement and the position of the Datanet in its parts
        /// - `index`: position of the leaf
        /// - `leaf`: the leaf
        /// - `path`: siblings from the leaf to the root
        ///
        /// Emits `Claimed`, and `Collected` when the owner was owed units.
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::claim(length(path)))]
        pub fn claim(
            origin: OriginFor<T>,
            model: ModelId,
            epoch: Epoch,
            part: u32,
            index: u32,
            leaf: OwnerLeaf,
            path: BoundedVec<SumNode, ConstU32<MAX_DEPTH>>,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_claim(model, epoch, part, index, leaf, &path)
        }

        /// Claims up to 256 leaves of one part for their owners: all, or none.
        ///
        /// - `model`, `epoch`, `part`: the settlement and the position of the Datanet in its parts
        /// - `leaves`: positions and leaves, positions ascending
        /// - `multiproof`: the nodes that lead from them to the root, level by level, left to right
        ///
        /// Emits `Claimed` for each.
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::claim_many(length(leaves), length(multiproof)))]
        pub fn claim_many(
            origin: OriginFor<T>,
            model: ModelId,
            epoch: Epoch,
            part: u32,
            leaves: BoundedVec<(u32, OwnerLeaf), ConstU32<MAX_BATCH>>,
            multiproof: BoundedVec<SumNode, ConstU32<MAX_MULTIPROOF>>,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_claim_many(model, epoch, part, &leaves, &multiproof)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// Whether a leaf with `paid` points is claimed, and the units it is or was due; `None` when there is no such
        /// leaf to claim.
        pub fn claim_status(model: ModelId, epoch: Epoch, part: u32, index: u32, paid: u128) -> Option<ClaimStatus> {
            let settlement = Settlements::<T>::get(model, epoch)?;
            let known = settlement.parts.get(usize::try_from(part).ok()?)?;
            if index >= known.leaves {
                return None;
            }
            Some(ClaimStatus { claimed: Self::is_claimed(model, epoch, part, index), due: known.due(paid)? })
        }

        /// Units that wait for the account to be able to take them.
        pub fn owed(who: T::AccountId) -> Amount {
            Owed::<T>::get(who)
        }

        /// Settlement of an epoch.
        pub fn settlement(model: ModelId, epoch: Epoch) -> Option<Settlement<T::AccountId>> {
            Settlements::<T>::get(model, epoch)
        }

        /// Budget of a consumer at an oracle.
        pub fn budget(consumer: T::AccountId, oracle: T::AccountId) -> Option<Budget> {
            Budgets::<T>::get(consumer, oracle)
        }

        /// What a channel has paid.
        pub fn channel(consumer: T::AccountId, key: [u8; 32], oracle: T::AccountId, model: ModelId) -> Channel {
            Channels::<T>::get((consumer, key, oracle, model))
        }

        /// An API key of a consumer.
        pub fn api_key(consumer: T::AccountId, key: [u8; 32]) -> Option<ApiKey> {
            ApiKeys::<T>::get(consumer, key)
        }

        /// The settlement epoch of a model that is running.
        pub fn epoch(model: ModelId) -> Option<Epoch> {
            T::Models::model(model).map(|terms| Self::epoch_at(terms.minted, T::Clock::now()))
        }

        /// Fees of an epoch by oracle.
        pub fn revenue(model: ModelId, epoch: Epoch) -> BoundedVec<OracleFees<T::AccountId>, ConstU32<MAX_ORACLES>> {
            Revenue::<T>::get(model, epoch)
        }
    }
}
