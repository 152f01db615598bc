//! One file per API: the body of a request in, the body of its response out.

pub(crate) mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod fetch;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod produce;

use std::collections::BTreeSet;

use kafka_wire::messages::{LeaderIdAndEpoch, NodeEndpoint};
use kafka_wire::{ErrorCode, NodeId, RequestHeader, Response};

use crate::answer::{Answer, Waiting};
use crate::close::CloseReason;
use crate::request::{Body, Request};
use crate::state::{Cluster, Now, Refusal};
use crate::topic::Partition;

/// Answers a request that came to a broker.
pub(crate) fn answer(cluster: &mut Cluster, node: NodeId, request: Request, now: Now) -> Answer {
    let Request { header, body, .. } = request;
    let version = header.api_version;
    match body {
        Body::Produce(body, batches) => produce::answer(cluster, node, &header, body, batches, now),
        Body::Fetch(body) => fetch::answer(cluster, node, header, body, now),
        Body::ListOffsets(body) => reply(&header, &list_offsets::answer(cluster, node, version, body)),
        Body::Metadata(body) => reply(&header, &metadata::answer(cluster, node, version, &body)),
        Body::ApiVersions(body) => api_versions::answer(cluster, node, &header, body.as_ref()),
        Body::CreateTopics(body) => reply(&header, &create_topics::answer(cluster, version, &body)),
        Body::DeleteTopics(body) => reply(&header, &delete_topics::answer(cluster, body)),
        Body::InitProducerId(body) => reply(&header, &init_producer_id::answer(cluster, &body)),
        Body::DescribeConfigs(body) => reply(&header, &describe_configs::answer(cluster, body)),
        Body::CreatePartitions(body) => reply(&header, &create_partitions::answer(cluster, body)),
        Body::DescribeCluster(body) => reply(&header, &describe_cluster::answer(cluster, node, &body)),
        Body::Unserved(body) => body.answer(&header).map_or_else(Answer::Close, Answer::Reply),
    }
}

/// Answers a request that was put off.
pub(crate) fn resume(cluster: &Cluster, node: NodeId, waiting: Waiting, now: Now) -> Answer {
    fetch::resume(cluster, node, waiting, now)
}

/// The response as a frame, in the version of the request.
fn reply<R: Response>(header: &RequestHeader, response: &R) -> Answer {
    reply_in(header, header.api_version, response)
}

fn reply_in<R: Response>(header: &RequestHeader, version: i16, response: &R) -> Answer {
    match kafka_wire::encode_response(response, version, header.correlation_id) {
        Ok(frame) => Answer::Reply(frame),
        Err(source) => Answer::Close(CloseReason::Unencodable { api: header.api_key, source }),
    }
}

/// Compares the leader epoch a client believes in with the one that holds; -1 believes in none (KIP-320).
fn check_epoch(believed: i32, current: i32) -> Result<(), ErrorCode> {
    match believed {
        -1 => Ok(()),
        older if older < current => Err(ErrorCode::FENCED_LEADER_EPOCH),
        newer if newer > current => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
        _ => Ok(()),
    }
}

/// Whether a partition's replicas, as a client placed them, are brokers, each once.
fn check_replicas(cluster: &Cluster, replicas: &[NodeId]) -> Result<(), Refusal> {
    let distinct: BTreeSet<_> = replicas.iter().collect();
    if replicas.is_empty() || distinct.len() != replicas.len() {
        let message = "a partition's replicas must be at least one broker, each named once";
        return Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    match replicas.iter().find(|&&id| cluster.broker(id).is_none()) {
        Some(id) => {
            Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, format!("there is no broker {id}")))
        }
        None => Ok(()),
    }
}

/// The hint who leads a partition (KIP-951), noted among those whose [`endpoints`] are to be told.
fn hint(partition: &Partition, hinted: &mut Vec<NodeId>) -> LeaderIdAndEpoch {
    hinted.push(partition.leader);
    LeaderIdAndEpoch { leader_id: partition.leader, leader_epoch: partition.leader_epoch }
}

/// Where the leaders are that were named in hints.
fn endpoints(cluster: &Cluster, mut nodes: Vec<NodeId>) -> Vec<NodeEndpoint> {
    nodes.sort_unstable();
    nodes.dedup();
    let found = nodes.into_iter().filter_map(|node| cluster.broker(node)).map(|broker| NodeEndpoint {
        node_id: broker.id,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        ..Default::default()
    });
    found.collect()
}
