use crate::{mock::*, types::*, Error, Grants, HoldReason};
use frame::testing_prelude::*;
use proptest::prelude::*;
use weft_protocol::licence::purpose;
use weft_traits::{GrantRef, JobInput, JobScope, PartShares, PermissionCheck, ResolvedGrant};

fn consume(scope: &JobScope, inputs: &[JobInput]) -> Result<Vec<ResolvedGrant>, DispatchError> {
    Permissions::consume(&BUILDER, scope, inputs)
}

#[test]
fn consume_should_take_one_use_when_the_grant_covers_the_job() {
    build_and_execute(|| {
        let id = granted();
        let resolved = consume(&job(), &with_held(id)).unwrap();
        let expected = ResolvedGrant {
            datanet: NET,
            snapshot: 0,
            grant: id,
            version: 1,
            price: PRICE,
            pool: (400_000, 400_000),
            base_ppm: 200_000,
            purposes: purpose::TRAIN,
            expiry: Some(101),
            attribution_required: false,
        };
        assert_eq!(resolved, vec![expected]);
        let grant = Permissions::grant(id).unwrap();
        assert_eq!((grant.left, grant.in_flight, grant.used), (1, 1, 0));
    });
}

#[test]
fn consume_should_give_and_use_a_grant_when_asked_to_acquire() {
    build_and_execute(|| {
        let licence = Terms { base_models: only(&[BASE]), ..terms() };
        assert_ok!(set(licence));
        let resolved = consume(&job(), &with_acquire(1, PRICE, purpose::TRAIN, 3)).unwrap();
        let grant = Permissions::grant(resolved[0].grant).unwrap();
        assert_eq!((grant.granted, grant.left, grant.in_flight), (3, 2, 1));
        assert_eq!(grant.base_models, only(&[BASE]));
        assert_eq!(held(HoldReason::Grant, &BUILDER), GRANT_DEPOSIT);
    });
}

#[test]
fn consume_should_take_nothing_when_one_of_several_inputs_fails() {
    build_and_execute(|| {
        let id = granted();
        let mut inputs = with_held(id);
        inputs.push(JobInput { datanet: NET_2, snapshot: 0, grant: GrantRef::Held(id) });
        assert_noop!(consume(&job(), &inputs), Error::<Test>::NotAllowed);
        // An acquired grant is taken back too.
        inputs[0].grant = GrantRef::Acquire { version: 1, max_price: PRICE, purpose: purpose::TRAIN, uses: 1 };
        assert_noop!(consume(&job(), &inputs), Error::<Test>::NotAllowed);
    });
}

#[test]
fn consume_should_refuse_when_inputs_do_not_ascend() {
    build_and_execute(|| {
        let id = granted();
        let one = with_held(id).remove(0);
        let two = JobInput { datanet: NET_2, ..one.clone() };
        for inputs in [vec![two, one.clone()], vec![one.clone(), one]] {
            assert_noop!(consume(&job(), &inputs), Error::<Test>::InputsUnordered);
        }
    });
}

#[test]
fn consume_should_refuse_when_grant_is_unknown_or_somebody_elses() {
    build_and_execute(|| {
        assert_noop!(consume(&job(), &with_held(0)), Error::<Test>::UnknownGrant);
        let id = granted();
        assert_noop!(Permissions::consume(&STRANGER, &job(), &with_held(id)), Error::<Test>::NotAllowed);
    });
}

#[test]
fn consume_should_refuse_when_the_job_is_not_what_was_granted() {
    build_and_execute(|| {
        assert_ok!(set(Terms { base_models: only(&[BASE]), programs: only(&[PROGRAM]), ..terms() }));
        assert_ok!(acquire(Scope {
            base_models: only(&[BASE]),
            programs: only(&[PROGRAM]),
            snapshots: SnapshotRange { first: 1, last: 5 },
            ..scope()
        }));
        let input = |snapshot| vec![JobInput { datanet: NET, snapshot, grant: GrantRef::Held(0) }];
        let refused = |job: JobScope, snapshot, error: Error<Test>| {
            assert_noop!(consume(&job, &input(snapshot)), error);
        };
        refused(JobScope { base_root: OTHER_BASE, ..job() }, 1, Error::WrongBaseModel);
        refused(JobScope { program: OTHER_PROGRAM, ..job() }, 1, Error::WrongProgram);
        refused(JobScope { purpose: purpose::TRAIN | purpose::EXPORT, ..job() }, 1, Error::PurposeForbidden);
        // Below the range; inside it but never taken.
        refused(job(), 0, Error::SnapshotOutOfRange);
        refused(job(), 3, Error::SnapshotOutOfRange);
        assert_ok!(consume(&job(), &input(2)));
    });
}

#[test]
fn consume_should_refuse_when_nothing_is_listed() {
    build_and_execute(|| {
        assert_ok!(set(Terms { base_models: only(&[]), ..terms() }));
        // An empty list never means "all".
        assert_noop!(consume(&job(), &with_acquire(1, PRICE, purpose::TRAIN, 1)), Error::<Test>::WrongBaseModel);
    });
}

#[test]
fn consume_should_refuse_when_the_grant_ends_before_the_run_must() {
    build_and_execute(|| {
        let id = granted();
        assert_noop!(consume(&JobScope { deadline: 101, ..job() }, &with_held(id)), Error::<Test>::GrantExpired);
        assert_ok!(consume(&JobScope { deadline: 100, ..job() }, &with_held(id)));
    });
}

#[test]
fn consume_should_refuse_when_uses_are_spent_even_while_in_flight() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(consume(&job(), &with_held(id)));
        assert_ok!(consume(&job(), &with_held(id)));
        assert_noop!(consume(&job(), &with_held(id)), Error::<Test>::GrantExhausted);
        // A job without a model gives its use back, one with a model does not.
        Permissions::restore(&[id]);
        assert_ok!(consume(&job(), &with_held(id)));
        Permissions::settle(&[id]);
        assert_noop!(consume(&job(), &with_held(id)), Error::<Test>::GrantExhausted);
    });
}

#[test]
fn consume_should_refuse_when_terms_and_attribution_disagree() {
    build_and_execute(|| {
        assert_ok!(set(Terms { attribution: true, ..terms() }));
        let inputs = with_acquire(1, PRICE, purpose::TRAIN, 1);
        assert_noop!(consume(&JobScope { attributed: false, ..job() }, &inputs), Error::<Test>::TermsConflict);
        assert!(consume(&job(), &inputs).unwrap()[0].attribution_required);

        let range = PoolRange { min_ppm: 300_000, max_ppm: 400_000 };
        assert_ok!(set(Terms { pool: range, ..terms() }));
        let inputs = with_acquire(2, PRICE, purpose::TRAIN, 1);
        assert_noop!(consume(&job(), &inputs), Error::<Test>::TermsConflict);
        let resolved = consume(&JobScope { attributed: false, ..job() }, &inputs).unwrap();
        assert_eq!(resolved[0].pool, (300_000, 400_000));
    });
}

#[test]
fn consume_should_refuse_when_acquiring_is_refused() {
    build_and_execute(|| {
        assert_noop!(consume(&job(), &with_acquire(1, PRICE, purpose::TRAIN, 1)), Error::<Test>::NoLicence);
        assert_ok!(set(terms()));
        assert_noop!(consume(&job(), &with_acquire(2, PRICE, purpose::TRAIN, 1)), Error::<Test>::StaleVersion);
        assert_noop!(consume(&job(), &with_acquire(1, PRICE - 1, purpose::TRAIN, 1)), Error::<Test>::PriceAboveMax);
        assert_noop!(consume(&job(), &with_acquire(1, PRICE, purpose::EXPORT, 1)), Error::<Test>::PurposeForbidden);
        assert_noop!(consume(&job(), &with_acquire(1, PRICE, purpose::TRAIN, 11)), Error::<Test>::ScopeTooWide);
        // Purposes that the licence gives but that do not include the job's.
        assert_noop!(consume(&job(), &with_acquire(1, PRICE, purpose::EVALUATE, 1)), Error::<Test>::PurposeForbidden);
    });
}

#[test]
fn consume_should_keep_the_grants_version_when_the_licence_changed() {
    build_and_execute(|| {
        let id = granted();
        let dear = Terms {
            price: 10 * PRICE,
            shares: PartShares { contributors: 0, owner: 1_000_000, curators: 0 },
            ..terms()
        };
        assert_ok!(set(dear));
        let resolved = consume(&job(), &with_held(id)).unwrap();
        assert_eq!((resolved[0].version, resolved[0].price), (1, PRICE));
        assert_eq!(Permissions::shares(NET, 1).unwrap().owner, 100_000);
        assert_eq!(Permissions::shares(NET, 2).unwrap().owner, 1_000_000);
        assert_eq!(Permissions::shares(NET, 3), None);
    });
}

#[test]
fn is_live_should_end_with_the_expiry() {
    build_and_execute(|| {
        let id = granted();
        System::set_block_number(101);
        assert!(Permissions::is_live(id));
        System::set_block_number(102);
        assert!(!Permissions::is_live(id));
        assert!(!Permissions::is_live(id + 1));
    });
}

#[test]
fn is_live_should_hold_while_a_job_runs_when_the_grant_ended() {
    build_and_execute(|| {
        // GIVEN a grant with a job in flight
        let id = granted();
        assert_ok!(consume(&job(), &with_held(id)));
        // WHEN its last clock value passes and its owner revokes it
        System::set_block_number(102);
        assert!(Permissions::is_live(id));
        assert_ok!(Permissions::revoke(signed(OWNER), id, Cause::Breach));
        // THEN data still goes out, until the job has ended
        assert!(Permissions::is_live(id));
        Permissions::restore(&[id]);
        assert!(!Permissions::is_live(id));
    });
}

#[test]
fn settle_should_free_the_deposit_when_nothing_is_left() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(consume(&job(), &with_held(id)));
        assert_ok!(consume(&job(), &with_held(id)));
        Permissions::settle(&[id]);
        assert_eq!(held(HoldReason::Grant, &BUILDER), GRANT_DEPOSIT);
        Permissions::settle(&[id]);
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(free(&BUILDER), START);
        assert_eq!(last_event(), crate::Event::Pruned { grant: id });
    });
}

#[test]
fn restore_should_free_the_deposit_when_the_grant_is_over() {
    build_and_execute(|| {
        let id = granted();
        assert_ok!(consume(&job(), &with_held(id)));
        System::set_block_number(102);
        Permissions::restore(&[id]);
        assert_eq!(Permissions::grant(id), None);
        assert_eq!(free(&BUILDER), START);
    });
}

#[test]
fn put_for_tests_should_make_a_usable_grant_when_called() {
    build_and_execute(|| {
        let id = Permissions::put_for_tests(&BUILDER, NET);
        assert_ok!(consume(&JobScope { attributed: true, ..job() }, &with_held(id)));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn uses_should_add_up_when_jobs_start_and_end_in_any_order(
        uses in 1u32..6,
        acts in prop::collection::vec(0u8..3, 0..40),
    ) {
        build_and_execute(|| {
            assert_ok!(set(terms()));
            assert_ok!(acquire(Scope { uses, ..scope() }));
            let (mut left, mut flying, mut used) = (uses, 0, 0);
            for act in acts {
                match act {
                    0 => {
                        let took = consume(&job(), &with_held(0)).is_ok();
                        assert_eq!(took, left > 0);
                        if took {
                            left -= 1;
                            flying += 1;
                        }
                    }
                    1 if flying > 0 => {
                        Permissions::settle(&[0]);
                        flying -= 1;
                        used += 1;
                    }
                    2 if flying > 0 => {
                        Permissions::restore(&[0]);
                        flying -= 1;
                        left += 1;
                    }
                    _ => {}
                }
                // A grant from which nothing more can come is gone.
                let stored = Grants::<Test>::get(0).map(|grant| (grant.left, grant.in_flight, grant.used));
                assert_eq!(stored, (left > 0 || flying > 0).then_some((left, flying, used)));
            }
        });
    }
}
