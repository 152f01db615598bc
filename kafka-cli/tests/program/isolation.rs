//! `linger consume` and transactions: a log with one that was committed, one that was aborted and one that is open.
//!
//! The mock cluster knows no transactions, so the broker is played here: it answers what it is asked about that log.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use kafka_batch::{BatchHeader, HEADER_SIZE, crc32c};
use kafka_mock::MockCluster;
use kafka_wire::messages::{
    AbortedTransaction, ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse,
    FetchableTopicResponse, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse, MetadataRequest, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic, PartitionData,
};
use kafka_wire::{
    ApiKey, Message, NodeId, PartitionId, ProducerId, Records, TopicId, decode_request,
    decode_request_header, encode_response,
};

use crate::common::{Cluster, errors, run, succeeds};

/// Batches as the program writes them, to be given other numbers: two values, and a marker with this key.
fn written(input: &[u8]) -> Bytes {
    let cluster = Cluster::start(MockCluster::builder().brokers(1).topic("one", 1));
    let arguments = ["produce", "-b", &cluster.servers(), "--topic", "one", "--key-separator", "="];
    succeeds(&run(&arguments, input));
    let batch = cluster.mock.batches("one", 0).remove(0);
    cluster.stop();
    batch
}

/// The batch at another place of the log, of another producer.
fn placed(batch: &Bytes, base_offset: i64, producer: i64, attributes: i16) -> Vec<u8> {
    let (header, records) = batch.split_at(HEADER_SIZE);
    let mut header = BatchHeader::decode(header.try_into().unwrap());
    header.base_offset = base_offset;
    header.producer_id = ProducerId(producer);
    header.attributes |= attributes;
    let bytes = header.encode();
    header.crc = crc32c([&bytes[CRC_FROM..], records]);
    [&header.encode()[..], records].concat()
}

/// Offsets 0 and 1 are committed, 3 and 4 aborted, 5 in no transaction, 7 and 8 of one that is open.
fn log() -> Vec<(i64, Vec<u8>)> {
    let records = |text: &str| written(text.as_bytes());
    let marker = |committed: u8| written(&[b"\0\0\0", &[committed][..], b"=x\n"].concat());
    vec![
        (0, placed(&records("k=a\nk=b\n"), 0, 1, TRANSACTIONAL)),
        (2, placed(&marker(1), 2, 1, TRANSACTIONAL | CONTROL)),
        (3, placed(&records("k=c\nk=d\n"), 3, 2, TRANSACTIONAL)),
        (5, placed(&records("k=plain\n"), 5, 3, 0)),
        (6, placed(&marker(0), 6, 2, TRANSACTIONAL | CONTROL)),
        // The producer that aborted one commits the next.
        (7, placed(&records("k=e\n"), 7, 2, TRANSACTIONAL)),
        (8, placed(&marker(1), 8, 2, TRANSACTIONAL | CONTROL)),
        (9, placed(&records("k=open\n"), 9, 4, TRANSACTIONAL)),
    ]
}

struct Broker {
    port: i32,
    log: Vec<(i64, Vec<u8>)>,
}

impl Broker {
    fn start(log: Vec<(i64, Vec<u8>)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let broker = Arc::new(Self { port: address.port().into(), log });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (broker, stream) = (Arc::clone(&broker), stream.unwrap());
                std::thread::spawn(move || broker.serve(stream));
            }
        });
        address.to_string()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut len = [0; 4];
        while stream.read_exact(&mut len).is_ok() {
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(len)).unwrap()];
            stream.read_exact(&mut frame).unwrap();
            let answer = self.answer(&Bytes::from(frame));
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn answer(&self, frame: &Bytes) -> Bytes {
        let (header, body) = decode_request_header(frame).unwrap();
        let (version, id) = (header.api_version, header.correlation_id);
        macro_rules! answer {
            ($request:ty, $answer:expr) => {
                encode_response(&$answer(decode_request::<$request>(&header, body).unwrap()), version, id)
            };
        }
        let frame = match header.api_key {
            // Whatever version it was asked in, so that newer programs are served, too.
            ApiKey::API_VERSIONS => encode_response(&versions(), version, id),
            ApiKey::METADATA => answer!(MetadataRequest, |_| self.metadata()),
            ApiKey::LIST_OFFSETS => answer!(ListOffsetsRequest, offsets),
            ApiKey::FETCH => answer!(FetchRequest, |request| self.fetch(&request)),
            other => panic!("asked {other}"),
        };
        frame.unwrap().into_bytes()
    }

    fn metadata(&self) -> MetadataResponse {
        let partition = MetadataResponsePartition { leader_id: NodeId(1), ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some("one".into()),
            topic_id: TopicId([7; 16]),
            partitions: vec![partition],
            ..Default::default()
        };
        let broker = MetadataResponseBroker {
            node_id: NodeId(1),
            host: "127.0.0.1".into(),
            port: self.port,
            rack: None,
        };
        MetadataResponse { brokers: vec![broker], topics: vec![topic], ..Default::default() }
    }

    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let committed = request.isolation_level == 1;
        let end = if committed { STABLE } else { END };
        let from = request.topics[0].partitions[0].fetch_offset;
        // A batch at a time, so that what is known of transactions must outlive an answer.
        let batch = self.log.iter().find(|(offset, batch)| {
            let header = BatchHeader::decode(batch[..HEADER_SIZE].try_into().unwrap());
            *offset < end && offset + i64::from(header.last_offset_delta) >= from
        });
        let is_aborted = committed && batch.is_some_and(|(offset, _)| (3..=6).contains(offset));
        let aborted = AbortedTransaction { producer_id: ProducerId(2), first_offset: 3 };
        let records = batch.map_or_else(Bytes::new, |(_, batch)| Bytes::copy_from_slice(batch));
        let partition = PartitionData {
            high_watermark: END,
            last_stable_offset: STABLE,
            aborted_transactions: committed.then(|| if is_aborted { vec![aborted] } else { vec![] }),
            records: Some(Records::from(records)),
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic: "one".into(),
            topic_id: TopicId([7; 16]),
            partitions: vec![partition],
        };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }
}

fn versions() -> ApiVersionsResponse {
    let version = |api_key, max_version| ApiVersion { api_key, min_version: 0, max_version };
    let api_keys = vec![
        version(ApiVersionsRequest::API, 3),
        version(MetadataRequest::API, 12),
        version(ListOffsetsRequest::API, 7),
        version(FetchRequest::API, 12),
    ];
    ApiVersionsResponse { api_keys, ..Default::default() }
}

fn offsets(request: ListOffsetsRequest) -> ListOffsetsResponse {
    let end = if request.isolation_level == 1 { STABLE } else { END };
    let offset = if request.topics[0].partitions[0].timestamp == -2 { 0 } else { end };
    let partition =
        ListOffsetsPartitionResponse { partition_index: PartitionId(0), offset, ..Default::default() };
    let topic = ListOffsetsTopicResponse { name: "one".into(), partitions: vec![partition] };
    ListOffsetsResponse { topics: vec![topic], ..Default::default() }
}

#[test]
fn only_what_was_committed_is_read_unless_asked_for() {
    let server = Broker::start(log());
    let consume = |arguments: &[&str]| {
        let output = run(
            &[&["consume", "-b", &server, "--topic", "one", "--format", "%o=%s "], arguments].concat(),
            b"",
        );
        succeeds(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    let committed = "0=a 1=b 5=plain 7=e ";
    let everything = "0=a 1=b 3=c 4=d 5=plain 7=e 9=open ";
    assert_eq!(consume(&[]), committed);
    assert_eq!(consume(&["--isolation", "read_committed"]), committed);
    assert_eq!(consume(&["--isolation", "read_uncommitted"]), everything);
    // In the middle of the one that was aborted, and in that of its commit.
    assert_eq!(consume(&["--from", "4"]), "5=plain 7=e ");
    assert_eq!(consume(&["--from", "1", "--to", "5"]), "1=b ");
    let output = run(&["consume", "-b", &server, "--topic", "one", "--isolation", "none"], b"");
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}

/// What a broker says may be anything: also an offset at the end of all numbers.
#[test]
fn offsets_that_no_log_can_have() {
    let records = written(b"k=a\nk=b\n");
    let server = Broker::start(vec![(0, placed(&records, i64::MAX - 1, 1, 0))]);
    let output = run(&["consume", "-b", &server, "--topic", "one"], b"");
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("offset 9223372036854775806") && !said.contains("panicked"), "{said}");
}

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// Where the part of a batch begins that its checksum covers.
const CRC_FROM: usize = 21;
/// All transactions before this are decided.
const STABLE: i64 = 9;
/// Behind the last record.
const END: i64 = 10;
