//! Connections that are opened otherwise than over TCP: through a pipe in memory, under paused time. And what dropped
//! futures leave of them.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks and looks at the clock where it likes")]

mod cancel_safety;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use futures::future::{BoxFuture, FutureExt};
use kafka_mock::{Answer, Cluster, ClusterConfig, Now};
use kafka_net::{
    Client, ClientConfig, NetConfig,
    io::{BoxStream, Connect, Connector, Target},
};
use kafka_wire::{ApiKey, NodeId, PartitionId, decode_request_header, frame, messages::MetadataRequest};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    time::Instant,
};

/// Brokers at the ends of pipes, and a list of what becomes of the attempts to reach one.
#[derive(Clone)]
struct Tunnel {
    cluster: Arc<Mutex<Cluster>>,
    troubles: Arc<Mutex<VecDeque<Trouble>>>,
    attempts: Arc<Mutex<Vec<(String, usize)>>>,
    /// Attempts without an end yet, and streams that are open.
    open: Arc<AtomicUsize>,
    /// Requests that brokers were sent.
    asked: Arc<Mutex<BTreeMap<ApiKey, usize>>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    /// It is refused.
    Refused,
    /// Nothing ever comes of it.
    Silence,
    /// It is opened, and no request on it is answered.
    Mute,
    /// It is opened after so long, and then as above.
    Late(Duration),
    /// The connector panics.
    Panic,
    /// It is opened, and its stream panics.
    PanicLater,
}

/// One that is open, until this is dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tunnel {
    fn new(troubles: impl IntoIterator<Item = Trouble>) -> Self {
        let mut cluster = Cluster::new(ClusterConfig::default().brokers(3));
        for node in 1..=3 {
            cluster.set_address(NodeId(node), &format!("broker-{node}"), 9092);
        }
        cluster.create_topic("orders", 6).expect("a topic");
        Self {
            cluster: Arc::new(Mutex::new(cluster)),
            troubles: Arc::new(Mutex::new(troubles.into_iter().collect())),
            attempts: Arc::default(),
            open: Arc::default(),
            asked: Arc::default(),
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.net.connector = Connector::new(self.clone());
        config.seed = Some(1);
        config
    }

    fn attempts(&self) -> Vec<(String, usize)> {
        self.attempts.lock().expect("no panic").clone()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many requests of an API came to brokers.
    fn asked(&self, api: ApiKey) -> usize {
        self.asked.lock().expect("no panic").get(&api).copied().unwrap_or(0)
    }

    async fn serve(self, node: NodeId, mut stream: DuplexStream, is_mute: bool) {
        let _open = Open::new(&self.open);
        let mut input = BytesMut::new();
        while matches!(stream.read_buf(&mut input).await, Ok(1..)) {
            while let Some(frame) = frame::split(&mut input, 1 << 20).expect("a frame") {
                let (header, _) = decode_request_header(&frame).expect("a request");
                *self.asked.lock().expect("no panic").entry(header.api_key).or_default() += 1;
                if is_mute {
                    continue;
                }
                let now = Now::new(Instant::now().into_std(), 1_700_000_000_000);
                let answer = self.cluster.lock().expect("no panic").handle(node, frame, now);
                let Answer::Reply(reply) = answer else { panic!("not answered at once: {answer:?}") };
                let mut reply = reply.into_segments();
                while reply.has_remaining() {
                    // The client may be gone by now.
                    if stream.write_all_buf(&mut reply).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Connect for Tunnel {
    fn connect<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, io::Result<BoxStream>> {
        async move {
            let host = target.endpoint.host();
            self.attempts.lock().expect("no panic").push((host.to_owned(), target.skip));
            let _open = Open::new(&self.open);
            let trouble = self.troubles.lock().expect("no panic").pop_front();
            match trouble {
                Some(Trouble::Refused) => return Err(io::ErrorKind::ConnectionRefused.into()),
                Some(Trouble::Silence) => std::future::pending::<()>().await,
                Some(Trouble::Late(after)) => tokio::time::sleep(after).await,
                Some(Trouble::Panic) => panic!("a connector that fails"),
                Some(Trouble::PanicLater) => return Ok(Box::new(Panics) as BoxStream),
                Some(Trouble::Mute) | None => {}
            }
            let node = host.rsplit('-').next().and_then(|id| id.parse().ok()).expect("a broker's name");
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(self.clone().serve(NodeId(node), far, trouble.is_some()));
            Ok(Box::new(near) as BoxStream)
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn every_connection_comes_from_the_connector_by_the_name_that_brokers_advertise() {
    let tunnel = Tunnel::new([]);
    let client = Client::connect("broker-2:9092", tunnel.config()).await.expect("a client");
    for partition in 0..6 {
        let leader = client.leader("orders", PartitionId(partition)).await.expect("a leader");
        let response = client.call(leader, MetadataRequest::default()).await.expect("an answer");
        assert_eq!(response.brokers.len(), 3);
    }
    let mut hosts: Vec<_> = tunnel.attempts().into_iter().map(|(host, _)| host).collect();
    // The one to begin with is asked before anybody has a number.
    assert_eq!(hosts.remove(0), "broker-2");
    hosts.sort();
    assert_eq!(hosts, ["broker-1", "broker-2", "broker-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_connect_is_tried_again_within_the_times_of_the_settings() {
    let tunnel = Tunnel::new([Trouble::Refused, Trouble::Silence, Trouble::Mute, Trouble::Refused]);
    let mut config = tunnel.config();
    config.net.setup_timeout = Duration::from_secs(3);
    config.net.setup_timeout_max = Duration::from_secs(3);
    let began = Instant::now();
    let client = Client::connect("broker-1:9092", config).await.expect("a client");
    client.topic("orders").await.expect("the topic");
    // Time is virtual: twice three seconds (with jitter) of silence, the second time on a connection that was accepted, and
    // the waits between five attempts.
    let took = began.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(10), "{took:?}");
    let skips: Vec<_> = tunnel.attempts().into_iter().map(|(_, skip)| skip).collect();
    assert_eq!(skips[..5], [0, 1, 2, 3, 4], "each attempt is told how many came to nothing before it");
}

/// Scenario 25: the time of a request is never asked for, whatever it is.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_set_up_covers_opening_and_the_first_answer_together() {
    let limit = Duration::from_secs(3);
    let almost = Duration::from_millis(2_900);
    for trouble in [Trouble::Mute, Trouble::Late(limit / 2), Trouble::Late(almost), Trouble::Silence] {
        let tunnel = Tunnel::new([trouble]);
        let mut config = tunnel.config();
        (config.net.setup_timeout, config.net.setup_timeout_max) = (limit, limit);
        config.net.request_timeout = Duration::from_secs(600);
        config.net.reconnect_backoff = Duration::ZERO;
        let began = Instant::now();
        let client = Client::connect("broker-1:9092", config).await.expect("a client");
        client.topic("orders").await.expect("the topic");
        // Time is virtual: all of it is that of the first connection.
        let took = began.elapsed();
        assert!(took >= limit && took < limit + Duration::from_millis(50), "{took:?}");
        assert!(tunnel.attempts().len() >= 2, "another one worked");
    }
}

/// Scenarios 4 and 25: the system of a broker that is frozen, or that has too much to do, goes on taking connections.
#[tokio::test(start_paused = true)]
async fn a_broker_that_accepts_and_says_nothing_is_dialled_ever_less_often() {
    let tunnel = Tunnel::new([Trouble::Mute; 1000]);
    let mut config = tunnel.config();
    config.max_block = Duration::from_secs(300);
    let error = Client::connect("broker-1:9092", config).await.expect_err("nobody answers");
    assert!(error.is_timeout(), "{error}");
    // 8 s to 12 s, 16 s to 24 s, then 24 s to 30 s each, and less than 1 s between two.
    let attempts = tunnel.attempts().len();
    assert!((10..=13).contains(&attempts), "{attempts}");
    assert_eq!(tunnel.asked(ApiKey::API_VERSIONS), attempts, "one question on each connection");
    assert_eq!(tunnel.asked(ApiKey::METADATA), 0, "nothing is sent on one that is not set up");
    while tunnel.open() > 0 {
        tokio::task::yield_now().await;
    }
}

/// A stream that fails its users.
struct Panics;

impl AsyncRead for Panics {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        panic!("a stream that fails")
    }
}

impl AsyncWrite for Panics {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_or_a_stream_that_panics_is_a_connection_that_failed() {
    let tunnel = Tunnel::new([Trouble::Panic, Trouble::PanicLater, Trouble::Panic, Trouble::PanicLater]);
    let began = Instant::now();
    let _client = Client::connect("broker-1:9092", tunnel.config()).await.expect("a client");
    assert_eq!(tunnel.attempts().len(), 5);
    // 50 ms, 100 ms, 200 ms and 400 ms of virtual time, each with a fifth of jitter.
    let took = began.elapsed();
    assert!((600..=901).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_error_says_where_and_has_the_connectors_own_inside() {
    let tunnel = Tunnel::new([Trouble::Refused; 1000]);
    let mut config = tunnel.config();
    config.max_block = Duration::from_secs(1);
    let error = Client::connect("broker-1:9092", config).await.expect_err("nobody can be reached");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(text.contains("broker-1:9092") && text.contains("connection refused"), "{text}");
}

#[test]
fn connectors_are_equal_when_they_are_clones() {
    let (one, other) = (Connector::new(Tunnel::new([])), Connector::new(Tunnel::new([])));
    assert_eq!(one, one.clone());
    assert_ne!(one, other);
    assert_ne!(one, Connector::tcp());
    assert_eq!(NetConfig::default().connector, Connector::tcp());
    assert_eq!(format!("{one:?} {:?}", Connector::tcp()), "Connector(custom) Connector(tcp)");
}
