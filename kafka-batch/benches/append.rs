//! Appending records to twelve partitions; batches are taken when they are full and thrown away, or sealed first.
//!
//! `batch/append/SIZE` stops at the encoded records, `batch/seal/SIZE` adds header and CRC, `batch/codec/NAME` compresses.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka_batch::{
    Compression, Compressor, Header, Limits, PartitionQueue, Pool, QueueSettings, Record, SendReason, Stamp,
};

const PARTITIONS: u32 = 12;

/// Records in one iteration.
const RECORDS: u32 = 12_000;

struct Bench {
    queues: Vec<PartitionQueue<u32>>,
    pool: Arc<Pool>,
    compressor: Option<Compressor>,
    now: Instant,
}

impl Bench {
    fn new(compression: Option<Compression>) -> Self {
        let limits = Limits::new(16 * 1024, 1024 * 1024, 64 * 16 * 1024).expect("these limits agree");
        let settings = QueueSettings { limits, linger: Duration::from_secs(1), ..QueueSettings::default() };
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        Self {
            queues: (0..PARTITIONS).map(|_| PartitionQueue::new(settings)).collect(),
            pool: Pool::new(&limits),
            compressor: compression.map(|compression| Compressor::new(compression).expect("compiled in")),
            now,
        }
    }

    fn run(&mut self, record: &Record<'_>) {
        for number in 0..RECORDS {
            let Some(queue) = self.queues.get_mut((number % PARTITIONS) as usize) else { continue };
            let record = black_box(record);
            if let Some(slot) = queue.append_fast(record) {
                black_box(slot);
                continue;
            }
            let appended = queue.append_slow(record, self.now, &mut &self.pool, || number);
            black_box(appended.slot.expect("there is memory for every partition"));
            if appended.edges.full {
                let batch = queue.take(SendReason::Full).expect("a full batch");
                if let Some(compressor) = &mut self.compressor {
                    black_box(batch.seal(Stamp::NONE, compressor));
                }
            }
        }
    }
}

/// Every record in records and in bytes: criterion shows the rate of one.
fn append(criterion: &mut Criterion) {
    let value = vec![b'v'; 10 * 1024];
    let header = [Header { key: "trace-id", value: Some(b"0123456789abcdef") }];
    let plain =
        |size: usize| Record { timestamp: 1_700_000_000_000, value: value.get(..size), ..Record::default() };
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(RECORDS.into()));
    for size in [10, 100, 1024, 10 * 1024] {
        let record = plain(size);
        group.bench_function(BenchmarkId::new("append", size), |bencher| {
            let mut bench = Bench::new(None);
            bencher.iter(|| bench.run(&record));
        });
    }
    let kinds = [
        ("append/100-key-16", Record { key: Some(b"0123456789abcdef"), ..plain(100) }),
        ("append/100-header-24", Record { headers: &header, ..plain(100) }),
    ];
    for (name, record) in kinds {
        group.bench_function(name, |bencher| {
            let mut bench = Bench::new(None);
            bencher.iter(|| bench.run(&record));
        });
    }
    for size in [10, 100, 1024, 10 * 1024] {
        let record = plain(size);
        group.throughput(Throughput::Bytes(u64::from(RECORDS) * size as u64));
        group.bench_function(BenchmarkId::new("seal", size), |bencher| {
            let mut bench = Bench::new(Some(Compression::None));
            bencher.iter(|| bench.run(&record));
        });
    }
    group.finish();
}

fn codecs(criterion: &mut Criterion) {
    let text: Vec<u8> =
        (0..1024_usize).map(|i| b"a line of a log, as it may be "[(i * i / 7) % 30]).collect();
    let record = Record { timestamp: 1_700_000_000_000, value: Some(&text), ..Record::default() };
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Bytes(u64::from(RECORDS) * 1024)).sample_size(10);
    for codec in Compression::compiled() {
        group.bench_function(BenchmarkId::new("codec", codec), |bencher| {
            let mut bench = Bench::new(Some(codec));
            bencher.iter(|| bench.run(&record));
        });
    }
    group.finish();
}

criterion_group!(benches, append, codecs);
criterion_main!(benches);
