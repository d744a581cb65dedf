//! Balances and blocks.

use subxt::ext::scale_decode::DecodeAsType;

use crate::{Call, ChainError, State};

/// Money of an account in the smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Balance {
    /// Not on hold.
    pub free: u128,
    /// On hold.
    pub reserved: u128,
}

impl Balance {
    /// Free and held money together.
    #[must_use]
    pub const fn total(&self) -> u128 {
        self.free.saturating_add(self.reserved)
    }
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct AccountInfo {
    data: Balance,
}

/// Money of an account; zero for an account that does not exist.
pub async fn balance(state: &State, account: &[u8; 32]) -> Result<Balance, ChainError> {
    let info: Option<AccountInfo> = state.get("System", "Account", (*account,)).await?;
    Ok(info.map(|i| i.data).unwrap_or_default())
}

/// Money that exists.
pub async fn total_issuance(state: &State) -> Result<u128, ChainError> {
    Ok(state.get("Balances", "TotalIssuance", ()).await?.unwrap_or_default())
}

/// Timestamp of the block in milliseconds.
pub async fn timestamp_ms(state: &State) -> Result<u64, ChainError> {
    Ok(state.get("Timestamp", "Now", ()).await?.unwrap_or_default())
}

/// Slot length in milliseconds.
pub async fn slot_ms(state: &State) -> Result<u64, ChainError> {
    Ok(state.get("ChainParams", "SlotDuration", ()).await?.unwrap_or(6000))
}

/// Transfers money and keeps the sender's account alive.
#[must_use]
pub fn transfer(to: &[u8; 32], amount: u128) -> Call {
    // MultiAddress::Id has index 0; the amount is compact.
    Call::new("Balances", "transfer_keep_alive", &((0u8, *to), codec::Compact(amount)))
}
