//! Answers that no broker gives.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::messages::{FetchResponse, ProduceResponse};
use kafka_wire::{ApiKey, RequestHeader};

/// How the bytes of an answer are spoilt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformation {
    /// Only so many bytes are written, the length in front counted; then the connection is closed.
    Truncated(usize),
    /// The length in front says this, whatever the answer's length is.
    Length(i32),
    /// These bytes are written instead, as they are.
    Raw(Bytes),
    /// The correlation id is that of the request plus this: -1 repeats the one before, with most clients.
    CorrelationId(i32),
    /// The answer carries tagged fields that no client knows (KIP-482), where its version has tagged fields.
    UnknownTags,
    /// So many zeroes follow the answer, inside of its frame; 16 MiB of them at the most.
    Padded(usize),
    /// The byte at this place has its bits turned round; the place is counted from behind the length.
    Flipped(usize),
    /// The answer is written twice.
    Twice,
}

impl Malformation {
    /// What a web server answers to somebody who does not speak HTTP.
    #[must_use]
    pub fn http() -> Self {
        Self::Raw(Bytes::from_static(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nBad Request",
        ))
    }

    /// The alert of a TLS server that was spoken to without TLS.
    #[must_use]
    pub fn tls_alert() -> Self {
        Self::Raw(Bytes::from_static(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]))
    }

    /// The frame as it is written, and whether the connection ends behind it.
    pub(crate) fn spoil(&self, header: &RequestHeader, frame: Bytes) -> (Bytes, bool) {
        match self {
            Self::Truncated(count) => (frame.slice(..frame.len().min(*count)), true),
            Self::Length(length) => (patched(&frame, 0, &length.to_be_bytes()), false),
            Self::Raw(bytes) => (bytes.clone(), false),
            Self::CorrelationId(shift) => {
                let id = header.correlation_id.0.wrapping_add(*shift);
                (patched(&frame, LENGTH, &id.to_be_bytes()), false)
            }
            Self::UnknownTags => (with_tags(header, &frame), false),
            Self::Padded(count) => {
                let mut padded = BytesMut::from(&frame[..]);
                padded.put_bytes(0, (*count).min(MAX_PADDING));
                (with_length(padded), false)
            }
            Self::Flipped(place) => {
                let mut flipped = BytesMut::from(&frame[..]);
                if let Some(byte) = flipped.get_mut(place.saturating_add(LENGTH)) {
                    *byte = !*byte;
                }
                (flipped.freeze(), false)
            }
            Self::Twice => ([&frame[..], &frame[..]].concat().into(), false),
        }
    }
}

fn patched(frame: &Bytes, at: usize, with: &[u8; 4]) -> Bytes {
    let mut patched = BytesMut::from(&frame[..]);
    if let Some(bytes) = patched.get_mut(at..at + with.len()) {
        bytes.copy_from_slice(with);
    }
    patched.freeze()
}

fn with_length(mut frame: BytesMut) -> Bytes {
    let length = i32::try_from(frame.len().saturating_sub(LENGTH)).unwrap_or(i32::MAX);
    if let Some(bytes) = frame.get_mut(..LENGTH) {
        bytes.copy_from_slice(&length.to_be_bytes());
    }
    frame.freeze()
}

/// One unknown field in the header and one at the end of the body.
///
/// Our own answers have no tags in their header, so that its count is a zero byte behind the correlation id; and none at
/// the end of the body either, but for the addresses of leaders that Produce and Fetch answers carry. Behind these the count
/// is not the last byte, and the body is left as it is.
fn with_tags(header: &RequestHeader, frame: &Bytes) -> Bytes {
    let since = header.api_key.api().and_then(|api| api.flexible_since);
    if since.is_none_or(|since| header.api_version < since) {
        return frame.clone();
    }
    let mut tagged = BytesMut::with_capacity(frame.len() + 2 * FIELD.len());
    // The answer to ApiVersions has a header without tags in every version (KIP-511).
    let head = if header.api_key == ApiKey::API_VERSIONS { BARE_HEAD } else { BARE_HEAD + 1 };
    let (Some(bare), Some(body)) = (frame.get(..BARE_HEAD), frame.get(head..)) else { return frame.clone() };
    tagged.put_slice(bare);
    if head > BARE_HEAD {
        tagged.put_slice(FIELD);
    }
    match body.split_last() {
        Some((0, rest)) if !has_endpoints(header, frame) => {
            tagged.put_slice(rest);
            tagged.put_slice(FIELD);
        }
        _ => tagged.put_slice(body),
    }
    with_length(tagged)
}

fn has_endpoints(header: &RequestHeader, frame: &Bytes) -> bool {
    let frame = frame.slice(LENGTH..);
    let version = header.api_version;
    match header.api_key {
        ApiKey::PRODUCE => kafka_wire::decode_response::<ProduceResponse>(&frame, version)
            .is_ok_and(|(_, response)| !response.node_endpoints.is_empty()),
        ApiKey::FETCH => kafka_wire::decode_response::<FetchResponse>(&frame, version)
            .is_ok_and(|(_, response)| !response.node_endpoints.is_empty()),
        _ => false,
    }
}

/// What a script may ask for by mistake is more than there is memory.
const MAX_PADDING: usize = 16 << 20;

/// Bytes of the length in front of a frame.
const LENGTH: usize = 4;

/// Length and correlation id.
const BARE_HEAD: usize = LENGTH + 4;

/// One tagged field: number 1000, which is `e8 07`, with three bytes in it.
const FIELD: &[u8] = &[1, 0xe8, 0x07, 3, 0xca, 0xfe, 0x00];

#[cfg(test)]
mod tests {
    use kafka_wire::messages::{
        ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    };
    use kafka_wire::{CorrelationId, Message, Request, Response};

    use super::*;

    fn header<R: Message>(version: i16) -> RequestHeader {
        RequestHeader { api_key: R::API, api_version: version, ..header_of_seven() }
    }

    fn header_of_seven() -> RequestHeader {
        RequestHeader { correlation_id: CorrelationId(7), ..Default::default() }
    }

    fn frame<R: Response>(response: &R, version: i16) -> Bytes {
        kafka_wire::encode_response(response, version, CorrelationId(7)).expect("encodes").into_bytes()
    }

    fn length(frame: &Bytes) -> i32 {
        i32::from_be_bytes(frame[..4].try_into().expect("four bytes"))
    }

    #[track_caller]
    fn tags_are_skipped<R: Request>(version: i16)
    where
        R::Response: Default + PartialEq + std::fmt::Debug,
    {
        let plain = frame(&R::Response::default(), version);
        let (spoilt, ends) = Malformation::UnknownTags.spoil(&header::<R>(version), plain.clone());
        assert!(spoilt.len() > plain.len() && !ends);
        assert_eq!(length(&spoilt) as usize, spoilt.len() - 4);
        let read = kafka_wire::decode_response::<R::Response>(&spoilt.slice(4..), version);
        assert_eq!(read, Ok((CorrelationId(7), R::Response::default())));
    }

    #[test]
    fn unknown_tags_are_where_a_client_skips_them() {
        tags_are_skipped::<MetadataRequest>(12);
        tags_are_skipped::<ProduceRequest>(11);
        tags_are_skipped::<ApiVersionsRequest>(4);
    }

    #[test]
    fn a_version_without_tags_gets_none() {
        let plain = frame(&MetadataResponse::default(), 5);
        let spoilt = Malformation::UnknownTags.spoil(&header::<MetadataRequest>(5), plain.clone());
        assert_eq!(spoilt, (plain, false));
    }

    #[test]
    fn what_is_spoilt_is_spoilt_as_it_says() {
        let header = header::<ApiVersionsRequest>(0);
        let plain = frame(&ApiVersionsResponse::default(), 0);
        let spoil = |how: Malformation| how.spoil(&header, plain.clone());
        assert_eq!(spoil(Malformation::Truncated(5)), (plain.slice(..5), true));
        assert_eq!(spoil(Malformation::Truncated(1 << 20)), (plain.clone(), true));
        assert_eq!(length(&spoil(Malformation::Length(-1)).0), -1);
        assert_eq!(spoil(Malformation::CorrelationId(-1)).0[4..8], 6i32.to_be_bytes());
        let padded = spoil(Malformation::Padded(3)).0;
        assert_eq!((length(&padded), padded.len()), (length(&plain) + 3, plain.len() + 3));
        assert_eq!(spoil(Malformation::Flipped(0)).0[4], !plain[4]);
        assert_eq!(spoil(Malformation::Twice).0.len(), plain.len() * 2);
        assert!(spoil(Malformation::http()).0.starts_with(b"HTTP/1.1 400"));
    }
}
