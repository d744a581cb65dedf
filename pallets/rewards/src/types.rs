//! Stored types.

use alloc::vec::Vec;
use frame::{derive::serde, prelude::*};
use weft_protocol::{hash::Hash, split::mul_div, voucher::Voucher};
use weft_traits::{Amount, DatanetId, ModelId};

/// Most parts of a settlement: one per Datanet of the model.
pub const MAX_PARTS: u32 = 16;
/// Most oracles with fees in one epoch of a model.
pub const MAX_ORACLES: u32 = 32;
/// Most API keys of a consumer.
pub const MAX_KEYS: u32 = 32;
/// Most models that a key names.
pub const MAX_KEY_MODELS: u32 = 32;
/// Most vouchers of one `redeem`, and most leaves of one `claim_many`.
pub const MAX_BATCH: u32 = 256;
/// Most levels of a Merkle-sum tree, whose leaves are counted by a `u32`.
pub const MAX_DEPTH: u32 = 32;
/// Most nodes of a multiproof for [`MAX_BATCH`] leaves: their paths meet in the upper eight levels at the latest.
pub const MAX_MULTIPROOF: u32 = 6_144;
/// Leaves whose bits share one chunk of `ClaimedBits`.
pub const CHUNK_LEAVES: u32 = 2_048;
/// Bytes of one chunk.
pub const CHUNK_BYTES: u32 = 256;
/// Most recipients of an inline payout list.
pub const MAX_INLINE: u32 = 64;

/// Genesis parameters. Times in blocks of the chain's clock, amounts in the smallest unit.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
    Serialize,
    Deserialize,
)]
#[serde(crate = "serde", rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Length of a settlement epoch, at least 1. Changing it renumbers the epochs of every model.
    pub epoch_length: u32,
    /// Blocks after the end of an epoch from which it is settled without the usage of silent oracles.
    pub usage_delay: u32,
    /// T_unlock: blocks between `close_budget` and `withdraw`; longer than an epoch.
    pub unlock: u32,
    /// Settlement minimum: fees below it roll into the running epoch.
    pub minimum: Amount,
    /// Blocks for which a replay settlement can be disputed.
    pub settlement_window: u32,
}

impl Default for Params {
    /// The values of the preset `development`.
    fn default() -> Self {
        Self { epoch_length: 5, usage_delay: 20, unlock: 20, minimum: 1, settlement_window: 0 }
    }
}

/// Budget of a consumer at an oracle.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Budget {
    /// Units on hold.
    pub held: Amount,
    /// Units redeemed since it was opened.
    pub spent: Amount,
    /// Clock value from which the rest can be withdrawn; `None` while it is open.
    pub unlock: Option<u32>,
}

/// Models that a key may pay for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum KeyModels {
    /// Every model.
    Any,
    /// The listed ones: an empty list means none.
    Only(BoundedVec<ModelId, ConstU32<MAX_KEY_MODELS>>),
}

impl KeyModels {
    /// Whether the model may be paid.
    pub fn allows(&self, model: ModelId) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.contains(&model),
        }
    }
}

/// What a key may spend.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct KeyRule {
    /// Most units per day, over all oracles and models, counted on the day of redemption.
    pub daily_limit: Amount,
    /// Models it may pay for.
    pub models: KeyModels,
    /// Clock value from which it is refused; `None`: never.
    pub expiry: Option<u32>,
}

/// An API key of a consumer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ApiKey {
    /// What it may spend.
    pub rule: KeyRule,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Day of the last redemption.
    pub day: u32,
    /// Units redeemed on that day.
    pub spent: Amount,
}

impl ApiKey {
    /// Whether no voucher of the key can be redeemed any more.
    pub fn is_dead(&self, now: u32) -> bool {
        self.revoked || self.rule.expiry.is_some_and(|expiry| now >= expiry)
    }

    /// Counts `amount` on `day`; `None` when the daily limit does not allow it.
    pub fn spend(&mut self, day: u32, amount: Amount) -> Option<()> {
        let before = if self.day == day { self.spent } else { 0 };
        let after = before.checked_add(amount).filter(|after| *after <= self.rule.daily_limit)?;
        self.day = day;
        self.spent = after;
        Some(())
    }
}

/// What a channel has paid.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Channel {
    /// Cumulative fee redeemed.
    pub paid: Amount,
    /// Price version of the last voucher.
    pub price_version: u32,
}

/// A voucher with the signature of its API key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedVoucher {
    /// The voucher.
    pub voucher: Voucher,
    /// sr25519 signature over the voucher's hash.
    pub signature: [u8; 64],
}

/// Fees of one oracle in one epoch of a model.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct OracleFees<AccountId> {
    /// The oracle.
    pub oracle: AccountId,
    /// Fees it redeemed in the epoch.
    pub fees: Amount,
    /// Its fees of earlier epochs that stayed below the settlement minimum.
    pub rolled: Amount,
}

/// Sum of all fees of an epoch, rolled ones included; `None` on overflow.
pub fn total<AccountId>(revenue: &[OracleFees<AccountId>]) -> Option<Amount> {
    revenue.iter().try_fold(0u128, |sum, entry| sum.checked_add(entry.fees)?.checked_add(entry.rolled))
}

/// The five shares of an epoch's fees.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct FeeShares {
    /// Treasury.
    pub treasury: Amount,
    /// Stakers' pot.
    pub stakers: Amount,
    /// Owner of the model.
    pub owner: Amount,
    /// Oracles, by fees.
    pub oracle: Amount,
    /// Data pool, over the parts.
    pub data: Amount,
}

impl FeeShares {
    /// Sum of the shares; `None` on overflow.
    pub fn sum(&self) -> Option<Amount> {
        [self.stakers, self.owner, self.oracle, self.data]
            .iter()
            .try_fold(self.treasury, |sum, share| sum.checked_add(*share))
    }
}

/// By what the data pool of a settlement is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum SettlementKind {
    /// The training weights of the model.
    Training,
    /// A replay of the epoch's answers.
    Replay,
}

/// Where a settlement stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum SettlementState {
    /// A replay settlement that can be disputed until this clock value.
    Posted(u32),
    /// A replay settlement in dispute.
    Disputed,
    /// Paid out but for the claims, which are open.
    Open,
    /// Below the settlement minimum: its fees went to this later epoch.
    Rolled(u32),
}

/// One Datanet of a settlement.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SettlementPart {
    /// The Datanet.
    pub datanet: DatanetId,
    /// Units for the contributors, claimed leaf by leaf.
    pub contributors: Amount,
    /// Units paid to the owner of the Datanet.
    pub owner: Amount,
    /// Units paid to the curators together.
    pub curators: Amount,
    /// Payout root.
    pub root: Hash,
    /// Sums pos and neg of the root.
    pub scores: (u128, u128),
    /// Number of leaves.
    pub leaves: u32,
    /// Points of all leaves.
    pub paid: u128,
    /// Leaves claimed.
    pub claimed_leaves: u32,
    /// Units claimed, the dust of the last claim included.
    pub claimed: Amount,
}

impl SettlementPart {
    /// Units that the leaf with this many points is due: ⌊contributors × paid ÷ points of the part⌋.
    pub fn due(&self, paid: u128) -> Option<Amount> {
        mul_div(self.contributors, paid, self.paid).map(|(units, _)| units)
    }

    /// Units that are left for claims.
    pub fn unclaimed(&self) -> Option<Amount> {
        self.contributors.checked_sub(self.claimed)
    }
}

/// Settlement of one epoch of a model.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Settlement<AccountId> {
    /// By what the data pool is shared.
    pub kind: SettlementKind,
    /// Fees of the epoch.
    pub fees: Amount,
    /// The five shares; for a licence price all of it is data.
    pub shares: FeeShares,
    /// Parts, ascending by Datanet.
    pub parts: BoundedVec<SettlementPart, ConstU32<MAX_PARTS>>,
    /// Who posted a replay settlement.
    pub poster: Option<AccountId>,
    /// Where it stands.
    pub state: SettlementState,
}

/// Claimed leaves of one chunk, a bit each, lowest bit first.
#[derive(Clone, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ClaimBits {
    /// Leaves whose due units were paid.
    pub due: BoundedVec<u8, ConstU32<CHUNK_BYTES>>,
    /// Leaves whose held units were paid; only replay settlements hold any.
    pub held: BoundedVec<u8, ConstU32<CHUNK_BYTES>>,
}

impl ClaimBits {
    /// Byte and mask of a leaf inside its chunk.
    fn place(index: u32) -> (usize, u8) {
        let bit = index % CHUNK_LEAVES;
        let mask = 1u8.checked_shl(bit % 8).unwrap_or(0);
        (usize::try_from(bit / 8).unwrap_or(usize::MAX), mask)
    }

    /// Whether the due units of leaf `index` were paid.
    pub fn is_due_set(&self, index: u32) -> bool {
        let (byte, mask) = Self::place(index);
        self.due.get(byte).is_some_and(|bits| bits & mask != 0)
    }

    /// Marks the due units of leaf `index` as paid; `None` when they already were.
    pub fn set_due(&mut self, index: u32) -> Option<()> {
        let (byte, mask) = Self::place(index);
        while self.due.len() <= byte {
            self.due.try_push(0).ok()?;
        }
        let bits = self.due.get_mut(byte)?;
        if *bits & mask != 0 {
            return None;
        }
        *bits |= mask;
        Some(())
    }

    /// Number of leaves whose due units were paid.
    pub fn count_due(&self) -> u32 {
        self.due.iter().fold(0u32, |sum, bits| sum.saturating_add(bits.count_ones()))
    }
}

/// What a recipient prefers for its own payouts.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Preference<AccountId> {
    /// Account that is paid instead.
    pub destination: Option<AccountId>,
    /// Part of a payout for whoever claims it, ppm.
    pub tip_ppm: u32,
}

/// Answer of the view `claim_status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ClaimStatus {
    /// Whether the leaf is claimed.
    pub claimed: bool,
    /// Units that the leaf is or was due.
    pub due: Amount,
}

/// Payments of one settlement: who gets how much from the pot.
pub(crate) type Payments<AccountId> = Vec<(AccountId, Amount)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_should_be_set_once_each() {
        // GIVEN an empty chunk
        let mut bits = ClaimBits::default();
        // WHEN leaves of one chunk are set, first and last among them
        for index in [0, 7, 8, 2_047] {
            assert!(!bits.is_due_set(index));
            assert_eq!(bits.set_due(index), Some(()));
            assert!(bits.is_due_set(index));
            assert_eq!(bits.set_due(index), None);
        }
        // THEN exactly these are set, in 256 bytes
        assert_eq!(bits.count_due(), 4);
        assert_eq!(bits.due.len(), 256);
        assert!(!bits.is_due_set(1));
    }

    #[test]
    fn key_should_start_a_new_sum_when_the_day_changes() {
        let rule = KeyRule { daily_limit: 10, models: KeyModels::Any, expiry: None };
        let mut key = ApiKey { rule, revoked: false, day: 0, spent: 0 };
        assert_eq!(key.spend(3, 10), Some(()));
        assert_eq!(key.spend(3, 1), None);
        assert_eq!(key.spend(4, 1), Some(()));
        assert_eq!((key.day, key.spent), (4, 1));
        assert_eq!(key.spend(4, u128::MAX), None);
    }

    #[test]
    fn key_should_allow_nothing_when_its_list_is_empty() {
        assert!(KeyModels::Any.allows(7));
        assert!(!KeyModels::Only(Default::default()).allows(7));
        assert!(KeyModels::Only(vec![7].try_into().unwrap()).allows(7));
    }

    #[test]
    fn due_should_be_exact_when_products_exceed_128_bits() {
        let part = SettlementPart {
            datanet: 0,
            contributors: u128::MAX / 2,
            owner: 0,
            curators: 0,
            root: [0; 32],
            scores: (0, 0),
            leaves: 2,
            paid: 3,
            claimed_leaves: 0,
            claimed: 0,
        };
        assert_eq!(part.due(1), Some(u128::MAX / 2 / 3));
        assert_eq!(part.due(3), Some(u128::MAX / 2));
        assert_eq!(SettlementPart { paid: 0, ..part }.due(0), None);
    }
}
