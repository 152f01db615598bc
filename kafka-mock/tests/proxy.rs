//! The proxy between a client that knows nothing but frames and the mock cluster.
#![expect(clippy::disallowed_methods, reason = "a paused clock is what delays are measured with")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_mock::proxy::{Line, Proxy, ProxyBuilder, Tamper, Way};
use kafka_mock::{Malformation, MockCluster, Rule, Script};
use kafka_wire::messages::{
    DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse, PartitionProduceData,
    ProduceRequest, ProduceResponse, TopicProduceData,
};
use kafka_wire::{Acks, ApiKey, CorrelationId, ErrorCode, NodeId, PartitionId, Records, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::batch::TestBatch;

#[path = "core/batch.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod batch;

struct Client {
    stream: TcpStream,
    input: BytesMut,
}

/// What a client sees next.
#[derive(Debug, PartialEq)]
enum Seen {
    Frame(Bytes),
    /// So many bytes of a frame, then the end.
    Closed(usize),
    Reset(usize),
}

impl Client {
    async fn connect(address: impl Into<String>) -> Self {
        let stream = TcpStream::connect(address.into()).await.expect("connects");
        Self { stream, input: BytesMut::new() }
    }

    async fn send<R: Request>(&mut self, request: &R, version: i16, id: i32) {
        self.stream.write_all(&frame(request, version, id)).await.expect("writes");
    }

    async fn see(&mut self) -> Seen {
        loop {
            if let Some(frame) = kafka_wire::frame::split(&mut self.input, 1 << 24).expect("a frame") {
                return Seen::Frame(frame);
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("in time") {
                Ok(0) => return Seen::Closed(self.input.len()),
                Ok(_) => {}
                Err(_) => return Seen::Reset(self.input.len()),
            }
        }
    }

    async fn id(&mut self) -> i32 {
        match self.see().await {
            Seen::Frame(frame) => kafka_wire::decode_correlation_id(&frame).expect("an id").0,
            other => panic!("no answer: {other:?}"),
        }
    }

    async fn response<R: Response>(&mut self, version: i16) -> R {
        match self.see().await {
            Seen::Frame(frame) => kafka_wire::decode_response(&frame, version).expect("decodes").1,
            other => panic!("no answer: {other:?}"),
        }
    }
}

fn frame<R: Request>(request: &R, version: i16, id: i32) -> Bytes {
    kafka_wire::encode_request(request, version, CorrelationId(id), Some("test"))
        .expect("encodes")
        .into_bytes()
}

fn metadata() -> MetadataRequest {
    MetadataRequest { topics: None, ..Default::default() }
}

fn produce(acks: Acks, size: usize) -> ProduceRequest {
    let mut batch = TestBatch::of(1);
    batch.records[0].value = vec![7; size];
    let records = Some(Records::from(batch.build()));
    let partition = PartitionProduceData { index: PartitionId(0), records };
    let topic =
        TopicProduceData { name: "orders".into(), partition_data: vec![partition], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

/// Longer than any answer takes, also where the clock is paused and runs ahead.
const PATIENCE: Duration = Duration::from_secs(3600);

async fn cluster() -> MockCluster {
    MockCluster::builder().brokers(3).topic("orders", 3).start().await.expect("starts")
}

async fn behind(set: impl FnOnce(ProxyBuilder) -> ProxyBuilder) -> (MockCluster, Proxy) {
    let cluster = cluster().await;
    let proxy = set(Proxy::builder(cluster.bootstrap_servers())).start().await.expect("starts");
    (cluster, proxy)
}

fn responses() -> Tamper {
    Tamper::with(Way::Responses).api(ApiKey::METADATA)
}

fn requests() -> Tamper {
    Tamper::with(Way::Requests).api(ApiKey::METADATA)
}

#[tokio::test]
async fn clients_are_led_to_the_proxys_ports() {
    let (cluster, proxy) = behind(|it| it).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 12, 1).await;
    let response: MetadataResponse = client.response(12).await;
    let told: Vec<_> = response
        .brokers
        .iter()
        .map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port)))
        .collect();
    for (node, address) in &told {
        assert_eq!(proxy.address(*node).as_ref(), Some(address));
        assert_ne!(cluster.address(*node).as_ref(), Some(address));
    }
    client.send(&DescribeClusterRequest::default(), 1, 2).await;
    let again: DescribeClusterResponse = client.response(1).await;
    let ports: Vec<_> =
        again.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect();
    assert!(told.iter().map(|(_, address)| address).eq(&ports), "each broker keeps its port");
    // The port of broker 1 leads to broker 1, which leads partition 0; that of broker 2 does not.
    for (node, code) in [(1, ErrorCode::NONE), (2, ErrorCode::NOT_LEADER_OR_FOLLOWER)] {
        let mut client = Client::connect(proxy.address(NodeId(node)).expect("known")).await;
        client.send(&produce(Acks::ALL, 100), 9, 1).await;
        let response: ProduceResponse = client.response(9).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, code);
    }
    assert_eq!((proxy.frames(Way::Requests, ApiKey::PRODUCE), proxy.connections()), (2, 3));
}

#[tokio::test]
async fn clients_are_told_the_host_that_was_named() {
    let everywhere = "0.0.0.0:0".parse().expect("an address");
    let (_cluster, proxy) = behind(|it| it.listen(everywhere).advertised_host("localhost")).await;
    assert!(proxy.bootstrap_servers().starts_with("localhost:"), "{}", proxy.bootstrap_servers());
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 12, 1).await;
    let response: MetadataResponse = client.response(12).await;
    assert!(response.brokers.iter().all(|broker| broker.host == "localhost"), "{:?}", response.brokers);
    let unnamed = Proxy::builder("localhost:9092").listen(everywhere).start().await;
    let error = unnamed.expect_err("refused").to_string();
    assert!(error.contains("0.0.0.0") && error.contains("advertised host"), "{error}");
}

/// A broker's answer that is none passes as it is, and the log says what that means.
#[tokio::test]
async fn an_answer_that_cannot_be_read_passes_and_is_told() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let rule = Rule::on(ApiKey::METADATA).malform(Malformation::Padded(3));
    let builder = MockCluster::builder().script(Script::new().rule(rule));
    let cluster = builder.start().await.expect("starts");
    let builder = Proxy::builder(cluster.bootstrap_servers());
    let builder = builder.on_log(move |line| log.lock().expect("no panic").push(line.to_owned()));
    let proxy = builder.start().await.expect("starts");
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 12, 1).await;
    assert_eq!(client.id().await, 1);
    let lines = lines.lock().expect("no panic").clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("Metadata (3), version 12, keeps the brokers' own addresses"), "{lines:?}");
}

#[tokio::test]
async fn hints_name_the_proxys_ports() {
    let (cluster, proxy) = behind(|it| it).await;
    cluster.move_leader("orders", 0, NodeId(3)).expect("exists");
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 12, 1).await;
    client.id().await;
    let mut client = Client::connect(proxy.address(NodeId(1)).expect("known")).await;
    client.send(&produce(Acks::ALL, 100), 12, 1).await;
    let response: ProduceResponse = client.response(12).await;
    let hint = &response.node_endpoints[0];
    assert_eq!(Some(format!("{}:{}", hint.host, hint.port)), proxy.address(NodeId(3)));
}

/// As when a broker's address is given to a machine of another cluster.
#[tokio::test]
async fn the_port_of_a_broker_leads_to_another_cluster_and_back() {
    let (cluster, proxy) = behind(|it| it).await;
    let other = MockCluster::builder().start().await.expect("starts");
    let mut start = Client::connect(proxy.bootstrap_servers()).await;
    start.send(&metadata(), 12, 1).await;
    let ours: MetadataResponse = start.response(12).await;
    let address = |node| proxy.address(NodeId(node)).expect("known");
    let (mut first, mut second) = (Client::connect(address(1)).await, Client::connect(address(2)).await);
    for client in [&mut first, &mut second] {
        client.send(&metadata(), 12, 1).await;
        assert_eq!(client.id().await, 1);
    }

    proxy.set_line_of(NodeId(2), Line::new().leads_to(other.bootstrap_servers()));
    proxy.reset_of(NodeId(2));
    assert_eq!(second.see().await, Seen::Reset(0));
    let mut astray = Client::connect(address(2)).await;
    astray.send(&metadata(), 12, 1).await;
    let theirs: MetadataResponse = astray.response(12).await;
    let told = theirs.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port));
    assert_eq!(told.collect::<Vec<_>>(), [other.bootstrap_servers()], "its own address");
    assert_ne!(theirs.brokers.len(), ours.brokers.len());
    // Neither the others nor what the proxy knows of them have changed.
    for client in [&mut first, &mut start] {
        client.send(&metadata(), 12, 2).await;
        assert_eq!(client.response::<MetadataResponse>(12).await.brokers, ours.brokers);
    }

    proxy.set_line_of(NodeId(2), Line::new());
    let mut back = Client::connect(address(2)).await;
    back.send(&metadata(), 12, 1).await;
    assert_eq!(back.response::<MetadataResponse>(12).await.brokers, ours.brokers);
    drop(cluster);
}

#[tokio::test]
async fn large_frames_pass_in_order() {
    let (cluster, proxy) = behind(|it| it).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 0).await;
    client.id().await;
    let mut client = Client::connect(proxy.address(NodeId(1)).expect("known")).await;
    for id in 1..=4 {
        client.send(&produce(Acks::ALL, 900_000), 9, id).await;
        client.send(&produce(Acks::NONE, 10), 9, -id).await;
    }
    for id in 1..=4 {
        assert_eq!(client.id().await, id);
    }
    client.send(&metadata(), 9, 9).await;
    assert_eq!(client.id().await, 9, "answers are recognised across those that have none");
    assert_eq!(cluster.records("orders", 0).len(), 8);
    assert_eq!(proxy.frames(Way::Responses, ApiKey::PRODUCE), 4);
}

#[tokio::test]
async fn frames_are_dropped_and_doubled() {
    let (cluster, proxy) = behind(|it| {
        it.tamper(responses().nth(1).discard())
            .tamper(responses().nth(2).duplicate().named("doubled"))
            .tamper(requests().nth(4).discard())
            .tamper(requests().nth(5).duplicate())
    })
    .await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    for id in 1..=5 {
        client.send(&metadata(), 9, id).await;
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(client.id().await);
    }
    assert_eq!(seen, [2, 2, 3, 5, 5]);
    assert_eq!((cluster.requests(ApiKey::METADATA), proxy.fired("doubled")), (5, 1));
}

#[tokio::test]
async fn frames_are_cut_at_every_byte() {
    let (cluster, proxy) = behind(|it| it).await;
    let whole = frame(&metadata(), 9, 1).len();
    for after in 0..=whole {
        proxy.clear_tampers();
        proxy.add_tamper(requests().close_after(after));
        let before = cluster.requests(ApiKey::METADATA);
        let mut client = Client::connect(proxy.bootstrap_servers()).await;
        client.send(&metadata(), 9, 1).await;
        // A client that was closed on with bytes unread by the proxy may see a reset instead.
        assert!(matches!(client.see().await, Seen::Closed(0) | Seen::Reset(0)), "after {after}");
        if after < whole {
            assert_eq!(cluster.requests(ApiKey::METADATA), before, "after {after}");
        } else {
            cluster.until(|cluster| cluster.requests(ApiKey::METADATA) > before).await;
        }
    }
    for after in [0, 1, 4, 7, 30] {
        for resets in [false, true] {
            proxy.clear_tampers();
            proxy.add_tamper(if resets {
                responses().reset_after(after)
            } else {
                responses().close_after(after)
            });
            let mut client = Client::connect(proxy.bootstrap_servers()).await;
            client.send(&metadata(), 9, 1).await;
            let expected = if resets { Seen::Reset(after) } else { Seen::Closed(after) };
            assert_eq!(client.see().await, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_up_what_comes_behind() {
    let (cluster, proxy) = behind(|it| it.tamper(responses().nth(1).delay(Duration::from_secs(9)))).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    let before = Instant::now();
    client.send(&metadata(), 9, 1).await;
    client.send(&metadata(), 9, 2).await;
    cluster.until(|cluster| cluster.requests(ApiKey::METADATA) == 2).await;
    assert!(before.elapsed() < Duration::from_secs(9));
    assert_eq!((client.id().await, client.id().await), (1, 2));
    assert!(before.elapsed() >= Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_pause_hides_one_direction_until_it_ends() {
    let (cluster, proxy) = behind(|it| it.line(Line::new().pause(Way::Responses))).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 1).await;
    cluster.until(|cluster| cluster.requests(ApiKey::METADATA) == 1).await;
    let seen = timeout(Duration::from_secs(600), client.see()).await;
    assert!(seen.is_err(), "{seen:?}");
    proxy.set_line(Line::new().pause(Way::Requests));
    assert_eq!(client.id().await, 1, "the answer was only held back");
    client.send(&metadata(), 9, 2).await;
    let seen = timeout(Duration::from_secs(600), client.see()).await;
    assert!(seen.is_err(), "{seen:?}");
    assert_eq!(cluster.requests(ApiKey::METADATA), 1);
    proxy.set_line(Line::new());
    assert_eq!(client.id().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stall_stops_one_connection_in_one_direction() {
    let (_cluster, proxy) = behind(|it| it.tamper(requests().nth(2).stall())).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 1).await;
    assert_eq!(client.id().await, 1);
    client.send(&metadata(), 9, 2).await;
    let seen = timeout(Duration::from_secs(600), client.see()).await;
    assert!(seen.is_err(), "{seen:?}");
    let mut other = Client::connect(proxy.bootstrap_servers()).await;
    other.send(&metadata(), 9, 3).await;
    assert_eq!(other.id().await, 3);
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let (cluster, proxy) = behind(|it| it).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 0).await;
    client.id().await;
    proxy.set_line_of(NodeId(1), Line::new().rate(10_000));
    let mut client = Client::connect(proxy.address(NodeId(1)).expect("known")).await;
    let before = Instant::now();
    client.send(&produce(Acks::ALL, 200_000), 9, 1).await;
    assert_eq!(client.id().await, 1);
    let taken = before.elapsed().as_secs_f64();
    assert!((19.9..22.0).contains(&taken), "{taken} s of about 20");
    assert_eq!(cluster.records("orders", 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_live_as_long_as_they_are_to() {
    let lifetime = Duration::from_millis(500)..=Duration::from_millis(1500);
    let (_cluster, proxy) = behind(|it| it.line(Line::new().lifetime(lifetime)).seed(3)).await;
    for _ in 0..10 {
        let before = Instant::now();
        let mut client = Client::connect(proxy.bootstrap_servers()).await;
        assert_eq!(client.see().await, Seen::Reset(0));
        let lived = before.elapsed().as_millis();
        assert!((500..=1510).contains(&lived), "{lived} ms");
    }
}

#[tokio::test]
async fn connections_are_cut_by_what_they_carried() {
    let (_cluster, proxy) = behind(|it| it.line(Line::new().cut_after(Way::Responses, 20))).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 1).await;
    assert_eq!(client.see().await, Seen::Reset(20));
}

#[tokio::test]
async fn connections_are_held_refused_and_reset() {
    let (cluster, proxy) = behind(|it| it.line(Line::new().hold())).await;
    let mut held = Client::connect(proxy.bootstrap_servers()).await;
    held.send(&metadata(), 9, 1).await;
    proxy.until(|proxy| proxy.connections() == 1).await;
    proxy.set_line(Line::new().refuse());
    let mut refused = Client::connect(proxy.bootstrap_servers()).await;
    assert_eq!(refused.see().await, Seen::Reset(0));
    assert_eq!(cluster.connections(), 0);
    proxy.set_line(Line::new());
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 1).await;
    assert_eq!(client.id().await, 1);
    proxy.reset_all();
    assert_eq!(client.see().await, Seen::Reset(0));
    assert_eq!(held.see().await, Seen::Reset(0));
}

#[tokio::test]
async fn what_is_not_kafka_passes_as_it_is() {
    let (cluster, proxy) = behind(|it| it).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.stream.write_all(b"\xff\xff\xff\xff").await.expect("writes");
    assert!(matches!(client.see().await, Seen::Closed(0) | Seen::Reset(0)), "the broker hangs up");
    assert_eq!(cluster.connections(), 1);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_seen_as_such() {
    let proxy = Proxy::builder("127.0.0.1:1").start().await.expect("starts");
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    assert_eq!(client.see().await, Seen::Reset(0));
    let error = Proxy::builder("nowhere").start().await.expect_err("no port");
    assert_eq!(error.to_string(), "\"nowhere\" is no address of a broker: expected host:port");
    let address = proxy.bootstrap_servers().parse().expect("an address");
    let error = Proxy::builder("a:1").listen(address).start().await.expect_err("taken");
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

/// What is said of futures that are dropped half way: to shut down stops everything, and to start has no half way.
#[tokio::test]
async fn a_shutdown_that_is_dropped_closes_everything_all_the_same() {
    let cluster = cluster().await;
    let mut starting = pin!(Proxy::builder(cluster.bootstrap_servers()).start());
    let started = poll_fn(|cx| Poll::Ready(starting.as_mut().poll(cx))).await;
    let Poll::Ready(started) = started else { panic!("it waits for something") };
    let proxy = started.expect("starts");
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 1).await;
    client.id().await;
    let address = proxy.bootstrap_servers();
    let mut ending = Box::pin(proxy.shutdown());
    assert!(poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx).is_pending())).await);
    drop(ending);
    assert!(matches!(client.see().await, Seen::Closed(0) | Seen::Reset(0)));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn shutdown_closes_everything() {
    let (_cluster, proxy) = behind(|it| it).await;
    let mut client = Client::connect(proxy.bootstrap_servers()).await;
    client.send(&metadata(), 9, 1).await;
    client.id().await;
    let addresses = [proxy.bootstrap_servers(), proxy.address(NodeId(1)).expect("known")];
    proxy.shutdown().await;
    assert!(matches!(client.see().await, Seen::Closed(0) | Seen::Reset(0)));
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err());
    }
}
