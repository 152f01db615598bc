//! ListOffsets: first, last, by time.

use std::collections::BTreeMap;

use kafka_wire::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use kafka_wire::{ErrorCode, NodeId, TopicName};

use super::check_epoch;
use crate::log::{Log, StoredBatch};
use crate::records::stored_records;
use crate::state::Cluster;

pub(super) fn answer(
    cluster: &Cluster,
    node: NodeId,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut times = BTreeMap::<_, usize>::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *times.entry((topic.name.clone(), partition.partition_index)).or_default() += 1;
        }
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().filter_map(|wanted| {
            // A partition named twice is refused once.
            let found = match times.remove(&(topic.name.clone(), wanted.partition_index))? {
                1 => look_up(cluster, node, version, &topic.name, wanted),
                _ => Err(ErrorCode::INVALID_REQUEST),
            };
            let (error_code, place) = match found {
                Ok(place) => (ErrorCode::NONE, place),
                Err(code) => (code, Place::NONE),
            };
            Some(ListOffsetsPartitionResponse {
                partition_index: wanted.partition_index,
                error_code,
                timestamp: place.timestamp,
                offset: place.offset,
                leader_epoch: place.leader_epoch,
            })
        });
        ListOffsetsTopicResponse { partitions: partitions.collect(), name: topic.name.clone() }
    });
    ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
}

/// A record's place in a log, as the answer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

impl Place {
    /// No record fits.
    const NONE: Self = Self { offset: -1, timestamp: -1, leader_epoch: -1 };
}

fn look_up(
    cluster: &Cluster,
    node: NodeId,
    version: i16,
    topic: &TopicName,
    wanted: &ListOffsetsPartition,
) -> Result<Place, ErrorCode> {
    let found = cluster.topic(topic.as_str()).and_then(|topic| topic.partition(wanted.partition_index));
    let partition = found.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    if wanted.timestamp < 0
        && SPECIAL.iter().all(|&(special, since)| wanted.timestamp != special || version < since)
    {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    if partition.leader != node {
        return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    check_epoch(wanted.current_leader_epoch, partition.leader_epoch)?;
    let log = &partition.log;
    Ok(match wanted.timestamp {
        LATEST => Place { offset: log.end_offset(), timestamp: -1, leader_epoch: partition.leader_epoch },
        EARLIEST | EARLIEST_LOCAL => Place {
            offset: log.start_offset(),
            timestamp: -1,
            leader_epoch: log.leader_epoch_at(log.start_offset()).unwrap_or(partition.leader_epoch),
        },
        // Nothing is ever moved to another tier.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Place::NONE,
        MAX_TIMESTAMP => with_max_timestamp(log),
        timestamp => first_since(log, timestamp),
    })
}

/// The first record that is at least so young.
fn first_since(log: &Log, timestamp: i64) -> Place {
    let batch = log.batches().find(|batch| batch.max_timestamp >= timestamp);
    batch.and_then(|batch| first_in(batch, |found| found >= timestamp)).unwrap_or(Place::NONE)
}

/// The first of the youngest records.
fn with_max_timestamp(log: &Log) -> Place {
    // `max_by_key` would answer the last of several, a broker answers the first.
    let youngest = log.batches().map(|batch| batch.max_timestamp).max();
    let batch = log.batches().find(|batch| Some(batch.max_timestamp) == youngest);
    batch.and_then(|batch| first_in(batch, |found| found == batch.max_timestamp)).unwrap_or(Place::NONE)
}

/// The first record of a batch whose timestamp fits. Batches were read through when they came, so this one can be read.
fn first_in(batch: &StoredBatch, fits: impl Fn(i64) -> bool) -> Option<Place> {
    let found = stored_records(batch.bytes.clone()).find(|stored| fits(stored.record.timestamp))?;
    Some(Place { offset: found.offset, timestamp: found.record.timestamp, leader_epoch: batch.leader_epoch })
}

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Timestamps that are questions, and the version from which each may be asked.
const SPECIAL: &[(i64, i16)] = &[
    (LATEST, 0),
    (EARLIEST, 0),
    (MAX_TIMESTAMP, 7),
    (EARLIEST_LOCAL, 8),
    (LATEST_TIERED, 9),
    (EARLIEST_PENDING_UPLOAD, 11),
];
