//! Pallet models: base models, jobs, models.

use codec::{Decode, Encode};
use subxt::ext::{
    scale_decode::DecodeAsType,
    scale_value::{At, Value, ValueDef},
};
use weft_protocol::{
    hash::Hash,
    job::{JobState, Tier},
    run::{Commit, Part},
    shape::ModelShape,
    split::ModelSplit,
};

use crate::{state::Static, Call, ChainError, State};

const PALLET: &str = "Models";

/// How a job pays for the use of one Datanet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum GrantRef {
    /// A grant the builder holds.
    Held(u32),
    /// Acquired in the same call.
    Acquire {
        /// Licence version.
        version: u32,
        /// Highest price accepted.
        max_price: u128,
        /// Purpose bits.
        purpose: u16,
        /// Trainings.
        uses: u32,
    },
}

/// One Datanet of a job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JobInput {
    /// The Datanet.
    pub datanet: u32,
    /// Its snapshot.
    pub snapshot: u32,
    /// The permission.
    pub grant: GrantRef,
}

/// What a builder asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JobSpec {
    /// Root of an active base model.
    pub base: Hash,
    /// Model to start from: not built, must be `None`.
    pub parent: Option<u32>,
    /// Datanets, ascending.
    pub inputs: Vec<JobInput>,
    /// The recipe in SCALE.
    pub recipe: Vec<u8>,
    /// Class and graph.
    pub sem_id: Hash,
    /// Verification tier.
    pub tier: Tier,
    /// Fee R.
    pub fee: u128,
    /// Declared value G.
    pub value: u128,
    /// Split of the model's fees.
    pub split: ModelSplit,
}

/// A registered base model.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct BaseModel {
    /// Name.
    pub name: Vec<u8>,
    /// Shape.
    pub shape: Static<ModelShape>,
    /// Licence.
    pub licence: Vec<u8>,
    /// Status.
    pub status: BaseStatus,
}

/// Where a base model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum BaseStatus {
    /// Registered, not yet usable.
    Registered,
    /// Usable.
    Active,
    /// No new job.
    Retired,
    /// Proved inconsistent.
    Refuted,
}

/// One Datanet of a stored job.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct JobData {
    /// The Datanet.
    pub datanet: u32,
    /// Its snapshot.
    pub snapshot: u32,
    /// Root of the snapshot.
    pub root: Hash,
    /// Records in the snapshot.
    pub records: u32,
    /// The grant.
    pub grant: u32,
    /// Licence version.
    pub version: u32,
    /// L_d.
    pub price: u128,
}

/// Inherited licence terms.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct InheritedTerms {
    /// Largest base part, ppm.
    pub base_ppm: u32,
}

/// Run and replay length in blocks.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct RunBlocks {
    /// The run.
    pub run: u32,
    /// A full replay.
    pub replay: u32,
}

/// What is on hold for a job.
#[derive(Clone, Copy, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Escrow {
    /// Fee.
    pub fee: u128,
    /// Verification.
    pub verification: u128,
    /// Licence price.
    pub licence: u128,
}

/// A training job.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Job {
    /// Who pays.
    pub builder: Static<[u8; 32]>,
    /// Base model.
    pub base: Hash,
    /// Datanets, ascending.
    pub inputs: Vec<JobData>,
    /// Hash of the recipe.
    pub recipe_hash: Hash,
    /// Steps N.
    pub steps: u32,
    /// Records n.
    pub records: u32,
    /// Timestamp of the submitting block.
    pub time_ms: u64,
    /// Class and graph.
    pub sem_id: Hash,
    /// Attribution method.
    pub method: u16,
    /// Tier.
    pub tier: Static<Tier>,
    /// Score shift.
    pub score_shift: u8,
    /// Root of the reserves.
    pub probe_root: Hash,
    /// What binds the run.
    pub spec_hash: Hash,
    /// Fee R.
    pub fee: u128,
    /// Verification V.
    pub verification: u128,
    /// Licence L.
    pub licence: u128,
    /// Declared value G.
    pub value: u128,
    /// Stake S.
    pub stake: u128,
    /// Still on hold.
    pub escrow: Escrow,
    /// Split.
    pub split: Static<ModelSplit>,
    /// Inherited terms.
    pub terms: InheritedTerms,
    /// Timers.
    pub blocks: RunBlocks,
    /// State.
    pub state: Static<JobState>,
    /// Clock at submission.
    pub submitted: u32,
    /// Deadline of the state.
    pub deadline: Option<u32>,
    /// The minted model.
    pub model: Option<u32>,
}

/// What recomputes a model's run.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct ModelRun {
    /// Oracle of the run.
    pub oracle: Static<[u8; 32]>,
    /// Seed.
    pub seed: Hash,
    /// Commitment.
    pub commit: Static<Commit>,
    /// Secret.
    pub secret: Hash,
    /// Artifacts list.
    pub artifacts: Hash,
    /// Method.
    pub method: u16,
    /// Parts.
    pub parts: Static<Vec<Part>>,
}

/// A minted model.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Model {
    /// Owner.
    pub owner: Static<[u8; 32]>,
    /// Its job.
    pub job: u32,
    /// Base model.
    pub base: Hash,
    /// Last state S_N.
    pub state: Hash,
    /// Bytes of the adapter file.
    pub file_len: u64,
    /// Root of its pages.
    pub file_pages: Hash,
    /// Split.
    pub split: Static<ModelSplit>,
    /// Declared value.
    pub value: u128,
    /// Newest price version.
    pub price_version: u32,
    /// Whether it is served.
    pub status: ModelStatus,
    /// Clock at Final.
    pub minted: u32,
    /// Class and graph.
    pub sem_id: Hash,
    /// Its run.
    pub run: ModelRun,
}

/// Whether a model is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub enum ModelStatus {
    /// Served.
    Listed,
    /// Taken down by its owner.
    Delisted,
    /// Taken down by a licence.
    Stopped,
}

/// Prices of one version, per 1,000 tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Price {
    /// Input tokens.
    pub input: u128,
    /// Output tokens.
    pub output: u128,
    /// Clock value from which it holds.
    pub from: u32,
}

/// Cost of a job and everything that would refuse it.
#[derive(Clone, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Quote {
    /// Steps.
    pub steps: u32,
    /// Records.
    pub records: u32,
    /// Fee R.
    pub fee: u128,
    /// Fee of one verifier.
    pub verifier_fee: u128,
    /// Verification V.
    pub verification: u128,
    /// Licence prices.
    pub licence: Vec<(u32, u128)>,
    /// Held at submission.
    pub total: u128,
    /// Stake of the oracle.
    pub stake: u128,
    /// Timers.
    pub blocks: RunBlocks,
    /// Why submission would fail; empty when it would pass.
    refusals: Vec<Value>,
}

impl Quote {
    /// Why submission would fail, by the runtime's own names; empty when it would pass.
    #[must_use]
    pub fn refusals(&self, state: &State) -> Vec<ChainError> {
        self.refusals.iter().map(|r| named(r, state)).collect()
    }
}

/// Turns an encoded `DispatchError` into cause and next step, from the metadata's own docs.
fn named(refusal: &Value, state: &State) -> ChainError {
    let module = match &refusal.value {
        ValueDef::Variant(v) if v.name == "Module" => v.values.at(0usize),
        _ => None,
    };
    let number = |v: Option<&Value>| v.and_then(Value::as_u128).and_then(|n| u8::try_from(n).ok());
    let index = number(module.and_then(|m| m.at("index")));
    let error = number(module.and_then(|m| m.at("error")).and_then(|e| e.at(0usize)));
    let metadata = state.at.metadata();
    let found = index.zip(error).and_then(|(index, error)| {
        let pallet = metadata.pallet_by_error_index(index)?;
        let variant = pallet.error_variant_by_index(error)?;
        Some(ChainError::Refused {
            pallet: pallet.name().to_string(),
            name: variant.name.clone(),
            docs: variant.docs.join(" ").trim().to_string(),
        })
    });
    found.unwrap_or_else(|| ChainError::Refused {
        pallet: "System".into(),
        name: "DispatchError".into(),
        docs: refusal.to_string(),
    })
}

/// Genesis parameters of the pallet that clients need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct Params {
    /// Deposit of a base model.
    pub base_deposit: u128,
}

/// Parameters of the chain's models.
pub async fn params(state: &State) -> Result<Params, ChainError> {
    let found = state.get(PALLET, "Params", ()).await?;
    found.ok_or_else(|| state.missing("the deposit of base models"))
}

/// A base model.
pub async fn base_model(state: &State, root: &Hash) -> Result<Option<BaseModel>, ChainError> {
    state.get(PALLET, "BaseModels", (*root,)).await
}

/// Number of the next job: all below exist or existed.
pub async fn next_job(state: &State) -> Result<u32, ChainError> {
    Ok(state.get(PALLET, "NextJob", ()).await?.unwrap_or_default())
}

/// Number of the next model.
pub async fn next_model(state: &State) -> Result<u32, ChainError> {
    Ok(state.get(PALLET, "NextModel", ()).await?.unwrap_or_default())
}

/// A job.
pub async fn job(state: &State, id: u32) -> Result<Option<Job>, ChainError> {
    state.get(PALLET, "Jobs", (id,)).await
}

/// The recipe of a job in SCALE.
pub async fn recipe(state: &State, id: u32) -> Result<Option<Vec<u8>>, ChainError> {
    state.get(PALLET, "Recipes", (id,)).await
}

/// A model.
pub async fn model(state: &State, id: u32) -> Result<Option<Model>, ChainError> {
    state.get(PALLET, "Models", (id,)).await
}

/// Prices of a version.
pub async fn price(state: &State, model: u32, version: u32) -> Result<Option<Price>, ChainError> {
    state.get(PALLET, "Prices", (model, version)).await
}

/// The price in force at this block, with its version: a new one waits for its notice.
pub async fn price_in_force(state: &State, model: u32, newest: u32) -> Result<(u32, Price), ChainError> {
    for version in (0..=newest).rev() {
        if let Some(found) = price(state, model, version).await?.filter(|p| p.from <= state.head.number) {
            return Ok((version, found));
        }
    }
    Ok((newest, Price::default()))
}

/// What the job would cost and what would refuse it.
pub async fn quote(state: &State, who: &[u8; 32], spec: &JobSpec) -> Result<Quote, ChainError> {
    state.view(PALLET, "quote", (*who, Static(spec.clone()))).await
}

/// Registers a base model.
#[must_use]
pub fn register_base_model(
    root: Hash,
    name: &str,
    shape: &ModelShape,
    tokenizer: Hash,
    template: Hash,
    licence: &str,
) -> Call {
    Call::new(PALLET, "register_base_model", &(root, name.as_bytes(), shape, tokenizer, template, licence.as_bytes()))
}

/// Activates a base model (root).
#[must_use]
pub fn activate(root: Hash) -> Call {
    Call::new(PALLET, "activate", &root)
}

/// Submits a job.
#[must_use]
pub fn submit_job(spec: &JobSpec) -> Call {
    Call::new(PALLET, "submit_job", spec)
}

/// Cancels an open job.
#[must_use]
pub fn cancel_job(job: u32) -> Call {
    Call::new(PALLET, "cancel_job", &job)
}

/// Sets the prices of a model per 1,000 tokens.
#[must_use]
pub fn set_prices(model: u32, input: u128, output: u128) -> Call {
    Call::new(PALLET, "set_prices", &(model, input, output))
}

/// Applies due transitions of a job.
#[must_use]
pub fn poke(job: u32) -> Call {
    Call::new(PALLET, "poke", &job)
}
