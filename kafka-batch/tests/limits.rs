//! The limits, each as a property. `PROPTEST_CASES=N cargo test -p kafka-batch --test limits` tries N cases of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_batch::{
    Accumulator, AppendError, BatchReader, CHUNK_SIZE, Compression, Compressor, DrainedBatch, HEADER_SIZE,
    Limits, OwnedHeader, OwnedRecord, PartitionQueue, Pool, QueueSettings, SealedBatch, SendReason, Stamp,
    record_size, single_record_batch_size,
};
use proptest::prelude::*;

/// Bytes that compress well, badly or not at all.
fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (any::<u8>(), 0..max).prop_map(|(byte, len)| vec![byte; len]),
        prop::collection::vec(any::<u8>(), 0..max),
        prop::collection::vec(0_u8..4, 0..max),
    ]
}

/// Every mix of key, value, headers, null and timestamp; some around the places where a varint grows.
fn record(max: usize) -> impl Strategy<Value = OwnedRecord> {
    let field =
        || prop_oneof![1 => Just(None), 4 => bytes(max).prop_map(Some), 1 => bytes(70).prop_map(Some)];
    let header = (".{0,20}", prop::option::of(bytes(70)));
    let headers = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(header, 0..5)];
    let timestamp = prop_oneof![
        3 => 1_700_000_000_000_i64..1_700_000_000_200,
        2 => 1_699_999_990_000_i64..1_700_000_010_000,
        1 => any::<i64>(),
    ];
    (timestamp, field(), field(), headers).prop_map(|(timestamp, key, value, headers)| OwnedRecord {
        timestamp,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: headers
            .into_iter()
            .map(|(key, value)| OwnedHeader::new(key, value.map(Into::into)))
            .collect(),
    })
}

fn records() -> impl Strategy<Value = Vec<OwnedRecord>> {
    prop_oneof![
        prop::collection::vec(record(40), 1..200),
        prop::collection::vec(record(400), 1..60),
        prop::collection::vec(record(20_000), 1..8),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let size = || prop_oneof![68_usize..500, 500_usize..20_000, 20_000_usize..150_000, Just(16_384)];
    (size(), size(), 1_usize..60).prop_map(|(batch, request, chunks)| {
        Limits::new(batch, request, chunks * CHUNK_SIZE).expect("in range")
    })
}

fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::compiled())
}

#[expect(clippy::disallowed_methods, reason = "the only way to make an instant; only differences count")]
fn start() -> Instant {
    Instant::now()
}

fn settings(limits: Limits) -> QueueSettings {
    QueueSettings { limits, linger: Duration::from_secs(1), delivery_timeout: Duration::from_secs(120) }
}

/// Appends all records that can be sent to one queue with enough memory; the batches, and the records in them.
fn batches(limits: Limits, records: &[OwnedRecord]) -> (Arc<Pool>, Vec<DrainedBatch<()>>, Vec<OwnedRecord>) {
    batches_of(PartitionQueue::new, limits, records)
}

fn batches_of(
    queue: impl FnOnce(QueueSettings) -> PartitionQueue<()>,
    limits: Limits,
    records: &[OwnedRecord],
) -> (Arc<Pool>, Vec<DrainedBatch<()>>, Vec<OwnedRecord>) {
    let roomy = Limits::new(limits.batch_size(), limits.max_request_size(), 64 << 20).expect("in range");
    let pool = Pool::new(&roomy);
    let mut queue = queue(settings(roomy));
    let mut accepted = Vec::new();
    for record in records {
        let fits = record.with_borrowed(|record| {
            let result = match queue.append_fast(record) {
                Some(slot) => Ok(slot),
                None => queue.append_slow(record, start(), &mut &pool, || ()).slot,
            };
            let single = single_record_batch_size(record);
            match result {
                Ok(_) => assert!(single <= limits.max_request_size()),
                Err(error) => assert_eq!(
                    error,
                    AppendError::TooLarge {
                        size: single,
                        max: limits.max_request_size(),
                        setting: "max.request.size"
                    }
                ),
            }
            result.is_ok()
        });
        if fits {
            accepted.push(record.clone());
        }
    }
    (pool, queue.drain_all(SendReason::Close), accepted)
}

fn decode(sealed: &SealedBatch<()>) -> Vec<OwnedRecord> {
    let batches: Vec<_> =
        BatchReader::new(sealed.records().to_bytes()).collect::<Result<_, _>>().expect("a batch");
    assert_eq!(batches.len(), 1);
    let records =
        batches[0].records().expect("records").collect::<Result<Vec<_>, _>>().expect("well-formed records");
    records.into_iter().map(|read| read.record).collect()
}

/// The size of a batch of these records, by the sizes of the records.
fn size_of(records: &[OwnedRecord]) -> usize {
    let base = records[0].timestamp;
    let size = |(index, record): (u32, &OwnedRecord)| record.with_borrowed(|r| record_size(r, base, index));
    HEADER_SIZE + (0..).zip(records).map(size).sum::<usize>()
}

/// A few seconds' worth, unless the environment says how many.
fn cases() -> ProptestConfig {
    let told = std::env::var_os("PROPTEST_CASES").is_some();
    if told { ProptestConfig::default() } else { ProptestConfig::with_cases(64) }
}

proptest! {
    #![proptest_config(cases())]

    /// `batch.size` bounds the 61-byte header plus the uncompressed encoded records of one batch; a batch over it holds exactly
    /// one record; the limit in force is the lower of `batch.size` and `max.request.size`.
    #[test]
    fn a_batch_is_at_most_batch_size_unless_it_holds_one_record(limits in limits(), records in records()) {
        let (_, batches, _) = batches(limits, &records);
        let limit = limits.batch_size().min(limits.max_request_size());
        prop_assert_eq!(limits.batch_limit(), limit);
        prop_assert_eq!(limits.lowers_batch_size(), limits.max_request_size() < limits.batch_size());
        for batch in &batches {
            prop_assert!(batch.size() <= limit || batch.count() == 1, "{} > {limit}", batch.size());
        }
    }

    /// A batch is not closed before it has to be: the record that opened the next one would not have fitted.
    #[test]
    fn a_batch_is_closed_only_when_the_next_record_does_not_fit(limits in limits(), records in records()) {
        let (_, batches, accepted) = batches(limits, &records);
        let mut at = 0;
        for batch in &batches[..batches.len().saturating_sub(1)] {
            let end = at + batch.count() as usize;
            prop_assert!(size_of(&accepted[at..=end]) > limits.batch_limit());
            at = end;
        }
    }

    /// A batch over `batch.size` is full at once: it does not wait for linger or for another record.
    #[test]
    fn a_batch_over_batch_size_is_full_at_once(batch_size in 0_usize..2000, record in record(4000)) {
        let limits = Limits::new(batch_size, 1 << 20, 1 << 20).expect("in range");
        let pool = Pool::new(&limits);
        let mut queue = PartitionQueue::new(settings(limits));
        let size = record.with_borrowed(single_record_batch_size);
        let now = start();
        let appended = record.with_borrowed(|record| queue.append_slow(record, now, &mut &pool, || ()));
        prop_assert!(appended.slot.is_ok() && appended.edges.first);
        if size >= batch_size {
            prop_assert!(appended.edges.full);
            let batch = queue.drain(now).expect("ready at once");
            prop_assert_eq!((batch.count(), batch.size(), batch.reason()), (1, size, SendReason::Full));
        } else if size + 7 <= batch_size {
            prop_assert!(!appended.edges.full && queue.drain(now).is_none());
        }
    }

    /// Predicted size = encoded size without a codec; with one, encoded <= predicted. What comes out is what went in.
    #[test]
    fn predicted_size_is_exact_and_never_too_small(limits in limits(), records in records(), codec in codec()) {
        let (pool, batches, accepted) = batches(limits, &records);
        let mut compressor = Compressor::new(codec).expect("compiled in");
        let mut at = 0;
        for batch in batches {
            let expected = &accepted[at..at + batch.count() as usize];
            at += batch.count() as usize;
            let predicted = batch.size();
            prop_assert_eq!(predicted, size_of(expected));
            let sealed = batch.seal(Stamp::NONE, &mut compressor);
            prop_assert_eq!(sealed.records().len(), sealed.size());
            if sealed.header().codec() == 0 {
                prop_assert_eq!(sealed.size(), predicted);
            } else {
                prop_assert_eq!(sealed.header().codec(), codec.codec());
                prop_assert!(sealed.size() < predicted);
            }
            prop_assert_eq!(decode(&sealed), expected);
        }
        prop_assert_eq!(at, accepted.len(), "nothing lost, nothing doubled, in order");
        prop_assert_eq!(pool.used(), 0);
    }

    /// `max.request.size` bounds the sum of the predicted sizes in one request, and every batch gets its turn.
    #[test]
    fn a_request_is_at_most_max_request_size(limits in limits(), records in records(), partitions in 1_i32..20) {
        let roomy = Limits::new(limits.batch_size(), limits.max_request_size(), 64 << 20).expect("in range");
        let mut accumulator: Accumulator<()> = Accumulator::new(settings(roomy));
        let now = start();
        let mut accepted = 0;
        for (record, partition) in records.iter().zip((0..partitions).cycle()) {
            accepted += u32::from(record.with_borrowed(|r| accumulator.append(partition, r, now, || ()).is_ok()));
        }
        accumulator.close_all(SendReason::Flush);
        let mut drained = 0;
        loop {
            let request = accumulator.poll_request(now);
            if request.is_empty() {
                break;
            }
            let size: usize = request.iter().map(|(_, batch)| batch.size()).sum();
            prop_assert!(size <= limits.max_request_size());
            drained += request.iter().map(|(_, batch)| batch.count()).sum::<u32>();
        }
        prop_assert_eq!(drained, accepted);
    }

    /// `buffer.memory` bounds what is allocated, and it returns to zero when everything is resolved.
    #[test]
    fn memory_is_bounded_and_comes_back(limits in limits(), records in records(), codec in codec()) {
        let mut accumulator: Accumulator<()> = Accumulator::new(settings(limits));
        let mut compressor = Compressor::new(codec).expect("compiled in");
        let pool = Arc::clone(accumulator.pool());
        let now = start();
        let mut held = Vec::new();
        for record in &records {
            let result = record.with_borrowed(|record| accumulator.append(0, record, now, || ()));
            prop_assert!(pool.used() <= limits.buffer_memory());
            if let Err(AppendError::NoRoom { chunks }) = result {
                prop_assert!(pool.used() + chunks * CHUNK_SIZE > limits.chunks() * CHUNK_SIZE);
                for (_, batch) in accumulator.poll_request(now) {
                    let before = pool.used();
                    let sealed = batch.seal(Stamp::NONE, &mut compressor);
                    prop_assert!(pool.used() <= before, "compressing takes no memory");
                    // A retry and an old connection both hold it.
                    held.push(sealed.clone());
                    held.push(sealed);
                }
                if held.len() > 4 {
                    held.clear();
                }
            }
        }
        let held_chunks: usize = held.iter().step_by(2).map(|sealed| sealed.payload().count()).sum();
        let waiting: Vec<_> = std::iter::from_fn(|| {
            accumulator.close_all(SendReason::Close);
            accumulator.poll_request(now).pop()
        }).collect();
        let sealed: Vec<_> =
            waiting.into_iter().map(|(_, batch)| batch.seal(Stamp::NONE, &mut Compressor::none())).collect();
        let chunks: usize = sealed.iter().map(|sealed| sealed.payload().count()).sum();
        prop_assert_eq!(pool.used(), (chunks + held_chunks) * CHUNK_SIZE, "it sums up");
        drop(sealed);
        drop(held);
        prop_assert_eq!(pool.used(), 0);
    }

    /// Linger is counted from the first record, whatever comes after it.
    #[test]
    fn linger_counts_from_the_first_record(linger in 0_u64..100, later in prop::collection::vec(0_u64..50, 0..10)) {
        let linger = Duration::from_millis(linger);
        let mut queue = PartitionQueue::new(QueueSettings { linger, ..settings(Limits::DEFAULT) });
        let pool = Pool::new(&Limits::DEFAULT);
        let first = start();
        let mut now = first;
        let record = kafka_batch::Record { value: Some(b"v"), ..kafka_batch::Record::default() };
        for wait in std::iter::once(0).chain(later) {
            now += Duration::from_millis(wait);
            if now >= first + linger {
                break;
            }
            if queue.append_fast(&record).is_none() {
                let appended = queue.append_slow(&record, now, &mut &pool, || ());
                prop_assert!(appended.slot.is_ok());
            }
            prop_assert!(queue.drain(now).is_none());
        }
        if queue.is_open() {
            prop_assert!(queue.drain(first + linger - Duration::from_nanos(1)).is_none());
            let batch = queue.drain(first + linger).expect("the linger time is over");
            prop_assert_eq!((batch.reason(), batch.created()), (SendReason::Linger, first));
        } else {
            prop_assert_eq!(linger, Duration::ZERO);
        }
    }

    /// Records appended together get the places they would get one after the other, and the same bytes.
    #[test]
    fn a_run_is_its_records_one_after_the_other(limits in limits(), records in records(), run in 1_usize..50) {
        let plain: Vec<_> = records.iter().map(|r| kafka_batch::Record {
            timestamp: r.timestamp, key: r.key.as_deref(), value: r.value.as_deref(), headers: &[],
        }).filter(|record| single_record_batch_size(record) <= limits.max_request_size()).collect();
        let roomy = Limits::new(limits.batch_size(), limits.max_request_size(), 64 << 20).expect("in range");
        let pool = Pool::new(&roomy);
        let tags = std::cell::Cell::new(0);
        let make = || tags.replace(tags.get() + 1);
        let (mut single, mut several) = (PartitionQueue::new(settings(roomy)), PartitionQueue::new(settings(roomy)));
        let mut places = Vec::new();
        for record in &plain {
            let place = single.append_fast(record);
            places.push(match place {
                Some(place) => place,
                None => single.append_slow(record, start(), &mut &pool, make).slot.expect("there is room"),
            });
        }
        tags.set(0);
        let mut at = 0;
        while let Some(record) = plain.get(at) {
            let run = plain[at..].iter().take(run).copied();
            if let Some((first, count)) = several.append_run(run) {
                prop_assert!(count > 0);
                for index in first.index..first.index + count {
                    prop_assert_eq!(places[at], kafka_batch::Slot { tag: first.tag, index });
                    at += 1;
                }
            } else {
                prop_assert!(several.append_fast(record).is_none());
                let slot = several.append_slow(record, start(), &mut &pool, make).slot.expect("there is room");
                prop_assert_eq!(places[at], slot);
                at += 1;
            }
        }
        let bytes = |queue: &mut PartitionQueue<i32>| {
            let batches = queue.drain_all(SendReason::Close).into_iter();
            batches.map(|batch| batch.seal(Stamp::NONE, &mut Compressor::none()).records().to_bytes()).collect::<Vec<_>>()
        };
        prop_assert_eq!(bytes(&mut single), bytes(&mut several));
    }

    /// Checksums computed while a batch grows, across chunks or not, are those of the whole.
    #[test]
    fn checksums_are_the_same_early_and_late(limits in limits(), records in records(), codec in codec()) {
        let (_, late, _) = batches(limits, &records);
        let early = |settings| PartitionQueue::new(settings).with_checksums();
        let (_, early, _) = batches_of(early, limits, &records);
        prop_assert_eq!(late.len(), early.len());
        let mut compressor = Compressor::new(codec).expect("compiled in");
        for (late, early) in late.into_iter().zip(early) {
            let late = late.seal(Stamp::NONE, &mut compressor);
            let early = early.seal(Stamp::NONE, &mut compressor);
            prop_assert_eq!(late.records().to_bytes(), early.records().to_bytes());
        }
    }

    /// A new stamp changes the numbers and nothing else, whatever was there before.
    #[test]
    fn a_stamp_changes_the_numbers_only(records in records(), codec in codec(), id in any::<i64>(), epoch in any::<i16>(), sequence in any::<i32>(), transactional: bool) {
        let limits = Limits::new(1 << 20, 1 << 20, 1 << 22).expect("in range");
        let (_, batches, _) = batches(limits, &records);
        let mut compressor = Compressor::new(codec).expect("compiled in");
        for batch in batches {
            let stamp = Stamp { producer_id: id.into(), producer_epoch: epoch.into(), base_sequence: sequence, transactional };
            let plain = batch.seal(Stamp::NONE, &mut compressor);
            let mut stamped = plain.clone();
            stamped.stamp(stamp);
            prop_assert_eq!(stamped.header().stamp(), stamp);
            prop_assert_eq!(decode(&stamped), decode(&plain));
            stamped.stamp(Stamp::NONE);
            prop_assert_eq!(stamped.records().to_bytes(), plain.records().to_bytes());
        }
    }

    /// A split keeps records and order, and each child is at most half as large or as large as its largest record.
    #[test]
    fn a_split_keeps_everything_and_ends(records in records(), codec in codec()) {
        let limits = Limits::new(1 << 20, 1 << 20, 1 << 22).expect("in range");
        let (pool, batches, _) = batches(limits, &records);
        let mut compressor = Compressor::new(codec).expect("compiled in");
        for batch in batches {
            let sealed = batch.seal(Stamp::NONE, &mut compressor);
            let mut rest = vec![sealed.clone()];
            let mut singles = Vec::new();
            while let Some(next) = rest.pop() {
                if next.count() == 1 {
                    singles.extend(decode(&next));
                    continue;
                }
                let largest = decode(&next).iter().map(|r| r.with_borrowed(single_record_batch_size)).max();
                let split = next.split(&pool, || ()).expect("more than one record");
                let bound = largest.unwrap_or(0).max(next.predicted_size() / 2);
                for child in split.into_iter().rev() {
                    prop_assert!(child.size() <= bound && child.count() < next.count());
                    rest.push(child.seal(Stamp::NONE, &mut compressor));
                }
            }
            prop_assert_eq!(singles, decode(&sealed));
        }
        prop_assert_eq!(pool.used(), 0);
    }
}
