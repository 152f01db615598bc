//! Exact sizes, before a byte is written.
//!
//! A record is `length, attributes, timestamp delta, offset delta, key, value, headers`, all lengths as zig-zag varints; its
//! size depends on where in the batch it stands, because the deltas do. See the message format documentation of Kafka,
//! "Record", and KIP-98.

use kafka_wire::varint::{size_u64, zigzag_i64};

use crate::encode::{ONE_BYTE, TWO_BYTES};
use crate::layout::HEADER_SIZE;
use crate::record::Record;

/// The exact number of bytes `record` takes as number `index` of a batch whose first record has the timestamp
/// `base_timestamp`.
#[must_use]
pub fn record_size(record: &Record<'_>, base_timestamp: i64, index: u32) -> usize {
    let body = body_size(record, record.timestamp.wrapping_sub(base_timestamp), index);
    varint_len(body).saturating_add(body)
}

/// The exact size of the batch that holds only this record, header included, without compression.
#[must_use]
pub fn single_record_batch_size(record: &Record<'_>) -> usize {
    record_size(record, record.timestamp, 0).saturating_add(HEADER_SIZE)
}

/// The smallest record: no key, no value, no headers, both deltas zero.
pub const MIN_RECORD_SIZE: usize = 7;

/// What follows the length: everything that the length counts.
pub(crate) fn body_size(record: &Record<'_>, delta: i64, index: u32) -> usize {
    let mut size = 1 + varint_size(zigzag_i64(delta)) + varint_size(u64::from(index) << 1);
    size = size.saturating_add(nullable_size(record.key)).saturating_add(nullable_size(record.value));
    size += varint_len(record.headers.len());
    for header in record.headers {
        let key = header.key.len();
        size = size
            .saturating_add(varint_len(key))
            .saturating_add(key)
            .saturating_add(nullable_size(header.value));
    }
    size
}

/// A length and its bytes, or the length −1.
fn nullable_size(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => varint_len(bytes.len()).saturating_add(bytes.len()),
        None => 1,
    }
}

/// Bytes of the zig-zag varint of a length.
pub(crate) fn varint_len(len: usize) -> usize {
    varint_size((len as u64) << 1)
}

/// Bytes of a varint: the one or two that nearly all have are told by comparing, which takes less than to count bits.
#[inline]
fn varint_size(zigzagged: u64) -> usize {
    if zigzagged < ONE_BYTE {
        1
    } else if zigzagged < TWO_BYTES {
        2
    } else {
        size_u64(zigzagged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;

    #[test]
    fn the_table_of_known_sizes() {
        let zeros = vec![0; 1_048_489];
        for (key, value, size) in [
            (None, 0, 68),
            (None, 100, 170),
            (Some(10), 100, 180),
            (Some(10), 1000, 1080),
            (Some(16), 1024, 1110),
            (None, 1_048_489, 1_048_561),
        ] {
            let record = Record {
                timestamp: 7,
                key: key.map(|n: usize| &zeros[..n]),
                value: Some(&zeros[..value]),
                headers: &[],
            };
            assert_eq!(single_record_batch_size(&record), size, "{key:?} {value}");
        }
    }

    #[test]
    fn null_and_empty_take_the_same_room() {
        let null = Record::default();
        let empty = Record { key: Some(b""), value: Some(b""), ..null };
        assert_eq!(record_size(&null, 0, 0), MIN_RECORD_SIZE);
        assert_eq!(record_size(&empty, 0, 0), MIN_RECORD_SIZE);
    }

    #[test]
    fn deltas_and_headers_count() {
        let headers = [Header { key: "h", value: Some(b"x") }, Header { key: "n", value: None }];
        let record = Record { timestamp: 64, headers: &headers, ..Record::default() };
        // 1 attributes, 2 timestamp delta, 2 offset delta, 1 key, 1 value, 1 header count, 4 and 3 headers, 1 length.
        assert_eq!(record_size(&record, 0, 64), 16);
    }
}
