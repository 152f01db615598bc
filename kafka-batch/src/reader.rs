//! Reading batches: for tests, for the other side of a connection, for consumers.
//!
//! Bytes may come from anybody. Nothing here panics on them, and what they claim is compared with what is there before
//! anything is allocated.

use bytes::Bytes;
use kafka_wire::varint;

use crate::compress::decompress;
use crate::crc::crc32c;
use crate::error::ReadError;
use crate::layout::{BatchHeader, CRC_START, HEADER_SIZE, LENGTH_OVERHEAD, MAGIC};
use crate::record::{OwnedHeader, OwnedRecord};

/// Iterates over the batches of a records field, checking lengths, format version and CRC.
///
/// The first error ends it. A broker may cut its answer to a fetch in the middle of a batch: that is
/// [`ReadError::Truncated`], after all the complete ones.
///
/// ```
/// # use kafka_batch::{BatchReader, ReadError};
/// # fn f(bytes: bytes::Bytes) -> Result<(), ReadError> {
/// for batch in BatchReader::new(bytes) {
///     for read in batch?.records()? {
///         println!("{:?}", read?.record.value);
///     }
/// }
/// # Ok(())
/// # }
/// # f(bytes::Bytes::new()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct BatchReader {
    rest: Bytes,
    limit: usize,
}

/// A batch whose frame and CRC are right. Its records are read separately: [`records`](Self::records).
#[derive(Debug, Clone)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
    limit: usize,
}

/// Iterates over a batch's records, decompressed. The first error ends it.
///
/// At the end it has checked that there are as many records as the header says, with ascending offsets that the header's last
/// one bounds, and nothing after them.
#[derive(Debug, Clone)]
pub struct RecordReader {
    rest: Bytes,
    header: BatchHeader,
    read: i32,
    last_delta: i32,
    failed: bool,
}

/// A record and its place in its batch.
#[expect(clippy::exhaustive_structs, reason = "a plain value")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Offset, less the base offset of the batch.
    pub offset_delta: i32,
    /// The record. Its bytes are lent from the batch.
    pub record: OwnedRecord,
}

/// What a reader decompresses at most for one batch, unless told otherwise.
pub const DEFAULT_RECORDS_LIMIT: usize = 64 * 1024 * 1024;

impl BatchReader {
    /// Reads from these bytes; decompresses at most [`DEFAULT_RECORDS_LIMIT`] a batch.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self::with_limit(bytes, DEFAULT_RECORDS_LIMIT)
    }

    /// Reads from these bytes; decompresses at most `limit` bytes a batch.
    #[must_use]
    pub const fn with_limit(bytes: Bytes, limit: usize) -> Self {
        Self { rest: bytes, limit }
    }

    fn read(&mut self) -> Result<Batch, ReadError> {
        let truncated = ReadError::Truncated { len: self.rest.len() };
        let Some(head) = self.rest.first_chunk::<HEADER_SIZE>() else { return Err(truncated) };
        let header = BatchHeader::decode(head);
        if header.magic != MAGIC {
            return Err(ReadError::Magic(header.magic));
        }
        let length =
            usize::try_from(header.batch_length).ok().filter(|&n| n >= HEADER_SIZE - LENGTH_OVERHEAD);
        let Some(length) = length else { return Err(ReadError::Length(header.batch_length)) };
        let size = length.saturating_add(LENGTH_OVERHEAD);
        if size > self.rest.len() {
            return Err(truncated);
        }
        let bytes = self.rest.split_to(size);
        let computed = crc32c([bytes.get(CRC_START..).unwrap_or_default()]);
        if computed != header.crc {
            return Err(ReadError::Crc { stored: header.crc, computed });
        }
        Ok(Batch { header, bytes, limit: self.limit })
    }
}

impl Iterator for BatchReader {
    type Item = Result<Batch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = self.read();
        if batch.is_err() {
            self.rest.clear();
        }
        Some(batch)
    }
}

impl Batch {
    /// The header's fields.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch as it was found.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its records, decompressed now and decoded one by one.
    ///
    /// # Errors
    /// If the codec is unknown, not compiled in or finds its bytes corrupt, or if they grow beyond the limit.
    pub fn records(&self) -> Result<RecordReader, ReadError> {
        RecordReader::new(&self.header, self.bytes.slice(HEADER_SIZE..), self.limit)
    }
}

impl RecordReader {
    pub(crate) fn new(header: &BatchHeader, payload: Bytes, limit: usize) -> Result<Self, ReadError> {
        let rest = match header.codec() {
            0 => payload,
            codec => Bytes::from(decompress(codec, &payload, limit)?),
        };
        Ok(Self { rest, header: *header, read: 0, last_delta: -1, failed: false })
    }

    fn end(&self) -> Result<(), ReadError> {
        let count = ReadError::Count { stored: self.header.record_count, found: self.read };
        if self.read == self.header.record_count { Ok(()) } else { Err(count) }
    }

    fn read(&mut self) -> Result<ReadRecord, ReadError> {
        let index = self.read;
        let bad = |field| ReadError::Record { index, field };
        if index >= self.header.record_count {
            let found = index.saturating_add(1);
            return Err(ReadError::Count { stored: self.header.record_count, found });
        }
        let mut body = take_bytes(&mut self.rest).flatten().ok_or_else(|| bad("length"))?;
        // Attributes: no bit of them means anything yet.
        if body.is_empty() {
            return Err(bad("attributes"));
        }
        let _ = body.split_to(1);
        let delta = take_i64(&mut body).ok_or_else(|| bad("timestamp"))?;
        let offset_delta = take_i32(&mut body).ok_or_else(|| bad("offset"))?;
        if offset_delta <= self.last_delta || offset_delta > self.header.last_offset_delta {
            return Err(bad("offset"));
        }
        let key = take_bytes(&mut body).ok_or_else(|| bad("key"))?;
        let value = take_bytes(&mut body).ok_or_else(|| bad("value"))?;
        let count = take_i32(&mut body).and_then(|n| usize::try_from(n).ok());
        // A header takes two bytes at least, so that the list cannot be larger than what is there.
        let count = count.filter(|&n| n <= body.len() / 2).ok_or_else(|| bad("headers"))?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let key = take_bytes(&mut body).flatten().ok_or_else(|| bad("header key"))?;
            let value = take_bytes(&mut body).ok_or_else(|| bad("header value"))?;
            headers.push(OwnedHeader::from_wire(key, value).ok_or_else(|| bad("header key"))?);
        }
        if !body.is_empty() {
            return Err(bad("length"));
        }
        let timestamp = if self.header.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.wrapping_add(delta)
        };
        self.read += 1;
        self.last_delta = offset_delta;
        Ok(ReadRecord { offset_delta, record: OwnedRecord { timestamp, key, value, headers } })
    }
}

impl Iterator for RecordReader {
    type Item = Result<ReadRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = if self.rest.is_empty() { self.end().err().map(Err) } else { Some(self.read()) };
        self.failed = !matches!(item, Some(Ok(_)));
        item
    }
}

fn take_i32(bytes: &mut Bytes) -> Option<i32> {
    let (value, rest) = varint::take_i32(bytes).ok()?;
    let used = bytes.len() - rest.len();
    let _ = bytes.split_to(used);
    Some(value)
}

fn take_i64(bytes: &mut Bytes) -> Option<i64> {
    let (value, rest) = varint::take_i64(bytes).ok()?;
    let used = bytes.len() - rest.len();
    let _ = bytes.split_to(used);
    Some(value)
}

/// A length and that many bytes; the inner `None` is null.
fn take_bytes(bytes: &mut Bytes) -> Option<Option<Bytes>> {
    match take_i32(bytes)? {
        -1 => Some(None),
        len => {
            let len = usize::try_from(len).ok().filter(|&len| len <= bytes.len())?;
            Some(Some(bytes.split_to(len)))
        }
    }
}
