//! How to test a service of yours against a Kafka that misbehaves.
//!
//! The service here wants to know how many partitions its topic has; with whatever client you have, [`find_partitions`] is
//! where you call your own code. What is shown are two tests of it: a broker that is not ready, and a network that breaks.
//!
//! ```sh
//! cargo run -p kafka-mock --example faults
//! ```

use std::error::Error;
use std::time::Duration;

use kafka_mock::proxy::{Proxy, Tamper, Way};
use kafka_mock::{Malformation, MockCluster, Rule, Script};
use kafka_wire::messages::{MetadataRequest, MetadataResponse};
use kafka_wire::{ApiKey, CorrelationId, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    the_service_survives_a_broker_that_is_not_ready().await?;
    the_service_survives_a_network_that_breaks().await?;
    println!("both hold");
    Ok(())
}

/// In your tests this is a `#[tokio::test]`.
async fn the_service_survives_a_broker_that_is_not_ready() -> Result<(), Box<dyn Error>> {
    let script = Script::new()
        .rule(Rule::on(ApiKey::METADATA).times(1).error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
        .rule(Rule::on(ApiKey::METADATA).nth(2).malform(Malformation::Truncated(20)).named("cut off"))
        .rule(Rule::on(ApiKey::METADATA).nth(3).delay(Duration::from_millis(50)));
    let cluster =
        MockCluster::builder().topic("visits", 3).script(script).record_requests(100).start().await?;

    let partitions = find_partitions(&cluster.bootstrap_servers()).await?;

    assert_eq!(partitions, 3);
    assert_eq!(cluster.fired("cut off"), 1);
    assert!(cluster.recorded().iter().all(|request| request.client_id.as_deref() == Some("visits-service")));
    Ok(())
}

async fn the_service_survives_a_network_that_breaks() -> Result<(), Box<dyn Error>> {
    let cluster = MockCluster::builder().topic("visits", 3).start().await?;
    let proxy = Proxy::builder(cluster.bootstrap_servers())
        .tamper(Tamper::with(Way::Requests).nth(1).reset_after(10))
        .tamper(Tamper::with(Way::Responses).nth(1).reset_after(0))
        .start()
        .await?;

    assert_eq!(find_partitions(&proxy.bootstrap_servers()).await?, 3);
    assert_eq!(proxy.connections(), 3, "it was cut off twice");
    Ok(())
}

/// The service: asks until it is told, at most ten times.
async fn find_partitions(servers: &str) -> Result<usize, Box<dyn Error>> {
    for _ in 0..10 {
        match ask(servers).await {
            Ok(response) => match response.topics.iter().find(|topic| topic.error_code.is_ok()) {
                Some(topic) => return Ok(topic.partitions.len()),
                None => continue,
            },
            Err(error) => eprintln!("asking again: {error}"),
        }
    }
    Err("no answer".into())
}

async fn ask(servers: &str) -> Result<MetadataResponse, Box<dyn Error>> {
    let mut stream = TcpStream::connect(servers).await?;
    let request = MetadataRequest { topics: None, ..Default::default() };
    let frame = kafka_wire::encode_request(&request, 9, CorrelationId(1), Some("visits-service"))?;
    stream.write_all(&frame.into_bytes()).await?;
    let length = stream.read_u32().await?.min(1 << 20);
    let mut answer = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut answer).await?;
    Ok(kafka_wire::decode_response(&answer.into(), 9)?.1)
}
