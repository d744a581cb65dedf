//! Encodings that clients and later versions rely on.

use crate::{mock::*, types::*, Call};
use codec::Encode;

/// Pallet and call index of an encoded call.
fn indices(call: Call<Test>) -> Vec<u8> {
    RuntimeCall::Permissions(call).encode()[..2].to_vec()
}

#[test]
fn calls_should_keep_their_indices() {
    assert_eq!(indices(Call::set_licence { datanet: 0, terms: terms() }), [41, 0]);
    assert_eq!(indices(Call::acquire { datanet: 0, version: 1, max_price: 0, scope: scope() }), [41, 3]);
    assert_eq!(indices(Call::revoke { grant: 0, cause: Cause::Breach }), [41, 7]);
    assert_eq!(indices(Call::prune { grant: 0 }), [41, 10]);
}

#[test]
fn enums_should_keep_their_numbers() {
    assert_eq!([Approval::Open, Approval::AllowList, Approval::OnRequest].encode(), [0, 1, 2]);
    assert_eq!((Reciprocity::None, Reciprocity::SameTerms).encode(), [0, 1]);
    assert_eq!(Reciprocity::ParentRoyalty(1).encode(), [2, 1, 0, 0, 0]);
    assert_eq!(OnRevoke::KeepServing.encode(), [0]);
    assert_eq!(OnRevoke::StopServing(1).encode(), [1, 1, 0, 0, 0]);
    assert_eq!((Allowed::Any, only(&[])).encode(), [0, 1, 0]);
    let states = (
        GrantState::Requested,
        GrantState::Active,
        GrantState::Revoked(Cause::Breach),
        GrantState::Revoked(Cause::Convenience),
    );
    assert_eq!(states.encode(), [0, 1, 2, 0, 2, 1]);
}

#[test]
fn covers_should_hold_only_for_narrower_lists() {
    let (one, two, none) = (only(&[BASE]), only(&[BASE, OTHER_BASE]), only(&[]));
    for (wide, narrow, expected) in [
        (&Allowed::Any, &Allowed::Any, true),
        (&Allowed::Any, &one, true),
        (&two, &one, true),
        (&one, &none, true),
        (&one, &two, false),
        (&none, &one, false),
        (&none, &Allowed::Any, false),
    ] {
        assert_eq!(wide.covers(narrow), expected, "{wide:?} {narrow:?}");
    }
}
