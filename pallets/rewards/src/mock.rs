//! A runtime with balances, attribution and this pallet; models, oracles, Datanets and licences are tables.

use crate as pallet_rewards;
use crate::types::*;
use frame::{
    deps::{
        sp_core::{sr25519, Pair as _},
        sp_runtime::AccountId32,
    },
    testing_prelude::*,
};
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::{
    job::Tier,
    run::Part,
    split::ModelSplit,
    sum_tree::{self, OwnerLeaf},
    voucher::Voucher,
};
use weft_traits::{
    Amount, AttributionBook, Clock, DatanetId, DatanetInspect, GrantId, JobInput, JobScope, LicenceVersion, ModelId,
    ModelInspect, ModelTerms, OracleInspect, PartShares, PermissionCheck, ResolvedGrant, RunBlocks, RunLimits,
    SnapshotIndex, SnapshotInfo, TrainingWeights,
};

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
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(4)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(44)]
    pub type Attribution = pallet_attribution;
    #[runtime::pallet_index(45)]
    pub type Rewards = pallet_rewards;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = MockBlock<Test>;
    type AccountData = pallet_balances::AccountData<Amount>;
}

/// Existential deposit.
pub(crate) const ED: Amount = 100;
/// Blocks of a mock day.
pub(crate) const DAY: u32 = 10;

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = Amount;
    type ExistentialDeposit = ConstU128<ED>;
    type AccountStore = System;
}

#[derive_impl(pallet_attribution::config_preludes::TestDefaultConfig)]
impl pallet_attribution::Config for Test {
    type Models = Models;
    type Revenue = Rewards;
}

parameter_types! {
    /// The treasury.
    pub TreasuryAccount: AccountId32 = TREASURY;
    /// The revenue pot.
    pub PotAccount: AccountId32 = POT;
    /// The stakers' pot.
    pub StakersAccount: AccountId32 = STAKERS;
    /// Blocks of the clock.
    pub static Now: u32 = 1;
    /// Models by number.
    pub static ModelTable: BTreeMap<ModelId, ModelTerms<AccountId32>> = BTreeMap::new();
    /// Number of price versions, counted from 0, of every model.
    pub static PriceVersions: u32 = 2;
    /// Owner and curators of a Datanet.
    pub static DatanetTable: BTreeMap<DatanetId, (AccountId32, Vec<AccountId32>)> = BTreeMap::new();
    /// Shares of licence version 1 of a Datanet.
    pub static ShareTable: BTreeMap<DatanetId, PartShares> = BTreeMap::new();
    /// Registered oracles.
    pub static OracleTable: BTreeSet<AccountId32> = BTreeSet::new();
}

#[derive_impl(crate::config_preludes::TestDefaultConfig)]
impl crate::Config for Test {
    type Currency = Balances;
    type Clock = MockClock;
    type Models = Models;
    type Attribution = Attribution;
    type Oracles = Oracles;
    type Datanets = Datanets;
    type Permissions = Permissions;
    type Treasury = TreasuryAccount;
    type RevenuePot = PotAccount;
    type StakersPot = StakersAccount;
}

/// A clock that tests move.
pub struct MockClock;
impl Clock for MockClock {
    fn now() -> u32 {
        Now::get()
    }
    fn timestamp_ms() -> u64 {
        u64::from(Now::get()) * Self::slot_ms()
    }
    fn slot_ms() -> u64 {
        86_400_000 / u64::from(DAY)
    }
}

/// Models by table.
pub struct Models;
impl ModelInspect<AccountId32> for Models {
    fn model(model: ModelId) -> Option<ModelTerms<AccountId32>> {
        ModelTable::get().get(&model).cloned()
    }
    fn prices(model: ModelId, version: u32) -> Option<(Amount, Amount)> {
        (ModelTable::get().contains_key(&model) && version < PriceVersions::get()).then_some((1, 1))
    }
    fn licence_version(_: ModelId, datanet: DatanetId) -> Option<LicenceVersion> {
        ShareTable::get().contains_key(&datanet).then_some(1)
    }
}

/// Datanets by table.
pub struct Datanets;
impl DatanetInspect<AccountId32> for Datanets {
    fn owner(id: DatanetId) -> Option<AccountId32> {
        DatanetTable::get().get(&id).map(|(owner, _)| owner.clone())
    }
    fn curators(id: DatanetId) -> Vec<AccountId32> {
        DatanetTable::get().get(&id).map(|(_, curators)| curators.clone()).unwrap_or_default()
    }
    fn is_open(_: DatanetId) -> bool {
        true
    }
    fn snapshot(_: DatanetId, _: SnapshotIndex) -> Option<SnapshotInfo> {
        None
    }
    fn probe_root(_: DatanetId) -> [u8; 32] {
        [0; 32]
    }
}

/// Licences by table; nothing else is asked of them here.
pub struct Permissions;
impl PermissionCheck<AccountId32> for Permissions {
    fn consume(_: &AccountId32, _: &JobScope, _: &[JobInput]) -> Result<Vec<ResolvedGrant>, DispatchError> {
        Err(DispatchError::Other("rewards never consumes a grant"))
    }
    fn settle(_: &[GrantId]) {}
    fn restore(_: &[GrantId]) {}
    fn is_live(_: GrantId) -> bool {
        false
    }
    fn consume_weight(_: u32) -> Weight {
        Weight::zero()
    }
    fn end_weight(_: u32) -> Weight {
        Weight::zero()
    }
    fn shares(datanet: DatanetId, version: LicenceVersion) -> Option<PartShares> {
        ShareTable::get().get(&datanet).copied().filter(|_| version == 1)
    }
}

/// Oracles by table.
pub struct Oracles;
impl OracleInspect<AccountId32> for Oracles {
    fn limits(_: Amount, _: Amount, _: u32, _: Tier, _: RunBlocks) -> Option<RunLimits> {
        None
    }
    fn supporting(_: &[u8; 32]) -> u32 {
        1
    }
    fn supports(who: &AccountId32, _: &[u8; 32]) -> bool {
        OracleTable::get().contains(who)
    }
    fn signing_key(who: &AccountId32) -> Option<[u8; 32]> {
        OracleTable::get().contains(who).then_some([7; 32])
    }
}

/// The treasury.
pub(crate) const TREASURY: AccountId32 = AccountId32::new([1; 32]);
/// The revenue pot.
pub(crate) const POT: AccountId32 = AccountId32::new([2; 32]);
/// The stakers' pot.
pub(crate) const STAKERS: AccountId32 = AccountId32::new([3; 32]);
/// Serves [`MODEL`].
pub(crate) const ORACLE: AccountId32 = AccountId32::new([4; 32]);
/// Another registered oracle.
pub(crate) const OTHER_ORACLE: AccountId32 = AccountId32::new([5; 32]);
/// Pays for answers.
pub(crate) const CONSUMER: AccountId32 = AccountId32::new([6; 32]);
/// Owns [`MODEL`].
pub(crate) const BUILDER: AccountId32 = AccountId32::new([7; 32]);
/// Owns both Datanets.
pub(crate) const OWNER: AccountId32 = AccountId32::new([8; 32]);
/// Curators of the first Datanet.
pub(crate) const CURATORS: [AccountId32; 2] = [AccountId32::new([9; 32]), AccountId32::new([10; 32])];
/// An account without a role.
pub(crate) const STRANGER: AccountId32 = AccountId32::new([11; 32]);
/// The model, minted at block [`MINTED`].
pub(crate) const MODEL: ModelId = 3;
/// A model that does not exist.
pub(crate) const NO_MODEL: ModelId = 4;
/// Clock value at which [`MODEL`] was minted.
pub(crate) const MINTED: u32 = 1;
/// Datanet with curators.
pub(crate) const CURATED: DatanetId = 5;
/// Datanet without curators.
pub(crate) const PLAIN: DatanetId = 9;
/// Units every account of a role starts with.
pub(crate) const RICH: Amount = 1_000_000_000_000;
/// Shares of every licence.
pub(crate) const SHARES: PartShares = PartShares { contributors: 800_000, owner: 100_000, curators: 100_000 };

/// The consumer's API key.
pub(crate) fn api_key() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[42; 32])
}

/// Public key of [`api_key`].
pub(crate) fn api_public() -> [u8; 32] {
    api_key().public().0
}

/// A rule without bounds.
pub(crate) fn any_rule() -> KeyRule {
    KeyRule { daily_limit: Amount::MAX, models: KeyModels::Any, expiry: None }
}

/// A voucher of the consumer's key for [`ORACLE`] and [`MODEL`].
pub(crate) fn voucher(cumulative: Amount) -> Voucher {
    Voucher {
        consumer: CONSUMER.into(),
        key: api_public(),
        oracle: ORACLE.into(),
        model: MODEL,
        price_version: 0,
        cumulative,
        tokens_in: 10,
        tokens_out: 20,
        receipts: [3; 32],
    }
}

/// A voucher with its key's signature.
pub(crate) fn sign(voucher: Voucher) -> SignedVoucher {
    let signature = api_key().sign(&voucher.hash(&System::block_hash(0).0)).0;
    SignedVoucher { voucher, signature }
}

/// Redeems one voucher as [`ORACLE`].
pub(crate) fn redeem(cumulative: Amount) -> DispatchResult {
    redeem_all(ORACLE, vec![sign(voucher(cumulative))])
}

/// Redeems vouchers.
pub(crate) fn redeem_all(who: AccountId32, vouchers: Vec<SignedVoucher>) -> DispatchResult {
    Rewards::redeem(RuntimeOrigin::signed(who), vouchers.try_into().unwrap())
}

/// Opens the consumer's budget and registers its key.
pub(crate) fn open_channel(budget: Amount) {
    Rewards::open_budget(RuntimeOrigin::signed(CONSUMER), ORACLE, budget).unwrap();
    Rewards::add_key(RuntimeOrigin::signed(CONSUMER), api_public(), any_rule()).unwrap();
}

/// Sets the clock to the first block after the epoch of [`MODEL`].
pub(crate) fn end_epoch(epoch: u32) {
    Now::set(MINTED + epoch * crate::Parameters::<Test>::get().epoch_length);
}

/// Finalises as a stranger.
pub(crate) fn finalise(epoch: u32) -> DispatchResult {
    Rewards::finalise(RuntimeOrigin::signed(STRANGER), MODEL, epoch).map(|_| ()).map_err(|refused| refused.error)
}

/// Posts the usage of [`ORACLE`].
pub(crate) fn post_usage(epoch: u32, fees: Amount) -> DispatchResult {
    let sums = pallet_attribution::UsageSums { count: 1, tokens_in: 1, tokens_out: 1, fees };
    Attribution::post_usage(RuntimeOrigin::signed(ORACLE), MODEL, epoch, [0; 32], sums)
}

/// Owner of leaf `index` of a Datanet: an account that does not exist.
pub(crate) fn contributor(datanet: DatanetId, index: u32) -> AccountId32 {
    let mut id = [0xc0; 32];
    id[..4].copy_from_slice(&datanet.to_be_bytes());
    id[4..8].copy_from_slice(&index.to_be_bytes());
    id.into()
}

/// Leaves of a Datanet with these points.
pub(crate) fn leaves(datanet: DatanetId, points: &[u128]) -> Vec<OwnerLeaf> {
    (0u32..)
        .zip(points)
        .map(|(index, paid)| OwnerLeaf {
            datanet,
            owner: contributor(datanet, index).into(),
            records: index + 1,
            inrun: 5,
            pos: 100,
            neg: u128::from(index),
            paid: *paid,
            held: 0,
        })
        .collect()
}

/// The part that leaves add up to; without leaves an empty one.
pub(crate) fn part(datanet: DatanetId, leaves: &[OwnerLeaf]) -> Part {
    let root = sum_tree::root(leaves).unwrap();
    let sums = root.sums;
    let count = u32::try_from(leaves.len()).unwrap();
    Part { datanet, leaves: count, root: root.hash, pos: sums.pos, neg: sums.neg, paid: sums.paid }
}

/// Records the model's weights from the leaves of each Datanet.
pub(crate) fn record(model: ModelId, all: &[(DatanetId, Vec<OwnerLeaf>)]) {
    let parts = all.iter().map(|(datanet, leaves)| part(*datanet, leaves)).collect();
    let weights = TrainingWeights { method: 1, cotangent: 0, x: 0, r0: [0; 32], extra: [0; 32], parts };
    <Attribution as AttributionBook<AccountId32>>::record(model, weights).unwrap();
}

/// Points of the usual model: three contributors of [`CURATED`], two of [`PLAIN`], 10^12 together.
pub(crate) fn usual_leaves() -> Vec<(DatanetId, Vec<OwnerLeaf>)> {
    vec![
        (CURATED, leaves(CURATED, &[500_000_000_000, 199_999_999_999, 1])),
        (PLAIN, leaves(PLAIN, &[0, 300_000_000_000])),
    ]
}

/// Claims a leaf as a stranger, with its proof.
pub(crate) fn claim(epoch: u32, part: u32, leaves: &[OwnerLeaf], index: u32) -> DispatchResult {
    let at = usize::try_from(index).unwrap();
    let path = sum_tree::proof(leaves, at).unwrap().try_into().unwrap();
    Rewards::claim(RuntimeOrigin::signed(STRANGER), MODEL, epoch, part, index, leaves[at], path)
}

/// Free balance.
pub(crate) fn balance(who: &AccountId32) -> Amount {
    Balances::free_balance(who)
}

/// Adds a model that [`ORACLE`] serves.
pub(crate) fn add_model(model: ModelId, split: ModelSplit) {
    let terms = ModelTerms { owner: BUILDER, oracle: ORACLE, split, minted: MINTED, sem_id: [0; 32], listed: true };
    ModelTable::mutate(|table| table.insert(model, terms));
}

/// A new chain at block 1 with [`MODEL`], whose weights are not recorded yet.
pub(crate) fn new_state(params: Params, consumer: Amount) -> TestState {
    Now::set(1);
    PriceVersions::set(2);
    ModelTable::set(BTreeMap::new());
    add_model(MODEL, ModelSplit::DEFAULT);
    DatanetTable::set(BTreeMap::from([(CURATED, (OWNER, CURATORS.to_vec())), (PLAIN, (OWNER, vec![]))]));
    ShareTable::set(BTreeMap::from([(CURATED, SHARES), (PLAIN, SHARES)]));
    OracleTable::set(BTreeSet::from([ORACLE, OTHER_ORACLE]));

    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let mut balances: Vec<_> = [TREASURY, POT, STAKERS].map(|pot| (pot, ED)).into();
    balances.extend([ORACLE, OTHER_ORACLE, BUILDER, OWNER, STRANGER].map(|who| (who, RICH)));
    balances.extend(CURATORS.map(|who| (who, RICH)));
    balances.push((CONSUMER, consumer));
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }.assimilate_storage(&mut storage).unwrap();
    pallet_attribution::GenesisConfig::<Test>::default().assimilate_storage(&mut storage).unwrap();
    crate::GenesisConfig::<Test> { params, ..Default::default() }.assimilate_storage(&mut storage).unwrap();
    let mut state = TestState::new(storage);
    state.execute_with(|| System::set_block_number(1));
    state
}

/// Runs a test; afterwards every invariant holds, R5 (issuance) among them.
pub(crate) fn execute(mut state: TestState, test: impl FnOnce()) {
    state.execute_with(|| {
        let issuance = Balances::total_issuance();
        test();
        Rewards::do_try_state().unwrap();
        assert_eq!(Balances::total_issuance(), issuance, "R5: the issuance changed");
    });
}

/// Runs a test on a chain with the usual weights.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    execute(new_state(Params::default(), RICH), || {
        record(MODEL, &usual_leaves());
        test();
    });
}

/// Asserts that the state is broken in the way `because` says, then forgets the state.
pub(crate) fn expect_broken(because: &str, test: impl FnOnce()) {
    new_state(Params::default(), RICH).execute_with(|| {
        record(MODEL, &usual_leaves());
        test();
        let refused = Rewards::do_try_state().unwrap_err();
        assert!(matches!(refused, DispatchError::Other(message) if message.starts_with(because)), "{refused:?}");
    });
}
