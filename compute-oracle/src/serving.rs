//! Models in memory and the thread that owns them.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    panic::{catch_unwind, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc, Mutex, PoisonError,
    },
};

use codec::Decode;
use tokio::sync::mpsc;
use weft_chain::{models, State};
use weft_engine::{generate, Adapter, Compute, FinishReason, GenRequest};
use weft_protocol::{
    hash::Hash,
    merkle,
    record::{Message, Role},
    run::{Artifact, ArtifactKind},
    sum_tree::OwnerLeaf,
};
use weft_store::{write_atomic, BlobStore};

use crate::{
    error::{CliError, CliResult, Exit},
    http::openai::{ApiError, Checked},
    oracle::{
        own::OwnModels,
        runs::{engine_error, Bases, LoadedBase},
    },
};

/// A model that can answer: a base, or a base with an adapter.
#[derive(Clone)]
pub struct Loaded {
    /// Number of the tuned model; `None` for a base.
    pub number: Option<u32>,
    /// Root of the base.
    pub base_root: Hash,
    /// The base.
    pub base: Arc<LoadedBase>,
    /// The adapter.
    pub adapter: Option<Arc<Adapter>>,
    /// Commitment of the model; zero for a base.
    pub commitment: Hash,
    /// Split of its fees.
    pub split: weft_protocol::split::ModelSplit,
    /// Attribution method.
    pub method: u16,
    /// Root of its first part's payout tree: the attribution that receipts name.
    pub attribution: Hash,
    /// Contributors with the largest training weights, in ppm of all points.
    pub top: Vec<([u8; 32], u32)>,
}

/// One piece of an answer.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Text, and the tokens generated up to it.
    Text(String, u32),
    /// The end: reason, tokens of the prompt, tokens generated, seed used.
    End(&'static str, u32, u32),
    /// Something failed.
    Failed(String),
}

struct Task {
    model: Loaded,
    prompt: Vec<u32>,
    request: Checked,
    pieces: mpsc::UnboundedSender<Piece>,
    cancelled: Arc<AtomicBool>,
    _place: Place,
}

/// A place in the queue, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place unless `limit` are taken.
    fn take(waiting: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let place = Self(Arc::clone(waiting));
        (place.0.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The models of this daemon.
pub struct Serving {
    store: BlobStore,
    bases: Bases,
    oracle: [u8; 32],
    data_dir: PathBuf,
    models: Mutex<BTreeMap<u32, Loaded>>,
    own: tokio::sync::Mutex<OwnModels>,
    /// The chain lost blocks since the models were listed.
    lost: AtomicBool,
    queue: std::sync::mpsc::Sender<Task>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// A running answer. Dropping it cancels the generation.
pub struct Answer {
    /// Pieces as they come.
    pub pieces: mpsc::UnboundedReceiver<Piece>,
    cancelled: Arc<AtomicBool>,
}

impl Answer {
    /// Ends the generation; pieces already made still come.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Serving {
    /// Starts the thread that owns the models.
    #[must_use]
    pub fn start(
        store: BlobStore,
        bases: Bases,
        compute: Compute,
        oracle: [u8; 32],
        data_dir: PathBuf,
        limit: usize,
    ) -> Self {
        let (queue, tasks) = std::sync::mpsc::channel::<Task>();
        let spawned = std::thread::Builder::new().name("model".into()).spawn(move || {
            // As for runs: chain duties and HTTP answer in time because computation yields to them.
            if let Err(e) = rustix::process::nice(10) {
                tracing::debug!("priority stays as it is: {e}");
            }
            while let Ok(task) = tasks.recv() {
                if task.cancelled.load(Ordering::Relaxed) {
                    continue;
                }
                // One answer that fails must not end all later ones.
                if catch_unwind(AssertUnwindSafe(|| answer(&task, &compute))).is_err() {
                    tracing::error!("an answer ended with a panic; it is not billed");
                    let failed = Piece::Failed("The model failed on this request. Report it with the log.".into());
                    let _reader_gone = task.pieces.send(failed);
                }
            }
        });
        if let Err(e) = spawned {
            tracing::error!("no thread for the models, every request will fail: {e}");
        }
        Self {
            store,
            bases,
            oracle,
            data_dir,
            models: Mutex::default(),
            own: tokio::sync::Mutex::default(),
            lost: AtomicBool::new(false),
            queue,
            waiting: Arc::new(AtomicUsize::new(0)),
            limit,
        }
    }

    /// The chain lost blocks: numbers may be other models now.
    pub fn chain_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.models.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Base models that answer.
    pub fn bases(&self) -> impl Iterator<Item = Loaded> + '_ {
        self.bases.iter().map(|(root, base)| plain(*root, Arc::clone(base)))
    }

    /// The tuned models of this oracle that are served at a finalised block.
    pub async fn listed(&self, state: &State) -> CliResult<Vec<(u32, models::Model)>> {
        let mut own = self.own.lock().await;
        if self.lost.swap(false, Ordering::Relaxed) {
            own.clear();
        }
        let mine = own.update(state, &self.oracle).await?.to_vec();
        drop(own);
        let mut list = Vec::new();
        for id in mine {
            let found = models::model(state, id).await?;
            list.extend(found.filter(|m| m.status == models::ModelStatus::Listed).map(|m| (id, m)));
        }
        Ok(list)
    }

    /// Finds a model by number (`3`, `ft:…:3`), by `base`, or by a base's root.
    pub async fn find(&self, state: &State, name: &str) -> Result<Loaded, ApiError> {
        let missing = || ApiError::model_not_found(name);
        let number = name.rsplit(':').next().unwrap_or(name);
        if let Ok(id) = number.parse::<u32>() {
            return self.load(state, id).await.map_err(|e| match e.exit {
                Exit::NotFound => missing(),
                _ => ApiError::failed(e),
            });
        }
        let wanted = name.strip_prefix("0x").unwrap_or(name);
        let mut all = self.bases();
        if name == "base" {
            return all.next().ok_or_else(missing);
        }
        all.find(|b| hex::encode(b.base_root) == wanted || base_id(&b.base_root) == name).ok_or_else(missing)
    }

    async fn load(&self, state: &State, id: u32) -> CliResult<Loaded> {
        let gone =
            || CliError::not_found(format!("model {id} is not served here"), "GET /v1/models lists those that are");
        let m = models::model(state, id).await?.ok_or_else(gone)?;
        if m.run.oracle.0 != self.oracle || m.status != models::ModelStatus::Listed {
            return Err(gone());
        }
        if let Some(found) = self.models.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(found.clone());
        }
        let base = self.bases.get(&m.base).ok_or_else(gone)?;
        let files = adapter_files(&self.store, &m)?;
        let dir = self.data_dir.join("models").join(id.to_string());
        let job = crate::oracle::gather::facts(state, m.job).await?;
        write_atomic(&dir.join("adapter_model.safetensors"), &files)?;
        let config = weft_protocol::peft::adapter_config_json(&job.recipe, &base_id(&m.base), None);
        write_atomic(&dir.join("adapter_config.json"), config.as_bytes())?;
        let adapter = Adapter::load(&base.base, &dir).map_err(engine_error)?;
        let mut shares: BTreeMap<[u8; 32], u128> = BTreeMap::new();
        for leaves in owner_leaves(&self.store, &m)? {
            for leaf in leaves {
                let sum = shares.entry(leaf.owner).or_default();
                *sum = sum.saturating_add(leaf.paid);
            }
        }
        let mut top: Vec<([u8; 32], u32)> =
            shares.into_iter().map(|(who, paid)| (who, u32::try_from(paid / 1_000_000).unwrap_or(u32::MAX))).collect();
        top.sort_by_key(|(who, ppm)| (std::cmp::Reverse(*ppm), *who));
        top.truncate(5);
        let loaded = Loaded {
            number: Some(id),
            base_root: m.base,
            base,
            adapter: Some(Arc::new(adapter)),
            commitment: m.run.commit.0.model_commitment,
            split: m.split.0,
            method: m.run.method,
            attribution: m.run.commit.0.attribution_commitment,
            top,
        };
        self.models.lock().unwrap_or_else(PoisonError::into_inner).insert(id, loaded.clone());
        Ok(loaded)
    }

    /// Tokens of a conversation as the model reads it.
    pub fn prompt(&self, model: &Loaded, request: &Checked) -> Result<Vec<u32>, ApiError> {
        let mut messages = Vec::with_capacity(request.messages.len());
        for (role, content) in &request.messages {
            let role = Role::from_name(role)
                .ok_or_else(|| ApiError::bad_request("invalid_value", "messages", format!("unknown role '{role}'")))?;
            messages.push(Message { role, content: content.clone(), weight: 1 });
        }
        let ids = model
            .base
            .tokenizer
            .prompt(&messages)
            .map_err(|e| ApiError::bad_request("template", "messages", e.to_string()))?;
        let context = model.base.base.shape().context;
        let used = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        if used.saturating_add(request.max_tokens) > context {
            return Err(ApiError::bad_request(
                "context_length_exceeded",
                "messages",
                format!(
                    "This model's context is {context} tokens; the messages take {used} and the answer up to {}. Shorten the messages or lower max_tokens.",
                    request.max_tokens
                ),
            ));
        }
        Ok(ids)
    }

    /// Queues an answer.
    pub fn ask(&self, model: Loaded, prompt: Vec<u32>, request: Checked) -> Result<Answer, ApiError> {
        let place = Place::take(&self.waiting, self.limit).ok_or_else(ApiError::overloaded)?;
        let (sender, pieces) = mpsc::unbounded_channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let task = Task { model, prompt, request, pieces: sender, cancelled: Arc::clone(&cancelled), _place: place };
        self.queue.send(task).map_err(|_| ApiError::internal("the model thread has ended; restart the daemon"))?;
        Ok(Answer { pieces, cancelled })
    }
}

/// Id of a base model in the OpenAI API.
#[must_use]
pub fn base_id(root: &Hash) -> String {
    format!("base-{}", hex::encode(root.get(..6).unwrap_or_default()))
}

fn plain(root: Hash, base: Arc<LoadedBase>) -> Loaded {
    Loaded {
        number: None,
        base_root: root,
        base,
        adapter: None,
        commitment: [0; 32],
        split: weft_protocol::split::ModelSplit { treasury: 0, stakers: 0, owner: 0, oracle: 0, data: 0 },
        method: 0,
        attribution: [0; 32],
        top: Vec::new(),
    }
}

fn artifacts(store: &BlobStore, m: &models::Model) -> CliResult<Vec<Artifact>> {
    let list = store.get(&m.run.artifacts)?;
    Vec::<Artifact>::decode(&mut list.as_slice()).map_err(|e| {
        CliError::new(
            Exit::Verification,
            "integrity_failed",
            format!("the artifacts list of model's job {} does not decode: {e}", m.job),
            "recompute the run with `weft verify run`",
        )
    })
}

/// The adapter file of a model, checked against the pages root on chain.
pub fn adapter_files(store: &BlobStore, m: &models::Model) -> CliResult<Vec<u8>> {
    let list = artifacts(store, m)?;
    let found = list
        .iter()
        .find(|a| a.kind == ArtifactKind::Adapter)
        .ok_or_else(|| CliError::not_found("the run has no adapter artifact", "recompute it with `weft verify run`"))?;
    let bytes = store.get_limited(&found.content, m.file_len)?;
    if u64::try_from(bytes.len()) != Ok(m.file_len) || merkle::pages_root(&bytes) != m.file_pages {
        return Err(CliError::new(
            Exit::Verification,
            "integrity_failed",
            "the adapter file does not hash to the pages root on chain",
            "recompute the run with `weft verify run`",
        ));
    }
    Ok(bytes)
}

/// Owner leaves of a model by part, checked against the roots on chain.
pub fn owner_leaves(store: &BlobStore, m: &models::Model) -> CliResult<Vec<Vec<OwnerLeaf>>> {
    let list = artifacts(store, m)?;
    let mut out = Vec::new();
    for (i, part) in (0u32..).zip(&m.run.parts.0) {
        if part.leaves == 0 {
            out.push(Vec::new());
            continue;
        }
        let found = list.iter().find(|a| a.kind == ArtifactKind::Owners && a.index == i);
        let bytes = store.get(&found.map(|a| a.content).ok_or_else(|| {
            CliError::not_found(format!("part {i} has no owner leaves"), "rebuild them with `weft verify run`")
        })?)?;
        let leaves = Vec::<OwnerLeaf>::decode(&mut bytes.as_slice()).unwrap_or_default();
        if weft_protocol::sum_tree::root(&leaves).map(|n| n.hash) != Some(part.root) {
            return Err(CliError::new(
                Exit::Verification,
                "integrity_failed",
                format!("the owner leaves of part {i} do not hash to the root on chain"),
                "rebuild them with `weft verify run`",
            ));
        }
        out.push(leaves);
    }
    Ok(out)
}

fn answer(task: &Task, compute: &Compute) {
    let base = &task.model.base;
    let mut decoder = base.tokenizer.stream();
    let mut held = String::new();
    let mut count = 0u32;
    let prompt_tokens = u32::try_from(task.prompt.len()).unwrap_or(u32::MAX);
    let mut stopped = false;
    let mut failed: Option<String> = None;
    let request = GenRequest {
        prompt: task.prompt.clone(),
        max_tokens: usize::try_from(task.request.max_tokens).unwrap_or(usize::MAX),
        temperature: task.request.temperature,
        top_p: task.request.top_p,
        top_k: 0,
        seed: task.request.seed.unwrap_or_else(rand::random),
        stop_ids: base.base.eos().to_vec(),
    };
    let longest = task.request.stop.iter().map(String::len).max().unwrap_or(0);
    let mut on_token = |id: u32| {
        if task.cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        count = count.saturating_add(1);
        match decoder.push(id) {
            Ok(text) => held.push_str(&text.unwrap_or_default()),
            Err(e) => {
                failed = Some(e.to_string());
                return ControlFlow::Break(());
            }
        }
        if let Some(at) = task.request.stop.iter().filter_map(|s| held.find(s.as_str())).min() {
            held.truncate(at);
            stopped = true;
            return ControlFlow::Break(());
        }
        // A stop text may begin at the end of what is known: that much is held back.
        let keep = held.len().saturating_sub(longest.saturating_sub(1));
        let cut = (0..=keep).rev().find(|i| held.is_char_boundary(*i)).unwrap_or(0);
        if cut > 0 {
            let rest = held.split_off(cut);
            let out = std::mem::replace(&mut held, rest);
            if task.pieces.send(Piece::Text(out, count)).is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    let done = generate(&base.base, task.model.adapter.as_deref(), compute, &request, &mut on_token);
    let done = match (done, failed) {
        (Ok(_), Some(e)) => Err(e),
        (Err(e), _) => Err(e.to_string()),
        (Ok(generation), None) if stopped => Ok((generation, String::new())),
        (Ok(generation), None) => decoder.finish().map(|rest| (generation, rest)).map_err(|e| e.to_string()),
    };
    let last = match done {
        Ok((generation, rest)) => {
            held.push_str(&rest);
            if !held.is_empty() {
                let _reader_gone = task.pieces.send(Piece::Text(held, count));
            }
            let reason = match generation.finish {
                _ if stopped => "stop",
                FinishReason::Length => "length",
                _ => "stop",
            };
            Piece::End(reason, prompt_tokens, count)
        }
        Err(e) => Piece::Failed(e),
    };
    let _reader_gone = task.pieces.send(last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_should_be_free_again_when_its_request_ends_anyhow() {
        let waiting = Arc::new(AtomicUsize::new(0));
        let first = Place::take(&waiting, 1).unwrap();
        assert!(Place::take(&waiting, 1).is_none());
        assert_eq!(waiting.load(Ordering::Relaxed), 1, "a refused request holds nothing");
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _first = first;
            panic!("as wanted by the test")
        }));
        assert!(panicked.is_err() && Place::take(&waiting, 1).is_some());
    }
}
