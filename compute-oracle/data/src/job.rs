//! The data of a job: a function of snapshots, records, recipe and seed, and
//! the root that commits to it.

use crate::error::{DataError, Result};
use crate::tokenizer::{EncodeOptions, Encoded, Tokenizer};
use std::collections::BTreeMap;
use weft_numerics::{
    select::{self, Choosable},
    Key,
};
use weft_protocol::{
    hash, merkle,
    payout::Standing,
    recipe::Recipe,
    record::{split_hash, Record},
    run::{self, DataLeaf, Snapshot},
    AccountId, Hash,
};

/// One accepted record, in the order of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// The record.
    pub record: Record,
    /// Its id under the Datanet's key.
    pub record_id: Hash,
    /// Its contributor.
    pub owner: AccountId,
    /// Position of its Datanet in the job's snapshots.
    pub snapshot: usize,
}

/// What a record does in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordUse {
    /// It trains.
    Trains,
    /// It is kept for evaluation.
    HeldOut,
    /// It is one of the probe.
    Probe,
    /// It equals an earlier record of the job.
    Duplicate {
        /// That record's index.
        of: u32,
    },
    /// The recipe leaves it out.
    Excluded,
    /// It is too long and the recipe drops such records.
    Dropped,
    /// Nothing in it is trained.
    NoTrainedTokens,
    /// The template or the tokenizer cannot encode it: it stays in the list without tokens.
    Refused,
}

impl RecordUse {
    /// What it counts for in the payout.
    #[must_use]
    pub fn standing(self) -> Standing {
        match self {
            Self::Trains => Standing::Trained,
            Self::HeldOut | Self::Probe => Standing::Spared,
            _ => Standing::Nothing,
        }
    }
}

/// The records of a run as numbers.
#[derive(Clone, Debug)]
pub struct JobData {
    /// D_i, in order.
    pub leaves: Vec<DataLeaf>,
    /// Ids and masks, in order.
    pub encoded: Vec<Encoded>,
    /// What each record does.
    pub uses: Vec<RecordUse>,
    /// Datanet of each record.
    pub datanets: Vec<u32>,
    /// Datanets of the job, ascending.
    pub parts: Vec<u32>,
    /// Records kept for evaluation, ascending.
    pub held_out: Vec<u32>,
    /// Records of the probe, ascending.
    pub probe: Vec<u32>,
    /// Records that the template or the tokenizer cannot encode, ascending, and why.
    pub refused: Vec<(u32, String)>,
    /// The commitment to all of it.
    pub data_root: Hash,
}

fn too_large(detail: &str) -> DataError {
    DataError::TooLarge { detail: detail.to_owned() }
}

/// T of token ids, u32 `[tokens]`.
#[must_use]
pub fn ids_hash(ids: &[u32]) -> Hash {
    let raw: Vec<u8> = ids.iter().flat_map(|i| i.to_le_bytes()).collect();
    merkle::tensor_hash(merkle::Dtype::U32, &[u32::try_from(ids.len()).unwrap_or(u32::MAX)], &raw)
}

/// T of a mask, u8 `[tokens]`.
#[must_use]
pub fn mask_hash(mask: &[u8]) -> Hash {
    merkle::tensor_hash(merkle::Dtype::U8, &[u32::try_from(mask.len()).unwrap_or(u32::MAX)], mask)
}

impl JobData {
    /// Encodes the records, decides which train, and commits.
    ///
    /// `snapshots` ascend by Datanet; `attribution` draws a probe from the
    /// records. Of equal records the first in the job is the canonical one.
    ///
    /// A record that the template or the tokenizer refuses does not end the job: every daemon finds the same, and
    /// an oracle has taken the job before it could. It is [`RecordUse::Refused`], without tokens and without weight.
    ///
    /// # Errors
    /// A long record when the recipe refuses those (jobs do not), naming the record; too many records.
    pub fn build(
        tokenizer: &Tokenizer,
        snapshots: &[Snapshot],
        records: &[JobRecord],
        recipe: &Recipe,
        seed: &Hash,
        attribution: bool,
    ) -> Result<Self> {
        let n = u32::try_from(records.len()).map_err(|_| too_large("more than 2^32 records"))?;
        let options = EncodeOptions::of(recipe);
        let (mut encoded, mut uses, mut datanets) = (Vec::new(), Vec::new(), Vec::new());
        let mut first: BTreeMap<Hash, u32> = BTreeMap::new();
        let (mut choosable, mut refused) = (Vec::new(), Vec::new());
        for (index, (i, r)) in (0u32..).zip(records).enumerate() {
            let snapshot = snapshots
                .get(r.snapshot)
                .ok_or_else(|| too_large("a record names a snapshot that the job does not have"))?;
            let (e, encodes) = match tokenizer.encode(&r.record, &options) {
                Ok(e) => (e, true),
                Err(DataError::Overlong { tokens, limit, .. }) => {
                    return Err(DataError::Overlong { index, tokens, limit })
                }
                Err(e) => {
                    refused.push((i, e.to_string()));
                    (Encoded::empty(), false)
                }
            };
            let earlier = *first.entry(r.record_id).or_insert(i);
            let state = if earlier != i {
                RecordUse::Duplicate { of: earlier }
            } else if recipe.exclude.binary_search(&r.record_id).is_ok() {
                RecordUse::Excluded
            } else if !encodes {
                RecordUse::Refused
            } else if e.dropped {
                RecordUse::Dropped
            } else if e.n_loss == 0 {
                RecordUse::NoTrainedTokens
            } else {
                choosable.push(Choosable { index: i, split: split_hash(&snapshot.root, &r.record_id) });
                RecordUse::Trains
            };
            encoded.push(e);
            uses.push(state);
            datanets.push(snapshot.datanet);
        }
        let chosen = select::select(&Key(hash::rng_key(seed)), n, recipe.eval_ppm, &choosable, attribution);
        for (list, state) in [(&chosen.held_out, RecordUse::HeldOut), (&chosen.probe, RecordUse::Probe)] {
            for i in list {
                if let Some(slot) = usize::try_from(*i).ok().and_then(|i| uses.get_mut(i)) {
                    *slot = state;
                }
            }
        }
        let leaves: Vec<DataLeaf> = (0u32..)
            .zip(records)
            .zip(encoded.iter().zip(&uses))
            .map(|((index, r), (e, state))| DataLeaf {
                index,
                record_id: r.record_id,
                owner: r.owner,
                weight_ppm: if *state == RecordUse::Trains { 1_000_000 } else { 0 },
                tokens: u32::try_from(e.ids.len()).unwrap_or(u32::MAX),
                loss_tokens: e.n_loss,
                ids: ids_hash(&e.ids),
                mask: mask_hash(&e.mask),
            })
            .collect();
        let data_root = run::data_root(&leaves).ok_or_else(|| too_large("more than 2^32 records"))?;
        Ok(Self {
            leaves,
            encoded,
            uses,
            datanets,
            parts: snapshots.iter().map(|s| s.datanet).collect(),
            held_out: chosen.held_out,
            probe: chosen.probe,
            refused,
            data_root,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn snapshot(datanet: u32) -> Snapshot {
        Snapshot { datanet, root: [u8::try_from(datanet).unwrap(); 32], records: 0, clusters: hash::ZERO }
    }

    #[test]
    fn data_should_name_the_use_of_every_record_when_it_is_built() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
        let tok = Tokenizer::from_dir(&dir).unwrap();
        let record = |text: &str, snapshot: usize| {
            let record = Record::pair(text, "yes");
            JobRecord { record_id: record.id(&hash::ZERO), record, owner: [1; 32], snapshot }
        };
        let mut records: Vec<JobRecord> =
            (0..30).map(|i| record(&format!("question {i}"), usize::from(i > 15))).collect();
        records.push(record("Question  3", 1));
        let mut recipe = Recipe::attributed();
        recipe.max_seq_len = 64;
        recipe.exclude = vec![records[5].record_id];
        let build =
            |seed: &Hash| JobData::build(&tok, &[snapshot(3), snapshot(9)], &records, &recipe, seed, true).unwrap();
        let data = build(&[7; 32]);
        assert_eq!(data.uses[30], RecordUse::Duplicate { of: 3 });
        assert_eq!(data.uses[5], RecordUse::Excluded);
        assert_eq!((data.held_out.len(), data.probe.len()), (3, 2));
        assert_eq!(data.uses.iter().filter(|u| **u == RecordUse::Trains).count(), 31 - 2 - 3 - 2);
        for (leaf, state) in data.leaves.iter().zip(&data.uses) {
            assert_eq!(leaf.weight_ppm > 0, *state == RecordUse::Trains);
        }
        assert_eq!(data.datanets[15..17], [3, 9]);
        let other = build(&[8; 32]);
        assert_eq!(other.held_out, data.held_out, "the seed chooses no held-out record");
        assert_eq!(build(&[7; 32]).data_root, data.data_root);
        assert_ne!(other.data_root, data.data_root);
    }

    #[test]
    fn record_should_be_refused_alone_when_the_template_refuses_it() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-base");
        let json = std::fs::read(dir.join("tokenizer.json")).unwrap();
        let source = "{% for m in messages %}{% if 'bad' in m.content %}{{ raise_exception('bad word') }}{% endif %}\
                      {% if 'swap' in m.content %}{{ messages | length }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}";
        let tok = Tokenizer::new(&json, source).unwrap();
        let records: Vec<JobRecord> = ["one", "a bad one", "swap", "two", "bad"]
            .iter()
            .map(|text| {
                let record = Record::pair(text, "yes");
                JobRecord { record_id: record.id(&hash::ZERO), record, owner: [1; 32], snapshot: 0 }
            })
            .collect();
        let mut recipe = Recipe::attributed();
        recipe.eval_ppm = 0;
        recipe.exclude = vec![records[4].record_id];
        let build = || JobData::build(&tok, &[snapshot(3)], &records, &recipe, &[7; 32], false).unwrap();
        let data = build();
        let want = [RecordUse::Trains, RecordUse::Refused, RecordUse::Refused, RecordUse::Trains, RecordUse::Excluded];
        assert_eq!(data.uses, want);
        assert_eq!(data.refused.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert!(data.refused[0].1.contains("bad word"), "{:?}", data.refused);
        for i in [1, 2, 4] {
            let leaf = &data.leaves[i];
            assert_eq!((leaf.weight_ppm, leaf.tokens, leaf.loss_tokens), (0, 0, 0));
            assert_eq!((leaf.ids, leaf.mask), (ids_hash(&[]), mask_hash(&[])));
            assert_eq!(data.uses[i].standing(), Standing::Nothing);
        }
        assert_eq!(build().data_root, data.data_root);
    }
}
