use crate::{mock::*, types::*};
use frame::testing_prelude::*;
use weft_protocol::licence::purpose;
use weft_traits::{GrantRef, JobInput, JobScope};

#[test]
fn check_should_name_every_reason_when_a_job_is_impossible() {
    build_and_execute(|| {
        let licence = Terms { base_models: only(&[BASE]), attribution: true, ..terms() };
        assert_ok!(set(licence));
        assert_ok!(acquire(Scope { base_models: only(&[BASE]), ..scope() }));
        let wrong =
            JobScope { base_root: OTHER_BASE, purpose: purpose::EXPORT, deadline: 500, attributed: false, ..job() };
        let inputs = vec![
            JobInput { datanet: NET, snapshot: 9, grant: GrantRef::Held(0) },
            JobInput { datanet: NET, snapshot: 0, grant: GrantRef::Held(9) },
            JobInput {
                datanet: NET_2,
                snapshot: 0,
                grant: GrantRef::Acquire { version: 1, max_price: 0, purpose: purpose::TRAIN, uses: 1 },
            },
            JobInput {
                datanet: NO_NET,
                snapshot: 0,
                grant: GrantRef::Acquire { version: 1, max_price: 0, purpose: purpose::TRAIN, uses: 1 },
            },
        ];
        let found = Permissions::check(STRANGER, wrong, inputs);
        let expected = vec![
            (NET, Refusal::NotAllowed),
            (NET, Refusal::PurposeForbidden),
            (NET, Refusal::SnapshotOutOfRange),
            (NET, Refusal::WrongBaseModel),
            (NET, Refusal::GrantExpired),
            (NET, Refusal::TermsConflict),
            (NET, Refusal::InputsUnordered),
            (NET, Refusal::UnknownGrant),
            (NET_2, Refusal::NoLicence),
            (NO_NET, Refusal::UnknownDatanet),
        ];
        assert_eq!(found, expected);
    });
}

#[test]
fn check_should_agree_with_consume_when_a_grant_is_acquired() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        let good = with_acquire(1, PRICE, purpose::TRAIN, 1);
        assert_eq!(Permissions::check(BUILDER, job(), good), vec![]);
        let bad = with_acquire(1, 0, purpose::EVALUATE, 11);
        let found = Permissions::check(BUILDER, job(), bad);
        let expected = [Refusal::PriceAboveMax, Refusal::ScopeTooWide, Refusal::PurposeForbidden];
        assert_eq!(found, expected.map(|reason| (NET, reason)).to_vec());
    });
}

#[test]
fn lists_should_be_paged_when_asked_for_a_part() {
    build_and_execute(|| {
        assert_eq!(Permissions::current_licence(NET), None);
        let id = granted();
        assert_ok!(acquire(scope()));
        assert_eq!(Permissions::next_grant(), 2);
        let ids = |from, limit| Permissions::grants(from, limit).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(0, 1), vec![id]);
        assert_eq!(ids(1, u32::MAX), vec![1]);
        assert_eq!(ids(u32::MAX, 1), Vec::<u32>::new());
    });
}
