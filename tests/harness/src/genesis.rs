//! Chain specifications: a preset of the node, with a faster pace and other base models.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use codec::Encode;
use serde_json::{json, Map, Value};
use weft_engine::Base;
use weft_protocol::hash::{raw_hash, Hash};

use crate::{process, HarnessError, HarnessResult, Programs};

/// Longest time of an export on a busy machine: the node builds the genesis for it.
const EXPORT: Duration = Duration::from_secs(120);

/// A chain specification that is being changed.
#[derive(Clone, Debug)]
pub struct Genesis {
    spec: Value,
}

impl Genesis {
    /// The specification of a preset: `development` or `local_testnet`.
    pub async fn export(programs: &Programs, preset: &str) -> HarnessResult<Self> {
        let folder = tempfile::tempdir().map_err(|e| HarnessError::io("create", Path::new("a folder"), e))?;
        let file = folder.path().join("spec.json");
        let mut command = programs.command("weft-node");
        command.args(["export-chain-spec", "--chain", preset, "--output"]).arg(&file);
        let (status, output) = process::run(command, EXPORT).await?;
        if !status.success() {
            return Err(HarnessError::failed(format!("weft-node does not export the chain '{preset}':\n{output}")));
        }
        let bytes = std::fs::read(&file).map_err(|e| HarnessError::io("read", &file, e))?;
        let spec = serde_json::from_slice(&bytes).map_err(|e| HarnessError::fixture(&file, e))?;
        Ok(Self { spec })
    }

    fn section(&mut self, name: &str) -> HarnessResult<&mut Map<String, Value>> {
        let missing = || HarnessError::Spec { what: "genesis.runtimeGenesis.patch".into() };
        let patch = self
            .spec
            .pointer_mut("/genesis/runtimeGenesis/patch")
            .and_then(Value::as_object_mut)
            .ok_or_else(missing)?;
        patch
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut()
            .ok_or_else(|| HarnessError::Spec { what: format!("object {name}") })
    }

    /// Length of a slot in milliseconds and of an epoch in slots.
    pub fn pace(mut self, slot_ms: u64, epoch_slots: u64) -> HarnessResult<Self> {
        let params = self.section("chainParams")?;
        params.insert("slotDuration".into(), slot_ms.into());
        params.insert("epochDuration".into(), epoch_slots.into());
        Ok(self)
    }

    /// A timer of runs, audits and disputes, in blocks.
    pub fn timer(mut self, name: &str, blocks: u32) -> HarnessResult<Self> {
        let timers = self.section("computeOracles")?.get_mut("timers").and_then(Value::as_object_mut);
        let timer = timers.and_then(|t| t.get_mut(name));
        *timer.ok_or_else(|| HarnessError::Spec { what: format!("timer {name}") })? = blocks.into();
        Ok(self)
    }

    /// Makes the base model of a folder active from the start, unless it is there already. Returns its root.
    pub fn base(mut self, dir: &Path, name: &str) -> HarnessResult<(Self, Hash)> {
        let base = Base::load(dir).map_err(|e| HarnessError::fixture(dir, e))?;
        let root = base.root();
        let text = format!("0x{}", hex::encode(root));
        let models = self.section("models")?;
        let list = models
            .entry("baseModels")
            .or_insert_with(|| Value::Array(Vec::new()))
            .as_array_mut()
            .ok_or_else(|| HarnessError::Spec { what: "list models.baseModels".into() })?;
        if !list.iter().any(|b| b.get("root").and_then(Value::as_str) == Some(&text)) {
            let file = dir.join("tokenizer.json");
            let tokenizer = std::fs::read(&file).map_err(|e| HarnessError::io("read", &file, e))?;
            let file = dir.join("chat_template.jinja");
            let template = std::fs::read(&file).map_err(|e| HarnessError::io("read", &file, e))?;
            list.push(json!({
                "root": text,
                "name": name,
                "licence": "Apache-2.0",
                "shape": format!("0x{}", hex::encode(base.shape().encode())),
                "tokenizer": format!("0x{}", hex::encode(raw_hash(&tokenizer))),
                "template": format!("0x{}", hex::encode(raw_hash(&template))),
            }));
        }
        Ok((self, root))
    }

    /// Writes the specification.
    pub fn write(&self, file: &Path) -> HarnessResult<PathBuf> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|e| HarnessError::io("create", folder, e))?;
        }
        std::fs::write(file, self.spec.to_string()).map_err(|e| HarnessError::io("write", file, e))?;
        Ok(file.to_path_buf())
    }
}
