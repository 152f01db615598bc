//! Batches that others wrote: byte for byte where nothing is compressed, read back where something is.

use bytes::Bytes;
use kafka_batch::{
    BatchBuilder, BatchReader, Compression, Compressor, DrainedBatch, Limits, OwnedHeader, OwnedRecord,
    PartitionQueue, Pool, QueueSettings, ReadError, SealedBatch, SendReason, Stamp,
};
use kafka_wire::{ProducerEpoch, ProducerId};

const BASE: i64 = 1_700_000_000_000;

/// Checked against an independent encoder (Python, written from the format's description).
const ONE: &str = "000000000000000000000040ffffffff02db5e9cdd0000000000000000018bcfe568000000018bcfe56800\
    ffffffffffffffffffffffffffff000000011c000000066b65790a76616c756500";
const THREE_TRANSACTIONAL: &str = "000000000000000000000055ffffffff026c1f44b40010000000020000018bcfe568000000018bcfe56805\
    00000000000004d200070000002a000000031c000000046b310476310202680278\
    10000a02010476320016000504046b330102026e01";
const THREE_IDEMPOTENT: &str = "000000000000000000000055ffffffff02126966a30000000000020000018bcfe568000000018bcfe56805\
    00000000000004d200070000002a000000031c000000046b310476310202680278\
    10000a02010476320016000504046b330102026e01";
const SMALLEST: &str = "000000000000000000000038ffffffff02c428857f0000000000000000018bcfe568000000018bcfe56800\
    ffffffffffffffffffffffffffff000000010c000000010100";

/// The records of [`ONE`], 15 bytes, as each codec may have them; for the codec's number.
const ONE_COMPRESSED: [(i16, &str); 4] = [
    (1, "1f8b08000000000000ff9361606060cb4eade42a4bcc294d65000055dc04540f000000"),
    (2, "82534e41505059000000000100000001000000110f381c000000066b65790a76616c756500"),
    (3, "04224d186040820f0000801c000000066b65790a76616c75650000000000"),
    (4, "28b52ffd00587800001c000000066b65790a76616c756500010000"),
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit =
        |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).expect("a digit");
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn record(
    timestamp: i64,
    key: Option<&str>,
    value: Option<&str>,
    headers: &[(&str, Option<&str>)],
) -> OwnedRecord {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    OwnedRecord {
        timestamp,
        key: key.map(bytes),
        value: value.map(bytes),
        headers: headers.iter().map(|(key, value)| OwnedHeader::new(*key, value.map(bytes))).collect(),
    }
}

fn stamp(id: i64, epoch: i16, base_sequence: i32, transactional: bool) -> Stamp {
    Stamp { producer_id: ProducerId(id), producer_epoch: ProducerEpoch(epoch), base_sequence, transactional }
}

/// One batch of these records.
fn build(records: &[OwnedRecord]) -> DrainedBatch<()> {
    let limits = Limits::new(1 << 20, 1 << 20, 1 << 22).expect("these limits agree");
    let pool = Pool::new(&limits);
    let mut queue = PartitionQueue::new(QueueSettings { limits, ..QueueSettings::default() });
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let now = std::time::Instant::now();
    for record in records {
        record.with_borrowed(|record| {
            if queue.append_fast(record).is_none() {
                queue.append_slow(record, now, &mut &pool, || ()).slot.expect("there is room");
            }
        });
    }
    let batch = queue.take(SendReason::Flush).expect("a batch");
    assert!(queue.is_empty());
    batch
}

fn seal(records: &[OwnedRecord], stamp: Stamp) -> SealedBatch<()> {
    build(records).seal(stamp, &mut Compressor::none())
}

fn read(bytes: Vec<u8>) -> Result<Vec<OwnedRecord>, ReadError> {
    let batches = BatchReader::new(bytes.into()).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(batches.len(), 1);
    batches[0].records()?.map(|read| Ok(read?.record)).collect()
}

#[test]
fn written_as_an_independent_encoder_writes() {
    let one = [record(BASE, Some("key"), Some("value"), &[])];
    let three = [
        record(BASE, Some("k1"), Some("v1"), &[("h", Some("x"))]),
        record(BASE + 5, None, Some("v2"), &[]),
        record(BASE - 3, Some("k3"), None, &[("n", None)]),
    ];
    let smallest = [record(BASE, None, None, &[])];
    for (records, stamp, expected) in [
        (&one[..], Stamp::NONE, ONE),
        (&three[..], stamp(1234, 7, 42, true), THREE_TRANSACTIONAL),
        (&three[..], stamp(1234, 7, 42, false), THREE_IDEMPOTENT),
        (&smallest[..], Stamp::NONE, SMALLEST),
    ] {
        let sealed = seal(records, stamp);
        assert_eq!(sealed.records().to_bytes(), hex(expected));
        assert_eq!(read(hex(expected)).expect("a good batch"), records);
        let mut restamped = seal(records, Stamp::NONE);
        restamped.stamp(stamp);
        assert_eq!(restamped.records().to_bytes(), hex(expected), "a stamp given later makes the same bytes");
    }
}

#[test]
fn records_compressed_by_others_are_read() {
    for (codec, payload) in ONE_COMPRESSED {
        let mut bytes = hex(ONE)[..61].to_vec();
        bytes.extend(hex(payload));
        bytes[22] = u8::try_from(codec).expect("a small number");
        let length = u32::try_from(bytes.len() - 12).expect("a small batch");
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = kafka_batch::crc32c([&bytes[21..]]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        match read(bytes) {
            Err(ReadError::NotCompiled(_)) => {
                assert!(Compression::compiled().iter().all(|compiled| compiled.codec() != codec));
            }
            records => {
                assert_eq!(records.expect("a good batch"), [record(BASE, Some("key"), Some("value"), &[])]);
            }
        }
    }
}

/// The sets of records of `golden/Batches.java`.
fn set(name: &str) -> Vec<OwnedRecord> {
    match name {
        "one" => vec![record(BASE, Some("key"), Some("value"), &[])],
        "edges" => vec![
            record(BASE, None, None, &[]),
            record(BASE, Some(""), Some(""), &[]),
            record(BASE + (1 << 40), Some("k"), None, &[("h", Some("x")), ("h", None)]),
            record(BASE - 5000, None, Some(&"v".repeat(63)), &[("ümläut", Some(""))]),
            record(BASE + 64, Some(&"k".repeat(64)), Some(&"v".repeat(8192)), &[]),
        ],
        "many" => (0..200_usize)
            .map(|i| {
                let key = (i % 3 != 0).then(|| format!("key-{i}"));
                let value = (i % 7 != 0).then(|| format!("value {i} ").repeat(i % 11 + 1));
                let (name, text) = (format!("h{i}"), "x".repeat(i % 5));
                let header = [(name.as_str(), (i % 8 != 0).then_some(text.as_str()))];
                let timestamp =
                    BASE + i64::try_from(i * 7).expect("small") - i64::try_from(i % 5 * 13).expect("small");
                record(timestamp, key.as_deref(), value.as_deref(), if i % 4 == 0 { &header } else { &[] })
            })
            .collect(),
        "large" => (0..60)
            .map(|i| record(BASE + i, None, Some(&format!("line {i} of a log; ").repeat(130)), &[]))
            .collect(),
        other => panic!("no set {other}"),
    }
}

#[test]
fn as_kafkas_own_classes() {
    let (mut exact, mut decoded) = (0, 0);
    for line in include_str!("golden/java.hex").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, codec, level, id, epoch, sequence, transactional, bytes] = fields[..] else {
            panic!("{line}")
        };
        let stamp = stamp(
            id.parse().expect("an id"),
            epoch.parse().expect("an epoch"),
            sequence.parse().expect("a sequence"),
            transactional.parse().expect("a truth"),
        );
        let (records, bytes) = (set(name), hex(bytes));
        let codec: Compression = codec.parse().expect("a codec");
        let batch = BatchReader::new(bytes.clone().into()).next().expect("a batch").expect("a good batch");
        assert_eq!((batch.header().codec(), batch.header().stamp()), (codec.codec(), stamp));
        if codec == Compression::None {
            assert_eq!(seal(&records, stamp).records().to_bytes(), bytes, "{name} byte for byte");
            exact += 1;
        }
        if codec.check().is_err() {
            continue;
        }
        assert_eq!(read(bytes.clone()).expect("a good batch"), records, "{name} {codec} {level}");
        decoded += 1;
        let Ok(mut compressor) =
            Compressor::new(level.parse().map_or(codec, |level| codec.with_level(level)))
        else {
            continue;
        };
        let ours = build(&records).seal(stamp, &mut compressor);
        let sealed = ours.records().to_bytes();
        assert_eq!(read(sealed.to_vec()).expect("a good batch"), records);
        if matches!(name, "many" | "large") {
            let (ours, theirs) = (sealed.len(), bytes.len());
            assert!(ours < theirs * 12 / 10, "{name} {codec} {level}: {ours} bytes, Kafka's {theirs}");
        }
    }
    assert_eq!(exact, 9);
    let lines = |codec: &Compression| match codec {
        Compression::None => 9,
        Compression::Snappy => 4,
        _ => 12,
    };
    assert_eq!(decoded, Compression::compiled().iter().map(lines).sum::<u32>());
}

#[test]
fn damage_is_found() {
    let good = hex(THREE_IDEMPOTENT);
    for at in 21..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(matches!(read(bad), Err(ReadError::Crc { .. })), "byte {at}");
    }
    for len in 1..good.len() {
        assert_eq!(read(good[..len].to_vec()), Err(ReadError::Truncated { len }));
    }
    let mut old = good;
    old[16] = 1;
    assert_eq!(read(old), Err(ReadError::Magic(1)));
}

#[test]
fn a_builder_alone_counts_as_it_writes() {
    let limits = Limits::DEFAULT;
    let pool = Pool::new(&limits);
    let record = set("one").remove(0);
    record.with_borrowed(|record| {
        let mut builder = BatchBuilder::open(record, &limits, &mut &pool).expect("there is room");
        assert_eq!((builder.size(), builder.count()), (76, 1));
        assert_eq!(builder.append_fast(record), Some(1));
        assert_eq!((builder.size(), builder.count(), builder.memory()), (91, 2, 16_384));
        assert_eq!(builder.finish().size(), 91);
    });
    assert_eq!(pool.used(), 0);
}
