//! What a run yields.

use std::path::PathBuf;
use weft_protocol::{
    hash::ZERO,
    payout::Payout,
    run::{self, Commit, Opening, Outcome, Part},
    sum_tree::OwnerLeaf,
    Hash,
};

/// The adapter of a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterFiles {
    /// Bytes of `adapter_model.safetensors`.
    pub safetensors: Vec<u8>,
    /// Text of `adapter_config.json`.
    pub config_json: String,
}

/// Everything a run yields; a function of its inputs alone.
#[derive(Clone, Debug)]
pub struct RunOutput {
    /// Steps done: N, or fewer when diverged.
    pub n_done: u32,
    /// How it came out.
    pub outcome: Outcome,
    /// X_0, X_1, ….
    pub states: Vec<Hash>,
    /// The data's root.
    pub data_root: Hash,
    /// Last forward state.
    pub s_n: Hash,
    /// Last reverse state; zero without attribution.
    pub r_0: Hash,
    /// The adapter; none when diverged.
    pub adapter: Option<AdapterFiles>,
    /// Score per record of the job; empty without attribution.
    pub scores: Vec<i64>,
    /// Scores are in 2^x nats.
    pub x: i8,
    /// Owner leaves, points and totals; none when diverged.
    pub payout: Option<Payout>,
    /// Attribution method.
    pub method: u16,
    /// Zero when diverged.
    pub model_commitment: Hash,
    /// Zero when diverged.
    pub attribution_commitment: Hash,
    /// Checkpoints that the protocol wants, by u; empty for a run without a folder.
    pub checkpoints: Vec<(u32, PathBuf)>,
    /// The juror's work, when a draw was given.
    pub work: Option<Hash>,
    /// The commitment, when a secret was given.
    pub commit: Option<Commit>,
    /// Loss of the held-out records after the last step, nats per trained token.
    pub eval_loss: Option<f32>,
}

impl RunOutput {
    /// `steps_root` under a secret.
    #[must_use]
    pub fn steps_root(&self, secret: &Hash) -> Hash {
        run::steps_root(&run::step_leaves(secret, &self.states)).unwrap_or(ZERO)
    }

    /// The commitment under a secret.
    #[must_use]
    pub fn commit_with(&self, secret: &Hash) -> Commit {
        Commit {
            n_done: self.n_done,
            outcome: self.outcome,
            data_root: self.data_root,
            steps_root: self.steps_root(secret),
            model_commitment: self.model_commitment,
            attribution_commitment: self.attribution_commitment,
            secret: run::secret_hash(secret),
        }
    }

    /// The opening; `artifacts` is the content id of the artifact list. None when diverged.
    #[must_use]
    pub fn opening(&self, artifacts: Hash) -> Option<Opening> {
        let (adapter, payout) = (self.adapter.as_ref()?, self.payout.as_ref()?);
        Some(Opening {
            s_n: self.s_n,
            file_len: adapter.safetensors.len() as u64,
            file_pages: weft_protocol::peft::file_pages(&adapter.safetensors),
            method: self.method,
            cotangent: 0,
            x: self.x,
            r0: self.r_0,
            parts: payout.parts(),
            extra: payout.extra(self.method),
            artifacts,
        })
    }

    /// Parts, ascending by Datanet.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.payout.as_ref().map(Payout::parts).unwrap_or_default()
    }

    /// Owner leaves of the part at a position.
    #[must_use]
    pub fn leaves(&self, part: usize) -> &[OwnerLeaf] {
        self.payout.as_ref().and_then(|p| p.parts.get(part)).map_or(&[], |p| &p.1)
    }

    /// What a verifier of tier Full answers: the state before the last forward
    /// one, and R_1 (zero without reverse states).
    #[must_use]
    pub fn audit_states(&self) -> (Hash, Hash) {
        let n = self.n_done as usize;
        let s = self.states.get(n.saturating_sub(1)).copied().unwrap_or(ZERO);
        let reverse = self.states.len() == 2 * n + 2;
        let r = if reverse { self.states.get(2 * n).copied().unwrap_or(ZERO) } else { ZERO };
        (s, r)
    }
}
