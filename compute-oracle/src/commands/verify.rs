//! `weft verify`: a run recomputed from public inputs, in this process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use codec::Decode;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use weft_attribution::{
    compare::{commit_difference, page_difference, PageDifference},
    RunOutput,
};
use weft_chain::permissions::{self, Approval};
use weft_engine::{checkpoint::Checkpoints, Event, EventKind};
use weft_protocol::{
    hash::Hash,
    run::{self, Artifact, ArtifactKind, Commit},
};
use weft_store::BlobStore;

use crate::{
    cli::{IsaArg, Verify as Command},
    context::Context,
    daemon::compute,
    error::{CliError, CliResult, Exit},
    oracle::{
        gather::{self, JobFacts},
        runs::{self, How},
    },
    output::full,
};

/// What a recomputation found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every state and commitment is equal, bit for bit.
    Identical {
        /// States compared.
        states: u32,
        /// Seconds of the recomputation.
        seconds: f64,
    },
    /// Something differs.
    Differs {
        /// First differing state X_u; `None` when the published states are not at hand.
        u: Option<u32>,
        /// `state`, `states`, or the first differing field of the commitment.
        field: String,
        /// Recomputed.
        ours: String,
        /// Published.
        published: String,
        /// Slot of the first differing page, with a checkpoint of the oracle.
        slot: Option<String>,
        /// The page in it.
        page: Option<u32>,
    },
}

/// What to compare with, read from the chain and the store before the run is computed.
struct Published {
    commit: Commit,
    secret: Option<Hash>,
    states: Vec<Hash>,
}

/// Recomputes the run of a job and compares it with what the chain holds.
pub async fn run(ctx: &Context, job: u32, base: &Path, isa: &str, threads: usize) -> CliResult<Verdict> {
    run_against(ctx, job, base, isa, threads, None).await
}

/// As [`run()`], with a folder of the oracle's checkpoints, which show slot and page of a difference.
pub async fn run_against(
    ctx: &Context,
    job: u32,
    base: &Path,
    isa: &str,
    threads: usize,
    checkpoints: Option<&Path>,
) -> CliResult<Verdict> {
    let state = ctx.chain().await?.finalised().await?;
    let facts = gather::facts(&state, job).await?;
    for input in &facts.job.inputs {
        let licence = permissions::licence(&state, input.datanet, input.version).await?;
        if licence.is_none_or(|l| l.terms.0.approval != Approval::Open) {
            return Err(CliError::new(
                Exit::NotPermitted,
                "not_public",
                format!("the records of Datanet {} are not open to everybody", input.datanet),
                "only drawn verifiers and jurors recompute this run",
            ));
        }
    }
    let public = runs::public_run(&state, &facts).await?;
    let commit = public.commit.clone().ok_or_else(|| {
        CliError::not_found(
            format!("the run of job {job} is not committed at finalised block {}", state.head.number),
            format!("wait for it: `weft job watch {job}`"),
        )
    })?;
    let loaded = runs::load_base(base)?;
    if loaded.base.root() != facts.job.base {
        return Err(CliError::usage(
            format!(
                "{} has root {}, job {job} names {}",
                base.display(),
                full(&loaded.base.root()),
                full(&facts.job.base)
            ),
            "name the folder of that base model with --base",
        ));
    }
    let store = ctx.store()?;
    let published = Published { states: states(&store, public.artifacts.as_ref()), commit, secret: public.secret };
    let how = How { compute: compute(isa, threads)?, ..How::default() };
    let bar = progress_bar(ctx, &facts);
    let theirs = checkpoints.map(Path::to_path_buf);
    let (oracle, seed) = (public.oracle, public.seed);
    let work = tokio::task::spawn_blocking(move || -> CliResult<Verdict> {
        let prepared = runs::prepare(facts, &oracle, seed, Arc::new(loaded), &store)?;
        let folder = tempfile::Builder::new().prefix("weft-verify-").tempdir()?;
        let how = How { dir: Some(folder.path().to_path_buf()), ..how };
        let start = Instant::now();
        let output = prepared.execute(&how, &mut |event| show(bar.as_ref(), event))?;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        Ok(judge(&output, &published, start.elapsed(), theirs.as_deref()))
    });
    work.await
        .map_err(|e| CliError::new(Exit::Failed, "panic", format!("the recomputation ended: {e}"), "report this"))?
}

/// The published X_u, if the artifacts are in the store and decode; nothing otherwise: they are a help, not evidence.
fn states(store: &BlobStore, artifacts: Option<&Hash>) -> Vec<Hash> {
    let found = artifacts.and_then(|id| store.get(id).ok()).and_then(|list| {
        let list = Vec::<Artifact>::decode(&mut list.as_slice()).ok()?;
        store.get(&list.iter().find(|a| a.kind == ArtifactKind::States)?.content).ok()
    });
    let bytes = found.unwrap_or_default();
    bytes.chunks_exact(32).filter_map(|c| Hash::try_from(c).ok()).collect()
}

fn judge(output: &RunOutput, published: &Published, time: Duration, checkpoints: Option<&Path>) -> Verdict {
    let secret = published.secret.as_ref();
    let commit = &published.commit;
    let Some(field) = commit_difference(output, commit, secret) else {
        return Verdict::Identical {
            states: u32::try_from(output.states.len()).unwrap_or(u32::MAX),
            seconds: time.as_secs_f64(),
        };
    };
    let first = (0u32..).zip(output.states.iter().zip(&published.states)).find(|(_, (ours, theirs))| ours != theirs);
    let (u, field, ours, theirs) = match first {
        Some((u, (ours, theirs))) => (Some(u), "state", full(ours), full(theirs)),
        None if !published.states.is_empty() && published.states.len() != output.states.len() => {
            (None, "states", output.states.len().to_string(), published.states.len().to_string())
        }
        None => {
            let (ours, theirs) = values(output, commit, secret, field);
            (None, field, ours, theirs)
        }
    };
    let place = checkpoints.and_then(|dir| locate(output, dir, u.unwrap_or(0)));
    Verdict::Differs {
        u,
        field: field.to_string(),
        ours,
        published: theirs,
        slot: place.as_ref().map(|(at, p)| format!("{} (checkpoint {at})", p.tensor)),
        page: place.map(|(_, p)| p.page),
    }
}

/// Both values of a field of the commitment.
fn values(output: &RunOutput, commit: &Commit, secret: Option<&Hash>, field: &str) -> (String, String) {
    match field {
        "n_done" => (output.n_done.to_string(), commit.n_done.to_string()),
        "outcome" => (format!("{:?}", output.outcome), format!("{:?}", commit.outcome)),
        "data_root" => (full(&output.data_root), full(&commit.data_root)),
        "steps_root" => (
            secret
                .map(|s| run::step_leaves(s, &output.states))
                .and_then(|l| run::steps_root(&l))
                .map_or_else(String::new, |r| full(&r)),
            full(&commit.steps_root),
        ),
        "model_commitment" => (full(&output.model_commitment), full(&commit.model_commitment)),
        _ => (full(&output.attribution_commitment), full(&commit.attribution_commitment)),
    }
}

/// The first differing page of the first common checkpoint from X_u on.
fn locate(output: &RunOutput, dir: &Path, u: u32) -> Option<(u32, PageDifference)> {
    if !dir.is_dir() {
        return None;
    }
    let theirs = Checkpoints::open(dir).ok()?;
    for (at, path) in output.checkpoints.iter().filter(|(at, _)| *at >= u) {
        let (Ok(ours), Ok(published)) = (std::fs::read(path), std::fs::read(theirs.file(*at))) else { continue };
        if let Some(found) = page_difference(&ours, &published) {
            return Some((*at, found));
        }
    }
    None
}

fn progress_bar(ctx: &Context, facts: &JobFacts) -> Option<ProgressBar> {
    use std::io::IsTerminal;
    if ctx.out.quiet || ctx.out.json || !std::io::stderr().is_terminal() {
        ctx.out.note(&format!("recomputing {} steps over {} records", facts.job.steps, facts.job.records));
        return None;
    }
    let bar = ProgressBar::new(u64::from(facts.job.steps).saturating_mul(2));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    Some(bar)
}

fn show(bar: Option<&ProgressBar>, event: &Event) {
    let Some(bar) = bar else { return };
    match &event.kind {
        EventKind::Step { step, eta_s, loss, .. } => {
            bar.set_position(u64::from(*step));
            bar.set_message(format!("loss {loss:.4}, {eta_s:.0} s left"));
        }
        EventKind::Replay { step, steps, eta_s } => {
            bar.set_position(u64::from(*steps).saturating_mul(2).saturating_sub(u64::from(*step)));
            bar.set_message(format!("attribution, {eta_s:.0} s left"));
        }
        _ => {}
    }
}

fn isa_name(isa: IsaArg) -> &'static str {
    match isa {
        IsaArg::Auto => "auto",
        IsaArg::Scalar => "scalar",
        IsaArg::Avx2 => "avx2",
        IsaArg::Avx512 => "avx512",
    }
}

async fn recompute(
    ctx: &Context,
    job: u32,
    base: PathBuf,
    threads: usize,
    isa: IsaArg,
    checkpoints: Option<PathBuf>,
) -> CliResult {
    let verdict = run_against(ctx, job, &base, isa_name(isa), threads, checkpoints.as_deref()).await?;
    match verdict {
        Verdict::Identical { states, seconds } => {
            ctx.out.result(
                &json!({ "job": job, "verdict": "identical", "states": states, "seconds": seconds }),
                &format!("identical\n  {states} states, data, adapter and attribution of job {job} recomputed in {seconds:.1} s"),
            );
            Ok(())
        }
        Verdict::Differs { u, field, ours, published, slot, page } => {
            let step = u.map_or_else(|| format!("{field} differs"), |u| format!("first differing step: u={u}"));
            let place = match (&slot, page) {
                (Some(slot), Some(page)) => format!("slot {slot}, page {page}"),
                _ => "slot and page: need the oracle's checkpoints (--checkpoints)".to_string(),
            };
            ctx.out.result(
                &json!({
                    "job": job, "verdict": "differs", "u": u, "field": field, "ours": ours, "published": published,
                    "slot": slot, "page": page,
                }),
                &format!("{step}\n  {place}\n  recomputed {ours}\n  published  {published}"),
            );
            Err(CliError::new(
                Exit::Verification,
                "verification_failed",
                format!("job {job}: {step}; this run is not what was committed"),
                format!("while its window is open: `weft oracle accuse {job} {}`", u.unwrap_or(0)),
            ))
        }
    }
}

/// Runs a command of the group.
pub async fn command(ctx: &Context, command: Command) -> CliResult {
    match command {
        Command::Run { job, base, threads, isa, checkpoints } => {
            recompute(ctx, job, base, threads, isa, checkpoints).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::{hash::ZERO, run::Outcome};

    fn output() -> RunOutput {
        RunOutput {
            n_done: 2,
            outcome: Outcome::Done,
            states: (0u8..6).map(|i| [i; 32]).collect(),
            data_root: [7; 32],
            s_n: [2; 32],
            r_0: ZERO,
            adapter: None,
            scores: Vec::new(),
            x: 0,
            payout: None,
            method: 1,
            model_commitment: [8; 32],
            attribution_commitment: [9; 32],
            checkpoints: Vec::new(),
            work: None,
            commit: None,
            eval_loss: None,
        }
    }

    fn published(of: &RunOutput) -> Published {
        let secret = [3; 32];
        Published { commit: of.commit_with(&secret), secret: Some(secret), states: of.states.clone() }
    }

    #[test]
    fn verdict_should_be_identical_when_everything_is_equal() {
        let ours = output();
        let verdict = judge(&ours, &published(&ours), Duration::from_secs(1), None);
        assert!(matches!(verdict, Verdict::Identical { states: 6, .. }), "{verdict:?}");
    }

    #[test]
    fn verdict_should_name_the_first_differing_state() {
        let ours = output();
        let mut theirs = output();
        theirs.states[4] = [99; 32];
        theirs.states[5] = [98; 32];
        let verdict = judge(&ours, &published(&theirs), Duration::from_secs(1), None);
        let Verdict::Differs { u: Some(4), field, ours, published, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!((field.as_str(), ours, published), ("state", full(&[4; 32]), full(&[99; 32])));
    }

    #[test]
    fn verdict_should_name_the_field_when_no_states_are_published() {
        let ours = output();
        let mut theirs = output();
        theirs.data_root = [1; 32];
        let mut of = published(&theirs);
        of.states.clear();
        let verdict = judge(&ours, &of, Duration::from_secs(1), None);
        assert!(matches!(&verdict, Verdict::Differs { u: None, field, .. } if field == "data_root"), "{verdict:?}");
    }
}
