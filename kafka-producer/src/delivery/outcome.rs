//! [`Outcome`]: the answer of a batch, set once, and who waits for it.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
    task::{Poll, Waker},
};

use kafka_wire::TopicName;

use crate::{
    error::{EndedBy, Failure},
    sync::{Mutex, MutexGuard, OnceLock},
    waiters::Waiters,
};

/// The result of one batch, shared by its deliveries. Set once.
pub(crate) struct Outcome {
    pub(super) topic: TopicName,
    pub(super) partition: i32,
    pub(super) result: OnceLock<BatchResult>,
    waiting: Mutex<Waiting>,
}

/// Who waits for a batch.
#[derive(Default)]
struct Waiting {
    /// Sorted by the index of the record waited for. Stale entries do no harm; there is at most one for each record.
    records: Vec<(u32, Waker)>,
    /// Those who wait beside the records' owners: there may be several, who come and go. Most batches have none.
    bystanders: Option<Box<Waiters>>,
}

/// What became of the records of some batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// Of those that failed, how many the end of the producer ended, and what that was.
    pub(crate) ended: u64,
    pub(crate) ended_by: Option<EndedBy>,
}

/// One who waits for whole batches, beside the owners of their records: first for one, then for another. Dropped, it takes its
/// waker along.
#[derive(Default)]
pub(crate) struct Bystander {
    place: Option<(Arc<Outcome>, u64)>,
}

impl Bystander {
    /// Keeps the waker at an outcome without a result, and at no other one.
    fn keep(&mut self, outcome: &Arc<Outcome>, waiting: &mut Waiting, waker: &mut Waker) {
        let mut key = self.place.as_ref().map(|(_, key)| *key);
        waiting.bystanders.get_or_insert_default().keep(&mut key, waker);
        self.place = key.map(|key| (Arc::clone(outcome), key));
    }

    /// Waits no longer where it does, unless that is here.
    fn leave(&mut self, unless: Option<&Arc<Outcome>>) {
        if let Some((outcome, key)) =
            self.place.take_if(|(outcome, _)| unless.is_none_or(|here| !Arc::ptr_eq(outcome, here)))
        {
            let waker = outcome.lock().bystanders.as_mut().and_then(|bystanders| bystanders.cancel(key));
            drop(waker);
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.leave(None);
    }
}

/// What is known of a batch in the end.
#[derive(Debug)]
pub(crate) enum BatchResult {
    /// The broker has it. An offset below zero is unknown.
    Acknowledged { base_offset: i64, log_append_time: Option<i64> },
    /// It is given up.
    Failed(Arc<Failure>),
    /// It was too large and went on as several: the index of the first record, and the outcome, of each.
    Split(Box<[(u32, Arc<Outcome>)]>),
}

impl Outcome {
    pub(crate) fn new(topic: TopicName, partition: i32) -> Self {
        Self { topic, partition, result: OnceLock::new(), waiting: Mutex::new(Waiting::default()) }
    }

    pub(crate) fn topic(&self) -> &TopicName {
        &self.topic
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// Sets the result, and gives the wakers of those who wait: to be run where no lock is held.
    #[must_use = "those who wait must be woken"]
    pub(crate) fn resolve(&self, result: BatchResult) -> Vec<Waker> {
        let mut waiting = self.lock();
        if self.result.set(result).is_err() {
            debug_assert!(false, "a batch is resolved once");
            return Vec::new();
        }
        let owners = mem::take(&mut waiting.records).into_iter().map(|(_, waker)| waker);
        match waiting.bystanders.take() {
            None => owners.collect(),
            Some(mut bystanders) => bystanders.take_all().into_iter().chain(owners).collect(),
        }
    }

    /// Whether there is a result.
    pub(crate) fn is_resolved(&self) -> bool {
        self.result.get().is_some()
    }

    /// Waits for the whole batch of `count` records, and adds what became of them.
    pub(crate) fn poll_counts(
        this: &Arc<Self>,
        count: u32,
        bystander: &mut Bystander,
        counts: &mut Counts,
        waker: &Waker,
    ) -> Poll<()> {
        if Self::poll_all(this, 0, count, Some(bystander), waker).is_pending() {
            return Poll::Pending;
        }
        this.add_to(count, counts);
        Poll::Ready(())
    }

    fn add_to(&self, count: u32, counts: &mut Counts) {
        match self.result.get() {
            None => debug_assert!(false, "counted once resolved"),
            Some(BatchResult::Acknowledged { .. }) => counts.delivered += u64::from(count),
            Some(BatchResult::Failed(failure)) => {
                counts.failed += u64::from(count);
                if let Some(by) = failure.ended_by() {
                    counts.ended += u64::from(count);
                    counts.ended_by.get_or_insert(by);
                }
            }
            Some(BatchResult::Split(parts)) => {
                for (at, (first, outcome)) in parts.iter().enumerate() {
                    let end = parts.get(at + 1).map_or(count, |(next, _)| *next);
                    outcome.add_to(end - first, counts);
                }
            }
        }
    }

    /// Waits until the records `first..first + count` of a batch have answers, through splits: as their owner, or as somebody
    /// who waits beside whoever that is.
    pub(super) fn poll_all(
        this: &Arc<Self>,
        first: u32,
        count: u32,
        mut bystander: Option<&mut Bystander>,
        waker: &Waker,
    ) -> Poll<()> {
        let result = match &mut bystander {
            Some(bystander) => Self::result_or_watch(this, bystander, waker),
            None => this.result_or_wait(first, waker),
        };
        match result {
            None => Poll::Pending,
            Some(BatchResult::Split(parts)) => {
                for (at, (start, outcome)) in parts.iter().enumerate() {
                    let end = parts.get(at + 1).map_or(u32::MAX, |(next, _)| *next);
                    let (from, to) = (first.max(*start), end.min(first + count));
                    let bystander = bystander.as_deref_mut();
                    let poll = |from, to| Self::poll_all(outcome, from - start, to - from, bystander, waker);
                    if from < to && poll(from, to).is_pending() {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(())
            }
            Some(_) => Poll::Ready(()),
        }
    }

    /// The result, or none: then the waker is kept, as that of the record's owner.
    pub(super) fn result_or_wait(&self, index: u32, waker: &Waker) -> Option<&BatchResult> {
        self.result_or(waker, |waiting, waker| {
            match waiting.records.binary_search_by_key(&index, |(at, _)| *at) {
                Ok(at) => mem::swap(&mut waiting.records[at].1, waker),
                Err(at) => {
                    let kept = mem::replace(waker, Waker::noop().clone());
                    waiting.records.insert(at, (index, kept));
                }
            }
        })
    }

    /// The result, or none: then the waker is kept, as that of a bystander.
    fn result_or_watch<'a>(
        this: &'a Arc<Self>,
        bystander: &mut Bystander,
        waker: &Waker,
    ) -> Option<&'a BatchResult> {
        bystander.leave(Some(this));
        this.result_or(waker, |waiting, waker| bystander.keep(this, waiting, waker))
    }

    /// The result, or none: then the waker is kept by `keep`, which leaves what it replaces in its place.
    fn result_or(&self, waker: &Waker, keep: impl FnOnce(&mut Waiting, &mut Waker)) -> Option<&BatchResult> {
        if let Some(result) = self.result.get() {
            return Some(result);
        }
        // Foreign code: cloned before the lock is taken, and what is not kept of the two is dropped after it.
        let mut waker = waker.clone();
        let mut waiting = self.lock();
        // Set between the look above and the lock: whoever set it has already taken the wakers.
        if let Some(result) = self.result.get() {
            return Some(result);
        }
        keep(&mut waiting, &mut waker);
        None
    }

    /// How many wait who do not own records of it.
    #[cfg(test)]
    pub(crate) fn bystanders(&self) -> usize {
        self.lock().bystanders.as_ref().map_or(0, |bystanders| bystanders.len())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing but two lists is touched under this lock, and no waker cloned or dropped: a panic elsewhere cannot have left it
        // half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("result", &self.result.get())
            .finish_non_exhaustive()
    }
}
