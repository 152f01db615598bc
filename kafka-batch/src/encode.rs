//! Record encoders.
//!
//! Three routines, one format. [`keyless`] and [`keyed`] are for the records that nearly all are: they put the whole head
//! (length, attributes, deltas) together in a register, from right to left so that every shift is by a constant, and store
//! it as one word. [`general`] takes everything else: headers, large records, records far from the base timestamp.
//!
//! The packed ones ask for a little more room than they fill (a word is stored whole), so the last record of a chunk usually
//! goes through the general one.

use kafka_wire::varint::zigzag_i64 as zigzag;

use crate::record::Record;

/// Writes a record without key and headers; the number of bytes, or `None` if it is not for this routine or `room` may be
/// too small.
#[inline(always)]
pub(crate) fn keyless(room: &mut [u8], delta: i64, index: u32, value: Option<&[u8]>) -> Option<usize> {
    let (value, value_len) = with_length(value);
    let (delta, index) = (zigzag(delta), u64::from(index) << 1);
    if (delta | index | (value_len + 2 * HEAD_MAX as u64)) >= TWO_BYTES
        || room.len() < value.len() + PACKED_ROOM
    {
        return None;
    }
    let (value_len, value_width) = varint(value_len);
    // Key length −1, and in front of it what comes before it.
    let head = Head { word: 1, width: 1 }.prepend(index).prepend(delta).prepend_byte(0);
    let body = head.width + value_width + value.len() + 1;
    let head = head.prepend((body as u64) << 1);

    *room.first_chunk_mut()? = head.word.to_le_bytes();
    let rest = room.get_mut(head.width..)?;
    *rest.first_chunk_mut()? = value_len.to_le_bytes();
    let rest = rest.get_mut(value_width..)?;
    // The number of headers goes first: nothing is left to be checked after the copy.
    let (bytes, end) = rest.split_at_mut_checked(value.len())?;
    *end.first_mut()? = 0;
    bytes.copy_from_slice(value);
    Some(head.width + value_width + value.len() + 1)
}

/// Writes a record with a key and without headers, as [`keyless`] does.
#[inline(always)]
pub(crate) fn keyed(
    room: &mut [u8],
    delta: i64,
    index: u32,
    key: &[u8],
    value: Option<&[u8]>,
) -> Option<usize> {
    let (value, value_len) = with_length(value);
    let (delta, index) = (zigzag(delta), u64::from(index) << 1);
    let key_len = (key.len() as u64) << 1;
    if (delta | index | key_len | (value_len.wrapping_add(key_len) + 2 * HEAD_MAX as u64)) >= TWO_BYTES
        || room.len() < key.len() + value.len() + PACKED_ROOM
    {
        return None;
    }
    let (key_len, key_width) = varint(key_len);
    let (value_len, value_width) = varint(value_len);
    let head = Head { word: 0, width: 0 }.prepend(index).prepend(delta).prepend_byte(0);
    let body = head.width + key_width + key.len() + value_width + value.len() + 1;
    let head = head.prepend((body as u64) << 1);

    *room.first_chunk_mut()? = head.word.to_le_bytes();
    let rest = room.get_mut(head.width..)?;
    *rest.first_chunk_mut()? = key_len.to_le_bytes();
    let rest = rest.get_mut(key_width..)?;
    let (bytes, rest) = rest.split_at_mut_checked(key.len())?;
    bytes.copy_from_slice(key);
    *rest.first_chunk_mut()? = value_len.to_le_bytes();
    let rest = rest.get_mut(value_width..)?;
    // The number of headers goes first: nothing is left to be checked after the copy.
    let (bytes, end) = rest.split_at_mut_checked(value.len())?;
    *end.first_mut()? = 0;
    bytes.copy_from_slice(value);
    Some(head.width + key_width + key.len() + value_width + value.len() + 1)
}

/// Where [`general`] puts bytes: one chunk's room, or a chain of chunks.
pub(crate) trait Put {
    /// Appends; the caller made sure that there is room.
    fn put(&mut self, bytes: &[u8]);
}

/// Writes any record. `body` is its exact [body size](crate::size::body_size), and `out` has room for it and its length.
pub(crate) fn general(out: &mut impl Put, record: &Record<'_>, delta: i64, index: u32, body: usize) {
    put_varint(out, (body as u64) << 1);
    out.put(&[0]);
    put_varint(out, zigzag(delta));
    put_varint(out, u64::from(index) << 1);
    put_nullable(out, record.key);
    put_nullable(out, record.value);
    put_varint(out, (record.headers.len() as u64) << 1);
    for header in record.headers {
        put_varint(out, (header.key.len() as u64) << 1);
        out.put(header.key.as_bytes());
        put_nullable(out, header.value);
    }
}

/// Room in one chunk, which shrinks as it is written.
pub(crate) struct Room<'a>(pub(crate) &'a mut [u8]);

impl Put for Room<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Some((head, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.0 = rest;
        } else {
            debug_assert!(false, "the record was measured and does not fit");
        }
    }
}

fn put_nullable(out: &mut impl Put, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(out, (bytes.len() as u64) << 1);
            out.put(bytes);
        }
        None => out.put(&[1]),
    }
}

#[inline]
fn put_varint(out: &mut impl Put, zigzagged: u64) {
    if zigzagged < ONE_BYTE {
        #[expect(clippy::cast_possible_truncation, reason = "less than 128")]
        out.put(&[zigzagged as u8]);
    } else if zigzagged < TWO_BYTES {
        // A copy of constant length is a store; one of varying length is a call.
        out.put(&varint(zigzagged).0.to_le_bytes());
    } else {
        put_long_varint(out, zigzagged);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
fn put_long_varint(out: &mut impl Put, mut value: u64) {
    let mut bytes = [0; 10];
    let mut len = 0;
    for byte in &mut bytes {
        len += 1;
        if value < ONE_BYTE {
            *byte = value as u8;
            break;
        }
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    out.put(bytes.get(..len).unwrap_or_default());
}

/// The bytes and their zig-zagged length; −1 for null is 1.
#[inline]
fn with_length(bytes: Option<&[u8]>) -> (&[u8], u64) {
    match bytes {
        Some(bytes) => (bytes, (bytes.len() as u64) << 1),
        None => (&[], 1),
    }
}

/// A record's first bytes, the first one lowest.
#[derive(Clone, Copy)]
struct Head {
    word: u64,
    width: usize,
}

impl Head {
    /// Puts a varint of at most two bytes in front.
    #[inline]
    fn prepend(self, zigzagged: u64) -> Self {
        if zigzagged < ONE_BYTE {
            Self { word: (self.word << 8) | zigzagged, width: self.width + 1 }
        } else {
            Self { word: (self.word << 16) | two_bytes(zigzagged), width: self.width + 2 }
        }
    }

    #[inline]
    fn prepend_byte(self, byte: u8) -> Self {
        Self { word: (self.word << 8) | u64::from(byte), width: self.width + 1 }
    }
}

/// A varint of at most two bytes, and how many it has.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "less than 1 << 16")]
fn varint(zigzagged: u64) -> (u16, usize) {
    if zigzagged < ONE_BYTE { (zigzagged as u16, 1) } else { (two_bytes(zigzagged) as u16, 2) }
}

/// Seven bits, the mark that more follow, and the next seven.
#[inline]
const fn two_bytes(zigzagged: u64) -> u64 {
    (zigzagged + (zigzagged & !0x7f)) | 0x80
}

/// Whether the routines above may take a record at all: what is cheap to know before the deltas are.
pub(crate) const fn is_plain(record: &Record<'_>) -> bool {
    record.headers.is_empty()
}

/// Zig-zagged values below this take one byte, ...
const ONE_BYTE: u64 = 1 << 7;

/// ... and below this at most two: deltas of 8 s, 8192 records a batch, records of nearly 8 KiB.
const TWO_BYTES: u64 = 1 << 14;

/// The most that the body of a packed record has besides its key's and value's bytes: attributes 1, deltas 2 + 2, lengths
/// 2 + 2, header count 1.
const HEAD_MAX: usize = 10;

/// Room asked for besides key and value: the length's two bytes, and slack for stores of a whole word.
const PACKED_ROOM: usize = HEAD_MAX + 2 + 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::{body_size, record_size, varint_len};

    fn generally(record: &Record<'_>, delta: i64, index: u32) -> Vec<u8> {
        let body = body_size(record, delta, index);
        let mut bytes = vec![0xaa; varint_len(body) + body];
        let mut room = Room(&mut bytes);
        general(&mut room, record, delta, index, body);
        assert!(room.0.is_empty(), "size is exact");
        bytes
    }

    /// Every length, delta and index around which the number of bytes of a varint changes.
    #[test]
    fn packed_and_general_agree_at_every_edge() {
        let edges = [0, 1, 62, 63, 64, 65, 100, 8100, 8160, 8170, 8180, 8181, 8182, 8190, 8191, 8192, 9000];
        let data = vec![7_u8; 10_000];
        let mut packed = 0;
        for value in edges.map(Some).into_iter().chain([None]) {
            for key in [None, Some(0), Some(1), Some(63), Some(64), Some(8191), Some(8192)] {
                for delta in [0, 1, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193, i64::MAX, i64::MIN] {
                    for index in [0, 63, 64, 8191, 8192, 1 << 20, u32::MAX >> 1] {
                        let value = value.map(|n: usize| &data[..n]);
                        let key = key.map(|n: usize| &data[..n]);
                        let record = Record { timestamp: delta, key, value, headers: &[] };
                        let expected = generally(&record, delta, index);
                        assert_eq!(expected.len(), record_size(&record, 0, index));
                        let mut room = vec![0xaa; 20_000];
                        let written = match key {
                            None => keyless(&mut room, delta, index, value),
                            Some(key) => keyed(&mut room, delta, index, key, value),
                        };
                        if let Some(written) = written {
                            packed += 1;
                            assert_eq!(&room[..written], expected, "{delta} {index}");
                        }
                    }
                }
            }
        }
        assert!(packed > 2000, "{packed}");
    }

    #[test]
    fn packed_routines_refuse_too_little_room_and_touch_nothing() {
        let value = [7; 100];
        let mut room = vec![0xaa; 200];
        let written = keyless(&mut room, 0, 0, Some(&value)).unwrap();
        for size in 0..written {
            let mut room = vec![0xaa; size];
            assert_eq!(keyless(&mut room, 0, 0, Some(&value)), None);
            assert_eq!(keyed(&mut room, 0, 0, b"", Some(&value)), None);
            assert!(room.iter().all(|&byte| byte == 0xaa));
        }
    }
}
