//! Nothing is allocated per record.

use std::time::Instant;

use kafka_batch::{
    Compressor, Header, Limits, PartitionQueue, Pool, QueueSettings, Record, SendReason, Stamp,
};

/// Appends `count` records, seals what gets full and lets it go; the number of batches.
fn append(
    count: u32,
    record: &Record<'_>,
    queue: &mut PartitionQueue<u32>,
    pool: &std::sync::Arc<Pool>,
    now: Instant,
) -> u64 {
    let mut batches = 0;
    for _ in 0..count {
        if queue.append_fast(record).is_some() {
            continue;
        }
        let appended = queue.append_slow(record, now, &mut &*pool, || 0);
        assert!(appended.slot.is_ok());
        if let Some(batch) = queue.drain(now) {
            drop(batch.seal(Stamp::NONE, &mut Compressor::none()));
            batches += 1;
        }
    }
    batches
}

#[test]
fn appending_allocates_by_the_batch_and_not_by_the_record() {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = Instant::now();
    let headers = [Header { key: "trace", value: Some(b"0123456789") }];
    let limits = Limits::DEFAULT;
    let plain = Record { timestamp: 1, value: Some(&[7; 100]), ..Record::default() };
    for record in [
        plain,
        Record { key: Some(b"0123456789abcdef"), ..plain },
        Record { headers: &headers, ..plain },
        Record { value: None, ..plain },
    ] {
        let pool = Pool::new(&limits);
        let mut queue = PartitionQueue::new(QueueSettings { limits, ..QueueSettings::default() });
        // The first batches make the chunks and the lists.
        append(1000, &record, &mut queue, &pool, now);
        let mut batches = 0;
        let all = allocation_counter::measure(|| batches = append(50_000, &record, &mut queue, &pool, now));
        assert!(batches > 20);
        assert!(
            all.count_total <= batches * MOST_A_BATCH,
            "{} allocations, {batches} batches",
            all.count_total
        );
        // Within one batch there is not a single one.
        drop(queue.take(now, SendReason::Flush));
        append(1, &record, &mut queue, &pool, now);
        let within = allocation_counter::measure(|| {
            for _ in 0..80 {
                assert!(queue.append_fast(&record).is_some());
            }
        });
        assert_eq!(within.count_total, 0);
    }
}

/// The list that chunks are handed over in, the list of payload chunks, and the owner behind each `Bytes`.
const MOST_A_BATCH: u64 = 4;
