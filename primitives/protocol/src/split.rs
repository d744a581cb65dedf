//! Exact division of money: largest remainder, ties to the lower index.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::cmp::Reverse;
use ethnum::U256;
use scale_info::TypeInfo;

/// Parts per million that make a whole.
pub const PPM: u32 = 1_000_000;

/// Most weights one on-chain split takes.
pub const MAX_WEIGHTS: usize = 2048;

/// Splits `total` by weights, at most [`MAX_WEIGHTS`] of them. See [`split_any`].
pub fn split(total: u128, weights: &[u128]) -> Option<Vec<u128>> {
    if weights.len() > MAX_WEIGHTS {
        return None;
    }
    split_any(total, weights)
}

/// Splits `total` by weights: each part is ⌊total·w/Σw⌋, and the units left go one each to the largest remainders, ties
/// to the lower index. Weights that are all 0 count as 1 each.
///
/// Products have 256 bits. `None` when Σw overflows, or when there is money and nobody to take it.
pub fn split_any(total: u128, weights: &[u128]) -> Option<Vec<u128>> {
    if weights.is_empty() {
        return (total == 0).then(Vec::new);
    }
    let mut sum = weights.iter().try_fold(0u128, |acc, weight| acc.checked_add(*weight))?;
    let even = sum == 0;
    if even {
        sum = u128::try_from(weights.len()).ok()?;
    }
    let (mut parts, mut remainders) = (Vec::with_capacity(weights.len()), Vec::with_capacity(weights.len()));
    let mut given = 0u128;
    for (index, weight) in weights.iter().enumerate() {
        let weight = if even { 1 } else { *weight };
        let (part, remainder) = mul_div(total, weight, sum)?;
        given = given.checked_add(part)?;
        parts.push(part);
        remainders.push((Reverse(remainder), index));
    }
    let left = usize::try_from(total.checked_sub(given)?).ok()?;
    if left > 0 {
        // Fewer units are left than there are parts: every remainder is below the sum.
        remainders.sort_unstable();
        for (_, index) in remainders.iter().take(left) {
            let part = parts.get_mut(*index)?;
            *part = part.checked_add(1)?;
        }
    }
    Some(parts)
}

/// ⌊a·b/c⌋ and the remainder, the product in 256 bits; `None` when c is 0 or the quotient exceeds u128.
pub fn mul_div(a: u128, b: u128, c: u128) -> Option<(u128, u128)> {
    let product = U256::new(a).checked_mul(U256::new(b))?;
    let divisor = U256::new(c);
    let quotient = product.checked_div(divisor)?;
    let remainder = product.checked_rem(divisor)?;
    Some((u128::try_from(quotient).ok()?, u128::try_from(remainder).ok()?))
}

/// ⌈a·b/c⌉; `None` as for [`mul_div`].
pub fn mul_div_up(a: u128, b: u128, c: u128) -> Option<u128> {
    let (quotient, remainder) = mul_div(a, b, c)?;
    quotient.checked_add(u128::from(remainder != 0))
}

/// Splits `total` by shares in parts per million that must sum to 1,000,000.
pub fn ppm<const N: usize>(total: u128, shares: &[u32; N]) -> Option<[u128; N]> {
    let sum = shares.iter().try_fold(0u32, |acc, share| acc.checked_add(*share))?;
    if sum != PPM {
        return None;
    }
    split(total, &shares.map(u128::from))?.try_into().ok()
}

/// How a model's fees are shared, in parts per million.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct ModelSplit {
    /// Treasury.
    pub treasury: u32,
    /// Stakers.
    pub stakers: u32,
    /// Owner of the model.
    pub owner: u32,
    /// Serving oracles.
    pub oracle: u32,
    /// Data pool.
    pub data: u32,
}

impl ModelSplit {
    /// Default of new models: 5 % treasury, 5 % stakers, 30 % owner, 20 % oracle, 40 % data.
    pub const DEFAULT: Self =
        Self { treasury: 50_000, stakers: 50_000, owner: 300_000, oracle: 200_000, data: 400_000 };

    /// The five shares in the order of the fields.
    pub const fn shares(&self) -> [u32; 5] {
        [self.treasury, self.stakers, self.owner, self.oracle, self.data]
    }

    /// Whether the shares sum to 1,000,000.
    pub fn is_whole(&self) -> bool {
        self.shares().iter().try_fold(0u32, |acc, share| acc.checked_add(*share)) == Some(PPM)
    }

    /// Splits fees: treasury, stakers, owner, oracle, data; `None` unless the shares are whole.
    pub fn split(&self, fees: u128) -> Option<[u128; 5]> {
        ppm(fees, &self.shares())
    }
}
