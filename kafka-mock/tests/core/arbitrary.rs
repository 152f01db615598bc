//! Whatever bytes come, nothing panics, and the cluster goes on.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_mock::Answer;
use kafka_wire::messages::MetadataRequest;
use kafka_wire::{Acks, ApiKey};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::batch::TestBatch;
use crate::harness::{LEADER, World, frame};

/// Still there, and its topic as well.
#[track_caller]
fn still_serves(world: &mut World) {
    let response = world.call(LEADER, 9, &MetadataRequest { topics: None, ..Default::default() });
    assert_eq!(response.brokers.len(), 3);
}

/// An answer that can be written is one that can be sized.
fn check(answer: Answer) {
    if let Answer::Reply(frame) = answer {
        let len = frame.len();
        assert_eq!(frame.into_bytes().len(), len);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let mut world = World::new();
        check(world.cluster.handle(LEADER, Bytes::from(bytes), world.now));
        still_serves(&mut world);
    }

    #[test]
    fn any_body_behind_a_header(key in -1i16..100, version in -1i16..20, body in vec(any::<u8>(), 0..200)) {
        let mut world = World::new();
        let mut frame = BytesMut::new();
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(1);
        frame.put_i16(-1);
        // No tags, for the flexible versions.
        frame.put_u8(0);
        frame.put_slice(&body);
        check(world.cluster.handle(LEADER, frame.freeze(), world.now));
        still_serves(&mut world);
    }

    #[test]
    fn a_produce_request_with_some_bytes_changed(
        version in 3i16..=13,
        count in 1usize..20,
        gzip in any::<bool>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let mut world = World::new();
        let batch = TestBatch { gzip, ..TestBatch::numbered(count, 7, 0, 0) };
        let request = world.request(version, Acks::ALL, batch);
        let mut bytes = BytesMut::from(&frame(&request, version)[..]);
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if !keep {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        check(world.cluster.handle(LEADER, bytes.freeze(), world.now));
        // Whatever got into a log can be read again.
        for stored in world.cluster.batches("orders", kafka_wire::PartitionId(0)).unwrap_or_default() {
            for batch in kafka_batch::BatchReader::new(stored) {
                let batch = batch.expect("sound");
                let read: Result<Vec<_>, _> = batch.records().expect("sound").collect();
                prop_assert_eq!(read.expect("sound").len(), count);
            }
        }
        still_serves(&mut world);
    }
}

#[test]
fn the_properties_reach_the_handlers() {
    // Without changes the third property appends: it would show nothing if every request were malformed.
    let mut world = World::new();
    let request = world.request(13, Acks::ALL, TestBatch::of(3));
    let bytes = frame(&request, 13);
    assert_eq!(bytes[..2], ApiKey::PRODUCE.0.to_be_bytes());
    check(world.cluster.handle(LEADER, bytes, world.now));
    assert_eq!(world.end(), 3);
}
