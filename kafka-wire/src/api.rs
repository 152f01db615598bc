//! APIs: their keys, their versions, and the registry [`ALL`].

use core::fmt;

use bytes::Bytes;
use nom::IResult;
use nom::Parser as _;
use nom::combinator::map;

use crate::error::WireError;
use crate::frame::FrameBuf;
use crate::header::{decode_body, encode_body};
use crate::ids::transparent;
use crate::input::Input;
use crate::messages;
use crate::schema::{Struct, Type};
use crate::wire::{Cx, Message, Request, Wire};

/// The number of an API. Those this crate has no messages for are kept as they are, and most have a name.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number, and never anything else")]
pub struct ApiKey(pub i16);

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "two ends, and never anything else")]
pub struct VersionRange {
    /// The oldest version.
    pub min: i16,
    /// The newest version; [`i16::MAX`] where the range has no end.
    pub max: i16,
}

impl VersionRange {
    /// From `min` to `max`.
    #[must_use]
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Whether it has the version.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The versions both have.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let common = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        (common.min <= common.max).then_some(common)
    }

    /// Every version, from the oldest.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i16> {
        self.min..=self.max
    }

    /// The range of the versions whose bit is set in the pattern of a row. Patterns are contiguous; one that has
    /// the last bit has no end.
    pub(crate) const fn of_bits(bits: u128) -> Self {
        let mut range = Self { min: i16::MAX, max: -1 };
        let mut version: i16 = 0;
        while version < Self::PATTERN_BITS {
            if bits >> version & 1 == 1 {
                if range.min > version {
                    range.min = version;
                }
                range.max = version;
            }
            version += 1;
        }
        if range.max == Self::PATTERN_BITS - 1 {
            range.max = i16::MAX;
        }
        range
    }

    /// More versions than any API will have soon.
    pub(crate) const PATTERN_BITS: i16 = 128;
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { min, max } if min == max => write!(f, "{min}"),
            Self { min, max: i16::MAX } => write!(f, "{min}+"),
            Self { min, max } => write!(f, "{min}-{max}"),
        }
    }
}

macro_rules! keys {
    ($($number:literal $name:ident $text:literal;)*) => {
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

    /// What this crate knows of the API's messages; `None` if it has none of them.
    #[must_use]
    pub fn api(self) -> Option<&'static Api> {
        ALL.iter().find(|api| api.key == self)
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

/// An API in the registry.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// Its name.
    pub name: &'static str,
    /// The versions this crate has: up to the newest that is stable.
    pub versions: VersionRange,
    /// The first flexible version (KIP-482).
    pub flexible_since: Option<i16>,
    /// What a client sends.
    pub request: Body,
    /// What a broker answers.
    pub response: Body,
}

/// A message in the registry.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Body {
    /// Its fields, as data.
    pub schema: &'static Struct,
    /// Decodes a body, and lets go of it.
    ///
    /// # Errors
    /// If the bytes are no such message.
    pub decode: fn(&Bytes, i16) -> Result<(), WireError>,
    /// Decodes a body, encodes it and decodes it again.
    ///
    /// # Errors
    /// If the bytes are no such message.
    pub round_trip: fn(Bytes, i16) -> Result<RoundTrip, WireError>,
}

/// What became of a body that was decoded, encoded and decoded again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoundTrip {
    /// What it was encoded to.
    pub bytes: Bytes,
    /// How long it said it would be.
    pub size: usize,
    /// Whether both values are equal.
    pub equal: bool,
}

impl Api {
    /// The entry of an API.
    pub(crate) const fn of<R: Request>() -> Self {
        Self {
            key: R::API,
            name: R::API.name(),
            versions: R::VERSIONS,
            flexible_since: R::FLEXIBLE_SINCE,
            request: Body::of::<R>(),
            response: Body::of::<R::Response>(),
        }
    }
}

impl Body {
    const fn of<M: Message>() -> Self {
        let Type::Struct(schema) = M::TYPE else {
            panic!("a message is a structure");
        };
        Self {
            schema,
            decode: |frame, version| decode_body::<M>(frame, version).map(drop),
            round_trip: round_trip::<M>,
        }
    }
}

fn round_trip<M: Message>(frame: Bytes, version: i16) -> Result<RoundTrip, WireError> {
    let first: M = decode_body(&frame, version)?;
    let mut buf = FrameBuf::new();
    let size = encode_body(&first, version, &mut buf)?;
    let bytes = buf.into_bytes();
    let second: M = decode_body(&bytes, version)?;
    Ok(RoundTrip { bytes, size, equal: first == second })
}

/// Every API this crate has messages for, by key.
pub const ALL: &[Api] = &[
    Api::of::<messages::ProduceRequest>(),
    Api::of::<messages::FetchRequest>(),
    Api::of::<messages::ListOffsetsRequest>(),
    Api::of::<messages::MetadataRequest>(),
    Api::of::<messages::ApiVersionsRequest>(),
    Api::of::<messages::CreateTopicsRequest>(),
    Api::of::<messages::DeleteTopicsRequest>(),
    Api::of::<messages::InitProducerIdRequest>(),
    Api::of::<messages::DescribeConfigsRequest>(),
    Api::of::<messages::CreatePartitionsRequest>(),
    Api::of::<messages::DescribeClusterRequest>(),
];

keys! {
     0 PRODUCE "Produce";
     1 FETCH "Fetch";
     2 LIST_OFFSETS "ListOffsets";
     3 METADATA "Metadata";
     4 LEADER_AND_ISR "LeaderAndIsr";
     5 STOP_REPLICA "StopReplica";
     6 UPDATE_METADATA "UpdateMetadata";
     7 CONTROLLED_SHUTDOWN "ControlledShutdown";
     8 OFFSET_COMMIT "OffsetCommit";
     9 OFFSET_FETCH "OffsetFetch";
    10 FIND_COORDINATOR "FindCoordinator";
    11 JOIN_GROUP "JoinGroup";
    12 HEARTBEAT "Heartbeat";
    13 LEAVE_GROUP "LeaveGroup";
    14 SYNC_GROUP "SyncGroup";
    15 DESCRIBE_GROUPS "DescribeGroups";
    16 LIST_GROUPS "ListGroups";
    17 SASL_HANDSHAKE "SaslHandshake";
    18 API_VERSIONS "ApiVersions";
    19 CREATE_TOPICS "CreateTopics";
    20 DELETE_TOPICS "DeleteTopics";
    21 DELETE_RECORDS "DeleteRecords";
    22 INIT_PRODUCER_ID "InitProducerId";
    23 OFFSET_FOR_LEADER_EPOCH "OffsetForLeaderEpoch";
    24 ADD_PARTITIONS_TO_TXN "AddPartitionsToTxn";
    25 ADD_OFFSETS_TO_TXN "AddOffsetsToTxn";
    26 END_TXN "EndTxn";
    27 WRITE_TXN_MARKERS "WriteTxnMarkers";
    28 TXN_OFFSET_COMMIT "TxnOffsetCommit";
    29 DESCRIBE_ACLS "DescribeAcls";
    30 CREATE_ACLS "CreateAcls";
    31 DELETE_ACLS "DeleteAcls";
    32 DESCRIBE_CONFIGS "DescribeConfigs";
    33 ALTER_CONFIGS "AlterConfigs";
    34 ALTER_REPLICA_LOG_DIRS "AlterReplicaLogDirs";
    35 DESCRIBE_LOG_DIRS "DescribeLogDirs";
    36 SASL_AUTHENTICATE "SaslAuthenticate";
    37 CREATE_PARTITIONS "CreatePartitions";
    38 CREATE_DELEGATION_TOKEN "CreateDelegationToken";
    39 RENEW_DELEGATION_TOKEN "RenewDelegationToken";
    40 EXPIRE_DELEGATION_TOKEN "ExpireDelegationToken";
    41 DESCRIBE_DELEGATION_TOKEN "DescribeDelegationToken";
    42 DELETE_GROUPS "DeleteGroups";
    43 ELECT_LEADERS "ElectLeaders";
    44 INCREMENTAL_ALTER_CONFIGS "IncrementalAlterConfigs";
    45 ALTER_PARTITION_REASSIGNMENTS "AlterPartitionReassignments";
    46 LIST_PARTITION_REASSIGNMENTS "ListPartitionReassignments";
    47 OFFSET_DELETE "OffsetDelete";
    48 DESCRIBE_CLIENT_QUOTAS "DescribeClientQuotas";
    49 ALTER_CLIENT_QUOTAS "AlterClientQuotas";
    50 DESCRIBE_USER_SCRAM_CREDENTIALS "DescribeUserScramCredentials";
    51 ALTER_USER_SCRAM_CREDENTIALS "AlterUserScramCredentials";
    52 VOTE "Vote";
    53 BEGIN_QUORUM_EPOCH "BeginQuorumEpoch";
    54 END_QUORUM_EPOCH "EndQuorumEpoch";
    55 DESCRIBE_QUORUM "DescribeQuorum";
    56 ALTER_PARTITION "AlterPartition";
    57 UPDATE_FEATURES "UpdateFeatures";
    58 ENVELOPE "Envelope";
    59 FETCH_SNAPSHOT "FetchSnapshot";
    60 DESCRIBE_CLUSTER "DescribeCluster";
    61 DESCRIBE_PRODUCERS "DescribeProducers";
    62 BROKER_REGISTRATION "BrokerRegistration";
    63 BROKER_HEARTBEAT "BrokerHeartbeat";
    64 UNREGISTER_BROKER "UnregisterBroker";
    65 DESCRIBE_TRANSACTIONS "DescribeTransactions";
    66 LIST_TRANSACTIONS "ListTransactions";
    67 ALLOCATE_PRODUCER_IDS "AllocateProducerIds";
    68 CONSUMER_GROUP_HEARTBEAT "ConsumerGroupHeartbeat";
    69 CONSUMER_GROUP_DESCRIBE "ConsumerGroupDescribe";
    70 CONTROLLER_REGISTRATION "ControllerRegistration";
    71 GET_TELEMETRY_SUBSCRIPTIONS "GetTelemetrySubscriptions";
    72 PUSH_TELEMETRY "PushTelemetry";
    73 ASSIGN_REPLICAS_TO_DIRS "AssignReplicasToDirs";
    74 LIST_CONFIG_RESOURCES "ListConfigResources";
    75 DESCRIBE_TOPIC_PARTITIONS "DescribeTopicPartitions";
    76 SHARE_GROUP_HEARTBEAT "ShareGroupHeartbeat";
    77 SHARE_GROUP_DESCRIBE "ShareGroupDescribe";
    78 SHARE_FETCH "ShareFetch";
    79 SHARE_ACKNOWLEDGE "ShareAcknowledge";
    80 ADD_RAFT_VOTER "AddRaftVoter";
    81 REMOVE_RAFT_VOTER "RemoveRaftVoter";
    82 UPDATE_RAFT_VOTER "UpdateRaftVoter";
    83 INITIALIZE_SHARE_GROUP_STATE "InitializeShareGroupState";
    84 READ_SHARE_GROUP_STATE "ReadShareGroupState";
    85 WRITE_SHARE_GROUP_STATE "WriteShareGroupState";
    86 DELETE_SHARE_GROUP_STATE "DeleteShareGroupState";
    87 READ_SHARE_GROUP_STATE_SUMMARY "ReadShareGroupStateSummary";
    88 STREAMS_GROUP_HEARTBEAT "StreamsGroupHeartbeat";
    89 STREAMS_GROUP_DESCRIBE "StreamsGroupDescribe";
    90 DESCRIBE_SHARE_GROUP_OFFSETS "DescribeShareGroupOffsets";
    91 ALTER_SHARE_GROUP_OFFSETS "AlterShareGroupOffsets";
    92 DELETE_SHARE_GROUP_OFFSETS "DeleteShareGroupOffsets";
    93 STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE "StreamsGroupTopologyDescriptionUpdate";
    94 UNREGISTER_CONTROLLER "UnregisterController";
}
