//! Redemption of vouchers, usage and settlement of the models that this oracle serves.

use std::collections::{BTreeMap, BTreeSet};

use weft_chain::{attribution, models, rewards, Call, State};
use weft_protocol::{
    economics::{day_blocks, epoch_at, epoch_end},
    fee_tree::{self, FeeNode},
    hash::ZERO,
    receipt::Receipt,
    voucher::Voucher,
};

use super::{
    duties::Work,
    own::OwnModels,
    sending::{send, Backoff, Sending},
};
use crate::{
    error::{CliResult, Exit},
    pay::{Channel, Pending, Signed},
};

/// Most vouchers of one transaction.
const BATCH: usize = 50;
/// Blocks before the end of a key from which its fees are redeemed whatever their sum.
const NEAR: u32 = 64;
/// Blocks between two looks at a channel whose key is dead: its owner may register it again.
const DEAD: u32 = 64;

/// What becomes of a voucher at a finalised state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The chain would pay it.
    Pay,
    /// Not now; time or the consumer may change that.
    Wait(&'static str),
    /// Its key is dead.
    Lost(&'static str),
}

/// What pays vouchers at a finalised state, and what earlier vouchers of the same step leave of it.
#[derive(Debug, Default)]
pub(crate) struct Purses {
    /// Blocks since genesis.
    pub(crate) now: u32,
    /// Day of the chain.
    pub(crate) day: u32,
    /// Keys by (consumer, key).
    pub(crate) keys: BTreeMap<([u8; 32], [u8; 32]), Option<rewards::ApiKey>>,
    /// Budgets by consumer.
    pub(crate) budgets: BTreeMap<[u8; 32], Option<rewards::Budget>>,
}

impl Purses {
    /// Checks a voucher as the chain does, and takes what it pays.
    pub(crate) fn decide(&mut self, voucher: &Voucher, paid: &rewards::Channel) -> Fate {
        let Some(Some(key)) = self.keys.get_mut(&(voucher.consumer, voucher.key)) else {
            return Fate::Lost("its key was removed");
        };
        if key.revoked {
            return Fate::Lost("its key was revoked");
        }
        if key.rule.expiry.is_some_and(|e| self.now >= e) {
            return Fate::Lost("its key has expired");
        }
        if !key.rule.models.allows(voucher.model) {
            return Fate::Lost("its key does not name the model");
        }
        let Some(amount) = voucher.cumulative.checked_sub(paid.paid).filter(|new| *new > 0) else {
            return Fate::Wait("it is paid already");
        };
        if voucher.price_version < paid.price_version {
            return Fate::Wait("a voucher of a newer price was paid before it");
        }
        let spent = if key.day == self.day { key.spent } else { 0 };
        let Some(spent) = spent.checked_add(amount).filter(|sum| *sum <= key.rule.daily_limit) else {
            return Fate::Wait("its key has spent what it may on this day");
        };
        let Some(Some(budget)) = self.budgets.get_mut(&voucher.consumer) else {
            return Fate::Wait("its consumer has no budget here");
        };
        let Some(held) = budget.held.checked_sub(amount) else {
            return Fate::Wait("the budget is smaller");
        };
        budget.held = held;
        (key.day, key.spent) = (self.day, spent);
        Fate::Pay
    }

    async fn load(&mut self, work: &Work, state: &State, channel: &Channel) -> CliResult {
        let (consumer, key) = (channel.consumer, channel.key);
        if let std::collections::btree_map::Entry::Vacant(place) = self.keys.entry((consumer, key)) {
            place.insert(rewards::api_key(state, &consumer, &key).await?);
        }
        if let std::collections::btree_map::Entry::Vacant(place) = self.budgets.entry(consumer) {
            place.insert(rewards::budget(state, &consumer, &work.me()).await?);
        }
        Ok(())
    }

    /// Whether the open voucher of a channel is to be redeemed now.
    pub(crate) fn is_due(&self, channel: &Channel, above: u128, epoch_length: u32) -> bool {
        if channel.open_fees() > above {
            return true;
        }
        if channel.open.is_none() {
            return false;
        }
        let key = self.keys.get(&(channel.consumer, channel.key)).and_then(Option::as_ref);
        let ends = key.and_then(|k| k.rule.expiry).is_some_and(|e| self.now.saturating_add(NEAR) >= e);
        let budget = self.budgets.get(&channel.consumer).and_then(Option::as_ref);
        let unlocks = budget.is_some_and(|b| b.unlock.is_some());
        ends || unlocks || self.now.saturating_sub(channel.opened) >= epoch_length
    }
}

/// A voucher that the chain would pay now.
struct Payable {
    name: String,
    signed: Signed,
}

/// What settlement remembers between blocks. It only saves questions: state and database decide.
#[derive(Default)]
pub(crate) struct Settlement {
    models: OwnModels,
    /// Settled (model, epoch).
    settled: BTreeSet<(u32, u32)>,
    /// Last finalised block at which the oldest voucher of a channel was unpaid.
    unpaid: BTreeMap<String, u32>,
    /// Vouchers that a batch did not pay.
    tries: BTreeMap<String, Backoff>,
    /// Why a channel's voucher waits, as it was logged.
    waiting: BTreeMap<String, &'static str>,
    /// Finalised block of the last look at a channel whose key is dead.
    looked: BTreeMap<String, u32>,
    /// The chain may have lost blocks: what was paid may not be any more.
    restore: bool,
}

impl Settlement {
    /// Settlement of a daemon that has just started: the chain may have lost blocks while it was away, or before it had
    /// acted on the loss.
    pub(crate) fn new() -> Self {
        Self { restore: true, ..Self::default() }
    }

    /// The chain lost blocks.
    pub(crate) fn chain_lost(&mut self) {
        *self = Self::new();
    }

    /// Acts on one finalised block. What fails holds up nothing else; a node that is away ends the step. Returns whether
    /// it is there.
    pub(crate) async fn step(&mut self, work: &Work, state: &State, sending: &Sending) -> bool {
        if let Err(e) = self.redeem(work, state, sending).await {
            tracing::warn!(block = state.head.number, "no voucher is redeemed at this block: {e}");
            if e.exit == Exit::Unreachable {
                return false;
            }
        }
        let mine = match self.models.update(state, &work.me()).await {
            Ok(mine) => mine.to_vec(),
            Err(e) => {
                tracing::warn!(block = state.head.number, "no model is settled at this block: {e}");
                return !e.is_transient();
            }
        };
        for model in mine {
            if let Err(e) = self.settle(work, state, sending, model).await {
                tracing::warn!(model, block = state.head.number, "its usage is not settled at this block: {e}");
                if e.exit == Exit::Unreachable {
                    return false;
                }
            }
        }
        true
    }

    async fn redeem(&mut self, work: &Work, state: &State, sending: &Sending) -> CliResult {
        let payments = work.progress.payments();
        let channels = payments.channels().all().await?;
        if channels.iter().all(|(_, c)| !c.has_unpaid() && (c.redeemed.is_empty() || !self.restore)) {
            self.restore = false;
            return Ok(());
        }
        let now = state.head.number;
        let days = day_blocks(weft_chain::system::slot_ms(state).await?);
        let params = rewards::params(state).await?;
        let mut purses = Purses { now, day: now.checked_div(days).unwrap_or(0), ..Purses::default() };
        let (mut payable, mut restored) = (Vec::new(), true);
        for (name, channel) in channels {
            let (consumer, model) = (crate::keys::address(&channel.consumer), channel.model);
            match self.channel(work, state, &name, channel, &mut purses, params.epoch_length).await {
                Ok(found) => payable.extend(found),
                Err(e) if e.exit == Exit::Unreachable => return Err(e),
                Err(e) => {
                    restored = false;
                    tracing::warn!(%consumer, model, "its voucher is not redeemed at this block: {e}");
                }
            }
        }
        self.restore &= !restored;
        payable.truncate(BATCH);
        let calls: Vec<Call> = payable.iter().map(|p| rewards::redeem(&[p.signed])).collect();
        let call = match calls.as_slice() {
            [] => return Ok(()),
            [only] => only.clone(),
            // Each by itself: a voucher whose key dies before the block costs only itself.
            _ => Call::each(&calls, state)?,
        };
        if send(work, sending, state, "redeem".into(), call, None) {
            for p in payable {
                self.tries.entry(p.name).or_default().grow(now, None);
            }
        }
        Ok(())
    }

    /// Brings one channel up to the state. Returns its voucher if that is to be redeemed now.
    async fn channel(
        &mut self,
        work: &Work,
        state: &State,
        name: &str,
        mut channel: Channel,
        purses: &mut Purses,
        epoch_length: u32,
    ) -> CliResult<Option<Payable>> {
        let payments = work.progress.payments();
        let now = state.head.number;
        let again = self.restore && !channel.redeemed.is_empty();
        let looked = self.looked.get(name).is_some_and(|at| (*at..at.saturating_add(DEAD)).contains(&now));
        if !again && (!channel.has_unpaid() || (channel.lost && looked)) {
            return Ok(None);
        }
        if channel.lost {
            self.looked.insert(name.to_string(), now);
        }
        let seen = rewards::channel(state, &channel.consumer, &channel.key, &work.me(), channel.model).await?;
        if again {
            channel = payments.channels().restore(name, seen.paid, now).await?;
        }
        while let Some(first) = channel.pending.first() {
            let cumulative = first.signed.0.cumulative;
            if seen.paid < cumulative {
                break;
            }
            let epoch = self.epoch_of(work, state, name, &channel, first).await?;
            channel = payments.channels().redeemed(name, cumulative, epoch).await?;
            self.unpaid.remove(name);
            self.tries.remove(name);
        }
        purses.load(work, state, &channel).await?;
        if channel.pending.is_empty() {
            if !purses.is_due(&channel, work.redeem_above, epoch_length) {
                return Ok(None);
            }
            channel = payments.channels().start(name, now).await?;
        }
        let Some(first) = channel.pending.first() else { return Ok(None) };
        self.unpaid.insert(name.to_string(), now);
        let fate = purses.decide(&first.signed.0, &seen);
        let lost = matches!(fate, Fate::Lost(_));
        if lost != channel.lost {
            payments.channels().set_lost(name, lost).await?;
        }
        if !lost {
            self.looked.remove(name);
        }
        match fate {
            Fate::Pay => {
                self.waiting.remove(name);
                let early = self.tries.get(name).is_some_and(|t| t.holds(now));
                Ok((!early).then(|| Payable { name: name.to_string(), signed: first.signed }))
            }
            Fate::Wait(why) | Fate::Lost(why) => {
                let fees = crate::output::weft(channel.unredeemed(seen.paid));
                let (consumer, model) = (crate::keys::address(&channel.consumer), channel.model);
                if lost && !channel.lost {
                    tracing::warn!(%consumer, model, %fees, "these fees are lost: {why}");
                } else if !lost && self.waiting.insert(name.to_string(), why) != Some(why) {
                    tracing::info!(%consumer, model, %fees, "these fees wait: {why}");
                }
                Ok(None)
            }
        }
    }

    /// The settlement epoch in which the chain has paid a voucher: that of the first block whose state shows it paid.
    async fn epoch_of(
        &self,
        work: &Work,
        state: &State,
        name: &str,
        channel: &Channel,
        pending: &Pending,
    ) -> CliResult<u32> {
        let model = channel.model;
        let newest = rewards::epoch(state, model).await?.ok_or_else(|| state.missing(format!("model {model}")))?;
        let (mut paid, mut epoch) = (state.head.number, newest);
        let mut unpaid = self.unpaid.get(name).copied().unwrap_or(pending.since).min(paid);
        while paid.saturating_sub(unpaid) > 1 {
            let middle = unpaid.midpoint(paid);
            let there = match work.client.at(middle).await {
                Ok(there) => there,
                Err(e) if e.is_transient() => return Err(e.into()),
                Err(e) => {
                    tracing::debug!(block = middle, "its state is not kept: {e}");
                    return self.room(work, state, pending, model, newest).await;
                }
            };
            let seen = rewards::channel(&there, &channel.consumer, &channel.key, &work.me(), model).await;
            match seen {
                Ok(seen) if seen.paid >= pending.signed.0.cumulative => {
                    paid = middle;
                    epoch = rewards::epoch(&there, model).await?.unwrap_or(epoch);
                }
                Ok(_) => unpaid = middle,
                Err(e) if e.is_transient() => return Err(e.into()),
                Err(_) => return self.room(work, state, pending, model, newest).await,
            }
        }
        Ok(epoch)
    }

    /// Where the blocks of a redemption are pruned: the epoch since it became pending in which the chain counted this fee
    /// more than is recorded here, the exact sum before a larger one; the newest when there is none.
    async fn room(&self, work: &Work, state: &State, pending: &Pending, model: u32, newest: u32) -> CliResult<u32> {
        let fee = sum_of(work, &pending.ids).await?;
        let length = rewards::params(state).await?.epoch_length;
        let minted = models::model(state, model).await?.map_or(0, |m| m.minted);
        let oldest = epoch_at(pending.since, minted, length).unwrap_or(newest).min(newest);
        let mut larger = None;
        for epoch in oldest..=newest {
            let counted = fees(state, model, epoch, &work.me()).await?;
            let left = counted.saturating_sub(recorded(work, model, epoch).await?);
            if left == fee && fee > 0 {
                return Ok(epoch);
            }
            if left > fee {
                larger = larger.or(Some(epoch));
            }
        }
        Ok(larger.unwrap_or(newest))
    }

    /// Posts the usage of every past epoch with fees, then settles it.
    async fn settle(&mut self, work: &Work, state: &State, sending: &Sending, model: u32) -> CliResult {
        let Some(now) = rewards::epoch(state, model).await? else { return Ok(()) };
        let me = work.me();
        for epoch in work.db.redeemed_epochs(model).await? {
            if epoch >= now || self.settled.contains(&(model, epoch)) {
                continue;
            }
            if rewards::settlement(state, model, epoch).await?.is_some() {
                self.settled.insert((model, epoch));
                continue;
            }
            let name = format!("finalise/{model}/{epoch}");
            if attribution::has_usage(state, model, epoch, &me).await? {
                send(work, sending, state, name, rewards::finalise(model, epoch), None);
                continue;
            }
            let receipts: Vec<Receipt> =
                work.db.redeemed_receipts(model, epoch).await?.iter().filter_map(|r| decode(r)).collect();
            let counted = fees(state, model, epoch, &me).await?;
            let sum = receipts.iter().fold(0u128, |sum, r| sum.saturating_add(r.fee));
            if sum != counted {
                // A redemption is still on its way into the records. When it never gets there, as after the loss of the
                // database, the epoch is settled without usage.
                if usage_is_over(state, model, epoch).await? {
                    send(work, sending, state, name, rewards::finalise(model, epoch), None);
                }
                continue;
            }
            let leaves: Vec<FeeNode> = receipts.iter().map(Receipt::leaf).collect();
            let root = fee_tree::root(&leaves).map_or(ZERO, |n| n.hash);
            let tokens_in = receipts.iter().map(|r| u64::from(r.tokens_in)).sum();
            let tokens_out = receipts.iter().map(|r| u64::from(r.tokens_out)).sum();
            let count = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
            send(
                work,
                sending,
                state,
                format!("usage/{model}/{epoch}"),
                attribution::post_usage(model, epoch, root, count, tokens_in, tokens_out, counted),
                None,
            );
        }
        Ok(())
    }
}

/// Whether the chain settles an epoch without the usage of silent oracles.
async fn usage_is_over(state: &State, model: u32, epoch: u32) -> CliResult<bool> {
    let Some(m) = models::model(state, model).await? else { return Ok(false) };
    let params = rewards::params(state).await?;
    let end = epoch_end(epoch, m.minted, params.epoch_length);
    Ok(end.is_some_and(|end| state.head.number > end.saturating_add(params.usage_delay)))
}

async fn sum_of(work: &Work, ids: &[[u8; 16]]) -> CliResult<u128> {
    let mut sum = 0u128;
    for id in ids {
        if let Some((_, encoded, _)) = work.db.receipt_of(&hex::encode(id)).await? {
            sum = sum.saturating_add(decode(&encoded).map_or(0, |r| r.fee));
        }
    }
    Ok(sum)
}

async fn fees(state: &State, model: u32, epoch: u32, me: &[u8; 32]) -> CliResult<u128> {
    let list = rewards::revenue(state, model, epoch).await?;
    Ok(list.iter().find(|f| f.oracle.0 == *me).map_or(0, |f| f.fees))
}

async fn recorded(work: &Work, model: u32, epoch: u32) -> CliResult<u128> {
    let list = work.db.redeemed_receipts(model, epoch).await?;
    Ok(list.iter().filter_map(|r| decode(r)).fold(0, |sum, r| sum.saturating_add(r.fee)))
}

fn decode(mut bytes: &[u8]) -> Option<Receipt> {
    match codec::Decode::decode(&mut bytes) {
        Ok(receipt) => Some(receipt),
        Err(e) => {
            tracing::error!("a stored receipt does not decode, its fee is missing in the usage: {e}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSUMER: [u8; 32] = [1; 32];
    const KEY: [u8; 32] = [2; 32];
    const DAY: u32 = 7;
    const NOW: u32 = 700;

    fn voucher(cumulative: u128) -> Voucher {
        Voucher {
            consumer: CONSUMER,
            key: KEY,
            oracle: [3; 32],
            model: 4,
            price_version: 1,
            cumulative,
            tokens_in: 1,
            tokens_out: 1,
            receipts: ZERO,
        }
    }

    fn key() -> rewards::ApiKey {
        rewards::ApiKey {
            rule: rewards::KeyRule { daily_limit: 100, models: rewards::KeyModels::Any, expiry: None },
            revoked: false,
            day: DAY,
            spent: 40,
        }
    }

    fn purses(key: Option<rewards::ApiKey>, held: u128) -> Purses {
        let budget = rewards::Budget { held, spent: 0, unlock: None };
        Purses {
            now: NOW,
            day: DAY,
            keys: BTreeMap::from([((CONSUMER, KEY), key)]),
            budgets: BTreeMap::from([(CONSUMER, Some(budget))]),
        }
    }

    const NOTHING_PAID: rewards::Channel = rewards::Channel { paid: 0, price_version: 0 };

    #[test]
    fn voucher_should_be_paid_when_key_and_budget_cover_it() {
        let mut p = purses(Some(key()), 60);
        assert_eq!(p.decide(&voucher(60), &NOTHING_PAID), Fate::Pay);
        // AND what it took is not there for the next
        assert!(matches!(p.decide(&voucher(1), &NOTHING_PAID), Fate::Wait(_)));
        // AND only the difference to what the chain has seen counts
        let mut p = purses(Some(key()), 60);
        assert_eq!(p.decide(&voucher(1_000), &rewards::Channel { paid: 940, price_version: 1 }), Fate::Pay);
    }

    #[test]
    fn voucher_should_wait_when_limit_or_budget_are_short() {
        let fate = |held, cumulative| purses(Some(key()), held).decide(&voucher(cumulative), &NOTHING_PAID);
        assert!(matches!(fate(1_000, 61), Fate::Wait(_)), "40 of 100 are spent on this day");
        assert!(matches!(fate(59, 60), Fate::Wait(_)));
        let mut yesterday = key();
        yesterday.day = DAY - 1;
        assert_eq!(purses(Some(yesterday), 100).decide(&voucher(100), &NOTHING_PAID), Fate::Pay);
        let mut none = purses(Some(key()), 0);
        none.budgets.clear();
        assert!(matches!(none.decide(&voucher(1), &NOTHING_PAID), Fate::Wait(_)));
        let newer = rewards::Channel { paid: 0, price_version: 2 };
        assert!(matches!(purses(Some(key()), 9).decide(&voucher(1), &newer), Fate::Wait(_)));
    }

    #[test]
    fn voucher_should_be_lost_when_its_key_is_dead_and_others_are_paid() {
        let fate = |key: Option<rewards::ApiKey>| purses(key, 100).decide(&voucher(1), &NOTHING_PAID);
        let with = |change: fn(&mut rewards::ApiKey)| {
            let mut key = key();
            change(&mut key);
            Some(key)
        };
        for dead in [
            None,
            with(|k| k.revoked = true),
            with(|k| k.rule.expiry = Some(NOW)),
            with(|k| k.rule.models = rewards::KeyModels::Only(vec![5])),
        ] {
            assert!(matches!(fate(dead.clone()), Fate::Lost(_)), "{dead:?}");
        }
        assert_eq!(fate(with(|k| k.rule.expiry = Some(NOW + 1))), Fate::Pay);
        // GIVEN a dead key and a live one of the same consumer THEN the live one is paid
        let mut p = purses(with(|k| k.revoked = true), 100);
        p.keys.insert((CONSUMER, [9; 32]), Some(key()));
        assert!(matches!(p.decide(&voucher(1), &NOTHING_PAID), Fate::Lost(_)));
        assert_eq!(p.decide(&Voucher { key: [9; 32], ..voucher(1) }, &NOTHING_PAID), Fate::Pay);
    }

    #[test]
    fn fees_should_be_redeemed_when_above_the_threshold_or_old_or_endangered() {
        const LENGTH: u32 = 50;
        let channel = |fees: u128, age: u32| Channel {
            consumer: CONSUMER,
            key: KEY,
            model: 4,
            open: Some((voucher(fees), [0; 64])),
            opened: NOW - age,
            ..Channel::default()
        };
        let p = purses(Some(key()), 60);
        assert!(p.is_due(&channel(1, 0), 0, LENGTH), "by default every fee is");
        assert!(p.is_due(&channel(11, 0), 10, LENGTH));
        assert!(!p.is_due(&channel(10, 0), 10, LENGTH));
        assert!(!p.is_due(&Channel::default(), 0, LENGTH), "nothing is open");
        assert!(!p.is_due(&channel(10, LENGTH - 1), 10, LENGTH));
        assert!(p.is_due(&channel(10, LENGTH), 10, LENGTH), "an epoch old");
        let mut ending = key();
        ending.rule.expiry = Some(NOW + NEAR);
        assert!(purses(Some(ending), 60).is_due(&channel(10, 0), 10, LENGTH));
        let mut unlocking = purses(Some(key()), 60);
        unlocking.budgets.insert(CONSUMER, Some(rewards::Budget { held: 60, spent: 0, unlock: Some(NOW + 9) }));
        assert!(unlocking.is_due(&channel(10, 0), 10, LENGTH));
    }
}
