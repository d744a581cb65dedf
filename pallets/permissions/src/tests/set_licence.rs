use crate::{mock::*, types::*, Error, Event, HoldReason};
use frame::testing_prelude::*;

#[test]
fn set_licence_should_store_the_next_version_when_owner_calls() {
    build_and_execute(|| {
        assert_ok!(set(terms()));
        let licence = Permissions::licence(NET, 1).unwrap();
        assert_eq!((licence.terms, licence.setter, licence.deposit), (terms(), OWNER, LICENCE_DEPOSIT));
        assert_eq!(held(HoldReason::Licence, &OWNER), LICENCE_DEPOSIT);
        assert_eq!(last_event(), Event::LicenceSet { datanet: NET, version: 1 });

        // The second version replaces the first for new grants and leaves it as it was.
        let dear = Terms { price: 2 * PRICE, ..terms() };
        assert_ok!(set(dear.clone()));
        assert_eq!(Permissions::licence(NET, 1).unwrap().terms, terms());
        let (version, licence) = Permissions::current_licence(NET).unwrap();
        assert_eq!((version, licence.terms), (2, dear));
        assert_eq!(held(HoldReason::Licence, &OWNER), 2 * LICENCE_DEPOSIT);
    });
}

#[test]
fn set_licence_should_refuse_when_caller_is_not_the_owner() {
    build_and_execute(|| {
        assert_noop!(Permissions::set_licence(signed(STRANGER), NET, terms()), Error::<Test>::NotOwner);
        assert_noop!(Permissions::set_licence(RuntimeOrigin::root(), NET, terms()), DispatchError::BadOrigin);
    });
}

#[test]
fn set_licence_should_refuse_when_datanet_is_unknown_or_closed() {
    build_and_execute(|| {
        assert_noop!(Permissions::set_licence(signed(OWNER), NO_NET, terms()), Error::<Test>::UnknownDatanet);
        assert_noop!(Permissions::set_licence(signed(OWNER), CLOSED_NET, terms()), Error::<Test>::DatanetClosed);
    });
}

#[test]
fn set_licence_should_refuse_by_name_when_a_term_is_not_built() {
    build_and_execute(|| {
        for approval in [Approval::AllowList, Approval::OnRequest] {
            assert_noop!(set(Terms { approval, ..terms() }), Error::<Test>::ApprovalNotBuilt);
        }
        for reciprocity in [Reciprocity::SameTerms, Reciprocity::ParentRoyalty(1)] {
            assert_noop!(set(Terms { reciprocity, ..terms() }), Error::<Test>::ReciprocityNotBuilt);
        }
        let trusted = vec![STRANGER].try_into().unwrap();
        assert_noop!(set(Terms { trusted, ..terms() }), Error::<Test>::TrustedOraclesNotBuilt);
        let on_revoke = OnRevoke::StopServing(10);
        assert_noop!(set(Terms { on_revoke, ..terms() }), Error::<Test>::StopServingNotBuilt);
    });
}

#[test]
fn set_licence_should_refuse_when_purposes_are_unknown_or_none() {
    build_and_execute(|| {
        for purposes in [0, 1 << 9, u16::MAX] {
            assert_noop!(set(Terms { purposes, ..terms() }), Error::<Test>::PurposesInvalid);
        }
    });
}

#[test]
fn set_licence_should_refuse_when_name_is_empty_or_no_text() {
    build_and_execute(|| {
        for name in [vec![], vec![0xff]] {
            let name = name.try_into().unwrap();
            assert_noop!(set(Terms { name, ..terms() }), Error::<Test>::LicenceNameInvalid);
        }
    });
}

#[test]
fn set_licence_should_refuse_when_shares_are_not_a_whole() {
    build_and_execute(|| {
        for contributors in [799_999, 800_001, u32::MAX] {
            let mut bad = terms();
            bad.shares.contributors = contributors;
            assert_noop!(set(bad), Error::<Test>::SharesNotWhole);
        }
    });
}

#[test]
fn set_licence_should_refuse_when_pool_is_no_range() {
    build_and_execute(|| {
        for (min_ppm, max_ppm) in [(2, 1), (0, 1_000_001)] {
            let pool = PoolRange { min_ppm, max_ppm };
            assert_noop!(set(Terms { pool, ..terms() }), Error::<Test>::PoolOutOfRange);
        }
        assert_ok!(set(Terms { pool: PoolRange { min_ppm: 0, max_ppm: MILLION }, ..terms() }));
    });
}

#[test]
fn set_licence_should_refuse_when_base_part_is_too_large() {
    build_and_execute(|| {
        assert_noop!(set(Terms { base_ppm: 500_001, ..terms() }), Error::<Test>::BasePartTooLarge);
        assert_ok!(set(Terms { base_ppm: 500_000, ..terms() }));
    });
}

#[test]
fn set_licence_should_refuse_when_nothing_is_granted() {
    build_and_execute(|| {
        assert_noop!(set(Terms { max_uses: 0, ..terms() }), Error::<Test>::NothingGranted);
        assert_noop!(set(Terms { duration: Some(0), ..terms() }), Error::<Test>::NothingGranted);
    });
}

#[test]
fn set_licence_should_refuse_when_owner_cannot_pay() {
    build_and_execute(|| {
        let everything = START - WEFT;
        assert_ok!(Balances::transfer_allow_death(signed(OWNER), STRANGER, everything));
        assert_noop!(set(terms()), TokenError::FundsUnavailable);
    });
}

#[test]
fn set_licence_should_refuse_when_versions_are_used_up() {
    build_and_execute(|| {
        hypothetically!({
            crate::Current::<Test>::insert(NET, u32::MAX);
            assert_noop!(set(terms()), frame::deps::sp_runtime::ArithmeticError::Overflow);
            Ok::<(), DispatchError>(())
        })
        .unwrap();
    });
}
