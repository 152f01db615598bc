//! The 61 bytes in front of a batch's records.
//!
//! | offset | size | field | from a producer |
//! |---:|---:|---|---|
//! | 0 | 8 | base offset | 0; the broker writes the real one |
//! | 8 | 4 | batch length | everything after this field |
//! | 12 | 4 | partition leader epoch | −1; the broker writes it |
//! | 16 | 1 | magic | 2 |
//! | 17 | 4 | CRC-32C | of everything from offset 21 on |
//! | 21 | 2 | attributes | codec, timestamp type, transactional, control |
//! | 23 | 4 | last offset delta | record count − 1 |
//! | 27 | 8 | base timestamp | of the first record; later deltas may be negative |
//! | 35 | 8 | max timestamp | |
//! | 43 | 8 | producer id | or −1 |
//! | 51 | 2 | producer epoch | or −1 |
//! | 53 | 4 | base sequence | or −1 |
//! | 57 | 4 | record count | |
//!
//! The fields before the CRC are outside of it, so that a broker can give offsets without reading the records again.

use kafka_wire::{ProducerEpoch, ProducerId};

/// Size of a batch's header.
pub const HEADER_SIZE: usize = 61;

/// What the batch length field does not count: itself and the base offset.
pub const LENGTH_OVERHEAD: usize = 12;

/// The one format version there is today.
pub(crate) const MAGIC: i8 = 2;

/// Where the CRC begins to count.
pub(crate) const CRC_START: usize = 21;

pub(crate) const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A batch's header, decoded.
#[expect(clippy::exhaustive_structs, reason = "the format's fields, all of them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record in the log; 0 from a producer.
    pub base_offset: i64,
    /// Bytes that follow this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; −1 from a producer.
    pub partition_leader_epoch: i32,
    /// Format version; 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on, compressed bytes as they are.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: i16,
    /// Offset of the last record, less that of the first.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, from which the others are counted.
    pub base_timestamp: i64,
    /// The largest timestamp.
    pub max_timestamp: i64,
    /// Producer id, or −1.
    pub producer_id: ProducerId,
    /// Producer epoch, or −1.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record, or −1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

/// The numbers by which a broker recognises a batch that it has already seen: producer id, epoch, sequence.
///
/// They are the only part of a sealed batch that can change: see [`SealedBatch::stamp`](crate::SealedBatch::stamp).
#[expect(clippy::exhaustive_structs, reason = "built with a literal by whoever gives out numbers")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Producer id, or −1.
    pub producer_id: ProducerId,
    /// Producer epoch, or −1.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the batch's first record, or −1.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
}

impl Stamp {
    /// No numbers: the broker does not look for duplicates.
    pub const NONE: Self = Self {
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        transactional: false,
    };
}

impl Default for Stamp {
    fn default() -> Self {
        Self::NONE
    }
}

impl BatchHeader {
    /// The bytes, CRC and all.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, self.base_offset.to_be_bytes());
        put(&mut rest, self.batch_length.to_be_bytes());
        put(&mut rest, self.partition_leader_epoch.to_be_bytes());
        put(&mut rest, self.magic.to_be_bytes());
        put(&mut rest, self.crc.to_be_bytes());
        put(&mut rest, self.attributes.to_be_bytes());
        put(&mut rest, self.last_offset_delta.to_be_bytes());
        put(&mut rest, self.base_timestamp.to_be_bytes());
        put(&mut rest, self.max_timestamp.to_be_bytes());
        put(&mut rest, self.producer_id.0.to_be_bytes());
        put(&mut rest, self.producer_epoch.0.to_be_bytes());
        put(&mut rest, self.base_sequence.to_be_bytes());
        put(&mut rest, self.record_count.to_be_bytes());
        debug_assert!(rest.is_empty(), "the fields add up to the header's size");
        bytes
    }

    /// Reads the fields; checks nothing.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        let mut rest = bytes.as_slice();
        Self {
            base_offset: i64::from_be_bytes(take(&mut rest)),
            batch_length: i32::from_be_bytes(take(&mut rest)),
            partition_leader_epoch: i32::from_be_bytes(take(&mut rest)),
            magic: i8::from_be_bytes(take(&mut rest)),
            crc: u32::from_be_bytes(take(&mut rest)),
            attributes: i16::from_be_bytes(take(&mut rest)),
            last_offset_delta: i32::from_be_bytes(take(&mut rest)),
            base_timestamp: i64::from_be_bytes(take(&mut rest)),
            max_timestamp: i64::from_be_bytes(take(&mut rest)),
            producer_id: ProducerId(i64::from_be_bytes(take(&mut rest))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(take(&mut rest))),
            base_sequence: i32::from_be_bytes(take(&mut rest)),
            record_count: i32::from_be_bytes(take(&mut rest)),
        }
    }

    /// Writes the numbers and the transactional bit; the CRC has to be computed again.
    pub(crate) fn set_stamp(&mut self, stamp: Stamp) {
        self.producer_id = stamp.producer_id;
        self.producer_epoch = stamp.producer_epoch;
        self.base_sequence = stamp.base_sequence;
        self.attributes =
            (self.attributes & !TRANSACTIONAL) | if stamp.transactional { TRANSACTIONAL } else { 0 };
    }

    /// The numbers.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        Stamp {
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            transactional: self.is_transactional(),
        }
    }

    /// The codec's number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing yet.
    #[must_use]
    pub const fn codec(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a marker that a broker wrote (end of a transaction), not records of a producer.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether all records have the time at which the broker appended them, `max_timestamp`.
    #[must_use]
    pub const fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }
}

fn put<const N: usize>(rest: &mut &mut [u8], field: [u8; N]) {
    if let Some((head, tail)) = std::mem::take(rest).split_first_chunk_mut::<N>() {
        *head = field;
        *rest = tail;
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk::<N>() {
        Some((head, tail)) => {
            *rest = tail;
            *head
        }
        None => [0; N],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_and_decode_are_inverse() {
        let header = BatchHeader {
            base_offset: 1,
            batch_length: 2,
            partition_leader_epoch: 3,
            magic: 2,
            crc: 0xdead_beef,
            attributes: 0b01_0010,
            last_offset_delta: 6,
            base_timestamp: -7,
            max_timestamp: i64::MAX,
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(10),
            base_sequence: 11,
            record_count: 12,
        };
        assert_eq!(BatchHeader::decode(&header.encode()), header);
        assert_eq!(header.codec(), 2);
        assert!(header.is_transactional() && !header.is_control() && !header.is_log_append_time());
        let mut stamped = header;
        stamped.set_stamp(Stamp::NONE);
        assert_eq!(stamped.stamp(), Stamp::NONE);
        assert_eq!(stamped.codec(), 2);
    }
}
