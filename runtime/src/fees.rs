//! Where fees, tips and dust go.
//!
//! Transaction fees and dust belong to the treasury, tips to the author of the block. The default handlers of the SDK
//! burn all three, and `ResolveTo` burns what an account that does not exist cannot take; here an author without an
//! account leaves its tips to the treasury, and the treasury exists from genesis on.

#![deny(missing_docs)]

use crate::{AccountId, Authorship, Balances, Runtime, MICRO_WEFT};
use frame_support::{
    parameter_types,
    traits::{
        fungible::{Balanced, Credit},
        tokens::imbalance::{Imbalance, ResolveTo},
        OnUnbalanced, TypedGet,
    },
    PalletId,
};
use pallet_transaction_payment::{Multiplier, TargetedFeeAdjustment};
use sp_runtime::{
    traits::{AccountIdConversion, One},
    FixedPointNumber, Perquintill,
};

/// The treasury. `pallet-treasury` derives the same account, so it will find the money when it comes.
pub const TREASURY: PalletId = PalletId(*b"py/trsry");
/// Fees of models that wait for their settlement.
pub const REVENUE: PalletId = PalletId(*b"weft/rev");
/// The stakers' share of settled fees.
pub const STAKERS: PalletId = PalletId(*b"weft/stk");

/// Account of the treasury.
pub struct TreasuryAccount;
impl TypedGet for TreasuryAccount {
    type Type = AccountId;
    fn get() -> AccountId {
        TREASURY.into_account_truncating()
    }
}

/// Takes dust and fees into the treasury.
pub type ToTreasury = ResolveTo<TreasuryAccount, Balances>;

/// Takes the fee of a transaction into the treasury and gives its tip to the author of the block.
pub struct FeesToTreasuryTipsToAuthor;
impl OnUnbalanced<Credit<AccountId, Balances>> for FeesToTreasuryTipsToAuthor {
    fn on_unbalanceds(mut fee_then_tip: impl Iterator<Item = Credit<AccountId, Balances>>) {
        if let Some(fee) = fee_then_tip.next() {
            ToTreasury::on_unbalanced(fee);
        }
        if let Some(tip) = fee_then_tip.next() {
            give_tip(tip);
        }
    }
}

/// Gives a tip to the author of the block, or to the treasury if no author is known or it cannot take the amount.
fn give_tip(tip: Credit<AccountId, Balances>) {
    if tip.peek() == 0 {
        return;
    }
    let rest = match Authorship::author() {
        Some(author) => match <Balances as Balanced<AccountId>>::resolve(&author, tip) {
            Ok(()) => return,
            Err(rest) => rest,
        },
        None => tip,
    };
    ToTreasury::on_unbalanced(rest);
}

parameter_types! {
    /// Fee of a byte of a transaction: a mebibyte costs about a WEFT.
    pub const TransactionByteFee: crate::Balance = MICRO_WEFT;
    /// Fullness of a block above which fees rise.
    pub const TargetBlockFullness: Perquintill = Perquintill::from_percent(25);
    /// How fast fees follow the fullness of blocks.
    pub AdjustmentVariable: Multiplier = Multiplier::saturating_from_rational(75, 1_000_000);
    /// Fees never fall below the price list: a budget computed from it stays an upper bound while blocks have room.
    pub MinimumMultiplier: Multiplier = Multiplier::one();
    /// Fees never rise above a thousand times the price list.
    pub MaximumMultiplier: Multiplier = Multiplier::saturating_from_integer(1_000);
}

/// Raises fees slowly while blocks are more than a quarter full.
pub type FeeAdjustment =
    TargetedFeeAdjustment<Runtime, TargetBlockFullness, AdjustmentVariable, MinimumMultiplier, MaximumMultiplier>;
