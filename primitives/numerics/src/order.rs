//! The order in which training visits records: a Feistel permutation per epoch.

use crate::philox::{Key, Purpose};
use alloc::vec::Vec;
use weft_protocol::run::ceil_sqrt;

/// π_epoch(x): the record at place `x` of an epoch over `n` records, x < n.
///
/// Eight Feistel rounds on ⌈√n⌉² places, repeated while the result is outside
/// `0..n`: at most twice on average, and always finite because the rounds are a
/// permutation.
#[must_use]
pub fn permute(key: &Key, n: u32, epoch: u32, x: u32) -> u32 {
    assert!(x < n);
    let a = u64::from(ceil_sqrt(n));
    let mut x = u64::from(x);
    loop {
        let (mut l, mut r) = (x / a, x % a);
        for j in 0..8 {
            let [f, ..] = key.draw(r as u32, j, epoch, Purpose::Order, 0);
            (l, r) = (r, (l + ((u64::from(f) * a) >> 32)) % a);
        }
        x = l * a + r;
        if x < u64::from(n) {
            return x as u32;
        }
    }
}

/// The order of a run: `n` records, `batch` of them a step.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    key: Key,
    n: u32,
    batch: u32,
    visits: u64,
}

impl Order {
    /// A run of `epochs` passes over `n` records; N = ⌈epochs·n/batch⌉ steps,
    /// of which only the last may be short.
    #[must_use]
    pub fn epochs(key: Key, n: u32, batch: u32, epochs: u16) -> Self {
        assert!(n > 0 && batch > 0);
        Self { key, n, batch, visits: u64::from(epochs) * u64::from(n) }
    }

    /// A run of exactly `steps` full steps.
    #[must_use]
    pub fn steps(key: Key, n: u32, batch: u32, steps: u32) -> Self {
        assert!(n > 0 && batch > 0);
        Self { key, n, batch, visits: u64::from(steps) * u64::from(batch) }
    }

    /// N, the number of steps.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.visits.div_ceil(u64::from(self.batch))
    }

    /// Whether the run has no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.visits == 0
    }

    /// The record at position `k` of step `t`, if the step is that long.
    #[must_use]
    pub fn record(&self, t: u32, k: u32) -> Option<u32> {
        let g = u64::from(t) * u64::from(self.batch) + u64::from(k);
        let n = u64::from(self.n);
        (k < self.batch && g < self.visits).then(|| permute(&self.key, self.n, (g / n) as u32, (g % n) as u32))
    }

    /// The records of step `t` in batch order; empty after the last step.
    #[must_use]
    pub fn step(&self, t: u32) -> Vec<u32> {
        (0..self.batch).map_while(|k| self.record(t, k)).collect()
    }
}
