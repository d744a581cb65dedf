//! A chain with this pallet alone, and Datanets that answer from memory.

use crate as pallet_permissions;
use crate::{types::*, Pallet};
use frame::{deps::sp_runtime::AccountId32, testing_prelude::*};
use weft_protocol::{hash::Hash, licence::purpose};
use weft_traits::{
    Clock, DatanetId, DatanetInspect, GrantId, GrantRef, JobInput, JobScope, PartShares, SnapshotIndex, SnapshotInfo,
};

pub type AccountId = AccountId32;

pub const OWNER: AccountId = AccountId32::new([1; 32]);
pub const OTHER_OWNER: AccountId = AccountId32::new([2; 32]);
pub const BUILDER: AccountId = AccountId32::new([3; 32]);
pub const STRANGER: AccountId = AccountId32::new([4; 32]);
pub const POOR: AccountId = AccountId32::new([5; 32]);

/// Open, owned by `OWNER`, with snapshots 0 to 2.
pub const NET: DatanetId = 7;
/// Open, owned by `OTHER_OWNER`, with snapshots 0 to 2.
pub const NET_2: DatanetId = 8;
/// Closed, owned by `OWNER`.
pub const CLOSED_NET: DatanetId = 9;
pub const NO_NET: DatanetId = 99;

pub const WEFT: u128 = 1_000_000_000_000;
pub const START: u128 = 100 * WEFT;
pub const LICENCE_DEPOSIT: u128 = WEFT;
pub const GRANT_DEPOSIT: u128 = WEFT;
pub const PRICE: u128 = 5 * WEFT;
pub const BASE: Hash = [0xba; 32];
pub const OTHER_BASE: Hash = [0xbb; 32];
pub const PROGRAM: Hash = [0x9a; 32];
pub const OTHER_PROGRAM: Hash = [0x9b; 32];

#[frame_construct_runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(41)]
    pub type Permissions = pallet_permissions;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = MockBlock<Test>;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ConstU128<1_000_000_000>;
    type AccountStore = System;
}

/// Block numbers, with slots of two seconds.
pub struct BlockClock;

impl Clock for BlockClock {
    fn now() -> u32 {
        u32::try_from(System::block_number()).unwrap()
    }
    fn timestamp_ms() -> u64 {
        System::block_number() * 2_000
    }
    fn slot_ms() -> u64 {
        2_000
    }
}

/// The Datanets named above.
pub struct Nets;

impl DatanetInspect<AccountId> for Nets {
    fn owner(id: DatanetId) -> Option<AccountId> {
        match id {
            NET | CLOSED_NET => Some(OWNER),
            NET_2 => Some(OTHER_OWNER),
            _ => None,
        }
    }
    fn curators(_id: DatanetId) -> Vec<AccountId> {
        Vec::new()
    }
    fn is_open(id: DatanetId) -> bool {
        [NET, NET_2].contains(&id)
    }
    fn snapshot(id: DatanetId, index: SnapshotIndex) -> Option<SnapshotInfo> {
        let taken = Self::owner(id).is_some() && index < 3;
        taken.then_some(SnapshotInfo { root: [1; 32], leaves: 1, records: 20, bytes: 4_000, block: 1 })
    }
    fn probe_root(_id: DatanetId) -> Hash {
        [0; 32]
    }
}

#[derive_impl(pallet_permissions::config_preludes::TestDefaultConfig)]
impl pallet_permissions::Config for Test {
    type Currency = Balances;
    type Clock = BlockClock;
    type Datanets = Nets;
    type WeightInfo = crate::weights::SubstrateWeight<Test>;
}

/// Runs `test` on a fresh chain at block 1 and checks every invariant afterwards.
pub fn build_and_execute(test: impl FnOnce()) {
    new_chain().execute_with(|| {
        System::set_block_number(1);
        test();
        Pallet::<Test>::do_try_state().unwrap();
    });
}

/// Runs `test`, which breaks an invariant, and expects `message`.
pub fn build_and_break(message: &'static str, test: impl FnOnce()) {
    new_chain().execute_with(|| {
        System::set_block_number(1);
        test();
        assert_eq!(Pallet::<Test>::do_try_state(), Err(DispatchError::Other(message)));
    });
}

pub fn new_chain() -> TestState {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let balances = [OWNER, OTHER_OWNER, BUILDER, STRANGER].into_iter().map(|who| (who, START)).collect();
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }.assimilate_storage(&mut storage).unwrap();
    storage.into()
}

pub fn held(reason: crate::HoldReason, who: &AccountId) -> u128 {
    <Balances as frame::traits::fungible::InspectHold<AccountId>>::balance_on_hold(&reason.into(), who)
}

pub fn free(who: &AccountId) -> u128 {
    Balances::free_balance(who)
}

pub fn signed(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

/// Open terms: ten trainings in 100 blocks at `PRICE`, pool of 40 %.
pub fn terms() -> Terms<AccountId> {
    Terms {
        purposes: purpose::TRAIN | purpose::EVALUATE | purpose::SERVE_PUBLIC,
        name: b"CC0-1.0".to_vec().try_into().unwrap(),
        text: [0x1c; 32],
        price: PRICE,
        pool: PoolRange { min_ppm: 400_000, max_ppm: 400_000 },
        base_ppm: 200_000,
        shares: PartShares { contributors: 800_000, owner: 100_000, curators: 100_000 },
        max_uses: 10,
        duration: Some(100),
        base_models: Allowed::Any,
        programs: Allowed::Any,
        attribution: false,
        approval: Approval::Open,
        reciprocity: Reciprocity::None,
        trusted: Default::default(),
        revocable: false,
        on_revoke: OnRevoke::KeepServing,
    }
}

pub fn only(items: &[Hash]) -> Allowed {
    Allowed::Only(items.to_vec().try_into().unwrap())
}

pub fn set(terms: Terms<AccountId>) -> DispatchResult {
    Permissions::set_licence(signed(OWNER), NET, terms)
}

/// Two trainings for every snapshot.
pub fn scope() -> Scope {
    Scope {
        purposes: purpose::TRAIN,
        uses: 2,
        snapshots: SnapshotRange::ALL,
        base_models: Allowed::Any,
        programs: Allowed::Any,
        expiry: None,
    }
}

pub fn acquire(scope: Scope) -> DispatchResult {
    Permissions::acquire(signed(BUILDER), NET, 1, PRICE, scope)
}

/// A grant of `BUILDER` under `terms()`.
pub fn granted() -> GrantId {
    assert_ok!(set(terms()));
    assert_ok!(acquire(scope()));
    crate::NextGrant::<Test>::get() - 1
}

pub fn job() -> JobScope {
    JobScope { base_root: BASE, program: PROGRAM, purpose: purpose::TRAIN, deadline: 50, attributed: true }
}

pub fn with_held(grant: GrantId) -> Vec<JobInput> {
    vec![JobInput { datanet: NET, snapshot: 0, grant: GrantRef::Held(grant) }]
}

pub fn with_acquire(version: u32, max_price: u128, purpose: u16, uses: u32) -> Vec<JobInput> {
    vec![JobInput { datanet: NET, snapshot: 0, grant: GrantRef::Acquire { version, max_price, purpose, uses } }]
}

pub fn last_event() -> crate::Event<Test> {
    System::events()
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            RuntimeEvent::Permissions(event) => Some(event),
            _ => None,
        })
        .unwrap()
}
