//! API keys of consumers.

use crate::{pallet::*, types::*};
use frame::prelude::*;
use weft_traits::Clock;

impl<T: Config> Pallet<T> {
    /// Registers a key. A consumer with [`MAX_KEYS`] keys loses its first revoked or expired one, which pays nothing
    /// any more; channels stay, so a key that is registered again starts where it ended.
    pub(crate) fn do_add_key(who: T::AccountId, key: [u8; 32], rule: KeyRule) -> DispatchResult {
        let now = T::Clock::now();
        ensure!(rule.expiry.is_none_or(|expiry| expiry > now), Error::<T>::KeyExpired);
        let spent_today = match ApiKeys::<T>::get(&who, key) {
            Some(known) if !known.is_dead(now) => return Err(Error::<T>::KeyExists.into()),
            // What it spent today still counts against the new limit.
            Some(known) => Some((known.day, known.spent)),
            None => None,
        };
        if spent_today.is_none() {
            let (mut count, mut dead) = (0u32, None);
            for (other, known) in ApiKeys::<T>::iter_prefix(&who) {
                count = count.saturating_add(1);
                if dead.is_none() && known.is_dead(now) {
                    dead = Some(other);
                }
            }
            if count >= MAX_KEYS {
                ApiKeys::<T>::remove(&who, dead.ok_or(Error::<T>::TooManyKeys)?);
            }
        }
        let (day, spent) = spent_today.unwrap_or_default();
        ApiKeys::<T>::insert(&who, key, ApiKey { rule, revoked: false, day, spent });
        Self::deposit_event(Event::KeyAdded { consumer: who, key });
        Ok(())
    }

    /// Revokes a key at once: no voucher of it is redeemed any more.
    pub(crate) fn do_revoke_key(who: T::AccountId, key: [u8; 32]) -> DispatchResult {
        ApiKeys::<T>::try_mutate(&who, key, |known| {
            let known = known.as_mut().ok_or(Error::<T>::KeyUnknown)?;
            ensure!(!known.revoked, Error::<T>::KeyRevoked);
            known.revoked = true;
            Ok::<_, DispatchError>(())
        })?;
        Self::deposit_event(Event::KeyRevoked { consumer: who, key });
        Ok(())
    }
}
