//! One value and its digest per tag and preimage, committed in `vectors.json`.
//!
//! Each value is built here byte by byte, apart from the code under test; the digest comes from that code. After a
//! deliberate change: `WEFT_WRITE_VECTORS=1 cargo test -p weft-protocol vectors`.

use crate::recipes::small;
use codec::Encode;
use serde_json::{json, Value};
use weft_protocol::{
    economics::WEFT,
    fee_tree::{self, FeeNode},
    hash::*,
    job::Tier,
    merkle::{self, Dtype},
    mmr,
    receipt::{salted, Receipt},
    recipe::Recipe,
    record::{self, Record},
    run::*,
    shape,
    split::ModelSplit,
    sum_tree::{self, OwnerLeaf},
    voucher::Voucher,
    Hash,
};

/// Bytes in the order of a preimage.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }
    /// A SCALE byte string or list shorter than 64.
    fn short(self, count: usize) -> Self {
        assert!(count < 64);
        self.raw([(count as u8) << 2])
    }
    fn text(self, bytes: impl AsRef<[u8]>) -> Self {
        self.short(bytes.as_ref().len()).raw(bytes)
    }
    fn u16(self, x: u16) -> Self {
        self.raw(x.to_le_bytes())
    }
    fn u32(self, x: u32) -> Self {
        self.raw(x.to_le_bytes())
    }
    fn u64(self, x: u64) -> Self {
        self.raw(x.to_le_bytes())
    }
    fn u128(self, x: u128) -> Self {
        self.raw(x.to_le_bytes())
    }
    fn dec(self, mantissa: u32, exp10: i8) -> Self {
        self.u32(mantissa).raw(exp10.to_le_bytes())
    }
}

fn b() -> Bytes {
    Bytes::default()
}

/// 32 bytes that tell apart the places they stand in.
fn x(seed: u8) -> Hash {
    std::array::from_fn(|i| seed.wrapping_add(i as u8))
}

fn recipe_bytes() -> Bytes {
    b().u16(1)
        .raw([0, 1])
        .u16(16)
        .u16(32)
        .raw([0])
        .dec(0, 0)
        .raw([0x7f])
        .dec(2, -4)
        .raw([0])
        .u16(3)
        .u16(16)
        .raw([0])
        .u32(1024)
        .raw([0, 0, 1, 0])
        .u32(100_000)
        .dec(9, -1)
        .dec(999, -3)
        .dec(1, -8)
        .dec(1, -8)
        .dec(1, 0)
        .dec(0, 0)
        .dec(0, 0)
        .u32(100_000)
        .short(0)
}

fn shape_bytes() -> Bytes {
    b().raw([0]).u16(4).u32(256).u16(8).u16(4).u16(32).u32(640).u32(4096).u32(512).dec(1, -5).raw([1, 0]).u32(0)
}

fn part() -> Part {
    Part { datanet: 7, leaves: 2, root: x(1), pos: 3, neg: 4, paid: 1_000_000_000_000 }
}

fn part_bytes() -> Bytes {
    b().u32(7).u32(2).raw(x(1)).u128(3).u128(4).u128(1_000_000_000_000)
}

fn leaf(owner: u8) -> OwnerLeaf {
    OwnerLeaf { datanet: 7, owner: x(owner), records: 3, inrun: 40, pos: 5, neg: 6, paid: 7, held: 0 }
}

fn owner_bytes() -> Bytes {
    b().u32(7).raw(x(9)).u32(3).u128(40).u128(5).u128(6).u128(7).u128(0)
}

fn commit() -> Commit {
    Commit {
        n_done: 12,
        outcome: Outcome::Done,
        data_root: x(1),
        steps_root: x(2),
        model_commitment: x(3),
        attribution_commitment: x(4),
        secret: x(5),
    }
}

fn receipt() -> (Receipt, Bytes) {
    let value = Receipt {
        version: 1,
        genesis: x(1),
        id: [2; 16],
        index: 3,
        oracle: x(4),
        class: b"cpu-f32/1".to_vec(),
        model: 5,
        model_commitment: x(6),
        base_root: x(7),
        request: x(8),
        answer: x(9),
        tokens_in: 10,
        tokens_out: 11,
        price_version: 12,
        price_in: 13,
        price_out: 14,
        fee: 15,
        split: ModelSplit::DEFAULT,
        method: 1,
        attribution: x(16),
        top: vec![(x(17), 600_000)],
        block: 18,
        block_hash: x(19),
        time: 20,
    };
    let bytes = b()
        .raw([1])
        .raw(x(1))
        .raw([2; 16])
        .u64(3)
        .raw(x(4))
        .text("cpu-f32/1")
        .u32(5)
        .raw(x(6))
        .raw(x(7))
        .raw(x(8))
        .raw(x(9))
        .u32(10)
        .u32(11)
        .u32(12)
        .u128(13)
        .u128(14)
        .u128(15)
        .u32(50_000)
        .u32(50_000)
        .u32(300_000)
        .u32(200_000)
        .u32(400_000)
        .u16(1)
        .raw(x(16))
        .short(1)
        .raw(x(17))
        .u32(600_000)
        .u32(18)
        .raw(x(19))
        .u64(20);
    (value, bytes)
}

/// Tag, value and the digest that the crate computes for it.
fn cases() -> Vec<(Tag, Bytes, Hash)> {
    let mut out = commitments();
    out.extend(records_and_trees());
    out.extend(services());
    out
}

fn commitments() -> Vec<(Tag, Bytes, Hash)> {
    let recipe = Recipe::attributed();
    let spec = Spec {
        job: 9,
        sem_id: x(1),
        base_root: x(2),
        snapshots: vec![Snapshot { datanet: 3, root: x(4), records: 180, clusters: ZERO }],
        probe_root: ZERO,
        recipe: recipe.clone(),
        method: 1,
        tier: Tier::Full(2),
        score_shift: SCORE_SHIFT,
    };
    let spec_bytes = b()
        .u32(9)
        .raw(x(1))
        .raw(x(2))
        .short(1)
        .u32(3)
        .raw(x(4))
        .u32(180)
        .raw(ZERO)
        .raw(ZERO)
        .raw(recipe_bytes().0)
        .u16(1)
        .raw([1, 2])
        .raw([40]);
    let data = DataLeaf {
        index: 1,
        record_id: x(2),
        owner: x(3),
        weight_ppm: 1_000_000,
        tokens: 5,
        loss_tokens: 4,
        ids: x(6),
        mask: x(7),
    };
    let data_bytes = b().u32(1).raw(x(2)).raw(x(3)).u32(1_000_000).u32(5).u32(4).raw(x(6)).raw(x(7));
    let slot = [[x(1), x(2), x(3)]];
    let slot_root = merkle::inner(&merkle::inner(&x(1), &x(2)), &x(3));
    let work = work_page(&x(1), &[5; 3]);
    let answer = JuryValue { commit: commit(), work: x(6) };
    let commit_bytes = b().u32(12).raw([0]).raw(x(1)).raw(x(2)).raw(x(3)).raw(x(4)).raw(x(5));
    vec![
        (tag::RECIPE, recipe_bytes(), recipe.hash()),
        (tag::SPEC, spec_bytes, spec.hash()),
        (tag::SEM, b().text("cpu-f32/1").u16(0), sem_id(CLASS_CPU_F32, 0)),
        (tag::PROGRAM, b().raw(x(1)).u16(1), program_id(&x(1), 1)),
        (tag::SEED, b().raw(x(1)).raw(x(2)).raw(x(3)), seed(&x(1), &x(2), &x(3))),
        (tag::RUN, b().raw(x(1)).raw(x(2)).raw(x(3)), run_id(&x(1), &x(2), &x(3))),
        (tag::DATA_LEAF, data_bytes, data.hash()),
        (tag::DATA, b().u32(1).u64(4).raw(data.hash()), data_root(&[data]).unwrap()),
        (tag::STATE, b().raw(x(9)).u32(12).raw([0]).u32(1).raw(slot_root), state_hash(&x(9), 12, 0, &slot)),
        (
            tag::REVERSE,
            b().raw(x(9)).u32(0).u32(12).u32(1).raw(slot_root).raw(x(10)).raw(ZERO),
            reverse_hash(&x(9), 0, 12, &slot, &x(10), &ZERO),
        ),
        (tag::NONCE, b().raw(x(1)).u32(2), nonce(&x(1), 2)),
        (tag::STEP_LEAF, b().u32(2).raw(x(3)).raw(x(4)), step_leaf(2, &x(3), &x(4))),
        (tag::STEPS, b().u32(2).raw(merkle::inner(&x(1), &x(2))), steps_root(&[x(1), x(2)]).unwrap()),
        (tag::MODEL, b().raw(x(1)).u64(2).raw(x(3)), model_commitment(&x(1), 2, &x(3))),
        (
            tag::ATTRIBUTION,
            b().u16(1).u32(0).raw([0xfd]).raw(x(2)).short(1).raw(part_bytes().0).raw(x(3)),
            attribution_commitment(1, 0, -3, &x(2), &[part()], &x(3)),
        ),
        (tag::EXTRA, b().u128(1).u128(2).u128(3).raw([1]), extra_hash(1, 2, 3, true)),
        (tag::SECRET, b().raw(x(1)), secret_hash(&x(1))),
        (tag::ANSWER, b().raw(x(1)).raw(x(2)).raw(x(3)).raw(x(4)), audit_answer(&x(1), &x(2), &x(3), &x(4))),
        (
            tag::JURY,
            b().u32(1).raw(x(2)).raw(x(3)).raw(commit_bytes.0).raw(x(6)),
            jury_answer(1, &x(2), &x(3), &answer),
        ),
        (tag::JURY_PAGE, b().raw(x(1)).raw([5; 3]).raw([0; 1021]), work),
        (tag::JURY_WORK, b().raw(x(1)).raw(work), work_hash(&x(1), [[5u8; 3].as_slice()])),
        (tag::CHALLENGE, b().u32(1).u32(2).raw(x(3)).raw(x(4)), h(&tag::CHALLENGE, &(1u32, 2u32, x(3), x(4)))),
        (tag::TRACE, b().u32(2).raw(x(1)), h(&tag::TRACE, &(2u32, x(1)))),
        (tag::AUX, b().raw(x(1)), h(&tag::AUX, &x(1))),
    ]
}

fn records_and_trees() -> Vec<(Tag, Bytes, Hash)> {
    let pair = Record::pair("Wer  WAR das?", "Maße");
    let line = r#"{"messages":[{"role":"user","content":"Wer  WAR das?"},{"role":"assistant","content":"Maße"}]}"#;
    let normal = b().short(2).raw([1]).text("wer war das?").raw([2]).text("masse");
    // Longer than 63 bytes: SCALE writes the length in two bytes.
    let long = u16::try_from(line.len()).unwrap() << 2 | 1;
    let raw = b().raw(long.to_le_bytes()).raw(line);
    let id = pair.id(&ZERO);
    let mut range = mmr::Mmr::default();
    range.append(x(1), 20).unwrap();
    range.append(x(2), 22).unwrap();
    let name = "model.norm.weight";
    let tensor = shape::base_tensor(name, &x(1), &x(2));
    vec![
        (tag::INNER, b().raw(x(1)).raw(x(2)), merkle::inner(&x(1), &x(2))),
        (tag::PAGE, b().raw([7; 9]).raw([0; 1015]), merkle::page_hash(&[7; 9])),
        (
            tag::TENSOR,
            b().raw([0, 2]).u32(2).u32(3).raw(merkle::page_hash(&[1; 24])),
            merkle::tensor_hash(Dtype::F32, &[2, 3], &[1; 24]),
        ),
        (tag::RECORD_ID, b().raw(ZERO).raw(normal.0), id),
        (tag::RAW, raw, raw_hash(pair.canonical_line().as_bytes())),
        (tag::RECORD_LEAF, b().raw(id).raw(raw_hash(line.as_bytes())), pair.leaf(&ZERO)),
        (tag::CONTRIBUTION, b().u32(1).raw(x(2)).raw(x(3)).raw(x(4)), record::commitment(1, &x(2), &x(3), &x(4))),
        (tag::EVAL_SPLIT, b().raw(x(1)).raw(x(2)), record::split_hash(&x(1), &x(2))),
        (tag::MMR_LEAF, b().raw(x(1)).raw(x(2)).u64(3).u32(4).u64(5), mmr::leaf(&x(1), &x(2), 3, 4, 5)),
        (tag::TOMBSTONE, b().u32(1).short(1).u32(2).u32(3), mmr::tombstone(1, &[(2, 3)])),
        (tag::BAG, b().u64(2).u64(42).raw(merkle::inner(&x(1), &x(2))), range.snapshot_root()),
        (tag::BASE_TENSOR, b().text(name).raw(x(1)).raw(x(2)), tensor),
        (
            tag::BASE,
            shape_bytes().raw(x(3)).raw(x(4)).u32(1).raw(tensor),
            shape::base_root(&small(), &x(3), &x(4), &[(name, tensor)]).unwrap(),
        ),
        (tag::OWNER, owner_bytes(), leaf(9).hash()),
        (
            tag::SUM,
            b().raw(leaf(1).hash()).u128(5).u128(6).u128(7).raw(leaf(2).hash()).u128(5).u128(6).u128(7),
            sum_tree::root(&[leaf(1), leaf(2)]).unwrap().hash,
        ),
    ]
}

fn services() -> Vec<(Tag, Bytes, Hash)> {
    let (receipt, receipt_bytes) = receipt();
    let voucher = Voucher {
        consumer: x(2),
        key: x(3),
        oracle: x(4),
        model: 5,
        price_version: 6,
        cumulative: WEFT,
        tokens_in: 7,
        tokens_out: 8,
        receipts: x(9),
    };
    let voucher_bytes =
        b().raw([1]).raw(x(1)).raw(x(2)).raw(x(3)).raw(x(4)).u32(5).u32(6).u128(WEFT).u64(7).u64(8).raw(x(9));
    let fees = [FeeNode { hash: x(1), fee: 2 }, FeeNode { hash: x(3), fee: 4 }];
    vec![
        (tag::BEACON, b().raw(x(1)).raw(x(2)), next_beacon(&x(1), &x(2))),
        // Verifiers of job 7, not replaced; then the third number of such a draw.
        (tag::DRAW, b().raw(x(1)).raw([0]).u32(7).raw([0]), draw_entropy(&x(1), &((0u8, 7u32), false))),
        (tag::DRAW, b().raw(x(1)).u32(2), draw_number(&x(1), 2)),
        (tag::RNG, b().raw(x(1)), h(&tag::RNG, &x(1))),
        (tag::RECEIPT, receipt_bytes, receipt.hash()),
        (tag::SALTED, b().raw(x(1)).text("hello"), salted(&x(1), b"hello")),
        (tag::VOUCHER, voucher_bytes, voucher.hash(&x(1))),
        (tag::FEE, b().raw(x(1)).u128(2).raw(x(3)).u128(4), fee_tree::root(&fees).unwrap().hash),
    ]
}

#[test]
fn vectors_should_equal_the_committed_file() {
    let cases = cases();
    let mut covered: Vec<Tag> = cases.iter().map(|(tag, _, _)| *tag).collect();
    covered.sort_unstable();
    // A draw has two preimages; every other tag has one.
    assert_eq!(covered.iter().filter(|tag| **tag == tag::DRAW).count(), 2);
    let two = covered.iter().position(|tag| *tag == tag::DRAW).unwrap();
    covered.remove(two);
    let mut all = tag::ALL.to_vec();
    all.sort_unstable();
    assert_eq!(covered, all, "each preimage has exactly one vector");
    let rows: Vec<Value> = cases
        .iter()
        .map(|(tag, value, digest)| {
            let tag = std::str::from_utf8(tag).unwrap();
            assert_eq!(blake2_256(&[tag.as_bytes(), &value.0].concat()), *digest, "{tag}");
            json!({ "tag": tag, "value": hex::encode(&value.0), "digest": hex::encode(digest) })
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json");
    let text = serde_json::to_string_pretty(&rows).unwrap() + "\n";
    if std::env::var_os("WEFT_WRITE_VECTORS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "an encoding changed");
}

#[test]
fn plain_hash_should_be_blake2b() {
    // RFC 7693's function with a 32-byte digest, of no bytes: Python's hashlib.blake2b(b"", digest_size=32).
    assert_eq!(hex::encode(blake2_256(b"")), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    assert_eq!(content_id(b""), blake2_256(b""));
    assert_eq!(commit().encode().len(), 165);
    let key = rng_key(&x(1));
    let digest = h(&tag::RNG, &x(1));
    assert_eq!(key.map(u32::to_le_bytes).concat(), digest[..8]);
    assert_eq!((choose(&[0xff; 32], 10), choose(&ZERO, 10), choose(&ZERO, 0)), (9, 0, 0));
}
