//! Fetch.

use alloc::string::String;
use alloc::vec::Vec;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::blob::Records;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, ProducerId, TopicName};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    api Fetch = 1, versions 4..=18, flexible 12;

    request FetchRequest {
        [4..=14]      replica_id: NodeId = NodeId::NONE,
        [_]           max_wait_ms: i32,
        [_]           min_bytes: i32,
        [_]           max_bytes: i32 = i32::MAX,
        [_]           isolation_level: i8,
        [7..]         session_id: i32,
        [7..]         session_epoch: i32 = -1,
        [_]           topics: Vec<FetchTopic>,
        [7..]         forgotten_topics_data: Vec<ForgottenTopic>,
        [11..]        rack_id: String,
        [12.., tag 0] cluster_id: Option<String>,
        [15.., tag 1] replica_state: ReplicaState,
    }
    response FetchResponse {
        [_]           throttle_time_ms: i32,
        [7..]         error_code: ErrorCode,
        [7..]         session_id: i32,
        [_]           responses: Vec<FetchableTopicResponse>,
        [16.., tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    group FetchTopic {
        [4..=12] topic: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partitions: Vec<FetchPartition>,
    }

    group FetchPartition {
        [_]           partition: PartitionId,
        [9..]         current_leader_epoch: i32 = -1,
        [_]           fetch_offset: i64,
        [12..]        last_fetched_epoch: i32 = -1,
        [5..]         log_start_offset: i64 = -1,
        [_]           partition_max_bytes: i32,
        [17.., tag 0] replica_directory_id: TopicId,
        [18.., tag 1] high_watermark: i64 = i64::MAX,
    }

    group ForgottenTopic {
        [7..=12] topic: TopicName,
        [13..]   topic_id: TopicId,
        [7..]    partitions: Vec<PartitionId>,
    }

    group ReplicaState {
        [15..]   replica_id: NodeId = NodeId::NONE,
        [15..]   replica_epoch: i64 = -1,
    }

    group FetchableTopicResponse {
        [4..=12] topic: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partitions: Vec<PartitionData>,
    }

    group PartitionData {
        [_]           partition_index: PartitionId,
        [_]           error_code: ErrorCode,
        [_]           high_watermark: i64,
        [_]           last_stable_offset: i64 = -1,
        [5..]         log_start_offset: i64 = -1,
        [_]           aborted_transactions: Option<Vec<AbortedTransaction>> = Some(Vec::new()),
        [11..]        preferred_read_replica: NodeId = NodeId::NONE,
        [_]           records: Option<Records>,
        [12.., tag 0] diverging_epoch: EpochEndOffset,
        [12.., tag 1] current_leader: LeaderIdAndEpoch,
        [12.., tag 2] snapshot_id: SnapshotId,
    }

    group AbortedTransaction {
        [_]      producer_id: ProducerId,
        [_]      first_offset: i64,
    }

    group EpochEndOffset {
        [12..]   epoch: i32 = -1,
        [12..]   end_offset: i64 = -1,
    }

    group SnapshotId {
        [_]      end_offset: i64 = -1,
        [_]      epoch: i32 = -1,
    }
}
