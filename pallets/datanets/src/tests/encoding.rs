//! Encodings that clients and later versions rely on.

use crate::{mock::*, types::*, Call};
use codec::Encode;
use frame::testing_prelude::*;

/// Pallet and call index of an encoded call.
fn indices(call: Call<Test>) -> Vec<u8> {
    RuntimeCall::Datanets(call).encode()[..2].to_vec()
}

#[test]
fn calls_should_keep_their_indices() {
    let create = Call::create { kind: Kind::Chat, schema: 0, name: name(), card: CARD, rule: Rule::Owner };
    assert_eq!(indices(create), [40, 0]);
    assert_eq!(indices(Call::set_curators { datanet: 0, list: Default::default() }), [40, 2]);
    assert_eq!(indices(Call::commit { datanet: 0, hash: root(1) }), [40, 6]);
    let reveal =
        Call::reveal { datanet: 0, root: root(1), salt: SALT, content: CONTENT, records: 1, bytes: 1, hashes: None };
    assert_eq!(indices(reveal), [40, 7]);
    let review = Call::review { datanet: 0, contribution: 0, verdict: Verdict::Accept, code: None, note: None };
    assert_eq!(indices(review), [40, 8]);
    assert_eq!(indices(Call::snapshot { datanet: 0 }), [40, 11]);
}

#[test]
fn enums_should_keep_their_numbers() {
    assert_eq!([Kind::Chat, Kind::Instruction, Kind::Text].encode(), [0, 1, 2]);
    assert_eq!([Status::Open, Status::Closed].encode(), [0, 1]);
    assert_eq!([Verdict::Accept, Verdict::Reject].encode(), [0, 1]);
    assert_eq!((Rule::Owner, Rule::Threshold(3)).encode(), [0, 1, 3]);
    assert_eq!(Rule::MinScore(1).encode(), [2, 1, 0, 0, 0]);
    assert_eq!(Rule::Optimistic(1).encode(), [3, 1, 0, 0, 0]);
    let codes = [
        RejectCode::Duplicate,
        RejectCode::Format,
        RejectCode::OffTopic,
        RejectCode::Quality,
        RejectCode::PersonalData,
        RejectCode::Other,
        RejectCode::Plagiarism,
        RejectCode::Malware,
        RejectCode::Unlawful,
    ];
    assert_eq!(codes.encode(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let states = [
        ContributionState::Pending,
        ContributionState::Accepted,
        ContributionState::Rejected,
        ContributionState::Withdrawn,
        ContributionState::Struck,
    ];
    assert_eq!(states.encode(), [0, 1, 2, 3, 4]);
}

#[test]
fn weights_should_fit_a_block_with_room_when_on_the_database() {
    use crate::WeightInfo;
    type Weights = crate::weights::SubstrateWeight<Test>;
    // Half a second of compute time: a quarter of the shortest block's budget is far below this bound.
    let most = Weight::from_parts(500_000_000_000, u64::MAX);
    for weight in [
        Weights::create(),
        Weights::set_curators(MAX_CURATORS),
        Weights::commit(),
        Weights::reveal(),
        Weights::review(),
        Weights::snapshot(),
        Weights::idle(),
        Weights::expire(),
        Weights::free_risk(),
    ] {
        assert!(weight.all_gt(Weight::zero()) && weight.all_lte(most), "{weight:?}");
    }
}
