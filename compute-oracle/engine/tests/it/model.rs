//! Model folders and adapters that must be refused, each with its code.

use safetensors::tensor::{serialize, Dtype, SafeTensors, TensorView};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use weft_engine::{base_root, merge, Adapter, Base, EngineError};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base")
}

/// A copy of the tiny base in a temporary folder.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"]
    {
        std::fs::copy(tiny().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// The code of loading the tiny base with some keys of its configuration changed.
fn with_config(changes: &[(&str, Value)]) -> Result<Base, EngineError> {
    let dir = copy();
    let path = dir.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    std::fs::write(&path, config.to_string()).unwrap();
    Base::load(dir.path())
}

#[test]
fn configuration_should_be_refused_when_it_asks_for_what_is_not_computed() {
    for (key, value, code) in [
        ("model_type", json!("gpt2"), "unsupported_architecture"),
        ("hidden_act", json!("gelu"), "unsupported_config"),
        ("auto_map", json!({"AutoModel": "x.py"}), "unsupported_config"),
        ("num_experts", json!(8), "unsupported_config"),
        ("attention_dropout", json!(0.1), "unsupported_config"),
        ("quantization_config", json!({"quant_method": "gptq"}), "unsupported_config"),
        ("partial_rotary_factor", json!(0.5), "unsupported_config"),
        ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0}), "unsupported_config"),
        ("rope_scaling", json!({"rope_type": "linear", "factor": 2.0, "magic": 1}), "unknown_config_key"),
        ("rope_theta", json!("500000"), "unsupported_config"),
        ("rope_scaling", json!({"rope_type": "linear", "factor": "4"}), "unsupported_config"),
        ("rope_scaling", json!({"rope_type": null, "type": 3}), "unsupported_config"),
        ("rope_scaling", json!({"rope_type": "linear", "type": "llama3", "factor": 4.0}), "unsupported_config"),
        ("rope_scaling", json!({"factor": 4.0}), "unsupported_config"),
        ("rope_scaling", json!("linear"), "unsupported_config"),
        // The file has `rope_theta` 10,000.
        ("rope_parameters", json!({"rope_type": "default", "rope_theta": 500000.0}), "unsupported_config"),
        ("use_mrope", json!(true), "unsupported_config"),
        ("eos_token_id", json!("5"), "unsupported_config"),
        ("eos_token_id", json!([5, -1]), "unsupported_config"),
        ("logit_scale", json!(2.0), "unknown_config_key"),
        ("num_key_value_heads", json!(3), "malformed"),
        ("head_dim", json!(15), "malformed"),
        ("hidden_size", json!(-1), "unsupported_config"),
        ("hidden_size", json!(128), "shape_mismatch"),
        ("num_hidden_layers", json!(3), "missing_tensor"),
        ("num_hidden_layers", json!(1), "extra_tensor"),
        ("vocab_size", json!(4_000_000_000u64), "malformed"),
    ] {
        let e = with_config(&[(key, value.clone())]).unwrap_err();
        assert_eq!(e.code(), code, "{key} = {value}: {e}");
        assert!(
            e.to_string().contains("config.json") || e.to_string().contains("safetensors") || code == "missing_tensor"
        );
    }
    for scaling in [json!({"type": "linear", "factor": 2.0}), json!({"rope_type": null, "type": "linear", "factor": 2})]
    {
        let base = with_config(&[("pad_token_id", json!(3)), ("rope_scaling", scaling.clone())]).unwrap();
        // Not the plain frequencies: a null beside the older spelling hides nothing.
        assert_ne!(base.root(), base_root(&tiny()).unwrap(), "{scaling}");
    }
    for same in [("rope_parameters", json!({"rope_type": "default", "rope_theta": 10000})), ("use_mrope", json!(false))]
    {
        assert_eq!(with_config(std::slice::from_ref(&same)).unwrap().root(), base_root(&tiny()).unwrap(), "{}", same.0);
    }
}

#[test]
fn base_should_be_refused_when_it_does_not_fit_the_memory() {
    let wide = json!(1 << 20);
    let e = with_config(&[("hidden_size", wide.clone()), ("intermediate_size", wide)]).unwrap_err();
    assert_eq!(e.code(), "out_of_memory");
    assert!(e.to_string().contains("MiB are free") && !e.next().is_empty(), "{e}");
}

#[test]
fn merge_should_refuse_a_folder_when_it_exists() {
    // GIVEN an adapter and a folder with something in it
    let base = Base::load(&tiny()).unwrap();
    let tensor = |dims: [usize; 2]| TensorView::new(Dtype::F32, dims.to_vec(), &[0; 2 * 64 * 4]).unwrap();
    let q = "base_model.model.model.layers.0.self_attn.q_proj";
    let views = [(format!("{q}.lora_A.weight"), tensor([2, 64])), (format!("{q}.lora_B.weight"), tensor([64, 2]))];
    let file = serialize(views, None).unwrap();
    let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4}).to_string();
    let adapter = Adapter::from_files(&base, &file, &config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("notes"), b"mine").unwrap();
    // WHEN it is named as the target, THEN nothing of it changes
    assert_eq!(merge(&base, &adapter, &kept).unwrap_err().code(), "already_exists");
    assert_eq!(std::fs::read(kept.join("notes")).unwrap(), b"mine");
    // AND a new folder is whole, with nothing left beside it
    let new = dir.path().join("new");
    merge(&base, &adapter, &new).unwrap();
    assert_eq!(Base::load(&new).unwrap().root(), base.root(), "an adapter of zeros changes no weight");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn weights_should_be_refused_when_tensors_are_missing_extra_or_misshapen() {
    let raw = std::fs::read(tiny().join("model.safetensors")).unwrap();
    let st = SafeTensors::deserialize(&raw).unwrap();
    type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;
    let rewrite = |edit: &dyn Fn(&mut Tensors)| {
        let dir = copy();
        let mut all: Tensors =
            st.iter().map(|(n, v)| (n.to_owned(), v.dtype(), v.shape().to_vec(), v.data().to_vec())).collect();
        edit(&mut all);
        let views = all.iter().map(|(n, d, s, b)| (n.clone(), TensorView::new(*d, s.clone(), b).unwrap()));
        std::fs::write(dir.path().join("model.safetensors"), serialize(views, None).unwrap()).unwrap();
        Base::load(dir.path()).map(|b| b.root())
    };
    let name = "model.layers.1.mlp.up_proj.weight";
    let e = rewrite(&|all| all.retain(|t| t.0 != name)).unwrap_err();
    assert!(e.code() == "missing_tensor" && e.to_string().contains(name), "{e}");
    let e = rewrite(&|all| all.push(("model.extra".into(), Dtype::F32, vec![1], vec![0; 4]))).unwrap_err();
    assert!(e.code() == "extra_tensor" && e.to_string().contains("model.extra"), "{e}");
    let e = rewrite(&|all| all.iter_mut().filter(|t| t.0 == name).for_each(|t| t.2.reverse())).unwrap_err();
    assert!(e.code() == "shape_mismatch" && e.to_string().contains(name), "{e}");
    // One changed bit changes the root.
    let plain = rewrite(&|_| ()).unwrap();
    assert_eq!(plain, base_root(&tiny()).unwrap());
    assert_ne!(rewrite(&|all| all[0].3[0] ^= 1).unwrap(), plain);
}

#[test]
fn folder_should_be_refused_when_files_are_absent_torn_or_unsafe() {
    let dir = copy();
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(Base::load(dir.path()).unwrap_err().code(), "io");
    assert!(Base::load_bare(dir.path()).is_ok());
    let dir = copy();
    let raw = std::fs::read(dir.path().join("model.safetensors")).unwrap();
    std::fs::write(dir.path().join("model.safetensors"), &raw[..raw.len() / 2]).unwrap();
    assert_eq!(Base::load(dir.path()).unwrap_err().code(), "malformed");
    let dir = copy();
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert_eq!(Base::load(dir.path()).unwrap_err().code(), "io");
    std::fs::write(dir.path().join("pytorch_model.bin"), b"x").unwrap();
    assert_eq!(Base::load(dir.path()).unwrap_err().code(), "unsafe_format");
    std::fs::write(dir.path().join("config.json"), b"{").unwrap();
    assert_eq!(Base::load(dir.path()).unwrap_err().code(), "malformed");
}

#[test]
fn adapter_should_be_refused_when_it_is_not_plain_lora() {
    let base = Base::load(&tiny()).unwrap();
    let a = |name: &str, dims: [usize; 2]| (name.to_owned(), dims, vec![0u8; dims[0] * dims[1] * 4]);
    let q = "base_model.model.model.layers.0.self_attn.q_proj";
    let (la, lb) = (format!("{q}.lora_A.weight"), format!("{q}.lora_B.weight"));
    let load = |tensors: &[(String, [usize; 2], Vec<u8>)], config: &Value| {
        let views = tensors.iter().map(|(n, d, b)| (n.clone(), TensorView::new(Dtype::F32, d.to_vec(), b).unwrap()));
        let file = serialize(views, None).unwrap();
        Adapter::from_files(&base, &file, &config.to_string()).map(|_| ()).map_err(|e| e.code())
    };
    let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none"});
    let good = vec![a(&la, [2, 64]), a(&lb, [64, 2])];
    assert_eq!(load(&good, &config), Ok(()));
    let with = |extra| good.iter().cloned().chain([extra]).collect::<Vec<_>>();
    let unsupported = Err("adapter_unsupported");
    assert_eq!(load(&with(a("base_model.model.lm_head.lora_A.weight", [2, 64])), &config), unsupported);
    assert_eq!(load(&with(a(&la.replace(".0.", ".7."), [2, 64])), &config), unsupported);
    assert_eq!(load(&good[..1], &config), unsupported);
    assert_eq!(load(&[a(&la, [3, 64]), a(&lb, [64, 2])], &config), unsupported);
    assert_eq!(load(&[a(&la, [2, 63]), a(&lb, [64, 2])], &config), Err("shape_mismatch"));
    assert_eq!(load(&[a(&la, [3, 64]), a(&lb, [64, 3])], &config), Err("shape_mismatch"));
    for (key, value) in [
        ("use_dora", json!(true)),
        ("modules_to_save", json!(["lm_head"])),
        ("bias", json!("all")),
        ("peft_type", json!("IA3")),
        ("rank_pattern", json!({".*q_proj": 2})),
        ("rank_pattern", json!(["q_proj"])),
        ("rank_pattern", json!({"q_proj": 1.5})),
        ("use_rslora", json!("true")),
    ] {
        let mut changed = config.clone();
        changed[key] = value;
        assert_eq!(load(&good, &changed), unsupported, "{key}");
    }
}
