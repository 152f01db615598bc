//! The codes with which a broker says no.

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

/// Kafka's error code: zero is success. Codes this crate has no name for are kept as they are.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number, and never anything else")]
pub struct ErrorCode(pub i16);

/// What can be done about a code, by Kafka's hierarchy of exceptions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// No error.
    Fine,
    /// Asking again does not help.
    Final,
    /// Asking again may help.
    Retriable,
    /// Asking again may help, once the metadata is fresh.
    Refresh,
}

macro_rules! codes {
    ($($number:literal $name:ident: $class:ident;)*) => {
        #[expect(missing_docs, reason = "Kafka's names say it")]
        impl ErrorCode {
            $(pub const $name: Self = Self($number);)*

            /// Every code that has a name.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Kafka's name; a code without one counts as `UNKNOWN_SERVER_ERROR`, as Kafka's own clients do it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self(_) => "UNKNOWN_SERVER_ERROR",
                }
            }

            const fn class(self) -> Class {
                match self {
                    $(Self::$name => codes!(class $class),)*
                    Self(_) => Class::Final,
                }
            }
        }
    };
    (class fine) => { Class::Fine };
    (class final_) => { Class::Final };
    (class retriable) => { Class::Retriable };
    (class refresh) => { Class::Refresh };
}

impl ErrorCode {
    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }

    /// Whether this is no error.
    #[inline]
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Whether this is an error.
    #[inline]
    #[must_use]
    pub const fn is_err(self) -> bool {
        self.0 != 0
    }

    /// Whether the error may pass by itself, so that the same request may succeed later.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self.class(), Class::Retriable | Class::Refresh)
    }

    /// Whether the metadata that led here is out of date: refresh it before asking again.
    #[must_use]
    pub const fn is_invalid_metadata(self) -> bool {
        matches!(self.class(), Class::Refresh)
    }
}

impl From<i16> for ErrorCode {
    fn from(number: i16) -> Self {
        Self(number)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.0
    }
}

/// Name and number: `NOT_LEADER_OR_FOLLOWER (6)`.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode({self})")
    }
}

transparent!(ErrorCode, i16, Type::plain("int16"));

// The classes are those of the exceptions in `org.apache.kafka.common.protocol.Errors` of Kafka 4.4.0.
codes! {
     -1 UNKNOWN_SERVER_ERROR: final_;
      0 NONE: fine;
      1 OFFSET_OUT_OF_RANGE: final_;
      2 CORRUPT_MESSAGE: retriable;
      3 UNKNOWN_TOPIC_OR_PARTITION: refresh;
      4 INVALID_FETCH_SIZE: final_;
      5 LEADER_NOT_AVAILABLE: refresh;
      6 NOT_LEADER_OR_FOLLOWER: refresh;
      7 REQUEST_TIMED_OUT: retriable;
      8 BROKER_NOT_AVAILABLE: final_;
      9 REPLICA_NOT_AVAILABLE: refresh;
     10 MESSAGE_TOO_LARGE: final_;
     11 STALE_CONTROLLER_EPOCH: final_;
     12 OFFSET_METADATA_TOO_LARGE: final_;
     13 NETWORK_EXCEPTION: refresh;
     14 COORDINATOR_LOAD_IN_PROGRESS: retriable;
     15 COORDINATOR_NOT_AVAILABLE: retriable;
     16 NOT_COORDINATOR: retriable;
     17 INVALID_TOPIC_EXCEPTION: final_;
     18 RECORD_LIST_TOO_LARGE: final_;
     19 NOT_ENOUGH_REPLICAS: retriable;
     20 NOT_ENOUGH_REPLICAS_AFTER_APPEND: retriable;
     21 INVALID_REQUIRED_ACKS: final_;
     22 ILLEGAL_GENERATION: final_;
     23 INCONSISTENT_GROUP_PROTOCOL: final_;
     24 INVALID_GROUP_ID: final_;
     25 UNKNOWN_MEMBER_ID: final_;
     26 INVALID_SESSION_TIMEOUT: final_;
     27 REBALANCE_IN_PROGRESS: final_;
     28 INVALID_COMMIT_OFFSET_SIZE: final_;
     29 TOPIC_AUTHORIZATION_FAILED: final_;
     30 GROUP_AUTHORIZATION_FAILED: final_;
     31 CLUSTER_AUTHORIZATION_FAILED: final_;
     32 INVALID_TIMESTAMP: final_;
     33 UNSUPPORTED_SASL_MECHANISM: final_;
     34 ILLEGAL_SASL_STATE: final_;
     35 UNSUPPORTED_VERSION: final_;
     36 TOPIC_ALREADY_EXISTS: final_;
     37 INVALID_PARTITIONS: final_;
     38 INVALID_REPLICATION_FACTOR: final_;
     39 INVALID_REPLICA_ASSIGNMENT: final_;
     40 INVALID_CONFIG: final_;
     41 NOT_CONTROLLER: retriable;
     42 INVALID_REQUEST: final_;
     43 UNSUPPORTED_FOR_MESSAGE_FORMAT: final_;
     44 POLICY_VIOLATION: final_;
     45 OUT_OF_ORDER_SEQUENCE_NUMBER: final_;
     46 DUPLICATE_SEQUENCE_NUMBER: final_;
     47 INVALID_PRODUCER_EPOCH: final_;
     48 INVALID_TXN_STATE: final_;
     49 INVALID_PRODUCER_ID_MAPPING: final_;
     50 INVALID_TRANSACTION_TIMEOUT: final_;
     51 CONCURRENT_TRANSACTIONS: retriable;
     52 TRANSACTION_COORDINATOR_FENCED: final_;
     53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED: final_;
     54 SECURITY_DISABLED: final_;
     55 OPERATION_NOT_ATTEMPTED: final_;
     56 KAFKA_STORAGE_ERROR: refresh;
     57 LOG_DIR_NOT_FOUND: final_;
     58 SASL_AUTHENTICATION_FAILED: final_;
     59 UNKNOWN_PRODUCER_ID: final_;
     60 REASSIGNMENT_IN_PROGRESS: final_;
     61 DELEGATION_TOKEN_AUTH_DISABLED: final_;
     62 DELEGATION_TOKEN_NOT_FOUND: final_;
     63 DELEGATION_TOKEN_OWNER_MISMATCH: final_;
     64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: final_;
     65 DELEGATION_TOKEN_AUTHORIZATION_FAILED: final_;
     66 DELEGATION_TOKEN_EXPIRED: final_;
     67 INVALID_PRINCIPAL_TYPE: final_;
     68 NON_EMPTY_GROUP: final_;
     69 GROUP_ID_NOT_FOUND: final_;
     70 FETCH_SESSION_ID_NOT_FOUND: retriable;
     71 INVALID_FETCH_SESSION_EPOCH: retriable;
     72 LISTENER_NOT_FOUND: refresh;
     73 TOPIC_DELETION_DISABLED: final_;
     74 FENCED_LEADER_EPOCH: refresh;
     75 UNKNOWN_LEADER_EPOCH: retriable;
     76 UNSUPPORTED_COMPRESSION_TYPE: final_;
     77 STALE_BROKER_EPOCH: final_;
     78 OFFSET_NOT_AVAILABLE: retriable;
     79 MEMBER_ID_REQUIRED: final_;
     80 PREFERRED_LEADER_NOT_AVAILABLE: refresh;
     81 GROUP_MAX_SIZE_REACHED: final_;
     82 FENCED_INSTANCE_ID: final_;
     83 ELIGIBLE_LEADERS_NOT_AVAILABLE: refresh;
     84 ELECTION_NOT_NEEDED: refresh;
     85 NO_REASSIGNMENT_IN_PROGRESS: final_;
     86 GROUP_SUBSCRIBED_TO_TOPIC: final_;
     87 INVALID_RECORD: final_;
     88 UNSTABLE_OFFSET_COMMIT: retriable;
     89 THROTTLING_QUOTA_EXCEEDED: retriable;
     90 PRODUCER_FENCED: final_;
     91 RESOURCE_NOT_FOUND: final_;
     92 DUPLICATE_RESOURCE: final_;
     93 UNACCEPTABLE_CREDENTIAL: final_;
     94 INCONSISTENT_VOTER_SET: final_;
     95 INVALID_UPDATE_VERSION: final_;
     96 FEATURE_UPDATE_FAILED: final_;
     97 PRINCIPAL_DESERIALIZATION_FAILURE: final_;
     98 SNAPSHOT_NOT_FOUND: final_;
     99 POSITION_OUT_OF_RANGE: final_;
    100 UNKNOWN_TOPIC_ID: refresh;
    101 DUPLICATE_BROKER_REGISTRATION: final_;
    102 BROKER_ID_NOT_REGISTERED: final_;
    103 INCONSISTENT_TOPIC_ID: refresh;
    104 INCONSISTENT_CLUSTER_ID: final_;
    105 TRANSACTIONAL_ID_NOT_FOUND: final_;
    106 FETCH_SESSION_TOPIC_ID_ERROR: retriable;
    107 INELIGIBLE_REPLICA: final_;
    108 NEW_LEADER_ELECTED: final_;
    109 OFFSET_MOVED_TO_TIERED_STORAGE: final_;
    110 FENCED_MEMBER_EPOCH: final_;
    111 UNRELEASED_INSTANCE_ID: final_;
    112 UNSUPPORTED_ASSIGNOR: final_;
    113 STALE_MEMBER_EPOCH: final_;
    114 MISMATCHED_ENDPOINT_TYPE: final_;
    115 UNSUPPORTED_ENDPOINT_TYPE: final_;
    116 UNKNOWN_CONTROLLER_ID: final_;
    117 UNKNOWN_SUBSCRIPTION_ID: final_;
    118 TELEMETRY_TOO_LARGE: final_;
    119 INVALID_REGISTRATION: final_;
    120 TRANSACTION_ABORTABLE: final_;
    121 INVALID_RECORD_STATE: final_;
    122 SHARE_SESSION_NOT_FOUND: retriable;
    123 INVALID_SHARE_SESSION_EPOCH: retriable;
    124 FENCED_STATE_EPOCH: final_;
    125 INVALID_VOTER_KEY: final_;
    126 DUPLICATE_VOTER: final_;
    127 VOTER_NOT_FOUND: final_;
    128 INVALID_REGULAR_EXPRESSION: final_;
    129 REBOOTSTRAP_REQUIRED: final_;
    130 STREAMS_INVALID_TOPOLOGY: final_;
    131 STREAMS_INVALID_TOPOLOGY_EPOCH: final_;
    132 STREAMS_TOPOLOGY_FENCED: final_;
    133 SHARE_SESSION_LIMIT_REACHED: retriable;
    134 GROUP_DELETION_FAILED: final_;
    135 STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED: final_;
    136 CONTROLLER_ID_NOT_REGISTERED: final_;
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn every_number_from_the_first_to_the_last_has_a_name() {
        let numbers: alloc::vec::Vec<i16> = ErrorCode::ALL.iter().map(|code| code.get()).collect();
        assert_eq!(numbers, (-1..=136).collect::<alloc::vec::Vec<i16>>());
    }

    #[test]
    fn codes_have_kafkas_classes() {
        let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        assert!(code.is_retriable() && code.is_invalid_metadata() && code.is_err());
        assert_eq!(code.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        let code = ErrorCode::REQUEST_TIMED_OUT;
        assert!(code.is_retriable() && !code.is_invalid_metadata());
        assert!(!ErrorCode::MESSAGE_TOO_LARGE.is_retriable());
        assert!(ErrorCode::NONE.is_ok() && !ErrorCode::NONE.is_retriable());
        let unknown = ErrorCode(999);
        assert!(unknown.is_err() && !unknown.is_retriable());
        assert_eq!(unknown.to_string(), "UNKNOWN_SERVER_ERROR (999)");
    }
}
