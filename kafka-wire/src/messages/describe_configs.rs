//! DescribeConfigs.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::table::messages;

messages! {
    api DescribeConfigs = 32, versions 1..=4, flexible 4;

    request DescribeConfigsRequest {
        [_]      resources: Vec<DescribeConfigsResource>,
        [_]      include_synonyms: bool,
        [3..]    include_documentation: bool,
    }
    response DescribeConfigsResponse {
        [_]      throttle_time_ms: i32,
        [_]      results: Vec<DescribeConfigsResult>,
    }

    group DescribeConfigsResource {
        [_]      resource_type: i8,
        [_]      resource_name: String,
        [_]      configuration_keys: Option<Vec<String>> = Some(Vec::new()),
    }

    group DescribeConfigsResult {
        [_]      error_code: ErrorCode,
        [_]      error_message: Option<String> = Some(String::default()),
        [_]      resource_type: i8,
        [_]      resource_name: String,
        [_]      configs: Vec<DescribeConfigsResourceResult>,
    }

    group DescribeConfigsResourceResult {
        [_]      name: String,
        [_]      value: Option<String> = Some(String::default()),
        [_]      read_only: bool,
        [_]      config_source: i8 = -1,
        [_]      is_sensitive: bool,
        [_]      synonyms: Vec<DescribeConfigsSynonym>,
        [3..]    config_type: i8,
        [3..]    documentation: Option<String> = Some(String::default()),
    }

    group DescribeConfigsSynonym {
        [_]      name: String,
        [_]      value: Option<String> = Some(String::default()),
        [_]      source: i8,
    }
}
