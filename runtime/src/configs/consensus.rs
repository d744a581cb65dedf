//! Who writes blocks and who finalises them: BABE, GRANDPA, sessions and their history, authorship.

use super::staking::{BondingDuration, MaxNominators};
use crate::{
    chain_params, AccountId, Babe, Balance, Balances, Historical, Offences, Runtime, RuntimeEvent, Session,
    SessionKeys, Staking, WEFT,
};
use frame_support::parameter_types;
use pallet_session::disabling::UpToLimitWithReEnablingDisablingStrategy;
use sp_runtime::traits::{ConvertInto, OpaqueKeys};
use sp_session::MembershipProof;
use sp_staking::EraIndex;

/// BABE before the first epoch: a quarter of the slots is primary, and every slot has a secondary author, so that
/// every block carries a VRF output.
pub const BABE_GENESIS_EPOCH_CONFIG: sp_consensus_babe::BabeEpochConfiguration =
    sp_consensus_babe::BabeEpochConfiguration {
        c: (1, 4),
        allowed_slots: sp_consensus_babe::AllowedSlots::PrimaryAndSecondaryVRFSlots,
    };

parameter_types! {
    /// Most validators of a session.
    pub const MaxAuthorities: u32 = 200;
    /// Held while session keys are registered.
    pub const KeyDeposit: Balance = WEFT;
    /// The bonding duration, as GRANDPA and BABE want it.
    pub const BondingEras: EraIndex = BondingDuration::get();
}

/// How long an equivocation can be reported: as long as its stake is bonded.
pub type ReportLongevity = chain_params::ErasInSlots<Runtime, BondingEras>;

impl pallet_babe::Config for Runtime {
    type EpochDuration = chain_params::EpochSlots<Runtime>;
    type ExpectedBlockTime = chain_params::SlotMs<Runtime>;
    type EpochChangeTrigger = pallet_babe::ExternalTrigger;
    type DisabledValidators = Session;
    type WeightInfo = ();
    type MaxAuthorities = MaxAuthorities;
    type MaxNominators = MaxNominators;
    type KeyOwnerProof = MembershipProof;
    type EquivocationReportSystem = pallet_babe::EquivocationReportSystem<
        Self,
        pallet_staking::FilterHistoricalOffences<Staking, Offences>,
        Historical,
        ReportLongevity,
    >;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = MaxAuthorities;
    type MaxNominators = MaxNominators;
    type MaxSetIdSessionEntries = chain_params::ErasInSessions<Runtime, BondingEras>;
    type KeyOwnerProof = MembershipProof;
    type EquivocationReportSystem = pallet_grandpa::EquivocationReportSystem<
        Self,
        pallet_staking::FilterHistoricalOffences<Staking, Offences>,
        Historical,
        ReportLongevity,
    >;
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
    type EventHandler = Staking;
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = Babe;
    type NextSessionRotation = Babe;
    type SessionManager = pallet_session::historical::NoteHistoricalRoot<Self, Staking>;
    type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
    type Keys = SessionKeys;
    type DisablingStrategy = UpToLimitWithReEnablingDisablingStrategy;
    type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type KeyDeposit = KeyDeposit;
}

impl pallet_session::historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = pallet_staking::UnitIdentificationOf<Self>;
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = pallet_session::historical::IdentificationTuple<Self>;
    type OnOffenceHandler = Staking;
}
