//! PEFT files, receipts, licence terms.

use crate::recipes::small;
use proptest::prelude::*;
use weft_protocol::{
    graph::*, licence::*, merkle, peft, receipt::*, recipe::Recipe, shape::ModelShape, split::ModelSplit,
};

fn tiny() -> (Vec<Slot>, Vec<Vec<u8>>) {
    let shape = ModelShape { layers: 1, ..small() };
    let slots = lora_slots(&shape, &Recipe { r: 1, targets: 1, ..Recipe::attributed() });
    let raw = slots.iter().map(|slot| (0..slot.elements() * 4).map(|i| i as u8).collect()).collect();
    (slots, raw)
}

#[test]
fn adapter_file_should_be_what_safetensors_writes() {
    let (slots, raw) = tiny();
    let tensors: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let file = peft::file(&slots, &tensors).unwrap();
    let json = concat!(
        r#"{"__metadata__":{"format":"pt"},"#,
        r#""base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight":{"dtype":"F32","shape":[1,256],"data_offsets":[0,1024]},"#,
        r#""base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight":{"dtype":"F32","shape":[256,1],"data_offsets":[1024,2048]}}"#,
    );
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    assert_eq!(std::str::from_utf8(&file[8..8 + length]).unwrap().trim_end_matches(' '), json);
    assert_eq!(file.len(), 8 + length + 2048);
    assert_eq!(peft::file_len(&slots), Some(file.len() as u64));
    assert_eq!(peft::tensors(&slots, &file).unwrap(), tensors);
    assert_eq!(peft::file_pages(&file), merkle::pages_root(&file));
}

#[test]
fn other_files_should_be_refused() {
    let (slots, raw) = tiny();
    let tensors: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let file = peft::file(&slots, &tensors).unwrap();
    assert_eq!(peft::tensors(&slots, &file[..file.len() - 1]), None);
    assert_eq!(peft::tensors(&slots, &[file.clone(), vec![0]].concat()), None);
    let mut changed = file.clone();
    changed[20] ^= 1;
    assert_eq!(peft::tensors(&slots, &changed), None);
    assert_eq!(peft::file(&slots, &tensors[..1]), None);
    assert_eq!(peft::file(&slots, &[tensors[0], &tensors[1][1..]]), None);
}

#[test]
fn adapter_config_should_be_fixed_json() {
    let text = peft::adapter_config_json(&Recipe::attributed(), "weft/\"base\"", None);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "peft_type task_type base_model_name_or_path revision r lora_alpha lora_dropout target_modules use_rslora bias rank_pattern alpha_pattern inference_mode";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(value["base_model_name_or_path"], "weft/\"base\"");
    assert_eq!((&value["r"], &value["lora_alpha"]), (&16.into(), &32.into()));
    assert_eq!(value["target_modules"].as_array().unwrap().len(), 7);
    assert!(value["revision"].is_null() && text.ends_with("}\n"));
}

fn receipt() -> Receipt {
    Receipt {
        version: 1,
        genesis: [1; 32],
        id: [2; 16],
        index: 3,
        oracle: [4; 32],
        class: b"cpu-f32/1".to_vec(),
        model: 5,
        model_commitment: [6; 32],
        base_root: [7; 32],
        request: [8; 32],
        answer: [9; 32],
        tokens_in: 501,
        tokens_out: 250,
        price_version: 1,
        price_in: 2,
        price_out: 4,
        fee: 3,
        split: ModelSplit::DEFAULT,
        method: 1,
        attribution: [10; 32],
        top: vec![([11; 32], 600_000)],
        block: 12,
        block_hash: [13; 32],
        time: 14,
    }
}

#[test]
fn receipt_leaf_should_hold_its_hash_and_fee() {
    assert_ne!(Receipt { fee: 2, ..receipt() }.hash(), receipt().hash());
    assert_eq!((receipt().leaf().hash, receipt().leaf().fee), (receipt().hash(), 3));
    assert_ne!(salted(&[0; 32], b"a"), salted(&[1; 32], b"a"));
}

fn terms() -> impl Strategy<Value = Terms> {
    (0u16..512, any::<Option<u32>>(), any::<(u32, u32, u32, bool)>()).prop_map(
        |(purposes, expiry, (a, b, base_ppm, attribution))| Terms {
            purposes,
            expiry,
            min_ppm: a.min(b),
            max_ppm: a.max(b),
            base_ppm,
            attribution,
        },
    )
}

proptest! {
    #[test]
    fn strictest_terms_should_bind_both_sides(a in terms(), b in terms(), c in terms()) {
        let both = a.strictest(&b);
        prop_assert_eq!(both, b.strictest(&a));
        prop_assert_eq!(both.strictest(&c), a.strictest(&b.strictest(&c)));
        prop_assert_eq!(a.strictest(&a), a);
        prop_assert_eq!(Terms::FREE.strictest(&a), a);
        for one in [a, b] {
            prop_assert_eq!(both.purposes & one.purposes, both.purposes);
            prop_assert!(one.expiry.is_none_or(|at| both.expiry.is_some_and(|both| both <= at)));
            prop_assert!(both.min_ppm >= one.min_ppm && both.max_ppm >= one.max_ppm && both.base_ppm >= one.base_ppm);
            prop_assert!(both.attribution || !one.attribution);
        }
        prop_assert!(both.min_ppm <= both.max_ppm);
    }
}

#[test]
fn purposes_should_have_names() {
    assert_eq!(purpose::NAMES.iter().fold(0, |all, (bit, _)| all | bit), purpose::ALL);
    assert!(purpose::NAMES.iter().all(|(bit, name)| purpose::from_name(name) == Some(*bit)));
    assert_eq!(purpose::from_name("resell"), None);
    assert!(purpose::is_valid(purpose::TRAIN) && !purpose::is_valid(0) && !purpose::is_valid(1 << 9));
}
