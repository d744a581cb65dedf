//! Models in memory and the thread that owns them.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    panic::{catch_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
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
    recipe::Recipe,
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

/// Adapters that stay in memory.
const RESIDENT: usize = 16;
/// Longest list of artifacts that is read, in bytes.
const MOST_ARTIFACTS: u64 = 1 << 20;
/// Most bytes of an owner leaf in SCALE.
const LEAF: u64 = 160;

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

/// A model that a request names.
pub enum Found {
    /// A base.
    Base(Loaded),
    /// A tuned model that is served: its number, what the chain holds of it, its base.
    Tuned(u32, Box<models::Model>, Arc<LoadedBase>),
}

impl Found {
    /// The base that reads the prompt.
    #[must_use]
    pub fn base(&self) -> &Arc<LoadedBase> {
        match self {
            Self::Base(loaded) => &loaded.base,
            Self::Tuned(_, _, base) => base,
        }
    }

    /// Number and newest price version of a tuned model.
    #[must_use]
    pub fn priced(&self) -> Option<(u32, u32)> {
        match self {
            Self::Base(_) => None,
            Self::Tuned(id, m, _) => Some((*id, m.price_version)),
        }
    }
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

/// A request in the queue, taken out by the thread that answers it, or by its own answer when nobody waits for it any
/// more: its place and its prompt must not stay behind a long answer.
type Slot = Arc<Mutex<Option<Task>>>;

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
    models: Mutex<Recent>,
    /// The turn to load an adapter.
    loading: tokio::sync::Mutex<()>,
    own: tokio::sync::Mutex<OwnModels>,
    /// The chain lost blocks since the models were listed.
    lost: AtomicBool,
    queue: std::sync::mpsc::Sender<Slot>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// A running answer. Dropping it cancels the generation.
pub struct Answer {
    /// Pieces as they come.
    pub pieces: mpsc::UnboundedReceiver<Piece>,
    cancelled: Arc<AtomicBool>,
    slot: Slot,
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
        let _not_begun = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Models in memory, the one asked last at the end.
#[derive(Default)]
struct Recent(Vec<(u32, Loaded)>);

impl Recent {
    /// A model of this commitment: after a lost head a number may mean another.
    fn get(&mut self, id: u32, commitment: &Hash) -> Option<Loaded> {
        let at = self.0.iter().position(|(n, loaded)| *n == id && loaded.commitment == *commitment)?;
        let found = self.0.remove(at);
        let loaded = found.1.clone();
        self.0.push(found);
        Some(loaded)
    }

    /// Keeps a model, and forgets the one that nobody has asked for the longest time when there are too many.
    fn keep(&mut self, id: u32, loaded: Loaded) {
        self.0.retain(|(n, _)| *n != id);
        self.0.push((id, loaded));
        let over = self.0.len().saturating_sub(RESIDENT);
        self.0.drain(..over);
    }
}

/// Work that reads files or computes, away from the threads that answer requests.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> CliResult<T> + Send + 'static) -> CliResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| {
        Err(CliError::new(Exit::Failed, "panic", format!("it ended with a panic: {e}"), "report this with the log"))
    })
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
        let (queue, slots) = std::sync::mpsc::channel::<Slot>();
        let spawned = std::thread::Builder::new().name("model".into()).spawn(move || {
            // As for runs: chain duties and HTTP answer in time because computation yields to them.
            if let Err(e) = rustix::process::nice(10) {
                tracing::debug!("priority stays as it is: {e}");
            }
            while let Ok(slot) = slots.recv() {
                let Some(task) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() else { continue };
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
            loading: tokio::sync::Mutex::default(),
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
        self.models.lock().unwrap_or_else(PoisonError::into_inner).0.clear();
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

    /// Finds a model by number (`3`, `ft:…:3`), by `base`, or by a base's root. Of a tuned model nothing is loaded yet.
    pub async fn find(&self, state: &State, name: &str) -> Result<Found, ApiError> {
        let missing = || ApiError::model_not_found(name);
        let number = name.rsplit(':').next().unwrap_or(name);
        if let Ok(id) = number.parse::<u32>() {
            let m = models::model(state, id).await.map_err(ApiError::failed)?.ok_or_else(missing)?;
            if m.run.oracle.0 != self.oracle || m.status != models::ModelStatus::Listed {
                return Err(missing());
            }
            let base = self.bases.get(&m.base).ok_or_else(|| {
                let cause = format!("Base model {} of model {id} is not on this machine.", base_id(&m.base));
                tracing::error!(model = id, "{cause}");
                ApiError::model_unavailable(cause)
            })?;
            return Ok(Found::Tuned(id, Box::new(m), base));
        }
        let wanted = name.strip_prefix("0x").unwrap_or(name);
        let mut all = self.bases();
        if name == "base" {
            return all.next().map(Found::Base).ok_or_else(missing);
        }
        let found = all.find(|b| hex::encode(b.base_root) == wanted || base_id(&b.base_root) == name);
        found.map(Found::Base).ok_or_else(missing)
    }

    /// Loads a model. One that is listed and cannot be loaded is unavailable, not unknown: its consumers and its owner
    /// have done nothing wrong.
    pub async fn load(&self, state: &State, found: Found) -> Result<Loaded, ApiError> {
        let (id, m, base) = match found {
            Found::Base(base) => return Ok(base),
            Found::Tuned(id, m, base) => (id, m, base),
        };
        self.tuned(state, id, *m, base).await.map_err(|e| {
            if e.exit == Exit::Unreachable {
                return ApiError::failed(e);
            }
            tracing::error!(model = id, "a listed model cannot answer: {e}");
            ApiError::model_unavailable(format!("Model {id} cannot be loaded now: {}.", e.cause))
        })
    }

    async fn tuned(&self, state: &State, id: u32, m: models::Model, base: Arc<LoadedBase>) -> CliResult<Loaded> {
        let commitment = m.run.commit.0.model_commitment;
        let recent = || self.models.lock().unwrap_or_else(PoisonError::into_inner).get(id, &commitment);
        if let Some(loaded) = recent() {
            return Ok(loaded);
        }
        // One at a time, and a second request for the same model finds it here.
        let _turn = self.loading.lock().await;
        if let Some(loaded) = recent() {
            return Ok(loaded);
        }
        let recipe = models::recipe(state, m.job).await?;
        let recipe = recipe.ok_or_else(|| state.missing(format!("the recipe of job {}", m.job)))?;
        let dir = self.data_dir.join("models").join(id.to_string());
        let store = self.store.clone();
        let loaded = blocking(move || load_tuned(&store, &dir, id, &m, &recipe, base)).await?;
        self.models.lock().unwrap_or_else(PoisonError::into_inner).keep(id, loaded.clone());
        Ok(loaded)
    }

    /// As [`Serving::prompt`], away from the threads that answer requests: a long prompt takes its time.
    pub async fn tokens(&self, base: &Arc<LoadedBase>, request: &Checked) -> Result<Vec<u32>, ApiError> {
        let (base, request) = (Arc::clone(base), request.clone());
        let done = tokio::task::spawn_blocking(move || Self::prompt(&base, &request)).await;
        done.unwrap_or_else(|e| Err(ApiError::internal(format!("the prompt could not be read: {e}"))))
    }

    /// Tokens of a conversation as the model reads it.
    pub fn prompt(base: &LoadedBase, request: &Checked) -> Result<Vec<u32>, ApiError> {
        let mut messages = Vec::with_capacity(request.messages.len());
        for (role, content) in &request.messages {
            let role = Role::from_name(role)
                .ok_or_else(|| ApiError::bad_request("invalid_value", "messages", format!("unknown role '{role}'")))?;
            messages.push(Message { role, content: content.clone(), weight: 1 });
        }
        let ids = base
            .tokenizer
            .prompt(&messages)
            .map_err(|e| ApiError::bad_request("template", "messages", e.to_string()))?;
        let context = base.base.shape().context;
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
        let slot: Slot = Arc::new(Mutex::new(Some(task)));
        self.queue
            .send(Arc::clone(&slot))
            .map_err(|_| ApiError::internal("the model thread has ended; restart the daemon"))?;
        Ok(Answer { pieces, cancelled, slot })
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

/// Reads a tuned model from the store, in the calling thread.
fn load_tuned(
    store: &BlobStore,
    dir: &Path,
    id: u32,
    m: &models::Model,
    recipe: &[u8],
    base: Arc<LoadedBase>,
) -> CliResult<Loaded> {
    let recipe = Recipe::decode(&mut &*recipe).map_err(|e| {
        CliError::new(
            Exit::Verification,
            "integrity_failed",
            format!("the recipe of job {} does not decode: {e}", m.job),
            "report the node",
        )
    })?;
    let files = adapter_files(store, m)?;
    write_atomic(&dir.join("adapter_model.safetensors"), &files)?;
    let config = weft_protocol::peft::adapter_config_json(&recipe, &base_id(&m.base), None);
    write_atomic(&dir.join("adapter_config.json"), config.as_bytes())?;
    let adapter = Adapter::load(&base.base, dir).map_err(engine_error)?;
    let mut shares: BTreeMap<[u8; 32], u128> = BTreeMap::new();
    for leaf in owner_leaves(store, m)?.into_iter().flatten() {
        let sum = shares.entry(leaf.owner).or_default();
        *sum = sum.saturating_add(leaf.paid);
    }
    let mut top: Vec<([u8; 32], u32)> =
        shares.into_iter().map(|(who, paid)| (who, u32::try_from(paid / 1_000_000).unwrap_or(u32::MAX))).collect();
    top.sort_by_key(|(who, ppm)| (std::cmp::Reverse(*ppm), *who));
    top.truncate(5);
    Ok(Loaded {
        number: Some(id),
        base_root: m.base,
        base,
        adapter: Some(Arc::new(adapter)),
        commitment: m.run.commit.0.model_commitment,
        split: m.split.0,
        method: m.run.method,
        attribution: m.run.commit.0.attribution_commitment,
        top,
    })
}

fn artifacts(store: &BlobStore, m: &models::Model) -> CliResult<Vec<Artifact>> {
    let list = store.get_limited(&m.run.artifacts, MOST_ARTIFACTS)?;
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
        let content = found.map(|a| a.content).ok_or_else(|| {
            CliError::not_found(format!("part {i} has no owner leaves"), "rebuild them with `weft verify run`")
        })?;
        // The leaves, and their number in front.
        let bytes = store.get_limited(&content, u64::from(part.leaves).saturating_mul(LEAF).saturating_add(8))?;
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

    fn tiny() -> Arc<LoadedBase> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-base");
        Arc::new(crate::oracle::runs::load_base(&dir).unwrap())
    }

    #[test]
    fn adapters_should_be_forgotten_when_others_are_asked_for() {
        // GIVEN more models than stay in memory, of which the first is asked again and again
        let base = tiny();
        let model = |n: u8| Loaded { commitment: [n; 32], ..plain([0; 32], Arc::clone(&base)) };
        let mut recent = Recent::default();
        for n in 0..=u8::try_from(RESIDENT).unwrap() {
            recent.keep(n.into(), model(n));
            assert!(recent.get(0, &[0; 32]).is_some());
        }
        // THEN the one that nobody asked for is gone
        assert_eq!(recent.0.len(), RESIDENT);
        assert!(recent.get(1, &[1; 32]).is_none() && recent.get(2, &[2; 32]).is_some());
        // AND a number that means another model now is not answered by the old one
        assert!(recent.get(2, &[9; 32]).is_none());
    }

    #[test]
    fn place_should_be_free_again_when_nobody_waits_for_the_answer() {
        let base = tiny();
        // GIVEN a request in the queue
        let waiting = Arc::new(AtomicUsize::new(0));
        let (pieces, received) = mpsc::unbounded_channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let request = Checked {
            messages: Vec::new(),
            max_tokens: 1,
            temperature: 0.0,
            top_p: 1.0,
            seed: None,
            stop: Vec::new(),
            stream: false,
            include_usage: false,
        };
        let task = Task {
            model: plain([0; 32], base),
            prompt: vec![1],
            request,
            pieces,
            cancelled: Arc::clone(&cancelled),
            _place: Place::take(&waiting, 1).unwrap(),
        };
        let slot: Slot = Arc::new(Mutex::new(Some(task)));
        let answer = Answer { pieces: received, cancelled, slot: Arc::clone(&slot) };
        // WHEN its client goes away THEN the next one has its place, and nothing is left to answer
        drop(answer);
        assert!(slot.lock().unwrap().is_none() && Place::take(&waiting, 1).is_some());
    }

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
