//! What a stranger's bytes can make a connection allocate: at most a constant times their length, whatever they promise. And
//! what an honest broker's can.

#![expect(clippy::disallowed_methods, reason = "a test starts threads and tells the time where it likes")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use kafka_net::{
    Action, Client, ClientConfig, Connection, Endpoint, KafkaCodec, LeaderHint, Metadata, MetadataConfig,
    NetConfig, Status,
};
use kafka_wire::{
    ApiKey, CorrelationId, FrameBuf, NodeId, PartitionId, TopicName, VersionRange, WireError,
    encode_response,
    messages::{
        ApiVersion, ApiVersionsResponse, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
        MetadataResponseTopic,
    },
};
use tokio_util::codec::Decoder;

/// As for bodies in kafka-wire, and what the connection notes of each API: its key in a tree.
const MAX_PER_BYTE: u64 = 64;
/// A connection's own, its error's text included.
const MAX_ALWAYS: u64 = 16 << 10;

#[derive(Debug)]
enum Never {}

impl kafka_net::Call for Never {
    type Reply = ();

    fn api_key(&self) -> ApiKey {
        match *self {}
    }

    fn versions(&self) -> VersionRange {
        match *self {}
    }

    fn encode(&mut self, _: i16, _: CorrelationId, _: &str) -> Result<FrameBuf, WireError> {
        match *self {}
    }

    fn decode(&self, _: i16, _: Bytes) -> Result<(), WireError> {
        match *self {}
    }

    fn throttle(&self, (): &()) -> Duration {
        match *self {}
    }
}

fn check(held: u64, bytes: usize, what: &str) {
    let most = MAX_PER_BYTE * bytes as u64 + MAX_ALWAYS;
    assert!(held <= most, "{what}: {held} bytes held for {bytes} bytes");
}

/// The first answer of whoever is at the other end.
fn first_answer(frame: &[u8], what: &str) {
    let now = Instant::now();
    let frame = Bytes::copy_from_slice(frame);
    let info = measure(|| {
        let config = Arc::new(NetConfig::default());
        let mut connection =
            Connection::<Never>::new(NodeId(1), "broker:9092", config, Duration::from_secs(1), now);
        while let Some(sent) = connection.poll_transmit() {
            connection.handle_written(sent.len(), now);
        }
        connection.handle_frame(frame.clone(), now);
        while connection.poll_event().is_some() {}
    });
    check(info.bytes_max, frame.len(), what);
}

#[test]
fn an_answer_takes_no_more_than_it_brings() {
    let api = |key: i16| ApiVersion { api_key: ApiKey(key), min_version: 0, max_version: 9 };
    let mut random = fastrand::Rng::with_seed(5);
    for count in [1, 90, 5000] {
        let response =
            ApiVersionsResponse { api_keys: (0..count).map(api).collect(), ..ApiVersionsResponse::default() };
        let frame = encode_response(&response, 3, CorrelationId(0)).expect("it can be encoded");
        let frame = frame.into_bytes().slice(4..);
        first_answer(&frame, "whole");
        for _ in 0..300 {
            let mut bytes = frame.to_vec();
            let at = random.usize(4..bytes.len());
            let junk = [0xff, 0xff, 0xff, 0xff, 0x0f];
            bytes.iter_mut().skip(at).zip(junk).for_each(|(byte, junk)| *byte = junk);
            first_answer(&bytes, "damaged");
            bytes.truncate(at);
            first_answer(&bytes, "cut off");
        }
    }
}

#[test]
fn a_length_is_no_reason_to_make_room() {
    for claim in [1_000, 1_000_000, 90_000_000, i32::MAX, -1] {
        let mut bytes = BytesMut::from(&claim.to_be_bytes()[..]);
        bytes.extend_from_slice(b"hello");
        let len = bytes.len();
        let info = measure(|| {
            let mut codec = KafkaCodec::new(100_000_000);
            let mut bytes = bytes.clone();
            while let Ok(Some(_)) = codec.decode(&mut bytes) {}
        });
        check(info.bytes_max, len, "a claim");
    }
}

/// The same over a socket, with all that reads from it.
#[test]
fn a_client_makes_room_for_what_has_come() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    let stranger = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client comes");
        let mut request = [0; 512];
        assert!(stream.read(&mut request).expect("a request") > 0);
        stream.write_all(&90_000_000_i32.to_be_bytes()).expect("it reads");
        stream.write_all(&[0; 100_000]).expect("it reads");
        // Until the client gives up.
        while matches!(stream.read(&mut request), Ok(1..)) {}
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut config = ClientConfig::default();
    config.max_block = Duration::from_millis(500);
    let info = measure(|| {
        runtime.block_on(Client::connect(&address, config.clone())).expect_err("nobody answers");
    });
    // 100 kB have come, and a buffer that grows doubles.
    assert!(info.bytes_max < 1 << 20, "{} bytes held", info.bytes_max);
    drop(runtime);
    stranger.join().expect("it saw the client go");
}

/// Brokers 0 and 1, and a topic with so many partitions, all led by broker 0 in epoch 5.
fn described(name: &TopicName, partitions: i32) -> MetadataResponse {
    let broker = |node_id| MetadataResponseBroker {
        node_id: NodeId(node_id),
        host: "broker".into(),
        port: 9092,
        ..MetadataResponseBroker::default()
    };
    let partition = |index| MetadataResponsePartition {
        partition_index: PartitionId(index),
        leader_id: NodeId(0),
        leader_epoch: 5,
        replica_nodes: vec![NodeId(0), NodeId(1)],
        isr_nodes: vec![NodeId(0), NodeId(1)],
        ..MetadataResponsePartition::default()
    };
    let topic = MetadataResponseTopic {
        name: Some(name.clone()),
        partitions: (0..partitions).map(partition).collect(),
        ..MetadataResponseTopic::default()
    };
    MetadataResponse {
        brokers: vec![broker(0), broker(1)],
        topics: vec![topic],
        ..MetadataResponse::default()
    }
}

/// A broker that hands everything on names a new leader for each partition of a request.
#[test]
fn a_thousand_leader_hints_make_one_view() {
    let (name, now, partitions) = (TopicName::from("t"), Instant::now(), 10_000);
    let bootstrap = [Endpoint::new("a", 1)];
    let mut metadata = Metadata::new(&bootstrap, MetadataConfig::default(), fastrand::Rng::with_seed(1));
    metadata.want(&name, now);
    let Some(Action::Connect(node)) = metadata.poll_action(|_| Some(0), now) else {
        panic!("one to connect to")
    };
    metadata.handle_status(node, &Status::Ready, now);
    let Some(Action::Ask { ticket, .. }) = metadata.poll_action(|_| Some(0), now) else {
        panic!("one to ask")
    };
    metadata.handle_response(ticket, described(&name, partitions), now);
    let hint = |partition| LeaderHint {
        topic: &name,
        partition: PartitionId(partition),
        leader: NodeId(1),
        leader_epoch: 6,
        endpoint: None,
    };
    let hints: Vec<_> = (0..1_000).map(hint).collect();
    let info = measure(|| {
        let (_, taken) = metadata.handle_leader_hints(&hints);
        assert!(taken.iter().all(|taken| *taken));
    });
    // Two lists of replicas for each partition, once.
    assert!(info.count_total < 3 * partitions as u64, "{} allocations", info.count_total);
}
