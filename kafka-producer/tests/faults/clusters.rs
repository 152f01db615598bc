//! Clusters that are taken for one another: an address comes to lead to another cluster, or a cluster is begun anew.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_mock::{Change, MockCluster, Rule};
use kafka_producer::{Delivery, DeliveryError, Persistence, Producer, Record};
use kafka_wire::{ApiKey, NodeId, VersionRange};

use crate::{Run, close, config, connect, soon};

const SECOND: NodeId = NodeId(2);

/// Brokers before Kafka 4.4 do not say whether they are the one that is meant, but which cluster they are of.
fn before_4_4(cluster: &MockCluster) {
    let versions = VersionRange::new(0, 4);
    let limit = Change::LimitVersions { api: ApiKey::API_VERSIONS, versions };
    cluster.carry_out(limit).expect("it has these");
}

fn reroute(to: Option<&str>) -> Change {
    Change::Reroute { address: SECOND, cluster: to.map(str::to_owned), broker: None }
}

#[tokio::test]
async fn an_address_that_leads_to_another_cluster_gets_no_records_and_the_others_go_on() {
    for is_old in [false, true] {
        let mut run = Run::new(3).await;
        if is_old {
            before_4_4(&run.cluster);
        }
        let producer = run.connect().await;
        run.send(&producer, 30).await;
        soon(producer.flush()).await.expect("open");
        run.cluster.carry_out(reroute(Some("another"))).expect("there is such a broker");
        run.send(&producer, 60).await;
        // Those that the other brokers lead are as ever.
        soon(run.cluster.until(|_| run.all_answered(0) && run.all_answered(2))).await;
        soon(run.cluster.until(|_| misled(&producer) >= 3)).await;
        assert!(!run.all_answered(1), "they wait for their broker");
        let another = run.cluster.other("another").expect("it was named");
        for partition in 0..3 {
            assert_eq!(another.records("orders", partition).len(), 0, "partition {partition}");
        }
        let stats = producer.stats();
        assert_eq!(stats.cluster_changes, 0);
        let broker = stats.brokers.iter().find(|broker| broker.node == SECOND.0).expect("known");
        let why = broker.last_failure.as_deref().unwrap_or_default();
        assert!(why.contains("is of cluster another, not of"), "{why}");
        run.cluster.carry_out(reroute(None)).expect("there is such a broker");
        run.finish_delivered(producer).await;
    }
}

fn misled(producer: &Producer) -> u64 {
    let brokers = producer.stats().brokers;
    brokers.iter().find(|broker| broker.node == SECOND.0).map_or(0, |broker| broker.misled)
}

/// Records of one producer, told from those of another by a letter.
struct Sender {
    producer: Producer,
    letter: char,
    sent: Vec<(String, Delivery)>,
}

impl Sender {
    async fn new(cluster: &MockCluster, letter: char) -> Self {
        let producer = connect(config(&cluster.bootstrap_servers()).batch_size(0)).await;
        Self { producer, letter, sent: Vec::new() }
    }

    async fn send(&mut self, count: usize) {
        for _ in 0..count {
            let value = format!("{}{}", self.letter, self.sent.len());
            let record = Record::to("orders").partition(0).value(&value);
            let delivery = soon(self.producer.send(record)).await.expect("accepted");
            self.sent.push((value, delivery));
        }
    }

    /// What came of each record: its offset, or why there is none.
    async fn end(self) -> Vec<(String, Result<i64, DeliveryError>)> {
        let mut ends = Vec::new();
        for (value, delivery) in self.sent {
            let result = soon(delivery).await;
            ends.push((value, result.map(|metadata| metadata.offset().expect("known"))));
        }
        assert_eq!(self.producer.stats().losses, 0);
        close(self.producer).await;
        ends
    }
}

/// The log of the one partition.
fn log(cluster: &MockCluster) -> BTreeMap<i64, String> {
    let stored = cluster.records("orders", 0).into_iter();
    let value = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    stored.map(|stored| (stored.offset, value(stored.record.value.expect("a value")))).collect()
}

/// A cluster is wiped with batches under way. `young_first`: a new producer, which is given the id that the old one had, writes
/// before the old one does.
async fn wiped(young_first: bool, is_old: bool) {
    let run = Run::new(1).await;
    let cluster = &run.cluster;
    if is_old {
        before_4_4(cluster);
    }
    let before = cluster.id();
    let mut old = Sender::new(cluster, 'a').await;
    old.send(20).await;
    soon(old.producer.flush()).await.expect("open");
    let had = log(cluster);
    // Of the next one there is no answer, nor of those behind it.
    let asked = cluster.requests(ApiKey::PRODUCE);
    cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(1).silence_after_apply());
    old.send(8).await;
    soon(cluster.until(|_| cluster.requests(ApiKey::PRODUCE) > asked)).await;
    cluster.carry_out(Change::Wipe { cluster_id: Some("anew".to_owned()) }).expect("no other has that id");
    let mut young = Sender::new(cluster, 'b').await;
    for is_young in [young_first, !young_first] {
        let sender = if is_young { &mut young } else { &mut old };
        sender.send(10).await;
        soon(sender.producer.flush()).await.expect("open");
    }
    assert_eq!(old.producer.stats().cluster_changes, 1);
    let log = log(cluster);
    let mut doubtful = 0;
    for (value, result) in old.end().await.into_iter().chain(young.end().await) {
        match result {
            // What was acknowledged is in the log of the one that said so, at the offset that was told.
            Ok(offset) => {
                let number: usize = value[1..].parse().expect("a number");
                let told = if value.starts_with('a') && number < 20 { &had } else { &log };
                assert_eq!(told.get(&offset), Some(&value));
            }
            Err(error) => {
                doubtful += 1;
                assert_eq!(error.persistence(), Persistence::PossiblyPersisted, "{value}: {error}");
                assert!(error.is_cluster_change(), "{value}: {error}");
                assert_eq!(error.clusters(), Some((before.as_str(), "anew")));
                assert!(log.values().all(|there| *there != value), "{value} is in the new log");
            }
        }
    }
    assert!((1..=5).contains(&doubtful), "{doubtful}");
    let of_old: Vec<usize> = log
        .values()
        .filter(|value| value.starts_with('a'))
        .map(|value| value[1..].parse().expect("a number"))
        .collect();
    assert!(of_old.is_sorted() && of_old.ends_with(&[37]), "in the order of `send`: {of_old:?}");
    assert_eq!(of_old.len() + doubtful, 18);
}

#[tokio::test]
async fn a_cluster_begun_anew_where_the_old_producer_writes_first() {
    wiped(false, false).await;
    wiped(false, true).await;
}

#[tokio::test]
async fn a_cluster_begun_anew_where_a_new_producer_writes_first() {
    wiped(true, false).await;
    wiped(true, true).await;
}

/// Nobody but other clusters answers; the strategy says that none of them will do.
#[tokio::test]
async fn without_the_strategy_no_other_cluster_is_gone_on_with() {
    let run = Run::new(1).await;
    let settings = config(&run.cluster.bootstrap_servers())
        .metadata_recovery_strategy(kafka_producer::MetadataRecovery::None)
        .delivery_timeout(Duration::from_secs(6));
    let producer = connect(settings).await;
    soon(producer.send(Record::to("orders").value("0:"))).await.expect("accepted").await.expect("delivered");
    run.cluster
        .carry_out(Change::Wipe { cluster_id: Some("anew".to_owned()) })
        .expect("no other has that id");
    let delivery = soon(producer.send(Record::to("orders").value("1:"))).await.expect("accepted");
    let error = soon(delivery).await.expect_err("there is nobody to take it");
    assert!(error.is_timeout() && !error.is_cluster_change());
    let stats = producer.stats();
    assert_eq!(stats.cluster_changes, 0);
    let why = stats.brokers.iter().filter_map(|broker| broker.last_failure.as_deref());
    assert!(
        why.clone().any(|why| why.contains("metadata.recovery.strategy=none")),
        "{:?}",
        why.collect::<Vec<_>>()
    );
    assert_eq!(log(&run.cluster).len(), 0);
    close(producer).await;
}
