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

mod impls;
pub mod methods;
mod training;
#[cfg(any(test, feature = "try-runtime"))]
mod try_state;
pub mod types;
mod usage;
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
    use super::{
        types::{Method, UsageReport, UsageSums, WeightProof, Weights},
        weights::WeightInfo,
    };
    use alloc::vec::Vec;
    use frame::prelude::*;
    use weft_protocol::{hash::Hash, sum_tree::OwnerLeaf};
    use weft_traits::{Amount, Epoch, ModelId, ModelInspect, RevenueSink};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// Models, attribution methods and usage.
    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What the pallet needs of its runtime.
    #[pallet::config(with_default)]
    pub trait Config: frame_system::Config<AccountId: From<[u8; 32]> + Into<[u8; 32]>> {
        /// Weights of the calls.
        type WeightInfo: WeightInfo;

        /// Read access to models.
        #[pallet::no_default]
        type Models: ModelInspect<Self::AccountId>;

        /// Fees and epochs.
        #[pallet::no_default]
        type Revenue: RevenueSink<Self::AccountId>;
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
            type WeightInfo = ();
        }
    }

    /// Training weights of each model, written once when its run is final.
    ///
    /// - Key: model
    /// - Value: [`Weights`]
    #[pallet::storage]
    pub type Training<T: Config> = StorageMap<_, Twox64Concat, ModelId, Weights>;

    /// Usage of a model in a settlement epoch, by the oracle that served it.
    ///
    /// - Keys: model, epoch, oracle
    /// - Value: [`UsageReport`]
    #[pallet::storage]
    pub type Usage<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Twox64Concat, ModelId>,
            NMapKey<Twox64Concat, Epoch>,
            NMapKey<Blake2_128Concat, <T as frame_system::Config>::AccountId>,
        ),
        UsageReport,
    >;

    /// Attribution methods.
    ///
    /// - Key: method
    /// - Value: [`Method`]
    #[pallet::storage]
    pub type Methods<T: Config> = StorageMap<_, Twox64Concat, u16, Method>;

    /// Attribution methods at genesis.
    #[pallet::genesis_config]
    #[derive(frame::prelude::DebugNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Methods: id, content id of the specification, `sem_id`. All are active.
        pub methods: Vec<(u16, Hash, Hash)>,
        #[serde(skip)]
        #[doc(hidden)]
        pub _config: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self { methods: super::methods::built_in(), _config: PhantomData }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Pallet::<T>::register_methods(&self.methods);
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A serving oracle posted its usage of an epoch.
        UsagePosted {
            /// The model.
            model: ModelId,
            /// The settlement epoch.
            epoch: Epoch,
            /// The oracle.
            oracle: T::AccountId,
            /// Root over its receipts.
            root: Hash,
            /// Their fees in the smallest unit.
            fees: Amount,
        },
        /// The training weights of a new model are fixed.
        WeightsRecorded {
            /// The model.
            model: ModelId,
            /// Attribution method.
            method: u16,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The attribution method is not registered or not active. Next: use a method that the view `method` shows as
        /// active.
        UnknownMethod,
        /// The fees differ from those redeemed in this epoch, or nothing was redeemed. Next: post the sums over exactly
        /// the receipts redeemed in the epoch.
        FeesMismatch,
        /// The usage of this epoch is already posted. Next: nothing is left to do.
        AlreadyPosted,
        /// The epoch is not over yet, or already settled. Next: post between its end and its settlement.
        WindowClosed,
        /// The parts of the opening are out of order, too many, or their points do not sum to 10^12. Next: open the run
        /// with the parts its leaves add up to.
        OpeningMismatch,
        /// The receipt is listed, signed and priced as it should be. No call answers it before receipt proofs are built.
        /// Next: nothing; no proof against it holds.
        ReceiptIsFine,
        /// There is no model with this number. Next: check the number of the model.
        UnknownModel,
        /// The account does not serve this model. Next: sign with the account of the model's oracle.
        NotServing,
        /// The weights of this model are already recorded. Next: nothing; they never change.
        AlreadyRecorded,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), frame::deps::sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Posts what the calling oracle earned with a model in an epoch that is over.
        ///
        /// - `model`, `epoch`: the settlement epoch
        /// - `root`: root of the fee-sum tree over the receipts redeemed in the epoch, by receipt index
        /// - `sums`: number of receipts, tokens in and out, fees; the fees must equal those redeemed
        ///
        /// Emits `UsagePosted`.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::post_usage())]
        pub fn post_usage(
            origin: OriginFor<T>,
            model: ModelId,
            epoch: Epoch,
            root: Hash,
            sums: UsageSums,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_post_usage(who, model, epoch, root, sums)
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// Training weights of a model.
        pub fn training(model: ModelId) -> Option<Weights> {
            Training::<T>::get(model)
        }

        /// The owner leaf of `who` under a part of the model, or `None` when the proof does not hold.
        pub fn weight(model: ModelId, who: T::AccountId, proof: WeightProof) -> Option<OwnerLeaf> {
            Self::proved_leaf(model, &who, &proof)
        }

        /// Usage of a model in an epoch: each oracle with what it posted.
        pub fn usage(model: ModelId, epoch: Epoch) -> Vec<(T::AccountId, UsageReport)> {
            Usage::<T>::iter_prefix((model, epoch)).collect()
        }

        /// An attribution method.
        pub fn method(id: u16) -> Option<Method> {
            Methods::<T>::get(id)
        }
    }
}
