//! Produce.

use alloc::string::String;
use alloc::vec::Vec;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::blob::Records;
use crate::error_code::ErrorCode;
use crate::ids::{Acks, PartitionId, TopicName, TransactionalId};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    api Produce = 0, versions 3..=13, flexible 9;

    request ProduceRequest {
        [_]      transactional_id: Option<TransactionalId>,
        [_]      acks: Acks,
        [_]      timeout_ms: i32,
        [_]      topic_data: Vec<TopicProduceData>,
    }
    response ProduceResponse {
        [_]           responses: Vec<TopicProduceResponse>,
        [_]           throttle_time_ms: i32,
        [10.., tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    group TopicProduceData {
        [3..=12] name: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partition_data: Vec<PartitionProduceData>,
    }

    group PartitionProduceData {
        [_]      index: PartitionId,
        [_]      records: Option<Records>,
    }

    group TopicProduceResponse {
        [3..=12] name: TopicName,
        [13..]   topic_id: TopicId,
        [_]      partition_responses: Vec<PartitionProduceResponse>,
    }

    group PartitionProduceResponse {
        [_]           index: PartitionId,
        [_]           error_code: ErrorCode,
        [_]           base_offset: i64,
        [_]           log_append_time_ms: i64 = -1,
        [5..]         log_start_offset: i64 = -1,
        [8..]         record_errors: Vec<BatchIndexAndErrorMessage>,
        [8..]         error_message: Option<String>,
        [10.., tag 0] current_leader: LeaderIdAndEpoch,
    }

    group BatchIndexAndErrorMessage {
        [8..]    batch_index: i32,
        [8..]    batch_index_error_message: Option<String>,
    }
}
