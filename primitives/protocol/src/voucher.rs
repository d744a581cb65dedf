//! Vouchers: cumulative payments of an API key to an oracle for a model.

use crate::{
    hash::{h, tag, Hash},
    AccountId,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Version in the preimage.
pub const VERSION: u8 = 1;

/// A promise to pay, signed by the API key over [`Voucher::hash`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Voucher {
    /// Who pays.
    pub consumer: AccountId,
    /// Public sr25519 key that signs.
    pub key: [u8; 32],
    /// Who is paid.
    pub oracle: AccountId,
    /// For which model.
    pub model: u32,
    /// Version of the prices.
    pub price_version: u32,
    /// Everything paid in this channel so far, this voucher included.
    pub cumulative: u128,
    /// Prompt tokens since the last redeemed voucher.
    pub tokens_in: u64,
    /// Generated tokens since the last redeemed voucher.
    pub tokens_out: u64,
    /// Root of the fee-sum tree over the receipts that make up the difference.
    pub receipts: Hash,
}

impl Voucher {
    /// `H("weft.vch", 1u8, genesis, fields in order)`.
    pub fn hash(&self, genesis: &Hash) -> Hash {
        h(&tag::VOUCHER, &(VERSION, genesis, self))
    }
}
