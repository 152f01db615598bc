//! Produce: producer ids, epochs and sequences, over the wire format.

use std::time::Duration;

use kafka_mock::{Change, ClusterConfig};
use kafka_wire::{Acks, ErrorCode, NodeId, PartitionId};

use crate::batch::TestBatch;
use crate::harness::{LEADER, World, only};

/// Appends one batch of `count` records; its offset, or the code it was refused with.
#[track_caller]
fn send(world: &mut World, epoch: i16, sequence: i32, count: usize) -> Result<i64, ErrorCode> {
    let response = world.produce(9, TestBatch::numbered(count, 7, epoch, sequence));
    match response.error_code {
        ErrorCode::NONE => Ok(response.base_offset),
        code => Err(code),
    }
}

#[test]
fn batches_in_sequence_are_appended() {
    let mut world = World::new();
    assert_eq!(send(&mut world, 0, 0, 10), Ok(0));
    assert_eq!(send(&mut world, 0, 10, 1), Ok(10));
    assert_eq!(send(&mut world, 0, 11, 3), Ok(11));
}

#[test]
fn the_last_five_come_back_with_their_first_offset_and_older_ones_are_out_of_order() {
    let mut world = World::new();
    for batch in 0..7 {
        assert_eq!(send(&mut world, 0, batch * 2, 2), Ok(i64::from(batch) * 2));
    }
    for batch in 2..7 {
        assert_eq!(send(&mut world, 0, batch * 2, 2), Ok(i64::from(batch) * 2), "batch {batch} again");
    }
    for batch in 0..2 {
        assert_eq!(send(&mut world, 0, batch * 2, 2), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }
    assert_eq!(world.end(), 14, "a duplicate is not appended");
}

/// As measured on Kafka 4.3.1: a broker takes from its disk the last batch of each producer, and no more.
#[test]
fn a_leader_that_restarted_knows_the_last_batch_only() {
    let mut world = World::with(ClusterConfig::default().brokers(1));
    for batch in 0..4 {
        assert_eq!(send(&mut world, 0, batch, 1), Ok(i64::from(batch)));
    }
    world.cluster.carry_out(Change::StopBroker(LEADER)).expect("exists");
    world.cluster.carry_out(Change::StartBroker(LEADER)).expect("exists");
    for batch in 0..3 {
        assert_eq!(send(&mut world, 0, batch, 1), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }
    assert_eq!(send(&mut world, 0, 3, 1), Ok(3), "the last one is found again");
    for batch in 4..8 {
        assert_eq!(send(&mut world, 0, batch, 1), Ok(i64::from(batch)));
    }
    for batch in 3..8 {
        assert_eq!(send(&mut world, 0, batch, 1), Ok(i64::from(batch)), "batch {batch} again");
    }
    world.cluster.restart_broker(LEADER).expect("exists");
    assert_eq!(send(&mut world, 0, 6, 1), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(send(&mut world, 0, 7, 1), Ok(7));
    world.cluster.restart_broker(NodeId(9)).expect_err("there is one");
}

#[test]
fn a_replica_that_was_up_knows_the_last_five_and_one_that_was_down_those_it_was_sent() {
    let mut world = World::new();
    for batch in 0..3 {
        assert_eq!(send(&mut world, 0, batch, 1), Ok(i64::from(batch)));
    }
    let other = NodeId(2);
    let lead = |world: &mut World, node| {
        world.cluster.move_leader("orders", PartitionId(0), node).expect("exists");
    };
    world.cluster.carry_out(Change::StopBroker(LEADER)).expect("exists");
    let again = |world: &mut World, node, sequence| {
        let request = world.request(9, Acks::ALL, TestBatch::numbered(1, 7, 0, sequence));
        let response = only(world.call(node, 9, &request));
        (response.error_code, response.base_offset)
    };
    for batch in 0..4 {
        assert_eq!(again(&mut world, other, batch), (ErrorCode::NONE, i64::from(batch)), "{other} was up");
    }
    world.cluster.carry_out(Change::StartBroker(LEADER)).expect("exists");
    assert_eq!(again(&mut world, other, 1), (ErrorCode::NONE, 1), "it leads still");
    lead(&mut world, LEADER);
    for batch in 0..2 {
        assert_eq!(send(&mut world, 0, batch, 1), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }
    assert_eq!(send(&mut world, 0, 2, 1), Ok(2), "the last one when it went down");
    assert_eq!(send(&mut world, 0, 3, 1), Ok(3), "it was fetched from the leader afterwards");
    lead(&mut world, other);
    assert_eq!(again(&mut world, other, 0), (ErrorCode::NONE, 0));
}

#[test]
fn a_gap_and_an_overlap_are_out_of_order() {
    let mut world = World::new();
    assert_eq!(send(&mut world, 0, 0, 10), Ok(0));
    for (sequence, count) in [(11, 1), (9, 1), (0, 9), (5, 5), (0, 11)] {
        let outcome = send(&mut world, 0, sequence, count);
        assert_eq!(outcome, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), "{count} records from {sequence}");
    }
    assert_eq!(send(&mut world, 0, 10, 1), Ok(10), "a refused batch changes nothing");
}

#[test]
fn epochs_only_rise_and_start_at_zero() {
    let mut world = World::new();
    assert_eq!(send(&mut world, 3, 5, 2), Ok(0), "an unknown producer may start anywhere");
    assert_eq!(send(&mut world, 4, 7, 1), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(send(&mut world, 4, 0, 1), Ok(2));
    assert_eq!(send(&mut world, 3, 7, 1), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(send(&mut world, 3, 5, 2), Err(ErrorCode::INVALID_PRODUCER_EPOCH), "not even a duplicate");
    assert_eq!(send(&mut world, 4, 1, 1), Ok(3));
}

#[test]
fn sequences_wrap() {
    let mut world = World::new();
    assert_eq!(send(&mut world, 0, i32::MAX - 1, 3), Ok(0));
    assert_eq!(send(&mut world, 0, i32::MAX - 1, 3), Ok(0), "found again across the wrap");
    assert_eq!(send(&mut world, 0, 0, 1), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(send(&mut world, 0, 1, 1), Ok(3));
}

#[test]
fn producers_do_not_share_numbers() {
    let mut world = World::new();
    for producer in 0..3 {
        let response = world.produce(9, TestBatch::numbered(1, producer, 0, 0));
        assert_eq!((response.error_code, response.base_offset), (ErrorCode::NONE, producer));
    }
}

#[test]
fn a_producer_that_was_silent_for_more_than_a_day_may_start_anew() {
    let mut world = World::new();
    assert_eq!(send(&mut world, 5, 0, 1), Ok(0));
    world.pass(Duration::from_secs(24 * 3600));
    let old = || TestBatch { ..TestBatch::numbered(1, 7, 4, 0) };
    assert_eq!(world.produce(9, old()).error_code, ErrorCode::INVALID_PRODUCER_EPOCH);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.produce(9, old()).error_code, ErrorCode::NONE);
}

#[test]
fn a_duplicate_of_a_moved_partition_is_still_known() {
    let mut world = World::new();
    assert_eq!(send(&mut world, 0, 0, 4), Ok(0));
    for node in [2, 1] {
        world.cluster.move_leader("orders", PartitionId(0), NodeId(node)).expect("exists");
    }
    assert_eq!(send(&mut world, 0, 0, 4), Ok(0));
}
