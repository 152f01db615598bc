//! Why a connection is closed.

use std::fmt;

use kafka_wire::{ApiKey, WireError};

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The bytes are no request.
    Malformed {
        /// The API of its header, when that much could be read.
        api: Option<ApiKey>,
        /// What is wrong with it.
        source: WireError,
    },
    /// An API or a version that is not served and has no answer that says so.
    NotServed {
        /// The API asked for.
        api: ApiKey,
        /// In this version.
        version: i16,
    },
    /// A Produce request with acks=0 failed: there is no answer that could tell, so brokers hang up.
    FailedWithoutAcks {
        /// What went wrong, as an answer would have said it.
        code: kafka_wire::ErrorCode,
    },
    /// The broker was stopped.
    BrokerDown,
    /// An answer has no bytes in the version asked for. This is a fault of the cluster, not of the client.
    Unencodable {
        /// The API asked for.
        api: ApiKey,
        /// What could not be written.
        source: WireError,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { api: None, .. } => f.write_str("malformed request header"),
            Self::Malformed { api: Some(api), .. } => write!(f, "malformed {api} request"),
            Self::NotServed { api, version } => write!(f, "{api} version {version} is not served"),
            Self::FailedWithoutAcks { code } => write!(f, "produce with acks=0 failed: {code}"),
            Self::BrokerDown => f.write_str("the broker was stopped"),
            Self::Unencodable { api, .. } => write!(f, "the answer to {api} cannot be encoded"),
        }
    }
}

impl std::error::Error for CloseReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed { source, .. } | Self::Unencodable { source, .. } => Some(source),
            Self::NotServed { .. } | Self::FailedWithoutAcks { .. } | Self::BrokerDown => None,
        }
    }
}
