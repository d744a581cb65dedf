//! What a jury decides, what becomes of each juror, and who pays their fees.

use crate::run::{Commit, JuryValue};
use alloc::vec::Vec;

/// Most juries drawn for one question.
pub const MAX_DRAWS: u32 = 3;

/// What a jury's answers mean for the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The answer's commitment differs from the run's.
    Fraud,
    /// The answer's commitment is the run's.
    Honest,
    /// No answer: as many jurors more are drawn.
    Redraw,
    /// No answer, and no further draw.
    Undecided,
}

/// Where the fees of jurors who gave the answer come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payer {
    /// The slashed stake of the oracle: [`crate::slash::slash_parts`].
    Stake,
    /// The bonds or locks of the accusers: [`crate::slash::lost_bond`].
    Accusers,
    /// No juror is paid.
    Nobody,
}

impl Verdict {
    /// Who pays the jurors who gave the answer.
    pub const fn payer(self) -> Payer {
        match self {
            Self::Fraud => Payer::Stake,
            Self::Honest => Payer::Accusers,
            Self::Redraw | Self::Undecided => Payer::Nobody,
        }
    }
}

/// What becomes of one juror.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JurorFate {
    /// Revealed the answer: its lock is free and a fee is due.
    Paid,
    /// Revealed where there is no answer: its lock is free.
    Released,
    /// Revealed something else: loses a tenth of its lock.
    Wrong,
    /// Revealed nothing: loses a tenth of its lock.
    Silent,
}

/// The value that more than half of those drawn revealed; `values` has an entry for each of them, `None` for the silent.
pub fn majority<V: PartialEq>(values: &[Option<V>]) -> Option<&V> {
    let needed = values.len() / 2;
    let revealed = || values.iter().flatten();
    revealed().find(|value| revealed().filter(|other| other == value).count() > needed)
}

/// What the jury's `values` (see [`majority`]) say of a run with this commitment.
///
/// `short`: fewer eligible oracles than the jury's size were found, so that a further draw finds nobody. `draws`: juries
/// drawn for the question so far, this one included.
pub fn verdict(values: &[Option<JuryValue>], commit: Option<&Commit>, short: bool, draws: u32) -> Verdict {
    match majority(values) {
        Some(answer) if Some(&answer.commit) == commit => Verdict::Honest,
        Some(_) => Verdict::Fraud,
        None if short || draws >= MAX_DRAWS => Verdict::Undecided,
        None => Verdict::Redraw,
    }
}

/// What becomes of a juror that revealed `value`, given the [`majority`]'s answer.
pub fn fate<V: PartialEq>(value: Option<&V>, answer: Option<&V>) -> JurorFate {
    match (value, answer) {
        (None, _) => JurorFate::Silent,
        (Some(_), None) => JurorFate::Released,
        (Some(value), Some(answer)) if value == answer => JurorFate::Paid,
        (Some(_), Some(_)) => JurorFate::Wrong,
    }
}

/// Pays `fees` in their order while `most` lasts: the payments, one for each fee, and what is left of `most`.
///
/// The last one that is paid may get a part of its fee. Payments and the rest sum to `most`.
pub fn pay_in_order(most: u128, fees: &[u128]) -> (Vec<u128>, u128) {
    let mut left = most;
    let paid = fees
        .iter()
        .map(|fee| {
            let paid = left.min(*fee);
            // `paid` is at most `left`: no saturation can happen.
            left = left.saturating_sub(paid);
            paid
        })
        .collect();
    (paid, left)
}
