//! An open batch: records are encoded here, once, straight into the arena.

use std::mem;

use crate::arena::Arena;
use crate::chunk::{Chunk, ChunkSource};
use crate::crc;
use crate::encode::{self, Put, Room};
use crate::error::AppendError;
use crate::layout::HEADER_SIZE;
use crate::limits::{CHUNK_SIZE, Limits};
use crate::record::Record;
use crate::size::{MIN_RECORD_SIZE, body_size, varint_len};

/// An open batch and its arena, a chain of [chunks](CHUNK_SIZE) that records may span.
///
/// It holds at least one record from the start, so that there is no empty batch to take care of anywhere. Its
/// [`size`](Self::size) is exact at every moment.
///
/// [`append_fast`](Self::append_fast) is the path of nearly all records; where it answers `None`,
/// [`append_slow`](Self::append_slow) has the exact answer.
#[derive(Debug)]
pub struct BatchBuilder {
    // The fields of the fast path come first.
    chunk: Chunk,
    /// Where the next record goes in `chunk`.
    at: usize,
    /// Where it must end: the end of the chunk or of the batch, whichever comes first. At most `CHUNK_SIZE`.
    end: usize,
    base_timestamp: i64,
    max_timestamp: i64,
    count: u32,
    limit: usize,
    full: Vec<Chunk>,
    /// The CRC of the full chunks, if it is to be computed here.
    crc: Option<u32>,
}

impl BatchBuilder {
    /// Opens a batch with its first record.
    ///
    /// The batch may grow to `limits.batch_limit()`; if the first record alone is larger, it stays alone.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`] if the record can never be sent, [`AppendError::NoRoom`] if `source` has too few chunks.
    pub fn open(
        record: &Record<'_>,
        limits: &Limits,
        source: &mut impl ChunkSource,
    ) -> Result<Self, AppendError> {
        limits.check(record)?;
        Self::open_with(record, limits.batch_limit(), false, source)
    }

    /// Opens a batch that may grow to `limit`, whatever the size of its first record. With `sums`, its CRC is computed
    /// as it grows.
    pub(crate) fn open_with(
        record: &Record<'_>,
        limit: usize,
        sums: bool,
        source: &mut impl ChunkSource,
    ) -> Result<Self, AppendError> {
        let body = body_size(record, 0, 0);
        let count = varint_len(body).saturating_add(body).div_ceil(CHUNK_SIZE);
        // Nearly always one, which needs no list.
        let mut chunks = Vec::new();
        let chunk = match count {
            0 | 1 => source.take_chunk(),
            _ => source.take_chunks(count, &mut chunks).then(|| chunks.pop()).flatten(),
        };
        let Some(chunk) = chunk else { return Err(AppendError::NoRoom { chunks: count }) };
        let mut builder = Self {
            chunk,
            at: 0,
            end: CHUNK_SIZE,
            base_timestamp: record.timestamp,
            max_timestamp: record.timestamp,
            count: 0,
            limit,
            full: Vec::new(),
            crc: sums.then_some(0),
        };
        builder.write(record, body, &mut chunks);
        Ok(builder)
    }

    /// Appends a record that fits into what is left of the current chunk and of the batch; its index in the batch. `None`
    /// says that [`append_slow`](Self::append_slow) has to look at it; nothing has changed then.
    #[inline(always)]
    pub fn append_fast(&mut self, record: &Record<'_>) -> Option<u32> {
        match self.append_packed(record) {
            Some(index) => Some(index),
            None => self.append_general(record),
        }
    }

    /// The first half of [`append_fast`](Self::append_fast): what one of the packed routines takes.
    #[inline(always)]
    pub(crate) fn append_packed(&mut self, record: &Record<'_>) -> Option<u32> {
        let (delta, index) = (record.timestamp.wrapping_sub(self.base_timestamp), self.count);
        let room = self.chunk.as_mut().get_mut(self.at..self.end)?;
        let written = match record.key {
            _ if !encode::is_plain(record) => return None,
            None => encode::keyless(room, delta, index, record.value)?,
            Some(key) => encode::keyed(room, delta, index, key, record.value)?,
        };
        Some(self.wrote(written, record.timestamp))
    }

    /// The second half: the general routine within one chunk, for headers, large records, records far from the base
    /// timestamp.
    #[inline(never)]
    pub(crate) fn append_general(&mut self, record: &Record<'_>) -> Option<u32> {
        let (delta, index) = (record.timestamp.wrapping_sub(self.base_timestamp), self.count);
        let body = body_size(record, delta, index);
        let size = varint_len(body).saturating_add(body);
        let room = self.chunk.as_mut().get_mut(self.at..self.end)?.get_mut(..size)?;
        encode::general(&mut Room(room), record, delta, index, body);
        Some(self.wrote(size, record.timestamp))
    }

    /// A record of so many bytes was written; its index.
    #[inline(always)]
    fn wrote(&mut self, bytes: usize, timestamp: i64) -> u32 {
        let index = self.count;
        self.at += bytes;
        self.count = index + 1;
        // Stored only where it changes, which it seldom does.
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
        }
        index
    }

    /// Appends a record if the batch has room for it, chunk borders or not; its index in the batch.
    ///
    /// `Ok(None)` if it does not fit: the record belongs into another batch.
    ///
    /// # Errors
    /// [`AppendError::NoRoom`] if it fits, but takes more chunks than `source` has. Nothing has changed then.
    pub fn append_slow(
        &mut self,
        record: &Record<'_>,
        source: &mut impl ChunkSource,
    ) -> Result<Option<u32>, AppendError> {
        let Some(body) = self.fitting_body(record) else { return Ok(None) };
        let needed = varint_len(body) + body;
        let mut chunks = Vec::new();
        let missing = needed.saturating_sub(CHUNK_SIZE - self.at).div_ceil(CHUNK_SIZE);
        if missing > 0 && !source.take_chunks(missing, &mut chunks) {
            return Err(AppendError::NoRoom { chunks: missing });
        }
        let index = self.count;
        self.write(record, body, &mut chunks);
        Ok(Some(index))
    }

    /// Whether the record fits into this batch: exact.
    #[must_use]
    pub fn fits(&self, record: &Record<'_>) -> bool {
        self.fitting_body(record).is_some()
    }

    /// Whether not even the smallest record fits any more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.limit.saturating_sub(self.size()) < MIN_RECORD_SIZE
    }

    /// The exact size of the batch so far, header included, without compression.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.full.len() * CHUNK_SIZE + self.at
    }

    /// Number of records so far; at least one.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        (self.full.len() + 1) * CHUNK_SIZE
    }

    /// Closes the batch.
    #[must_use]
    pub fn finish(self) -> Arena {
        let written = self.chunk.as_slice().get(..self.at).unwrap_or_default();
        Arena {
            crc: self.crc.map(|crc| crc::append(crc, written)),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            count: self.count,
            full: self.full,
            last: self.chunk,
            last_len: self.at,
        }
    }

    /// The body size of a record that fits.
    fn fitting_body(&self, record: &Record<'_>) -> Option<usize> {
        let left = self.limit.checked_sub(self.size())?;
        let body = body_size(record, record.timestamp.wrapping_sub(self.base_timestamp), self.count);
        (varint_len(body).saturating_add(body) <= left).then_some(body)
    }

    /// Writes a record that fits, going on in `chunks` where this chunk ends.
    fn write(&mut self, record: &Record<'_>, body: usize, chunks: &mut Vec<Chunk>) {
        self.end = CHUNK_SIZE;
        // Without further chunks it stays within this one.
        if !chunks.is_empty() || self.append_fast(record).is_none() {
            let delta = record.timestamp.wrapping_sub(self.base_timestamp);
            let index = self.count;
            encode::general(&mut Chain { builder: self, chunks }, record, delta, index, body);
            self.count = index + 1;
            self.max_timestamp = self.max_timestamp.max(record.timestamp);
        }
        let left = self.limit.saturating_sub(self.size());
        self.end = CHUNK_SIZE.min(self.at + left);
    }
}

/// Writes across chunk borders.
struct Chain<'a> {
    builder: &'a mut BatchBuilder,
    chunks: &'a mut Vec<Chunk>,
}

impl Put for Chain<'_> {
    fn put(&mut self, mut bytes: &[u8]) {
        let Self { builder, chunks } = self;
        while !bytes.is_empty() {
            let room = builder.chunk.as_mut().get_mut(builder.at..).unwrap_or_default();
            if room.is_empty() {
                let Some(next) = chunks.pop() else {
                    debug_assert!(false, "the record was measured and does not fit");
                    return;
                };
                builder.crc = builder.crc.map(|crc| crc::append(crc, builder.chunk.as_slice()));
                builder.full.push(mem::replace(&mut builder.chunk, next));
                builder.at = 0;
                continue;
            }
            let n = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(n);
            if let Some(room) = room.get_mut(..n) {
                room.copy_from_slice(now);
            }
            builder.at += n;
            bytes = later;
        }
    }
}
