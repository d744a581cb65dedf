//! Bounds, derived numbers and JSON of recipes; slots.

use crate::strategies as s;
use proptest::prelude::*;
use weft_protocol::{dec::Dec, graph::*, recipe::*, shape::*};

pub(crate) fn small() -> ModelShape {
    ModelShape {
        arch: Arch::Llama,
        layers: 4,
        d: 256,
        heads: 8,
        kv_heads: 4,
        head_dim: 32,
        f: 640,
        vocab: 4096,
        context: 512,
        rms_eps: Dec::new(1, -5).unwrap(),
        tied: true,
        bias: 0,
        window: 0,
    }
}

fn good() -> Recipe {
    Recipe { max_seq_len: 512, ..Recipe::attributed() }
}

fn d(text: &str) -> Dec {
    Dec::parse(text).unwrap()
}

#[test]
fn defaults_should_be_valid() {
    assert_eq!(good().validate(&small(), 180, true), Ok(()));
    let plain = Recipe { max_seq_len: 512, ..Recipe::plain() };
    assert_eq!(plain.validate(&small(), 180, true), Ok(()));
    assert_eq!(Recipe { dropout: d("0.5"), ..plain }.validate(&small(), 180, false), Ok(()));
}

#[test]
fn each_bound_should_name_its_field() {
    type Change = fn(&mut Recipe);
    let cases: &[(&str, Change)] = &[
        ("schema", |r| r.schema = 2),
        ("r", |r| r.r = 0),
        ("r", |r| r.r = 257),
        ("r", |r| r.r = 129),
        ("alpha", |r| r.alpha = 0),
        ("alpha", |r| r.alpha = 513),
        ("dropout", |r| r.dropout = d("0.1")),
        ("dropout", |r| r.dropout = d("0.6")),
        ("targets", |r| r.targets = 0),
        ("targets", |r| r.targets = 0x80),
        ("learning_rate", |r| r.learning_rate = d("9e-8")),
        ("learning_rate", |r| r.learning_rate = d("0.011")),
        ("epochs", |r| r.length = Length::Epochs(0)),
        ("epochs", |r| r.length = Length::Epochs(51)),
        ("max_steps", |r| r.length = Length::MaxSteps(0)),
        ("max_steps", |r| r.length = Length::MaxSteps(1_000_001)),
        ("max_steps", |r| r.length = Length::MaxSteps(563)),
        ("batch_size", |r| r.batch_size = 0),
        ("batch_size", |r| r.batch_size = 257),
        ("max_seq_len", |r| r.max_seq_len = 7),
        ("max_seq_len", |r| r.max_seq_len = 513),
        ("warmup", |r| r.warmup = Warmup::Ppm(99_999)),
        ("warmup", |r| r.warmup = Warmup::Ppm(500_001)),
        ("warmup", |r| r.warmup = Warmup::Steps(3)),
        ("warmup", |r| r.warmup = Warmup::Steps(18)),
        ("beta1", |r| r.beta1 = Dec::ONE),
        ("beta2", |r| r.beta2 = Dec::ONE),
        ("eps", |r| r.eps = Dec::ZERO),
        ("eps_root", |r| r.eps_root = Dec::ZERO),
        ("eps_root", |r| r.eps_root = d("1.1")),
        ("record_clip", |r| r.record_clip = Dec::ZERO),
        ("record_clip", |r| r.record_clip = d("9e-4")),
        ("record_clip", |r| r.record_clip = d("1000001")),
        ("weight_decay", |r| r.weight_decay = d("1.1")),
        ("max_grad_norm", |r| r.max_grad_norm = Dec::ONE),
        ("max_grad_norm", |r| r.max_grad_norm = d("0.001")),
        ("eval", |r| r.eval_ppm = 500_001),
        ("exclude", |r| r.exclude = vec![[2; 32], [1; 32]]),
        ("exclude", |r| r.exclude = vec![[1; 32], [1; 32]]),
        ("exclude", |r| r.exclude = vec![[1; 32]; 1001]),
    ];
    for (field, change) in cases {
        let mut recipe = good();
        change(&mut recipe);
        assert_eq!(recipe.validate(&small(), 180, true).unwrap_err().field, *field, "{recipe:?}");
    }
    assert!(good().validate(&small(), 0, true).is_err());
}

#[test]
fn steps_should_round_up() {
    let recipe = Recipe { batch_size: 16, length: Length::Epochs(3), ..good() };
    assert_eq!(recipe.steps(180), Some(34));
    assert_eq!(recipe.steps(16), Some(3));
    assert_eq!(recipe.steps(0), None);
    assert_eq!(recipe.warmup_steps(34), Some(4));
    let recipe = Recipe { length: Length::MaxSteps(90), ..recipe };
    assert_eq!((recipe.steps(180), recipe.epochs(180)), (Some(90), Some(8)));
    let widest = Recipe {
        exclude: (0..1000u16)
            .map(|i| {
                let mut id = [0; 32];
                id[..2].copy_from_slice(&i.to_be_bytes());
                id
            })
            .collect(),
        ..good()
    };
    assert_eq!(widest.validate(&small(), 180, true), Ok(()));
}

proptest! {
    #[test]
    fn json_should_round_trip(recipe in s::recipe()) {
        let json = serde_json::to_string(&recipe).unwrap();
        prop_assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }

    #[test]
    fn validation_should_not_panic(recipe in s::recipe(), shape in s::shape(), n in any::<u32>(), job in any::<bool>()) {
        let _ = recipe.validate(&shape, n, job);
        let _ = shape.linear_parameters();
        let _ = recipe.lora_parameters(&shape);
    }
}

#[test]
fn json_should_take_what_people_write() {
    let text = r#"{"r": 8, "alpha": 16, "learning_rate": 0.0003, "max_steps": 90, "warmup": "12.5%", "eval": "0%",
        "targets": ["q", "v_proj"], "weight_decay": "1e-2", "record_clip": 2, "schedule": "linear"}"#;
    let recipe: Recipe = serde_json::from_str(text).unwrap();
    let expected = Recipe {
        r: 8,
        alpha: 16,
        learning_rate: d("3e-4"),
        length: Length::MaxSteps(90),
        warmup: Warmup::Ppm(125_000),
        eval_ppm: 0,
        targets: 0b101,
        weight_decay: d("0.01"),
        record_clip: d("2"),
        schedule: Schedule::Linear,
        ..Recipe::attributed()
    };
    assert_eq!(recipe, expected);
    assert_eq!(serde_json::from_str::<Recipe>("{}").unwrap(), Recipe::attributed());
    assert_eq!(serde_json::from_str::<Recipe>(r#"{"attribution": false}"#).unwrap(), Recipe::plain());
    for (bad, word) in [
        (r#"{"rank": 8}"#, "rank"),
        (r#"{"epochs": 1, "max_steps": 2}"#, "max_steps"),
        (r#"{"schedule": "warp"}"#, "warp"),
        (r#"{"targets": ["head"]}"#, "head"),
        (r#"{"warmup": "ten"}"#, "warmup"),
        (r#"{"eval": "0.00001%"}"#, "eval"),
        (r#"{"learning_rate": -1}"#, "-1"),
        (r#"{"exclude": ["zz"]}"#, "exclude"),
    ] {
        let error = serde_json::from_str::<Recipe>(bad).unwrap_err().to_string();
        assert!(error.contains(word), "{bad}: {error}");
    }
}

#[test]
fn slots_should_be_sorted_and_count_the_parameters() {
    let shape = ModelShape { layers: 12, ..small() };
    let slots = lora_slots(&shape, &good());
    assert_eq!(slots.len(), 12 * 7 * 2);
    assert!(slots.is_sorted_by(|a, b| a.name.as_bytes() < b.name.as_bytes()));
    assert_eq!(slots[0].name, "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
    assert_eq!((slots[0].dims, slots[1].dims), ([16, 640], [256, 16]));
    assert_eq!((slots[14].layer, slots[28].layer, slots[42].layer), (1, 10, 11));
    let elements: u64 = slots.iter().map(Slot::elements).sum();
    assert_eq!(Some(u128::from(elements)), good().lora_parameters(&shape));
    assert_eq!(Target::Q.weight_name(3), "model.layers.3.self_attn.q_proj.weight");
    assert_eq!(Target::Gate.weight_name(0), "model.layers.0.mlp.gate_proj.weight");
}

#[test]
fn parameters_should_be_those_of_the_shipped_model() {
    // 4 blocks of q 256², k and v 256·128, o 256², three times 256·640, and the head 256·4096.
    assert_eq!(small().linear_parameters(), Some(4 * (2 * 65_536 + 2 * 32_768 + 3 * 163_840) + 1_048_576));
    assert!(small().is_consistent());
    assert!(!ModelShape { kv_heads: 3, ..small() }.is_consistent());
    assert!(!ModelShape { head_dim: 31, ..small() }.is_consistent());
}
