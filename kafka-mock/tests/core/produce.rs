//! Produce: every rule a batch can break, and the answer's shape in each version.

use bytes::{Bytes, BytesMut};
use kafka_mock::{Answer, CloseReason, ClusterConfig};
use kafka_wire::messages::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use kafka_wire::{Acks, ErrorCode, NodeId, PartitionId, Records, TopicId};

use crate::batch::{NOW_MS, TestBatch, TestRecord};
use crate::harness::{LEADER, World, closed, only, transactional};

#[test]
fn a_sound_batch_is_appended_in_every_version() {
    let mut world = World::new();
    for (count, version) in (3..=13).enumerate() {
        let response = world.produce(version, TestBatch::of(2));
        assert_eq!(response.error_code, ErrorCode::NONE, "version {version}");
        assert_eq!(response.base_offset, count as i64 * 2);
        assert_eq!(response.log_append_time_ms, -1);
        assert_eq!(response.log_start_offset, if version < 5 { -1 } else { 0 });
    }
}

#[test]
fn the_broker_fills_in_offset_and_leader_epoch() {
    let mut world = World::new();
    world.produce(9, TestBatch::of(3));
    world.cluster.move_leader("orders", PartitionId(0), NodeId(2)).expect("exists");
    world.cluster.move_leader("orders", PartitionId(0), LEADER).expect("exists");
    let sent = TestBatch::of(3).build();
    world.produce(9, sent.clone());
    let stored = world.cluster.batches("orders", PartitionId(0)).expect("exists");
    assert_eq!(stored[1][..8], 3i64.to_be_bytes());
    assert_eq!(stored[1][12..16], 2i32.to_be_bytes());
    assert_eq!(stored[1][8..12], sent[8..12]);
    assert_eq!(stored[1][16..], sent[16..]);
}

#[test]
fn a_wrong_checksum_is_a_corrupt_message() {
    let mut world = World::new();
    let sound = TestBatch::of(1).build();
    for at in 17..sound.len() {
        let mut broken = BytesMut::from(&sound[..]);
        broken[at] ^= 0x40;
        let response = world.produce(9, broken.freeze());
        assert_eq!(response.error_code, ErrorCode::CORRUPT_MESSAGE, "byte {at}");
        assert_eq!(response.log_start_offset, -1);
    }
    assert_eq!(world.end(), 0);
}

#[test]
fn what_is_not_exactly_one_batch_of_magic_2_is_an_invalid_record() {
    let mut world = World::new();
    let sound = TestBatch::of(1).build();
    let twice = [&sound[..], &sound[..]].concat();
    let with_rest = [&sound[..], b"rest"].concat();
    let old = TestBatch { magic: 1, ..TestBatch::default() }.build();
    for bytes in
        [Bytes::new(), sound.slice(..60), sound.slice(..sound.len() - 1), twice.into(), with_rest.into(), old]
    {
        assert_eq!(world.refused(9, bytes.clone()), ErrorCode::INVALID_RECORD, "{bytes:?}");
    }
    let mut request = world.request(9, Acks::ALL, sound);
    request.topic_data[0].partition_data[0].records = None;
    let response = only(world.call(LEADER, 9, &request));
    assert_eq!(response.error_code, ErrorCode::INVALID_RECORD);
    assert!(response.record_errors.is_empty());
}

#[test]
fn header_fields_that_contradict_are_an_invalid_record() {
    let mut world = World::new();
    let sound = TestBatch::of(3);
    for broken in [
        TestBatch { base_offset: 1, ..sound.clone() },
        TestBatch { last_offset_delta: Some(3), ..sound.clone() },
        TestBatch { last_offset_delta: Some(1), ..sound.clone() },
        TestBatch { count: Some(0), last_offset_delta: Some(-1), ..sound.clone() },
        TestBatch { count: Some(-1), last_offset_delta: Some(-2), ..sound.clone() },
        // More and fewer than there are.
        TestBatch { count: Some(4), last_offset_delta: Some(3), ..sound.clone() },
        TestBatch { count: Some(2), last_offset_delta: Some(1), ..sound.clone() },
        // The control bit.
        TestBatch { attributes: 1 << 5, ..sound.clone() },
        // A producer id without a sequence.
        TestBatch { producer: (7, 0, -1), ..sound.clone() },
    ] {
        let response = world.produce(9, broken.clone());
        assert_eq!(response.error_code, ErrorCode::INVALID_RECORD, "{broken:?}");
        assert!(response.record_errors.is_empty());
        assert_eq!(response.log_start_offset, 0, "{broken:?}");
    }
    assert_eq!(world.end(), 0);
}

#[test]
fn offset_deltas_are_consecutive() {
    let mut world = World::new();
    let mut batch = TestBatch { gzip: true, ..TestBatch::of(3) };
    assert_eq!(world.produce(9, batch.build()).error_code, ErrorCode::NONE);
    batch.records[1].offset_delta = Some(2);
    assert_eq!(world.refused(9, batch.build()), ErrorCode::UNKNOWN_SERVER_ERROR);
    // Where a broker does not look, this cluster does.
    batch.gzip = false;
    assert_eq!(world.refused(9, batch.build()), ErrorCode::UNKNOWN_SERVER_ERROR);
}

#[test]
fn compressed_bytes_that_do_not_decompress_are_refused() {
    let mut world = World::new();
    // The attributes say gzip, the records are not compressed; and codecs that do not exist.
    for codec in [1, 5, 6, 7] {
        let batch = TestBatch { attributes: codec, ..TestBatch::default() };
        assert_eq!(world.refused(9, batch), ErrorCode::UNKNOWN_SERVER_ERROR, "codec {codec}");
    }
}

#[test]
fn zstd_is_taken_from_version_7_on() {
    let mut world = World::new();
    // Not zstd in truth: the codec is refused before it is used.
    let batch = TestBatch { attributes: 4, ..TestBatch::default() };
    assert_eq!(world.refused(6, batch.clone()), ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    assert_eq!(world.refused(7, batch), ErrorCode::UNKNOWN_SERVER_ERROR);
}

#[test]
fn ignored_attributes_and_leader_epoch_are_ignored() {
    let mut world = World::new();
    // Timestamp type, delete horizon, and the bits without a meaning.
    for bit in [3, 6, 7, 8, 14, 15] {
        let batch = TestBatch { attributes: 1i16.wrapping_shl(bit), ..TestBatch::default() };
        assert_eq!(world.produce(9, batch).error_code, ErrorCode::NONE, "bit {bit}");
    }
    let mut batch = BytesMut::from(&TestBatch::default().build()[..]);
    batch[12..16].copy_from_slice(&9i32.to_be_bytes());
    assert_eq!(world.produce(9, batch.freeze()).error_code, ErrorCode::NONE);
}

#[test]
fn a_compacted_topic_wants_keys() {
    let mut world = World::new();
    world.cluster.set_topic_config("orders", "cleanup.policy", "compact").expect("valid");
    let mut batch = TestBatch::of(4);
    batch.records[1].key = None;
    batch.records[3].key = None;
    let response = world.produce(8, batch.build());
    assert_eq!(response.error_code, ErrorCode::INVALID_RECORD);
    let blamed: Vec<i32> = response.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(blamed, [1, 3]);
    assert!(response.error_message.is_some());
    // Before version 8 there is no place for them.
    assert!(world.produce(7, batch.build()).record_errors.is_empty());
    assert_eq!(world.produce(8, TestBatch::of(1)).error_code, ErrorCode::NONE);
}

#[test]
fn timestamps_far_from_the_clock_are_refused() {
    let mut world = World::new();
    let hour = 3_600_000;
    let at = |timestamp| TestRecord { key: None, value: Vec::new(), timestamp, offset_delta: None };
    let batch = |timestamps: &[i64]| TestBatch {
        records: timestamps.iter().map(|&timestamp| at(timestamp)).collect(),
        ..TestBatch::default()
    };
    assert_eq!(world.produce(9, batch(&[NOW_MS + hour, 0])).error_code, ErrorCode::NONE);
    let response = world.produce(9, batch(&[NOW_MS, NOW_MS + hour + 1, 0]));
    assert_eq!(response.error_code, ErrorCode::INVALID_TIMESTAMP);
    assert_eq!(response.record_errors.len(), 1);
    assert_eq!(response.record_errors[0].batch_index, 1);

    world.cluster.set_topic_config("orders", "message.timestamp.before.max.ms", "1000").expect("valid");
    assert_eq!(world.produce(9, batch(&[NOW_MS - 1000])).error_code, ErrorCode::NONE);
    assert_eq!(world.refused(9, batch(&[NOW_MS, NOW_MS - 1001])), ErrorCode::INVALID_TIMESTAMP);
}

#[test]
fn max_message_bytes_counts_the_whole_batch() {
    let mut world = World::new();
    let batch = TestBatch::of(10).build();
    let limit = |world: &mut World, bytes: usize| {
        world.cluster.set_topic_config("orders", "max.message.bytes", &bytes.to_string()).expect("valid");
    };
    limit(&mut world, batch.len());
    assert_eq!(world.produce(9, batch.clone()).error_code, ErrorCode::NONE);
    limit(&mut world, batch.len() - 1);
    let response = world.produce(9, batch.clone());
    assert_eq!(response.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(response.log_start_offset, -1);
    // The size is judged before the checksum.
    let mut broken = BytesMut::from(&batch[..]);
    broken[70] ^= 1;
    assert_eq!(world.refused(9, broken.freeze()), ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn acks_is_0_1_or_all() {
    let mut world = World::new();
    for acks in [1, -1] {
        let request = world.request(9, Acks(acks), TestBatch::default());
        assert_eq!(only(world.call(LEADER, 9, &request)).error_code, ErrorCode::NONE);
    }
    for acks in [2, -2, 3] {
        let request = world.request(9, Acks(acks), TestBatch::default());
        assert_eq!(only(world.call(LEADER, 9, &request)).error_code, ErrorCode::INVALID_REQUIRED_ACKS);
    }
    assert_eq!(world.end(), 2);
}

#[test]
fn without_acks_there_is_no_answer() {
    let mut world = World::new();
    let request = world.request(9, Acks::NONE, TestBatch::of(2));
    assert!(matches!(world.ask(LEADER, 9, &request), Answer::Silence));
    assert_eq!(world.end(), 2);
    // A failure can only be told by hanging up.
    let reason = closed(world.ask(NodeId(2), 9, &request));
    assert_eq!(reason, CloseReason::FailedWithoutAcks { code: ErrorCode::NOT_LEADER_OR_FOLLOWER });
}

#[test]
fn replicas_are_never_too_few() {
    let mut world = World::new();
    world.cluster.set_topic_config("orders", "min.insync.replicas", "4").expect("valid");
    assert_eq!(world.produce(9, TestBatch::default()).error_code, ErrorCode::NONE);
}

#[test]
fn another_broker_names_the_leader_from_version_10_on() {
    let mut world = World::new();
    world.cluster.move_leader("orders", PartitionId(0), NodeId(3)).expect("exists");
    for version in [9, 10, 13] {
        let request = world.request(version, Acks::ALL, TestBatch::default());
        let response: ProduceResponse = world.call(LEADER, version, &request);
        let endpoints = response.node_endpoints.clone();
        let partition = only(response);
        assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!(partition.log_start_offset, -1);
        if version < 10 {
            assert!(endpoints.is_empty());
            assert_eq!(partition.current_leader.leader_id, NodeId::NONE);
        } else {
            assert_eq!(
                (partition.current_leader.leader_id, partition.current_leader.leader_epoch),
                (NodeId(3), 1)
            );
            assert_eq!(endpoints.len(), 1);
            let endpoint = &endpoints[0];
            assert_eq!((endpoint.node_id, endpoint.host.as_str(), endpoint.port), (NodeId(3), "mock", 9094));
        }
    }
}

#[test]
fn what_is_unknown_is_named_in_the_words_of_the_version() {
    let mut world = World::new();
    let partition = |index, batch: TestBatch| PartitionProduceData {
        index: PartitionId(index),
        records: Some(Records::from(batch.build())),
    };
    let ask = |world: &mut World, version, topic: TopicProduceData| {
        let request = ProduceRequest { acks: Acks::ALL, topic_data: vec![topic], ..Default::default() };
        let response: ProduceResponse = world.call(LEADER, version, &request);
        let echoed = (response.responses[0].name.clone(), response.responses[0].topic_id);
        (only(response).error_code, echoed)
    };
    let by_name = |name: &str, index| TopicProduceData {
        name: name.into(),
        partition_data: vec![partition(index, TestBatch::default())],
        ..Default::default()
    };
    let by_id = |topic_id, index| TopicProduceData {
        topic_id,
        partition_data: vec![partition(index, TestBatch::default())],
        ..Default::default()
    };
    let id = world.topic_id();
    let zero = TopicId::default();
    assert_eq!(
        ask(&mut world, 12, by_name("nope", 0)),
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ("nope".into(), zero))
    );
    assert_eq!(ask(&mut world, 12, by_name("orders", 3)).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(ask(&mut world, 12, by_name("orders", -1)).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(
        ask(&mut world, 13, by_id(TopicId([7; 16]), 0)),
        (ErrorCode::UNKNOWN_TOPIC_ID, ("".into(), TopicId([7; 16])))
    );
    assert_eq!(ask(&mut world, 13, by_id(zero, 0)).0, ErrorCode::UNKNOWN_TOPIC_ID);
    assert_eq!(ask(&mut world, 13, by_id(id, 3)).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(ask(&mut world, 13, by_id(id, 0)), (ErrorCode::NONE, ("".into(), id)));
}

#[test]
fn a_topic_created_again_has_another_id() {
    let mut world = World::new();
    let request = world.request(13, Acks::ALL, TestBatch::default());
    world.cluster.delete_topic("orders").expect("exists");
    world.cluster.create_topic("orders", 3).expect("legal");
    let response = only(world.call(LEADER, 13, &request));
    assert_eq!(response.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
    assert_eq!(world.end(), 0);
}

#[test]
fn the_transactional_bit_is_refused() {
    let mut world = World::new();
    let batch = TestBatch { attributes: 1 << 4, ..TestBatch::numbered(1, 7, 0, 0) };
    let request = world.request(9, Acks::ALL, batch.clone());
    let without_id = only(world.call(LEADER, 9, &request));
    assert_eq!(without_id.error_code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let request = transactional(world.request(9, Acks::ALL, batch), "my-transaction");
    assert_eq!(only(world.call(LEADER, 9, &request)).error_code, ErrorCode::INVALID_TXN_STATE);
    assert_eq!(world.end(), 0);
}

#[test]
fn each_partition_of_a_request_has_its_own_outcome() {
    let mut world = World::new();
    let data = |index: i32, batch: Bytes| PartitionProduceData {
        index: PartitionId(index),
        records: Some(Records::from(batch)),
    };
    let sound = TestBatch::of(2).build();
    let mut broken = BytesMut::from(&sound[..]);
    broken[65] ^= 1;
    world.cluster.move_leader("orders", PartitionId(2), LEADER).expect("exists");
    let topic = TopicProduceData {
        name: "orders".into(),
        partition_data: vec![
            data(0, broken.freeze()),
            data(1, sound.clone()),
            data(2, sound),
            data(9, Bytes::new()),
        ],
        ..Default::default()
    };
    let request = ProduceRequest { acks: Acks::ALL, topic_data: vec![topic], ..Default::default() };
    let response: ProduceResponse = world.call(LEADER, 9, &request);
    let codes: Vec<_> =
        response.responses[0].partition_responses.iter().map(|p| (p.index.0, p.error_code)).collect();
    assert_eq!(
        codes,
        [
            (0, ErrorCode::CORRUPT_MESSAGE),
            (1, ErrorCode::NOT_LEADER_OR_FOLLOWER),
            (2, ErrorCode::NONE),
            (9, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        ]
    );
}

#[test]
fn a_sink_counts_and_keeps_nothing() {
    let mut world = World::with(ClusterConfig::default().brokers(3).discard(true));
    let mut broken = BytesMut::from(&TestBatch::of(5).build()[..]);
    broken[65] ^= 1;
    for round in 0..3 {
        let response = world.produce(9, broken.clone().freeze());
        assert_eq!((response.error_code, response.base_offset), (ErrorCode::NONE, round * 5));
    }
    assert_eq!(world.cluster.offsets("orders", PartitionId(0)), Some((15, 15)));
    let request = world.request(9, Acks::ALL, broken.freeze());
    assert_eq!(only(world.call(NodeId(2), 9, &request)).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[test]
fn a_topic_may_want_the_time_of_the_append() {
    let mut world = World::new();
    world.cluster.set_topic_config("orders", "message.timestamp.type", "LogAppendTime").expect("valid");
    let mut batch = TestBatch::numbered(3, 7, 0, 0);
    // Far beyond what is taken otherwise.
    batch.records[1].timestamp = 0;
    batch.records[2].timestamp = NOW_MS * 2;
    batch.gzip = true;
    let first = world.produce(9, batch.clone());
    assert_eq!((first.error_code, first.log_append_time_ms), (ErrorCode::NONE, NOW_MS));
    world.pass(std::time::Duration::from_secs(60));
    let again = world.produce(9, batch);
    assert_eq!((again.base_offset, again.log_append_time_ms), (0, NOW_MS), "that of the first append");
    let stored = world.cluster.batches("orders", PartitionId(0)).expect("exists").remove(0);
    let read = kafka_batch::BatchReader::new(stored).next().expect("one").expect("its checksum fits");
    assert!(read.header().is_log_append_time());
    let times: Vec<_> =
        read.records().expect("gzip").map(|read| read.expect("whole").record.timestamp).collect();
    assert_eq!(times, [NOW_MS; 3]);
}

#[test]
fn after_an_unclean_election_a_producer_is_known_by_what_is_left() {
    let mut world = World::new();
    let send = |world: &mut World, epoch, sequence| {
        let response = world.produce(9, TestBatch::numbered(1, 7, epoch, sequence));
        (response.error_code, response.base_offset)
    };
    for (epoch, sequence, offset) in [(0, 0, 0), (0, 1, 1), (1, 0, 2)] {
        assert_eq!(send(&mut world, epoch, sequence), (ErrorCode::NONE, offset));
    }
    world.cluster.elect_unclean("orders", PartitionId(0), LEADER, 1).expect("exists");
    assert_eq!(send(&mut world, 1, 1), (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1), "it knows epoch 0");
    assert_eq!(send(&mut world, 0, 1), (ErrorCode::NONE, 1), "a duplicate");
    assert_eq!(send(&mut world, 1, 0), (ErrorCode::NONE, 2));
}

#[test]
fn attributes_that_are_not_the_producers_are_not_stored() {
    let mut world = World::new();
    let batch = TestBatch { attributes: 0x7fc8, ..TestBatch::of(2) };
    assert_eq!(world.produce(9, batch).error_code, ErrorCode::NONE);
    let stored = world.cluster.batches("orders", PartitionId(0)).expect("exists").remove(0);
    let read = kafka_batch::BatchReader::new(stored).next().expect("one").expect("its checksum fits");
    assert_eq!(read.header().attributes, 64);
    let mut late = TestBatch { attributes: 8, ..TestBatch::of(1) };
    late.records[0].timestamp = NOW_MS * 2;
    assert_eq!(world.refused(9, late), ErrorCode::INVALID_TIMESTAMP, "whatever it says of its time");
}
