//! Tests of the canonical arithmetic. `WEFT_LONG=1` runs the exhaustive forms.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::needless_range_loop,
    clippy::type_complexity,
    missing_docs,
    unreachable_pub,
    reason = "tests of numerical code"
)]

mod arith;
mod cases;
mod edges;
mod func;
mod golden;
mod gradients;
mod inv_freq;
mod optim;
mod order;
mod properties;
mod reference;
mod soft;
mod sums;

use weft_numerics::Key;

/// Whether the exhaustive forms run.
pub fn long() -> bool {
    std::env::var_os("WEFT_LONG").is_some_and(|v| v == "1")
}

/// Step between tested f32 bit patterns.
pub fn stride() -> usize {
    if long() {
        1
    } else {
        4_099
    }
}

/// Random words.
pub struct Rng {
    key: Key,
    at: u32,
    left: Vec<u32>,
}

impl Rng {
    pub fn new(seed: u32) -> Self {
        Self { key: Key([seed, 0x7765_6674]), at: 0, left: Vec::new() }
    }

    pub fn word(&mut self) -> u32 {
        if self.left.is_empty() {
            self.left = weft_numerics::philox::philox([self.at, 0, 0, 0], self.key.0).to_vec();
            self.at += 1;
        }
        self.left.pop().unwrap()
    }

    /// Uniform in [−1, 1).
    pub fn unit(&mut self) -> f32 {
        self.word() as i32 as f32 / 2_147_483_648.0
    }

    pub fn vec(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.unit() * scale).collect()
    }
}
