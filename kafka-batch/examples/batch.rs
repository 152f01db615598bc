//! Builds a batch, shows what is in it byte by byte, reads it back: `cargo run -p kafka-batch --example batch`.

use std::time::Instant;

use kafka_batch::{
    BatchReader, Compression, Compressor, Header, Limits, PartitionQueue, Pool, QueueSettings, Record,
    SendReason, Stamp, record_size,
};
use kafka_wire::{ProducerEpoch, ProducerId};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::new(16 * 1024, 1024 * 1024, 1024 * 1024)?;
    let pool = Pool::new(&limits);
    let mut queue = PartitionQueue::new(QueueSettings { limits, ..QueueSettings::default() });
    #[expect(clippy::disallowed_methods, reason = "a program's only clock read")]
    let now = Instant::now();

    let headers = [Header { key: "source", value: Some(b"example") }];
    let base = 1_700_000_000_000;
    let first = Record { timestamp: base, key: Some(b"k1"), value: Some(b"hello"), headers: &[] };
    let tombstone = Record { timestamp: base + 5, key: Some(b"k2"), value: None, headers: &headers };
    let mut records = vec![first, tombstone];
    records.resize(40, Record { value: Some(b"and hello again"), ..first });

    println!("appended, size predicted before a byte is written:");
    for (index, record) in (0..).zip(&records) {
        // The fast path first; the slow one opens batches and takes memory.
        let slot = match queue.append_fast(record) {
            Some(slot) => slot,
            None => queue.append_slow(record, now, &mut &pool, || "my batch").slot?,
        };
        if index < 3 {
            let size = record_size(record, base, index);
            println!("  record {index}: {size} bytes, at index {} of {:?}", slot.index, slot.tag);
        }
    }

    let batch = queue.take(SendReason::Flush).ok_or("there is a batch")?;
    println!("drained: {} records, {} bytes, because of {}", batch.count(), batch.size(), batch.reason());

    let stamp = Stamp {
        producer_id: ProducerId(1234),
        producer_epoch: ProducerEpoch(0),
        base_sequence: 0,
        transactional: false,
    };
    let sealed = batch.seal(stamp, &mut Compressor::new(Compression::LZ4)?);
    println!("sealed: {} bytes as {}", sealed.size(), Compression::LZ4);
    println!("header, 61 bytes:");
    let header = sealed.header_bytes();
    let mut at = 0;
    for (size, name) in FIELDS {
        let field: String = header.iter().skip(at).take(size).map(|byte| format!("{byte:02x}")).collect();
        println!("  {at:2}  {field:16}  {name}");
        at += size;
    }

    println!("read back:");
    for batch in BatchReader::new(sealed.records().to_bytes()) {
        for read in batch?.records()?.take(3) {
            let read = read?;
            let text = |bytes: Option<&[u8]>| {
                bytes.map_or_else(|| "null".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            let record = &read.record;
            let (key, value) = (text(record.key.as_deref()), text(record.value.as_deref()));
            println!(
                "  {} at {}: {key} = {value}, {} headers",
                read.offset_delta,
                record.timestamp,
                record.headers.len()
            );
        }
    }
    println!("memory in use: {} bytes", pool.used());
    drop(sealed);
    println!("memory in use when the batch is gone: {} bytes", pool.used());
    Ok(())
}

const FIELDS: [(usize, &str); 13] = [
    (8, "base offset"),
    (4, "batch length"),
    (4, "partition leader epoch"),
    (1, "magic"),
    (4, "CRC-32C of what follows"),
    (2, "attributes"),
    (4, "last offset delta"),
    (8, "base timestamp"),
    (8, "max timestamp"),
    (8, "producer id"),
    (2, "producer epoch"),
    (4, "base sequence"),
    (4, "record count"),
];
