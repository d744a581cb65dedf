//! Tickets: one per ticket size of free stake and class, and draws from them.

use crate::{pallet::*, types::*};
use alloc::{collections::BTreeSet, vec::Vec};
use frame::prelude::*;
use weft_protocol::{
    economics,
    hash::{choose, draw_entropy, draw_number, Hash},
};
use weft_traits::{Amount, Clock};

/// Random tickets looked at before the draw walks on in order.
const TRIES: u32 = 64;
/// Tickets looked at in order after that: draws are exact while a class has no more.
const WALK: u32 = 1024;
/// Tickets that one draw looks at, at most.
pub(crate) const LOOKS: u32 = TRIES.saturating_add(WALK);
/// Changes that the start of one block looks at and tickets that it gives or takes, together at most.
pub(crate) const TICKET_WORK: u32 = 256;

/// Numbers of an oracle's tickets in one class.
type Numbers = BoundedVec<u32, ConstU32<MAX_TICKETS>>;

impl<T: Config> Pallet<T> {
    /// Tickets that an oracle should have in each of its classes: one per ticket size of free stake, and one for less
    /// that still covers the smallest lock, so that everyone who is eligible can be drawn. None while it is not active.
    pub(crate) fn wanted_tickets(oracle: &Oracle) -> u32 {
        if !oracle.is_active() {
            return 0;
        }
        let stakes = StakeParams::<T>::get();
        let free = oracle.free();
        let by_size = free.checked_div(stakes.ticket.max(1)).unwrap_or(0);
        // No run asks for less: every fee contains the fixed part, every stake the least stake.
        let can_serve = economics::lock(stakes.audit_fee, stakes.min_stake).is_some_and(|least| free >= least);
        u32::try_from(by_size.max(can_serve.into())).unwrap_or(u32::MAX).min(MAX_TICKETS)
    }

    /// Queues the tickets that fit an oracle's status and free stake now, for the time when the draw delay has passed.
    ///
    /// Tickets change at the start of a block, after its draws, and nowhere else. With the delay, a draw depends on no
    /// change made in the blocks whose authors make its beacon: each knows part of it, all of them together the whole.
    /// They could otherwise number the tickets so that their own accounts are drawn. How many there shall be is fixed
    /// here, for the oracle may look otherwise by then. Changes of one block are one.
    pub(crate) fn tickets_changed(who: &T::AccountId, oracle: &mut Oracle) {
        let wanted = Self::wanted_tickets(oracle);
        let due = T::Clock::now().saturating_add(TimerParams::<T>::get().draw);
        let newest = if oracle.changes > 0 { Stale::<T>::get(oracle.last_change) } else { None };
        let (first, end) = StaleQueue::<T>::get();
        if let Some(mut newest) = newest {
            if newest.due == due {
                newest.wanted = wanted;
                Stale::<T>::insert(oracle.last_change, newest);
                return;
            }
            newest.next = Some(end);
            Stale::<T>::insert(oracle.last_change, newest);
        }
        Stale::<T>::insert(end, TicketChange { who: who.clone(), wanted, due, next: None });
        StaleQueue::<T>::put((first, end.saturating_add(1)));
        oracle.changes = oracle.changes.saturating_add(1);
        oracle.last_change = end;
    }

    /// Makes the changes of tickets that are due, the oldest first; returns how many changes and tickets that took,
    /// `most` at most. What is left waits for the next block.
    pub(crate) fn bring_in_line(most: u32) -> u32 {
        let now = T::Clock::now();
        let (start, end) = StaleQueue::<T>::get();
        let (mut first, mut done) = (start, 0u32);
        while first < end && done < most {
            done = done.saturating_add(1);
            if let Some(change) = Stale::<T>::get(first) {
                if change.due > now {
                    break;
                }
                if let Some(mut oracle) = Oracles::<T>::get(&change.who) {
                    // Where a newer change is due as well, this one is skipped: an account that changes in every block
                    // costs one look a time and delays nobody's tickets for long.
                    let replaced = change.next.and_then(Stale::<T>::get).is_some_and(|next| next.due <= now);
                    if !replaced {
                        let left = most.saturating_sub(done);
                        let (moves, complete) = Self::sync_tickets(&change.who, &oracle, change.wanted, left);
                        done = done.saturating_add(moves);
                        if !complete {
                            break;
                        }
                    }
                    oracle.changes = oracle.changes.saturating_sub(1);
                    Oracles::<T>::insert(&change.who, oracle);
                }
                Stale::<T>::remove(first);
            }
            first = first.saturating_add(1);
        }
        if first > start {
            StaleQueue::<T>::put((first, end));
        }
        done
    }

    /// Gives or takes up to `most` tickets; returns how many, and whether the oracle has what it shall have now.
    fn sync_tickets(who: &T::AccountId, oracle: &Oracle, wanted: u32, most: u32) -> (u32, bool) {
        let mut moves = 0u32;
        for class in &oracle.classes {
            let mut mine = TicketsOf::<T>::get(who, class);
            let mut count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
            while count != wanted && moves < most {
                let moved = if count < wanted {
                    Self::give_ticket(who, class, &mut mine)
                } else {
                    Self::take_ticket(who, class, &mut mine)
                };
                if moved.is_none() {
                    defensive!("tickets and their numbers disagree");
                    break;
                }
                count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
                moves = moves.saturating_add(1);
            }
            if mine.is_empty() {
                TicketsOf::<T>::remove(who, class);
            } else {
                TicketsOf::<T>::insert(who, class, &mine);
            }
            if count != wanted && moves >= most {
                return (moves, false);
            }
        }
        (moves, true)
    }

    /// Adds a ticket at the end of the class.
    fn give_ticket(who: &T::AccountId, class: &Hash, mine: &mut Numbers) -> Option<()> {
        let number = TicketCount::<T>::get(class);
        let next = number.checked_add(1)?;
        mine.try_push(number).ok()?;
        Tickets::<T>::insert(class, number, who);
        TicketCount::<T>::insert(class, next);
        Some(())
    }

    /// Takes a ticket back; the last of the class fills the gap.
    fn take_ticket(who: &T::AccountId, class: &Hash, mine: &mut Numbers) -> Option<()> {
        let gap = mine.pop()?;
        let last = TicketCount::<T>::get(class).checked_sub(1)?;
        TicketCount::<T>::insert(class, last);
        let mover = Tickets::<T>::take(class, last)?;
        if gap == last {
            return Some(());
        }
        Tickets::<T>::insert(class, gap, &mover);
        let renumber = |numbers: &mut Numbers| {
            if let Some(number) = numbers.iter_mut().find(|number| **number == last) {
                *number = gap;
            }
        };
        if mover == *who {
            renumber(mine);
        } else {
            TicketsOf::<T>::mutate(&mover, class, renumber);
        }
        Some(())
    }

    /// Draws up to `wanted` distinct accounts of a class by ticket; returns them and how many tickets it looked at.
    /// Eligible are active oracles with `lock` of free stake, room for another run and not in `excluded`; the ticket of
    /// anyone else is drawn again.
    pub(crate) fn draw_accounts(
        class: &Hash,
        entropy: &Hash,
        wanted: u32,
        lock: Amount,
        excluded: &BTreeSet<T::AccountId>,
    ) -> (Vec<T::AccountId>, u32) {
        let count = TicketCount::<T>::get(class);
        let mut seen = excluded.clone();
        let mut drawn = Vec::new();
        let mut looked = 0u32;
        let is_full = |drawn: &Vec<T::AccountId>| u32::try_from(drawn.len()).unwrap_or(u32::MAX) >= wanted;
        let mut look = |number: u32, drawn: &mut Vec<T::AccountId>| {
            looked = looked.saturating_add(1);
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
                return (drawn, looked);
            }
            number = choose(&draw_number(entropy, round), count);
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
        (drawn, looked)
    }

    /// Entropy of one draw: the beacon bound to its purpose.
    pub(crate) fn entropy(purpose: &impl Encode) -> Hash {
        draw_entropy(&BeaconNow::<T>::get(), purpose)
    }
}
