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
use crate::wire::{Cx, Destination, Listener, Message, Request, Wire};

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
    /// Which broker a request is for.
    pub destination: Destination,
    /// Whose listeners take it.
    pub listeners: &'static [Listener],
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
            destination: R::DESTINATION,
            listeners: R::LISTENERS,
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

/// Whether the registry has an API: asked by each table when it is compiled, so that none is left out.
pub(crate) const fn is_registered(key: ApiKey) -> bool {
    let mut rest = ALL;
    while let [api, others @ ..] = rest {
        if api.key.0 == key.0 {
            return true;
        }
        rest = others;
    }
    false
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

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::ids::Acks;
    use crate::wire::Response as _;

    fn has_throttle_time(api: &Api) -> bool {
        api.response.schema.fields.iter().any(|field| field.name == "throttle_time_ms")
    }

    /// KIP-219 came with Kafka 2.0, which had no API after DeleteGroups. `cargo xtask schema` compares the
    /// versions with Kafka's definitions.
    #[test]
    fn no_api_with_a_throttle_time_goes_unthrottled() {
        for api in ALL.iter().filter(|api| has_throttle_time(api)) {
            let since = api.key.throttled_since();
            assert!(since <= api.versions.max, "{}", api.name);
            let is_older = api.key <= ApiKey::DELETE_GROUPS;
            assert_eq!(is_older, since > 0, "{}: which version began with it?", api.name);
        }
    }

    #[test]
    fn an_api_that_nobody_thought_of_is_throttled() {
        assert_eq!(ApiKey::CONSUMER_GROUP_HEARTBEAT.throttled_since(), 0, "long after KIP-219");
        assert_eq!(ApiKey(30_000).throttled_since(), 0, "a key without a name");
    }

    /// Kafka's `shouldClientThrottle`, response by response.
    #[test]
    fn throttling_begins_with_kafkas_version() {
        let since = [
            (ApiKey::PRODUCE, 6),
            (ApiKey::FETCH, 8),
            (ApiKey::LIST_OFFSETS, 3),
            (ApiKey::METADATA, 6),
            (ApiKey::OFFSET_COMMIT, 4),
            (ApiKey::FIND_COORDINATOR, 2),
            (ApiKey::API_VERSIONS, 2),
            (ApiKey::CREATE_TOPICS, 3),
            (ApiKey::DELETE_TOPICS, 2),
            (ApiKey::INIT_PRODUCER_ID, 1),
            (ApiKey::DESCRIBE_CONFIGS, 2),
            (ApiKey::CREATE_PARTITIONS, 1),
            (ApiKey::DESCRIBE_CLUSTER, 0),
        ];
        assert_eq!(since.map(|(api, _)| (api, api.throttled_since())), since);
    }

    #[test]
    fn only_produce_without_acks_goes_unanswered() {
        let produce = |acks| messages::ProduceRequest { acks, ..Default::default() };
        assert!(!produce(Acks::NONE).expects_reply());
        assert!(produce(Acks::LEADER).expects_reply() && produce(Acks::ALL).expects_reply());
        assert!(messages::FetchRequest::default().expects_reply());
    }

    #[test]
    fn the_throttle_time_is_found_among_the_rows() {
        let response = |throttle_time_ms| {
            messages::ApiVersionsResponse { throttle_time_ms, ..Default::default() }.throttle_time()
        };
        assert_eq!(response(1500), Duration::from_millis(1500));
        assert_eq!(response(-1), Duration::ZERO, "a broker that cannot count");
    }
}
