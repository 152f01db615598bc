//! What brokers do: scenarios 6, 7, 9 to 11 and 47.

use std::time::Duration;

use kafka_mock::{Change, Rule};
use kafka_producer::Producer;
use kafka_wire::{ApiKey, ErrorCode, NodeId, VersionRange};

use crate::{Run, soon};

const FIRST: NodeId = NodeId(1);
const SECOND: NodeId = NodeId(2);

fn address(run: &Run, node: NodeId) -> (String, u16) {
    let address = run.cluster.address(node).expect("a broker");
    let (host, port) = address.rsplit_once(':').expect("host and port");
    (host.to_owned(), port.parse().expect("a port"))
}

#[tokio::test]
async fn s06_two_broker_ids_at_one_address_and_back() {
    let mut run = Run::new(1).await;
    // Brokers before Kafka 4.4 do not say that they are not the one that is meant.
    let old = Change::LimitVersions { api: ApiKey::API_VERSIONS, versions: VersionRange::new(0, 4) };
    run.cluster.carry_out(old).expect("it knows them");
    let producer = to_one_address(&mut run).await;
    let before = run.produced();
    run.send(&producer, 20).await;
    soon(run.cluster.until(|_| run.produced() >= before + 3)).await;
    and_back(run, producer).await;
}

#[tokio::test]
async fn s06_a_broker_that_says_it_is_not_the_one_that_is_meant_gets_no_records() {
    let mut run = Run::new(1).await;
    let producer = to_one_address(&mut run).await;
    run.send(&producer, 20).await;
    let misled = |times| producer.stats().brokers.iter().any(|it| it.node == SECOND.0 && it.misled >= times);
    soon(run.cluster.until(|_| misled(1))).await;
    let before = run.produced();
    soon(run.cluster.until(|_| misled(4))).await;
    assert_eq!(run.produced(), before, "it would have refused them");
    and_back(run, producer).await;
}

/// Whoever looks for the new leader finds the old one.
async fn to_one_address(run: &mut Run) -> Producer {
    let producer = run.connect().await;
    run.send(&producer, 20).await;
    soon(producer.flush()).await.expect("open");
    // Any broker may have been asked for a producer id.
    run.cluster.stop_broker(SECOND).expect("exists");
    run.cluster.start_broker(SECOND).expect("exists");
    let (host, port) = address(run, FIRST);
    // To look, it must be told no more than that there is one.
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(1).error(ErrorCode::LEADER_NOT_AVAILABLE));
    run.cluster.carry_out(Change::Advertise { node: SECOND, host, port }).expect("exists");
    run.cluster.move_leader("orders", 0, SECOND).expect("exists");
    producer
}

async fn and_back(run: Run, producer: Producer) {
    assert!(
        run.cluster.recorded().iter().all(|request| request.node != SECOND || request.batches.is_empty())
    );
    let (host, port) = address(&run, SECOND);
    run.cluster.carry_out(Change::Advertise { node: SECOND, host, port }).expect("exists");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s06_a_broker_id_moves_to_another_host() {
    let mut run = Run::new(2).await;
    let proxy = run.behind(|proxy| proxy).await;
    let producer = run.connect().await;
    run.send(&producer, 20).await;
    // The proxy learns of its brokers from its first client.
    let other = crate::connect(crate::config(&proxy.bootstrap_servers())).await;
    drop(other.topic("orders").await.expect("known"));
    crate::close(other).await;
    let connections = proxy.connections();
    let stand_in = proxy.address(SECOND).expect("known by now");
    let (host, port) = stand_in.rsplit_once(':').expect("host and port");
    let moved =
        Change::Advertise { node: SECOND, host: host.to_owned(), port: port.parse().expect("a port") };
    run.cluster.carry_out(moved).expect("exists");
    // A new leader epoch has clients ask; the connection there was breaks, and another one goes where the answer says.
    run.cluster.stop_broker(SECOND).expect("exists");
    run.cluster.start_broker(SECOND).expect("exists");
    run.cluster.move_leader("orders", 0, SECOND).expect("exists");
    run.send(&producer, 20).await;
    run.finish_delivered(producer).await;
    assert!(proxy.connections() > connections, "it went where it was told");
}

#[tokio::test]
async fn s09_too_few_replicas_before_the_append() {
    let mut run = Run::new(3).await;
    let rule = Rule::on(ApiKey::PRODUCE).partition(1).named("too few").times(5);
    run.cluster.add_rule(rule.error(ErrorCode::NOT_ENOUGH_REPLICAS));
    let producer = run.connect().await;
    run.send(&producer, 60).await;
    soon(producer.flush()).await.expect("open");
    assert_eq!(run.cluster.fired("too few"), 5);
    assert!(producer.stats().retries >= 5, "each was tried again");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s10_too_few_replicas_after_the_append() {
    for times in [1, 3] {
        let mut run = Run::new(1).await;
        let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).skip(1).times(times).error_after_apply(code));
        let producer = run.connect().await;
        for record in 0..3 {
            run.send(&producer, 1).await;
            producer.flush().await.expect("open");
            let attempts = if record == 0 { 1 } else { 2 + times + record - 1 };
            assert_eq!(run.produced(), attempts, "once more for each refusal");
        }
        let settled = run.finish_delivered(producer).await;
        let offsets: Vec<_> = settled.into_iter().map(|settled| settled.result.expect("delivered")).collect();
        assert_eq!(offsets, [Some(0), Some(1), Some(2)], "the offset of the first attempt");
    }
}

#[tokio::test]
async fn s10_and_then_a_duplicate_without_an_offset() {
    for times in [1, 3] {
        let mut run = Run::new(1).await;
        let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
        run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(times).error_after_apply(code));
        let duplicate = ErrorCode::DUPLICATE_SEQUENCE_NUMBER;
        run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).skip(times).times(1).error(duplicate));
        let producer = run.connect().await;
        run.send(&producer, 1).await;
        producer.flush().await.expect("open");
        assert_eq!(run.produced(), times + 1);
        run.send(&producer, 10).await;
        let settled = run.finish_delivered(producer).await;
        assert!(matches!(settled[0].result, Ok(None)), "success, and nobody knows where");
        assert!(matches!(settled[1].result, Ok(Some(1))));
    }
}

#[tokio::test]
async fn s11_a_log_directory_fails_and_another_replica_takes_over() {
    let mut run = Run::new(2).await;
    let broken = Rule::on(ApiKey::PRODUCE).broker(FIRST).partition(0).named("broken");
    run.cluster.add_rule(broken.error(ErrorCode::KAFKA_STORAGE_ERROR));
    let producer = run.connect().await;
    run.send(&producer, 40).await;
    soon(run.cluster.until(|cluster| cluster.fired("broken") >= 3)).await;
    run.cluster.move_leader("orders", 0, SECOND).expect("exists");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s11_a_broker_that_holds_a_question_back_does_not_hide_the_new_leader() {
    let mut run = Run::new(2).await;
    // The one who is asked about the cluster never answers: a request in front of it waits for a replica that is gone. What
    // would end that is far beyond this test's patience.
    let patient = Duration::from_secs(600);
    let producer = crate::connect(run.config().request_timeout(patient).delivery_timeout(2 * patient)).await;
    run.send(&producer, 40).await;
    soon(producer.flush()).await.expect("open");
    let broken = Rule::on(ApiKey::PRODUCE).broker(FIRST).partition(0).named("broken");
    run.cluster.add_rule(broken.error(ErrorCode::KAFKA_STORAGE_ERROR));
    run.cluster.add_rule(Rule::on(ApiKey::METADATA).named("held").times(1).silence());
    run.cluster.move_leader("orders", 0, SECOND).expect("exists");
    run.send(&producer, 40).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s11_a_partition_that_is_offline_for_a_while() {
    let mut run = Run::new(3).await;
    let producer = run.connect().await;
    run.send(&producer, 30).await;
    for node in [1, 2, 3] {
        run.cluster.stop_broker(NodeId(node)).expect("exists");
    }
    run.send(&producer, 30).await;
    for node in [3, 1] {
        run.cluster.start_broker(NodeId(node)).expect("exists");
    }
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s07_leaders_move_in_the_middle_of_batches() {
    let mut run = Run::new(3).await;
    let storm = Change::MoveLeader { topic: "orders".into(), partition: None, to: None };
    run.cluster.add_rule(
        Rule::on(ApiKey::PRODUCE).named("moved").probability(0.1).times(50).change_after_apply(storm),
    );
    let producer = run.connect().await;
    while run.cluster.fired("moved") < 20 {
        run.send(&producer, 30).await;
        producer.flush().await.expect("open");
    }
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s47_throttled_clients_wait_and_lose_nothing() {
    let mut run = Run::new(2).await;
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).nth(2).throttle(Duration::from_millis(400)));
    let producer = run.connect().await;
    for _ in 0..5 {
        run.send(&producer, 10).await;
        producer.flush().await.expect("open");
    }
    run.finish_delivered(producer).await;
}
