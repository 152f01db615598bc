//! Metadata.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, TopicName};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    api Metadata = 3, versions 0..=13, flexible 9;

    request MetadataRequest {
        [_, null 1..] topics: Option<Vec<MetadataRequestTopic>> = Some(Vec::new()),
        [4..]         allow_auto_topic_creation: bool = true,
        [8..=10]      include_cluster_authorized_operations: bool,
        [8..]         include_topic_authorized_operations: bool,
    }
    response MetadataResponse {
        [3..]    throttle_time_ms: i32,
        [_]      brokers: Vec<MetadataResponseBroker>,
        [2..]    cluster_id: Option<String>,
        [1..]    controller_id: NodeId = NodeId::NONE,
        [_]      topics: Vec<MetadataResponseTopic>,
        [8..=10] cluster_authorized_operations: i32 = i32::MIN,
        [13..]   error_code: ErrorCode,
    }

    group MetadataRequestTopic {
        [10..]         topic_id: TopicId,
        [_, null 10..] name: Option<TopicName> = Some(TopicName::default()),
    }

    group MetadataResponseBroker {
        [_]      node_id: NodeId,
        [_]      host: String,
        [_]      port: i32,
        [1..]    rack: Option<String>,
    }

    group MetadataResponseTopic {
        [_]            error_code: ErrorCode,
        [_, null 12..] name: Option<TopicName> = Some(TopicName::default()),
        [10..]         topic_id: TopicId,
        [1..]          is_internal: bool,
        [_]            partitions: Vec<MetadataResponsePartition>,
        [8..]          topic_authorized_operations: i32 = i32::MIN,
    }

    group MetadataResponsePartition {
        [_]      error_code: ErrorCode,
        [_]      partition_index: PartitionId,
        [_]      leader_id: NodeId,
        [7..]    leader_epoch: i32 = -1,
        [_]      replica_nodes: Vec<NodeId>,
        [_]      isr_nodes: Vec<NodeId>,
        [5..]    offline_replicas: Vec<NodeId>,
    }
}
