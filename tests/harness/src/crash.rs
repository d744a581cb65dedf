//! Power cuts and damaged files: nothing is lost, nothing false is read.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use weft::{
    oracle::{gather, runs},
    serving,
};
use weft_chain::{models, oracles};
use weft_protocol::hash::Hash;

use crate::{
    network::{read, Blocks},
    scenario::Scenario,
    HarnessError, HarnessResult,
};

/// Longest wait on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Where a blob lies in a store's folder.
#[must_use]
pub fn blob_file(store: &std::path::Path, id: &Hash) -> PathBuf {
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

/// The whole story: a damaged blob is refused and its repair noticed; the daemon is killed while it trains; the node is
/// killed while the window is open. The job ends as if nothing had happened.
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
    crate::ensure(code == "integrity_failed", || format!("a damaged blob gives {refused}"))?;
    std::fs::write(&file, intact).map_err(|e| HarnessError::io("write", &file, e))?;

    let steps = u64::from(scenario.plan.recipe.steps(24).unwrap_or_default());
    let quarter = steps / 4;
    let at = |e: &Value| e.get("event").and_then(Value::as_str) == Some("step");
    let step = |e: &Value| e.get("step").and_then(Value::as_u64).unwrap_or_default();
    event(scenario, "Oracle", job, "a quarter of the training", |e| at(e) && step(e) >= quarter).await?;
    let daemon = scenario.net.daemon_mut("Oracle")?;
    daemon.kill();
    let engine = daemon.data_dir().join("runs").join(job.to_string()).join("engine");
    let left = std::fs::read_dir(&engine).map_err(|e| HarnessError::io("read", &engine, e))?.count();
    crate::ensure(left > 1, || format!("{} holds no checkpoint of the killed run", engine.display()))?;
    daemon.restart().await?;
    let done = scenario.net.daemon("Oracle")?.events(job, &mut 0).await?;
    let reached = done.iter().filter(|e| at(e)).map(step).max().unwrap_or_default();
    scenario.report.say(format!("the oracle's daemon was killed around step {reached} of {steps} and started again"));

    phase(scenario, job, oracles::Phase::Window).await?;
    scenario.net.node.kill();
    scenario.report.say("the node was killed while the window is open");
    scenario.net.node.restart().await?;
    scenario.train().await?;
    Ok(())
}
