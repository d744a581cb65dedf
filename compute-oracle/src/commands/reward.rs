//! `weft reward`: from record to money, and why a number is zero.

use std::collections::{BTreeMap, BTreeSet};

use codec::Decode;
use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    attribution, datanets,
    datanets::{ContributionState, RejectCode},
    models::{self, Model},
    rewards::{self, SettlementState},
    Call, State,
};
use weft_protocol::{
    job::JobState,
    sum_tree::{self, OwnerLeaf, SumNode},
};

use super::{daemon_url, get, http, signed_all, subject};
use crate::{
    cli::Reward as Command,
    context::Context,
    error::{CliError, CliResult, Exit},
    keys::address,
    output::{counted, table, weft},
    serving::owner_leaves,
};

/// Claims that go into one batch.
const BATCH: usize = 16;

/// An account's leaf in one part of a model, with its path.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The model.
    pub model: u32,
    /// Position of its Datanet among the parts.
    pub part: u32,
    /// Position in the part.
    pub index: u32,
    /// The leaf.
    pub leaf: OwnerLeaf,
    /// Its path to the root on chain.
    pub path: Vec<SumNode>,
}

/// What one settled epoch owes on a leaf.
#[derive(Clone, Debug)]
pub struct Due {
    /// The model.
    pub model: u32,
    /// The epoch; 0 is the licence price.
    pub epoch: u32,
    /// Position of the Datanet among the parts.
    pub part: u32,
    /// Position in the part.
    pub index: u32,
    /// Units due, or that were due.
    pub due: u128,
    /// Whether they are claimed.
    pub claimed: bool,
    /// The leaf.
    pub leaf: OwnerLeaf,
    /// Its path.
    pub path: Vec<SumNode>,
}

/// Influence of an account's records in one Datanet on one model.
#[derive(Clone, Debug)]
pub struct Influence {
    /// The model.
    pub model: u32,
    /// Sum of positive scores.
    pub pos: u128,
    /// Sum of the absolute negative scores.
    pub neg: u128,
    /// Points of 10^12 over all contributors.
    pub paid: u128,
}

/// A contribution from its acceptance to the money.
#[derive(Clone, Debug)]
pub struct ContributionStatus {
    /// The Datanet.
    pub datanet: u32,
    /// Its number there.
    pub contribution: u32,
    /// Records.
    pub records: u32,
    /// Where it stands.
    pub state: ContributionState,
    /// Why rejected.
    pub reason: Option<RejectCode>,
    /// Records accepted.
    pub accepted: u32,
    /// Final models whose job used it.
    pub used_in: Vec<u32>,
    /// Contributions of the same account in the same Datanet, which share influence and money.
    pub shared: u32,
    /// Influence by model, of all of them together.
    pub influence: Vec<Influence>,
    /// Models of `used_in` whose payout trees could not be had: influence and money are at least what is known.
    pub unknown: Vec<u32>,
    /// Units earned, of all of them together, as far as the trees are known.
    pub earned: u128,
    /// Units claimed.
    pub claimed: u128,
    /// Why the first zero of accepted, used, influenced, earned, claimed is zero, and what to do.
    pub zero: Option<String>,
}

/// What was claimed.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// Units paid.
    pub amount: u128,
    /// (model, epoch, part, index, units) of each claim.
    pub claims: Vec<(u32, u32, u32, u32, u128)>,
    /// Units that are kept for the account because it is below the existential deposit.
    pub owed: u128,
    /// Models whose payout trees could not be had: more may be due from them.
    pub unknown: Vec<u32>,
}

fn from_store(id: u32, parts: &[Vec<OwnerLeaf>], who: &[u8; 32]) -> Vec<Leaf> {
    let mut found = Vec::new();
    for (part, list) in (0u32..).zip(parts) {
        for (at, leaf) in list.iter().enumerate().filter(|(_, l)| l.owner == *who) {
            if let (Ok(index), Some(path)) = (u32::try_from(at), sum_tree::proof(list, at)) {
                found.push(Leaf { model: id, part, index, leaf: *leaf, path });
            }
        }
    }
    found
}

/// Reads a daemon's leaves and checks each against the root on chain.
fn from_daemon(id: u32, model: &Model, who: &[u8; 32], body: &Value) -> Option<Vec<Leaf>> {
    let mut found = Vec::new();
    for item in body.get("leaves")?.as_array()? {
        let number = |key: &str| item.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let bytes = |key: &str| item.get(key).and_then(Value::as_str).and_then(|t| hex::decode(t).ok());
        let (part, index) = (number("part")?, number("index")?);
        let leaf = OwnerLeaf::decode(&mut bytes("leaf")?.as_slice()).ok()?;
        let path = Vec::<SumNode>::decode(&mut bytes("path")?.as_slice()).ok()?;
        let known = model.run.parts.0.get(usize::try_from(part).ok()?)?;
        let root =
            SumNode { hash: known.root, sums: sum_tree::Sums { pos: known.pos, neg: known.neg, paid: known.paid } };
        if leaf.owner != *who || !sum_tree::verify(&root, known.leaves, index, &leaf, &path) {
            return None;
        }
        found.push(Leaf { model: id, part, index, leaf, path });
    }
    Some(found)
}

/// Leaves of an account in one model: from the store, else from the first daemon that holds them.
async fn leaves(
    ctx: &Context,
    id: u32,
    model: &Model,
    who: &[u8; 32],
    daemons: &[String],
) -> CliResult<Option<Vec<Leaf>>> {
    match owner_leaves(&ctx.store()?, model) {
        Ok(parts) => return Ok(Some(from_store(id, &parts, who))),
        Err(e) if e.exit == Exit::NotFound => {}
        // A damaged tree is no missing one: it is said, and a daemon is asked for a sound one.
        Err(e) => ctx.out.warn(&CliError { cause: format!("model {id}: {}", e.cause), ..e }),
    }
    let client = http()?;
    for daemon in daemons {
        let url = format!("{}/api/v1/settlements/{id}/proof/{}", daemon.trim_end_matches('/'), address(who));
        match get(&client, &url).await {
            Ok(body) => match from_daemon(id, model, who, &body) {
                Some(found) => return Ok(Some(found)),
                None => ctx.out.warn(&CliError::new(
                    Exit::Verification,
                    "integrity_failed",
                    format!("{daemon}: its leaves of model {id} do not fit the roots on chain"),
                    "name another daemon with --daemon",
                )),
            },
            Err(e) => ctx.out.note(&e.to_string()),
        }
    }
    Ok(None)
}

/// Everything that is known of an account's earnings.
struct Ledger {
    state: State,
    models: usize,
    leaves: Vec<Leaf>,
    dues: Vec<Due>,
    /// Models whose leaves could not be had.
    unknown: Vec<u32>,
}

async fn ledger(ctx: &Context, who: &[u8; 32], daemons: &[String]) -> CliResult<Ledger> {
    for daemon in daemons {
        daemon_url(daemon)?;
    }
    let state = ctx.chain().await?.finalised().await?;
    let mut book = Ledger { state, models: 0, leaves: Vec::new(), dues: Vec::new(), unknown: Vec::new() };
    for id in 0..models::next_model(&book.state).await? {
        let Some(model) = models::model(&book.state, id).await? else { continue };
        book.models = book.models.saturating_add(1);
        let Some(found) = leaves(ctx, id, &model, who, daemons).await? else {
            book.unknown.push(id);
            continue;
        };
        let epochs = if found.is_empty() { Vec::new() } else { rewards::settled_epochs(&book.state, id).await? };
        for epoch in epochs {
            for l in &found {
                let status = rewards::claim_status(&book.state, id, epoch, l.part, l.index, l.leaf.paid).await?;
                if let Some(s) = status {
                    book.dues.push(Due {
                        model: id,
                        epoch,
                        part: l.part,
                        index: l.index,
                        due: s.due,
                        claimed: s.claimed,
                        leaf: l.leaf,
                        path: l.path.clone(),
                    });
                }
            }
        }
        book.leaves.extend(found);
    }
    Ok(book)
}

/// What every settled epoch of every model owes or owed an account.
pub async fn due(ctx: &Context, who: &[u8; 32], daemons: &[String]) -> CliResult<Vec<Due>> {
    Ok(ledger(ctx, who, daemons).await?.dues)
}

/// Jobs that used each contribution's leaf, in what state.
struct Uses {
    finals: Vec<u32>,
    pending: Option<(u32, Option<u32>)>,
    snapshot: bool,
}

async fn uses(state: &State, datanet: u32, leaf: u64) -> CliResult<Uses> {
    let mut found = Uses { finals: Vec::new(), pending: None, snapshot: false };
    let snapshots = datanets::datanet(state, datanet).await?.map_or(0, |n| n.snapshots);
    let mut sizes = BTreeMap::new();
    for s in 0..snapshots {
        if let Some(snapshot) = datanets::snapshot(state, datanet, s).await? {
            found.snapshot |= leaf < snapshot.leaves;
            sizes.insert(s, snapshot.leaves);
        }
    }
    for id in 0..models::next_job(state).await? {
        let Some(job) = models::job(state, id).await? else { continue };
        let holds =
            job.inputs.iter().any(|i| i.datanet == datanet && sizes.get(&i.snapshot).is_some_and(|n| leaf < *n));
        if !holds {
            continue;
        }
        match (job.state.0, job.model) {
            (JobState::Final, Some(model)) => found.finals.push(model),
            (s, _) if !s.is_terminal() => {
                let run = weft_chain::oracles::run(state, id).await?;
                found.pending = Some((id, run.map(|r| r.deadline).or(job.deadline)));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Why nothing is earned although there is influence.
async fn unearned(state: &State, models_used: &[u32]) -> CliResult<String> {
    for id in models_used {
        let Some(now) = rewards::epoch(state, *id).await? else { continue };
        for epoch in 1..=now {
            let fees = rewards::revenue(state, *id, epoch).await?;
            if fees.is_empty() {
                continue;
            }
            match rewards::settlement(state, *id, epoch).await?.map(|s| s.state) {
                Some(SettlementState::Rolled(into)) => {
                    return Ok(format!(
                    "the fees of model {id}, epoch {epoch}, are below the settlement minimum and went to epoch {into}"
                ))
                }
                Some(_) => {}
                None if epoch == now => {
                    return Ok(format!("epoch {epoch} of model {id} is still running; it is settled afterwards"))
                }
                None => {
                    for f in fees {
                        if !attribution::has_usage(state, *id, epoch, &f.oracle.0).await? {
                            return Ok(format!(
                                "settlement of model {id}, epoch {epoch}, is late: {} has not posted its usage; after the usage delay anyone settles without it",
                                address(&f.oracle.0)
                            ));
                        }
                    }
                    return Ok(format!("epoch {epoch} of model {id} waits for `finalise`, which anyone may send"));
                }
            }
        }
        if let Some(m) = models::model(state, *id).await? {
            let (_, price) = models::price_in_force(state, *id, m.price_version).await?;
            if price.input == 0 && price.output == 0 {
                return Ok(format!("model {id} is free: its owner may set a price"));
            }
        }
    }
    Ok("the models have not been used for pay yet".into())
}

/// How to come by payout trees.
const TREES: &str = "name a daemon that serves them with --daemon, or add its blob folder to store.sources";

/// `model 3`, `models 0, 1`.
fn models_text(models: &[u32]) -> String {
    let list: Vec<String> = models.iter().map(u32::to_string).collect();
    format!("{} {}", if list.len() == 1 { "model" } else { "models" }, list.join(", "))
}

/// What was printed is not all: the payout trees of these models are out of reach.
fn trees_unknown(models: &[u32]) -> CliResult {
    if models.is_empty() {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Unreachable,
        "payout_trees_unknown",
        format!("more may be due: the payout trees of {} are out of reach", models_text(models)),
        TREES,
    ))
}

async fn zero_of(book: &Ledger, c: &ContributionStatus, uses: Option<&Uses>) -> CliResult<Option<String>> {
    if c.accepted == 0 {
        return Ok(Some(match c.state {
            ContributionState::Pending => "waits for the curators' verdict".into(),
            ContributionState::Rejected => format!(
                "rejected: {}; read the reason and contribute again",
                c.reason.map_or_else(|| "no reason".to_string(), |r| format!("{r:?}").to_lowercase())
            ),
            ContributionState::Withdrawn => "taken back by its contributor".into(),
            ContributionState::Struck => "proved a copy of an earlier record".into(),
            ContributionState::Accepted => "accepted without records".into(),
        }));
    }
    let Some(uses) = uses else { return Ok(None) };
    if c.used_in.is_empty() {
        return Ok(Some(match (uses.pending, uses.snapshot) {
            (Some((job, until)), _) => format!(
                "the run of job {job} is not final{}",
                until.map_or_else(String::new, |b| format!("; its present limit is block {b}"))
            ),
            (None, true) => "in a snapshot, but in no run with a model yet".into(),
            (None, false) => format!("in no snapshot yet; anyone may take one: `weft datanet snapshot {}`", c.datanet),
        }));
    }
    if !c.unknown.is_empty() {
        let (trees, verb) = if c.unknown.len() == 1 { ("tree", "is") } else { ("trees", "are") };
        return Ok(Some(format!("the payout {trees} of {} {verb} not at hand; {TREES}", models_text(&c.unknown))));
    }
    if c.influence.is_empty() {
        return Ok(Some("every record equals an earlier one, or trained nothing: the earlier one earns".into()));
    }
    if c.influence.iter().all(|i| i.paid == 0) {
        return Ok(Some(
            "influence is not above the margin, and the licence has no base part; `weft verify run` recomputes it"
                .into(),
        ));
    }
    if c.earned == 0 {
        return unearned(&book.state, &c.used_in).await.map(Some);
    }
    if c.claimed == 0 {
        return Ok(Some("not claimed yet: `weft reward claim`".into()));
    }
    Ok(None)
}

/// Every contribution of an account: accepted, used, influenced, earned, claimed, and why a number is zero.
pub async fn show(ctx: &Context, who: &[u8; 32], daemons: &[String]) -> CliResult<Vec<ContributionStatus>> {
    let book = ledger(ctx, who, daemons).await?;
    let mut list = Vec::new();
    for datanet in 0..datanets::next_datanet(&book.state).await? {
        let Some(net) = datanets::datanet(&book.state, datanet).await? else { continue };
        let mut own = Vec::new();
        for n in 0..net.contributions {
            if let Some(c) = datanets::contribution(&book.state, datanet, n).await? {
                if c.owner.0 == *who {
                    own.push((n, c));
                }
            }
        }
        let shared = u32::try_from(own.iter().filter(|(_, c)| c.leaf.is_some()).count()).unwrap_or(u32::MAX);
        for (n, c) in own {
            let uses = match c.leaf {
                Some(leaf) => Some(uses(&book.state, datanet, leaf.index).await?),
                None => None,
            };
            let used_in = uses.as_ref().map(|u| u.finals.clone()).unwrap_or_default();
            let influence: Vec<Influence> = book
                .leaves
                .iter()
                .filter(|l| l.leaf.datanet == datanet && used_in.contains(&l.model))
                .map(|l| Influence { model: l.model, pos: l.leaf.pos, neg: l.leaf.neg, paid: l.leaf.paid })
                .collect();
            let unknown = used_in.iter().copied().filter(|m| book.unknown.contains(m)).collect();
            let dues = book.dues.iter().filter(|d| d.leaf.datanet == datanet && used_in.contains(&d.model));
            let (mut earned, mut claimed) = (0u128, 0u128);
            for d in dues {
                earned = earned.saturating_add(d.due);
                if d.claimed {
                    claimed = claimed.saturating_add(d.due);
                }
            }
            let mut status = ContributionStatus {
                datanet,
                contribution: n,
                records: c.records,
                state: c.state,
                reason: c.reason,
                accepted: if c.leaf.is_some() { c.records } else { 0 },
                used_in,
                shared,
                influence,
                unknown,
                earned,
                claimed,
                zero: None,
            };
            status.zero = zero_of(&book, &status, uses.as_ref()).await?;
            list.push(status);
        }
    }
    Ok(list)
}

/// Claims everything that is due to an account. Anyone may sign.
pub async fn claim(ctx: &Context, signer: &Keypair, who: &[u8; 32], daemons: &[String]) -> CliResult<Claimed> {
    let book = ledger(ctx, who, daemons).await?;
    // Without any tree "nothing is due" would be a guess.
    if book.models > 0 && book.unknown.len() == book.models {
        return Err(CliError::new(
            Exit::Unreachable,
            "payout_trees_unknown",
            format!("the payout trees of all {} models are out of reach", book.models),
            TREES,
        ));
    }
    let open: Vec<&Due> = book.dues.iter().filter(|d| d.due > 0 && !d.claimed).collect();
    let mut calls = Vec::new();
    for chunk in open.chunks(BATCH) {
        let mut list: Vec<Call> =
            chunk.iter().map(|d| rewards::claim(d.model, d.epoch, d.part, d.index, &d.leaf, &d.path)).collect();
        let call = match (list.len(), list.pop()) {
            (1, Some(only)) => only,
            (_, Some(last)) => {
                list.push(last);
                Call::all(&list, &book.state)?
            }
            (_, None) => continue,
        };
        calls.push((call, 0));
    }
    let mut result = Claimed { unknown: book.unknown.clone(), ..Claimed::default() };
    if calls.is_empty() {
        result.owed = rewards::owed(&book.state, who).await?;
        return Ok(result);
    }
    for included in signed_all(ctx, signer, &calls).await? {
        for amount in included.numbers("Rewards", "Claimed", "amount")? {
            result.amount = result.amount.saturating_add(amount);
        }
    }
    result.claims = open.iter().map(|d| (d.model, d.epoch, d.part, d.index, d.due)).collect();
    let state = ctx.chain().await?.finalised().await?;
    result.owed = rewards::owed(&state, who).await?;
    Ok(result)
}

fn status_json(c: &ContributionStatus) -> Value {
    // A part of a sum is no sum: what is known stands apart while trees are unknown.
    let whole = |units: u128| c.unknown.is_empty().then(|| units.to_string());
    json!({
        "datanet": c.datanet, "contribution": c.contribution, "records": c.records, "state": c.state,
        "reason": c.reason, "accepted": c.accepted, "used_in": c.used_in, "shared_with": c.shared,
        "influence": c.influence.iter().map(|i| json!({
            "model": i.model, "pos": i.pos.to_string(), "neg": i.neg.to_string(), "paid": i.paid.to_string(),
        })).collect::<Vec<_>>(),
        "earned": whole(c.earned), "claimed": whole(c.claimed), "zero": c.zero,
        "partial": !c.unknown.is_empty(), "unknown_models": c.unknown,
        "known": { "earned": c.earned.to_string(), "claimed": c.claimed.to_string() },
    })
}

fn list_text(who: &[u8; 32], list: &[ContributionStatus]) -> String {
    if list.is_empty() {
        return format!("{} has no contribution. Next: `weft data contribute DATANET FILE`", address(who));
    }
    let head = ["Datanet", "contribution", "accepted", "used in", "influence (ppm)", "earned", "claimed"];
    let mut rows = vec![head.map(String::from).to_vec()];
    let mut notes = String::new();
    let mut joint = false;
    for c in list {
        let models: Vec<String> = c.used_in.iter().map(|m| format!("model {m}")).collect();
        let mut paid: Vec<String> = c.influence.iter().map(|i| (i.paid / 1_000_000).to_string()).collect();
        paid.extend(c.unknown.iter().map(|_| "?".to_string()));
        let units = |sum: u128| match (c.unknown.is_empty(), sum) {
            (true, _) => weft(sum),
            (false, 0) => "?".to_string(),
            (false, _) => format!("at least {}", weft(sum)),
        };
        let or_zero = |v: Vec<String>| if v.is_empty() { "0".to_string() } else { v.join(", ") };
        rows.push(vec![
            c.datanet.to_string(),
            c.contribution.to_string(),
            format!("{} of {}", c.accepted, c.records),
            or_zero(models),
            or_zero(paid),
            units(c.earned),
            units(c.claimed),
        ]);
        if let Some(zero) = &c.zero {
            notes.push_str(&format!("  Datanet {}, contribution {}: {zero}\n", c.datanet, c.contribution));
        }
        joint |= c.shared > 1 && c.accepted > 0;
    }
    let mut text = table(&rows);
    text.push_str(&notes);
    if joint {
        text.push_str(
            "  Several contributions to one Datanet share one leaf: influence and money stand at each of them, once.\n",
        );
    }
    text.push_str("  Influence is that of the records on the training run, in ppm of all points.");
    text
}

/// Runs a command of the group.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Show { of, daemon } => {
            let who = subject(ctx, of.as_deref()).await?;
            let list = show(ctx, &who, &daemon).await?;
            let values: Vec<Value> = list.iter().map(status_json).collect();
            ctx.result(&json!({ "account": address(&who), "contributions": values }), &list_text(&who, &list));
            let unknown: BTreeSet<u32> = list.iter().flat_map(|c| c.unknown.iter().copied()).collect();
            trees_unknown(&unknown.into_iter().collect::<Vec<_>>())?;
        }
        Command::Claim { of, daemon } => {
            let who = subject(ctx, of.as_deref()).await?;
            let signer = ctx.signer().await?;
            let done = claim(ctx, &signer, &who, &daemon).await?;
            let claims: Vec<Value> = done
                .claims
                .iter()
                .map(|(model, epoch, part, index, units)| {
                    json!({ "model": model, "epoch": epoch, "part": part, "index": index, "units": units.to_string() })
                })
                .collect();
            let text = if done.claims.is_empty() && !done.unknown.is_empty() {
                format!("from the models whose payout trees are at hand nothing is due to {}", address(&who))
            } else if done.claims.is_empty() {
                format!("nothing is due to {}. Next: `weft reward show` says why", address(&who))
            } else {
                let kept = if done.owed > 0 {
                    format!("; {} wait because the account is below the existential deposit", weft(done.owed))
                } else {
                    String::new()
                };
                format!(
                    "{} paid to {} in {}{kept}",
                    weft(done.amount),
                    address(&who),
                    counted(done.claims.len(), "claim")
                )
            };
            ctx.result(
                &json!({
                    "account": address(&who), "amount": done.amount.to_string(), "claims": claims,
                    "owed": done.unknown.is_empty().then(|| done.owed.to_string()), "partial": !done.unknown.is_empty(),
                    "unknown_models": done.unknown,
                }),
                &text,
            );
            trees_unknown(&done.unknown)?;
        }
    }
    Ok(())
}
