//! `redeem`.

use super::*;
use weft_protocol::voucher::Voucher;

const BUDGET: u128 = 10_000;

/// Runs a test with a budget and a key.
fn with_channel(test: impl FnOnce()) {
    build_and_execute(|| {
        open_channel(BUDGET);
        test();
    });
}

fn redeem_as(change: impl FnOnce(&mut Voucher)) -> DispatchResult {
    let mut changed = voucher(1_000);
    change(&mut changed);
    redeem_all(ORACLE, vec![sign(changed)])
}

#[test]
fn redeem_should_move_what_is_new() {
    with_channel(|| {
        // WHEN two vouchers of one channel are redeemed, then a third
        assert_ok!(redeem_all(ORACLE, vec![sign(voucher(1_000)), sign(voucher(1_500))]));
        assert_ok!(redeem(4_000));
        // THEN the pot has the last cumulative fee
        assert_eq!(balance(&POT), ED + 4_000);
        let budget = crate::Pallet::<Test>::budget(CONSUMER, ORACLE).unwrap();
        assert_eq!((budget.held, budget.spent), (BUDGET - 4_000, 4_000));
        let channel = crate::Pallet::<Test>::channel(CONSUMER, api_public(), ORACLE, MODEL);
        assert_eq!(channel, Channel { paid: 4_000, price_version: 0 });
        assert_eq!(<Rewards as RevenueSink<_>>::redeemed(MODEL, 1, &ORACLE), 4_000);
        let entry = OracleFees { oracle: ORACLE, fees: 4_000, rolled: 0 };
        assert_eq!(crate::Pallet::<Test>::revenue(MODEL, 1).into_inner(), vec![entry]);
        let event = Event::Redeemed {
            consumer: CONSUMER,
            key: api_public(),
            oracle: ORACLE,
            model: MODEL,
            epoch: 1,
            amount: 2_500,
            cumulative: 4_000,
        };
        System::assert_last_event(event.into());
    });
}

#[test]
fn fees_should_belong_to_the_epoch_of_their_redemption() {
    with_channel(|| {
        let length = Params::default().epoch_length;
        for (now, epoch) in [(1, 1), (length, 1), (length + 1, 2), (3 * length + 1, 4)] {
            Now::set(now);
            assert_eq!(crate::Pallet::<Test>::epoch(MODEL), Some(epoch));
            let before = <Rewards as RevenueSink<_>>::redeemed(MODEL, epoch, &ORACLE);
            assert_ok!(redeem(u128::from(now) * 100));
            assert!(<Rewards as RevenueSink<_>>::redeemed(MODEL, epoch, &ORACLE) > before);
        }
        assert_eq!(crate::Pallet::<Test>::epoch(NO_MODEL), None);
    });
}

#[test]
fn redeem_should_refuse_when_the_caller_does_not_serve_the_model() {
    with_channel(|| {
        let vouchers: BoundedVec<_, _> = vec![sign(voucher(1))].try_into().unwrap();
        assert_noop!(Rewards::redeem(RuntimeOrigin::root(), vouchers), BadOrigin);
        assert_noop!(redeem_all(OTHER_ORACLE, vec![sign(voucher(1))]), Error::<Test>::NotServing);
        let other = Voucher { oracle: OTHER_ORACLE.into(), ..voucher(1) };
        assert_noop!(redeem_all(OTHER_ORACLE, vec![sign(other)]), Error::<Test>::NotServing);
        assert_noop!(redeem_as(|v| v.oracle = OTHER_ORACLE.into()), Error::<Test>::NotServing);
        assert_noop!(redeem_as(|v| v.model = NO_MODEL), Error::<Test>::UnknownModel);
    });
}

#[test]
fn redeem_should_refuse_when_the_signature_does_not_fit() {
    with_channel(|| {
        let refused = |signed: SignedVoucher| {
            assert_noop!(redeem_all(ORACLE, vec![signed]), Error::<Test>::BadSignature);
        };
        // Every field is signed.
        let good = sign(voucher(1_000));
        let with = |change: &dyn Fn(&mut Voucher)| {
            let mut changed = good.clone();
            change(&mut changed.voucher);
            changed
        };
        refused(with(&|v| v.cumulative += 1));
        refused(with(&|v| v.tokens_in += 1));
        refused(with(&|v| v.tokens_out += 1));
        refused(with(&|v| v.receipts[31] ^= 1));
        refused(with(&|v| v.price_version = 1));
        for bit in [0, 100, 511] {
            let mut signature = good.signature;
            signature[bit / 8] ^= 1 << (bit % 8);
            refused(SignedVoucher { signature, ..good.clone() });
        }
        // The genesis hash is signed too.
        use frame::deps::sp_core::Pair;
        let elsewhere = api_key().sign(&voucher(1_000).hash(&[1; 32])).0;
        refused(SignedVoucher { signature: elsewhere, ..good.clone() });
        assert_ok!(redeem_all(ORACLE, vec![good]));
    });
}

#[test]
fn redeem_should_refuse_when_the_key_may_not_pay() {
    with_channel(|| {
        assert_noop!(redeem_as(|v| v.key = [1; 32]), Error::<Test>::KeyUnknown);
        assert_noop!(redeem_as(|v| v.consumer = STRANGER.into()), Error::<Test>::KeyUnknown);
        assert_ok!(Rewards::revoke_key(signed(CONSUMER), api_public()));
        assert_noop!(redeem(1), Error::<Test>::KeyRevoked);

        let only = |list: Vec<u32>| KeyModels::Only(list.try_into().unwrap());
        let rule = KeyRule { models: only(vec![NO_MODEL]), expiry: Some(3), ..any_rule() };
        assert_ok!(Rewards::add_key(signed(CONSUMER), api_public(), rule));
        assert_noop!(redeem(1), Error::<Test>::KeyForbidsModel);
        Now::set(3);
        assert_noop!(redeem(1), Error::<Test>::KeyExpired);

        let rule = KeyRule { models: only(vec![NO_MODEL, MODEL]), expiry: Some(5), ..any_rule() };
        assert_ok!(Rewards::add_key(signed(CONSUMER), api_public(), rule));
        Now::set(4);
        assert_ok!(redeem(1));
    });
}

#[test]
fn redeem_should_refuse_when_the_daily_limit_is_reached() {
    build_and_execute(|| {
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, BUDGET));
        let rule = KeyRule { daily_limit: 1_000, ..any_rule() };
        assert_ok!(Rewards::add_key(signed(CONSUMER), api_public(), rule));
        Now::set(DAY - 1);
        assert_noop!(redeem(1_001), Error::<Test>::LimitExceeded);
        assert_ok!(redeem(400));
        assert_ok!(redeem(1_000));
        assert_noop!(redeem(1_001), Error::<Test>::LimitExceeded);
        // The next day starts anew.
        Now::set(DAY);
        assert_ok!(redeem(2_000));
        assert_noop!(redeem(2_001), Error::<Test>::LimitExceeded);
    });
}

#[test]
fn redeem_should_refuse_when_the_voucher_is_stale() {
    with_channel(|| {
        assert_ok!(redeem_as(|v| v.price_version = 1));
        assert_noop!(redeem_as(|v| v.price_version = 1), Error::<Test>::VoucherStale);
        let older = |v: &mut Voucher| {
            v.cumulative = 999;
            v.price_version = 1;
        };
        assert_noop!(redeem_as(older), Error::<Test>::VoucherStale);
        // Price versions only grow.
        assert_noop!(redeem(2_000), Error::<Test>::VoucherStale);
        assert_noop!(redeem_as(|v| v.price_version = 2), Error::<Test>::PriceUnknown);
    });
}

#[test]
fn redeem_should_refuse_when_the_budget_is_too_low() {
    with_channel(|| {
        assert_noop!(redeem(BUDGET + 1), Error::<Test>::BudgetTooLow);
        assert_noop!(redeem(u128::MAX), Error::<Test>::BudgetTooLow);
        // All or none.
        let both = vec![sign(voucher(BUDGET)), sign(voucher(BUDGET + 1))];
        assert_noop!(redeem_all(ORACLE, both), Error::<Test>::BudgetTooLow);
        assert_ok!(redeem(BUDGET));
    });
}

#[test]
fn redeem_should_refuse_the_whole_batch_when_one_key_is_revoked() {
    with_channel(|| {
        // GIVEN a batch whose last voucher is of a key that its consumer has revoked
        use frame::deps::sp_core::{sr25519, Pair};
        let other = sr25519::Pair::from_seed(&[43; 32]);
        assert_ok!(Rewards::add_key(signed(CONSUMER), other.public().0, any_rule()));
        let revoked = Voucher { key: other.public().0, ..voucher(500) };
        let signature = other.sign(&revoked.hash(&System::block_hash(0).0)).0;
        let revoked = SignedVoucher { voucher: revoked, signature };
        assert_ok!(Rewards::revoke_key(signed(CONSUMER), other.public().0));
        // WHEN it is redeemed THEN it is refused and nothing has changed
        let batch = vec![sign(voucher(1_000)), revoked];
        assert_noop!(redeem_all(ORACLE, batch), Error::<Test>::KeyRevoked);
        assert_eq!(balance(&POT), ED);
        assert_ok!(redeem(1_000));
    });
}

#[test]
fn redeem_should_refuse_when_there_is_no_budget() {
    build_and_execute(|| {
        assert_ok!(Rewards::add_key(signed(CONSUMER), api_public(), any_rule()));
        assert_noop!(redeem(1), Error::<Test>::BudgetMissing);
        assert_ok!(Rewards::open_budget(signed(CONSUMER), OTHER_ORACLE, BUDGET));
        assert_noop!(redeem(1), Error::<Test>::BudgetMissing);
    });
}

#[test]
fn old_vouchers_should_stay_worthless_when_a_budget_is_opened_again() {
    with_channel(|| {
        assert_ok!(redeem(1_000));
        assert_ok!(Rewards::close_budget(signed(CONSUMER), ORACLE));
        Now::set(1 + Params::default().unlock);
        assert_ok!(Rewards::withdraw(signed(CONSUMER), ORACLE));
        assert_ok!(Rewards::open_budget(signed(CONSUMER), ORACLE, BUDGET));
        assert_noop!(redeem(1_000), Error::<Test>::VoucherStale);
        assert_ok!(redeem(1_001));
    });
}

#[test]
fn redeem_should_refuse_when_the_epoch_has_32_other_oracles() {
    with_channel(|| {
        // GIVEN 32 oracles with fees, whose money came from the consumer
        for oracle in 0..32u8 {
            let oracle = frame::deps::sp_runtime::AccountId32::new([0x80 | oracle; 32]);
            assert_ok!(Rewards::add_revenue(MODEL, 1, &oracle, 1, 0));
        }
        assert_ok!(Balances::transfer_keep_alive(signed(CONSUMER), POT, 32));
        assert_noop!(redeem(1), Error::<Test>::TooManyOracles);
    });
}
