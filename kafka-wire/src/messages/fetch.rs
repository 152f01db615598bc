//! Fetch: records from partitions.

use alloc::string::String;
use alloc::vec::Vec;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::blob::Records;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, ProducerId, TopicName};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    /// Reads record batches from partitions.
    api Fetch = 1, versions 4..=18, flexible 12;
    to Leader, listeners [Broker Controller], reply [always];

    request FetchRequest {
        /// [`NodeId::NONE`] for a consumer.
        [4..=14]      replica_id: NodeId = NodeId::NONE,
        /// How long to wait for `min_bytes`.
        [_]           max_wait_ms: i32,
        [_]           min_bytes: i32,
        /// Exceeded by a first batch that is larger (KIP-74).
        [_]           max_bytes: i32 = i32::MAX,
        /// 0 reads everything, 1 only what was committed.
        [_]           isolation_level: i8,
        /// Zero outside an incremental session (KIP-227).
        [7..]         session_id: i32,
        /// -1 outside an incremental session.
        [7..]         session_epoch: i32 = -1,
        [_]           topics: Vec<FetchTopic>,
        /// What leaves an incremental session.
        [7..]         forgotten_topics_data: Vec<ForgottenTopic>,
        /// For a replica near the consumer (KIP-392).
        [11..]        rack_id: String,
        /// From replicas only.
        [12.., tag 0] cluster_id: Option<String>,
        /// What became of `replica_id` (KIP-903).
        [15.., tag 1] replica_state: ReplicaState,
    }
    response FetchResponse {
        [_]           throttle_time_ms: i32,
        /// That of the request as a whole.
        [7..]         error_code: ErrorCode,
        [7..]         session_id: i32,
        [_]           responses: Vec<FetchableTopicResponse>,
        /// Where the leaders are that `current_leader` names.
        [16.., tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    /// The partitions of a topic.
    group FetchTopic {
        [4..=12] topic: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partitions: Vec<FetchPartition>,
    }

    /// From where to read a partition.
    group FetchPartition {
        [_]           partition: PartitionId,
        /// -1 to have no epoch checked (KIP-320).
        [9..]         current_leader_epoch: i32 = -1,
        [_]           fetch_offset: i64,
        /// -1 to have no log truncation checked (KIP-595).
        [12..]        last_fetched_epoch: i32 = -1,
        /// From replicas only.
        [5..]         log_start_offset: i64 = -1,
        [_]           partition_max_bytes: i32,
        [17.., tag 0] replica_directory_id: TopicId,
        /// From replicas only (KIP-1166).
        [18.., tag 1] high_watermark: i64 = i64::MAX,
    }

    /// Partitions that leave an incremental session.
    group ForgottenTopic {
        [7..=12] topic: TopicName,
        [13..]   topic_id: TopicId,
        [7..]    partitions: Vec<PartitionId>,
    }

    /// A replica that fetches.
    group ReplicaState {
        [15..]   replica_id: NodeId = NodeId::NONE,
        [15..]   replica_epoch: i64 = -1,
    }

    /// The partitions of a topic.
    group FetchableTopicResponse {
        [4..=12] topic: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partitions: Vec<PartitionData>,
    }

    /// What was read from a partition.
    group PartitionData {
        [_]           partition_index: PartitionId,
        [_]           error_code: ErrorCode,
        [_]           high_watermark: i64,
        /// All transactions below it are decided.
        [_]           last_stable_offset: i64 = -1,
        [5..]         log_start_offset: i64 = -1,
        /// Transactions whose records a reader of committed ones skips.
        [_]           aborted_transactions: Option<Vec<AbortedTransaction>> = Some(Vec::new()),
        /// Whom to read from (KIP-392); [`NodeId::NONE`] for the leader.
        [11..]        preferred_read_replica: NodeId = NodeId::NONE,
        /// May end within a batch.
        [_]           records: Option<Records>,
        /// Where the log of the replica that asks goes another way (KIP-595).
        [12.., tag 0] diverging_epoch: EpochEndOffset,
        /// Whom to ask instead (KIP-951).
        [12.., tag 1] current_leader: LeaderIdAndEpoch,
        /// What to fetch instead of records that are gone (KIP-630).
        [12.., tag 2] snapshot_id: SnapshotId,
    }

    /// Records to skip: those of a producer from an offset to its abort marker.
    group AbortedTransaction {
        [_]      producer_id: ProducerId,
        [_]      first_offset: i64,
    }

    /// The end of an epoch in the log of the leader.
    group EpochEndOffset {
        [12..]   epoch: i32 = -1,
        [12..]   end_offset: i64 = -1,
    }

    /// A snapshot, by the end of what is in it.
    group SnapshotId {
        [_]      end_offset: i64 = -1,
        [_]      epoch: i32 = -1,
    }
}
