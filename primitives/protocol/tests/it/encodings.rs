//! Every encoding decodes to itself, and no garbage panics.

use crate::strategies as s;
use codec::{Decode, Encode, MaxEncodedLen};
use proptest::prelude::*;
use weft_protocol::{
    dec::Dec,
    economics::{Params, Timers},
    fee_tree::FeeNode,
    job::*,
    licence::Terms,
    mmr,
    receipt::Receipt,
    recipe::Recipe,
    record::{Message, Record, Role},
    run, shape,
    slash::{LostBond, SlashParts},
    split, sum_tree, voucher,
};

macro_rules! round_trips {
    ($($test:ident: $type:ty = $strategy:expr;)*) => {
        proptest! {
            $(
                #[test]
                fn $test(value in $strategy, cut in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..200)) {
                    let bytes = value.encode();
                    prop_assert_eq!(&<$type>::decode(&mut bytes.as_slice()).unwrap(), &value);
                    prop_assert!(<$type>::decode(&mut &bytes[..cut.index(bytes.len())]).is_err());
                    let _ = <$type>::decode(&mut noise.as_slice());
                }
            )*
        }
    };
}

round_trips! {
    dec_should_round_trip: Dec = s::dec();
    record_should_round_trip: Record = s::record();
    shape_should_round_trip: shape::ModelShape = s::shape();
    recipe_should_round_trip: Recipe = s::recipe();
    tier_should_round_trip: Tier = s::tier();
    part_should_round_trip: run::Part = s::part();
    opening_should_round_trip: run::Opening = s::opening();
    commit_should_round_trip: run::Commit = s::commit();
    data_leaf_should_round_trip: run::DataLeaf = s::data_leaf();
    spec_should_round_trip: run::Spec = s::spec();
    owner_leaf_should_round_trip: sum_tree::OwnerLeaf = s::owner_leaf();
    range_should_round_trip: mmr::Mmr = s::range();
    voucher_should_round_trip: voucher::Voucher = s::voucher();
    split_should_round_trip: split::ModelSplit = s::split();
    receipt_should_round_trip: Receipt = receipt();
    artifact_should_round_trip: run::Artifact = s::artifact();
    artifact_kind_should_round_trip: run::ArtifactKind = s::artifact_kind();
    jury_value_should_round_trip: run::JuryValue = s::jury_value();
    sums_should_round_trip: sum_tree::Sums = s::sums();
    sum_node_should_round_trip: sum_tree::SumNode = s::sum_node();
    fee_node_should_round_trip: FeeNode = s::fee_node();
    range_proof_should_round_trip: mmr::MmrProof = s::range_proof();
    terms_should_round_trip: Terms = s::terms();
    job_state_should_round_trip: JobState = s::job_state();
    fail_reason_should_round_trip: FailReason = s::fail_reason();
    job_event_should_round_trip: JobEvent = s::job_event();
    slash_parts_should_round_trip: SlashParts = s::slash_parts();
    lost_bond_should_round_trip: LostBond = s::lost_bond();
    params_should_round_trip: Params = s::params();
    timers_should_round_trip: Timers = s::timers();
}

#[test]
fn message_should_not_decode_when_its_weight_is_above_one() {
    for weight in 0..=u8::MAX {
        let record = Record { messages: vec![Message { role: Role::User, content: "a".into(), weight }] };
        assert_eq!(Record::decode(&mut record.encode().as_slice()).is_ok(), weight < 2, "{weight}");
    }
}

proptest! {
    /// A record that decodes has the canonical line that its own encoding says.
    #[test]
    fn decoded_record_should_survive_its_canonical_line(record in s::record()) {
        let decoded = Record::decode(&mut record.encode().as_slice()).unwrap();
        prop_assert_eq!(Record::parse_line(&decoded.canonical_line()).unwrap(), record);
    }
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (
        (s::hash(), any::<([u8; 16], u64)>(), s::hash(), prop::collection::vec(any::<u8>(), 0..20), any::<u32>()),
        (s::hash(), s::hash(), s::hash(), s::hash(), any::<(u32, u32, u32, u128, u128, u128)>()),
        (
            s::split(),
            any::<(u16, u32, u64)>(),
            s::hash(),
            s::hash(),
            prop::collection::vec((s::hash(), any::<u32>()), 0..6),
        ),
    )
        .prop_map(|(a, b, c)| Receipt {
            version: 1,
            genesis: a.0,
            id: a.1 .0,
            index: a.1 .1,
            oracle: a.2,
            class: a.3,
            model: a.4,
            model_commitment: b.0,
            base_root: b.1,
            request: b.2,
            answer: b.3,
            tokens_in: b.4 .0,
            tokens_out: b.4 .1,
            price_version: b.4 .2,
            price_in: b.4 .3,
            price_out: b.4 .4,
            fee: b.4 .5,
            split: c.0,
            method: c.1 .0,
            attribution: c.2,
            top: c.4,
            block: c.1 .1,
            block_hash: c.3,
            time: c.1 .2,
        })
}

#[test]
fn dec_should_refuse_every_form_but_the_canonical() {
    let refused = |m: u32, e: i8| Dec::decode(&mut (m, e).encode().as_slice()).is_err();
    assert!(refused(0, -1) && refused(0, 1) && refused(10, -1) && refused(1, 1) && refused(1, -23) && refused(20, -22));
    assert!(!refused(0, 0) && !refused(10, 0) && !refused(1, -22) && !refused(u32::MAX, 0));
}

#[test]
fn dec_should_parse_what_people_write() {
    let same = |text: &str, m, e| assert_eq!(Dec::parse(text), Dec::new(m, e), "{text}");
    same("2e-4", 2, -4);
    same("0.0002", 2, -4);
    same("0.00020", 2, -4);
    same("1E3", 1000, 0);
    same("1.5e2", 150, 0);
    same("0", 0, 0);
    same("0.000", 0, 0);
    same("0.999", 999, -3);
    same("1e-8", 1, -8);
    for bad in
        ["", ".", "1.", ".5", "-1", "+1", "1e", "e3", "1e-23", "4294967296", "1 ", "0x1", "1e99999999999", "nan", "inf"]
    {
        assert_eq!(Dec::parse(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn dec_should_read_its_own_texts(dec in s::dec()) {
        prop_assert_eq!(Dec::parse(&dec.to_string()), Some(dec));
        prop_assert_eq!(Dec::parse(&dec.to_plain()), Some(dec));
        let json = serde_json::to_string(&dec).unwrap();
        prop_assert_eq!(serde_json::from_str::<Dec>(&json).unwrap(), dec);
    }

    #[test]
    fn dec_should_order_as_the_numbers(a in s::dec(), b in s::dec()) {
        prop_assert_eq!(a.cmp(&b), a.scaled().cmp(&b.scaled()));
        prop_assert_eq!(a == b, a.scaled() == b.scaled());
    }
}

#[test]
fn fixed_sizes_should_be_those_of_the_specification() {
    assert_eq!(run::Commit::max_encoded_len(), 165);
    assert_eq!(sum_tree::SumNode::max_encoded_len(), 80);
    assert_eq!(run::Part::max_encoded_len(), 88);
    assert_eq!(weft_protocol::fee_tree::FeeNode::max_encoded_len(), 48);
    assert_eq!(Tier::Full(2).encode(), [1, 2]);
    assert_eq!(JobState::Failed(FailReason::Undecided).encode(), [9, 4]);
    assert!(Recipe::attributed().encoded_size() < 150);
}
