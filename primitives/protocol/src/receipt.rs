//! Receipts: one per answer, signed by the serving oracle.

use crate::{
    fee_tree::FeeNode,
    hash::{h, tag, Hash},
    split::ModelSplit,
    AccountId,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

/// Version of this receipt.
pub const VERSION: u8 = 1;
/// Most contributors a receipt names.
pub const MAX_TOP: usize = 5;
/// Model number of answers of a base model, which are free.
pub const BASE_MODEL: u32 = u32::MAX;

/// Everything about one answer, in the order that is hashed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Receipt {
    /// [`VERSION`].
    pub version: u8,
    /// Genesis hash of the chain.
    pub genesis: Hash,
    /// Id of the receipt.
    pub id: [u8; 16],
    /// The oracle's own count for this model, from 0.
    pub index: u64,
    /// The oracle.
    pub oracle: AccountId,
    /// Class of the arithmetic, such as `cpu-f32/1`.
    pub class: Vec<u8>,
    /// The model, or [`BASE_MODEL`].
    pub model: u32,
    /// Its commitment; zero for a base model.
    pub model_commitment: Hash,
    /// The base model.
    pub base_root: Hash,
    /// [`salted`] hash of the request.
    pub request: Hash,
    /// [`salted`] hash of the answer.
    pub answer: Hash,
    /// Tokens of the prompt.
    pub tokens_in: u32,
    /// Tokens generated.
    pub tokens_out: u32,
    /// Version of the prices.
    pub price_version: u32,
    /// Price per 1,000 tokens of the prompt.
    pub price_in: u128,
    /// Price per 1,000 generated tokens.
    pub price_out: u128,
    /// The fee.
    pub fee: u128,
    /// How fees of the model are shared.
    pub split: ModelSplit,
    /// Attribution method.
    pub method: u16,
    /// Root of the attribution shown.
    pub attribution: Hash,
    /// Contributors with the largest shares, ppm; at most [`MAX_TOP`].
    pub top: Vec<(AccountId, u32)>,
    /// Finalised block the oracle saw.
    pub block: u32,
    /// Its hash.
    pub block_hash: Hash,
    /// Time in milliseconds since 1970.
    pub time: u64,
}

impl Receipt {
    /// `H("weft.rcp", receipt)`: what the oracle signs, and the receipt's leaf.
    pub fn hash(&self) -> Hash {
        h(&tag::RECEIPT, self)
    }

    /// The receipt's leaf in a fee-sum tree.
    pub fn leaf(&self) -> FeeNode {
        FeeNode { hash: self.hash(), fee: self.fee }
    }
}

/// `H("weft.slt", salt, bytes)`: the salt goes to the payer alone.
pub fn salted(salt: &Hash, bytes: &[u8]) -> Hash {
    h(&tag::SALTED, &(salt, bytes))
}
