//! The requests of a connection that have no end yet, oldest first.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kafka_wire::{ApiKey, CorrelationId};

/// A request on its way: being written, or written and waiting for its answer.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) what: T,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) expects_reply: bool,
    /// When it was handed to the connection.
    pub(crate) since: Instant,
    pub(crate) timeout: Duration,
    /// `since` + `timeout` + throttle times told since; `None` is beyond the end of time.
    pub(crate) deadline: Option<Instant>,
    /// Its first byte's place in all bytes of the connection, and the place behind its last.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Two queues, because bytes leave in order and answers come in order, but a request without an answer (acks=0)
/// ends as soon as it is written, between others that wait.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    writing: VecDeque<Entry<T>>,
    waiting: VecDeque<Entry<T>>,
}

impl<T> InFlight<T> {
    pub(crate) fn new() -> Self {
        Self { writing: VecDeque::new(), waiting: VecDeque::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.writing.len() + self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writing.is_empty() && self.waiting.is_empty()
    }

    /// The minimum over all, since a call may have a time-out of its own. There are few: `max_in_flight`.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.entries().filter_map(|entry| entry.deadline).min()
    }

    /// The oldest request whose time is up.
    pub(crate) fn overdue(&self, now: Instant) -> Option<&Entry<T>> {
        self.entries().find(|entry| entry.deadline.is_some_and(|deadline| now >= deadline))
    }

    pub(crate) fn push(&mut self, entry: Entry<T>) {
        self.writing.push_back(entry);
    }

    /// Everything before `written` is handed to the socket: the next request that is complete by that and expects
    /// no answer. Call until `None`.
    pub(crate) fn pop_written(&mut self, written: u64) -> Option<Entry<T>> {
        loop {
            if self.writing.front()?.end > written {
                return None;
            }
            let entry = self.writing.pop_front()?;
            if !entry.expects_reply {
                return Some(entry);
            }
            self.waiting.push_back(entry);
        }
    }

    /// Takes the request that is answered next, if its correlation id is the given one.
    ///
    /// # Errors
    /// Gives the id that was due, `None` if no answer is.
    pub(crate) fn pop_answered(&mut self, id: CorrelationId) -> Result<Entry<T>, Option<CorrelationId>> {
        match self.waiting.pop_front() {
            Some(entry) if entry.correlation_id == id => Ok(entry),
            Some(entry) => {
                let due = entry.correlation_id;
                self.waiting.push_front(entry);
                Err(Some(due))
            }
            None => Err(None),
        }
    }

    /// The broker holds answers back for so long: every request gets as much more time.
    pub(crate) fn extend(&mut self, time: Duration) {
        for entry in self.waiting.iter_mut().chain(&mut self.writing) {
            entry.deadline = entry.deadline.and_then(|deadline| deadline.checked_add(time));
        }
    }

    /// Empties it, oldest first.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry<T>> + '_ {
        self.waiting.drain(..).chain(self.writing.drain(..))
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.waiting.iter().chain(&self.writing)
    }
}
