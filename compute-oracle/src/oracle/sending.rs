//! Messages on their way to the chain: each once at a time, and refused ones ever more rarely.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use weft_chain::{Call, State};

use super::duties::Work;
use crate::daemon::Progress;

/// Most blocks between two tries of the same thing.
const LONGEST: u32 = 32;
/// Finalised blocks after which a message whose duty still stands may be sent anew. Until then the same bytes are handed in
/// again every few blocks, which costs nothing when they are on their way after all; windows to reveal are 10 blocks and
/// more.
const LOST: u32 = 8;
/// Entries above which finished ones are forgotten.
const MOST: usize = 4_096;

/// Waits 1, 2, 4, … blocks between tries: what is refused costs a fee or a computation each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    wait: u32,
    again: u32,
}

impl Backoff {
    /// A try at block `head` failed. What is due at a block is tried again after a quarter of the time left at the latest:
    /// a wait beyond the deadline costs the stake.
    pub(crate) fn grow(&mut self, head: u32, deadline: Option<u32>) {
        let left = deadline.map_or(LONGEST, |end| end.saturating_sub(head) / 4);
        self.wait = self.wait.saturating_mul(2).clamp(1, left.clamp(1, LONGEST));
        self.again = head.saturating_add(self.wait);
    }

    /// Whether it is too early to try again.
    pub(crate) const fn holds(&self, head: u32) -> bool {
        head < self.again
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Handed in at this finalised block.
    Underway(u32),
    /// In this finalised block. A state that is not newer still shows what the message answers.
    Final(u32),
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Tells this submission from an earlier one of the same name, whose task may still report.
    ticket: u64,
    place: Place,
    backoff: Backoff,
}

/// Messages by name.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<String, Entry>,
    tickets: u64,
}

impl Book {
    /// Registers a message at a state of block `head`; `None` while it must not be sent.
    fn take(&mut self, name: &str, head: u32) -> Option<u64> {
        let backoff = match self.entries.get(name) {
            Some(e) => {
                let early = match e.place {
                    Place::Underway(since) => head < since.saturating_add(LOST),
                    Place::Final(block) => head <= block,
                    Place::Refused => e.backoff.holds(head),
                };
                if early {
                    return None;
                }
                e.backoff
            }
            None => Backoff::default(),
        };
        if self.entries.len() > MOST {
            self.entries.retain(|_, e| matches!(e.place, Place::Underway(_)));
        }
        self.tickets = self.tickets.wrapping_add(1);
        let entry = Entry { ticket: self.tickets, place: Place::Underway(head), backoff };
        self.entries.insert(name.to_string(), entry);
        Some(self.tickets)
    }

    fn entry(&mut self, name: &str, ticket: u64) -> Option<&mut Entry> {
        self.entries.get_mut(name).filter(|e| e.ticket == ticket && matches!(e.place, Place::Underway(_)))
    }

    /// The message is in finalised block `block`.
    fn done(&mut self, name: &str, ticket: u64, block: u32) {
        if let Some(entry) = self.entry(name, ticket) {
            entry.place = Place::Final(block);
            entry.backoff = Backoff::default();
        }
    }

    /// The message did not get into a block, or was refused there.
    fn refused(&mut self, name: &str, ticket: u64, head: u32, deadline: Option<u32>) {
        if let Some(entry) = self.entry(name, ticket) {
            entry.place = Place::Refused;
            entry.backoff.grow(head, deadline);
        }
    }

    /// Forgets everything: finalised state decides anew.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The book, shared with the tasks that wait for their message.
pub(crate) type Sending = Arc<Mutex<Book>>;

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panicking task leaves the value consistent: entries are inserted and removed whole.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message on its way. Dropped without an end, as by a panic of its task, it counts as refused.
struct Turn {
    sending: Sending,
    progress: Progress,
    name: String,
    ticket: u64,
    from: u32,
    deadline: Option<u32>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let head = self.progress.last_head().map_or(self.from, |head| head.number);
        lock(&self.sending).refused(&self.name, self.ticket, head, self.deadline);
    }
}

/// Sends a call in a task of its own, once at a time per name; not again at a state that cannot show it yet, and later
/// and later while it is refused, up to its deadline. Returns whether it is sent now; whether it arrived is read from state.
pub(crate) fn send(
    work: &Work,
    sending: &Sending,
    state: &State,
    name: String,
    call: Call,
    deadline: Option<u32>,
) -> bool {
    let from = state.head.number;
    let Some(ticket) = lock(sending).take(&name, from) else { return false };
    let turn = Turn { sending: Arc::clone(sending), progress: work.progress.clone(), name, ticket, from, deadline };
    let (client, signer) = (Arc::clone(&work.client), work.signer.clone());
    tokio::spawn(async move {
        let queue = turn.progress.sending();
        let pending = {
            // One submission at a time per account: the next nonce is the pool's.
            let _turn = queue.lock().await;
            match client.next_nonce(&signer.public_key().0).await {
                Ok(nonce) => client.send(&signer, nonce, &call).await,
                Err(e) => Err(e),
            }
        };
        let done = match pending {
            Ok(pending) => pending.wait().await,
            Err(e) => Err(e),
        };
        match done {
            Ok(included) => {
                tracing::info!(call = %call.title(), name = %turn.name, block = included.head.number, "final");
                lock(&turn.sending).done(&turn.name, turn.ticket, included.head.number);
            }
            Err(e) => {
                let name = &turn.name;
                tracing::warn!(call = %call.title(), %name, "not on chain, it is tried again while it is due: {e}");
            }
        }
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_should_double_up_to_the_longest_when_tries_fail() {
        let mut backoff = Backoff::default();
        assert!(!backoff.holds(0));
        let mut waits = Vec::new();
        for _ in 0..8 {
            backoff.grow(100, None);
            waits.push(backoff.again - 100);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 32, 32]);
        assert!(backoff.holds(131) && !backoff.holds(132));
    }

    #[test]
    fn waits_should_end_before_the_deadline_when_there_is_one() {
        let mut backoff = Backoff::default();
        let (mut head, mut tries) = (100, 0);
        while head < 120 {
            backoff.grow(head, Some(120));
            tries += 1;
            head = backoff.again;
        }
        assert!(tries > 6, "{tries} tries in 20 blocks");
        backoff.grow(200, Some(120));
        assert_eq!(backoff.again, 201, "a deadline that has passed");
        backoff.grow(200, Some(u32::MAX));
        assert!(backoff.again <= 200 + LONGEST);
    }

    #[test]
    fn message_should_be_sent_anew_when_it_is_lost_with_the_pool() {
        let mut book = Book::default();
        let lost = book.take("reveal/3", 10).unwrap();
        assert_eq!(book.take("reveal/3", 9 + LOST), None);
        let anew = book.take("reveal/3", 10 + LOST).unwrap();
        // AND the report of the first changes nothing for the second
        book.refused("reveal/3", lost, 20, None);
        assert_eq!(book.take("reveal/3", 11 + LOST), None);
        book.done("reveal/3", anew, 20);
        assert!(book.take("reveal/3", 21).is_some());
    }

    #[test]
    fn message_should_be_sent_once_when_it_is_due_at_every_block() {
        let mut book = Book::default();
        // GIVEN a message on its way WHEN it is due again THEN it is not sent
        let first = book.take("commit/3", 10).unwrap();
        assert_eq!(book.take("commit/3", 11), None);
        assert!(book.take("commit/4", 11).is_some(), "another message");
        // AND once final not at states that cannot show it
        book.done("commit/3", first, 12);
        assert_eq!(book.take("commit/3", 12), None);
        assert!(book.take("commit/3", 13).is_some());
    }

    #[test]
    fn refused_message_should_wait_longer_each_time() {
        let mut book = Book::default();
        let mut sent = Vec::new();
        for head in 0..40 {
            if let Some(ticket) = book.take("take/1", head) {
                sent.push(head);
                book.refused("take/1", ticket, head, None);
            }
        }
        assert_eq!(sent, [0, 1, 3, 7, 15, 31]);
    }

    #[test]
    fn late_report_should_change_nothing_when_the_chain_was_lost_in_between() {
        let mut book = Book::default();
        let old = book.take("commit/3", 10).unwrap();
        book.clear();
        let new = book.take("commit/3", 8).unwrap();
        assert_ne!(old, new);
        book.done("commit/3", old, 20);
        assert_eq!(book.take("commit/3", 12), None, "the new message is still on its way");
        book.refused("commit/3", new, 12, None);
        book.done("commit/3", new, 13);
        assert_eq!(book.take("commit/3", 12), None);
        assert!(book.take("commit/3", 13).is_some(), "refused stays refused");
    }
}
