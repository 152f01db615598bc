//! Bodies of the fuzz targets: `fuzz/` runs them under libFuzzer, `tests/fuzzing` over the committed corpora.
//!
//! Each takes any bytes and panics if the crate broke a promise.

use bytes::{Bytes, BytesMut};

use crate::frame::{self, FrameBuf, LEN_SIZE};
use crate::header::{RequestHeader, decode_request_header};
use crate::input::Input;
use crate::registry::{ALL, Body};
use crate::text::put_text;
use crate::wire::{Cx, Wire};

/// What a broker reads off a socket: frames, each a header and the body of a request.
pub fn frame(data: &[u8]) {
    let mut buf = BytesMut::from(data);
    let mut left = buf.len();
    while let Ok(Some(frame)) = frame::split(&mut buf, MAX_FRAME) {
        assert!(frame.len() <= MAX_FRAME, "a frame above the limit");
        assert_eq!(buf.len() + frame.len() + LEN_SIZE, left, "bytes of a frame were lost");
        left = buf.len();
        if let Ok((header, body)) = decode_request_header(&frame) {
            request(&header, body);
        }
    }
    assert_eq!(buf.len(), left, "an incomplete frame was touched");
}

/// A message in a version, both told by the first three bytes, and its body in the others. `cargo xtask golden` writes
/// seeds of that form.
pub fn message(data: &[u8]) {
    let [api, version, side, body @ ..] = data else {
        return;
    };
    let Some(api) = ALL.get(usize::from(*api) % ALL.len()) else {
        return;
    };
    let Some(version) = api.versions.iter().nth(usize::from(*version)) else {
        return;
    };
    let message = if side % 2 == 0 { api.request } else { api.response };
    round_trip(message, &Bytes::copy_from_slice(body), version);
}

fn request(header: &RequestHeader, body: Input<'_>) {
    let Some(api) = header.api_key.api() else {
        return;
    };
    if api.versions.contains(header.api_version) {
        round_trip(api.request, &body.lend(), header.api_version);
    }
    // The header without its tags, which are not kept.
    let mut buf = FrameBuf::new();
    header.api_key.encode(&mut buf, FIXED);
    buf.put_i16(header.api_version);
    header.correlation_id.encode(&mut buf, FIXED);
    put_text(&mut buf, header.client_id.as_deref(), FIXED);
    if api.flexible_since.is_some_and(|since| header.api_version >= since) {
        buf.put_uvarint(0);
    }
    let bytes = buf.into_bytes();
    let again = decode_request_header(&bytes).map(|(header, rest)| (header, rest.len()));
    assert_eq!(again, Ok((header.clone(), 0)), "a header is decoded to another");
}

fn round_trip(message: Body, body: &Bytes, version: i16) {
    let Ok(trip) = (message.round_trip)(body.clone(), version) else {
        return;
    };
    let name = message.schema.name;
    assert!(trip.equal, "{name} v{version} is encoded to something else");
    assert_eq!(trip.bytes.len(), trip.size, "{name} v{version} has another size than it says");
    // Encoding gives back what was read, without unknown tags and overlong integers.
    assert!(trip.bytes.len() <= body.len(), "{name} v{version} grows by being encoded");
}

/// Frames of the targets are small; the limit is there to be hit.
const MAX_FRAME: usize = 1 << 16;

const FIXED: Cx = Cx { version: 0, flexible: false };
