//! Weft's own pallets, and the traits the runtime itself provides to them.
//!
//! What may differ between chains (timers, stakes, deposits, epochs) lies in the pallets' genesis.

use crate::{
    chain_params, fees, AccountId, Attribution, Babe, Balances, ComputeOracles, Datanets, Models, Permissions, Rewards,
    Runtime, RuntimeEvent, RuntimeHoldReason, System, Timestamp,
};
use frame_support::{parameter_types, traits::Get};
use frame_system::EnsureRoot;
use sp_runtime::traits::AccountIdConversion;
use weft_protocol::hash::Hash;
use weft_traits::{Clock, ParentVrf};

/// The clock of all deadlines. Until safe mode is composed no block is spent in it, so it is the block number.
pub struct ChainClock;

impl Clock for ChainClock {
    fn now() -> u32 {
        System::block_number()
    }

    fn timestamp_ms() -> u64 {
        Timestamp::get()
    }

    fn slot_ms() -> u64 {
        <chain_params::SlotMs<Runtime> as Get<u64>>::get()
    }
}

/// The VRF output of the parent block. BABE keeps it until it finalises the current block.
pub struct BabeParentVrf;

impl ParentVrf for BabeParentVrf {
    fn output() -> Hash {
        Babe::author_vrf_randomness().unwrap_or_default()
    }
}

parameter_types! {
    /// Account of the treasury.
    pub Treasury: AccountId = fees::TREASURY.into_account_truncating();
    /// Account of fees that wait for their settlement.
    pub RevenuePot: AccountId = fees::REVENUE.into_account_truncating();
    /// Account of the stakers' share.
    pub StakersPot: AccountId = fees::STAKERS.into_account_truncating();
}

impl pallet_datanets::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Clock = ChainClock;
    type Treasury = Treasury;
    type WeightInfo = pallet_datanets::weights::SubstrateWeight<Runtime>;
}

impl pallet_permissions::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Clock = ChainClock;
    type Datanets = Datanets;
    type WeightInfo = pallet_permissions::weights::SubstrateWeight<Runtime>;
}

impl pallet_models::Config for Runtime {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Clock = ChainClock;
    type Datanets = Datanets;
    type Permissions = Permissions;
    type Oracles = ComputeOracles;
    type Runs = ComputeOracles;
    type Attribution = Attribution;
    type Revenue = Rewards;
    type Treasury = Treasury;
    // The registrar track comes with governance.
    type Registrar = EnsureRoot<AccountId>;
    type WeightInfo = ();
}

impl pallet_compute_oracles::Config for Runtime {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Clock = ChainClock;
    type Vrf = BabeParentVrf;
    type Jobs = Models;
    type WeightInfo = ();
}

impl pallet_attribution::Config for Runtime {
    type WeightInfo = pallet_attribution::weights::SubstrateWeight<Runtime>;
    type Models = Models;
    type Revenue = Rewards;
}

impl pallet_rewards::Config for Runtime {
    type RuntimeHoldReason = RuntimeHoldReason;
    type WeightInfo = pallet_rewards::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type Clock = ChainClock;
    type Models = Models;
    type Attribution = Attribution;
    type Oracles = ComputeOracles;
    type Datanets = Datanets;
    type Permissions = Permissions;
    type Treasury = Treasury;
    type RevenuePot = RevenuePot;
    type StakersPot = StakersPot;
}
