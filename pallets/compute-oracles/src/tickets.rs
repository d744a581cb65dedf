//! Tickets: one per ticket size of free stake and class, and draws from them.

use crate::{pallet::*, types::*};
use alloc::{collections::BTreeSet, vec::Vec};
use frame::prelude::*;
use weft_protocol::hash::{choose, h, Hash, Tag};
use weft_traits::Amount;

/// Tag of the numbers that a draw makes from the beacon.
const DRAW: Tag = *b"weft.drw";
/// Random tickets looked at before the draw walks on in order.
const TRIES: u32 = 64;
/// Tickets looked at in order after that: draws are exact while a class has no more.
const WALK: u32 = 1024;

impl<T: Config> Pallet<T> {
    /// Brings an oracle's tickets in line with its status and free stake.
    pub(crate) fn sync_tickets(who: &T::AccountId, oracle: &Oracle) {
        let wanted = if oracle.is_active() {
            let size = StakeParams::<T>::get().ticket.max(1);
            u32::try_from(oracle.free().checked_div(size).unwrap_or(0)).unwrap_or(u32::MAX).min(MAX_TICKETS)
        } else {
            0
        };
        for class in &oracle.classes {
            let mut mine = TicketsOf::<T>::get(who, class);
            while Self::count(&mine) < wanted {
                let number = TicketCount::<T>::get(class);
                let Some(next) = number.checked_add(1) else { break };
                if mine.try_push(number).is_err() {
                    break;
                }
                Tickets::<T>::insert(class, number, who);
                TicketCount::<T>::insert(class, next);
            }
            let surplus = Self::count(&mine) > wanted;
            TicketsOf::<T>::insert(who, class, &mine);
            if surplus {
                Self::shrink(who, class, wanted);
            }
            if wanted == 0 {
                TicketsOf::<T>::remove(who, class);
            }
        }
    }

    fn count(numbers: &BoundedVec<u32, ConstU32<MAX_TICKETS>>) -> u32 {
        u32::try_from(numbers.len()).unwrap_or(u32::MAX)
    }

    /// Gives tickets back, the last of the class filling each gap.
    fn shrink(who: &T::AccountId, class: &Hash, wanted: u32) {
        loop {
            let mut mine = TicketsOf::<T>::get(who, class);
            if Self::count(&mine) <= wanted {
                return;
            }
            let Some(gap) = mine.pop() else { return };
            TicketsOf::<T>::insert(who, class, &mine);
            let last = TicketCount::<T>::get(class).saturating_sub(1);
            TicketCount::<T>::insert(class, last);
            let Some(mover) = Tickets::<T>::take(class, last) else { return };
            if gap == last {
                continue;
            }
            Tickets::<T>::insert(class, gap, &mover);
            TicketsOf::<T>::mutate(&mover, class, |numbers| {
                if let Some(number) = numbers.iter_mut().find(|number| **number == last) {
                    *number = gap;
                }
            });
        }
    }

    /// Draws up to `wanted` distinct accounts of a class by ticket. Eligible are active oracles with `lock` of free stake,
    /// room for another run and not in `excluded`.
    pub(crate) fn draw_accounts(
        class: &Hash,
        entropy: &Hash,
        wanted: u32,
        lock: Amount,
        excluded: &BTreeSet<T::AccountId>,
    ) -> Vec<T::AccountId> {
        let count = TicketCount::<T>::get(class);
        let mut seen = excluded.clone();
        let mut drawn = Vec::new();
        let is_full = |drawn: &Vec<T::AccountId>| u32::try_from(drawn.len()).unwrap_or(u32::MAX) >= wanted;
        let mut look = |number: u32, drawn: &mut Vec<T::AccountId>| {
            let Some(who) = Tickets::<T>::get(class, number) else { return };
            if !seen.insert(who.clone()) {
                return;
            }
            let eligible = Oracles::<T>::get(&who)
                .is_some_and(|oracle| oracle.is_active() && oracle.free() >= lock && oracle.locks < MAX_LOCKS);
            if eligible {
                drawn.push(who);
            }
        };
        let mut number = 0;
        for round in 0..TRIES {
            if count == 0 || is_full(&drawn) {
                return drawn;
            }
            number = choose(&h(&DRAW, &(entropy, round)), count);
            look(number, &mut drawn);
        }
        for _ in 0..count.min(WALK) {
            if is_full(&drawn) {
                break;
            }
            number = number.saturating_add(1);
            if number >= count {
                number = 0;
            }
            look(number, &mut drawn);
        }
        drawn
    }

    /// Entropy of one draw: the beacon bound to its purpose.
    pub(crate) fn entropy(purpose: &impl Encode) -> Hash {
        h(&DRAW, &(BeaconNow::<T>::get(), purpose))
    }
}
