//! Fees, stakes, bonds and times, in checked integers. `None` is overflow or a division by zero.

use crate::{
    job::Tier,
    recipe::Recipe,
    run,
    shape::ModelShape,
    split::{mul_div, mul_div_up, ModelSplit, PPM},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// One WEFT in its smallest unit.
pub const WEFT: u128 = 1_000_000_000_000;
/// A thousandth of a WEFT.
pub const MILLI: u128 = 1_000_000_000;
/// Blocks between a commitment and its reveal, so that no block author can copy a reveal and still be first.
pub const REVEAL_DELAY: u32 = 2;
/// Milliseconds of a day.
const DAY_MS: u32 = 86_400_000;

/// Blocks in a day of 86,400,000 ms at slots of `slot_ms`: at least 1; a slot of 0 ms counts as 1.
pub const fn day_blocks(slot_ms: u64) -> u32 {
    // A slot longer than u32 milliseconds is longer than a day.
    let [a, b, c, d, high @ ..] = slot_ms.to_le_bytes();
    if !matches!(high, [0, 0, 0, 0]) {
        return 1;
    }
    match DAY_MS.checked_div(u32::from_le_bytes([a, b, c, d])) {
        None => DAY_MS,
        Some(0) => 1,
        Some(blocks) => blocks,
    }
}

/// Genesis parameters of money and limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Params {
    /// Least stake of an oracle, S_min.
    pub s_min: u128,
    /// Free stake per lottery ticket.
    pub ticket: u128,
    /// Least penalty for a late run.
    pub late_floor: u128,
    /// Least declared value of a job.
    pub job_min: u128,
    /// Most declared value of a job in stage 1.
    pub value_cap: u128,
    /// Fixed part of a verifier's fee.
    pub audit_fee: u128,
    /// Fixed part of every bond.
    pub bond_floor: u128,
    /// FLOP per millisecond of the reference machine.
    pub ref_flops_per_ms: u64,
    /// Least verifiers of a job.
    pub min_verifiers: u8,
    /// Jurors of one draw.
    pub jury_size: u8,
    /// Assumed share of lazy or colluding verifiers, r, in parts per million.
    pub lazy_ppm: u32,
    /// The challenger's part of a slash, β, in parts per million.
    pub beta_ppm: u32,
    /// Blocks for which a failed run stays readable.
    pub run_retention: u32,
    /// Deposit of a Datanet.
    pub datanet_deposit: u128,
    /// Deposit of a licence or grant.
    pub grant_deposit: u128,
    /// Deposit of a commitment.
    pub commit_deposit: u128,
    /// Deposit per MiB of a contribution.
    pub storage_deposit: u128,
    /// Deposit that a struck contribution loses.
    pub risk_deposit: u128,
    /// Deposit of a base model.
    pub base_deposit: u128,
    /// Blocks in which a commitment must be revealed.
    pub commit_window: u32,
    /// Commitments of an account in a Datanet per day.
    pub commits_per_day: u32,
    /// Blocks between snapshots.
    pub snapshot_interval: u32,
    /// Blocks for which the risk deposit stays.
    pub duplicate_window: u32,
    /// Blocks before a price takes effect.
    pub price_notice: u32,
    /// Blocks before a slash executes.
    pub slash_delay: u32,
    /// Blocks in which a replay settlement can be disputed.
    pub settlement_window: u32,
    /// Blocks for which an epoch waits for usage.
    pub usage_delay: u32,
    /// Blocks before a budget can be withdrawn.
    pub unlock: u32,
    /// Least pool that is settled.
    pub settlement_min: u128,
    /// Least share of the treasury, in parts per million.
    pub treasury_floor: u32,
    /// Least share of the stakers, in parts per million.
    pub stakers_floor: u32,
    /// Default split of a model.
    pub split: ModelSplit,
}

impl Params {
    /// Values of the presets `development` and `local_testnet` (which sets `unlock` to 40).
    pub const fn fast() -> Self {
        Self {
            s_min: whole(1_000),
            ticket: whole(100),
            late_floor: whole(10),
            job_min: WEFT,
            value_cap: whole(10_000),
            audit_fee: WEFT / 100,
            bond_floor: WEFT,
            ref_flops_per_ms: 10_000_000,
            min_verifiers: 1,
            jury_size: 3,
            lazy_ppm: 250_000,
            beta_ppm: 500_000,
            run_retention: 600,
            datanet_deposit: whole(10),
            grant_deposit: WEFT,
            commit_deposit: WEFT / 10,
            storage_deposit: WEFT,
            risk_deposit: WEFT,
            base_deposit: whole(100),
            commit_window: 600,
            commits_per_day: 1_000,
            snapshot_interval: 1,
            duplicate_window: 20,
            price_notice: 0,
            slash_delay: 2,
            settlement_window: 0,
            usage_delay: 20,
            unlock: 20,
            settlement_min: 1,
            treasury_floor: 20_000,
            stakers_floor: 20_000,
            split: ModelSplit::DEFAULT,
        }
    }
}

/// That many WEFT; at most 10,000 above, 10^16 units: no saturation can happen.
const fn whole(weft: u128) -> u128 {
    weft.saturating_mul(WEFT)
}

/// Genesis timers in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Timers {
    /// Draw delay δ.
    pub draw_delay: u32,
    /// T_open.
    pub open: u32,
    /// T_key.
    pub key: u32,
    /// T_run without the run itself.
    pub run: u32,
    /// T_audit without twice the replay.
    pub audit: u32,
    /// T_reveal, for nonces and then for answers.
    pub reveal: u32,
    /// T_window; production takes at least this.
    pub window: u32,
    /// T_resp per move.
    pub response: u32,
    /// T_clock per side.
    pub clock: u32,
    /// What each move leaves the other side at least.
    pub extension: u32,
    /// T_da.
    pub data: u32,
    /// T_jury per phase without twice the replay.
    pub jury: u32,
    /// T_grace.
    pub grace: u32,
    /// Settlement epoch.
    pub epoch: u32,
}

impl Timers {
    /// Values of `production`.
    pub const fn production() -> Self {
        Self {
            draw_delay: 12,
            open: 14_400,
            key: 2_400,
            run: 2_400,
            audit: 200,
            reveal: 600,
            window: 14_400,
            response: 600,
            clock: 2_400,
            extension: 100,
            data: 600,
            jury: 200,
            grace: 1_200,
            epoch: 14_400,
        }
    }

    /// Values of `local_testnet`.
    pub const fn local_testnet() -> Self {
        Self {
            draw_delay: 3,
            open: 60,
            key: 20,
            run: 60,
            audit: 20,
            reveal: 16,
            window: 30,
            response: 16,
            clock: 64,
            extension: 12,
            data: 16,
            jury: 16,
            grace: 5,
            epoch: 20,
        }
    }

    /// Values of `development`.
    pub const fn development() -> Self {
        Self {
            draw_delay: 2,
            open: 60,
            key: 20,
            run: 60,
            audit: 15,
            reveal: 10,
            window: 8,
            response: 10,
            clock: 40,
            extension: 8,
            data: 10,
            jury: 10,
            grace: 4,
            epoch: 5,
        }
    }
}

/// Tokens a job is priced by: E·min(n·max_seq_len, snapshot bytes + 64·n).
pub fn tokens(epochs: u32, n: u32, max_seq_len: u32, snapshot_bytes: u64) -> Option<u128> {
    let longest = u128::from(n).checked_mul(u128::from(max_seq_len))?;
    let stored = u128::from(snapshot_bytes).checked_add(u128::from(n).checked_mul(64)?)?;
    longest.min(stored).checked_mul(u128::from(epochs))
}

/// Floating-point operations of a training: tokens × (4·P_lin + 6·P_lora).
pub fn flops(tokens: u128, linear_parameters: u128, lora_parameters: u128) -> Option<u128> {
    let per_token = linear_parameters.checked_mul(4)?.checked_add(lora_parameters.checked_mul(6)?)?;
    tokens.checked_mul(per_token)
}

/// Blocks of a run on the reference machine: ⌈flops × (attributed ? 4 : 1) ÷ (ref_flops_per_ms × slot ms)⌉.
pub fn run_blocks(flops: u128, attributed: bool, ref_flops_per_ms: u64, slot_ms: u64) -> Option<u32> {
    let work = flops.checked_mul(if attributed { 4 } else { 1 })?;
    let per_block = u128::from(ref_flops_per_ms).checked_mul(u128::from(slot_ms))?;
    u32::try_from(mul_div_up(work, 1, per_block)?).ok()
}

/// Blocks of a replay of `k` of `n` steps: ⌈run × k ÷ N⌉.
pub fn replay_blocks(run: u32, k: u32, n: u32) -> Option<u32> {
    u32::try_from(mul_div_up(u128::from(run), u128::from(k), u128::from(n))?).ok()
}

/// [`run_blocks`] of a recipe over `n` records of `snapshot_bytes` bytes.
pub fn job_blocks(
    shape: &ModelShape,
    recipe: &Recipe,
    n: u32,
    snapshot_bytes: u64,
    ref_flops_per_ms: u64,
    slot_ms: u64,
) -> Option<u32> {
    let tokens = tokens(recipe.epochs(n)?, n, recipe.max_seq_len, snapshot_bytes)?;
    let flops = flops(tokens, shape.linear_parameters()?, recipe.lora_parameters(shape)?)?;
    run_blocks(flops, recipe.attribution, ref_flops_per_ms, slot_ms)
}

/// Fee of a verifier that replays `k` of `n` steps: ⌈1.2·R·k/N⌉ + audit_fee.
pub fn verifier_fee(fee: u128, k: u32, n: u32, audit_fee: u128) -> Option<u128> {
    let numerator = u128::from(k).checked_mul(12)?;
    let denominator = u128::from(n).checked_mul(10)?;
    mul_div_up(fee, numerator, denominator)?.checked_add(audit_fee)
}

/// Most steps one verifier of the tier replays: all, or the longest segment.
pub fn verifier_steps(tier: Tier, n: u32) -> u32 {
    match tier {
        Tier::Full(_) => n,
        Tier::Spot(_) => run::segments(n).into_iter().map(|(c, d)| d.saturating_sub(c)).max().unwrap_or(n),
    }
}

/// Verification escrow V: verifiers × verifier fee.
pub fn verification(tier: Tier, fee: u128, n: u32, audit_fee: u128) -> Option<u128> {
    verifier_fee(fee, verifier_steps(tier, n), n, audit_fee)?.checked_mul(u128::from(tier.verifiers()))
}

/// Probability P, in parts per million and rounded down, that the audit finds one false segment.
///
/// Full(v): 1 − r^v. Spot(m): m of the segments.
pub fn detection_ppm(tier: Tier, n: u32, lazy_ppm: u32) -> Option<u32> {
    match tier {
        Tier::Full(v) => {
            let mut miss = u128::from(PPM);
            for _ in 0..v {
                miss = mul_div_up(miss, u128::from(lazy_ppm), u128::from(PPM))?;
            }
            u32::try_from(u128::from(PPM).checked_sub(miss)?).ok()
        }
        Tier::Spot(m) => {
            let segments = u128::try_from(run::segments(n).len()).ok()?;
            let (found, _) = mul_div(u128::from(PPM), u128::from(m), segments)?;
            u32::try_from(found.min(u128::from(PPM))).ok()
        }
    }
}

/// Stake S = S_min + ⌈2(1−P)(R+G) / (P(1−β))⌉, P being [`detection_ppm`] of the tier; S_min when the tier draws no
/// verifier. `None` also when it draws some that never find anything (P = 0): no stake makes honesty the better choice.
pub fn stake(s_min: u128, tier: Tier, detection_ppm: u32, fee: u128, value: u128, beta_ppm: u32) -> Option<u128> {
    if tier.verifiers() == 0 {
        return Some(s_min);
    }
    // With P = 0 the denominator is 0, which has no quotient.
    let miss = u128::from(PPM.checked_sub(detection_ppm)?);
    let numerator = miss.checked_mul(2)?.checked_mul(u128::from(PPM))?;
    let denominator = u128::from(detection_ppm).checked_mul(u128::from(PPM.checked_sub(beta_ppm)?))?;
    s_min.checked_add(mul_div_up(fee.checked_add(value)?, numerator, denominator)?)
}

/// A verifier's or juror's lock: max(50 × its fee, S/20).
pub fn lock(verifier_fee: u128, stake: u128) -> Option<u128> {
    Some(verifier_fee.checked_mul(50)?.max(stake / 20))
}

/// A tenth of a lock: what a silent or mistaken verifier or juror loses.
pub const fn tenth(lock: u128) -> u128 {
    lock / 10
}

/// Bond of `accuse`: jury size × verifier fee of all steps + bond_floor.
pub fn accuse_bond(fee: u128, n: u32, jury_size: u8, audit_fee: u128, bond_floor: u128) -> Option<u128> {
    verifier_fee(fee, n, n, audit_fee)?.checked_mul(u128::from(jury_size))?.checked_add(bond_floor)
}

/// Penalty of a late run: max(R/2, floor), never more than the stake.
pub fn late_slash(fee: u128, floor: u128, stake: u128) -> u128 {
    (fee / 2).max(floor).min(stake)
}

/// Fee of an answer: ⌈(in·p_in + out·p_out) ÷ 1000⌉, prices per 1,000 tokens.
pub fn answer_fee(tokens_in: u64, tokens_out: u64, price_in: u128, price_out: u128) -> Option<u128> {
    let input = u128::from(tokens_in).checked_mul(price_in)?;
    let output = u128::from(tokens_out).checked_mul(price_out)?;
    Some(input.checked_add(output)?.div_ceil(1000))
}

/// Settlement epoch at clock value `now` of a model minted at `minted`: 1 + ⌊(now − minted) ÷ length⌋; 0 is its licence
/// price. `None` before the model exists.
pub fn epoch_at(now: u32, minted: u32, length: u32) -> Option<u32> {
    now.checked_sub(minted)?.checked_div(length)?.checked_add(1)
}

/// First clock value after epoch `epoch` (at least 1) of a model minted at `minted`.
pub fn epoch_end(epoch: u32, minted: u32, length: u32) -> Option<u32> {
    epoch.checked_mul(length)?.checked_add(minted)
}
