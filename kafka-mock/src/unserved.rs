//! What is not served but has an answer that says so: the entrance doors of groups and transactions.
//!
//! Of these only FindCoordinator is in the answer to ApiVersions: it is where each group member and each transactional
//! producer comes first, and so hears why there is no more to have. For those that ask for the others all the same,
//! `UNSUPPORTED_VERSION` in the place where they look for errors is clearer than a closed connection. Written by hand,
//! with the least that each version demands, because kafka-wire has no messages for them.

use kafka_wire::{ApiKey, ErrorCode, FrameBuf, Input, RequestHeader, WireError, WireErrorKind, varint};

use crate::close::CloseReason;

/// A request for an API that is not served.
#[derive(Debug)]
pub(crate) struct Unserved {
    shape: &'static Shape,
    /// The keys of a FindCoordinator request from version 4 on, which its answer repeats.
    keys: Vec<String>,
}

/// How the answer to an API is laid out.
#[derive(Debug)]
struct Shape {
    api: ApiKey,
    newest: i16,
    flexible_since: i16,
    throttle_since: i16,
    /// Writes what comes after the error code.
    rest: fn(&mut Answering),
}

impl Unserved {
    /// Reads no more of the request than the answer needs.
    pub(crate) fn of(header: &RequestHeader, input: Input<'_>) -> Result<Self, CloseReason> {
        let (api, version) = (header.api_key, header.api_version);
        let shape = SHAPES.iter().find(|shape| shape.api == api && (0..=shape.newest).contains(&version));
        let shape = shape.ok_or(CloseReason::NotServed { api, version })?;
        let keys = if api == ApiKey::FIND_COORDINATOR && version >= FIRST_WITH_KEYS {
            coordinator_keys(input.as_slice()).map_err(|kind| {
                let source = WireError::new(kind, input.offset()).in_field("coordinator_keys");
                CloseReason::Malformed { api: Some(api), source }
            })?
        } else {
            Vec::new()
        };
        Ok(Self { shape, keys })
    }

    /// `UNSUPPORTED_VERSION`, where the client looks for it.
    pub(crate) fn answer(&self, header: &RequestHeader) -> Result<FrameBuf, CloseReason> {
        let version = header.api_version;
        let mut buf = FrameBuf::new();
        let start = buf.begin_frame();
        buf.put_i32(header.correlation_id.0);
        let mut body = Answering { buf, version, flexible: version >= self.shape.flexible_since };
        body.tags();
        if version >= self.shape.throttle_since {
            body.buf.put_i32(0);
        }
        if self.shape.api == ApiKey::FIND_COORDINATOR && version >= FIRST_WITH_KEYS {
            body.coordinators(&self.keys);
        } else {
            body.buf.put_i16(ErrorCode::UNSUPPORTED_VERSION.0);
            (self.shape.rest)(&mut body);
        }
        body.tags();
        let Answering { mut buf, .. } = body;
        match buf.finish_frame(start) {
            Ok(()) => Ok(buf),
            Err(source) => Err(CloseReason::Unencodable { api: self.shape.api, source }),
        }
    }
}

/// An answer being written.
struct Answering {
    buf: FrameBuf,
    version: i16,
    flexible: bool,
}

impl Answering {
    /// No tagged fields.
    fn tags(&mut self) {
        if self.flexible {
            self.buf.put_uvarint(0);
        }
    }

    fn text(&mut self, text: &str) {
        match i16::try_from(text.len()) {
            Ok(len) if !self.flexible => self.buf.put_i16(len),
            Ok(len) => self.buf.put_uvarint(u32::from(len.unsigned_abs()) + 1),
            Err(_) => self.buf.fail(WireErrorKind::TooLong),
        }
        self.buf.put_slice(text.as_bytes());
    }

    fn null_text(&mut self) {
        if self.flexible { self.buf.put_uvarint(0) } else { self.buf.put_i16(-1) }
    }

    /// The length of an array, or of bytes.
    fn count(&mut self, count: usize) {
        match i32::try_from(count) {
            Ok(count) if !self.flexible => self.buf.put_i32(count),
            Ok(count) => self.buf.put_uvarint(count.unsigned_abs() + 1),
            Err(_) => self.buf.fail(WireErrorKind::TooLong),
        }
    }

    /// Nowhere: no broker, no host, no port.
    fn nowhere(&mut self) {
        self.buf.put_i32(-1);
        self.text("");
        self.buf.put_i32(-1);
    }

    fn coordinators(&mut self, keys: &[String]) {
        self.count(keys.len());
        for key in keys {
            self.text(key);
            self.nowhere();
            self.buf.put_i16(ErrorCode::UNSUPPORTED_VERSION.0);
            self.text(REASON);
            self.tags();
        }
    }
}

/// Tags of the header, a key type, then a compact array of compact strings.
fn coordinator_keys(bytes: &[u8]) -> Result<Vec<String>, WireErrorKind> {
    let (tags, bytes) = varint::take_u32(bytes)?;
    if tags != 0 {
        // No client sends tags there; to skip them is not worth the code.
        return Err(WireErrorKind::BadLength);
    }
    let (_, bytes) = bytes.split_first().ok_or(WireErrorKind::Truncated)?;
    let (count, mut bytes) = varint::take_u32(bytes)?;
    let mut keys = Vec::new();
    for _ in 1..count {
        let (len, rest) = varint::take_u32(bytes)?;
        let len = len.checked_sub(1).ok_or(WireErrorKind::UnexpectedNull)?;
        let len = usize::try_from(len).map_err(|_| WireErrorKind::TooLong)?;
        let (key, rest) = rest.split_at_checked(len).ok_or(WireErrorKind::BadLength)?;
        keys.push(std::str::from_utf8(key).map_err(|_| WireErrorKind::BadUtf8)?.to_owned());
        bytes = rest;
    }
    Ok(keys)
}

/// The newest version of FindCoordinator.
pub(crate) const NEWEST_FIND_COORDINATOR: i16 = 6;

/// FindCoordinator asks for several keys at once from this version on (KIP-699).
const FIRST_WITH_KEYS: i16 = 4;

const REASON: &str = "the mock cluster serves neither groups nor transactions";

const SHAPES: &[Shape] = &[
    Shape {
        api: ApiKey::FIND_COORDINATOR,
        newest: NEWEST_FIND_COORDINATOR,
        flexible_since: 3,
        throttle_since: 1,
        rest: |body| {
            if body.version >= 1 {
                body.text(REASON);
            }
            body.nowhere();
        },
    },
    Shape {
        api: ApiKey::JOIN_GROUP,
        newest: 9,
        flexible_since: 6,
        throttle_since: 2,
        rest: |body| {
            body.buf.put_i32(-1);
            if body.version >= 7 {
                // Protocol type and name may be null since then.
                body.null_text();
                body.null_text();
            } else {
                body.text("");
            }
            body.text("");
            if body.version >= 9 {
                body.buf.put_u8(0);
            }
            body.text("");
            body.count(0);
        },
    },
    Shape { api: ApiKey::HEARTBEAT, newest: 4, flexible_since: 4, throttle_since: 1, rest: |_| {} },
    Shape {
        api: ApiKey::LEAVE_GROUP,
        newest: 5,
        flexible_since: 4,
        throttle_since: 1,
        rest: |body| {
            if body.version >= 3 {
                body.count(0);
            }
        },
    },
    Shape {
        api: ApiKey::SYNC_GROUP,
        newest: 5,
        flexible_since: 4,
        throttle_since: 1,
        rest: |body| {
            if body.version >= 5 {
                body.null_text();
                body.null_text();
            }
            body.count(0);
        },
    },
    Shape {
        api: ApiKey::LIST_GROUPS,
        newest: 5,
        flexible_since: 3,
        throttle_since: 1,
        rest: |body| body.count(0),
    },
    Shape { api: ApiKey::ADD_OFFSETS_TO_TXN, newest: 4, flexible_since: 3, throttle_since: 0, rest: |_| {} },
    Shape {
        api: ApiKey::END_TXN,
        newest: 5,
        flexible_since: 3,
        throttle_since: 0,
        rest: |body| {
            if body.version >= 5 {
                body.buf.put_i64(-1);
                body.buf.put_i16(-1);
            }
        },
    },
];
