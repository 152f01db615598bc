//! The brokers of the fuzz target, and what they hold the producer to: one log for each partition, with the rules by which
//! Kafka takes a batch, and a note of every number that ever reached a broker.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kafka_batch::BatchReader;
use kafka_wire::ErrorCode;

/// A batch as a broker reads it.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) partition: usize,
    producer: (i64, i16),
    sequence: i32,
    /// The records' own numbers.
    records: Vec<u32>,
}

impl Arrived {
    pub(super) fn read(partition: usize, bytes: Bytes) -> Self {
        let mut batches = BatchReader::new(bytes);
        let batch = batches.next().expect("one batch").expect("that can be read");
        assert!(batches.next().is_none(), "one batch of a partition in a request");
        let number = |value: Bytes| {
            let number = value.first_chunk().expect("a number in front");
            assert!(value.iter().skip(4).all(|byte| *byte == number[3]), "other bytes than were sent");
            u32::from_be_bytes(*number)
        };
        let records = batch.records().expect("readable");
        let records = records.map(|record| number(record.expect("whole").record.value.expect("a value")));
        let header = batch.header();
        Self {
            partition,
            producer: (header.producer_id.0, header.producer_epoch.0),
            sequence: header.base_sequence,
            records: records.collect(),
        }
    }

    fn last(&self) -> i32 {
        advance(self.sequence, self.records.len() - 1)
    }
}

/// What all brokers together hold of a partition: a batch that one of them takes is replicated at once.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) records: Vec<u32>,
    /// Who wrote each of them.
    writers: Vec<i64>,
    producers: BTreeMap<i64, Producer>,
    /// Which record each number was given to that reached a broker, by id, epoch and sequence.
    numbers: BTreeMap<(i64, i16, i32), u32>,
    /// The last one that reached a broker, of each record without an answer: id and epoch, its batch's first sequence, and how many
    /// records that has.
    unresolved: BTreeMap<u32, (i64, i16, i32, usize)>,
    /// The newest id and epoch that reached a broker.
    newest: (i64, i16),
}

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    /// The last batches: first and last sequence, and offset.
    last: VecDeque<(i32, i32, i64)>,
}

impl Log {
    /// A request with the batch was written: whatever becomes of it, its numbers are used.
    pub(super) fn note(&mut self, batch: &Arrived, is_resolved: impl Fn(u32) -> bool) {
        let (id, epoch) = batch.producer;
        assert!(id >= 0 && epoch >= 0 && batch.sequence >= 0, "a batch without numbers: {batch:?}");
        for (offset, record) in batch.records.iter().enumerate() {
            let number = (id, epoch, advance(batch.sequence, offset));
            let owner = *self.numbers.entry(number).or_insert(*record);
            assert_eq!(owner, *record, "{number:?} was another record's: {batch:?}");
            let place = (id, epoch, batch.sequence, batch.records.len());
            let before = self.unresolved.insert(*record, place);
            // A batch that was split is none any more, also where parts of it did not arrive yet.
            if let Some(whole) =
                before.filter(|before| *before != place && (before.0, before.1) == (id, epoch))
            {
                self.unresolved.retain(|_, it| *it != whole);
            }
        }
        self.newest = self.newest.max(batch.producer);
        self.unresolved.retain(|record, _| !is_resolved(*record));
        let newest = self.newest;
        let current = self.unresolved.values().filter(|(id, epoch, ..)| (*id, *epoch) == newest);
        let mut batches: Vec<i32> = current.map(|(.., sequence, _)| *sequence).collect();
        batches.sort_unstable();
        batches.dedup();
        assert!(batches.len() <= REMEMBERED, "more batches unresolved than a broker remembers: {batches:?}");
    }

    /// Takes a batch as Kafka does: at which offset it is, or why it is not.
    pub(super) fn append(&mut self, batch: &Arrived) -> Result<i64, ErrorCode> {
        let (id, epoch) = batch.producer;
        let (first, last) = (batch.sequence, batch.last());
        if let Some(known) = self.producers.get(&id) {
            if epoch < known.epoch {
                return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
            }
            if epoch > known.epoch && first != 0 {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
            if epoch == known.epoch {
                let found = known.last.iter().find(|(begin, end, _)| (*begin, *end) == (first, last));
                if let Some((.., offset)) = found {
                    return Ok(*offset);
                }
                let newest = known.last.back().map(|(_, end, _)| *end);
                if newest.is_some_and(|newest| advance(newest, 1) != first) {
                    return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
                }
            }
        }
        let offset = i64::try_from(self.records.len()).expect("few");
        let producer = self.producers.entry(id).or_default();
        if producer.epoch != epoch {
            *producer = Producer { epoch, last: VecDeque::new() };
        }
        producer.last.push_back((first, last, offset));
        if producer.last.len() > REMEMBERED {
            producer.last.pop_front();
        }
        for record in &batch.records {
            assert!(!self.records.contains(record), "{record} is in the log already: {batch:?}");
            // Under another id, a broker cannot tell what came late: that is not promised.
            let before = self.records.iter().zip(&self.writers).rev().find(|(_, writer)| **writer == id);
            assert!(
                before.is_none_or(|(before, _)| before < record),
                "{record} is behind {before:?}: {batch:?}"
            );
            self.records.push(*record);
            self.writers.push(id);
        }
        Ok(offset)
    }

    /// Who leads restarted: of each producer, a broker's disk has the last batch.
    pub(super) fn restart(&mut self) {
        for producer in self.producers.values_mut() {
            producer.last.drain(..producer.last.len().saturating_sub(1));
        }
    }
}

/// The sequence so many records after another: after the largest comes zero.
fn advance(sequence: i32, count: usize) -> i32 {
    let sum = i64::from(sequence) + i64::try_from(count).expect("few");
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).expect("a remainder")
}

/// How many batches of a producer a broker remembers.
const REMEMBERED: usize = 5;
