//! Redemption of vouchers, usage and settlement of the models that this oracle serves.

use weft_chain::{attribution, models, rewards, State};
use weft_protocol::{
    fee_tree::{self, FeeNode},
    hash::ZERO,
    receipt::Receipt,
};

use super::duties::{send, Sending, Work};
use crate::error::CliResult;

/// Acts on one finalised block.
pub(crate) async fn step(work: &Work, state: &State, sending: &Sending) -> CliResult {
    redeem(work, state, sending).await?;
    for model in 0..models::next_model(state).await? {
        let Some(m) = models::model(state, model).await? else { continue };
        if m.run.oracle.0 == work.me() {
            settle(work, state, sending, model).await?;
        }
    }
    Ok(())
}

async fn redeem(work: &Work, state: &State, sending: &Sending) -> CliResult {
    let payments = work.progress.payments();
    let mut vouchers = Vec::new();
    for (name, channel, signed) in payments.to_redeem().await? {
        let paid = rewards::channel(state, &channel.consumer, &channel.key, &work.me(), channel.model).await?.paid;
        if paid < signed.0.cumulative {
            vouchers.push(signed);
            continue;
        }
        let fee = sum_of(work, &channel.pending_ids).await?;
        if let Some(epoch) = epoch_of(work, state, channel.model, fee).await? {
            payments.redeemed(&name, epoch).await?;
        }
    }
    vouchers.truncate(256);
    if !vouchers.is_empty() {
        send(work, sending, state, "redeem".into(), rewards::redeem(&vouchers));
    }
    Ok(())
}

async fn sum_of(work: &Work, ids: &[[u8; 16]]) -> CliResult<u128> {
    let mut sum = 0u128;
    for id in ids {
        if let Some((encoded, _)) = work.db.receipt(&hex::encode(id)).await? {
            sum = sum.saturating_add(decode(&encoded).map_or(0, |r| r.fee));
        }
    }
    Ok(sum)
}

/// The epoch in which the chain counted `fee` more than this daemon has recorded: the newest with room for it.
async fn epoch_of(work: &Work, state: &State, model: u32, fee: u128) -> CliResult<Option<u32>> {
    let Some(now) = rewards::epoch(state, model).await? else { return Ok(None) };
    for epoch in (now.saturating_sub(64)..=now).rev() {
        let counted = fees(state, model, epoch, &work.me()).await?;
        let recorded = recorded(work, model, epoch).await?;
        if counted.saturating_sub(recorded) >= fee && counted > 0 {
            return Ok(Some(epoch));
        }
    }
    Ok(None)
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
    codec::Decode::decode(&mut bytes).ok()
}

/// Posts the usage of every past epoch with fees, then settles it.
async fn settle(work: &Work, state: &State, sending: &Sending, model: u32) -> CliResult {
    let Some(now) = rewards::epoch(state, model).await? else { return Ok(()) };
    let me = work.me();
    for epoch in work.db.redeemed_epochs(model).await? {
        if epoch >= now || rewards::settlement(state, model, epoch).await?.is_some() {
            continue;
        }
        if attribution::has_usage(state, model, epoch, &me).await? {
            send(work, sending, state, format!("finalise/{model}/{epoch}"), rewards::finalise(model, epoch));
            continue;
        }
        let receipts: Vec<Receipt> =
            work.db.redeemed_receipts(model, epoch).await?.iter().filter_map(|r| decode(r)).collect();
        let counted = fees(state, model, epoch, &me).await?;
        let sum = receipts.iter().fold(0u128, |sum, r| sum.saturating_add(r.fee));
        if sum != counted {
            // A redemption is still on its way into the records.
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
        );
    }
    Ok(())
}
