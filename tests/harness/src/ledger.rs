//! What the chain says it did: events of every finalised block.

use subxt::{ext::scale_decode::DecodeAsType, utils::Static, OnlineClient, PolkadotConfig};
use weft_chain::oracles::RunKey;
use weft_protocol::AccountId;

use crate::{HarnessError, HarnessResult};

/// Why an account was slashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum Fault {
    /// The run did not arrive in time.
    Late,
    /// The run was proved false.
    Fraud,
    /// The oracle did not reveal secret and opening.
    SilentOracle,
    /// A verifier did not answer.
    SilentVerifier,
    /// A juror did not answer.
    SilentJuror,
    /// A juror's answer differs from the majority's.
    WrongJuror,
    /// A verifier agreed to a run that was proved false.
    FalseAgreement,
    /// A challenge failed.
    FailedChallenge,
    /// A demanded page was not served.
    Withheld,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct SlashedFields {
    who: Static<AccountId>,
    run: RunKey,
    fault: Fault,
    amount: u128,
    burned: u128,
    paid: Vec<(Static<AccountId>, u128)>,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct ClaimedFields {
    who: Static<AccountId>,
    amount: u128,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct FeeFields {
    who: Static<AccountId>,
    actual_fee: u128,
    tip: u128,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct TransferFields {
    from: Static<AccountId>,
    to: Static<AccountId>,
    amount: u128,
}

/// A paid transaction fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePaid {
    /// Who signed.
    pub who: AccountId,
    /// Units paid, the tip included.
    pub fee: u128,
    /// Units of it for the author of the block.
    pub tip: u128,
}

/// A transfer between two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Who paid.
    pub from: AccountId,
    /// Who got it.
    pub to: AccountId,
    /// Units.
    pub amount: u128,
}

/// An executed slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slashed {
    /// Block.
    pub block: u32,
    /// Who lost money.
    pub who: AccountId,
    /// In which job's run.
    pub job: Option<u32>,
    /// Why.
    pub fault: Fault,
    /// How much.
    pub amount: u128,
    /// How much of it exists no more.
    pub burned: u128,
    /// Who got the rest.
    pub paid: Vec<(AccountId, u128)>,
}

/// Events of the finalised blocks so far.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Blocks read.
    pub blocks: u32,
    /// Executed slashes.
    pub slashes: Vec<Slashed>,
    /// Paid claims: account and units.
    pub claims: Vec<(AccountId, u128)>,
    /// Paid transaction fees.
    pub fees: Vec<FeePaid>,
    /// Transfers of free money, those out of the runtime's pots included.
    pub transfers: Vec<Transfer>,
    /// Calls that were included and failed: block and pallet.
    pub failed: u32,
}

impl Ledger {
    /// Reads the blocks 1 to `last`.
    pub async fn read(url: &str, last: u32) -> HarnessResult<Self> {
        let failed = |e: String| HarnessError::Http { url: url.to_string(), reason: e };
        let client = OnlineClient::<PolkadotConfig>::from_insecure_url(url).await.map_err(|e| failed(e.to_string()))?;
        let mut ledger = Self::default();
        for number in 1..=last {
            let at = client.at_block(u64::from(number)).await.map_err(|e| failed(e.to_string()))?;
            let events = at.events().fetch().await.map_err(|e| failed(e.to_string()))?;
            for event in events.iter() {
                let event = event.map_err(|e| failed(e.to_string()))?;
                match (event.pallet_name(), event.event_name()) {
                    ("ComputeOracles", "Slashed") => {
                        let f: SlashedFields = event.decode_fields_unchecked_as().map_err(|e| failed(e.to_string()))?;
                        ledger.slashes.push(Slashed {
                            block: number,
                            who: f.who.0,
                            job: match f.run {
                                RunKey::Job(job) => Some(job),
                                RunKey::Settle(..) => None,
                            },
                            fault: f.fault,
                            amount: f.amount,
                            burned: f.burned,
                            paid: f.paid.into_iter().map(|(who, units)| (who.0, units)).collect(),
                        });
                    }
                    ("Rewards", "Claimed") => {
                        let f: ClaimedFields = event.decode_fields_unchecked_as().map_err(|e| failed(e.to_string()))?;
                        ledger.claims.push((f.who.0, f.amount));
                    }
                    ("TransactionPayment", "TransactionFeePaid") => {
                        let f: FeeFields = event.decode_fields_unchecked_as().map_err(|e| failed(e.to_string()))?;
                        ledger.fees.push(FeePaid { who: f.who.0, fee: f.actual_fee, tip: f.tip });
                    }
                    ("Balances", "Transfer") => {
                        let f: TransferFields =
                            event.decode_fields_unchecked_as().map_err(|e| failed(e.to_string()))?;
                        ledger.transfers.push(Transfer { from: f.from.0, to: f.to.0, amount: f.amount });
                    }
                    ("System", "ExtrinsicFailed") => ledger.failed = ledger.failed.saturating_add(1),
                    _ => {}
                }
            }
            ledger.blocks = number;
        }
        Ok(ledger)
    }

    /// Units burned by slashes.
    #[must_use]
    pub fn burned(&self) -> u128 {
        self.slashes.iter().fold(0, |sum, s| sum.saturating_add(s.burned))
    }

    /// Units that an account lost for a reason.
    #[must_use]
    pub fn lost(&self, who: &AccountId, fault: Fault) -> u128 {
        self.slashes.iter().filter(|s| s.who == *who && s.fault == fault).fold(0, |sum, s| sum.saturating_add(s.amount))
    }

    /// Units that an account paid for its transactions, tips included.
    #[must_use]
    pub fn paid_fees(&self, who: &AccountId) -> u128 {
        self.fees.iter().filter(|f| f.who == *who).fold(0, |sum, f| sum.saturating_add(f.fee))
    }

    /// Units of all transaction fees without tips: they belong to the treasury.
    #[must_use]
    pub fn treasury_fees(&self) -> u128 {
        self.fees.iter().fold(0, |sum, f| sum.saturating_add(f.fee.saturating_sub(f.tip)))
    }

    /// Units that an account got by transfers from anybody but `pot`.
    #[must_use]
    pub fn given(&self, who: &AccountId, pot: &AccountId) -> u128 {
        let gifts = self.transfers.iter().filter(|t| t.to == *who && t.from != *pot);
        gifts.fold(0, |sum, t| sum.saturating_add(t.amount))
    }

    /// Units that executed slashes paid to an account.
    #[must_use]
    pub fn paid_by_slashes(&self, who: &AccountId) -> u128 {
        let all = self.slashes.iter().flat_map(|s| &s.paid).filter(|(to, _)| to == who);
        all.fold(0, |sum, (_, units)| sum.saturating_add(*units))
    }

    /// Units that an account claimed, or that were claimed for it.
    #[must_use]
    pub fn claimed(&self, who: &AccountId) -> u128 {
        self.claims.iter().filter(|(to, _)| to == who).fold(0, |sum, (_, units)| sum.saturating_add(*units))
    }
}
