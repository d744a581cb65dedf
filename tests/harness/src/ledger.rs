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

    /// Units that an account claimed, or that were claimed for it.
    #[must_use]
    pub fn claimed(&self, who: &AccountId) -> u128 {
        self.claims.iter().filter(|(to, _)| to == who).fold(0, |sum, (_, units)| sum.saturating_add(*units))
    }
}
