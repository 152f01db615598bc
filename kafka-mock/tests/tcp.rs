//! The cluster behind sockets: order, waiting, limits, ending.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_mock::{Builder, Change, MockCluster};
use kafka_wire::messages::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, MetadataRequest, MetadataResponse,
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use kafka_wire::{Acks, ApiKey, CorrelationId, ErrorCode, NodeId, PartitionId, Records, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::batch::TestBatch;

#[path = "core/batch.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod batch;

/// A client that knows nothing but frames.
struct Client {
    stream: TcpStream,
    input: BytesMut,
    sent: i32,
}

impl Client {
    async fn connect(cluster: &MockCluster, node: i32) -> Self {
        let address = cluster.address(NodeId(node)).expect("a broker");
        let stream = TcpStream::connect(address).await.expect("connects");
        Self { stream, input: BytesMut::new(), sent: 0 }
    }

    async fn send<R: Request>(&mut self, request: &R, version: i16) -> CorrelationId {
        self.sent += 1;
        let id = CorrelationId(self.sent);
        let frame = kafka_wire::encode_request(request, version, id, Some("test")).expect("encodes");
        self.stream.write_all(&frame.into_bytes()).await.expect("writes");
        id
    }

    /// The next frame, or `None` where the broker has hung up.
    async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = kafka_wire::frame::split(&mut self.input, 1 << 24).expect("a frame") {
                return Some(frame);
            }
            let read =
                timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("an answer in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn receive<R: Request>(&mut self, version: i16) -> (CorrelationId, R::Response) {
        let frame = self.frame().await.expect("not hung up");
        kafka_wire::decode_response(&frame, version).expect("decodes")
    }

    async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let id = self.send(request, version).await;
        let (answered, response) = self.receive::<R>(version).await;
        assert_eq!(answered, id);
        response
    }
}

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(builder: Builder) -> MockCluster {
    builder.start().await.expect("starts")
}

fn three() -> Builder {
    MockCluster::builder().brokers(3).topic("orders", 3)
}

/// One record for partition 0 of `orders`.
fn produce(acks: Acks, value: &[u8]) -> ProduceRequest {
    let mut batch = TestBatch::of(1);
    batch.records[0].value = value.to_vec();
    let records = Some(Records::from(batch.build()));
    let partition = PartitionProduceData { index: PartitionId(0), records };
    let topic =
        TopicProduceData { name: "orders".into(), partition_data: vec![partition], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

fn fetch(offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "orders".into(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_wait_ms, min_bytes: 1, topics: vec![topic], ..Default::default() }
}

fn metadata() -> MetadataRequest {
    MetadataRequest { topics: None, ..Default::default() }
}

fn values(cluster: &MockCluster) -> Vec<Bytes> {
    cluster.records("orders", 0).into_iter().map(|stored| stored.record.value.expect("a value")).collect()
}

#[tokio::test]
async fn what_is_produced_is_there_and_can_be_fetched() {
    let cluster = start(three()).await;
    let mut client = Client::connect(&cluster, 1).await;
    let response: ProduceResponse = client.call(&produce(Acks::ALL, b"one"), 9).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    client.call(&produce(Acks::LEADER, b"two"), 9).await;
    assert_eq!(values(&cluster), ["one", "two"]);
    let stored = cluster.records("orders", 0);
    assert_eq!(stored.iter().map(|stored| stored.offset).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(cluster.offsets("orders", 0), Some((0, 2)));
    assert!(cluster.records("orders", 9).is_empty());
    let response: FetchResponse = client.call(&fetch(0, 0), 12).await;
    let records = response.responses[0].partitions[0].records.as_ref().expect("records").to_bytes();
    assert_eq!(records.as_ref(), cluster.batches("orders", 0).concat());
    assert_eq!((cluster.requests(ApiKey::PRODUCE), cluster.requests(ApiKey::FETCH)), (2, 1));
    assert_eq!(cluster.connections(), 1);
}

#[tokio::test]
async fn clients_are_told_the_ports_in_use() {
    let cluster = start(three().advertised_host("localhost")).await;
    let mut client = Client::connect(&cluster, 2).await;
    let response: MetadataResponse = client.call(&metadata(), 9).await;
    let told: Vec<String> =
        response.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect();
    assert_eq!(told.join(","), cluster.bootstrap_servers());
    assert!(told[0].starts_with("localhost:"));
}

#[tokio::test]
async fn who_waits_looks_at_connections_and_at_what_cannot_be_read() {
    let cluster = start(three()).await;
    let connected = cluster.until(|cluster| cluster.connections() == 1);
    let (mut client, connected) = tokio::join!(Client::connect(&cluster, 1), timeout(PATIENCE, connected));
    connected.expect("it is looked at");
    let asked = cluster.until(|cluster| cluster.requests(ApiKey::METADATA) == 1);
    // In no version that there is.
    let sending = client.stream.write_all(b"\0\0\0\x0b\0\x03\x7f\xff\0\0\0\x01\xff\xff\0");
    let (sent, asked) = tokio::join!(sending, timeout(PATIENCE, asked));
    sent.expect("writes");
    asked.expect("it is looked at");
    cluster.shutdown().await;
}

/// Clients would connect to themselves.
#[tokio::test]
async fn all_addresses_are_none_to_tell_clients() {
    let builder = || three().bind([0, 0, 0, 0].into());
    let error = builder().start().await.expect_err("refused");
    assert!(
        error.to_string().contains("0.0.0.0") && error.to_string().contains("advertised host"),
        "{error}"
    );
    let cluster = builder().advertised_host("localhost").start().await.expect("starts");
    assert!(cluster.bootstrap_servers().starts_with("localhost:"), "{}", cluster.bootstrap_servers());
}

#[tokio::test]
async fn answers_come_in_the_order_of_requests() {
    let cluster = start(three()).await;
    let mut client = Client::connect(&cluster, 1).await;
    let mut expected = Vec::new();
    for round in 0..50 {
        expected.push(client.send(&metadata(), 9).await);
        // No answer to this one.
        client.send(&produce(Acks::NONE, format!("{round}").as_bytes()), 9).await;
    }
    for id in expected {
        assert_eq!(client.receive::<MetadataRequest>(9).await.0, id);
    }
    // The last acks=0 may still be on its way: an answer to anything says it was handled.
    client.call(&metadata(), 9).await;
    assert_eq!(values(&cluster), (0..50).map(|round| round.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_long_poll_ends_with_an_append_and_holds_up_nobody_else() {
    let cluster = start(three()).await;
    let mut consumer = Client::connect(&cluster, 1).await;
    let polled = consumer.send(&fetch(0, 60_000), 12).await;
    let after = consumer.send(&metadata(), 9).await;
    let mut producer = Client::connect(&cluster, 1).await;
    producer.call(&metadata(), 9).await;
    producer.call(&produce(Acks::ALL, b"wake up"), 9).await;
    let (id, response) = consumer.receive::<FetchRequest>(12).await;
    assert_eq!(id, polled);
    assert!(!response.responses[0].partitions[0].records.as_ref().expect("records").is_empty());
    assert_eq!(consumer.receive::<MetadataRequest>(9).await.0, after);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the paused clock is what this is about")]
async fn a_long_poll_ends_when_its_time_is_up() {
    let cluster = start(three()).await;
    let mut consumer = Client::connect(&cluster, 1).await;
    let before = tokio::time::Instant::now();
    let response: FetchResponse = consumer.call(&fetch(0, 20_000), 12).await;
    assert!(response.responses[0].partitions[0].records.as_ref().expect("records").is_empty());
    assert!(before.elapsed() >= Duration::from_secs(20));
}

#[tokio::test]
async fn a_long_poll_ends_with_a_change_of_leader() {
    let cluster = start(three()).await;
    let mut consumer = Client::connect(&cluster, 1).await;
    consumer.send(&fetch(0, 60_000), 12).await;
    while cluster.requests(ApiKey::FETCH) == 0 {
        tokio::task::yield_now().await;
    }
    cluster.move_leader("orders", 0, NodeId(2)).expect("exists");
    let (_, response) = consumer.receive::<FetchRequest>(12).await;
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(cluster.leader("orders", 0), Some((NodeId(2), 1)));
}

#[tokio::test]
async fn one_who_hangs_up_while_waiting_is_let_go() {
    let cluster = start(three().max_connections(1)).await;
    let mut consumer = Client::connect(&cluster, 1).await;
    consumer.send(&fetch(0, i32::MAX), 12).await;
    while cluster.requests(ApiKey::FETCH) == 0 {
        tokio::task::yield_now().await;
    }
    drop(consumer);
    // There is room for another one as soon as the first is gone.
    let served = async {
        loop {
            let mut next = Client::connect(&cluster, 1).await;
            next.sent += 1;
            let frame = kafka_wire::encode_request(&metadata(), 9, CorrelationId(1), None).expect("encodes");
            if next.stream.write_all(&frame.into_bytes()).await.is_ok() && next.frame().await.is_some() {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.expect("the connection was let go");
}

/// A cluster whose log lines are kept.
async fn logging(builder: Builder) -> (MockCluster, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let cluster =
        start(builder.on_log(move |line| log.lock().expect("no panic").push(line.to_owned()))).await;
    (cluster, lines)
}

#[tokio::test]
async fn what_is_not_kafka_is_hung_up_on_with_a_reason() {
    for (bytes, words) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "not Kafka's protocol"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "not Kafka's protocol"),
        (b"\xff\xff\xff\xff", "not Kafka's protocol"),
        (b"\0\0\0\x02\0\0", "malformed request header"),
        (
            b"\0\0\0\x0b\0\x12\0\x63\0\0\0\x01\xff\xff\0\0\0\0\x0b\0\x03\0\x09\0\0\0\x01\xff\xff\0",
            "malformed Metadata (3) request",
        ),
        (b"\0\0\0\x0a\x03\xe7\0\0\0\0\0\x01\xff\xff", "Unknown (999) version 0 is not served"),
    ] {
        let (cluster, lines) = logging(three().max_frame(1 << 20)).await;
        let mut client = Client::connect(&cluster, 1).await;
        client.stream.write_all(bytes).await.expect("writes");
        while client.frame().await.is_some() {}
        let lines = lines.lock().expect("no panic").clone();
        assert!(lines.iter().any(|line| line.contains(words)), "{words}: {lines:?}");
        // The others do not notice.
        Client::connect(&cluster, 1).await.call(&metadata(), 9).await;
    }
}

#[tokio::test]
async fn group_apis_are_answered_and_said_not_to_be_served() {
    let (cluster, lines) = logging(three()).await;
    let mut client = Client::connect(&cluster, 1).await;
    client.stream.write_all(b"\0\0\0\x0d\0\x0a\0\0\0\0\0\x01\xff\xff\0\x01g").await.expect("writes");
    assert_eq!(
        client.frame().await.expect("an answer")[4..6],
        ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes()
    );
    let lines = lines.lock().expect("no panic").clone();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("FindCoordinator") && lines[0].contains("--partition N --offset earliest"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_failure_without_acks_hangs_up() {
    let cluster = start(three()).await;
    let mut client = Client::connect(&cluster, 2).await;
    client.send(&produce(Acks::NONE, b"to the wrong broker"), 9).await;
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn shutdown_closes_ports_and_connections() {
    let cluster = start(three()).await;
    let mut client = Client::connect(&cluster, 1).await;
    client.call(&metadata(), 9).await;
    let address = cluster.address(NodeId(1)).expect("a broker");
    cluster.shutdown().await;
    assert_eq!(client.frame().await, None);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let cluster = start(three()).await;
    let mut client = Client::connect(&cluster, 3).await;
    client.call(&metadata(), 9).await;
    drop(cluster);
    assert_eq!(client.frame().await, None);
}

/// What is said of futures that are dropped half way: to shut down stops everything, and to start has no half way.
#[tokio::test]
async fn a_shutdown_that_is_dropped_stops_it_all_the_same() {
    let mut starting = pin!(three().start());
    let started = poll_fn(|cx| Poll::Ready(starting.as_mut().poll(cx))).await;
    let Poll::Ready(started) = started else { panic!("it waits for something") };
    let cluster = started.expect("starts");
    let mut client = Client::connect(&cluster, 1).await;
    client.call(&metadata(), 9).await;
    let address = cluster.address(NodeId(1)).expect("a broker");
    let mut ending = Box::pin(cluster.shutdown());
    assert!(poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx).is_pending())).await);
    drop(ending);
    assert_eq!(client.frame().await, None);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_wait_that_is_dropped_takes_nobodys_place() {
    let cluster = start(three()).await;
    let has_request = |cluster: &MockCluster| cluster.requests(ApiKey::METADATA) > 0;
    let mut client = Client::connect(&cluster, 1).await;
    let mut kept = pin!(cluster.until(has_request));
    {
        let mut dropped = pin!(cluster.until(has_request));
        assert!(poll_fn(|cx| Poll::Ready(kept.as_mut().poll(cx).is_pending())).await);
        assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
    }
    client.call(&metadata(), 9).await;
    timeout(PATIENCE, kept).await.expect("it is woken");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let first = start(MockCluster::builder()).await;
    let address = first.address(NodeId(1)).expect("a broker");
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let error = MockCluster::builder().ports([port]).start().await.expect_err("taken");
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let error = MockCluster::builder().topic("a b", 1).start().await.expect_err("illegal");
    assert_eq!(error.to_string(), "cannot create a topic");
}

#[tokio::test]
async fn a_sink_answers_large_requests_and_keeps_nothing() {
    let cluster = start(three().sink()).await;
    let mut client = Client::connect(&cluster, 1).await;
    let value = vec![7; 3 << 20];
    for round in 0..5 {
        let response: ProduceResponse = client.call(&produce(Acks::ALL, &value), 9).await;
        assert_eq!(response.responses[0].partition_responses[0].base_offset, round);
    }
    assert_eq!(cluster.offsets("orders", 0), Some((5, 5)));
    assert!(cluster.batches("orders", 0).is_empty());
}

/// As where a machine gets the address that another one had.
#[tokio::test]
async fn a_port_that_leads_to_another_cluster_breaks_its_connections_and_serves_new_ones() {
    let cluster = start(three()).await;
    let mut before = Client::connect(&cluster, 2).await;
    let own: MetadataResponse = before.call(&metadata(), 9).await;
    let lead = |cluster_id: Option<&str>| Change::Reroute {
        address: NodeId(2),
        cluster: cluster_id.map(str::to_owned),
        broker: None,
    };
    cluster.carry_out(lead(Some("another"))).expect("possible");
    assert!(before.frame().await.is_none(), "it is another machine");
    let mut client = Client::connect(&cluster, 2).await;
    let response: MetadataResponse = client.call(&metadata(), 9).await;
    assert_eq!(response.cluster_id.as_deref(), Some("another"));
    let told = response.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port));
    assert_eq!(told.collect::<Vec<_>>(), [cluster.address(NodeId(2)).expect("a broker")]);
    let response: ProduceResponse = client.call(&produce(Acks::ALL, b"astray"), 9).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    assert!(values(&cluster).is_empty());
    let other = cluster.other("another").expect("it is there");
    assert_eq!((other.id(), other.offsets("orders", 0)), ("another", Some((0, 1))));
    assert_eq!(other.records("orders", 0)[0].record.value.as_deref(), Some(&b"astray"[..]));

    // Who waits at the other cluster hears of what comes to it.
    client.send(&fetch(1, 60_000), 9).await;
    let mut second = Client::connect(&cluster, 2).await;
    second.call(&produce(Acks::ALL, b"astray, too"), 9).await;
    let (_, fetched) = client.receive::<FetchRequest>(9).await;
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 2);

    cluster.carry_out(lead(None)).expect("possible");
    assert!(second.frame().await.is_none());
    let mut back = Client::connect(&cluster, 2).await;
    assert_eq!(back.call(&metadata(), 9).await.cluster_id, own.cluster_id);
}

#[tokio::test]
async fn a_cluster_is_begun_anew_under_the_same_ports() {
    let cluster = start(three().cluster_id("the first")).await;
    let mut before = Client::connect(&cluster, 1).await;
    before.call(&produce(Acks::ALL, b"gone"), 9).await;
    cluster.carry_out(Change::Wipe { cluster_id: Some("the second".into()) }).expect("possible");
    assert!(before.frame().await.is_none());
    let mut after = Client::connect(&cluster, 1).await;
    assert_eq!(after.call(&metadata(), 9).await.cluster_id.as_deref(), Some("the second"));
    assert_eq!((cluster.id().as_str(), values(&cluster)), ("the second", Vec::new()));
}

#[tokio::test]
async fn a_controller_listens_and_hangs_up_on_who_asks_for_metadata() {
    let cluster = start(three().controllers(1)).await;
    assert_eq!(cluster.controllers().collect::<Vec<_>>(), [NodeId(4)]);
    assert_eq!(cluster.bootstrap_servers().split(',').count(), 3);
    let mut client = Client::connect(&cluster, 4).await;
    client.send(&metadata(), 9).await;
    assert!(client.frame().await.is_none());
    cluster.stop_broker(NodeId(4)).expect("it is a node as any other");
}
