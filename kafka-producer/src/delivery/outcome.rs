//! [`Outcome`]: the answer of a batch, set once, and who waits for it.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use kafka_wire::TopicName;

use crate::{
    error::Failure,
    sync::{Mutex, MutexGuard, OnceLock},
};

/// The result of one batch, shared by its deliveries. Set once.
pub(crate) struct Outcome {
    pub(super) topic: TopicName,
    pub(super) partition: i32,
    pub(super) result: OnceLock<BatchResult>,
    /// Who waits, sorted by the index of the record waited for. Stale entries do no harm; there is at most one
    /// for each record, and those of bystanders behind them.
    waiting: Mutex<Vec<(u32, Waker)>>,
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
        Self { topic, partition, result: OnceLock::new(), waiting: Mutex::new(Vec::new()) }
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
        mem::take(&mut *waiting).into_iter().map(|(_, waker)| waker).collect()
    }

    /// Waits for the whole batch, and gives how many of its `count` records were delivered and failed.
    pub(crate) fn poll_counts(this: &Arc<Self>, count: u32, cx: &mut Context<'_>) -> Poll<(u64, u64)> {
        if Self::poll_all(this, 0, count, true, cx.waker()).is_pending() {
            return Poll::Pending;
        }
        let mut delivered = 0;
        let mut failed = 0;
        this.count_results(count, &mut delivered, &mut failed);
        Poll::Ready((delivered, failed))
    }

    fn count_results(&self, count: u32, delivered: &mut u64, failed: &mut u64) {
        match self.result.get() {
            None => debug_assert!(false, "counted once resolved"),
            Some(BatchResult::Acknowledged { .. }) => *delivered += u64::from(count),
            Some(BatchResult::Failed(_)) => *failed += u64::from(count),
            Some(BatchResult::Split(parts)) => {
                for (at, (first, outcome)) in parts.iter().enumerate() {
                    let end = parts.get(at + 1).map_or(count, |(next, _)| *next);
                    outcome.count_results(end - first, delivered, failed);
                }
            }
        }
    }

    /// Waits until the records `first..first + count` of a batch have answers, through splits.
    ///
    /// A `bystander` does not own these records: it waits beside whoever does.
    pub(super) fn poll_all(
        this: &Arc<Self>,
        first: u32,
        count: u32,
        bystander: bool,
        waker: &Waker,
    ) -> Poll<()> {
        match this.result_or_wait(if bystander { BYSTANDER } else { first }, waker) {
            None => Poll::Pending,
            Some(BatchResult::Split(parts)) => {
                for (at, (start, outcome)) in parts.iter().enumerate() {
                    let end = parts.get(at + 1).map_or(u32::MAX, |(next, _)| *next);
                    let (from, to) = (first.max(*start), end.min(first + count));
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

    /// The result, or none: then the waker is kept.
    pub(super) fn result_or_wait(&self, index: u32, waker: &Waker) -> Option<&BatchResult> {
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
        if index == BYSTANDER {
            // There may be several, and none may take another's place.
            let mut bystanders = waiting.iter().rev().take_while(|(at, _)| *at == index);
            if !bystanders.any(|(_, one)| one.will_wake(&waker)) {
                waiting.push((index, waker));
            }
            return None;
        }
        match waiting.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(at) => mem::swap(&mut waiting[at].1, &mut waker),
            Err(at) => waiting.insert(at, (index, waker)),
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u32, Waker)>> {
        // Nothing but a Vec is touched under this lock, and no waker cloned or dropped: a panic elsewhere cannot have left it
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

/// Stands for no record: no batch has so many.
const BYSTANDER: u32 = u32::MAX;
