//! A cluster that is wiped and begun anew under the same address: its ids of producers begin anew, too.

use std::time::Duration;

use kafka_mock::proxy::{Line, Proxy, Way};
use kafka_producer::{Delivery, Persistence, Producer, Record};
use kafka_wire::ApiKey;
use tokio::sync::{Mutex, MutexGuard};

use crate::tools::Cluster;
use crate::{connect_to, tools, within};

mod v4_4_0 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_old_producer_writes_first() {
        renewed("4.4.0", First::Old).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_producer_writes_first() {
        renewed("4.4.0", First::New).await;
    }
}

mod v3_9_1 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_old_producer_writes_first() {
        renewed("3.9.1", First::Old).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_producer_writes_first() {
        renewed("3.9.1", First::New).await;
    }
}

/// Whoever writes first to the new cluster.
#[derive(PartialEq, Eq)]
enum First {
    Old,
    New,
}

/// One at a time works with the second cluster of a version.
pub(crate) async fn alone(version: &str) -> MutexGuard<'static, ()> {
    static ALONE: [Mutex<()>; 2] = [Mutex::const_new(()), Mutex::const_new(())];
    ALONE[usize::from(version == "4.4.0")].lock().await
}

async fn renewed(version: &str, first: First) {
    let _alone = alone(version).await;
    let cluster = Cluster::other_of(version);
    // Both producers are to be the first ones of their clusters, and so to have the same id.
    begin_anew(&cluster).await;
    let old_id = cluster.id();
    tools::create(&cluster, &[TOPIC.to_owned()], 1);
    let proxy = Proxy::builder(&*cluster.bootstrap).start().await.expect("the proxy starts");
    let old = connect_to(&proxy.bootstrap_servers(), SETTINGS).await;
    let mut in_the_old_one = Told::default();
    for index in 0..3 {
        in_the_old_one.acknowledged(send(&old, &format!("before-{index}")).await).await;
    }
    assert_eq!(in_the_old_one.0, tools::values(&cluster, TOPIC));

    // A batch that is in the old log, which nobody is told; and behind it what was never written.
    proxy.set_line(Line::new().pause(Way::Responses));
    let written = proxy.frames(Way::Requests, ApiKey::PRODUCE) + 1;
    let (_, in_doubt) = send(&old, "in-doubt").await;
    within("writing", TOPIC, proxy.until(|proxy| proxy.frames(Way::Requests, ApiKey::PRODUCE) >= written))
        .await;
    let mut dialled = proxy.connections();
    proxy.set_line(Line::new().pause(Way::Responses).refuse());
    proxy.reset_all();
    within("hearing of the end of the connection", TOPIC, async {
        while old.stats().brokers.iter().any(|broker| broker.connected) {
            // The batch in doubt makes it dial again and again.
            proxy.until(|proxy| proxy.connections() > dialled).await;
            dialled = proxy.connections();
        }
    })
    .await;
    let mut waiting = Vec::new();
    for index in 0..3 {
        waiting.push(send(&old, &format!("waiting-{index}")).await);
    }

    begin_anew(&cluster).await;
    let new_id = cluster.id();
    assert_ne!(old_id, new_id);
    tools::create(&cluster, &[TOPIC.to_owned()], 1);
    let new = connect_to(&cluster.bootstrap, SETTINGS).await;
    let mut told = Told::default();
    within("producing", TOPIC, async {
        if first == First::New {
            told.all(&new, "new").await;
        }
        proxy.set_line(Line::new());
        let error = in_doubt.await.expect_err("no answer can settle it");
        assert_eq!(error.persistence(), Persistence::PossiblyPersisted, "{error}");
        assert_eq!(error.clusters(), Some((&*old_id, &*new_id)));
        for id in [&old_id, &new_id] {
            assert!(error.to_string().contains(&**id), "{error} does not name the cluster {id}");
        }
        for sent in waiting {
            told.acknowledged(sent).await;
        }
        for round in 0..3 {
            told.all(&old, &format!("old-{round}")).await;
            told.all(&new, &format!("new-{round}")).await;
        }
        for (producer, changes) in [(&old, 1), (&new, 0)] {
            let stats = producer.stats();
            assert_eq!(
                (stats.cluster_changes, stats.losses),
                (changes, 0),
                "nothing is lost within a cluster"
            );
        }
        old.close(Duration::from_secs(30)).await.expect("the producer closes");
        new.close(Duration::from_secs(30)).await.expect("the producer closes");
    })
    .await;
    // Each record once, where it was told, and nothing else.
    told.0.sort();
    assert_eq!(told.0, tools::values(&cluster, TOPIC));
}

/// Takes seconds, in which the producers go on.
async fn begin_anew(cluster: &Cluster) {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || cluster.renew()).await.expect("the cluster is begun anew");
}

async fn send(producer: &Producer, value: &str) -> (String, Delivery) {
    let record = Record::to(TOPIC).partition(0).value(value);
    (value.to_owned(), producer.send(record).await.expect("the record is accepted"))
}

/// Where records are, as producers were told.
#[derive(Default)]
struct Told(Vec<((i32, i64), String)>);

impl Told {
    async fn acknowledged(&mut self, (value, delivery): (String, Delivery)) {
        let metadata = delivery.await.unwrap_or_else(|error| panic!("{value}: {error}"));
        self.0.push(((metadata.partition, metadata.offset.expect("an offset")), value));
    }

    /// Several batches of one record: more than a broker remembers of a producer.
    async fn all(&mut self, producer: &Producer, name: &str) {
        for index in 0..6 {
            self.acknowledged(send(producer, &format!("{name}-{index}")).await).await;
        }
    }
}

const TOPIC: &str = "renewed";
/// Each record is a batch, and what is new is heard of soon.
const SETTINGS: &str = "linger.ms=0\nbatch.size=0\nmetadata.max.age.ms=500";
