//! Promises that no other test was about: a careless change to the code broke each of them once, and nothing noticed.

use bytes::Bytes;
use kafka_wire::messages::ApiVersionsRequest;
use kafka_wire::{FrameBuf, WireErrorKind, decode_body};

/// Kafka reads no longer string than it writes, also where the length would have room for one.
#[test]
fn a_string_that_kafka_could_not_write_is_not_read() {
    let request = |len: u32| {
        let mut buf = FrameBuf::new();
        buf.put_uvarint(len + 1);
        buf.put_slice(&vec![b'x'; len as usize]);
        // No version of the software, no tags.
        buf.put_slice(&[1, 0]);
        decode_body::<ApiVersionsRequest>(&buf.into_bytes(), 3)
    };
    assert_eq!(request(0x7fff).expect("as long as may be").client_software_name.len(), 0x7fff);
    let error = request(0x8000).expect_err("too long");
    assert_eq!((error.kind(), error.field()), (WireErrorKind::BadLength, Some("client_software_name")));
    let cut = decode_body::<ApiVersionsRequest>(&Bytes::from_static(&[9, b'x']), 3);
    assert_eq!(cut.expect_err("cut off").kind(), WireErrorKind::BadLength);
}
