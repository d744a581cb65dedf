//! The engine against PyTorch, transformers and PEFT, by golden vectors
//! (`tests/parity/golden/README.md`). Tolerances are never widened.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a test"
)]

use safetensors::SafeTensors;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use weft_engine::{
    adapter::merge, eval::Evaluated, generate, generate::Session, lora::floats_of, vector, Adapter, Base, Compute,
    Evaluator, GenRequest, Isa, Layout, Tokens,
};
use weft_numerics::optim::{AdamStep, AdamW};

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
        let path = format!("loss/{name}.json");
        if !golden().join(&path).exists() {
            continue;
        }
        let base = model(name);
        let g = json(&path);
        let records: Vec<(Vec<u32>, Vec<u8>)> =
            g["records"].as_array().unwrap().iter().map(|r| (ints(&r["ids"]), bytes(&r["mask"]))).collect();
        let tokens: Vec<Tokens<'_>> = records.iter().map(|(ids, mask)| Tokens { ids, mask }).collect();
        let empty = Adapter::load(&base, &golden().join("adapters/plain"));
        // The layout does not matter for losses; an adapter with B = 0 is the base.
        let recipe = weft_protocol::recipe::Recipe { r: 2, ..weft_protocol::recipe::Recipe::plain() };
        let layout = Layout::new(&base, &recipe).unwrap();
        drop(empty);
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

#[test]
fn training_should_follow_torch_when_thirty_steps_are_done() {
    for entry in std::fs::read_dir(golden().join("training")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().and_then(|e| e.to_str()) != Some("json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let g = json(&format!("training/{name}.json"));
        let base = model("linear");
        let raw = std::fs::read(path.with_extension("safetensors")).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        let adapter = adapter_of(&base, &st, "initial.", 4, 8, false);
        let layout = adapter.layout();
        let records: Vec<(Vec<u32>, Vec<u8>)> =
            g["records"].as_array().unwrap().iter().map(|r| (ints(&r["ids"]), bytes(&r["mask"]))).collect();
        let recipe = &g["recipe"];
        let real = |k: &str| recipe[k].as_f64().unwrap();
        let adam = AdamW {
            beta1: 0.9,
            beta2: 0.999,
            eps: real("eps"),
            eps_root: real("eps_root"),
            weight_decay: real("weight_decay"),
        };
        let p = layout.len();
        let (mut theta, mut m, mut v) = (adapter.theta().to_vec(), vec![0.0; p], vec![0.0; p]);
        let mut eval = Evaluator::new(&base, layout, on());
        let (mut out, mut grads, mut total): (Vec<Evaluated>, _, _) = (Vec::new(), vec![Vec::new(); 8], vec![0.0; p]);
        for (t, (batch, log)) in g["batches"].as_array().unwrap().iter().zip(g["log"].as_array().unwrap()).enumerate() {
            let batch: Vec<usize> = batch.as_array().unwrap().iter().flat_map(ints).map(|i| i as usize).collect();
            let tokens: Vec<Tokens<'_>> =
                batch.iter().map(|i| Tokens { ids: &records[*i].0, mask: &records[*i].1 }).collect();
            eval.run(&theta, &tokens, None, &mut out, &mut grads).unwrap();
            let targets: u32 = tokens.iter().map(|t| t.mask[1..].iter().map(|m| u32::from(*m)).sum::<u32>()).sum();
            assert_eq!(u64::from(targets), log["targets"].as_u64().unwrap());
            let loss = out.iter().map(|e| f64::from(e.loss)).sum::<f64>() / f64::from(targets);
            let want = log["loss"].as_f64().unwrap();
            assert!((loss - want).abs() <= 1e-4 * want, "{name} step {t}: {loss} {want}");
            let kappa = weft_numerics::optim::kappa(false, 1, targets, 1);
            let f: Vec<f32> = out
                .iter()
                .map(|e| {
                    let clip = weft_numerics::optim::clip(e.inner.sqrt(), real("record_clip") as f32);
                    weft_numerics::optim::factor(1_000_000, kappa, clip)
                })
                .collect();
            let used: Vec<&[f32]> = grads[..f.len()].iter().map(|g| &g[..]).collect();
            vector::accumulate(on(), &f, &used, &mut total);
            let norm = vector::norm(on(), &total, layout.ends());
            let want = log["grad_norm"].as_f64().unwrap();
            assert!((f64::from(norm) - want).abs() <= 1e-3 * want, "{name} step {t}: norm {norm} {want}");
            weft_numerics::optim::global_clip(&mut total, norm, real("max_grad_norm") as f32);
            let lr = log["learning_rate"].as_f64().unwrap();
            vector::adamw(on(), &AdamStep::new(&adam, lr, t as u32), &total, &mut theta, &mut m, &mut v);
        }
        for (s, slot) in layout.slots().iter().enumerate() {
            let want = values(&st, &format!("final.{}", slot.name));
            let d = distance(&theta[layout.range(s)], &want);
            assert!(d <= 1e-3, "{name} {}: {d}", slot.name);
        }
    }
}

#[test]
fn adapters_should_compute_what_peft_computes_when_they_are_peft_files() {
    for name in ["plain", "rslora", "patterns", "regex"] {
        let g = json(&format!("adapters/{name}.json"));
        let base = model(g["model"].as_str().unwrap());
        let adapter = Adapter::load(&base, &golden().join("adapters").join(name)).unwrap();
        let raw = std::fs::read(golden().join(format!("adapters/{name}.safetensors"))).unwrap();
        let st = SafeTensors::deserialize(&raw).unwrap();
        let ids = ids_of(&st, "ids");
        close(&logits(&base, Some(&adapter), &ids, 1), &values(&st, "logits"), name);
        let out = tempfile::tempdir().unwrap();
        let dir = out.path().join("merged");
        merge(&base, &adapter, &dir).unwrap();
        let merged = Base::load_bare(&dir).unwrap();
        assert_eq!(merged.shape(), base.shape());
        if st.tensor("merged_logits").is_ok() {
            // Merging casts back to bf16 once: compare the weights to one bf16 rounding.
            let file = std::fs::read(dir.join("model.safetensors")).unwrap();
            let file = SafeTensors::deserialize(&file).unwrap();
            let mut seen = 0;
            for full in st.names() {
                let Some(key) = full.strip_prefix("merged.") else { continue };
                let (got, want) = (file.tensor(key).unwrap(), values(&st, full));
                seen += 1;
                for (b, w) in got.data().chunks_exact(2).zip(&want) {
                    let x = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
                    assert!((x - w).abs() <= w.abs() / 250.0 + 1e-6, "{name} {key}: {x} {w}");
                }
            }
            assert!(seen > 0);
        }
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
