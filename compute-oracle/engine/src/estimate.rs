//! What a run will take, from shapes alone.

use crate::eval::Compute;
use weft_protocol::{recipe::Recipe, run, shape::ModelShape};

/// Useful f32 operations a second of one thread that estimates assume when
/// nothing was measured.
const RATE: f64 = 2.0e10;

/// What a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Whether the peak fits the memory that is free now.
    pub fits: bool,
    /// Steps.
    pub steps: u32,
    /// Seconds, training and reverse part.
    pub seconds: f64,
    /// Bytes at the peak.
    pub peak_bytes: u64,
    /// Bytes that are free now; 0 when the system does not say.
    pub free_bytes: u64,
    /// Bytes of checkpoints.
    pub disk_bytes: u64,
}

/// Bytes that the system calls available (`MemAvailable`), or that a control
/// group leaves, whichever is less.
#[must_use]
pub fn free_memory() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok().and_then(|t| t.trim().parse::<u64>().ok());
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|max| max.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    match (available, group) {
        (Some(a), Some(g)) => a.min(g),
        (a, g) => a.or(g).unwrap_or(0),
    }
}

/// Estimates a run over `n` records of `tokens` tokens in all. `rate`: operations
/// a second of one thread, when they were measured.
#[must_use]
pub fn estimate(
    shape: &ModelShape,
    recipe: &Recipe,
    n: u32,
    tokens: u64,
    compute: Compute,
    rate: Option<f64>,
) -> Estimate {
    let steps = recipe.steps(n).unwrap_or(0);
    let p = recipe.lora_parameters(shape).unwrap_or(0) as f64;
    let linear = shape.linear_parameters().unwrap_or(0) as f64;
    let embedding = f64::from(shape.vocab) * f64::from(shape.d);
    let length = tokens as f64 / f64::from(n.max(1));
    let batch = f64::from(recipe.batch_size);
    // FLOP per token: 4N for the frozen weights, attention, adapters.
    let attention = 7.0 * length * f64::from(shape.q_dim()) * f64::from(shape.layers);
    let per_token = 4.0 * linear + attention + 6.0 * p;
    let passes = if recipe.attribution { 3.0 } else { 1.0 };
    let flop = per_token * length * batch * f64::from(steps) * passes;
    let seconds = flop / (rate.unwrap_or(RATE) * compute.threads.max(1) as f64);

    let longest = f64::from(recipe.max_seq_len).min(length * 4.0);
    let width = 4.0 * f64::from(shape.d)
        + 2.0 * f64::from(shape.q_dim())
        + 2.0 * f64::from(shape.kv_dim())
        + 3.0 * f64::from(shape.f);
    let activations = width * f64::from(shape.layers) * (batch * length).max(longest) * 4.0;
    let scores = 2.0 * longest * longest * 4.0 * compute.threads as f64;
    let kept = 16.0 * p * f64::from(steps);
    let tape = if recipe.attribution { kept.min(3.3e9) } else { 0.0 };
    let weights = (2.0 * linear + embedding) * 4.0;
    let peak = weights + p * 4.0 * (batch + 12.0) + activations + scores + tape;
    let points = run::checkpoints(steps).len() as f64 * if recipe.attribution { 2.0 } else { 1.0 };
    let free_bytes = free_memory();
    let peak_bytes = peak as u64;
    Estimate {
        fits: free_bytes == 0 || peak_bytes < free_bytes / 10 * 9,
        steps,
        seconds,
        peak_bytes,
        free_bytes,
        disk_bytes: (points * 12.0 * p) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use weft_protocol::{dec::Dec, shape::Arch};

    #[test]
    fn estimate_should_refuse_when_the_model_is_larger_than_memory() {
        let mut shape = ModelShape {
            arch: Arch::Llama,
            layers: 4,
            d: 256,
            heads: 8,
            kv_heads: 4,
            head_dim: 32,
            f: 640,
            vocab: 4096,
            context: 512,
            rms_eps: Dec::parse("1e-5").unwrap(),
            tied: true,
            bias: 0,
            window: 0,
        };
        let on = Compute { isa: Isa::Reference, threads: 2 };
        let small = estimate(&shape, &Recipe { max_seq_len: 128, ..Recipe::attributed() }, 180, 180 * 20, on, None);
        assert!(small.fits && small.peak_bytes > 30_000_000 && small.steps == 34);
        shape.layers = 400;
        shape.d = 65_536;
        let large = estimate(&shape, &Recipe::attributed(), 180, 180 * 20, on, None);
        assert!(!large.fits);
        assert!(large.seconds > small.seconds);
    }
}
