//! Three brokers that only parse what they must and answer at once: what `cargo xtask bench` sends to.

use std::error::Error;

use kafka_mock::MockCluster;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let cluster = MockCluster::builder().brokers(3).topic(TOPIC, PARTITIONS).sink().start().await?;
        println!("listening on {}", cluster.bootstrap_servers());
        // Until it is killed.
        std::future::pending().await
    })
}

const TOPIC: &str = "bench";
const PARTITIONS: i32 = 12;
