//! Sealed batches: final bytes, shared, under a header that can be written again.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kafka_wire::Records;

use crate::arena::{Arena, Payload};
use crate::batch::{DrainedBatch, Life, SendReason};
use crate::builder::BatchBuilder;
use crate::chunk::{Chunk, ChunkSource, Pool};
use crate::compress::Compressor;
use crate::crc;
use crate::error::ReadError;
use crate::layout::{BatchHeader, CRC_START, HEADER_SIZE, LENGTH_OVERHEAD, MAGIC, Stamp};
use crate::reader::RecordReader;
use crate::record::OwnedRecord;

/// A batch as a broker gets it: 61 bytes of header, and a payload that never changes again.
///
/// Clones share the payload. So a batch can be sent again, to another leader and with other numbers, while an old connection
/// still holds its bytes; memory goes back to the pool when the last clone is gone.
#[derive(Debug, Clone)]
pub struct SealedBatch<T> {
    pub(crate) tag: T,
    pub(crate) life: Life,
    pub(crate) sealed: Sealed,
}

#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) header: BatchHeader,
    payload: Payload,
    payload_crc: u32,
    /// Size before compression, header included.
    pub(crate) predicted_size: usize,
}

impl Sealed {
    pub(crate) fn new(mut arena: Arena, stamp: Stamp, compressor: &mut Compressor) -> Self {
        let predicted_size = arena.size();
        let mut attributes = 0;
        if let Some(bytes) = compressor.compress(arena.slices(), arena.records_size()) {
            // The compressed bytes take the place of the others: no further memory, whatever else is going on.
            arena.shrink_to(bytes);
            attributes = compressor.compression().codec();
        }
        let records_size = arena.records_size();
        let count = i32::try_from(arena.count()).unwrap_or(i32::MAX);
        let mut header = BatchHeader {
            base_offset: 0,
            batch_length: length(HEADER_SIZE - LENGTH_OVERHEAD + records_size),
            partition_leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes,
            last_offset_delta: count - 1,
            base_timestamp: arena.base_timestamp(),
            max_timestamp: arena.max_timestamp(),
            producer_id: Stamp::NONE.producer_id,
            producer_epoch: Stamp::NONE.producer_epoch,
            base_sequence: Stamp::NONE.base_sequence,
            record_count: count,
        };
        header.set_stamp(stamp);
        let payload_crc = arena.crc();
        let mut sealed = Self { header, payload: arena.share(), payload_crc, predicted_size };
        sealed.update_crc();
        sealed
    }

    pub(crate) fn count(&self) -> u32 {
        self.header.record_count.unsigned_abs()
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp) {
        if self.header.stamp() != stamp {
            self.header.set_stamp(stamp);
            self.update_crc();
        }
    }

    /// The payload's CRC never changes, so that new numbers cost no pass over it. Joined by `crc`: `crc32c_combine` takes longer
    /// than a pass over a hundred kilobytes.
    fn update_crc(&mut self) {
        let bytes = self.header.encode();
        let head = crc::append(0, bytes.get(CRC_START..).unwrap_or_default());
        self.header.crc = crc::join(head, self.payload_crc, self.payload.chunks().map(Bytes::len).sum());
    }
}

impl<T> DrainedBatch<T> {
    /// Compresses, adds the header and the CRC. Takes as long as compression does: not for a place where a lock is held.
    #[must_use]
    pub fn seal(self, stamp: Stamp, compressor: &mut Compressor) -> SealedBatch<T> {
        let sealed = Sealed::new(self.arena, stamp, compressor);
        SealedBatch { tag: self.tag, life: self.life, sealed }
    }
}

impl<T> SealedBatch<T> {
    /// What the batch carries for its caller.
    pub fn tag(&self) -> &T {
        &self.tag
    }

    /// Lets the bytes go and returns what the batch carried.
    pub fn into_tag(self) -> T {
        self.tag
    }

    /// Number of records.
    pub fn count(&self) -> u32 {
        self.sealed.count()
    }

    /// Its size as sent, header included.
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.sealed.payload.chunks().map(Bytes::len).sum::<usize>()
    }

    /// Its size before compression: what counted for the limits.
    pub fn predicted_size(&self) -> usize {
        self.sealed.predicted_size
    }

    /// When its first record was appended.
    pub fn created(&self) -> Instant {
        self.life.created
    }

    /// When it is given up.
    pub fn expires_at(&self) -> Instant {
        self.life.expires_at
    }

    /// How many records were appended to its queue before its first: batches of one queue are in this order.
    pub fn position(&self) -> u64 {
        self.life.position
    }

    /// Why it left its queue.
    pub fn reason(&self) -> SendReason {
        self.life.reason
    }

    /// The header's fields.
    pub fn header(&self) -> &BatchHeader {
        &self.sealed.header
    }

    /// The header's bytes.
    pub fn header_bytes(&self) -> [u8; HEADER_SIZE] {
        self.sealed.header.encode()
    }

    /// The payload, chunk by chunk.
    pub fn payload(&self) -> impl Iterator<Item = &Bytes> {
        self.sealed.payload.chunks()
    }

    /// Writes other numbers, and the CRC that follows from them. Clones keep theirs.
    pub fn stamp(&mut self, stamp: Stamp) {
        self.sealed.stamp(stamp);
    }

    /// The batch as a field of a request: header, then the payload's chunks, shared.
    pub fn records(&self) -> Records {
        Records::with_head(&self.header_bytes(), self.sealed.payload.chunks().cloned())
    }

    /// All its records, decoded again.
    ///
    /// # Errors
    /// None, but for a codec that fails on its own output.
    pub fn decode(&self) -> Result<Vec<OwnedRecord>, ReadError> {
        let Payload { first, rest } = &self.sealed.payload;
        let payload = if rest.is_empty() {
            first.clone()
        } else {
            Bytes::from([std::slice::from_ref(first), rest.as_slice()].concat().concat())
        };
        let limit = self.sealed.predicted_size;
        RecordReader::new(&self.sealed.header, payload, limit)?.map(|read| Ok(read?.record)).collect()
    }

    /// Builds smaller batches of the same records in the same order, for a broker that finds this one too large.
    ///
    /// Each child is at most half as large as this batch, or as large as its largest record makes it; so repeating ends, whatever
    /// the broker's limit is (KAFKA-8350). Children keep the time of creation and the deadline and have no numbers yet. `make` is
    /// called for what each child carries.
    ///
    /// Their memory is [overdrawn](Pool::overdraw): this batch, whose memory it replaces, is still there.
    ///
    /// # Errors
    /// [`SplitError::SingleRecord`] if there is nothing to split. The others would be mistakes of this crate.
    pub fn split(
        &self,
        pool: &Arc<Pool>,
        make: impl FnMut() -> T,
    ) -> Result<Vec<DrainedBatch<T>>, SplitError> {
        if self.count() < 2 {
            return Err(SplitError::SingleRecord);
        }
        let records = self.decode().map_err(SplitError::Decode)?;
        let largest = records.iter().map(|r| r.with_borrowed(crate::size::single_record_batch_size)).max();
        let target = largest.unwrap_or(0).max(self.predicted_size() / 2);
        self.split_into(&records, target, &mut Overdraft(pool), make)
    }

    /// Builds batches of at most `target` bytes.
    fn split_into(
        &self,
        records: &[OwnedRecord],
        target: usize,
        source: &mut impl ChunkSource,
        mut make: impl FnMut() -> T,
    ) -> Result<Vec<DrainedBatch<T>>, SplitError> {
        let mut children: Vec<BatchBuilder> = Vec::new();
        let mut starts = Vec::new();
        let half = self.count() / 2;
        for (index, record) in (0..).zip(records) {
            record.with_borrowed(|record| {
                // One small record beside a large one may fit into the target again: then the count decides.
                let again = index == half && children.len() == 1;
                if let Some(child) = children.last_mut().filter(|_| !again) {
                    if child.append_fast(record).is_some()
                        || matches!(child.append_slow(record, source), Ok(Some(_)))
                    {
                        return;
                    }
                }
                if let Ok(child) = BatchBuilder::open_with(record, target, false, source) {
                    children.push(child);
                    starts.push(index);
                }
            });
        }
        let found: u32 = children.iter().map(BatchBuilder::count).sum();
        if found != self.count() {
            // Deliveries of those after it would be told the offsets of others.
            return Err(SplitError::Incomplete { records: self.count(), found });
        }
        let life = |start: &u32| Life {
            position: self.life.position + u64::from(*start),
            reason: SendReason::Split,
            ..self.life
        };
        let batches = children.into_iter().zip(&starts).map(|(child, start)| DrainedBatch {
            tag: make(),
            life: life(start),
            arena: child.finish(),
        });
        Ok(batches.collect())
    }
}

/// Why a batch was not split.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitError {
    /// It has one record: the record itself is too large.
    SingleRecord,
    /// Its own bytes could not be read again.
    Decode(ReadError),
    /// The children would not have all its records.
    Incomplete {
        /// How many it has.
        records: u32,
        /// How many they would have.
        found: u32,
    },
}

impl std::fmt::Display for SplitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SingleRecord => f.write_str("a batch of one record cannot be split"),
            Self::Decode(_) => f.write_str("the batch to be split cannot be read"),
            Self::Incomplete { records, found } => {
                write!(f, "only {found} of the {records} records of the batch fit its parts")
            }
        }
    }
}

impl std::error::Error for SplitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::SingleRecord | Self::Incomplete { .. } => None,
            Self::Decode(error) => Some(error),
        }
    }
}

struct Overdraft<'a>(&'a Arc<Pool>);

impl ChunkSource for Overdraft<'_> {
    fn take_chunks(&mut self, count: usize, into: &mut Vec<Chunk>) -> bool {
        self.0.overdraw(count, into);
        true
    }
}

/// Batches are bounded by `max.request.size`, which is far below what a length can say.
fn length(size: usize) -> i32 {
    debug_assert!(i32::try_from(size).is_ok());
    i32::try_from(size).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compress::Compression;
    use crate::limits::{Limits, QueueSettings};
    use crate::queue::PartitionQueue;
    use crate::record::Record;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_split_that_would_lose_a_record_is_none() {
        let limits = Limits::new(16 << 10, 1 << 20, 1 << 20).expect("they fit");
        let (linger, delivery_timeout) = (Duration::ZERO, Duration::from_secs(120));
        let mut queue = PartitionQueue::new(QueueSettings { limits, linger, delivery_timeout });
        let (pool, now) = (Pool::new(&limits), Instant::now());
        for value in ["small", &"large".repeat(100), "small"] {
            let record = Record { timestamp: 1, value: Some(value.as_bytes()), ..Record::default() };
            queue.append_slow(&record, now, &mut &pool, || ()).slot.expect("there is room");
        }
        queue.close(SendReason::Flush);
        let batch = queue.drain(now).expect("it is ready");
        let batch = batch.seal(Stamp::NONE, &mut Compressor::new(Compression::None).expect("compiled in"));
        let records = batch.decode().expect("as it was written");
        let whole = batch.split(&pool, || ()).expect("each record has a place");
        assert_eq!(whole.iter().map(DrainedBatch::count).sum::<u32>(), 3);
        // No memory for a second part: splits take theirs beyond the limit, so that this does not happen.
        let mut chunks = Vec::from_iter(pool.take_one());
        let lossy = batch.split_into(&records, 600, &mut chunks, || ()).map(drop);
        assert_eq!(lossy, Err(SplitError::Incomplete { records: 3, found: 2 }));
    }
}
