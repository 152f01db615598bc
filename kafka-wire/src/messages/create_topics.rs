//! CreateTopics.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, TopicName};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    api CreateTopics = 19, versions 2..=7, flexible 5;

    request CreateTopicsRequest {
        [_]      topics: Vec<CreatableTopic>,
        [_]      timeout_ms: i32 = 60000,
        [_]      validate_only: bool,
    }
    response CreateTopicsResponse {
        [_]      throttle_time_ms: i32,
        [_]      topics: Vec<CreatableTopicResult>,
    }

    group CreatableTopic {
        [_]      name: TopicName,
        [_]      num_partitions: i32,
        [_]      replication_factor: i16,
        [_]      assignments: Vec<CreatableReplicaAssignment>,
        [_]      configs: Vec<CreatableTopicConfig>,
    }

    group CreatableReplicaAssignment {
        [_]      partition_index: PartitionId,
        [_]      broker_ids: Vec<NodeId>,
    }

    group CreatableTopicConfig {
        [_]      name: String,
        [_]      value: Option<String> = Some(String::default()),
    }

    group CreatableTopicResult {
        [_]          name: TopicName,
        [7..]        topic_id: TopicId,
        [_]          error_code: ErrorCode,
        [_]          error_message: Option<String> = Some(String::default()),
        [5..]        num_partitions: i32 = -1,
        [5..]        replication_factor: i16 = -1,
        [5..]        configs: Option<Vec<CreatableTopicConfigs>> = Some(Vec::new()),
        [5.., tag 0] topic_config_error_code: ErrorCode,
    }

    group CreatableTopicConfigs {
        [5..]    name: String,
        [5..]    value: Option<String> = Some(String::default()),
        [5..]    read_only: bool,
        [5..]    config_source: i8 = -1,
        [5..]    is_sensitive: bool,
    }
}
