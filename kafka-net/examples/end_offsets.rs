//! Asks the leader of each partition of a topic for its end offset.
//!
//! ```text
//! cargo run -p kafka-net --example end_offsets -- localhost:9092 orders
//! ```

use std::{error::Error, process::ExitCode};

use kafka_net::{Client, ClientConfig, NetError};
use kafka_wire::{
    ErrorCode, NodeId, PartitionId,
    messages::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic},
};

/// In a request for offsets: the offset behind the last record.
const LATEST: i64 = -1;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: end_offsets HOST:PORT[,HOST:PORT...] TOPIC");
        return ExitCode::from(2);
    };
    match end_offsets(&bootstrap, &topic).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn end_offsets(bootstrap: &str, topic: &str) -> Result<(), NetError> {
    let client = Client::connect(bootstrap, ClientConfig::default()).await?;
    let count = client.topic(topic).await?.partitions.len();
    for partition in (0..).take(count).map(PartitionId) {
        let leader = client.leader(topic, partition).await?;
        let (code, offset) = match end_offset(&client, topic, partition).await? {
            // It was, when the cluster was last asked.
            (ErrorCode::NOT_LEADER_OR_FOLLOWER, _) => {
                client.refresh().await?;
                end_offset(&client, topic, partition).await?
            }
            answer => answer,
        };
        if code.is_ok() {
            println!("{topic}-{partition}: {offset} (leader {leader})");
        } else {
            println!("{topic}-{partition}: {code}");
        }
    }
    Ok(())
}

async fn end_offset(
    client: &Client,
    topic: &str,
    partition: PartitionId,
) -> Result<(ErrorCode, i64), NetError> {
    let request = ListOffsetsRequest {
        replica_id: NodeId::NONE,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: partition,
                timestamp: LATEST,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let response = client.call_leader(topic, partition, request).await?;
    let answer = response.topics.iter().flat_map(|topic| &topic.partitions).next();
    Ok(answer.map_or((ErrorCode::UNKNOWN_SERVER_ERROR, LATEST), |answer| (answer.error_code, answer.offset)))
}
