//! Fetch: whole batches from an offset on, waiting for them if asked to.

use std::time::Duration;

use kafka_wire::messages::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use kafka_wire::{ErrorCode, NodeId, Records, RequestHeader};

use super::{check_epoch, endpoints, hint, reply};
use crate::answer::{Answer, Waiting};
use crate::request::{Body, Request};
use crate::state::{Cluster, Now};
use crate::topic::Partition;

pub(super) fn answer(
    cluster: &Cluster,
    node: NodeId,
    header: RequestHeader,
    request: FetchRequest,
    now: Now,
) -> Answer {
    if request.session_id != 0 {
        // No session is ever given out; a client that brings one must start over without.
        let response =
            FetchResponse { error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND, ..Default::default() };
        return reply(&header, &response);
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    if !wait.is_zero() && !is_enough(cluster, node, header.api_version, &request) {
        let until = now.instant.checked_add(wait).unwrap_or(now.instant);
        let request = Request { header, body: Body::Fetch(request), connection: 0 };
        return Answer::Wait(Waiting { request, until, change: cluster.change(), plan: None });
    }
    reply(&header, &respond(cluster, node, header.api_version, request))
}

/// Answers a request that waited, or has it wait on.
pub(super) fn resume(cluster: &Cluster, node: NodeId, waiting: Waiting, now: Now) -> Answer {
    let Waiting { request: Request { header, body, .. }, until, .. } = waiting;
    let Body::Fetch(request) = body else {
        debug_assert!(false, "only a fetch waits");
        return Answer::Silence;
    };
    if now.instant < until && !is_enough(cluster, node, header.api_version, &request) {
        let request = Request { header, body: Body::Fetch(request), connection: 0 };
        return Answer::Wait(Waiting { request, until, change: cluster.change(), plan: None });
    }
    reply(&header, &respond(cluster, node, header.api_version, request))
}

/// Whether there is something to answer: bytes enough, an error, or nothing to wait for.
fn is_enough(cluster: &Cluster, node: NodeId, version: i16, request: &FetchRequest) -> bool {
    let wanted = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut bytes = 0usize;
    let mut partitions = 0usize;
    for topic in &request.topics {
        for asked in &topic.partitions {
            partitions += 1;
            match readable(cluster, node, version, topic, asked) {
                Err(_) => return true,
                Ok(partition) => {
                    let limit = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(wanted);
                    bytes += partition.log.bytes_from(asked.fetch_offset, limit.max(1)).min(limit.max(1));
                }
            }
        }
    }
    partitions == 0 || bytes >= wanted
}

fn respond(cluster: &Cluster, node: NodeId, version: i16, request: FetchRequest) -> FetchResponse {
    let mut left = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_BYTES);
    let mut is_first = true;
    let mut hinted = Vec::new();
    let responses = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let partition = match readable(cluster, node, version, topic, asked) {
                Ok(partition) => partition,
                Err(code) => return failed(cluster, version, topic, asked, code, &mut hinted),
            };
            let limit = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(left);
            let chunks = partition.log.read(asked.fetch_offset, limit, is_first);
            let records = Records::from_chunks(chunks);
            is_first &= records.is_empty();
            left = left.saturating_sub(records.len());
            let read_committed = request.isolation_level == READ_COMMITTED;
            PartitionData {
                partition_index: asked.partition,
                high_watermark: partition.log.end_offset(),
                last_stable_offset: partition.log.end_offset(),
                log_start_offset: partition.log.start_offset(),
                // Null says that nobody asked.
                aborted_transactions: read_committed.then(Vec::new),
                records: Some(records),
                ..Default::default()
            }
        });
        FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    });
    let responses = responses.collect();
    FetchResponse { responses, node_endpoints: endpoints(cluster, hinted), ..Default::default() }
}

/// The partition, if it can be read from that offset by this broker.
fn readable<'a>(
    cluster: &'a Cluster,
    node: NodeId,
    version: i16,
    topic: &FetchTopic,
    asked: &FetchPartition,
) -> Result<&'a Partition, ErrorCode> {
    let partition = find(cluster, version, topic, asked)?;
    if partition.leader != node {
        return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    check_epoch(asked.current_leader_epoch, partition.leader_epoch)?;
    if (partition.log.start_offset()..=partition.log.end_offset()).contains(&asked.fetch_offset) {
        Ok(partition)
    } else {
        Err(ErrorCode::OFFSET_OUT_OF_RANGE)
    }
}

fn find<'a>(
    cluster: &'a Cluster,
    version: i16,
    topic: &FetchTopic,
    asked: &FetchPartition,
) -> Result<&'a Partition, ErrorCode> {
    let (found, code) = if version >= FIRST_BY_ID {
        (cluster.topic_by_id(topic.topic_id), ErrorCode::UNKNOWN_TOPIC_ID)
    } else {
        (cluster.topic(topic.topic.as_str()), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    };
    found.ok_or(code)?.partition(asked.partition).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

fn failed(
    cluster: &Cluster,
    version: i16,
    topic: &FetchTopic,
    asked: &FetchPartition,
    error_code: ErrorCode,
    hinted: &mut Vec<NodeId>,
) -> PartitionData {
    let mut data = PartitionData {
        partition_index: asked.partition,
        error_code,
        high_watermark: -1,
        records: Some(Records::new()),
        ..Default::default()
    };
    let moved = matches!(error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH);
    if let (true, Ok(partition)) =
        (moved && version >= FIRST_WITH_HINTS, find(cluster, version, topic, asked))
    {
        data.current_leader = hint(partition, hinted);
    }
    data
}

/// Topics are named by id from this version on (KIP-516).
const FIRST_BY_ID: i16 = 13;

/// Answers tell the current leader and where it is from this version on (KIP-951).
const FIRST_WITH_HINTS: i16 = 16;

const READ_COMMITTED: i8 = 1;

/// `fetch.max.bytes` of a broker: what an answer carries at most, but for a single larger batch.
const MAX_BYTES: usize = 55 << 20;
