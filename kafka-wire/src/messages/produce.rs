//! Produce: records to partitions.

use alloc::string::String;
use alloc::vec::Vec;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::blob::Records;
use crate::error_code::ErrorCode;
use crate::ids::{Acks, PartitionId, TopicName, TransactionalId};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    /// Appends record batches to the logs of the partitions a broker leads.
    api Produce = 0, versions 3..=13, flexible 9;
    to Leader, listeners [Broker], reply [unless acks = Acks::NONE];

    request ProduceRequest {
        /// Null outside a transaction.
        [_]      transactional_id: Option<TransactionalId>,
        [_]      acks: Acks,
        /// How long the leader waits for its followers.
        [_]      timeout_ms: i32,
        [_]      topic_data: Vec<TopicProduceData>,
    }
    response ProduceResponse {
        [_]           responses: Vec<TopicProduceResponse>,
        /// How long a quota makes the client wait.
        [_]           throttle_time_ms: i32,
        /// Where the leaders are that `current_leader` names.
        [10.., tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    /// The partitions of a topic.
    group TopicProduceData {
        [3..=12] name: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partition_data: Vec<PartitionProduceData>,
    }

    /// What is appended to a partition.
    group PartitionProduceData {
        [_]      index: PartitionId,
        /// Since version 3 exactly one batch.
        [_]      records: Option<Records>,
    }

    /// What became of the partitions of a topic.
    group TopicProduceResponse {
        [3..=12] name: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partition_responses: Vec<PartitionProduceResponse>,
    }

    /// What became of a batch.
    group PartitionProduceResponse {
        [_]           index: PartitionId,
        [_]           error_code: ErrorCode,
        /// The offset of the first record; -1 for a duplicate that is no longer remembered.
        [_]           base_offset: i64,
        /// -1 where the topic keeps the timestamps of its producers.
        [_]           log_append_time_ms: i64 = -1,
        /// The oldest offset of the log.
        [5..]         log_start_offset: i64 = -1,
        /// The records that had the batch refused (KIP-467).
        [8..]         record_errors: Vec<BatchIndexAndErrorMessage>,
        /// What they have in common.
        [8..]         error_message: Option<String>,
        /// Whom to ask instead (KIP-951).
        [10.., tag 0] current_leader: LeaderIdAndEpoch,
    }

    /// A record that had its batch refused.
    group BatchIndexAndErrorMessage {
        [8..]    batch_index: i32,
        [8..]    batch_index_error_message: Option<String>,
    }
}
