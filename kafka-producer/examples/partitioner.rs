//! Chooses partitions by its own rule, sends runs of records at once, and prints what the producer counted.
//!
//! ```text
//! cargo run -p kafka-producer --example partitioner                 # against an embedded mock cluster
//! cargo run -p kafka-producer --example partitioner localhost:9092  # against your own
//! ```

mod servers;

use std::{error::Error, time::Duration};

use kafka_producer::{Producer, Record};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = servers::Servers::given_or_embedded("events", 4).await?;
    // Alarms have partition 0 for themselves; the others follow the built-in rules.
    let alarms_first = |_topic: &str, key: Option<&[u8]>, _value: Option<&[u8]>, _count: u32| {
        key.filter(|key| key.starts_with(b"alarm")).map(|_| 0)
    };
    let producer = Producer::builder([servers.bootstrap()]).connect_with(alarms_first).await?;

    let keys: Vec<_> = (0..1000).map(|number| if number % 100 == 0 { "alarm" } else { "notice" }).collect();
    let records: Vec<_> =
        keys.iter().map(|key| Record::to("events").key(*key).value("something happened")).collect();
    for _ in 0..20 {
        // One await accepts the run, the other one waits for the answers.
        let answers = producer.send_all(&records).await?.await?;
        assert!(answers.iter().zip(&keys).all(|(answer, key)| *key != "alarm" || answer.partition == 0));
    }

    let stats = producer.stats();
    println!("{} records in {} batches in {} requests", stats.delivered, stats.batches, stats.requests);
    println!("a batch left because:");
    for (reason, count) in stats.send_reasons.iter().filter(|(_, count)| *count > 0) {
        println!("  {reason:>8}: {count}");
    }
    let latency = &stats.delivery_latency;
    println!(
        "delivered within {:?} (half of them), {:?} (99 %)",
        latency.quantile(0.5),
        latency.quantile(0.99)
    );
    for partition in producer.partitions_for("events").await? {
        let leader =
            partition.leader.map_or_else(|| "nobody".to_owned(), |leader| format!("broker {leader}"));
        println!("partition {} is led by {leader}", partition.partition);
    }
    producer.close(Duration::from_secs(10)).await?;
    servers.shutdown().await;
    Ok(())
}
