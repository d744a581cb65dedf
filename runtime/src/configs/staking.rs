//! Who may validate: stakes, elections on chain, slashes.
//!
//! Rewards of an era are nothing for now (`EraPayout = ()`): the stakers' share of model fees waits in its pot until
//! nomination rewards are built. Slashed stake is burned.

use crate::{
    chain_params, AccountId, Balance, Balances, Runtime, RuntimeEvent, RuntimeHoldReason, Session, Staking, Timestamp,
};
use frame_election_provider_support::{
    bounds::{ElectionBounds, ElectionBoundsBuilder},
    onchain, SequentialPhragmen,
};
use frame_support::{parameter_types, traits::ConstBool};
use frame_system::EnsureRoot;
use sp_runtime::Perbill;
use sp_staking::EraIndex;

parameter_types! {
    /// Eras that stake stays bonded after it was withdrawn: 28 days with the default era of a day.
    ///
    /// Constant, because `integrity_test` reads it outside externalities.
    pub const BondingDuration: EraIndex = 28;
    /// Eras before a slash is applied: time for governance to stay it.
    pub const SlashDeferDuration: EraIndex = 14;
    /// Eras whose rewards can still be paid.
    pub const HistoryDepth: u32 = 84;
    /// Most nominators of the chain.
    pub const MaxNominators: u32 = 4_000;
    /// Most candidates of an election and most winners.
    pub const MaxValidators: u32 = 200;
    /// Voters of an election: every nominator, and every candidate for itself.
    pub const MaxVoters: u32 = MaxNominators::get().saturating_add(MaxValidators::get());
    /// Nominators of a page of a validator's exposure.
    pub const MaxExposurePageSize: u32 = 512;
    /// Withdrawals of an account that wait at the same time.
    pub const MaxUnlockingChunks: u32 = 32;
    /// Bounds of an election. Genesis limits candidates and nominators to them, so nobody is left out.
    pub ElectionLimits: ElectionBounds = ElectionBoundsBuilder::default()
        .voters_count(MaxVoters::get().into())
        .targets_count(MaxValidators::get().into())
        .build();
}

/// Validators a nominator may name.
pub const MAX_NOMINATIONS: u32 = 16;

/// The election of validators, on chain, by sequential Phragmén.
pub struct OnChainElection;
impl onchain::Config for OnChainElection {
    type Sort = ConstBool<true>;
    type System = Runtime;
    type Solver = SequentialPhragmen<AccountId, Perbill>;
    type DataProvider = Staking;
    type WeightInfo = frame_election_provider_support::weights::SubstrateWeight<Runtime>;
    type MaxBackersPerWinner = MaxVoters;
    type MaxWinnersPerPage = MaxValidators;
    type Bounds = ElectionLimits;
}

/// Sizes of benchmarks of `pallet-staking`.
pub struct StakingBenchmarks;
impl pallet_staking::BenchmarkingConfig for StakingBenchmarks {
    type MaxNominators = MaxNominators;
    type MaxValidators = MaxValidators;
}

impl pallet_staking::Config for Runtime {
    type OldCurrency = Balances;
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type CurrencyBalance = Balance;
    type UnixTime = Timestamp;
    type CurrencyToVote = sp_staking::currency_to_vote::U128CurrencyToVote;
    type ElectionProvider = onchain::OnChainExecution<OnChainElection>;
    type GenesisElectionProvider = onchain::OnChainExecution<OnChainElection>;
    type NominationsQuota = pallet_staking::FixedNominationsQuota<MAX_NOMINATIONS>;
    type HistoryDepth = HistoryDepth;
    type RewardRemainder = ();
    type RuntimeEvent = RuntimeEvent;
    type Slash = ();
    type Reward = ();
    type SessionsPerEra = chain_params::EraSessions<Runtime>;
    type BondingDuration = BondingDuration;
    type SlashDeferDuration = SlashDeferDuration;
    type AdminOrigin = EnsureRoot<AccountId>;
    type SessionInterface = Self;
    type EraPayout = ();
    type NextNewSession = Session;
    type MaxExposurePageSize = MaxExposurePageSize;
    type MaxValidatorSet = MaxValidators;
    type VoterList = pallet_staking::UseNominatorsAndValidatorsMap<Runtime>;
    type TargetList = pallet_staking::UseValidatorsMap<Runtime>;
    type MaxUnlockingChunks = MaxUnlockingChunks;
    type MaxControllersInDeprecationBatch = frame_support::traits::ConstU32<5_900>;
    type EventListeners = ();
    type Filter = frame_support::traits::Nothing;
    type BenchmarkingConfig = StakingBenchmarks;
    type WeightInfo = pallet_staking::weights::SubstrateWeight<Runtime>;
}
