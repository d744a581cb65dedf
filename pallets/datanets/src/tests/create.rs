use crate::{mock::*, types::*, Error, Event, HoldReason, NextDatanet};
use frame::testing_prelude::*;

#[test]
fn create_should_store_and_hold_when_arguments_are_valid() {
    build_and_execute(|| {
        assert_ok!(Datanets::create(signed(OWNER), Kind::Chat, 3, name(), CARD, Rule::Threshold(2)));

        let net = Datanets::datanet(0).unwrap();
        assert_eq!((net.owner, net.kind, net.schema, net.rule), (OWNER, Kind::Chat, 3, Rule::Threshold(2)));
        assert_eq!((net.status, net.name, net.card), (Status::Open, name(), CARD));
        assert_eq!((net.leaves, net.records, net.contributions, net.snapshots), (0, 0, 0, 0));
        assert_eq!(held(HoldReason::Datanet, &OWNER), DATANET_DEPOSIT);
        assert_eq!(free(&OWNER), START - DATANET_DEPOSIT);
        let event = Event::Created { datanet: 0, owner: OWNER, kind: Kind::Chat, deposit: DATANET_DEPOSIT };
        assert_eq!(last_event(), event);
    });
}

#[test]
fn create_should_number_datanets_in_order_when_called_again() {
    build_and_execute(|| {
        assert_eq!(datanet(Rule::Owner), 0);
        assert_eq!(datanet(Rule::Owner), 1);
        assert_eq!(NextDatanet::<Test>::get(), 2);
        assert_eq!(held(HoldReason::Datanet, &OWNER), 2 * DATANET_DEPOSIT);
    });
}

#[test]
fn create_should_refuse_when_name_is_empty_or_no_text() {
    build_and_execute(|| {
        for bad in [vec![], vec![0xff, 0xfe]] {
            let bad: Name = bad.try_into().unwrap();
            assert_noop!(
                Datanets::create(signed(OWNER), Kind::Chat, 0, bad, CARD, Rule::Owner),
                Error::<Test>::NameInvalid
            );
        }
    });
}

#[test]
fn create_should_refuse_when_threshold_is_out_of_bounds() {
    build_and_execute(|| {
        for k in [0, 17] {
            assert_noop!(
                Datanets::create(signed(OWNER), Kind::Chat, 0, name(), CARD, Rule::Threshold(k)),
                Error::<Test>::RuleInvalid
            );
        }
    });
}

#[test]
fn create_should_refuse_by_name_when_rule_is_not_built() {
    build_and_execute(|| {
        for rule in [Rule::MinScore(500_000), Rule::Optimistic(10)] {
            assert_noop!(
                Datanets::create(signed(OWNER), Kind::Chat, 0, name(), CARD, rule),
                Error::<Test>::RuleNotBuilt
            );
        }
    });
}

#[test]
fn create_should_refuse_when_owner_cannot_pay_or_is_nobody() {
    build_and_execute(|| {
        assert_noop!(
            Datanets::create(signed(POOR), Kind::Chat, 0, name(), CARD, Rule::Owner),
            TokenError::FundsUnavailable
        );
        assert_noop!(
            Datanets::create(RuntimeOrigin::root(), Kind::Chat, 0, name(), CARD, Rule::Owner),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn create_should_refuse_when_numbers_are_used_up() {
    build_and_execute(|| {
        NextDatanet::<Test>::put(u32::MAX);
        assert_noop!(
            Datanets::create(signed(OWNER), Kind::Chat, 0, name(), CARD, Rule::Owner),
            frame::deps::sp_runtime::ArithmeticError::Overflow
        );
    });
}
