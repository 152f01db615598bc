//! Brokers that do not know everything yet.

use kafka_mock::{Change, Lag};
use kafka_wire::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use kafka_wire::{ErrorCode, NodeId, PartitionId, TopicName};

use crate::harness::{LEADER, World};

fn metadata(world: &mut World, node: i32) -> MetadataResponse {
    world.call(NodeId(node), 12, &MetadataRequest { topics: None, ..Default::default() })
}

fn lag(world: &mut World, lag: Lag) {
    world.cluster.carry_out(Change::LagBehind { broker: NodeId(2), lag }).expect("there is such a broker");
}

fn leaders(response: &MetadataResponse) -> Vec<i32> {
    response.topics[0].partitions.iter().map(|partition| partition.leader_id.0).collect()
}

#[test]
fn one_broker_names_fewer_partitions_than_the_others() {
    let mut world = World::new();
    let whole = metadata(&mut world, 1);
    lag(&mut world, Lag::Partitions { topic: "orders".into(), count: 1 });
    let lagging = metadata(&mut world, 2);
    assert_eq!(leaders(&lagging), [1]);
    assert_eq!(lagging.topics[0].topic_id, whole.topics[0].topic_id);
    assert_eq!(metadata(&mut world, 1), whole);
    world.cluster.carry_out(Change::CatchUp(NodeId(2))).expect("exists");
    assert_eq!(metadata(&mut world, 2), whole);
}

#[test]
fn one_broker_does_not_know_a_topic_by_name_or_id() {
    let mut world = World::new();
    let id = world.topic_id();
    lag(&mut world, Lag::Topic("orders".into()));
    assert_eq!(metadata(&mut world, 2).topics, []);
    let by_name = MetadataRequestTopic { name: Some(TopicName::from("orders")), ..Default::default() };
    let by_id = MetadataRequestTopic { topic_id: id, ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![by_name, by_id]), ..Default::default() };
    let codes =
        |response: MetadataResponse| response.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>();
    let unknown = [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::UNKNOWN_TOPIC_ID];
    assert_eq!(codes(world.call(NodeId(2), 12, &request)), unknown);
    assert_eq!(codes(world.call(LEADER, 12, &request)), [ErrorCode::NONE; 2]);
}

#[test]
fn one_broker_does_not_know_another_one_and_so_names_no_leader_for_what_that_leads() {
    let mut world = World::new();
    lag(&mut world, Lag::Broker(NodeId(3)));
    let lagging = metadata(&mut world, 2);
    let known: Vec<_> = lagging.brokers.iter().map(|broker| broker.node_id.0).collect();
    assert_eq!((known, leaders(&lagging)), (vec![1, 2], vec![1, 2, -1]));
    assert_eq!(lagging.topics[0].partitions[2].error_code, ErrorCode::LEADER_NOT_AVAILABLE);
}

#[test]
fn one_broker_goes_on_showing_what_there_was() {
    let mut world = World::new();
    let before = metadata(&mut world, 2);
    lag(&mut world, Lag::View);
    world.cluster.move_leader("orders", PartitionId(0), NodeId(2)).expect("exists");
    world.cluster.create_topic("bills", 1).expect("legal");
    world.cluster.carry_out(Change::GrowTopic { topic: "orders".into(), partitions: 5 }).expect("grows");
    world.cluster.carry_out(Change::StopBroker(NodeId(3))).expect("exists");
    assert_eq!(metadata(&mut world, 2), before);
    let newer = metadata(&mut world, 1);
    assert_eq!((newer.topics.len(), newer.brokers.len()), (2, 2));
    // A view can be less than it was, too.
    lag(&mut world, Lag::Partitions { topic: "orders".into(), count: 2 });
    assert_eq!(leaders(&metadata(&mut world, 2)), [1, 2]);
    world.cluster.carry_out(Change::CatchUp(NodeId(2))).expect("exists");
    assert_eq!(metadata(&mut world, 2), newer);
}

#[test]
fn what_one_broker_does_not_know_is_bounded_and_nobody_lags_who_is_not_there() {
    let mut world = World::new();
    let nobody = Change::LagBehind { broker: NodeId(9), lag: Lag::View };
    assert!(world.cluster.carry_out(nobody).is_err());
    let mut refused = 0;
    for number in 0..1001 {
        let lag = Lag::Topic(format!("topic-{number}").as_str().into());
        refused += i32::from(world.cluster.carry_out(Change::LagBehind { broker: NodeId(2), lag }).is_err());
    }
    assert_eq!(refused, 1);
}
