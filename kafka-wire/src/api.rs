//! [`ApiKey`]: the numbers of the APIs, and what is known of each, messages or not.

use core::fmt;

use nom::IResult;
use nom::Parser as _;
use nom::combinator::map;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::ids::transparent;
use crate::input::Input;
use crate::schema::Type;
use crate::wire::{Cx, Wire};

/// The number of an API. Those this crate has no messages for are kept as they are, and most have a name.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number, and never anything else")]
pub struct ApiKey(pub i16);

macro_rules! keys {
    ($($number:literal $name:ident $text:literal, throttled $throttled:literal;)*) => {
        #[expect(missing_docs, reason = "Kafka's names say it")]
        impl ApiKey {
            $(pub const $name: Self = Self($number);)*

            /// Kafka's name; `Unknown` for a key without one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self(_) => "Unknown",
                }
            }

            /// The first version in which a client that is over a quota is told so at once, and is to keep
            /// the throttle time itself (KIP-219). In an older one the broker has waited before it answers.
            /// An API without a throttle time, and a key without a name, has 0.
            #[must_use]
            pub const fn throttled_since(self) -> i16 {
                match self {
                    $(Self::$name => $throttled,)*
                    Self(_) => 0,
                }
            }
        }
    };
}

impl ApiKey {
    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }
}

/// Name and number: `Produce (0)`.
impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({self})")
    }
}

transparent!(ApiKey, i16, Type::plain("int16"));

keys! {
     0 PRODUCE "Produce", throttled 6;
     1 FETCH "Fetch", throttled 8;
     2 LIST_OFFSETS "ListOffsets", throttled 3;
     3 METADATA "Metadata", throttled 6;
     4 LEADER_AND_ISR "LeaderAndIsr", throttled 0;
     5 STOP_REPLICA "StopReplica", throttled 0;
     6 UPDATE_METADATA "UpdateMetadata", throttled 0;
     7 CONTROLLED_SHUTDOWN "ControlledShutdown", throttled 0;
     8 OFFSET_COMMIT "OffsetCommit", throttled 4;
     9 OFFSET_FETCH "OffsetFetch", throttled 4;
    10 FIND_COORDINATOR "FindCoordinator", throttled 2;
    11 JOIN_GROUP "JoinGroup", throttled 3;
    12 HEARTBEAT "Heartbeat", throttled 2;
    13 LEAVE_GROUP "LeaveGroup", throttled 2;
    14 SYNC_GROUP "SyncGroup", throttled 2;
    15 DESCRIBE_GROUPS "DescribeGroups", throttled 2;
    16 LIST_GROUPS "ListGroups", throttled 2;
    17 SASL_HANDSHAKE "SaslHandshake", throttled 0;
    18 API_VERSIONS "ApiVersions", throttled 2;
    19 CREATE_TOPICS "CreateTopics", throttled 3;
    20 DELETE_TOPICS "DeleteTopics", throttled 2;
    21 DELETE_RECORDS "DeleteRecords", throttled 1;
    22 INIT_PRODUCER_ID "InitProducerId", throttled 1;
    23 OFFSET_FOR_LEADER_EPOCH "OffsetForLeaderEpoch", throttled 0;
    24 ADD_PARTITIONS_TO_TXN "AddPartitionsToTxn", throttled 1;
    25 ADD_OFFSETS_TO_TXN "AddOffsetsToTxn", throttled 1;
    26 END_TXN "EndTxn", throttled 1;
    27 WRITE_TXN_MARKERS "WriteTxnMarkers", throttled 0;
    28 TXN_OFFSET_COMMIT "TxnOffsetCommit", throttled 1;
    29 DESCRIBE_ACLS "DescribeAcls", throttled 1;
    30 CREATE_ACLS "CreateAcls", throttled 1;
    31 DELETE_ACLS "DeleteAcls", throttled 1;
    32 DESCRIBE_CONFIGS "DescribeConfigs", throttled 2;
    33 ALTER_CONFIGS "AlterConfigs", throttled 1;
    34 ALTER_REPLICA_LOG_DIRS "AlterReplicaLogDirs", throttled 1;
    35 DESCRIBE_LOG_DIRS "DescribeLogDirs", throttled 1;
    36 SASL_AUTHENTICATE "SaslAuthenticate", throttled 0;
    37 CREATE_PARTITIONS "CreatePartitions", throttled 1;
    38 CREATE_DELEGATION_TOKEN "CreateDelegationToken", throttled 1;
    39 RENEW_DELEGATION_TOKEN "RenewDelegationToken", throttled 1;
    40 EXPIRE_DELEGATION_TOKEN "ExpireDelegationToken", throttled 1;
    41 DESCRIBE_DELEGATION_TOKEN "DescribeDelegationToken", throttled 1;
    42 DELETE_GROUPS "DeleteGroups", throttled 1;
    43 ELECT_LEADERS "ElectLeaders", throttled 0;
    44 INCREMENTAL_ALTER_CONFIGS "IncrementalAlterConfigs", throttled 0;
    45 ALTER_PARTITION_REASSIGNMENTS "AlterPartitionReassignments", throttled 0;
    46 LIST_PARTITION_REASSIGNMENTS "ListPartitionReassignments", throttled 0;
    47 OFFSET_DELETE "OffsetDelete", throttled 0;
    48 DESCRIBE_CLIENT_QUOTAS "DescribeClientQuotas", throttled 0;
    49 ALTER_CLIENT_QUOTAS "AlterClientQuotas", throttled 0;
    50 DESCRIBE_USER_SCRAM_CREDENTIALS "DescribeUserScramCredentials", throttled 0;
    51 ALTER_USER_SCRAM_CREDENTIALS "AlterUserScramCredentials", throttled 0;
    52 VOTE "Vote", throttled 0;
    53 BEGIN_QUORUM_EPOCH "BeginQuorumEpoch", throttled 0;
    54 END_QUORUM_EPOCH "EndQuorumEpoch", throttled 0;
    55 DESCRIBE_QUORUM "DescribeQuorum", throttled 0;
    56 ALTER_PARTITION "AlterPartition", throttled 0;
    57 UPDATE_FEATURES "UpdateFeatures", throttled 0;
    58 ENVELOPE "Envelope", throttled 0;
    59 FETCH_SNAPSHOT "FetchSnapshot", throttled 0;
    60 DESCRIBE_CLUSTER "DescribeCluster", throttled 0;
    61 DESCRIBE_PRODUCERS "DescribeProducers", throttled 0;
    62 BROKER_REGISTRATION "BrokerRegistration", throttled 0;
    63 BROKER_HEARTBEAT "BrokerHeartbeat", throttled 0;
    64 UNREGISTER_BROKER "UnregisterBroker", throttled 0;
    65 DESCRIBE_TRANSACTIONS "DescribeTransactions", throttled 0;
    66 LIST_TRANSACTIONS "ListTransactions", throttled 0;
    67 ALLOCATE_PRODUCER_IDS "AllocateProducerIds", throttled 0;
    68 CONSUMER_GROUP_HEARTBEAT "ConsumerGroupHeartbeat", throttled 0;
    69 CONSUMER_GROUP_DESCRIBE "ConsumerGroupDescribe", throttled 0;
    70 CONTROLLER_REGISTRATION "ControllerRegistration", throttled 0;
    71 GET_TELEMETRY_SUBSCRIPTIONS "GetTelemetrySubscriptions", throttled 0;
    72 PUSH_TELEMETRY "PushTelemetry", throttled 0;
    73 ASSIGN_REPLICAS_TO_DIRS "AssignReplicasToDirs", throttled 0;
    74 LIST_CONFIG_RESOURCES "ListConfigResources", throttled 0;
    75 DESCRIBE_TOPIC_PARTITIONS "DescribeTopicPartitions", throttled 0;
    76 SHARE_GROUP_HEARTBEAT "ShareGroupHeartbeat", throttled 0;
    77 SHARE_GROUP_DESCRIBE "ShareGroupDescribe", throttled 0;
    78 SHARE_FETCH "ShareFetch", throttled 0;
    79 SHARE_ACKNOWLEDGE "ShareAcknowledge", throttled 0;
    80 ADD_RAFT_VOTER "AddRaftVoter", throttled 0;
    81 REMOVE_RAFT_VOTER "RemoveRaftVoter", throttled 0;
    82 UPDATE_RAFT_VOTER "UpdateRaftVoter", throttled 0;
    83 INITIALIZE_SHARE_GROUP_STATE "InitializeShareGroupState", throttled 0;
    84 READ_SHARE_GROUP_STATE "ReadShareGroupState", throttled 0;
    85 WRITE_SHARE_GROUP_STATE "WriteShareGroupState", throttled 0;
    86 DELETE_SHARE_GROUP_STATE "DeleteShareGroupState", throttled 0;
    87 READ_SHARE_GROUP_STATE_SUMMARY "ReadShareGroupStateSummary", throttled 0;
    88 STREAMS_GROUP_HEARTBEAT "StreamsGroupHeartbeat", throttled 0;
    89 STREAMS_GROUP_DESCRIBE "StreamsGroupDescribe", throttled 0;
    90 DESCRIBE_SHARE_GROUP_OFFSETS "DescribeShareGroupOffsets", throttled 0;
    91 ALTER_SHARE_GROUP_OFFSETS "AlterShareGroupOffsets", throttled 0;
    92 DELETE_SHARE_GROUP_OFFSETS "DeleteShareGroupOffsets", throttled 0;
    93 STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE "StreamsGroupTopologyDescriptionUpdate", throttled 0;
    94 UNREGISTER_CONTROLLER "UnregisterController", throttled 0;
}
