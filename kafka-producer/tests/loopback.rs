//! The whole path over sockets, against `kafka-mock`: a cluster that judges what it is sent as a broker does.

use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{Producer, Record};

/// A record as it was found in the log: its key, its value, its headers.
type Found = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn found(cluster: &MockCluster, topic: &str, partition: i32) -> Vec<(i64, Found)> {
    let stored = cluster.records(topic, partition);
    stored
        .into_iter()
        .map(|stored| {
            let record = stored.record;
            let headers = record
                .headers
                .iter()
                .map(|header| (header.key().to_owned(), header.value().map(|value| value.to_vec())))
                .collect();
            let bytes = |bytes: Option<bytes::Bytes>| bytes.map(|bytes| bytes.to_vec());
            (stored.offset, (bytes(record.key), bytes(record.value), headers))
        })
        .collect()
}

#[tokio::test]
async fn one_record_there_and_its_delivery_back() {
    let cluster = MockCluster::builder().topic("orders", 1).start().await.expect("the mock starts");
    let producer = Producer::builder([cluster.bootstrap_servers()]).connect().await.expect("good settings");
    let delivery = producer.send(Record::to("orders").key("k").value("v")).await.expect("accepted");
    let metadata = delivery.await.expect("delivered");
    assert_eq!((metadata.partition, metadata.offset), (0, Some(0)));
    let records = found(&cluster, "orders", 0);
    assert_eq!(records, [(0, (Some(b"k".to_vec()), Some(b"v".to_vec()), vec![]))]);
    producer.close(Duration::from_secs(5)).await.expect("closed in time");
}
