//! Which records of a run are held out, which make its probe, and which train. Integers only; the caller supplies the
//! run's random words.

use crate::hash::{below, Hash};
use alloc::vec::Vec;

/// Most records held out for evaluation.
pub const MAX_HELD_OUT: u32 = 200;
/// Most records of a probe drawn from the job's own records.
pub const MAX_PROBE: u32 = 64;

/// A choosable record: canonical, with a loss token, neither withdrawn, excluded nor dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choosable {
    /// The record's index in the job.
    pub index: u32,
    /// [`crate::record::split_hash`]: independent of the seed, and no contributor can choose it.
    pub split: Hash,
}

/// The parts of a run's choosable records, each ascending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// Held out for evaluation: trained with weight 0.
    pub held_out: Vec<u32>,
    /// The probe: trained with weight 0.
    pub probe: Vec<u32>,
    /// The records that train.
    pub train: Vec<u32>,
}

/// Indices held out, ascending: the min(200, ⌊eval_ppm·n / 10^6⌋) choosable records (all, if fewer) with the lowest split
/// hash, ties to the lower index. `n` counts all records of the job.
pub fn held_out(choosable: &[Choosable], eval_ppm: u32, n: u32) -> Vec<u32> {
    let share = u64::from(eval_ppm).saturating_mul(u64::from(n)) / 1_000_000;
    let count = usize::try_from(share.min(u64::from(MAX_HELD_OUT))).unwrap_or(usize::MAX);
    let mut order: Vec<(Hash, u32)> = choosable.iter().map(|record| (record.split, record.index)).collect();
    order.sort_unstable();
    let mut out: Vec<u32> = order.into_iter().take(count).map(|(_, index)| index).collect();
    out.sort_unstable();
    out
}

/// Records drawn as probe when no reserve is sealed: min(64, max(1, ⌈e/20⌉)), at most e.
pub fn probe_size(e: u32) -> u32 {
    e.div_ceil(20).clamp(1, MAX_PROBE).min(e)
}

/// Draws the probe from `e` (the other choosable records, ascending): draw j takes the ⌊w·m / 2^32⌋-th of the m left,
/// w = `word(j)` being word 0 of the run's random numbers with purpose 4. Ascending.
pub fn probe(e: &[u32], mut word: impl FnMut(u32) -> u32) -> Vec<u32> {
    let mut left = e.to_vec();
    let mut drawn = Vec::new();
    for j in 0..probe_size(u32::try_from(e.len()).unwrap_or(u32::MAX)) {
        let place = below(word(j), u32::try_from(left.len()).unwrap_or(u32::MAX));
        // place < left.len(), because the word is below 2^32 and no more are drawn than there are.
        drawn.push(left.remove(usize::try_from(place).unwrap_or(0)));
    }
    drawn.sort_unstable();
    drawn
}

/// Parts the choosable records of a job of `n` records. With `with_probe` false (no attribution, or a probe from
/// reserves) all but the held-out records train. `word`: see [`probe`].
pub fn select(
    choosable: &[Choosable],
    eval_ppm: u32,
    n: u32,
    with_probe: bool,
    word: impl FnMut(u32) -> u32,
) -> Selection {
    let held_out = held_out(choosable, eval_ppm, n);
    let mut rest: Vec<u32> =
        choosable.iter().map(|record| record.index).filter(|index| held_out.binary_search(index).is_err()).collect();
    rest.sort_unstable();
    let probe = if with_probe { probe(&rest, word) } else { Vec::new() };
    let train = rest.into_iter().filter(|index| probe.binary_search(index).is_err()).collect();
    Selection { held_out, probe, train }
}
