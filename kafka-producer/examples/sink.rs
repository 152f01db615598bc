//! Forwards a stream of records into a topic, with what `futures` has for that.
//!
//! ```text
//! cargo run -p kafka-producer --example sink                 # against an embedded mock cluster
//! cargo run -p kafka-producer --example sink localhost:9092  # against your own
//! ```

mod servers;

use std::{error::Error, sync::Arc, time::Duration};

use futures::{SinkExt, StreamExt, stream};
use kafka_producer::{OwnedRecord, Producer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = servers::Servers::given_or_embedded("readings", 3).await?;
    let producer = Producer::builder([servers.bootstrap()]).connect().await?;
    let mut sink = producer.sink();

    let topic: Arc<str> = Arc::from("readings");
    let readings = stream::iter(0..50_000u32).map(|number| {
        let celsius = 20.0 + f64::from(number % 100) / 10.0;
        OwnedRecord::to(Arc::clone(&topic)).key(format!("sensor-{}", number % 16)).value(format!("{celsius}"))
    });
    // Backpressure comes from the producer: the stream is asked for more when there is room.
    sink.send_all(&mut readings.map(Ok)).await?;
    // All of them have their answers now.
    let results = sink.results();
    println!("{} delivered, {} failed", results.delivered, results.failed);

    producer.close(Duration::from_secs(10)).await?;
    servers.shutdown().await;
    Ok(())
}
