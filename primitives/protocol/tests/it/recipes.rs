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
        ("warmup", |r| (r.length, r.warmup) = (Length::MaxSteps(35), Warmup::Steps(18))),
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
        ("overlong", |r| r.overlong = Overlong::Refuse),
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
fn long_records_should_be_refusable_only_outside_of_jobs() {
    let recipe = Recipe { overlong: Overlong::Refuse, ..good() };
    assert_eq!(recipe.validate(&small(), 180, false), Ok(()));
    assert_eq!(recipe.validate(&small(), 180, true).unwrap_err().bounds, "truncate or drop in jobs");
}

#[test]
fn steps_should_round_up() {
    let recipe = Recipe { batch_size: 16, length: Length::Epochs(3), ..good() };
    assert_eq!(recipe.steps(180), Some(34));
    assert_eq!(recipe.steps(16), Some(3));
    assert_eq!(recipe.steps(0), None);
    assert_eq!(
        (recipe.warmup_steps(34), recipe.warmup_steps(90), recipe.warmup_steps(91)),
        (Some(4), Some(9), Some(10))
    );
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

#[test]
fn steps_should_be_refused_beyond_a_million_however_the_length_is_given() {
    // GIVEN epochs of a batch of 1, so that 50 epochs of 20,000 records are a million steps
    let most = |length, batch_size| Recipe { length, batch_size, ..Recipe { max_seq_len: 512, ..Recipe::plain() } };
    let check = |recipe: Recipe, n| recipe.validate(&small(), n, true).map_err(|error| error.field);
    // WHEN one record more makes one step too many
    // THEN the field that says the length is named, and a larger batch is a way out
    assert_eq!(check(most(Length::Epochs(50), 1), 20_000), Ok(()));
    assert_eq!(check(most(Length::Epochs(50), 1), 20_001), Err("epochs"));
    assert_eq!(check(most(Length::Epochs(50), 2), 20_001), Ok(()));
    assert_eq!(check(most(Length::Epochs(50), 1), u32::MAX), Err("epochs"));
    assert_eq!(check(most(Length::MaxSteps(MAX_STEPS), 1), 20_000), Ok(()));
    assert_eq!(check(most(Length::MaxSteps(MAX_STEPS + 1), 1), 20_000), Err("max_steps"));
    assert_eq!(check(most(Length::MaxSteps(u32::MAX), 1), 20_000), Err("max_steps"));
    assert_eq!(check(most(Length::Epochs(1), 1), 0), Err("epochs"));
}

#[test]
fn warmup_should_be_at_most_half_of_the_steps() {
    let recipe = |steps, warmup| Recipe { length: Length::MaxSteps(steps), warmup, ..good() };
    let check = |steps, warmup| recipe(steps, warmup).validate(&small(), 180, true).is_ok();
    assert!(check(34, Warmup::Steps(17)) && !check(34, Warmup::Steps(18)));
    assert!(check(35, Warmup::Steps(17)) && !check(35, Warmup::Steps(18)));
    assert!(!check(1, Warmup::Steps(1)) && !check(34, Warmup::Steps(u32::MAX)));
    // A share rounds up, also beyond the half.
    assert!(check(35, Warmup::Ppm(500_000)) && !check(35, Warmup::Ppm(500_001)));
    assert_eq!(recipe(35, Warmup::Ppm(500_000)).warmup_steps(35), Some(18));
}

proptest! {
    #[test]
    fn accepted_recipe_should_have_countable_steps(
        epochs in 0u16..55, steps in 0u32..1_100_000, by_steps in any::<bool>(), batch_size in 1u16..=256,
        share in 0u32..600_000, warm in 0u32..600_000, by_share in any::<bool>(),
        n in prop_oneof![0u32..1_000, 0u32..1_000_000, any::<u32>()],
    ) {
        let length = if by_steps { Length::MaxSteps(steps) } else { Length::Epochs(epochs) };
        let warmup = if by_share { Warmup::Ppm(share) } else { Warmup::Steps(warm) };
        let recipe = Recipe { length, batch_size, warmup, max_seq_len: 512, ..Recipe::plain() };
        let valid = recipe.validate(&small(), n, true).is_ok();
        let counted = recipe.steps(n).filter(|steps| (1..=MAX_STEPS).contains(steps));
        prop_assert!(!valid || counted.is_some());
        if let Some(steps) = counted.filter(|_| valid) {
            let most = if by_share { steps.div_ceil(2) } else { steps / 2 };
            prop_assert!(recipe.warmup_steps(steps).unwrap() <= most);
        }
    }

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
fn base_root_should_be_none_when_a_name_stands_twice() {
    let root = |leaves: &[(&str, [u8; 32])]| base_root(&small(), &[1; 32], &[2; 32], leaves);
    let (a, b) = (base_tensor("a", &[3; 32], &[4; 32]), base_tensor("b", &[3; 32], &[4; 32]));
    assert!(root(&[("a", a), ("b", b)]).is_some());
    assert_eq!(root(&[("a", a), ("b", b)]), root(&[("b", b), ("a", a)]));
    assert_eq!(root(&[("a", a), ("a", a)]), None);
    assert_eq!(root(&[("a", a), ("b", b), ("a", b)]), None);
}

#[test]
fn parameters_should_be_those_of_the_shipped_model() {
    // 4 blocks of q 256², k and v 256·128, o 256², three times 256·640, and the head 256·4096.
    assert_eq!(small().linear_parameters(), Some(4 * (2 * 65_536 + 2 * 32_768 + 3 * 163_840) + 1_048_576));
    assert!(small().is_consistent());
    assert!(!ModelShape { kv_heads: 3, ..small() }.is_consistent());
    assert!(!ModelShape { head_dim: 31, ..small() }.is_consistent());
}
