//! A partition's batches: one that is open, and those that wait to be taken.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::batch::{DrainedBatch, Life, SendReason, Slot};
use crate::builder::BatchBuilder;
use crate::chunk::ChunkSource;
use crate::error::AppendError;
use crate::layout::HEADER_SIZE;
use crate::limits::{CHUNK_SIZE, QueueSettings};
use crate::ready::{Readiness, Wait};
use crate::record::Record;
use crate::size::single_record_batch_size;

/// The batches of one partition: at most one is open and takes records, others are ready.
///
/// `T` is what a batch carries for its caller; each record's [`Slot`] has a clone of it. A plain value: put it behind a lock
/// of its own to share it.
///
/// * Questions: [`readiness`](Self::readiness), [`fits`](Self::fits), [`is_empty`](Self::is_empty), ...
/// * Per record: [`append_fast`](Self::append_fast), and [`append_slow`](Self::append_slow) when that says `None`.
/// * Per batch: [`drain`](Self::drain), [`take`](Self::take), [`close`](Self::close), [`expire`](Self::expire). After any
///   of them `readiness` may have changed; tell the [`ReadyIndex`](crate::ReadyIndex).
///
/// Batches leave in the order in which their records were appended, and do not come back: one that is to be sent again is
/// kept, sealed, by the caller that sends it.
#[derive(Debug)]
pub struct PartitionQueue<T> {
    open: Option<Open<T>>,
    ready: VecDeque<DrainedBatch<T>>,
    /// Records in batches that were closed.
    closed_records: u64,
    settings: QueueSettings,
    sums: bool,
}

#[derive(Debug)]
struct Open<T> {
    builder: BatchBuilder,
    tag: T,
    created: Instant,
    /// When it has lingered for long enough.
    linger_end: Instant,
    expires_at: Instant,
}

impl<T: Clone> Open<T> {
    /// A function of its own, so that whoever appends has one end for nearly all records.
    #[inline(never)]
    fn append_general(&mut self, record: &Record<'_>) -> Option<Slot<T>> {
        let index = self.builder.append_general(record)?;
        Some(Slot { tag: self.tag.clone(), index })
    }
}

/// What an append on the slow path did.
#[derive(Debug)]
#[must_use = "edges have to be told to the ready index, also when the append failed"]
#[expect(clippy::exhaustive_structs, reason = "taken apart by the caller")]
pub struct Appended<T> {
    /// The record's place, or why it has none.
    pub slot: Result<Slot<T>, AppendError>,
    /// What changed in the queue, even if the append failed.
    pub edges: Edges,
}

/// Changes after which someone has to be woken. The fast path has none.
#[expect(clippy::exhaustive_structs, reason = "two bits")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edges {
    /// A batch was opened: its linger and delivery deadlines begin.
    pub first: bool,
    /// A batch was closed and can be sent now.
    pub full: bool,
}

impl Edges {
    /// Whether there is anything to tell.
    #[must_use]
    pub const fn any(self) -> bool {
        self.first || self.full
    }
}

impl<T> PartitionQueue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new(settings: QueueSettings) -> Self {
        Self { open: None, ready: VecDeque::new(), closed_records: 0, settings, sums: false }
    }

    /// The same queue, which computes the checksum of a batch's records as soon as they are complete, while they are in
    /// the processor's cache. For batches that will be sealed without a codec; with one, the work is in vain.
    #[must_use]
    pub const fn with_checksums(mut self) -> Self {
        self.sums = true;
        self
    }

    /// Appends a record to the open batch if that is all there is to do: it fits, and nobody has to be told.
    ///
    /// `None` leaves everything as it was; [`append_slow`](Self::append_slow) is next.
    #[inline(always)]
    pub fn append_fast(&mut self, record: &Record<'_>) -> Option<Slot<T>>
    where
        T: Clone,
    {
        let open = self.open.as_mut()?;
        if let Some(index) = open.builder.append_packed(record) {
            return Some(Slot { tag: open.tag.clone(), index });
        }
        // A copy, made only here: so the record itself need never be put together in memory.
        let record = *record;
        open.append_general(&record)
    }

    /// Appends records one after the other as [`append_fast`](Self::append_fast) does, up to the first that it would not
    /// take: the place of the first one, and how many there are. The others' indices follow the first one's.
    ///
    /// `None` if not even the first one is taken. Cheaper for each record: what a batch carries is cloned once.
    #[inline(always)]
    pub fn append_run<'a>(&mut self, records: impl IntoIterator<Item = Record<'a>>) -> Option<(Slot<T>, u32)>
    where
        T: Clone,
    {
        let open = self.open.as_mut()?;
        let first = open.builder.count();
        for record in records {
            if open.builder.append_fast(&record).is_none() {
                break;
            }
        }
        match open.builder.count() - first {
            0 => None,
            count => Some((Slot { tag: open.tag.clone(), index: first }, count)),
        }
    }

    /// Appends a record where the fast path could not: takes chunks, closes the open batch if the record does not fit, opens
    /// a new one (`make` gives what it carries).
    ///
    /// When there is no memory, the open batch is closed, so that sending it makes room: the edges count in any case.
    #[cold]
    pub fn append_slow(
        &mut self,
        record: &Record<'_>,
        now: Instant,
        source: &mut impl ChunkSource,
        make: impl FnOnce() -> T,
    ) -> Appended<T>
    where
        T: Clone,
    {
        let mut edges = Edges::default();
        // First of all: a hopeless record must neither wait for memory nor close a batch.
        let limits = self.settings.limits;
        if let Err(error) = limits.check(record) {
            return Appended { slot: Err(error), edges };
        }
        if let Some(open) = &mut self.open {
            match open.builder.append_slow(record, source) {
                Ok(None) => {}
                Ok(Some(index)) => {
                    let slot = Slot { tag: open.tag.clone(), index };
                    edges.full = self.close_if_full();
                    return Appended { slot: Ok(slot), edges };
                }
                Err(_) => {
                    // It holds memory that this record waits for: it goes out, and the record gets a batch of its own.
                    edges.full = self.close(SendReason::Pressure);
                    let size = single_record_batch_size(record).saturating_sub(HEADER_SIZE);
                    let chunks = size.div_ceil(CHUNK_SIZE);
                    return Appended { slot: Err(AppendError::NoRoom { chunks }), edges };
                }
            }
        }
        let builder = match BatchBuilder::open_with(record, limits.batch_limit(), self.sums, source) {
            Ok(builder) => builder,
            Err(error) => {
                edges.full = self.close(SendReason::Full);
                return Appended { slot: Err(error), edges };
            }
        };
        edges.full = self.close(SendReason::Full);
        let tag = make();
        let (linger_end, expires_at) =
            (after(now, self.settings.linger), after(now, self.settings.delivery_timeout));
        self.open = Some(Open { builder, tag: tag.clone(), created: now, linger_end, expires_at });
        edges.first = true;
        edges.full |= self.close_if_full();
        Appended { slot: Ok(Slot { tag, index: 0 }), edges }
    }

    /// Whether the open batch has room for this record: exact. Without an open batch there is none.
    ///
    /// A record without a key that does not fit is better appended to another partition than to a new batch here.
    #[must_use]
    pub fn fits(&self, record: &Record<'_>) -> bool {
        self.open.as_ref().is_some_and(|open| open.builder.fits(record))
    }

    /// Whether a batch is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Closes the open batch, which becomes ready; whether there was one.
    pub fn close(&mut self, reason: SendReason) -> bool {
        let Some(open) = self.open.take() else { return false };
        let life = Life {
            created: open.created,
            expires_at: open.expires_at,
            position: self.closed_records,
            reason,
        };
        self.closed_records += u64::from(open.builder.count());
        self.ready.push_back(DrainedBatch { tag: open.tag, life, arena: open.builder.finish() });
        true
    }

    /// Takes the next batch that is due: one that is ready, or the open one after its linger time.
    pub fn drain(&mut self, now: Instant) -> Option<DrainedBatch<T>> {
        if self.ready.is_empty() && self.linger_end().is_some_and(|end| end <= now) {
            self.close(SendReason::Linger);
        }
        self.ready.pop_front()
    }

    /// Takes the next batch, lingering or not. The open one gets `reason`; others keep theirs.
    pub fn take(&mut self, reason: SendReason) -> Option<DrainedBatch<T>> {
        if self.ready.is_empty() {
            self.close(reason);
        }
        self.ready.pop_front()
    }

    /// The size of what [`take`](Self::take) would take.
    #[must_use]
    pub fn next_size(&self) -> Option<usize> {
        match self.ready.front() {
            Some(batch) => Some(batch.size()),
            None => self.open.as_ref().map(|open| open.builder.size()),
        }
    }

    /// Takes all batches whose delivery time is over, oldest first.
    pub fn expire(&mut self, now: Instant) -> Vec<DrainedBatch<T>> {
        let mut expired = Vec::new();
        if self.open.as_ref().is_some_and(|open| open.expires_at <= now) {
            self.close(SendReason::Linger);
        }
        while self.ready.front().is_some_and(|batch| batch.expires_at() <= now) {
            expired.extend(self.ready.pop_front());
        }
        expired
    }

    /// Takes everything, oldest first, whatever it waits for.
    pub fn drain_all(&mut self, reason: SendReason) -> Vec<DrainedBatch<T>> {
        self.close(reason);
        self.ready.drain(..).collect()
    }

    /// What the next batch waits for, and when the first one expires; `None` if there is no batch.
    #[must_use]
    pub fn readiness(&self) -> Option<Readiness> {
        let ready = self.ready.front();
        let wait = match ready {
            Some(_) => Wait::Ready,
            None => Wait::Linger(self.linger_end()?),
        };
        let expiries = [ready.map(DrainedBatch::expires_at), self.open.as_ref().map(|open| open.expires_at)];
        let expires_at = expiries.into_iter().flatten().min()?;
        Some(Readiness { wait, expires_at })
    }

    /// Whether there is no batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches() == 0
    }

    /// Number of batches, the open one included.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.ready.len() + usize::from(self.open.is_some())
    }

    /// What each batch carries, and its number of records, oldest first, the open one included.
    pub fn tags(&self) -> impl Iterator<Item = (&T, u32)> {
        let closed = self.ready.iter().map(|batch| (batch.tag(), batch.count()));
        closed.chain(self.open.iter().map(|open| (&open.tag, open.builder.count())))
    }

    /// Number of records ever appended.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.closed_records + self.open.as_ref().map_or(0, |open| u64::from(open.builder.count()))
    }

    /// The settings it obeys.
    #[must_use]
    pub const fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    fn linger_end(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.linger_end)
    }

    fn close_if_full(&mut self) -> bool {
        self.open.as_ref().is_some_and(|open| open.builder.is_full()) && self.close(SendReason::Full)
    }
}

/// `start + wait`, or so late that it makes no difference.
pub(crate) fn after(start: Instant, wait: Duration) -> Instant {
    start.checked_add(wait.min(FOREVER)).unwrap_or(start)
}

/// Longer waits than this are cut short, so that adding them to the clock cannot overflow: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
