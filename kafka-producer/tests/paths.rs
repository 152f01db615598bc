//! A record can be accepted in several ways: at once, after a wait, alone or with others, with a key or without. What is refused on
//! one of them is refused on each.

use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{Producer, Record};

/// The ways to say where a record goes, each of which has a fast path of its own once there is an open batch.
fn ways<'a>() -> [Record<'a>; 3] {
    [Record::to("orders"), Record::to("orders").key("k"), Record::to("orders").partition(0)]
}

#[tokio::test]
async fn times_before_1970_are_refused_on_every_path() {
    let cluster = MockCluster::builder().topic("orders", 1).start().await.expect("the mock starts");
    let config = Producer::builder([cluster.bootstrap_servers()]).linger(Duration::from_secs(60));
    let producer = config.connect().await.expect("good settings");
    let mut accepted = 0;
    // Before anything is known of the topic, and then beside an open batch.
    for _ in 0..2 {
        for record in ways() {
            let before = record.timestamp(-5).value("before 1970");
            let error = producer.send(before).await.expect_err("refused");
            assert!(error.to_string().contains("-5"), "{error}");
            let error = producer.try_send(before).expect_err("refused");
            assert!(error.to_string().contains("-5"), "{error}");
            let several = [record.value("a"), record.timestamp(0).value("b"), before, record.value("c")];
            let error = producer.send_all(several).await.expect_err("the third is refused");
            assert!(error.source.to_string().contains("-5"), "{}", error.source);
            assert_eq!((error.accepted, error.deliveries.len()), (2, 2));
            accepted += 2;
        }
    }
    producer.flush().await.expect("open");
    let stored = cluster.records("orders", 0);
    assert_eq!(stored.len(), accepted);
    assert!(stored.iter().all(|stored| stored.record.timestamp >= 0));
    producer.close(Duration::from_secs(20)).await.expect("nothing is left");
}
