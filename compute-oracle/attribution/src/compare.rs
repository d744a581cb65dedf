//! Where two executions of a run differ.

use crate::result::RunOutput;
use weft_protocol::{
    merkle,
    run::{self, Commit},
    Hash,
};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// All states and commitments are equal.
    Identical,
    /// X_u is the first state that differs.
    FirstDifference {
        /// Its place in the chain.
        u: u32,
        /// Recomputed digest.
        ours: Hash,
        /// Published digest.
        published: Hash,
    },
    /// All common states are equal, but their number differs.
    Length {
        /// Recomputed states.
        ours: usize,
        /// Published states.
        published: usize,
    },
    /// The states are equal, but a field of the commitment differs.
    Field {
        /// data_root, steps_root, model, attribution, outcome or n_done.
        field: &'static str,
    },
}

/// Compares recomputed states, and the commitment when it is given.
#[must_use]
pub fn compare(output: &RunOutput, published: &[Hash], commit: Option<&Commit>, secret: Option<&Hash>) -> Comparison {
    for (u, (ours, theirs)) in (0u32..).zip(output.states.iter().zip(published)) {
        if ours != theirs {
            return Comparison::FirstDifference { u, ours: *ours, published: *theirs };
        }
    }
    if output.states.len() != published.len() {
        return Comparison::Length { ours: output.states.len(), published: published.len() };
    }
    match commit.and_then(|c| commit_difference(output, c, secret)) {
        Some(field) => Comparison::Field { field },
        None => Comparison::Identical,
    }
}

/// A published list of states, if the commitment binds it: it and the secret hash to `steps_root`. Otherwise why it must
/// not be used: an unbound list could name any step. An empty list says nothing and is returned as it is.
///
/// # Errors
/// The reason, as words.
pub fn bound_states(
    published: Vec<Hash>,
    commit: &Commit,
    secret: Option<&Hash>,
) -> std::result::Result<Vec<Hash>, &'static str> {
    if published.is_empty() {
        return Ok(published);
    }
    let Some(secret) = secret else {
        return Err("the secret is not revealed yet, so nothing binds the published list of states");
    };
    if run::steps_root(&run::step_leaves(secret, &published)) != Some(commit.steps_root) {
        return Err("the published list of states does not hash to the committed steps root");
    }
    Ok(published)
}

/// The first field of a published commitment that differs from the recomputed one. Without the secret `steps_root` is
/// not compared: equality then covers everything but the list of states.
#[must_use]
pub fn commit_difference(output: &RunOutput, published: &Commit, secret: Option<&Hash>) -> Option<&'static str> {
    if output.n_done != published.n_done {
        return Some("n_done");
    }
    if output.outcome != published.outcome {
        return Some("outcome");
    }
    if output.data_root != published.data_root {
        return Some("data_root");
    }
    if let Some(secret) = secret {
        if output.steps_root(secret) != published.steps_root {
            return Some("steps_root");
        }
    }
    if output.model_commitment != published.model_commitment {
        return Some("model_commitment");
    }
    (output.attribution_commitment != published.attribution_commitment).then_some("attribution_commitment")
}

/// The first page of two checkpoint files that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageDifference {
    /// Tensor: a slot's name, with `.m` or `.v` for the moments, or `scores`.
    pub tensor: String,
    /// Page of 1 KiB in it.
    pub page: u32,
    /// Recomputed digest of the page.
    pub ours: Hash,
    /// Published digest of the page.
    pub published: Hash,
}

/// Compares two checkpoint files of the same state, tensor by tensor in the
/// order of the first; `None` when they are equal. A file that cannot be read
/// differs at page 0 of the tensor `file`.
#[must_use]
pub fn page_difference(ours: &[u8], published: &[u8]) -> Option<PageDifference> {
    let whole = |a: &[u8], b: &[u8]| PageDifference {
        tensor: "file".to_owned(),
        page: 0,
        ours: merkle::page_hash(a),
        published: merkle::page_hash(b),
    };
    if ours == published {
        return None;
    }
    let (Ok(a), Ok(b)) = (weft_engine::checkpoint::tensors(ours), weft_engine::checkpoint::tensors(published)) else {
        return Some(whole(ours, published));
    };
    for (name, x) in &a {
        let y = b.iter().find(|t| t.0 == *name).map_or(&[][..], |t| t.1);
        let pages = x.len().max(y.len()).div_ceil(merkle::PAGE);
        for page in 0..pages {
            let cut = |z: &[u8]| {
                let from = (page * merkle::PAGE).min(z.len());
                merkle::page_hash(&z[from..z.len().min(from + merkle::PAGE)])
            };
            let (p, q) = (cut(x), cut(y));
            if p != q {
                return Some(PageDifference { tensor: name.clone(), page: page as u32, ours: p, published: q });
            }
        }
    }
    Some(whole(ours, published))
}
