//! A runtime of balances, jobs and this pallet, and a run that tests can commit to.

use crate as pallet_compute_oracles;
use crate::{AuditPaths, AuditState, Audits, Event, Juries, Jury, Phase, RunKey, Runs, Stale, TimerParams};
use frame::{
    deps::sp_runtime::AccountId32,
    testing_prelude::*,
    traits::{Hooks, IdentityLookup},
};
use weft_protocol::{
    dec::Dec,
    hash::{h, Hash},
    job::{JobState, Tier},
    licence::purpose,
    merkle,
    recipe::{Length, Recipe},
    run::{self, Commit, JuryValue, Opening, Outcome, Part},
    shape::{Arch, ModelShape},
    split::ModelSplit,
};
use weft_traits::*;

pub(crate) type Account = AccountId32;

pub(crate) const WEFT: Amount = 1_000_000_000_000;
pub(crate) const BUILDER: Account = AccountId32::new([1; 32]);
pub(crate) const ORACLE: Account = AccountId32::new([2; 32]);
pub(crate) const ACCUSER: Account = AccountId32::new([3; 32]);
pub(crate) const SECOND_ACCUSER: Account = AccountId32::new([4; 32]);
pub(crate) const POT: Account = AccountId32::new([9; 32]);
/// Oracles beside [`ORACLE`], from which verifiers and jurors are drawn.
pub(crate) const OTHERS: [Account; 8] = [
    AccountId32::new([21; 32]),
    AccountId32::new([22; 32]),
    AccountId32::new([23; 32]),
    AccountId32::new([24; 32]),
    AccountId32::new([25; 32]),
    AccountId32::new([26; 32]),
    AccountId32::new([27; 32]),
    AccountId32::new([28; 32]),
];
pub(crate) const START: Amount = 100_000 * WEFT;
pub(crate) const BONDED: Amount = 5_000 * WEFT;
pub(crate) const FEE: Amount = 15 * WEFT;
pub(crate) const VALUE: Amount = 50 * WEFT;
pub(crate) const STEPS: u32 = 12;
pub(crate) const BASE: Hash = [7; 32];
pub(crate) const SALT: Hash = [77; 32];
pub(crate) const JOB: RunKey = RunKey::Job(0);

construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Models: pallet_models,
        Oracles: pallet_compute_oracles,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = Account;
    type Lookup = IdentityLookup<Account>;
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
    pub static Minted: Vec<ModelId> = Vec::new();
    pub static Weights: Vec<(ModelId, TrainingWeights)> = Vec::new();
    pub static Restored: Vec<GrantId> = Vec::new();
    pub PotAccount: Account = POT;
    /// Blocks in safe mode: the clock stands still.
    pub static Frozen: u32 = 0;
}

pub struct Time;
impl Clock for Time {
    fn now() -> u32 {
        System::block_number() as u32 - Frozen::get()
    }
    fn timestamp_ms() -> u64 {
        u64::from(Self::now()) * Self::slot_ms()
    }
    fn slot_ms() -> u64 {
        2_000
    }
}

pub struct Vrf;
impl ParentVrf for Vrf {
    fn output() -> Hash {
        h(b"test.vrf", &System::block_number())
    }
}

pub struct Data;
impl DatanetInspect<Account> for Data {
    fn owner(_: DatanetId) -> Option<Account> {
        None
    }
    fn curators(_: DatanetId) -> Vec<Account> {
        Vec::new()
    }
    fn is_open(_: DatanetId) -> bool {
        true
    }
    fn snapshot(_: DatanetId, _: SnapshotIndex) -> Option<SnapshotInfo> {
        Some(SnapshotInfo { root: [1; 32], leaves: 2, records: 60, bytes: 6_000, block: 1 })
    }
    fn probe_root(_: DatanetId) -> Hash {
        Hash::default()
    }
}

pub struct Grants;
impl PermissionCheck<Account> for Grants {
    fn consume(_: &Account, _: &JobScope, inputs: &[JobInput]) -> Result<Vec<ResolvedGrant>, DispatchError> {
        Ok(inputs
            .iter()
            .map(|input| ResolvedGrant {
                datanet: input.datanet,
                snapshot: input.snapshot,
                grant: 100,
                version: 1,
                price: WEFT,
                pool: (400_000, 400_000),
                base_ppm: 200_000,
                purposes: purpose::ALL,
                expiry: None,
                attribution_required: false,
            })
            .collect())
    }
    fn settle(_: &[GrantId]) {}
    fn restore(grants: &[GrantId]) {
        Restored::mutate(|list| list.extend(grants));
    }
    fn is_live(_: GrantId) -> bool {
        true
    }
    fn consume_weight(_: u32) -> Weight {
        Weight::zero()
    }
    fn end_weight(_: u32) -> Weight {
        Weight::zero()
    }
    fn shares(_: DatanetId, _: LicenceVersion) -> Option<PartShares> {
        None
    }
}

pub struct Book;
impl AttributionBook<Account> for Book {
    fn record(model: ModelId, weights: TrainingWeights) -> DispatchResult {
        Minted::mutate(|list| list.push(model));
        Weights::mutate(|list| list.push((model, weights)));
        Ok(())
    }
    fn training(model: ModelId) -> Option<TrainingWeights> {
        Weights::get().into_iter().find(|(of, _)| *of == model).map(|(_, weights)| weights)
    }
    fn usage(_: ModelId, _: Epoch, _: &Account) -> Option<Amount> {
        None
    }
}

pub struct Revenue;
impl RevenueSink<Account> for Revenue {
    fn pot() -> Account {
        POT
    }
    fn licence_paid(_: ModelId, _: &[LicencePart]) -> DispatchResult {
        Ok(())
    }
    fn redeemed(_: ModelId, _: Epoch, _: &Account) -> Amount {
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
    type Runs = Oracles;
    type Attribution = Book;
    type Revenue = Revenue;
    type Treasury = PotAccount;
    type Registrar = EnsureRoot<Account>;
    type WeightInfo = ();
}

impl pallet_compute_oracles::Config for Test {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Clock = Time;
    type Vrf = Vrf;
    type Jobs = Models;
    type WeightInfo = ();
}

pub(crate) fn signed(who: &Account) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

pub(crate) fn class() -> Hash {
    run::sem_id(run::CLASS_CPU_F32, weft_protocol::graph::VERSION)
}

fn shape() -> ModelShape {
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

/// A job of [`STEPS`] steps.
pub(crate) fn spec(verifiers: u8) -> pallet_models::JobSpec {
    pallet_models::JobSpec {
        base: BASE,
        parent: None,
        inputs: vec![JobInput { datanet: 0, snapshot: 0, grant: GrantRef::Held(100) }].try_into().unwrap(),
        recipe: recipe().encode().try_into().unwrap(),
        sem_id: class(),
        tier: Tier::Full(verifiers),
        fee: FEE,
        value: VALUE,
        split: ModelSplit::DEFAULT,
    }
}

pub(crate) fn submit(verifiers: u8) {
    assert_ok!(Models::submit_job(signed(&BUILDER), Box::new(spec(verifiers))));
}

pub(crate) fn register(who: &Account, amount: Amount) -> DispatchResult {
    Oracles::register(signed(who), vec![class()].try_into().unwrap(), Default::default(), who.clone().into(), amount)
}

/// Verifier fee and juror fee of the standard job: ⌈1.2·15⌉ + 0.01.
pub(crate) const VERIFIER_FEE: Amount = 18 * WEFT + WEFT / 100;
/// Lock of verifiers and jurors: fifty fees.
pub(crate) const LOCK: Amount = 50 * VERIFIER_FEE;
/// Bond of an accusation: three fees and one WEFT.
pub(crate) const BOND: Amount = 3 * VERIFIER_FEE + WEFT;

/// Stake S of the standard job.
pub(crate) fn stake(verifiers: u8) -> Amount {
    weft_protocol::economics::stake(
        1_000 * WEFT,
        Tier::Full(verifiers),
        weft_protocol::economics::detection_ppm(Tier::Full(verifiers), STEPS, 250_000).unwrap(),
        FEE,
        VALUE,
        500_000,
    )
    .unwrap()
}

/// Moves to the next block, without idle time.
pub(crate) fn next_block() {
    System::set_block_number(System::block_number() + 1);
    <Oracles as Hooks<u64>>::on_initialize(System::block_number());
}

/// Brings every ticket in line, as if the draw delay had passed.
pub(crate) fn bring_in_line() {
    for number in Stale::<Test>::iter_keys().collect::<Vec<_>>() {
        Stale::<Test>::mutate(number, |change| change.as_mut().unwrap().due = Time::now());
    }
    Oracles::bring_in_line(u32::MAX);
}

/// Passes the draw delay: a change of tickets made before is in force.
pub(crate) fn pass_draw_delay() {
    blocks(TimerParams::<Test>::get().draw);
}

/// The outcome of a call without its weight and fee.
pub(crate) fn plain(result: DispatchResultWithPostInfo) -> DispatchResult {
    result.map(drop).map_err(|error| error.error)
}

pub(crate) fn blocks(count: u32) {
    for _ in 0..count {
        next_block();
    }
}

/// Moves to the first block in which the run's present limit is over.
pub(crate) fn pass_deadline(key: RunKey) {
    let deadline = Runs::<Test>::get(key).unwrap().deadline;
    while Time::now() <= deadline {
        next_block();
    }
}

pub(crate) fn poke(job: JobId) -> DispatchResult {
    plain(Models::poke(signed(&ACCUSER), job))
}

/// Lets the decided slashes execute.
pub(crate) fn execute_slashes() {
    blocks(2);
    <Oracles as Hooks<u64>>::on_idle(System::block_number(), Weight::MAX);
}

pub(crate) fn phase(key: RunKey) -> Phase {
    Runs::<Test>::get(key).unwrap().phase
}

pub(crate) fn state(job: JobId) -> JobState {
    <Models as JobControl<_>>::state(job).unwrap()
}

pub(crate) fn free(who: &Account) -> Amount {
    Balances::free_balance(who)
}

/// Everything an account owns.
pub(crate) fn wealth(who: &Account) -> Amount {
    use frame::token::fungible::Inspect;
    <Balances as Inspect<_>>::total_balance(who)
}

/// Burned amounts of all slash events so far.
pub(crate) fn burned() -> Amount {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Oracles(Event::Slashed { burned, .. }) => Some(burned),
            _ => None,
        })
        .sum()
}

/// What a run commits to: its states are numbers made from seed and index.
#[derive(Clone)]
pub(crate) struct Truth {
    pub(crate) secret: Hash,
    pub(crate) states: Vec<Hash>,
    pub(crate) commit: Commit,
    pub(crate) opening: Option<Opening>,
}

impl Truth {
    /// The honest result of a run.
    pub(crate) fn of(key: RunKey) -> Self {
        Self::make(key, STEPS, None)
    }

    /// A result whose step `wrong` differs, and everything after it.
    pub(crate) fn false_from(key: RunKey, wrong: u32) -> Self {
        Self::make(key, STEPS, Some(wrong))
    }

    /// An honest run that diverged after some steps.
    pub(crate) fn diverged(key: RunKey, n_done: u32) -> Self {
        Self::make(key, n_done, None)
    }

    fn make(key: RunKey, n_done: u32, wrong: Option<u32>) -> Self {
        let run = Runs::<Test>::get(key).unwrap();
        let seed = run.seed.unwrap();
        // Oracle and jurors know the secret from its owner; here it follows from the seed.
        let secret = h(b"test.sec", &seed);
        let done = n_done == STEPS;
        let count = run::state_count(n_done, done).unwrap();
        let states: Vec<Hash> =
            (0..count).map(|u| h(b"test.sta", &(seed, u, wrong.is_some_and(|wrong| u >= wrong)))).collect();
        let opening = done.then(|| Opening {
            s_n: states[STEPS as usize],
            file_len: 4_096,
            file_pages: [12; 32],
            method: 1,
            cotangent: 0,
            x: -3,
            r0: *states.last().unwrap(),
            parts: vec![Part { datanet: 0, leaves: 1, root: [1; 32], pos: 5, neg: 1, paid: WEFT }],
            extra: [14; 32],
            artifacts: [15; 32],
        });
        let commit = Commit {
            n_done,
            outcome: if done { Outcome::Done } else { Outcome::Diverged },
            data_root: [22; 32],
            steps_root: run::steps_root(&run::step_leaves(&secret, &states)).unwrap(),
            model_commitment: opening.as_ref().map(Opening::model_commitment).unwrap_or_default(),
            attribution_commitment: opening.as_ref().map(Opening::attribution_commitment).unwrap_or_default(),
            secret: run::secret_hash(&secret),
        };
        Self { secret, states, commit, opening }
    }

    fn path(&self, u: usize) -> crate::Path {
        merkle::proof(&run::step_leaves(&self.secret, &self.states), u).unwrap().try_into().unwrap()
    }

    /// The two states of an audit answer and their paths.
    pub(crate) fn answer(&self) -> (Hash, Hash, AuditPaths) {
        let before_last = self.commit.n_done.saturating_sub(1) as usize;
        let (reverse, path) = match self.opening {
            Some(_) => (self.states[2 * STEPS as usize], self.path(2 * STEPS as usize)),
            None => (Hash::default(), Default::default()),
        };
        (self.states[before_last], reverse, AuditPaths { state: self.path(before_last), reverse: path })
    }

    /// What a juror that recomputed the run answers.
    pub(crate) fn value(&self, jury: u32) -> JuryValue {
        JuryValue { commit: self.commit, work: h(b"test.wrk", &Juries::<Test>::get(jury).unwrap().draw) }
    }
}

/// Takes the job with [`ORACLE`] and waits for the seed.
pub(crate) fn take(job: JobId) {
    assert_ok!(Oracles::take(signed(&ORACLE), job));
    blocks(2);
}

/// Commits and waits for the verifiers.
pub(crate) fn commit(key: RunKey, truth: &Truth) {
    assert_ok!(Oracles::commit(signed(&ORACLE), key, truth.commit));
    blocks(2);
}

/// Verifiers in one of the states.
pub(crate) fn verifiers(key: RunKey, states: &[AuditState]) -> Vec<Account> {
    let mut list: Vec<_> = Audits::<Test>::iter_prefix(key)
        .filter(|(_, audit)| states.contains(&audit.state))
        .map(|(who, _)| who)
        .collect();
    list.sort();
    list
}

pub(crate) fn audit_commit(who: &Account, key: RunKey, truth: &Truth) -> DispatchResult {
    let (state, reverse, _) = truth.answer();
    let hash = run::audit_answer(&who.clone().into(), &SALT, &state, &reverse);
    plain(Oracles::audit_commit(signed(who), key, hash))
}

pub(crate) fn audit_reveal(who: &Account, key: RunKey, truth: &Truth, agrees: bool) -> DispatchResult {
    let (state, reverse, paths) = truth.answer();
    plain(Oracles::audit_reveal(signed(who), key, SALT, state, reverse, agrees, paths))
}

pub(crate) fn reveal(key: RunKey, truth: &Truth) -> DispatchResult {
    plain(Oracles::reveal_nonces(signed(&ORACLE), key, truth.secret, truth.opening.clone()))
}

/// Every verifier answers from `known` blindly; the oracle opens `posted`.
pub(crate) fn audit_to_answers(key: RunKey, posted: &Truth, known: &Truth) {
    for who in verifiers(key, &[AuditState::Drawn]) {
        assert_ok!(audit_commit(&who, key, known));
    }
    assert_ok!(reveal(key, posted));
}

/// Takes, commits and audits a run to its window; returns what was posted.
pub(crate) fn to_window(verifier_count: u8, make: impl FnOnce(RunKey) -> Truth) -> Truth {
    submit(verifier_count);
    take(0);
    let posted = make(JOB);
    commit(JOB, &posted);
    audit_to_answers(JOB, &posted, &posted);
    for who in verifiers(JOB, &[AuditState::Committed]) {
        assert_ok!(audit_reveal(&who, JOB, &posted, true));
    }
    assert_eq!(phase(JOB), Phase::Window);
    posted
}

/// The jury that sits over a run.
pub(crate) fn jury(key: RunKey) -> (u32, Jury<Account>) {
    let id = *Runs::<Test>::get(key).unwrap().juries.last().unwrap();
    (id, Juries::<Test>::get(id).unwrap())
}

pub(crate) fn jurors(key: RunKey) -> Vec<Account> {
    jury(key).1.members.iter().map(|juror| juror.who.clone()).collect()
}

pub(crate) fn jury_commit(who: &Account, id: u32, value: &JuryValue) -> DispatchResult {
    plain(Oracles::jury_commit(signed(who), id, run::jury_answer(id, &who.clone().into(), &SALT, value)))
}

pub(crate) fn jury_reveal(who: &Account, id: u32, value: JuryValue) -> DispatchResult {
    plain(Oracles::jury_reveal(signed(who), id, value, SALT))
}

/// The sitting jury commits and reveals one value per member, in order.
pub(crate) fn jury_answers(key: RunKey, values: &[JuryValue]) {
    let (id, _) = jury(key);
    let members = jurors(key);
    assert_eq!(members.len(), values.len());
    for (who, value) in members.iter().zip(values) {
        assert_ok!(jury_commit(who, id, value));
    }
    for (who, value) in members.iter().zip(values) {
        assert_ok!(jury_reveal(who, id, *value));
    }
}

pub(crate) fn new_ext() -> TestState {
    // Knobs are per thread, and a thread may run several tests.
    Minted::take();
    Weights::take();
    Restored::take();
    Frozen::set(0);
    let genesis_base = pallet_models::GenesisBase {
        root: H256(BASE),
        name: "tiny".into(),
        licence: "Apache-2.0".into(),
        shape: frame::deps::sp_core::Bytes(shape().encode()),
        tokenizer: H256([5; 32]),
        template: H256([6; 32]),
    };
    let rich = [BUILDER, ORACLE, ACCUSER, SECOND_ACCUSER].into_iter().chain(OTHERS).map(|who| (who, START));
    let storage = RuntimeGenesisConfig {
        system: Default::default(),
        balances: pallet_balances::GenesisConfig {
            balances: rich.chain([(POT, 1_000_000_000)]).collect(),
            ..Default::default()
        },
        models: pallet_models::GenesisConfig { base_models: vec![genesis_base], ..Default::default() },
        oracles: Default::default(),
    }
    .build_storage()
    .unwrap();
    let mut ext = TestState::from(storage);
    ext.execute_with(|| {
        System::set_block_number(1);
        <Oracles as Hooks<u64>>::on_initialize(1);
    });
    ext
}

/// Checks every invariant and that issuance fell by nothing but what slashes burned.
pub(crate) fn check_all(issuance: Amount) {
    Models::do_try_state().unwrap();
    Oracles::do_try_state().unwrap();
    assert_eq!(Balances::total_issuance() + burned(), issuance, "money was made or lost");
}

/// Runs a test with `others` registered oracles beside [`ORACLE`] and checks every invariant after it.
pub(crate) fn build_and_execute(others: usize, test: impl FnOnce()) {
    new_ext().execute_with(|| {
        let issuance = Balances::total_issuance();
        assert_ok!(register(&ORACLE, BONDED));
        for who in &OTHERS[..others] {
            assert_ok!(register(who, BONDED));
        }
        bring_in_line();
        test();
        check_all(issuance);
    });
}
