//! ListOffsets: the offset at a time.

use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, TopicName};
use crate::table::messages;

messages! {
    /// Asks leaders for the offset at a time, or at an end of the log.
    api ListOffsets = 2, versions 1..=11, flexible 6;
    to Leader, listeners [Broker], reply [always];

    request ListOffsetsRequest {
        /// [`NodeId::NONE`] for a consumer.
        [_]      replica_id: NodeId,
        /// With 1, the end is that of what is decided.
        [2..]    isolation_level: i8,
        [_]      topics: Vec<ListOffsetsTopic>,
        /// How long to look in tiered storage (KIP-1075).
        [10..]   timeout_ms: i32,
    }
    response ListOffsetsResponse {
        [2..]    throttle_time_ms: i32,
        [_]      topics: Vec<ListOffsetsTopicResponse>,
    }

    /// The partitions of a topic.
    group ListOffsetsTopic {
        [_]      name: TopicName,
        [_]      partitions: Vec<ListOffsetsPartition>,
    }

    /// What is asked of a partition.
    group ListOffsetsPartition {
        [_]      partition_index: PartitionId,
        /// -1 to have no epoch checked (KIP-320).
        [4..]    current_leader_epoch: i32 = -1,
        /// A time in milliseconds, or: -1 the end, -2 the start, -3 the newest timestamp, -4 the start of what is local,
        /// -5 the end of what is tiered, -6 the start of what is not uploaded yet.
        [_]      timestamp: i64,
    }

    /// The partitions of a topic.
    group ListOffsetsTopicResponse {
        [_]      name: TopicName,
        [_]      partitions: Vec<ListOffsetsPartitionResponse>,
    }

    /// The offset in a partition.
    group ListOffsetsPartitionResponse {
        [_]      partition_index: PartitionId,
        [_]      error_code: ErrorCode,
        /// That of the record found; -1 where none was looked for.
        [_]      timestamp: i64 = -1,
        /// -1 if there is none.
        [_]      offset: i64 = -1,
        /// -1 if it is not known.
        [4..]    leader_epoch: i32 = -1,
    }
}
