//! DescribeCluster.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::table::messages;

messages! {
    api DescribeCluster = 60, versions 0..=2, flexible 0;

    request DescribeClusterRequest {
        [_]      include_cluster_authorized_operations: bool,
        [1..]    endpoint_type: i8 = 1,
        [2..]    include_fenced_brokers: bool,
    }
    response DescribeClusterResponse {
        [_]      throttle_time_ms: i32,
        [_]      error_code: ErrorCode,
        [_]      error_message: Option<String>,
        [1..]    endpoint_type: i8 = 1,
        [_]      cluster_id: String,
        [_]      controller_id: NodeId = NodeId::NONE,
        [_]      brokers: Vec<DescribeClusterBroker>,
        [_]      cluster_authorized_operations: i32 = i32::MIN,
    }

    group DescribeClusterBroker {
        [_]      broker_id: NodeId,
        [_]      host: String,
        [_]      port: i32,
        [_]      rack: Option<String>,
        [2..]    is_fenced: bool,
    }
}
