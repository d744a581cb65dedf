//! Power cuts and damaged files: nothing is lost, nothing false is read.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use weft::{
    oracle::{gather, runs},
    serving,
};
use weft_chain::{models, oracles, permissions};
use weft_protocol::hash::Hash;

use crate::{
    ensure,
    network::{read, Blocks},
    scenario::{sign_all, Scenario},
    HarnessError, HarnessResult,
};

/// Longest wait on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Where a blob lies in a store's folder.
#[must_use]
pub fn blob_file(store: &Path, id: &Hash) -> PathBuf {
    let name = hex::encode(id);
    let part = |from: usize, to: usize| name.get(from..to).unwrap_or_default().to_string();
    store.join("blobs").join(part(0, 2)).join(part(2, 4)).join(&name)
}

/// Flips a bit in the first contributor's first blob. Returns the file and what stood in it.
pub fn damage(scenario: &Scenario) -> HarnessResult<(PathBuf, Vec<u8>)> {
    let given = scenario.given.first().ok_or_else(|| HarnessError::failed("nothing was contributed"))?;
    let person = scenario
        .cast
        .contributors
        .get(given.contributor)
        .ok_or_else(|| HarnessError::failed("the contributor is unknown"))?;
    let file = blob_file(&person.store(), &given.facts.content);
    let intact = std::fs::read(&file).map_err(|e| HarnessError::io("read", &file, e))?;
    let mut damaged = intact.clone();
    // Inside a word, so that the text stays text and only the hash tells.
    if let Some(byte) = damaged.iter_mut().rfind(|b| b.is_ascii_lowercase()) {
        *byte ^= 1;
    }
    std::fs::write(&file, damaged).map_err(|e| HarnessError::io("write", &file, e))?;
    Ok((file, intact))
}

/// Waits until a daemon's events of a job hold one that `wanted` accepts.
pub async fn event(
    scenario: &Scenario,
    daemon: &str,
    job: u32,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> HarnessResult<Value> {
    let daemon = scenario.net.daemon(daemon)?;
    let end = tokio::time::Instant::now() + LIMIT;
    let mut after = 0;
    loop {
        let events = daemon.events(job, &mut after).await?;
        if let Some(found) = events.into_iter().find(|e| wanted(e)) {
            return Ok(found);
        }
        if tokio::time::Instant::now() > end {
            return Err(HarnessError::Waited { what: what.to_string(), log: daemon.tail() });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the run of a job is in a phase.
pub async fn phase(scenario: &Scenario, job: u32, wanted: oracles::Phase) -> HarnessResult {
    let mut blocks = Blocks::new(scenario.net.chain().await?, format!("phase {wanted:?} of job {job}"), LIMIT);
    loop {
        let state = blocks.next().await?;
        let Some(Some(run)) = read(oracles::run(&state, job).await)? else { continue };
        if run.phase == wanted {
            return Ok(());
        }
        if run.phase == oracles::Phase::Ended {
            return Err(HarnessError::failed(format!("job {job} ended before {wanted:?}: {:?}", run.ended)));
        }
    }
}

/// The adapter that the oracle serves, and the one that an undisturbed run computes here from public inputs.
pub async fn adapters(scenario: &Scenario) -> HarnessResult<(Vec<u8>, Vec<u8>)> {
    let state = scenario.net.state().await?;
    let model = models::model(&state, scenario.model).await?.ok_or_else(|| state.missing("the model"))?;
    let mut config = scenario.cast.builder.ctx.config.store.clone();
    config.sources.extend(scenario.contributor_stores());
    let store = weft_store::BlobStore::open(config)?;
    let served = serving::adapter_files(&store, &model)?;

    let facts = gather::facts(&state, scenario.job).await?;
    let run = runs::public_run(&state, &facts).await?;
    let base = Arc::new(runs::load_base(&scenario.net.config.base)?);
    let prepared = runs::prepare(facts, &run.oracle, run.seed, base, &store)?;
    let output = tokio::task::spawn_blocking(move || prepared.execute(&runs::How::default(), &mut |_| ()))
        .await
        .map_err(|e| HarnessError::failed(format!("the undisturbed run: {e}")))??;
    let adapter = output.adapter.ok_or_else(|| HarnessError::failed("the undisturbed run has no adapter"))?;
    Ok((served, adapter.safetensors))
}

fn is_step(event: &Value) -> bool {
    event.get("event").and_then(Value::as_str) == Some("step")
}

fn step(event: &Value) -> u64 {
    event.get("step").and_then(Value::as_u64).unwrap_or_default()
}

/// Steps that an engine's log of events tells, in order. A line that is being written does not count.
fn steps_told(log: &Path) -> HarnessResult<Vec<u64>> {
    let text = match std::fs::read_to_string(log) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(HarnessError::io("read", log, e)),
    };
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(events.filter(is_step).map(|e| step(&e)).collect())
}

/// The first step that an engine's log of events tells.
async fn first_step(log: &Path) -> HarnessResult<u64> {
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(first) = steps_told(log)?.first() {
            return Ok(*first);
        }
        if tokio::time::Instant::now() > end {
            return Err(HarnessError::Waited {
                what: "a step after the restart".into(),
                log: log.display().to_string(),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills the oracle's daemon in the middle of the training, revokes a grant meanwhile, and starts the daemon again: it
/// must go on from a checkpoint, not from the start, and a running job keeps the grant that it was submitted with.
async fn kill_in_training(scenario: &mut Scenario, job: u32) -> HarnessResult {
    let steps = u64::from(scenario.plan.recipe.steps(24).unwrap_or_default());
    let quarter = steps / 4;
    event(scenario, "Oracle", job, "a quarter of the training", |e| is_step(e) && step(e) >= quarter).await?;
    scenario.net.daemon_mut("Oracle")?.kill();

    let engine = scenario.net.daemon("Oracle")?.run_dir(job)?.join("engine");
    let log = engine.join("events.jsonl");
    let reached = steps_told(&log)?.into_iter().max().unwrap_or_default();
    ensure(reached >= quarter && reached < steps, || {
        format!("the daemon was killed at step {reached} of {steps}, not in the middle of the training")
    })?;
    let state = scenario.net.state().await?;
    let run = oracles::run(&state, job).await?.ok_or_else(|| state.missing(format!("the run of job {job}")))?;
    ensure(run.phase == oracles::Phase::Running, || {
        format!("the daemon was killed while job {job} was in phase {:?}, not while it trained", run.phase)
    })?;
    scenario.report.say(format!("the oracle's daemon was killed at step {reached} of {steps}"));

    let (datanet, grant) =
        scenario.grants.first().copied().ok_or_else(|| HarnessError::failed("the builder has no grant"))?;
    scenario.report.say(format!("the owner of Datanet {datanet} revokes grant {grant} while the job runs"));
    sign_all(&scenario.cast.curator, &[(permissions::revoke(grant, permissions::Cause::Convenience), 0)]).await?;
    let state = scenario.net.state().await?;
    let kept = permissions::grant(&state, grant).await?.map(|g| (g.state, g.in_flight));
    ensure(kept == Some((permissions::GrantState::Revoked(permissions::Cause::Convenience), 1)), || {
        format!("grant {grant} is {kept:?} while job {job} runs")
    })?;

    // An engine does not tell a step twice. Without the old log it tells where it goes on.
    let aside = engine.join("events-before.jsonl");
    std::fs::rename(&log, &aside).map_err(|e| HarnessError::io("rename", &log, e))?;
    scenario.net.daemon_mut("Oracle")?.restart().await?;
    let first = first_step(&log).await?;
    ensure(first > quarter / 2 && first <= reached + 1, || {
        format!("the restarted daemon went on with step {first}, it had told step {reached}: that is no checkpoint before it")
    })?;
    scenario.report.say(format!("the oracle's daemon was started again and goes on with step {first}"));
    Ok(())
}

/// The whole story: a damaged blob is refused and its repair noticed; the daemon is killed while it trains, a grant is
/// revoked; the node is killed while the window is open. The job ends as if nothing had happened.
pub async fn run(scenario: &mut Scenario) -> HarnessResult {
    scenario.start_daemons().await?;
    scenario.create().await?;
    scenario.contribute().await?;
    scenario.review().await?;
    scenario.snapshot().await?;
    let (file, intact) = damage(scenario)?;
    let job = scenario.submit().await?;

    scenario.report.say("a contributor's blob is damaged: the oracle must refuse it");
    let refused = event(scenario, "Oracle", job, "the refusal of a damaged blob", |e| {
        e.get("event").and_then(Value::as_str) == Some("error")
    })
    .await?;
    let code = refused.get("code").and_then(Value::as_str).unwrap_or_default();
    ensure(code == "integrity_failed", || format!("a damaged blob gives {refused}"))?;
    std::fs::write(&file, intact).map_err(|e| HarnessError::io("write", &file, e))?;

    kill_in_training(scenario, job).await?;

    phase(scenario, job, oracles::Phase::Window).await?;
    scenario.net.node.kill();
    scenario.report.say("the node was killed while the window is open");
    scenario.net.node.restart().await?;
    scenario.train().await?;
    Ok(())
}
