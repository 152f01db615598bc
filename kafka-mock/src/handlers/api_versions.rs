//! ApiVersions: what is served, and in which versions.

use kafka_wire::messages::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use kafka_wire::{ApiKey, ErrorCode, Listener, Message, NodeId, RequestHeader};

use super::{reply, reply_in};
use crate::answer::Answer;
use crate::state::Cluster;
use crate::unserved::NEWEST_FIND_COORDINATOR;

pub(super) fn answer(
    cluster: &Cluster,
    node: NodeId,
    header: &RequestHeader,
    request: Option<&ApiVersionsRequest>,
) -> Answer {
    let own = cluster.versions(ApiKey::API_VERSIONS, ApiVersionsRequest::VERSIONS);
    let request = request.filter(|_| own.is_some_and(|own| own.contains(header.api_version)));
    match request {
        // A client newer than this cluster is told so in the one version all of them read (KIP-511).
        None => {
            let own = served(cluster, node).filter(|api| api.api_key == ApiKey::API_VERSIONS);
            let response = ApiVersionsResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION,
                api_keys: own.collect(),
                ..Default::default()
            };
            reply_in(header, 0, &response)
        }
        Some(request) => {
            let response = match refuse(cluster, node, header.api_version, request) {
                Some(error_code) => ApiVersionsResponse { error_code, ..Default::default() },
                None => {
                    ApiVersionsResponse { api_keys: served(cluster, node).collect(), ..Default::default() }
                }
            };
            reply(header, &response)
        }
    }
}

/// Why a client is told nothing: what it says of itself is none, or it means somebody else (KIP-1242).
fn refuse(cluster: &Cluster, node: NodeId, version: i16, request: &ApiVersionsRequest) -> Option<ErrorCode> {
    if version >= FIRST_WITH_SOFTWARE && !has_legal_software(request) {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    // Older versions have neither.
    match (&request.cluster_id, request.node_id) {
        (None, NodeId::NONE) => None,
        // Both or none.
        (None, _) | (Some(_), NodeId::NONE) => Some(ErrorCode::INVALID_REQUEST),
        // Controllers do not look.
        (Some(_), _) if cluster.is_controller(node) => None,
        (Some(id), meant) => (id != cluster.id() || meant != node).then_some(ErrorCode::REBOOTSTRAP_REQUIRED),
    }
}

/// Every API there is a handler for: all of kafka-wire's today. And FindCoordinator, to say no: without it, librdkafka would
/// not use lz4 and group members would wait in silence for a coordinator, instead of being told that there are no groups.
fn served(cluster: &Cluster, node: NodeId) -> impl Iterator<Item = ApiVersion> + '_ {
    let find_coordinator = ApiVersion {
        api_key: ApiKey::FIND_COORDINATOR,
        min_version: 0,
        max_version: NEWEST_FIND_COORDINATOR,
    };
    let is_controller = cluster.is_controller(node);
    let served = kafka_wire::ALL.iter().filter(move |api| !is_controller || is_of_controllers(api.key));
    let served = served.filter_map(|api| {
        let versions = cluster.versions(api.key, api.versions)?;
        // Brokers since 4.0 take Produce from version 3 on but say 0, without which older librdkafka would not produce.
        let all = api.key == ApiKey::PRODUCE && versions.min == api.versions.min;
        let min_version = if all { 0 } else { versions.min };
        Some(ApiVersion { api_key: api.key, min_version, max_version: versions.max })
    });
    served.chain((!is_controller).then_some(find_coordinator))
}

/// Whether a controller of a KRaft quorum serves an API.
pub(crate) fn is_of_controllers(api: ApiKey) -> bool {
    api.api().is_some_and(|api| api.listeners.contains(&Listener::Controller))
}

fn has_legal_software(request: &ApiVersionsRequest) -> bool {
    is_legal(&request.client_software_name) && is_legal(&request.client_software_version)
}

/// Letters and digits, with `-` and `.` only between them (KIP-511).
fn is_legal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().into_iter().chain(bytes.last());
    !bytes.is_empty()
        && ends.clone().all(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

const FIRST_WITH_SOFTWARE: i16 = 3;
