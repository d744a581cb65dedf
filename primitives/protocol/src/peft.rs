//! Files of a PEFT adapter, byte for byte: what S_N determines.

use crate::{
    graph::{Slot, Target},
    merkle,
    recipe::Recipe,
    record::push_json_string,
    Hash,
};
use alloc::{format, string::String, vec::Vec};

/// Bytes of one element.
const ELEMENT: u64 = 4;

/// The start of `adapter_model.safetensors`: header length and header, padded with spaces to eight bytes.
pub fn header(slots: &[Slot]) -> Option<Vec<u8>> {
    let mut json = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
    let mut from = 0u64;
    for slot in slots {
        let [rows, columns] = slot.dims;
        let to = from.checked_add(slot.elements().checked_mul(ELEMENT)?)?;
        json.push(',');
        push_json_string(&mut json, &slot.name);
        json.push_str(&format!(":{{\"dtype\":\"F32\",\"shape\":[{rows},{columns}],\"data_offsets\":[{from},{to}]}}"));
        from = to;
    }
    json.push('}');
    while !json.len().is_multiple_of(8) {
        json.push(' ');
    }
    let mut out = u64::try_from(json.len()).ok()?.to_le_bytes().to_vec();
    out.extend_from_slice(json.as_bytes());
    Some(out)
}

/// Length of the file in bytes.
pub fn file_len(slots: &[Slot]) -> Option<u64> {
    let header = u64::try_from(header(slots)?.len()).ok()?;
    slots.iter().try_fold(header, |acc, slot| acc.checked_add(slot.elements().checked_mul(ELEMENT)?))
}

/// The file: header, then every slot's little-endian f32 bytes in order; `None` when a length does not fit its slot.
pub fn file(slots: &[Slot], tensors: &[&[u8]]) -> Option<Vec<u8>> {
    if slots.len() != tensors.len() {
        return None;
    }
    let mut out = header(slots)?;
    for (slot, raw) in slots.iter().zip(tensors) {
        if u64::try_from(raw.len()).ok() != slot.elements().checked_mul(ELEMENT) {
            return None;
        }
        out.extend_from_slice(raw);
    }
    Some(out)
}

/// The tensors of a file whose header is exactly the generated one; `None` for any other file.
pub fn tensors<'a>(slots: &[Slot], file: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let mut rest = file.strip_prefix(header(slots)?.as_slice())?;
    let mut out = Vec::with_capacity(slots.len());
    for slot in slots {
        let bytes = usize::try_from(slot.elements().checked_mul(ELEMENT)?).ok()?;
        let (raw, after) = rest.split_at_checked(bytes)?;
        out.push(raw);
        rest = after;
    }
    rest.is_empty().then_some(out)
}

/// MR over the file's 1 KiB pages.
pub fn file_pages(file: &[u8]) -> Hash {
    merkle::pages_root(file)
}

/// `adapter_config.json`: fixed key order, two spaces, no timestamps, a line feed at the end.
pub fn adapter_config_json(recipe: &Recipe, base_model: &str, revision: Option<&str>) -> String {
    let mut out = String::from("{\n  \"peft_type\": \"LORA\",\n  \"task_type\": \"CAUSAL_LM\",\n");
    out.push_str("  \"base_model_name_or_path\": ");
    push_json_string(&mut out, base_model);
    out.push_str(",\n  \"revision\": ");
    match revision {
        Some(revision) => push_json_string(&mut out, revision),
        None => out.push_str("null"),
    }
    let dropout = if recipe.dropout.is_zero() { String::from("0.0") } else { recipe.dropout.to_plain() };
    out.push_str(&format!(
        ",\n  \"r\": {},\n  \"lora_alpha\": {},\n  \"lora_dropout\": {dropout},\n  \"target_modules\": [",
        recipe.r, recipe.alpha
    ));
    for (index, target) in recipe.targets().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push_json_string(&mut out, Target::module(target));
    }
    out.push_str(&format!("],\n  \"use_rslora\": {},\n  \"bias\": \"none\",\n", recipe.rslora));
    out.push_str("  \"rank_pattern\": {},\n  \"alpha_pattern\": {},\n  \"inference_mode\": true\n}\n");
    out
}
