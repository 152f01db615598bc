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
        drop(queue.take(SendReason::Flush));
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

/// What a reader that is told to stop at this many bytes may hold at most: the buffer that grew beyond it, and the one it grew
/// from.
const READ_LIMIT: usize = 256 << 10;

/// Reads everything there is in bytes that anybody may have written; the most that was held meanwhile.
fn read(bytes: &[u8]) -> u64 {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let info = allocation_counter::measure(|| {
        for batch in kafka_batch::BatchReader::with_limit(bytes, READ_LIMIT) {
            let Ok(records) = batch.and_then(|batch| batch.records()) else { continue };
            records.for_each(drop);
        }
    });
    info.bytes_max
}

/// By the byte: what comes nearest is a record of headers without key and value, two bytes each on the wire. Always: a codec's
/// own state.
fn check(bytes: &[u8], what: &str) {
    let held = read(bytes);
    let codec = bytes.get(22).map_or(0, |attributes| attributes & 7);
    let unpacked = if codec == 0 { 0 } else { 4 * READ_LIMIT };
    let most = (64 * bytes.len() + unpacked + (128 << 10)) as u64;
    assert!(held <= most, "{what}: {held} bytes held for {} bytes", bytes.len());
}

fn codecs() -> Vec<Compressor> {
    use kafka_batch::Compression;
    let all = [
        #[cfg(feature = "gzip")]
        Compression::GZIP,
        #[cfg(feature = "snappy")]
        Compression::Snappy,
        #[cfg(feature = "lz4")]
        Compression::LZ4,
        #[cfg(feature = "zstd")]
        Compression::ZSTD,
        Compression::None,
    ];
    all.into_iter().map(|compression| Compressor::new(compression).expect("compiled in")).collect()
}

/// One batch with a value of so many zeros.
fn zeros(size: usize, compressor: &mut Compressor) -> Vec<u8> {
    let limits = Limits::new(64 << 20, 64 << 20, 128 << 20).expect("they fit");
    let pool = Pool::new(&limits);
    let mut queue = PartitionQueue::new(QueueSettings { limits, ..QueueSettings::default() });
    let value = vec![0; size];
    let record = Record { timestamp: 1, value: Some(&value), ..Record::default() };
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = Instant::now();
    assert!(queue.append_slow(&record, now, &mut &pool, || 0).slot.is_ok());
    queue.close(SendReason::Full);
    let batch = queue.drain(now).expect("it is closed");
    batch.seal(Stamp::NONE, compressor).records().to_bytes().to_vec()
}

#[test]
fn a_bomb_is_not_unpacked_beyond_the_limit() {
    for mut compressor in codecs() {
        let what = format!("{compressor:?}");
        let bomb = zeros(8 << 20, &mut compressor);
        check(&bomb, &what);
        // And where it fits exactly, or by a byte not.
        for size in [READ_LIMIT - 100, READ_LIMIT, READ_LIMIT + 1] {
            check(&zeros(size, &mut compressor), &what);
        }
    }
}

/// Makes length and checksum right, so that the reader looks at what is behind them.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > 61 {
        let length = i32::try_from(bytes.len() - 12).expect("small").to_be_bytes();
        bytes[8..12].copy_from_slice(&length);
        bytes[16] = 2;
        let crc = kafka_batch::crc32c([&bytes[21..]]).to_be_bytes();
        bytes[17..21].copy_from_slice(&crc);
    }
    bytes
}

#[test]
fn bytes_that_promise_more_than_there_is_get_no_memory_for_it() {
    let mut random = fastrand::Rng::with_seed(11);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/batch");
    let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        // The first byte chooses what the fuzz target does.
        .map(|file| std::fs::read(file.expect("an entry").path()).expect("readable").split_off(1))
        .collect();
    assert!(!seeds.is_empty());
    seeds.extend(codecs().iter_mut().map(|compressor| zeros(5000, compressor)));
    for seed in &seeds {
        check(seed, "as it is");
        for round in 0..50 {
            let mut bytes = seed.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len().max(1));
                let junk: &[u8] = match random.u8(..5) {
                    0 => &[0xff, 0xff, 0xff, 0xff, 0x0f],
                    1 => &[0x7f, 0xff, 0xff, 0xff],
                    2 => &[0xff, 0xff, 0xff, 0x7f],
                    3 => &[0x80, 0x80, 0x08],
                    _ => &[0],
                };
                bytes.iter_mut().skip(at).zip(junk).for_each(|(byte, junk)| *byte = *junk);
            }
            if let Some(attributes) = bytes.get_mut(22).filter(|_| round % 4 == 0) {
                *attributes = random.u8(..6);
            }
            check(&repaired(bytes), "damaged");
        }
    }
}
