use crate::{mock::*, types::*, Error, Event, HoldReason, NextGrant};
use frame::testing_prelude::*;
use weft_protocol::licence::purpose;

#[test]
fn acquire_should_give_a_grant_when_scope_is_within_the_licence() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        assert_ok!(acquire(scope()));
        let grant = Permissions::grant(0).unwrap();
        assert_eq!((grant.datanet, grant.version, grant.consumer), (NET, 1, BUILDER));
        assert_eq!((grant.granted, grant.left, grant.in_flight, grant.used), (2, 2, 0, 0));
        assert_eq!((grant.expiry, grant.state), (Some(101), GrantState::Active));
        assert_eq!(held(HoldReason::Grant, &BUILDER), GRANT_DEPOSIT);
        assert_eq!(last_event(), Event::Granted { grant: 0, datanet: NET, version: 1, consumer: BUILDER });
        // The price is paid per training, not here.
        assert_eq!(free(&BUILDER), START - GRANT_DEPOSIT);
    });
}

#[test]
fn acquire_should_keep_the_narrower_scope_when_asked() {
    build_and_execute(|| {
        let licence = Terms { base_models: only(&[BASE, OTHER_BASE]), ..terms() };
        assert_ok!(set(licence));
        let narrow = Scope {
            base_models: only(&[BASE]),
            programs: only(&[PROGRAM]),
            snapshots: SnapshotRange { first: 1, last: 1 },
            expiry: Some(40),
            ..scope()
        };
        assert_ok!(acquire(narrow.clone()));
        let grant = Permissions::grant(0).unwrap();
        assert_eq!((grant.base_models, grant.programs), (narrow.base_models, narrow.programs));
        assert_eq!((grant.snapshots, grant.expiry), (narrow.snapshots, Some(40)));
    });
}

#[test]
fn acquire_should_give_no_end_when_neither_side_sets_one() {
    build_and_execute(|| {
        assert_ok!(set(Terms { duration: None, ..terms() }));
        assert_ok!(acquire(scope()));
        assert_eq!(Permissions::grant(0).unwrap().expiry, None);
    });
}

#[test]
fn acquire_should_refuse_when_there_is_no_licence_or_datanet() {
    build_and_execute(|| {
        assert_noop!(acquire(scope()), Error::<Test>::NoLicence);
        assert_noop!(Permissions::acquire(signed(BUILDER), NO_NET, 1, PRICE, scope()), Error::<Test>::UnknownDatanet);
    });
}

#[test]
fn acquire_should_refuse_when_version_is_not_the_current_one() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        assert_ok!(set(terms()));
        for version in [0, 1, 3] {
            assert_noop!(
                Permissions::acquire(signed(BUILDER), NET, version, PRICE, scope()),
                Error::<Test>::StaleVersion
            );
        }
    });
}

#[test]
fn acquire_should_refuse_when_price_is_above_the_limit() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        assert_noop!(Permissions::acquire(signed(BUILDER), NET, 1, PRICE - 1, scope()), Error::<Test>::PriceAboveMax);
    });
}

#[test]
fn acquire_should_refuse_when_purposes_are_not_the_licences() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        for purposes in [0, purpose::EXPORT, purpose::TRAIN | purpose::EXPORT, 1 << 12] {
            assert_noop!(acquire(Scope { purposes, ..scope() }), Error::<Test>::PurposeForbidden);
        }
    });
}

#[test]
fn acquire_should_refuse_when_scope_is_too_wide() {
    build_and_execute(|| {
        let narrow = Terms { base_models: only(&[BASE]), programs: only(&[PROGRAM]), ..terms() };
        assert_ok!(set(narrow));
        let fits = Scope { base_models: only(&[BASE]), programs: only(&[PROGRAM]), ..scope() };
        for wide in [
            Scope { uses: 11, ..fits.clone() },
            Scope { uses: 0, ..fits.clone() },
            Scope { expiry: Some(102), ..fits.clone() },
            Scope { base_models: Allowed::Any, ..fits.clone() },
            Scope { base_models: only(&[BASE, OTHER_BASE]), ..fits.clone() },
            Scope { programs: Allowed::Any, ..fits.clone() },
            Scope { programs: only(&[OTHER_PROGRAM]), ..fits.clone() },
        ] {
            assert_noop!(acquire(wide), Error::<Test>::ScopeTooWide);
        }
        assert_ok!(acquire(Scope { uses: 10, expiry: Some(101), ..fits }));
    });
}

#[test]
fn acquire_should_refuse_when_expiry_is_past_or_snapshots_are_none() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        assert_noop!(acquire(Scope { expiry: Some(1), ..scope() }), Error::<Test>::GrantExpired);
        let snapshots = SnapshotRange { first: 2, last: 1 };
        assert_noop!(acquire(Scope { snapshots, ..scope() }), Error::<Test>::SnapshotOutOfRange);
    });
}

#[test]
fn acquire_should_refuse_when_approval_is_not_open_to_the_account() {
    build_and_execute(|| {
        // GIVEN a licence that only a later version of the pallet could have stored
        assert_ok!(set(terms()));
        crate::Licences::<Test>::mutate(NET, 1, |licence| {
            licence.as_mut().unwrap().terms.approval = Approval::AllowList;
        });
        // THEN strangers are refused and the owner counts as listed
        assert_noop!(acquire(scope()), Error::<Test>::NotAllowed);
        assert_ok!(Permissions::acquire(signed(OWNER), NET, 1, PRICE, scope()));
    });
}

#[test]
fn acquire_should_refuse_when_datanet_was_closed() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        let licence = Permissions::licence(NET, 1).unwrap();
        hypothetically!({
            crate::Licences::<Test>::insert(CLOSED_NET, 1, licence);
            crate::Current::<Test>::insert(CLOSED_NET, 1);
            assert_noop!(
                Permissions::acquire(signed(BUILDER), CLOSED_NET, 1, PRICE, scope()),
                Error::<Test>::DatanetClosed
            );
            Ok::<(), DispatchError>(())
        })
        .unwrap();
    });
}

#[test]
fn acquire_should_refuse_when_consumer_cannot_pay_or_is_nobody() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        assert_noop!(Permissions::acquire(signed(POOR), NET, 1, PRICE, scope()), TokenError::FundsUnavailable);
        assert_noop!(Permissions::acquire(RuntimeOrigin::none(), NET, 1, PRICE, scope()), DispatchError::BadOrigin);
        hypothetically!({
            NextGrant::<Test>::put(u32::MAX);
            assert_noop!(acquire(scope()), frame::deps::sp_runtime::ArithmeticError::Overflow);
            Ok::<(), DispatchError>(())
        })
        .unwrap();
    });
}
