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

mod impls;
mod jobs;
mod registry;
mod results;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod types;
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
    use weft_protocol::{hash::Hash, job::JobState};
    use weft_traits::{
        Amount, AttributionBook, Clock, DatanetInspect, JobId, ModelId, OracleInspect, PermissionCheck, RevenueSink,
        RunControl,
    };

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
        /// Datanets and their snapshots.
        type Datanets: DatanetInspect<Self::AccountId>;
        /// Grants and licences.
        type Permissions: PermissionCheck<Self::AccountId>;
        /// Oracles and their limits.
        type Oracles: OracleInspect<Self::AccountId>;
        /// Runs, for `poke`.
        type Runs: RunControl;
        /// Where training weights are written.
        type Attribution: AttributionBook<Self::AccountId>;
        /// Where licence prices go.
        type Revenue: RevenueSink<Self::AccountId>;
        /// Account that takes forfeited deposits.
        type Treasury: Get<Self::AccountId>;
        /// Who activates and retires base models: the registrar track.
        type Registrar: EnsureOrigin<Self::RuntimeOrigin>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why this pallet holds money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Fee, verification and licence price of a live job, on the builder's account.
        Escrow,
        /// Deposit of a registered base model.
        BaseDeposit,
        /// Deposit of a series of models.
        SeriesDeposit,
    }

    /// Parameters of the pallet.
    ///
    /// - Value: [`Parameters`]
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, Parameters, ValueQuery>;

    /// Base models.
    ///
    /// - Key: base root
    /// - Value: [`BaseModel`]
    #[pallet::storage]
    pub type BaseModels<T: Config> = StorageMap<_, Blake2_128Concat, Hash, BaseModel<T::AccountId>>;

    /// Number of the next job.
    ///
    /// - Value: job id
    #[pallet::storage]
    pub type NextJob<T: Config> = StorageValue<_, JobId, ValueQuery>;

    /// Jobs, live and ended.
    ///
    /// - Key: job id
    /// - Value: [`Job`]
    #[pallet::storage]
    pub type Jobs<T: Config> = StorageMap<_, Twox64Concat, JobId, Job<T::AccountId>>;

    /// Encoded recipes, kept so that everyone can recompute a run. A job that ends before it was taken loses its recipe,
    /// one that fails with the memory of its run.
    ///
    /// - Key: job id
    /// - Value: SCALE encoding of the recipe
    #[pallet::storage]
    pub type Recipes<T: Config> = StorageMap<_, Twox64Concat, JobId, RecipeBytes>;

    /// Number of the next model.
    ///
    /// - Value: model id
    #[pallet::storage]
    pub type NextModel<T: Config> = StorageValue<_, ModelId, ValueQuery>;

    /// Minted models.
    ///
    /// - Key: model id
    /// - Value: [`Model`]
    #[pallet::storage]
    pub type Models<T: Config> = StorageMap<_, Twox64Concat, ModelId, Model<T::AccountId>>;

    /// Prices by version, at most 64 for a model; version 0 is free and holds from the mint.
    ///
    /// Vouchers name a version, so one that was in force stays for 30 days at least.
    ///
    /// - Keys: model id, price version
    /// - Value: [`Price`]
    #[pallet::storage]
    pub type Prices<T: Config> = StorageDoubleMap<_, Twox64Concat, ModelId, Twox64Concat, u32, Price>;

    /// Series of models.
    ///
    /// - Key: series id
    /// - Value: [`ModelSeries`]
    #[pallet::storage]
    pub type Series<T: Config> = StorageMap<_, Twox64Concat, u32, ModelSeries<T::AccountId>>;

    /// First job that may be open: the sweep has done with all before it.
    ///
    /// - Value: job id
    #[pallet::storage]
    pub type Sweep<T: Config> = StorageValue<_, JobId, ValueQuery>;

    /// Parameters and base models of genesis.
    #[pallet::genesis_config]
    #[derive(frame::prelude::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Parameters of the pallet.
        pub params: Parameters,
        /// Base models that are active from the start.
        pub base_models: Vec<GenesisBase>,
        /// Marker.
        #[serde(skip)]
        pub marker: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Params::<T>::put(self.params.clone());
            for base in &self.base_models {
                Pallet::<T>::put_genesis_base(base).expect("a base model of genesis is malformed");
            }
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A base model was registered and waits for the registrar.
        BaseModelRegistered {
            /// Root of the base model.
            root: Hash,
            /// Who registered it.
            who: T::AccountId,
        },
        /// A base model may be used by jobs.
        BaseModelActive {
            /// Root of the base model.
            root: Hash,
        },
        /// A base model is no longer open to new jobs.
        BaseModelRetired {
            /// Root of the base model.
            root: Hash,
        },
        /// A base model was proved to be inconsistent.
        BaseModelRefuted {
            /// Root of the base model.
            root: Hash,
        },
        /// A job is open to oracles.
        JobSubmitted {
            /// The job.
            job: JobId,
            /// Its builder.
            builder: T::AccountId,
            /// Hash that binds it.
            spec_hash: Hash,
            /// Amount put on hold.
            escrow: Amount,
        },
        /// The builder cancelled an open job.
        JobCancelled {
            /// The job.
            job: JobId,
        },
        /// A job moved to another state.
        JobAdvanced {
            /// The job.
            job: JobId,
            /// Its new state.
            state: JobState,
        },
        /// Escrow of a job that ended went back to its builder.
        EscrowReleased {
            /// The job.
            job: JobId,
            /// Amount.
            amount: Amount,
        },
        /// A run was final and its model exists.
        ModelMinted {
            /// The model.
            model: ModelId,
            /// Its job.
            job: JobId,
            /// Its owner.
            owner: T::AccountId,
        },
        /// A model has a new price version.
        PricesSet {
            /// The model.
            model: ModelId,
            /// Version of the price.
            version: u32,
            /// Price of 1,000 input tokens.
            input: Amount,
            /// Price of 1,000 output tokens.
            output: Amount,
            /// Clock value from which it holds.
            from: u32,
        },
        /// A model has another owner.
        ModelTransferred {
            /// The model.
            model: ModelId,
            /// New owner.
            to: T::AccountId,
        },
        /// A model's owner took it down.
        ModelDelisted {
            /// The model.
            model: ModelId,
        },
        /// A model is served again.
        ModelRelisted {
            /// The model.
            model: ModelId,
        },
        /// The data share of a model grew.
        SplitChanged {
            /// The model.
            model: ModelId,
            /// New data share in ppm.
            data: u32,
        },
        /// A base model that waited for the registrar was refused; its root is free again.
        BaseModelRemoved {
            /// Root of the base model.
            root: Hash,
            /// Deposit sent to the treasury.
            forfeited: Amount,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// No base model has this root. Next: register it first, or copy the root from the list of base models.
        UnknownBase,
        /// A base model with this root exists already. Next: use it.
        BaseExists,
        /// The shape of the base model is outside the bounds that the network can run. Next: check its fields.
        ShapeOutOfBounds,
        /// The base model is not active. Next: wait for the registrar, or choose another one.
        BaseNotActive,
        /// The job names no Datanet. Next: name at least one.
        GrantMissing,
        /// The job's Datanets are not in ascending order, or one is named twice. Next: sort them by id.
        InputsUnsorted,
        /// A snapshot that the job names does not exist, or holds no records. Next: take a snapshot first.
        UnknownSnapshot,
        /// The recipe does not decode or breaks a bound. Next: compare it with the table of recipe fields.
        RecipeOutOfBounds,
        /// The class of the job cannot run it. Next: use the exact class `cpu-f32/1`.
        ClassUnsupported,
        /// Tier Spot is not built yet. Next: use tier Full.
        SpotNotBuilt,
        /// Method qlora is not built yet. Next: use lora.
        QloraNotBuilt,
        /// Jobs that start from a model are not built yet. Next: start from a base model.
        ParentNotBuilt,
        /// The declared value is below the least one. Next: raise it.
        ValueTooLow,
        /// The declared value is above the cap of this stage. Next: lower it.
        ValueAboveCap,
        /// The five shares do not sum to 1,000,000. Next: correct the split.
        SplitSumWrong,
        /// The treasury or stakers' share is below its floor. Next: raise it.
        ShareBelowFloor,
        /// The data share is outside the range of the licences. Next: move it into the range shown by the quote.
        DataShareOutOfRange,
        /// Attribution method 1 needs a data pool with equal bounds. Next: ask for a licence with one value.
        PoolRangeOpen,
        /// A licence asks for attribution and the recipe has it off. Next: turn attribution on.
        AttributionRequired,
        /// The licences have no purpose in common that includes training. Next: leave one Datanet out.
        TermsConflict,
        /// Fewer oracles than the tier's verifiers plus one support the class. Next: lower the tier, or wait for
        /// oracles.
        TooFewVerifiers,
        /// The tier names fewer verifiers than this chain asks for. Next: raise the tier.
        TierTooLow,
        /// The tier names more than eight verifiers. Next: lower the tier.
        TierTooHigh,
        /// An amount of the job is too large to compute with. Next: lower fee, value or size.
        AmountTooLarge,
        /// No job has this number. Next: check it.
        UnknownJob,
        /// The job's state does not allow this. Next: look at its state.
        WrongState,
        /// Nothing is due. Next: try again after the deadline shown for the job.
        NotDue,
        /// Only the job's builder may do this. Next: sign with the builder's account.
        NotBuilder,
        /// No model has this number. Next: check it.
        UnknownModel,
        /// Only the model's owner may do this. Next: sign with the owner's account.
        NotModelOwner,
        /// The model has too many generations below it. Not built yet: no call returns it. Next: start from an earlier one.
        TooDeep,
        /// A price version is waiting for its notice to pass. Next: try again afterwards.
        PriceNoticePending,
        /// The verification escrow cannot pay this. Next: report it: a job's escrow covers all of its verifiers.
        EscrowTooLow,
        /// The snapshots hold more records than one job can take, 4,294,967,295 in all. Next: leave a Datanet out.
        TooManyRecords,
        /// The model has 64 price versions and vouchers may still name the oldest. Next: try again when it has been out of
        /// force for 30 days.
        TooManyPrices,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
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
        /// Registers a base model for activation by the registrar; anyone can recompute its root.
        ///
        /// - `spec`: root, name, shape and digests
        ///
        /// Holds the base deposit. Emits [`Event::BaseModelRegistered`].
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register_base_model())]
        pub fn register_base_model(origin: OriginFor<T>, spec: BaseModelSpec) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_register_base(who, spec)
        }

        /// Opens a registered base model to jobs.
        ///
        /// - `root`: root of the base model, which the registrar has recomputed
        ///
        /// Emits [`Event::BaseModelActive`].
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::activate())]
        pub fn activate(origin: OriginFor<T>, root: Hash) -> DispatchResult {
            T::Registrar::ensure_origin(origin)?;
            Self::do_activate(root)
        }

        /// Closes a base model to jobs.
        ///
        /// - `root`: root of the base model
        ///
        /// An active one stays for old models and takes no new job. One that still waits is removed with its deposit, which
        /// goes to the treasury: whoever registers a root with wrong parts must not keep others from it. Emits
        /// [`Event::BaseModelRetired`] or [`Event::BaseModelRemoved`].
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::retire())]
        pub fn retire(origin: OriginFor<T>, root: Hash) -> DispatchResult {
            T::Registrar::ensure_origin(origin)?;
            Self::do_retire(root)
        }

        /// Submits a training job and puts fee, verification and licence price on hold.
        ///
        /// - `spec`: base, Datanets with their permissions, recipe, tier, fee, value, split
        ///
        /// Consumes one use of each grant. Emits [`Event::JobSubmitted`].
        #[pallet::call_index(4)]
        #[pallet::weight(Pallet::<T>::submit_weight(u32::try_from(spec.inputs.len()).unwrap_or(MAX_INPUTS)))]
        pub fn submit_job(origin: OriginFor<T>, spec: alloc::boxed::Box<JobSpec>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_submit(who, *spec)
        }

        /// Takes back a job that no oracle has taken; everything returns.
        ///
        /// - `job`: the job
        ///
        /// Emits [`Event::JobCancelled`].
        #[pallet::call_index(5)]
        #[pallet::weight(Pallet::<T>::cancel_weight())]
        pub fn cancel_job(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_cancel(who, job)
        }

        /// Sets the prices of a model, in force after the notice.
        ///
        /// - `model`: the model
        /// - `input`, `output`: prices of 1,000 tokens in the smallest unit
        ///
        /// Emits [`Event::PricesSet`].
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::set_prices())]
        pub fn set_prices(origin: OriginFor<T>, model: ModelId, input: Amount, output: Amount) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_prices(who, model, input, output)
        }

        /// Applies every transition of a job that is due.
        ///
        /// - `job`: the job
        ///
        /// Pays for what it did; one that finds nothing due pays for the most. Emits the events of the transitions.
        #[pallet::call_index(12)]
        #[pallet::weight(Pallet::<T>::poke_weight())]
        pub fn poke(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            let done = Self::do_poke(job)?;
            Ok(Some(done).into())
        }
    }

    #[pallet::view_functions]
    impl<T: Config> Pallet<T> {
        /// Cost of a job for a builder and every reason that would refuse it.
        pub fn quote(who: T::AccountId, spec: JobSpec) -> Quote {
            Self::do_quote(&who, &spec)
        }

        /// A job with its encoded recipe.
        pub fn job(job: JobId) -> Option<JobView<T::AccountId>> {
            Some(JobView { job: Jobs::<T>::get(job)?, recipe: Recipes::<T>::get(job).map(BoundedVec::into_inner) })
        }

        /// A model with the price in force.
        pub fn model(model: ModelId) -> Option<ModelView<T::AccountId>> {
            let stored = Models::<T>::get(model)?;
            let (price_version, price) = Self::price_in_force(model, stored.price_version)?;
            Some(ModelView { model: stored, price_version, price })
        }

        /// Ancestors of a model, the nearest first, and the root of its base.
        pub fn lineage(model: ModelId) -> Option<(Vec<ModelId>, Hash)> {
            let stored = Models::<T>::get(model)?;
            Some((stored.lineage.into_inner(), stored.base))
        }

        /// A base model by its root.
        pub fn base_model(root: Hash) -> Option<BaseModel<T::AccountId>> {
            BaseModels::<T>::get(root)
        }
    }
}
