//! What a run will take, from shapes alone, and the refusal of what would not fit.

use crate::error::{EngineError, Result};
use crate::eval::{Compute, GROUP};
use weft_protocol::{recipe::Recipe, run, shape::ModelShape};

/// Useful f32 operations a second of one thread that estimates assume when
/// nothing was measured.
const RATE: f64 = 2.0e10;
/// Bytes of states that a run keeps at most for its replay; beyond, it
/// recomputes them between checkpoints.
const TAPE_LIMIT: u64 = 3 << 30;

/// The records of a run as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Records.
    pub records: u32,
    /// Tokens of all records.
    pub tokens: u64,
    /// Tokens of the longest record.
    pub longest: u32,
}

/// What a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Whether the peak, base model included, fits the memory that is free now.
    pub fits: bool,
    /// Steps.
    pub steps: u32,
    /// Seconds, training and reverse part.
    pub seconds: f64,
    /// Bytes at the peak.
    pub peak_bytes: u64,
    /// What they are for; the base model comes first.
    pub parts: [(&'static str, u64); 5],
    /// Bytes that are free now; 0 when the system does not say.
    pub free_bytes: u64,
    /// Bytes of checkpoints.
    pub disk_bytes: u64,
}

impl Estimate {
    /// Refuses a run that would not fit. `loaded`: its base model is in memory
    /// already, so free memory no longer counts it.
    ///
    /// # Errors
    /// `out_of_memory` with the parts.
    pub fn require(&self, loaded: bool) -> Result<()> {
        require(&self.parts[usize::from(loaded)..], self.free_bytes)
    }
}

/// Whether `need` bytes leave a tenth of the free memory to others; unknown free memory refuses nothing.
fn fits(need: u64, free: u64) -> bool {
    free == 0 || need < free / 10 * 9
}

fn require(parts: &[(&'static str, u64)], free: u64) -> Result<()> {
    let need = parts.iter().map(|p| p.1).fold(0, u64::saturating_add);
    if fits(need, free) {
        return Ok(());
    }
    let parts = parts.iter().map(|(name, bytes)| (*name, bytes.div_ceil(1 << 20))).collect();
    Err(EngineError::OutOfMemory { need: need.div_ceil(1 << 20), have: free >> 20, parts })
}

/// Parameters of all linear maps; the most there can be where they cannot be counted.
fn linear_parameters(shape: &ModelShape) -> u64 {
    shape.linear_parameters().and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX)
}

/// Bytes of a base model in memory: every linear map packed for both directions, and the embedding.
fn base_bytes(shape: &ModelShape) -> u64 {
    let linear = linear_parameters(shape);
    let embedding = u64::from(shape.vocab).saturating_mul(u64::from(shape.d));
    linear.saturating_mul(2).saturating_add(embedding).saturating_mul(4)
}

/// Refuses a base model that would not fit, before its files are read. While it
/// loads, its files (`file_bytes`) and the decoded weights are in memory
/// together, later the packed ones alone; the larger of the two is needed.
pub(crate) fn require_base(shape: &ModelShape, file_bytes: u64) -> Result<()> {
    let linear = linear_parameters(shape);
    let decoded = linear.saturating_mul(4).saturating_add(file_bytes);
    require(&[("base model", base_bytes(shape).max(decoded))], free_memory())
}

/// Bytes of the states of `steps` steps over `p` parameters: θ, m, v and G.
fn tape_bytes(p: u64, steps: u32) -> u64 {
    p.saturating_mul(16).saturating_mul(u64::from(steps))
}

/// Whether a run over `p` parameters keeps the states of all its steps for the
/// replay: at most 3 GiB and half of the memory that is free now. It changes no
/// bit of the result.
#[must_use]
pub fn keeps_tape(p: usize, steps: u32) -> bool {
    keeps(p as u64, steps, free_memory())
}

fn keeps(p: u64, steps: u32, free: u64) -> bool {
    tape_bytes(p, steps) <= if free == 0 { TAPE_LIMIT } else { TAPE_LIMIT.min(free / 2) }
}

/// Bytes that the system calls available (`MemAvailable`), or that a control
/// group leaves, whichever is less. A group's count includes the page cache,
/// which it gives back: all that was not used lately, and half of the rest.
#[must_use]
pub fn free_memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |path: &str| read(path).and_then(|t| t.trim().parse::<u64>().ok());
    let available = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let stat = |text: &str, key: &str| {
        text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let group = number("/sys/fs/cgroup/memory.max").map(|max| {
        let text = read("/sys/fs/cgroup/memory.stat").unwrap_or_default();
        let cache = stat(&text, "inactive_file").saturating_add(stat(&text, "active_file") / 2);
        let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0).saturating_sub(cache);
        max.saturating_sub(used)
    });
    match (available, group) {
        (Some(a), Some(g)) => a.min(g),
        (a, g) => a.or(g).unwrap_or(0),
    }
}

/// Estimates a run over records of given sizes. `rate`: operations a second of
/// one thread, when they were measured.
#[must_use]
pub fn estimate(shape: &ModelShape, recipe: &Recipe, data: Sizes, compute: Compute, rate: Option<f64>) -> Estimate {
    let steps = recipe.steps(data.records).unwrap_or(0);
    let parameters = recipe.lora_parameters(shape).and_then(|p| u64::try_from(p).ok()).unwrap_or(u64::MAX);
    let p = parameters as f64;
    let linear = shape.linear_parameters().unwrap_or(0) as f64;
    let tokens = data.tokens as f64;
    let length = tokens / f64::from(data.records.max(1));
    let batch = f64::from(recipe.batch_size);
    let threads = compute.threads.max(1) as f64;
    // FLOP per token: 4N for the frozen weights, attention, adapters.
    let attention = 7.0 * length * f64::from(shape.q_dim()) * f64::from(shape.layers);
    let per_token = 4.0 * linear + attention + 6.0 * p;
    let passes = if recipe.attribution { 3.0 } else { 1.0 };
    let flop = per_token * length * batch * f64::from(steps) * passes;
    let seconds = flop / (rate.unwrap_or(RATE) * threads);

    let longest = f64::from(data.longest);
    let width = 4.0 * f64::from(shape.d)
        + 2.0 * f64::from(shape.q_dim())
        + 2.0 * f64::from(shape.kv_dim())
        + 3.0 * f64::from(shape.f);
    // A thread computes a group of records, or one long one; training has a batch of them, evaluation more.
    let together = (batch * length).max(threads * longest.max(tokens.min(GROUP as f64)));
    let activations = width * f64::from(shape.layers) * together * 4.0 + threads * 64.0 * f64::from(shape.vocab) * 4.0;
    let scores = 2.0 * longest * longest * 4.0 * threads;
    let free_bytes = free_memory();
    // Where not all states are kept, those of one segment between checkpoints are.
    let kept = if keeps(parameters, steps, free_bytes) { steps } else { run::ceil_sqrt(steps) };
    let parts = [
        ("base model", base_bytes(shape)),
        ("gradients and optimiser", (p * 4.0 * (batch + 12.0)) as u64),
        ("activations", activations as u64),
        ("attention", scores as u64),
        ("states for the replay", if recipe.attribution { tape_bytes(parameters, kept) } else { 0 }),
    ];
    let peak_bytes = parts.iter().map(|p| p.1).fold(0, u64::saturating_add);
    let points = run::checkpoints(steps).len() as f64 * if recipe.attribution { 2.0 } else { 1.0 };
    Estimate {
        fits: fits(peak_bytes, free_bytes),
        steps,
        seconds,
        peak_bytes,
        parts,
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
        let data = Sizes { records: 180, tokens: 180 * 20, longest: 40 };
        let small = estimate(&shape, &Recipe { max_seq_len: 128, ..Recipe::attributed() }, data, on, None);
        assert!(small.fits && small.peak_bytes > 30_000_000 && small.steps == 34);
        assert!(small.require(false).is_ok() && small.require(true).is_ok());
        shape.layers = 400;
        shape.d = 65_536;
        let large = estimate(&shape, &Recipe::attributed(), data, on, None);
        assert!(!large.fits);
        let e = large.require(false).unwrap_err();
        assert_eq!(e.code(), "out_of_memory");
        assert!(e.to_string().contains("base model") && e.to_string().contains("activations"), "{e}");
        assert_eq!(require_base(&shape, 0).unwrap_err().code(), "out_of_memory");
        assert!(large.seconds > small.seconds);
    }

    #[test]
    fn tape_should_be_kept_when_it_leaves_half_of_the_memory() {
        let (p, steps) = (1 << 20, 64);
        let bytes = tape_bytes(p, steps);
        assert!(keeps(p, steps, 0) && keeps(p, steps, 2 * bytes));
        assert!(!keeps(p, steps, 2 * bytes - 2));
        assert!(!keeps(p, 193, 0), "3 GiB and a little");
    }
}
