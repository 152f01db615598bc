//! What the *Cancel safety* paragraphs of [`Client`] and of [`dial`](kafka_net::io::dial) claim: a future is polled until it
//! waits, dropped there, and what is left is looked at.

use kafka_net::{Endpoint, io::dial};
use kafka_wire::messages::{DescribeClusterRequest, ListOffsetsRequest};
use tokio::time::{sleep, timeout};

use super::*;

#[tokio::test(start_paused = true)]
async fn connecting_that_is_dropped_closes_what_it_opened() {
    for trouble in [Trouble::Silence, Trouble::Mute] {
        let tunnel = Tunnel::new([trouble; 100]);
        let mut connecting = Box::pin(Client::connect("broker-1:9092", tunnel.config()));
        assert!(timeout(SECOND, &mut connecting).await.is_err());
        assert_eq!((tunnel.attempts().len(), tunnel.open()), (1, 1));
        drop(connecting);
        sleep(SECOND).await;
        assert_eq!(tunnel.open(), 0);
        sleep(SECOND * 600).await;
        assert_eq!(tunnel.attempts().len(), 1, "nobody goes on trying");
    }
}

/// The contract of a [`Connect`], from the side that drops its futures.
#[tokio::test(start_paused = true)]
async fn an_attempt_whose_time_is_over_is_dropped() {
    let tunnel = Tunnel::new([Trouble::Silence; 2]);
    let mut config = tunnel.config();
    config.net.setup_timeout = SECOND;
    config.net.setup_timeout_max = SECOND;
    let _client = Client::connect("broker-1:9092", config).await.expect("a client");
    assert_eq!(tunnel.attempts().len(), 3);
    sleep(SECOND).await;
    assert_eq!(tunnel.open(), 0, "neither of them, nor the one that is not wanted once brokers have numbers");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_dropped_goes_on() {
    let tunnel = Tunnel::new([]);
    let client = Client::connect("broker-1:9092", tunnel.config()).await.expect("a client");
    sleep(SECOND).await;
    let before = tunnel.asked(ApiKey::METADATA);
    sleep(SECOND).await;
    assert_eq!(tunnel.asked(ApiKey::METADATA), before, "nobody asks by himself");
    assert!(client.refresh().now_or_never().is_none());
    sleep(SECOND).await;
    assert_eq!(tunnel.asked(ApiKey::METADATA), before + 1);
}

#[tokio::test(start_paused = true)]
async fn who_asked_for_a_topic_may_go_and_asking_goes_on() {
    for is_leader in [false, true] {
        let tunnel = Tunnel::new([]);
        let client = Client::connect("broker-1:9092", tunnel.config()).await.expect("a client");
        if is_leader {
            assert!(client.leader("orders", PartitionId(0)).now_or_never().is_none());
        } else {
            assert!(client.topic("orders").now_or_never().is_none());
        }
        assert!(client.view().topic("orders").is_none());
        sleep(SECOND).await;
        assert_eq!(client.view().topic("orders").map(|topic| topic.partitions.len()), Some(6));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_it_was_sent_never_is() {
    let tunnel = Tunnel::new([]);
    let client = Client::connect("broker-1:9092", tunnel.config()).await.expect("a client");
    let request = DescribeClusterRequest::default;
    assert!(client.call(NodeId(1), request()).now_or_never().is_none());
    // Neither when its connection has come up meanwhile, nor when it comes up much later.
    client.call(NodeId(1), MetadataRequest::default()).await.expect("an answer");
    tunnel.troubles.lock().expect("no panic").push_back(Trouble::Silence);
    assert!(timeout(SECOND, client.call(NodeId(2), request())).await.is_err());
    sleep(SECOND * 60).await;
    client.call(NodeId(2), MetadataRequest::default()).await.expect("an answer");
    assert_eq!(tunnel.asked(ApiKey::DESCRIBE_CLUSTER), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_after_it_was_sent_leaves_the_others_their_answers() {
    let tunnel = Tunnel::new([]);
    let client = Client::connect("broker-1:9092", tunnel.config()).await.expect("a client");
    client.call(NodeId(1), MetadataRequest::default()).await.expect("an answer");
    let mut dropped = Box::pin(client.call(NodeId(1), DescribeClusterRequest::default()));
    assert!(dropped.as_mut().now_or_never().is_none());
    while tunnel.asked(ApiKey::DESCRIBE_CLUSTER) == 0 {
        tokio::task::yield_now().await;
    }
    drop(dropped);
    let response = client.call(NodeId(1), MetadataRequest::default()).await.expect("an answer");
    assert_eq!(response.brokers.len(), 3);
    let response = client.call(NodeId(1), DescribeClusterRequest::default()).await.expect("an answer");
    assert_eq!(response.brokers.len(), 3);
    assert_eq!(tunnel.asked(ApiKey::DESCRIBE_CLUSTER), 2, "the broker has acted on both");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_broker_or_a_leader_are_dropped_with_their_requests() {
    let tunnel = Tunnel::new([]);
    let client = Client::connect("broker-1:9092", tunnel.config()).await.expect("a client");
    assert!(client.call_any(DescribeClusterRequest::default()).now_or_never().is_none());
    let request = ListOffsetsRequest::default();
    assert!(client.call_leader("orders", PartitionId(0), request).now_or_never().is_none());
    sleep(SECOND * 60).await;
    assert!(client.view().topic("orders").is_some(), "its leader is known by now");
    client.call_any(MetadataRequest::default()).await.expect("an answer");
    assert_eq!((tunnel.asked(ApiKey::DESCRIBE_CLUSTER), tunnel.asked(ApiKey::LIST_OFFSETS)), (0, 0));
}

/// Over a real socket, which has its handshake behind it while nobody has told the future.
#[tokio::test]
async fn dialling_that_is_dropped_closes_its_socket() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().expect("bound").port());
    let config = NetConfig::default();
    let mut dialling = Box::pin(dial(&endpoint, &config, 0, SECOND * 60));
    assert!(dialling.as_mut().now_or_never().is_none());
    let (mut accepted, _) = listener.accept().await.expect("it connects");
    drop(dialling);
    let read = timeout(SECOND * 60, accepted.read_u8()).await.expect("it is closed");
    assert!(read.is_err(), "{read:?}");
}

const SECOND: Duration = Duration::from_secs(1);
