//! What must hold at every moment of a run, seen from brokers and sockets.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use kafka_batch::{Batch, BatchReader};
use kafka_wire::{
    NodeId, TopicId, TopicName,
    messages::{ProduceRequest, TopicProduceData},
};

use super::book::{Book, Id, parse};
use crate::{
    io::{Shared, now},
    planted::planted,
    purge::Purge,
};

/// Looks at a producer from outside while it works. Clones look at the same one.
#[derive(Clone)]
pub(super) struct Watch {
    book: Book,
    /// A watch keeps no producer alive.
    shared: Weak<Shared>,
}

impl Watch {
    pub(super) fn new(book: Book, shared: &Arc<Shared>) -> Self {
        Self { book, shared: Arc::downgrade(shared) }
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.upgrade()
    }

    pub(super) fn violate(&self, what: String) {
        self.book.violate(what);
    }

    /// Somebody gives up what is unresolved.
    pub(super) fn purge(&self, what: Purge) {
        if let Some(shared) = self.shared.upgrade() {
            shared.purge(what);
        }
    }

    /// Somebody waited for memory, and got none: then nothing goes on to linger whose broker takes requests.
    pub(super) fn check_pressure(&self, max_in_flight: u32) {
        let Some(shared) = self.shared.upgrade() else { return };
        let may_go = |since: Instant, out: usize| since + HEARD < now() && out < max_in_flight as usize;
        let lingering = shared.plane.lingering().into_iter().find(|(.., since, out)| may_go(*since, *out));
        if let Some((topic, partition, since, _)) = lingering {
            let since = now() - since;
            let what = format!(
                "somebody waited for memory in vain, and {topic}-{partition} lingers since {since:?}"
            );
            self.violate(format!("{what} (pressure)"));
        }
    }

    /// A meter for a socket that the producer writes to.
    pub(super) fn meter(&self) -> Meter {
        Meter { watch: self.clone(), head: Vec::new(), left: 0, failed: 0 }
    }
}

/// A partition of a topic as requests name it, and the producer id and epoch that its batches are numbered under.
type Numbered = ((TopicName, TopicId), i32, i64, i16);

/// What reached brokers of a producer.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Batches by partition and who numbered them, in the order of their numbers, from the oldest one on that is unresolved:
    /// what a broker has to remember.
    batches: BTreeMap<Numbered, VecDeque<(i32, Id)>>,
    /// When batches came, by their first record.
    attempts: BTreeMap<Id, VecDeque<Instant>>,
}

impl Arrivals {
    /// A Produce request arrived whole.
    pub(super) fn add(&mut self, watch: &Watch, request: &ProduceRequest) {
        for topic in &request.topic_data {
            for data in &topic.partition_data {
                let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
                for batch in BatchReader::new(bytes) {
                    match batch {
                        Ok(batch) => self.add_batch(watch, (topic, data.index.0), &batch),
                        Err(error) => {
                            watch.violate(format!("a broken batch reached a broker: {error:?} (bytes)"));
                        }
                    }
                }
            }
        }
    }

    /// Brokers know nobody's numbers any more.
    pub(super) fn forget_numbers(&mut self) {
        self.batches.clear();
    }

    fn add_batch(&mut self, watch: &Watch, (topic, partition): (&TopicProduceData, i32), batch: &Batch) {
        let first = batch.records().ok().and_then(|mut records| records.next()?.ok());
        let Some(first) = first.and_then(|read| parse(read.record.value.as_deref()?)) else { return };
        let times = self.attempts.entry(first).or_default();
        times.push_back(now());
        while times.front().is_some_and(|time| *time + WINDOW < now()) {
            times.pop_front();
        }
        if times.len() > MAX_ATTEMPTS {
            watch.violate(format!("the batch of {first:?} came {} times in {WINDOW:?} (I9)", times.len()));
        }
        let header = batch.header();
        let is_unresolved = |id: &Id| watch.book.is_unresolved(*id);
        // One that is resolved already, and comes late, is one that nobody relies on.
        if header.producer_id.0 < 0 || is_unresolved(&first) == Some(false) {
            return;
        }
        let named = (topic.name.clone(), topic.topic_id);
        let place = (named, partition, header.producer_id.0, header.producer_epoch.0);
        let batches = self.batches.entry(place).or_default();
        let sequence = header.base_sequence;
        if batches.iter().all(|(known, _)| *known != sequence) {
            // What was lost on its way comes after those behind it.
            let front = batches.iter().rposition(|(known, _)| is_before(*known, sequence));
            batches.insert(front.map_or(0, |front| front + 1), (sequence, first));
        }
        while batches.front().is_some_and(|(_, id)| is_unresolved(id) == Some(false)) {
            batches.pop_front();
        }
        let Some(oldest) = batches.iter().position(|(_, id)| is_unresolved(id) == Some(true)) else { return };
        let count = batches.len() - oldest;
        if count > BROKER_MEMORY {
            let oldest = batches[oldest].1;
            watch.violate(format!(
                "{count} batches came since that of {oldest:?}, which is unresolved (five)"
            ));
        }
    }
}

/// Whether a number is older than another one of the same epoch. Numbers wrap, and few are out at a time.
fn is_before(sequence: i32, other: i32) -> bool {
    (1..i32::MAX / 2).contains(&(other.wrapping_sub(sequence) & i32::MAX))
}

/// Who led each partition, one after the other.
#[derive(Default)]
pub(super) struct Leaders(BTreeMap<(String, i32), Vec<(NodeId, i32)>>);

impl Leaders {
    pub(super) fn note(&mut self, topic: &str, partition: i32, led: (NodeId, i32)) {
        let past = self.0.entry((topic.to_owned(), partition)).or_default();
        if past.last() != Some(&led) {
            past.push(led);
        }
    }

    /// Somebody who led a partition.
    pub(super) fn any(&self, topic: &str, partition: i32, rng: &mut fastrand::Rng) -> Option<(NodeId, i32)> {
        let past = self.0.get(&(topic.to_owned(), partition))?;
        past.get(rng.usize(..past.len().max(1))).copied()
    }

    /// Nobody is taken for a leader who was none in that epoch.
    pub(super) fn check(&self, watch: &Watch) {
        let Some(shared) = watch.shared() else { return };
        let wrong = shared.plane.find_leader(|topic, partition, leader, epoch| {
            let past = self.0.get(&(topic.as_str().to_owned(), partition))?;
            (!past.contains(&(leader, epoch)))
                .then(|| format!("{leader} is taken for the leader of {topic}-{partition} in epoch {epoch}"))
        });
        if let Some(what) = wrong {
            watch.violate(format!("{what} (leader)"));
        }
    }
}

/// Counts the bytes of the frame that a socket is taking.
pub(super) struct Meter {
    watch: Watch,
    /// The length of the frame, as far as it is there.
    head: Vec<u8>,
    /// Bytes of the frame that the socket did not take yet.
    left: usize,
    /// Records that had failed when the frame was begun.
    failed: u64,
}

impl Meter {
    /// I7: what is still to be written is in memory that counts.
    pub(super) fn check(&self) {
        let Some(shared) = self.watch.shared() else { return };
        let used = shared.plane.pool.used();
        if used + HEADS < self.left {
            let what = format!("{} bytes are still to be written, and {used} are counted (I7)", self.left);
            self.watch.violate(what);
        }
    }

    /// The socket takes bytes.
    pub(super) fn take(&mut self, bytes: &mut [u8]) {
        let failed = || self.watch.shared().map_or(0, |shared| shared.plane.look().sender.counters().failed);
        if planted!(BufferReused) && self.left > 0 && failed() > self.failed {
            let end = self.left.min(bytes.len());
            bytes[..end].iter_mut().rev().take(4).for_each(|byte| *byte = !*byte);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            if self.left == 0 {
                if self.head.is_empty() {
                    self.failed = failed();
                }
                let (head, body) = rest.split_at((4 - self.head.len()).min(rest.len()));
                self.head.extend_from_slice(head);
                rest = body;
                if let Some(length) = self.head.first_chunk().copied().filter(|_| self.head.len() == 4) {
                    self.left = u32::from_be_bytes(length) as usize;
                    self.head.clear();
                }
            }
            let taken = self.left.min(rest.len());
            self.left -= taken;
            rest = &rest[taken..];
        }
    }
}

/// By then a pump has heard that something is to go.
const HEARD: Duration = Duration::from_millis(50);

/// How many batches of a producer and partition a broker remembers.
const BROKER_MEMORY: usize = 5;

/// Attempts of a batch are counted over this long.
const WINDOW: Duration = Duration::from_secs(10);

/// Back-off begins at 100 ms and doubles up to a second; leaders that move make a new attempt at once.
const MAX_ATTEMPTS: usize = 60;

/// The heads of the requests that one connection may hold, and batches so small that they are copied.
const HEADS: usize = 4 * 1024;
