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
use weft_store::{create_private_folders, write_private, BlobStore};

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
    // Of the bytes whose root was computed: the folder may change, the base may not.
    let tokenizer = Tokenizer::new(base.tokenizer_json(), base.template()).map_err(data_error)?;
    let (ids, rows) = (tokenizer.vocabulary(), base.shape().vocab);
    if usize::try_from(rows).is_ok_and(|rows| ids > rows) {
        return Err(CliError::usage(
            format!("{}: the tokenizer needs {ids} rows of the embedding, which has {rows}", dir.display()),
            "use the tokenizer of this model",
        ));
    }
    if tokenizer.is_fallback() {
        tracing::warn!(dir = %dir.display(), "the model has no chat template: conversations are written as ChatML");
    }
    Ok(LoadedBase { dir: dir.to_path_buf(), base, tokenizer })
}

/// An error of the engine with its stable code.
pub fn engine_error(e: weft_engine::EngineError) -> CliError {
    let e = match e {
        weft_engine::EngineError::Io { path, source } => return CliError::io("use", &path)(source),
        other => other,
    };
    let exit = match e.code() {
        "out_of_memory" => Exit::Resources,
        "resume_mismatch" | "class_mismatch" | "stopped" => Exit::Failed,
        _ => Exit::Usage,
    };
    CliError::new(exit, e.code(), e.to_string(), e.next())
}

/// An error of the data crate with its stable code.
pub fn data_error(e: weft_data::DataError) -> CliError {
    match e {
        weft_data::DataError::Io { path, source } => CliError::io("read", &path)(source),
        other => coded(Exit::Usage, other.code(), &other.to_string(), "mend this, then run `weft data check` again"),
    }
}

/// An error of a run.
pub fn run_error(e: RunError) -> CliError {
    match e {
        RunError::Engine(e) => engine_error(e),
        other => coded(Exit::Failed, other.code(), &other.to_string(), "compare the job with its records and recipe"),
    }
}

/// Splits a library's message into cause and next step; `otherwise` is the step of a message that names none.
fn coded(exit: Exit, code: &'static str, text: &str, otherwise: &str) -> CliError {
    match text.split_once("Next: ").or_else(|| text.rsplit_once("; ")) {
        Some((cause, next)) => CliError::new(exit, code, cause.trim_end().trim_end_matches('.'), next.trim()),
        None => CliError::new(exit, code, text, otherwise),
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
    let tokenizer = Tokenizer::new(base.base.tokenizer_json(), base.base.template())
        .map_err(data_error)?
        .with_job_time(facts.job.time_ms);
    let attribution = facts.job.method != 0;
    let data = JobData::build(&tokenizer, &facts.spec.snapshots, &list, &facts.recipe, &seed, attribution)
        .map_err(data_error)?;
    for (record, why) in &data.refused {
        tracing::warn!(job = facts.id, record, "the record stays out of the training, as on every machine: {why}");
    }
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

/// A state that the run kept, as an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeptState {
    /// Its u.
    pub u: u32,
    /// Content id of its file, fixed when the run ended: a reveal that is sent again is equal byte for byte.
    pub content: Hash,
    /// Its file, relative to the run's folder.
    pub file: String,
}

/// The result of a run as kept on disk: everything that later messages need.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RunRecord {
    /// The run. After a lost head a job may run again with another seed, whose states are others.
    pub run_id: Hash,
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
    /// Checkpoints that the protocol wants, by u.
    pub checkpoints: Vec<KeptState>,
}

impl RunRecord {
    /// What the engine returned, in storable form; checkpoints stay files of the run's folder.
    pub fn of(output: &RunOutput, run_id: Hash, folder: &RunFolder) -> CliResult<Self> {
        let mut checkpoints = Vec::with_capacity(output.checkpoints.len());
        for (u, path) in &output.checkpoints {
            let file = path.strip_prefix(folder.path()).unwrap_or(path);
            checkpoints.push(KeptState {
                u: *u,
                content: BlobStore::id_of(&std::fs::read(path)?),
                file: file.to_string_lossy().into_owned(),
            });
        }
        checkpoints.sort_by_key(|c| c.u);
        Ok(Self {
            run_id,
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
            checkpoints,
        })
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

    /// The artifacts that this record holds itself: adapter, states, owner leaves.
    fn blobs(&self) -> Vec<(ArtifactKind, u32, Vec<u8>)> {
        let mut blobs: Vec<(ArtifactKind, u32, Vec<u8>)> = Vec::new();
        if let Some(adapter) = &self.adapter {
            blobs.push((ArtifactKind::Adapter, 0, adapter.clone()));
        }
        blobs.push((ArtifactKind::States, 0, self.states.concat()));
        for (i, leaves) in (0u32..).zip(&self.leaves) {
            blobs.push((ArtifactKind::Owners, i, leaves.encode()));
        }
        blobs
    }

    /// The list of artifacts: adapter, states, owner leaves by part, checkpoints by u.
    #[must_use]
    pub fn artifacts(&self) -> Vec<Artifact> {
        let held = self.blobs().into_iter().map(|(kind, index, bytes)| Artifact {
            kind,
            index,
            content: BlobStore::id_of(&bytes),
        });
        let files = self.checkpoints.iter().map(|c| Artifact {
            kind: ArtifactKind::Checkpoint,
            index: c.u,
            content: c.content,
        });
        held.chain(files).collect()
    }

    /// The opening with the artifacts' content id.
    #[must_use]
    pub fn opening(&self) -> Option<Opening> {
        self.opening.clone().map(|mut o| {
            o.artifacts = BlobStore::id_of(&self.artifacts().encode());
            o
        })
    }

    /// Puts the artifacts into the store, where other daemons on this machine read them; from its reserve, because a
    /// disk that is nearly full must not make the run look withheld.
    pub fn publish(&self, store: &BlobStore, folder: &RunFolder) -> CliResult {
        for (_, _, blob) in self.blobs() {
            store.put_reserved(&blob)?;
        }
        for kept in &self.checkpoints {
            let path = folder.path().join(&kept.file);
            let bytes = std::fs::read(&path)?;
            if BlobStore::id_of(&bytes) != kept.content {
                return Err(CliError::new(
                    Exit::Verification,
                    "integrity_failed",
                    format!("{} is not the checkpoint that was revealed", path.display()),
                    "restore the file from a backup: the run's opening names its content",
                ));
            }
            store.put_reserved(&bytes)?;
        }
        store.put_reserved(&self.artifacts().encode())?;
        Ok(())
    }
}

/// Folder of one run and what stands in it.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder of a job's run below the data folder: one per run, because the same job may run again with another
    /// seed after the chain lost a block, and a state of the one committed for the other is fraud.
    #[must_use]
    pub fn new(data_dir: &Path, job: u32, run_id: &Hash) -> Self {
        Self(data_dir.join("runs").join(format!("{job}-{}", short(run_id))))
    }

    /// A run's folder by its path.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Creates the folder, for the owner alone: S_{d−1} and R_{c+1} may be known to nobody before the audit is answered.
    /// Its own entry is on the disk when this returns: a secret whose folder a crash loses opens nothing.
    pub fn create(&self) -> CliResult {
        use std::os::unix::fs::PermissionsExt;
        create_private_folders(&self.0)?;
        // An earlier program left them open to everybody.
        for dir in self.0.parent().into_iter().chain([self.path()]) {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
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
                self.create()?;
                write_private(&path, &bytes)?;
                Ok(bytes)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// 32 bytes that [`RunFolder::random`] drew for an earlier message: a new draw would open nothing.
    pub fn known(&self, name: &str) -> CliResult<Hash> {
        let path = self.0.join(name);
        if !path.exists() {
            return Err(CliError::new(
                Exit::Failed,
                "secret_missing",
                format!("{} is gone: what was committed with it cannot be opened", path.display()),
                "restore it from a backup before the deadline, or the stake of this run is lost",
            ));
        }
        self.random(name)
    }

    fn result_file(&self) -> PathBuf {
        self.0.join("result.scale")
    }

    /// Whether a result is kept, without reading it.
    #[must_use]
    pub fn has_result(&self) -> bool {
        self.result_file().exists()
    }

    fn corrupt(&self, what: &str) -> CliError {
        CliError::new(
            Exit::Failed,
            "corrupt",
            format!("{}: {what}", self.result_file().display()),
            "remove the file; the run is computed again from its checkpoints",
        )
    }

    fn read(&self) -> CliResult<Option<RunRecord>> {
        match std::fs::read(self.result_file()) {
            Ok(bytes) => RunRecord::decode(&mut bytes.as_slice()).map(Some).map_err(|e| self.corrupt(&e.to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// The kept result of this run. A file that cannot be used is set aside: the run is computed again from its
    /// checkpoints, and gives the same bits.
    pub fn result(&self, run_id: &Hash) -> CliResult<Option<RunRecord>> {
        let unusable = match self.read() {
            Ok(Some(other)) if other.run_id != *run_id => {
                self.corrupt(&format!("it belongs to the run {}", hex::encode(other.run_id)))
            }
            Err(e) if e.code == "corrupt" => e,
            read => return read,
        };
        let (file, aside) = (self.result_file(), self.0.join("result.scale.bad"));
        std::fs::rename(&file, &aside).map_err(CliError::io("rename", &file))?;
        tracing::error!("{}; it is now {}, and the run is computed again", unusable.cause, aside.display());
        Ok(None)
    }

    fn mark(&self) -> PathBuf {
        self.0.join("unpublished")
    }

    /// Notes, for a restarted daemon too, whether artifacts are still to be published.
    pub fn set_unpublished(&self, unpublished: bool) -> CliResult {
        if unpublished {
            return Ok(write_private(&self.mark(), &[])?);
        }
        match std::fs::remove_file(self.mark()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Runs whose artifacts an earlier process could not publish.
    #[must_use]
    pub fn unpublished(data_dir: &Path) -> Vec<(Self, RunRecord)> {
        let folders = std::fs::read_dir(data_dir.join("runs")).into_iter().flatten().flatten();
        let marked = folders.map(|entry| Self(entry.path())).filter(|folder| folder.mark().exists());
        let read = |folder: Self| match folder.read() {
            Ok(record) => Some((folder, record?)),
            Err(e) => {
                tracing::error!("its artifacts are not published: {e}");
                None
            }
        };
        marked.filter_map(read).collect()
    }

    /// Keeps a result.
    pub fn keep(&self, record: &RunRecord) -> CliResult {
        self.create()?;
        Ok(write_private(&self.result_file(), &record.encode())?)
    }
}

/// The secret that a commitment binds by its hash `bound`, from the first of these folders that holds it; without a
/// commitment that of the first folder.
pub fn bound_secret(folders: &[&RunFolder], bound: Option<&Hash>) -> CliResult<Hash> {
    let mut failure = None;
    for folder in folders {
        match folder.known("secret") {
            Ok(secret) if bound.is_none_or(|bound| run::secret_hash(&secret) == *bound) => return Ok(secret),
            Ok(_) => {
                let path = folder.path().join("secret");
                failure.get_or_insert_with(|| {
                    CliError::new(
                        Exit::Failed,
                        "secret_missing",
                        format!("{} is not the secret that this run committed to", path.display()),
                        "restore the right file from a backup before the deadline, or the stake of this run is lost",
                    )
                });
            }
            Err(e) => {
                failure.get_or_insert(e);
            }
        }
    }
    Err(failure.unwrap_or_else(|| CliError::new(Exit::Failed, "secret_missing", "no folder is named", "report this")))
}

/// The first 8 bytes of a run's or draw's identity, as file names carry them.
#[must_use]
pub fn short(id: &Hash) -> String {
    hex::encode(id.get(..8).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use weft_store::StoreConfig;

    fn record(run_id: Hash) -> RunRecord {
        RunRecord {
            run_id,
            n_done: 1,
            outcome: Outcome::Done,
            states: vec![[1; 32], [2; 32]],
            data_root: [3; 32],
            model_commitment: [4; 32],
            attribution_commitment: [5; 32],
            opening: None,
            adapter: Some(vec![6; 10]),
            adapter_config: None,
            leaves: Vec::new(),
            work: None,
            audit: ([7; 32], [8; 32]),
            scores: Vec::new(),
            checkpoints: Vec::new(),
        }
    }

    #[test]
    fn result_should_not_be_found_when_the_job_runs_again_with_another_seed() {
        // GIVEN a kept result of a run whose seed the chain lost
        let dir = tempfile::tempdir().unwrap();
        let (lost, drawn) = ([1; 32], [2; 32]);
        let before = RunFolder::new(dir.path(), 7, &lost);
        before.keep(&record(lost)).unwrap();
        let secret = before.random("secret").unwrap();
        // WHEN the job's next run is looked at
        let after = RunFolder::new(dir.path(), 7, &drawn);
        // THEN it has neither result nor secret of the first
        assert!(after.result(&drawn).unwrap().is_none() && !after.has_result());
        assert_ne!(after.random("secret").unwrap(), secret);
        assert_eq!(before.result(&lost).unwrap(), Some(record(lost)));
        // AND a result of another run in its folder is set aside
        after.keep(&record(lost)).unwrap();
        assert!(after.result(&drawn).unwrap().is_none() && !after.has_result());
        assert!(after.path().join("result.scale.bad").exists());
    }

    #[test]
    fn result_should_be_set_aside_when_it_does_not_decode() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(dir.path(), 7, &[1; 32]);
        folder.create().unwrap();
        std::fs::write(folder.result_file(), b"cut").unwrap();
        assert!(folder.result(&[1; 32]).unwrap().is_none() && !folder.has_result());
        assert_eq!(std::fs::read(folder.path().join("result.scale.bad")).unwrap(), b"cut");
        // AND the run that is computed again is kept
        folder.keep(&record([1; 32])).unwrap();
        assert_eq!(folder.result(&[1; 32]).unwrap(), Some(record([1; 32])));
    }

    #[test]
    fn revealed_secret_should_be_the_one_that_was_committed() {
        // GIVEN a run whose commitment an earlier program made with the secret of its folder
        let dir = tempfile::tempdir().unwrap();
        let former = RunFolder::at(&dir.path().join("runs/7"));
        let folder = RunFolder::new(dir.path(), 7, &[1; 32]);
        let committed = former.random("secret").unwrap();
        let bound = run::secret_hash(&committed);
        // WHEN the folder of this program has none, or another THEN the committed one is revealed
        assert_eq!(bound_secret(&[&folder, &former], Some(&bound)).unwrap(), committed);
        let other = folder.random("secret").unwrap();
        assert_ne!(other, committed);
        assert_eq!(bound_secret(&[&folder, &former], Some(&bound)).unwrap(), committed);
        // AND a secret that opens nothing is never revealed
        std::fs::remove_file(former.path().join("secret")).unwrap();
        let e = bound_secret(&[&folder, &former], Some(&bound)).unwrap_err();
        assert!(e.code == "secret_missing" && e.cause.contains("committed"), "{e}");
        assert_eq!(bound_secret(&[&folder], Some(&run::secret_hash(&other))).unwrap(), other);
    }

    #[test]
    fn secret_should_be_refused_when_it_was_committed_and_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(dir.path(), 7, &[1; 32]);
        assert_eq!(folder.known("secret").unwrap_err().code, "secret_missing");
        let drawn = folder.random("secret").unwrap();
        assert_eq!(folder.random("secret").unwrap(), drawn);
        assert_eq!(folder.known("secret").unwrap(), drawn);
    }

    #[test]
    fn run_should_be_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        std::fs::create_dir(&runs).unwrap();
        std::fs::set_permissions(&runs, std::fs::Permissions::from_mode(0o755)).unwrap();
        let folder = RunFolder::new(dir.path(), 7, &[1; 32]);
        folder.keep(&record([1; 32])).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&runs), mode(folder.path())), (0o700, 0o700));
        assert_eq!(mode(&folder.result_file()), 0o600);
    }

    #[test]
    fn checkpoints_should_be_artifacts_when_published() {
        // GIVEN a record with two checkpoints, one above the size of a blob
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(StoreConfig { path: dir.path().join("store"), ..StoreConfig::default() }).unwrap();
        let folder = RunFolder::new(dir.path(), 7, &[1; 32]);
        folder.create().unwrap();
        let mut record = record([1; 32]);
        for (u, len) in [(0u32, 10usize), (3, weft_store::BLOB_LIMIT + 1)] {
            let bytes = vec![u8::try_from(u).unwrap(); len];
            let file = format!("{u}.safetensors");
            std::fs::write(folder.path().join(&file), &bytes).unwrap();
            record.checkpoints.push(KeptState { u, content: BlobStore::id_of(&bytes), file });
        }
        // WHEN it is published
        record.publish(&store, &folder).unwrap();
        // THEN the list names them after everything else, and all of it can be had
        let list = record.artifacts();
        let kinds: Vec<_> = list.iter().map(|a| (a.kind, a.index)).collect();
        assert_eq!(
            kinds,
            [
                (ArtifactKind::Adapter, 0),
                (ArtifactKind::States, 0),
                (ArtifactKind::Checkpoint, 0),
                (ArtifactKind::Checkpoint, 3)
            ]
        );
        assert!(list.iter().all(|a| store.has_all(&a.content)));
        assert!(store.has_all(&BlobStore::id_of(&list.encode())));
        // AND a file that changed since is not published under its name
        std::fs::write(folder.path().join("0.safetensors"), b"other").unwrap();
        assert_eq!(record.publish(&store, &folder).unwrap_err().code, "integrity_failed");
    }
}
