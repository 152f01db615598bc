//! ListOffsets.

use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, TopicName};
use crate::table::messages;

messages! {
    api ListOffsets = 2, versions 1..=11, flexible 6;

    request ListOffsetsRequest {
        [_]      replica_id: NodeId,
        [2..]    isolation_level: i8,
        [_]      topics: Vec<ListOffsetsTopic>,
        [10..]   timeout_ms: i32,
    }
    response ListOffsetsResponse {
        [2..]    throttle_time_ms: i32,
        [_]      topics: Vec<ListOffsetsTopicResponse>,
    }

    group ListOffsetsTopic {
        [_]      name: TopicName,
        [_]      partitions: Vec<ListOffsetsPartition>,
    }

    group ListOffsetsPartition {
        [_]      partition_index: PartitionId,
        [4..]    current_leader_epoch: i32 = -1,
        [_]      timestamp: i64,
    }

    group ListOffsetsTopicResponse {
        [_]      name: TopicName,
        [_]      partitions: Vec<ListOffsetsPartitionResponse>,
    }

    group ListOffsetsPartitionResponse {
        [_]      partition_index: PartitionId,
        [_]      error_code: ErrorCode,
        [_]      timestamp: i64 = -1,
        [_]      offset: i64 = -1,
        [4..]    leader_epoch: i32 = -1,
    }
}
