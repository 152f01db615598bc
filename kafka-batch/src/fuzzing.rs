//! Bodies of the fuzz targets, shared with the tests: `fuzz/` runs them under libFuzzer, `tests/fuzzing` over the
//! committed corpora and under proptest.
//!
//! Each takes any input and panics if the crate broke a promise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::batch::{DrainedBatch, SendReason};
use crate::compress::{Compression, Compressor};
use crate::layout::{HEADER_SIZE, Stamp};
use crate::limits::{CHUNK_SIZE, Limits, QueueSettings};
use crate::record::{Header, OwnedRecord, Record};
use crate::seal::{SealedBatch, SplitError};
use crate::{Accumulator, AppendError, BatchBuilder, BatchReader, Pool};

/// Whatever a broker or a client may send as records: read all of it, then write what was read and read that.
///
/// The first byte chooses what is done to the rest: as it is, or with the CRC (and length) made right so that the reader gets
/// past them.
pub fn batch(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let mut bytes = data.to_vec();
    if mode % 2 == 1 {
        repair(&mut bytes);
    }
    for batch in BatchReader::with_limit(Bytes::from(bytes), READ_LIMIT) {
        let Ok(batch) = batch else { return };
        let Ok(records) = batch.records() else { continue };
        let mut read = Vec::new();
        let mut complete = true;
        for record in records {
            match record {
                Ok(record) => read.push(record.record),
                Err(_) => complete = false,
            }
        }
        assert!(read.len() <= batch.header().record_count.max(0).unsigned_abs() as usize);
        if complete && !read.is_empty() {
            rewrite(&read);
        }
    }
}

/// Makes length and CRC of one batch right.
fn repair(bytes: &mut [u8]) {
    let length = i32::try_from(bytes.len().saturating_sub(12)).unwrap_or(i32::MAX);
    if let Some(field) = bytes.get_mut(8..12) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    let crc = crate::crc32c([bytes.get(21..).unwrap_or_default()]);
    if let Some(field) = bytes.get_mut(17..21) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}

fn rewrite(records: &[OwnedRecord]) {
    let limits = Limits::new(READ_LIMIT, 4 * READ_LIMIT, 8 * READ_LIMIT).unwrap_or_default();
    let pool = Pool::new(&limits);
    let mut builder: Option<BatchBuilder> = None;
    for record in records {
        record.with_borrowed(|record| match &mut builder {
            None => builder = BatchBuilder::open(record, &limits, &mut &pool).ok(),
            Some(open) => {
                if open.append_fast(record).is_none() {
                    let _ = open.append_slow(record, &mut &pool);
                }
            }
        });
    }
    let Some(builder) = builder else { return };
    let count = builder.count() as usize;
    let bytes: Vec<u8> = builder.finish().slices().flatten().copied().collect();
    let header = crate::BatchHeader {
        base_offset: 0,
        batch_length: 0,
        partition_leader_epoch: -1,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: i32::try_from(count).unwrap_or(i32::MAX) - 1,
        base_timestamp: records.first().map_or(0, |record| record.timestamp),
        max_timestamp: 0,
        producer_id: Stamp::NONE.producer_id,
        producer_epoch: Stamp::NONE.producer_epoch,
        base_sequence: -1,
        record_count: i32::try_from(count).unwrap_or(i32::MAX),
    };
    let again = crate::RecordReader::new(&header, Bytes::from(bytes), READ_LIMIT).and_then(Iterator::collect);
    let again: Vec<_> = match again {
        Ok(again) => again,
        Err(error) => panic!("cannot read what was written: {error}"),
    };
    assert!(again.iter().map(|read| &read.record).eq(records.iter().take(count)), "other records came out");
}

/// A step of a life of an [`Accumulator`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "built by tests and fuzz targets")]
pub enum Op {
    /// Append a record of these sizes.
    Append {
        /// To which partition, modulo their number.
        partition: u8,
        /// Bytes of the key.
        key: Option<u16>,
        /// Bytes of the value.
        value: Option<u16>,
        /// Number of headers.
        headers: u8,
        /// Timestamp, less the base.
        timestamp: i64,
    },
    /// Let time go by, in milliseconds.
    Advance(u16),
    /// Take a request, seal its batches.
    Poll,
    /// Let go of a batch in flight.
    Resolve(u8),
    /// Send a batch in flight again, with another base sequence.
    SendAgain(u8, u8),
    /// Split a batch in flight.
    Split(u8),
    /// Close what is open.
    Flush,
    /// Take what is expired.
    Expire,
}

/// Settings of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by tests and fuzz targets")]
pub struct Config {
    /// `batch.size`.
    pub batch_size: u32,
    /// `max.request.size`.
    pub max_request_size: u32,
    /// Chunks of memory.
    pub chunks: u8,
    /// Linger, in milliseconds.
    pub linger: u8,
    /// Which of the compiled codecs.
    pub codec: u8,
}

/// An accumulator beside a simple model of it.
///
/// [`apply`](Self::apply) does a step to both and compares; [`finish`](Self::finish) drains everything and checks that each record
/// came out exactly once and that all memory is back.
#[derive(Debug)]
pub struct World {
    accumulator: Accumulator<u64, u8>,
    compressor: Compressor,
    settings: QueueSettings,
    now: Instant,
    model: BTreeMap<u8, Model>,
    in_flight: Vec<(u8, SealedBatch<u64>)>,
    /// Chunks that splits may have taken beyond the limit.
    overdraft: usize,
    next_tag: u64,
}

/// What a partition should be like.
#[derive(Debug, Default)]
struct Model {
    accepted: Vec<Accepted>,
    /// Position of the first record that was never drained.
    fresh: u64,
    /// Positions of records that are resolved or expired.
    done: BTreeSet<u64>,
}

#[derive(Debug)]
struct Accepted {
    record: OwnedRecord,
    at: Instant,
}

impl World {
    /// A world with these settings, made valid.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant; only differences count"
    )]
    #[expect(clippy::indexing_slicing, reason = "an index modulo the length")]
    pub fn new(config: Config) -> Self {
        let chunks = usize::from(config.chunks).max(1);
        let max_request = (config.max_request_size as usize).clamp(68, 1 << 20);
        let limits =
            Limits::new(config.batch_size as usize, max_request, chunks * CHUNK_SIZE).unwrap_or_default();
        let settings = QueueSettings {
            limits,
            linger: Duration::from_millis(config.linger.into()),
            delivery_timeout: DELIVERY_TIMEOUT,
        };
        let codecs = Compression::compiled();
        let codec = codecs[usize::from(config.codec) % codecs.len()];
        Self {
            accumulator: Accumulator::new(settings),
            compressor: Compressor::new(codec).unwrap_or_else(|_| Compressor::none()),
            settings,
            now: Instant::now(),
            model: BTreeMap::new(),
            in_flight: Vec::new(),
            overdraft: 0,
            next_tag: 0,
        }
    }

    /// Does one step.
    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append { partition, key, value, headers, timestamp } => {
                self.append(partition % PARTITIONS, key, value, headers % 4, timestamp);
            }
            Op::Advance(ms) => self.now += Duration::from_millis(ms.into()),
            Op::Poll => {
                self.poll();
            }
            Op::Resolve(which) => {
                if let Some((partition, batch)) = self.pick(which) {
                    self.resolve(partition, batch.position(), batch.count());
                }
            }
            Op::SendAgain(which, sequence) => self.send_again(which, sequence),
            Op::Split(which) => self.split(which),
            Op::Flush => self.accumulator.close_all(SendReason::Flush),
            Op::Expire => self.expire(),
        }
        self.check();
    }

    /// What holds at every moment.
    pub fn check(&self) {
        let limits = &self.settings.limits;
        let pool = self.accumulator.pool();
        let used = pool.used() / CHUNK_SIZE;
        assert!(used <= limits.chunks() + self.overdraft, "buffer.memory is exceeded: {used} chunks");
        if self.accumulator.is_empty() && self.in_flight.is_empty() {
            assert_eq!(used, 0, "nothing is left, but memory is");
        }
        for (partition, model) in &self.model {
            let appended = self.accumulator.queue(*partition).map_or(0, crate::PartitionQueue::appended);
            assert_eq!(appended, model.accepted.len() as u64);
        }
    }

    /// Drains and resolves everything.
    pub fn finish(mut self) {
        self.accumulator.close_all(SendReason::Close);
        self.now += DELIVERY_TIMEOUT / 4;
        while !self.poll().is_empty() {}
        for (partition, batch) in std::mem::take(&mut self.in_flight) {
            self.resolve(partition, batch.position(), batch.count());
        }
        self.check();
        assert!(self.accumulator.is_empty(), "something was not drained");
        for model in self.model.values() {
            assert_eq!(model.done.len(), model.accepted.len(), "records were lost");
        }
        assert_eq!(self.accumulator.pool().used(), 0);
        assert_eq!(self.accumulator.poll_timeout(), None);
    }

    fn append(&mut self, partition: u8, key: Option<u16>, value: Option<u16>, headers: u8, timestamp: i64) {
        let seed = self.next_tag;
        let fill = |len: u16, salt: u64| {
            (0..u64::from(len))
                .map(|i| (seed.wrapping_mul(31) ^ (i / 7) ^ salt).to_le_bytes()[0])
                .collect::<Vec<_>>()
        };
        let (key, value) = (key.map(|len| fill(len, 1)), value.map(|len| fill(len, 2)));
        let header_value = fill(u16::from(headers), 3);
        let all = [
            Header { key: "h", value: Some(&header_value) },
            Header { key: "", value: None },
            Header { key: "a longer name, with ümlaut", value: Some(b"") },
        ];
        let record = Record {
            timestamp: BASE_TIMESTAMP.wrapping_add(timestamp),
            key: key.as_deref(),
            value: value.as_deref(),
            headers: all.get(..headers.into()).unwrap_or_default(),
        };
        let single = HEADER_SIZE + naive_size(&record, 0, 0);
        let used = self.accumulator.pool().used() / CHUNK_SIZE;
        let tag = self.next_tag;
        self.next_tag += 1;
        let (max, setting) = self.settings.limits.single_record_limit();
        let result = self.accumulator.append(partition, &record, self.now, || tag);
        if single > max {
            assert_eq!(result, Err(AppendError::TooLarge { size: single, max, setting }));
            return;
        }
        let model = self.model.entry(partition).or_default();
        match result {
            Ok(slot) => {
                model.accepted.push(Accepted { record: OwnedRecord::from(&record), at: self.now });
                assert!(slot.tag <= tag && (slot.tag < tag || slot.index == 0));
            }
            Err(AppendError::NoRoom { chunks }) => {
                assert!(used + chunks > self.settings.limits.chunks(), "refused {chunks}, used {used}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn poll(&mut self) -> Vec<u8> {
        let taken = self.accumulator.poll_request(self.now);
        let size: usize = taken.iter().map(|(_, batch)| batch.size()).sum();
        assert!(size <= self.settings.limits.max_request_size(), "a request of {size} bytes");
        let partitions: Vec<u8> = taken.iter().map(|(partition, _)| *partition).collect();
        assert_eq!(partitions.iter().collect::<BTreeSet<_>>().len(), taken.len(), "one batch a partition");
        for (partition, batch) in taken {
            self.drained(partition, &batch);
            let predicted = batch.size();
            let stamp = Stamp { base_sequence: 7, ..Stamp::NONE };
            let sealed = batch.seal(stamp, &mut self.compressor);
            assert_eq!(sealed.predicted_size(), predicted);
            let unchanged = sealed.header().codec() == 0;
            assert!(sealed.size() == predicted || (!unchanged && sealed.size() < predicted));
            self.read(partition, &sealed);
            self.in_flight.push((partition, sealed));
        }
        if partitions.is_empty() {
            self.nothing_is_late();
        }
        partitions
    }

    /// The batch is the next one, and within its limits.
    fn drained(&mut self, partition: u8, batch: &DrainedBatch<u64>) {
        let now = self.now;
        let Some(model) = self.model.get_mut(&partition) else { panic!("no record for {partition}") };
        let position = batch.position();
        assert_eq!(position, model.fresh, "order");
        model.fresh += u64::from(batch.count());
        let records = model.records(position, batch.count());
        let Some(first) = records.first() else { panic!("an empty batch") };
        assert_eq!(batch.created(), first.at);
        if batch.reason() == SendReason::Linger {
            assert!(first.at + self.settings.linger <= now, "it left before its linger time was over");
        }
        let base = first.record.timestamp;
        let sizes = (0..).zip(records).map(|(index, accepted)| {
            let delta = accepted.record.timestamp.wrapping_sub(base);
            accepted.record.with_borrowed(|record| naive_size(record, delta, index))
        });
        assert_eq!(batch.size(), HEADER_SIZE + sizes.sum::<usize>(), "predicted size");
        let limit = self.settings.limits.batch_limit();
        assert!(batch.size() <= limit || batch.count() == 1, "{} bytes in a batch", batch.size());
    }

    fn read(&self, partition: u8, sealed: &SealedBatch<u64>) {
        let bytes = sealed.records().to_bytes();
        assert_eq!(bytes.len(), sealed.size());
        let batches: Result<Vec<_>, _> = BatchReader::new(bytes).collect();
        let Ok([batch]) = batches.as_deref() else { panic!("not one batch: {batches:?}") };
        let read: Result<Vec<_>, _> = batch.records().and_then(Iterator::collect);
        let Ok(read) = read else { panic!("{read:?}") };
        let Some(model) = self.model.get(&partition) else { panic!("no record for {partition}") };
        let expected = model.records(sealed.position(), sealed.count());
        assert!(read.iter().map(|read| &read.record).eq(expected.iter().map(|a| &a.record)));
        let max = expected.iter().map(|accepted| accepted.record.timestamp).max();
        assert_eq!(Some(batch.header().max_timestamp), max);
    }

    /// After a poll that gave nothing, whatever waits has a reason to.
    fn nothing_is_late(&self) {
        for model in self.model.values() {
            if let Some(waiting) = model.accepted.get(index(model.fresh)) {
                assert!(waiting.at + self.settings.linger > self.now, "the linger time is over");
                let timeout = self.accumulator.poll_timeout();
                assert!(
                    timeout.is_some_and(|at| at <= waiting.at + self.settings.linger),
                    "nobody would wake"
                );
            }
        }
    }

    /// The payload stays, the checksum is right, and an earlier clone keeps its numbers.
    fn send_again(&mut self, which: u8, sequence: u8) {
        let Some((partition, mut batch)) = self.pick(which) else { return };
        let before = batch.clone();
        batch.stamp(Stamp { base_sequence: sequence.into(), ..Stamp::NONE });
        assert!(batch.payload().eq(before.payload()));
        assert_eq!(batch.header().base_sequence, i32::from(sequence));
        self.read(partition, &batch);
        self.read(partition, &before);
        self.in_flight.push((partition, batch));
    }

    fn split(&mut self, which: u8) {
        let Some((partition, batch)) = self.pick(which) else { return };
        let mut tags = 0;
        let split = batch.split(self.accumulator.pool(), || {
            tags += 1;
            tags
        });
        let parts = match split {
            Ok(parts) => parts,
            Err(SplitError::SingleRecord) => {
                assert_eq!(batch.count(), 1);
                return self.in_flight.push((partition, batch));
            }
            Err(error) => panic!("{error}"),
        };
        assert!(parts.len() > 1 && tags == parts.len() as u64);
        // Each part may take a chunk more than its share of the whole.
        self.overdraft += parts.len() + batch.predicted_size().div_ceil(CHUNK_SIZE);
        let mut position = batch.position();
        for part in parts {
            assert_eq!(part.position(), position);
            assert_eq!((part.created(), part.expires_at()), (batch.created(), batch.expires_at()));
            assert!(part.count() < batch.count());
            position += u64::from(part.count());
            let sealed = part.seal(Stamp::NONE, &mut self.compressor);
            self.read(partition, &sealed);
            self.in_flight.push((partition, sealed));
        }
        assert_eq!(position, batch.position() + u64::from(batch.count()), "the split lost a record");
    }

    fn expire(&mut self) {
        for (partition, batch) in self.accumulator.expire(self.now) {
            assert!(batch.created() + DELIVERY_TIMEOUT <= self.now, "expired too early");
            let Some(model) = self.model.get_mut(&partition) else { panic!("no record for {partition}") };
            assert_eq!(batch.position(), model.fresh);
            model.fresh += u64::from(batch.count());
            self.resolve(partition, batch.position(), batch.count());
        }
        for model in self.model.values() {
            let at = model.accepted.get(index(model.fresh)).map(|accepted| accepted.at);
            assert!(at.is_none_or(|at| at + DELIVERY_TIMEOUT > self.now), "an expired batch stayed");
        }
    }

    fn resolve(&mut self, partition: u8, position: u64, count: u32) {
        let Some(model) = self.model.get_mut(&partition) else { panic!("no record for {partition}") };
        for record in position..position + u64::from(count) {
            assert!(model.done.insert(record), "record {record} was resolved twice");
        }
    }

    fn pick(&mut self, which: u8) -> Option<(u8, SealedBatch<u64>)> {
        let at = usize::from(which).checked_rem(self.in_flight.len())?;
        Some(self.in_flight.swap_remove(at))
    }
}

impl Model {
    fn records(&self, position: u64, count: u32) -> &[Accepted] {
        let start = index(position);
        self.accepted.get(start..start + count as usize).unwrap_or_default()
    }
}

/// Runs the list of operations that the bytes spell.
pub fn append_ops(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut byte = || bytes.next();
    let config = (|| {
        let size = u32::from(byte()?) << (byte()? % 13);
        let request = u32::from(byte()?) << (byte()? % 13);
        Some(Config {
            batch_size: size,
            max_request_size: request,
            chunks: byte()? % 24,
            linger: byte()?,
            codec: byte()?,
        })
    })();
    let Some(config) = config else { return };
    let mut world = World::new(config);
    for _ in 0..MAX_OPS {
        let Some(op) = next_op(&mut byte) else { break };
        world.apply(&op);
    }
    world.finish();
}

fn next_op(byte: &mut impl FnMut() -> Option<u8>) -> Option<Op> {
    let kind = byte()?;
    let mut length = |present: bool| -> Option<Option<u16>> {
        if !present {
            return Some(None);
        }
        let length = byte()?;
        // Mostly short, sometimes as long as several chunks.
        Some(Some(if length < 200 { length.into() } else { (u16::from(length) - 200) * 1111 }))
    };
    Some(match kind % 16 {
        0..=7 => {
            let (key, value) = (length(kind & 16 != 0)?, length(kind & 32 == 0)?);
            let timestamp = i64::from(byte()?) - 100;
            let timestamp = if kind & 64 != 0 { timestamp << 33 } else { timestamp << (kind % 8) };
            Op::Append {
                partition: byte()?,
                key,
                value,
                headers: if kind & 128 != 0 { byte()? } else { 0 },
                timestamp,
            }
        }
        8 => Op::Advance(u16::from(byte()?) << (kind >> 5)),
        9 | 10 => Op::Poll,
        11 => Op::Resolve(byte()?),
        12 => Op::SendAgain(byte()?, byte()?),
        13 => Op::Split(byte()?),
        14 => Op::Flush,
        _ => Op::Expire,
    })
}

/// The size of a record by the book: every varint written out.
fn naive_size(record: &Record<'_>, delta: i64, index: u32) -> usize {
    let varint = |value: i128| {
        let mut zigzag = if value < 0 { -2 * value - 1 } else { 2 * value };
        let mut len = 1;
        while zigzag >= 128 {
            zigzag /= 128;
            len += 1;
        }
        len
    };
    let field = |bytes: Option<&[u8]>| match bytes {
        None => 1,
        Some(bytes) => varint(bytes.len() as i128) + bytes.len(),
    };
    let headers =
        record.headers.iter().map(|h| field(Some(h.key.as_bytes())) + field(h.value)).sum::<usize>();
    let head = 1 + varint(delta.into()) + varint(index.into());
    let body =
        head + field(record.key) + field(record.value) + varint(record.headers.len() as i128) + headers;
    varint(body as i128) + body
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

const BASE_TIMESTAMP: i64 = 1_700_000_000_000;

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

const PARTITIONS: u8 = 3;

/// An input may not take for ever.
const MAX_OPS: usize = 2000;

/// What the reader under test decompresses at most.
const READ_LIMIT: usize = 1 << 20;
