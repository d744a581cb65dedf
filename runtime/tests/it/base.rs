//! The demo base model of the presets is the one in `fixtures/base`.

use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};
use weft_protocol::{
    hash::raw_hash,
    merkle::{tensor_hash, Dtype},
    shape::{base_root, base_tensor},
};
use weft_runtime::presets::{DEMO_BASE, DEMO_SHAPE, DEMO_TEXTS};

/// A file of the fixture.
fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/base").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of a matrix, transposed.
fn transposed(raw: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    let size = raw.len() / (rows * columns);
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| (row * columns + column) * size))
        .flat_map(|from| raw[from..from + size].iter().copied())
        .collect()
}

#[test]
fn the_demo_base_should_be_the_fixture() {
    // GIVEN the fixture: a safetensors file is a length, a JSON header and the tensors.
    let model = file("model.safetensors");
    let header = usize::try_from(u64::from_le_bytes(model[..8].try_into().unwrap())).unwrap();
    let entries: BTreeMap<String, Value> = serde_json::from_slice(&model[8..8 + header]).unwrap();
    let config: Value = serde_json::from_slice(&file("config.json")).unwrap();

    // WHEN its root is computed.
    let mut leaves = Vec::new();
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "__metadata__") {
        assert_eq!(entry["dtype"], "BF16");
        let at = |i: usize| usize::try_from(entry["data_offsets"][i].as_u64().unwrap()).unwrap();
        let raw = &model[8 + header + at(0)..8 + header + at(1)];
        let dims: Vec<u32> =
            entry["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap() as u32).collect();
        let plain = tensor_hash(Dtype::Bf16, &dims, raw);
        let turned = match dims[..] {
            [rows, columns] => {
                tensor_hash(Dtype::Bf16, &[columns, rows], &transposed(raw, rows as usize, columns as usize))
            }
            _ => plain,
        };
        leaves.push((name.clone(), base_tensor(name, &plain, &turned)));
    }
    let theta = config["rope_theta"].as_f64().unwrap();
    let freq = weft_numerics::inv_freq::default(theta, DEMO_SHAPE.head_dim.into()).unwrap();
    let raw: Vec<u8> = freq.iter().flat_map(|x| x.to_le_bytes()).collect();
    let freq = tensor_hash(Dtype::F32, &[freq.len() as u32], &raw);
    leaves.push(("inv_freq".into(), base_tensor("inv_freq", &freq, &freq)));
    let texts = (raw_hash(&file("tokenizer.json")), raw_hash(&file("chat_template.jinja")));
    let root = base_root(&DEMO_SHAPE, &texts.0, &texts.1, &leaves).unwrap();

    // THEN the constants of the presets are these.
    assert_eq!(texts, DEMO_TEXTS);
    assert_eq!(hex::encode(root), hex::encode(DEMO_BASE));
    assert_eq!(config["hidden_size"], DEMO_SHAPE.d);
    assert_eq!(config["num_hidden_layers"], DEMO_SHAPE.layers);
    assert_eq!(config["vocab_size"], DEMO_SHAPE.vocab);
}
