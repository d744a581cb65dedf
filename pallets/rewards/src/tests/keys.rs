//! `add_key`, `revoke_key`.

use super::*;

fn add(key: u8) -> DispatchResult {
    Rewards::add_key(signed(CONSUMER), [key; 32], any_rule())
}

#[test]
fn add_key_should_store_the_rule() {
    build_and_execute(|| {
        let models = KeyModels::Only(vec![MODEL].try_into().unwrap());
        let rule = KeyRule { daily_limit: 9, models, expiry: Some(2) };
        assert_ok!(Rewards::add_key(signed(CONSUMER), [1; 32], rule.clone()));
        let stored = ApiKey { rule, revoked: false, day: 0, spent: 0 };
        assert_eq!(crate::Pallet::<Test>::api_key(CONSUMER, [1; 32]), Some(stored));
        System::assert_last_event(Event::KeyAdded { consumer: CONSUMER, key: [1; 32] }.into());
    });
}

#[test]
fn add_key_should_refuse_when_it_is_known_or_expired() {
    build_and_execute(|| {
        assert_noop!(Rewards::add_key(RuntimeOrigin::root(), [1; 32], any_rule()), BadOrigin);
        assert_ok!(add(1));
        assert_noop!(add(1), Error::<Test>::KeyExists);
        let past = KeyRule { expiry: Some(1), ..any_rule() };
        assert_noop!(Rewards::add_key(signed(CONSUMER), [2; 32], past), Error::<Test>::KeyExpired);
        // Another consumer may register the same key: vouchers name the consumer.
        assert_ok!(Rewards::add_key(signed(STRANGER), [1; 32], any_rule()));
    });
}

#[test]
fn add_key_should_make_room_only_when_a_key_is_dead() {
    build_and_execute(|| {
        for key in 0..32 {
            assert_ok!(add(key));
        }
        assert_noop!(add(32), Error::<Test>::TooManyKeys);
        assert_ok!(Rewards::revoke_key(signed(CONSUMER), [5; 32]));
        assert_ok!(add(32));
        assert_eq!(crate::ApiKeys::<Test>::iter_prefix(CONSUMER).count(), 32);
        assert_eq!(crate::Pallet::<Test>::api_key(CONSUMER, [5; 32]), None);
        assert_noop!(add(33), Error::<Test>::TooManyKeys);
    });
}

#[test]
fn add_key_should_keep_the_days_sum_when_a_key_comes_back() {
    build_and_execute(|| {
        open_channel(1_000);
        assert_ok!(redeem(600));
        assert_ok!(Rewards::revoke_key(signed(CONSUMER), api_public()));
        let rule = KeyRule { daily_limit: 700, ..any_rule() };
        assert_ok!(Rewards::add_key(signed(CONSUMER), api_public(), rule));
        assert_noop!(redeem(701), Error::<Test>::LimitExceeded);
        assert_ok!(redeem(700));
    });
}

#[test]
fn revoke_key_should_refuse_when_there_is_nothing_to_revoke() {
    build_and_execute(|| {
        let revoke = || Rewards::revoke_key(signed(CONSUMER), [1; 32]);
        assert_noop!(Rewards::revoke_key(RuntimeOrigin::root(), [1; 32]), BadOrigin);
        assert_noop!(revoke(), Error::<Test>::KeyUnknown);
        assert_ok!(add(1));
        assert_ok!(revoke());
        System::assert_last_event(Event::KeyRevoked { consumer: CONSUMER, key: [1; 32] }.into());
        assert_noop!(revoke(), Error::<Test>::KeyRevoked);
    });
}
