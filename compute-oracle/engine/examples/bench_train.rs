//! Times training steps for `scripts/bench.sh`:
//! `bench_train BASE_DIR INPUT.json ADAPTER.safetensors THREADS`.
//!
//! INPUT has `recipe` {r, alpha, learning_rate, eps, weight_decay}, `records`
//! [{ids, mask}] and `batches` [[record index]]; the adapter is PEFT's file. One
//! JSON line per step: `{"step", "loss", "seconds", "tokens"}`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a measuring tool"
)]

use serde_json::{json, Value};
use std::path::Path;
use std::time::Instant;
use weft_engine::{vector, Adapter, Base, Compute, Evaluator, Isa, Tokens};
use weft_numerics::optim::{factor, kappa, AdamStep, AdamW};

fn ints(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [base, input, adapter, threads] = &args[..] else {
        eprintln!("usage: bench_train BASE_DIR INPUT.json ADAPTER.safetensors THREADS");
        std::process::exit(2);
    };
    let on = Compute { isa: Isa::detect(), threads: threads.parse().unwrap() };
    let base = Base::load(Path::new(base)).unwrap();
    let input: Value = serde_json::from_slice(&std::fs::read(input).unwrap()).unwrap();
    let recipe = &input["recipe"];
    let real = |k: &str| recipe[k].as_f64().unwrap();
    let config = json!({"peft_type": "LORA", "r": recipe["r"], "lora_alpha": recipe["alpha"]});
    let adapter = Adapter::from_files(&base, &std::fs::read(adapter).unwrap(), &config.to_string()).unwrap();
    let records: Vec<(Vec<u32>, Vec<u8>)> = input["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (ints(&r["ids"]), ints(&r["mask"]).into_iter().map(|x| x as u8).collect()))
        .collect();
    let batches: Vec<Vec<u32>> = input["batches"].as_array().unwrap().iter().map(ints).collect();
    let adam = AdamW { beta1: 0.9, beta2: 0.999, eps: real("eps"), eps_root: 0.0, weight_decay: real("weight_decay") };

    let layout = adapter.layout();
    let p = layout.len();
    let (mut theta, mut m, mut v, mut total) = (adapter.theta().to_vec(), vec![0.0; p], vec![0.0; p], vec![0.0; p]);
    let mut eval = Evaluator::new(&base, layout, on);
    let most = batches.iter().map(Vec::len).max().unwrap_or(0);
    let (mut out, mut grads) = (Vec::new(), vec![Vec::new(); most]);
    for (step, batch) in batches.iter().enumerate() {
        let started = Instant::now();
        let tokens: Vec<Tokens<'_>> =
            batch.iter().map(|i| &records[*i as usize]).map(|(ids, mask)| Tokens { ids, mask }).collect();
        eval.run(&theta, &tokens, None, &mut out, &mut grads).unwrap();
        let targets: Vec<u32> = tokens.iter().map(|t| t.mask[1..].iter().map(|m| u32::from(*m)).sum()).collect();
        let all: u32 = targets.iter().sum();
        let loss = out.iter().map(|e| f64::from(e.loss)).sum::<f64>() / f64::from(all);
        let f: Vec<f32> = targets.iter().map(|n| factor(1_000_000, kappa(false, *n, all, 1), 1.0)).collect();
        let used: Vec<&[f32]> = grads[..f.len()].iter().map(|g| &g[..]).collect();
        vector::accumulate(on, &f, &used, &mut total);
        let k = AdamStep::new(&adam, real("learning_rate"), step as u32);
        vector::adamw(on, &k, &total, &mut theta, &mut m, &mut v);
        let seconds = started.elapsed().as_secs_f64();
        let count: usize = tokens.iter().map(|t| t.ids.len()).sum();
        let line = json!({"step": step, "loss": loss, "seconds": seconds, "tokens": count});
        println!("{line}");
    }
}
