//! DescribeCluster: the brokers.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::table::messages;

messages! {
    /// Asks for the brokers (KIP-700).
    api DescribeCluster = 60, versions 0..=2, flexible 0;
    to Any, listeners [Broker Controller], reply [always];

    request DescribeClusterRequest {
        [_]      include_cluster_authorized_operations: bool,
        /// 1 for the brokers, 2 for the controllers (KIP-919).
        [1..]    endpoint_type: i8 = 1,
        /// Those, too, that are registered but not alive (KIP-1073).
        [2..]    include_fenced_brokers: bool,
    }
    response DescribeClusterResponse {
        [_]      throttle_time_ms: i32,
        [_]      error_code: ErrorCode,
        [_]      error_message: Option<String>,
        /// As in the request.
        [1..]    endpoint_type: i8 = 1,
        [_]      cluster_id: String,
        /// A broker names any broker that is alive: the controller takes no clients.
        [_]      controller_id: NodeId = NodeId::NONE,
        [_]      brokers: Vec<DescribeClusterBroker>,
        /// A bit for each operation of an access list; `i32::MIN` if not asked for.
        [_]      cluster_authorized_operations: i32 = i32::MIN,
    }

    /// A broker and its address.
    group DescribeClusterBroker {
        [_]      broker_id: NodeId,
        [_]      host: String,
        [_]      port: i32,
        [_]      rack: Option<String>,
        [2..]    is_fenced: bool,
    }
}
