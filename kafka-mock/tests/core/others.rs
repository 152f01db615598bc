//! Clusters that are taken for one another: behind an address, and in each other's place.

use kafka_mock::{Change, CloseReason, ClusterConfig, Rule};
use kafka_wire::messages::{
    ApiVersionsRequest, DescribeClusterRequest, InitProducerIdRequest, MetadataRequest, MetadataResponse,
    ProduceRequest,
};
use kafka_wire::{Acks, ApiKey, ErrorCode, NodeId, PartitionId, ProducerId};

use crate::batch::TestBatch;
use crate::harness::{LEADER, World, closed, only};

fn metadata(world: &mut World, node: i32) -> MetadataResponse {
    world.call(NodeId(node), 12, &MetadataRequest { topics: None, ..Default::default() })
}

fn id(response: &MetadataResponse) -> &str {
    response.cluster_id.as_deref().expect("since version 2")
}

/// The brokers named, with their ports.
fn brokers(response: &MetadataResponse) -> Vec<(i32, i32)> {
    response.brokers.iter().map(|broker| (broker.node_id.0, broker.port)).collect()
}

fn leaders(response: &MetadataResponse) -> Vec<i32> {
    response.topics[0].partitions.iter().map(|partition| partition.leader_id.0).collect()
}

fn producer_id(world: &mut World, node: i32) -> ProducerId {
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    world.call(NodeId(node), 4, &request).producer_id
}

fn reroute(address: i32, cluster: Option<&str>, broker: Option<i32>) -> Change {
    Change::Reroute {
        address: NodeId(address),
        cluster: cluster.map(str::to_owned),
        broker: broker.map(NodeId),
    }
}

/// One record for partition 0 of `orders`, by its name.
fn request() -> ProduceRequest {
    World::new().request(9, Acks::ALL, TestBatch::of(1))
}

#[test]
fn an_address_leads_to_a_broker_of_another_cluster_and_back() {
    let mut world = World::new();
    let own = metadata(&mut world, 2);
    world.cluster.carry_out(reroute(2, Some("another"), Some(1))).expect("possible");
    let response = metadata(&mut world, 2);
    assert_eq!((id(&response), brokers(&response)), ("another", vec![(1, 9093)]), "at the address it has");
    assert_eq!(leaders(&response), [1, 1, 1], "all there is of that cluster is at this address");
    assert_ne!(response.topics[0].topic_id, own.topics[0].topic_id);
    assert_eq!(metadata(&mut world, 1), own, "the first cluster does not notice");
    let written = only(world.call(NodeId(2), 9, &request()));
    assert_eq!((written.error_code, written.base_offset), (ErrorCode::NONE, 0));
    let other = world.cluster.other("another").expect("it is there");
    assert_eq!(other.offsets("orders", PartitionId(0)), Some((0, 1)));
    assert_eq!(world.end(), 0, "nothing was written here");

    world.cluster.carry_out(reroute(2, None, None)).expect("possible");
    assert_eq!(metadata(&mut world, 2), own);
    let other = world.cluster.other("another").expect("it stays, with what it holds");
    assert_eq!(other.offsets("orders", PartitionId(0)), Some((0, 1)));
}

#[test]
fn addresses_of_one_cluster_can_all_lead_to_another() {
    let mut world = World::new();
    for node in 1..=3 {
        world.cluster.carry_out(reroute(node, Some("another"), None)).expect("possible");
    }
    let response = metadata(&mut world, 3);
    assert_eq!(brokers(&response), [(1, 9092), (2, 9093), (3, 9094)]);
    assert_eq!(leaders(&response), [1, 2, 3]);
}

#[test]
fn an_address_can_lead_to_another_broker_of_its_own_cluster() {
    let mut world = World::new();
    world.cluster.carry_out(reroute(1, None, Some(2))).expect("possible");
    let refused = only(world.call(LEADER, 9, &request()));
    assert_eq!(refused.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER, "broker 2 does not lead it");
    world.cluster.carry_out(Change::StopBroker(NodeId(2))).expect("possible");
    assert_eq!(closed(world.ask(LEADER, 9, &request())), CloseReason::BrokerDown);
}

#[test]
fn another_cluster_has_rules_and_changes_of_its_own() {
    let mut world = World::new();
    world.cluster.carry_out(reroute(2, Some("another"), None)).expect("possible");
    world.cluster.add_rule(Rule::on_any().disconnect());
    let other = world.cluster.other_mut("another").expect("there is room");
    other.carry_out(Change::DeleteTopic { topic: "orders".into() }).expect("it has the topic");
    assert_eq!(metadata(&mut world, 2).topics, []);
}

#[test]
fn what_cannot_be_another_cluster_is_refused() {
    let mut world = World::new();
    let own = world.cluster.id().to_owned();
    assert!(world.cluster.other_mut(&own).is_none());
    for address in [0, 4] {
        let refused = world.cluster.carry_out(reroute(address, Some("another"), Some(1)));
        assert_eq!(refused.expect_err("no such address").code(), ErrorCode::BROKER_ID_NOT_REGISTERED);
    }
    assert!(world.cluster.carry_out(reroute(1, Some("another"), Some(4))).is_err(), "no such broker");
    for number in 0..16 {
        assert!(world.cluster.other_mut(&format!("number {number}")).is_some());
    }
    assert!(world.cluster.other_mut("one more").is_none());
    assert!(world.cluster.other_mut("number 3").is_some());
    let wiped = world.cluster.carry_out(Change::Wipe { cluster_id: Some("number 3".into()) });
    assert_eq!(wiped.expect_err("there is one").code(), ErrorCode::INCONSISTENT_CLUSTER_ID);
}

#[test]
fn a_cluster_begun_anew_has_the_same_names_other_ids_empty_logs_and_gives_the_same_producer_ids() {
    let mut world = World::with(ClusterConfig::default().brokers(3).cluster_id("the first"));
    world.cluster.set_topic_config("orders", "max.message.bytes", "1000").expect("a setting");
    world.cluster.move_leader("orders", PartitionId(0), NodeId(1)).expect("exists");
    let (before, producer) = (metadata(&mut world, 1), producer_id(&mut world, 1));
    world.produce(9, TestBatch::numbered(3, producer.0, 0, 7));
    world.cluster.carry_out(Change::Wipe { cluster_id: Some("the second".into()) }).expect("possible");
    let after = metadata(&mut world, 1);
    assert_eq!((id(&before), id(&after)), ("the first", "the second"));
    assert_eq!(brokers(&before), brokers(&after));
    assert_ne!(before.topics[0].topic_id, after.topics[0].topic_id);
    assert_eq!(world.cluster.leader("orders", PartitionId(0)), Some((NodeId(1), 0)), "epochs start over");
    assert_eq!(world.end(), 0);
    assert_eq!(producer_id(&mut world, 2), producer, "the next producer has the id of an old one");
    let appended = world.produce(9, TestBatch::numbered(1, producer.0, 0, 40));
    assert_eq!(appended.error_code, ErrorCode::NONE, "nobody remembers the old one");
    let settings = world.refused(9, TestBatch::of(200));
    assert_eq!(settings, ErrorCode::MESSAGE_TOO_LARGE, "settings of topics are made again, too");

    world.cluster.carry_out(Change::Wipe { cluster_id: None }).expect("possible");
    let third = metadata(&mut world, 1);
    assert_eq!(id(&third).len(), 22);
}

#[test]
fn a_controller_names_neither_metadata_nor_produce_nor_producer_ids_and_hangs_up_on_who_asks() {
    let config = ClusterConfig::default().brokers(3).controllers(2);
    assert_eq!(config.controller_nodes().collect::<Vec<_>>(), [NodeId(4), NodeId(5)]);
    let mut world = World::with(config);
    let controller = NodeId(4);
    for version in 0..=5 {
        let versions = world.call(controller, version, &software());
        let mut named: Vec<_> = versions.api_keys.iter().map(|api| api.api_key.0).collect();
        named.sort_unstable();
        assert_eq!(named, [1, 18, 19, 20, 32, 37, 60], "of those that are known here, as Kafka 4.4.0 has it");
    }
    for answer in [
        world.ask(controller, 12, &MetadataRequest::default()),
        world.ask(controller, 4, &InitProducerIdRequest::default()),
        world.ask(controller, 9, &request()),
    ] {
        assert!(matches!(closed(answer), CloseReason::NotServed { .. }));
    }
    let asked = |endpoint_type| DescribeClusterRequest { endpoint_type, ..Default::default() };
    let described = world.call(controller, 2, &asked(2));
    let ids: Vec<_> = described.brokers.iter().map(|controller| controller.broker_id.0).collect();
    assert_eq!((described.error_code, ids), (ErrorCode::NONE, vec![4, 5]));
    assert_eq!(world.call(controller, 2, &asked(1)).error_code, ErrorCode::MISMATCHED_ENDPOINT_TYPE);
    assert_eq!(brokers(&metadata(&mut world, 1)).len(), 3, "no broker names it");
}

fn software() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "a-test".into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    }
}

#[test]
fn any_unexpected_code_can_be_said_to_who_asks_for_a_producer_id() {
    for code in [-1, 42, 47] {
        let mut world = World::new();
        let rule = Rule::on(ApiKey::INIT_PRODUCER_ID).broker(LEADER).times(1).error(ErrorCode(code));
        world.cluster.add_rule(rule);
        let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
        let response = world.cluster.handle(LEADER, crate::harness::frame(&request, 4), world.now);
        let kafka_mock::Answer::Scripted(scripted) = response else { panic!("{response:?}") };
        let frame = scripted.frame().expect("an answer").slice(4..);
        let (_, read): (_, kafka_wire::messages::InitProducerIdResponse) =
            kafka_wire::decode_response(&frame, 4).expect("decodes");
        assert_eq!((read.error_code, read.producer_id), (ErrorCode(code), ProducerId::NONE));
    }
}
