//! Compares what our pallets store with the committed list.
//!
//! `storage-layout.txt` holds every storage item of ours with its hashers and its key and value types, expanded down
//! to primitives, under the pallet's storage version. A difference means that stored data would be read wrongly: it
//! needs a higher storage version and a migration in the same change. The last part pins the encodings of the protocol,
//! which is what hashes and commitments are made of, by the digest of one value of each. `WEFT_UPDATE=1` writes the list
//! anew.

use crate::metadata::{is_own, metadata};
use codec::{Decode, Encode};
use frame_metadata::v14::{RuntimeMetadataV14, StorageEntryModifier, StorageEntryType};
use frame_support::traits::{GetStorageVersion, StorageVersion};
use scale_info::{form::PortableForm, Field, TypeDef};
use std::fmt::Write;
use weft_protocol::{
    hash::raw_hash,
    job::{JobEvent, JobState, Tier},
    licence::Terms,
    recipe::Recipe,
    run::{Commit, Opening, Outcome, Part},
    split::ModelSplit,
    sum_tree::{OwnerLeaf, SumNode, Sums},
    voucher::Voucher,
};
use weft_runtime::presets::DEMO_SHAPE;

/// Where the list lies.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/storage-layout.txt");

/// Expands a type down to primitives; a type inside itself is named by its path.
fn expand(metadata: &RuntimeMetadataV14, id: u32, inside: &mut Vec<u32>) -> String {
    let ty = metadata.types.resolve(id).unwrap();
    if inside.contains(&id) {
        return format!("^{}", ty.path.segments.join("::"));
    }
    inside.push(id);
    let text = match &ty.type_def {
        TypeDef::Composite(def) => fields(metadata, &def.fields, inside),
        TypeDef::Variant(def) => {
            let variants: Vec<String> = def
                .variants
                .iter()
                .map(|variant| {
                    let inner = if variant.fields.is_empty() {
                        String::new()
                    } else {
                        fields(metadata, &variant.fields, inside)
                    };
                    format!("{}={}{inner}", variant.name, variant.index)
                })
                .collect();
            format!("<{}>", variants.join(" | "))
        }
        TypeDef::Sequence(def) => format!("[{}]", expand(metadata, def.type_param.id, inside)),
        TypeDef::Array(def) => {
            format!("[{}; {}]", expand(metadata, def.type_param.id, inside), def.len)
        }
        TypeDef::Tuple(def) => {
            let parts: Vec<String> = def.fields.iter().map(|field| expand(metadata, field.id, inside)).collect();
            format!("({})", parts.join(", "))
        }
        TypeDef::Primitive(primitive) => format!("{primitive:?}").to_lowercase(),
        TypeDef::Compact(def) => format!("compact {}", expand(metadata, def.type_param.id, inside)),
        TypeDef::BitSequence(_) => "bits".into(),
    };
    inside.pop();
    text
}

/// Expands the fields of a struct or of a variant; a single field without a name is its type.
fn fields(metadata: &RuntimeMetadataV14, fields: &[Field<PortableForm>], inside: &mut Vec<u32>) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|field| {
            let ty = expand(metadata, field.ty.id, inside);
            field.name.as_ref().map_or(ty.clone(), |name| format!("{name}: {ty}"))
        })
        .collect();
    match fields {
        [Field { name: None, .. }] => parts.concat(),
        _ => format!("{{ {} }}", parts.join(", ")),
    }
}

/// The storage version of a pallet in the code.
fn in_code<P: GetStorageVersion<InCodeStorageVersion = StorageVersion>>() -> String {
    let version = u16::decode(&mut &P::in_code_storage_version().encode()[..]).unwrap();
    format!("version {version}")
}

/// What stands behind a pallet's name.
fn version(pallet: &str) -> String {
    match pallet {
        // Three numbers that genesis writes and nothing changes.
        "ChainParams" => "no version".into(),
        "Datanets" => in_code::<weft_runtime::Datanets>(),
        "Permissions" => in_code::<weft_runtime::Permissions>(),
        "Models" => in_code::<weft_runtime::Models>(),
        "ComputeOracles" => in_code::<weft_runtime::ComputeOracles>(),
        "Attribution" => in_code::<weft_runtime::Attribution>(),
        "Rewards" => in_code::<weft_runtime::Rewards>(),
        other => panic!("{other} is not in this list"),
    }
}

/// One value of each encoding of the protocol that is hashed, committed to or signed.
fn encodings() -> Vec<(&'static str, Vec<u8>)> {
    let hash = |n: u8| [n; 32];
    let part = Part { datanet: 1, leaves: 2, root: hash(3), pos: 4, neg: 5, paid: 6 };
    let commit = Commit {
        n_done: 1,
        outcome: Outcome::Done,
        data_root: hash(2),
        steps_root: hash(3),
        model_commitment: hash(4),
        attribution_commitment: hash(5),
        secret: hash(6),
    };
    let opening = Opening {
        s_n: hash(1),
        file_len: 2,
        file_pages: hash(3),
        method: 4,
        cotangent: 5,
        x: -6,
        r0: hash(7),
        parts: vec![part],
        extra: hash(8),
        artifacts: hash(9),
    };
    let leaf = OwnerLeaf { datanet: 1, owner: hash(2), records: 3, inrun: 4, pos: 5, neg: 6, paid: 7, held: 8 };
    let node = SumNode { hash: hash(1), sums: Sums { pos: 2, neg: 3, paid: 4 } };
    let voucher = Voucher {
        consumer: hash(1),
        key: hash(2),
        oracle: hash(3),
        model: 4,
        price_version: 5,
        cumulative: 6,
        tokens_in: 7,
        tokens_out: 8,
        receipts: hash(9),
    };
    vec![
        ("Recipe", Recipe::attributed().encode()),
        ("Recipe without attribution", Recipe::plain().encode()),
        ("ModelShape", DEMO_SHAPE.encode()),
        ("Commit", commit.encode()),
        ("Outcome", (Outcome::Done, Outcome::Diverged).encode()),
        ("Opening", opening.encode()),
        ("OwnerLeaf", leaf.encode()),
        ("SumNode", node.encode()),
        ("Voucher", voucher.encode()),
        ("ModelSplit", ModelSplit::DEFAULT.encode()),
        ("Terms", Terms::FREE.encode()),
        ("Tier", (Tier::Spot(1), Tier::Full(2)).encode()),
        ("JobState", (JobState::Open, JobState::Window, JobState::Final).encode()),
        ("JobEvent", JobEvent::ALL.encode()),
        ("recipe hash", Recipe::attributed().hash().encode()),
        ("model commitment", opening.model_commitment().encode()),
        ("attribution commitment", opening.attribution_commitment().encode()),
        ("owner leaf hash", leaf.hash().encode()),
        ("voucher hash", voucher.hash(&hash(10)).encode()),
    ]
}

/// The list.
fn layout() -> String {
    let metadata = metadata();
    let mut text = String::new();
    for pallet in metadata.pallets.iter().filter(|pallet| is_own(pallet.index)) {
        let Some(storage) = &pallet.storage else { continue };
        writeln!(text, "{}, {}", storage.prefix, version(&storage.prefix)).unwrap();
        for entry in &storage.entries {
            let modifier = match entry.modifier {
                StorageEntryModifier::Optional => "?",
                StorageEntryModifier::Default => "",
            };
            let ty = match &entry.ty {
                StorageEntryType::Plain(value) => expand(&metadata, value.id, &mut Vec::new()),
                StorageEntryType::Map { hashers, key, value } => format!(
                    "{hashers:?} {} -> {}",
                    expand(&metadata, key.id, &mut Vec::new()),
                    expand(&metadata, value.id, &mut Vec::new())
                ),
            };
            writeln!(text, "  {}{modifier}: {ty}", entry.name).unwrap();
        }
    }
    writeln!(text, "Encodings of the protocol, digest of one value each").unwrap();
    for (name, bytes) in encodings() {
        writeln!(text, "  {name}: {} bytes, {}", bytes.len(), hex::encode(raw_hash(&bytes))).unwrap();
    }
    text
}

#[test]
fn stored_layouts_should_stay_when_no_migration_comes_with_them() {
    let layout = layout();
    if std::env::var_os("WEFT_UPDATE").is_some() {
        std::fs::write(PATH, &layout).unwrap();
    }
    let committed = std::fs::read_to_string(PATH).unwrap_or_default();
    for (line, (now, then)) in layout.lines().zip(committed.lines()).enumerate() {
        assert_eq!(now, then, "line {} of runtime/storage-layout.txt", line + 1);
    }
    assert_eq!(layout.lines().count(), committed.lines().count());
}
