//! Names that do not resolve, and names of several addresses: scenario 26. What becomes of the addresses of one name is tested
//! beside `dial` in kafka-net.

use kafka_mock::Change;
use kafka_wire::{ErrorCode, NodeId};

use crate::{Run, config, connect, soon};

const SECOND: NodeId = NodeId(2);

#[tokio::test]
async fn s26_a_broker_whose_name_does_not_resolve_for_a_while() {
    let mut run = Run::new(3).await;
    let producer = run.connect().await;
    let address = run.cluster.address(SECOND).expect("a broker");
    let (_, port) = address.rsplit_once(':').expect("host and port");
    let port: u16 = port.parse().expect("a port");
    // Reserved for this (RFC 2606).
    let nowhere = Change::Advertise { node: SECOND, host: "nowhere.invalid".to_owned(), port };
    run.cluster.carry_out(nowhere).expect("exists");
    run.send(&producer, 30).await;
    let failures = || {
        let brokers = producer.stats().brokers;
        brokers.into_iter().find(|broker| broker.node == SECOND.0).map_or(0, |broker| broker.failures)
    };
    soon(async {
        while failures() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let last = producer.stats().brokers.into_iter().find(|broker| broker.node == SECOND.0);
    let last = last.and_then(|broker| broker.last_failure).expect("it failed");
    assert!(last.contains("nowhere.invalid"), "{last}");
    // The others are not concerned.
    soon(async {
        while !(run.all_answered(0) && run.all_answered(2)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!run.all_answered(1), "nobody could be asked");
    let back = Change::Advertise { node: SECOND, host: "127.0.0.1".to_owned(), port };
    run.cluster.carry_out(back).expect("exists");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s26_names_of_the_list_that_do_not_resolve() {
    let mut run = Run::new(3).await;
    let servers = format!("a.invalid:9092,b.invalid:9092,{}", run.cluster.bootstrap_servers());
    let producer = connect(config(&servers)).await;
    run.send(&producer, 30).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s26_no_name_of_the_list_resolves() {
    let settings = config("a.invalid:9092,b.invalid:9092").max_block(std::time::Duration::from_millis(500));
    let producer = connect(settings).await;
    let error = soon(producer.topic("orders")).await.expect_err("nobody is there");
    assert_eq!(error.code(), None::<ErrorCode>);
    assert!(error.to_string().contains(".invalid"), "it says which: {error}");
    crate::close(producer).await;
}

/// `localhost` has an IPv6 address on most systems, and the mock listens on none: that one fails, and the other is tried.
#[tokio::test]
async fn s26_a_name_with_an_address_where_nobody_listens() {
    let mut run = Run::new(3).await;
    let servers = run.cluster.bootstrap_servers().replace("127.0.0.1", "localhost");
    assert!(servers.contains("localhost"));
    let producer = connect(config(&servers)).await;
    run.send(&producer, 30).await;
    run.finish_delivered(producer).await;
}
