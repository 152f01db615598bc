//! Faults over real sockets: scenarios of what brokers and networks do, against the mock cluster and through its proxy.
//!
//! Each test ends with the same look at the logs: what was acknowledged is there once, at the offset that was told, in the order
//! of `send`; what failed as not persisted is not there; and a batch that was sent again was the same, byte for byte.

mod brokers;
mod bytes;
mod clusters;
mod limits;
mod line;
mod losses;
mod metadata;
mod names;
mod numbers;
mod pauses;
mod weaker;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use kafka_mock::proxy::{Proxy, ProxyBuilder};
use kafka_mock::{Builder, MockCluster};
use kafka_producer::{Delivery, DeliveryError, Persistence, Producer, ProducerConfig, Record};
use kafka_wire::ApiKey;

/// A cluster with the topic `orders`, and what was sent to it.
pub(crate) struct Run {
    pub(crate) cluster: MockCluster,
    partitions: i32,
    sent: Vec<Sent>,
}

struct Sent {
    partition: i32,
    delivery: Delivery,
}

/// What became of a record; its number is its place in the order of `send`.
pub(crate) struct Settled {
    partition: i32,
    pub(crate) result: Result<Option<i64>, DeliveryError>,
}

impl Run {
    /// Three brokers; partition 0 is led by broker 1, partition 1 by broker 2 and so on.
    pub(crate) async fn new(partitions: i32) -> Self {
        Self::with(partitions, |builder| builder).await
    }

    pub(crate) async fn with(partitions: i32, set: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = MockCluster::builder().brokers(3).topic("orders", partitions).record_requests(100_000);
        let cluster = set(builder).start().await.expect("the mock starts");
        Self { cluster, partitions, sent: Vec::new() }
    }

    /// Settings with short times, so that what times out does so soon.
    pub(crate) fn config(&self) -> ProducerConfig {
        config(&self.cluster.bootstrap_servers())
    }

    pub(crate) async fn connect(&self) -> Producer {
        connect(self.config()).await
    }

    pub(crate) async fn behind(&self, set: impl FnOnce(ProxyBuilder) -> ProxyBuilder) -> Proxy {
        set(Proxy::builder(self.cluster.bootstrap_servers())).start().await.expect("the proxy starts")
    }

    /// Sends so many records, over all partitions in turn.
    pub(crate) async fn send(&mut self, producer: &Producer, count: usize) {
        for _ in 0..count {
            let partition = (self.sent.len() % usize::try_from(self.partitions).expect("positive")) as i32;
            self.send_to(producer, partition, 0).await;
        }
    }

    /// Sends one record, whose value is its number and `padding` more bytes.
    pub(crate) async fn send_to(&mut self, producer: &Producer, partition: i32, padding: usize) {
        let value = format!("{}:{}", self.sent.len(), "x".repeat(padding));
        let record = Record::to("orders").partition(partition).value(&value);
        let delivery = soon(producer.send(record)).await.expect("accepted");
        self.sent.push(Sent { partition, delivery });
    }

    /// Whether all records of a partition have an answer by now.
    pub(crate) fn all_answered(&self, partition: i32) -> bool {
        let mut sent = self.sent.iter().filter(|sent| sent.partition == partition);
        sent.all(|sent| sent.delivery.peek().is_some())
    }

    /// Waits for the answers, closes the producer, and compares everything with the logs.
    pub(crate) async fn finish(mut self, producer: Producer) -> Vec<Settled> {
        let settled = self.settle().await;
        self.compare(&settled, &BTreeSet::new());
        close(producer).await;
        settled
    }

    /// The same, where no record may have failed.
    pub(crate) async fn finish_delivered(self, producer: Producer) -> Vec<Settled> {
        self.finish_delivered_but(&BTreeSet::new(), producer).await
    }

    /// The same, where brokers lost some of what they had acknowledged.
    pub(crate) async fn finish_delivered_but(
        mut self,
        lost: &BTreeSet<usize>,
        producer: Producer,
    ) -> Vec<Settled> {
        let settled = self.settle().await;
        self.compare(&settled, lost);
        close(producer).await;
        for (number, settled) in settled.iter().enumerate() {
            if let Err(error) = &settled.result {
                panic!("record {number} failed: {error}: {:#?}", error.timeline());
            }
        }
        settled
    }

    pub(crate) async fn settle(&mut self) -> Vec<Settled> {
        let mut settled = Vec::new();
        for Sent { partition, delivery } in self.sent.drain(..) {
            let result = soon(delivery).await.map(|metadata| metadata.offset());
            settled.push(Settled { partition, result });
        }
        settled
    }

    /// Compares what became of the records with the logs. Those that brokers `lost` were acknowledged, and are not there.
    pub(crate) fn compare(&self, settled: &[Settled], lost: &BTreeSet<usize>) {
        self.retries_are_identical();
        let mut places = BTreeMap::new();
        for partition in 0..self.partitions {
            let mut last = None;
            for (offset, number) in numbers(&self.cluster, partition) {
                assert!(
                    last < Some(number),
                    "{number} is behind {last:?} in the log of partition {partition}"
                );
                last = Some(number);
                assert_eq!(settled[number].partition, partition, "record {number}");
                places.insert(number, offset);
            }
        }
        for (number, settled) in settled.iter().enumerate() {
            let place = places.get(&number).copied();
            if lost.contains(&number) {
                assert!(settled.result.is_ok() && place.is_none(), "record {number} was to be lost");
                continue;
            }
            match &settled.result {
                // Success without an offset: the broker knew the batch, and not where it was.
                Ok(None) => assert!(place.is_some(), "record {number} was acknowledged and is not there"),
                Ok(offset) => assert_eq!(place, *offset, "record {number} was acknowledged"),
                Err(error) if error.persistence() == Persistence::NotPersisted => {
                    assert_eq!(place, None, "record {number} failed as not persisted: {error}");
                }
                Err(_) => {}
            }
        }
    }

    /// The numbers of a batch are given to no other bytes.
    pub(crate) fn retries_are_identical(&self) {
        let mut seen = BTreeMap::new();
        for request in self.cluster.recorded().iter().filter(|request| request.api == ApiKey::PRODUCE) {
            for batch in request.batches.iter().filter(|batch| batch.base_sequence >= 0) {
                let numbers = (batch.partition, batch.producer_id, batch.producer_epoch, batch.base_sequence);
                let first = *seen.entry(numbers).or_insert(batch.hash);
                assert_eq!(first, batch.hash, "other bytes under the numbers {numbers:?}");
            }
        }
    }

    /// How many Produce requests came to a broker, or to all.
    pub(crate) fn produced(&self) -> u64 {
        self.cluster.requests(ApiKey::PRODUCE)
    }
}

/// Offset and number of each record in a partition's log.
pub(crate) fn numbers(cluster: &MockCluster, partition: i32) -> Vec<(i64, usize)> {
    let stored = cluster.records("orders", partition).into_iter();
    let parsed = stored.map(|stored| {
        let value = String::from_utf8(stored.record.value.expect("a value").to_vec()).expect("text");
        let (number, _) = value.split_once(':').expect("a number and padding");
        (stored.offset, number.parse().expect("a number"))
    });
    parsed.collect()
}

pub(crate) fn config(servers: &str) -> ProducerConfig {
    Producer::builder([servers])
        .linger(Duration::from_millis(1))
        .retry_backoff(Duration::from_millis(5))
        .retry_backoff_max(Duration::from_millis(20))
        .reconnect_backoff(Duration::from_millis(5))
        .reconnect_backoff_max(Duration::from_millis(20))
        .max_block(Duration::from_secs(30))
        .request_timeout(Duration::from_secs(5))
        .delivery_timeout(Duration::from_secs(40))
}

pub(crate) async fn connect(config: ProducerConfig) -> Producer {
    config.connect().await.expect("good settings")
}

/// Closes a producer of which nothing is left: not in its memory either.
pub(crate) async fn close(producer: Producer) {
    let stats = producer.clone();
    producer.close(Duration::from_secs(20)).await.expect("closed in time");
    assert_eq!(stats.stats().buffer_used, 0, "memory returns to zero");
}

/// What has to end does so within this; a hang is told from a slow machine by it.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("an end within a minute")
}
