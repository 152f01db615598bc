//! Scripts behind sockets: what a client sees of them.
#![expect(clippy::disallowed_methods, reason = "a paused clock is what delays are measured with")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_mock::{Change, Malformation, MockCluster, Rule, Script};
use kafka_wire::messages::{MetadataRequest, MetadataResponse};
use kafka_wire::{ApiKey, CorrelationId, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    async fn connect(cluster: &MockCluster, node: i32) -> Self {
        let address = cluster.address(NodeId(node)).expect("a broker");
        Self { stream: TcpStream::connect(address).await.expect("connects"), input: BytesMut::new() }
    }

    async fn ask(&mut self, id: i32) {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let frame =
            kafka_wire::encode_request(&request, 9, CorrelationId(id), Some("test")).expect("encodes");
        self.stream.write_all(&frame.into_bytes()).await.expect("writes");
    }

    /// The next frame, or `None` where the broker has hung up.
    async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = kafka_wire::frame::split(&mut self.input, 1 << 24).expect("a frame") {
                return Some(frame);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn id(&mut self) -> Option<i32> {
        let frame = self.frame().await?;
        Some(kafka_wire::decode_correlation_id(&frame).expect("an id").0)
    }

    /// All bytes until the broker hangs up.
    async fn rest(&mut self) -> Bytes {
        while timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("in time").unwrap_or(0)
            > 0
        {}
        self.input.split().freeze()
    }
}

/// Longer than any answer takes, also where the clock is paused and runs ahead.
const PATIENCE: Duration = Duration::from_secs(3600);

async fn start(script: Script) -> MockCluster {
    MockCluster::builder().brokers(3).topic("orders", 3).script(script).start().await.expect("starts")
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_holds_up_those_behind_it_and_no_request() {
    let rule = Rule::on(ApiKey::METADATA).times(1).delay(Duration::from_secs(10));
    let cluster = start(Script::new().rule(rule)).await;
    let mut client = Client::connect(&cluster, 1).await;
    let before = Instant::now();
    for id in 1..=3 {
        client.ask(id).await;
    }
    cluster.until(|cluster| cluster.requests(ApiKey::METADATA) == 3).await;
    assert!(before.elapsed() < Duration::from_secs(10), "all are taken at once");
    for id in 1..=3 {
        assert_eq!(client.id().await, Some(id));
    }
    assert!(before.elapsed() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_client_is_answered_at_once_and_read_later() {
    let rule = Rule::on(ApiKey::METADATA).times(1).throttle(Duration::from_secs(5));
    let cluster = start(Script::new().rule(rule)).await;
    let mut client = Client::connect(&cluster, 1).await;
    let before = Instant::now();
    client.ask(1).await;
    client.ask(2).await;
    let frame = client.frame().await.expect("an answer");
    let (_, response) = kafka_wire::decode_response::<MetadataResponse>(&frame, 9).expect("decodes");
    assert_eq!(response.throttle_time_ms, 5000);
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(client.id().await, Some(2));
    assert!(before.elapsed() >= Duration::from_secs(5));
}

/// Beyond what a clock can tell, each way to wait is for ever, and not for no time at all.
#[tokio::test(start_paused = true)]
async fn the_longest_times_are_long() {
    let metadata = || Rule::on(ApiKey::METADATA).times(1);
    for rule in [metadata().delay(Duration::MAX).delay(Duration::MAX), metadata().throttle(Duration::MAX)] {
        let cluster = start(Script::new().rule(rule)).await;
        let mut client = Client::connect(&cluster, 1).await;
        client.ask(1).await;
        client.ask(2).await;
        let second = async { while client.id().await != Some(2) {} };
        assert!(timeout(PATIENCE / 2, second).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_and_the_connection_stays_open() {
    let cluster = start(Script::new().rule(Rule::on(ApiKey::METADATA).nth(2).silence())).await;
    let mut client = Client::connect(&cluster, 1).await;
    client.ask(1).await;
    assert_eq!(client.id().await, Some(1));
    client.ask(2).await;
    client.ask(3).await;
    let more = timeout(Duration::from_secs(600), client.stream.read_buf(&mut client.input)).await;
    assert!(more.is_err(), "neither an answer nor an end");
    assert_eq!(cluster.requests(ApiKey::METADATA), 2, "the third one is not even looked at");
    // Another connection is served.
    let mut other = Client::connect(&cluster, 1).await;
    other.ask(7).await;
    assert_eq!(other.id().await, Some(7));
}

#[tokio::test]
async fn a_disconnect_comes_behind_the_answers_before_it() {
    for (rule, resets) in
        [(Rule::on_any().nth(2).disconnect(), false), (Rule::on_any().nth(2).reset_after_apply(), true)]
    {
        let cluster = start(Script::new().rule(rule)).await;
        let mut client = Client::connect(&cluster, 1).await;
        client.ask(1).await;
        assert_eq!(client.id().await, Some(1));
        client.ask(2).await;
        let end = timeout(PATIENCE, client.stream.read_buf(&mut client.input)).await.expect("in time");
        assert_eq!(end.is_err(), resets, "{end:?}");
    }
}

#[tokio::test]
async fn malformed_answers_reach_the_client_as_they_are() {
    let script = Script::new()
        .rule(Rule::on_any().nth(1).malform(Malformation::Twice))
        .rule(Rule::on_any().nth(2).malform(Malformation::Truncated(9)));
    let cluster = start(script).await;
    let mut client = Client::connect(&cluster, 1).await;
    client.ask(1).await;
    assert_eq!((client.id().await, client.id().await), (Some(1), Some(1)));
    client.ask(2).await;
    assert_eq!(client.rest().await.len(), 9);
    cluster.clear_script();
    cluster.add_rule(Rule::on_any().times(1).malform(Malformation::http()));
    cluster.add_rule(Rule::on_any().nth(2).disconnect());
    let mut client = Client::connect(&cluster, 1).await;
    client.ask(1).await;
    client.ask(2).await;
    assert!(client.rest().await.starts_with(b"HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_stopped_broker_closes_its_port_and_opens_it_again() {
    let cluster = start(Script::new()).await;
    let mut client = Client::connect(&cluster, 2).await;
    client.ask(1).await;
    assert_eq!(client.id().await, Some(1));
    cluster.stop_broker(NodeId(2)).expect("exists");
    assert_eq!(client.frame().await, None, "its connections break");
    let address = cluster.address(NodeId(2)).expect("exists");
    assert!(TcpStream::connect(&address).await.is_err(), "its port is closed");
    cluster.start_broker(NodeId(2)).expect("exists");
    // Its task needs a moment to see it.
    let mut back = loop {
        match TcpStream::connect(&address).await {
            Ok(stream) => break Client { stream, input: BytesMut::new() },
            Err(_) => tokio::task::yield_now().await,
        }
    };
    back.ask(5).await;
    assert_eq!(back.id().await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_script_goes_by_the_clock() {
    let script = Script::new()
        .at(Duration::from_secs(5), Change::StopBroker(NodeId(1)))
        .at(Duration::from_secs(9), Change::StartBroker(NodeId(1)))
        .rule(
            Rule::on(ApiKey::METADATA)
                .broker(NodeId(3))
                .times(1)
                .change_later(Duration::from_secs(20), Change::DeleteTopic { topic: "orders".into() }),
        );
    let before = Instant::now();
    let cluster = start(script).await;
    let mut client = Client::connect(&cluster, 3).await;
    client.ask(1).await;
    assert_eq!(client.id().await, Some(1));
    cluster.until(|cluster| cluster.leader("orders", 0).is_some_and(|(leader, _)| leader != NodeId(1))).await;
    assert_eq!(before.elapsed().as_secs(), 5);
    cluster.until(|cluster| cluster.leader("orders", 0).is_none()).await;
    assert_eq!(before.elapsed().as_secs(), 20);
    let mut client = Client::connect(&cluster, 1).await;
    client.ask(1).await;
    assert_eq!(client.id().await, Some(1));
}

#[tokio::test]
async fn a_change_that_cannot_be_is_said_in_the_log() {
    let (told, lines) = std::sync::mpsc::channel();
    let script = Script::new().rule(Rule::on_any().change(Change::DeleteTopic { topic: "nowhere".into() }));
    let builder = MockCluster::builder().script(script);
    let cluster =
        builder.on_log(move |line| told.send(line.to_owned()).expect("heard")).start().await.expect("starts");
    let mut client = Client::connect(&cluster, 1).await;
    client.ask(1).await;
    assert_eq!(client.id().await, Some(1), "the request is answered all the same");
    let line = lines.recv().expect("a line");
    assert!(line.contains("there is no topic 'nowhere'"), "{line}");
}
