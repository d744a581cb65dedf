//! `post_usage`.

use super::*;

const ROOT: [u8; 32] = [4; 32];
const FEES: u128 = 1_000;

fn sums(fees: u128) -> UsageSums {
    UsageSums { count: 3, tokens_in: 40, tokens_out: 50, fees }
}

/// Epoch 1 is over, with fees of the oracle.
fn given() {
    Attribution::record(MODEL, weights().1).unwrap();
    redeem(1, ORACLE, FEES);
    Running::set(2);
}

fn post(epoch: u32, fees: u128) -> DispatchResult {
    Attribution::post_usage(RuntimeOrigin::signed(ORACLE), MODEL, epoch, ROOT, sums(fees))
}

#[test]
fn usage_should_be_stored_when_the_fees_are_those_redeemed() {
    build_and_execute(|| {
        given();
        assert_ok!(post(1, FEES));
        let report = UsageReport { root: ROOT, sums: sums(FEES) };
        assert_eq!(crate::Pallet::<Test>::usage(MODEL, 1), vec![(ORACLE, report)]);
        assert_eq!(Attribution::usage_of(1), Some(FEES));
        assert_eq!(Attribution::usage_of(2), None);
        System::assert_last_event(
            Event::UsagePosted { model: MODEL, epoch: 1, oracle: ORACLE, root: ROOT, fees: FEES }.into(),
        );
    });
}

trait UsageOf {
    fn usage_of(epoch: u32) -> Option<u128>;
}
impl UsageOf for Attribution {
    fn usage_of(epoch: u32) -> Option<u128> {
        <Attribution as AttributionBook<_>>::usage(MODEL, epoch, &ORACLE)
    }
}

#[test]
fn post_usage_should_refuse_when_the_origin_is_not_signed() {
    build_and_execute(|| {
        given();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(Attribution::post_usage(origin, MODEL, 1, ROOT, sums(FEES)), BadOrigin);
        }
    });
}

#[test]
fn post_usage_should_refuse_when_the_account_does_not_serve_the_model() {
    build_and_execute(|| {
        given();
        let call = |who, model| Attribution::post_usage(RuntimeOrigin::signed(who), model, 1, ROOT, sums(FEES));
        assert_noop!(call(STRANGER, MODEL), Error::<Test>::NotServing);
        assert_noop!(call(ORACLE, NO_MODEL), Error::<Test>::UnknownModel);
    });
}

#[test]
fn post_usage_should_refuse_when_the_epoch_is_open_or_settled() {
    build_and_execute(|| {
        given();
        redeem(2, ORACLE, FEES);
        assert_noop!(post(2, FEES), Error::<Test>::WindowClosed);
        assert_noop!(post(0, 0), Error::<Test>::WindowClosed);
        Settled::mutate(|settled| settled.insert((MODEL, 1)));
        assert_noop!(post(1, FEES), Error::<Test>::WindowClosed);
    });
}

#[test]
fn post_usage_should_refuse_when_the_fees_differ_from_those_redeemed() {
    build_and_execute(|| {
        given();
        assert_noop!(post(1, FEES + 1), Error::<Test>::FeesMismatch);
        assert_noop!(post(1, FEES - 1), Error::<Test>::FeesMismatch);
        Running::set(3);
        // Nothing was redeemed in epoch 2.
        assert_noop!(post(2, 0), Error::<Test>::FeesMismatch);
        let none = UsageSums { count: 0, ..sums(FEES) };
        let call = Attribution::post_usage(RuntimeOrigin::signed(ORACLE), MODEL, 1, ROOT, none);
        assert_noop!(call, Error::<Test>::FeesMismatch);
    });
}

#[test]
fn post_usage_should_refuse_when_it_is_posted() {
    build_and_execute(|| {
        given();
        assert_ok!(post(1, FEES));
        assert_noop!(post(1, FEES), Error::<Test>::AlreadyPosted);
    });
}
