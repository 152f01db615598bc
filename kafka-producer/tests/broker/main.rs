//! Against real brokers: produced by us, read by kcat and by Kafka's console consumer, looked at on the brokers' disks.
//!
//! `cargo xtask test --kafka` starts the clusters and runs these.

mod controllers;
mod dump;
mod misrouted;
mod read;
mod records;
mod renewed;
mod tools;

use std::ops::RangeInclusive;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures::SinkExt;
use kafka_producer::{Header, OwnedHeader, OwnedRecord, Producer, ProducerConfig, Record};

use crate::read::{Console, Kcat};
use crate::records::{Planned, Topic};
use crate::tools::Cluster;

/// The same tests for each version.
macro_rules! versions {
    ($($module:ident $version:literal;)*) => {$(
        mod $module {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn without_a_codec() {
                round_trips($version, "none").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn gzip() {
                round_trips($version, "gzip").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn snappy() {
                round_trips($version, "snappy").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn lz4() {
                round_trips($version, "lz4").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn zstd() {
                round_trips($version, "zstd").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn acks_of_one_without_idempotence() {
                let settings = "acks=1\nenable.idempotence=false\nmax.in.flight.requests.per.connection=1";
                let run = Run { settings, sequenced: false, ..Run::new($version, "none") };
                run.round_trip("acks-one", 12).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn acks_of_none() {
                let settings = "acks=0\nenable.idempotence=false\nmax.in.flight.requests.per.connection=1";
                let run = Run { settings, sequenced: false, ..Run::new($version, "lz4") };
                run.round_trip("acks-none", 1).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn all_at_once() {
                Run { way: Way::SendAll, ..Run::new($version, "lz4") }.round_trip("send-all", 12).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn through_the_sink() {
                Run { way: Way::Sink, ..Run::new($version, "lz4") }.round_trip("sink", 1).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_topic_in_the_making() {
                let settings = "batch.size=1000\nlinger.ms=0";
                Run { settings, in_the_making: true, ..Run::new($version, "none") }.round_trip("making", 48).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn keys_go_where_kafkas_own_producer_sends_them() {
                partitions_agree($version).await;
            }
        }
    )*};
}

versions! {
    v4_4_0 "4.4.0";
    v4_3_1 "4.3.1";
    v3_9_1 "3.9.1";
    v2_8_2 "2.8.2";
}

/// Every record of a plan, over one partition and over twelve.
async fn round_trips(version: &str, codec: &str) {
    let run = Run::new(version, codec);
    for partitions in [1, 12] {
        run.round_trip(&format!("trip-{codec}-{partitions}"), partitions).await;
    }
}

struct Run<'a> {
    cluster: Cluster,
    codec: &'a str,
    settings: &'a str,
    /// Whether batches carry sequences.
    sequenced: bool,
    way: Way,
    /// Records are sent as soon as the topic is known, before all leaders take them: the first of several small batches
    /// may be refused, and those behind it must not be taken.
    in_the_making: bool,
}

/// How records are handed over.
enum Way {
    /// One by one.
    Send,
    /// By one call.
    SendAll,
    /// As a stream. The sink does not tell offsets: those of a single partition are known all the same.
    Sink,
}

impl<'a> Run<'a> {
    fn new(version: &str, codec: &'a str) -> Self {
        let cluster = Cluster::of(version);
        Self { cluster, codec, settings: "", sequenced: true, way: Way::Send, in_the_making: false }
    }

    async fn round_trip(&self, name: &str, partitions: i32) {
        let planned = records::plan(SEED, RECORDS, partitions);
        let settings = format!("compression.type={}\n{}", self.codec, self.settings);
        let producer = connect(&self.cluster, &settings).await;
        let create = if self.in_the_making { tools::create_unready } else { tools::create };
        create(&self.cluster, &[name.to_owned()], partitions);
        let started = now();
        let acknowledged = within("producing", name, self.produce(producer, name, &planned)).await;
        let clock = RangeInclusive::new(started - CLOCK_SLACK, now() + CLOCK_SLACK);
        let topic =
            Topic::new(&planned, &acknowledged, clock).unwrap_or_else(|error| panic!("{name}: {error}"));
        let check = |reader: &str, verdict: Result<(), String>| {
            verdict.unwrap_or_else(|error| panic!("{name}, {reader}: {error}"));
        };
        // This one waits for what followers have yet to fetch, should acks not have waited for them.
        let read = tools::console(&self.cluster, name, topic.count());
        check("console consumer", read::compare(&topic, &read, &Console));
        check("kcat", read::compare(&topic, &tools::kcat(&self.cluster, name), &Kcat));
        self.look_at_disks(name, &topic);
    }

    /// In the order of `planned`: the partition and offset of each. Where the producer is not told an offset, the order of
    /// sending must be that of the only partition.
    async fn produce(&self, producer: Producer, topic: &str, planned: &[Planned]) -> Vec<(i32, i64)> {
        let headers: Vec<Vec<Header<'_>>> = planned.iter().map(headers).collect();
        let records = planned.iter().zip(&headers).map(|(planned, headers)| record(topic, planned, headers));
        let acknowledged: Vec<(i32, Option<i64>)> = match self.way {
            Way::Send => {
                let mut deliveries = Vec::with_capacity(planned.len());
                for record in records {
                    deliveries.push(producer.send(record).await.expect("the record is accepted"));
                }
                let mut acknowledged = Vec::with_capacity(planned.len());
                for delivery in deliveries {
                    acknowledged.push(delivery.await.expect("the record is delivered"));
                }
                acknowledged.into_iter().map(|metadata| (metadata.partition, metadata.offset)).collect()
            }
            Way::SendAll => {
                let records: Vec<_> = records.collect();
                let deliveries = producer.send_all(&records).await.expect("the records are accepted");
                let acknowledged = deliveries.await.expect("the records are delivered");
                acknowledged.into_iter().map(|metadata| (metadata.partition, metadata.offset)).collect()
            }
            Way::Sink => {
                let mut sink = producer.sink();
                for planned in planned {
                    sink.feed(owned(topic, planned)).await.expect("the sink takes the record");
                }
                sink.flush().await.expect("the records are delivered");
                vec![(0, None); planned.len()]
            }
        };
        producer.close(Duration::from_secs(30)).await.expect("the producer closes");
        acknowledged
            .into_iter()
            .zip(0..)
            .map(|((partition, offset), index)| (partition, offset.unwrap_or(index)))
            .collect()
    }

    /// Every replica of every partition: valid batches of the codec, consecutive, and the same bytes on every broker.
    fn look_at_disks(&self, name: &str, topic: &Topic<'_>) {
        let logs: Vec<_> = topic
            .logs
            .iter()
            .map(|(partition, log)| (log.len(), self.cluster.logs(name, *partition)))
            .collect();
        let files: Vec<_> = logs.iter().flat_map(|(_, files)| files.clone()).collect();
        let dumped = tools::dump(name, &files);
        let compressed =
            dumped.iter().flat_map(|(_, batches)| batches).filter(|batch| batch.codec == self.codec);
        assert!(compressed.count() > dumped.len(), "{name}: hardly a batch went through the codec");
        let mut dumped = dumped.into_iter();
        for (count, files) in logs {
            assert_eq!(
                files.len(),
                usize::try_from(self.cluster.brokers.min(3)).expect("few"),
                "{name}: replicas"
            );
            let contents = |file| std::fs::read(file).expect("a log can be read");
            let first = contents(&files[0]);
            for file in &files {
                let (_, batches) = dumped.next().expect("every file was dumped");
                dump::check(&batches, count, self.codec, self.sequenced)
                    .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                assert!(contents(file) == first, "{} differs from {}", file.display(), files[0].display());
            }
        }
    }
}

/// Ten thousand keys of all lengths, sent by Kafka's own producer and by ours to topics of as many partitions.
async fn partitions_agree(version: &str) {
    let cluster = Cluster::of(version);
    let topics = ["keys-by-java".to_owned(), "keys-by-us".to_owned()];
    tools::create(&cluster, &topics, 12);
    let mut rng = fastrand::Rng::with_seed(7);
    // Every length up to 258, whatever is left of a hash's blocks of four, and some that are long.
    let size = |i| if i % 1000 == 999 { i } else { i % 259 };
    let keys: Vec<Vec<u8>> = (0..KEYS).map(|i| (0..size(i)).map(|_| rng.u8(..)).collect()).collect();
    let by_java = tools::partitions_by_java(&cluster, &topics[0], &keys);

    let producer = connect(&cluster, "compression.type=lz4").await;
    let records: Vec<_> = keys.iter().map(|key| Record::to(&topics[1]).key(key).value("")).collect();
    let by_us = within("producing", &topics[1], async {
        let deliveries = producer.send_all(&records).await.expect("the records are accepted");
        let acknowledged = deliveries.await.expect("the records are delivered");
        producer.close(Duration::from_secs(30)).await.expect("the producer closes");
        acknowledged.into_iter().map(|metadata| metadata.partition).collect::<Vec<_>>()
    });
    let by_us = by_us.await;
    assert_eq!((by_java.len(), by_us.len()), (keys.len(), keys.len()));
    for ((key, java), ours) in keys.iter().zip(by_java).zip(by_us) {
        assert_eq!(
            java,
            ours,
            "{version}: the partition of a key of {} bytes: {}",
            key.len(),
            key.escape_ascii()
        );
    }
}

/// A step that hangs fails with its name: `delivery.timeout.ms` ends each delivery before.
async fn within<T>(doing: &str, topic: &str, step: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(tools::LIMIT, step).await;
    done.unwrap_or_else(|_| panic!("{doing} to {topic} did not end within {:?}", tools::LIMIT))
}

async fn connect(cluster: &Cluster, settings: &str) -> Producer {
    connect_to(&cluster.bootstrap, settings).await
}

async fn connect_to(bootstrap: &str, settings: &str) -> Producer {
    let settings = format!("bootstrap.servers={bootstrap}\n{settings}");
    let (config, warnings) = ProducerConfig::from_properties(&settings).expect("the settings are understood");
    assert!(warnings.is_empty(), "{warnings:?}");
    config.connect().await.expect("the cluster is reached")
}

fn headers(planned: &Planned) -> Vec<Header<'_>> {
    planned.headers.iter().map(|(name, value)| Header { key: name, value: value.as_deref() }).collect()
}

fn owned(topic: &str, planned: &Planned) -> OwnedRecord {
    let bytes = |bytes: &Vec<u8>| Bytes::copy_from_slice(bytes);
    let mut record = OwnedRecord::to(topic);
    record.key = planned.key.as_ref().map(bytes);
    record.value = planned.value.as_ref().map(bytes);
    record.timestamp = planned.timestamp;
    record.partition = planned.partition;
    let headers = planned.headers.iter();
    record.headers =
        headers.map(|(name, value)| OwnedHeader::new(name.as_str(), value.as_ref().map(bytes))).collect();
    record
}

fn record<'a>(topic: &'a str, planned: &'a Planned, headers: &'a [Header<'a>]) -> Record<'a> {
    let mut record = Record::to(topic).headers(headers);
    if let Some(key) = &planned.key {
        record = record.key(key);
    }
    if let Some(value) = &planned.value {
        record = record.value(value);
    }
    if let Some(timestamp) = planned.timestamp {
        record = record.timestamp(timestamp);
    }
    if let Some(partition) = planned.partition {
        record = record.partition(partition);
    }
    record
}

/// Milliseconds since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with what the producer's own clock has put into records"
)]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_millis()).expect("it is before the end of time")
}

/// Records of a round trip.
const RECORDS: usize = 2000;
/// What the plans are made from.
const SEED: u64 = 11;
/// Keys whose partitions are compared.
const KEYS: usize = 10_000;
/// The producer's clock ticks; it may be behind by that much.
const CLOCK_SLACK: i64 = 1000;
