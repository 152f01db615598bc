//! Serves a cluster of three brokers until it is killed, for any client on this machine.
//!
//! ```sh
//! cargo run -p kafka-mock --example serve -- 9092
//! echo hello | kcat -b 127.0.0.1:9092 -P -t orders
//! kcat -b 127.0.0.1:9092 -C -t orders -o beginning -e
//! ```
//!
//! Without a port the brokers get free ones.

use std::error::Error;

use kafka_mock::MockCluster;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let first = match std::env::args().nth(1) {
        Some(port) => port.parse::<u16>().map_err(|error| format!("'{port}' is no port: {error}"))?,
        None => 0,
    };
    let ports = (0..3).map(|index| if first == 0 { 0 } else { first.saturating_add(index) });
    let cluster = MockCluster::builder()
        .brokers(3)
        .topic("orders", 12)
        .auto_create(true)
        .ports(ports)
        .on_log(|line| eprintln!("{line}"))
        .start()
        .await?;
    println!("bootstrap.servers={}", cluster.bootstrap_servers());
    std::future::pending().await
}
