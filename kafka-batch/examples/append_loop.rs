//! Appends N records and throws the batches away: what an instruction counter is pointed at.
//!
//! ```text
//! cargo build --release -p kafka-batch --example append_loop
//! for n in 100000 200000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/append_loop $n plain 100
//! done
//! ```
//!
//! The difference of the two counts, divided by 100 000, is what a record costs. The kinds are `plain`, `key` (16 bytes),
//! `header` (one of 24 bytes), `null`, `delta` (half of the records 100 ms later), `late` (half of them 100 s later) and `base`
//! (the loop alone).
//! A fourth argument `seal` adds header and CRC.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kafka_batch::{
    Compressor, Header, Limits, PartitionQueue, Pool, QueueSettings, Record, SendReason, Stamp,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let argument =
        |index: usize, default: &str| arguments.get(index).cloned().unwrap_or_else(|| default.to_owned());
    let count: u32 = argument(1, "100000").parse().expect("first argument: number of records");
    let kind = argument(2, "plain");
    let size: usize = argument(3, "100").parse().expect("third argument: bytes of a value");
    let seal = argument(4, "") == "seal";

    let limits = Limits::new(16 * 1024, 1024 * 1024, 64 * 16 * 1024).expect("these limits agree");
    let settings = QueueSettings { limits, linger: Duration::from_secs(1), ..QueueSettings::default() };
    let pool = Pool::new(&limits);
    let mut queues: Vec<PartitionQueue<u32>> = (0..12).map(|_| PartitionQueue::new(settings)).collect();
    let mut compressor = Compressor::none();
    #[expect(clippy::disallowed_methods, reason = "a program's only clock read")]
    let now = Instant::now();

    let value = vec![b'v'; size];
    let header = [Header { key: "trace-id", value: Some(b"0123456789abcdef") }];
    let record = Record { timestamp: 1_700_000_000_000, value: Some(&value), ..Record::default() };
    let late = match kind.as_str() {
        "delta" => 100,
        "late" => 100_000,
        _ => 0,
    };
    let record = match kind.as_str() {
        "key" => Record { key: Some(b"0123456789abcdef"), ..record },
        "header" => Record { headers: &header, ..record },
        "null" => Record { value: None, ..record },
        _ => record,
    };
    let mut bytes = 0;
    for number in 0..count {
        let queue = &mut queues[number as usize % 12];
        let mut record = *black_box(&record);
        if number % 24 >= 12 {
            record.timestamp += late;
        }
        if kind == "base" {
            black_box(&record);
            continue;
        }
        if let Some(slot) = queue.append_fast(&record) {
            black_box(slot);
            continue;
        }
        let appended = queue.append_slow(&record, now, &mut &pool, || number);
        black_box(appended.slot.expect("there is memory for every partition"));
        if appended.edges.full {
            let batch = queue.take(SendReason::Full).expect("a full batch");
            bytes += batch.size();
            if seal {
                black_box(batch.seal(Stamp::NONE, &mut compressor));
            }
        }
    }
    println!("{count} records {kind} {size}: {bytes} bytes in full batches");
}
