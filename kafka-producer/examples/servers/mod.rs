//! The brokers of an example: those given on the command line, or a mock cluster inside this process.

use std::error::Error;

use kafka_mock::MockCluster;

/// Where the example sends to.
pub(crate) struct Servers {
    bootstrap: String,
    embedded: Option<MockCluster>,
}

impl Servers {
    /// The servers named by the first argument; without one, three embedded brokers with the topic.
    pub(crate) async fn given_or_embedded(topic: &str, partitions: i32) -> Result<Self, Box<dyn Error>> {
        if let Some(bootstrap) = std::env::args().nth(1) {
            return Ok(Self { bootstrap, embedded: None });
        }
        let cluster = MockCluster::builder().brokers(3).topic(topic, partitions).start().await?;
        println!("no servers named: using an embedded mock cluster");
        Ok(Self { bootstrap: cluster.bootstrap_servers(), embedded: Some(cluster) })
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub(crate) async fn shutdown(self) {
        if let Some(cluster) = self.embedded {
            cluster.shutdown().await;
        }
    }
}
