//! A partition's log in memory: batches as they were sent, numbered, with a bound on what is kept.

use std::collections::VecDeque;

use bytes::Bytes;

/// One batch of a log, its header filled in as a broker does: base offset and leader epoch.
#[derive(Clone, Debug)]
pub(crate) struct StoredBatch {
    pub(crate) base_offset: i64,
    /// The offset after the last record.
    pub(crate) end_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) bytes: Bytes,
}

/// How much of a log is kept; the oldest batches beyond it go, and the log start offset moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

/// The batches of one partition in offset order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<StoredBatch>,
    start_offset: i64,
    end_offset: i64,
    bytes: u64,
}

impl Log {
    /// The offset of the first record kept.
    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The offset the next record gets; the high watermark as well, since there are no followers to wait for.
    pub(crate) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Bytes of the batches kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a batch that was numbered from [`end_offset`](Self::end_offset) on.
    pub(crate) fn append(&mut self, batch: StoredBatch) {
        debug_assert_eq!(batch.base_offset, self.end_offset, "batches follow each other without a gap");
        self.end_offset = batch.end_offset;
        self.bytes += batch.bytes.len() as u64;
        self.batches.push_back(batch);
    }

    /// Removes the last batches.
    pub(crate) fn truncate(&mut self, batches: usize) {
        for batch in (0..batches).map_while(|_| self.batches.pop_back()) {
            self.end_offset = batch.base_offset;
            self.bytes -= batch.bytes.len() as u64;
        }
    }

    /// Moves the end on by `count` records without keeping them; answers the first one's offset.
    pub(crate) fn skip(&mut self, count: i64) -> i64 {
        let base_offset = self.end_offset;
        self.end_offset = self.end_offset.saturating_add(count);
        self.start_offset = self.end_offset;
        base_offset
    }

    /// Drops the oldest batches beyond the bound. The newest stays, whatever its size.
    pub(crate) fn retain(&mut self, bound: Retention) {
        while self.bytes > bound.bytes || self.record_count() > bound.records {
            if self.drop_oldest().is_none() {
                break;
            }
        }
    }

    /// Bytes that dropping old batches could free: all but the newest batch's.
    pub(crate) fn droppable_bytes(&self) -> u64 {
        self.batches.back().map_or(0, |newest| self.bytes - newest.bytes.len() as u64)
    }

    /// Drops the oldest batch unless it is the only one, and answers how many bytes that freed.
    pub(crate) fn drop_oldest(&mut self) -> Option<u64> {
        if self.batches.len() < 2 {
            return None;
        }
        self.drop_last()
    }

    /// Drops the oldest batch, even the only one, and answers how many bytes that freed.
    pub(crate) fn drop_last(&mut self) -> Option<u64> {
        let oldest = self.batches.pop_front()?;
        let freed = oldest.bytes.len() as u64;
        self.bytes -= freed;
        self.start_offset = oldest.end_offset;
        Some(freed)
    }

    /// Whole batches from the one that holds `offset`, up to `max_bytes` in all.
    ///
    /// With `at_least_one` the first batch comes even if it alone is larger: a consumer must be able to get past it (KIP-74).
    pub(crate) fn read(&self, offset: i64, max_bytes: usize, at_least_one: bool) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        let mut total = 0usize;
        for batch in self.batches.range(self.index_of(offset)..) {
            let fits = total.saturating_add(batch.bytes.len()) <= max_bytes;
            let comes_anyway = at_least_one && chunks.is_empty();
            if !fits && !comes_anyway {
                break;
            }
            total = total.saturating_add(batch.bytes.len());
            chunks.push(batch.bytes.clone());
        }
        chunks
    }

    /// Bytes of the whole batches from `offset` on, counted no further than `enough`.
    pub(crate) fn bytes_from(&self, offset: i64, enough: usize) -> usize {
        let mut total = 0usize;
        for batch in self.batches.range(self.index_of(offset)..) {
            total = total.saturating_add(batch.bytes.len());
            if total >= enough {
                break;
            }
        }
        total
    }

    /// All batches, oldest first.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &StoredBatch> {
        self.batches.iter()
    }

    /// The leader epoch under which the record at `offset` was written, if it is kept.
    pub(crate) fn leader_epoch_at(&self, offset: i64) -> Option<i32> {
        self.batches.get(self.index_of(offset)).map(|batch| batch.leader_epoch)
    }

    fn record_count(&self) -> u64 {
        self.end_offset.abs_diff(self.start_offset)
    }

    /// Index of the batch that holds `offset`, or of the next one.
    fn index_of(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.end_offset <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of ten records and 100 bytes each.
    fn log(batches: i64) -> Log {
        let mut log = Log::default();
        for index in 0..batches {
            log.append(batch(index * 10, 100));
        }
        log
    }

    fn batch(base_offset: i64, size: usize) -> StoredBatch {
        StoredBatch {
            base_offset,
            end_offset: base_offset + 10,
            max_timestamp: base_offset,
            leader_epoch: 0,
            bytes: Bytes::from(vec![0; size]),
        }
    }

    #[test]
    fn a_read_starts_with_the_batch_that_holds_the_offset() {
        let log = log(5);
        assert_eq!(log.read(0, 1000, true).len(), 5);
        assert_eq!(log.read(9, 1000, true).len(), 5);
        assert_eq!(log.read(10, 1000, true).len(), 4);
        assert_eq!(log.read(49, 1000, true).len(), 1);
        assert!(log.read(50, 1000, true).is_empty());
    }

    #[test]
    fn a_read_ends_with_the_last_batch_that_fits() {
        let log = log(5);
        assert_eq!(log.read(0, 299, true).len(), 2);
        assert_eq!(log.read(0, 300, true).len(), 3);
        assert_eq!(log.read(0, 99, true).len(), 1, "the first batch always comes");
        assert!(log.read(0, 99, false).is_empty(), "unless another partition has brought one");
    }

    #[test]
    fn retention_by_bytes_moves_the_start() {
        let mut log = log(5);
        log.retain(Retention { bytes: 250, records: u64::MAX });
        assert_eq!((log.start_offset(), log.end_offset(), log.bytes()), (30, 50, 200));
    }

    #[test]
    fn retention_by_records_moves_the_start() {
        let mut log = log(5);
        log.retain(Retention { bytes: u64::MAX, records: 30 });
        assert_eq!((log.start_offset(), log.end_offset()), (20, 50));
    }

    #[test]
    fn the_newest_batch_is_always_kept() {
        let mut log = log(3);
        log.retain(Retention { bytes: 0, records: 0 });
        assert_eq!((log.start_offset(), log.end_offset(), log.bytes()), (20, 30, 100));
    }

    #[test]
    fn bytes_are_counted_no_further_than_asked() {
        let log = log(5);
        assert_eq!(log.bytes_from(0, 150), 200);
        assert_eq!(log.bytes_from(30, 1000), 200);
        assert_eq!(log.bytes_from(50, 1), 0);
    }
}
