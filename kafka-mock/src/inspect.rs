//! What can be said of a produced batch without knowing the log it goes to: the part of a broker's checks that costs time.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_batch::{BatchHeader, HEADER_SIZE, LENGTH_OVERHEAD, OwnedRecord, crc32c};
use kafka_wire::messages::ProduceRequest;
use kafka_wire::{ErrorCode, Records};

use crate::fault::Fault;
use crate::records;
use crate::settings::TopicSettings;

/// A batch of which a broker could tell that it is one.
#[derive(Clone, Debug)]
pub(crate) struct Inspected {
    pub(crate) header: BatchHeader,
    /// The batch, header included, without an offset yet.
    bytes: Bytes,
    /// The first thing that is wrong with its bytes; the size is judged before it.
    fault: Option<Fault>,
    facts: Facts,
}

/// What the rules of a topic are about.
#[derive(Clone, Copy, Debug)]
struct Facts {
    earliest: i64,
    latest: i64,
    has_keyless: bool,
}

/// All batches of a request, partition by partition.
pub(crate) fn request(request: &ProduceRequest, version: i16) -> Vec<Result<Inspected, Fault>> {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.map(|partition| Inspected::new(partition.records.as_ref(), version)).collect()
}

/// The record count that the first batch claims, of which nothing else is looked at.
pub(crate) fn claimed_count(records: &Records) -> i64 {
    let first = records.slices().next().and_then(|slice| slice.first_chunk::<HEADER_SIZE>());
    first.map_or(0, |header| i64::from(BatchHeader::decode(header).record_count.max(0)))
}

impl Inspected {
    /// Fails where a broker refuses a batch before it looks for the log.
    fn new(records: Option<&Records>, version: i16) -> Result<Self, Fault> {
        Self::of_one_batch(records, version).map_err(Fault::before_log)
    }

    fn of_one_batch(records: Option<&Records>, version: i16) -> Result<Self, Fault> {
        let bytes = records.map(Records::to_bytes).unwrap_or_default();
        let invalid = |message: &str| Fault::new(ErrorCode::INVALID_RECORD, message);
        if bytes.is_empty() {
            return Err(invalid("a partition without a batch"));
        }
        let Some(head) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Err(invalid("fewer bytes than the header of a batch has"));
        };
        let header = BatchHeader::decode(head);
        if header.magic != MAGIC {
            return Err(invalid(&format!("magic {}, where only 2 is taken", header.magic)));
        }
        match usize::try_from(header.batch_length).map(|length| length.saturating_add(LENGTH_OVERHEAD)) {
            Ok(length) if length == bytes.len() => {}
            Ok(length) if (HEADER_SIZE..bytes.len()).contains(&length) => {
                return Err(invalid("more than one batch for a partition"));
            }
            _ => return Err(invalid("a batch length that is not the length of the batch")),
        }
        if header.codec() == ZSTD && version < FIRST_WITH_ZSTD {
            let message =
                format!("zstd is taken from Produce version {FIRST_WITH_ZSTD} on, and this is {version}");
            return Err(Fault::new(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, message));
        }
        let (header, bytes) = without_foreign_bits(header, bytes);
        let (fault, facts) = match examine(&header, &bytes) {
            Ok(facts) => (None, facts),
            Err(fault) => (Some(fault), Facts::NONE),
        };
        Ok(Self { header, bytes, fault, facts })
    }

    /// Judges the batch by the rules of its topic, in a broker's order.
    pub(crate) fn check(&self, settings: &TopicSettings, now: i64) -> Result<(), Fault> {
        if self.header.base_offset != 0 {
            let message = format!("a base offset of {}, where producers send 0", self.header.base_offset);
            return Err(Fault::new(ErrorCode::INVALID_RECORD, message));
        }
        if self.bytes.len() > settings.max_message_bytes {
            let (size, limit) = (self.bytes.len(), settings.max_message_bytes);
            let message = format!("a batch of {size} bytes, where max.message.bytes is {limit}");
            return Err(Fault::new(ErrorCode::MESSAGE_TOO_LARGE, message));
        }
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if settings.compacted && self.facts.has_keyless {
            let blame = self.blame(|record| record.key.is_none().then(|| "no key".to_owned()));
            let message = "a compacted topic takes only records with a key";
            return Err(Fault { records: blame, ..Fault::new(ErrorCode::INVALID_RECORD, message) });
        }
        if settings.log_append_time {
            return Ok(());
        }
        let earliest = now.saturating_sub(settings.timestamp_before_max_ms);
        let latest = now.saturating_add(settings.timestamp_after_max_ms);
        if self.facts.earliest < earliest || self.facts.latest > latest {
            let blame = self.blame(|record| {
                let fits = (earliest..=latest).contains(&record.timestamp);
                (!fits)
                    .then(|| format!("timestamp {} is not within [{earliest}, {latest}]", record.timestamp))
            });
            let message = "a timestamp too far from the broker's clock";
            return Err(Fault { records: blame, ..Fault::new(ErrorCode::INVALID_TIMESTAMP, message) });
        }
        Ok(())
    }

    /// The bytes as they go into a log: with offset and leader epoch, which the checksum does not cover, and with the time of
    /// the append where the topic wants it, which it does. A copy, so that a log holds on to nothing of the request.
    pub(crate) fn stored_at(&self, base_offset: i64, leader_epoch: i32, append_time: Option<i64>) -> Bytes {
        let records = self.bytes.get(HEADER_SIZE..).unwrap_or_default();
        let mut header = BatchHeader { base_offset, partition_leader_epoch: leader_epoch, ..self.header };
        if let Some(time) = append_time {
            header.attributes |= LOG_APPEND_TIME;
            header.max_timestamp = time;
            header.crc = checksum(&header, records);
        }
        let mut stored = BytesMut::with_capacity(self.bytes.len());
        stored.put_slice(&header.encode());
        stored.put_slice(records);
        stored.freeze()
    }

    /// Index and sentence of each record that `judge` has one for.
    fn blame(&self, judge: impl Fn(&OwnedRecord) -> Option<String>) -> Vec<(i32, String)> {
        let mut blamed = Vec::new();
        let mut index = 0;
        let read = records::open(&self.bytes).and_then(|batch| {
            records::walk(&batch, |record| {
                if blamed.len() < MAX_BLAMED {
                    blamed.extend(judge(record).map(|sentence| (index, sentence)));
                }
                index += 1;
            })
        });
        debug_assert_eq!(read, Ok(()));
        blamed
    }
}

impl Facts {
    /// Of a batch that is refused anyway.
    const NONE: Self = Self { earliest: 0, latest: 0, has_keyless: false };
}

/// Brokers make nothing of attributes that they do not know or that are theirs to set, and store the batch without them. One
/// whose checksum is wrong stays as it is, to be refused.
fn without_foreign_bits(mut header: BatchHeader, bytes: Bytes) -> (BatchHeader, Bytes) {
    let records = bytes.get(HEADER_SIZE..).unwrap_or_default();
    if header.attributes & !PRODUCERS_BITS == 0 || checksum(&header, records) != header.crc {
        return (header, bytes);
    }
    header.attributes &= PRODUCERS_BITS;
    header.crc = checksum(&header, records);
    let bytes = [&header.encode()[..], records].concat().into();
    (header, bytes)
}

fn checksum(header: &BatchHeader, records: &[u8]) -> u32 {
    crc32c([header.encode().get(CHECKED_FROM..).unwrap_or_default(), records])
}

/// Reads all of a batch, in a broker's order.
fn examine(header: &BatchHeader, bytes: &Bytes) -> Result<Facts, Fault> {
    let batch = records::open(bytes)?;
    let invalid = |message: String| Err(Fault::new(ErrorCode::INVALID_RECORD, message));
    let (count, last) = (header.record_count, header.last_offset_delta);
    if count <= 0 || i64::from(count) != i64::from(last) + 1 {
        return invalid(format!("a record count of {count} with a last offset delta of {last}"));
    }
    if header.is_control() {
        return invalid("a control batch, which only brokers write".to_owned());
    }
    if header.producer_id.0 >= 0 && header.base_sequence < 0 {
        return invalid(format!("base sequence {} with a producer id", header.base_sequence));
    }
    let mut facts = Facts { earliest: i64::MAX, latest: i64::MIN, has_keyless: false };
    records::walk(&batch, |record| {
        facts.earliest = facts.earliest.min(record.timestamp);
        facts.latest = facts.latest.max(record.timestamp);
        facts.has_keyless |= record.key.is_none();
    })?;
    Ok(facts)
}

const MAGIC: i8 = 2;

const ZSTD: i16 = 4;

const FIRST_WITH_ZSTD: i16 = 7;

/// The attribute of a batch whose timestamps are those of its append.
const LOG_APPEND_TIME: i16 = 1 << 3;

/// Codec, transactional, control, and a fourth one that brokers keep.
const PRODUCERS_BITS: i16 = 0b111_0111;

/// Where the bytes begin that the checksum covers: at the attributes.
const CHECKED_FROM: usize = 21;

/// Records named one by one in an answer.
const MAX_BLAMED: usize = 1000;
