//! Executing a run and keeping its result: the same for oracle, verifier, juror and `weft verify`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use codec::{Decode, Encode};
use weft_attribution::{execute, ExecOptions, RunError, RunInputs, RunOutput, Tamper};
use weft_chain::{oracles, State};
use weft_data::{JobData, JobRecord as DataRecord, Tokenizer};
use weft_engine::{Base, Compute, Control, Event};
use weft_protocol::{
    hash::Hash,
    run::{self, Artifact, ArtifactKind, Commit, Opening, Outcome},
    sum_tree::OwnerLeaf,
    AccountId,
};
use weft_store::{write_atomic, write_private, BlobStore};

use super::gather::{self, JobFacts};
use crate::error::{CliError, CliResult, Exit};

/// A base model with its text files.
pub struct LoadedBase {
    /// Folder in Hugging Face layout.
    pub dir: PathBuf,
    /// Weights.
    pub base: Base,
    /// Tokenizer and template.
    pub tokenizer: Tokenizer,
}

/// Base models of this machine by root.
#[derive(Clone, Default)]
pub struct Bases(BTreeMap<Hash, Arc<LoadedBase>>);

impl Bases {
    /// Loads every folder and computes its root.
    pub fn load(folders: &[PathBuf]) -> CliResult<Self> {
        let mut bases = BTreeMap::new();
        for dir in folders {
            let loaded = load_base(dir)?;
            let root = loaded.base.root();
            tracing::info!(root = %hex::encode(root), dir = %dir.display(), "base model loaded");
            bases.insert(root, Arc::new(loaded));
        }
        Ok(Self(bases))
    }

    /// The base with this root.
    #[must_use]
    pub fn get(&self, root: &Hash) -> Option<Arc<LoadedBase>> {
        self.0.get(root).cloned()
    }

    /// All bases by root.
    pub fn iter(&self) -> impl Iterator<Item = (&Hash, &Arc<LoadedBase>)> {
        self.0.iter()
    }
}

/// Loads one base model.
pub fn load_base(dir: &Path) -> CliResult<LoadedBase> {
    let base = Base::load(dir).map_err(engine_error)?;
    let tokenizer = Tokenizer::from_dir(dir).map_err(data_error)?;
    Ok(LoadedBase { dir: dir.to_path_buf(), base, tokenizer })
}

/// An error of the engine with its stable code.
pub fn engine_error(e: weft_engine::EngineError) -> CliError {
    let exit = match e.code() {
        "out_of_memory" => Exit::Resources,
        "resume_mismatch" | "class_mismatch" => Exit::Failed,
        _ => Exit::Usage,
    };
    coded(exit, e.code(), &e.to_string())
}

/// An error of the data crate with its stable code.
pub fn data_error(e: weft_data::DataError) -> CliError {
    coded(Exit::Usage, e.code(), &e.to_string())
}

/// An error of a run.
pub fn run_error(e: RunError) -> CliError {
    coded(Exit::Failed, e.code(), &e.to_string())
}

fn coded(exit: Exit, code: &'static str, text: &str) -> CliError {
    match text.split_once("Next: ") {
        Some((cause, next)) => CliError::new(exit, code, cause.trim_end().trim_end_matches('.'), next.trim()),
        None => CliError::new(exit, code, text, ""),
    }
}

/// Everything that determines a run.
pub struct Prepared {
    /// The job.
    pub facts: JobFacts,
    /// Its base model.
    pub base: Arc<LoadedBase>,
    /// Its data.
    pub data: JobData,
    /// The run's identity.
    pub run_id: Hash,
    /// The seed.
    pub seed: Hash,
    /// Name of the base in `adapter_config.json`.
    pub base_name: String,
}

/// How to execute: changes no bit of an honest result.
#[derive(Clone, Default)]
pub struct How {
    /// Threads and instruction set.
    pub compute: Compute,
    /// Folder of checkpoints: an interrupted run resumes from there.
    pub dir: Option<PathBuf>,
    /// Bytes drawn with a jury: asks for the juror's work.
    pub jury_draw: Option<Hash>,
    /// Further states to keep, by u.
    pub also_keep: Vec<u32>,
    /// Stops it.
    pub control: Control,
    /// Dishonesty, for the tests that prove it loses.
    pub tamper: Tamper,
}

/// Builds a run's inputs from the chain and the store. The caller has checked that it may read the records.
pub fn prepare(
    facts: JobFacts,
    oracle: &AccountId,
    seed: Hash,
    base: Arc<LoadedBase>,
    store: &BlobStore,
) -> CliResult<Prepared> {
    let records = gather::records(&facts, store)?;
    let run_id = run::run_id(&facts.job.spec_hash, oracle, &seed);
    let places: BTreeMap<u32, usize> = facts.spec.snapshots.iter().enumerate().map(|(i, s)| (s.datanet, i)).collect();
    let list: Vec<DataRecord> = records
        .into_iter()
        .map(|r| DataRecord {
            snapshot: places.get(&r.datanet).copied().unwrap_or(usize::MAX),
            record: r.record,
            record_id: r.id,
            owner: r.owner,
        })
        .collect();
    let tokenizer = Tokenizer::from_dir(&base.dir).map_err(data_error)?.with_job_time(facts.job.time_ms);
    let attribution = facts.job.method != 0;
    let data = JobData::build(&tokenizer, &facts.spec.snapshots, &list, &facts.recipe, &seed, attribution)
        .map_err(data_error)?;
    let base_name = crate::serving::base_id(&facts.job.base);
    Ok(Prepared { facts, base, data, run_id, seed, base_name })
}

impl Prepared {
    /// Runs it in the calling thread.
    pub fn execute(&self, how: &How, progress: &mut dyn FnMut(&Event)) -> CliResult<RunOutput> {
        let options = ExecOptions {
            compute: how.compute,
            dir: how.dir.clone(),
            secret: None,
            control: how.control.clone(),
            jury_draw: how.jury_draw,
            also_keep: how.also_keep.clone(),
            tamper: how.tamper,
        };
        execute(&self.inputs(), &options, progress).map_err(run_error)
    }

    /// The engine's view of the inputs.
    #[must_use]
    pub fn inputs(&self) -> RunInputs<'_> {
        RunInputs {
            base: &self.base.base,
            data: &self.data,
            recipe: &self.facts.recipe,
            run_id: self.run_id,
            seed: self.seed,
            method: self.facts.job.method,
            score_shift: self.facts.job.score_shift,
            base_ppm: self.facts.job.terms.base_ppm,
            base_name: &self.base_name,
        }
    }
}

/// The result of a run as kept on disk: everything that later messages need.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RunRecord {
    /// Steps done.
    pub n_done: u32,
    /// Outcome.
    pub outcome: Outcome,
    /// X_0, X_1, …
    pub states: Vec<Hash>,
    /// Data.
    pub data_root: Hash,
    /// Adapter commitment.
    pub model_commitment: Hash,
    /// Attribution commitment.
    pub attribution_commitment: Hash,
    /// Opening without the artifacts' id; `None` for a diverged run.
    pub opening: Option<Opening>,
    /// Adapter file.
    pub adapter: Option<Vec<u8>>,
    /// `adapter_config.json`.
    pub adapter_config: Option<String>,
    /// Owner leaves by part.
    pub leaves: Vec<Vec<OwnerLeaf>>,
    /// A juror's proof of work.
    pub work: Option<Hash>,
    /// Blind states of a full audit: S_{d−1} and R_{c+1}.
    pub audit: (Hash, Hash),
    /// Score of every record at the job's shift.
    pub scores: Vec<i64>,
}

impl RunRecord {
    /// What the engine returned, in storable form.
    #[must_use]
    pub fn of(output: &RunOutput) -> Self {
        Self {
            n_done: output.n_done,
            outcome: output.outcome,
            states: output.states.clone(),
            data_root: output.data_root,
            model_commitment: output.model_commitment,
            attribution_commitment: output.attribution_commitment,
            opening: output.opening(weft_protocol::hash::ZERO),
            adapter: output.adapter.as_ref().map(|a| a.safetensors.clone()),
            adapter_config: output.adapter.as_ref().map(|a| a.config_json.clone()),
            leaves: (0..output.parts().len()).map(|i| output.leaves(i).to_vec()).collect(),
            work: output.work,
            audit: output.audit_states(),
            scores: output.scores.clone(),
        }
    }

    /// The commitment under a secret; `None` beyond 2^32 states, which no recipe reaches.
    #[must_use]
    pub fn commit(&self, secret: &Hash) -> Option<Commit> {
        Some(Commit {
            n_done: self.n_done,
            outcome: self.outcome,
            data_root: self.data_root,
            steps_root: run::steps_root(&run::step_leaves(secret, &self.states))?,
            model_commitment: self.model_commitment,
            attribution_commitment: self.attribution_commitment,
            secret: run::secret_hash(secret),
        })
    }

    /// Merkle path of X_u under a secret.
    #[must_use]
    pub fn path(&self, secret: &Hash, u: u32) -> Option<Vec<Hash>> {
        let leaves = run::step_leaves(secret, &self.states);
        weft_protocol::merkle::proof(&leaves, usize::try_from(u).ok()?)
    }

    /// Content ids and bytes of the artifacts, and the list itself last.
    #[must_use]
    pub fn artifacts(&self) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut blobs: Vec<(ArtifactKind, u32, Vec<u8>)> = Vec::new();
        if let Some(adapter) = &self.adapter {
            blobs.push((ArtifactKind::Adapter, 0, adapter.clone()));
        }
        blobs.push((ArtifactKind::States, 0, self.states.concat()));
        for (i, leaves) in (0u32..).zip(&self.leaves) {
            blobs.push((ArtifactKind::Owners, i, leaves.encode()));
        }
        let list: Vec<Artifact> = blobs
            .iter()
            .map(|(kind, index, bytes)| Artifact { kind: *kind, index: *index, content: BlobStore::id_of(bytes) })
            .collect();
        (blobs.into_iter().map(|(_, _, b)| b).collect(), list.encode())
    }

    /// The opening with the artifacts' content id.
    #[must_use]
    pub fn opening(&self) -> Option<Opening> {
        let (_, list) = self.artifacts();
        self.opening.clone().map(|mut o| {
            o.artifacts = BlobStore::id_of(&list);
            o
        })
    }

    /// Puts the artifacts into the store, where other daemons on this machine read them.
    pub fn publish(&self, store: &BlobStore) -> CliResult {
        let (blobs, list) = self.artifacts();
        for blob in blobs {
            store.put(&blob)?;
        }
        store.put(&list)?;
        Ok(())
    }
}

/// Folder of one run and what stands in it.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder of a job's run below the data folder.
    #[must_use]
    pub fn new(data_dir: &Path, job: u32) -> Self {
        Self(data_dir.join("runs").join(job.to_string()))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the engine keeps checkpoints and events.
    #[must_use]
    pub fn engine(&self) -> PathBuf {
        self.0.join("engine")
    }

    /// 32 random bytes, drawn once per name and kept: a restarted daemon sends the same answer.
    pub fn random(&self, name: &str) -> CliResult<Hash> {
        let path = self.0.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => bytes.try_into().map_err(|_| {
                CliError::new(
                    Exit::Failed,
                    "corrupt",
                    format!("{} is not 32 bytes", path.display()),
                    "restore it from a backup: the run's commitment cannot be opened without it",
                )
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0u8; 32];
                rand::fill(&mut bytes);
                write_private(&path, &bytes)?;
                Ok(bytes)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// The kept result.
    pub fn result(&self) -> CliResult<Option<RunRecord>> {
        let path = self.0.join("result.scale");
        match std::fs::read(&path) {
            Ok(bytes) => RunRecord::decode(&mut bytes.as_slice()).map(Some).map_err(|e| {
                CliError::new(
                    Exit::Failed,
                    "corrupt",
                    format!("{}: {e}", path.display()),
                    "remove the file; the run is computed again from its checkpoints",
                )
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Keeps a result.
    pub fn keep(&self, record: &RunRecord) -> CliResult {
        Ok(write_atomic(&self.0.join("result.scale"), &record.encode())?)
    }

    /// Forgets a result, as when a juror needs another draw's work.
    pub fn forget(&self) -> CliResult {
        match std::fs::remove_file(self.0.join("result.scale")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }
}

/// The run of a job as the chain knows it, live or minted: who, seed, commitment, secret.
pub struct PublicRun {
    /// The oracle.
    pub oracle: AccountId,
    /// The seed.
    pub seed: Hash,
    /// The commitment, once posted.
    pub commit: Option<Commit>,
    /// The secret, once revealed.
    pub secret: Option<Hash>,
    /// The artifacts list, once revealed.
    pub artifacts: Option<Hash>,
}

/// Looks a job's run up: in `Runs` while it lives, in the model afterwards.
pub async fn public_run(state: &State, facts: &JobFacts) -> CliResult<PublicRun> {
    if let Some(run) = oracles::run(state, facts.id).await? {
        if let Some(seed) = run.seed {
            return Ok(PublicRun {
                oracle: run.oracle.0,
                seed,
                commit: run.commit.map(|c| c.0),
                secret: run.secret,
                artifacts: run.opening.map(|o| o.0.artifacts),
            });
        }
    }
    if let Some(model) = facts.job.model {
        if let Some(m) = weft_chain::models::model(state, model).await? {
            return Ok(PublicRun {
                oracle: m.run.oracle.0,
                seed: m.run.seed,
                commit: Some(m.run.commit.0),
                secret: Some(m.run.secret),
                artifacts: Some(m.run.artifacts),
            });
        }
    }
    Err(CliError::not_found(
        format!("job {} has no run with a seed at finalised block {}", facts.id, state.head.number),
        "wait until an oracle has taken it and its seed is drawn",
    ))
}
