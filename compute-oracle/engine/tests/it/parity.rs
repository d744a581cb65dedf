//! The engine against PyTorch, transformers and PEFT, by golden vectors
//! (`tests/parity/golden/README.md`). Tolerances are never widened.

use safetensors::{
    tensor::{serialize, TensorView},
    SafeTensors,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use weft_engine::{
    adapter::merge,
    generate,
    generate::Session,
    lora::{bytes_of, floats_of},
    train::{Item, Trainer},
    Adapter, Base, Compute, Evaluator, GenRequest, Isa, Layout, Tokens,
};
use weft_numerics::schedule::{lambda, Schedule};
use weft_protocol::{
    dec::Dec,
    peft,
    recipe::{Length, Recipe, Warmup},
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/golden")
}

fn model(name: &str) -> Base {
    Base::load_bare(&golden().join("models").join(name)).unwrap()
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden().join(path)).unwrap()).unwrap()
}

fn on() -> Compute {
    Compute { isa: Isa::detect(), threads: 2 }
}

fn ints(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

fn bytes(v: &Value) -> Vec<u8> {
    ints(v).into_iter().map(|x| x as u8).collect()
}

fn ids_of(st: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    st.tensor(name).unwrap().data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn values(st: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    floats_of(st.tensor(name).unwrap().data())
}

/// Logits of every position, token by token.
fn logits(base: &Base, adapter: Option<&Adapter>, ids: &[u32], chunk: usize) -> Vec<f32> {
    let mut s = Session::new(base, adapter, on(), ids.len()).unwrap();
    let mut out = Vec::new();
    for part in ids.chunks(chunk) {
        s.push(part).unwrap();
        out.extend_from_slice(s.logits());
    }
    out
}

fn close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let worst = got.iter().zip(want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 2e-5 * most, "{what}: {worst} of {most}");
}

#[test]
fn logits_should_equal_transformers_when_shapes_and_rope_vary() {
    for name in ["plain", "linear", "llama3", "wide"] {
        let base = model(name);
        let raw = std::fs::read(golden().join(format!("logits/{name}.safetensors"))).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        for i in 0..3 {
            let ids = ids_of(&st, &format!("ids_{i}"));
            let got = logits(&base, None, &ids, 1);
            close(&got, &values(&st, &format!("logits_{i}")), &format!("{name} {i}"));
            // Any prompt chunking gives the same bits.
            let v = base.shape().vocab as usize;
            for chunk in [7, 64] {
                let some = logits(&base, None, &ids, chunk);
                let last = ids.len() - 1;
                assert_eq!(some[some.len() - v..], got[last * v..], "{name} {i} chunk {chunk}");
            }
        }
    }
}

#[test]
fn loss_should_equal_transformers_when_masks_are_uneven() {
    for name in ["plain", "linear", "llama3", "wide"] {
        let base = model(name);
        let g = json(&format!("loss/{name}.json"));
        let records: Vec<(Vec<u32>, Vec<u8>)> =
            g["records"].as_array().unwrap().iter().map(|r| (ints(&r["ids"]), bytes(&r["mask"]))).collect();
        let tokens: Vec<Tokens<'_>> = records.iter().map(|(ids, mask)| Tokens { ids, mask }).collect();
        // The layout does not matter for losses; an adapter with B = 0 is the base.
        let recipe = Recipe { r: 2, ..Recipe::plain() };
        let layout = Layout::new(&base, &recipe).unwrap();
        let theta = layout.init(&[1; 32]);
        let mut out = Vec::new();
        Evaluator::new(&base, &layout, on()).run(&theta, &tokens, None, &mut out, &mut []).unwrap();
        let mut total = 0.0f64;
        for (e, want) in out.iter().zip(g["per_record"].as_array().unwrap()) {
            let nll = want["nll"].as_f64().unwrap();
            assert!((f64::from(e.loss) - nll).abs() <= 1e-6 * nll.abs(), "{name}: {} {nll}", e.loss);
            total += f64::from(e.loss);
        }
        let mean = g["mean"].as_f64().unwrap();
        let targets = g["targets"].as_f64().unwrap();
        assert!((total / targets - mean).abs() <= 1e-6 * mean, "{name}");
    }
}

/// An adapter as PEFT's two files from tensors with a prefix.
fn adapter_of(base: &Base, st: &SafeTensors<'_>, prefix: &str, r: u64, alpha: u64, rslora: bool) -> Adapter {
    let mut all: Vec<(String, safetensors::tensor::TensorView<'_>)> = Vec::new();
    for (name, view) in st.tensors() {
        if let Some(key) = name.strip_prefix(prefix) {
            all.push((key.to_owned(), view));
        }
    }
    let file = safetensors::tensor::serialize(all, None).unwrap();
    let config = format!("{{\"peft_type\":\"LORA\",\"r\":{r},\"lora_alpha\":{alpha},\"use_rslora\":{rslora}}}");
    Adapter::from_files(base, &file, &config).unwrap()
}

fn distance(got: &[f32], want: &[f32]) -> f64 {
    let (mut d, mut n) = (0.0f64, 0.0f64);
    for (a, b) in got.iter().zip(want) {
        d += (f64::from(*a) - f64::from(*b)).powi(2);
        n += f64::from(*b).powi(2);
    }
    (d / n.max(1e-300)).sqrt()
}

#[test]
fn gradients_should_equal_autograd_when_adapters_are_random() {
    let mut cases = 0;
    for entry in std::fs::read_dir(golden().join("gradients")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().and_then(|e| e.to_str()) != Some("json") {
            continue;
        }
        cases += 1;
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let g = json(&format!("gradients/{name}.json"));
        let base = model(g["model"].as_str().unwrap());
        let raw = std::fs::read(path.with_extension("safetensors")).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        let (r, alpha) = (g["r"].as_u64().unwrap(), g["alpha"].as_u64().unwrap());
        let adapter = adapter_of(&base, &st, "adapter.", r, alpha, g["rslora"].as_bool().unwrap());
        let records: Vec<(Vec<u32>, Vec<u8>)> =
            g["records"].as_array().unwrap().iter().map(|r| (ints(&r["ids"]), bytes(&r["mask"]))).collect();
        let tokens: Vec<Tokens<'_>> = records.iter().map(|(ids, mask)| Tokens { ids, mask }).collect();
        let (mut out, mut grads) = (Vec::new(), vec![Vec::new(); tokens.len()]);
        let layout = adapter.layout();
        Evaluator::new(&base, layout, on()).run(adapter.theta(), &tokens, None, &mut out, &mut grads).unwrap();
        for (i, grad) in grads.iter().enumerate() {
            let nll = g["per_record"][i]["nll"].as_f64().unwrap();
            assert!((f64::from(out[i].loss) - nll).abs() <= 1e-6 * nll.abs(), "{name} {i}: {} {nll}", out[i].loss);
            for (s, slot) in layout.slots().iter().enumerate() {
                let want = values(&st, &format!("grad.{i}.{}", slot.name));
                let d = distance(&grad[layout.range(s)], &want);
                assert!(d <= 1e-5, "{name}, record {i}, {}: {d}", slot.name);
            }
        }
        // Equal bits on every setting.
        for isa in [Isa::Reference, Isa::Scalar, Isa::Avx2, Isa::Avx512] {
            for threads in [1, 2, 3, 8] {
                let (mut o, mut again) = (Vec::new(), vec![Vec::new(); tokens.len()]);
                let on = Compute { isa, threads };
                Evaluator::new(&base, layout, on).run(adapter.theta(), &tokens, None, &mut o, &mut again).unwrap();
                assert_eq!(o, out, "{name} {isa:?} {threads}");
                assert!(again == grads, "{name} {isa:?} {threads}");
            }
        }
    }
    assert_eq!(cases, 3);
}

/// The recipe of a golden training case; whatever the case does not say is the default of its kind.
fn recipe_of(g: &Value) -> Recipe {
    let real = |k: &str| Dec::parse(&format!("{:e}", g["recipe"][k].as_f64().unwrap())).unwrap();
    let number = |k: &str| g[k].as_u64().unwrap();
    let (record_clip, max_grad_norm) = (real("record_clip"), real("max_grad_norm"));
    assert_eq!((g["schedule"].as_str(), number("warmup"), number("steps")), (Some("cosine"), 3, 30));
    Recipe {
        r: number("r") as u16,
        alpha: number("alpha") as u16,
        learning_rate: real("learning_rate"),
        length: Length::MaxSteps(number("steps") as u32),
        warmup: Warmup::Steps(number("warmup") as u32),
        batch_size: 4,
        max_seq_len: 64,
        weight_decay: real("weight_decay"),
        eps: real("eps"),
        eps_root: real("eps_root"),
        record_clip,
        max_grad_norm,
        ..if record_clip.is_zero() { Recipe::plain() } else { Recipe::attributed() }
    }
}

#[test]
fn training_should_follow_torch_when_thirty_steps_are_done() {
    /// Relative error of a step's loss, and relative L2 distance of the trained adapter (test 4).
    const LOSS: f64 = 1e-4;
    const ADAPTER: f64 = 1e-3;
    /// ‖G‖ moves with the adapter that it is taken at, so it has the adapter's tolerance.
    const NORM: f64 = ADAPTER;
    /// Of the peak: both sides compute the schedule in f64 (test 5).
    const RATE: f64 = 1e-12;
    let mut cases = 0;
    for entry in std::fs::read_dir(golden().join("training")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().and_then(|e| e.to_str()) != Some("json") {
            continue;
        }
        cases += 1;
        // GIVEN a trainer at the initial adapter of the golden run
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let g = json(&format!("training/{name}.json"));
        let base = model("linear");
        let raw = std::fs::read(path.with_extension("safetensors")).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        let recipe = recipe_of(&g);
        let initial = adapter_of(&base, &st, "initial.", u64::from(recipe.r), u64::from(recipe.alpha), recipe.rslora);
        let layout = Layout::new(&base, &recipe).unwrap();
        assert_eq!(layout.slots(), initial.layout().slots(), "{name}");
        let records: Vec<(Vec<u32>, Vec<u8>)> =
            g["records"].as_array().unwrap().iter().map(|r| (ints(&r["ids"]), bytes(&r["mask"]))).collect();
        let items = records
            .iter()
            .map(|(ids, mask)| Item {
                tokens: Tokens { ids, mask },
                weight_ppm: 1_000_000,
                n_loss: mask[1..].iter().map(|m| u32::from(*m)).sum(),
            })
            .collect();
        let mut trainer = Trainer::new(&base, &layout, &recipe, items, &[7; 32], on()).unwrap();
        trainer.state.theta = initial.theta().to_vec();
        let peak = g["recipe"]["learning_rate"].as_f64().unwrap();

        // WHEN it goes through the golden batches
        let (batches, log) = (g["batches"].as_array().unwrap(), g["log"].as_array().unwrap());
        assert!(batches.len() == 30 && log.len() == 30 && trainer.steps() == 30, "{name}");
        for (t, (batch, log)) in batches.iter().zip(log).enumerate() {
            let batch: Vec<u32> = batch.as_array().unwrap().iter().flat_map(ints).collect();
            let report = trainer.step_on(&batch, None).unwrap();

            // THEN every step reports what torch logged
            let near = |got: f64, want: f64, limit: f64, what: &str| {
                assert!((got - want).abs() <= limit, "{name} step {t}: {what} {got}, torch {want}");
            };
            let want = |k: &str| log[k].as_f64().unwrap();
            assert_eq!(report.trained_tokens, log["targets"].as_u64().unwrap(), "{name} step {t}");
            near(f64::from(report.loss), want("loss"), LOSS * want("loss"), "loss");
            near(f64::from(report.grad_norm), want("grad_norm"), NORM * want("grad_norm"), "norm");
            near(report.learning_rate, want("learning_rate"), RATE * peak, "learning rate");
        }

        // AND the adapter is torch's
        for (s, slot) in layout.slots().iter().enumerate() {
            let want = values(&st, &format!("final.{}", slot.name));
            let d = distance(&trainer.state.theta[layout.range(s)], &want);
            assert!(d <= ADAPTER, "{name} {}: {d}", slot.name);
        }
    }
    assert_eq!(cases, 2);
}

#[test]
fn schedules_should_equal_get_scheduler_when_warm_up_and_length_vary() {
    /// Both sides compute in f64 and a factor is at most 1 (test 5).
    const TOLERANCE: f64 = 1e-12;
    let all = json("schedules.json");
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for case in all.as_array().unwrap() {
        let name = case["schedule"].as_str().unwrap();
        let schedule = match name {
            "linear" => Schedule::Linear,
            "cosine" => Schedule::Cosine,
            "constant" => Schedule::Constant,
            other => panic!("no schedule {other}"),
        };
        *seen.entry(name).or_insert(0) += 1;
        let [steps, warmup] = ["steps", "warmup"].map(|k| case[k].as_u64().unwrap() as u32);
        let want = case["lambda"].as_array().unwrap();
        assert_eq!(want.len(), steps as usize, "{name} {steps}");
        for (t, want) in (0u32..).zip(want) {
            let (got, want) = (lambda(schedule, t, warmup, steps), want.as_f64().unwrap());
            assert!((got - want).abs() <= TOLERANCE, "{name}, step {t} of {steps}, warm-up {warmup}: {got} {want}");
        }
    }
    assert_eq!(seen, BTreeMap::from([("constant", 4), ("cosine", 4), ("linear", 4)]));
}

/// A golden model with its weights widened to f32, which is exact: merging then casts nothing.
fn widened(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = golden().join("models").join(name);
    for file in ["config.json", "generation_config.json"] {
        std::fs::copy(from.join(file), dir.path().join(file)).unwrap();
    }
    let raw = std::fs::read(from.join("model.safetensors")).unwrap();
    let st = SafeTensors::deserialize(&raw).unwrap();
    let all: Vec<(String, Vec<usize>, Vec<u8>)> = st
        .iter()
        .map(|(name, view)| {
            let wide = view.data().chunks_exact(2).flat_map(|b| [0, 0, b[0], b[1]]).collect();
            (name.to_owned(), view.shape().to_vec(), wide)
        })
        .collect();
    let views = all
        .iter()
        .map(|(name, dims, raw)| (name.clone(), TensorView::new(safetensors::Dtype::F32, dims.clone(), raw).unwrap()));
    std::fs::write(dir.path().join("model.safetensors"), serialize(views, None).unwrap()).unwrap();
    dir
}

#[test]
fn adapters_should_compute_what_peft_computes_when_they_are_peft_files() {
    /// Unit roundoff of bf16, which has eight significant bits: |bf16(x) − x| ≤ 2^-8·|x|.
    const BF16: f32 = 1.0 / 256.0;
    for (name, has_merged) in [("plain", false), ("rslora", true), ("patterns", true), ("regex", false)] {
        // GIVEN a PEFT folder and what PEFT computes with it
        let g = json(&format!("adapters/{name}.json"));
        let of = g["model"].as_str().unwrap();
        let base = model(of);
        let adapter = Adapter::load(&base, &golden().join("adapters").join(name)).unwrap();
        let raw = std::fs::read(golden().join(format!("adapters/{name}.safetensors"))).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        let ids = ids_of(&st, "ids");
        close(&logits(&base, Some(&adapter), &ids, 1), &values(&st, "logits"), name);

        // WHEN it is merged into the weights as f32
        let out = tempfile::tempdir().unwrap();
        let wide = widened(of);
        let wide = Base::load_bare(wide.path()).unwrap();
        let adapter_wide = Adapter::load(&wide, &golden().join("adapters").join(name)).unwrap();
        merge(&wide, &adapter_wide, &out.path().join("wide")).unwrap();
        let merged = Base::load_bare(&out.path().join("wide")).unwrap();

        // THEN the merged model computes what PEFT's merged model computes (what its adapter does, where none is kept)
        assert_eq!(merged.shape(), base.shape());
        let want = if has_merged { "merged_logits" } else { "logits" };
        close(&logits(&merged, None, &ids, 1), &values(&st, want), &format!("{name} merged"));

        // AND the weights are PEFT's; merged into bf16 they are those, rounded once
        merge(&base, &adapter, &out.path().join("merged")).unwrap();
        assert_eq!(Base::load_bare(&out.path().join("merged")).unwrap().shape(), base.shape());
        let read = |folder: &str| std::fs::read(out.path().join(folder).join("model.safetensors")).unwrap();
        let (wide, narrow) = (read("wide"), read("merged"));
        let (wide, narrow) = (SafeTensors::deserialize(&wide).unwrap(), SafeTensors::deserialize(&narrow).unwrap());
        let mut seen = 0;
        for key in wide.names() {
            let exact = values(&wide, key);
            let rounded: Vec<u8> = exact.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect();
            assert!(narrow.tensor(key).unwrap().data() == rounded, "{name} {key} is not the f32 weight rounded once");
            for (x, b) in exact.iter().zip(rounded.chunks_exact(2)) {
                let y = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
                assert!((x - y).abs() <= BF16 * x.abs(), "{name} {key}: {x} {y}");
            }
            let full = format!("merged.{key}");
            if st.tensor(&full).is_ok() {
                seen += 1;
                close(&exact, &values(&st, &full), &format!("{name} {key}"));
            }
        }
        assert_eq!(seen > 0, has_merged, "{name}");
    }
}

/// The adapters that PEFT must read as we write them: the recipe on a golden model.
fn ours() -> [(&'static str, &'static str, Recipe); 2] {
    let plain = Recipe { r: 4, alpha: 8, ..Recipe::plain() };
    // q, v, up and down, as in the golden adapter of this name.
    let rslora = Recipe { r: 4, alpha: 12, rslora: true, targets: 0b110_0101, ..Recipe::plain() };
    [("plain", "plain", plain), ("rslora", "linear", rslora)]
}

#[test]
fn adapters_should_be_read_by_peft_when_we_wrote_them() {
    for (name, of, recipe) in ours() {
        // GIVEN an adapter with fixed parameters, B among them
        let base = model(of);
        let layout = Layout::new(&base, &recipe).unwrap();
        let theta: Vec<f32> = (0..layout.len() as u32)
            .map(|i| ((i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5) * 0.25)
            .collect();
        let raw: Vec<Vec<u8>> = (0..layout.slots().len()).map(|i| bytes_of(&theta[layout.range(i)])).collect();
        let raw: Vec<&[u8]> = raw.iter().map(|r| &r[..]).collect();
        let file = peft::file(layout.slots(), &raw).unwrap();
        let config = peft::adapter_config_json(&recipe, of, None);

        // WHEN it is written, THEN its files are the committed ones, which `golden.py` opens with PEFT
        let dir = golden().join("ours").join(name);
        if std::env::var_os("WEFT_WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("adapter_model.safetensors"), &file).unwrap();
            std::fs::write(dir.join("adapter_config.json"), &config).unwrap();
        }
        let read = |file: &str| {
            std::fs::read(dir.join(file))
                .unwrap_or_else(|e| panic!("{}: {e}; write it with WEFT_WRITE_GOLDEN=1", dir.join(file).display()))
        };
        assert!(read("adapter_model.safetensors") == file, "{name}: the adapter file has changed");
        assert_eq!(String::from_utf8(read("adapter_config.json")).unwrap(), config, "{name}");

        // AND we read back what we wrote
        let adapter = Adapter::load(&base, &dir).unwrap();
        assert_eq!(adapter.theta(), theta);

        // AND PEFT computes with it what we compute
        let logits_file = golden().join(format!("ours/{name}.safetensors"));
        if !logits_file.exists() {
            println!("{name}: no logits of PEFT are committed; `golden.py --ours` writes them");
            continue;
        }
        let raw = std::fs::read(logits_file).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        let ids = ids_of(&st, "ids");
        close(&logits(&base, Some(&adapter), &ids, 1), &values(&st, "logits"), &format!("ours {name}"));
    }
}

#[test]
fn generation_should_choose_the_same_tokens_when_it_is_greedy() {
    for g in json("generation.json").as_array().unwrap() {
        let base = model(g["model"].as_str().unwrap());
        let adapter = g["adapter"].as_str().map(|a| Adapter::load(&base, &golden().join("adapters").join(a)).unwrap());
        let request = GenRequest::greedy(ints(&g["prompt"]), 64);
        let mut seen = Vec::new();
        let out = generate(&base, adapter.as_ref(), &on(), &request, &mut |id| {
            seen.push(id);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(out.tokens, ints(&g["ids"]), "{} {}", g["model"], g["adapter"]);
        assert_eq!(seen, out.tokens);
    }
}

#[test]
fn tiny_base_should_answer_like_transformers_when_it_is_greedy() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
    let base = Base::load(&dir).unwrap();
    for g in json("tiny_base.json").as_array().unwrap() {
        let request = GenRequest::greedy(ints(&g["prompt_ids"]), 64);
        let out = generate(&base, None, &on(), &request, &mut |_| ControlFlow::Continue(())).unwrap();
        let mut want = ints(&g["greedy_ids"]);
        if want.last().is_some_and(|i| base.eos().contains(i)) {
            want.pop();
        }
        assert_eq!(out.tokens, want);
    }
}

#[test]
fn sampling_should_depend_on_the_seed_alone_when_settings_are_equal() {
    let base = model("linear");
    let run = |seed, isa, threads| {
        let request =
            GenRequest { temperature: 0.8, top_p: 0.9, top_k: 40, seed, ..GenRequest::greedy(vec![3, 5, 7], 24) };
        generate(&base, None, &Compute { isa, threads }, &request, &mut |_| ControlFlow::Continue(())).unwrap().tokens
    };
    let first = run(1, Isa::detect(), 2);
    assert_eq!(run(1, Isa::Reference, 1), first);
    assert_ne!(run(2, Isa::detect(), 2), first);
}
