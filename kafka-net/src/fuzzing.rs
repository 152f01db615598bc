//! The body of the fuzz target `connection_ops`; its inputs are replayed, and others made up, by `cargo test`.
//!
//! A list of operations on a [`Connection`], two bytes each, beside a model that knows what must come of them: each
//! call comes back exactly once, says truthfully whether it may have been written, is never late, and there are never
//! more than allowed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use kafka_wire::{
    ApiKey, CorrelationId, ErrorCode, FrameBuf, NodeId, VersionRange, WireError, WireErrorKind,
    encode_response,
    messages::{ApiVersion, ApiVersionsResponse, MetadataResponse},
};

use crate::{Answer, Call, Connection, Event, Expectation, NetConfig, NetError, Opening};

/// Runs the operations in `data` from the given start of time. The first byte says besides what is expected of the broker.
///
/// # Panics
/// If the connection breaks one of its promises.
pub fn connection_ops(data: &[u8], start: Instant) {
    let mut world = World::new(start, data.first().copied().unwrap_or_default());
    for op in data.chunks_exact(2).take(MAX_OPS) {
        if let &[op, detail] = op {
            world.apply(op, detail);
            world.check();
        }
    }
    world.connection.abort(world.now);
    world.drain();
    assert!(world.open.is_empty(), "calls that never came back: {:?}", world.open);
    assert_eq!(world.came_back, world.handed_in, "each call comes back once");
}

/// A call whose content is its number.
#[derive(Debug)]
struct Numbered {
    number: u32,
    versions: VersionRange,
    expects_reply: bool,
    timeout: Option<Duration>,
    is_encodable: bool,
    padding: usize,
}

impl Call for Numbered {
    type Reply = (u32, Duration);

    fn api_key(&self) -> ApiKey {
        ApiKey::PRODUCE
    }

    fn versions(&self) -> VersionRange {
        self.versions
    }

    fn encode(&mut self, _: i16, correlation_id: CorrelationId, _: &str) -> Result<FrameBuf, WireError> {
        let mut buf = FrameBuf::new();
        let start = buf.begin_frame();
        buf.put_i32(correlation_id.0);
        buf.put_u32(self.number);
        buf.put_slice(&vec![0; self.padding]);
        if !self.is_encodable {
            buf.fail(WireErrorKind::TooLong);
        }
        buf.finish_frame(start)?;
        Ok(buf)
    }

    fn decode(&self, _: i16, mut frame: Bytes) -> Result<(u32, Duration), WireError> {
        if frame.len() != 12 {
            return Err(WireError::new(WireErrorKind::Truncated, 0));
        }
        frame.advance(4);
        Ok((frame.get_u32(), Duration::from_millis(u64::from(frame.get_u32()))))
    }

    fn throttle(&self, reply: &(u32, Duration)) -> Duration {
        reply.1
    }

    fn expects_reply(&self) -> bool {
        self.expects_reply
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// What the model knows of a call that is not back yet.
#[derive(Debug)]
struct Open {
    deadline: Instant,
    /// Its first byte's place in the stream; `None` if it must come back at once.
    start: Option<u64>,
    expects_reply: bool,
}

/// What a request asks.
#[derive(Debug, Clone, Copy)]
enum Question {
    /// Part of the handshake: an API in a version.
    Handshake(ApiKey, i16),
    Call(u32),
}

struct World {
    connection: Connection<Numbered>,
    now: Instant,
    /// Bytes given out, and those of them that are written.
    queued: u64,
    written: u64,
    /// Ends of the frames given out, with what each asks.
    frames: VecDeque<(u64, CorrelationId, Question)>,
    /// What the broker has completely and has not answered.
    asked: VecDeque<(CorrelationId, Question)>,
    /// The cluster that the broker is to be of.
    expects: bool,
    /// What the broker last said of that, if it did.
    is_ours: Option<bool>,
    open: BTreeMap<u32, Open>,
    handed_in: u32,
    came_back: u32,
    throttled_until: Option<Instant>,
    is_ready: bool,
    is_closed: bool,
}

impl World {
    fn new(now: Instant, first: u8) -> Self {
        let expects = first & 0x80 != 0;
        let expectation = expects.then(|| Expectation::of(OURS.into(), false));
        let opening = Opening::new().expecting(expectation).asking_in((first & 0x40 != 0).then_some(3));
        let config = NetConfig {
            max_in_flight: MAX_IN_FLIGHT,
            request_timeout: REQUEST_TIMEOUT,
            max_idle: Some(MAX_IDLE),
            ..NetConfig::default()
        };
        let mut world = Self {
            connection: Connection::open(
                NodeId(1),
                "broker:9092",
                Arc::new(config),
                SETUP_TIMEOUT,
                opening,
                now,
            ),
            expects,
            is_ours: None,
            now,
            queued: 0,
            written: 0,
            frames: VecDeque::new(),
            asked: VecDeque::new(),
            open: BTreeMap::new(),
            handed_in: 0,
            came_back: 0,
            throttled_until: None,
            is_ready: false,
            is_closed: false,
        };
        world.drain();
        world
    }

    fn apply(&mut self, op: u8, detail: u8) {
        match op % 10 {
            0..=2 => self.call(detail),
            3 => self.write(u64::from(detail) * 4),
            4 | 5 => self.answer(detail),
            6 => self.pass(Duration::from_millis(u64::from(detail) * 8)),
            7 => {
                // Exactly when it asked to be told.
                if let Some(due) = self.connection.poll_timeout() {
                    self.pass(due.saturating_duration_since(self.now));
                }
            }
            8 if detail < 16 => self.connection.finish(self.now),
            8 if detail < 32 => self.connection.abort(self.now),
            8 if detail < 48 => {
                let broken = NetError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
                self.connection.handle_broken(broken, self.now);
            }
            8 if detail < 64 => {
                let frame: &[u8] = if detail % 2 == 0 { &[0x7f, 0xff, 0, 0, 1] } else { &[0, 0] };
                self.connection.handle_frame(Bytes::from_static(frame), self.now);
            }
            // A turn with nothing in it.
            _ => self.connection.handle_timeout(self.now),
        }
        self.drain();
    }

    fn call(&mut self, detail: u8) {
        let number = self.handed_in;
        self.handed_in += 1;
        let expects_reply = detail % 4 != 0;
        let timeout = (detail % 5 == 0).then(|| Duration::from_millis(u64::from(detail)));
        let is_encodable = detail % 31 != 1;
        let versions = if detail % 29 == 2 { VersionRange::new(20, 30) } else { VersionRange::new(3, 9) };
        let is_taken = is_encodable && versions.min == 3 && self.connection.room(self.now) > 0;
        let open = Open {
            deadline: self.now + timeout.unwrap_or(REQUEST_TIMEOUT),
            start: is_taken.then_some(self.queued),
            expects_reply,
        };
        self.open.insert(number, open);
        let padding = usize::from(detail);
        self.connection
            .call(Numbered { number, versions, expects_reply, timeout, is_encodable, padding }, self.now);
        self.drain();
        assert!(
            is_taken || !self.open.contains_key(&number),
            "a call that cannot be taken comes back at once"
        );
    }

    fn write(&mut self, bytes: u64) {
        let bytes = bytes.min(self.queued - self.written);
        self.written += bytes;
        self.connection.handle_written(usize::try_from(bytes).expect("small"), self.now);
        while self.frames.front().is_some_and(|&(end, ..)| end <= self.written) {
            let Some((_, id, number)) = self.frames.pop_front() else { break };
            let is_answered = match number {
                Question::Handshake(..) => true,
                Question::Call(number) => self.open.get(&number).is_some_and(|open| open.expects_reply),
            };
            if is_answered {
                self.asked.push_back((id, number));
            }
        }
    }

    fn answer(&mut self, detail: u8) {
        let Some((id, number)) = self.asked.pop_front() else { return };
        let frame = match number {
            Question::Handshake(ApiKey::METADATA, version) => {
                let cluster_id = [Some(OURS), Some("theirs"), None][usize::from(detail % 3)];
                self.is_ours = cluster_id.map(|id| id == OURS).or(self.is_ours);
                let cluster_id = cluster_id.map(str::to_owned);
                let response = MetadataResponse { cluster_id, ..MetadataResponse::default() };
                encode_response(&response, version, id).expect("encodes").into_bytes().slice(4..)
            }
            Question::Handshake(_, asked) => {
                let (error_code, version) = match detail {
                    7 => (ErrorCode::UNSUPPORTED_VERSION, 0),
                    8 => (ErrorCode::REBOOTSTRAP_REQUIRED, asked),
                    _ => (ErrorCode::NONE, asked),
                };
                match error_code {
                    // Named again, nobody in particular is meant.
                    ErrorCode::NONE if asked >= 5 && self.is_ours.is_none() => self.is_ours = Some(true),
                    ErrorCode::REBOOTSTRAP_REQUIRED => self.is_ours = Some(false),
                    _ => {}
                }
                let api = |api_key, max_version| ApiVersion { api_key, min_version: 0, max_version };
                let newest = if detail % 2 == 0 { 5 } else { 3 };
                let mut api_keys = vec![api(ApiKey::PRODUCE, 11), api(ApiKey::API_VERSIONS, newest)];
                if detail % 5 != 0 {
                    api_keys.push(api(ApiKey::METADATA, 9));
                }
                let response = ApiVersionsResponse { error_code, api_keys, ..ApiVersionsResponse::default() };
                encode_response(&response, version, id).expect("encodes").into_bytes().slice(4..)
            }
            Question::Call(number) => {
                let throttle = if detail % 8 == 3 { u32::from(detail) } else { 0 };
                let mut buf = FrameBuf::new();
                buf.put_i32(id.0);
                buf.put_u32(number);
                buf.put_u32(throttle);
                if detail == 100 {
                    buf.put_u8(0);
                } else {
                    let throttle = Duration::from_millis(u64::from(throttle));
                    for open in self.open.values_mut() {
                        open.deadline += throttle;
                    }
                    self.throttled_until = self.throttled_until.max(Some(self.now + throttle));
                }
                buf.into_bytes()
            }
        };
        self.connection.handle_frame(frame, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.connection.handle_timeout(self.now);
    }

    fn drain(&mut self) {
        while let Some(frame) = self.connection.poll_transmit() {
            assert!(!self.is_closed, "a closed connection writes nothing");
            self.queued += frame.len() as u64;
            let bytes = frame.into_bytes();
            let word = |at: usize| bytes.get(at..at + 4).map_or(0, |mut word| word.get_i32());
            // Requests of the handshake have a header that begins with their API's key.
            let (id, number) = if self.is_ready {
                (word(4), Question::Call(word(8).unsigned_abs()))
            } else {
                let [api, version] = [word(4) >> 16, word(4) & 0xffff].map(|half| half as i16);
                assert!([18, 3].contains(&api), "API {api} before it is known who is there");
                assert!(api == 18 || self.expects, "nobody wants to know");
                (word(8), Question::Handshake(ApiKey(api), version))
            };
            self.frames.push_back((self.queued, CorrelationId(id), number));
        }
        while let Some(event) = self.connection.poll_event() {
            // After the end, calls are only refused.
            let is_refusal =
                matches!(&event, Event::Done { result: Err(error), .. } if !error.possibly_written());
            assert!(!self.is_closed || is_refusal, "nothing happens after the end, but {event:?}");
            match event {
                Event::Ready => {
                    self.is_ready = true;
                    assert!(
                        !self.expects || self.is_ours != Some(false),
                        "of another cluster, and taken for ours"
                    );
                    let is_proven = self.expects && self.is_ours == Some(true);
                    assert_eq!(self.connection.is_proven(), is_proven, "by {:?}", self.is_ours);
                }
                Event::Done { call, result } => self.done(&call, result),
                Event::Closed(_) => {
                    self.is_closed = true;
                    assert!(self.open.is_empty(), "every call comes back before the end");
                }
            }
        }
    }

    fn done(&mut self, call: &Numbered, result: Result<Answer<(u32, Duration)>, NetError>) {
        self.came_back += 1;
        let open = self
            .open
            .remove(&call.number)
            .expect("a call that comes back was handed in, and is not back yet");
        match result {
            Ok(Answer::Reply { body: (number, _), version }) => {
                assert_eq!(number, call.number, "the reply is the call's own");
                assert_eq!(version, 9);
                assert!(call.expects_reply);
            }
            Ok(Answer::Written) => {
                assert!(!call.expects_reply);
            }
            Err(error) => {
                let written = open.start.is_some_and(|start| start < self.written);
                assert_eq!(error.possibly_written(), written, "{error}");
                if error.is_request_timeout() {
                    assert!(open.start.is_some());
                }
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.is_closed, self.connection.is_closed());
        assert_eq!(self.open.len(), self.connection.in_flight());
        assert!(self.open.len() <= MAX_IN_FLIGHT, "more calls in flight than allowed");
        let due = self.connection.poll_timeout();
        if let Some(deadline) = self.open.values().map(|open| open.deadline).min() {
            assert!(due.is_some_and(|due| due <= deadline), "somebody's time-out is not waited for");
        }
        if self.is_closed {
            assert_eq!(due, None);
        } else {
            assert!(due.is_some(), "a connection in use or not has an end");
        }
        if self.throttled_until.is_some_and(|until| self.now < until) {
            assert_eq!(self.connection.room(self.now), 0, "a throttled connection takes calls");
        }
        let overdue = self.open.values().find(|open| open.deadline < self.now);
        assert!(overdue.is_none(), "a call is late and nobody told: {overdue:?}");
    }
}

const MAX_OPS: usize = 2_000;
const OURS: &str = "ours";
const MAX_IN_FLIGHT: usize = 5;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
const SETUP_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_IDLE: Duration = Duration::from_secs(10);
