//! Metadata: what each version asks and tells.

use kafka_mock::ClusterConfig;
use kafka_wire::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use kafka_wire::{ErrorCode, NodeId, PartitionId, TopicId, TopicName};

use crate::harness::{LEADER, World};

fn by_name(names: &[&str]) -> MetadataRequest {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some(TopicName::from(*name)), ..Default::default() };
    MetadataRequest { topics: Some(names.iter().map(topic).collect()), ..Default::default() }
}

fn names(response: &MetadataResponse) -> Vec<String> {
    response.topics.iter().map(|topic| topic.name.as_ref().map_or("", TopicName::as_str).to_owned()).collect()
}

#[track_caller]
fn only(mut response: MetadataResponse) -> MetadataResponseTopic {
    assert_eq!(response.topics.len(), 1);
    response.topics.remove(0)
}

#[test]
fn brokers_topics_and_leaders_in_every_version() {
    let mut world = World::new();
    world.cluster.move_leader("orders", PartitionId(1), NodeId(3)).expect("exists");
    for version in 0..=13 {
        let response: MetadataResponse = world.call(NodeId(2), version, &by_name(&["orders"]));
        let brokers: Vec<_> =
            response.brokers.iter().map(|b| (b.node_id.0, b.host.as_str(), b.port)).collect();
        assert_eq!(brokers, [(1, "mock", 9092), (2, "mock", 9093), (3, "mock", 9094)], "version {version}");
        assert_eq!(response.controller_id, if version < 1 { NodeId(-1) } else { NodeId(1) });
        assert_eq!(response.cluster_id.is_some(), version >= 2);
        let topic = only(response);
        assert_eq!(topic.error_code, ErrorCode::NONE);
        assert_eq!(topic.topic_id == TopicId::default(), version < 10);
        let leaders: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index.0, p.leader_id.0)).collect();
        assert_eq!(leaders, [(0, 1), (1, 3), (2, 3)]);
        let epochs: Vec<_> = topic.partitions.iter().map(|partition| partition.leader_epoch).collect();
        assert_eq!(epochs, if version < 7 { [-1; 3] } else { [0, 1, 0] });
        assert!(topic.partitions.iter().all(|partition| partition.isr_nodes.len() == 3));
    }
}

#[test]
fn null_means_all_and_empty_means_none_but_for_version_0() {
    let mut world = World::new();
    world.cluster.create_topic("bills", 1).expect("legal");
    let all = MetadataRequest { topics: None, ..Default::default() };
    let none = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    assert_eq!(names(&world.call(LEADER, 0, &none)), ["bills", "orders"]);
    for version in 1..=13 {
        assert_eq!(names(&world.call(LEADER, version, &all)), ["bills", "orders"], "version {version}");
        let response: MetadataResponse = world.call(LEADER, version, &none);
        assert_eq!((response.topics.len(), response.brokers.len()), (0, 3));
    }
}

#[test]
fn an_unknown_topic_is_not_created_unless_both_sides_want_it() {
    for (cluster_wants, client_wants, version, created) in [
        (false, true, 9, false),
        (true, false, 9, false),
        (true, true, 9, true),
        // Before version 4 clients had no say.
        (true, true, 3, true),
    ] {
        let mut world =
            World::with(ClusterConfig::default().brokers(3).auto_create(cluster_wants).default_partitions(2));
        let mut request = by_name(&["fresh"]);
        request.allow_auto_topic_creation = client_wants;
        let first = only(world.call(LEADER, version, &request));
        assert_eq!(
            first.error_code,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            "as with a real cluster, not yet"
        );
        let second = only(world.call(LEADER, version, &request));
        if created {
            assert_eq!((second.error_code, second.partitions.len()), (ErrorCode::NONE, 2));
        } else {
            assert_eq!(second.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
}

#[test]
fn a_topic_named_twice_is_answered_once() {
    let mut world = World::new();
    let response: MetadataResponse = world.call(LEADER, 9, &by_name(&["orders", "nope", "orders", "nope"]));
    assert_eq!(names(&response), ["orders", "nope"]);
}

#[test]
fn an_illegal_name_is_said_to_be_one() {
    let mut world = World::with(ClusterConfig::default().brokers(3).auto_create(true));
    for name in ["a b", "", ".."] {
        let topic = only(world.call(LEADER, 9, &by_name(&[name])));
        assert_eq!(topic.error_code, ErrorCode::INVALID_TOPIC_EXCEPTION, "{name:?}");
    }
}

#[test]
fn topics_are_asked_by_id_from_version_12_on() {
    let mut world = World::new();
    let topic_id = world.topic_id();
    let by_id = |topic_id, name: Option<&str>| {
        let topic = MetadataRequestTopic { topic_id, name: name.map(TopicName::from) };
        MetadataRequest { topics: Some(vec![topic]), ..Default::default() }
    };
    let found = only(world.call(LEADER, 12, &by_id(topic_id, None)));
    assert_eq!((found.error_code, found.name), (ErrorCode::NONE, Some("orders".into())));
    let missing = only(world.call(LEADER, 12, &by_id(TopicId([1; 16]), None)));
    assert_eq!((missing.error_code, missing.name), (ErrorCode::UNKNOWN_TOPIC_ID, None));
    for version in [10, 11] {
        let early = only(world.call(LEADER, version, &by_id(topic_id, Some("orders"))));
        assert_eq!(early.error_code, ErrorCode::INVALID_REQUEST, "version {version}");
    }
    let neither = only(world.call(LEADER, 12, &by_id(TopicId::default(), None)));
    assert_eq!(neither.error_code, ErrorCode::INVALID_REQUEST);
}

#[test]
fn the_limit_on_partitions_holds_for_topics_that_clients_create() {
    let config =
        ClusterConfig::default().brokers(3).auto_create(true).default_partitions(3).max_partitions(6);
    let mut world = World::with(config);
    let topic = |world: &mut World, name| only(world.call(LEADER, 9, &by_name(&[name]))).error_code;
    assert_eq!(topic(&mut world, "second"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(topic(&mut world, "second"), ErrorCode::NONE);
    assert_eq!(topic(&mut world, "third"), ErrorCode::INVALID_PARTITIONS);
}

#[test]
fn clusters_of_different_ids_have_different_topic_ids_and_the_same_id_the_same() {
    let ids = |config: ClusterConfig| {
        let mut world = World::with(config.brokers(3));
        let response: MetadataResponse = world.call(LEADER, 12, &by_name(&["orders"]));
        (response.cluster_id.clone().expect("since version 2"), only(response).topic_id)
    };
    let plain = ids(ClusterConfig::default());
    assert_eq!(plain, ids(ClusterConfig::default()));
    let named = ids(ClusterConfig::default().cluster_id("another"));
    assert_eq!(named.0, "another");
    assert_ne!((&plain.0, plain.1), (&named.0, named.1));
    assert_ne!(plain.1, named.1);
}
