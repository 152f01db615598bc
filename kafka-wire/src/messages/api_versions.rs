//! ApiVersions.

use alloc::string::String;
use alloc::vec::Vec;

use crate::api::ApiKey;
use crate::error_code::ErrorCode;
use crate::table::messages;

messages! {
    api ApiVersions = 18, versions 0..=4, flexible 3;

    request ApiVersionsRequest {
        [3..]    client_software_name: String,
        [3..]    client_software_version: String,
    }
    response ApiVersionsResponse {
        [_]          error_code: ErrorCode,
        [_]          api_keys: Vec<ApiVersion>,
        [1..]        throttle_time_ms: i32,
        [3.., tag 0] supported_features: Vec<SupportedFeatureKey>,
        [3.., tag 1] finalized_features_epoch: i64 = -1,
        [3.., tag 2] finalized_features: Vec<FinalizedFeatureKey>,
        [3.., tag 3] zk_migration_ready: bool,
    }

    group ApiVersion {
        [_]      api_key: ApiKey,
        [_]      min_version: i16,
        [_]      max_version: i16,
    }

    group SupportedFeatureKey {
        [3..]    name: String,
        [3..]    min_version: i16,
        [3..]    max_version: i16,
    }

    group FinalizedFeatureKey {
        [3..]    name: String,
        [3..]    max_version_level: i16,
        [3..]    min_version_level: i16,
    }
}
