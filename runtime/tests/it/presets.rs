//! The presets build, and hold what they promise.

use sp_core::{crypto::Ss58Codec, sr25519, Pair};
use sp_genesis_builder::PresetId;
use weft_runtime::{
    chain_params,
    fees::{REVENUE, STAKERS, TREASURY},
    presets::{get_preset, preset_names, ROLES},
    AccountId, Balances, Runtime, RuntimeGenesisConfig, EXISTENTIAL_DEPOSIT,
};

/// Builds the genesis of a preset as a node does: the preset merged into the default, then built from JSON.
pub(crate) fn build(name: &str) -> Result<sp_io::TestExternalities, String> {
    let mut ext = sp_io::TestExternalities::default();
    ext.execute_with(|| {
        let patch = get_preset(&PresetId::from(name)).expect("the preset exists");
        let patch: serde_json::Value = serde_json::from_slice(&patch).unwrap();
        let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
        merge(&mut config, patch);
        frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(config.to_string().into_bytes())
    })?;
    Ok(ext)
}

/// Merges a patch: objects key by key, everything else replaces.
fn merge(into: &mut serde_json::Value, patch: serde_json::Value) {
    match (into, patch) {
        (serde_json::Value::Object(into), serde_json::Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

#[test]
fn roles_should_be_derived_from_the_development_phrase() {
    let derived = ROLES.map(|(path, _)| (path, sr25519::Pair::from_string(path, None).unwrap().public().0));
    let expected: Vec<_> = derived.iter().map(|(path, key)| format!("{path} {}", hex::encode(key))).collect();
    assert_eq!(ROLES, derived, "{expected:#?}");
}

#[test]
fn presets_should_build_when_their_keys_are_public() {
    for (name, slot, validators) in [("development", 2_000, 1), ("local_testnet", 1_000, 4)] {
        build(name).unwrap().execute_with(|| {
            assert_eq!(chain_params::SlotDuration::<Runtime>::get(), slot);
            assert_eq!(chain_params::EpochDuration::<Runtime>::get(), 60);
            assert_eq!(weft_runtime::Session::validators().len(), validators);
            assert_eq!(weft_runtime::Babe::authorities().len(), validators);
            assert_eq!(weft_runtime::Grandpa::grandpa_authorities().len(), validators);
            for pot in [TREASURY, REVENUE, STAKERS] {
                use sp_runtime::traits::AccountIdConversion;
                let pot: AccountId = pot.into_account_truncating();
                assert_eq!(Balances::free_balance(&pot), EXISTENTIAL_DEPOSIT);
            }
            for (_, key) in ROLES {
                assert!(Balances::free_balance(AccountId::from(key)) > 0);
            }
        });
    }
}

#[test]
fn production_should_fail_to_build_when_its_placeholders_stand() {
    let error = build("production").map(|_| ()).expect_err("a template is no chain");
    assert!(error.contains("Invalid JSON"), "{error}");
}

#[test]
fn production_should_build_when_its_placeholders_are_replaced() {
    let mut json: serde_json::Value =
        serde_json::from_slice(&get_preset(&PresetId::from("production")).unwrap()).unwrap();
    let stash = AccountId::from([7; 32]).to_ss58check();
    let unit = 1_000_000_000_000u64;
    json["balances"]["balances"][3] = serde_json::json!([stash, 20_000 * unit]);
    json["staking"]["stakers"] = serde_json::json!([[stash, stash, 10_000 * unit, "Validator"]]);
    json["session"]["keys"] = serde_json::json!([[stash, stash, {
        "babe": stash,
        "grandpa": sp_core::ed25519::Public::from_raw([9; 32]).to_ss58check(),
    }]]);
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
    merge(&mut config, json);
    sp_io::TestExternalities::default().execute_with(|| {
        frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(config.to_string().into_bytes())
            .unwrap();
        assert_eq!(chain_params::SlotDuration::<Runtime>::get(), 6_000);
        assert_eq!(chain_params::EpochDuration::<Runtime>::get(), 2_400);
        assert_eq!(pallet_sudo::Key::<Runtime>::get(), None);
        // Nine jurors, and a day where the fast presets give seconds.
        assert_eq!(pallet_compute_oracles::StakeParams::<Runtime>::get().jury_size, 9);
        let timers = pallet_compute_oracles::TimerParams::<Runtime>::get();
        assert_eq!((timers.slash_delay, timers.run_retention, timers.window), (14_400, 14_400, 14_400));
        let rewards = pallet_rewards::Parameters::<Runtime>::get();
        assert_eq!((rewards.usage_delay, rewards.unlock, rewards.epoch_length), (14_400, 28_800, 14_400));
        let datanets = pallet_datanets::Params::<Runtime>::get();
        assert_eq!((datanets.duplicate_window, datanets.commit_window), (14_400, 14_400));
        // An hour between two snapshots, a day of notice before a new price.
        assert_eq!(datanets.snapshot_interval, 600);
        assert_eq!(pallet_models::Params::<Runtime>::get().price_notice, 14_400);
    });
}

#[test]
fn presets_should_set_the_parameters_of_every_pallet() {
    for name in ["development", "local_testnet", "production"] {
        let json: serde_json::Value = serde_json::from_slice(&get_preset(&PresetId::from(name)).unwrap()).unwrap();
        for pallet in ["datanets", "permissions", "models", "rewards"] {
            assert!(json[pallet]["params"].is_object(), "{name}: {pallet} has no parameters");
        }
        assert!(json["computeOracles"]["timers"].is_object(), "{name}: computeOracles has no timers");
    }
}

#[test]
fn deposits_of_the_fast_presets_should_be_those_of_the_table() {
    for name in ["development", "local_testnet"] {
        build(name).unwrap().execute_with(|| {
            let unit = 1_000_000_000_000u128;
            let datanets = pallet_datanets::Params::<Runtime>::get();
            assert_eq!((datanets.datanet_deposit, datanets.commit_deposit), (10 * unit, unit / 10));
            assert_eq!((datanets.storage_deposit, datanets.risk_deposit), (unit, unit));
            assert_eq!((datanets.commit_window, datanets.commits_per_day), (600, 1_000));
            assert_eq!((datanets.snapshot_interval, datanets.duplicate_window), (1, 20));
            let permissions = pallet_permissions::Params::<Runtime>::get();
            assert_eq!((permissions.licence_deposit, permissions.grant_deposit), (unit, unit));
        });
    }
}

#[test]
fn every_preset_name_should_lead_to_a_preset() {
    assert!(preset_names().iter().all(|name| get_preset(name).is_some()));
    assert!(get_preset(&PresetId::from("nothing")).is_none());
}

#[test]
fn timers_of_daemons_should_outlast_finality_by_four_blocks() {
    use weft_runtime::presets::{DEVELOPMENT_FINALITY_LAG, LOCAL_FINALITY_LAG};
    for (name, lag) in [("development", DEVELOPMENT_FINALITY_LAG), ("local_testnet", LOCAL_FINALITY_LAG)] {
        let least = lag + 4;
        build(name).unwrap().execute_with(|| {
            let timers = pallet_compute_oracles::TimerParams::<Runtime>::get();
            for (timer, blocks) in [
                ("open", timers.open),
                ("key", timers.key),
                ("run", timers.run),
                ("audit", timers.audit),
                ("reveal", timers.reveal),
                ("window", timers.window),
                ("resp", timers.resp),
                ("extension", timers.extension),
                ("da", timers.da),
                ("jury", timers.jury),
            ] {
                assert!(blocks >= least, "{name}: {timer} is {blocks} blocks, daemons need {least}");
            }
            let rewards = pallet_rewards::Parameters::<Runtime>::get();
            assert!(rewards.usage_delay >= least);
            assert!(rewards.unlock > rewards.epoch_length);
        });
    }
}
