//! Is it the broker that is meant? What is said before calls begin, and what each answer leads to.

use super::*;

const OURS: &str = "ours";

/// A connection to broker 1 of a cluster; what it says is read whole.
struct Opened {
    connection: Connection<Letter>,
    now: Instant,
}

/// One request of the handshake.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// ApiVersions in this version, naming cluster and node.
    Versions(i16, Option<String>, i32),
    /// Metadata in this version, about so many topics.
    Cluster(i16, usize),
}

impl Opened {
    #[expect(clippy::disallowed_methods, reason = "any instant will do to begin with")]
    fn with(node: i32, opening: Opening) -> Self {
        let (config, now) = (Arc::new(NetConfig::default()), Instant::now());
        let connection = Connection::open(NodeId(node), "broker:9092", config, secs(10), opening, now);
        Self { connection, now }
    }

    fn new() -> Self {
        Self::with(1, Opening::new().expecting(Some(Expectation::of(OURS.into(), false))))
    }

    /// Knows that the broker took this version.
    fn knowing(version: i16) -> Self {
        let expectation = Some(Expectation::of(OURS.into(), false));
        Self::with(1, Opening::new().expecting(expectation).asking_in(Some(version)))
    }

    /// What it says now, which is one thing; with its correlation id.
    fn asked(&mut self) -> (Asked, CorrelationId) {
        let frame = self.connection.poll_transmit().expect("a question").into_bytes();
        self.connection.handle_written(frame.len(), self.now);
        assert!(self.connection.poll_transmit().is_none(), "one thing at a time");
        assert_eq!(self.connection.room(self.now), 0, "no calls before it is known who is there");
        let rest = frame.slice(4..);
        let (header, body) = kafka_wire::decode_request_header(&rest).expect("a header");
        let (version, id) = (header.api_version, header.correlation_id);
        let asked = if header.api_key == ApiKey::METADATA {
            let request: MetadataRequest = kafka_wire::decode_request(&header, body).expect("a body");
            Asked::Cluster(version, request.topics.expect("not all topics").len())
        } else {
            let request: ApiVersionsRequest = kafka_wire::decode_request(&header, body).expect("a body");
            Asked::Versions(version, request.cluster_id, request.node_id.0)
        };
        (asked, id)
    }

    /// It asks for versions so, and is told so.
    fn versions(&mut self, asked: Asked, error_code: ErrorCode, newest: i16) {
        let (said, id) = self.asked();
        assert_eq!(said, asked);
        let Asked::Versions(version, ..) = said else { panic!("{said:?}") };
        let api = |api_key, max_version| ApiVersion { api_key, min_version: 0, max_version };
        let api_keys = vec![api(ApiKey::METADATA, 9), api(ApiKey::API_VERSIONS, newest)];
        let response = ApiVersionsResponse { error_code, api_keys, ..ApiVersionsResponse::default() };
        let version = if error_code == ErrorCode::UNSUPPORTED_VERSION { 0 } else { version };
        self.frame(encode_response(&response, version, id).expect("encodes"));
    }

    /// It asks which cluster this is, and is told so.
    fn cluster(&mut self, cluster_id: Option<&str>) {
        let (said, id) = self.asked();
        assert_eq!(said, Asked::Cluster(9, 0));
        let response =
            MetadataResponse { cluster_id: cluster_id.map(str::to_owned), ..MetadataResponse::default() };
        self.frame(encode_response(&response, 9, id).expect("encodes"));
    }

    fn frame(&mut self, frame: FrameBuf) {
        self.connection.handle_frame(frame.into_bytes().slice(4..), self.now);
    }

    fn is_ready(&mut self) -> bool {
        assert!(self.connection.poll_transmit().is_none());
        matches!(self.connection.poll_event(), Some(Event::Ready))
    }

    fn end(&mut self) -> NetError {
        match self.connection.poll_event() {
            Some(Event::Closed(error)) => error,
            other => panic!("{other:?} instead of the end"),
        }
    }
}

fn named(version: i16) -> Asked {
    Asked::Versions(version, Some(OURS.to_owned()), 1)
}

fn unnamed(version: i16) -> Asked {
    Asked::Versions(version, None, -1)
}

#[test]
fn a_new_broker_is_told_who_is_meant_and_that_is_all() {
    let mut opened = Opened::new();
    opened.versions(named(5), ErrorCode::NONE, 5);
    assert!(opened.is_ready() && opened.connection.is_proven());
    assert_eq!(opened.connection.api_versions(), Some(5));
}

#[test]
fn of_an_address_of_the_bootstrap_list_and_without_an_id_nothing_is_expected() {
    let expectation = Some(Expectation::of(OURS.into(), false));
    for opening in [Opening::new().expecting(expectation), Opening::new()] {
        let node = if opening == Opening::new() { 1 } else { -1 };
        let mut opened = Opened::with(node, opening);
        opened.versions(unnamed(5), ErrorCode::NONE, 5);
        assert!(opened.is_ready() && !opened.connection.is_proven());
    }
}

#[test]
fn an_older_broker_is_asked_which_cluster_it_is_of() {
    let mut opened = Opened::new();
    opened.versions(named(5), ErrorCode::UNSUPPORTED_VERSION, 4);
    opened.versions(unnamed(4), ErrorCode::NONE, 4);
    opened.cluster(Some(OURS));
    assert!(opened.is_ready() && opened.connection.is_proven());
    assert_eq!(opened.connection.api_versions(), Some(4));
}

#[test]
fn the_version_that_a_broker_took_is_asked_in_again_until_it_names_a_newer_one() {
    let mut opened = Opened::knowing(4);
    opened.versions(unnamed(4), ErrorCode::NONE, 4);
    opened.cluster(Some(OURS));
    assert!(opened.is_ready());
    // It was upgraded: at once it is told who is meant.
    let mut opened = Opened::knowing(4);
    opened.versions(unnamed(4), ErrorCode::NONE, 5);
    opened.versions(named(5), ErrorCode::NONE, 5);
    assert!(opened.is_ready() && opened.connection.is_proven());
    assert_eq!(opened.connection.api_versions(), Some(5));
    // It was downgraded.
    let mut opened = Opened::knowing(5);
    opened.versions(named(5), ErrorCode::UNSUPPORTED_VERSION, 2);
    opened.versions(unnamed(2), ErrorCode::NONE, 2);
    opened.cluster(Some(OURS));
    assert!(opened.is_ready());
    assert_eq!(opened.connection.api_versions(), Some(2));
    // Nor does one that names what it refuses lead round and round.
    let mut opened = Opened::knowing(4);
    opened.versions(unnamed(4), ErrorCode::NONE, 5);
    opened.versions(named(5), ErrorCode::UNSUPPORTED_VERSION, 4);
    opened.versions(unnamed(4), ErrorCode::NONE, 5);
    opened.cluster(Some(OURS));
    assert!(opened.is_ready());
}

#[test]
fn an_older_broker_of_another_cluster_is_hung_up_on() {
    let mut opened = Opened::knowing(3);
    opened.versions(unnamed(3), ErrorCode::NONE, 3);
    opened.cluster(Some("theirs"));
    let error = opened.end();
    assert_eq!(error.clusters(), Some((OURS, Some("theirs"))));
    assert!(error.is_other_cluster() && error.is_retriable() && !error.is_connect());
    assert_eq!(
        error.to_string(),
        "broker 1 (broker:9092) is of cluster theirs, not of ours: check where the address leads"
    );
    assert_eq!(opened.connection.api_versions(), Some(3), "which is remembered all the same");
}

#[test]
fn one_that_does_not_know_its_cluster_proves_nothing() {
    let mut opened = Opened::knowing(3);
    opened.versions(unnamed(3), ErrorCode::NONE, 3);
    opened.cluster(None);
    assert!(opened.is_ready() && !opened.connection.is_proven());
    // Nor does one whose Metadata is too old to tell.
    let mut opened = Opened::knowing(0);
    let (_, id) = opened.asked();
    let metadata = ApiVersion { api_key: ApiKey::METADATA, min_version: 0, max_version: 1 };
    let response = ApiVersionsResponse { api_keys: vec![metadata], ..ApiVersionsResponse::default() };
    opened.frame(encode_response(&response, 0, id).expect("encodes"));
    assert!(opened.is_ready() && !opened.connection.is_proven());
}

#[test]
fn one_that_says_it_is_not_meant_is_asked_who_it_is() {
    let mut opened = Opened::new();
    opened.versions(named(5), ErrorCode::REBOOTSTRAP_REQUIRED, 5);
    opened.versions(unnamed(5), ErrorCode::NONE, 5);
    opened.cluster(Some("theirs"));
    assert_eq!(opened.end().clusters(), Some((OURS, Some("theirs"))));
}

#[test]
fn another_broker_of_the_same_cluster_is_told_from_another_cluster() {
    let mut opened = Opened::new();
    opened.versions(named(5), ErrorCode::REBOOTSTRAP_REQUIRED, 5);
    opened.versions(unnamed(5), ErrorCode::NONE, 5);
    opened.cluster(Some(OURS));
    let error = opened.end();
    assert!(error.is_other_broker() && !error.is_other_cluster() && error.is_retriable());
    assert!(error.to_string().starts_with("another broker of the same cluster (ours) answers"), "{error}");
}

#[test]
fn one_that_says_it_is_not_meant_and_then_no_more_is_of_another_cluster() {
    let begin = || {
        let mut opened = Opened::new();
        opened.versions(named(5), ErrorCode::REBOOTSTRAP_REQUIRED, 5);
        opened
    };
    let is_other = |mut opened: Opened| {
        let error = opened.end();
        assert_eq!(error.clusters(), Some((OURS, None)), "{error}");
    };
    let mut opened = begin();
    opened
        .connection
        .handle_broken(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(), opened.now);
    is_other(opened);
    let mut opened = begin();
    opened.connection.handle_timeout(opened.now + secs(10));
    is_other(opened);
    let mut opened = begin();
    opened.versions(unnamed(5), ErrorCode::REBOOTSTRAP_REQUIRED, 5);
    is_other(opened);
    let mut opened = begin();
    opened.versions(unnamed(5), ErrorCode::NONE, 5);
    opened.cluster(None);
    is_other(opened);
    // But where this side gives it up, that is all there is to say.
    let mut opened = begin();
    opened.connection.abort(opened.now);
    assert!(opened.end().is_aborted());
}

#[test]
fn the_time_for_the_set_up_covers_all_of_it() {
    let mut opened = Opened::knowing(4);
    opened.now += secs(6);
    opened.versions(unnamed(4), ErrorCode::NONE, 4);
    opened.asked();
    assert_eq!(opened.connection.poll_timeout(), Some(opened.now + secs(4)));
    opened.connection.handle_timeout(opened.now + secs(4));
    let error = opened.end();
    assert!(error.is_timeout() && error.is_connect() && error.is_retriable());
    assert!(error.to_string().ends_with("did not say within 10s which cluster it is of"), "{error}");
}

#[test]
fn that_no_other_cluster_will_do_is_said() {
    let expectation = Some(Expectation::of(OURS.into(), true));
    let mut opened = Opened::with(1, Opening::new().expecting(expectation).asking_in(Some(4)));
    opened.versions(unnamed(4), ErrorCode::NONE, 4);
    opened.cluster(Some("theirs"));
    let error = opened.end().to_string();
    assert!(error.contains("metadata.recovery.strategy=none"), "{error}");
}
