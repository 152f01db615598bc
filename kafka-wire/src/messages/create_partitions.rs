//! CreatePartitions: more partitions.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, TopicName};
use crate::table::messages;

messages! {
    /// Asks the controller, or any broker to forward it, for more partitions.
    api CreatePartitions = 37, versions 0..=3, flexible 2;
    to Controller, listeners [Broker Controller], reply [always];

    request CreatePartitionsRequest {
        [_]      topics: Vec<CreatePartitionsTopic>,
        [_]      timeout_ms: i32,
        /// Check everything, create nothing.
        [_]      validate_only: bool,
    }
    response CreatePartitionsResponse {
        [_]      throttle_time_ms: i32,
        [_]      results: Vec<CreatePartitionsTopicResult>,
    }

    /// A topic that grows.
    group CreatePartitionsTopic {
        [_]      name: TopicName,
        /// How many partitions it shall have in the end.
        [_]      count: i32,
        /// Null to let the controller place the replicas.
        [_]      assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()),
    }

    /// The replicas of a new partition.
    group CreatePartitionsAssignment {
        [_]      broker_ids: Vec<NodeId>,
    }

    /// What became of a topic.
    group CreatePartitionsTopicResult {
        [_]      name: TopicName,
        [_]      error_code: ErrorCode,
        [_]      error_message: Option<String>,
    }
}
