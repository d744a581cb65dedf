//! Fees, stakes, slashes, epochs.

use crate::recipes::small;
use proptest::prelude::*;
use weft_protocol::{economics::*, job::Tier, recipe::Recipe, slash::*};

#[test]
fn stakes_should_be_those_of_the_specification() {
    // R = 15, G = 50: Full(2) with r = 0.25 needs 17, P = 0.02 needs 12,740.
    assert_eq!(detection_ppm(Tier::Full(2), 100, 250_000), Some(937_500));
    let above = |p| stake(0, Tier::Full(2), p, 15 * WEFT, 50 * WEFT, 500_000).unwrap();
    assert_eq!(above(937_500).div_ceil(WEFT), 18);
    assert_eq!(above(937_500) / WEFT, 17);
    assert_eq!(above(20_000), 12_740 * WEFT);
    assert_eq!(stake(1_000, Tier::Full(1), 1_000_000, 15, 50, 500_000), Some(1_000));
    assert_eq!(detection_ppm(Tier::Spot(2), 100, 250_000), Some(200_000));
    assert_eq!(detection_ppm(Tier::Spot(200), 100, 250_000), Some(1_000_000));
    assert_eq!(detection_ppm(Tier::Full(0), 100, 250_000), Some(0));
}

#[test]
fn stake_should_be_the_least_only_when_no_verifier_is_drawn() {
    // GIVEN tiers that draw nobody: the least stake is all there is to lose
    for tier in [Tier::Full(0), Tier::Spot(0)] {
        assert_eq!(stake(1_000, tier, 0, 15, 50, 500_000), Some(1_000));
    }
    // WHEN verifiers are drawn that never find anything, as when all are lazy
    let never = detection_ppm(Tier::Full(3), 100, 1_000_000).unwrap();
    assert_eq!(never, 0);
    // THEN no stake would do
    for tier in [Tier::Full(1), Tier::Full(3), Tier::Spot(1)] {
        assert_eq!(stake(1_000, tier, never, 15, 50, 500_000), None);
    }
    assert_eq!(stake(1_000, Tier::Full(1), 750_000, 15, 50, 1_000_000), None);
    assert_eq!(stake(1_000, Tier::Full(1), 1_000_001, 15, 50, 500_000), None);
}

#[test]
fn day_should_have_at_least_one_block() {
    assert_eq!(day_blocks(6_000), 14_400);
    assert_eq!(day_blocks(2_000), 43_200);
    assert_eq!((day_blocks(1), day_blocks(7)), (86_400_000, 12_342_857));
    // A slot of 0 ms counts as 1 ms.
    assert_eq!(day_blocks(0), 86_400_000);
    for slot in [86_400_000, 86_400_001, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1 << 33, u64::MAX] {
        assert_eq!(day_blocks(slot), 1, "{slot}");
    }
    assert_eq!(day_blocks(43_200_001), 1);
    assert_eq!(day_blocks(43_200_000), 2);
}

#[test]
fn formulas_should_round_up_where_the_specification_does() {
    assert_eq!(verifier_fee(100, 1, 7, 5), Some(18 + 5));
    assert_eq!(verification(Tier::Full(2), 100, 7, 5), Some(2 * 125));
    assert_eq!(verification(Tier::Spot(2), 100, 10, 5), Some(2 * (48 + 5)));
    assert_eq!(lock(10, 1_000_000), Some(50_000));
    assert_eq!(lock(10_000, 1_000_000), Some(500_000));
    assert_eq!(accuse_bond(100, 7, 3, 5, 1), Some(3 * 125 + 1));
    assert_eq!((late_slash(100, 10, 1_000), late_slash(10, 10, 1_000), late_slash(100, 10, 20)), (50, 10, 20));
    assert_eq!(tenth(99), 9);
    assert_eq!(tokens(3, 180, 512, 20_000), Some(3 * (20_000 + 64 * 180)));
    assert_eq!(tokens(3, 10, 8, 20_000), Some(3 * 80));
    assert_eq!(flops(10, 3, 2), Some(240));
    assert_eq!(run_blocks(1, true, 10, 100), Some(1));
    assert_eq!(run_blocks(1_001, false, 10, 100), Some(2));
    assert_eq!((replay_blocks(7, 3, 10), replay_blocks(7, 3, 0)), (Some(3), None));
    assert_eq!(answer_fee(1, 1, 1, 1), Some(1));
    assert_eq!(answer_fee(500, 250, 2, 4), Some(2));
    assert_eq!((epoch_at(9, 10, 5), epoch_at(10, 10, 5), epoch_at(15, 10, 5)), (None, Some(1), Some(2)));
    assert_eq!(epoch_end(1, 10, 5), Some(15));
    assert_eq!(verifier_fee(1, 1, 0, 0), None);
}

#[test]
fn overflow_should_be_none() {
    assert_eq!(stake(u128::MAX, Tier::Full(1), 1, 1, 1, 0), None);
    assert_eq!(stake(0, Tier::Full(1), 1, u128::MAX, 1, 0), None);
    assert_eq!(verifier_fee(u128::MAX, 1, 1, 0), None);
    assert_eq!(
        tokens(u32::MAX, u32::MAX, u32::MAX, u64::MAX),
        Some(
            u128::from(u32::MAX) * (u128::from(u64::MAX) + 64 * u128::from(u32::MAX)).min(u128::from(u32::MAX).pow(2))
        )
    );
    assert_eq!(flops(u128::MAX, 1, 1), None);
    assert_eq!(run_blocks(u128::MAX, true, 1, 1), None);
    assert_eq!(answer_fee(u64::MAX, u64::MAX, u128::MAX, 1), None);
}

#[test]
fn a_demo_sized_job_should_fit_its_timers() {
    let params = Params::fast();
    let recipe = Recipe { max_seq_len: 512, ..Recipe::attributed() };
    let blocks = job_blocks(&small(), &recipe, 180, 40_000, params.ref_flops_per_ms, 2_000).unwrap();
    assert!((1..1_000).contains(&blocks), "{blocks}");
}

proptest! {
    #[test]
    fn slash_parts_should_sum_to_the_slash(amount in any::<u128>(), fees in any::<u128>(), challenger in any::<bool>()) {
        let parts = slash_parts(amount, fees, challenger).unwrap();
        let sum = parts.jurors.checked_add(parts.challenger).unwrap().checked_add(parts.builder).unwrap().checked_add(parts.burned).unwrap();
        prop_assert_eq!(sum, amount);
        prop_assert_eq!(parts.jurors, fees.min(amount));
        prop_assert!(challenger || parts.challenger == 0);
        let lost = lost_bond(amount, fees);
        prop_assert_eq!((lost.jurors, lost.jurors.checked_add(lost.oracle)), (fees.min(amount), Some(amount)));
        let late = late_parts(amount);
        prop_assert_eq!(late.builder.checked_add(late.burned), Some(amount));
        prop_assert_eq!((late.jurors, late.challenger, late.builder), (0, 0, amount / 2));
    }

    /// The inequality that the stake is made for: with the challenger's share β taken back by an accomplice, what is
    /// lost on average when found is at least twice what is won when not, P(1−β)S ≥ 2(1−P)(R+G); and no smaller stake does.
    #[test]
    fn honest_should_be_best(fee in 1u128..1 << 60, value in 0u128..1 << 60, p in 1u32..1_000_000, beta in 0u32..1_000_000) {
        let stake = stake(0, Tier::Full(1), p, fee, value, beta).unwrap();
        let (hit, miss) = (u128::from(p), u128::from(1_000_000 - p));
        // All terms are scaled by 10^12.
        let won = 2 * miss * (fee + value) * 1_000_000;
        let lost = |stake: u128| hit * u128::from(1_000_000 - beta) * stake;
        prop_assert!(lost(stake) >= won);
        prop_assert!(stake > 0 && lost(stake - 1) < won);
    }
}
