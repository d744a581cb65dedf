//! Which records of a run are held out, which form its probe, and which train:
//! the rule of [`weft_protocol::draw`] with the random words of a run's key.

use crate::philox::{Key, Purpose};
pub use weft_protocol::draw::{Choosable, Selection};

/// Held-out records and the probe of a job without a reserve; `n` counts all
/// records of the job and `key` is that of its seed. With `probe` false (no
/// attribution, or a probe from reserves) all but the held-out records train.
#[must_use]
pub fn select(key: &Key, n: u32, eval_ppm: u32, choosable: &[Choosable], probe: bool) -> Selection {
    weft_protocol::draw::select(choosable, eval_ppm, n, probe, |j| {
        let [word, ..] = key.draw(j, 0, 0, Purpose::Probe, 0);
        word
    })
}
