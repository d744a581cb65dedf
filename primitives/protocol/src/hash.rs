//! Tagged hashes: `H(tag, x) = blake2_256(tag ‖ SCALE(x))`.

use alloc::vec::Vec;
use blake2b_simd::{
    many::{self, HashManyJob},
    Params, State,
};
use codec::{Encode, Output};

/// A 32-byte digest.
pub type Hash = [u8; 32];

/// The digest of nothing: stands where a value is absent.
pub const ZERO: Hash = [0; 32];

/// Eight ASCII bytes that separate the uses of the hash function.
pub type Tag = [u8; 8];

/// Every tag of the protocol.
pub mod tag {
    use super::Tag;

    macro_rules! tags {
        ($($(#[$doc:meta])* $name:ident = $bytes:literal;)*) => {
            $($(#[$doc])* pub const $name: Tag = *$bytes;)*
            /// All tags, in the order of their declaration.
            pub const ALL: &[Tag] = &[$($name),*];
        };
    }

    tags! {
        /// Inner node of a Merkle tree or mountain range.
        INNER = b"weft.inn";
        /// A 1 KiB page.
        PAGE = b"weft.pag";
        /// A tensor.
        TENSOR = b"weft.tns";
        /// A record's id.
        RECORD_ID = b"weft.rid";
        /// A record's leaf in its contribution.
        RECORD_LEAF = b"weft.rlf";
        /// Raw bytes: a record's line, a tokenizer, a template.
        RAW = b"weft.raw";
        /// A base model.
        BASE = b"weft.bas";
        /// A tensor of a base model.
        BASE_TENSOR = b"weft.bst";
        /// A record of a job's data.
        DATA_LEAF = b"weft.rec";
        /// A job's data.
        DATA = b"weft.dat";
        /// Class and graph of a run.
        SEM = b"weft.sem";
        /// Everything the chain fixes of a run.
        SPEC = b"weft.spc";
        /// Seed of a run.
        SEED = b"weft.sed";
        /// Identity of a run.
        RUN = b"weft.run";
        /// State after a step.
        STATE = b"weft.sta";
        /// Reverse (adjoint) state.
        REVERSE = b"weft.adj";
        /// Nonce of a step's leaf.
        NONCE = b"weft.non";
        /// A step's leaf.
        STEP_LEAF = b"weft.lea";
        /// All steps.
        STEPS = b"weft.stp";
        /// A contributor's leaf.
        OWNER = b"weft.own";
        /// Inner node of a Merkle-sum tree.
        SUM = b"weft.sum";
        /// The delivered adapter.
        MODEL = b"weft.mdl";
        /// The attribution result.
        ATTRIBUTION = b"weft.atr";
        /// The run's secret.
        SECRET = b"weft.sec";
        /// A recipe.
        RECIPE = b"weft.cfg";
        /// A blind audit answer.
        ANSWER = b"weft.ans";
        /// A blind jury answer.
        JURY = b"weft.jur";
        /// Proof of a juror's work.
        JURY_WORK = b"weft.jwk";
        /// A page of a juror's work.
        JURY_PAGE = b"weft.jpg";
        /// A blind challenge.
        CHALLENGE = b"weft.chl";
        /// A trace of operators.
        TRACE = b"weft.trc";
        /// Auxiliary reverse state of method 2.
        AUX = b"weft.aux";
        /// The attribution method's totals.
        EXTRA = b"weft.ext";
        /// A contribution's commitment.
        CONTRIBUTION = b"weft.ctb";
        /// A leaf of a Datanet's mountain range.
        MMR_LEAF = b"weft.mmr";
        /// A tombstone in a Datanet's mountain range.
        TOMBSTONE = b"weft.tmb";
        /// A snapshot root.
        BAG = b"weft.bag";
        /// A program named by a licence.
        PROGRAM = b"weft.prg";
        /// The randomness beacon.
        BEACON = b"weft.bcn";
        /// Numbers that a draw on chain makes from the beacon.
        DRAW = b"weft.drw";
        /// Order of the evaluation split.
        EVAL_SPLIT = b"weft.spl";
        /// Key of the random numbers.
        RNG = b"weft.rng";
        /// A receipt.
        RECEIPT = b"weft.rcp";
        /// A salted text of a receipt.
        SALTED = b"weft.slt";
        /// A voucher.
        VOUCHER = b"weft.vch";
        /// Inner node of a fee-sum tree.
        FEE = b"weft.fee";
    }
}

/// Plain blake2b with a 32-byte digest.
pub fn blake2_256(bytes: &[u8]) -> Hash {
    finish(state().update(bytes))
}

/// Id of a blob: the untagged digest of its bytes.
pub fn content_id(bytes: &[u8]) -> Hash {
    blake2_256(bytes)
}

/// The tagged hash of a value: `blake2_256(tag ‖ SCALE(x))`.
pub fn h<T: Encode + ?Sized>(tag: &Tag, x: &T) -> Hash {
    let mut hasher = Hasher(state());
    hasher.write(tag);
    x.encode_to(&mut hasher);
    finish(&hasher.0)
}

/// Hash of raw bytes as a SCALE byte string: `H("weft.raw", bytes)`.
pub fn raw_hash(bytes: &[u8]) -> Hash {
    h(&tag::RAW, bytes)
}

/// Next value of the beacon: `H("weft.bcn", beacon, parent VRF output)`.
pub fn next_beacon(beacon: &Hash, vrf: &Hash) -> Hash {
    h(&tag::BEACON, &(beacon, vrf))
}

/// Entropy of one draw on chain, the beacon bound to what is drawn: `H("weft.drw", beacon, purpose)`.
pub fn draw_entropy<T: Encode + ?Sized>(beacon: &Hash, purpose: &T) -> Hash {
    h(&tag::DRAW, &(beacon, purpose))
}

/// Number `round` of a draw with this [`draw_entropy`], for [`choose`]: `H("weft.drw", entropy, round)`.
pub fn draw_number(entropy: &Hash, round: u32) -> Hash {
    h(&tag::DRAW, &(entropy, round))
}

/// Key of a run's random numbers: the first eight bytes of `H("weft.rng", seed)` as two u32.
pub fn rng_key(seed: &Hash) -> [u32; 2] {
    let digest = h(&tag::RNG, seed);
    [word(&digest, 0), word(&digest, 4)]
}

/// Little-endian u32 at `at`; zero beyond the end.
fn word(digest: &Hash, at: usize) -> u32 {
    digest.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |four| u32::from_le_bytes(*four))
}

/// The `⌊w·m / 2^32⌋`-th of `m` choices for a random word `w`: below `m`; 0 when there is no choice.
pub fn below(word: u32, m: u32) -> u32 {
    // Both factors are below 2^32: the product does not saturate and its upper half fits.
    u32::try_from(u64::from(word).saturating_mul(u64::from(m)) >> 32).unwrap_or(0)
}

/// [`below`] with the digest's first word.
pub fn choose(digest: &Hash, m: u32) -> u32 {
    below(word(digest, 0), m)
}

/// [`blake2_256`] of each input, vectorised across inputs; appended to `out`.
pub(crate) fn hash_many(inputs: &[Vec<u8>], out: &mut Vec<Hash>) {
    let mut params = Params::new();
    params.hash_length(32);
    let mut jobs: Vec<HashManyJob> = inputs.iter().map(|input| HashManyJob::new(&params, input)).collect();
    many::hash_many(&mut jobs);
    out.extend(jobs.iter().map(|job| digest(&job.to_hash())));
}

fn state() -> State {
    Params::new().hash_length(32).to_state()
}

fn finish(state: &State) -> Hash {
    digest(&state.finalize())
}

fn digest(hash: &blake2b_simd::Hash) -> Hash {
    let mut out = ZERO;
    out.copy_from_slice(hash.as_bytes());
    out
}

/// Feeds SCALE output into the hash without a buffer.
struct Hasher(State);

impl Output for Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
