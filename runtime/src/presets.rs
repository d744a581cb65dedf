//! The genesis presets.
//!
//! `development` is one validator with slots of two seconds, `local_testnet` four with slots of one. Their money and
//! keys are public: every account is derived from the well-known development phrase. `production` is a template that
//! does not build until its placeholders are replaced.

#![deny(missing_docs)]

use crate::{
    configs::{
        consensus::BABE_GENESIS_EPOCH_CONFIG,
        staking::{MaxNominators, MaxValidators},
    },
    fees::{REVENUE, STAKERS, TREASURY},
    AccountId, BabeConfig, Balance, BalancesConfig, ChainParamsConfig, ComputeOraclesConfig, DatanetsConfig,
    ModelsConfig, PermissionsConfig, RewardsConfig, RuntimeGenesisConfig, SessionConfig, SessionKeys, StakingConfig,
    SudoConfig, EXISTENTIAL_DEPOSIT, WEFT,
};
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_support::build_struct_json_patch;
use pallet_compute_oracles::types::{Stakes, Timers};
use pallet_models::types::GenesisBase;
use serde_json::{json, Value};
use sp_core::hex2array;
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::{traits::AccountIdConversion, Perbill};
use sp_staking::StakerStatus;
use weft_protocol::{
    dec::Dec,
    economics,
    shape::{Arch, ModelShape},
};

/// Name of the template for a real chain.
pub const PRODUCTION_PRESET: &str = "production";

/// What each account of a development chain starts with.
pub const ENDOWMENT: Balance = 1_000_000 * WEFT;
/// What each validator of a development chain stakes.
pub const VALIDATOR_STAKE: Balance = 10_000 * WEFT;
/// Length of a slot of `development` in milliseconds.
pub const DEVELOPMENT_SLOT_MS: u64 = 2_000;
/// Length of a slot of `local_testnet` in milliseconds.
pub const LOCAL_SLOT_MS: u64 = 1_000;
/// Blocks between the best and the last finalised block of `development`, at most, as measured (node/README.md).
pub const DEVELOPMENT_FINALITY_LAG: u32 = 2;
/// The same of `local_testnet`.
pub const LOCAL_FINALITY_LAG: u32 = 4;
/// Blocks of a day of `production`, whose slots last six seconds.
pub const PRODUCTION_DAY: u32 = 14_400;
/// Fewest blocks between two snapshots of a Datanet of `production`: an hour.
pub const PRODUCTION_SNAPSHOT: u32 = 600;
/// Jurors of one draw of `production`.
pub const PRODUCTION_JURY: u8 = 9;
/// Length of an epoch of both in slots.
pub const FAST_EPOCH_SLOTS: u64 = 60;

/// Accounts of the roles of Weft, endowed in `development` and `local_testnet`: the derivation path under the
/// development phrase, and the Sr25519 public key. A test derives the keys again.
pub const ROLES: [(&str, [u8; 32]); 11] = [
    ("//Oracle", hex2array!("683c4ef19d8fec497566bf7c24c5d6e3625edecde19d80c39281e4686961fa74")),
    ("//Verifier", hex2array!("26dc35a415d6c2a3b2f7d900ee2287ac6b81e35b3812a5edb687773ac95d7245")),
    ("//Juror1", hex2array!("d6bc3393adc3825f67b8381a067a010b009e6ed18ce74e2f1230e5c18cc74317")),
    ("//Juror2", hex2array!("428fadb14659d75070777b04bce26ac336353df1903b0d72b0cda29511e0f80c")),
    ("//Juror3", hex2array!("a216973e955243cfb307c1791aed479521f985c9081c769bda65c103bbf94b54")),
    ("//Contributor1", hex2array!("a0d63362cd6b81b038993bb1f3d92b8ad4604625b2d8a4054083d41d7b904320")),
    ("//Contributor2", hex2array!("1698adaf26092f6b449d9a83447ae31512bdc3f852ec111fd1323002bc2b1970")),
    ("//Contributor3", hex2array!("08be9afa0eaa8df97dc668a276cdf75b7eea6dfd4cbd402e92d59978dc199e3b")),
    ("//Curator", hex2array!("ba4f263ec55b148e8f540ab9f1192719a04a42533aab357f2b4332a3e1ac7a16")),
    ("//Builder", hex2array!("820a44e3fd85edfc3ce626d280542d110f1fec6d36f74d729ea7932c677edc53")),
    ("//Consumer", hex2array!("da5a2e60e8c360d6ec6458f710739e2fe63870e2d43816a504e203901135c011")),
];

/// Root of the demo base model, which `development` and `local_testnet` know from the start. A test computes it again
/// from `fixtures/base`.
pub const DEMO_BASE: [u8; 32] = hex2array!("fbefea81b6f2ebebba2bd8430eb02179ad1e58bec87d07b337aaa41e126473d6");
/// Shape of the demo base model.
pub const DEMO_SHAPE: ModelShape = ModelShape {
    arch: Arch::Llama,
    layers: 4,
    d: 256,
    heads: 8,
    kv_heads: 4,
    head_dim: 32,
    f: 640,
    vocab: 4_096,
    context: 512,
    rms_eps: match Dec::new(1, -5) {
        Some(eps) => eps,
        None => Dec::ZERO,
    },
    tied: true,
    bias: 0,
    window: 0,
};
/// Digests of the demo base model's `tokenizer.json` and chat template.
pub const DEMO_TEXTS: ([u8; 32], [u8; 32]) = (
    hex2array!("ff52e5d4844d79d9ac9992991f348f18ceb67bc0ef85b052e39617fd558bd389"),
    hex2array!("07770673f4221ee67f009a20272d203a19e21a1cfa67d2bba137f7cb3896670c"),
);

/// The demo base model as genesis wants it.
fn demo_base() -> GenesisBase {
    GenesisBase {
        root: DEMO_BASE.into(),
        name: "weft-demo".into(),
        licence: "Apache-2.0".into(),
        shape: DEMO_SHAPE.encode().into(),
        tokenizer: DEMO_TEXTS.0.into(),
        template: DEMO_TEXTS.1.into(),
    }
}

/// A validator of a development chain.
struct Validator {
    /// Holds the stake.
    stash: Sr25519Keyring,
    /// Writes blocks.
    babe: Sr25519Keyring,
    /// Votes on finality.
    grandpa: Ed25519Keyring,
}

impl Validator {
    /// The account with the stake.
    fn account(&self) -> AccountId {
        self.stash.to_account_id()
    }

    /// The session keys.
    fn keys(&self) -> SessionKeys {
        SessionKeys { babe: self.babe.public().into(), grandpa: self.grandpa.public().into() }
    }
}

/// The first `count` of Alice, Bob, Charlie and Dave as validators.
fn validators(count: usize) -> Vec<Validator> {
    [
        (Sr25519Keyring::AliceStash, Sr25519Keyring::Alice, Ed25519Keyring::Alice),
        (Sr25519Keyring::BobStash, Sr25519Keyring::Bob, Ed25519Keyring::Bob),
        (Sr25519Keyring::CharlieStash, Sr25519Keyring::Charlie, Ed25519Keyring::Charlie),
        (Sr25519Keyring::DaveStash, Sr25519Keyring::Dave, Ed25519Keyring::Dave),
    ]
    .into_iter()
    .take(count)
    .map(|(stash, babe, grandpa)| Validator { stash, babe, grandpa })
    .collect()
}

/// The accounts of the runtime itself, each with the existential deposit: a credit to an account that does not exist
/// would be burned.
fn pots() -> Vec<(AccountId, Balance)> {
    [TREASURY, REVENUE, STAKERS].map(|pot| (pot.into_account_truncating(), EXISTENTIAL_DEPOSIT)).to_vec()
}

/// Everyone with money on a development chain.
fn endowed(validators: &[Validator]) -> Vec<(AccountId, Balance)> {
    let people = [
        Sr25519Keyring::Alice,
        Sr25519Keyring::Bob,
        Sr25519Keyring::Charlie,
        Sr25519Keyring::Dave,
        Sr25519Keyring::Eve,
        Sr25519Keyring::Ferdie,
    ]
    .map(|person| person.to_account_id());
    people
        .into_iter()
        .chain(validators.iter().map(Validator::account))
        .chain(ROLES.iter().map(|(_, key)| AccountId::from(*key)))
        .map(|account| (account, ENDOWMENT))
        .chain(pots())
        .collect()
}

/// What differs between the presets besides their validators: lengths and timers, in blocks.
struct Pace {
    /// Length of a slot in milliseconds.
    slot_ms: u64,
    /// Timers of runs, audits and disputes.
    timers: economics::Timers,
    /// Blocks before a closed budget can be withdrawn; longer than an epoch.
    unlock: u32,
}

impl Pace {
    /// Slots of two seconds and the shortest timers.
    const fn development() -> Self {
        Self { slot_ms: DEVELOPMENT_SLOT_MS, timers: economics::Timers::development(), unlock: 20 }
    }

    /// Slots of one second; four validators take longer to finalise, so timers are longer.
    const fn local() -> Self {
        Self { slot_ms: LOCAL_SLOT_MS, timers: economics::Timers::local_testnet(), unlock: 40 }
    }

    /// Timers of the oracle pallet.
    fn timers(&self) -> Timers {
        Timers::of(&self.timers, &economics::Params::fast())
    }

    /// Parameters of the rewards pallet.
    fn rewards(&self) -> pallet_rewards::types::Params {
        pallet_rewards::types::Params { epoch_length: self.timers.epoch, unlock: self.unlock, ..Default::default() }
    }
}

/// A chain with public keys and money, for development and tests.
fn fast_chain(pace: &Pace, validators: Vec<Validator>) -> Value {
    let count = u32::try_from(validators.len()).unwrap_or(u32::MAX);
    build_struct_json_patch!(RuntimeGenesisConfig {
        chain_params: ChainParamsConfig { slot_duration: pace.slot_ms, epoch_duration: FAST_EPOCH_SLOTS },
        babe: BabeConfig { epoch_config: BABE_GENESIS_EPOCH_CONFIG },
        balances: BalancesConfig { balances: endowed(&validators) },
        staking: StakingConfig {
            validator_count: count,
            minimum_validator_count: 1,
            max_validator_count: Some(MaxValidators::get()),
            max_nominator_count: Some(MaxNominators::get()),
            slash_reward_fraction: Perbill::from_percent(10),
            stakers: validators
                .iter()
                .map(|one| { (one.account(), one.account(), VALIDATOR_STAKE, StakerStatus::<AccountId>::Validator,) })
                .collect::<Vec<_>>(),
        },
        session: SessionConfig {
            keys: validators.iter().map(|one| (one.account(), one.account(), one.keys())).collect::<Vec<_>>(),
        },
        sudo: SudoConfig { key: Some(Sr25519Keyring::Alice.to_account_id()) },
        datanets: DatanetsConfig { params: pallet_datanets::types::Parameters::default() },
        permissions: PermissionsConfig { params: pallet_permissions::types::Parameters::default() },
        models: ModelsConfig { params: pallet_models::types::Parameters::default(), base_models: vec![demo_base()] },
        compute_oracles: ComputeOraclesConfig { timers: pace.timers() },
        rewards: RewardsConfig { params: pace.rewards() },
    })
}

/// A template: what stands in angle brackets is not an address, so the chain does not build before somebody replaced
/// it. There is no sudo key.
///
/// Deposits, limits and shares are those of the fast presets until governance sets others; what is a matter of time is
/// not, since two or twenty blocks of six seconds give nobody a chance to act.
fn production() -> Value {
    let timers = economics::Timers::production();
    let params = economics::Params {
        run_retention: PRODUCTION_DAY,
        // The guardian may stay a slash until it executes: people need a day to notice and to agree.
        slash_delay: PRODUCTION_DAY,
        // Copies are found by people and by clustering, not within minutes of the acceptance.
        duplicate_window: PRODUCTION_DAY,
        // An oracle that restarts, or whose machine is replaced, still posts its usage.
        usage_delay: PRODUCTION_DAY,
        // Who pays for answers learns of a new price before it is asked for it.
        price_notice: PRODUCTION_DAY,
        // A contributor whose machine or link fails for hours still reveals, and keeps place and deposit.
        commit_window: PRODUCTION_DAY,
        // Snapshots stay for ever: one an hour of each Datanet is enough to train on fresh data.
        snapshot_interval: PRODUCTION_SNAPSHOT,
        jury_size: PRODUCTION_JURY,
        ..economics::Params::fast()
    };
    let mut balances: Vec<Value> = pots().into_iter().map(|(pot, amount)| json!([pot, amount])).collect();
    balances.push(json!(["<account>", "<smallest units>"]));
    json!({
        "balances": { "balances": balances },
        "babe": { "epochConfig": BABE_GENESIS_EPOCH_CONFIG },
        "staking": {
            "validatorCount": 4,
            "minimumValidatorCount": 1,
            "maxValidatorCount": MaxValidators::get(),
            "maxNominatorCount": MaxNominators::get(),
            "slashRewardFraction": Perbill::from_percent(10),
            "stakers": [["<stash>", "<stash>", "<smallest units>", "Validator"]],
        },
        "session": {
            "keys": [["<stash>", "<stash>", { "babe": "<Sr25519 key>", "grandpa": "<Ed25519 key>" }]],
        },
        "sudo": { "key": null },
        "computeOracles": {
            "timers": Timers {
                // The window of a long run is at least two replays and this.
                window_extra: 2_400,
                ..Timers::of(&timers, &params)
            },
            "stakes": Stakes { jury_size: params.jury_size, ..Stakes::default() },
        },
        "datanets": {
            "params": pallet_datanets::types::Parameters {
                duplicate_window: params.duplicate_window,
                commit_window: params.commit_window,
                snapshot_interval: params.snapshot_interval,
                ..Default::default()
            },
        },
        "permissions": { "params": pallet_permissions::types::Parameters::default() },
        "models": {
            "params": pallet_models::types::Parameters {
                price_notice: params.price_notice,
                ..Default::default()
            },
        },
        "rewards": {
            "params": {
                "epochLength": timers.epoch,
                "usageDelay": params.usage_delay,
                // Longer than an epoch and the delay of its usage: nobody withdraws before vouchers are redeemed.
                "unlock": timers.epoch.saturating_add(params.usage_delay),
            },
        },
    })
}

/// The preset of a name, as JSON to be merged into the default genesis.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let preset = match id.as_ref() {
        DEV_RUNTIME_PRESET => fast_chain(&Pace::development(), validators(1)),
        LOCAL_TESTNET_RUNTIME_PRESET => fast_chain(&Pace::local(), validators(4)),
        PRODUCTION_PRESET => production(),
        _ => return None,
    };
    serde_json::to_vec(&preset).ok()
}

/// Names of all presets.
pub fn preset_names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
        PresetId::from(PRODUCTION_PRESET),
    ]
}
