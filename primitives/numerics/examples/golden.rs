//! Writes the golden vectors: `cargo run -p weft-numerics --example golden`.
//! The format stands in `tests/it/golden.rs`, which checks them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::needless_range_loop,
    clippy::type_complexity,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a generator of test data"
)]

#[path = "../tests/it/cases.rs"]
mod cases;
#[path = "../tests/it/reference.rs"]
mod reference;
#[path = "../tests/it/soft.rs"]
mod soft;

use cases::{all, Gen, Input};
use std::path::PathBuf;
use weft_protocol::hash::blake2_256;

fn main() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/numerics");
    for op in all() {
        let mut words = vec![1, op.id, op.edges.len() as u32];
        let list = |words: &mut Vec<u32>, x: &[u32]| {
            words.push(x.len() as u32);
            words.extend_from_slice(x);
        };
        for case in &op.edges {
            list(&mut words, &case.params);
            match &case.input {
                Input::Words(x) => {
                    words.push(0);
                    list(&mut words, x);
                }
                Input::Random { seed, n, mode, special } => {
                    words.extend([1, *seed, *n, *mode, special.len() as u32]);
                    words.extend(special.iter().flat_map(|(i, b)| [*i, *b]));
                }
            }
            list(&mut words, &(op.fast)(&case.params, &case.words()));
        }
        let seed = op.id ^ 0x5eed_0000;
        words.extend([seed, op.random]);
        let mut g = Gen::new(seed);
        let mut out = Vec::new();
        for _ in 0..op.random {
            let case = (op.make)(&mut g);
            out.extend((op.fast)(&case.params, &case.words()).into_iter().flat_map(u32::to_le_bytes));
        }
        let mut bytes = b"weftgold".to_vec();
        bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(blake2_256(&out));
        println!("{:02x}: {} bytes", op.id, bytes.len());
        std::fs::write(folder.join(format!("{:02x}.bin", op.id)), bytes).unwrap();
    }
}
