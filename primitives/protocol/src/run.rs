//! Commitments of a run: data, states, steps, result, opening, blind answers.

use crate::{
    hash::{h, tag, Hash, ZERO},
    job::Tier,
    merkle::{self, Page},
    recipe::Recipe,
    AccountId,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The exact class every implementation of `weft-numerics` runs.
pub const CLASS_CPU_F32: &str = "cpu-f32/1";
/// Most parts of a job: its Datanets.
pub const MAX_PARTS: usize = 16;
/// Fixed-point shift of scores.
pub const SCORE_SHIFT: u8 = 40;

/// `H("weft.sem", class, graph)`.
pub fn sem_id(class: &str, graph: u16) -> Hash {
    h(&tag::SEM, &(class, graph))
}

/// A program as licences name it: `H("weft.prg", sem_id, recipe schema)`.
pub fn program_id(sem_id: &Hash, schema: u16) -> Hash {
    h(&tag::PROGRAM, &(sem_id, schema))
}

/// One Datanet of a job, as `spec_hash` binds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Snapshot {
    /// The Datanet.
    pub datanet: u32,
    /// Snapshot root.
    pub root: Hash,
    /// Records in it.
    pub records: u32,
    /// Root of near-duplicate clusters; zero when absent.
    pub clusters: Hash,
}

/// Everything the chain fixes of a run.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Spec {
    /// The job.
    pub job: u32,
    /// Class and graph.
    pub sem_id: Hash,
    /// The base model.
    pub base_root: Hash,
    /// Snapshots, ascending by Datanet.
    pub snapshots: Vec<Snapshot>,
    /// Merkle root over the roots of the sealed reserves; zero when absent.
    pub probe_root: Hash,
    /// The recipe.
    pub recipe: Recipe,
    /// Attribution method, 0: off.
    pub method: u16,
    /// Verification tier.
    pub tier: Tier,
    /// [`SCORE_SHIFT`].
    pub score_shift: u8,
}

impl Spec {
    /// `spec_hash = H("weft.spc", …)` over the fields in order.
    pub fn hash(&self) -> Hash {
        h(&tag::SPEC, self)
    }
}

/// `H("weft.sed", spec_hash, oracle, beacon)`.
pub fn seed(spec_hash: &Hash, oracle: &AccountId, beacon: &Hash) -> Hash {
    h(&tag::SEED, &(spec_hash, oracle, beacon))
}

/// `H("weft.run", spec_hash, oracle, seed)`.
pub fn run_id(spec_hash: &Hash, oracle: &AccountId, seed: &Hash) -> Hash {
    h(&tag::RUN, &(spec_hash, oracle, seed))
}

/// One record of a job's data: D_i.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct DataLeaf {
    /// Position i in the job.
    pub index: u32,
    /// Id of the record.
    pub record_id: Hash,
    /// Its contributor.
    pub owner: AccountId,
    /// 1,000,000, or 0 when it does not train.
    pub weight_ppm: u32,
    /// Tokens.
    pub tokens: u32,
    /// Trained tokens, counted after the shift.
    pub loss_tokens: u32,
    /// T(ids), u32 `[tokens]`.
    pub ids: Hash,
    /// T(mask), u8 `[tokens]`.
    pub mask: Hash,
}

impl DataLeaf {
    /// `D_i = H("weft.rec", …)` over the fields in order.
    pub fn hash(&self) -> Hash {
        h(&tag::DATA_LEAF, self)
    }
}

/// `data_root = H("weft.dat", n, n_loss_total u64, MR(D_0…))`; `None` beyond 2^32 records.
pub fn data_root(leaves: &[DataLeaf]) -> Option<Hash> {
    let n = u32::try_from(leaves.len()).ok()?;
    let total = leaves.iter().try_fold(0u64, |acc, leaf| acc.checked_add(u64::from(leaf.loss_tokens)))?;
    let hashes: Vec<Hash> = leaves.iter().map(DataLeaf::hash).collect();
    Some(h(&tag::DATA, &(n, total, merkle::root(&hashes))))
}

/// Tensor hashes of one slot: parameters and both moments, or their cotangents.
pub type SlotHashes = [Hash; 3];

fn slots_root(slots: &[SlotHashes]) -> (u32, Hash) {
    // States have at most 2^16 · 14 slots.
    (u32::try_from(slots.len()).unwrap_or(u32::MAX), merkle::root(slots.as_flattened()))
}

/// `S_t = H("weft.sta", run_id, t, status, slots, MR(T(θ_s), T(m_s), T(v_s) by slot))`. Status 1: diverged.
pub fn state_hash(run_id: &Hash, t: u32, status: u8, slots: &[SlotHashes]) -> Hash {
    let (count, root) = slots_root(slots);
    h(&tag::STATE, &(run_id, t, status, count, root))
}

/// `R_t = H("weft.adj", run_id, cotangent, t, slots, MR(T(λθ_s), T(λm_s), T(λv_s) by slot), T(scores i64[n]), aux)`.
pub fn reverse_hash(run_id: &Hash, cotangent: u32, t: u32, slots: &[SlotHashes], scores: &Hash, aux: &Hash) -> Hash {
    let (count, root) = slots_root(slots);
    h(&tag::REVERSE, &(run_id, cotangent, t, count, root, scores, aux))
}

/// Number of the reverse state R_t in the chain X of a run of `n` steps: 2n + 1 − t.
pub fn reverse_index(n: u32, t: u32) -> Option<u32> {
    n.checked_mul(2)?.checked_add(1)?.checked_sub(t)
}

/// Number of states X_u that a commitment counts: 2n + 2 with reverse states, else n_done + 1.
pub fn state_count(n_done: u32, reverse: bool) -> Option<u32> {
    let forward = n_done.checked_add(1)?;
    if reverse {
        forward.checked_mul(2)
    } else {
        Some(forward)
    }
}

/// `nonce_u = H("weft.non", secret, u)`.
pub fn nonce(secret: &Hash, u: u32) -> Hash {
    h(&tag::NONCE, &(secret, u))
}

/// `leaf_u = H("weft.lea", u, nonce_u, X_u)`.
pub fn step_leaf(u: u32, nonce: &Hash, state: &Hash) -> Hash {
    h(&tag::STEP_LEAF, &(u, nonce, state))
}

/// Leaves of all states X_0, X_1, … under a secret.
pub fn step_leaves(secret: &Hash, states: &[Hash]) -> Vec<Hash> {
    (0u32..).zip(states).map(|(u, state)| step_leaf(u, &nonce(secret, u), state)).collect()
}

/// `steps_root = H("weft.stp", count, MR(leaf_0…))` over given leaves; `None` beyond 2^32 leaves.
pub fn steps_root(leaves: &[Hash]) -> Option<Hash> {
    Some(steps_root_of(u32::try_from(leaves.len()).ok()?, &merkle::root(leaves)))
}

/// [`steps_root`] from count and Merkle root.
pub fn steps_root_of(count: u32, root: &Hash) -> Hash {
    h(&tag::STEPS, &(count, root))
}

/// Whether X_u = `state` under the steps root, with its nonce from `secret` and the Merkle path of its leaf.
pub fn verify_state(steps_root: &Hash, count: u32, u: u32, secret: &Hash, state: &Hash, path: &[Hash]) -> bool {
    let leaf = step_leaf(u, &nonce(secret, u), state);
    merkle::fold(count, u, &leaf, path).is_some_and(|root| steps_root_of(count, &root) == *steps_root)
}

/// `H("weft.sec", secret)`.
pub fn secret_hash(secret: &Hash) -> Hash {
    h(&tag::SECRET, secret)
}

/// How a run came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Outcome {
    /// All steps done.
    #[codec(index = 0)]
    Done,
    /// A non-finite norm ended it.
    #[codec(index = 1)]
    Diverged,
}

/// What the oracle posts after the run: 165 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Commit {
    /// Steps done: N, or fewer when diverged.
    pub n_done: u32,
    /// Outcome.
    pub outcome: Outcome,
    /// Data.
    pub data_root: Hash,
    /// States.
    pub steps_root: Hash,
    /// Adapter; zero when diverged.
    pub model_commitment: Hash,
    /// Attribution; zero when diverged.
    pub attribution_commitment: Hash,
    /// [`secret_hash`].
    pub secret: Hash,
}

/// Sums of one Datanet's owner leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Part {
    /// The Datanet.
    pub datanet: u32,
    /// Number of owner leaves.
    pub leaves: u32,
    /// Root of the sum tree.
    pub root: Hash,
    /// Positive scores.
    pub pos: u128,
    /// Absolute values of negative scores.
    pub neg: u128,
    /// Points.
    pub paid: u128,
}

/// `H("weft.mdl", S_N, file_len, file_pages)`.
pub fn model_commitment(s_n: &Hash, file_len: u64, file_pages: &Hash) -> Hash {
    h(&tag::MODEL, &(s_n, file_len, file_pages))
}

/// `H("weft.atr", method, cotangent, x, R_0, parts, extra)`.
pub fn attribution_commitment(method: u16, cotangent: u32, x: i8, r0: &Hash, parts: &[Part], extra: &Hash) -> Hash {
    h(&tag::ATTRIBUTION, &(method, cotangent, x, r0, parts, extra))
}

/// Totals of method 1: `H("weft.ext", u, ΣW, Σ base weights, rough)`.
pub fn extra_hash(u: u128, sum_w: u128, sum_base: u128, rough: bool) -> Hash {
    h(&tag::EXTRA, &(u, sum_w, sum_base, rough))
}

/// What the oracle reveals of a run that is done, with its secret.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Opening {
    /// Last state.
    pub s_n: Hash,
    /// Bytes of the adapter file.
    pub file_len: u64,
    /// MR of the file's 1 KiB pages.
    pub file_pages: Hash,
    /// Attribution method, 0: off.
    pub method: u16,
    /// Cotangent, 0: probe.
    pub cotangent: u32,
    /// Scores are in 2^x nats.
    pub x: i8,
    /// Last reverse state.
    pub r0: Hash,
    /// Parts, ascending by Datanet; at most [`MAX_PARTS`].
    pub parts: Vec<Part>,
    /// [`extra_hash`]; zero for method 0.
    pub extra: Hash,
    /// Content id of the encoded list of [`Artifact`]s.
    pub artifacts: Hash,
}

impl Opening {
    /// Whether it opens both commitments of `commit`, has at most 16 ascending parts, and the outcome is Done.
    pub fn matches(&self, commit: &Commit) -> bool {
        commit.outcome == Outcome::Done
            && self.parts.len() <= MAX_PARTS
            && self.parts.is_sorted_by(|a, b| a.datanet < b.datanet)
            && self.model_commitment() == commit.model_commitment
            && self.attribution_commitment() == commit.attribution_commitment
    }

    /// The model commitment it opens.
    pub fn model_commitment(&self) -> Hash {
        model_commitment(&self.s_n, self.file_len, &self.file_pages)
    }

    /// The attribution commitment it opens.
    pub fn attribution_commitment(&self) -> Hash {
        attribution_commitment(self.method, self.cotangent, self.x, &self.r0, &self.parts, &self.extra)
    }
}

/// What an artifact of a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum ArtifactKind {
    /// The adapter file.
    #[codec(index = 0)]
    Adapter,
    /// All X_u, 32 bytes each.
    #[codec(index = 1)]
    States,
    /// Owner leaves of a part; the index is the part's position.
    #[codec(index = 2)]
    Owners,
    /// A checkpoint; the index is u.
    #[codec(index = 3)]
    Checkpoint,
}

/// A blob that belongs to a run, served by the oracle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Position of the part, or u of the checkpoint; else 0.
    pub index: u32,
    /// Content id of the blob (or of its manifest).
    pub content: Hash,
}

/// ⌈√n⌉.
pub fn ceil_sqrt(n: u32) -> u32 {
    let root = n.isqrt();
    root.saturating_add(u32::from(root.saturating_mul(root) < n))
}

/// Steps whose states are kept: every ⌈√N⌉-th from 0, and N.
pub fn checkpoints(n: u32) -> Vec<u32> {
    let stride = usize::try_from(ceil_sqrt(n).max(1)).unwrap_or(usize::MAX);
    let mut out: Vec<u32> = (0..n).step_by(stride).collect();
    out.push(n);
    out
}

/// Audited segments (c, d) between checkpoints; a last one of one step joins its neighbour.
pub fn segments(n: u32) -> Vec<(u32, u32)> {
    let mut points = checkpoints(n);
    if let [.., before, last] = points.as_slice() {
        if points.len() > 2 && last.saturating_sub(*before) == 1 {
            let last = *last;
            points.truncate(points.len().saturating_sub(2));
            points.push(last);
        }
    }
    points.iter().zip(points.iter().skip(1)).map(|(c, d)| (*c, *d)).collect()
}

/// The step whose state a juror must hold: drawn among 1…N−1 without checkpoints; 1 when N = 1.
///
/// Closed form, because a block hook calls it: of every ⌈√N⌉ steps the first is a checkpoint and the others are free.
pub fn jury_step(draw: &Hash, n: u32) -> u32 {
    let (stride, inner) = (ceil_sqrt(n), n.saturating_sub(1));
    let free = inner.saturating_sub(inner.checked_div(stride).unwrap_or(0));
    let place = crate::hash::choose(draw, free);
    // A stride of 1 leaves no step between checkpoints.
    let Some(before) = place.checked_div(stride.saturating_sub(1)) else { return 1 };
    place.saturating_add(before).saturating_add(1)
}

/// A blind audit answer: `H("weft.ans", who, salt, S_{d−1}, R_{c+1})`.
pub fn audit_answer(who: &AccountId, salt: &Hash, s: &Hash, r: &Hash) -> Hash {
    h(&tag::ANSWER, &(who, salt, s, r))
}

/// What a juror of a run answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct JuryValue {
    /// The recomputed commitment.
    pub commit: Commit,
    /// [`work_hash`] over state content that nobody publishes.
    pub work: Hash,
}

/// A blind jury answer: `H("weft.jur", jury, who, salt, value)`.
pub fn jury_answer(jury: u32, who: &AccountId, salt: &Hash, value: &JuryValue) -> Hash {
    h(&tag::JURY, &(jury, who, salt, value))
}

/// Hash of one page of a juror's work: `H("weft.jpg", draw, page)`.
pub fn work_page(draw: &Hash, page: &[u8]) -> Hash {
    h(&tag::JURY_PAGE, &(draw, Page(page)))
}

/// `H("weft.jwk", draw, MR(H("weft.jpg", draw, page)…))` over the pages of all tensors of S_u, then of R_u. Each tensor
/// starts a new page; without attribution, or with n_done < N, S_u alone.
pub fn work_hash<'a>(draw: &Hash, tensors: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let pages: Vec<Hash> =
        tensors.into_iter().flat_map(|raw| raw.chunks(merkle::PAGE)).map(|page| work_page(draw, page)).collect();
    h(&tag::JURY_WORK, &(draw, merkle::root(&pages)))
}

/// The result of a diverged run has no adapter and no attribution.
pub const NO_RESULT: Hash = ZERO;
