//! DescribeCluster: the brokers, for admin clients.

use kafka_wire::ErrorCode;
use kafka_wire::messages::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};

use crate::cluster::Cluster;

pub(super) fn answer(cluster: &Cluster, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((ErrorCode::MISMATCHED_ENDPOINT_TYPE, "this is a broker, not a controller")),
        _ => Some((
            ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
            "the endpoint type is neither 1, brokers, nor 2, controllers",
        )),
    };
    if let Some((error_code, message)) = refused {
        return DescribeClusterResponse {
            error_code,
            error_message: Some(message.to_owned()),
            ..Default::default()
        };
    }
    let brokers = cluster.brokers_up().map(|broker| DescribeClusterBroker {
        broker_id: broker.id,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        ..Default::default()
    });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: cluster.id().to_owned(),
        controller_id: cluster.controller(),
        brokers: brokers.collect(),
        ..Default::default()
    }
}

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
