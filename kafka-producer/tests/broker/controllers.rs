//! Controllers among the bootstrap servers. They answer, and are no brokers.

use crate::tools::Cluster;
use crate::{Record, connect_to, tools, within};
use std::time::Duration;

mod v4_4_0 {
    use super::*;

    /// Which address of the list is asked first is left to chance: so several producers.
    #[tokio::test(flavor = "multi_thread")]
    async fn producers_find_the_brokers_beside_controllers() {
        let cluster = Cluster::of("4.4.0");
        let topic = "beside-controllers";
        tools::create(&cluster, &[topic.to_owned()], 3);
        let bootstrap = format!("{},{}", cluster.controllers(), cluster.bootstrap);
        for _ in 0..PRODUCERS {
            let producer = connect_to(&bootstrap, "").await;
            within("producing", topic, async {
                for partition in 0..3 {
                    let record = Record::to(topic).partition(partition).value("v");
                    let delivery = producer.send(record).await.expect("the record is accepted");
                    delivery.await.expect("the record is delivered");
                }
                producer.close(Duration::from_secs(30)).await.expect("the producer closes");
            })
            .await;
        }
        assert_eq!(tools::values(&cluster, topic).len(), 3 * PRODUCERS);
    }

    /// Nobody else to ask: whoever waits is told what these are.
    #[tokio::test(flavor = "multi_thread")]
    async fn where_there_are_only_controllers_the_producer_says_so() {
        let cluster = Cluster::of("4.4.0");
        let producer = connect_to(&cluster.controllers(), "max.block.ms=3000").await;
        let refused = within("sending", "none", producer.send(Record::to("none").value("v"))).await;
        let error = refused.map(drop).expect_err("a controller takes no records");
        assert!(error.to_string().contains("controller's listener"), "{error}");
    }
}

/// With six addresses of which three are controllers', one of them is asked first by half of the producers.
const PRODUCERS: usize = 12;
