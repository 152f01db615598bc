//! ApiVersions: what a broker can.

use alloc::string::String;
use alloc::vec::Vec;

use crate::api::ApiKey;
use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::table::messages;

messages! {
    /// Asks a broker for the versions it has of each API: the first request on a connection.
    api ApiVersions = 18, versions 0..=5, flexible 3;
    to Any, listeners [Broker Controller], reply [always];

    request ApiVersionsRequest {
        /// Letters, digits, and inside also `-` and `.` (KIP-511); anything else is `INVALID_REQUEST`.
        [3..]    client_software_name: String,
        /// As the name.
        [3..]    client_software_version: String,
        /// The cluster that the client means, if it knows: another one answers `REBOOTSTRAP_REQUIRED` (KIP-1242).
        [5..]    cluster_id: Option<String>,
        /// The node that the client means; given together with the cluster, or not at all.
        [5..]    node_id: NodeId = NodeId::NONE,
    }
    /// A broker that does not know the version asked answers `UNSUPPORTED_VERSION` in version 0 (KIP-511).
    response ApiVersionsResponse {
        [_]          error_code: ErrorCode,
        [_]          api_keys: Vec<ApiVersion>,
        [1..]        throttle_time_ms: i32,
        /// What the broker could do (KIP-584).
        [3.., tag 0] supported_features: Vec<SupportedFeatureKey>,
        /// Orders the answers of several brokers; -1 if it is not known.
        [3.., tag 1] finalized_features_epoch: i64 = -1,
        /// What the cluster agreed to do.
        [3.., tag 2] finalized_features: Vec<FinalizedFeatureKey>,
        [3.., tag 3] zk_migration_ready: bool,
    }

    /// An API and the versions a broker has of it.
    group ApiVersion {
        [_]      api_key: ApiKey,
        [_]      min_version: i16,
        [_]      max_version: i16,
    }

    /// A feature and its levels.
    group SupportedFeatureKey {
        [3..]    name: String,
        [3..]    min_version: i16,
        [3..]    max_version: i16,
    }

    /// A feature and its level.
    group FinalizedFeatureKey {
        [3..]    name: String,
        [3..]    max_version_level: i16,
        [3..]    min_version_level: i16,
    }
}
