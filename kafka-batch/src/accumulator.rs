//! The parts composed for one owner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::batch::{DrainedBatch, SendReason, Slot};
use crate::chunk::Pool;
use crate::error::AppendError;
use crate::limits::QueueSettings;
use crate::queue::{Edges, PartitionQueue};
use crate::ready::ReadyIndex;
use crate::record::Record;

/// Queues of many partitions with one destination, one pool of memory, one index of what is ready: for one owner, without
/// locks of its own.
///
/// `T` is what each batch carries for its caller, `K` names a partition. Where there are several destinations (the leaders of
/// a cluster), each has an accumulator, and they share a [`Pool`].
///
/// ```
/// use std::time::{Duration, Instant};
/// use kafka_batch::{Accumulator, Compressor, QueueSettings, Record, Stamp};
///
/// let settings = QueueSettings { linger: Duration::ZERO, ..QueueSettings::default() };
/// let mut accumulator: Accumulator<&str> = Accumulator::new(settings);
/// let now = Instant::now();
/// let record = Record { timestamp: 1_700_000_000_000, value: Some(b"hello"), ..Record::default() };
/// let slot = accumulator.append(0, &record, now, || "first")?;
/// assert_eq!((slot.tag, slot.index), ("first", 0));
/// for (partition, batch) in accumulator.poll_request(now) {
///     let sealed = batch.seal(Stamp::NONE, &mut Compressor::none());
///     println!("{} bytes for partition {partition}", sealed.size());
/// }
/// # Ok::<(), kafka_batch::AppendError>(())
/// ```
#[derive(Debug)]
pub struct Accumulator<T, K = i32> {
    settings: QueueSettings,
    pool: Arc<Pool>,
    queues: BTreeMap<K, PartitionQueue<T>>,
    index: ReadyIndex<K>,
}

impl<T, K: Copy + Ord> Accumulator<T, K> {
    /// An accumulator with memory of its own.
    #[must_use]
    pub fn new(settings: QueueSettings) -> Self {
        Self::with_pool(settings, Pool::new(&settings.limits))
    }

    /// An accumulator that takes its memory from a pool that others use, too.
    #[must_use]
    pub fn with_pool(settings: QueueSettings, pool: Arc<Pool>) -> Self {
        Self { settings, pool, queues: BTreeMap::new(), index: ReadyIndex::new() }
    }

    /// Appends a record; `make` is called if it opens a batch.
    ///
    /// # Errors
    /// [`AppendError::NoRoom`] when the memory is used up; all open batches are ready then, so that sending makes room.
    /// [`AppendError::TooLarge`] if the record can never be sent.
    pub fn append(
        &mut self,
        partition: K,
        record: &Record<'_>,
        now: Instant,
        make: impl FnOnce() -> T,
    ) -> Result<Slot<T>, AppendError>
    where
        T: Clone,
    {
        let queue = self.queues.entry(partition).or_insert_with(|| PartitionQueue::new(self.settings));
        if let Some(slot) = queue.append_fast(record) {
            return Ok(slot);
        }
        let appended = queue.append_slow(record, now, &mut &self.pool, make);
        self.tell(partition, appended.edges);
        if matches!(appended.slot, Err(AppendError::NoRoom { .. })) {
            self.close_all(SendReason::Pressure);
        }
        appended.slot
    }

    /// The batches of the next request: at most one a partition, no more than `max_request_size` in all. Empty if nothing is
    /// ready at `now`.
    ///
    /// If any batch is ready, others that still linger go along as far as there is room, those first that have lingered
    /// longest. Partitions take turns. A batch that is to be sent again is kept, sealed, by the caller.
    pub fn poll_request(&mut self, now: Instant) -> Vec<(K, DrainedBatch<T>)> {
        let mut request = Vec::new();
        let mut left = self.settings.limits.max_request_size();
        let mut round = self.index.round(now);
        while let Some(partition) = self.index.next(&mut round) {
            let Some(queue) = self.queues.get_mut(&partition) else { continue };
            if queue.next_size().is_some_and(|size| size > left) {
                self.index.begin_with(partition);
                break;
            }
            let batch = queue.drain(now);
            self.index.update(partition, queue.readiness());
            if let Some(batch) = batch {
                left -= batch.size();
                request.push((partition, batch));
            }
        }
        if request.is_empty() {
            return request;
        }
        for partition in self.index.lingering_longest().collect::<Vec<_>>() {
            let Some(queue) = self.queues.get_mut(&partition) else { continue };
            let taken = request.iter().any(|(other, _)| *other == partition);
            if taken || queue.next_size().is_none_or(|size| size > left) {
                continue;
            }
            if let Some(batch) = queue.take(SendReason::Piggyback) {
                self.index.update(partition, queue.readiness());
                left -= batch.size();
                request.push((partition, batch));
            }
        }
        request
    }

    /// When to call [`poll_request`](Self::poll_request) and [`expire`](Self::expire) again if nothing else happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.index.poll_timeout()
    }

    /// Whether [`poll_request`](Self::poll_request) would give something now.
    #[must_use]
    pub fn has_ready(&self, now: Instant) -> bool {
        self.index.has_ready(now)
    }

    /// Makes everything ready that is open.
    pub fn close_all(&mut self, reason: SendReason) {
        // Behind a batch that is ready there may be an open one, which the index does not list as lingering.
        for (partition, queue) in &mut self.queues {
            if queue.close(reason) {
                self.index.update(*partition, queue.readiness());
            }
        }
    }

    /// Takes all batches whose delivery time is over.
    pub fn expire(&mut self, now: Instant) -> Vec<(K, DrainedBatch<T>)> {
        let mut expired = Vec::new();
        for partition in self.index.expired(now).collect::<Vec<_>>() {
            let batches = self.change(partition, |queue| queue.expire(now)).unwrap_or_default();
            expired.extend(batches.into_iter().map(|batch| (partition, batch)));
        }
        expired
    }

    /// The memory of all batches that are not gone.
    #[must_use]
    pub const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The queue of a partition that had a record.
    #[must_use]
    pub fn queue(&self, partition: K) -> Option<&PartitionQueue<T>> {
        self.queues.get(&partition)
    }

    /// Whether no partition has a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.values().all(PartitionQueue::is_empty)
    }

    fn tell(&mut self, partition: K, edges: Edges) {
        if edges.any() {
            self.change(partition, |_| ());
        }
    }

    /// Does something to a queue and tells the index what came of it.
    fn change<R>(&mut self, partition: K, f: impl FnOnce(&mut PartitionQueue<T>) -> R) -> Option<R> {
        let queue = self.queues.get_mut(&partition)?;
        let result = f(queue);
        self.index.update(partition, queue.readiness());
        Some(result)
    }
}
