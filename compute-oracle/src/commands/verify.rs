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
    compare::{bound_states, commit_difference, page_difference},
    RunOutput,
};
use weft_chain::permissions::{self, Approval};
use weft_engine::{checkpoint::Checkpoints, Event, EventKind};
use weft_protocol::{
    hash::Hash,
    run::{self, Artifact, ArtifactKind, Commit},
};
use weft_store::BlobStore;

use super::find_base;
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

/// Longest list of artifacts that is read, in bytes.
const MOST_ARTIFACTS: u64 = 1 << 20;

/// The first page that differs between a checkpoint of the oracle and the recomputed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The state X_u whose checkpoint it is.
    pub u: u32,
    /// Slot: a tensor of the state.
    pub slot: String,
    /// Page of 1 KiB in it.
    pub page: u32,
    /// Recomputed digest of the page.
    pub ours: Hash,
    /// Published digest of the page.
    pub published: Hash,
}

/// What a recomputation found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every state and commitment is equal, bit for bit.
    Identical {
        /// States compared.
        states: u32,
        /// Seconds of the recomputation.
        seconds: f64,
        /// Whether all of the commitment was compared: before the secret is revealed the list of states is not.
        complete: bool,
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
        /// The first differing page, with a checkpoint of the oracle.
        place: Option<Place>,
        /// Why the published list of states was not used.
        dropped: Option<&'static str>,
    },
}

/// What to compare with, read from the chain and the store before the run is computed.
struct Published {
    commit: Commit,
    secret: Option<Hash>,
    /// X_u as the commitment binds them; empty when there are none.
    states: Vec<Hash>,
    /// Why a list that was there was not used.
    dropped: Option<&'static str>,
    checkpoints: Kept,
}

impl Published {
    fn of(commit: Commit, secret: Option<Hash>, states: Vec<Hash>, checkpoints: Kept) -> Self {
        let (states, dropped) = match bound_states(states, &commit, secret.as_ref()) {
            Ok(states) => (states, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        Self { commit, secret, states, dropped, checkpoints }
    }
}

/// Where the oracle's checkpoints are.
enum Kept {
    /// In the folder of its run.
    Folder(PathBuf),
    /// Published as artifacts.
    Store(BlobStore, Vec<Artifact>),
}

impl Kept {
    /// The checkpoint file of X_u, if it is at hand and not longer than `limit`.
    fn read(&self, u: u32, limit: u64) -> Option<Vec<u8>> {
        match self {
            Self::Folder(dir) => std::fs::read(Checkpoints::open(dir).ok()?.file(u)).ok(),
            Self::Store(store, list) => {
                let found = list.iter().find(|a| a.kind == ArtifactKind::Checkpoint && a.index == u)?;
                store.get_limited(&found.content, limit).ok()
            }
        }
    }
}

/// Recomputes the run of a job and compares it with what the chain holds.
///
/// Without `base` the known folders are searched for the base model that the job names.
pub async fn run(ctx: &Context, job: u32, base: Option<&Path>, isa: &str, threads: usize) -> CliResult<Verdict> {
    run_against(ctx, job, base, isa, threads, None).await
}

/// As [`run()`], with a folder of the oracle's checkpoints instead of the published ones. They show slot and page of a
/// difference.
pub async fn run_against(
    ctx: &Context,
    job: u32,
    base: Option<&Path>,
    isa: &str,
    threads: usize,
    checkpoints: Option<&Path>,
) -> CliResult<Verdict> {
    if let Some(dir) = checkpoints.filter(|dir| !dir.is_dir()) {
        return Err(CliError::not_found(
            format!("there is no folder {}", dir.display()),
            "name the oracle's folder runs/JOB-RUN/engine with --checkpoints, or leave it out",
        ));
    }
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
    let commit = public.commit.ok_or_else(|| {
        CliError::not_found(
            format!("the run of job {job} is not committed at finalised block {}", state.head.number),
            format!("wait for it: `weft job watch {job}`"),
        )
    })?;
    let loaded = find_base(ctx, base, &facts.job.base, &format!("job {job}"))?;
    let store = ctx.store()?;
    let list = artifacts(&store, public.artifacts.as_ref());
    let states = states(&store, &list, facts.job.steps);
    let kept = match checkpoints {
        Some(dir) => Kept::Folder(dir.to_path_buf()),
        None => Kept::Store(store.clone(), list),
    };
    let published = Published::of(commit, public.secret, states, kept);
    let how = How { compute: compute(isa, threads)?, ..How::default() };
    let bar = progress_bar(ctx, &facts);
    let (oracle, seed) = (public.oracle, public.seed);
    let work = tokio::task::spawn_blocking(move || -> CliResult<Verdict> {
        let prepared = runs::prepare(facts, &oracle, seed, Arc::new(loaded), &store).map_err(missing_blob)?;
        let folder = tempfile::Builder::new().prefix("weft-verify-").tempdir()?;
        let how = How { dir: Some(folder.path().to_path_buf()), ..how };
        let start = Instant::now();
        let output = prepared.execute(&how, &mut |event| show(bar.as_ref(), event))?;
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        Ok(judge(&output, &published, start.elapsed()))
    });
    work.await
        .map_err(|e| CliError::new(Exit::Failed, "panic", format!("the recomputation ended: {e}"), "report this"))?
}

/// A blob that nobody named here holds: says how to name who does.
fn missing_blob(e: CliError) -> CliError {
    if e.code != "blob_missing" {
        return e;
    }
    let next =
        "name the blob folders of the daemons on this machine that hold it (DATA_DIR/store), as store.sources in \
                the configuration file or as WEFT_STORE__SOURCES='[\"/path/of/store\", \"/path/of/another\"]'";
    CliError { next: next.into(), ..e }
}

/// The run's artifacts, if the list is in the store and decodes; nothing otherwise: they are a help, not evidence.
fn artifacts(store: &BlobStore, id: Option<&Hash>) -> Vec<Artifact> {
    let list = id.and_then(|id| store.get_limited(id, MOST_ARTIFACTS).ok()).unwrap_or_default();
    Vec::<Artifact>::decode(&mut list.as_slice()).unwrap_or_default()
}

/// The published X_u of a run of `steps`, if they are in the store.
fn states(store: &BlobStore, list: &[Artifact], steps: u32) -> Vec<Hash> {
    // Forward and reverse: 2 · steps + 2 digests of 32 bytes.
    let most = u64::from(steps).saturating_add(1).saturating_mul(64);
    let found = list.iter().find(|a| a.kind == ArtifactKind::States);
    let bytes = found.and_then(|a| store.get_limited(&a.content, most).ok()).unwrap_or_default();
    bytes.chunks_exact(32).filter_map(|c| Hash::try_from(c).ok()).collect()
}

fn judge(output: &RunOutput, published: &Published, time: Duration) -> Verdict {
    let secret = published.secret.as_ref();
    let commit = &published.commit;
    let Some(field) = commit_difference(output, commit, secret) else {
        return Verdict::Identical {
            states: u32::try_from(output.states.len()).unwrap_or(u32::MAX),
            seconds: time.as_secs_f64(),
            complete: secret.is_some(),
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
    Verdict::Differs {
        u,
        field: field.to_string(),
        ours,
        published: theirs,
        place: locate(output, &published.checkpoints, u.unwrap_or(0)),
        dropped: published.dropped,
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
fn locate(output: &RunOutput, theirs: &Kept, u: u32) -> Option<Place> {
    for (at, path) in output.checkpoints.iter().filter(|(at, _)| *at >= u) {
        let Ok(ours) = std::fs::read(path) else { continue };
        // A checkpoint of the same layout has the same length; one of another layout differs as a whole.
        let limit = u64::try_from(ours.len()).unwrap_or(u64::MAX).saturating_mul(2);
        let Some(published) = theirs.read(*at, limit) else { continue };
        if let Some(found) = page_difference(&ours, &published) {
            return Some(Place {
                u: *at,
                slot: found.tensor,
                page: found.page,
                ours: found.ours,
                published: found.published,
            });
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
    base: Option<PathBuf>,
    threads: usize,
    isa: IsaArg,
    checkpoints: Option<PathBuf>,
) -> CliResult {
    let verdict = run_against(ctx, job, base.as_deref(), isa_name(isa), threads, checkpoints.as_deref()).await?;
    match verdict {
        Verdict::Identical { states, seconds, complete } => {
            let text = if complete {
                format!("identical\n  {states} states, data, adapter and attribution of job {job} recomputed in {seconds:.1} s")
            } else {
                format!(
                    "identical so far: the secret is not revealed yet, so the list of states is not compared\n  data, adapter and attribution of job {job} recomputed in {seconds:.1} s; run it again once the job is final"
                )
            };
            ctx.result(
                &json!({
                    "job": job, "verdict": "identical", "complete": complete, "states": states, "seconds": seconds,
                }),
                &text,
            );
            Ok(())
        }
        Verdict::Differs { u, field, ours, published, place, dropped } => {
            let step = u.map_or_else(|| format!("{field} differs"), |u| format!("first differing step: u={u}"));
            let mut text = format!("{step}\n  recomputed {ours}\n  published  {published}\n");
            text.push_str(&place.as_ref().map_or_else(
                || {
                    "  slot and page: the oracle's checkpoints are not at hand (store.sources, or --checkpoints DIR)"
                        .to_string()
                },
                |p| {
                    format!(
                        "  slot {}, page {} of the checkpoint of u={}\n    recomputed {}\n    published  {}",
                        p.slot,
                        p.page,
                        p.u,
                        full(&p.ours),
                        full(&p.published)
                    )
                },
            ));
            if let Some(why) = dropped {
                text.push_str(&format!("\n  the published list of states names no step: {why}"));
            }
            ctx.result(
                &json!({
                    "job": job, "verdict": "differs", "u": u, "field": field, "ours": ours, "published": published,
                    "slot": place.as_ref().map(|p| &p.slot), "page": place.as_ref().map(|p| p.page),
                    "checkpoint": place.as_ref().map(|p| p.u),
                    "page_ours": place.as_ref().map(|p| full(&p.ours)),
                    "page_published": place.as_ref().map(|p| full(&p.published)), "states_dropped": dropped,
                }),
                &text,
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
        Command::Run { job, base, all: _, threads, isa, checkpoints } => {
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

    const SECRET: Hash = [3; 32];

    /// No checkpoint at all.
    fn nothing() -> Kept {
        Kept::Folder(PathBuf::from("/nonexistent"))
    }

    fn published(of: &RunOutput) -> Published {
        Published::of(of.commit_with(&SECRET), Some(SECRET), of.states.clone(), nothing())
    }

    #[test]
    fn missing_blob_should_name_how_its_holders_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let config = weft_store::StoreConfig { path: dir.path().into(), ..Default::default() };
        let e = BlobStore::open(config).unwrap().get(&[1; 32]).unwrap_err();
        let e = missing_blob(e.into());
        assert!(e.code == "blob_missing" && e.next.contains("WEFT_STORE__SOURCES='[\"/path/of/store\""), "{e}");
        let other = missing_blob(CliError::usage("a", "b"));
        assert_eq!((other.cause.as_str(), other.next.as_str()), ("a", "b"));
    }

    #[test]
    fn verdict_should_be_identical_when_everything_is_equal() {
        let ours = output();
        let verdict = judge(&ours, &published(&ours), Duration::from_secs(1));
        assert!(matches!(verdict, Verdict::Identical { states: 6, complete: true, .. }), "{verdict:?}");
    }

    #[test]
    fn verdict_should_be_incomplete_when_the_secret_is_not_revealed() {
        // GIVEN a commitment over other states, and no secret
        let ours = output();
        let mut theirs = output();
        theirs.states[4] = [99; 32];
        let of = Published::of(theirs.commit_with(&SECRET), None, theirs.states.clone(), nothing());
        // WHEN it is judged THEN equality does not claim the states, and the unbound list names no step
        assert!(of.states.is_empty() && of.dropped.is_some());
        let verdict = judge(&ours, &of, Duration::from_secs(1));
        assert!(matches!(verdict, Verdict::Identical { complete: false, .. }), "{verdict:?}");
    }

    #[test]
    fn verdict_should_name_no_step_when_the_published_states_are_not_those_committed() {
        // GIVEN an oracle that committed to one list and published another
        let ours = output();
        let mut committed = output();
        committed.states[5] = [98; 32];
        let mut shown = ours.states.clone();
        shown[1] = [97; 32];
        let of = Published::of(committed.commit_with(&SECRET), Some(SECRET), shown, nothing());
        // WHEN it is judged
        let verdict = judge(&ours, &of, Duration::from_secs(1));
        // THEN the commitment differs, and the list is said to be worthless
        let Verdict::Differs { u: None, field, dropped: Some(_), .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!(field, "steps_root");
    }

    #[test]
    fn verdict_should_name_slot_and_page_when_a_checkpoint_is_published() {
        // GIVEN kept states of both sides that differ in the second page of one tensor, the oracle's in the store
        let dir = tempfile::tempdir().unwrap();
        let file = |second: u8| {
            let mut data = vec![0u8; 2048];
            data[1024] = second;
            let head = r#"{"w":{"dtype":"U8","shape":[2048],"data_offsets":[0,2048]}}"#;
            let mut bytes = u64::try_from(head.len()).unwrap().to_le_bytes().to_vec();
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&data);
            bytes
        };
        let mut ours = output();
        for (u, second) in [(0, 0), (4, 1)] {
            let path = dir.path().join(u.to_string());
            std::fs::write(&path, file(second)).unwrap();
            ours.checkpoints.push((u, path));
        }
        let config =
            weft_store::StoreConfig { path: dir.path().join("store"), reserve_percent: 0, ..Default::default() };
        let store = BlobStore::open(config).unwrap();
        let list = [(0, 9), (4, 2)].map(|(index, second)| Artifact {
            kind: ArtifactKind::Checkpoint,
            index,
            content: store.put(&file(second)).unwrap(),
        });
        let mut theirs = output();
        theirs.states[3] = [99; 32];
        let kept = Kept::Store(store, list.to_vec());
        let of = Published::of(theirs.commit_with(&SECRET), Some(SECRET), theirs.states.clone(), kept);
        // WHEN it is judged
        let verdict = judge(&ours, &of, Duration::from_secs(1));
        // THEN the first kept state from the differing one on is named, with slot, page and both digests
        let Verdict::Differs { u: Some(3), place: Some(place), .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!((place.u, place.slot.as_str(), place.page), (4, "w", 1));
        assert_ne!(place.ours, place.published);
    }

    #[test]
    fn verdict_should_name_the_first_differing_state() {
        let ours = output();
        let mut theirs = output();
        theirs.states[4] = [99; 32];
        theirs.states[5] = [98; 32];
        let verdict = judge(&ours, &published(&theirs), Duration::from_secs(1));
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
        let verdict = judge(&ours, &of, Duration::from_secs(1));
        assert!(matches!(&verdict, Verdict::Differs { u: None, field, .. } if field == "data_root"), "{verdict:?}");
    }
}
