//! Fetch: what is read, how much, and when there is something to wait for.

use std::time::Duration;

use kafka_batch::BatchReader;
use kafka_mock::{Answer, Waiting};
use kafka_wire::messages::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use kafka_wire::{ErrorCode, NodeId, PartitionId, TopicId};

use crate::batch::TestBatch;
use crate::harness::{LEADER, World, response, waits};

/// A request for partition 0 of `orders` that does not wait.
fn fetch(world: &mut World, version: i16, offset: i64) -> FetchRequest {
    let mut topic = FetchTopic {
        partitions: vec![FetchPartition {
            partition: PartitionId(0),
            fetch_offset: offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        }],
        ..Default::default()
    };
    if version >= 13 {
        topic.topic_id = world.topic_id();
    } else {
        topic.topic = "orders".into();
    }
    FetchRequest { min_bytes: 1, topics: vec![topic], ..Default::default() }
}

#[track_caller]
fn only(mut response: FetchResponse) -> PartitionData {
    assert_eq!(response.error_code, ErrorCode::NONE);
    assert_eq!(response.session_id, 0);
    assert_eq!(response.responses.len(), 1);
    response.responses.remove(0).partitions.remove(0)
}

/// Base offsets of the batches of an answer.
fn offsets(data: &PartitionData) -> Vec<i64> {
    let records = data.records.as_ref().expect("never null").to_bytes();
    BatchReader::new(records).map(|batch| batch.expect("sound").header().base_offset).collect()
}

/// Batches of ten records at offsets 0, 10 and so on.
fn filled(batches: usize) -> World {
    let mut world = World::new();
    for _ in 0..batches {
        assert_eq!(world.produce(9, TestBatch::of(10)).error_code, ErrorCode::NONE);
    }
    world
}

#[test]
fn whole_batches_come_back_in_every_version() {
    let mut world = filled(3);
    for version in 4..=18 {
        let request = fetch(&mut world, version, 15);
        let data = only(world.call(LEADER, version, &request));
        assert_eq!(data.error_code, ErrorCode::NONE, "version {version}");
        assert_eq!(offsets(&data), [10, 20], "the batch that holds the offset comes whole");
        assert_eq!((data.high_watermark, data.last_stable_offset), (30, 30));
        assert_eq!(data.log_start_offset, if version < 5 { -1 } else { 0 });
        assert_eq!(data.aborted_transactions, None);
    }
}

#[test]
fn at_the_end_there_is_nothing_and_beyond_it_an_error() {
    let mut world = filled(1);
    let request = fetch(&mut world, 12, 10);
    let data = only(world.call(LEADER, 12, &request));
    assert_eq!((data.error_code, offsets(&data)), (ErrorCode::NONE, vec![]));
    for offset in [11, -1] {
        let request = fetch(&mut world, 12, offset);
        let data = only(world.call(LEADER, 12, &request));
        assert_eq!(data.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
        assert_eq!(data.high_watermark, -1);
    }
}

#[test]
fn limits_are_kept_except_for_the_first_batch() {
    let mut world = filled(3);
    let size = world.cluster.batches("orders", PartitionId(0)).expect("exists")[0].len() as i32;
    for (partition_max, max, expected) in [
        (size * 2, i32::MAX, 2),
        (size * 2 - 1, i32::MAX, 1),
        (1, i32::MAX, 1),
        (i32::MAX, size, 1),
        (i32::MAX, 1, 1),
    ] {
        let mut request = fetch(&mut world, 12, 0);
        request.topics[0].partitions[0].partition_max_bytes = partition_max;
        request.max_bytes = max;
        let data = only(world.call(LEADER, 12, &request));
        assert_eq!(offsets(&data).len(), expected, "{partition_max} for the partition, {max} for all");
    }
}

#[test]
fn the_first_batch_comes_once_a_request() {
    let mut world = filled(1);
    world.cluster.move_leader("orders", PartitionId(1), LEADER).expect("exists");
    let mut produce = world.request(9, kafka_wire::Acks::ALL, TestBatch::of(1));
    produce.topic_data[0].partition_data[0].index = PartitionId(1);
    world.call(LEADER, 9, &produce);
    let mut request = fetch(&mut world, 12, 0);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = PartitionId(1);
    request.topics[0].partitions.push(second);
    request.max_bytes = 1;
    let response: FetchResponse = world.call(LEADER, 12, &request);
    let counts: Vec<_> = response.responses[0].partitions.iter().map(|data| offsets(data).len()).collect();
    assert_eq!(counts, [1, 0]);
    request.max_bytes = 1 << 20;
    let response: FetchResponse = world.call(LEADER, 12, &request);
    let counts: Vec<_> = response.responses[0].partitions.iter().map(|data| offsets(data).len()).collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn sessions_are_declined() {
    let mut world = filled(1);
    let mut request = fetch(&mut world, 12, 0);
    (request.session_id, request.session_epoch) = (0, 0);
    assert_eq!(
        offsets(&only(world.call(LEADER, 12, &request))),
        [0],
        "asked for a session, got an answer without"
    );
    (request.session_id, request.session_epoch) = (5, 1);
    let response: FetchResponse = world.call(LEADER, 12, &request);
    assert_eq!(response.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert!(response.responses.is_empty());
}

#[test]
fn what_is_unknown_is_named_in_the_words_of_the_version() {
    let mut world = filled(1);
    let mut request = fetch(&mut world, 12, 0);
    request.topics[0].topic = "nope".into();
    assert_eq!(only(world.call(LEADER, 12, &request)).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut request = fetch(&mut world, 13, 0);
    request.topics[0].partitions[0].partition = PartitionId(3);
    assert_eq!(only(world.call(LEADER, 13, &request)).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    request.topics[0].topic_id = TopicId([9; 16]);
    assert_eq!(only(world.call(LEADER, 13, &request)).error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn leader_and_epoch_are_checked_and_hinted_at() {
    let mut world = filled(1);
    world.cluster.move_leader("orders", PartitionId(0), NodeId(2)).expect("exists");
    for (version, hints) in [(12, false), (16, true)] {
        let request = fetch(&mut world, version, 0);
        let response: FetchResponse = world.call(LEADER, version, &request);
        assert_eq!(response.node_endpoints.len(), usize::from(hints));
        let data = only(response);
        assert_eq!(data.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let leader = if hints { (NodeId(2), 1) } else { (NodeId(-1), -1) };
        assert_eq!((data.current_leader.leader_id, data.current_leader.leader_epoch), leader);
    }
    for (epoch, code) in [
        (0, ErrorCode::FENCED_LEADER_EPOCH),
        (1, ErrorCode::NONE),
        (2, ErrorCode::UNKNOWN_LEADER_EPOCH),
        (-1, ErrorCode::NONE),
    ] {
        let mut request = fetch(&mut world, 12, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        assert_eq!(only(world.call(NodeId(2), 12, &request)).error_code, code, "epoch {epoch}");
    }
}

/// Has a fetch wait 500 ms for bytes at the end of a partition that holds nothing.
fn waiting(min_bytes: i32) -> (World, Waiting) {
    let mut world = World::new();
    let mut request = fetch(&mut world, 12, 0);
    (request.max_wait_ms, request.min_bytes) = (500, min_bytes);
    let waiting = waits(world.ask(LEADER, 12, &request));
    assert_eq!(waiting.until(), world.now.instant + Duration::from_millis(500));
    (world, waiting)
}

#[test]
fn a_fetch_waits_for_records() {
    let (mut world, waiting) = waiting(1);
    assert_eq!(waiting.change(), world.cluster.change());
    let waiting = waits(world.cluster.resume(LEADER, waiting, world.now));
    world.produce(9, TestBatch::of(1));
    assert_ne!(waiting.change(), world.cluster.change(), "an append wakes it");
    let data = only(world.resume::<FetchRequest>(LEADER, 12, waiting));
    assert_eq!(offsets(&data), [0]);
}

#[test]
fn a_fetch_waits_no_longer_than_it_says() {
    let (mut world, waiting) = waiting(1);
    world.pass(Duration::from_millis(499));
    let waiting = waits(world.cluster.resume(LEADER, waiting, world.now));
    world.pass(Duration::from_millis(1));
    let data = only(world.resume::<FetchRequest>(LEADER, 12, waiting));
    assert_eq!((data.error_code, offsets(&data)), (ErrorCode::NONE, vec![]));
}

#[test]
fn a_fetch_waits_for_as_many_bytes_as_it_wants() {
    let size = TestBatch::of(1).build().len() as i32;
    let (mut world, mut waiting) = waiting(size * 2);
    world.produce(9, TestBatch::of(1));
    waiting = waits(world.cluster.resume(LEADER, waiting, world.now));
    world.produce(9, TestBatch::of(1));
    assert_eq!(offsets(&only(world.resume::<FetchRequest>(LEADER, 12, waiting))), [0, 1]);
}

#[test]
fn an_error_ends_the_wait() {
    let (mut world, waiting) = waiting(1);
    world.cluster.move_leader("orders", PartitionId(0), NodeId(2)).expect("exists");
    assert_ne!(waiting.change(), world.cluster.change());
    let data = only(world.resume::<FetchRequest>(LEADER, 12, waiting));
    assert_eq!(data.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut request = fetch(&mut world, 12, 99);
    request.max_wait_ms = 500;
    assert_eq!(
        only(world.call(NodeId(2), 12, &request)).error_code,
        ErrorCode::OFFSET_OUT_OF_RANGE,
        "at once"
    );
}

#[test]
fn nothing_is_waited_for_where_nothing_is_asked() {
    let mut world = World::new();
    let request = FetchRequest { max_wait_ms: 500, min_bytes: 1, ..Default::default() };
    let answer = world.ask(LEADER, 12, &request);
    assert!(matches!(answer, Answer::Reply(_)));
    assert!(response::<FetchRequest>(answer, 12).responses.is_empty());
    let mut request = fetch(&mut world, 12, 0);
    (request.max_wait_ms, request.min_bytes) = (500, 0);
    assert!(matches!(world.ask(LEADER, 12, &request), Answer::Reply(_)));
}

#[test]
fn read_committed_sees_no_aborted_transactions() {
    let mut world = filled(1);
    let mut request = fetch(&mut world, 12, 0);
    request.isolation_level = 1;
    let data = only(world.call(LEADER, 12, &request));
    assert_eq!(data.aborted_transactions, Some(Vec::new()));
    assert_eq!(offsets(&data), [0]);
}
