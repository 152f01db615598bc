//! The mock cluster and a real broker, asked the same: they have to answer the same.
//!
//! Behind a feature, because it needs a broker: `cargo xtask test --kafka` starts one and says where it is.
#![cfg(feature = "broker-tests")]

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_batch::BatchReader;
use kafka_mock::MockCluster;
use kafka_wire::messages::{
    ApiVersionsRequest, CreatableTopic, CreatableTopicConfig, CreatePartitionsRequest, CreatePartitionsTopic,
    CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeConfigsResource, FetchPartition, FetchRequest, FetchTopic,
    InitProducerIdRequest, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, MetadataRequest,
    MetadataRequestTopic, PartitionProduceData, ProduceRequest, TopicProduceData,
};
use kafka_wire::{
    Acks, ApiKey, CorrelationId, ErrorCode, NodeId, PartitionId, Records, Request, TopicId, TransactionalId,
    VersionRange,
};

use crate::batch::{NOW_MS, TestBatch, TestRecord};

#[path = "core/batch.rs"]
mod batch;

/// One of the two, with a connection to the leader of everything that is asked about.
struct Side {
    stream: TcpStream,
    address: String,
    /// So that runs on the same broker do not meet.
    prefix: String,
}

impl Side {
    fn connect(address: &str, prefix: &str) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self { stream, address: address.to_owned(), prefix: prefix.to_owned() }
    }

    /// The response, or `None` where the connection was closed instead. Another one is open then.
    #[track_caller]
    fn ask<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        let frame = kafka_wire::encode_request(request, version, CorrelationId(1), Some("likeness"))
            .expect("encodes");
        self.stream.write_all(&frame.into_bytes()).expect("writes");
        match self.frame() {
            Ok(frame) => Some(kafka_wire::decode_response(&frame, version).expect("decodes").1),
            Err(error) => {
                let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!is_late, "{} does not answer {}", self.address, R::API);
                *self = Self::connect(&self.address, &self.prefix);
                None
            }
        }
    }

    fn frame(&mut self) -> std::io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(Bytes::from(frame))
    }

    #[track_caller]
    fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.ask(version, request).expect("an answer, not a closed connection")
    }

    fn named(&self, topic: &str) -> String {
        format!("{}-{topic}", self.prefix)
    }

    /// Creates a topic of one replica on whichever broker, and waits until this connection leads to its leader.
    fn create(&mut self, topic: &str, configs: &[(&str, &str)]) {
        let name = self.named(topic);
        // Clusters of three want two replicas, unless the topic says otherwise.
        let is_said = configs.iter().any(|(name, _)| *name == "min.insync.replicas");
        let one_replica: &[_] = if is_said { &[] } else { &[("min.insync.replicas", "1")] };
        let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        };
        let wanted = CreatableTopic {
            name: name.as_str().into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.iter().chain(one_replica).map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![wanted], timeout_ms: 30_000, ..Default::default() };
        let created = self.call(7, &request).topics.remove(0);
        assert_eq!(created.error_code, ErrorCode::NONE, "{name}: {:?}", created.error_message);
        let wanted = MetadataRequestTopic { name: Some(name.as_str().into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![wanted]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        for _ in 0..600 {
            let response = self.call(12, &request);
            let leader = response.topics[0].partitions.first().map(|partition| partition.leader_id);
            let broker = response.brokers.iter().find(|broker| Some(broker.node_id) == leader);
            if let Some(broker) = broker {
                *self = Self::connect(&format!("{}:{}", broker.host, broker.port), &self.prefix);
                // A broker may be told that it leads later than the others are.
                let latest = ListOffsetsPartition { timestamp: -1, ..Default::default() };
                if ask_offsets(self, 11, topic, vec![latest])[0].0 == ErrorCode::NONE {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} got no leader");
    }

    /// Everything an answer to Produce tells of its one partition, but for texts.
    fn produce(&mut self, topic: &str, step: &Step) -> Told {
        let mut data = TopicProduceData {
            partition_data: vec![PartitionProduceData {
                index: PartitionId(0),
                records: Some(Records::from(step.batch.clone())),
            }],
            ..Default::default()
        };
        if step.version >= 13 {
            data.topic_id = TopicId([9; 16]);
        } else {
            data.name = self.named(topic).as_str().into();
        }
        let request = ProduceRequest {
            transactional_id: None,
            acks: Acks(step.acks),
            timeout_ms: 10_000,
            topic_data: vec![data],
        };
        let Some(mut response) = self.ask(step.version, &request) else { return Told::Closed };
        let partition = response.responses.remove(0).partition_responses.remove(0);
        Told::Partition {
            code: partition.error_code,
            base_offset: partition.base_offset,
            log_append_time_ms: unless_now(partition.log_append_time_ms),
            log_start_offset: partition.log_start_offset,
            blamed: partition.record_errors.iter().map(|error| error.batch_index).collect(),
        }
    }
}

/// A time of the tests, as it is; one of the broker's clock, which is years later, in a word.
fn unless_now(time: i64) -> i64 {
    if time > NOW_MS + YEAR_MS && time < NOW_MS * 2 { i64::MAX } else { time }
}

const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A batch to be produced.
#[derive(Clone)]
struct Step {
    version: i16,
    acks: i16,
    batch: Bytes,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Closed,
    Partition {
        code: ErrorCode,
        base_offset: i64,
        log_append_time_ms: i64,
        log_start_offset: i64,
        blamed: Vec<i32>,
    },
}

/// Both sides, and what they answered differently.
struct Pair {
    _mock: MockCluster,
    sides: [Side; 2],
    differences: Vec<String>,
}

impl Pair {
    async fn new(prefix: &str) -> Self {
        let address = std::env::var("LINGER_KAFKA_4_4_0");
        let address =
            address.expect("LINGER_KAFKA_4_4_0 is a broker's address: run `cargo xtask test --kafka`");
        let address = address.split(',').next().expect("never empty").to_owned();
        let mock = MockCluster::builder().brokers(1).auto_create(true).start().await.expect("starts");
        let prefix = format!("{prefix}-{}", std::process::id());
        let sides = [Side::connect(&address, &prefix), Side::connect(&mock.bootstrap_servers(), &prefix)];
        Self { _mock: mock, sides, differences: Vec::new() }
    }

    /// Does the same to both and compares what comes of it.
    fn compare<T: Debug + PartialEq>(&mut self, what: &str, mut act: impl FnMut(&mut Side) -> T) {
        let [real, mock] = &mut self.sides;
        let (real, mock) = (act(real), act(mock));
        if real != mock {
            self.differences.push(format!("{what}:\n  real {real:?}\n  mock {mock:?}"));
        }
    }

    #[track_caller]
    fn finish(self) {
        let differences = self.differences;
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }
}

/// With acks=all, in the newest version that names topics.
fn step(batch: impl Into<Bytes>) -> Step {
    Step { version: 12, acks: -1, batch: batch.into() }
}

fn at(timestamp: i64) -> TestRecord {
    TestRecord { key: Some("key"), value: b"value".to_vec(), timestamp, offset_delta: None }
}

fn with_byte(batch: &TestBatch, index: usize, value: u8) -> Bytes {
    let mut bytes = BytesMut::from(&batch.build()[..]);
    bytes[index] = value;
    bytes.freeze()
}

fn keyless() -> TestBatch {
    let mut batch = TestBatch::of(3);
    batch.records[1].key = None;
    batch
}

/// A batch after another, for a topic with these settings.
type Case = (&'static str, &'static [(&'static str, &'static str)], Vec<Step>);

fn malformed() -> Vec<Case> {
    let sound = TestBatch::of(3);
    let bytes = sound.build();
    let twice = Bytes::from([&bytes[..], &bytes[..]].concat());
    let mut uneven = TestBatch { gzip: true, ..sound.clone() };
    uneven.records[1].offset_delta = Some(2);
    let batch = |batch: TestBatch| vec![step(batch)];
    vec![
        ("sound", &[], vec![step(sound.clone()), step(TestBatch { gzip: true, ..sound.clone() })]),
        ("old versions", &[], (3..=12).map(|version| Step { version, ..step(sound.clone()) }).collect()),
        ("checksum", &[], vec![step(with_byte(&sound, 70, 0xff)), step(sound.clone())]),
        // Null records are left out: Kafka 4.3.1 never answers them.
        ("no records", &[], vec![step(Bytes::new())]),
        ("cut", &[], vec![step(bytes.slice(..60)), step(bytes.slice(..bytes.len() - 1))]),
        ("two batches", &[], vec![step(twice)]),
        ("magic", &[], vec![step(with_byte(&sound, 16, 1))]),
        ("base offset", &[], batch(TestBatch { base_offset: 5, ..sound.clone() })),
        ("last offset delta", &[], batch(TestBatch { last_offset_delta: Some(3), ..sound.clone() })),
        ("too many", &[], batch(TestBatch { count: Some(4), last_offset_delta: Some(3), ..sound.clone() })),
        ("too few", &[], batch(TestBatch { count: Some(2), last_offset_delta: Some(1), ..sound.clone() })),
        (
            "too many, compressed",
            &[],
            batch(TestBatch { count: Some(4), last_offset_delta: Some(3), gzip: true, ..sound.clone() }),
        ),
        (
            "too few, compressed",
            &[],
            batch(TestBatch { count: Some(2), last_offset_delta: Some(1), gzip: true, ..sound.clone() }),
        ),
        ("no count", &[], batch(TestBatch { count: Some(0), last_offset_delta: Some(-1), ..sound.clone() })),
        ("control", &[], batch(TestBatch { attributes: 1 << 5, ..sound.clone() })),
        ("uneven offsets, compressed", &[], batch(uneven)),
        ("not gzip", &[], batch(TestBatch { attributes: 1, ..sound.clone() })),
        ("not snappy", &[], batch(TestBatch { attributes: 2, ..sound.clone() })),
        ("not lz4", &[], batch(TestBatch { attributes: 3, ..sound.clone() })),
        ("not zstd", &[], batch(TestBatch { attributes: 4, ..sound.clone() })),
        ("codec 5", &[], batch(TestBatch { attributes: 5, ..sound.clone() })),
        ("early zstd", &[], vec![Step { version: 6, ..step(TestBatch { attributes: 4, ..sound.clone() }) }]),
        ("attributes without a meaning", &[], batch(TestBatch { attributes: 0x7fc8, ..sound.clone() })),
        ("transactional", &[], batch(TestBatch { attributes: 1 << 4, ..TestBatch::numbered(1, 7, 0, 0) })),
        ("acks", &[], vec![Step { acks: 2, ..step(sound.clone()) }, Step { acks: 1, ..step(sound.clone()) }]),
        ("compacted", &[("cleanup.policy", "compact")], vec![step(keyless()), step(sound.clone())]),
        ("too large", &[("max.message.bytes", "100")], vec![step(TestBatch::of(9)), step(TestBatch::of(1))]),
        ("few replicas", &[("min.insync.replicas", "2")], vec![step(sound.clone())]),
        ("topic id", &[], vec![Step { version: 13, ..step(sound) }]),
    ]
}

fn timestamps() -> Vec<Case> {
    let far = NOW_MS * 2;
    let batch = |timestamps: &[i64]| TestBatch {
        records: timestamps.iter().map(|&timestamp| at(timestamp)).collect(),
        ..TestBatch::default()
    };
    vec![
        ("future", &[], vec![step(batch(&[NOW_MS, far, far + 1]))]),
        ("past", &[], vec![step(batch(&[0, NOW_MS])), step(batch(&[NOW_MS, 0]))]),
        ("too far past", &[("message.timestamp.before.max.ms", "1000")], vec![step(batch(&[NOW_MS, 5]))]),
        ("compressed", &[], vec![step(TestBatch { gzip: true, ..batch(&[NOW_MS, far]) })]),
        (
            "time of the append",
            &[("message.timestamp.type", "LogAppendTime")],
            appended(&batch(&[NOW_MS, 0, far])),
        ),
        ("claimed time of the append", &[], vec![step(TestBatch { attributes: 8, ..batch(&[NOW_MS, 5]) })]),
    ]
}

/// Plain, compressed, and once more.
fn appended(batch: &TestBatch) -> Vec<Step> {
    let batch = TestBatch { producer: (7, 0, 0), ..batch.clone() };
    let compressed = TestBatch { gzip: true, producer: (7, 0, 3), ..batch.clone() };
    vec![step(batch.clone()), step(compressed), step(batch)]
}

/// What a log holds of each batch's times, and those of its records.
fn times(side: &mut Side, topic: &str) -> Vec<(i16, i64, i64, Vec<i64>)> {
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..Default::default() };
    let topic = side.named(topic).as_str().into();
    let topic = FetchTopic { topic, partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_bytes: i32::MAX, topics: vec![topic], ..Default::default() };
    let data = side.call(12, &request).responses.remove(0).partitions.remove(0);
    let batches = BatchReader::new(data.records.as_ref().map(Records::to_bytes).unwrap_or_default());
    let times = batches.map(|batch| {
        let batch = batch.expect("its checksum fits");
        let header = *batch.header();
        let records =
            batch.records().expect("a codec").map(|read| unless_now(read.expect("whole").record.timestamp));
        (header.attributes, header.base_timestamp, unless_now(header.max_timestamp), records.collect())
    });
    times.collect()
}

/// Batches of an idempotent producer: epoch, sequence, count.
fn numbered(numbers: &[(i16, i32, usize)]) -> Vec<Step> {
    let batch =
        |&(epoch, sequence, count): &(i16, i32, usize)| TestBatch::numbered(count, 7, epoch, sequence);
    numbers.iter().map(|numbers| step(batch(numbers))).collect()
}

fn numbers() -> Vec<Case> {
    let window: Vec<_> = (0..7).chain(0..8).map(|batch| (0, batch * 2, 2)).collect();
    vec![
        ("window", &[], numbered(&window)),
        (
            "gap and overlap",
            &[],
            numbered(&[(0, 0, 10), (0, 11, 1), (0, 9, 1), (0, 0, 9), (0, 5, 5), (0, 10, 1)]),
        ),
        (
            "epochs",
            &[],
            numbered(&[(3, 5, 2), (4, 7, 1), (4, 0, 1), (3, 7, 1), (3, 5, 2), (4, 1, 1), (4, 0, 1)]),
        ),
        ("wrap", &[], numbered(&[(0, i32::MAX - 1, 3), (0, i32::MAX - 1, 3), (0, 0, 1), (0, 1, 1)])),
        ("end at the wrap", &[], numbered(&[(0, i32::MAX - 1, 2), (0, 0, 1), (0, 1, 2)])),
        ("no sequence", &[], numbered(&[(0, -1, 1)])),
        ("negative epoch", &[], numbered(&[(-1, 0, 1)])),
    ]
}

async fn compare_cases(prefix: &str, cases: Vec<Case>) {
    let mut pair = Pair::new(prefix).await;
    for (index, (name, configs, steps)) in cases.into_iter().enumerate() {
        let topic = format!("{index}");
        for side in &mut pair.sides {
            side.create(&topic, configs);
        }
        for (number, step) in steps.into_iter().enumerate() {
            pair.compare(&format!("{name}, batch {number}"), |side| side.produce(&topic, &step));
        }
        pair.compare(&format!("{name}, stored times"), |side| times(side, &topic));
    }
    pair.finish();
}

fn list_offsets(pair: &mut Pair) {
    let questions = [-1, -2, -3, -4, -5, -6, -7, 0, NOW_MS, NOW_MS + 1, NOW_MS + 50, NOW_MS + 51];
    for (version, timestamp) in (1..=11).flat_map(|version| questions.map(|timestamp| (version, timestamp))) {
        pair.compare(&format!("ListOffsets {version} {timestamp}"), |side| {
            let partition = ListOffsetsPartition { timestamp, ..Default::default() };
            ask_offsets(side, version, "t", vec![partition])
        });
    }
    for (topic, partition_index, epoch) in
        [("t", 1, -1), ("nope", 0, -1), ("t", 0, 0), ("t", 0, 9), ("t", -1, -1)]
    {
        pair.compare(&format!("ListOffsets of {topic}-{partition_index} in epoch {epoch}"), |side| {
            let partition = ListOffsetsPartition {
                partition_index: PartitionId(partition_index),
                current_leader_epoch: epoch,
                timestamp: -1,
            };
            ask_offsets(side, 11, topic, vec![partition])
        });
    }
    pair.compare("ListOffsets twice", |side| {
        let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        ask_offsets(side, 11, "t", vec![partition.clone(), partition])
    });
}

/// Code, offset, timestamp and leader epoch of each partition of an answer.
fn ask_offsets(
    side: &mut Side,
    version: i16,
    topic: &str,
    partitions: Vec<ListOffsetsPartition>,
) -> Vec<(ErrorCode, i64, i64, i32)> {
    let topic = ListOffsetsTopic { name: side.named(topic).as_str().into(), partitions };
    let request = ListOffsetsRequest { replica_id: (-1).into(), topics: vec![topic], ..Default::default() };
    let response = side.call(version, &request);
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|found| (found.error_code, found.offset, found.timestamp, found.leader_epoch)).collect()
}

fn fetch(pair: &mut Pair) {
    let cases = (4..=12).map(|version| (version, 0, 0, -1)).chain([
        (12, 0, 4, -1),
        (12, 0, 6, -1),
        (12, 0, 7, -1),
        (12, 0, -1, -1),
        (12, 1, 0, -1),
        (12, 0, 0, 0),
        (12, 0, 0, 9),
    ]);
    for (version, partition, offset, epoch) in cases {
        for (max_bytes, isolation_level) in [(i32::MAX, 0), (1, 0), (i32::MAX, 1)] {
            let what = format!(
                "Fetch {version} from {partition} at {offset} in {epoch}, {max_bytes}, {isolation_level}"
            );
            pair.compare(&what, |side| {
                let partition = FetchPartition {
                    partition: PartitionId(partition),
                    fetch_offset: offset,
                    current_leader_epoch: epoch,
                    partition_max_bytes: max_bytes,
                    ..Default::default()
                };
                let topic = side.named("t").as_str().into();
                let topic = FetchTopic { topic, partitions: vec![partition], ..Default::default() };
                let request =
                    FetchRequest { isolation_level, max_bytes, topics: vec![topic], ..Default::default() };
                let data = side.call(version, &request).responses.remove(0).partitions.remove(0);
                let records = data.records.as_ref().map(Records::to_bytes).unwrap_or_default();
                let batches =
                    BatchReader::new(records).map(|batch| batch.expect("sound").header().base_offset);
                let batches: Vec<_> = batches.collect();
                let offsets = (data.high_watermark, data.last_stable_offset, data.log_start_offset);
                // With an error it is null or empty, as it comes.
                let aborted = data.aborted_transactions.filter(|_| data.error_code.is_ok());
                (data.error_code, offsets, aborted, batches)
            });
        }
    }
    pair.compare("Fetch in a session that is none", |side| {
        let request = FetchRequest { session_id: 12345, session_epoch: 1, ..Default::default() };
        side.call(12, &request).error_code
    });
    pair.compare("Fetch by an unknown id", |side| {
        let topic = FetchTopic {
            topic_id: TopicId([9; 16]),
            partitions: vec![FetchPartition::default()],
            ..Default::default()
        };
        let data = side.call(13, &FetchRequest { topics: vec![topic], ..Default::default() });
        data.responses[0].partitions[0].error_code
    });
}

fn metadata(pair: &mut Pair) {
    let names = ["nope", "a b", "", ".."];
    for (version, name) in
        [4, 9, 10, 12, 13].into_iter().flat_map(|version| names.map(|name| (version, name)))
    {
        pair.compare(&format!("Metadata {version} of {name:?}"), |side| {
            let wanted = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
            let topics = Some(vec![wanted]);
            let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
            side.call(version, &request).topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
        });
    }
    pair.compare("Metadata of a topic to be created, the first time", |side| {
        let wanted =
            MetadataRequestTopic { name: Some(side.named("fresh").as_str().into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![wanted]), ..Default::default() };
        side.call(12, &request).topics[0].error_code
    });
    pair.compare("Metadata of an unknown id", |side| {
        let wanted = MetadataRequestTopic { topic_id: TopicId([9; 16]), name: None };
        let request = MetadataRequest { topics: Some(vec![wanted]), ..Default::default() };
        side.call(12, &request).topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
    });
    pair.compare("Metadata of a topic named twice", |side| {
        let wanted =
            MetadataRequestTopic { name: Some(side.named("t").as_str().into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![wanted.clone(), wanted]), ..Default::default() };
        side.call(12, &request).topics.len()
    });
}

fn topics(pair: &mut Pair) {
    let setting = |name: &str, value: Option<&str>| CreatableTopicConfig {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    for (name, partitions, replicas, configs) in [
        ("t", 1, 1, vec![]),
        ("a b", 1, 1, vec![]),
        ("c", 0, 1, vec![]),
        ("c", -2, 1, vec![]),
        ("c", 1, 0, vec![]),
        ("c", 1, 99, vec![]),
        ("c", 1, 1, vec![setting("no.such", Some("1"))]),
        ("c", 1, 1, vec![setting("max.message.bytes", Some("many"))]),
        ("c", 1, 1, vec![setting("max.message.bytes", None)]),
        ("c", 1, 1, vec![setting("cleanup.policy", Some("shred"))]),
        ("d.e_f", 1, 1, vec![]),
        ("d_e.f", 1, 1, vec![]),
        ("d.e_f", 1, 1, vec![]),
    ] {
        pair.compare(&format!("CreateTopics {name} {partitions} {replicas} {configs:?}"), |side| {
            let topic = CreatableTopic {
                name: side.named(name).as_str().into(),
                num_partitions: partitions,
                replication_factor: replicas,
                configs: configs.clone(),
                ..Default::default()
            };
            side.call(7, &CreateTopicsRequest { topics: vec![topic], ..Default::default() }).topics[0]
                .error_code
        });
    }
    for count in [1, 0, -1] {
        pair.compare(&format!("CreatePartitions {count}"), |side| {
            let name = side.named("t").as_str().into();
            let topic = CreatePartitionsTopic { name, count, assignments: None };
            let request =
                CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
            side.call(3, &request).results[0].error_code
        });
    }
    for (name, topic_id) in [(Some("nope"), [0; 16]), (None, [9; 16]), (Some("t"), [9; 16]), (None, [0; 16])]
    {
        pair.compare(&format!("DeleteTopics {name:?} {topic_id:?}"), |side| {
            let name = name.map(|name| side.named(name).as_str().into());
            let topics = vec![DeleteTopicState { name, topic_id: TopicId(topic_id) }];
            let request = DeleteTopicsRequest { topics, timeout_ms: 1000, ..Default::default() };
            side.ask(6, &request).map(|response| response.responses[0].error_code)
        });
    }
}

fn producer_ids(pair: &mut Pair) {
    for (version, id) in (0..=5).flat_map(|version| [(version, None), (version, Some(""))]) {
        pair.compare(&format!("InitProducerId {version} {id:?}"), |side| {
            let transactional_id = id.map(TransactionalId::from);
            let request = InitProducerIdRequest {
                transactional_id,
                transaction_timeout_ms: i32::MAX,
                ..Default::default()
            };
            let mut response = side.call(version, &request);
            // A cluster that has just started has no ids to give out for a while.
            for _ in 0..600 {
                if response.error_code != ErrorCode::COORDINATOR_LOAD_IN_PROGRESS {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
                response = side.call(version, &request);
            }
            (response.error_code, response.producer_epoch, response.producer_id.0 >= 0)
        });
    }
}

fn descriptions(pair: &mut Pair) {
    for endpoint_type in [1, 2, 3] {
        pair.compare(&format!("DescribeCluster {endpoint_type}"), |side| {
            side.call(1, &DescribeClusterRequest { endpoint_type, ..Default::default() }).error_code
        });
    }
    for (resource_type, name) in [(2, "t"), (2, "nope"), (4, ""), (4, "12345"), (4, "x"), (3, "x")] {
        pair.compare(&format!("DescribeConfigs {resource_type} {name:?}"), |side| {
            let resource_name = if resource_type == 2 { side.named(name) } else { name.to_owned() };
            let resource = DescribeConfigsResource {
                resource_type,
                resource_name,
                configuration_keys: Some(Vec::new()),
            };
            let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
            side.ask(4, &request).map(|response| response.results[0].error_code)
        });
    }
    for (name, version) in [("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a-", "1"), ("a.b-c", "1.0-x")]
    {
        pair.compare(&format!("ApiVersions of {name:?} {version:?}"), |side| {
            let request = ApiVersionsRequest {
                client_software_name: name.into(),
                client_software_version: version.into(),
                ..Default::default()
            };
            side.call(4, &request).error_code
        });
    }
    // Another cluster's id and another node's, and half of it (KIP-1242).
    for (own_cluster, node) in [
        (None, Some(-1)),
        (None, Some(1)),
        (Some(true), None),
        (Some(true), Some(1000)),
        (Some(true), Some(-1)),
        (Some(false), None),
        (Some(false), Some(-1)),
    ] {
        pair.compare(&format!("ApiVersions meant for {own_cluster:?} {node:?}"), |side| {
            let brokers = side.call(12, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() });
            let (_, port) = side.address.rsplit_once(':').expect("a port");
            let own = brokers.brokers.iter().find(|broker| broker.port.to_string() == port);
            let own = own.expect("the one asked is among them").node_id;
            let request = ApiVersionsRequest {
                client_software_name: "a".into(),
                client_software_version: "1".into(),
                cluster_id: match own_cluster {
                    Some(true) => brokers.cluster_id,
                    Some(false) => Some("another".into()),
                    None => None,
                },
                node_id: node.map_or(own, NodeId),
            };
            side.call(5, &request).error_code
        });
    }
    let everything = kafka_wire::ALL.iter().map(|api| api.key).chain([ApiKey::FIND_COORDINATOR]);
    for key in everything {
        pair.compare(&format!("versions of {key}"), |side| {
            let request = ApiVersionsRequest {
                client_software_name: "a".into(),
                client_software_version: "1".into(),
                ..Default::default()
            };
            let response = side.call(5, &request);
            let range = response.api_keys.iter().find(|api| api.api_key == key);
            range.map(|api| VersionRange::new(api.min_version, api.max_version))
        });
    }
}

/// Named after the version of the broker, so that the tests can be chosen by it.
mod v4_4_0 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_wrong_with_a_batch_is_answered_alike() {
        compare_cases("malformed", malformed()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn timestamps_are_judged_alike() {
        compare_cases("timestamps", timestamps()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn numbers_are_judged_alike() {
        compare_cases("numbers", numbers()).await;
    }

    /// Codes, and numbers where they do not depend on the cluster.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_other_apis_answer_alike() {
        let mut pair = Pair::new("others").await;
        for side in &mut pair.sides {
            side.create("t", &[]);
            let batch = |deltas: [i64; 3]| TestBatch {
                records: deltas.map(|delta| at(NOW_MS + delta)).to_vec(),
                ..TestBatch::default()
            };
            side.produce("t", &step(batch([0, 50, 20])));
            side.produce("t", &step(batch([10, 50, 40])));
        }
        list_offsets(&mut pair);
        fetch(&mut pair);
        metadata(&mut pair);
        topics(&mut pair);
        producer_ids(&mut pair);
        descriptions(&mut pair);
        pair.finish();
    }
}
