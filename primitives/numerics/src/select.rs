//! Which records of a run are held out, which form its probe, and which train.
//! Integers only; the order of equal hashes is by index.

use crate::philox::{draw_below, Key, Purpose};
use alloc::vec::Vec;
use weft_protocol::hash::{h, tag, Hash};

/// Most records that are held out for evaluation.
pub const MAX_HELD_OUT: u32 = 200;
/// Most records of a probe drawn from the job's own records.
pub const MAX_PROBE: u32 = 64;

/// A choosable record: canonical, with a loss token, neither withdrawn,
/// excluded nor dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choosable {
    /// The record's index in the job.
    pub index: u32,
    /// H("weft.spl", snapshot root, record_id).
    pub split: Hash,
}

/// H("weft.spl", snapshot root, record_id): independent of the seed, and no
/// contributor can choose it.
#[must_use]
pub fn split_hash(snapshot_root: &Hash, record_id: &Hash) -> Hash {
    h(&tag::EVAL_SPLIT, &(snapshot_root, record_id))
}

/// How many records are held out: min(200, ⌊eval_ppm·n/10^6⌋), at most the
/// choosable ones. `n` counts all records of the job.
#[must_use]
pub fn held_out_count(n: u32, eval_ppm: u32, choosable: u32) -> u32 {
    let share = u64::from(eval_ppm) * u64::from(n) / 1_000_000;
    (share.min(u64::from(MAX_HELD_OUT)) as u32).min(choosable)
}

/// The held-out records, ascending: those with the lowest split hash, ties to
/// the lower index.
#[must_use]
pub fn held_out(n: u32, eval_ppm: u32, choosable: &[Choosable]) -> Vec<u32> {
    let count = held_out_count(n, eval_ppm, choosable.len() as u32) as usize;
    let mut by_hash: Vec<_> = choosable.iter().map(|r| (r.split, r.index)).collect();
    by_hash.sort_unstable();
    let mut out: Vec<u32> = by_hash.iter().take(count).map(|r| r.1).collect();
    out.sort_unstable();
    out
}

/// How many of `eligible` records are drawn for the probe:
/// min(64, max(1, ⌈|E|/20⌉)), at most |E|.
#[must_use]
pub fn probe_count(eligible: u32) -> u32 {
    eligible.div_ceil(20).clamp(1, MAX_PROBE).min(eligible)
}

/// Draws without replacement: draw j takes the ⌊w·m/2^32⌋-th of the
/// m = |E| − j choices left in ascending order. In the order drawn.
#[must_use]
pub fn draw(key: &Key, purpose: Purpose, eligible: &[u32], count: u32) -> Vec<u32> {
    let mut left = eligible.to_vec();
    (0..count)
        .map_while(|j| {
            let m = left.len() as u32;
            (m > 0).then(|| left.remove(draw_below(key, purpose, j, m) as usize))
        })
        .collect()
}

/// The parts of a run's choosable records, each ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Held out for evaluation: trained with weight 0.
    pub held_out: Vec<u32>,
    /// The probe: trained with weight 0.
    pub probe: Vec<u32>,
    /// The records that train.
    pub train: Vec<u32>,
}

/// Held-out records and the probe of a job without a reserve; `n` counts all
/// records of the job and `key` is that of its seed. With `probe` false (no
/// attribution, or a probe from reserves) all but the held-out records train.
#[must_use]
pub fn select(key: &Key, n: u32, eval_ppm: u32, choosable: &[Choosable], probe: bool) -> Selection {
    let held_out = held_out(n, eval_ppm, choosable);
    let mut eligible: Vec<u32> =
        choosable.iter().map(|r| r.index).filter(|i| held_out.binary_search(i).is_err()).collect();
    eligible.sort_unstable();
    let count = if probe { probe_count(eligible.len() as u32) } else { 0 };
    let mut probe = draw(key, Purpose::Probe, &eligible, count);
    probe.sort_unstable();
    let train = eligible.into_iter().filter(|i| probe.binary_search(i).is_err()).collect();
    Selection { held_out, probe, train }
}
