//! Test 4: thirty AdamW steps against PyTorch with PEFT.

use weft_engine::{Compute, Evaluator, Layout};
use weft_numerics::{
    optim::{self, AdamStep, AdamW},
    red, rn32,
    schedule::{self, Schedule},
};

use crate::{distance, golden::Case};

/// Relative error of a step's mean loss, and relative L2 distance of the final adapter (engine parity, test 4).
const LOSS: f64 = 1e-4;
const ADAPTER: f64 = 1e-3;

#[test]
fn training_should_follow_pytorch_when_accumulated_and_clipped() {
    for name in ["attributed", "global_clip"] {
        let case = Case::training(name);
        let base = case.base();
        let layout = Layout::new(&base, &case.recipe()).unwrap();
        let mut evaluator = Evaluator::new(&base, &layout, Compute::default());
        let lengths: Vec<usize> = layout.slots().iter().map(|s| s.elements() as usize).collect();
        let setting = |k: &str| case.json["recipe"][k].as_f64().unwrap();
        let adam = AdamW {
            beta1: case.json["beta1"].as_f64().unwrap(),
            beta2: case.json["beta2"].as_f64().unwrap(),
            eps: setting("eps"),
            eps_root: setting("eps_root"),
            weight_decay: setting("weight_decay"),
        };
        let (record_clip, global_clip) = (rn32(setting("record_clip")), rn32(setting("max_grad_norm")));
        let mut theta = case.theta(&layout, "initial.");
        let (mut m, mut v) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
        let tokens = case.tokens();
        let steps = case.json["steps"].as_u64().unwrap() as u32;
        let warmup = case.json["warmup"].as_u64().unwrap() as u32;
        for (t, (batch, log)) in
            case.json["batches"].as_array().unwrap().iter().zip(case.json["log"].as_array().unwrap()).enumerate()
        {
            let picked: Vec<usize> = batch
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|micro| micro.as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as usize))
                .collect();
            let records: Vec<_> = picked.iter().map(|i| tokens[*i]).collect();
            let mut out = Vec::new();
            let mut grads = vec![Vec::new(); records.len()];
            evaluator.run(&theta, &records, None, &mut out, &mut grads).unwrap();
            let targets = log["targets"].as_u64().unwrap();
            let loss = out.iter().map(|e| f64::from(e.loss)).sum::<f64>() / targets as f64;
            let theirs = log["loss"].as_f64().unwrap();
            assert!((loss - theirs).abs() / theirs <= LOSS, "{name} step {t}: loss {loss}, PyTorch {theirs}");
            let mut g = vec![0.0; theta.len()];
            for grad in &grads {
                let clip = optim::clip(red::norm_flat(grad, &lengths), record_clip);
                let f = optim::factor(1_000_000, 1.0 / targets as f64, clip);
                optim::accumulate(&mut g, f, grad);
            }
            optim::finish(&mut g);
            if global_clip > 0.0 {
                let norm = red::norm_flat(&g, &lengths);
                optim::global_clip(&mut g, norm, global_clip);
            }
            let lambda = schedule::lambda(Schedule::Cosine, t as u32, steps, warmup);
            let lr = setting("learning_rate") * lambda;
            assert!((lr - log["learning_rate"].as_f64().unwrap()).abs() <= 1e-12, "{name} step {t}: learning rate");
            AdamStep::new(&adam, lr, t as u32).apply(&g, &mut theta, &mut m, &mut v);
        }
        let error = distance(&theta, &case.theta(&layout, "final."));
        assert!(error <= ADAPTER, "{name}: final adapter differs by relative L2 {error:e}");
    }
}
