//! A chain with this pallet alone.

use crate as pallet_datanets;
use crate::{types::*, Pallet};
use frame::{deps::sp_runtime::AccountId32, testing_prelude::*};
use weft_protocol::{hash::Hash, record};
use weft_traits::{Clock, DatanetId};

pub type AccountId = AccountId32;

pub const OWNER: AccountId = AccountId32::new([1; 32]);
pub const CURATOR: AccountId = AccountId32::new([2; 32]);
pub const CURATOR_2: AccountId = AccountId32::new([3; 32]);
pub const CURATOR_3: AccountId = AccountId32::new([4; 32]);
pub const ALICE: AccountId = AccountId32::new([5; 32]);
pub const BOB: AccountId = AccountId32::new([6; 32]);
pub const POOR: AccountId = AccountId32::new([7; 32]);
pub const TREASURY: AccountId = AccountId32::new([9; 32]);

pub const WEFT: u128 = 1_000_000_000_000;
pub const START: u128 = 1_000 * WEFT;
pub const DATANET_DEPOSIT: u128 = 10 * WEFT;
pub const COMMIT_DEPOSIT: u128 = WEFT / 10;
pub const STORAGE_DEPOSIT: u128 = WEFT;
pub const RISK_DEPOSIT: u128 = WEFT;
pub const COMMIT_WINDOW: u32 = 600;
pub const DUPLICATE_WINDOW: u32 = 20;
pub const CARD: Hash = [0xca; 32];
pub const CONTENT: Hash = [0xc0; 32];
pub const SALT: Hash = [0x5a; 32];

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
    #[runtime::pallet_index(40)]
    pub type Datanets = pallet_datanets;
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

parameter_types! {
    pub TreasuryAccount: AccountId = TREASURY;
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

#[derive_impl(pallet_datanets::config_preludes::TestDefaultConfig)]
impl pallet_datanets::Config for Test {
    type Currency = Balances;
    type Clock = BlockClock;
    type Treasury = TreasuryAccount;
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

fn new_chain() -> TestState {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let rich = [OWNER, CURATOR, CURATOR_2, CURATOR_3, ALICE, BOB];
    let mut balances: Vec<_> = rich.into_iter().map(|who| (who, START)).collect();
    balances.push((TREASURY, WEFT));
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }.assimilate_storage(&mut storage).unwrap();
    storage.into()
}

pub fn advance(blocks: u64) {
    System::set_block_number(System::block_number() + blocks);
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

pub fn name() -> Name {
    b"capitals".to_vec().try_into().unwrap()
}

/// A Datanet of `OWNER` under `rule`, with three curators.
pub fn datanet(rule: Rule) -> DatanetId {
    let id = crate::NextDatanet::<Test>::get();
    assert_ok!(Datanets::create(signed(OWNER), Kind::Instruction, 0, name(), CARD, rule));
    let list = vec![CURATOR, CURATOR_2, CURATOR_3].try_into().unwrap();
    assert_ok!(Datanets::set_curators(signed(OWNER), id, list));
    id
}

pub fn root(n: u8) -> Hash {
    [n; 32]
}

pub fn hash_of(who: &AccountId, id: DatanetId, root: &Hash) -> Hash {
    record::commitment(id, root, &SALT, who.as_ref())
}

pub fn commit(who: &AccountId, id: DatanetId, root: Hash) -> Hash {
    let hash = hash_of(who, id, &root);
    assert_ok!(Datanets::commit(signed(who.clone()), id, hash));
    hash
}

pub fn try_reveal(who: &AccountId, id: DatanetId, root: Hash) -> DispatchResult {
    Datanets::reveal(signed(who.clone()), id, root, SALT, CONTENT, 20, 4_000, None)
}

/// Commits and reveals 20 records of `who`; returns the contribution's number.
pub fn contribute(who: &AccountId, id: DatanetId, root: Hash) -> ContributionIndex {
    commit(who, id, root);
    advance(2);
    let n = crate::Datanets::<Test>::get(id).unwrap().contributions;
    assert_ok!(try_reveal(who, id, root));
    n
}

pub fn accept(who: &AccountId, id: DatanetId, n: ContributionIndex) -> DispatchResult {
    Datanets::review(signed(who.clone()), id, n, Verdict::Accept, None, None)
}

pub fn reject(who: &AccountId, id: DatanetId, n: ContributionIndex, code: RejectCode) -> DispatchResult {
    Datanets::review(signed(who.clone()), id, n, Verdict::Reject, Some(code), Some([7; 32]))
}

pub fn last_event() -> crate::Event<Test> {
    System::events()
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            RuntimeEvent::Datanets(event) => Some(event),
            _ => None,
        })
        .unwrap()
}

/// Closes a Datanet; the call is not built.
pub fn close(id: DatanetId) {
    crate::Datanets::<Test>::mutate(id, |net| net.as_mut().unwrap().status = Status::Closed);
}
