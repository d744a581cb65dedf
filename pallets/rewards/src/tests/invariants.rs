//! Each invariant, broken.

use super::*;

/// Settles epoch 1 of 10,000 units.
fn settle() {
    open_channel(1_000_000);
    redeem(10_000).unwrap();
    end_epoch(1);
    post_usage(1, 10_000).unwrap();
    finalise(1).unwrap();
}

/// Takes a unit out of the pot.
fn rob() {
    use frame::token::fungible::Mutate;
    Balances::set_balance(&POT, balance(&POT) - ED - 1);
}

#[test]
fn r1_should_break_when_the_pot_lacks_unsettled_fees() {
    expect_broken("R1", || {
        open_channel(1_000_000);
        redeem(10_000).unwrap();
        rob();
    });
}

#[test]
fn r1_should_break_when_the_pot_lacks_claims() {
    expect_broken("R1", || {
        settle();
        rob();
    });
}

#[test]
fn r1_should_break_when_the_pot_lacks_what_is_owed() {
    expect_broken("R1", || crate::Owed::<Test>::insert(STRANGER, ED + 1));
}

#[test]
fn r1_should_break_when_only_the_existential_deposit_covers_a_debt() {
    expect_broken("R1", || crate::Owed::<Test>::insert(STRANGER, 1));
}

#[test]
fn r2_should_break_when_more_leaves_are_claimed_than_there_are() {
    expect_broken("R2: more leaves claimed", || {
        settle();
        claim(1, 0, &usual_leaves()[0].1, 1).unwrap();
        crate::Settlements::<Test>::mutate(MODEL, 1, |settlement| settlement.as_mut().unwrap().parts[0].leaves = 0);
    });
}

#[test]
fn r2_should_break_when_bits_and_leaves_disagree() {
    expect_broken("R2", || {
        settle();
        claim(1, 0, &usual_leaves()[0].1, 1).unwrap();
        crate::ClaimedBits::<Test>::mutate((MODEL, 1, 0, 0), |bits| bits.set_due(2));
    });
}

#[test]
fn r2_should_break_when_bits_have_no_part() {
    expect_broken("R2", || {
        crate::ClaimedBits::<Test>::mutate((MODEL, 9, 0, 0), |bits| bits.set_due(2));
    });
}

#[test]
fn r2_should_break_when_a_complete_part_is_not_paid_out() {
    expect_broken("R2", || {
        settle();
        for index in 0..3 {
            claim(1, 0, &usual_leaves()[0].1, index).unwrap();
        }
        crate::Settlements::<Test>::mutate(MODEL, 1, |settlement| settlement.as_mut().unwrap().parts[0].claimed -= 1);
        use frame::token::fungible::Mutate;
        Balances::set_balance(&POT, balance(&POT) + 1);
    });
}

#[test]
fn r3_should_break_when_shares_do_not_sum() {
    for change in [
        (|settlement| settlement.shares.owner += 1) as fn(&mut Settlement<_>),
        |settlement| settlement.parts[1].owner += 1,
        |settlement| settlement.state = SettlementState::Rolled(2),
    ] {
        expect_broken("R3", || {
            settle();
            crate::Settlements::<Test>::mutate(MODEL, 1, |settlement| change(settlement.as_mut().unwrap()));
        });
    }
}

#[test]
fn r4_should_break_when_a_budget_is_not_on_hold() {
    expect_broken("R4", || {
        open_channel(1_000_000);
        crate::Budgets::<Test>::mutate(CONSUMER, ORACLE, |budget| budget.as_mut().unwrap().held += 1);
    });
}
