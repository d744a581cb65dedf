//! Where the money of a slash and of a lost bond goes.

use crate::split::ppm;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Shares of what the jurors leave of a slash: challenger, builder, burned.
pub const SHARES: [u32; 3] = [500_000, 150_000, 350_000];

/// The parts of one slash; they sum to the slash.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct SlashParts {
    /// Fees of the jurors.
    pub jurors: u128,
    /// Who proved it.
    pub challenger: u128,
    /// The builder of the job.
    pub builder: u128,
    /// Taken out of the issuance.
    pub burned: u128,
}

/// Parts of a slash for fraud: jurors' fees first, then 50 % challenger, 15 % builder, 35 % burned; without a challenger
/// its part is burned.
pub fn slash_parts(amount: u128, juror_fees: u128, has_challenger: bool) -> Option<SlashParts> {
    let jurors = juror_fees.min(amount);
    let [challenger, builder, burned] = ppm(amount.checked_sub(jurors)?, &SHARES)?;
    if has_challenger {
        Some(SlashParts { jurors, challenger, builder, burned })
    } else {
        Some(SlashParts { jurors, challenger: 0, builder, burned: burned.checked_add(challenger)? })
    }
}

/// Parts of the penalty of a late run: half to the builder, the rest burned.
pub fn late_parts(amount: u128) -> SlashParts {
    let builder = amount / 2;
    // Half is at most the whole: no saturation can happen.
    SlashParts { jurors: 0, challenger: 0, builder, burned: amount.saturating_sub(builder) }
}

/// The parts of a losing accuser's bond or lock; they sum to it.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct LostBond {
    /// Fees of the jurors.
    pub jurors: u128,
    /// The oracle that was accused falsely.
    pub oracle: u128,
}

/// A losing accuser loses all of its bond or lock: jurors first, the rest to the oracle.
///
/// `juror_fees`: the fees that are still unpaid, in all. When several accusers lose, each in its turn pays what the
/// earlier ones left; [`crate::jury::pay_in_order`] says which juror gets how much of `jurors`.
pub fn lost_bond(amount: u128, juror_fees: u128) -> LostBond {
    // `jurors` is at most `amount`: no saturation can happen.
    let jurors = juror_fees.min(amount);
    LostBond { jurors, oracle: amount.saturating_sub(jurors) }
}
