//! CreatePartitions.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, TopicName};
use crate::table::messages;

messages! {
    api CreatePartitions = 37, versions 0..=3, flexible 2;

    request CreatePartitionsRequest {
        [_]      topics: Vec<CreatePartitionsTopic>,
        [_]      timeout_ms: i32,
        [_]      validate_only: bool,
    }
    response CreatePartitionsResponse {
        [_]      throttle_time_ms: i32,
        [_]      results: Vec<CreatePartitionsTopicResult>,
    }

    group CreatePartitionsTopic {
        [_]      name: TopicName,
        [_]      count: i32,
        [_]      assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()),
    }

    group CreatePartitionsAssignment {
        [_]      broker_ids: Vec<NodeId>,
    }

    group CreatePartitionsTopicResult {
        [_]      name: TopicName,
        [_]      error_code: ErrorCode,
        [_]      error_message: Option<String>,
    }
}
