//! From scores to owner leaves: extension to drawn records, margin, points, sum trees.

use crate::{
    hash::{Hash, ZERO},
    run::{extra_hash, Part, MAX_PARTS},
    split::{split_any, PPM},
    sum_tree::{self, OwnerLeaf},
    AccountId,
};
use alloc::{collections::BTreeMap, vec::Vec};

/// Points of a model.
pub const POINTS: u128 = 1_000_000_000_000;
/// Points per part per million.
const POINTS_PER_PPM: u128 = 1_000_000;

/// What a record counts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Canonical, with loss tokens and weight above 0.
    Trained,
    /// Canonical, with loss tokens, drawn as probe or held out: earns its owner's mean.
    Spared,
    /// Not canonical, withdrawn, excluded, dropped, or without a trained token: earns nothing.
    Nothing,
}

/// One record of the job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordInput {
    /// Its Datanet.
    pub datanet: u32,
    /// Its contributor.
    pub owner: AccountId,
    /// What it counts for.
    pub standing: Standing,
    /// Fixed-point score; the least i64 marks a saturated one.
    pub score: i64,
    /// Trained tokens.
    pub loss_tokens: u32,
}

/// The result: parts with their leaves, and the totals that `extra` binds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payout {
    /// Every Datanet of the job, ascending, with its owner leaves sorted by owner.
    pub parts: Vec<(Part, Vec<OwnerLeaf>)>,
    /// Unit of the margin.
    pub u: u128,
    /// ΣW.
    pub sum_w: u128,
    /// Σ base weights.
    pub sum_base: u128,
    /// Whether influence is not trusted: everything by base weight.
    pub rough: bool,
}

impl Payout {
    /// The parts alone, as the opening holds them.
    pub fn parts(&self) -> Vec<Part> {
        self.parts.iter().map(|(part, _)| *part).collect()
    }

    /// `extra` of the attribution commitment; zero for method 0.
    pub fn extra(&self, method: u16) -> Hash {
        if method == 0 {
            ZERO
        } else {
            extra_hash(self.u, self.sum_w, self.sum_base, self.rough)
        }
    }
}

#[derive(Default)]
struct Account {
    trained: u32,
    spared: u32,
    pos: u128,
    neg: u128,
    tokens: u128,
}

impl Account {
    fn add(&mut self, record: &RecordInput, scored: bool) -> Option<()> {
        match record.standing {
            Standing::Nothing => return Some(()),
            Standing::Spared => self.spared = self.spared.checked_add(1)?,
            Standing::Trained => {
                self.trained = self.trained.checked_add(1)?;
                if scored {
                    let size = u128::from(record.score.unsigned_abs());
                    let side = if record.score > 0 { &mut self.pos } else { &mut self.neg };
                    *side = side.checked_add(size)?;
                }
            }
        }
        self.tokens = self.tokens.checked_add(u128::from(record.loss_tokens))?;
        Some(())
    }

    /// n_o: records that earn.
    fn records(&self) -> Option<u32> {
        self.trained.checked_add(self.spared)
    }

    /// x + ⌊x·p/s⌋: the spared records earn the owner's mean.
    fn extend(&self, x: u128) -> Option<u128> {
        if self.trained == 0 {
            return Some(0);
        }
        let more = x.checked_mul(u128::from(self.spared))?.checked_div(u128::from(self.trained))?;
        x.checked_add(more)
    }
}

/// Unit of the margin: ⌊2224·median|q| / 1000⌋, the median being element ⌊(k−1)/2⌋ of the k sorted |q|.
pub fn margin_unit(scores: impl Iterator<Item = i64>) -> u128 {
    let mut sizes: Vec<u64> = scores.map(i64::unsigned_abs).collect();
    let Some(middle) = sizes.len().checked_sub(1).map(|last| last / 2) else { return 0 };
    let (_, median, _) = sizes.select_nth_unstable(middle);
    // At most 2^63 · 2224: no saturation can happen.
    u128::from(*median).saturating_mul(2224) / 1000
}

/// Margin of an owner with `records` records: ⌊u·isqrt(n_o·2^32) / 2^16⌋.
pub fn margin(u: u128, records: u32) -> Option<u128> {
    let root = (u64::from(records) << 32).isqrt();
    Some(u.checked_mul(u128::from(root))? >> 16)
}

/// Owner leaves and parts of a model.
///
/// `datanets`: those of the job, ascending. `method` 0: no scores, base part alone. `base_ppm`: part of the points that
/// trained tokens share out. `rough`: the replay is not trusted; a saturated score sets it too. `None` when the Datanets
/// are not ascending or more than 16, a record names another one, or a sum overflows.
pub fn owner_leaves(
    datanets: &[u32],
    records: &[RecordInput],
    method: u16,
    base_ppm: u32,
    rough: bool,
) -> Option<Payout> {
    if datanets.len() > MAX_PARTS || !datanets.is_sorted_by(|a, b| a < b) || base_ppm > PPM {
        return None;
    }
    let scored = method != 0;
    let trained = || records.iter().filter(|record| record.standing == Standing::Trained);
    let rough = rough || (scored && trained().any(|record| record.score == i64::MIN));
    let u = if scored { margin_unit(trained().map(|record| record.score)) } else { 0 };

    let mut accounts: BTreeMap<(u32, AccountId), Account> = BTreeMap::new();
    for record in records {
        datanets.binary_search(&record.datanet).ok()?;
        if record.standing != Standing::Nothing {
            accounts.entry((record.datanet, record.owner)).or_default().add(record, scored)?;
        }
    }

    let (mut leaves, mut weights, mut base_weights) = (Vec::new(), Vec::new(), Vec::new());
    for ((datanet, owner), account) in &accounts {
        let (pos, neg) = (account.extend(account.pos)?, account.extend(account.neg)?);
        let records = account.records()?;
        weights.push(pos.saturating_sub(neg).saturating_sub(margin(u, records)?));
        base_weights.push(account.tokens);
        leaves.push(OwnerLeaf {
            datanet: *datanet,
            owner: *owner,
            records,
            inrun: account.tokens,
            pos,
            neg,
            paid: 0,
            held: 0,
        });
    }
    let total = |of: &[u128]| of.iter().try_fold(0u128, |acc, x| acc.checked_add(*x));
    let (sum_w, sum_base) = (total(&weights)?, total(&base_weights)?);

    if !leaves.is_empty() {
        let by_base = if rough || sum_w == 0 { POINTS } else { POINTS_PER_PPM.checked_mul(base_ppm.into())? };
        let base = split_any(by_base, &base_weights)?;
        let rest = split_any(POINTS.checked_sub(by_base)?, &weights)?;
        for (leaf, (base, rest)) in leaves.iter_mut().zip(base.into_iter().zip(rest)) {
            leaf.paid = base.checked_add(rest)?;
        }
    }

    let parts: Option<Vec<_>> = datanets
        .iter()
        .map(|datanet| {
            let own: Vec<OwnerLeaf> = leaves.iter().filter(|leaf| leaf.datanet == *datanet).copied().collect();
            Some((part_of(*datanet, &own)?, own))
        })
        .collect();
    Some(Payout { parts: parts?, u, sum_w, sum_base, rough })
}

/// Whether parts are what every honest opening has: 1 to 16 that ascend by Datanet, with [`POINTS`] or no points in all,
/// and none where there is no leaf.
pub fn parts_are_whole(parts: &[Part]) -> bool {
    let points = parts.iter().try_fold(0u128, |sum, part| sum.checked_add(part.paid));
    (1..=MAX_PARTS).contains(&parts.len())
        && parts.is_sorted_by(|a, b| a.datanet < b.datanet)
        && parts.iter().all(|part| part.leaves > 0 || part.paid == 0)
        && matches!(points, Some(0 | POINTS))
}

/// The part of a Datanet's owner leaves, sorted by owner; `None` when a sum overflows.
pub fn part_of(datanet: u32, leaves: &[OwnerLeaf]) -> Option<Part> {
    let root = sum_tree::root(leaves)?;
    Some(Part {
        datanet,
        leaves: u32::try_from(leaves.len()).ok()?,
        root: root.hash,
        pos: root.sums.pos,
        neg: root.sums.neg,
        paid: root.sums.paid,
    })
}
