//! Who may take how many chunks, and who is next when there are none: decisions only, no lock and no allocation of chunks.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::task::Waker;

/// A place in the queue for memory; comes from [`Memory::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Credit for chunks, the chunks that lie idle, and a first-in-first-out queue of those who wait.
///
/// A plain value: [`Pool`](crate::Pool) puts it behind a lock. Everything is counted in whole chunks, when one is taken and
/// when it comes back, never per record.
///
/// * A newcomer never overtakes a waiter, even when there is room for the newcomer and not for the waiter.
/// * Memory that is granted to a waiter is taken from that moment on, so a waiter that goes away must
///   [`cancel`](Self::cancel) its ticket.
/// * Methods that may make someone's turn come put the wakers into a list; the caller runs them after it let go of its lock.
/// * Wakers are foreign code when they are cloned and dropped, too: they come in as values, and those that are not needed any
///   more are handed back, so that the caller does both where it holds no lock.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    used: usize,
    idle: Vec<Box<[u8]>>,
    waiting: VecDeque<Waiter>,
    granted: BTreeMap<Ticket, usize>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    count: usize,
    waker: Waker,
}

impl Memory {
    /// Memory for `limit` chunks.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            idle: Vec::new(),
            waiting: VecDeque::new(),
            granted: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// How many chunks may be taken in all.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// How many are taken now, grants that were not collected included. More than the limit only after
    /// [`overdraw`](Self::overdraw).
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// How many wait and have nothing yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes `count` chunks, all or none. None while anybody waits.
    pub fn take(&mut self, count: usize) -> bool {
        let free = self.waiting.is_empty() && self.fits(count);
        if free {
            self.used += count;
        }
        free
    }

    /// Takes `count` chunks whether or not the limit allows it; everybody else waits until it does again.
    ///
    /// For work that gives back more than it takes and would deadlock if it waited: a batch that is being split.
    pub fn overdraw(&mut self, count: usize) {
        self.used = self.used.saturating_add(count);
    }

    /// A chunk that lies idle, for one of those taken; when there is none, the caller makes one.
    pub fn idle_chunk(&mut self) -> Option<Box<[u8]>> {
        self.idle.pop()
    }

    /// Takes a chunk back. Its bytes are kept for the next taker, so at most `limit` chunks lie idle.
    pub fn give_back(&mut self, chunk: Box<[u8]>, wakers: &mut Vec<Waker>) {
        if self.idle.len() < self.limit {
            self.idle.push(chunk);
        }
        self.credit(1, wakers);
    }

    /// Queues up for `count` chunks. The waiter may be granted at once: [`poll`](Self::poll) after this.
    pub fn wait(&mut self, count: usize, waker: Waker, wakers: &mut Vec<Waker>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.push_back(Waiter { ticket, count, waker });
        self.grant(wakers);
        ticket
    }

    /// Collects what was granted to `ticket`, which ends it: the number of chunks, now taken. `None`: not yet, and `waker`
    /// is the one to be woken from now on; the one it replaces is in its place, to be dropped.
    pub fn poll(&mut self, ticket: Ticket, waker: &mut Waker) -> Option<usize> {
        if let Some(count) = self.granted.remove(&ticket) {
            return Some(count);
        }
        if let Some(waiter) = self.find(ticket).and_then(|at| self.waiting.get_mut(at)) {
            mem::swap(&mut waiter.waker, waker);
        }
        None
    }

    /// Has everybody look again who waits, at something else than memory. Nobody loses a place; each keeps a waker with its next
    /// [`poll`](Self::poll).
    pub fn wake_waiting(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.waiting.iter_mut().map(|it| mem::replace(&mut it.waker, Waker::noop().clone())));
    }

    /// Gives the ticket up, and what was granted to it. Unknown tickets are ignored. Who waited for it needs no waking: the
    /// waker is handed back, to be dropped.
    #[must_use = "a waker is foreign code: it is dropped where no lock is held"]
    pub fn cancel(&mut self, ticket: Ticket, wakers: &mut Vec<Waker>) -> Option<Waker> {
        if let Some(count) = self.granted.remove(&ticket) {
            self.credit(count, wakers);
            return None;
        }
        let at = self.find(ticket)?;
        let waiter = self.waiting.remove(at)?;
        // It may have been the one that nobody else could pass.
        self.grant(wakers);
        Some(waiter.waker)
    }

    /// Where a waiter stands: tickets rise.
    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }

    fn credit(&mut self, count: usize, wakers: &mut Vec<Waker>) {
        debug_assert!(count <= self.used, "more chunks came back than were taken");
        self.used = self.used.saturating_sub(count);
        self.grant(wakers);
    }

    fn grant(&mut self, wakers: &mut Vec<Waker>) {
        while self.waiting.front().is_some_and(|head| self.fits(head.count)) {
            if let Some(head) = self.waiting.pop_front() {
                self.used += head.count;
                self.granted.insert(head.ticket, head.count);
                wakers.push(head.waker);
            }
        }
    }

    const fn fits(&self, count: usize) -> bool {
        self.used.saturating_add(count) <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Box<[u8]> {
        Box::default()
    }

    fn waker() -> Waker {
        Waker::noop().clone()
    }

    #[test]
    fn a_newcomer_does_not_overtake() {
        let mut wakers = Vec::new();
        let mut memory = Memory::new(3);
        assert!(memory.take(2));
        let big = memory.wait(2, waker(), &mut wakers);
        assert!(!memory.take(1), "one is free, but someone waits");
        let small = memory.wait(1, waker(), &mut wakers);
        assert!(wakers.is_empty());
        memory.give_back(chunk(), &mut wakers);
        assert_eq!(wakers.len(), 1);
        assert_eq!(memory.poll(small, &mut waker()), None);
        assert_eq!(memory.poll(big, &mut waker()), Some(2));
        assert_eq!(memory.used(), 3);
        memory.give_back(chunk(), &mut wakers);
        assert_eq!(memory.poll(small, &mut waker()), Some(1));
        assert_eq!(memory.poll(small, &mut waker()), None, "a ticket is collected once");
    }

    #[test]
    fn cancelling_gives_a_grant_back_and_lets_others_pass() {
        let mut wakers = Vec::new();
        let mut memory = Memory::new(2);
        assert!(memory.take(2));
        let first = memory.wait(1, waker(), &mut wakers);
        let big = memory.wait(2, waker(), &mut wakers);
        let last = memory.wait(1, waker(), &mut wakers);
        memory.give_back(chunk(), &mut wakers);
        assert_eq!((memory.used(), wakers.len()), (2, 1), "granted to the first");
        assert!(memory.cancel(first, &mut wakers).is_none());
        assert_eq!((memory.used(), memory.waiting()), (1, 2), "the next does not fit");
        assert!(memory.cancel(big, &mut wakers).is_some());
        assert_eq!(memory.poll(last, &mut waker()), Some(1));
        assert!(memory.cancel(last, &mut wakers).is_none());
        assert_eq!(memory.used(), 2, "cancelling after collecting changes nothing");
    }

    #[test]
    fn an_overdraft_makes_everybody_wait_until_it_is_paid() {
        let mut wakers = Vec::new();
        let mut memory = Memory::new(1);
        memory.overdraw(2);
        assert_eq!(memory.used(), 2);
        let ticket = memory.wait(1, waker(), &mut wakers);
        memory.give_back(chunk(), &mut wakers);
        assert_eq!(memory.poll(ticket, &mut waker()), None);
        memory.give_back(chunk(), &mut wakers);
        assert_eq!(memory.poll(ticket, &mut waker()), Some(1));
        memory.give_back(chunk(), &mut wakers);
        assert_eq!(memory.used(), 0);
        assert!(
            memory.idle_chunk().is_some() && memory.idle_chunk().is_none(),
            "no more idle than the limit"
        );
    }

    #[test]
    fn a_waiter_that_fits_is_granted_at_once() {
        let mut wakers = Vec::new();
        let mut memory = Memory::new(1);
        let ticket = memory.wait(1, waker(), &mut wakers);
        assert_eq!(wakers.len(), 1);
        assert_eq!(memory.poll(ticket, &mut waker()), Some(1));
    }
}
