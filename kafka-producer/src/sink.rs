//! [`RecordSink`]: records from a stream.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Sink;
use kafka_batch::{Header, OwnedHeader};

use crate::{
    delivery::{Deliveries, Delivery},
    error::{DeliveryError, Persistence, SendError},
    io::Shared,
    producer::Producer,
    progress::Progress,
    record::Record,
};

/// A record that owns its bytes, for a [`RecordSink`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OwnedRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, if it is not to be chosen.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; the time of sending if there is none.
    pub timestamp: Option<i64>,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<OwnedHeader>,
}

impl OwnedRecord {
    /// A record for a topic, with nothing in it; set the fields.
    pub fn to(topic: impl Into<Arc<str>>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }
}

/// A [`Sink`] of records: what [`Producer::sink`] gives.
///
/// * `poll_ready` moves the one record it holds into a batch, waiting for the topic and for room, at most
///   `max.block.ms`; `start_send` only stores a record. Answers are counted in the order of the records: where very many
///   stand behind one that is late, it waits for that one, too.
/// * `poll_flush` completes when every record sent *through this sink* has its answer.
/// * `poll_close` flushes. The producer stays open.
///
/// The first failure is given by the next `poll_*`, and names the record; the sink stays usable. A record that was not
/// accepted is gone. [`results`](Self::results) counts what became of all.
///
/// *Cancel safety*: a future over this sink can be dropped at any time. A record the sink has taken stays in it, and goes on
/// with the next `poll_*`; one it has not taken yet goes with the future. Dropping the sink itself drops the record it holds,
/// and cancels none that was accepted.
///
/// # Panics
/// As any sink may: `start_send` without a `poll_ready` before it that was ready.
pub struct RecordSink {
    producer: Producer,
    shared: Arc<Shared>,
    held: Option<OwnedRecord>,
    progress: Progress,
    /// Records taken so far, the one held included.
    taken: u64,
    /// Deliveries without answer; the first has this index.
    waiting: Deliveries,
    front: Option<(u64, Delivery)>,
    /// Indices of the records in `waiting` that follow records which were not accepted have gaps: kept apart.
    indices: std::collections::VecDeque<(u64, u64)>,
    results: SinkResults,
    failure: Option<SinkError>,
    /// With so many runs of answers behind one that is late, no record is taken.
    max_runs: usize,
}

/// What became of the records sent through a sink so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SinkResults {
    /// Acknowledged.
    pub delivered: u64,
    /// Not accepted, or given up.
    pub failed: u64,
}

/// A record sent through a [`RecordSink`] failed.
#[derive(Debug, Clone)]
pub struct SinkError {
    index: u64,
    topic: Arc<str>,
    cause: Cause,
}

#[derive(Debug, Clone)]
enum Cause {
    Send(SendError),
    Delivery(DeliveryError),
}

impl SinkError {
    /// Which record of the sink it was, counted from zero.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its partition, if it got so far as to have one.
    pub fn partition(&self) -> Option<i32> {
        match &self.cause {
            Cause::Send(_) => None,
            Cause::Delivery(error) => Some(error.partition()),
        }
    }

    /// Whether it may be in the log all the same.
    pub fn persistence(&self) -> Persistence {
        match &self.cause {
            Cause::Send(_) => Persistence::NotPersisted,
            Cause::Delivery(error) => error.persistence(),
        }
    }

    /// Why it was not accepted, if that is what happened.
    pub fn send_error(&self) -> Option<&SendError> {
        match &self.cause {
            Cause::Send(error) => Some(error),
            Cause::Delivery(_) => None,
        }
    }

    /// Why it was given up, if that is what happened.
    pub fn delivery_error(&self) -> Option<&DeliveryError> {
        match &self.cause {
            Cause::Send(_) => None,
            Cause::Delivery(error) => Some(error),
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.cause {
            Cause::Send(_) => "was not accepted",
            Cause::Delivery(_) => "was not delivered",
        };
        write!(f, "record {} of the sink, for topic \"{}\", {what}", self.index, self.topic)
    }
}

impl std::error::Error for SinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match &self.cause {
            Cause::Send(error) => error,
            Cause::Delivery(error) => error,
        })
    }
}

impl Producer {
    /// A [`Sink`] of owned records, for `stream.map(Ok).forward(producer.sink())`.
    pub fn sink(&self) -> RecordSink {
        RecordSink::new(self.clone(), Arc::clone(&self.shared))
    }
}

impl RecordSink {
    fn new(producer: Producer, shared: Arc<Shared>) -> Self {
        Self {
            producer,
            shared,
            held: None,
            progress: Progress::default(),
            taken: 0,
            waiting: Deliveries::default(),
            front: None,
            indices: std::collections::VecDeque::new(),
            results: SinkResults::default(),
            failure: None,
            max_runs: MAX_RUNS,
        }
    }

    /// For a test that has no time for so many records.
    #[cfg(test)]
    pub(crate) fn with_max_runs(self, max_runs: usize) -> Self {
        Self { max_runs, ..self }
    }

    /// The producer behind it.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// What became of the records so far.
    pub fn results(&self) -> SinkResults {
        self.results
    }

    /// Moves the held record into a batch.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(held) = &self.held else { return Poll::Ready(()) };
        let headers: Vec<Header<'_>> = held
            .headers
            .iter()
            .map(|header| Header { key: header.key(), value: header.value().map(|value| &value[..]) })
            .collect();
        let mut record = Record::to(&*held.topic).headers(&headers);
        record.partition = held.partition;
        record.timestamp = held.timestamp;
        record.key = held.key.as_deref();
        record.value = held.value.as_deref();
        let result = match self.progress.poll(&self.shared, &record, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(result) => result,
        };
        self.progress = Progress::default();
        let index = self.taken - 1;
        match result {
            Ok(delivery) => {
                self.waiting.push(delivery);
                match self.indices.back_mut() {
                    Some((first, count)) if *first + *count == index => *count += 1,
                    _ => self.indices.push_back((index, 1)),
                }
            }
            Err(error) => {
                self.results.failed += 1;
                let topic = Arc::clone(&held.topic);
                self.failure.get_or_insert(SinkError { index, topic, cause: Cause::Send(error) });
            }
        }
        self.held = None;
        Poll::Ready(())
    }

    /// Collects answers, oldest first, until one is missing.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.front.is_none() {
                let Some(delivery) = self.waiting.next() else { return Poll::Ready(()) };
                self.front = Some((self.next_index(), delivery));
            }
            let Some((index, delivery)) = &mut self.front else { return Poll::Ready(()) };
            match Pin::new(delivery).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(_)) => self.results.delivered += 1,
                Poll::Ready(Err(error)) => {
                    self.results.failed += 1;
                    let topic = Arc::from(error.topic());
                    let error = SinkError { index: *index, topic, cause: Cause::Delivery(error) };
                    self.failure.get_or_insert(error);
                }
            }
            self.front = None;
        }
    }

    fn next_index(&mut self) -> u64 {
        let Some((first, count)) = self.indices.front_mut() else { return 0 };
        let index = *first;
        *first += 1;
        *count -= 1;
        if *count == 0 {
            self.indices.pop_front();
        }
        index
    }

    fn failed(&mut self) -> Result<(), SinkError> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Sink<OwnedRecord> for RecordSink {
    type Error = SinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        let this = self.get_mut();
        let held = this.poll_held(cx);
        // Answers that are there already need not be kept; those behind one that is not must not pile up.
        let is_full = this.poll_answers(cx).is_pending() && this.waiting.run_count() >= this.max_runs;
        match this.failed() {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if is_full => Poll::Pending,
            Ok(()) => held.map(Ok),
        }
    }

    fn start_send(self: Pin<&mut Self>, record: OwnedRecord) -> Result<(), SinkError> {
        let this = self.get_mut();
        // To drop the one it holds without a word would be worse.
        assert!(this.held.is_none(), "a record is sent to a sink only after poll_ready was ready");
        this.taken += 1;
        this.held = Some(record);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        let this = self.get_mut();
        let held = this.poll_held(cx);
        let answers = this.poll_answers(cx);
        match this.failed() {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if held.is_ready() && answers.is_ready() => Poll::Ready(Ok(())),
            Ok(()) => Poll::Pending,
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.poll_flush(cx)
    }
}

impl fmt::Debug for RecordSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSink").field("results", &self.results).finish_non_exhaustive()
    }
}

/// Each is a few dozen bytes, and a record at the least: more than there are in the default `buffer.memory`, so that only
/// records which are answered already can be so many.
const MAX_RUNS: usize = 1 << 20;
