//! CreateTopics: new topics.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, TopicName};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    /// Asks the controller, or any broker to forward it, for new topics.
    api CreateTopics = 19, versions 2..=7, flexible 5;
    to Controller, listeners [Broker Controller], reply [always];

    request CreateTopicsRequest {
        [_]      topics: Vec<CreatableTopic>,
        [_]      timeout_ms: i32 = 60000,
        /// Check everything, create nothing.
        [_]      validate_only: bool,
    }
    response CreateTopicsResponse {
        [_]      throttle_time_ms: i32,
        [_]      topics: Vec<CreatableTopicResult>,
    }

    /// A topic to be.
    group CreatableTopic {
        [_]      name: TopicName,
        /// -1 for the default of the broker (version 4), or with assignments.
        [_]      num_partitions: i32,
        /// -1 for the default of the broker (version 4), or with assignments.
        [_]      replication_factor: i16,
        /// Empty to let the controller place the replicas.
        [_]      assignments: Vec<CreatableReplicaAssignment>,
        [_]      configs: Vec<CreatableTopicConfig>,
    }

    /// The replicas of a partition; the first is preferred as leader.
    group CreatableReplicaAssignment {
        [_]      partition_index: PartitionId,
        [_]      broker_ids: Vec<NodeId>,
    }

    /// A setting of a topic.
    group CreatableTopicConfig {
        [_]      name: String,
        [_]      value: Option<String> = Some(String::default()),
    }

    /// What became of a topic.
    group CreatableTopicResult {
        [_]          name: TopicName,
        [7..]        topic_id: TopicId,
        [_]          error_code: ErrorCode,
        [_]          error_message: Option<String> = Some(String::default()),
        [5..]        num_partitions: i32 = -1,
        [5..]        replication_factor: i16 = -1,
        [5..]        configs: Option<Vec<CreatableTopicConfigs>> = Some(Vec::new()),
        /// Why `configs` is null.
        [5.., tag 0] topic_config_error_code: ErrorCode,
    }

    /// A setting a topic has.
    group CreatableTopicConfigs {
        [5..]    name: String,
        [5..]    value: Option<String> = Some(String::default()),
        [5..]    read_only: bool,
        /// Who set it, as in `DescribeConfigs`.
        [5..]    config_source: i8 = -1,
        [5..]    is_sensitive: bool,
    }
}
