//! What becomes of a record: one [`Outcome`] for each batch, a [`Delivery`] for each record.

mod outcome;

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

pub(crate) use self::outcome::{BatchResult, Bystander, Counts, Outcome};
use crate::error::DeliveryError;

/// The answer for one accepted record.
///
/// A future; it resolves exactly once, also when the producer is closed or dropped. Dropping it cancels nothing:
/// the record is still sent.
///
/// *Cancel safety*: nothing is lost by dropping or by not polling it.
#[must_use = "a delivery says whether the record was written; drop it explicitly if that does not matter"]
pub struct Delivery {
    outcome: Arc<Outcome>,
    index: u32,
}

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordMetadata {
    /// The partition.
    pub partition: i32,
    /// The record's offset. None with `acks=0`, and where a broker only knew that it has the record already.
    pub offset: Option<i64>,
    /// The time the broker gave the record, in milliseconds since the epoch, where the topic is so configured. A broker
    /// that has the batch already, from an attempt whose answer was lost, tells the batch's largest timestamp here.
    pub log_append_time: Option<i64>,
}

impl RecordMetadata {
    /// The record's offset. None with `acks=0`, and where a broker only knew that it has the record already.
    pub fn offset(&self) -> Option<i64> {
        self.offset
    }
}

impl Delivery {
    #[inline]
    pub(crate) fn new(outcome: Arc<Outcome>, index: u32) -> Self {
        Self { outcome, index }
    }

    /// Another delivery of the same record, to look on.
    #[cfg(test)]
    pub(crate) fn twin(&self) -> Self {
        Self::new(Arc::clone(&self.outcome), self.index)
    }

    /// How many wait for its batch beside the owners of its records.
    #[cfg(test)]
    pub(crate) fn bystanders(&self) -> usize {
        self.outcome.bystanders()
    }

    /// The topic the record went to.
    pub fn topic(&self) -> &str {
        self.outcome.topic.as_str()
    }

    /// The partition the record went to.
    pub fn partition(&self) -> i32 {
        self.outcome.partition
    }

    /// The answer, if it is there already.
    pub fn peek(&self) -> Option<Result<RecordMetadata, DeliveryError>> {
        let (mut outcome, mut index) = (&self.outcome, self.index);
        loop {
            match outcome.result.get()? {
                BatchResult::Split(parts) => (outcome, index) = follow(parts, index),
                result => return Some(outcome.answer(result, index)),
            }
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, DeliveryError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(BatchResult::Acknowledged { base_offset, log_append_time }) = this.outcome.result.get() {
            return Poll::Ready(Ok(this.outcome.metadata(*base_offset, *log_append_time, this.index)));
        }
        this.poll_slow(cx)
    }
}

impl Delivery {
    #[cold]
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<<Self as Future>::Output> {
        loop {
            let next = match self.outcome.result_or_wait(self.index, cx.waker()) {
                None => return Poll::Pending,
                Some(BatchResult::Split(parts)) => {
                    let (outcome, index) = follow(parts, self.index);
                    (Arc::clone(outcome), index)
                }
                Some(result) => return Poll::Ready(self.outcome.answer(result, self.index)),
            };
            (self.outcome, self.index) = next;
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("resolved", &self.outcome.result.get().is_some())
            .finish_non_exhaustive()
    }
}

/// The answers for the records of one [`send_all`](crate::Producer::send_all), in their order.
///
/// As a future it waits for all of them, and gives the first failure if there is one; as an iterator it gives the
/// single deliveries.
///
/// *Cancel safety*: dropping it cancels nothing.
#[must_use = "deliveries say whether the records were written; drop them explicitly if that does not matter"]
#[derive(Default)]
pub struct Deliveries {
    runs: VecDeque<Run>,
    count: usize,
    done: Vec<RecordMetadata>,
    failed: Option<DeliveryError>,
}

/// Neighbours: records sent one after the other that are neighbours in one batch too.
struct Run {
    outcome: Arc<Outcome>,
    first: u32,
    count: u32,
}

impl Deliveries {
    /// How many deliveries have not been given out yet.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many entries they are kept in.
    pub(crate) fn run_count(&self) -> usize {
        self.runs.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.push_run(delivery.outcome, delivery.index, 1);
    }

    /// Neighbours in one batch, from the record `first` on.
    #[inline]
    pub(crate) fn push_run(&mut self, outcome: Arc<Outcome>, first: u32, count: u32) {
        self.count += count as usize;
        if let Some(run) = self.runs.back_mut() {
            if Arc::ptr_eq(&run.outcome, &outcome) && run.first + run.count == first {
                run.count += count;
                return;
            }
        }
        self.runs.push_back(Run { outcome, first, count });
    }

    /// Notes the answers of a run whose batch is resolved.
    fn finish(&mut self, run: &Run) {
        let indices = run.first..run.first + run.count;
        if let Some(BatchResult::Acknowledged { base_offset, log_append_time }) = run.outcome.result.get() {
            self.done
                .extend(indices.map(|index| run.outcome.metadata(*base_offset, *log_append_time, index)));
        } else {
            self.finish_slow(&run.outcome, indices);
        }
        self.count -= run.count as usize;
    }

    /// As [`finish`](Self::finish), for a batch that was split or not delivered.
    #[cold]
    fn finish_slow(&mut self, outcome: &Arc<Outcome>, indices: Range<u32>) {
        for index in indices {
            match Delivery::new(Arc::clone(outcome), index).peek() {
                Some(Ok(metadata)) => self.done.push(metadata),
                Some(Err(error)) => {
                    self.failed.get_or_insert(error);
                }
                None => debug_assert!(false, "a run is finished once its batch is resolved"),
            }
        }
    }
}

impl Iterator for Deliveries {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        let run = self.runs.front_mut()?;
        let delivery = Delivery::new(Arc::clone(&run.outcome), run.first);
        run.first += 1;
        run.count -= 1;
        self.count -= 1;
        if run.count == 0 {
            self.runs.pop_front();
        }
        Some(delivery)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Deliveries {}

impl Future for Deliveries {
    type Output = Result<Vec<RecordMetadata>, DeliveryError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.done.reserve_exact(if this.failed.is_some() { 0 } else { this.count });
        while let Some(run) = this.runs.front_mut() {
            if Outcome::poll_all(&run.outcome, run.first, run.count, None, cx.waker()).is_pending() {
                return Poll::Pending;
            }
            if let Some(run) = this.runs.pop_front() {
                this.finish(&run);
            }
        }
        Poll::Ready(match this.failed.take() {
            None => Ok(std::mem::take(&mut this.done)),
            Some(error) => Err(error),
        })
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Outcome {
    fn answer(&self, result: &BatchResult, index: u32) -> Result<RecordMetadata, DeliveryError> {
        match result {
            BatchResult::Acknowledged { base_offset, log_append_time } => {
                Ok(self.metadata(*base_offset, *log_append_time, index))
            }
            BatchResult::Failed(failure) => Err(DeliveryError::new(Arc::clone(failure), index)),
            BatchResult::Split(_) => unreachable!("splits are followed before an answer is made"),
        }
    }

    #[inline]
    fn metadata(&self, base_offset: i64, log_append_time: Option<i64>, index: u32) -> RecordMetadata {
        // A broker may say anything; what no log can have is as good as unknown.
        let offset = if base_offset < 0 { None } else { base_offset.checked_add(i64::from(index)) };
        RecordMetadata { partition: self.partition, offset, log_append_time }
    }
}

/// The part of a split batch that a record went on in, and its index there.
fn follow(parts: &[(u32, Arc<Outcome>)], index: u32) -> (&Arc<Outcome>, u32) {
    let at = parts.partition_point(|(first, _)| *first <= index).saturating_sub(1);
    let (first, outcome) = &parts[at];
    (outcome, index - first)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Wake, Waker},
    };

    use kafka_wire::TopicName;

    use super::*;
    use crate::error::{Failure, FailureKind, Persistence};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn outcome() -> Arc<Outcome> {
        Arc::new(Outcome::new(TopicName::from("orders"), 3))
    }

    fn poll(delivery: &mut Delivery, count: &Arc<Count>) -> Poll<Result<RecordMetadata, DeliveryError>> {
        let waker = Waker::from(Arc::clone(count));
        Pin::new(delivery).poll(&mut Context::from_waker(&waker))
    }

    fn acknowledged(base_offset: i64) -> BatchResult {
        BatchResult::Acknowledged { base_offset, log_append_time: None }
    }

    #[test]
    fn each_record_gets_its_own_offset_and_each_waiter_is_woken_once() {
        let outcome = outcome();
        let count = Arc::new(Count::default());
        let mut deliveries: Vec<_> = (0..4).map(|index| Delivery::new(Arc::clone(&outcome), index)).collect();
        for delivery in &mut deliveries {
            assert!(poll(delivery, &count).is_pending());
            assert!(poll(delivery, &count).is_pending(), "polling again does not register twice");
        }
        for waker in outcome.resolve(acknowledged(100)) {
            waker.wake();
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 4);
        for (index, delivery) in deliveries.iter_mut().enumerate() {
            let Poll::Ready(Ok(metadata)) = poll(delivery, &count) else { panic!("not delivered") };
            assert_eq!(metadata.offset, Some(100 + index as i64));
            assert_eq!(metadata.partition, 3);
        }
    }

    #[test]
    fn who_flushes_takes_nobodys_place() {
        let outcome = outcome();
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count::default())).collect();
        let mut bystanders: Vec<_> = (0..3).map(|_| Bystander::default()).collect();
        let mut flush = |at: usize| {
            let (waker, mut told) = (Waker::from(Arc::clone(&counts[at])), Counts::default());
            let poll = Outcome::poll_counts(&outcome, 4, &mut bystanders[at], &mut told, &waker);
            poll.map(|()| (told.delivered, told.failed))
        };
        let mut first = Delivery::new(Arc::clone(&outcome), 0);
        assert!(poll(&mut first, &counts[0]).is_pending());
        assert!(flush(1).is_pending());
        assert!(flush(2).is_pending());
        assert!(flush(2).is_pending(), "polling again does not register twice");
        for waker in outcome.resolve(acknowledged(100)) {
            waker.wake();
        }
        assert!(counts.iter().all(|count| count.0.load(Ordering::Relaxed) == 1));
        assert_eq!(flush(1), Poll::Ready((4, 0)));
    }

    #[test]
    fn an_unknown_base_offset_gives_no_offset() {
        let outcome = outcome();
        drop(outcome.resolve(acknowledged(-1)));
        let delivery = Delivery::new(outcome, 7);
        assert_eq!(delivery.peek().and_then(Result::ok).map(|metadata| metadata.offset), Some(None));
    }

    #[test]
    fn an_offset_that_no_log_can_have_is_unknown() {
        let outcome = outcome();
        drop(outcome.resolve(acknowledged(i64::MAX - 1)));
        let offset = |index| {
            let delivery = Delivery::new(Arc::clone(&outcome), index);
            delivery.peek().and_then(Result::ok).map(|metadata| metadata.offset)
        };
        assert_eq!([0, 1, 2].map(offset), [Some(Some(i64::MAX - 1)), Some(Some(i64::MAX)), Some(None)]);
    }

    #[test]
    fn a_delivery_follows_its_record_through_splits() {
        let (whole, left, right, deep) = (outcome(), outcome(), outcome(), outcome());
        let count = Arc::new(Count::default());
        let mut deliveries: Vec<_> = (0..5).map(|index| Delivery::new(Arc::clone(&whole), index)).collect();
        assert!(poll(&mut deliveries[4], &count).is_pending());
        let parts = Box::new([(0, Arc::clone(&left)), (2, Arc::clone(&right))]);
        for waker in whole.resolve(BatchResult::Split(parts)) {
            waker.wake();
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "it must look where it waits from now on");
        assert!(poll(&mut deliveries[4], &count).is_pending());
        drop(left.resolve(acknowledged(10)));
        let parts =
            Box::new([(0, Arc::new(Outcome::new(TopicName::from("orders"), 3))), (1, Arc::clone(&deep))]);
        drop(right.resolve(BatchResult::Split(parts)));
        drop(deep.resolve(acknowledged(50)));
        let offset = |delivery: &Delivery| delivery.peek().and_then(Result::ok).and_then(|m| m.offset);
        assert_eq!(offset(&deliveries[1]), Some(11));
        assert_eq!(offset(&deliveries[2]), None, "its part is not resolved");
        assert_eq!(offset(&deliveries[4]), Some(51));
    }

    #[test]
    fn runs_of_neighbours_wait_and_report_in_order() {
        let (a, b) = (outcome(), outcome());
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let mut all = Deliveries::default();
        for (outcome, index) in [(&a, 0), (&a, 1), (&b, 0), (&a, 2)] {
            all.push(Delivery::new(Arc::clone(outcome), index));
        }
        assert_eq!((all.len(), all.runs.len()), (4, 3));
        assert!(Pin::new(&mut all).poll(&mut cx).is_pending());
        drop(a.resolve(acknowledged(0)));
        assert!(Pin::new(&mut all).poll(&mut cx).is_pending());
        drop(b.resolve(acknowledged(70)));
        let Poll::Ready(Ok(metadata)) = Pin::new(&mut all).poll(&mut cx) else { panic!("not delivered") };
        let offsets: Vec<_> = metadata.iter().filter_map(|metadata| metadata.offset).collect();
        assert_eq!(offsets, [0, 1, 70, 2]);
    }

    #[test]
    fn a_failed_batch_fails_each_of_its_records() {
        let outcome = outcome();
        let failure =
            Failure::new(TopicName::from("orders"), 3, FailureKind::Expired, Persistence::NotPersisted);
        drop(outcome.resolve(BatchResult::Failed(Arc::new(failure))));
        let mut all = Deliveries::default();
        all.push(Delivery::new(Arc::clone(&outcome), 0));
        all.push(Delivery::new(Arc::clone(&outcome), 1));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = Pin::new(&mut all).poll(&mut cx) else { panic!("not failed") };
        assert_eq!(error.persistence(), Persistence::NotPersisted);
        let (mut bystander, mut counts) = (Bystander::default(), Counts::default());
        let poll = Outcome::poll_counts(&outcome, 2, &mut bystander, &mut counts, cx.waker());
        assert!(poll.is_ready());
        assert_eq!(counts, Counts { failed: 2, ..Counts::default() });
    }
}
