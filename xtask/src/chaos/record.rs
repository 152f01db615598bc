//! What the load program and the checker share: how a record tells which it is, and how the load program notes what it
//! was told of each. Both sides include this file.

/// The value of a record: its id and a checksum, readable, and letters that depend on the id, up to a fixed size.
pub(crate) fn value(id: u64, buffer: &mut String) {
    use std::fmt::Write;

    buffer.clear();
    // Writing to a string does not fail.
    let _ = write!(buffer, "{id:016x} ");
    let mut state = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while buffer.len() < VALUE_SIZE - CHECK_SIZE {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        buffer.push(char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap_or_default()));
    }
    let check = fnv(buffer.as_bytes());
    let _ = write!(buffer, " {check:016x}");
}

/// The id of a record with this value; none where it is not, byte for byte, what was sent.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    if text.len() != VALUE_SIZE {
        return None;
    }
    let (body, check) = text.split_at(VALUE_SIZE - CHECK_SIZE);
    if hex(check.strip_prefix(b" ")?)? != fnv(body) {
        return None;
    }
    hex(body.get(..16)?)
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Fowler, Noll and Vo's hash of 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// What the producer said of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is at this offset; -1 where nobody knows.
    Acked,
    /// It is not in the log.
    NotPersisted,
    /// It may be in the log.
    PossiblyPersisted,
    /// It is in the log although it failed.
    Persisted,
    /// It was not accepted.
    Refused,
    /// No answer, but the time: the entries after it were written at this time or later. In milliseconds since 1970, in
    /// place of an id.
    Time,
}

/// An answer, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) answer: Answer,
    pub(crate) id: u64,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Entry {
    pub(crate) fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.partition.to_le_bytes());
        bytes[20] = ANSWERS.iter().position(|answer| *answer == self.answer).map_or(u8::MAX, |at| at as u8);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; ENTRY_SIZE]) -> Option<Self> {
        Some(Self {
            id: u64::from_le_bytes(bytes[..8].try_into().ok()?),
            offset: i64::from_le_bytes(bytes[8..16].try_into().ok()?),
            partition: i32::from_le_bytes(bytes[16..20].try_into().ok()?),
            answer: *ANSWERS.get(usize::from(bytes[20]))?,
        })
    }
}

const ANSWERS: [Answer; 6] = [
    Answer::Acked,
    Answer::NotPersisted,
    Answer::PossiblyPersisted,
    Answer::Persisted,
    Answer::Refused,
    Answer::Time,
];

/// Bytes of an entry.
pub(crate) const ENTRY_SIZE: usize = 24;
/// Bytes of a value.
pub(crate) const VALUE_SIZE: usize = 100;
/// Of which the checksum and the blank before it.
const CHECK_SIZE: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_entries_there_and_back() {
        let mut text = String::new();
        for id in [0, 1, 77, u64::MAX] {
            value(id, &mut text);
            assert_eq!((text.len(), parse(text.as_bytes())), (VALUE_SIZE, Some(id)));
            for at in 0..VALUE_SIZE {
                let mut damaged = text.clone().into_bytes();
                damaged[at] ^= 1;
                assert_eq!(parse(&damaged), None, "byte {at}");
            }
        }
        for answer in ANSWERS {
            let entry = Entry { answer, id: 1 << 40, partition: -1, offset: 7 };
            assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        }
        assert_eq!(Entry::from_bytes(&[0xff; ENTRY_SIZE]), None);
    }
}
