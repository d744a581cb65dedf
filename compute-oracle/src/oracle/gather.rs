//! Everything the chain and the store fix of a job: specification, seed, records.
//!
//! Nothing is taken on trust: every blob hashes to its content id, every contribution to its root, every Datanet's leaves
//! to its snapshot root, and the whole to the job's `spec_hash`.

use codec::Decode;
use weft_chain::{datanets, models, permissions, ChainError, State};
use weft_protocol::{
    hash::{Hash, ZERO},
    mmr::{self, Mmr},
    recipe::Recipe,
    record::{self, Record},
    run::{Snapshot, Spec},
    AccountId,
};
use weft_store::BlobStore;

use crate::error::{CliError, CliResult, Exit};

/// Most bytes of a record's line, its end included.
const LINE: u64 = 256 * 1024 + 1;

/// One record of a job in its canonical place.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The Datanet it belongs to.
    pub datanet: u32,
    /// The contribution inside the Datanet.
    pub contribution: u32,
    /// Its contributor.
    pub owner: AccountId,
    /// The record.
    pub record: Record,
    /// Its id.
    pub id: Hash,
}

/// A job as the chain fixes it.
#[derive(Clone, Debug)]
pub struct JobFacts {
    /// Number of the job.
    pub id: u32,
    /// The stored job.
    pub job: models::Job,
    /// Its recipe.
    pub recipe: Recipe,
    /// The specification that `spec_hash` binds.
    pub spec: Spec,
    /// Contributions in job order: Datanets ascending, then leaf order.
    pub sources: Vec<Source>,
}

/// One accepted contribution inside a snapshot.
#[derive(Clone, Debug)]
pub struct Source {
    /// The Datanet.
    pub datanet: u32,
    /// The contribution.
    pub contribution: u32,
    /// Its contributor.
    pub owner: AccountId,
    /// Root of its record leaves.
    pub root: Hash,
    /// Content id of its blob.
    pub content: Hash,
    /// Records.
    pub records: u32,
}

fn broken(cause: String) -> CliError {
    CliError::new(
        Exit::Verification,
        "integrity_failed",
        cause,
        "ask the contributor for the intact blob, or report the node: chain and data disagree",
    )
}

/// Reads a job, its recipe and its contributions from the chain, and checks that they hash to `spec_hash`.
pub async fn facts(state: &State, id: u32) -> CliResult<JobFacts> {
    let job = models::job(state, id).await?.ok_or_else(|| state.missing(format!("job {id}")))?;
    let bytes = models::recipe(state, id).await?.ok_or_else(|| state.missing(format!("the recipe of job {id}")))?;
    let recipe = Recipe::decode(&mut bytes.as_slice())
        .map_err(|e| ChainError::Incompatible { reason: format!("the recipe of job {id} does not decode: {e}") })?;
    let snapshots = job
        .inputs
        .iter()
        .map(|i| Snapshot { datanet: i.datanet, root: i.root, records: i.records, clusters: ZERO })
        .collect();
    let spec = Spec {
        job: id,
        sem_id: job.sem_id,
        base_root: job.base,
        snapshots,
        probe_root: job.probe_root,
        recipe: recipe.clone(),
        method: job.method,
        tier: job.tier.0,
        score_shift: job.score_shift,
    };
    if spec.hash() != job.spec_hash {
        return Err(broken(format!("job {id}: its fields do not hash to its spec_hash")));
    }
    let mut sources = Vec::new();
    for input in &job.inputs {
        sources.extend(contributions(state, input.datanet, input.snapshot).await?);
    }
    let total: u64 = sources.iter().map(|s| u64::from(s.records)).sum();
    if total != u64::from(job.records) {
        return Err(broken(format!("job {id}: its snapshots hold {total} records, the chain says {}", job.records)));
    }
    Ok(JobFacts { id, job, recipe, spec, sources })
}

/// The contributions of one snapshot in leaf order, checked against the snapshot's root.
pub async fn contributions(state: &State, datanet: u32, index: u32) -> CliResult<Vec<Source>> {
    let snapshot = datanets::snapshot(state, datanet, index)
        .await?
        .ok_or_else(|| state.missing(format!("snapshot {index} of Datanet {datanet}")))?;
    let net = datanets::datanet(state, datanet).await?.ok_or_else(|| state.missing(format!("Datanet {datanet}")))?;
    let mut placed = Vec::new();
    for n in 0..net.contributions {
        let Some(c) = datanets::contribution(state, datanet, n).await? else { continue };
        if let Some(leaf) = c.leaf.filter(|l| l.index < snapshot.leaves) {
            placed.push((leaf, n, c));
        }
    }
    placed.sort_by_key(|(leaf, _, _)| leaf.index);
    let mut range = Mmr::default();
    let mut sources = Vec::with_capacity(placed.len());
    for (leaf, n, c) in placed {
        let hash = mmr::leaf(&c.owner.0, &c.root, leaf.first, c.records, c.sequence);
        range.append(hash, c.records).ok_or_else(|| broken(format!("Datanet {datanet} holds too many records")))?;
        sources.push(Source {
            datanet,
            contribution: n,
            owner: c.owner.0,
            root: c.root,
            content: c.content,
            records: c.records,
        });
    }
    if range.snapshot_root() != snapshot.root {
        return Err(broken(format!(
            "Datanet {datanet}: its contributions do not hash to the root of snapshot {index}"
        )));
    }
    Ok(sources)
}

/// Whether every blob of the job can be had, chunks of large contributions included, without reading records.
#[must_use]
pub fn all_present(facts: &JobFacts, store: &BlobStore) -> bool {
    facts.sources.iter().all(|s| store.has_all(&s.content))
}

/// Refuses unless every grant of the job is live at this block.
pub async fn grants_live(state: &State, facts: &JobFacts) -> CliResult {
    for input in &facts.job.inputs {
        if !permissions::is_live(state, input.grant).await? {
            return Err(CliError::new(
                Exit::NotPermitted,
                "grant_missing",
                format!("grant {} on Datanet {} of job {} is not live", input.grant, input.datanet, facts.id),
                "the builder asks the Datanet's owner for a new grant",
            ));
        }
    }
    Ok(())
}

/// Reads and checks all records of the job, in job order.
pub fn records(facts: &JobFacts, store: &BlobStore) -> CliResult<Vec<JobRecord>> {
    let mut out = Vec::new();
    for source in &facts.sources {
        let bytes = store.get_limited(&source.content, u64::from(source.records).saturating_mul(LINE))?;
        let place = format!("contribution {} of Datanet {}", source.contribution, source.datanet);
        let text = String::from_utf8(bytes).map_err(|_| broken(format!("{place} is not UTF-8")))?;
        let mut list = Vec::new();
        for (i, line) in text.lines().enumerate() {
            list.push(
                Record::parse_line(line).map_err(|e| broken(format!("{place}, line {}: {e}", i.saturating_add(1))))?,
            );
        }
        if record::contribution_blob(&list) != text {
            return Err(broken(format!("{place} is not in canonical form")));
        }
        if u32::try_from(list.len()) != Ok(source.records) || record::contribution_root(&list, &ZERO) != source.root {
            return Err(broken(format!("{place} does not hash to the root on chain")));
        }
        out.extend(list.into_iter().map(|record| JobRecord {
            datanet: source.datanet,
            contribution: source.contribution,
            owner: source.owner,
            id: record.id(&ZERO),
            record,
        }));
    }
    Ok(out)
}
