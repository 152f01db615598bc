//! ApiVersions: the first thing any client asks.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_mock::{Answer, Change, CloseReason, ClusterConfig};
use kafka_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_wire::{ApiKey, ErrorCode, NodeId};

use crate::harness::{CORRELATION, LEADER, World, closed, reply};

fn request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "a-test".into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    }
}

/// Key, first and last version of an API.
fn range(response: &ApiVersionsResponse, key: ApiKey) -> Option<(i16, i16)> {
    response.api_keys.iter().find(|api| api.api_key == key).map(|api| (api.min_version, api.max_version))
}

#[test]
fn what_is_served_is_told_in_every_version() {
    let mut world = World::new();
    for version in 0..=5 {
        let response = world.call(LEADER, version, &request());
        assert_eq!(response.error_code, ErrorCode::NONE, "version {version}");
        for (key, expected) in [
            // Produce says 0, as brokers do for the sake of older librdkafka.
            (ApiKey::PRODUCE, Some((0, 13))),
            (ApiKey::FETCH, Some((4, 18))),
            (ApiKey::LIST_OFFSETS, Some((1, 11))),
            (ApiKey::METADATA, Some((0, 13))),
            (ApiKey::API_VERSIONS, Some((0, 5))),
            (ApiKey::CREATE_TOPICS, Some((2, 7))),
            (ApiKey::DELETE_TOPICS, Some((1, 6))),
            (ApiKey::INIT_PRODUCER_ID, Some((0, 5))),
            (ApiKey::DESCRIBE_CONFIGS, Some((1, 4))),
            (ApiKey::CREATE_PARTITIONS, Some((0, 3))),
            (ApiKey::DESCRIBE_CLUSTER, Some((0, 2))),
            // To say no: its answer is that there are no groups.
            (ApiKey::FIND_COORDINATOR, Some((0, 6))),
            (ApiKey::JOIN_GROUP, None),
            (ApiKey::ADD_PARTITIONS_TO_TXN, None),
        ] {
            assert_eq!(range(&response, key), expected, "{key}");
        }
    }
}

/// A header, and a body that nobody may look at.
fn frame(key: ApiKey, version: i16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key.0);
    frame.put_i16(version);
    frame.put_i32(CORRELATION.0);
    frame.put_i16(-1);
    frame.put_slice(body);
    frame.freeze()
}

#[test]
fn a_version_from_the_future_is_answered_in_version_0() {
    let mut world = World::new();
    for version in [6, 99, i16::MAX, -1] {
        let answer =
            world.cluster.handle(LEADER, frame(ApiKey::API_VERSIONS, version, b"\0what\xffever"), world.now);
        let (correlation, response): (_, ApiVersionsResponse) =
            kafka_wire::decode_response(&reply(answer), 0).expect("version 0");
        assert_eq!(correlation, CORRELATION);
        assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
        assert_eq!(response.api_keys.len(), 1);
        assert_eq!(range(&response, ApiKey::API_VERSIONS), Some((0, 5)));
    }
}

#[test]
fn a_client_must_name_itself_legally() {
    let mut world = World::new();
    for (name, version) in
        [("", "1"), ("a", ""), ("-a", "1"), ("a-", "1"), ("a b", "1"), ("a", "1\n"), ("é", "1")]
    {
        let request = ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..Default::default()
        };
        let response = world.call(LEADER, 3, &request);
        assert_eq!(response.error_code, ErrorCode::INVALID_REQUEST, "{name:?} {version:?}");
        assert!(response.api_keys.is_empty());
    }
    let plain = ApiVersionsRequest {
        client_software_name: "a".into(),
        client_software_version: "1.2-rc.3".into(),
        ..Default::default()
    };
    assert_eq!(world.call(LEADER, 4, &plain).error_code, ErrorCode::NONE);
}

#[test]
fn other_apis_in_versions_that_are_not_served_end_the_connection() {
    let mut world = World::new();
    for (key, version) in
        [(ApiKey::PRODUCE, 2), (ApiKey::PRODUCE, 14), (ApiKey::METADATA, -1), (ApiKey(999), 0)]
    {
        let reason = closed(world.cluster.handle(LEADER, frame(key, version, b"\0"), world.now));
        assert_eq!(reason, CloseReason::NotServed { api: key, version });
    }
}

#[test]
fn who_means_another_cluster_or_node_has_to_begin_anew_and_who_names_half_of_it_is_refused() {
    let mut world = World::with(ClusterConfig::default().brokers(3).controllers(1).cluster_id("this"));
    let mut ask = |node: i32, cluster_id: Option<&str>, node_id: i32| {
        let meant = ApiVersionsRequest {
            cluster_id: cluster_id.map(str::to_owned),
            node_id: NodeId(node_id),
            ..request()
        };
        let response = world.call(NodeId(node), 5, &meant);
        assert_eq!(response.api_keys.is_empty(), response.error_code.is_err());
        response.error_code
    };
    // As Kafka 4.4.0 has it.
    for (node, cluster_id, node_id, code) in [
        (2, None, -1, ErrorCode::NONE),
        (2, Some("this"), 2, ErrorCode::NONE),
        (2, Some("that"), 2, ErrorCode::REBOOTSTRAP_REQUIRED),
        (2, Some("this"), 3, ErrorCode::REBOOTSTRAP_REQUIRED),
        (2, Some("this"), -1, ErrorCode::INVALID_REQUEST),
        (2, None, 2, ErrorCode::INVALID_REQUEST),
        (4, Some("that"), 2, ErrorCode::NONE),
        (4, Some("that"), -1, ErrorCode::INVALID_REQUEST),
    ] {
        assert_eq!(ask(node, cluster_id, node_id), code, "{node} {cluster_id:?} {node_id}");
    }
}

#[test]
fn behind_a_wrong_address_another_cluster_says_so() {
    let mut world = World::new();
    let meant = ApiVersionsRequest {
        cluster_id: Some(world.cluster.id().to_owned()),
        node_id: NodeId(2),
        ..request()
    };
    assert_eq!(world.call(NodeId(2), 5, &meant).error_code, ErrorCode::NONE);
    let away = |cluster: Option<&str>, broker| Change::Reroute {
        address: NodeId(2),
        cluster: cluster.map(str::to_owned),
        broker: Some(NodeId(broker)),
    };
    for change in [away(Some("another"), 2), away(None, 3)] {
        world.cluster.carry_out(change).expect("possible");
        assert_eq!(world.call(NodeId(2), 5, &meant).error_code, ErrorCode::REBOOTSTRAP_REQUIRED);
    }
}

/// An API that kafka-wire gets messages for is in the answer to ApiVersions, so it needs a handler.
#[test]
fn each_api_there_are_messages_for_is_served_in_each_version() {
    for api in kafka_wire::ALL {
        for version in api.versions.iter() {
            let mut frame = BytesMut::new();
            frame.put_i16(api.key.get());
            frame.put_i16(version);
            frame.put_i32(1);
            frame.put_i16(-1);
            // No tags, for the flexible versions.
            frame.put_u8(0);
            // No body: it is the cut that is complained of, and not the API.
            let mut world = World::new();
            let answer = world.cluster.handle(LEADER, frame.freeze(), world.now);
            let is_unknown = matches!(answer, Answer::Close(CloseReason::NotServed { .. }));
            assert!(!is_unknown, "{} version {version} has no handler", api.name);
        }
    }
}
