//! DescribeConfigs: the settings of topics and brokers.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::table::messages;

messages! {
    /// Asks for the settings of topics and brokers.
    api DescribeConfigs = 32, versions 1..=4, flexible 4;
    to Any, listeners [Broker Controller], reply [always];

    request DescribeConfigsRequest {
        [_]      resources: Vec<DescribeConfigsResource>,
        [_]      include_synonyms: bool,
        [3..]    include_documentation: bool,
    }
    response DescribeConfigsResponse {
        [_]      throttle_time_ms: i32,
        [_]      results: Vec<DescribeConfigsResult>,
    }

    /// A topic or a broker.
    group DescribeConfigsResource {
        /// 2 for a topic, 4 for a broker.
        [_]      resource_type: i8,
        [_]      resource_name: String,
        /// Null for all of them.
        [_]      configuration_keys: Option<Vec<String>> = Some(Vec::new()),
    }

    /// The settings of a topic or a broker.
    group DescribeConfigsResult {
        [_]      error_code: ErrorCode,
        [_]      error_message: Option<String> = Some(String::default()),
        [_]      resource_type: i8,
        [_]      resource_name: String,
        [_]      configs: Vec<DescribeConfigsResourceResult>,
    }

    /// A setting.
    group DescribeConfigsResourceResult {
        [_]      name: String,
        /// Null where it is secret.
        [_]      value: Option<String> = Some(String::default()),
        [_]      read_only: bool,
        /// 1 the topic, 2 the broker, 3 the default of all brokers, 4 the broker's file, 5 Kafka's default.
        [_]      config_source: i8 = -1,
        [_]      is_sensitive: bool,
        [_]      synonyms: Vec<DescribeConfigsSynonym>,
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        [3..]    config_type: i8,
        [3..]    documentation: Option<String> = Some(String::default()),
    }

    /// Where else the setting has a value, by precedence.
    group DescribeConfigsSynonym {
        [_]      name: String,
        [_]      value: Option<String> = Some(String::default()),
        /// As `config_source`.
        [_]      source: i8,
    }
}
