//! What is kept is bounded, and the log start offset says so.

use kafka_mock::ClusterConfig;
use kafka_wire::messages::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::{Acks, ErrorCode, NodeId, PartitionId};

use crate::batch::TestBatch;
use crate::harness::{LEADER, World, only};

#[test]
fn records_beyond_the_bound_go() {
    let mut world = World::with(ClusterConfig::default().brokers(3).partition_records(25));
    for _ in 0..3 {
        world.produce(9, TestBatch::of(10));
    }
    assert_eq!(world.cluster.offsets("orders", PartitionId(0)), Some((10, 30)));
    assert_eq!(world.produce(9, TestBatch::of(1)).log_start_offset, 10);
    let fetch = FetchRequest {
        topics: vec![FetchTopic {
            topic: "orders".into(),
            partitions: vec![FetchPartition {
                fetch_offset: 9,
                partition_max_bytes: 1,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let response = world.call(LEADER, 12, &fetch);
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
}

#[test]
fn bytes_beyond_the_bound_go_and_the_topics_own_bound_is_tighter() {
    let size = TestBatch::of(1).build().len() as u64;
    let mut world = World::with(ClusterConfig::default().brokers(3).partition_bytes(size * 3));
    for _ in 0..5 {
        world.produce(9, TestBatch::of(1));
    }
    assert_eq!(world.cluster.offsets("orders", PartitionId(0)), Some((2, 5)));
    world.cluster.set_topic_config("orders", "retention.bytes", &(size * 2).to_string()).expect("valid");
    world.produce(9, TestBatch::of(1));
    assert_eq!(world.cluster.offsets("orders", PartitionId(0)), Some((4, 6)));
}

#[test]
fn what_an_unclean_election_cuts_off_is_accounted_for() {
    let size = TestBatch::of(1).build().len() as u64;
    let mut world = World::with(ClusterConfig::default().brokers(3).memory(size * 3));
    for _ in 0..5 {
        world.produce(9, TestBatch::of(1));
        world.cluster.elect_unclean("orders", PartitionId(0), LEADER, 1).expect("exists");
    }
    for _ in 0..3 {
        world.produce(9, TestBatch::of(1));
    }
    assert_eq!(
        world.cluster.offsets("orders", PartitionId(0)),
        Some((0, 3)),
        "there is room for all of them"
    );
}

#[test]
fn all_logs_together_stay_within_the_memory_allowed() {
    let size = TestBatch::of(1).build().len() as u64;
    let mut world = World::with(ClusterConfig::default().brokers(3).memory(size * 4));
    for partition in 0..3 {
        world.cluster.move_leader("orders", PartitionId(partition), NodeId(1)).expect("exists");
    }
    let produce = |world: &mut World, partition| {
        let mut request = world.request(9, Acks::ALL, TestBatch::of(1));
        request.topic_data[0].partition_data[0].index = PartitionId(partition);
        assert_eq!(only(world.call(LEADER, 9, &request)).error_code, ErrorCode::NONE);
    };
    let kept = |world: &World| -> Vec<usize> {
        (0..3)
            .map(|index| world.cluster.batches("orders", PartitionId(index)).expect("exists").len())
            .collect()
    };
    for _ in 0..6 {
        produce(&mut world, 0);
    }
    assert_eq!(kept(&world), [4, 0, 0], "its own oldest go first");
    produce(&mut world, 1);
    assert_eq!(kept(&world), [3, 1, 0], "then those of the largest log");
    produce(&mut world, 2);
    produce(&mut world, 2);
    assert_eq!(kept(&world), [2, 1, 1]);
    world.cluster.delete_topic("orders").expect("exists");
    world.cluster.create_topic("orders", 3).expect("legal");
    for _ in 0..6 {
        produce(&mut world, 0);
    }
    assert_eq!(kept(&world), [4, 0, 0], "what was deleted is accounted for");
}

#[test]
fn newest_batches_go_too_where_they_alone_are_too_many() {
    let size = TestBatch::of(1).build().len() as u64;
    let mut world = World::with(ClusterConfig::default().brokers(3).memory(size * 2));
    world.cluster.create_topic("wide", 10).expect("legal");
    for partition in 0..10 {
        world.cluster.move_leader("wide", PartitionId(partition), NodeId(1)).expect("exists");
        let mut request = world.request(9, Acks::ALL, TestBatch::of(1));
        request.topic_data[0].name = "wide".into();
        request.topic_data[0].partition_data[0].index = PartitionId(partition);
        assert_eq!(only(world.call(LEADER, 9, &request)).error_code, ErrorCode::NONE);
        let kept: usize = (0..10)
            .map(|index| world.cluster.batches("wide", PartitionId(index)).expect("exists").len())
            .sum();
        assert!(kept <= 2, "{kept} batches where there is room for two");
        assert_eq!(
            world.cluster.batches("wide", PartitionId(partition)).expect("exists").len(),
            1,
            "the one just written"
        );
    }
    assert_eq!(world.cluster.offsets("wide", PartitionId(1)), Some((1, 1)), "its start has moved on");
    // A batch larger than all that is allowed is kept alone.
    world.produce(9, TestBatch::of(100));
    assert_eq!(world.cluster.offsets("orders", PartitionId(0)), Some((0, 100)));
    assert_eq!(world.cluster.offsets("wide", PartitionId(9)), Some((1, 1)));
}
