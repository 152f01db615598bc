//! Metadata: who leads what.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionId, TopicName};
use crate::table::messages;
use crate::uuid::TopicId;

messages! {
    /// Asks any broker for the brokers, and for topics with their partitions and leaders.
    api Metadata = 3, versions 0..=13, flexible 9;
    to Any, listeners [Broker], reply [always];

    request MetadataRequest {
        /// Null for all topics; in version 0, which has no null, an empty list.
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
        /// A bit for each operation of an access list; `i32::MIN` if not asked for.
        [8..=10] cluster_authorized_operations: i32 = i32::MIN,
        /// That of the request as a whole: `REBOOTSTRAP_REQUIRED` (KIP-1102).
        [13..]   error_code: ErrorCode,
    }

    /// A topic by name, or by id (KIP-516).
    group MetadataRequestTopic {
        /// Only version 12 and newer look at it.
        [10..]         topic_id: TopicId,
        /// Null to ask by id, which takes version 12.
        [_, null 10..] name: Option<TopicName> = Some(TopicName::default()),
    }

    /// A broker and its address.
    group MetadataResponseBroker {
        [_]      node_id: NodeId,
        [_]      host: String,
        [_]      port: i32,
        [1..]    rack: Option<String>,
    }

    /// A topic and its partitions.
    group MetadataResponseTopic {
        [_]            error_code: ErrorCode,
        /// Null if an id asked for is not known.
        [_, null 12..] name: Option<TopicName> = Some(TopicName::default()),
        [10..]         topic_id: TopicId,
        [1..]          is_internal: bool,
        [_]            partitions: Vec<MetadataResponsePartition>,
        /// A bit for each operation of an access list; `i32::MIN` if not asked for.
        [8..]          topic_authorized_operations: i32 = i32::MIN,
    }

    /// A partition, its leader and its replicas.
    group MetadataResponsePartition {
        [_]      error_code: ErrorCode,
        [_]      partition_index: PartitionId,
        /// [`NodeId::NONE`] while there is none.
        [_]      leader_id: NodeId,
        /// -1 if it is not known.
        [7..]    leader_epoch: i32 = -1,
        [_]      replica_nodes: Vec<NodeId>,
        /// The replicas that are in sync.
        [_]      isr_nodes: Vec<NodeId>,
        [5..]    offline_replicas: Vec<NodeId>,
    }
}
