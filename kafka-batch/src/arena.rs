//! The records of a closed batch: encoded, and then shared.

use bytes::Bytes;

use crate::chunk::Chunk;
use crate::crc;
use crate::layout::HEADER_SIZE;
use crate::limits::CHUNK_SIZE;

/// A closed batch's records, encoded, with what its header will say about them.
#[derive(Debug)]
pub struct Arena {
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) count: u32,
    pub(crate) full: Vec<Chunk>,
    pub(crate) last: Chunk,
    pub(crate) last_len: usize,
    /// The CRC of the bytes, if it is known.
    pub(crate) crc: Option<u32>,
}

impl Arena {
    /// The exact size of the batch, header included, without compression.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.records_size()
    }

    /// The same without the header.
    pub(crate) fn records_size(&self) -> usize {
        self.full.len() * CHUNK_SIZE + self.last_len
    }

    /// Number of records.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Timestamp of the first record.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        self.base_timestamp
    }

    /// The largest timestamp.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        (self.full.len() + 1) * CHUNK_SIZE
    }

    /// The CRC of the bytes: known since they were written, or computed now.
    pub(crate) fn crc(&self) -> u32 {
        self.crc.unwrap_or_else(|| crc::crc32c(self.slices()))
    }

    /// The bytes, chunk by chunk.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let last = self.last.as_slice().get(..self.last_len).unwrap_or_default();
        self.full.iter().map(Chunk::as_slice).chain([last])
    }

    /// Replaces the bytes by fewer ones; chunks that are not needed any more go back at once.
    pub(crate) fn shrink_to(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.records_size());
        self.crc = None;
        let keep = bytes.len().div_ceil(CHUNK_SIZE).max(1);
        let mut rest = bytes;
        while self.full.len() >= keep {
            // One of the full chunks becomes the last one, so the longest-lived memory is kept in order.
            if let Some(chunk) = self.full.pop() {
                self.last = chunk;
            }
        }
        for chunk in &mut self.full {
            let Some((now, later)) = rest.split_at_checked(CHUNK_SIZE) else { return };
            chunk.as_mut().copy_from_slice(now);
            rest = later;
        }
        if let Some(room) = self.last.as_mut().get_mut(..rest.len()) {
            room.copy_from_slice(rest);
            self.last_len = rest.len();
        }
    }

    /// The bytes, shared, chunk by chunk.
    pub(crate) fn share(self) -> Payload {
        let last = self.last.share(self.last_len);
        let mut full = self.full.into_iter().map(|chunk| chunk.share(CHUNK_SIZE));
        match full.next() {
            None => Payload { first: last, rest: Vec::new() },
            Some(first) => Payload { first, rest: full.chain([last]).collect() },
        }
    }
}

/// The shared chunks of the records. Nearly all batches have one, which needs no list.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) first: Bytes,
    pub(crate) rest: Vec<Bytes>,
}

impl Payload {
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Bytes> + Clone {
        std::iter::once(&self.first).chain(&self.rest)
    }
}
