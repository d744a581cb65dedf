//! The committed vectors, and the soft-float reference on the same cases.
//!
//! A file: `weftgold`, then u32 words, little-endian: version 1, opcode, number
//! of edges; per edge: parameters (count, words), input (0, count, words; or 1,
//! seed, count, mode, replaced words (count, pairs index, bits)), output (count,
//! words); then seed and count of the random cases and the 32 bytes of
//! blake2_256 of their output words.

use crate::cases::{all, Case, Gen, Input, Op, IN_USE};
use crate::long;
use std::path::PathBuf;
use weft_protocol::hash::blake2_256;

fn path(op: &Op) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/numerics/{:02x}.bin", op.id))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> u32 {
        let (four, rest) = self.0.split_first_chunk::<4>().unwrap();
        self.0 = rest;
        u32::from_le_bytes(*four)
    }
    fn words(&mut self) -> Vec<u32> {
        (0..self.word()).map(|_| self.word()).collect()
    }
}

#[test]
fn every_opcode_in_use_should_have_an_element_and_a_file() {
    let mut ids: Vec<u32> = all().iter().map(|op| op.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, IN_USE);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/numerics");
    let mut files: Vec<u32> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".bin").map(|id| u32::from_str_radix(id, 16).unwrap())
        })
        .collect();
    files.sort_unstable();
    assert_eq!(files, IN_USE);
}

#[test]
fn committed_vectors_should_be_reproduced() {
    for op in all() {
        let bytes = std::fs::read(path(&op)).unwrap();
        assert!(bytes.len() <= 65_536, "{:02x}", op.id);
        let mut r = Reader(bytes.strip_prefix(b"weftgold").unwrap());
        assert_eq!([r.word(), r.word()], [1, op.id]);
        let edges = r.word();
        assert_eq!(edges as usize, op.edges.len());
        for i in 0..edges {
            let params = r.words();
            let input = if r.word() == 0 {
                Input::Words(r.words())
            } else {
                let [seed, n, mode] = [r.word(), r.word(), r.word()];
                let special = (0..r.word()).map(|_| (r.word(), r.word())).collect();
                Input::Random { seed, n, mode, special }
            };
            let case = Case { params, input };
            let want = r.words();
            assert_eq!((op.fast)(&case.params, &case.words()), want, "{:02x} edge {i}: {case:?}", op.id);
        }
        let (mut g, count) = (Gen::new(r.word()), r.word());
        assert_eq!(count, op.random);
        let mut out = Vec::new();
        for _ in 0..count {
            let case = (op.make)(&mut g);
            out.extend((op.fast)(&case.params, &case.words()).into_iter().flat_map(u32::to_le_bytes));
        }
        assert_eq!(r.0, blake2_256(&out), "{:02x}", op.id);
    }
}

#[test]
fn soft_float_reference_should_agree() {
    for op in all() {
        let count = if long() { op.random } else { op.random.min(1_000) };
        let mut g = Gen::new(op.id ^ 0x5eed_0000);
        let random = (0..count).map(|_| (op.make)(&mut g)).collect::<Vec<_>>();
        for case in op.edges.iter().chain(&random) {
            let words = case.words();
            let (fast, soft) = ((op.fast)(&case.params, &words), (op.soft)(&case.params, &words));
            assert!(fast == soft, "{:02x}: {fast:08x?} {soft:08x?} {case:08x?}", op.id);
        }
    }
}
