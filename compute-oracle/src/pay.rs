//! Payment of answers: what a key may spend, receipts, vouchers.
//!
//! A channel is (consumer, API key, this oracle, model). Its voucher is cumulative. While a voucher is being redeemed it
//! is *pending*; answers meanwhile make a new one on top of it, so that each voucher names exactly the receipts that make
//! up its difference. Every change of a channel is one database transaction together with the receipts it concerns: a
//! crash leaves the state before or after it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use codec::{Decode, Encode};
use subxt_signer::sr25519::Keypair;
use tokio::sync::Mutex;
use weft_chain::{models, rewards, State};
use weft_protocol::{
    economics::{answer_fee, day_blocks},
    fee_tree::{self, FeeNode},
    hash::{Hash, ZERO},
    receipt::Receipt,
    voucher::Voucher,
};
use weft_store::Database;

use crate::{
    error::{CliError, CliResult, Exit},
    http::openai::ApiError,
    output::weft,
};

/// A voucher with its key's signature.
pub type Signed = (Voucher, [u8; 64]);

/// Redeemed vouchers that a channel remembers, so that they can be redeemed again when the chain lost them.
const REMEMBERED: usize = 8;
/// Marks the form of stored channels; one without it is of the first form.
const FORM: &str = "2:";

/// A voucher that waits for the chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pending {
    /// The voucher.
    pub signed: Signed,
    /// Its receipts.
    pub ids: Vec<[u8; 16]>,
    /// Finalised block at which it became pending: no block up to it has redeemed it.
    pub since: u32,
}

/// A voucher that the chain has paid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Redeemed {
    /// The voucher.
    pub pending: Pending,
    /// Settlement epoch to which its fee belongs.
    pub epoch: u32,
}

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
    /// Vouchers that wait for the chain, oldest first. More than one only after the chain lost a redemption.
    pub pending: Vec<Pending>,
    /// Voucher that covers everything since.
    pub open: Option<Signed>,
    /// Receipts of the open voucher, with fee and hash.
    pub open_receipts: Vec<([u8; 16], Hash, u128)>,
    /// Prompt tokens of the open voucher.
    pub tokens_in: u64,
    /// Generated tokens of the open voucher.
    pub tokens_out: u64,
    /// Finalised block of the oldest receipt of the open voucher.
    pub opened: u32,
    /// The last vouchers that the chain has paid, oldest first.
    pub redeemed: Vec<Redeemed>,
    /// Whether the key is dead, so that nothing of this channel will be paid.
    pub lost: bool,
}

/// A channel as the first version of the database holds it.
#[derive(Encode, Decode)]
struct FirstChannel {
    consumer: [u8; 32],
    key: [u8; 32],
    model: u32,
    base: u128,
    pending: Option<Signed>,
    pending_ids: Vec<[u8; 16]>,
    open: Option<Signed>,
    open_receipts: Vec<([u8; 16], Hash, u128)>,
    tokens_in: u64,
    tokens_out: u64,
}

impl From<FirstChannel> for Channel {
    fn from(c: FirstChannel) -> Self {
        let ids = c.pending_ids;
        Self {
            consumer: c.consumer,
            key: c.key,
            model: c.model,
            base: c.base,
            pending: c.pending.map(|signed| Pending { signed, ids, since: 0 }).into_iter().collect(),
            open: c.open,
            open_receipts: c.open_receipts,
            tokens_in: c.tokens_in,
            tokens_out: c.tokens_out,
            ..Self::default()
        }
    }
}

impl Channel {
    /// Fees that the chain has not seen yet, beyond `paid` on chain.
    #[must_use]
    pub fn unredeemed(&self, paid: u128) -> u128 {
        let newest = self.open.as_ref().or(self.pending.last().map(|p| &p.signed));
        newest.map_or(self.base, |(v, _)| v.cumulative).saturating_sub(paid)
    }

    /// Whether a voucher waits for payment.
    #[must_use]
    pub fn has_unpaid(&self) -> bool {
        self.open.is_some() || !self.pending.is_empty()
    }

    /// Fees of the open voucher.
    #[must_use]
    pub fn open_fees(&self) -> u128 {
        self.open.as_ref().map_or(0, |(v, _)| v.cumulative.saturating_sub(self.base))
    }

    /// Price version of the newest voucher, whatever became of it: the chain takes no older one after it.
    fn newest_price(&self) -> u32 {
        let redeemed = self.redeemed.iter().map(|r| &r.pending.signed);
        let pending = self.pending.iter().map(|p| &p.signed);
        redeemed.chain(pending).chain(&self.open).map(|(voucher, _)| voucher.price_version).max().unwrap_or(0)
    }

    /// What the chain has seen of this channel as an answer began. It may know more than this database, which may be
    /// restored from a copy: a voucher on top of less would never be paid.
    fn seen(&mut self, paid: u128) {
        if !self.has_unpaid() {
            self.base = self.base.max(paid);
        }
    }

    /// Adds one paid receipt and signs the new voucher, of a price version not below `least`, that of the channel on
    /// chain.
    pub fn add(
        &mut self,
        genesis: &Hash,
        oracle: &[u8; 32],
        pair: &Keypair,
        receipt: &Receipt,
        least: u32,
    ) -> Option<Signed> {
        let price_version = receipt.price_version.max(self.newest_price()).max(least);
        let before = self.open.as_ref().map_or(self.base, |(v, _)| v.cumulative);
        let cumulative = before.checked_add(receipt.fee)?;
        if self.open.is_none() {
            self.opened = receipt.block;
        }
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
            price_version,
            cumulative,
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            receipts: fee_tree::root(&leaves).map_or(ZERO, |n| n.hash),
        };
        let signed = (voucher, pair.sign(&voucher.hash(genesis)).0);
        self.open = Some(signed);
        Some(signed)
    }

    /// Makes the open voucher pending at finalised block `now`; whether there was one, and none was pending already.
    pub fn start_redemption(&mut self, now: u32) -> bool {
        if !self.pending.is_empty() {
            return false;
        }
        let Some(signed) = self.open.take() else { return false };
        self.base = signed.0.cumulative;
        let ids = self.open_receipts.drain(..).map(|(id, _, _)| id).collect();
        self.pending.push(Pending { signed, ids, since: now });
        self.tokens_in = 0;
        self.tokens_out = 0;
        true
    }

    /// The chain has paid the oldest pending voucher, that of `cumulative`, in `epoch`. Returns its receipts; `None` when
    /// another or none is pending.
    pub fn redeem(&mut self, cumulative: u128, epoch: u32) -> Option<Vec<[u8; 16]>> {
        if self.pending.first()?.signed.0.cumulative != cumulative {
            return None;
        }
        let pending = self.pending.remove(0);
        let ids = pending.ids.clone();
        self.redeemed.push(Redeemed { pending, epoch });
        if self.redeemed.len() > REMEMBERED {
            self.redeemed.remove(0);
        }
        Some(ids)
    }

    /// Vouchers that were paid once, and that a chain which has paid only `paid` has lost again, become pending anew.
    /// Returns their receipts.
    pub fn restore(&mut self, paid: u128, now: u32) -> Vec<[u8; 16]> {
        let mut ids = Vec::new();
        while let Some(last) = self.redeemed.pop() {
            if last.pending.signed.0.cumulative <= paid {
                self.redeemed.push(last);
                break;
            }
            ids.extend_from_slice(&last.pending.ids);
            self.pending.insert(0, last.pending);
        }
        // The chain that lost them is shorter: blocks may have numbers again that were over when they became pending.
        for pending in &mut self.pending {
            pending.since = pending.since.min(now);
        }
        ids
    }

    fn encoded(&self) -> String {
        format!("{FORM}{}", hex::encode(self.encode()))
    }
}

fn name(consumer: &[u8; 32], key: &[u8; 32], model: u32) -> String {
    format!("{}/{}/{model}", hex::encode(consumer), hex::encode(key))
}

/// The channels in the database. Changes are made one at a time.
pub struct Channels {
    db: Database,
    genesis: Hash,
    oracle: [u8; 32],
    turn: Mutex<()>,
}

impl Channels {
    /// The channels towards `oracle` on the chain of `genesis`.
    #[must_use]
    pub fn new(db: Database, genesis: Hash, oracle: [u8; 32]) -> Self {
        Self { db, genesis, oracle, turn: Mutex::new(()) }
    }

    async fn read(&self, name: &str) -> CliResult<Option<Channel>> {
        self.db.channel(name).await?.map(|body| decode(&body).ok_or_else(|| corrupt(name))).transpose()
    }

    async fn known(&self, name: &str) -> CliResult<Channel> {
        self.read(name).await?.ok_or_else(|| corrupt(name))
    }

    /// All channels by name. One that cannot be read holds up no other.
    pub async fn all(&self) -> CliResult<Vec<(String, Channel)>> {
        Ok(readable(self.db.channels().await?))
    }

    /// Channels of one consumer by name.
    pub async fn of(&self, consumer: &[u8; 32]) -> CliResult<Vec<(String, Channel)>> {
        Ok(readable(self.db.channels_of(&hex::encode(consumer)).await?))
    }

    /// Numbers, signs and stores the receipt of an answer, and for a paid one the new voucher, in one transaction.
    pub async fn add(
        &self,
        ticket: &Ticket,
        pair: &Keypair,
        signer: &Keypair,
        mut receipt: Receipt,
    ) -> CliResult<Receipt> {
        let _turn = self.turn.lock().await;
        let name = name(&ticket.consumer, &ticket.key, receipt.model);
        // Only here, so that two answers never share a number.
        receipt.index = self.db.next_receipt(receipt.model).await?;
        let mut channel = self.read(&name).await?.unwrap_or(Channel {
            consumer: ticket.consumer,
            key: ticket.key,
            model: receipt.model,
            ..Channel::default()
        });
        channel.seen(ticket.seen.paid);
        // Its key was live when the answer was reserved: a key that was registered again is asked for its debts anew.
        channel.lost = false;
        if receipt.fee > 0 {
            let least = ticket.seen.price_version;
            channel.add(&self.genesis, &self.oracle, pair, &receipt, least).ok_or_else(|| corrupt(&name))?;
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
                &channel.encoded(),
            )
            .await?;
        Ok(receipt)
    }

    /// Makes the open voucher of a channel pending. Returns the channel as it is then.
    pub async fn start(&self, name: &str, now: u32) -> CliResult<Channel> {
        let _turn = self.turn.lock().await;
        let mut channel = self.known(name).await?;
        if channel.start_redemption(now) {
            self.db.set_channel(name, &channel.encoded()).await?;
        }
        Ok(channel)
    }

    /// The chain has paid the pending voucher of `cumulative` in `epoch`: channel and receipts change together.
    pub async fn redeemed(&self, name: &str, cumulative: u128, epoch: u32) -> CliResult<Channel> {
        let _turn = self.turn.lock().await;
        let mut channel = self.known(name).await?;
        if let Some(ids) = channel.redeem(cumulative, epoch) {
            self.db.set_redeemed(name, &channel.encoded(), &texts(&ids), Some(epoch)).await?;
        }
        Ok(channel)
    }

    /// The chain lost blocks, and has paid only `paid`: what it does not know any more is redeemed again.
    pub async fn restore(&self, name: &str, paid: u128, now: u32) -> CliResult<Channel> {
        let _turn = self.turn.lock().await;
        let mut channel = self.known(name).await?;
        let before = channel.clone();
        let ids = channel.restore(paid, now);
        if channel != before {
            self.db.set_redeemed(name, &channel.encoded(), &texts(&ids), None).await?;
        }
        Ok(channel)
    }

    /// Notes whether anything of a channel can still be paid.
    pub async fn set_lost(&self, name: &str, lost: bool) -> CliResult {
        let _turn = self.turn.lock().await;
        let mut channel = self.known(name).await?;
        channel.lost = lost;
        Ok(self.db.set_channel(name, &channel.encoded()).await?)
    }
}

fn texts(ids: &[[u8; 16]]) -> Vec<String> {
    ids.iter().map(hex::encode).collect()
}

fn readable(rows: Vec<(String, String)>) -> Vec<(String, Channel)> {
    let read = |(name, body): (String, String)| match decode(&body) {
        Some(channel) => Some((name, channel)),
        None => {
            tracing::error!("its vouchers are not redeemed: {}", corrupt(&name));
            None
        }
    };
    rows.into_iter().filter_map(read).collect()
}

/// Consumers by API key.
type Owners = HashMap<[u8; 32], Vec<[u8; 32]>>;

/// Payments of this daemon.
pub struct Payments {
    oracle: [u8; 32],
    channels: Channels,
    /// Owners of API keys, and the finalised block at which they were read. Anybody may register anybody's key, so that a
    /// key has several.
    owners: RwLock<(u32, Arc<Owners>)>,
    /// The turn to read the owners.
    reading: Mutex<()>,
    /// Fees promised to running answers, by consumer.
    reserved: Mutex<BTreeMap<[u8; 32], u128>>,
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
    /// What the chain had paid of the channel when the answer was reserved.
    pub seen: rewards::Channel,
}

/// What a request asks for.
struct Order {
    key: [u8; 32],
    model: Option<(u32, models::Price, u32)>,
    tokens_in: u32,
    max_tokens: u32,
}

/// Why one owner of a key does not pay; the owner who came closest is named.
struct Refusal {
    rank: u8,
    error: ApiError,
}

impl Refusal {
    fn new(rank: u8, error: ApiError) -> Self {
        Self { rank, error }
    }
}

impl From<weft_chain::ChainError> for Refusal {
    fn from(e: weft_chain::ChainError) -> Self {
        Self::new(u8::MAX, ApiError::failed(e))
    }
}

impl From<CliError> for Refusal {
    fn from(e: CliError) -> Self {
        Self::new(u8::MAX, ApiError::failed(e))
    }
}

fn unregistered() -> ApiError {
    ApiError::unauthorised(
        "This API key is not registered on the chain. Make one with `weft apikey create`, and wait until it is final.",
    )
}

impl Payments {
    /// Payments towards `oracle` on the chain of `genesis`.
    #[must_use]
    pub fn new(db: Database, genesis: Hash, oracle: [u8; 32]) -> Self {
        Self {
            channels: Channels::new(db, genesis, oracle),
            oracle,
            owners: RwLock::default(),
            reading: Mutex::new(()),
            reserved: Mutex::new(BTreeMap::new()),
        }
    }

    /// The channels.
    #[must_use]
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The chain lost blocks: keys are read again.
    pub fn chain_lost(&self) {
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = (0, Arc::default());
    }

    /// Owners of a key, and the block at which they were read.
    fn owners(&self, key: &[u8; 32]) -> (u32, Vec<[u8; 32]>) {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        (owners.0, owners.1.get(key).cloned().unwrap_or_default())
    }

    /// Reads all keys, at most once per finalised block. Returns whether they are newer than those read at `seen`.
    async fn refresh(&self, state: &State, seen: u32) -> Result<bool, ApiError> {
        let _turn = self.reading.lock().await;
        let read = self.owners.read().unwrap_or_else(PoisonError::into_inner).0;
        if read >= state.head.number {
            return Ok(read > seen);
        }
        let all = rewards::api_keys(state).await.map_err(ApiError::failed)?;
        let mut owners = Owners::new();
        for (consumer, key) in all {
            owners.entry(key).or_default().push(consumer);
        }
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = (state.head.number, Arc::new(owners));
        Ok(true)
    }

    /// Refuses a key that no consumer has registered.
    pub async fn known(&self, state: &State, key: &[u8; 32]) -> Result<(), ApiError> {
        let (seen, owners) = self.owners(key);
        if !owners.is_empty() || (self.refresh(state, seen).await? && !self.owners(key).1.is_empty()) {
            return Ok(());
        }
        Err(unregistered())
    }

    /// Checks that somebody who registered the key may pay the worst case of an answer, and reserves it. Base models are
    /// free for key holders.
    pub async fn reserve(
        &self,
        state: &State,
        key: &[u8; 32],
        model: Option<(u32, models::Price, u32)>,
        tokens_in: u32,
        max_tokens: u32,
    ) -> Result<Ticket, ApiError> {
        let order = Order { key: *key, model, tokens_in, max_tokens };
        let mut best: Option<Refusal> = None;
        loop {
            let (seen, owners) = self.owners(key);
            for consumer in owners {
                match self.reserve_for(state, consumer, &order).await {
                    Ok(ticket) => return Ok(ticket),
                    Err(refusal) if best.as_ref().is_none_or(|b| b.rank < refusal.rank) => best = Some(refusal),
                    Err(_) => {}
                }
            }
            // An owner may be newer than what was read.
            if !self.refresh(state, seen).await? {
                return Err(best.map_or_else(unregistered, |b| b.error));
            }
        }
    }

    async fn reserve_for(&self, state: &State, consumer: [u8; 32], order: &Order) -> Result<Ticket, Refusal> {
        let dead = |text: &str| Refusal::new(0, ApiError::unauthorised(text));
        let rule = rewards::api_key(state, &consumer, &order.key)
            .await?
            .ok_or_else(|| dead("This API key was removed from the chain."))?;
        let now = state.head.number;
        if rule.revoked {
            return Err(dead("This API key was revoked."));
        }
        if rule.rule.expiry.is_some_and(|e| now >= e) {
            return Err(dead("This API key has expired. Make a new one with `weft apikey create`."));
        }
        let key = order.key;
        let Some((number, price, price_version)) = order.model else {
            return Ok(Ticket {
                consumer,
                key,
                worst: 0,
                price: models::Price::default(),
                price_version: 0,
                seen: rewards::Channel::default(),
            });
        };
        if !rule.rule.models.allows(number) {
            let error = ApiError::model_not_found(&format!("{number} (this API key does not name it)"));
            return Err(Refusal::new(1, error));
        }
        let worst = answer_fee(order.tokens_in.into(), order.max_tokens.into(), price.input, price.output).ok_or_else(
            || {
                let error = ApiError::bad_request("invalid_value", "max_tokens", "the price of this answer overflows.");
                Refusal::new(2, error)
            },
        )?;
        let budget = rewards::budget(state, &consumer, &self.oracle).await?;
        let held = budget.filter(|b| b.unlock.is_none()).map_or(0, |b| b.held);
        let days = day_blocks(weft_chain::system::slot_ms(state).await?);
        // The node is asked before the lock, so that one slow answer does not hold up other consumers.
        // All of it is read at this state, as the budget is: a channel that was redeemed later owes there what the budget
        // still holds for it.
        let seen = rewards::channel(state, &consumer, &key, &self.oracle, number).await?;
        let known = self.channels.of(&consumer).await?;
        let questions = known.into_iter().map(|(name, channel)| async move {
            let seen = rewards::channel(state, &consumer, &channel.key, &self.oracle, channel.model).await?;
            Ok::<_, weft_chain::ChainError>((name, seen.paid))
        });
        let paid: BTreeMap<String, u128> = futures::future::try_join_all(questions).await?.into_iter().collect();

        let mut reserved = self.reserved.lock().await;
        let channels = self.channels.of(&consumer).await?;
        let (due, due_by_key) = owed(channels.iter().map(|(name, c)| (c, paid.get(name).copied())), &key);
        let running = reserved.get(&consumer).copied().unwrap_or(0);
        let promised = due.saturating_add(running).saturating_add(worst);
        if promised > held {
            let text = format!(
                "Your budget at this oracle holds {}, {} of it are owed already, and this answer may cost {}. Top it up with `weft budget top-up`.",
                weft(held), weft(due.saturating_add(running)), weft(worst)
            );
            return Err(Refusal::new(3, ApiError::quota(text)));
        }
        let day = now.checked_div(days).unwrap_or(0);
        let spent = if rule.day == day { rule.spent } else { 0 };
        if spent.saturating_add(due_by_key).saturating_add(running).saturating_add(worst) > rule.rule.daily_limit {
            let text = format!(
                "The daily limit of this API key is {}. It renews with the chain's next day.",
                weft(rule.rule.daily_limit)
            );
            return Err(Refusal::new(3, ApiError::quota(text)));
        }
        let entry = reserved.entry(consumer).or_default();
        *entry = entry.saturating_add(worst);
        Ok(Ticket { consumer, key, worst, price, price_version, seen })
    }

    /// Gives a reservation back: before an answer, or because it is now in a voucher.
    pub async fn release(&self, ticket: &Ticket) {
        let mut reserved = self.reserved.lock().await;
        if let Some(sum) = reserved.get_mut(&ticket.consumer) {
            *sum = sum.saturating_sub(ticket.worst);
            if *sum == 0 {
                reserved.remove(&ticket.consumer);
            }
        }
    }

    /// Numbers, signs and stores the receipt of an answer, and for a paid one the new voucher. Returns the receipt with
    /// its number.
    pub async fn settle(
        &self,
        ticket: &Ticket,
        pair: &Keypair,
        signer: &Keypair,
        receipt: Receipt,
    ) -> CliResult<Receipt> {
        self.channels.add(ticket, pair, signer, receipt).await
    }
}

/// What a consumer owes at a state: by all keys, and by `key`. Each channel comes with what that state has paid of it;
/// `None` is a channel that began since. Fees of another key that is dead are lost and claim no budget; those of a dead
/// key that was registered again do.
fn owed<'a>(channels: impl Iterator<Item = (&'a Channel, Option<u128>)>, key: &[u8; 32]) -> (u128, u128) {
    let (mut due, mut due_by_key) = (0u128, 0u128);
    for (channel, paid) in channels.filter(|(c, _)| !c.lost || c.key == *key) {
        let open = channel.unredeemed(paid.unwrap_or(channel.base));
        due = due.saturating_add(open);
        if channel.key == *key {
            due_by_key = due_by_key.saturating_add(open);
        }
    }
    (due, due_by_key)
}

fn decode(body: &str) -> Option<Channel> {
    match body.strip_prefix(FORM) {
        Some(body) => Channel::decode(&mut hex::decode(body).ok()?.as_slice()).ok(),
        None => FirstChannel::decode(&mut hex::decode(body).ok()?.as_slice()).ok().map(Channel::from),
    }
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
    use std::path::Path;
    use subxt_signer::sr25519::dev;
    use weft_protocol::split::ModelSplit;

    const GENESIS: Hash = [1; 32];
    const ORACLE: [u8; 32] = [2; 32];
    const MODEL: u32 = 0;

    fn receipt(n: u8, fee: u128) -> Receipt {
        Receipt {
            version: 1,
            genesis: GENESIS,
            id: [n; 16],
            index: u64::from(n),
            oracle: ORACLE,
            class: b"cpu-f32/1".to_vec(),
            model: MODEL,
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

    fn ticket() -> Ticket {
        Ticket {
            consumer: [9; 32],
            key: dev::alice().public_key().0,
            worst: 100,
            price: models::Price::default(),
            price_version: 1,
            seen: rewards::Channel::default(),
        }
    }

    async fn open(dir: &Path) -> (Database, Channels) {
        let db = Database::open(&dir.join("weft.db")).await.unwrap();
        (db.clone(), Channels::new(db, GENESIS, ORACLE))
    }

    async fn answer(channels: &Channels, n: u8, fee: u128) -> Receipt {
        channels.add(&ticket(), &dev::alice(), &dev::bob(), receipt(n, fee)).await.unwrap()
    }

    async fn only(channels: &Channels) -> (String, Channel) {
        let mut all = channels.all().await.unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn vouchers_should_cover_each_receipt_once_when_redeemed_between() {
        let pair = dev::alice();
        let mut c = Channel { consumer: [9; 32], key: pair.public_key().0, ..Channel::default() };
        c.add(&GENESIS, &ORACLE, &pair, &receipt(0, 10), 0).unwrap();
        let first = c.add(&GENESIS, &ORACLE, &pair, &receipt(1, 5), 0).unwrap();
        assert_eq!((first.0.cumulative, c.open_fees(), c.opened), (15, 15, 9));
        assert!(c.start_redemption(20));
        assert_eq!(c.pending, [Pending { signed: first, ids: vec![[0; 16], [1; 16]], since: 20 }]);
        assert!(!c.start_redemption(21), "one at a time");
        let second = c.add(&GENESIS, &ORACLE, &pair, &receipt(2, 7), 0).unwrap();
        assert_eq!(second.0.cumulative, 22);
        assert_eq!(second.0.tokens_in, 10, "only the receipt since the pending voucher");
        assert_eq!(c.unredeemed(0), 22);
        assert_eq!(c.unredeemed(15), 7);
        let sig = subxt_signer::sr25519::Signature(second.1);
        assert!(subxt_signer::sr25519::verify(&sig, second.0.hash(&GENESIS), &pair.public_key()));
    }

    #[test]
    fn voucher_should_carry_the_newest_price_version_when_an_answer_began_under_an_older_one() {
        let pair = dev::alice();
        let at = |n, version| Receipt { price_version: version, ..receipt(n, 10) };
        let mut c = Channel { consumer: [9; 32], key: pair.public_key().0, ..Channel::default() };
        // GIVEN an answer under version 3, redeemed
        let first = c.add(&GENESIS, &ORACLE, &pair, &at(0, 3), 0).unwrap();
        c.start_redemption(20);
        c.redeem(first.0.cumulative, 1).unwrap();
        // WHEN an answer that began under version 2 ends THEN its voucher is none that the chain calls stale
        assert_eq!(c.add(&GENESIS, &ORACLE, &pair, &at(1, 2), 0).unwrap().0.price_version, 3);
        // AND the chain may know a newer one than this database
        assert_eq!(c.add(&GENESIS, &ORACLE, &pair, &at(2, 2), 5).unwrap().0.price_version, 5);
        assert_eq!(c.add(&GENESIS, &ORACLE, &pair, &at(3, 4), 0).unwrap().0.price_version, 5);
    }

    #[test]
    fn debt_should_count_at_the_state_of_the_budget() {
        let channel = |key: u8, base: u128, lost: bool| Channel { key: [key; 32], base, lost, ..Channel::default() };
        // GIVEN a channel that was redeemed after the state, a lost one of another key, a lost one of the same key, a new one
        let all = [channel(1, 10, false), channel(2, 20, true), channel(3, 40, true), channel(3, 80, false)];
        let paid = [Some(4), Some(0), Some(0), None];
        // WHEN key 3 asks THEN what the state has not paid is due; its own debts are, lost or not; others' lost ones are not
        assert_eq!(owed(all.iter().zip(paid), &[3; 32]), (6 + 40, 40));
        assert_eq!(owed(all.iter().zip(paid), &[1; 32]), (6, 6));
    }

    #[tokio::test]
    async fn debts_should_be_asked_for_again_when_a_dead_key_answers_again() {
        let dir = tempfile::tempdir().unwrap();
        let (_db, channels) = open(dir.path()).await;
        // GIVEN a channel whose key died
        answer(&channels, 0, 10).await;
        let (name, _) = only(&channels).await;
        channels.set_lost(&name, true).await.unwrap();
        // WHEN its owner registers it again and gets an answer
        answer(&channels, 1, 5).await;
        // THEN the channel is alive, with both fees
        let (_, channel) = only(&channels).await;
        assert!(!channel.lost && channel.unredeemed(0) == 15);
    }

    #[tokio::test]
    async fn channel_should_begin_at_what_the_chain_has_paid() {
        let dir = tempfile::tempdir().unwrap();
        let (_db, channels) = open(dir.path()).await;
        // GIVEN a database that does not know what the chain has paid of a channel
        let known = |paid| Ticket { seen: rewards::Channel { paid, price_version: 2 }, ..ticket() };
        let end = |n, paid| {
            let ticket = known(paid);
            let channels = &channels;
            async move { channels.add(&ticket, &dev::alice(), &dev::bob(), receipt(n, 7)).await.unwrap() }
        };
        // WHEN answers end THEN vouchers go on top of it, and no further while one is open
        end(0, 100).await;
        let voucher = only(&channels).await.1.open.unwrap().0;
        assert_eq!((voucher.cumulative, voucher.price_version), (107, 2));
        end(1, 500).await;
        assert_eq!(only(&channels).await.1.open.unwrap().0.cumulative, 114);
    }

    #[tokio::test]
    async fn answers_should_have_numbers_of_their_own_when_they_end_together() {
        let dir = tempfile::tempdir().unwrap();
        let (_db, channels) = open(dir.path()).await;
        let ends = (0..8u8).map(|n| answer(&channels, n, 1));
        let mut numbers: Vec<u64> = futures::future::join_all(ends).await.iter().map(|r| r.index).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..8).collect::<Vec<u64>>());
        assert_eq!(only(&channels).await.1.unredeemed(0), 8);
    }

    #[tokio::test]
    async fn channel_should_go_on_where_it_was_when_the_daemon_dies_between_steps() {
        let dir = tempfile::tempdir().unwrap();
        // GIVEN two paid answers, then a crash
        let (db, channels) = open(dir.path()).await;
        answer(&channels, 0, 10).await;
        answer(&channels, 1, 5).await;
        db.close().await;
        // WHEN the voucher becomes pending, then a crash before it is sent
        let (db, channels) = open(dir.path()).await;
        let (name, before) = only(&channels).await;
        assert_eq!((before.open_fees(), before.pending.len()), (15, 0));
        channels.start(&name, 20).await.unwrap();
        db.close().await;
        // THEN it is still pending, starts no second time, and the next answer goes on top of it
        let (db, channels) = open(dir.path()).await;
        assert_eq!(channels.start(&name, 30).await.unwrap().pending[0].since, 20);
        answer(&channels, 2, 7).await;
        // WHEN the chain has paid it, and the daemon crashes
        channels.redeemed(&name, 15, 3).await.unwrap();
        db.close().await;
        // THEN channel and receipts say so together, and a repetition changes nothing
        let (db, channels) = open(dir.path()).await;
        let paid = channels.redeemed(&name, 15, 4).await.unwrap();
        assert!(paid.pending.is_empty() && paid.open_fees() == 7 && paid.redeemed[0].epoch == 3);
        assert_eq!(db.redeemed_receipts(MODEL, 3).await.unwrap().len(), 2);
        assert!(db.redeemed_receipts(MODEL, 4).await.unwrap().is_empty());
        assert_eq!(db.open_receipts(&name).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn vouchers_should_be_pending_again_when_the_chain_lost_their_redemption() {
        let dir = tempfile::tempdir().unwrap();
        let (db, channels) = open(dir.path()).await;
        // GIVEN three vouchers, the first two redeemed, the third pending
        let mut name = String::new();
        for (n, fee) in [(0u8, 10u128), (1, 5), (2, 7)] {
            answer(&channels, n, fee).await;
            let (found, channel) = only(&channels).await;
            name = found;
            let cumulative = channel.open.unwrap().0.cumulative;
            channels.start(&name, 20 + u32::from(n)).await.unwrap();
            if n < 2 {
                channels.redeemed(&name, cumulative, 3 + u32::from(n)).await.unwrap();
            }
        }
        // WHEN nothing was lost THEN nothing changes
        let same = channels.restore(&name, 15, 40).await.unwrap();
        assert_eq!((same.pending.len(), same.redeemed.len()), (1, 2));
        // WHEN the chain knows only the first THEN the second is redeemed again, before the third
        let c = channels.restore(&name, 10, 18).await.unwrap();
        let waiting: Vec<_> = c.pending.iter().map(|p| (p.signed.0.cumulative, p.since)).collect();
        assert_eq!(waiting, [(15, 18), (22, 18)]);
        assert_eq!(c.unredeemed(10), 12);
        assert_eq!(db.redeemed_epochs(MODEL).await.unwrap(), [3]);
        // AND it belongs to the epoch in which it is paid then
        channels.redeemed(&name, 15, 6).await.unwrap();
        assert_eq!(db.redeemed_epochs(MODEL).await.unwrap(), [3, 6]);
    }

    #[tokio::test]
    async fn channel_of_the_first_form_should_be_read_when_stored_by_an_older_program() {
        let dir = tempfile::tempdir().unwrap();
        let (db, channels) = open(dir.path()).await;
        let mut now = Channel { consumer: [9; 32], key: [8; 32], model: 4, base: 3, ..Channel::default() };
        now.add(&GENESIS, &ORACLE, &dev::alice(), &receipt(0, 10), 0).unwrap();
        now.start_redemption(0);
        now.opened = 0;
        let first = FirstChannel {
            consumer: now.consumer,
            key: now.key,
            model: now.model,
            base: now.base,
            pending: Some(now.pending[0].signed),
            pending_ids: vec![[0; 16]],
            open: None,
            open_receipts: Vec::new(),
            tokens_in: 0,
            tokens_out: 0,
        };
        db.set_channel("old", &hex::encode(first.encode())).await.unwrap();
        db.set_channel("bad", "zz").await.unwrap();
        assert_eq!(only(&channels).await, ("old".to_string(), now), "and one that is damaged holds up no other");
    }
}
