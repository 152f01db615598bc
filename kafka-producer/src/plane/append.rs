//! Accepting a record: the fast path, and everything that is not fast.
//!
//! The fast path finds the lane, takes its lock, encodes the record into the open batch, and is done. Whatever else there
//! may be to do (a batch to close or to open, memory to take, a topic to learn of) is the cold path's.

use std::{
    cell::{Cell, RefCell},
    mem,
    sync::{Arc, MutexGuard},
    time::{Duration, Instant},
};

use kafka_batch::{AppendError, Chunk, ChunkSource, Edges, SendReason, single_record_batch_size};
use kafka_net::topic_error_may_pass;

use super::{
    Plane,
    after::After,
    lanes::{Lane, LaneState},
    topic::TopicShared,
};
use crate::{
    delivery::{Deliveries, Delivery, Outcome},
    error::{Refusal, TrySendError, Wait},
    partitioner::{Sticky, partition_for_key},
    planted::slip,
    record::{Named, Record},
};

thread_local! {
    /// Bytes of batches that this thread found full since it last yielded.
    static FULL: Cell<usize> = const { Cell::new(0) };
    /// The topic that this thread last named. It outlives its producer here, until the thread names another one or ends; its
    /// lanes are empty then, and hold no memory of the pool. A thread that drops a producer forgets its topic.
    static LAST: RefCell<Option<Arc<TopicShared>>> = const { RefCell::new(None) };
}

/// Why a record is not in a batch yet.
pub(crate) enum Stop {
    /// A batch is full: its pump should have a turn before the next one is filled.
    Yield,
    /// The topic, or the partition, is not known: when it was looked at, the topic had this many partitions.
    Topic(Arc<TopicShared>, u32),
    /// There is no memory for this many chunks.
    Room(usize),
    /// It will not be.
    Refused(Refusal),
}

/// Which partition a record goes to, before the topic's lanes are looked at.
enum Choice {
    Partition(u32),
    /// Wherever this thread's records go.
    Sticky,
}

impl Plane {
    /// Appends a record if that is all there is to do. `None` says nothing but that the cold path must look.
    #[inline(always)]
    pub(crate) fn append_fast(&self, record: &Record<'_>) -> Option<Delivery> {
        self.at_hand(record.topic.0, |topic| self.append_to(topic, record))
    }

    /// Appends the first ones of several records under one lock, as far as that is all there is to do; how many.
    ///
    /// They are without key and partition, and of one topic. Zero says nothing: the first one may be one for
    /// [`append_slow`](Self::append_slow).
    #[inline(never)]
    pub(crate) fn append_run<'a>(&self, records: &[Record<'a>], deliveries: &mut Deliveries) -> usize {
        let Some(first) = records.first() else { return 0 };
        if !self.is_plain {
            return 0;
        }
        let wall = self.wall.millis();
        let same = |record: &Record<'a>| {
            let timestamp = record.timestamp.unwrap_or(wall);
            let is_alike = record.key.is_none() && record.partition.is_none() && timestamp >= 0;
            (is_alike && record.topic.0.is_same(first.topic.0)).then_some(kafka_batch::Record {
                timestamp,
                key: None,
                value: record.value,
                headers: record.headers,
            })
        };
        let run = self.at_hand(first.topic.0, |topic| {
            let mut lane = topic.lane(Sticky::current(topic.key)?)?.try_lock()?;
            lane.queue.append_run(records.iter().map_while(same))
        });
        let Some((slot, count)) = run else { return 0 };
        deliveries.push_run(slot.tag, slot.index, count);
        count as usize
    }

    /// Gives a topic that this thread has at hand to `then`.
    #[inline(always)]
    fn at_hand<R>(&self, topic: Named<'_>, then: impl FnOnce(&TopicShared) -> Option<R>) -> Option<R> {
        match topic {
            Named::Handle(topic) if topic.shared.producer == self.id => then(&topic.shared),
            Named::Handle(_) => None,
            Named::Name(name) => LAST
                .try_with(|last| {
                    let last = last.try_borrow().ok()?;
                    let topic = last.as_ref()?;
                    // By content: a string used again has the same address and another name.
                    let same = topic.producer == self.id && topic.name.as_str() == name;
                    if same { then(topic) } else { None }
                })
                .ok()?,
        }
    }

    /// A function of its own, so that each caller's loop has one call to make for a record.
    #[inline(never)]
    fn append_to(&self, topic: &TopicShared, record: &Record<'_>) -> Option<Delivery> {
        if !self.is_plain {
            return None;
        }
        let timestamp = match record.timestamp {
            None => self.wall.millis(),
            Some(timestamp) if timestamp >= 0 => timestamp,
            Some(_) => return None,
        };
        // One place to append, whichever lane it is: the encoder is inlined there, and nowhere else.
        let mut lane = match (record.partition, record.key) {
            // Taken by somebody else: the cold path goes elsewhere.
            (None, None) => topic.lane(Sticky::current(topic.key)?)?.try_lock()?,
            (Some(partition), _) => topic.lane(u32::try_from(partition).ok()?)?.lock(),
            (None, Some(key)) => {
                let count = topic.count();
                if count == 0 {
                    return None;
                }
                topic.lane(partition_for_key(key, count))?.lock()
            }
        };
        let encoded =
            kafka_batch::Record { timestamp, key: record.key, value: record.value, headers: record.headers };
        let slot = lane.queue.append_fast(&encoded)?;
        slip!();
        Some(Delivery::new(slot.tag, slot.index))
    }

    /// Appends a record, whatever there is to do for it. With `yields`, stops once for each batch it finds full.
    #[cold]
    pub(crate) fn append_slow(
        &self,
        record: &Record<'_>,
        source: &mut Source<'_>,
        yields: bool,
        now: Instant,
        after: &mut After,
    ) -> Result<Delivery, Stop> {
        if let Some(refusal) = self.batch_refusal(now, after) {
            return Err(Stop::Refused(refusal));
        }
        let named;
        let topic = match record.topic.0 {
            Named::Handle(topic) if topic.shared.producer == self.id => &topic.shared,
            Named::Handle(topic) => {
                named = self.named(topic.name())?;
                &named
            }
            Named::Name(name) => {
                named = self.named(name)?;
                &named
            }
        };
        self.wall.refresh(now);
        let timestamp = record.timestamp.unwrap_or_else(|| self.wall.millis());
        if timestamp < 0 {
            return Err(Stop::Refused(Refusal::Timestamp(timestamp)));
        }
        let encoded =
            kafka_batch::Record { timestamp, key: record.key, value: record.value, headers: record.headers };
        let size = single_record_batch_size(&encoded);
        let (limit, setting) = self.settings.queues.limits.single_record_limit();
        if size > limit {
            return Err(Stop::Refused(self.too_large(size, limit, setting)));
        }
        let mut cold = Cold { topic, count: 0, record: &encoded, source, yields, now, after };
        let mut stop = None;
        for _ in 0..MAX_COUNTS {
            cold.count = topic.count();
            match self.append_in(&mut cold, record) {
                // Made again with other partitions just now: the choice may be another one.
                Err(Stop::Topic(topic, seen)) if topic.count() != seen => stop = Some((topic, seen)),
                done => return done,
            }
        }
        let (topic, seen) = stop.unwrap_or_else(|| (Arc::clone(topic), 0));
        Err(Stop::Topic(topic, seen))
    }

    /// Appends a record to a partition of a topic that has so many.
    fn append_in(&self, cold: &mut Cold<'_, '_>, record: &Record<'_>) -> Result<Delivery, Stop> {
        if cold.count == 0 {
            return Err(cold.unknown());
        }
        let choice = self.choose(cold.topic, record, cold.count)?;
        // A panic in there may leave a lane or a gate half changed. Not watched on the fast path, which would cost each record: a
        // lane that is torn there is found when its batch is due.
        let unwinding = Unwinding { plane: self, cold };
        let done = match choice {
            Choice::Sticky => self.append_sticky(unwinding.cold),
            Choice::Partition(partition) => self.append_at(partition, unwinding.cold),
        };
        mem::forget(unwinding);
        done
    }

    /// Appends a record to the partition that was chosen.
    fn append_at(&self, partition: u32, cold: &mut Cold<'_, '_>) -> Result<Delivery, Stop> {
        let lane = cold.topic.lane(partition).filter(|_| partition < cold.count);
        let Some(lane) = lane else { return Err(cold.unknown()) };
        let state = self.lock_lane(lane, cold)?;
        if state.queue.fits(cold.record) {
            return self.append_under(lane, state, cold);
        }
        if self.close_full(lane, state, cold) && cold.yields && self.is_turn_over() {
            return Err(Stop::Yield);
        }
        let state = self.lock_lane(lane, cold)?;
        if state.is_gone {
            return Err(cold.unknown());
        }
        self.append_under(lane, state, cold)
    }

    /// A lane that is whole. One that is not ends the producer.
    fn lock_lane<'a>(
        &self,
        lane: &'a Lane,
        cold: &mut Cold<'_, '_>,
    ) -> Result<MutexGuard<'a, LaneState>, Stop> {
        lane.lock_whole().ok_or_else(|| {
            self.stop(cold.after);
            Stop::Refused(self.closed())
        })
    }

    fn choose(&self, topic: &TopicShared, record: &Record<'_>, count: u32) -> Result<Choice, Stop> {
        if let Some(partition) = record.partition {
            return match u32::try_from(partition) {
                Ok(partition) => Ok(Choice::Partition(partition)),
                Err(_) => Err(Stop::Refused(Refusal::NoPartition {
                    topic: topic.name.clone(),
                    partition,
                    count: i32::try_from(count).unwrap_or(i32::MAX),
                    waited: Duration::ZERO,
                })),
            };
        }
        if let Some(partitioner) = &self.partitioner {
            let chosen = partitioner.partition(topic.name.as_str(), record.key, record.value, count);
            if let Some(partition) = chosen {
                return Ok(Choice::Partition(partition));
            }
        }
        Ok(match record.key {
            Some(key) if !self.settings.ignores_keys => Choice::Partition(partition_for_key(key, count)),
            _ => Choice::Sticky,
        })
    }

    /// A record without a key: with the thread's batch if that has room, else to another partition. A batch it does not
    /// fit into is full.
    fn append_sticky(&self, cold: &mut Cold<'_, '_>) -> Result<Delivery, Stop> {
        let (topic, count) = (cold.topic, cold.count);
        let current = Sticky::current(topic.key).filter(|partition| *partition < count);
        if let Some(lane) = current.and_then(|partition| topic.lane(partition)) {
            if let Some(state) = lane.try_lock() {
                if state.queue.fits(cold.record) {
                    return self.append_under(lane, state, cold);
                }
                if self.close_full(lane, state, cold) && cold.yields && self.is_turn_over() {
                    return Err(Stop::Yield);
                }
            }
        }
        // Where another thread has a batch open, if it is not busy there.
        let shared = topic.spread.open();
        if Some(shared) != current && shared < count {
            if let Some(lane) = topic.lane(shared) {
                if let Some(state) = lane.try_lock().filter(|state| state.queue.fits(cold.record)) {
                    Sticky::stay(topic.key, shared);
                    return self.append_under(lane, state, cold);
                }
            }
        }
        let load = |partition| topic.lane(partition).map_or(Some(0), Lane::load);
        let is_adaptive = self.settings.is_adaptive;
        let partition = topic.spread.draw(count, current, if is_adaptive { Some(&load) } else { None });
        Sticky::stay(topic.key, partition);
        let Some(lane) = topic.lane(partition) else { return Err(cold.unknown()) };
        let state = self.lock_lane(lane, cold)?;
        if state.is_gone {
            return Err(cold.unknown());
        }
        self.append_under(lane, state, cold)
    }

    /// Whether this thread has filled so much that the pumps should have a turn: its runtime may have no other thread.
    fn is_turn_over(&self) -> bool {
        let full = FULL.get() + self.settings.queues.limits.batch_limit();
        let is_over = full >= TURN;
        FULL.set(if is_over { 0 } else { full });
        is_over
    }

    /// Closes the batch that had no room for a record, if one is open.
    fn close_full(&self, lane: &Lane, mut state: MutexGuard<'_, LaneState>, cold: &mut Cold<'_, '_>) -> bool {
        if !state.queue.close(SendReason::Full) {
            return false;
        }
        let gate = Arc::clone(&state.gate);
        drop(state);
        cold.after.wake_pump(lane.tell(&gate, Edges { first: false, full: true }, &self.pool));
        true
    }

    /// Appends a record to a lane that is locked.
    fn append_under(
        &self,
        lane: &Lane,
        mut state: MutexGuard<'_, LaneState>,
        cold: &mut Cold<'_, '_>,
    ) -> Result<Delivery, Stop> {
        if state.closed {
            return Err(Stop::Refused(self.closed()));
        }
        // The lane may only have been taken for a moment, or another thread has begun a batch here.
        if let Some(slot) = state.queue.append_fast(cold.record) {
            return Ok(Delivery::new(slot.tag, slot.index));
        }
        let make = || Arc::new(Outcome::new(lane.topic.clone(), lane.partition));
        slip!();
        let appended = state.queue.append_slow(cold.record, cold.now, cold.source, make);
        let gate = appended.edges.any().then(|| Arc::clone(&state.gate));
        drop(state);
        if let Some(gate) = gate {
            cold.after.wake_pump(lane.tell(&gate, appended.edges, &self.pool));
            if appended.edges.first {
                self.batch_begun(cold.after);
            }
        }
        match appended.slot {
            Ok(slot) => Ok(Delivery::new(slot.tag, slot.index)),
            Err(AppendError::NoRoom { chunks }) => Err(Stop::Room(chunks)),
            Err(AppendError::TooLarge { size, max, setting }) => {
                Err(Stop::Refused(self.too_large(size, max, setting)))
            }
            Err(_) => Err(Stop::Refused(self.closed())),
        }
    }

    #[cold]
    fn too_large(&self, size: usize, limit: usize, setting: &'static str) -> Refusal {
        let limits = &self.settings.queues.limits;
        let asked = match setting {
            "buffer.memory" => limits.buffer_memory(),
            _ => limit,
        };
        Refusal::TooLarge { size, limit, setting, asked }
    }

    /// The topic of that name, known or not, which this thread has at hand from now on.
    fn named(&self, name: &str) -> Result<Arc<TopicShared>, Stop> {
        let topic = self.topic(name).map_err(Stop::Refused)?;
        // A borrowed cell means that a partitioner sends from within a send: then it is looked up each time.
        let _ = LAST.try_with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = Some(Arc::clone(&topic));
            }
        });
        Ok(topic)
    }
}

/// How often the partition of a record is chosen at most, when the topic gets others meanwhile.
const MAX_COUNTS: usize = 3;

/// What the cold path has worked out of a record, and what it works with.
struct Cold<'a, 's> {
    topic: &'a Arc<TopicShared>,
    /// How many partitions the topic had when it was looked at.
    count: u32,
    record: &'a kafka_batch::Record<'a>,
    source: &'a mut Source<'s>,
    yields: bool,
    now: Instant,
    after: &'a mut After,
}

impl Cold<'_, '_> {
    fn unknown(&self) -> Stop {
        Stop::Topic(Arc::clone(self.topic), self.count)
    }
}

/// An append that takes locks. Dropped only by a panic in there.
struct Unwinding<'a, 'c, 's> {
    plane: &'a Plane,
    cold: &'a mut Cold<'c, 's>,
}

impl Drop for Unwinding<'_, '_, '_> {
    fn drop(&mut self) {
        self.plane.stop(self.cold.after);
    }
}

/// Has this thread forget a producer's topic, if it is the one that it last named.
pub(crate) fn forget(producer: u64) {
    let forgotten = LAST.try_with(|last| {
        let mut last = last.try_borrow_mut().ok()?;
        last.take_if(|topic| topic.producer == producer)
    });
    // Dropped where the cell is free again.
    drop(forgotten);
}

/// How much a thread fills before it yields. Enough for a few batches in a request, since a request costs as much as the
/// records of half a batch; little enough to be sent before a millisecond is over.
const TURN: usize = 256 * 1024;

/// Where an append gets chunks from: the pool, or what it was granted after it waited.
pub(crate) enum Source<'a> {
    Pool(&'a Arc<kafka_batch::Pool>),
    Granted(&'a mut Vec<Chunk>),
}

impl ChunkSource for Source<'_> {
    fn take_chunks(&mut self, count: usize, into: &mut Vec<Chunk>) -> bool {
        match self {
            Self::Pool(pool) => pool.take(count, into),
            Self::Granted(chunks) => chunks.take_chunks(count, into),
        }
    }

    fn take_chunk(&mut self) -> Option<Chunk> {
        match self {
            Self::Pool(pool) => pool.take_one(),
            Self::Granted(chunks) => chunks.pop(),
        }
    }
}

impl Plane {
    /// Appends a record now or never.
    pub(crate) fn try_append(
        &self,
        record: &Record<'_>,
        now: Instant,
        after: &mut After,
    ) -> Result<Delivery, TrySendError> {
        match self.append_slow(record, &mut Source::Pool(&self.pool), false, now, after) {
            Ok(delivery) => Ok(delivery),
            Err(Stop::Refused(refusal)) => Err(TrySendError::refused(refusal)),
            Err(Stop::Room(_) | Stop::Yield) => Err(TrySendError::wait(Wait::Room)),
            Err(Stop::Topic(topic, _)) => {
                if let Some(code) = topic.trouble().filter(|code| !topic_error_may_pass(*code)) {
                    let topic = topic.name.clone();
                    return Err(TrySendError::refused(Refusal::TopicRefused { topic, code }));
                }
                self.want_topic(&topic.name, now, after);
                Err(TrySendError::wait(Wait::Topic))
            }
        }
    }
}
