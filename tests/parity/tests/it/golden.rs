//! Reading `tests/parity/golden`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;
use weft_engine::{Base, Layout, Tokens};
use weft_protocol::recipe::Recipe;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// One golden case.
pub(crate) struct Case {
    pub(crate) model: String,
    pub(crate) json: Value,
    pub(crate) records: Vec<(Vec<u32>, Vec<u8>)>,
    tensors: BTreeMap<String, Vec<f32>>,
}

pub(crate) fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32)
        .map(|(name, view)| {
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            (name.to_string(), values)
        })
        .collect()
}

impl Case {
    fn read(kind: &str, name: &str) -> Self {
        let path = folder().join(kind).join(format!("{name}.json"));
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let records = json["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| {
                let list = |k: &str| r[k].as_array().unwrap().iter().map(|v| v.as_u64().unwrap());
                (list("ids").map(|v| v as u32).collect(), list("mask").map(|v| v as u8).collect())
            })
            .collect();
        let file = path.with_extension("safetensors");
        let tensors = if file.exists() { tensors(&file) } else { BTreeMap::new() };
        let model = json["model"].as_str().unwrap().to_string();
        Self { model, json, records, tensors }
    }

    pub(crate) fn gradients(name: &str) -> Self {
        Self::read("gradients", name)
    }

    pub(crate) fn model_folder(&self) -> PathBuf {
        folder().join("models").join(&self.model)
    }

    /// The golden models have no tokenizer; a folder that the engine loads has one.
    pub(crate) fn base(&self) -> Base {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.model_folder()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
        Base::load(dir.path()).unwrap()
    }

    pub(crate) fn recipe(&self) -> Recipe {
        let mut recipe = Recipe::attributed();
        let number = |k: &str| self.json[k].as_u64();
        recipe.r = number("r").unwrap_or(4) as u16;
        recipe.alpha = number("alpha").unwrap_or(8) as u16;
        recipe.rslora = self.json["rslora"].as_bool().unwrap_or(false);
        if let Some(targets) = self.json["targets"].as_array() {
            let order = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
            recipe.targets = targets
                .iter()
                .map(|t| 1u8 << order.iter().position(|o| *o == t.as_str().unwrap()).unwrap())
                .fold(0, |a, b| a | b);
        }
        recipe
    }

    pub(crate) fn tokens(&self) -> Vec<Tokens<'_>> {
        self.records.iter().map(|(ids, mask)| Tokens { ids, mask }).collect()
    }

    pub(crate) fn tensor(&self, key: &str) -> Vec<f32> {
        self.tensors.get(key).unwrap_or_else(|| panic!("no tensor {key}")).clone()
    }

    /// θ of a layout from tensors named `prefix` + slot.
    pub(crate) fn theta(&self, layout: &Layout, prefix: &str) -> Vec<f32> {
        layout.slots().iter().flat_map(|s| self.tensor(&format!("{prefix}{}", s.name))).collect()
    }
}
