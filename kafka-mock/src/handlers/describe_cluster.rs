//! DescribeCluster: the brokers, for admin clients.

use kafka_wire::messages::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use kafka_wire::{ErrorCode, NodeId};

use crate::state::Cluster;

pub(super) fn answer(
    cluster: &Cluster,
    node: NodeId,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let is_controller = cluster.is_controller(node);
    let refused = match request.endpoint_type {
        BROKERS if is_controller => {
            Some((ErrorCode::MISMATCHED_ENDPOINT_TYPE, "this is a controller, not a broker"))
        }
        CONTROLLERS if !is_controller => {
            Some((ErrorCode::MISMATCHED_ENDPOINT_TYPE, "this is a broker, not a controller"))
        }
        BROKERS | CONTROLLERS => None,
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
    let members = if is_controller { cluster.controllers() } else { cluster.brokers() };
    let members =
        members.iter().filter(|member| cluster.is_up(member.id)).map(|member| DescribeClusterBroker {
            broker_id: member.id,
            host: member.host.clone(),
            port: i32::from(member.port),
            ..Default::default()
        });
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: cluster.id().to_owned(),
        controller_id: if is_controller { node } else { cluster.controller() },
        brokers: members.collect(),
        ..Default::default()
    }
}

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
