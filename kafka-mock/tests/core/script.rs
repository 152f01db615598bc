//! Rules and changes: which requests they are for, and what becomes of these.

use std::time::Duration;

use kafka_mock::{Answer, Change, CloseReason, ClusterConfig, Malformation, Rule, Script, Scripted, Then};
use kafka_wire::messages::{
    ApiVersionsRequest, CreatableTopic, CreateTopicsRequest, DeleteTopicsRequest, FetchPartition,
    FetchRequest, FetchTopic, InitProducerIdRequest, MetadataRequest, PartitionProduceData, ProduceRequest,
    TopicProduceData,
};
use kafka_wire::{
    Acks, ApiKey, CorrelationId, ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, Records, Request,
    VersionRange,
};

use crate::batch::TestBatch;
use crate::harness::{self, LEADER, World, closed, only};

const OTHER: NodeId = NodeId(2);

fn scripted_world(script: Script) -> World {
    let mut world = World::with(ClusterConfig::default().brokers(3).record_requests(100));
    world.cluster.run_script(script, world.now).expect("a sound script");
    world
}

#[track_caller]
fn scripted(answer: Answer) -> Scripted {
    match answer {
        Answer::Scripted(scripted) => scripted,
        other => panic!("not scripted: {other:?}"),
    }
}

#[track_caller]
fn read<R: Request>(scripted: &Scripted, version: i16) -> R::Response {
    let frame = scripted.frame().expect("an answer").slice(4..);
    kafka_wire::decode_response::<R::Response>(&frame, version).expect("decodes").1
}

/// One record for each of these partitions of `orders`.
fn produce(partitions: &[i32]) -> ProduceRequest {
    let partition_data = partitions.iter().map(|&index| PartitionProduceData {
        index: PartitionId(index),
        records: Some(Records::from(TestBatch::of(1).build())),
    });
    let topic = TopicProduceData {
        name: "orders".into(),
        partition_data: partition_data.collect(),
        ..Default::default()
    };
    ProduceRequest { acks: Acks::ALL, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

fn metadata() -> MetadataRequest {
    MetadataRequest { topics: None, ..Default::default() }
}

fn end(world: &World, partition: i32) -> i64 {
    world.cluster.offsets("orders", PartitionId(partition)).expect("exists").1
}

#[test]
fn an_error_concerns_the_partition_that_the_rule_names() {
    let mut world = World::new();
    world.cluster.move_leader("orders", PartitionId(1), LEADER).expect("exists");
    let rule = Rule::on(ApiKey::PRODUCE).topic("orders").partition(1).error(ErrorCode::KAFKA_STORAGE_ERROR);
    world.cluster.add_rule(rule);
    let answer = scripted(world.ask(LEADER, 9, &produce(&[0, 1])));
    assert_eq!((answer.delay(), answer.then()), (Duration::ZERO, Then::GoOn));
    let mut response = read::<ProduceRequest>(&answer, 9);
    let partitions = response.responses.remove(0).partition_responses;
    assert_eq!((partitions[0].error_code, partitions[0].base_offset), (ErrorCode::NONE, 0));
    assert_eq!((partitions[1].error_code, partitions[1].base_offset), (ErrorCode::KAFKA_STORAGE_ERROR, -1));
    assert_eq!((end(&world, 0), end(&world, 1)), (1, 0));
}

#[test]
fn an_error_after_apply_leaves_the_batch_in_the_log() {
    let mut world = World::new();
    let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    world.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(1).error_after_apply(code));
    for version in [3, 9, 13] {
        let request = world.request(version, Acks::ALL, TestBatch::of(1));
        let before = world.end();
        let answer = world.ask(LEADER, version, &request);
        let told = match answer {
            Answer::Scripted(scripted) => only(read::<ProduceRequest>(&scripted, version)).error_code,
            answer => only(harness::response::<ProduceRequest>(answer, version)).error_code,
        };
        assert_eq!(told, if version == 3 { code } else { ErrorCode::NONE });
        assert_eq!(world.end(), before + 1);
    }
}

#[test]
fn a_topic_is_known_by_its_id_as_well() {
    let mut world = World::new();
    world.cluster.add_rule(Rule::on(ApiKey::PRODUCE).topic("orders").error(ErrorCode(999)));
    world.cluster.add_rule(Rule::on(ApiKey::PRODUCE).topic("others").disconnect());
    let request = world.request(13, Acks::ALL, TestBatch::of(1));
    let answer = scripted(world.ask(LEADER, 13, &request));
    assert_eq!(only(read::<ProduceRequest>(&answer, 13)).error_code, ErrorCode(999));
    assert_eq!(world.end(), 0);
}

#[test]
fn conditions_and_counts_say_which_requests() {
    let mut world = World::new();
    let rule = Rule::on(ApiKey::METADATA)
        .named("third and fourth")
        .broker(OTHER)
        .versions(9..=12)
        .client_id("a test")
        .skip(2)
        .times(2)
        .disconnect();
    world.cluster.add_rule(rule);
    let mut hit = Vec::new();
    for round in 0..6 {
        // None of these counts.
        world.call(LEADER, 9, &metadata());
        world.call(OTHER, 8, &metadata());
        if !matches!(world.ask(OTHER, 9, &metadata()), Answer::Reply(_)) {
            hit.push(round);
        }
    }
    assert_eq!(hit, [2, 3]);
    assert_eq!(world.cluster.fired("third and fourth"), 2);
    assert_eq!(world.cluster.fired("no such rule"), 0);
    let other = Rule::on_any().client_id("somebody else").disconnect();
    world.cluster.add_rule(other);
    world.call(OTHER, 9, &metadata());
}

#[test]
fn the_same_seed_has_the_same_fate() {
    let fate = |seed| {
        let script = Script::new().seed(seed).rule(Rule::on(ApiKey::METADATA).probability(0.3).disconnect());
        let mut world = scripted_world(script);
        (0..200).map(|_| matches!(world.ask(LEADER, 9, &metadata()), Answer::Reply(_))).collect::<Vec<_>>()
    };
    let first = fate(1);
    assert_eq!(first, fate(1));
    assert_ne!(first, fate(2));
    let spared = first.iter().filter(|&&spared| spared).count();
    assert!((110..170).contains(&spared), "{spared} of about 140");
}

#[test]
fn ends_come_before_or_after_the_append() {
    for (rule, then, appended) in [
        (Rule::on_any().disconnect(), Then::Close, 0),
        (Rule::on_any().silence(), Then::Silence, 0),
        (Rule::on_any().disconnect_after_apply(), Then::Close, 1),
        (Rule::on_any().silence_after_apply(), Then::Silence, 1),
        (Rule::on_any().reset_after_apply(), Then::Reset, 1),
    ] {
        let mut world = World::new();
        world.cluster.add_rule(rule.delay(Duration::from_millis(5)));
        let answer = scripted(world.ask(LEADER, 9, &produce(&[0])));
        assert_eq!((answer.frame(), answer.then()), (None, then));
        assert_eq!(answer.delay(), Duration::from_millis(5));
        assert_eq!(world.end(), appended);
    }
}

#[test]
fn throttling_is_told_and_done() {
    let mut world = World::new();
    world.cluster.add_rule(Rule::on_any().throttle(Duration::from_secs(5)));
    let answer = scripted(world.ask(LEADER, 9, &produce(&[0])));
    assert_eq!(answer.then(), Then::Pause(Duration::from_secs(5)));
    assert_eq!(read::<ProduceRequest>(&answer, 9).throttle_time_ms, 5000);
    let answer = scripted(world.ask(
        LEADER,
        4,
        &ApiVersionsRequest {
            client_software_name: "t".into(),
            client_software_version: "1".into(),
            ..Default::default()
        },
    ));
    assert_eq!(read::<ApiVersionsRequest>(&answer, 4).throttle_time_ms, 5000);
}

#[test]
fn a_producer_id_comes_with_the_epoch_it_is_told() {
    let mut world = World::new();
    let epoch = ProducerEpoch(32_766);
    world.cluster.add_rule(Rule::on(ApiKey::INIT_PRODUCER_ID).times(1).producer(Some(ProducerId(7)), epoch));
    let refused = Rule::on(ApiKey::INIT_PRODUCER_ID).skip(1).error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    world.cluster.add_rule(refused);
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    let response = read::<InitProducerIdRequest>(&scripted(world.ask(LEADER, 4, &request)), 4);
    assert_eq!((response.producer_id, response.producer_epoch), (ProducerId(7), epoch));
    let response = read::<InitProducerIdRequest>(&scripted(world.ask(LEADER, 4, &request)), 4);
    assert_eq!(response.error_code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(response.producer_id, ProducerId::NONE);
}

#[test]
fn metadata_errors_stand_where_brokers_put_them() {
    let mut world = World::new();
    let code = ErrorCode::LEADER_NOT_AVAILABLE;
    world.cluster.add_rule(Rule::on(ApiKey::METADATA).partition(1).times(1).error(code));
    let code_of_topic = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    world.cluster.add_rule(Rule::on(ApiKey::METADATA).topic("orders").skip(1).error(code_of_topic));
    let response = read::<MetadataRequest>(&scripted(world.ask(LEADER, 12, &metadata())), 12);
    let codes: Vec<_> = response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [ErrorCode::NONE, code, ErrorCode::NONE]);
    assert_eq!(response.topics[0].partitions[1].leader_id, NodeId::NONE);
    assert_eq!(response.topics[0].error_code, ErrorCode::NONE);
    let response = read::<MetadataRequest>(&scripted(world.ask(LEADER, 12, &metadata())), 12);
    assert_eq!(response.topics[0].error_code, code_of_topic);
    assert!(response.topics[0].partitions.is_empty());
}

#[test]
fn stale_leaders_are_those_of_before() {
    let mut world = World::new();
    world.cluster.add_rule(Rule::on(ApiKey::METADATA).broker(OTHER).stale_leaders());
    world.cluster.move_leader("orders", PartitionId(0), NodeId(3)).expect("exists");
    let leader_of_0 = |world: &mut World, node| {
        let response = match world.ask(node, 9, &metadata()) {
            Answer::Scripted(scripted) => read::<MetadataRequest>(&scripted, 9),
            answer => harness::response::<MetadataRequest>(answer, 9),
        };
        let partition = &response.topics[0].partitions[0];
        (partition.leader_id, partition.leader_epoch)
    };
    assert_eq!(leader_of_0(&mut world, LEADER), (NodeId(3), 1));
    assert_eq!(leader_of_0(&mut world, OTHER), (LEADER, 0));
}

#[test]
fn what_is_refused_is_not_done() {
    let mut world = World::new();
    world.cluster.add_rule(Rule::on(ApiKey::CREATE_TOPICS).topic("bad").error(ErrorCode::POLICY_VIOLATION));
    world.cluster.add_rule(Rule::on(ApiKey::DELETE_TOPICS).error(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let topic = |name: &str| CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic("good"), topic("bad")], ..Default::default() };
    let response = read::<CreateTopicsRequest>(&scripted(world.ask(LEADER, 7, &request)), 7);
    let told: Vec<_> = response.topics.iter().map(|topic| (topic.name.as_str(), topic.error_code)).collect();
    assert_eq!(told, [("good", ErrorCode::NONE), ("bad", ErrorCode::POLICY_VIOLATION)]);
    assert_eq!(world.cluster.leader("bad", PartitionId(0)), None);
    let request = DeleteTopicsRequest { topic_names: vec!["good".into()], ..Default::default() };
    let response = read::<DeleteTopicsRequest>(&scripted(world.ask(LEADER, 3, &request)), 3);
    assert_eq!(response.responses[0].error_code, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    assert!(world.cluster.leader("good", PartitionId(0)).is_some());
}

#[test]
fn a_fetch_that_waits_meets_its_fate_in_the_end() {
    let mut world = World::new();
    world.cluster.add_rule(
        Rule::on(ApiKey::FETCH).delay(Duration::from_secs(1)).error(ErrorCode::OFFSET_OUT_OF_RANGE),
    );
    let partition = FetchPartition { partition_max_bytes: 1000, ..Default::default() };
    let topic = FetchTopic { topic: "orders".into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_wait_ms: 100, min_bytes: 1, topics: vec![topic], ..Default::default() };
    let mut waiting = harness::waits(world.ask(LEADER, 12, &request));
    waiting = harness::waits(world.cluster.resume(LEADER, waiting, world.now));
    world.pass(Duration::from_millis(100));
    let answer = scripted(world.cluster.resume(LEADER, waiting, world.now));
    assert_eq!(answer.delay(), Duration::from_secs(1));
    let response = read::<FetchRequest>(&answer, 12);
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
}

#[test]
fn a_stopped_broker_is_replaced_and_comes_back() {
    let mut world = World::new();
    let leaders = |world: &World| {
        (0..3).map(|p| world.cluster.leader("orders", PartitionId(p)).expect("there").0.0).collect::<Vec<_>>()
    };
    world.cluster.carry_out(Change::StopBroker(LEADER)).expect("exists");
    assert_eq!(leaders(&world), [2, 2, 3]);
    assert!(!world.cluster.is_up(LEADER));
    assert_eq!(closed(world.ask(LEADER, 9, &metadata())), CloseReason::BrokerDown);
    let response = world.call(OTHER, 9, &metadata());
    assert_eq!(response.brokers.iter().map(|broker| broker.node_id.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(response.topics[0].partitions[0].offline_replicas, [LEADER]);
    assert_eq!(response.controller_id, OTHER);
    for node in [2, 3] {
        world.cluster.carry_out(Change::StopBroker(NodeId(node))).expect("exists");
    }
    world.cluster.carry_out(Change::StartBroker(LEADER)).expect("exists");
    assert_eq!(leaders(&world), [1, 1, 1]);
    let (_, epoch) = world.cluster.leader("orders", PartitionId(0)).expect("exists");
    assert_eq!(epoch, 3, "each election has its epoch");
    world.call(LEADER, 9, &metadata());
    world.cluster.carry_out(Change::StopBroker(NodeId(9))).expect_err("there are three");
}

#[test]
fn a_partition_without_replica_has_no_leader() {
    let mut world = World::with(ClusterConfig::default().brokers(1));
    world.cluster.carry_out(Change::StopBroker(LEADER)).expect("exists");
    world.cluster.carry_out(Change::StartBroker(LEADER)).expect("exists");
    let partition = &world.call(LEADER, 9, &metadata()).topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.leader_epoch), (LEADER, 1));
}

#[test]
fn topics_grow_and_are_made_anew() {
    let mut world = World::new();
    let id = world.topic_id();
    world.produce(9, TestBatch::of(5));
    world.cluster.carry_out(Change::GrowTopic { topic: "orders".into(), partitions: 8 }).expect("more");
    assert_eq!(world.cluster.offsets("orders", PartitionId(7)), Some((0, 0)));
    world
        .cluster
        .carry_out(Change::GrowTopic { topic: "orders".into(), partitions: 8 })
        .expect_err("not more");
    let recreate = |partitions| Change::RecreateTopic { topic: "orders".into(), partitions };
    for impossible in [0, i32::MAX] {
        world.cluster.carry_out(recreate(Some(impossible))).expect_err("not so many");
        assert_eq!(world.topic_id(), id, "it is as it was");
    }
    world.cluster.carry_out(recreate(None)).expect("exists");
    assert_ne!(world.topic_id(), id);
    assert_eq!(world.end(), 0);
    assert_eq!(world.cluster.offsets("orders", PartitionId(7)), Some((0, 0)), "as many partitions as before");
    let old = TopicProduceData {
        topic_id: id,
        partition_data: vec![PartitionProduceData {
            index: PartitionId(0),
            records: Some(Records::from(TestBatch::of(1).build())),
        }],
        ..Default::default()
    };
    let request = ProduceRequest { acks: Acks::ALL, topic_data: vec![old], ..Default::default() };
    assert_eq!(only(world.call(LEADER, 13, &request)).error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn changes_come_with_the_request_and_at_their_time() {
    let topic = || "orders".into();
    let move_all = Change::MoveLeader { topic: topic(), partition: None, to: None };
    let rule = Rule::on(ApiKey::PRODUCE)
        .change(Change::MoveLeader { topic: topic(), partition: Some(PartitionId(0)), to: Some(OTHER) })
        .change_later(Duration::from_secs(3), Change::StopBroker(NodeId(3)));
    let script = Script::new().rule(rule).every(Duration::from_secs(1), 2, move_all);
    let mut world = scripted_world(script);
    let leaders = |world: &World| {
        (0..3).map(|p| world.cluster.leader("orders", PartitionId(p)).expect("there").0.0).collect::<Vec<_>>()
    };
    assert_eq!(leaders(&world), [1, 2, 3]);
    let answer = scripted(world.ask(LEADER, 9, &produce(&[0])));
    assert_eq!(only(read::<ProduceRequest>(&answer, 9)).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(leaders(&world), [2, 2, 3]);
    assert_eq!(world.cluster.poll_timeout(), Some(world.now.instant + Duration::from_secs(1)));
    for expected in [[3, 3, 1], [1, 1, 2], [1, 1, 2]] {
        world.pass(Duration::from_secs(1));
        world.cluster.handle_timeout(world.now);
        assert_eq!(leaders(&world), expected);
    }
    assert!(!world.cluster.is_up(NodeId(3)));
    assert_eq!(world.cluster.poll_timeout(), None);
}

/// Scenario 12: what the new leader lacks is gone although it was acknowledged, and it judges producers by what it has.
#[test]
fn an_unclean_election_cuts_the_log_and_what_is_known_of_producers() {
    let mut world = World::new();
    for number in 0..7 {
        world.produce(9, TestBatch::numbered(1, 1000, 0, number));
    }
    let unclean = Change::ElectUnclean {
        topic: "orders".into(),
        partition: Some(PartitionId(0)),
        to: Some(OTHER),
        batches: 3,
    };
    world.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(1).change(unclean));
    let answer = scripted(world.ask(LEADER, 9, &produce(&[0])));
    assert_eq!(only(read::<ProduceRequest>(&answer, 9)).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(world.cluster.leader("orders", PartitionId(0)), Some((OTHER, 1)));
    assert_eq!(
        (end(&world, 0), world.cluster.batches("orders", PartitionId(0)).map(|it| it.len())),
        (4, Some(4))
    );
    let mut send = |number| {
        let request = world.request(9, Acks::ALL, TestBatch::numbered(1, 1000, 0, number));
        let answer = only(world.call(OTHER, 9, &request));
        (answer.error_code, answer.base_offset)
    };
    assert_eq!(send(7), (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1), "it has nothing after the fourth");
    assert_eq!(send(3), (ErrorCode::NONE, 3), "that one it has");
    assert_eq!(send(4), (ErrorCode::NONE, 4), "the place of what was lost is free");
}

#[test]
fn an_unclean_election_of_all_of_a_topic_comes_at_its_time() {
    let unclean = |topic: &str, batches| Change::ElectUnclean {
        topic: topic.into(),
        partition: None,
        to: None,
        batches,
    };
    let script = Script::new().at(Duration::from_secs(1), unclean("orders", 1));
    let mut world = scripted_world(script);
    for (node, partition) in [(LEADER, 0), (LEADER, 0), (OTHER, 1)] {
        assert_eq!(only(world.call(node, 9, &produce(&[partition]))).error_code, ErrorCode::NONE);
    }
    world.pass(Duration::from_secs(1));
    world.cluster.handle_timeout(world.now);
    assert_eq!([0, 1, 2].map(|partition| end(&world, partition)), [1, 0, 0]);
    let leader = |partition| world.cluster.leader("orders", PartitionId(partition)).expect("exists");
    assert_eq!([0, 1, 2].map(leader), [(OTHER, 1), (NodeId(3), 1), (LEADER, 1)]);
    world.cluster.carry_out(unclean("none", 1)).expect_err("there is no such topic");
    // More than there is.
    world.cluster.carry_out(unclean("orders", usize::MAX)).expect("exists");
    assert_eq!(end(&world, 0), 0);
}

#[test]
fn versions_are_limited() {
    let script = Script::new()
        .versions(ApiKey::PRODUCE, VersionRange::new(3, 7))
        .versions(ApiKey::API_VERSIONS, VersionRange::new(0, 2))
        .versions(ApiKey::DESCRIBE_CLUSTER, VersionRange::new(-1, -1));
    let mut world = scripted_world(script);
    let newer = ApiVersionsRequest {
        client_software_name: "t".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let answer = world.call(LEADER, 3, &newer);
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(answer.api_keys[0].max_version, 2);
    let answer = world.call(LEADER, 2, &ApiVersionsRequest::default());
    let of = |api| {
        answer.api_keys.iter().find(|row| row.api_key == api).map(|row| (row.min_version, row.max_version))
    };
    assert_eq!(of(ApiKey::PRODUCE), Some((0, 7)));
    assert_eq!(of(ApiKey::DESCRIBE_CLUSTER), None);
    assert_eq!(only(world.call(LEADER, 7, &produce(&[0]))).error_code, ErrorCode::NONE);
    let refused = CloseReason::NotServed { api: ApiKey::PRODUCE, version: 9 };
    assert_eq!(closed(world.ask(LEADER, 9, &produce(&[0]))), refused);
    let group = Script::new().versions(ApiKey::JOIN_GROUP, VersionRange::new(0, 1));
    world.cluster.run_script(group, world.now).expect_err("not served anyway");
}

#[test]
fn malformed_answers_end_as_they_say() {
    let mut world = World::new();
    world.cluster.add_rule(Rule::on_any().times(1).malform(Malformation::Truncated(10)));
    world.cluster.add_rule(Rule::on_any().skip(1).malform(Malformation::CorrelationId(1)));
    let answer = scripted(world.ask(LEADER, 9, &produce(&[0])));
    assert_eq!((answer.frame().expect("bytes").len(), answer.then()), (10, Then::Close));
    let answer = scripted(world.ask(LEADER, 9, &produce(&[0])));
    assert_eq!(answer.then(), Then::GoOn);
    let id = kafka_wire::decode_correlation_id(&answer.frame().expect("bytes").slice(4..));
    assert_eq!(id, Ok(CorrelationId(harness::CORRELATION.0 + 1)));
    assert_eq!(world.end(), 2);
}

#[test]
fn requests_are_recorded_and_equal_batches_look_equal() {
    let mut world = scripted_world(Script::new());
    let numbered = TestBatch::numbered(3, 1000, 0, 0).build();
    world.produce(9, numbered.clone());
    world.produce(13, numbered);
    world.produce(9, TestBatch::numbered(3, 1000, 0, 3));
    world.call(OTHER, 9, &metadata());
    let recorded: Vec<_> = world.cluster.recorded().filter(|it| it.api == ApiKey::PRODUCE).collect();
    let batches: Vec<_> = recorded.iter().map(|request| &request.batches[0]).collect();
    assert_eq!(batches[0], batches[1]);
    assert_ne!(batches[0].hash, batches[2].hash);
    assert_eq!((batches[2].base_sequence, batches[2].record_count), (3, 3));
    assert_eq!(batches[0].topic.as_ref().map(|topic| topic.as_str()), Some("orders"));
    assert_eq!((recorded[1].version, recorded[1].client_id.as_deref()), (13, Some("a test")));
    let last = world.cluster.recorded().last().expect("recorded");
    assert_eq!((last.node, last.topics.as_slice()), (OTHER, &[("orders".into(), None)][..]));
}

#[test]
fn a_recording_keeps_the_latest() {
    let mut world = World::with(ClusterConfig::default().record_requests(2));
    for version in [5, 6, 7] {
        world.call(LEADER, version, &metadata());
    }
    let versions: Vec<_> = world.cluster.recorded().map(|request| request.version).collect();
    assert_eq!(versions, [6, 7]);
    let mut silent = World::new();
    silent.call(LEADER, 9, &metadata());
    assert_eq!(silent.cluster.recorded().count(), 0);
}

#[test]
fn a_script_can_be_cleared() {
    let mut world = scripted_world(
        Script::new().rule(Rule::on_any().disconnect()).at(Duration::ZERO, Change::StopBroker(OTHER)),
    );
    world.cluster.clear_script();
    world.call(OTHER, 9, &metadata());
}
