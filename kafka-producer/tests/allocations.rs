//! Nothing is allocated for a record: what is allocated belongs to batches.

use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{Header, Producer, Record, Topic};

/// Allocations of this thread while so many records are sent. They stay in open batches: nothing else happens.
fn allocations(producer: &Producer, record: Record<'_>, count: u32) -> u64 {
    let info = allocation_counter::measure(|| {
        for _ in 0..count {
            drop(producer.try_send(record).expect("there is room"));
        }
    });
    info.count_total
}

async fn with_producer(check: impl FnOnce(&Producer, &Topic)) {
    let cluster = MockCluster::builder().topic("orders", 1).start().await.expect("the mock starts");
    let producer = Producer::builder([cluster.bootstrap_servers()]).linger(Duration::from_secs(60));
    let producer = producer.batch_size(512 << 10).connect().await.expect("good settings");
    let topic = producer.topic("orders").await.expect("known");
    // The batch is open from here on.
    drop(producer.try_send(Record::to("orders").value("first")).expect("accepted"));
    check(&producer, &topic);
    producer.close(Duration::from_secs(10)).await.expect("closed in time");
}

#[tokio::test(flavor = "current_thread")]
async fn records_that_fit_their_batch_allocate_nothing() {
    with_producer(|producer, topic| {
        let headers = [Header { key: "h", value: Some(b"v") }];
        let value = [7; 20];
        for record in [
            Record::to(topic).value(&value),
            Record::to(topic).key("key").value(&value),
            Record::to("orders").value(&value),
            Record::to(topic).partition(0).value(&value),
            Record::to(topic).value(&value).headers(&headers),
        ] {
            assert_eq!(allocations(producer, record, 80), 0, "{record:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn many_records_allocate_by_the_chunk() {
    with_producer(|producer, topic| {
        let value = [7; 100];
        // Thirteen chunks of 16 KiB, with the lists that hold them.
        let count = allocations(producer, Record::to(topic).value(&value), 2000);
        assert!(count < 100, "{count} allocations for 2000 records");
    })
    .await;
}
