use crate::Rng;
use weft_numerics::order::{permute, Order};
use weft_numerics::philox::{init_a, philox, sampling_uniform, Dropout, Purpose};
use weft_numerics::sample::{greedy, pick, softmax};
use weft_numerics::select::{select, Choosable};
use weft_numerics::Key;
use weft_protocol::{draw::probe_size, record::split_hash};

const KEY: Key = Key([0x1234_5678, 0x9abc_def0]);

#[test]
fn philox_should_give_the_vectors_of_random123() {
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn order_should_be_a_permutation_for_every_size() {
    for n in 1..=2_000u32 {
        let mut seen = vec![false; n as usize];
        for x in 0..n {
            let y = permute(&KEY, n, n % 5, x) as usize;
            assert!(!seen[y], "{n}");
            seen[y] = true;
        }
    }
}

#[test]
fn order_should_visit_every_record_once_an_epoch() {
    let order = Order::epochs(KEY, 10, 4, 3);
    assert_eq!(order.len(), 8);
    let all: Vec<u32> = (0..8).flat_map(|t| order.step(t)).collect();
    assert_eq!(all.len(), 30);
    assert_eq!(order.step(7).len(), 2);
    assert!(order.step(8).is_empty());
    for epoch in all.chunks(10) {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
    }
    assert_ne!(all[..10], all[10..20]);
    assert_eq!(Order::steps(KEY, 10, 4, 8).step(7).len(), 4);
}

#[test]
fn init_should_be_uniform_and_independent_of_the_length() {
    let mut a = vec![0.0; 64 * 256];
    init_a(&KEY, 3, 256, &mut a);
    let bound = 1.0 / 16.0;
    assert!(a.iter().all(|x| (-bound..bound).contains(x)));
    let mean: f32 = a.iter().sum::<f32>() / a.len() as f32;
    let var: f32 = a.iter().map(|x| x * x).sum::<f32>() / a.len() as f32;
    assert!(mean.abs() < 0.002 && (var / (bound * bound / 3.0) - 1.0).abs() < 0.05);
    let mut part = vec![0.0; 7];
    init_a(&KEY, 3, 256, &mut part);
    assert_eq!(part, a[..7]);
    let mut other = vec![0.0; 7];
    init_a(&KEY, 4, 256, &mut other);
    assert_ne!(part, other);
}

#[test]
fn dropout_should_keep_its_rate_and_scale() {
    let n = 1_000;
    let drop = Dropout::new(KEY, 5, 2, 0.1);
    let x = vec![1.0; n];
    let mut y = vec![0.0; n];
    let mut kept = 0;
    for position in 0..100 {
        drop.apply_row(position, 1, &x, &mut y);
        kept += y.iter().filter(|y| **y != 0.0).count();
        assert!(y.iter().all(|y| *y == 0.0 || *y == 1.0 / 0.9f32));
    }
    // Four standard deviations of a binomial.
    let sigma = (100_000.0f64 * 0.1 * 0.9).sqrt();
    assert!((kept as f64 - 90_000.0).abs() < 4.0 * sigma);
}

#[test]
fn dropout_should_keep_everything_when_p_is_zero() {
    let x = Rng::new(8).vec(9, 1.0);
    let mut y = vec![0.0; 9];
    Dropout::new(KEY, 0, 0, 0.0).apply_row(3, 0, &x, &mut y);
    assert_eq!(x, y);
}

fn choosable(n: u32) -> Vec<Choosable> {
    (0..n)
        .map(|index| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&index.to_le_bytes());
            Choosable { index, split: split_hash(&[7; 32], &id) }
        })
        .collect()
}

#[test]
fn held_out_should_be_the_lowest_hashes() {
    let records = choosable(50);
    let held = select(&KEY, 50, 100_000, &records, true).held_out;
    assert_eq!(held.len(), 5);
    let top = held.iter().map(|i| records[*i as usize].split).max().unwrap();
    assert_eq!(records.iter().filter(|r| r.split <= top).count(), 5);
}

#[test]
fn selection_should_part_the_choosable_records() {
    for n in [0, 1, 2, 19, 20, 21, 180, 5_000] {
        let records = choosable(n);
        let s = select(&KEY, n, 100_000, &records, true);
        let eligible = n - s.held_out.len() as u32;
        assert_eq!(s.probe.len() as u32, probe_size(eligible));
        let mut all = [s.held_out.clone(), s.probe.clone(), s.train.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..n).collect::<Vec<_>>());
        assert!(select(&KEY, n, 100_000, &records, false).probe.is_empty());
    }
}

#[test]
fn probe_should_be_drawn_without_replacement_by_the_draws() {
    let s = select(&KEY, 100, 0, &choosable(100), true);
    let mut left: Vec<u32> = (0..100).collect();
    let mut want: Vec<u32> = (0..5u32)
        .map(|j| {
            // Word 0 of the counter (j, 0, 0, purpose 4), as the specification lays it out.
            let [w, ..] = philox([j, 0, 0, 4 << 24], KEY.0);
            left.remove(((u64::from(w) * u64::from(100 - j)) >> 32) as usize)
        })
        .collect();
    assert_eq!(Purpose::Probe as u32, 4);
    want.sort_unstable();
    assert_eq!(s.probe, want);
}

#[test]
fn sampling_should_follow_the_uniform_number() {
    for p in 0..1_000 {
        assert!((0.0..1.0).contains(&sampling_uniform(&KEY, p)));
    }
    let mut p = vec![0.0; 4];
    softmax(&[1.0, 3.0, f32::NEG_INFINITY, 2.0], &mut p);
    assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6 && p[2] == 0.0);
    assert_eq!(pick(&p, 0.0), 0);
    assert_eq!(pick(&p, p[0]), 1);
    assert_eq!(pick(&p, 0.999_999_9), 3);
    assert_eq!(pick(&[0.3, 0.3, 0.0], 0.9), 1);
    assert_eq!(greedy(&[1.0, f32::NAN, 3.0, 3.0]), 2);
}

#[test]
fn keys_should_be_the_first_bytes_of_the_digest() {
    let digest = weft_protocol::hash::h(b"weft.rng", &[9u8; 32]);
    let word = |at: usize| u32::from_le_bytes(digest[at..at + 4].try_into().unwrap());
    assert_eq!(Key::from_seed(&[9; 32]).0, [word(0), word(4)]);
}
