//! `weft oracle`: stake, duties, accusations.

use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    models,
    oracles::{self, Duty, DutyKind, OracleStatus, RunKey, Unbond},
};
use weft_protocol::{
    economics::accuse_bond,
    graph,
    run::{sem_id, CLASS_CPU_F32},
};

use super::{signed, subject};
use crate::{
    cli::Oracle as Command,
    context::Context,
    error::{CliError, CliResult},
    keys::address,
    output::{full, weft},
};

/// Registers the signer as an oracle of the class this program computes. Receipts are signed by the same key.
pub async fn register(ctx: &Context, signer: &Keypair, stake: u128, endpoint: &str) -> CliResult {
    if endpoint.is_empty() || endpoint.len() > 128 {
        return Err(CliError::usage(
            format!("the endpoint has {} bytes", endpoint.len()),
            "use a multiaddr of 1–128 bytes",
        ));
    }
    let classes = [sem_id(CLASS_CPU_F32, graph::VERSION)];
    signed(ctx, signer, oracles::register(&classes, endpoint, signer.public_key().0, stake), stake).await.map(|_| ())
}

/// Adds stake.
pub async fn stake(ctx: &Context, signer: &Keypair, amount: u128) -> CliResult {
    signed(ctx, signer, oracles::bond(amount), amount).await.map(|_| ())
}

/// What taking stake out did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstaked {
    /// The amount can be taken out from this block on.
    Due(u32),
    /// The amount was taken out.
    Withdrawn(u128),
}

/// Starts to take stake out; without an amount takes out what is due.
pub async fn unstake(ctx: &Context, signer: &Keypair, amount: Option<u128>) -> CliResult<Unstaked> {
    match amount {
        Some(amount) => {
            let done = signed(ctx, signer, oracles::unbond(amount), 0).await?;
            Ok(Unstaked::Due(done.id("ComputeOracles", "Unbonded", "due")?))
        }
        None => {
            let done = signed(ctx, signer, oracles::withdraw(), 0).await?;
            Ok(Unstaked::Withdrawn(done.number("ComputeOracles", "Withdrawn", "amount")?))
        }
    }
}

/// Takes nothing new.
pub async fn chill(ctx: &Context, signer: &Keypair) -> CliResult {
    signed(ctx, signer, oracles::chill(), 0).await.map(|_| ())
}

/// Takes work again.
pub async fn resume(ctx: &Context, signer: &Keypair) -> CliResult {
    signed(ctx, signer, oracles::resume(), 0).await.map(|_| ())
}

/// Accuses a run of differing at X_u. A jury recomputes it; a false accusation loses its bond.
pub async fn accuse(ctx: &Context, signer: &Keypair, job: u32, u: u32) -> CliResult {
    let state = ctx.chain().await?.finalised().await?;
    let found = models::job(&state, job).await?.ok_or_else(|| state.missing(format!("job {job}")))?;
    let stakes = oracles::stakes(&state).await?;
    let bond = accuse_bond(found.fee, found.steps, stakes.jury_size, stakes.audit_fee, stakes.bond_floor);
    signed(ctx, signer, oracles::accuse(job, u), bond.unwrap_or(0)).await.map(|_| ())
}

/// An oracle with its duties.
#[derive(Clone, Debug)]
pub struct Status {
    /// The oracle.
    pub oracle: oracles::Oracle,
    /// Stake on its way out.
    pub unbonding: Vec<Unbond>,
    /// What it must do.
    pub duties: Vec<Duty>,
    /// Finalised block of this view.
    pub head: u32,
}

/// Stake, duties and their deadlines.
pub async fn status(ctx: &Context, who: &[u8; 32]) -> CliResult<Status> {
    let state = ctx.chain().await?.finalised().await?;
    let oracle = oracles::oracle(&state, who).await?.ok_or_else(|| {
        CliError::not_found(
            format!("{} is not an oracle", address(who)),
            "register with `weft oracle register --stake AMOUNT`",
        )
    })?;
    let unbonding = oracles::unbonding(&state, who).await?;
    let duties = oracles::duties(&state, who).await?;
    Ok(Status { oracle, unbonding, duties, head: state.head.number })
}

/// Whether an account is registered.
pub async fn is_registered(ctx: &Context, who: &[u8; 32]) -> CliResult<bool> {
    let state = ctx.chain().await?.finalised().await?;
    Ok(oracles::oracle(&state, who).await?.is_some())
}

fn run_name(run: RunKey) -> String {
    match run {
        RunKey::Job(job) => format!("job {job}"),
        RunKey::Settle(model, epoch) => format!("settlement of model {model}, epoch {epoch}"),
    }
}

fn duty_name(kind: &DutyKind) -> &'static str {
    match kind {
        DutyKind::Commit => "train and commit",
        DutyKind::AuditCommit { .. } => "recompute and answer blindly",
        DutyKind::RevealNonces => "reveal secret and opening",
        DutyKind::AuditReveal { .. } => "reveal the answer",
        DutyKind::JuryCommit { .. } => "recompute as juror and answer blindly",
        DutyKind::JuryReveal { .. } => "reveal the juror's answer",
    }
}

fn status_json(who: &[u8; 32], s: &Status) -> Value {
    json!({
        "oracle": address(who), "status": s.oracle.status, "bonded": s.oracle.bonded.to_string(),
        "locked": s.oracle.locked.to_string(), "classes": s.oracle.classes.iter().map(full).collect::<Vec<_>>(),
        "signing_key": full(&s.oracle.signing_key), "block": s.head,
        "unbonding": s.unbonding.iter().map(|u| json!({ "amount": u.amount.to_string(), "due": u.due })).collect::<Vec<_>>(),
        "duties": s.duties.iter().map(|d| json!({
            "run": run_name(d.run), "duty": duty_name(&d.kind), "deadline": d.deadline,
        })).collect::<Vec<_>>(),
    })
}

fn status_text(who: &[u8; 32], s: &Status) -> String {
    let state = match s.oracle.status {
        OracleStatus::Active => "active".to_string(),
        OracleStatus::Chilled => "chilled: takes nothing new".to_string(),
        OracleStatus::Jailed { until } => format!("jailed until block {until}"),
    };
    let free = s.oracle.bonded.saturating_sub(s.oracle.locked);
    let mut text = format!(
        "{}: {state} at finalised block {}\n  stake {}, of it locked {}, free {}\n",
        address(who),
        s.head,
        weft(s.oracle.bonded),
        weft(s.oracle.locked),
        weft(free)
    );
    for u in &s.unbonding {
        text.push_str(&format!("  {} on the way out, due at block {}\n", weft(u.amount), u.due));
    }
    if s.duties.is_empty() {
        text.push_str("  no duties\n");
    }
    for d in &s.duties {
        text.push_str(&format!("  {}: {}, until block {}\n", run_name(d.run), duty_name(&d.kind), d.deadline));
    }
    text
}

/// Runs a command of the group.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Register { stake, endpoint } => {
            let signer = ctx.signer().await?;
            register(ctx, &signer, stake, &endpoint).await?;
            let who = address(&signer.public_key().0);
            ctx.result(
                &json!({ "oracle": who, "stake": stake.to_string() }),
                &format!(
                    "{who} is an oracle with a stake of {}. Next: `weft serve --oracle ACCOUNT --base DIR`",
                    weft(stake)
                ),
            );
        }
        Command::Stake { amount } => {
            stake(ctx, &ctx.signer().await?, amount).await?;
            ctx.result(&json!({ "added": amount.to_string() }), &format!("{} more at stake", weft(amount)));
        }
        Command::Unstake { amount } => match unstake(ctx, &ctx.signer().await?, amount).await? {
            Unstaked::Due(at) => ctx.result(
                &json!({ "due": at }),
                &format!("due at block {at}; then `weft oracle unstake` without an amount takes it out"),
            ),
            Unstaked::Withdrawn(sum) => {
                ctx.result(&json!({ "withdrawn": sum.to_string() }), &format!("{} came back", weft(sum)));
            }
        },
        Command::Chill => {
            chill(ctx, &ctx.signer().await?).await?;
            ctx.result(&json!({ "status": "chilled" }), "takes nothing new; duties of running jobs stay");
        }
        Command::Resume => {
            resume(ctx, &ctx.signer().await?).await?;
            ctx.result(&json!({ "status": "active" }), "takes work again");
        }
        Command::Status { of } => {
            let who = subject(ctx, of.as_deref()).await?;
            let found = status(ctx, &who).await?;
            ctx.result(&status_json(&who, &found), &status_text(&who, &found));
        }
        Command::Accuse { job, step } => {
            accuse(ctx, &ctx.signer().await?, job, step).await?;
            ctx.result(
                &json!({ "job": job, "step": step }),
                &format!("job {job} is disputed: a jury recomputes it. Next: `weft job watch {job}`"),
            );
        }
    }
    Ok(())
}
