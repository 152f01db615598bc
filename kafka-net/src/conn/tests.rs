//! Scenarios under virtual time. Lists of operations beside a model are in `fuzzing.rs`.

use kafka_wire::{
    ApiKey, ErrorCode, Message, Response, VersionRange, WireError, decode_response, encode_request,
    encode_response,
    messages::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse},
};

use super::*;

mod opening;

/// A Metadata request, known by a letter.
#[derive(Debug)]
struct Letter(char, VersionRange);

impl Call for Letter {
    type Reply = MetadataResponse;

    fn api_key(&self) -> ApiKey {
        ApiKey::METADATA
    }

    fn versions(&self) -> VersionRange {
        self.1
    }

    fn encode(&mut self, version: i16, id: CorrelationId, client_id: &str) -> Result<FrameBuf, WireError> {
        encode_request(&MetadataRequest::default(), version, id, Some(client_id))
    }

    fn decode(&self, version: i16, frame: Bytes) -> Result<MetadataResponse, WireError> {
        decode_response(&frame, version).map(|(_, body)| body)
    }

    fn throttle(&self, reply: &MetadataResponse) -> Duration {
        reply.throttle_time()
    }

    /// A capital is not answered.
    fn expects_reply(&self) -> bool {
        !self.0.is_uppercase()
    }
}

struct Bench {
    connection: Connection<Letter>,
    now: Instant,
    /// Whole frames written: version and correlation id.
    written: Vec<(ApiKey, i16, i32)>,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
    fn new() -> Self {
        let now = Instant::now();
        let config = NetConfig { max_in_flight: 3, max_idle: Some(secs(540)), ..NetConfig::default() };
        let connection = Connection::new(NodeId(1), "broker:9092", Arc::new(config), secs(10), now);
        let mut bench = Self { connection, now, written: Vec::new() };
        bench.write();
        bench
    }

    fn ready() -> Self {
        let mut bench = Self::new();
        bench.negotiate(5, ErrorCode::NONE, &[(ApiKey::METADATA, 2, 9)]);
        assert!(matches!(bench.events()[..], [Event::Ready]));
        bench
    }

    /// Writes everything.
    fn write(&mut self) {
        while let Some(frame) = self.connection.poll_transmit() {
            let bytes = frame.into_bytes();
            let word = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let id = i32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
            self.written.push((ApiKey(word(4)), word(6), id));
            self.connection.handle_written(bytes.len(), self.now);
        }
    }

    fn negotiate(&mut self, version: i16, error_code: ErrorCode, apis: &[(ApiKey, i16, i16)]) {
        let (api, asked, id) = *self.written.last().expect("a question");
        assert_eq!((api, asked), (ApiKey::API_VERSIONS, version));
        let api_keys = apis
            .iter()
            .map(|&(api_key, min_version, max_version)| ApiVersion { api_key, min_version, max_version })
            .collect();
        let response = ApiVersionsResponse { error_code, api_keys, ..ApiVersionsResponse::default() };
        let version = if error_code == ErrorCode::UNSUPPORTED_VERSION { 0 } else { version };
        self.frame(encode_response(&response, version, CorrelationId(id)).expect("encodes"));
        self.write();
    }

    fn frame(&mut self, frame: FrameBuf) {
        self.connection.handle_frame(frame.into_bytes().slice(4..), self.now);
    }

    fn call(&mut self, letter: char) {
        self.connection.call(Letter(letter, MetadataRequest::VERSIONS), self.now);
    }

    fn answer(&mut self, id: i32, throttle_time_ms: i32) {
        let response = MetadataResponse { throttle_time_ms, ..MetadataResponse::default() };
        self.frame(encode_response(&response, 9, CorrelationId(id)).expect("encodes"));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.connection.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event<Letter>> {
        std::iter::from_fn(|| self.connection.poll_event()).collect()
    }

    /// What came back: letters, with `!` behind one that failed and may have been written, `?` if it was not.
    fn story(&mut self) -> String {
        let mut story = String::new();
        for event in self.events() {
            match event {
                Event::Ready => story.push_str(" ready"),
                Event::Done { call, result: Ok(_) } => story.push(call.0),
                Event::Done { call, result: Err(error) } => {
                    story.push(call.0);
                    story.push(if error.possibly_written() { '!' } else { '?' });
                }
                Event::Closed(error) => story.push_str(&format!(" closed: {error}")),
            }
        }
        story
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_newest_common_version_is_spoken() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.write();
    assert_eq!(bench.written.last(), Some(&(ApiKey::METADATA, 9, 1)));
    bench.connection.call(Letter('b', VersionRange::new(4, 5)), bench.now);
    bench.write();
    assert_eq!(bench.written.last(), Some(&(ApiKey::METADATA, 5, 2)));
}

#[test]
fn a_frame_without_room_for_a_correlation_id_is_called_short() {
    for size in 0..4 {
        let mut bench = Bench::ready();
        bench.call('a');
        bench.write();
        bench.connection.handle_frame(Bytes::from(vec![0; size]), bench.now);
        let story = bench.story();
        assert!(story.starts_with("a! closed: broker 1 (broker:9092)"), "{story}");
        assert!(story.contains(&format!("a response of {size} bytes")), "{story}");
        assert!(story.contains("too short") && !story.contains("limit"), "{story}");
    }
}

#[test]
fn a_version_nobody_knows_fails_here_and_costs_nothing() {
    let mut bench = Bench::ready();
    bench.connection.call(Letter('a', VersionRange::new(10, 13)), bench.now);
    let events = bench.events();
    let [Event::Done { result: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
    assert!(error.is_unsupported_version() && !error.is_retriable() && !error.possibly_written());
    assert_eq!(
        error.to_string(),
        "broker 1 (broker:9092) knows Metadata (3) in versions 2-9, this request needs 10-13: no version fits both"
    );
    assert_eq!(bench.connection.room(bench.now), 3);
    assert!(bench.connection.poll_transmit().is_none());
}

#[test]
fn an_older_broker_names_the_version_to_ask_in() {
    let mut bench = Bench::new();
    bench.negotiate(5, ErrorCode::UNSUPPORTED_VERSION, &[(ApiKey::API_VERSIONS, 0, 2)]);
    bench.negotiate(2, ErrorCode::NONE, &[(ApiKey::METADATA, 0, 5)]);
    assert_eq!(bench.story(), " ready");
}

#[test]
fn a_broker_that_names_none_is_asked_in_version_0() {
    let mut bench = Bench::new();
    bench.negotiate(5, ErrorCode::UNSUPPORTED_VERSION, &[]);
    bench.negotiate(0, ErrorCode::NONE, &[(ApiKey::METADATA, 0, 5)]);
    assert_eq!(bench.story(), " ready");
}

#[test]
fn a_broker_that_refuses_what_it_names_is_not_asked_for_ever() {
    let mut bench = Bench::new();
    bench.negotiate(5, ErrorCode::UNSUPPORTED_VERSION, &[(ApiKey::API_VERSIONS, 0, 5)]);
    assert!(bench.story().starts_with(" closed: broker 1 (broker:9092) knows ApiVersions"));
    let mut bench = Bench::new();
    bench.negotiate(5, ErrorCode::CLUSTER_AUTHORIZATION_FAILED, &[]);
    assert!(bench.story().starts_with(" closed: broker 1 (broker:9092) refused"));
}

#[test]
fn answers_find_their_calls_in_order() {
    let mut bench = Bench::ready();
    for letter in ['a', 'b', 'c'] {
        bench.call(letter);
    }
    assert_eq!(bench.connection.room(bench.now), 0);
    bench.call('d');
    assert_eq!(bench.story(), "d?");
    bench.write();
    bench.answer(1, 0);
    bench.answer(2, 0);
    assert_eq!((bench.story().as_str(), bench.connection.room(bench.now)), ("ab", 2));
    assert_eq!(bench.connection.stats().replies, 3);
}

#[test]
fn an_answer_out_of_order_ends_the_connection() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.call('b');
    bench.write();
    bench.answer(2, 0);
    let due = " closed: broker 1 (broker:9092) answered request 2 where 1 was due; the connection was closed";
    assert_eq!(bench.story(), format!("a!b!{due}"));
    // Nothing that comes later changes that.
    bench.answer(1, 0);
    bench.call('c');
    assert_eq!(bench.story(), "c?");
}

#[test]
fn an_answer_to_a_request_that_is_not_written_yet_is_nobodys() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.answer(1, 0);
    assert!(
        bench.story().starts_with("a? closed: broker 1 (broker:9092) answered request 1 that nobody sent")
    );
}

#[test]
fn garbage_fails_its_own_call_by_name_and_the_others_with_the_connection() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.call('b');
    bench.write();
    bench.connection.handle_frame(Bytes::from_static(&[0, 0, 0, 1, 0xff]), bench.now);
    let events = bench.events();
    let [Event::Done { result: Err(a), .. }, Event::Done { result: Err(b), .. }, Event::Closed(end)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(a.is_protocol() && a.is_retriable() && a.possibly_written());
    assert!(!b.is_protocol() && b.is_retriable() && b.possibly_written());
    assert!(end.is_protocol());
}

#[test]
fn one_late_request_ends_the_connection_at_its_minute() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.write();
    bench.pass(secs(29));
    bench.call('b');
    assert_eq!(bench.connection.poll_timeout(), Some(bench.now + secs(1)));
    bench.pass(Duration::from_millis(999));
    assert_eq!(bench.story(), "");
    bench.pass(Duration::from_millis(1));
    let end =
        " closed: broker 1 (broker:9092) did not answer Metadata (3) within 30s; the connection was closed";
    assert_eq!(bench.story(), format!("a!b?{end}"));
    assert_eq!(bench.connection.poll_timeout(), None);
}

#[test]
fn what_is_half_written_may_have_been_written() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.call('b');
    let a = bench.connection.poll_transmit().expect("a frame").len();
    let b = bench.connection.poll_transmit().expect("a frame").len();
    bench.connection.handle_written(a, bench.now);
    bench.connection.abort(bench.now);
    assert!(bench.story().starts_with("a!b? closed"));

    let mut bench = Bench::ready();
    bench.call('a');
    bench.call('b');
    bench.connection.handle_written(a + b - 1, bench.now);
    bench.connection.abort(bench.now);
    assert!(bench.story().starts_with("a!b! closed"));
}

#[test]
fn a_throttle_holds_calls_back_and_gives_the_others_time() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.call('b');
    bench.write();
    bench.answer(1, 5_000);
    assert_eq!(bench.story(), "a");
    assert_eq!(bench.connection.room(bench.now), 0);
    assert_eq!(bench.connection.poll_timeout(), Some(bench.now + secs(5)));
    bench.pass(secs(5));
    assert_eq!(bench.connection.room(bench.now), 2);
    // b has 35 seconds.
    assert_eq!(bench.connection.poll_timeout(), Some(bench.now + secs(30)));
}

#[test]
fn negotiation_has_its_time_and_no_calls() {
    let mut bench = Bench::new();
    bench.call('a');
    assert_eq!(bench.story(), "a?");
    assert_eq!(bench.connection.poll_timeout(), Some(bench.now + secs(10)));
    bench.pass(secs(10));
    assert!(bench.story().contains("said nothing within 10s"));
}

#[test]
fn an_unused_connection_is_closed() {
    let mut bench = Bench::ready();
    bench.pass(secs(500));
    bench.call('a');
    bench.write();
    bench.answer(1, 0);
    assert_eq!(bench.story(), "a");
    bench.pass(secs(539));
    assert_eq!(bench.story(), "");
    bench.pass(secs(1));
    assert!(bench.story().contains("nobody used it"));
}

#[test]
fn finishing_waits_for_what_is_due() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.connection.finish(bench.now);
    bench.call('b');
    assert_eq!(bench.story(), "b?");
    bench.write();
    bench.answer(1, 0);
    assert_eq!(bench.story(), "a closed: the connection to broker 1 (broker:9092) was closed by this side");
}

#[test]
fn correlation_ids_go_on_below_zero() {
    let mut bench = Bench::ready();
    bench.connection.next_correlation_id = i32::MAX;
    bench.call('a');
    bench.call('b');
    bench.write();
    bench.answer(i32::MAX, 0);
    bench.answer(i32::MIN, 0);
    assert_eq!(bench.story(), "ab");
}

#[test]
fn the_software_is_named_in_the_first_request() {
    let config = Arc::new(NetConfig { client_id: "me".to_owned(), ..NetConfig::default() });
    let now = Bench::new().now;
    let mut connection: Connection<Letter> = Connection::new(NodeId(1), "b:1", config, secs(1), now);
    let frame = connection.poll_transmit().expect("a question").into_bytes().slice(4..);
    let (header, body) = kafka_wire::decode_request_header(&frame).expect("a header");
    let request: ApiVersionsRequest = kafka_wire::decode_request(&header, body).expect("a body");
    assert_eq!(header.client_id.as_deref(), Some("me"));
    assert_eq!(header.api_version, ApiVersionsRequest::VERSIONS.max);
    assert_eq!(request.client_software_name, "linger-rs");
    assert_eq!(request.client_software_version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_connection_is_in_use_while_it_waits_for_an_answer_and_when_it_is_only_written_to() {
    let mut bench = Bench::ready();
    bench.connection.config = Arc::new(NetConfig { max_idle: Some(secs(5)), ..NetConfig::default() });
    bench.call('a');
    bench.write();
    assert_eq!(bench.connection.poll_timeout(), Some(bench.now + secs(30)));
    bench.pass(secs(29));
    assert_eq!(bench.story(), "");
    bench.answer(1, 0);
    assert_eq!(bench.story(), "a");
    for _ in 0..3 {
        bench.pass(secs(4));
        bench.call('B');
        bench.write();
        assert_eq!(bench.story(), "B");
    }
    bench.pass(secs(5));
    assert!(bench.story().contains("nobody used it"));
}

#[test]
fn a_short_throttle_does_not_end_a_longer_one() {
    let mut bench = Bench::ready();
    bench.call('a');
    bench.call('b');
    bench.write();
    bench.answer(1, 5_000);
    bench.answer(2, 1_000);
    assert_eq!(bench.story(), "ab");
    bench.pass(Duration::from_millis(4_999));
    assert_eq!(bench.connection.room(bench.now), 0);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.connection.room(bench.now), 3);
}
