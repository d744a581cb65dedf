//! The chains this node knows by name.

use sc_chain_spec::{ChainSpecExtension, Properties};
use sc_service::ChainType;
use serde::{Deserialize, Serialize};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};
use weft_runtime::{opaque::Block, presets::PRODUCTION_PRESET, SS58_PREFIX, WASM_BINARY};

/// What a specification may hold beside genesis.
#[derive(Default, Clone, Serialize, Deserialize, ChainSpecExtension)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Extensions {
    /// Blocks with known hashes.
    pub(crate) fork_blocks: sc_client_api::ForkBlocks<Block>,
    /// Blocks that are refused.
    pub(crate) bad_blocks: sc_client_api::BadBlocks<Block>,
    /// Where light clients may start, filled by the `sync_state_genSyncSpec` call.
    pub(crate) light_sync_state: sc_sync_state_rpc::LightSyncStateExtension,
}

/// A chain specification.
pub(crate) type ChainSpec = sc_service::GenericChainSpec<Extensions>;

/// The runtime blob, or what to do without one.
fn wasm() -> Result<&'static [u8], String> {
    WASM_BINARY.ok_or_else(|| {
        "this node was built with SKIP_WASM_BUILD and has no runtime. Build it without that variable, or give a \
         chain specification that holds the runtime: --chain <file>"
            .into()
    })
}

/// How wallets show amounts and addresses.
fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), "WEFT".into());
    properties.insert("tokenDecimals".into(), 12.into());
    properties.insert("ss58Format".into(), SS58_PREFIX.into());
    properties
}

/// A specification from a preset of the runtime.
fn from_preset(name: &str, id: &str, chain_type: ChainType, preset: &str) -> Result<ChainSpec, String> {
    Ok(ChainSpec::builder(wasm()?, Extensions::default())
        .with_name(name)
        .with_id(id)
        .with_protocol_id("weft")
        .with_chain_type(chain_type)
        .with_genesis_config_preset_name(preset)
        .with_properties(properties())
        .build())
}

/// One validator, slots of two seconds, finality without a voting rule.
pub(crate) fn development() -> Result<ChainSpec, String> {
    from_preset("Weft Development", "weft_dev", ChainType::Development, DEV_RUNTIME_PRESET)
}

/// Four validators, slots of one second.
pub(crate) fn local() -> Result<ChainSpec, String> {
    from_preset("Weft Local", "weft_local", ChainType::Local, LOCAL_TESTNET_RUNTIME_PRESET)
}

/// The template of a real chain: it can be exported, but starts only after its placeholders are replaced.
pub(crate) fn production() -> Result<ChainSpec, String> {
    from_preset("Weft", "weft", ChainType::Live, PRODUCTION_PRESET)
}

/// Why a start without a chain is refused.
const NO_CHAIN: &str = "no chain is named. Next: give --chain with the file of a specification, with local for a test \
                        chain of four published keys, or --dev for a development chain of one";

/// The specification a `--chain` argument names.
pub(crate) fn load(id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
    Ok(Box::new(match id {
        // The chains with names have published keys: nobody shall run one by leaving the name out.
        "" => return Err(NO_CHAIN.into()),
        "local" | "local_testnet" => local()?,
        "dev" | "development" => development()?,
        "production" => production()?,
        path => ChainSpec::from_json_file(path.into())?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_should_refuse_when_no_chain_is_named() {
        let refused = load("").err().unwrap_or_default();
        assert!(refused.contains("--chain") && refused.contains("--dev"), "{refused}");
    }
}
