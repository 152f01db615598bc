//! Sends records and looks at what became of each: a window of deliveries keeps many on their way.
//!
//! ```text
//! cargo run -p kafka-producer --example produce                 # against an embedded mock cluster
//! cargo run -p kafka-producer --example produce localhost:9092  # against your own
//! ```

mod servers;

use std::{collections::VecDeque, error::Error, time::Duration};

use kafka_producer::{Compression, Header, Producer, Record};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = servers::Servers::given_or_embedded("orders", 6).await?;
    let producer = Producer::builder([servers.bootstrap()])
        .client_id("example-produce")
        .compression(Compression::LZ4)
        .linger(Duration::from_millis(5))
        .connect()
        .await?;
    // A handle spares the look-up of the name with each record.
    let orders = producer.topic("orders").await?;

    let mut window = VecDeque::new();
    let mut delivered = 0u64;
    for number in 0..100_000u32 {
        let key = format!("customer-{}", number % 1000);
        let value = format!("{{\"order\": {number}, \"pieces\": {}}}", number % 7 + 1);
        let source = [Header { key: "source", value: Some(b"example") }];
        let record = Record::to(&orders).key(&key).value(&value).headers(&source);
        // Accepted: it waits in a batch. An error here means that the record is surely not in the log.
        window.push_back(producer.send(record).await?);
        if window.len() >= WINDOW {
            if let Some(oldest) = window.pop_front() {
                // Acknowledged: it is in the log. An error here says whether it may be.
                oldest.await?;
                delivered += 1;
            }
        }
    }
    let last = window.len();
    for (index, delivery) in window.into_iter().enumerate() {
        let metadata = delivery.await?;
        delivered += 1;
        if index + 1 == last {
            let offset = metadata
                .offset
                .map_or_else(|| "an unknown offset".to_owned(), |offset| format!("offset {offset}"));
            println!("the last record is in partition {} at {offset}", metadata.partition);
        }
    }
    println!("{delivered} records delivered");
    producer.close(Duration::from_secs(10)).await?;
    servers.shutdown().await;
    Ok(())
}

/// Deliveries that are not awaited yet. More than a few batches, so that batches fill and requests overlap.
const WINDOW: usize = 10_000;
