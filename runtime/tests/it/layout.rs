//! Compares what our pallets store with the committed list.
//!
//! `storage-layout.txt` holds every storage item of ours with its hashers and its key and value types, expanded down
//! to primitives. A difference means that stored data would be read wrongly: it needs a higher storage version and a
//! migration in the same change. `WEFT_UPDATE=1` writes the list anew.

use crate::metadata::{is_own, metadata};
use frame_metadata::v14::{RuntimeMetadataV14, StorageEntryModifier, StorageEntryType};
use scale_info::{form::PortableForm, Field, TypeDef};
use std::fmt::Write;

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

/// The list.
fn layout() -> String {
    let metadata = metadata();
    let mut text = String::new();
    for pallet in metadata.pallets.iter().filter(|pallet| is_own(pallet.index)) {
        let Some(storage) = &pallet.storage else { continue };
        writeln!(text, "{}", storage.prefix).unwrap();
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
