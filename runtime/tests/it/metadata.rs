//! Walks the metadata: indices, extensions and documentation.
//!
//! Metadata evaluates constants, and ours read storage, so it is made inside externalities.

use frame_metadata::{v14::RuntimeMetadataV14, RuntimeMetadata};
use scale_info::{form::PortableForm, TypeDef};

/// Index of the first pallet that is Weft's own; the others come from the SDK, [`CHAIN_PARAMS`] excepted.
const FIRST_OWN: u8 = 40;
/// Index of the pallet of this crate.
const CHAIN_PARAMS: u8 = 1;

/// The metadata of the runtime.
pub(crate) fn metadata() -> RuntimeMetadataV14 {
    let prefixed = sp_io::TestExternalities::default().execute_with(weft_runtime::Runtime::metadata);
    match prefixed.1 {
        RuntimeMetadata::V14(metadata) => metadata,
        other => panic!("`Runtime::metadata` is version 14, this is {}", other.version()),
    }
}

/// Whether a pallet is ours.
pub(crate) fn is_own(index: u8) -> bool {
    index == CHAIN_PARAMS || index >= FIRST_OWN
}

/// Variants of an enum in the registry: their name and docs.
fn variants(metadata: &RuntimeMetadataV14, ty: u32) -> Vec<scale_info::Variant<PortableForm>> {
    match &metadata.types.resolve(ty).unwrap().type_def {
        TypeDef::Variant(def) => def.variants.clone(),
        other => panic!("calls, events and errors are enums, this is {other:?}"),
    }
}

#[test]
fn indices_should_stay() {
    let indices: Vec<(String, u8)> = metadata().pallets.into_iter().map(|pallet| (pallet.name, pallet.index)).collect();
    let expected = [
        ("System", 0),
        ("ChainParams", 1),
        ("Babe", 2),
        ("Timestamp", 3),
        ("Balances", 4),
        ("TransactionPayment", 5),
        ("Authorship", 6),
        ("Staking", 7),
        ("Offences", 8),
        ("Historical", 9),
        ("Session", 10),
        ("Grandpa", 11),
        ("Utility", 12),
        ("Sudo", 13),
        ("SkipFeelessPayment", 14),
        ("Datanets", 40),
        ("Permissions", 41),
        ("Models", 42),
        ("ComputeOracles", 43),
        ("Attribution", 44),
        ("Rewards", 45),
    ]
    .map(|(name, index)| (name.to_string(), index));
    assert_eq!(indices, expected);
}

#[test]
fn extensions_should_stay_in_order() {
    let extensions: Vec<String> =
        metadata().extrinsic.signed_extensions.into_iter().map(|extension| extension.identifier).collect();
    assert_eq!(
        extensions,
        [
            "AuthorizeCall",
            "CheckNonZeroSender",
            "CheckSpecVersion",
            "CheckTxVersion",
            "CheckGenesis",
            "CheckMortality",
            "CheckNonce",
            "CheckWeight",
            "ChargeTransactionPayment",
            "CheckMetadataHash",
            "WeightReclaim",
        ]
    );
}

#[test]
fn everything_of_ours_should_have_a_doc() {
    let metadata = metadata();
    let mut bare = Vec::new();
    for pallet in metadata.pallets.iter().filter(|pallet| is_own(pallet.index)) {
        let mut check = |kind: &str, item: &str, docs: &[String]| {
            if docs.iter().all(|line| line.trim().is_empty()) {
                bare.push(format!("{}: {kind} {item}", pallet.name));
            }
        };
        for entry in pallet.storage.iter().flat_map(|storage| &storage.entries) {
            check("storage", &entry.name, &entry.docs);
        }
        for constant in &pallet.constants {
            check("constant", &constant.name, &constant.docs);
        }
        for (kind, ty) in [
            ("call", pallet.calls.as_ref().map(|calls| calls.ty.id)),
            ("event", pallet.event.as_ref().map(|event| event.ty.id)),
            ("error", pallet.error.as_ref().map(|error| error.ty.id)),
        ] {
            for variant in ty.map(|ty| variants(&metadata, ty)).unwrap_or_default() {
                check(kind, &variant.name, &variant.docs);
            }
        }
    }
    assert!(bare.is_empty(), "items without a doc: {bare:#?}");
}

#[test]
fn errors_of_ours_should_name_cause_and_next_step() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for pallet in metadata.pallets.iter().filter(|pallet| is_own(pallet.index)) {
        let Some(error) = &pallet.error else { continue };
        for variant in variants(&metadata, error.ty.id) {
            let docs = variant.docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
            // A sentence, then the step: `Cause. Next: step.`
            let told = docs.split_once(". Next: ").is_some_and(|(cause, step)| {
                !cause.trim().is_empty() && step.trim().len() > 1 && step.trim().ends_with('.')
            });
            if !told {
                wrong.push(format!("{}: {}: {docs}", pallet.name, variant.name));
            }
        }
    }
    assert!(wrong.is_empty(), "errors that do not read \"cause. Next: step.\": {wrong:#?}");
}

#[test]
fn calls_of_ours_should_keep_their_indices() {
    // A call's index is its position in its pallet's call table, calls that are not built counted; `poke` of the models
    // is appended.
    let expected: [(&str, &[(&str, u8)]); 6] = [
        (
            "Datanets",
            &[("create", 0), ("set_curators", 2), ("commit", 6), ("reveal", 7), ("review", 8), ("snapshot", 11)],
        ),
        ("Permissions", &[("set_licence", 0), ("acquire", 3), ("revoke", 7), ("prune", 10)]),
        (
            "Models",
            &[
                ("register_base_model", 0),
                ("activate", 1),
                ("retire", 2),
                ("submit_job", 4),
                ("cancel_job", 5),
                ("set_prices", 6),
                ("poke", 12),
            ],
        ),
        (
            "ComputeOracles",
            &[
                ("register", 0),
                ("bond", 2),
                ("chill", 3),
                ("resume", 4),
                ("unbond", 5),
                ("withdraw", 6),
                ("take", 7),
                ("commit", 9),
                ("audit_commit", 10),
                ("reveal_nonces", 11),
                ("audit_reveal", 12),
                ("accuse", 13),
                ("jury_commit", 30),
                ("jury_reveal", 31),
            ],
        ),
        ("Attribution", &[("post_usage", 0)]),
        (
            "Rewards",
            &[
                ("open_budget", 0),
                ("top_up", 1),
                ("close_budget", 2),
                ("withdraw", 3),
                ("add_key", 4),
                ("revoke_key", 5),
                ("redeem", 7),
                ("finalise", 9),
                ("claim", 10),
                ("claim_many", 11),
            ],
        ),
    ];
    let metadata = metadata();
    let found: Vec<(String, Vec<(String, u8)>)> = metadata
        .pallets
        .iter()
        .filter(|pallet| pallet.index >= FIRST_OWN)
        .map(|pallet| {
            let calls = pallet.calls.as_ref().map(|calls| variants(&metadata, calls.ty.id)).unwrap_or_default();
            (pallet.name.clone(), calls.into_iter().map(|call| (call.name, call.index)).collect())
        })
        .collect();
    let expected: Vec<(String, Vec<(String, u8)>)> = expected
        .iter()
        .map(|(pallet, calls)| {
            (pallet.to_string(), calls.iter().map(|(call, index)| (call.to_string(), *index)).collect())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn metadata_should_be_served_in_versions_14_to_16() {
    sp_io::TestExternalities::default().execute_with(|| {
        let versions = weft_runtime::Runtime::metadata_versions();
        for version in [14, 15, 16] {
            assert!(versions.contains(&version), "{versions:?}");
            assert!(weft_runtime::Runtime::metadata_at_version(version).is_some());
        }
    });
}

#[test]
fn metadata_of_the_client_should_be_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../compute-oracle/chain/metadata.scale");
    let committed = std::fs::read(path).expect("compute-oracle/chain/metadata.scale is committed");
    assert!(
        committed == weft_runtime::native_metadata(),
        "the runtime has changed; run `cargo run -p weft-runtime --example metadata -- {path}`"
    );
}
