//! What must hold, seen from outside: by what reached the brokers, what is in their logs, and what the user was told.
//!
//! Nothing here asks the producer what it thinks it did.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
    time::Duration,
};

use bytes::Bytes;
use kafka_batch::{BatchHeader, BatchReader};
use kafka_mock::Cluster;
use kafka_wire::{
    ErrorCode, PartitionId, TopicId, TopicName,
    messages::{PartitionProduceData, ProduceRequest},
};

use super::{plan::VALUE_HEAD, stranger};
use crate::{
    delivery::{Delivery, RecordMetadata},
    error::{DeliveryError, Persistence},
    stats::Counters,
};

mod clusters;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The invariant's short name: "I2", "numbers", ...
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// Everything that is known from outside.
#[derive(Debug)]
pub(crate) struct Checker {
    promises: Promises,
    records: Vec<Tracked>,
    /// Records whose answer is not known yet, oldest first.
    open: BTreeSet<u64>,
    /// Who has which number, for each number that ever reached a broker.
    numbers: BTreeMap<(TopicName, i32, i64, i16, i32), u64>,
    /// The bytes of each numbered batch that ever reached a broker.
    bytes: BTreeMap<(TopicName, i32, i64, i16, i32), u32>,
    logs: BTreeMap<(TopicId, i32), Log>,
    logged: BTreeSet<u64>,
    /// Topics that had another one's name.
    pub(crate) recreated: BTreeSet<TopicId>,
    /// Topics that are no more: what was in their logs is in none.
    pub(crate) deleted: BTreeSet<TopicId>,
    /// Batches that a socket took and whose first record has no answer, by that record; by partition and who numbered
    /// them, since a batch that is renumbered was proven not to be in the log.
    unresolved: BTreeMap<(TopicName, i32, i64, i16), BTreeSet<u64>>,
    /// The same, with those that were answered since the oldest of them was first sent: what a broker has to remember.
    remembered: BTreeMap<(TopicName, i32, i64, i16), VecDeque<u64>>,
    clusters: clusters::Clusters,
    /// Records that an unclean election took out of the log again.
    lost: BTreeSet<u64>,
    /// How often a batch came in this second, and which one that is.
    attempts: BTreeMap<(TopicName, i32, u64), (u64, u32)>,
    pub(crate) second: u64,
    pub(crate) now: Duration,
    /// When a batch last reached a broker.
    pub(crate) last_arrival: Duration,
    violation: Option<Violation>,
    pub(crate) tally: Tally,
}

/// What the settings promise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promises {
    /// Nothing is written twice, and the order is kept.
    pub(crate) exactly_once: bool,
    /// An acknowledged record is in the log, at the offset told.
    pub(crate) acknowledged: bool,
    pub(crate) max_unresolved: usize,
    /// What the batches of one request have together.
    pub(crate) max_request_size: usize,
    /// Each record has its answer after so long.
    pub(crate) delivery_timeout: Duration,
    /// Nothing goes wrong, and no answer takes long.
    pub(crate) is_calm: bool,
    /// Requests name topics by their ids: those to a topic that was deleted are not taken for those to its successor.
    pub(crate) by_id: bool,
    /// A producer id may be replaced by another one, whose numbers say nothing about the first one's.
    pub(crate) ids_may_change: bool,
}

#[derive(Debug, Default)]
struct Log {
    records: Vec<u64>,
    /// The last record's place in the order of its lane, by lane.
    last: Option<u64>,
    end: i64,
}

/// A record that was accepted.
#[derive(Debug)]
struct Tracked {
    topic: TopicName,
    partition: i32,
    delivery: Option<Delivery>,
    woken: Arc<Flag>,
    answer: Option<Told>,
    size: usize,
    /// When it was accepted.
    since: Duration,
}

impl Tracked {
    /// Whether there is no answer yet, read or not.
    fn is_open(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.peek().is_none())
    }
}

/// What the user was told of a record.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Acknowledged {
        offset: Option<i64>,
    },
    Failed {
        persistence: Persistence,
        code: Option<ErrorCode>,
        is_timeout: bool,
        is_aborted: bool,
    },
    /// The user stopped looking.
    Dropped,
}

/// A waker that remembers.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, is_set: bool) {
        self.0.store(is_set, Ordering::Relaxed);
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Checker {
    pub(crate) fn new(promises: Promises) -> Self {
        Self {
            promises,
            records: Vec::new(),
            open: BTreeSet::new(),
            numbers: BTreeMap::new(),
            bytes: BTreeMap::new(),
            logs: BTreeMap::new(),
            logged: BTreeSet::new(),
            recreated: BTreeSet::new(),
            deleted: BTreeSet::new(),
            unresolved: BTreeMap::new(),
            remembered: BTreeMap::new(),
            clusters: clusters::Clusters::default(),
            lost: BTreeSet::new(),
            attempts: BTreeMap::new(),
            second: 0,
            now: Duration::ZERO,
            last_arrival: Duration::ZERO,
            violation: None,
            tally: Tally::default(),
        }
    }

    /// Notes the first violation.
    pub(crate) fn violated(&mut self, invariant: &'static str, what: String) {
        self.violation.get_or_insert(Violation { invariant, what });
    }

    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The value of the next record.
    pub(crate) fn next_value(&self, size: usize) -> Vec<u8> {
        value(self.records.len() as u64, size)
    }

    /// The record of [`next_value`](Self::next_value) was accepted.
    pub(crate) fn accepted(
        &mut self,
        topic: &TopicName,
        partition: i32,
        size: usize,
        mut delivery: Delivery,
    ) {
        let id = self.records.len() as u64;
        let woken = Arc::new(Flag::default());
        let waker = std::task::Waker::from(Arc::clone(&woken));
        let poll = std::pin::Pin::new(&mut delivery).poll(&mut std::task::Context::from_waker(&waker));
        if poll.is_ready() {
            self.violated("I5", format!("record {id} was answered before it was sent"));
        }
        self.open.insert(id);
        let (topic, since) = (topic.clone(), self.now);
        let delivery = Some(delivery);
        self.records.push(Tracked { topic, partition, delivery, woken, answer: None, size, since });
    }

    /// The user drops the youngest answers that are still open.
    pub(crate) fn drop_deliveries(&mut self, count: usize) {
        let dropped: Vec<u64> = self.open.iter().rev().take(count).copied().collect();
        for id in dropped {
            self.open.remove(&id);
            let record = &mut self.records[id as usize];
            record.delivery = None;
            record.answer = Some(Told::Dropped);
        }
    }

    /// How many records were accepted.
    pub(crate) fn count(&self) -> u64 {
        self.records.len() as u64
    }

    /// How many have no answer yet and are looked at.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// The records that have no answer yet, among the first `count`.
    pub(crate) fn first_open(&self, count: u64) -> Option<u64> {
        self.open.first().copied().filter(|id| *id < count)
    }

    /// Reads the answers that have come, and gives them.
    pub(crate) fn read_answers(&mut self) -> Vec<(u64, Told)> {
        let mut new = Vec::new();
        for &id in &self.open {
            let record = &self.records[id as usize];
            let Some(result) = record.delivery.as_ref().and_then(Delivery::peek) else { continue };
            new.push((id, told(&result), record.woken.is_set()));
        }
        let mut answers = Vec::new();
        for (id, told, woken) in new {
            self.open.remove(&id);
            if !woken {
                self.violated("I5", format!("record {id} was answered, and who waited was not woken"));
            }
            self.check_answer(id, &told);
            let record = &mut self.records[id as usize];
            record.answer = Some(told.clone());
            record.delivery = None;
            answers.push((id, told));
        }
        answers
    }

    fn check_answer(&mut self, id: u64, told: &Told) {
        let took = self.now.saturating_sub(self.records[id as usize].since);
        if took > self.promises.delivery_timeout + LATE {
            self.violated("I8", format!("record {id} was answered {took:?} after it was accepted"));
        }
        match told {
            Told::Acknowledged { offset } if self.promises.acknowledged => {
                self.tally.add("acknowledged", 1);
                if self.lost.contains(&id) {
                    // It was there, and brokers lost it.
                    return;
                }
                if !self.logged.contains(&id) {
                    return self.violated("I1", format!("record {id} was acknowledged and is in no log"));
                }
                if !self.is_true_of_its_cluster(id) {
                    let what = format!("record {id} was acknowledged by a cluster that has it in no log");
                    return self.violated("I1", what);
                }
                let record = &self.records[id as usize];
                let holds = |offset: i64| {
                    let mut logs =
                        self.logs.iter().filter(|((_, partition), _)| *partition == record.partition);
                    logs.any(|(_, log)| log.records.get(offset as usize) == Some(&id))
                };
                if let Some(offset) = offset.filter(|offset| !holds(*offset)) {
                    self.violated("I4", format!("record {id} was acknowledged at {offset} and is not there"));
                }
            }
            Told::Failed { code: Some(ErrorCode::DUPLICATE_SEQUENCE_NUMBER), .. }
                if self.promises.exactly_once =>
            {
                self.violated("I1", format!("record {id} was given up because a broker has it"));
            }
            Told::Failed { persistence: Persistence::NotPersisted, .. } if self.is_in_a_log(id) => {
                self.violated("I6", format!("record {id} is in the log and was said not to be"));
            }
            _ => {}
        }
    }

    fn is_in_a_log(&self, id: u64) -> bool {
        let mut logs = self.logs.iter().filter(|((topic, _), _)| !self.deleted.contains(topic));
        self.logged.contains(&id) && logs.any(|(_, log)| log.records.contains(&id))
    }

    /// A socket took these frames' last bytes: batches are on their way.
    pub(crate) fn left(&mut self, request: &ProduceRequest) {
        for (topic, partition, header, ids) in batches(request) {
            // One that is not of ours is found when it arrives.
            let known = ids.first().filter(|first| **first < self.count());
            let (Some(first), true) = (known, header.producer_id.0 >= 0) else { continue };
            // By its name in older versions, by nothing in newer ones: then the record knows.
            let topic = self.records.get(*first as usize).map_or(topic, |record| record.topic.clone());
            let place = (topic, partition, header.producer_id.0, header.producer_epoch.0);
            let remembered = self.remembered.entry(place.clone()).or_default();
            if remembered.back().is_none_or(|last| last < first) {
                remembered.push_back(*first);
            }
            self.unresolved.entry(place).or_default().insert(*first);
        }
        let records = &self.records;
        let mut most = 0;
        for batches in self.unresolved.values_mut() {
            batches.retain(|first| records[*first as usize].is_open());
            most = most.max(batches.len());
        }
        let mut span = 0;
        for batches in self.remembered.values_mut() {
            while batches.front().is_some_and(|first| !records[*first as usize].is_open()) {
                batches.pop_front();
            }
            span = span.max(batches.len());
        }
        if most > self.promises.max_unresolved {
            self.violated("five", format!("{most} batches of a partition are unresolved"));
        }
        if span > BROKER_MEMORY {
            self.violated(
                "five",
                format!("{span} batches were sent since the oldest one that is unresolved"),
            );
        }
    }

    /// A whole Produce request reached a broker.
    pub(crate) fn arrived(&mut self, request: &ProduceRequest) {
        self.last_arrival = self.now;
        if let Some(what) = oversize(request, self.promises.max_request_size) {
            self.violated("size", what);
        }
        for data in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
            let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
            for batch in BatchReader::new(bytes) {
                if let Err(error) = batch {
                    self.violated("bytes", format!("a broken batch reached a broker: {error:?}"));
                }
            }
        }
        for (topic, partition, header, ids) in batches(request) {
            let topic = match ids.first().and_then(|id| self.records.get(*id as usize)) {
                Some(record) => record.topic.clone(),
                None => topic,
            };
            for &id in &ids {
                let found = self.records.get(id as usize);
                if found.is_none_or(|record| record.partition != partition || record.topic != topic) {
                    self.violated(
                        "bytes",
                        format!("record {id} reached {topic}-{partition}, and was not sent there"),
                    );
                    return;
                }
            }
            if let Some(&first) = ids.first() {
                let attempts = self.attempts.entry((topic.clone(), partition, first)).or_default();
                *attempts =
                    if attempts.0 == self.second { (self.second, attempts.1 + 1) } else { (self.second, 1) };
                if attempts.1 > MAX_ATTEMPTS {
                    let what = format!("the batch of record {first} came {} times in a second", attempts.1);
                    return self.violated("I9", what);
                }
            }
            if header.producer_id.0 < 0 {
                if self.promises.exactly_once {
                    self.violated("numbers", "a batch without numbers reached a broker".to_owned());
                }
                continue;
            }
            if header.producer_epoch.0 > 0 {
                self.tally.add("later epochs", 1);
            }
            let (producer, epoch) = (header.producer_id.0, header.producer_epoch.0);
            self.check_given(producer);
            if self.numbers.first_key_value().is_some_and(|((_, _, first, ..), _)| *first != producer) {
                self.tally.add("new producer ids", 1);
            }
            if header.base_sequence.checked_add(header.record_count).is_none() {
                self.tally.add("batches after a wrap", 1);
            }
            let place = |sequence: i32| (topic.clone(), partition, producer, epoch, sequence);
            let known = *self.bytes.entry(place(header.base_sequence)).or_insert(header.crc);
            if known != header.crc {
                let what =
                    format!("two batches have the numbers {producer}/{epoch}/{}", header.base_sequence);
                return self.violated("numbers", what);
            }
            for (id, sequence) in ids.into_iter().zip(0..) {
                // The mask takes the number modulo 2^31.
                let sequence = header.base_sequence.wrapping_add(sequence) & i32::MAX;
                let owner = *self.numbers.entry(place(sequence)).or_insert(id);
                if owner != id {
                    let what = format!("number {producer}/{epoch}/{sequence} is of records {owner} and {id}");
                    return self.violated("numbers", what);
                }
            }
        }
    }

    /// A broker refused a batch as too large, and so did not append it: its parts may have its numbers, each record its own.
    pub(crate) fn too_large(&mut self, data: &PartitionProduceData) {
        let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
        for (header, ids) in read(&bytes) {
            if ids.iter().any(|id| self.logged.contains(id)) {
                continue;
            }
            if let Some(record) = ids.first().and_then(|id| self.records.get(*id as usize)) {
                let (producer, epoch) = (header.producer_id.0, header.producer_epoch.0);
                let topic = record.topic.clone();
                self.bytes.remove(&(topic, data.index.0, producer, epoch, header.base_sequence));
            }
        }
    }

    /// Where a record goes.
    pub(crate) fn partition(&self, id: u64) -> (TopicName, i32) {
        let record = &self.records[id as usize];
        (record.topic.clone(), record.partition)
    }

    /// Whether a record of the same partition was given up in doubt: one accepted before, or one accepted later and answered
    /// earlier than `answered`, which are those that have just got their answers.
    pub(crate) fn is_beside_a_stray(&self, id: u64, answered: &[(u64, Told)]) -> bool {
        let Some(record) = self.records.get(id as usize) else { return false };
        (0..).zip(&self.records).any(|(other, it)| {
            let is_stray = match &it.answer {
                Some(Told::Failed { persistence: Persistence::PossiblyPersisted, .. }) => {
                    other < id || answered.binary_search_by_key(&other, |(id, _)| *id).is_err()
                }
                // What became of one that nobody looks at any more is not known.
                Some(Told::Dropped) => other < id,
                _ => false,
            };
            is_stray && other != id && record.partition == it.partition && record.topic == it.topic
        })
    }

    /// A log lost its end.
    pub(crate) fn truncated(&mut self, topic: TopicId, partition: i32, end: i64) {
        let Some(log) = self.logs.get_mut(&(topic, partition)).filter(|log| log.end > end) else { return };
        for id in log.records.split_off(end as usize).into_iter().filter(|id| *id != STRANGER) {
            self.logged.remove(&id);
            self.lost.insert(id);
            self.tally.add("records lost by brokers", 1);
        }
        log.end = end;
        log.last = log.records.iter().filter(|id| **id != STRANGER).max().copied();
    }

    /// A broker answered a batch with an error.
    pub(crate) fn refused(&mut self, code: ErrorCode) {
        if self.promises.is_calm && code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER {
            self.violated("numbers", format!("nothing went wrong, and a broker says {code}"));
        }
    }

    /// Logs may have grown.
    pub(crate) fn grown(&mut self, cluster: &Cluster, topics: &BTreeMap<TopicName, TopicId>) {
        for (topic, id) in topics {
            for partition in 0.. {
                let Some((_, end)) = cluster.offsets(topic.as_str(), PartitionId(partition)) else { break };
                let known = self.logs.entry((*id, partition)).or_default().end;
                if end == known {
                    continue;
                }
                let all = cluster.batches(topic.as_str(), PartitionId(partition)).unwrap_or_default();
                let mut new = Vec::new();
                for bytes in all.iter().rev() {
                    let Some(header) = bytes.first_chunk().map(BatchHeader::decode) else { break };
                    if header.base_offset < known {
                        break;
                    }
                    new.extend(read(bytes));
                }
                for (_, ids) in new.into_iter().rev() {
                    ids.into_iter().for_each(|record| self.appended(*id, partition, record));
                }
                if let Some(log) = self.logs.get_mut(&(*id, partition)) {
                    log.end = end;
                }
            }
        }
    }

    fn appended(&mut self, topic: TopicId, partition: i32, id: u64) {
        if id == STRANGER {
            self.logs.entry((topic, partition)).or_default().records.push(id);
            return;
        }
        let Some(record) = self.records.get(id as usize) else {
            return self.violated("I2", format!("record {id} is in the log and was never sent"));
        };
        let answer = record.answer.clone();
        let Some(log) = self.logs.get_mut(&(topic, partition)) else { return };
        let before = log.last;
        let is_double = log.records.contains(&id);
        log.records.push(id);
        log.last = before.max(Some(id));
        self.logged.insert(id);
        self.lost.remove(&id);
        if let Some(Told::Failed { persistence: Persistence::NotPersisted, .. }) = answer {
            self.violated("I6", format!("record {id} got into the log after it was said not to be there"));
        }
        if !self.promises.exactly_once {
            return;
        }
        if self.is_in_ended_log(id) {
            let what = format!("record {id} was in the log of a cluster that ended, and is in another one's");
            self.violated("I2", what);
        }
        if is_double {
            self.violated("I2", format!("record {id} is twice in the log of partition {partition}"));
        }
        // Ids rise in the order of appends, so that those of a partition do.
        let is_late = before.is_some_and(|before| before > id);
        let is_given_up = matches!(answer, Some(Told::Failed { .. }));
        // A topic that was recreated knows no producer. By its name it takes whatever was on its way to the one before it.
        let is_successor = self.recreated.contains(&topic);
        let is_excused = is_given_up && self.promises.ids_may_change || is_successor && !self.promises.by_id;
        if is_late && !is_excused {
            self.violated(
                "I3",
                format!("record {id} came after {before:?} into the log of partition {partition}"),
            );
        }
    }

    /// Everything was resolved: what the counters say must agree. What is said to be lost must be so; but an answer about a
    /// topic that was made again since, or a broker that refuses the very next number, can look like it.
    pub(crate) fn check_counters(&mut self, counters: &Counters, is_lied_to: bool) {
        let (delivered, failed, losses) = (counters.delivered, counters.failed, counters.losses);
        if delivered + failed != self.count() {
            let what = format!("{} records, {delivered} delivered and {failed} failed", self.count());
            self.violated("I5", what);
        }
        let may_be_lost =
            self.tally.has("records lost by brokers") || !self.recreated.is_empty() || is_lied_to;
        if losses > 0 && !may_be_lost {
            self.violated("losses", format!("{losses} losses are told of, and no broker has lost anything"));
        }
    }

    /// The size of a record's value.
    pub(crate) fn describe(&self, id: u64) -> String {
        self.records.get(id as usize).map_or_else(String::new, |record| {
            format!("{}-{} {} bytes {:?}", record.topic, record.partition, record.size, record.answer)
        })
    }
}

fn told(result: &Result<RecordMetadata, DeliveryError>) -> Told {
    match result {
        Ok(metadata) => Told::Acknowledged { offset: metadata.offset },
        Err(error) => Told::Failed {
            persistence: error.persistence(),
            code: error.code(),
            is_timeout: error.is_timeout(),
            is_aborted: error.is_aborted(),
        },
    }
}

/// Whether the batches of a request, sent for the first time or again, are more than fit into one.
pub(crate) fn oversize(request: &ProduceRequest, limit: usize) -> Option<String> {
    let data = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let sizes: Vec<usize> = data.filter_map(|data| Some(data.records.as_ref()?.len())).collect();
    let size: usize = sizes.iter().sum();
    (size > limit)
        .then(|| format!("a request of {size} bytes in batches of {sizes:?}, where {limit} are allowed"))
}

/// The value of a record: who it is, and bytes that follow from that.
pub(crate) fn value(id: u64, size: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(size.max(VALUE_HEAD));
    value.extend_from_slice(&id.to_be_bytes());
    value.extend_from_slice(&(size as u64).to_be_bytes());
    value.extend_from_slice(&mix(id).to_be_bytes());
    let filler = mix(id ^ size as u64).to_be_bytes();
    value.extend(filler.iter().copied().cycle().take(size.saturating_sub(VALUE_HEAD)));
    value
}

/// The record with this value, if the value is whole.
fn id_of(bytes: &[u8]) -> Option<u64> {
    let id = u64::from_be_bytes(*bytes.first_chunk()?);
    (value(id, bytes.len()) == bytes).then_some(id)
}

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

/// The batches in some bytes, with their records; a record that is not whole has the greatest id, and one of a stranger's the
/// one before that.
fn read(bytes: &Bytes) -> Vec<(BatchHeader, Vec<u64>)> {
    let mut found = Vec::new();
    for batch in BatchReader::new(bytes.clone()).flatten() {
        let records = batch.records().into_iter().flatten().flatten();
        let ids = records.map(|read| match read.record.value.as_deref() {
            Some(value) if stranger::is_strangers(value) => STRANGER,
            value => value.and_then(id_of).unwrap_or(u64::MAX),
        });
        found.push((*batch.header(), ids.collect()));
    }
    found
}

/// The batches of a request.
fn batches(request: &ProduceRequest) -> Vec<(TopicName, i32, BatchHeader, Vec<u64>)> {
    let mut found = Vec::new();
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
            found.extend(
                read(&bytes).into_iter().map(|(header, ids)| (topic.name.clone(), data.index.0, header, ids)),
            );
        }
    }
    found
}

/// What every record of a stranger's is called.
const STRANGER: u64 = u64::MAX - 1;

/// Attempts of one batch in a second: back-off begins at 10 ms and doubles, and leaders do not move so often.
const MAX_ATTEMPTS: u32 = 40;

/// How many batches of a producer and partition a broker remembers.
const BROKER_MEMORY: usize = 5;

/// What an answer may be late: a turn of the client.
const LATE: Duration = Duration::from_millis(5);

/// What happened, counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        self.0.contains_key(what)
    }

    pub(crate) fn count(&mut self, counters: &Counters) {
        let counts = [
            ("retries", counters.retries),
            ("splits", counters.splits),
            ("batches", counters.batches),
            ("losses told of", counters.losses),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0).for_each(|(what, count)| self.add(what, count));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(&what, &count)| (what, count))
    }

    pub(crate) fn answered(&mut self, code: ErrorCode) {
        let what = match code {
            ErrorCode::NONE => return,
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => "answers: duplicate",
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => "answers: out of order",
            ErrorCode::INVALID_PRODUCER_EPOCH => "answers: epoch refused",
            ErrorCode::NOT_LEADER_OR_FOLLOWER => "answers: not leader",
            ErrorCode::MESSAGE_TOO_LARGE => "answers: too large",
            ErrorCode::UNKNOWN_TOPIC_ID => "answers: unknown topic id",
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "answers: unknown topic",
            _ => "answers: other errors",
        };
        self.add(what, 1);
    }
}
