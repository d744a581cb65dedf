//! Nothing that a transaction pays is burned.

use frame_support::traits::{
    fungible::{Balanced, Inspect},
    tokens::{Fortitude, Precision, Preservation},
    OnUnbalanced, TypedGet,
};
use weft_runtime::{
    fees::{FeesToTreasuryTipsToAuthor, ToTreasury, TreasuryAccount},
    presets::ROLES,
    AccountId, Balances, WEFT,
};

/// Takes an amount from an account, as a fee.
fn take(who: &AccountId, amount: u128) -> frame_support::traits::fungible::Credit<AccountId, Balances> {
    <Balances as Balanced<AccountId>>::withdraw(
        who,
        amount,
        Precision::Exact,
        Preservation::Preserve,
        Fortitude::Polite,
    )
    .unwrap()
}

#[test]
fn fee_tip_and_dust_should_reach_the_treasury_when_no_author_is_known() {
    crate::presets::build("development").unwrap().execute_with(|| {
        // GIVEN
        let (treasury, payer) = (TreasuryAccount::get(), AccountId::from(ROLES[0].1));
        let (before, issuance) = (Balances::balance(&treasury), Balances::total_issuance());

        // WHEN
        let (fee, tip, dust) = (take(&payer, 3 * WEFT), take(&payer, 2 * WEFT), take(&payer, 1));
        FeesToTreasuryTipsToAuthor::on_unbalanceds([fee, tip].into_iter());
        ToTreasury::on_unbalanced(dust);

        // THEN
        assert_eq!(Balances::balance(&treasury), before + 5 * WEFT + 1);
        assert_eq!(Balances::total_issuance(), issuance);
    });
}
