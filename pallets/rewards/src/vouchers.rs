//! Vouchers: cumulative fees that an API key signed, turned into revenue.

use crate::{pallet::*, types::*};
use frame::{
    deps::{sp_core::sr25519, sp_io},
    prelude::*,
};
use fungible::hold::Mutate as _;
use tokens::{Fortitude, Precision, Restriction};
use weft_protocol::hash::Hash;
use weft_traits::{Amount, Clock, Epoch, ModelId, ModelInspect};

impl<T: Config> Pallet<T> {
    /// Redeems every voucher, or none.
    pub(crate) fn do_redeem(who: &T::AccountId, vouchers: &[SignedVoucher]) -> DispatchResult {
        vouchers.iter().try_for_each(|signed| Self::redeem_one(who, signed))
    }

    /// Moves cumulative − paid of one voucher from the consumer's budget to the revenue pot.
    fn redeem_one(who: &T::AccountId, signed: &SignedVoucher) -> DispatchResult {
        let voucher = &signed.voucher;
        let now = T::Clock::now();
        let consumer = T::AccountId::from(voucher.consumer);
        let terms = T::Models::model(voucher.model).ok_or(Error::<T>::UnknownModel)?;
        let serves = T::AccountId::from(voucher.oracle) == *who && terms.oracle == *who;
        ensure!(serves, Error::<T>::NotServing);

        let mut key = ApiKeys::<T>::get(&consumer, voucher.key).ok_or(Error::<T>::KeyUnknown)?;
        ensure!(!key.revoked, Error::<T>::KeyRevoked);
        ensure!(!key.is_dead(now), Error::<T>::KeyExpired);
        ensure!(key.rule.models.allows(voucher.model), Error::<T>::KeyForbidsModel);

        let slot = (&consumer, voucher.key, who, voucher.model);
        let channel = Channels::<T>::get(slot);
        ensure!(T::Models::prices(voucher.model, voucher.price_version).is_some(), Error::<T>::PriceUnknown);
        ensure!(voucher.price_version >= channel.price_version, Error::<T>::VoucherStale);
        let amount =
            voucher.cumulative.checked_sub(channel.paid).filter(|new| *new > 0).ok_or(Error::<T>::VoucherStale)?;

        let signature = sr25519::Signature::from_raw(signed.signature);
        let public = sr25519::Public::from_raw(voucher.key);
        let hash = voucher.hash(&Self::genesis_hash());
        ensure!(sp_io::crypto::sr25519_verify(&signature, &hash, &public), Error::<T>::BadSignature);

        let today = now.checked_div(T::Clock::day()).unwrap_or(0);
        key.spend(today, amount).ok_or(Error::<T>::LimitExceeded)?;
        ApiKeys::<T>::insert(&consumer, voucher.key, key);
        Channels::<T>::insert(slot, Channel { paid: voucher.cumulative, price_version: voucher.price_version });
        Self::spend_budget(&consumer, who, amount)?;
        let epoch = Self::epoch_at(terms.minted, now);
        Self::add_revenue(voucher.model, epoch, who, amount, 0)?;
        Self::deposit_event(Event::Redeemed {
            consumer,
            key: voucher.key,
            oracle: who.clone(),
            model: voucher.model,
            epoch,
            amount,
            cumulative: voucher.cumulative,
        });
        Ok(())
    }

    /// Hash of the genesis block, to which every voucher is bound.
    fn genesis_hash() -> Hash {
        let mut genesis = Hash::default();
        let stored = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        for (to, from) in genesis.iter_mut().zip(stored.as_ref()) {
            *to = *from;
        }
        genesis
    }

    /// Moves `amount` of the budget to the revenue pot.
    fn spend_budget(consumer: &T::AccountId, oracle: &T::AccountId, amount: Amount) -> DispatchResult {
        Budgets::<T>::try_mutate(consumer, oracle, |budget| {
            let budget = budget.as_mut().ok_or(Error::<T>::BudgetMissing)?;
            budget.held = budget.held.checked_sub(amount).ok_or(Error::<T>::BudgetTooLow)?;
            budget.spent = budget.spent.checked_add(amount).ok_or(ArithmeticError::Overflow)?;
            Ok::<_, DispatchError>(())
        })?;
        T::Currency::transfer_on_hold(
            &HoldReason::Budget.into(),
            consumer,
            &T::RevenuePot::get(),
            amount,
            Precision::Exact,
            Restriction::Free,
            Fortitude::Polite,
        )?;
        Ok(())
    }

    /// Adds fees of an oracle to an epoch.
    pub(crate) fn add_revenue(
        model: ModelId,
        epoch: Epoch,
        oracle: &T::AccountId,
        fees: Amount,
        rolled: Amount,
    ) -> DispatchResult {
        Revenue::<T>::try_mutate(model, epoch, |revenue| {
            match revenue.iter_mut().find(|entry| entry.oracle == *oracle) {
                Some(entry) => {
                    entry.fees = entry.fees.checked_add(fees).ok_or(ArithmeticError::Overflow)?;
                    entry.rolled = entry.rolled.checked_add(rolled).ok_or(ArithmeticError::Overflow)?;
                }
                None => revenue
                    .try_push(OracleFees { oracle: oracle.clone(), fees, rolled })
                    .map_err(|_| Error::<T>::TooManyOracles)?,
            }
            // Checked here so that the sum never fails at settlement.
            total(revenue).ok_or(ArithmeticError::Overflow)?;
            Ok(())
        })
    }
}
