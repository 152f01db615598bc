//! The APIs of admin clients.

use kafka_mock::ClusterConfig;
use kafka_wire::messages::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic, CreateTopicsRequest,
    DeleteTopicState, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeConfigsResource, DescribeConfigsResult,
};
use kafka_wire::{ErrorCode, NodeId, PartitionId, TopicId};

use crate::harness::{LEADER, World};

fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..Default::default()
    }
}

fn create(world: &mut World, version: i16, topic: CreatableTopic) -> CreatableTopicResult {
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    world.call(LEADER, version, &request).topics.remove(0)
}

fn leaders(world: &World, topic: &str) -> Vec<i32> {
    (0..).map_while(|index| world.cluster.leader(topic, PartitionId(index))).map(|(node, _)| node.0).collect()
}

#[test]
fn a_topic_is_created_in_every_version() {
    let mut world = World::new();
    for version in 2..=7 {
        let name = format!("topic-{version}");
        let result = create(&mut world, version, topic(&name, 4, 2));
        assert_eq!((result.error_code, result.error_message), (ErrorCode::NONE, None), "version {version}");
        assert_eq!(leaders(&world, &name), [1, 2, 3, 1]);
        let shown = if version < 5 { (-1, -1) } else { (4, 2) };
        assert_eq!((result.num_partitions, result.replication_factor), shown);
        assert_eq!(result.topic_id == TopicId::default(), version < 7);
        if version >= 5 {
            let configs = result.configs.expect("told since version 5");
            assert!(
                configs.iter().any(|config| config.name == "max.message.bytes" && config.config_source == 5)
            );
        }
    }
}

#[test]
fn defaults_are_taken_for_minus_one_from_version_4_on() {
    let mut world = World::with(ClusterConfig::default().brokers(3).default_partitions(5));
    assert_eq!(create(&mut world, 3, topic("a", -1, 1)).error_code, ErrorCode::INVALID_PARTITIONS);
    assert_eq!(create(&mut world, 3, topic("a", 1, -1)).error_code, ErrorCode::INVALID_REPLICATION_FACTOR);
    let result = create(&mut world, 5, topic("a", -1, -1));
    assert_eq!((result.num_partitions, result.replication_factor), (5, 3));
}

#[test]
fn what_cannot_be_created_is_refused_with_a_reason() {
    let mut world = World::with(ClusterConfig::default().brokers(3).max_partitions(100));
    let config = |name: &str, value: Option<&str>| CreatableTopic {
        configs: vec![CreatableTopicConfig { name: name.into(), value: value.map(str::to_owned) }],
        ..topic("a", 1, 1)
    };
    let assigned = |replicas: &[&[i32]]| CreatableTopic {
        assignments: (0..)
            .zip(replicas)
            .map(|(index, ids)| CreatableReplicaAssignment {
                partition_index: PartitionId(index),
                broker_ids: ids.iter().map(|&id| NodeId(id)).collect(),
            })
            .collect(),
        ..topic("a", -1, -1)
    };
    for (wanted, code) in [
        (topic("orders", 1, 1), ErrorCode::TOPIC_ALREADY_EXISTS),
        (topic("a/b", 1, 1), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (topic("a", 0, 1), ErrorCode::INVALID_PARTITIONS),
        (topic("a", 98, 1), ErrorCode::INVALID_PARTITIONS),
        (topic("a", i32::MAX, 1), ErrorCode::INVALID_PARTITIONS),
        (topic("a", 1, 4), ErrorCode::INVALID_REPLICATION_FACTOR),
        (topic("a", 1, 0), ErrorCode::INVALID_REPLICATION_FACTOR),
        (config("no.such.setting", Some("1")), ErrorCode::INVALID_CONFIG),
        (config("max.message.bytes", Some("x")), ErrorCode::INVALID_CONFIG),
        (config("max.message.bytes", None), ErrorCode::INVALID_CONFIG),
        (assigned(&[&[1, 2], &[4]]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[&[1, 1]]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[&[]]), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        (CreatableTopic { num_partitions: 1, ..assigned(&[&[1]]) }, ErrorCode::INVALID_REQUEST),
    ] {
        let result = create(&mut world, 7, wanted.clone());
        assert_eq!(result.error_code, code, "{wanted:?}");
        assert!(result.error_message.is_some_and(|message| !message.is_empty()));
    }
    let result = create(&mut world, 7, assigned(&[&[3, 1], &[2, 3]]));
    assert_eq!((result.error_code, leaders(&world, "a")), (ErrorCode::NONE, vec![3, 2]));
    let twice =
        CreateTopicsRequest { topics: vec![topic("b", 1, 1), topic("b", 1, 1)], ..Default::default() };
    let codes: Vec<_> = world.call(LEADER, 7, &twice).topics.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST; 2]);
}

#[test]
fn validate_only_creates_nothing() {
    let mut world = World::new();
    let request = CreateTopicsRequest {
        topics: vec![topic("a", 2, 1), topic("orders", 1, 1)],
        validate_only: true,
        ..Default::default()
    };
    let codes: Vec<_> =
        world.call(LEADER, 7, &request).topics.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::TOPIC_ALREADY_EXISTS]);
    assert!(leaders(&world, "a").is_empty());
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut world = World::new();
    for version in 1..=5 {
        let request =
            DeleteTopicsRequest { topic_names: vec!["orders".into(), "nope".into()], ..Default::default() };
        let response = world.call(LEADER, version, &request);
        let codes: Vec<_> = response.responses.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
        assert!(leaders(&world, "orders").is_empty());
        world.cluster.create_topic("orders", 1).expect("legal");
    }
    let id = world.topic_id();
    let named = |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(Into::into), topic_id };
    let request = DeleteTopicsRequest {
        topics: vec![
            named(None, id),
            named(None, id),
            named(None, TopicId::default()),
            named(Some("orders"), id),
            named(Some("orders"), TopicId::default()),
        ],
        ..Default::default()
    };
    let response = world.call(LEADER, 6, &request);
    let codes: Vec<_> = response.responses.iter().map(|result| result.error_code).collect();
    assert_eq!(
        codes,
        [
            ErrorCode::NONE,
            ErrorCode::UNKNOWN_TOPIC_ID,
            ErrorCode::INVALID_REQUEST,
            ErrorCode::INVALID_REQUEST,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        ]
    );
    assert_eq!(response.responses[0].name, Some("orders".into()));
}

#[test]
fn a_topic_grows_and_never_shrinks() {
    let mut world = World::new();
    let mut grow = |count, assignments: Option<&[&[i32]]>, validate_only| {
        let assignments = assignments.map(|all| {
            let ids = |ids: &&[i32]| ids.iter().map(|&id| NodeId(id)).collect();
            all.iter().map(|each| CreatePartitionsAssignment { broker_ids: ids(each) }).collect()
        });
        let topic = CreatePartitionsTopic { name: "orders".into(), count, assignments };
        let request = CreatePartitionsRequest { topics: vec![topic], validate_only, ..Default::default() };
        let code = world.call(LEADER, 3, &request).results.remove(0).error_code;
        (code, leaders(&world, "orders"))
    };
    assert_eq!(grow(3, None, false), (ErrorCode::INVALID_PARTITIONS, vec![1, 2, 3]));
    assert_eq!(grow(5, None, true), (ErrorCode::NONE, vec![1, 2, 3]));
    assert_eq!(grow(5, None, false), (ErrorCode::NONE, vec![1, 2, 3, 1, 2]));
    assert_eq!(grow(7, Some(&[&[2]]), false).0, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(grow(6, Some(&[&[9]]), false).0, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(grow(6, Some(&[&[2, 1, 3]]), false), (ErrorCode::NONE, vec![1, 2, 3, 1, 2, 2]));
    assert_eq!(grow(i32::MAX, None, false).0, ErrorCode::INVALID_PARTITIONS);
}

fn describe(
    world: &mut World,
    version: i16,
    resource_type: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: true,
    };
    world.call(LEADER, version, &request).results.remove(0)
}

#[test]
fn configs_of_topics() {
    let mut world = World::new();
    world.cluster.set_topic_config("orders", "max.message.bytes", "500").expect("valid");
    for version in 1..=4 {
        let all = describe(&mut world, version, 2, "orders", None);
        assert_eq!(all.error_code, ErrorCode::NONE);
        assert!(all.configs.len() > 10);
        let some = describe(&mut world, version, 2, "orders", Some(&["max.message.bytes", "no.such"]));
        assert_eq!(some.configs.len(), 1);
        let config = &some.configs[0];
        assert_eq!((config.value.as_deref(), config.config_source), (Some("500"), 1));
        let synonyms: Vec<_> =
            config.synonyms.iter().map(|synonym| (synonym.name.as_str(), synonym.source)).collect();
        assert_eq!(synonyms, [("max.message.bytes", 1), ("message.max.bytes", 5)]);
        assert_eq!(config.config_type, if version < 3 { 0 } else { 3 });
    }
    assert_eq!(describe(&mut world, 4, 2, "nope", None).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_resource_named_twice_is_described_once() {
    let mut world = World::new();
    let resource =
        DescribeConfigsResource { resource_type: 2, resource_name: "orders".into(), ..Default::default() };
    let request =
        DescribeConfigsRequest { resources: vec![resource.clone(), resource], ..Default::default() };
    assert_eq!(world.call(LEADER, 4, &request).results.len(), 1);
}

#[test]
fn configs_of_brokers() {
    let mut world = World::new();
    let found = describe(&mut world, 4, 4, "2", Some(&["node.id", "auto.create.topics.enable"]));
    let values: Vec<_> =
        found.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())).collect();
    assert_eq!(values, [("auto.create.topics.enable", Some("false")), ("node.id", Some("2"))]);
    assert_eq!(describe(&mut world, 4, 4, "9", None).error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(describe(&mut world, 4, 8, "1", None).error_code, ErrorCode::INVALID_REQUEST);
    assert!(describe(&mut world, 4, 4, "", None).configs.is_empty());
}

#[test]
fn the_cluster_is_described() {
    let mut world = World::new();
    for version in 0..=2 {
        let response = world.call(NodeId(2), version, &DescribeClusterRequest::default());
        assert_eq!((response.error_code, response.brokers.len()), (ErrorCode::NONE, 3), "version {version}");
        assert_eq!((response.controller_id, response.cluster_id.as_str()), (NodeId(1), world.cluster.id()));
        assert_eq!((response.brokers[2].host.as_str(), response.brokers[2].port), ("mock", 9094));
    }
    for (endpoint_type, code) in
        [(2, ErrorCode::MISMATCHED_ENDPOINT_TYPE), (3, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE)]
    {
        let request = DescribeClusterRequest { endpoint_type, ..Default::default() };
        assert_eq!(world.call(LEADER, 1, &request).error_code, code);
    }
}

#[test]
fn topics_that_metrics_cannot_tell_apart_are_not_created() {
    let mut world = World::new();
    let mut code = |name| create(&mut world, 7, topic(name, 1, 1)).error_code;
    assert_eq!(code("a.b_c"), ErrorCode::NONE);
    assert_eq!(code("a_b.c"), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(code("a.b_c"), ErrorCode::TOPIC_ALREADY_EXISTS);
    assert_eq!(code("abc"), ErrorCode::NONE);
    world.cluster.delete_topic("a.b_c").expect("exists");
    assert_eq!(create(&mut world, 7, topic("a_b.c", 1, 1)).error_code, ErrorCode::NONE);
}
