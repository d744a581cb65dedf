//! Payment of answers: what a key may spend, receipts, vouchers.
//!
//! A channel is (consumer, API key, this oracle, model). Its voucher is cumulative. While a voucher is being redeemed it
//! is *pending*; answers meanwhile make a new one on top of it, so that each voucher names exactly the receipts that make
//! up its difference.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use codec::{Decode, Encode};
use subxt_signer::sr25519::Keypair;
use tokio::sync::Mutex;
use weft_chain::{models, rewards, Client, State};
use weft_protocol::{
    economics::answer_fee,
    fee_tree::{self, FeeNode},
    hash::{Hash, ZERO},
    receipt::Receipt,
    voucher::Voucher,
};
use weft_store::Database;

use crate::{
    error::{CliError, CliResult, Exit},
    http::openai::ApiError,
};

/// A voucher with its key's signature.
pub type Signed = (Voucher, [u8; 64]);

/// State of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Channel {
    /// Who pays.
    pub consumer: [u8; 32],
    /// The API key.
    pub key: [u8; 32],
    /// The model.
    pub model: u32,
    /// Cumulative fee up to the last pending or redeemed voucher.
    pub base: u128,
    /// Voucher that is being redeemed.
    pub pending: Option<Signed>,
    /// Receipts of the pending voucher.
    pub pending_ids: Vec<[u8; 16]>,
    /// Voucher that covers everything since.
    pub open: Option<Signed>,
    /// Receipts of the open voucher, with fee and hash.
    pub open_receipts: Vec<([u8; 16], Hash, u128)>,
    /// Prompt tokens of the open voucher.
    pub tokens_in: u64,
    /// Generated tokens of the open voucher.
    pub tokens_out: u64,
}

impl Channel {
    /// Fees that the chain has not seen yet, beyond `paid` on chain.
    #[must_use]
    pub fn unredeemed(&self, paid: u128) -> u128 {
        let newest = self.open.as_ref().or(self.pending.as_ref()).map_or(self.base, |(v, _)| v.cumulative);
        newest.saturating_sub(paid)
    }

    /// Adds one paid receipt and signs the new voucher.
    pub fn add(&mut self, genesis: &Hash, oracle: &[u8; 32], pair: &Keypair, receipt: &Receipt) -> Option<Signed> {
        let before = self.open.as_ref().map_or(self.base, |(v, _)| v.cumulative);
        let cumulative = before.checked_add(receipt.fee)?;
        self.open_receipts.push((receipt.id, receipt.hash(), receipt.fee));
        self.tokens_in = self.tokens_in.checked_add(u64::from(receipt.tokens_in))?;
        self.tokens_out = self.tokens_out.checked_add(u64::from(receipt.tokens_out))?;
        let leaves: Vec<FeeNode> =
            self.open_receipts.iter().map(|(_, hash, fee)| FeeNode { hash: *hash, fee: *fee }).collect();
        let voucher = Voucher {
            consumer: self.consumer,
            key: self.key,
            oracle: *oracle,
            model: self.model,
            price_version: receipt.price_version,
            cumulative,
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            receipts: fee_tree::root(&leaves).map_or(ZERO, |n| n.hash),
        };
        let signed = (voucher, pair.sign(&voucher.hash(genesis)).0);
        self.open = Some(signed);
        Some(signed)
    }

    /// Makes the open voucher pending; `None` when there is none, or one is pending already.
    pub fn start_redemption(&mut self) -> Option<Signed> {
        if self.pending.is_some() {
            return None;
        }
        let signed = self.open.take()?;
        self.base = signed.0.cumulative;
        self.pending_ids = self.open_receipts.drain(..).map(|(id, _, _)| id).collect();
        self.pending = Some(signed);
        self.tokens_in = 0;
        self.tokens_out = 0;
        Some(signed)
    }
}

/// Payments of this daemon.
pub struct Payments {
    db: Database,
    client: Arc<Client>,
    oracle: [u8; 32],
    /// Owners of API keys by public key, as of a finalised block.
    owners: Mutex<(u32, HashMap<[u8; 32], [u8; 32]>)>,
    /// Fees promised to running answers, by consumer. Held while a channel changes.
    reserved: Mutex<BTreeMap<[u8; 32], u128>>,
    channels: Mutex<()>,
}

/// A paid request that is running.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Who pays.
    pub consumer: [u8; 32],
    /// Public half of the API key.
    pub key: [u8; 32],
    /// Worst case of the fee.
    pub worst: u128,
    /// Prices of 1,000 tokens.
    pub price: models::Price,
    /// Their version.
    pub price_version: u32,
}

fn name(consumer: &[u8; 32], key: &[u8; 32], model: u32) -> String {
    format!("{}/{}/{model}", hex::encode(consumer), hex::encode(key))
}

impl Payments {
    /// Payments towards `oracle`.
    #[must_use]
    pub fn new(db: Database, client: Arc<Client>, oracle: [u8; 32]) -> Self {
        Self {
            db,
            client,
            oracle,
            owners: Mutex::new((0, HashMap::new())),
            reserved: Mutex::new(BTreeMap::new()),
            channels: Mutex::new(()),
        }
    }

    /// The consumer who registered this API key.
    pub async fn owner(&self, state: &State, key: &[u8; 32]) -> Result<[u8; 32], ApiError> {
        let mut owners = self.owners.lock().await;
        if let Some(owner) = owners.1.get(key) {
            return Ok(*owner);
        }
        if owners.0 != state.head.number {
            let all = rewards::api_keys(state).await.map_err(|e| ApiError::internal(e.to_string()))?;
            *owners = (state.head.number, all.into_iter().map(|(consumer, key)| (key, consumer)).collect());
        }
        owners.1.get(key).copied().ok_or_else(|| {
            ApiError::unauthorised("This API key is not registered on the chain. Make one with `weft apikey create`, and wait until it is final.")
        })
    }

    /// Checks that the key may pay the worst case of an answer and reserves it. Base models are free for key holders.
    pub async fn reserve(
        &self,
        state: &State,
        key: &[u8; 32],
        model: Option<(u32, models::Price, u32)>,
        tokens_in: u32,
        max_tokens: u32,
    ) -> Result<Ticket, ApiError> {
        let internal = |e: weft_chain::ChainError| ApiError::internal(e.to_string());
        let consumer = self.owner(state, key).await?;
        let rule = rewards::api_key(state, &consumer, key)
            .await
            .map_err(internal)?
            .ok_or_else(|| ApiError::unauthorised("This API key was removed from the chain."))?;
        let now = state.head.number;
        if rule.revoked {
            return Err(ApiError::unauthorised("This API key was revoked."));
        }
        if rule.rule.expiry.is_some_and(|e| now >= e) {
            return Err(ApiError::unauthorised("This API key has expired. Make a new one with `weft apikey create`."));
        }
        let Some((number, price, price_version)) = model else {
            return Ok(Ticket { consumer, key: *key, worst: 0, price: models::Price::default(), price_version: 0 });
        };
        if let rewards::KeyModels::Only(list) = &rule.rule.models {
            if !list.contains(&number) {
                return Err(ApiError::model_not_found(&format!("{number} (this API key does not name it)")));
            }
        }
        let worst = answer_fee(tokens_in.into(), max_tokens.into(), price.input, price.output).ok_or_else(|| {
            ApiError::bad_request("invalid_value", "max_tokens", "the price of this answer overflows.")
        })?;
        let budget = rewards::budget(state, &consumer, &self.oracle).await.map_err(internal)?;
        let held = budget.filter(|b| b.unlock.is_none()).map_or(0, |b| b.held);
        let mut reserved = self.reserved.lock().await;
        let (mut due, mut due_by_key) = (0u128, 0u128);
        for (_, body) in self.db.channels().await.map_err(|e| ApiError::internal(e.to_string()))? {
            let Some(channel) = decode(&body) else { continue };
            if channel.consumer != consumer {
                continue;
            }
            let paid = rewards::channel(state, &consumer, &channel.key, &self.oracle, channel.model)
                .await
                .map_err(internal)?
                .paid;
            let open = channel.unredeemed(paid);
            due = due.saturating_add(open);
            if channel.key == *key {
                due_by_key = due_by_key.saturating_add(open);
            }
        }
        let running = reserved.get(&consumer).copied().unwrap_or(0);
        let promised = due.saturating_add(running).saturating_add(worst);
        if promised > held {
            return Err(ApiError::quota(format!(
                "Your budget at this oracle holds {}, {} of it are owed already, and this answer may cost {}. Top it up with `weft budget top-up`.",
                crate::output::weft(held), crate::output::weft(due.saturating_add(running)), crate::output::weft(worst)
            )));
        }
        let day = now.checked_div(day_blocks(state).await.map_err(internal)?).unwrap_or(0);
        let spent = if rule.day == day { rule.spent } else { 0 };
        if spent.saturating_add(due_by_key).saturating_add(running).saturating_add(worst) > rule.rule.daily_limit {
            return Err(ApiError::quota(format!(
                "The daily limit of this API key is {}. It renews with the chain's next day.",
                crate::output::weft(rule.rule.daily_limit)
            )));
        }
        let entry = reserved.entry(consumer).or_default();
        *entry = entry.saturating_add(worst);
        Ok(Ticket { consumer, key: *key, worst, price, price_version })
    }

    /// Gives a reservation back: before an answer, or because it is now in a voucher.
    pub async fn release(&self, ticket: &Ticket) {
        let mut reserved = self.reserved.lock().await;
        if let Some(sum) = reserved.get_mut(&ticket.consumer) {
            *sum = sum.saturating_sub(ticket.worst);
        }
    }

    /// Stores the signed receipt of an answer, and for a paid one the new voucher, in one transaction.
    pub async fn settle(&self, ticket: &Ticket, pair: &Keypair, signer: &Keypair, receipt: &Receipt) -> CliResult<()> {
        let _turn = self.channels.lock().await;
        let name = name(&ticket.consumer, &ticket.key, receipt.model);
        let mut channel = match self.db.channel(&name).await? {
            Some(body) => decode(&body).ok_or_else(|| corrupt(&name))?,
            None => {
                let state = self.client.finalised().await?;
                let paid =
                    rewards::channel(&state, &ticket.consumer, &ticket.key, &self.oracle, receipt.model).await?.paid;
                Channel {
                    consumer: ticket.consumer,
                    key: ticket.key,
                    model: receipt.model,
                    base: paid,
                    ..Channel::default()
                }
            }
        };
        if receipt.fee > 0 {
            channel.add(&self.client.genesis(), &self.oracle, pair, receipt).ok_or_else(|| corrupt(&name))?;
        }
        let signature = signer.sign(&receipt.hash()).0;
        self.db
            .add_receipt(
                &hex::encode(receipt.id),
                receipt.model,
                receipt.index,
                &name,
                &receipt.encode(),
                &signature,
                &hex::encode(channel.encode()),
            )
            .await?;
        Ok(())
    }

    /// Next receipt number of a model. Numbers are given one at a time.
    pub async fn next_number(&self, model: u32) -> CliResult<u64> {
        Ok(self.db.next_receipt(model).await?)
    }

    /// Vouchers to redeem now: pending ones again, open ones become pending.
    pub async fn to_redeem(&self) -> CliResult<Vec<(String, Channel, Signed)>> {
        let _turn = self.channels.lock().await;
        let mut out = Vec::new();
        for (name, body) in self.db.channels().await? {
            let mut channel = decode(&body).ok_or_else(|| corrupt(&name))?;
            if let Some(signed) = channel.pending {
                out.push((name, channel, signed));
            } else if let Some(signed) = channel.start_redemption() {
                self.db.set_channel(&name, &hex::encode(channel.encode())).await?;
                out.push((name, channel, signed));
            }
        }
        Ok(out)
    }

    /// The chain has paid a pending voucher in `epoch`.
    pub async fn redeemed(&self, name: &str, epoch: u32) -> CliResult<()> {
        let _turn = self.channels.lock().await;
        let body = self.db.channel(name).await?.ok_or_else(|| corrupt(name))?;
        let mut channel = decode(&body).ok_or_else(|| corrupt(name))?;
        let ids: Vec<String> = channel.pending_ids.iter().map(hex::encode).collect();
        self.db.mark_redeemed(&ids, epoch).await?;
        channel.pending = None;
        channel.pending_ids.clear();
        Ok(self.db.set_channel(name, &hex::encode(channel.encode())).await?)
    }
}

async fn day_blocks(state: &State) -> Result<u32, weft_chain::ChainError> {
    let slot = weft_chain::system::slot_ms(state).await?.max(1);
    Ok(u32::try_from(86_400_000u64.checked_div(slot).unwrap_or(1)).unwrap_or(u32::MAX).max(1))
}

fn decode(body: &str) -> Option<Channel> {
    Channel::decode(&mut hex::decode(body).ok()?.as_slice()).ok()
}

fn corrupt(name: &str) -> CliError {
    CliError::new(
        Exit::Failed,
        "corrupt",
        format!("channel {name} cannot be read"),
        "restore the database from a backup; vouchers that were not redeemed are lost with it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::split::ModelSplit;

    fn receipt(n: u8, fee: u128) -> Receipt {
        Receipt {
            version: 1,
            genesis: [1; 32],
            id: [n; 16],
            index: u64::from(n),
            oracle: [2; 32],
            class: b"cpu-f32/1".to_vec(),
            model: 0,
            model_commitment: [3; 32],
            base_root: [4; 32],
            request: [5; 32],
            answer: [6; 32],
            tokens_in: 10,
            tokens_out: 5,
            price_version: 1,
            price_in: 0,
            price_out: 0,
            fee,
            split: ModelSplit { treasury: 50_000, stakers: 50_000, owner: 300_000, oracle: 200_000, data: 400_000 },
            method: 1,
            attribution: [7; 32],
            top: vec![],
            block: 9,
            block_hash: [8; 32],
            time: 0,
        }
    }

    #[test]
    fn vouchers_should_cover_each_receipt_once_when_redeemed_between() {
        let pair = subxt_signer::sr25519::dev::alice();
        let mut c = Channel { consumer: [9; 32], key: pair.public_key().0, ..Channel::default() };
        c.add(&[1; 32], &[2; 32], &pair, &receipt(0, 10)).unwrap();
        let first = c.add(&[1; 32], &[2; 32], &pair, &receipt(1, 5)).unwrap();
        assert_eq!(first.0.cumulative, 15);
        assert_eq!(c.start_redemption(), Some(first));
        assert_eq!(c.start_redemption(), None, "one at a time");
        let second = c.add(&[1; 32], &[2; 32], &pair, &receipt(2, 7)).unwrap();
        assert_eq!(second.0.cumulative, 22);
        assert_eq!(second.0.tokens_in, 10, "only the receipt since the pending voucher");
        assert_eq!(c.unredeemed(0), 22);
        assert_eq!(c.unredeemed(15), 7);
        let sig = subxt_signer::sr25519::Signature(second.1);
        assert!(subxt_signer::sr25519::verify(&sig, second.0.hash(&[1; 32]), &pair.public_key()));
    }
}
