//! `weft job`: what happens to a job, who must act, and what it means for the money.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{json, Value};
use subxt_signer::sr25519::Keypair;
use weft_chain::{
    models::{self, Job},
    oracles::{self, AuditState, Phase, Run, RunView},
    ChainError, Client, Head,
};
use weft_protocol::job::{FailReason, JobState};

pub use super::submit::{base_root, quote, read_recipe, spec, submit, submit_unchecked, NewJob};
use super::{daemon_url, get, http, signed};
use crate::{
    cli::Job as Command,
    context::Context,
    error::{CliError, CliResult, Exit},
    keys::address,
    output::{full, say, snake, table, weft},
};

/// Pause before a node that went away is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Cancels an open job; everything is refunded.
pub async fn cancel(ctx: &Context, signer: &Keypair, job: u32) -> CliResult {
    signed(ctx, signer, models::cancel_job(job), 0).await.map(|_| ())
}

/// Applies due transitions of a job.
pub async fn poke(ctx: &Context, signer: &Keypair, job: u32) -> CliResult {
    signed(ctx, signer, models::poke(job), 0).await.map(|_| ())
}

/// Waits until a condition of the finalised job holds.
pub async fn wait(ctx: &Context, id: u32, timeout: Duration, done: impl Fn(&Job) -> bool) -> CliResult<Job> {
    let chain = ctx.chain().await?;
    let mut last = None;
    let mut lost = false;
    let met = async {
        let mut head = None;
        loop {
            match wait_once(chain, id, head).await {
                Ok((at, job)) => {
                    lost = false;
                    if done(&job) {
                        return Ok(job);
                    }
                    last = Some(job.state.0);
                    head = Some(at);
                }
                // A node that restarts is waited for.
                Err(e) if e.is_transient() => {
                    if !lost {
                        lost = true;
                        ctx.out.note(&format!("{}; waiting for it", CliError::from(e).cause));
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(e) => return Err(CliError::from(e)),
            }
        }
    };
    match tokio::time::timeout(timeout, met).await {
        Ok(result) => result,
        Err(_) => Err(CliError::new(
            Exit::Failed,
            "timeout",
            format!(
                "job {id} is {} after {}",
                last.map_or_else(|| "unknown".to_string(), state_name),
                super::seconds(timeout)
            ),
            format!("see `weft job show {id}` for who must act"),
        )),
    }
}

/// The job at the newest finalised block, once that is another one than `after`.
async fn wait_once(chain: &Client, id: u32, after: Option<Head>) -> Result<(Head, Job), ChainError> {
    let state = match after {
        Some(head) => chain.next_finalised(head).await?,
        None => chain.finalised().await?,
    };
    let job = models::job(&state, id).await?.ok_or_else(|| state.missing(format!("job {id}")))?;
    Ok((state.head, job))
}

/// Waits until a job is over, however it ends.
pub async fn wait_end(ctx: &Context, id: u32, timeout: Duration) -> CliResult<Job> {
    wait(ctx, id, timeout, |job| job.state.0.is_terminal()).await
}

/// What a job waits for, in words.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The job.
    pub job: Job,
    /// Its run, while there is one.
    pub run: Option<Run>,
    /// Finalised block of this view.
    pub head: u32,
    /// Name of the state.
    pub state: String,
    /// What is going on.
    pub words: String,
    /// Who must act.
    pub who: String,
    /// Last block for it.
    pub until: Option<u32>,
    /// What happens otherwise.
    pub otherwise: String,
    /// What comes back to the builder, and when.
    pub refund: String,
}

fn state_name(state: JobState) -> String {
    match state {
        JobState::Failed(reason) => format!("failed ({})", snake(&format!("{reason:?}"))),
        other => snake(&format!("{other:?}")),
    }
}

fn owing(view: &RunView, owes: AuditState) -> String {
    let list: Vec<String> =
        view.audits.iter().filter(|(_, a)| a.state == owes).map(|(who, _)| address(&who.0)).collect();
    if list.is_empty() {
        "the chain".into()
    } else {
        list.join(", ")
    }
}

fn jurors(view: &RunView, revealing: bool) -> String {
    let last = view.juries.last().map(|(_, jury)| jury.members.as_slice()).unwrap_or_default();
    let list: Vec<String> = last.iter().filter(|j| owes(j, revealing)).map(|j| address(&j.who.0)).collect();
    if list.is_empty() {
        "the chain".into()
    } else {
        list.join(", ")
    }
}

/// Whether a juror must act. Who has not committed has nothing to reveal.
fn owes(juror: &oracles::Juror, revealing: bool) -> bool {
    if revealing {
        juror.commitment.is_some() && juror.value.is_none()
    } else {
        juror.commitment.is_none()
    }
}

/// Words, who must act, and what happens otherwise, for a run that is going on.
fn awaited(view: &RunView) -> (String, String, String) {
    let oracle = address(&view.run.oracle.0);
    let chain = || "the chain".to_string();
    let back = "fee, licence price and unused verification come back";
    match view.run.phase {
        Phase::Seeding => ("the seed is drawn from the beacon".into(), chain(), "nothing else can happen".into()),
        Phase::Running => (
            "the oracle trains and must commit".into(),
            oracle,
            format!("the run fails as late: the oracle is slashed, half goes to the builder; {back}"),
        ),
        Phase::Drawing => ("verifiers are drawn from the beacon".into(), chain(), "nothing else can happen".into()),
        Phase::Auditing => (
            "the verifiers recompute the run and answer blindly".into(),
            owing(view, AuditState::Drawn),
            format!("a silent verifier loses a tenth of its lock and is replaced once; if nobody answers, {back}"),
        ),
        Phase::Replacing => ("silent verifiers are replaced".into(), chain(), "nothing else can happen".into()),
        Phase::Revealing => {
            ("the oracle must reveal its secret and the opening".into(), oracle, format!("it loses its stake; {back}"))
        }
        Phase::Answering => (
            "the verifiers must reveal their answers".into(),
            owing(view, AuditState::Committed),
            format!("a silent verifier loses a tenth of its lock; without any answer {back}"),
        ),
        Phase::Window => (
            "every audit agrees; the window for accusations is open".into(),
            "anyone who recomputed something else (`weft verify run`, `weft oracle accuse`)".into(),
            "the job becomes final: the model is minted and the oracle is paid".into(),
        ),
        Phase::JuryDrawing => ("disputed: jurors are drawn".into(), chain(), "nothing else can happen".into()),
        Phase::JuryCommit => (
            "disputed: jurors recompute the run and answer blindly".into(),
            jurors(view, false),
            format!("silent jurors lose a tenth of their lock and another jury is drawn; undecided, {back}"),
        ),
        Phase::JuryReveal => (
            "disputed: jurors must reveal their answers".into(),
            jurors(view, true),
            format!("silent jurors lose a tenth of their lock and another jury is drawn; undecided, {back}"),
        ),
        Phase::Ended => ("the run is over".into(), "nobody".into(), "nothing".into()),
    }
}

fn ended(job: &Job) -> (String, String) {
    match job.state.0 {
        JobState::Final => (
            format!("model {} is minted", job.model.map_or_else(|| "?".into(), |m| m.to_string())),
            "unused verification came back; fee and licence price were paid".into(),
        ),
        JobState::Cancelled => ("cancelled by its builder".into(), "everything came back".into()),
        JobState::Expired => ("no oracle took it in time".into(), "everything came back".into()),
        JobState::Failed(reason) => {
            let why = match reason {
                FailReason::Late => "the oracle did not commit in time",
                FailReason::Fraud => {
                    "the run was false, or the oracle fell silent where it had to speak; it lost its stake"
                }
                FailReason::Withheld => "a demanded page was not served",
                FailReason::Diverged => "the training diverged: an honest outcome without a model",
                FailReason::Undecided => "nobody could decide",
            };
            let money = if reason == FailReason::Diverged {
                "part of the fee paid the oracle; the rest, licence price and unused verification came back"
            } else {
                "fee, licence price and unused verification came back"
            };
            (why.into(), money.into())
        }
        _ => (state_name(job.state.0), String::new()),
    }
}

/// State, who must act until which block, what happens otherwise, and the refund.
pub async fn show(ctx: &Context, id: u32) -> CliResult<Shown> {
    let state = ctx.chain().await?.finalised().await?;
    let job = models::job(&state, id).await?.ok_or_else(|| state.missing(format!("job {id}")))?;
    let view = oracles::run_view(&state, id).await?;
    let escrow = job.escrow.fee.saturating_add(job.escrow.verification).saturating_add(job.escrow.licence);
    let held = format!(
        "{} on hold: fee {}, verification {}, licences {}",
        weft(escrow),
        weft(job.escrow.fee),
        weft(job.escrow.verification),
        weft(job.escrow.licence)
    );
    let (words, who, until, otherwise, refund) = match (job.state.0, &view) {
        (s, _) if s.is_terminal() => {
            let (words, money) = ended(&job);
            (words, "nobody".to_string(), None, "nothing".to_string(), money)
        }
        (JobState::Open, _) => (
            "waits for an oracle that supports its class and has the base model".to_string(),
            "any oracle with enough free stake; the builder may cancel".to_string(),
            job.deadline,
            "the job expires and everything comes back".to_string(),
            format!("{held}; all of it comes back when the job is cancelled or expires"),
        ),
        (_, Some(view)) => {
            let (words, who, otherwise) = awaited(view);
            let refund =
                format!("{held}; unused verification comes back in any case, the rest unless a model is minted");
            (words, who, Some(view.run.deadline), otherwise, refund)
        }
        (other, None) => (state_name(other), "the chain".into(), job.deadline, "nothing".into(), held),
    };
    let state_name = state_name(job.state.0);
    Ok(Shown {
        run: view.map(|v| v.run),
        head: state.head.number,
        state: state_name,
        words,
        who,
        until,
        otherwise,
        refund,
        job,
    })
}

fn shown_json(id: u32, s: &Shown) -> Value {
    let j = &s.job;
    json!({
        "job": id, "state": s.state, "words": s.words, "who": s.who, "until": s.until, "otherwise": s.otherwise,
        "refund": s.refund, "block": s.head, "builder": address(&j.builder.0), "base": full(&j.base),
        "records": j.records, "steps": j.steps, "method": j.method, "fee": j.fee.to_string(),
        "verification": j.verification.to_string(), "licence": j.licence.to_string(), "stake": j.stake.to_string(),
        "oracle": s.run.as_ref().map(|r| address(&r.oracle.0)), "phase": s.run.as_ref().map(|r| r.phase),
        "outcome": s.run.as_ref().and_then(|r| r.ended).map(|(o, at)| json!({ "outcome": o, "block": at })),
        "model": j.model,
        "inputs": j.inputs.iter().map(|i| json!({
            "datanet": i.datanet, "snapshot": i.snapshot, "grant": i.grant, "records": i.records,
            "price": i.price.to_string(),
        })).collect::<Vec<_>>(),
    })
}

fn shown_text(id: u32, s: &Shown) -> String {
    let j = &s.job;
    let data: Vec<String> =
        j.inputs.iter().map(|i| format!("{}@{} (grant {})", i.datanet, i.snapshot, i.grant)).collect();
    let mut text = format!("job {id}: {} at finalised block {}\n  {}\n", s.state, s.head, s.words);
    if !j.state.0.is_terminal() {
        text.push_str(&format!(
            "  who must act: {}{}\n  otherwise: {}\n",
            s.who,
            s.until.map_or_else(String::new, |b| format!(", until block {b}")),
            s.otherwise
        ));
    }
    text.push_str(&format!("  refund: {}\n", s.refund));
    text.push_str(&format!(
        "  builder {}\n  data {}; {} records, {} steps, attribution method {}\n",
        address(&j.builder.0),
        data.join(", "),
        j.records,
        j.steps,
        j.method
    ));
    if let Some(run) = &s.run {
        text.push_str(&format!("  oracle {}, stake {}\n", address(&run.oracle.0), weft(run.stake)));
    }
    text
}

/// Follows a job to its end. `on_event` sees `{"event":"state",…}` for each change on chain and, with a daemon, its
/// training events.
pub async fn watch(
    ctx: &Context,
    id: u32,
    daemon: Option<&str>,
    on_event: &mut (dyn FnMut(&Value) + Send),
) -> CliResult<Job> {
    let client = http()?;
    let mut after = 0i64;
    let mut last = None;
    let mut silent = false;
    // Before the first answer an unreachable node is a mistake to be named; afterwards it is waited for.
    let (mut known, mut lost) = (false, false);
    loop {
        if let Some(url) = daemon {
            match events(&client, url, id, &mut after).await {
                Ok(list) => {
                    silent = false;
                    list.iter().for_each(&mut *on_event);
                }
                Err(e) if !silent => {
                    // The chain goes on without this daemon.
                    silent = true;
                    on_event(&json!({ "event": "notice", "text": e.to_string() }));
                }
                Err(_) => {}
            }
        }
        let s = match show(ctx, id).await {
            Ok(s) => s,
            Err(e) if known && e.exit == Exit::Unreachable => {
                if !lost {
                    lost = true;
                    on_event(&json!({ "event": "notice", "text": format!("{}; waiting for it", e.cause) }));
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
            Err(e) => return Err(e),
        };
        (known, lost) = (true, false);
        let key = (s.state.clone(), s.words.clone(), s.who.clone());
        if last.as_ref() != Some(&key) {
            on_event(&json!({
                "event": "state", "job": id, "state": s.state, "words": s.words, "who": s.who, "until": s.until,
                "otherwise": s.otherwise, "block": s.head,
            }));
            last = Some(key);
        }
        if s.job.state.0.is_terminal() {
            return Ok(s.job);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn events(client: &reqwest::Client, url: &str, id: u32, after: &mut i64) -> CliResult<Vec<Value>> {
    let body = get(client, &format!("{}/api/v1/runs/{id}/events?after={after}", url.trim_end_matches('/'))).await?;
    let list = body.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = Vec::with_capacity(list.len());
    for item in list {
        if let Some(seq) = item.get("seq").and_then(Value::as_i64) {
            *after = seq.max(*after);
        }
        if let Some(event) = item.get("event") {
            out.push(event.clone());
        }
    }
    Ok(out)
}

/// Shows events: a bar on terminals, otherwise a line every ten seconds; with `--json` every event on its own line.
struct Printer {
    json: bool,
    quiet: bool,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
}

impl Printer {
    fn new(ctx: &Context) -> Self {
        let terminal = std::io::stderr().is_terminal() && !ctx.out.json && !ctx.out.quiet;
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { json: ctx.out.json, quiet: ctx.out.quiet, bar, last_line: None }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn progress(&mut self, at: u64, of: u64, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(at);
            bar.set_message(text.to_string());
        } else if at == of || self.last_line.is_none_or(|t| t.elapsed() >= Duration::from_secs(10)) {
            self.last_line = Some(Instant::now());
            eprintln!("{at}/{of} {text}");
        }
    }

    fn event(&mut self, event: &Value) {
        if self.json {
            say(&event.to_string());
            return;
        }
        if self.quiet {
            return;
        }
        let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or_default();
        let real = |key: &str| event.get(key).and_then(Value::as_f64).unwrap_or_default();
        match text("event") {
            "state" => {
                let until = event
                    .get("until")
                    .and_then(Value::as_u64)
                    .map_or_else(String::new, |b| format!(", until block {b}"));
                self.line(&format!(
                    "block {}: {}: {} [{}{until}]",
                    number("block"),
                    text("state"),
                    text("words"),
                    text("who")
                ));
            }
            "step" => {
                let message = format!("loss {:.4}, {:.0} s left ({})", real("loss"), real("eta_s"), text("role"));
                self.progress(number("step"), number("steps"), &message);
            }
            "replay" => {
                let (step, steps) = (number("step"), number("steps"));
                let message = format!("attribution, {:.0} s left ({})", real("eta_s"), text("role"));
                self.progress(steps.saturating_sub(step), steps, &message);
            }
            "eval" => self.line(&format!("step {}: held-out loss {:.4}", number("step"), real("loss"))),
            "phase" => self.line(&format!("{}: {}", text("role"), text("phase"))),
            "notice" => self.line(text("text")),
            "error" => self.line(&format!("{}: {}; next: {}", text("role"), text("cause"), text("next"))),
            "done" => self.line(&format!("{}: {} after {} steps", text("role"), text("outcome"), number("steps"))),
            _ => {}
        }
    }
}

/// Follows a job on the terminal and ends with its result.
pub async fn follow(ctx: &Context, id: u32, daemon: Option<&str>) -> CliResult {
    if let Some(url) = daemon {
        daemon_url(url)?;
    }
    let mut printer = Printer::new(ctx);
    let job = watch(ctx, id, daemon, &mut |event| printer.event(event)).await?;
    if let Some(bar) = &printer.bar {
        bar.finish_and_clear();
    }
    let (words, money) = ended(&job);
    match job.state.0 {
        JobState::Final => {
            let next = job.model.map_or_else(String::new, |m| format!(" Next: `weft model show {m}`"));
            ctx.result(
                &json!({ "job": id, "state": "final", "model": job.model }),
                &format!("job {id} is final: {words}; {money}.{next}"),
            );
            Ok(())
        }
        state => {
            let exit = match state {
                JobState::Failed(FailReason::Fraud | FailReason::Withheld) => Exit::Verification,
                _ => Exit::Failed,
            };
            Err(CliError::new(
                exit,
                "job_failed",
                format!("job {id} {}: {words}; {money}", state_name(state)),
                format!("see `weft job show {id}`; submit again"),
            ))
        }
    }
}

/// Runs a command of the group.
pub async fn run(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Submit(args) => super::submit::command(ctx, *args).await?,
        Command::List => {
            let state = ctx.chain().await?.finalised().await?;
            let mut rows = vec![["job", "state", "records", "steps", "model", "builder"].map(String::from).to_vec()];
            let mut values = Vec::new();
            for id in 0..models::next_job(&state).await? {
                let Some(j) = models::job(&state, id).await? else { continue };
                values.push(json!({
                    "job": id, "state": state_name(j.state.0), "records": j.records, "steps": j.steps, "model": j.model,
                    "builder": address(&j.builder.0),
                }));
                rows.push(vec![
                    id.to_string(),
                    state_name(j.state.0),
                    j.records.to_string(),
                    j.steps.to_string(),
                    j.model.map_or_else(|| "-".into(), |m| m.to_string()),
                    address(&j.builder.0),
                ]);
            }
            ctx.result(&json!({ "jobs": values }), &table(&rows));
        }
        Command::Show { job } => {
            let shown = show(ctx, job).await?;
            ctx.result(&shown_json(job, &shown), &shown_text(job, &shown));
        }
        Command::Watch { job, daemon } => follow(ctx, job, daemon.as_deref()).await?,
        Command::Cancel { job } => {
            cancel(ctx, &ctx.signer().await?, job).await?;
            ctx.result(
                &json!({ "job": job, "state": "cancelled" }),
                &format!("job {job} is cancelled; everything came back"),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use subxt_signer::sr25519::dev;
    use weft_protocol::run::{Commit, JuryValue, Outcome};

    fn juror(committed: bool, revealed: bool) -> oracles::Juror {
        let hash = [0; 32];
        let commit = Commit {
            n_done: 1,
            outcome: Outcome::Done,
            data_root: hash,
            steps_root: hash,
            model_commitment: hash,
            attribution_commitment: hash,
            secret: hash,
        };
        oracles::Juror {
            who: dev::alice().public_key().0.into(),
            commitment: committed.then_some(hash),
            value: revealed.then(|| JuryValue { commit, work: hash }.into()),
        }
    }

    #[test]
    fn juror_should_be_named_only_while_an_answer_is_owed() {
        for (committed, revealed, commits, reveals) in
            [(false, false, true, false), (true, false, false, true), (true, true, false, false)]
        {
            let juror = juror(committed, revealed);
            assert_eq!((owes(&juror, false), owes(&juror, true)), (commits, reveals));
        }
    }
}
