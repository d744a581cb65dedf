//! The engine against PyTorch with PEFT (committed golden vectors) and against candle (live).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "tests"
)]

mod candle;
mod golden;
mod training;

use golden::Case;
use weft_engine::{Compute, Evaluator, Layout};

/// Relative L2 distance of two vectors, in f64.
pub(crate) fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let (mut d, mut n) = (0f64, 0f64);
    for (a, b) in ours.iter().zip(theirs) {
        d += (f64::from(*a) - f64::from(*b)).powi(2);
        n += f64::from(*b).powi(2);
    }
    if n == 0.0 {
        d.sqrt()
    } else {
        (d / n).sqrt()
    }
}

/// Test 2: summed loss per record, masked, without adapter.
#[test]
fn loss_should_equal_pytorch_when_masked() {
    /// Relative error of a record's summed loss (engine parity, test 2).
    const TOLERANCE: f64 = 1e-6;
    for model in ["plain", "linear", "llama3", "wide"] {
        let case = Case::plain(model, "loss");
        let base = case.base();
        let layout = Layout::new(&base, &case.recipe()).unwrap();
        let mut evaluator = Evaluator::new(&base, &layout, Compute::default());
        let theta = vec![0.0; layout.len()];
        let mut out = Vec::new();
        evaluator.run(&theta, &case.tokens(), None, &mut out, &mut []).unwrap();
        for (i, (ours, (nll, _))) in out.iter().zip(&case.per_record).enumerate() {
            let error = (f64::from(ours.loss) - nll).abs() / nll;
            assert!(error <= TOLERANCE, "{model} record {i}: ours {} theirs {nll}, relative error {error:e}", ours.loss);
        }
    }
}

/// Test 3: gradient of every LoRA tensor with random A and B.
#[test]
fn gradient_should_equal_pytorch_when_b_is_random() {
    /// Relative L2 distance per tensor (engine parity, test 3).
    const TOLERANCE: f64 = 1e-5;
    for name in ["plain", "wide", "llama3"] {
        let case = Case::gradients(name);
        let base = case.base();
        let layout = Layout::new(&base, &case.recipe()).unwrap();
        let theta = case.theta(&layout, "adapter.");
        let mut evaluator = Evaluator::new(&base, &layout, Compute::default());
        let tokens = case.tokens();
        let mut out = Vec::new();
        let mut grads = vec![Vec::new(); tokens.len()];
        evaluator.run(&theta, &tokens, None, &mut out, &mut grads).unwrap();
        for (r, grad) in grads.iter().enumerate() {
            for (i, slot) in layout.slots().iter().enumerate() {
                let theirs = case.tensor(&format!("grad.{r}.{}", slot.name));
                let error = distance(&grad[layout.range(i)], &theirs);
                assert!(error <= TOLERANCE, "{name} record {r} {}: relative L2 {error:e}", slot.name);
            }
        }
    }
}
