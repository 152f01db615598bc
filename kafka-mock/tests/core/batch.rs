//! Batches built byte by byte, so that each byte can be wrong.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::varint;

/// The wall clock of the tests that have one of their own: 14 November 2023.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// A batch to be. `Default` is a sound one with one record, no producer, no codec.
#[derive(Clone, Debug)]
pub(crate) struct TestBatch {
    pub(crate) base_offset: i64,
    pub(crate) magic: i8,
    pub(crate) attributes: i16,
    pub(crate) producer: (i64, i16, i32),
    pub(crate) records: Vec<TestRecord>,
    /// Instead of the number of records, and of one less.
    pub(crate) count: Option<i32>,
    pub(crate) last_offset_delta: Option<i32>,
    pub(crate) gzip: bool,
}

/// Key, value, timestamp; and the offset delta, if it is not the record's index.
#[derive(Clone, Debug)]
pub(crate) struct TestRecord {
    pub(crate) key: Option<&'static str>,
    pub(crate) value: Vec<u8>,
    pub(crate) timestamp: i64,
    pub(crate) offset_delta: Option<i32>,
}

impl Default for TestBatch {
    fn default() -> Self {
        Self::of(1)
    }
}

impl TestBatch {
    pub(crate) fn of(count: usize) -> Self {
        let record =
            TestRecord { key: Some("key"), value: b"value".to_vec(), timestamp: NOW_MS, offset_delta: None };
        Self {
            base_offset: 0,
            magic: 2,
            attributes: 0,
            producer: (-1, -1, -1),
            records: vec![record; count],
            count: None,
            last_offset_delta: None,
            gzip: false,
        }
    }

    /// As an idempotent producer numbers it.
    pub(crate) fn numbered(count: usize, producer: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer: (producer, epoch, sequence), ..Self::of(count) }
    }

    pub(crate) fn build(&self) -> Bytes {
        let mut records = Vec::new();
        let base_timestamp = self.records.first().map_or(0, |record| record.timestamp);
        for (index, record) in self.records.iter().enumerate() {
            let delta = record.offset_delta.unwrap_or(index as i32);
            record.put(&mut records, record.timestamp - base_timestamp, delta);
        }
        let count = self.records.len() as i32;
        let attributes = if self.gzip { self.attributes | 1 } else { self.attributes };
        let records = if self.gzip { gzip(&records) } else { records };
        let mut covered = BytesMut::new();
        covered.put_i16(attributes);
        covered.put_i32(self.last_offset_delta.unwrap_or(count - 1));
        covered.put_i64(base_timestamp);
        covered.put_i64(self.records.iter().map(|record| record.timestamp).max().unwrap_or(0));
        covered.put_i64(self.producer.0);
        covered.put_i16(self.producer.1);
        covered.put_i32(self.producer.2);
        covered.put_i32(self.count.unwrap_or(count));
        covered.put_slice(&records);
        let mut batch = BytesMut::new();
        batch.put_i64(self.base_offset);
        batch.put_i32(covered.len() as i32 + 9);
        batch.put_i32(-1);
        batch.put_i8(self.magic);
        batch.put_u32(crc32c::crc32c(&covered));
        batch.put_slice(&covered);
        batch.freeze()
    }
}

impl From<TestBatch> for Bytes {
    fn from(batch: TestBatch) -> Self {
        batch.build()
    }
}

impl TestRecord {
    fn put(&self, out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32) {
        let mut body = vec![0];
        varint::put_i64(&mut body, timestamp_delta);
        varint::put_i32(&mut body, offset_delta);
        match self.key {
            None => varint::put_i32(&mut body, -1),
            Some(key) => {
                varint::put_i32(&mut body, key.len() as i32);
                body.put_slice(key.as_bytes());
            }
        }
        varint::put_i32(&mut body, self.value.len() as i32);
        body.put_slice(&self.value);
        varint::put_i32(&mut body, 0);
        varint::put_i32(out, body.len() as i32);
        out.extend(body);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}
