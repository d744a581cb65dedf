//! Which records are held out and which make the probe.

use crate::hash::Hash;
use alloc::vec::Vec;

/// Most records held out for evaluation.
pub const MAX_HELD_OUT: u32 = 200;
/// Most records of the probe.
pub const MAX_PROBE: u32 = 64;

/// Indices held out, ascending: the min(200, ⌊eval_ppm·n / 10^6⌋) choosable records (all, if fewer) with the lowest split
/// hash, ties to the lower index.
///
/// `choosable` are (index, [`crate::record::split_hash`]); `n` counts all records of the job.
pub fn held_out(choosable: &[(u32, Hash)], eval_ppm: u32, n: u32) -> Vec<u32> {
    let share = u64::from(eval_ppm).saturating_mul(u64::from(n)) / 1_000_000;
    let count = usize::try_from(share.min(u64::from(MAX_HELD_OUT))).unwrap_or(usize::MAX);
    let mut order: Vec<(Hash, u32)> = choosable.iter().map(|(index, split)| (*split, *index)).collect();
    order.sort_unstable();
    let mut out: Vec<u32> = order.into_iter().take(count).map(|(_, index)| index).collect();
    out.sort_unstable();
    out
}

/// Records drawn as probe when no reserve is sealed: min(64, max(1, ⌈e/20⌉)), at most e.
pub const fn probe_size(e: u32) -> u32 {
    let share = e.div_ceil(20);
    let share = if share > MAX_PROBE { MAX_PROBE } else { share };
    let at_least_one = if share == 0 { 1 } else { share };
    if at_least_one > e {
        e
    } else {
        at_least_one
    }
}

/// Draws the probe from `e` (the other choosable records, ascending): draw j takes the ⌊w·m / 2^32⌋-th of the m left,
/// w = `word(j)` being word 0 of the run's random numbers with purpose 4. Ascending.
pub fn probe(e: &[u32], mut word: impl FnMut(u32) -> u32) -> Vec<u32> {
    let mut left = e.to_vec();
    let mut drawn = Vec::new();
    for j in 0..probe_size(u32::try_from(e.len()).unwrap_or(u32::MAX)) {
        let m = u64::try_from(left.len()).unwrap_or(u64::MAX);
        let place = u64::from(word(j)).saturating_mul(m) >> 32;
        // place < m, because the word is below 2^32.
        drawn.push(left.remove(usize::try_from(place).unwrap_or(0)));
    }
    drawn.sort_unstable();
    drawn
}
