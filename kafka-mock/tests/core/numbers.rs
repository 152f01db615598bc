//! Produce: producer ids, epochs and sequences, over the wire format.

use std::time::Duration;

use kafka_wire::ErrorCode;

use crate::batch::TestBatch;
use crate::harness::World;

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
        world
            .cluster
            .move_leader("orders", kafka_wire::PartitionId(0), kafka_wire::NodeId(node))
            .expect("exists");
    }
    assert_eq!(send(&mut world, 0, 0, 4), Ok(0));
}
