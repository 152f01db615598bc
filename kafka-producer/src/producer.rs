//! [`Producer`]: the front door.

use std::{
    borrow::Borrow,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use kafka_wire::NodeId;

use crate::{
    config::ProducerConfig,
    delivery::{Bystander, Counts, Deliveries, Delivery, Outcome},
    error::{EndedBy, Refusal, SendError, TrySendError},
    io::{Shared, Timer, now},
    millis::Millis,
    plane::{self, TopicShared},
    progress::Progress,
    purge::{Purge, Purged},
    record::Record,
    stats::Stats,
    topic::Topic,
};

/// Sends records to a Kafka cluster.
///
/// Clones are handles of the same producer; it can be shared by threads and tasks. Records are gathered into batches,
/// and sent by tasks on the runtime it was made on.
///
/// When the last handle is dropped without [`close`](Self::close), what was accepted is still sent: the tasks go on
/// until each record is delivered or its delivery deadline is over. When the runtime is shut down first, every
/// [`Delivery`] resolves as aborted.
///
/// It belongs to the process that made it. After a `fork`, the child has copies of the parent's batches and connections and no
/// business with either: there every `send` is refused as closed, from the first batch begun a tenth of a millisecond after the
/// fork on, nothing is written, and deliveries that the parent waits for fail as possibly persisted, or stay without an answer.
/// Make a producer after the fork, in each process its own.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{Producer, Record};
///
/// let producer = Producer::builder(["localhost:9092"]).connect().await?;
/// let delivery = producer.send(Record::to("orders").key("customer-7").value("12 pieces")).await?;
/// println!("written at {:?}", delivery.await?.offset);
/// producer.close(std::time::Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Producer {
    pub(crate) shared: Arc<Shared>,
    /// Its drop is the last handle's.
    _owner: Arc<Owner>,
}

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        let is_elsewhere = self.0.act(|plane, after| plane.is_elsewhere(after));
        if !is_elsewhere {
            drop(self.0.close());
        }
        plane::forget(self.0.plane.id);
    }
}

impl Producer {
    /// The settings of a new producer, to be completed and [connected](ProducerConfig::connect): the brokers to ask
    /// first, as `host:port`.
    pub fn builder<S: Into<String>>(bootstrap_servers: impl IntoIterator<Item = S>) -> ProducerConfig {
        ProducerConfig::new(bootstrap_servers)
    }

    pub(crate) fn start(shared: Arc<Shared>) -> Self {
        shared.start();
        Self { _owner: Arc::new(Owner(Arc::clone(&shared))), shared }
    }

    /// What a simulation looks at.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Accepts a record, and gives the future of its delivery.
    ///
    /// Where the topic is known and there is room, it is accepted at once; otherwise this waits, at most
    /// `max.block.ms`. A loop of sends yields to other tasks once it has filled some batches.
    ///
    /// Keep the deliveries in a queue and await the oldest when there are many, or use [`send_all`](Self::send_all): a
    /// task for each would cost more than the record.
    ///
    /// *Cancel safety*: dropped before it is ready, the record is not sent, and its place in every queue is free.
    ///
    /// # Errors
    /// The record is too large, the topic or partition cannot be used or did not turn up in time, there was no room in
    /// time, or the producer is closed. The record is then surely not in the log.
    #[inline]
    pub fn send<'a>(&'a self, record: Record<'a>) -> Sending<'a> {
        Sending { shared: &self.shared, record, progress: Progress::default() }
    }

    /// Accepts a record if that needs no waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send), and where that would have waited.
    #[inline]
    pub fn try_send(&self, record: Record<'_>) -> Result<Delivery, TrySendError> {
        self.shared.try_append(&record)
    }

    /// Accepts records one after the other, in their order.
    ///
    /// They are taken from the iterator a few dozen at a time, so that neighbours can be accepted together; when one is not
    /// accepted, or this is dropped, some of those after it may have been taken too.
    ///
    /// *Cancel safety*: records that were accepted before it was dropped are sent; their deliveries are gone.
    ///
    /// # Errors
    /// The first record that is not accepted ends it. The error has the deliveries of those before.
    pub fn send_all<'a, I>(&'a self, records: I) -> SendingAll<'a, I::IntoIter>
    where
        I: IntoIterator,
        I::Item: Borrow<Record<'a>>,
    {
        SendingAll {
            shared: &self.shared,
            records: records.into_iter(),
            taken: Vec::new(),
            at: 0,
            progress: Progress::default(),
            deliveries: Deliveries::default(),
        }
    }

    /// A handle for a topic. Records that carry it need no look-up of the name.
    ///
    /// Waits until the topic is known, at most `max.block.ms`.
    ///
    /// *Cancel safety*: can be dropped at any time.
    ///
    /// # Errors
    /// The topic cannot be used, or did not turn up in time; or the producer is closed.
    pub async fn topic(&self, name: &str) -> Result<Topic, SendError> {
        Ok(Topic { shared: self.known_topic(name).await? })
    }

    /// The partitions of a topic, as last heard of.
    ///
    /// Waits until the topic is known, at most `max.block.ms`.
    ///
    /// *Cancel safety*: can be dropped at any time.
    ///
    /// # Errors
    /// As [`topic`](Self::topic).
    pub async fn partitions_for(&self, topic: &str) -> Result<Vec<PartitionInfo>, SendError> {
        let topic = self.known_topic(topic).await?;
        let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
        let partitions = self.shared.plane.partitions(&topic.name).into_iter().zip(0..);
        Ok(partitions
            .map(|(partition, index)| PartitionInfo {
                partition: index,
                leader: partition.leader.map(|node| node.0),
                replicas: numbers(&partition.replicas),
                in_sync: numbers(&partition.in_sync),
            })
            .collect())
    }

    async fn known_topic(&self, name: &str) -> Result<Arc<TopicShared>, SendError> {
        if let Some(refusal) = self.shared.refusal() {
            return Err(SendError::new(refusal));
        }
        let topic = self.shared.plane.topic(name).map_err(SendError::new)?;
        let mut progress = Progress::default();
        while topic.count() == 0 {
            let look = |cx: &mut Context<'_>| match topic.count() {
                0 => progress.poll_topic(&self.shared, Arc::clone(&topic), 0, None, cx),
                _ => Poll::Ready(None),
            };
            let refusal = poll_fn(look).await;
            if let Some(refusal) = refusal {
                return Err(SendError::new(refusal));
            }
        }
        Ok(topic)
    }

    /// Sends what was accepted so far without further waiting for more, and waits until each record of it is delivered
    /// or given up.
    ///
    /// Records that others send meanwhile are not waited for.
    ///
    /// *Cancel safety*: can be dropped at any time; the records are sent nevertheless.
    ///
    /// # Errors
    /// Only if the producer is closed. Records that were given up are counted; each [`Delivery`] has the reason.
    pub async fn flush(&self) -> Result<Flushed, SendError> {
        if let Some(refusal) = self.shared.refusal() {
            return Err(SendError::new(refusal));
        }
        let Counts { delivered, failed, .. } = await_all(self.shared.flush()).await;
        Ok(Flushed { delivered, failed })
    }

    /// Accepts no more records, on any handle, and waits until each accepted one is delivered or given up; then hangs
    /// up. After `timeout`, what is left is given up.
    ///
    /// *Cancel safety*: dropped before it is ready, the producer stays closed and goes on as if its last handle had been
    /// dropped.
    ///
    /// # Errors
    /// Records had to be given up because the time was over, or because the producer ended otherwise meanwhile: another handle
    /// closed it with less patience, or its runtime was shut down. Or this is a fork of the producer's process. Each [`Delivery`] says whether it may be in the log.
    pub async fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        let shared = &self.shared;
        if let Some(Refusal::Closed(by @ EndedBy::Fork)) = shared.refusal() {
            return Err(CloseError { records: 0, timeout, in_time: true, by });
        }
        let unresolved = shared.close();
        let mut end = Ending { shared, key: None };
        let mut timer = Timer::new(&shared.alarms, now().checked_add(timeout));
        let in_time = poll_fn(|cx| match end.poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            // The timer ends with the tasks, too.
            Poll::Pending => timer.poll(cx).map(|()| end.poll(cx).is_ready()),
        })
        .await;
        if !in_time {
            shared.abort(EndedBy::Handle);
            poll_fn(|cx| end.poll(cx)).await;
        }
        // Some may have been acknowledged while they were given up.
        let counts = await_all(unresolved).await;
        match counts.ended_by {
            None => Ok(()),
            Some(by) => Err(CloseError { records: counts.ended, timeout, in_time, by }),
        }
    }

    /// Gives up records that were accepted and are not resolved, and says how many there were. The producer goes on.
    ///
    /// Each [`Delivery`] resolves with an error that says whether the record may be in the log: one that was never sent is
    /// surely not, one in a request may still get there. Order and numbers of what is sent later are safe: a partition of
    /// which a number may have been used goes on under a new epoch, once what is left of it is settled.
    ///
    /// It does not wait for anything; so there is nothing to cancel. Records whose `send` still waits for room or for
    /// their topic are not accepted yet, and not concerned.
    pub fn purge(&self, what: Purge) -> Purged {
        if self.shared.act(|plane, after| plane.is_elsewhere(after)) {
            // What is here is the parent's.
            return Purged::default();
        }
        self.shared.purge(what)
    }

    /// What the producer has done so far.
    pub fn stats(&self) -> Stats {
        self.shared.plane.stats()
    }
}

async fn await_all(outcomes: Vec<(Arc<Outcome>, u32)>) -> Counts {
    let (mut counts, mut bystander) = (Counts::default(), Bystander::default());
    for (outcome, count) in outcomes {
        poll_fn(|cx| Outcome::poll_counts(&outcome, count, &mut bystander, &mut counts, cx.waker())).await;
    }
    counts
}

/// Waits for the end of the tasks.
struct Ending<'a> {
    shared: &'a Shared,
    key: Option<u64>,
}

impl Ending<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.shared.over.poll(&mut self.key, cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.over.cancel(key);
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("client_id", &self.shared.settings.client_id).finish_non_exhaustive()
    }
}

/// A record on its way into a batch: what [`Producer::send`] gives.
#[must_use = "futures do nothing unless awaited: the record is not accepted"]
pub struct Sending<'a> {
    shared: &'a Arc<Shared>,
    record: Record<'a>,
    progress: Progress,
}

impl Future for Sending<'_> {
    type Output = Result<Delivery, SendError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.progress.poll(this.shared, &this.record, cx)
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("record", &self.record).finish_non_exhaustive()
    }
}

/// How many records are taken from the caller's iterator at a time: so few that they stay in the processor's first cache.
const RUN: usize = 32;

/// Records on their way into batches: what [`Producer::send_all`] gives.
#[must_use = "futures do nothing unless awaited: no record is accepted"]
pub struct SendingAll<'a, I: Iterator> {
    shared: &'a Arc<Shared>,
    records: I,
    /// Those taken from `records` and not accepted yet, from `at` on.
    taken: Vec<Record<'a>>,
    at: usize,
    progress: Progress,
    deliveries: Deliveries,
}

impl<'a, I> Future for SendingAll<'a, I>
where
    I: Iterator + Unpin,
    I::Item: Borrow<Record<'a>>,
{
    type Output = Result<Deliveries, SendAllError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if this.at == this.taken.len() {
                // The caller's iterator is his code: it runs here, where nothing is locked.
                this.at = 0;
                this.taken.clear();
                this.taken.extend(this.records.by_ref().take(RUN).map(|record| *record.borrow()));
            }
            if this.taken.is_empty() {
                return Poll::Ready(Ok(std::mem::take(&mut this.deliveries)));
            }
            if !this.progress.is_waiting() && this.append_taken() {
                this.progress = Progress::default();
            }
            let Some(record) = this.taken.get(this.at) else { continue };
            match this.progress.poll(this.shared, record, cx) {
                Poll::Ready(Ok(delivery)) => {
                    this.deliveries.push(delivery);
                    this.at += 1;
                    this.progress = Progress::default();
                }
                Poll::Ready(Err(source)) => {
                    let deliveries = std::mem::take(&mut this.deliveries);
                    return Poll::Ready(Err(SendAllError { accepted: deliveries.len(), deliveries, source }));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<I: Iterator> SendingAll<'_, I> {
    /// Appends those of the taken ones for which that is all there is to do; whether there were any.
    fn append_taken(&mut self) -> bool {
        let before = self.at;
        while let Some(record) = self.taken.get(self.at) {
            let run = match record.key {
                None => self.shared.plane.append_run(&self.taken[self.at..], &mut self.deliveries),
                Some(_) => 0,
            };
            self.at += run;
            if run == 0 {
                let Some(delivery) = self.shared.plane.append_fast(record) else { break };
                self.deliveries.push(delivery);
                self.at += 1;
            }
        }
        self.at != before
    }
}

impl<I: Iterator> fmt::Debug for SendingAll<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendingAll").field("deliveries", &self.deliveries).finish_non_exhaustive()
    }
}

/// A record of several was not accepted. Those before it were.
#[derive(Debug)]
#[non_exhaustive]
pub struct SendAllError {
    /// How many records were accepted: also the index of the one that was not.
    pub accepted: usize,
    /// Their deliveries.
    pub deliveries: Deliveries,
    /// Why the next one was not.
    pub source: SendError,
}

impl fmt::Display for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of several was not accepted", self.accepted)
    }
}

impl std::error::Error for SendAllError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What became of the records that a [`flush`](Producer::flush) waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Flushed {
    /// Records that were acknowledged.
    pub delivered: u64,
    /// Records that were given up.
    pub failed: u64,
}

/// Records were given up while [`close`](Producer::close) waited for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseError {
    records: u64,
    timeout: Duration,
    /// It was not its own time that was over.
    in_time: bool,
    by: EndedBy,
}

impl CloseError {
    /// How many records were given up.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether the time that this call allowed was over. Otherwise the producer ended before: another handle closed it with less
    /// patience, or its tasks could not go on. The text says which.
    pub fn is_timeout(&self) -> bool {
        !self.in_time
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, timeout, in_time, by } = self;
        match (in_time, by) {
            (false, _) => {
                let limit = Millis(*timeout);
                write!(f, "{records} records were not acknowledged within {limit} and were given up")
            }
            (true, EndedBy::Handle) => write!(
                f,
                "{records} records were given up: another handle closed the producer with less patience"
            ),
            (true, by) => write!(f, "{records} records were given up: {by}"),
        }
    }
}

impl std::error::Error for CloseError {}

/// A partition of a topic, as last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Its number.
    pub partition: i32,
    /// The broker that takes its records, if there is one.
    pub leader: Option<i32>,
    /// The brokers that have a copy.
    pub replicas: Vec<i32>,
    /// Those whose copy is in sync.
    pub in_sync: Vec<i32>,
}
