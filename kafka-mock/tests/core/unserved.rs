//! Groups and transactions: no, in words the client reads.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_mock::{Answer, CloseReason};
use kafka_wire::ApiKey;

use crate::harness::{LEADER, World, closed, reply};

fn frame(key: ApiKey, version: i16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key.0);
    frame.put_i16(version);
    frame.put_i32(5);
    frame.put_i16(-1);
    frame.put_slice(body);
    frame.freeze()
}

fn ask(key: ApiKey, version: i16, body: &[u8]) -> Answer {
    let mut world = World::new();
    world.cluster.handle(LEADER, frame(key, version, body), world.now)
}

const CODE: [u8; 2] = [0, 35];

#[test]
fn find_coordinator_says_so_in_every_version() {
    let reason = b"the mock cluster serves neither groups nor transactions";
    let nowhere: &[u8] = &[255, 255, 255, 255, 0, 0, 255, 255, 255, 255];
    let v0 = [&[0, 0, 0, 5], &CODE[..], nowhere].concat();
    assert_eq!(reply(ask(ApiKey::FIND_COORDINATOR, 0, b"\0\x01g")), v0);
    for version in [1, 2] {
        let expected =
            [&[0, 0, 0, 5, 0, 0, 0, 0], &CODE[..], &[0, reason.len() as u8], reason, nowhere].concat();
        assert_eq!(reply(ask(ApiKey::FIND_COORDINATOR, version, b"\0\x01g\0")), expected);
    }
    let text = [&[reason.len() as u8 + 1], &reason[..]].concat();
    let compact_nowhere: &[u8] = &[255, 255, 255, 255, 1, 255, 255, 255, 255];
    let v3 = [&[0, 0, 0, 5, 0, 0, 0, 0, 0], &CODE[..], &text, compact_nowhere, &[0]].concat();
    assert_eq!(reply(ask(ApiKey::FIND_COORDINATOR, 3, b"\0\x02g\0\0")), v3);
    for version in [4, 5, 6] {
        let one =
            |key: &[u8]| [&[key.len() as u8 + 1], key, compact_nowhere, &CODE[..], &text, &[0]].concat();
        let expected = [&[0, 0, 0, 5, 0, 0, 0, 0, 0, 3], &one(b"g")[..], &one(b"hh"), &[0]].concat();
        assert_eq!(reply(ask(ApiKey::FIND_COORDINATOR, version, b"\0\0\x03\x02g\x03hh\0")), expected);
    }
}

#[test]
fn the_other_doors_say_so_with_the_least_of_a_body() {
    for (key, version, expected) in [
        (ApiKey::HEARTBEAT, 0, &[0, 0, 0, 5, 0, 35][..]),
        (ApiKey::HEARTBEAT, 3, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 35]),
        (ApiKey::HEARTBEAT, 4, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 35, 0]),
        (ApiKey::LEAVE_GROUP, 3, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 35, 0, 0, 0, 0]),
        (ApiKey::SYNC_GROUP, 5, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 35, 0, 0, 1, 0]),
        (ApiKey::LIST_GROUPS, 5, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 35, 1, 0]),
        (
            ApiKey::JOIN_GROUP,
            2,
            &[0, 0, 0, 5, 0, 0, 0, 0, 0, 35, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        (ApiKey::JOIN_GROUP, 9, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 35, 255, 255, 255, 255, 0, 0, 1, 0, 1, 1, 0]),
        (ApiKey::ADD_OFFSETS_TO_TXN, 0, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 35]),
        (
            ApiKey::END_TXN,
            5,
            &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 35, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0],
        ),
    ] {
        assert_eq!(reply(ask(key, version, b"any body")), expected, "{key} version {version}");
    }
}

#[test]
fn what_has_no_such_answer_ends_the_connection() {
    for (key, version) in [(ApiKey::OFFSET_COMMIT, 8), (ApiKey::FIND_COORDINATOR, 7), (ApiKey::HEARTBEAT, -1)]
    {
        assert_eq!(closed(ask(key, version, b"")), CloseReason::NotServed { api: key, version });
    }
    for body in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\0\xff\xff\xff\xff\x0f",
        b"\0\0\x03\x02g",
        b"\0\0\x02\0",
        b"\0\0\x02\x09g",
    ] {
        let reason = closed(ask(ApiKey::FIND_COORDINATOR, 4, body));
        assert!(
            matches!(reason, CloseReason::Malformed { api: Some(ApiKey::FIND_COORDINATOR), .. }),
            "{reason:?}"
        );
    }
}
