//! A broker's address that comes to lead to a broker of another cluster. That one has the same topic, and its broker the id of the
//! one that was meant.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_mock::proxy::{Line, Proxy};
use kafka_producer::{Delivery, Producer, Record};
use kafka_wire::NodeId;

use crate::tools::Cluster;
use crate::{connect_to, renewed, tools, within};

/// Brokers that check what they are told of the cluster and the id that a client wants (ApiVersions 5).
mod v4_4_0 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_written_to_another_cluster_behind_a_brokers_address() {
        misrouted("4.4.0").await;
    }
}

/// Brokers that must be asked for the id of their cluster.
mod v3_9_1 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_written_to_another_cluster_behind_a_brokers_address() {
        misrouted("3.9.1").await;
    }
}

async fn misrouted(version: &str) {
    let _alone = renewed::alone(version).await;
    let (ours, other) = (Cluster::of(version), Cluster::other_of(version));
    assert_ne!(ours.id(), other.id());
    for cluster in [&ours, &other] {
        tools::create(cluster, &[TOPIC.to_owned()], PARTITIONS);
    }
    let proxy = Proxy::builder(&*ours.bootstrap).start().await.expect("the proxy starts");
    // Metadata are asked for all the time, so that one answer of the other cluster would do.
    let settings = "linger.ms=0\nmetadata.max.age.ms=200";
    let producer = connect_to(&proxy.bootstrap_servers(), settings).await;
    let mut sent = Sent::default();
    within("producing before", TOPIC, async {
        for delivery in sent.round(&producer, |_| true).await {
            sent.delivered(delivery).await;
        }
    })
    .await;
    let infos = producer.partitions_for(TOPIC).await.expect("the topic is known");
    let led: BTreeMap<i32, i32> =
        infos.iter().map(|info| (info.partition, info.leader.expect("a leader"))).collect();
    let is_astray = |partition: i32| led[&partition] == ASTRAY.0;
    assert!(led.keys().any(|it| is_astray(*it)) && !led.keys().all(|it| is_astray(*it)), "{led:?}");

    proxy.set_line_of(ASTRAY, Line::new().leads_to(&*other.bootstrap));
    proxy.reset_of(ASTRAY);
    let mut waiting = sent.round(&producer, is_astray).await;
    let dialled = proxy.connections();
    within("producing beside the other cluster", TOPIC, async {
        // Until that address was tried several times, and some rounds in any case.
        for round in 0.. {
            if round >= ROUNDS && proxy.connections() >= dialled + DIALS {
                break;
            }
            for delivery in sent.round(&producer, |partition| !is_astray(partition)).await {
                sent.delivered(delivery).await;
            }
            if round < ROUNDS {
                waiting.extend(sent.round(&producer, is_astray).await);
            }
        }
    })
    .await;
    assert_eq!(tools::values(&other, TOPIC), [], "records in the other cluster");
    let stats = producer.stats();
    assert_eq!(stats.cluster_changes, 0);
    for broker in stats.brokers {
        assert_eq!(broker.misled > 0, broker.node == ASTRAY.0, "{broker:?}");
        if broker.node == ASTRAY.0 {
            let failure = broker.last_failure.expect("it is told");
            for id in [ours.id(), other.id()] {
                assert!(failure.contains(&id), "{failure} does not name the cluster {id}");
            }
        }
    }

    proxy.set_line_of(ASTRAY, Line::new());
    within("producing afterwards", TOPIC, async {
        for delivery in waiting {
            sent.delivered(delivery).await;
        }
        producer.close(Duration::from_secs(30)).await.expect("the producer closes");
    })
    .await;
    assert_eq!(tools::values(&other, TOPIC), [], "records in the other cluster");
    sent.are_all_in(&ours);
}

/// Everything that was sent.
#[derive(Default)]
struct Sent {
    count: usize,
    /// Where each record is, as the producer was told.
    told: BTreeMap<(i32, i64), String>,
}

impl Sent {
    /// A record to each of those partitions.
    async fn round(&mut self, producer: &Producer, to: impl Fn(i32) -> bool) -> Vec<(i32, String, Delivery)> {
        let mut deliveries = Vec::new();
        for partition in (0..PARTITIONS).filter(|partition| to(*partition)) {
            let value = format!("record-{}", self.count);
            self.count += 1;
            let record = Record::to(TOPIC).partition(partition).value(&value);
            let delivery = producer.send(record).await.expect("the record is accepted");
            deliveries.push((partition, value, delivery));
        }
        deliveries
    }

    async fn delivered(&mut self, (partition, value, delivery): (i32, String, Delivery)) {
        let metadata = delivery.await.expect("the record is delivered");
        let place = (partition, metadata.offset.expect("an offset"));
        assert_eq!(self.told.insert(place, value), None, "two records at {place:?}");
    }

    /// Each once, where it was told, and nothing else.
    fn are_all_in(&self, cluster: &Cluster) {
        let mut found = tools::values(cluster, TOPIC);
        found.sort();
        assert_eq!(found.len(), self.count);
        assert!(found.iter().map(|(place, value)| (place, value)).eq(&self.told), "{found:?}");
    }
}

const TOPIC: &str = "misrouted";
const PARTITIONS: i32 = 6;
/// The broker whose address leads astray.
const ASTRAY: NodeId = NodeId(2);
/// How often records are sent to all partitions meanwhile, at least.
const ROUNDS: usize = 20;
/// How many more connections are waited for, at least.
const DIALS: u64 = 4;
