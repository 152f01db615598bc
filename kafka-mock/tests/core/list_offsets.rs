//! ListOffsets: the questions, and from which version each may be asked.

use kafka_wire::messages::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_wire::{ErrorCode, NodeId, PartitionId};

use crate::batch::{NOW_MS, TestBatch, TestRecord};
use crate::harness::{LEADER, World};

/// Code, offset, timestamp and leader epoch for a timestamp.
fn ask(world: &mut World, version: i16, timestamp: i64) -> (ErrorCode, i64, i64, i32) {
    let partition = ListOffsetsPartition { timestamp, ..Default::default() };
    ask_for(world, LEADER, version, partition)
}

fn ask_for(
    world: &mut World,
    node: NodeId,
    version: i16,
    partition: ListOffsetsPartition,
) -> (ErrorCode, i64, i64, i32) {
    let topic = ListOffsetsTopic { name: "orders".into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
    let response = world.call(node, version, &request);
    let found = &response.topics[0].partitions[0];
    (found.error_code, found.offset, found.timestamp, found.leader_epoch)
}

/// Two batches: timestamps +0, +50, +20 at offsets 0 to 2, and +10, +50, +40 at 3 to 5, the second under leader epoch 2.
fn world() -> World {
    let mut world = World::new();
    let batch = |deltas: [i64; 3]| TestBatch {
        records: deltas
            .map(|delta| TestRecord {
                key: None,
                value: Vec::new(),
                timestamp: NOW_MS + delta,
                offset_delta: None,
            })
            .to_vec(),
        ..TestBatch::default()
    };
    world.produce(9, batch([0, 50, 20]));
    for node in [2, 1] {
        world.cluster.move_leader("orders", PartitionId(0), NodeId(node)).expect("exists");
    }
    world.produce(9, batch([10, 50, 40]));
    world
}

#[test]
fn first_and_last_in_every_version() {
    let mut world = world();
    for version in 1..=11 {
        let epoch = |epoch| if version < 4 { -1 } else { epoch };
        assert_eq!(ask(&mut world, version, -1), (ErrorCode::NONE, 6, -1, epoch(2)), "version {version}");
        assert_eq!(ask(&mut world, version, -2), (ErrorCode::NONE, 0, -1, epoch(0)));
    }
}

#[test]
fn by_time_the_first_record_that_is_young_enough() {
    let mut world = world();
    for (delta, offset, timestamp, epoch) in [(-1000, 0, 0, 0), (0, 0, 0, 0), (1, 1, 50, 0), (50, 1, 50, 0)] {
        let expected = (ErrorCode::NONE, offset, NOW_MS + timestamp, epoch);
        assert_eq!(ask(&mut world, 11, NOW_MS + delta), expected, "{delta}");
    }
    assert_eq!(ask(&mut world, 11, NOW_MS + 51), (ErrorCode::NONE, -1, -1, -1));
}

#[test]
fn the_youngest_is_the_first_of_them() {
    let mut world = world();
    assert_eq!(ask(&mut world, 7, -3), (ErrorCode::NONE, 1, NOW_MS + 50, 0));
    assert_eq!(ask(&mut World::new(), 7, -3), (ErrorCode::NONE, -1, -1, -1));
}

#[test]
fn each_question_has_its_first_version() {
    let mut world = world();
    for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
        assert_eq!(ask(&mut world, since - 1, timestamp).0, ErrorCode::UNSUPPORTED_VERSION, "{timestamp}");
        assert_eq!(ask(&mut world, since, timestamp).0, ErrorCode::NONE, "{timestamp}");
    }
    assert_eq!(ask(&mut world, 11, -7).0, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(ask(&mut world, 8, -4).1, 0);
    assert_eq!(ask(&mut world, 9, -5).1, -1);
}

#[test]
fn leader_epoch_and_existence_are_checked() {
    let mut world = world();
    let latest = |partition, epoch| ListOffsetsPartition {
        partition_index: PartitionId(partition),
        current_leader_epoch: epoch,
        timestamp: -1,
    };
    for (node, partition, epoch, code) in [
        (1, 0, -1, ErrorCode::NONE),
        (1, 0, 2, ErrorCode::NONE),
        (1, 0, 1, ErrorCode::FENCED_LEADER_EPOCH),
        (1, 0, 3, ErrorCode::UNKNOWN_LEADER_EPOCH),
        (2, 0, -1, ErrorCode::NOT_LEADER_OR_FOLLOWER),
        (1, 3, -1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        assert_eq!(ask_for(&mut world, NodeId(node), 11, latest(partition, epoch)).0, code);
    }
}

#[test]
fn a_partition_named_twice_is_refused_once() {
    let mut world = world();
    let partition = |index| ListOffsetsPartition {
        partition_index: PartitionId(index),
        timestamp: -1,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: "orders".into(),
        partitions: vec![partition(0), partition(1), partition(0)],
    };
    let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
    let response = world.call(LEADER, 11, &request);
    let codes: Vec<_> = response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST, ErrorCode::NOT_LEADER_OR_FOLLOWER]);
}
