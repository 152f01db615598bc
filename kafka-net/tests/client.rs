//! A client against the mock cluster, over real sockets.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks where it likes")]

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use kafka_mock::{Change, Lag, MockCluster};
use kafka_net::{Client, ClientConfig};
use kafka_wire::{
    ApiKey, ErrorCode, NodeId, PartitionId, TopicName, VersionRange,
    messages::{
        CreatableTopic, CreateTopicsRequest, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
        MetadataRequest,
    },
};

fn end_of(topic: &str, partition: i32) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: NodeId::NONE,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: PartitionId(partition),
                timestamp: -1,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    }
}

async fn end_offset(client: &Client, topic: &str, partition: i32) -> (ErrorCode, i64) {
    let response = client
        .call_leader(topic, PartitionId(partition), end_of(topic, partition))
        .await
        .expect("an answer of the leader");
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.offset)
}

fn impatient() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.max_block = Duration::from_secs(2);
    config
}

async fn every_leader_answers() {
    let cluster = MockCluster::builder().brokers(3).topic("orders", 12).start().await.expect("a cluster");
    let client =
        Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await.expect("connects");
    let topic = client.topic("orders").await.expect("the topic");
    assert_eq!(topic.partitions.len(), 12);
    // All at once: they share connections.
    let answers = join_all((0..12).map(|partition| end_offset(&client, "orders", partition))).await;
    assert_eq!(answers, vec![(ErrorCode::NONE, 0); 12]);
    for partition in 0..12 {
        let leader = client.leader("orders", PartitionId(partition)).await.expect("a leader");
        assert_eq!(Some(leader), cluster.leader("orders", partition).map(|(leader, _)| leader));
    }
    // One to each broker, and the first one to an address of the bootstrap list.
    assert!(cluster.connections() <= 4, "{} connections", cluster.connections());
    cluster.shutdown().await;
}

#[tokio::test]
async fn every_leader_answers_on_one_thread() {
    every_leader_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_leader_answers_on_several_threads() {
    every_leader_answers().await;
}

#[tokio::test]
async fn a_moved_leader_is_found_again() {
    let cluster = MockCluster::builder().brokers(3).topic("orders", 1).start().await.expect("a cluster");
    let client =
        Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await.expect("connects");
    let before = client.leader("orders", PartitionId(0)).await.expect("a leader");
    let other = cluster.nodes().find(|&node| node != before).expect("another");
    cluster.move_leader("orders", 0, other).expect("moves");
    assert_eq!(end_offset(&client, "orders", 0).await.0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    client.refresh().await.expect("a new view");
    assert_eq!(client.leader("orders", PartitionId(0)).await.expect("a leader"), other);
    assert_eq!(end_offset(&client, "orders", 0).await.0, ErrorCode::NONE);
    cluster.shutdown().await;
}

#[tokio::test]
async fn unknown_things_are_named() {
    let cluster = MockCluster::builder().brokers(1).topic("orders", 3).start().await.expect("a cluster");
    let client = Client::connect(&cluster.bootstrap_servers(), impatient()).await.expect("connects");

    let error = client.leader("no-such-topic", PartitionId(0)).await.expect_err("there is no such topic");
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{error:?}");
    assert!(error.is_timeout() && error.to_string().contains("no-such-topic"), "{error}");

    let error = client.leader("orders", PartitionId(3)).await.expect_err("there is no such partition");
    assert_eq!(error.to_string(), "topic orders has partitions 0 to 2, not 3");

    let error = client.topic("not a name!").await.expect_err("not a name");
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
    assert!(!error.is_timeout(), "a name that can never be is refused at once");

    let error =
        client.call(NodeId(77), MetadataRequest::default()).await.expect_err("there is no such broker");
    assert!(error.to_string().contains("77") && !error.possibly_written(), "{error}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_topic_made_meanwhile_is_found() {
    let cluster = MockCluster::builder().brokers(2).start().await.expect("a cluster");
    let client =
        Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await.expect("connects");
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.leader("late", PartitionId(0)).await }
    });
    // Until it has asked in vain.
    while client.view().topic("late").is_none() {
        client.refresh().await.expect("an answer");
    }
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: TopicName::from("late"),
            num_partitions: 2,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        timeout_ms: 5_000,
        ..CreateTopicsRequest::default()
    };
    let response = client.call_any(request).await.expect("an answer");
    assert_eq!(response.topics[0].error_code, ErrorCode::NONE);
    waiting.await.expect("no panic").expect("a leader in the end");
    cluster.shutdown().await;
}

/// A call that is dropped, wherever it is, harms no other; one that was not sent is never sent.
#[tokio::test]
async fn dropped_calls_harm_no_others() {
    let cluster = MockCluster::builder().brokers(1).topic("orders", 1).start().await.expect("a cluster");
    let client =
        Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await.expect("connects");
    let leader = client.leader("orders", PartitionId(0)).await.expect("a leader");
    let before = cluster.requests(ApiKey::LIST_OFFSETS);
    // The pump has not run yet when these are dropped: nothing yields in between.
    for _ in 0..100 {
        let call = client.call(leader, end_of("orders", 0));
        assert!(call.now_or_never().is_none());
    }
    assert_eq!(end_offset(&client, "orders", 0).await, (ErrorCode::NONE, 0));
    assert_eq!(cluster.requests(ApiKey::LIST_OFFSETS) - before, 1);
    // Dropped at any later point.
    for turns in 0..20 {
        let mut call = Box::pin(client.call(leader, end_of("orders", 0)));
        for _ in 0..turns {
            if call.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(end_offset(&client, "orders", 0).await, (ErrorCode::NONE, 0));
    cluster.shutdown().await;
}

#[tokio::test]
async fn waits_that_are_dropped_leave_the_client_usable() {
    let cluster = MockCluster::builder().brokers(1).topic("orders", 1).start().await.expect("a cluster");
    let client =
        Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await.expect("connects");
    for topic in ["orders", "missing"] {
        assert!(client.leader(topic, PartitionId(0)).now_or_never().is_none());
        assert!(client.refresh().now_or_never().is_none());
    }
    client.leader("orders", PartitionId(0)).await.expect("a leader");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_cluster_that_comes_back_is_found_again() {
    let cluster = MockCluster::builder().brokers(1).topic("orders", 1).start().await.expect("a cluster");
    let servers = cluster.bootstrap_servers();
    let port: u16 = servers.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let client = Client::connect(&servers, ClientConfig::default()).await.expect("connects");
    let leader = client.leader("orders", PartitionId(0)).await.expect("a leader");
    assert_eq!(end_offset(&client, "orders", 0).await.0, ErrorCode::NONE);
    cluster.shutdown().await;

    let error = client.call(leader, end_of("orders", 0)).await.expect_err("nobody is there");
    assert!(error.is_retriable(), "{error}");

    let builder = MockCluster::builder().brokers(1).topic("orders", 1).topic("more", 1).ports([port]);
    let cluster = builder.start().await.expect("the same port again");
    client.leader("more", PartitionId(0)).await.expect("a leader");
    assert_eq!(end_offset(&client, "more", 0).await.0, ErrorCode::NONE);
    cluster.shutdown().await;
}

/// The last client ends every connection and task, in good order.
#[tokio::test]
async fn the_last_client_closes_everything() {
    let cluster = MockCluster::builder().brokers(3).topic("orders", 3).start().await.expect("a cluster");
    let tasks = tokio::runtime::Handle::current().metrics();
    let client =
        Client::connect(&cluster.bootstrap_servers(), ClientConfig::default()).await.expect("connects");
    let clone = client.clone();
    let before = tasks.num_alive_tasks();
    drop(client);
    assert_eq!(end_offset(&clone, "orders", 0).await.0, ErrorCode::NONE);
    drop(clone);
    // The driver and a pump at least.
    while tasks.num_alive_tasks() + 2 > before {
        tokio::task::yield_now().await;
    }
    cluster.shutdown().await;
}

/// The runtime that a client lives on goes away: whoever waits elsewhere is told.
#[test]
fn a_dead_runtime_is_told() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (home, elsewhere) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let cluster = elsewhere.block_on(MockCluster::builder().brokers(1).start()).expect("a cluster");
    let servers = cluster.bootstrap_servers();
    let client =
        home.block_on(async { Client::connect(&servers, ClientConfig::default()).await }).expect("connects");
    let waiting = elsewhere.spawn({
        let client = client.clone();
        async move { client.leader("missing", PartitionId(0)).await }
    });
    home.shutdown_background();
    let error = elsewhere.block_on(waiting).expect("no panic").expect_err("nobody is left to ask");
    assert!(error.is_aborted(), "{error}");
    elsewhere.block_on(cluster.shutdown());
}

/// Each of two brokers may be the first one asked.
#[tokio::test]
async fn a_partition_that_one_broker_does_not_know_is_looked_for_at_another() {
    let cluster = MockCluster::builder().brokers(2).topic("orders", 3).start().await.expect("a cluster");
    for lagging in [1, 2] {
        let lag = Lag::Partitions { topic: "orders".into(), count: 1 };
        cluster.carry_out(Change::LagBehind { broker: NodeId(lagging), lag }).expect("exists");
        for _ in 0..3 {
            let client = Client::connect(&cluster.bootstrap_servers(), impatient()).await.expect("connects");
            let leader = client.leader("orders", PartitionId(2)).await.expect("known to the other one");
            assert_eq!(Some(leader), cluster.leader("orders", 2).map(|(leader, _)| leader));
            let error = client.leader("orders", PartitionId(3)).await.expect_err("nobody knows it");
            assert!(error.to_string().contains("has partitions 0 to 2, not 3"), "{error}");
        }
        cluster.carry_out(Change::CatchUp(NodeId(lagging))).expect("exists");
    }
}

#[tokio::test]
async fn controllers_among_the_bootstrap_servers_are_passed_over() {
    let cluster = MockCluster::builder().controllers(1).topic("orders", 1).start().await.expect("a cluster");
    let controller = cluster.address(NodeId(2)).expect("a controller");
    for _ in 0..6 {
        let servers = format!("{controller},{}", cluster.bootstrap_servers());
        let client = Client::connect(&servers, impatient()).await.expect("connects");
        assert_eq!(end_offset(&client, "orders", 0).await, (ErrorCode::NONE, 0));
    }
    let error = Client::connect(&controller, impatient()).await.expect_err("it is no broker");
    assert!(error.to_string().contains("is this the controller's listener? use a broker's"), "{error}");
}

/// Of a broker's address that leads to another cluster the others are not told, and it is told nothing itself.
#[tokio::test]
async fn a_broker_of_another_cluster_is_told_apart_and_called_nothing() {
    for newest in [4, 5] {
        let cluster = MockCluster::builder().brokers(3).topic("orders", 3).record_requests(1000);
        let cluster = cluster.start().await.expect("a cluster");
        let versions = VersionRange::new(0, newest);
        let limit = Change::LimitVersions { api: ApiKey::API_VERSIONS, versions };
        cluster.carry_out(limit).expect("it has these");
        let client = Client::connect(&cluster.bootstrap_servers(), impatient()).await.expect("connects");
        let ours = cluster.id();
        assert_eq!(client.view().cluster_id.as_deref(), Some(&*ours));
        for partition in 0..3 {
            assert_eq!(end_offset(&client, "orders", partition).await, (ErrorCode::NONE, 0));
        }
        let address = NodeId(2);
        let astray = Change::Reroute { address, cluster: Some("theirs".to_owned()), broker: None };
        cluster.carry_out(astray).expect("exists");
        let mut calls = Vec::new();
        for _ in 0..3 {
            let error = client.call(NodeId(2), end_of("orders", 1)).await.expect_err("it is another one");
            calls.push(error.is_other_cluster());
            if error.is_other_cluster() {
                assert!(!error.possibly_written() && error.is_retriable());
                assert_eq!(error.clusters(), Some((&*ours, Some("theirs"))));
            }
            client.refresh().await.expect("others answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(calls.ends_with(&[true]), "the first may have been under way: {calls:?}");
        let other = cluster.other("theirs").expect("it was named");
        let told: Vec<ApiKey> = other.recorded().iter().map(|request| request.api).collect();
        let is_setup = |api: &ApiKey| [ApiKey::API_VERSIONS, ApiKey::METADATA].contains(api);
        assert!(!told.is_empty() && told.iter().all(is_setup), "{told:?}");
        assert_eq!(end_offset(&client, "orders", 0).await, (ErrorCode::NONE, 0));
        let back = Change::Reroute { address, cluster: None, broker: None };
        cluster.carry_out(back).expect("exists");
        let mut answers = Vec::new();
        while !answers.ends_with(&[true]) {
            answers.push(client.call(NodeId(2), end_of("orders", 1)).await.is_ok());
            assert!(answers.len() < 1000, "it is never found again");
        }
        assert_eq!(client.view().cluster_id.as_deref(), Some(&*ours));
    }
}

#[tokio::test]
async fn a_cluster_begun_anew_takes_the_place_of_the_old_one() {
    let cluster = MockCluster::builder().brokers(3).topic("orders", 3).start().await.expect("a cluster");
    let client = Client::connect(&cluster.bootstrap_servers(), impatient()).await.expect("connects");
    assert_eq!(end_offset(&client, "orders", 1).await, (ErrorCode::NONE, 0));
    cluster.carry_out(Change::Wipe { cluster_id: Some("anew".to_owned()) }).expect("no other has that id");
    client.refresh().await.expect("it is found within a moment");
    assert_eq!(client.view().cluster_id.as_deref(), Some("anew"));
    for partition in 0..3 {
        assert_eq!(end_offset(&client, "orders", partition).await, (ErrorCode::NONE, 0));
    }
}

/// An older broker is not asked in a version that it has refused before, on every connection.
#[tokio::test]
async fn an_older_broker_refuses_a_version_once() {
    let cluster = MockCluster::builder().brokers(3).topic("orders", 3).record_requests(1000);
    let cluster = cluster.start().await.expect("a cluster");
    let limit = Change::LimitVersions { api: ApiKey::API_VERSIONS, versions: VersionRange::new(0, 3) };
    cluster.carry_out(limit).expect("it has these");
    let client = Client::connect(&cluster.bootstrap_servers(), impatient()).await.expect("connects");
    for _ in 0..5 {
        assert_eq!(end_offset(&client, "orders", 0).await, (ErrorCode::NONE, 0));
        cluster.stop_broker(NodeId(1)).expect("exists");
        cluster.start_broker(NodeId(1)).expect("exists");
        while client.call(NodeId(1), end_of("orders", 0)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let asked = cluster.recorded();
    let asked: Vec<i16> = asked
        .iter()
        .filter(|request| request.node == NodeId(1) && request.api == ApiKey::API_VERSIONS)
        .map(|request| request.version)
        .collect();
    // Once for the broker, and once for its address in the list if that was asked first.
    assert!(asked.iter().filter(|&&version| version > 3).count() <= 2, "{asked:?}");
    assert!(asked.len() >= 7, "{asked:?}");
}
