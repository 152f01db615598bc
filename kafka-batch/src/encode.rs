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
    // Without key and value, a record says nothing: nobody minds if it takes a little longer.
    let value = value?;
    // Key length −1.
    packed(room, Head { word: 1, width: 1 }, delta, index, &[], (value, (value.len() as u64) << 1))
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
    let key_len = (key.len() as u64) << 1;
    match value {
        Some(value) if key_len < ONE_BYTE => {
            let head = Head { word: key_len, width: 1 };
            packed(room, head, delta, index, key, (value, (value.len() as u64) << 1))
        }
        _ => keyed_rare(room, delta, index, key, value),
    }
}

/// As [`keyed`], for tombstones and keys whose length takes two bytes: so that the others have constants for more.
#[inline(never)]
fn keyed_rare(room: &mut [u8], delta: i64, index: u32, key: &[u8], value: Option<&[u8]>) -> Option<usize> {
    let key_len = (key.len() as u64) << 1;
    let head = match key_len < ONE_BYTE {
        true => Head { word: key_len, width: 1 },
        // A word is too small for a time of two bytes beside that.
        false if key.len() > BYTES_MAX || zigzag(delta) >= ONE_BYTE => return None,
        false => Head { word: two_bytes(key_len), width: 2 },
    };
    packed(room, head, delta, index, key, with_length(value))
}

/// Writes a record whose head ends with what is given: the length of its key.
#[inline(always)]
fn packed(
    room: &mut [u8],
    head: Head,
    delta: i64,
    index: u32,
    key: &[u8],
    (value, value_len): (&[u8], u64),
) -> Option<usize> {
    let head = head.prepend_deltas(delta, index)?;
    if value.len() > BYTES_MAX - key.len() {
        return None;
    }
    let Lengths { head, value_len, value_width } = Lengths::new(head, key.len(), value_len, value.len());
    let key_end = head.width + key.len();
    let start = key_end + value_width;
    let end = start + value.len();

    // One check for all that is written below.
    let room = room.get_mut(..end + SLACK)?;
    *room.first_chunk_mut()? = head.word.to_le_bytes();
    room.get_mut(head.width..key_end)?.copy_from_slice(key);
    *room.get_mut(key_end..)?.first_chunk_mut()? = value_len.to_le_bytes();
    // The number of headers.
    *room.get_mut(end)? = 0;
    room.get_mut(start..end)?.copy_from_slice(value);
    Some(end + 1)
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
    /// Puts the attributes, which are zero, and both deltas in front, unless one of them takes more than two bytes.
    ///
    /// The ways that nearly all records go have constants for all shifts and widths.
    #[inline(always)]
    fn prepend_deltas(self, delta: i64, index: u32) -> Option<Self> {
        let Self { word, width } = self;
        let (delta, index) = (zigzag(delta), u64::from(index) << 1);
        if (delta | index) < ONE_BYTE {
            return Some(Self { word: (word << 24) | (index << 16) | (delta << 8), width: width + 3 });
        }
        if (delta | index) >= TWO_BYTES {
            return None;
        }
        Some(if delta < ONE_BYTE {
            Self { word: (word << 32) | (two_bytes(index) << 16) | (delta << 8), width: width + 4 }
        } else {
            let index = self.prepend(index);
            Self { word: (index.word << 24) | (two_bytes(delta) << 8), width: index.width + 3 }
        })
    }

    /// Puts a varint of at most two bytes in front.
    #[inline(always)]
    fn prepend(self, zigzagged: u64) -> Self {
        if zigzagged < ONE_BYTE {
            Self { word: (self.word << 8) | zigzagged, width: self.width + 1 }
        } else {
            self.prepend_two_bytes(zigzagged)
        }
    }

    #[inline(always)]
    fn prepend_two_bytes(self, zigzagged: u64) -> Self {
        Self { word: (self.word << 16) | two_bytes(zigzagged), width: self.width + 2 }
    }
}

/// The two lengths that depend on the value's: the record's, which goes in front of the head, and its own.
struct Lengths {
    head: Head,
    value_len: u16,
    value_width: usize,
}

impl Lengths {
    /// For a value of `bytes`, whose zig-zagged length is `value_len`, with so much `between` it and the head.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "two bytes at most")]
    fn new(head: Head, between: usize, value_len: u64, bytes: usize) -> Self {
        // With one byte for the value's length, and one for the number of headers.
        let body = head.width + between + bytes + 2;
        if value_len < ONE_BYTE {
            let head = head.prepend((body as u64) << 1);
            return Self { head, value_len: value_len as u16, value_width: 1 };
        }
        // What needs two bytes for a part of it needs two for the whole.
        let head = head.prepend_two_bytes((body as u64 + 1) << 1);
        Self { head, value_len: two_bytes(value_len) as u16, value_width: 2 }
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
pub(crate) const ONE_BYTE: u64 = 1 << 7;

/// ... and below this at most two: deltas of 8 s, 8192 records a batch, records of nearly 8 KiB.
pub(crate) const TWO_BYTES: u64 = 1 << 14;

/// The most that key and value of a packed record have together, so that with what else its body has, its length takes two
/// bytes: attributes 1, deltas 2 + 2, lengths 2 + 2, header count 1.
const BYTES_MAX: usize = (1 << 13) - 1 - 10;

/// Room asked for behind all but the last byte of a record: what stores of a whole word may write beyond their own bytes.
const SLACK: usize = 8;

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
        assert!(packed > 1800, "{packed}");
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
