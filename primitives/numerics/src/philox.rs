//! Philox-4x32-10 and the draws made with it.
//!
//! Counter-based (Salmon, Moraes, Dror, Shaw, SC 2011): any draw costs the
//! same, and a draw depends on nothing but key and counter. Counter words are
//! (c0, c1, step or epoch, purpose·2^24 + slot).

use crate::arith::{c, fma, rn32, sqrt64};
use weft_protocol::hash::{rng_key, Hash};

/// What a draw is for: the top byte of the last counter word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Initial LoRA A.
    Init = 1,
    /// Dropout of an adapter's input.
    Dropout = 2,
    /// Order of the records.
    Order = 3,
    /// Choice of the probe records.
    Probe = 4,
    /// Choice of the records of the run gate.
    Gate = 5,
    /// Sampling of an answer's tokens.
    Sampling = 6,
}

/// A Philox key: the first eight bytes of H("weft.rng", seed), two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u32; 2]);

impl Key {
    /// The key of a run or request whose seed is 32 bytes.
    #[must_use]
    pub fn from_seed(seed: &Hash) -> Self {
        Self(rng_key(seed))
    }

    /// The four words of a counter.
    #[inline]
    #[must_use]
    pub fn draw(&self, c0: u32, c1: u32, step: u32, purpose: Purpose, slot: u32) -> [u32; 4] {
        philox([c0, c1, step, ((purpose as u32) << 24).wrapping_add(slot)], self.0)
    }
}

/// Philox-4x32 with ten rounds.
#[inline]
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let p0 = u64::from(x0) * 0xd251_1f53;
        let p1 = u64::from(x2) * 0xcd9e_8d57;
        (x0, x1, x2, x3) = ((p1 >> 32) as u32 ^ x1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ x3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(0x9e37_79b9);
        k1 = k1.wrapping_add(0xbb67_ae85);
    }
    [x0, x1, x2, x3]
}

/// The initial LoRA A of slot `slot`, `[r, n_in]`: c(fma(w >> 8, 2^-23, −1) ×
/// RN32(1÷√n_in)), uniform ±1/√n_in as in PEFT. B, m and v start at 0.
pub fn init_a(key: &Key, slot: u32, n_in: usize, out: &mut [f32]) {
    let bound = rn32(1.0 / sqrt64(n_in as f64));
    for (i, four) in out.chunks_mut(4).enumerate() {
        let words = key.draw(i as u32, 0, 0, Purpose::Init, slot);
        for (x, w) in four.iter_mut().zip(words) {
            *x = init_element(w, bound);
        }
    }
}

/// One element of [`init_a`] from its word; `bound` is RN32(1÷√n_in).
#[inline]
#[must_use]
pub fn init_element(w: u32, bound: f32) -> f32 {
    c(fma((w >> 8) as f32, f32::from_bits(0x3400_0000), -1.0) * bound)
}

/// Dropout of the input of one adapter at one step.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    key: Key,
    step: u32,
    slot: u32,
    threshold: u32,
    kept: f32,
}

impl Dropout {
    /// Dropout with probability `p`, 0 ≤ p ≤ 0.5, in slot `slot` (that of the
    /// adapter's A) at step `step`.
    #[must_use]
    pub fn new(key: Key, step: u32, slot: u32, p: f64) -> Self {
        Self {
            key,
            step,
            slot,
            // p ≤ 0.5, so the product fits; the cast truncates, which is floor.
            threshold: (p * 4_294_967_296.0) as u32,
            kept: rn32(1.0 / (1.0 - p)),
        }
    }

    /// `x` with element i replaced by 0 or c(x × RN32(1÷(1−p))), for the row
    /// `[n_in]` of token `position` of the record with batch index `record`.
    /// The backward pass applies the same function to the gradient.
    pub fn apply_row(&self, position: usize, record: u32, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        let first = position as u64 * x.len() as u64;
        let mut words = [0; 4];
        let mut have = u64::MAX;
        for (i, (x, y)) in x.iter().zip(out).enumerate() {
            let at = first + i as u64;
            if at / 4 != have {
                have = at / 4;
                words = self.key.draw(have as u32, record, self.step, Purpose::Dropout, self.slot);
            }
            let keep = words[(at % 4) as usize] >= self.threshold;
            *y = if keep { c(x * self.kept) } else { 0.0 };
        }
    }
}

/// The uniform number in [0, 1) that picks the token at `position` of an
/// answer; `key` is that of the request's seed.
#[must_use]
pub fn sampling_uniform(key: &Key, position: u32) -> f32 {
    let [w, ..] = key.draw(position, 0, 0, Purpose::Sampling, 0);
    (w >> 8) as f32 * f32::from_bits(0x3380_0000)
}
