//! A runtime of balances and this pallet; its neighbours are knobs.

use crate as pallet_models;
use frame::{deps::sp_runtime::AccountId32, testing_prelude::*, traits::IdentityLookup};
use std::{cell::RefCell, collections::BTreeMap};
use weft_protocol::{
    dec::Dec,
    hash::Hash,
    job::Tier,
    licence::purpose,
    recipe::{Length, Recipe},
    run::{self, Commit, Opening, Outcome, Part},
    shape::{Arch, ModelShape},
    split::ModelSplit,
};
use weft_traits::*;

pub(crate) const WEFT: Amount = 1_000_000_000_000;
pub(crate) const BUILDER: AccountId32 = AccountId32::new([1; 32]);
pub(crate) const ORACLE: AccountId32 = AccountId32::new([2; 32]);
pub(crate) const VERIFIER: AccountId32 = AccountId32::new([3; 32]);
pub(crate) const STRANGER: AccountId32 = AccountId32::new([4; 32]);
pub(crate) const POT: AccountId32 = AccountId32::new([9; 32]);
pub(crate) const TREASURY: AccountId32 = AccountId32::new([8; 32]);
pub(crate) const BASE: Hash = [7; 32];
pub(crate) const STAKE: Amount = 1_500 * WEFT;
pub(crate) const OPEN: u32 = 60;

construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = MockBlock<Test>;
    type AccountData = pallet_balances::AccountData<Amount>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = Amount;
    type ExistentialDeposit = ConstU128<1_000_000_000>;
    type AccountStore = System;
}

parameter_types! {
    pub static Supporting: u32 = 2;
    pub static MinVerifiers: u8 = 1;
    pub static LimitsKnown: bool = true;
    pub static Purposes: u16 = purpose::ALL;
    pub static Pool: (u32, u32) = (400_000, 400_000);
    pub static AttributionRequired: bool = false;
    pub static Refuse: bool = false;
    pub static Expiry: Option<u32> = None;
    pub static Poked: Vec<JobId> = Vec::new();
    /// What `is_running` answers instead of the job's own state.
    pub static Running: Option<bool> = None;
    pub TreasuryAccount: AccountId32 = TREASURY;
    pub static Settled: Vec<GrantId> = Vec::new();
    pub static Restored: Vec<GrantId> = Vec::new();
    pub static PaidParts: Vec<LicencePart> = Vec::new();
    pub static LastScope: Option<JobScope> = None;
}

thread_local! {
    static WEIGHTS: RefCell<BTreeMap<ModelId, TrainingWeights>> = const { RefCell::new(BTreeMap::new()) };
}

pub struct Time;
impl Clock for Time {
    fn now() -> u32 {
        System::block_number() as u32
    }
    fn timestamp_ms() -> u64 {
        u64::from(Self::now()) * Self::slot_ms()
    }
    fn slot_ms() -> u64 {
        2_000
    }
}

pub struct Data;
impl DatanetInspect<AccountId32> for Data {
    fn owner(_: DatanetId) -> Option<AccountId32> {
        Some(STRANGER)
    }
    fn curators(_: DatanetId) -> Vec<AccountId32> {
        Vec::new()
    }
    fn is_open(_: DatanetId) -> bool {
        true
    }
    fn snapshot(id: DatanetId, index: SnapshotIndex) -> Option<SnapshotInfo> {
        (id < 10 && index < 4).then(|| SnapshotInfo {
            root: [id as u8 + 1; 32],
            leaves: 2,
            // Snapshot 1 is empty, 2 beyond what a job can count, 3 alone at its limit.
            records: [30, 0, 1 << 32, u64::from(u32::MAX)][index as usize],
            bytes: 6_000,
            block: 1,
        })
    }
    fn probe_root(_: DatanetId) -> Hash {
        Hash::default()
    }
}

pub struct Grants;
impl PermissionCheck<AccountId32> for Grants {
    fn consume(_: &AccountId32, scope: &JobScope, inputs: &[JobInput]) -> Result<Vec<ResolvedGrant>, DispatchError> {
        LastScope::set(Some(scope.clone()));
        if Refuse::get() {
            return Err(DispatchError::Other("refused by permissions"));
        }
        Ok(inputs
            .iter()
            .map(|input| ResolvedGrant {
                datanet: input.datanet,
                snapshot: input.snapshot,
                grant: 100 + input.datanet,
                version: 1,
                price: price(input.datanet),
                pool: Pool::get(),
                base_ppm: 200_000,
                purposes: Purposes::get(),
                expiry: Expiry::get(),
                attribution_required: AttributionRequired::get(),
            })
            .collect())
    }
    fn settle(grants: &[GrantId]) {
        Settled::mutate(|list| list.extend(grants));
    }
    fn restore(grants: &[GrantId]) {
        Restored::mutate(|list| list.extend(grants));
    }
    fn is_live(_: GrantId) -> bool {
        true
    }
    fn consume_weight(inputs: u32) -> Weight {
        Weight::from_parts(1_000, 0).saturating_mul(u64::from(inputs))
    }
    fn end_weight(grants: u32) -> Weight {
        Weight::from_parts(100, 0).saturating_mul(u64::from(grants))
    }
    fn shares(_: DatanetId, _: LicenceVersion) -> Option<PartShares> {
        None
    }
}

pub struct Oracles;
impl OracleInspect<AccountId32> for Oracles {
    fn limits(fee: Amount, _: Amount, steps: u32, tier: Tier, blocks: RunBlocks) -> Option<RunLimits> {
        let Tier::Full(verifiers) = tier else { return None };
        let verifier_fee = weft_protocol::economics::verifier_fee(fee, steps, steps, WEFT / 100)?;
        LimitsKnown::get().then(|| RunLimits {
            verifier_fee,
            verification: verifier_fee * Amount::from(verifiers),
            stake: STAKE,
            accuse_bond: WEFT,
            open: OPEN,
            run: 62 + blocks.run,
            min_verifiers: MinVerifiers::get(),
        })
    }
    fn supporting(_: &Hash) -> u32 {
        Supporting::get()
    }
    fn supports(_: &AccountId32, _: &Hash) -> bool {
        true
    }
    fn signing_key(_: &AccountId32) -> Option<[u8; 32]> {
        None
    }
}

pub struct Runs;
impl RunControl for Runs {
    fn poke(job: JobId) -> Result<Weight, DispatchError> {
        Poked::mutate(|list| list.push(job));
        Ok(Weight::from_parts(7, 5))
    }
    fn is_running(job: JobId) -> bool {
        let state = pallet_models::Jobs::<Test>::get(job).map(|stored| stored.state);
        Running::get().unwrap_or_else(|| state.is_some_and(|state| state.has_run()))
    }
}

pub struct Book;
impl Book {
    /// Loses the weights of a model.
    pub(crate) fn forget(model: ModelId) {
        WEIGHTS.with_borrow_mut(|map| map.remove(&model));
    }
}
impl AttributionBook<AccountId32> for Book {
    fn record(model: ModelId, weights: TrainingWeights) -> DispatchResult {
        WEIGHTS.with_borrow_mut(|map| map.insert(model, weights));
        Ok(())
    }
    fn training(model: ModelId) -> Option<TrainingWeights> {
        WEIGHTS.with_borrow(|map| map.get(&model).cloned())
    }
    fn usage(_: ModelId, _: Epoch, _: &AccountId32) -> Option<Amount> {
        None
    }
}

pub struct Revenue;
impl RevenueSink<AccountId32> for Revenue {
    fn pot() -> AccountId32 {
        POT
    }
    fn licence_paid(_: ModelId, parts: &[LicencePart]) -> DispatchResult {
        PaidParts::set(parts.to_vec());
        Ok(())
    }
    fn redeemed(_: ModelId, _: Epoch, _: &AccountId32) -> Amount {
        0
    }
    fn settled(_: ModelId, _: Epoch) -> bool {
        false
    }
    fn epoch_over(_: ModelId, _: Epoch) -> bool {
        false
    }
}

impl pallet_models::Config for Test {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Clock = Time;
    type Datanets = Data;
    type Permissions = Grants;
    type Oracles = Oracles;
    type Runs = Runs;
    type Attribution = Book;
    type Revenue = Revenue;
    type Treasury = TreasuryAccount;
    type Registrar = EnsureRoot<AccountId32>;
    type WeightInfo = ();
}

pub(crate) fn price(datanet: DatanetId) -> Amount {
    Amount::from(datanet + 1) * WEFT
}

pub(crate) fn shape() -> ModelShape {
    ModelShape {
        arch: Arch::Llama,
        layers: 2,
        d: 64,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        f: 128,
        vocab: 512,
        context: 256,
        rms_eps: Dec::new(1, -5).unwrap(),
        tied: true,
        bias: 0,
        window: 0,
    }
}

pub(crate) fn recipe() -> Recipe {
    Recipe { r: 4, batch_size: 10, max_seq_len: 64, length: Length::Epochs(2), ..Recipe::attributed() }
}

pub(crate) fn spec_of(recipe: &Recipe) -> pallet_models::JobSpec {
    pallet_models::JobSpec {
        base: BASE,
        parent: None,
        inputs: [0, 2]
            .map(|datanet| JobInput { datanet, snapshot: 0, grant: GrantRef::Held(100 + datanet) })
            .to_vec()
            .try_into()
            .unwrap(),
        recipe: recipe.encode().try_into().unwrap(),
        sem_id: run::sem_id(run::CLASS_CPU_F32, weft_protocol::graph::VERSION),
        tier: Tier::Full(1),
        fee: 15 * WEFT,
        value: 50 * WEFT,
        split: ModelSplit::DEFAULT,
    }
}

pub(crate) fn spec() -> pallet_models::JobSpec {
    spec_of(&recipe())
}

pub(crate) fn submit(spec: pallet_models::JobSpec) -> DispatchResult {
    Models::submit_job(RuntimeOrigin::signed(BUILDER), Box::new(spec))
}

pub(crate) fn opening() -> Opening {
    let part = |datanet, paid| Part { datanet, leaves: 1, root: [1; 32], pos: 5, neg: 1, paid };
    Opening {
        s_n: [11; 32],
        file_len: 4_096,
        file_pages: [12; 32],
        method: 1,
        cotangent: 0,
        x: -3,
        r0: [13; 32],
        parts: vec![part(0, 400_000_000_000), part(2, 600_000_000_000)],
        extra: [14; 32],
        artifacts: [15; 32],
    }
}

pub(crate) fn result(opening: Option<Opening>) -> RunResult<AccountId32> {
    RunResult {
        oracle: ORACLE,
        beacon: [20; 32],
        seed: [21; 32],
        commit: Commit {
            n_done: if opening.is_some() { 12 } else { 3 },
            outcome: if opening.is_some() { Outcome::Done } else { Outcome::Diverged },
            data_root: [22; 32],
            steps_root: [23; 32],
            model_commitment: opening.as_ref().map(Opening::model_commitment).unwrap_or_default(),
            attribution_commitment: opening.as_ref().map(Opening::attribution_commitment).unwrap_or_default(),
            secret: run::secret_hash(&[24; 32]),
        },
        secret: [24; 32],
        opening,
    }
}

pub(crate) fn free(who: &AccountId32) -> Amount {
    Balances::free_balance(who)
}

pub(crate) fn held(who: &AccountId32) -> Amount {
    pallet_balances::Pallet::<Test>::reserved_balance(who)
}

pub(crate) fn run_to(block: u64) {
    System::set_block_number(block);
}

/// Knobs are per thread, and a thread may run several tests.
fn reset() {
    Supporting::set(2);
    MinVerifiers::set(1);
    LimitsKnown::set(true);
    Purposes::set(purpose::ALL);
    Pool::set((400_000, 400_000));
    AttributionRequired::set(false);
    Refuse::set(false);
    Expiry::set(None);
    Poked::take();
    Running::take();
    Settled::take();
    Restored::take();
    PaidParts::take();
    LastScope::take();
}

pub(crate) fn new_ext() -> TestState {
    reset();
    let genesis_base = pallet_models::GenesisBase {
        root: H256(BASE),
        name: "tiny".into(),
        licence: "Apache-2.0".into(),
        shape: frame::deps::sp_core::Bytes(shape().encode()),
        tokenizer: H256([5; 32]),
        template: H256([6; 32]),
    };
    let storage = RuntimeGenesisConfig {
        system: Default::default(),
        balances: pallet_balances::GenesisConfig {
            balances: [BUILDER, ORACLE, VERIFIER, STRANGER]
                .map(|who| (who, 10_000 * WEFT))
                .into_iter()
                .chain([(POT, 1_000_000_000), (TREASURY, 1_000_000_000)])
                .collect(),
            ..Default::default()
        },
        models: pallet_models::GenesisConfig { base_models: vec![genesis_base], ..Default::default() },
    }
    .build_storage()
    .unwrap();
    let mut ext = TestState::from(storage);
    ext.execute_with(|| System::set_block_number(1));
    ext
}

/// Runs a test and checks every invariant after it.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    new_ext().execute_with(|| {
        test();
        Models::do_try_state().unwrap();
    });
}
