//! What users' code relies on without naming it: who may cross threads, and that errors can be boxed and sent.

use std::error::Error;

use kafka_net::{Client, ClientConfig, ClusterView, ConfigError, Endpoint, KafkaCodec, NetConfig, NetError};
use kafka_wire::{NodeId, PartitionId, messages::MetadataRequest};

fn is_shared<T: Clone + Send + Sync + 'static>() {}
fn is_an_error<T: Error + Send + Sync + 'static>() {}

#[test]
fn handles_and_settings_are_shared_and_errors_are_sent() {
    is_shared::<Client>();
    is_shared::<ClientConfig>();
    is_shared::<NetConfig>();
    is_shared::<Endpoint>();
    is_shared::<ClusterView>();
    is_shared::<KafkaCodec>();
    is_shared::<NetError>();
    is_an_error::<NetError>();
    is_an_error::<ConfigError>();
}

#[test]
fn calls_cross_threads() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    drop(is_send(async {
        let client = Client::connect("localhost:9092", ClientConfig::default()).await?;
        client.topic("orders").await?;
        client.refresh().await?;
        client.call(NodeId(1), MetadataRequest::default()).await?;
        client.call_any(MetadataRequest::default()).await?;
        client.call_leader("orders", PartitionId(0), MetadataRequest::default()).await?;
        Ok::<(), NetError>(())
    }));
}
