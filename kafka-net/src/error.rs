//! [`NetError`]: what can go wrong between this process and a broker.

use std::{fmt, io, sync::Arc, time::Duration};

use kafka_wire::{ApiKey, ErrorCode, NodeId, VersionRange, WireError};

use crate::{
    config::ConfigError,
    shown::{MAX_TOPIC, shown},
};

/// A request, a connection or the search for a leader failed.
///
/// Cheap to clone: one failed connection fails each of its calls with the same cause. Ask it questions instead
/// of matching on it; [`Display`](fmt::Display) says what failed, where, and what to do about it.
#[derive(Clone)]
pub struct NetError {
    cause: Arc<Cause>,
    possibly_written: bool,
}

struct Cause {
    kind: Kind,
    place: Option<Place>,
}

/// Which broker, as far as it is known: id and "host:port".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) address: Arc<str>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Resolve(io::Error),
    Connect(io::Error),
    SetupTimeout {
        after: Duration,
        connected: bool,
    },
    RequestTimeout {
        api: ApiKey,
        after: Duration,
    },
    Disconnected {
        during_setup: bool,
        source: Option<io::Error>,
    },
    Idle,
    Aborted,
    NotReady,
    SpeaksHttp,
    SpeaksTls,
    SpeaksText(String),
    FrameTooLarge {
        size: i64,
        limit: usize,
    },
    FrameTooShort {
        size: usize,
    },
    Correlation {
        expected: Option<i32>,
        found: i32,
    },
    Undecodable {
        api: ApiKey,
        version: i16,
        source: WireError,
    },
    Unencodable {
        api: ApiKey,
        version: i16,
        source: WireError,
    },
    Unsupported {
        api: ApiKey,
        ours: VersionRange,
        theirs: Option<VersionRange>,
    },
    Refused {
        doing: &'static str,
        code: ErrorCode,
    },
    Config(ConfigError),
    Runtime(&'static str),
    NoBrokers,
    UnknownNode,
    /// A broker of another cluster, or of none that it would name, answers at a broker's address.
    OtherCluster(Box<Other>),
    /// Another broker of the same cluster answers at a broker's address.
    OtherNode {
        cluster: Arc<str>,
    },
    /// The broker named its versions, and not its cluster, before the time was over.
    Unproven {
        after: Duration,
    },
    Topic {
        topic: String,
        code: ErrorCode,
    },
    NoPartition {
        topic: String,
        partition: i32,
        count: usize,
    },
    NoLeader {
        topic: String,
        partition: i32,
        code: ErrorCode,
    },
    Waited {
        goal: String,
        after: Duration,
        last: Option<NetError>,
    },
}

/// Whose broker it is, and whose it should be.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) expected: Arc<str>,
    pub(crate) found: Option<Arc<str>>,
    /// No other cluster will ever do.
    pub(crate) for_good: bool,
}

impl NetError {
    /// What a call comes back with when its connection is given up before the answer. For whoever plays the part of
    /// a connection, in a test of a [`Feed`](crate::Feed) for instance.
    #[must_use]
    pub fn aborted(possibly_written: bool) -> Self {
        Self::new(Kind::Aborted).with_written(possibly_written)
    }

    /// What a call comes back with from a broker that does not know its API. For whoever plays the part of a connection, as
    /// [`aborted`](Self::aborted).
    #[must_use]
    pub fn unknown_api(api: ApiKey, ours: VersionRange) -> Self {
        Self::new(Kind::Unsupported { api, ours, theirs: None })
    }

    /// Whether a topic has no partition of that number.
    pub(crate) fn is_no_partition(&self) -> bool {
        matches!(self.cause.kind, Kind::NoPartition { .. })
    }

    pub(crate) fn new(kind: Kind) -> Self {
        Self { cause: Arc::new(Cause { kind, place: None }), possibly_written: false }
    }

    pub(crate) fn at(kind: Kind, place: &Place) -> Self {
        Self { cause: Arc::new(Cause { kind, place: Some(place.clone()) }), possibly_written: false }
    }

    /// The same failure, told to a call of which a byte was, or was not, handed to the socket.
    pub(crate) fn with_written(&self, possibly_written: bool) -> Self {
        Self { cause: Arc::clone(&self.cause), possibly_written }
    }

    /// The same failure with its place, and with whether calls had begun, unless it knows the place already.
    pub(crate) fn placed(self, place: &Place, during_setup: bool) -> Self {
        match Arc::try_unwrap(self.cause) {
            Ok(Cause { kind: Kind::Disconnected { source, .. }, place: None }) => {
                Self::at(Kind::Disconnected { during_setup, source }, place)
            }
            Ok(Cause { kind, place: None }) => Self::at(kind, place),
            Ok(cause) => Self { cause: Arc::new(cause), possibly_written: false },
            Err(cause) => Self { cause, possibly_written: false },
        }
    }

    /// Whether a byte of the request may have left this process. If not, the broker cannot have acted on it.
    #[must_use]
    pub fn possibly_written(&self) -> bool {
        self.possibly_written
    }

    /// Whether the same request may succeed later or on another connection.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match &self.cause.kind {
            Kind::Resolve(_)
            | Kind::Connect(_)
            | Kind::SetupTimeout { .. }
            | Kind::RequestTimeout { .. }
            | Kind::Disconnected { .. }
            | Kind::Idle
            | Kind::NotReady
            | Kind::FrameTooLarge { .. }
            | Kind::FrameTooShort { .. }
            | Kind::Correlation { .. }
            // Like the three before it, it may have been spoilt on the way; brokers do not answer so twice.
            | Kind::Undecodable { .. }
            | Kind::NoBrokers
            | Kind::UnknownNode
            | Kind::OtherCluster(_)
            | Kind::OtherNode { .. }
            | Kind::Unproven { .. }
            | Kind::NoPartition { .. }
            | Kind::Waited { .. } => true,
            Kind::Topic { code, .. } => topic_error_may_pass(*code),
            Kind::Refused { code, .. } | Kind::NoLeader { code, .. } => code.is_retriable(),
            Kind::Config(_)
            | Kind::Runtime(_)
            | Kind::Aborted
            | Kind::SpeaksHttp
            | Kind::SpeaksTls
            | Kind::SpeaksText(_)
            | Kind::Unencodable { .. }
            | Kind::Unsupported { .. } => false,
        }
    }

    /// Whether a time limit ran out: of the connection's set-up, of a request, or of a wait for metadata.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.cause.kind,
            Kind::SetupTimeout { .. }
                | Kind::RequestTimeout { .. }
                | Kind::Unproven { .. }
                | Kind::Waited { .. }
        )
    }

    /// Whether the request itself got no answer within its time-out.
    #[must_use]
    pub fn is_request_timeout(&self) -> bool {
        matches!(self.cause.kind, Kind::RequestTimeout { .. })
    }

    /// Whether no connection came about at all: the name does not resolve, the port is closed or silent.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(
            self.cause.kind,
            Kind::Resolve(_)
                | Kind::Connect(_)
                | Kind::SetupTimeout { .. }
                | Kind::Unproven { .. }
                | Kind::Disconnected { during_setup: true, .. }
        )
    }

    /// Whether another cluster's broker answers at the address: see [`clusters`](Self::clusters).
    #[must_use]
    pub fn is_other_cluster(&self) -> bool {
        matches!(self.cause.kind, Kind::OtherCluster(_))
    }

    /// Whether the address leads to another broker than the one that is meant, of this cluster or of another.
    #[must_use]
    pub fn is_other_broker(&self) -> bool {
        matches!(self.cause.kind, Kind::OtherCluster(_) | Kind::OtherNode { .. })
    }

    /// The id of the cluster that the broker should be of, and of the one that it is of, if it has said that.
    #[must_use]
    pub fn clusters(&self) -> Option<(&str, Option<&str>)> {
        match &self.cause.kind {
            Kind::OtherCluster(other) => Some((&other.expected, other.found.as_deref())),
            Kind::OtherNode { cluster } => Some((cluster, Some(cluster))),
            _ => None,
        }
    }

    /// Whether the other side answered with bytes that are not the protocol: HTTP, TLS, garbage, a reply to a
    /// request nobody sent.
    #[must_use]
    pub fn is_protocol(&self) -> bool {
        matches!(
            self.cause.kind,
            Kind::SpeaksHttp
                | Kind::SpeaksTls
                | Kind::SpeaksText(_)
                | Kind::FrameTooLarge { .. }
                | Kind::FrameTooShort { .. }
                | Kind::Correlation { .. }
                | Kind::Undecodable { .. }
        )
    }

    /// Whether there is no version of the API that both sides know.
    #[must_use]
    pub fn is_unsupported_version(&self) -> bool {
        matches!(self.cause.kind, Kind::Unsupported { .. })
            || self.code() == Some(ErrorCode::UNSUPPORTED_VERSION)
    }

    /// Whether the broker does not know the API at all: it is a node of another kind, or has it switched off.
    #[must_use]
    pub fn is_unknown_api(&self) -> bool {
        matches!(self.cause.kind, Kind::Unsupported { theirs: None, .. })
    }

    /// The versions of the API that the broker knows, if none of them is one of ours.
    #[must_use]
    pub fn their_versions(&self) -> Option<VersionRange> {
        match self.cause.kind {
            Kind::Unsupported { theirs, .. } => theirs,
            _ => None,
        }
    }

    /// Whether this side ended the connection or dropped the task that drove it.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        matches!(self.cause.kind, Kind::Aborted)
    }

    /// Whether the connection was only closed because nobody used it (`connections.max.idle.ms`).
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.cause.kind, Kind::Idle)
    }

    /// The broker's error code, if a broker said no; after a wait in vain, the last one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match &self.cause.kind {
            Kind::Refused { code, .. } | Kind::Topic { code, .. } | Kind::NoLeader { code, .. } => {
                Some(*code)
            }
            Kind::Waited { last, .. } => last.as_ref()?.code(),
            _ => None,
        }
    }

    /// The broker's id, if the failure has a place. Negative for an address of the bootstrap list.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.cause.place.as_ref().map(|place| place.node)
    }

    /// "host:port" of the broker, if the failure has a place.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.cause.place.as_ref().map(|place| &*place.address)
    }
}

impl Kind {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve(source) | Self::Connect(source) => Some(source),
            Self::Disconnected { source, .. } => source.as_ref().map(|source| source as _),
            Self::Undecodable { source, .. } | Self::Unencodable { source, .. } => Some(source),
            Self::Waited { last, .. } => last.as_ref().map(|last| last as _),
            _ => None,
        }
    }
}

impl fmt::Display for NetError {
    #[expect(clippy::too_many_lines, reason = "a sentence for each kind, and nothing else")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Where(self.cause.place.as_ref());
        match &self.cause.kind {
            Kind::Resolve(_) => write!(f, "cannot find the address of {place}: check the host name"),
            Kind::Connect(_) => {
                write!(
                    f,
                    "cannot connect to {place}: check that a broker listens there and that nothing blocks the way"
                )
            }
            Kind::SetupTimeout { after, connected: false } => {
                write!(
                    f,
                    "no connection to {place} within {after:?}: check the address and that nothing blocks the way"
                )
            }
            Kind::SetupTimeout { after, connected: true } => write!(
                f,
                "{place} accepted the connection but said nothing within {after:?}: \
                 check that this is a Kafka broker's plaintext listener"
            ),
            Kind::RequestTimeout { api, after } => {
                write!(f, "{place} did not answer {api} within {after:?}; the connection was closed")
            }
            Kind::Disconnected { during_setup: true, .. } => write!(
                f,
                "{place} hung up before it answered the first request: \
                 the port may expect TLS or SASL, or is not a Kafka broker"
            ),
            Kind::Disconnected { during_setup: false, .. } => write!(f, "the connection to {place} broke"),
            Kind::Idle => write!(f, "the connection to {place} was closed because nobody used it"),
            Kind::Aborted => write!(f, "the connection to {place} was closed by this side"),
            Kind::NotReady => write!(f, "the connection to {place} takes no request now"),
            Kind::SpeaksHttp => write!(
                f,
                "{place} speaks HTTP, not the Kafka protocol: use the port of a Kafka listener, often 9092"
            ),
            Kind::SpeaksTls => write!(
                f,
                "{place} speaks TLS: use the broker's plaintext listener, \
                 or set security.protocol once this release supports TLS"
            ),
            Kind::SpeaksText(text) => {
                write!(
                    f,
                    "{place} answered with the text {text:?}, not the Kafka protocol: check host and port"
                )
            }
            Kind::FrameTooLarge { size, limit } => write!(
                f,
                "{place} announced a response of {size} bytes, outside {LEAST_RESPONSE} to {limit}: \
                 this is not the Kafka protocol, or the limit is too small"
            ),
            Kind::FrameTooShort { size } => write!(
                f,
                "{place} sent a response of {size} bytes, too short for the number of its request: \
                 this is not the Kafka protocol"
            ),
            Kind::Correlation { expected: Some(expected), found } => {
                write!(
                    f,
                    "{place} answered request {found} where {expected} was due; the connection was closed"
                )
            }
            Kind::Correlation { expected: None, found } => {
                write!(f, "{place} answered request {found} that nobody sent; the connection was closed")
            }
            Kind::Undecodable { api, version, .. } => {
                write!(f, "the answer of {place} to {api} version {version} is not the protocol")
            }
            Kind::Unencodable { api, version, .. } => {
                write!(f, "the request {api} cannot be written in version {version}, which {place} needs")
            }
            Kind::Unsupported { api, ours, theirs: Some(theirs) } => write!(
                f,
                "{place} knows {api} in versions {theirs}, this request needs {ours}: no version fits both"
            ),
            // What clients ask brokers, and nobody else.
            Kind::Unsupported {
                api: api @ (ApiKey::METADATA | ApiKey::INIT_PRODUCER_ID | ApiKey::PRODUCE),
                theirs: None,
                ..
            } => write!(
                f,
                "{place} does not know {api}: is this the controller's listener? use a broker's; \
                 or the broker is too old"
            ),
            Kind::Unsupported { api, ours, theirs: None } => {
                write!(
                    f,
                    "{place} does not know {api} (needed in {ours}): the broker is too old, or has it switched off"
                )
            }
            Kind::Refused { doing, code } => write!(f, "{place} refused {doing}: {code}"),
            Kind::Config(error) => error.fmt(f),
            Kind::Runtime(lack) => f.write_str(lack),
            Kind::NoBrokers => write!(f, "the cluster named no broker in its metadata"),
            Kind::UnknownNode => write!(f, "{place} is not a broker of this cluster"),
            Kind::OtherCluster(other) => other.describe(&place, f),
            Kind::OtherNode { cluster } => write!(
                f,
                "another broker of the same cluster ({cluster}) answers where {place} should: check where the address leads"
            ),
            Kind::Unproven { after } => {
                write!(f, "{place} did not say within {after:?} which cluster it is of")
            }
            Kind::Topic { topic, code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION } => {
                write!(f, "topic {} does not exist: check the name, or create it", shown(topic))
            }
            Kind::Topic { topic, code: ErrorCode::INVALID_TOPIC_EXCEPTION } => {
                let length = topic.chars().count();
                let long =
                    if length > MAX_TOPIC { format!(" of {length} characters") } else { String::new() };
                write!(
                    f,
                    "\"{}\"{long} cannot be the name of a topic: write letters, digits, '.', '_' and '-', at most \
                     {MAX_TOPIC} of them",
                    shown(topic)
                )
            }
            Kind::Topic { topic, code: ErrorCode::TOPIC_AUTHORIZATION_FAILED } => {
                write!(f, "no right to see topic {}: ask for the Describe permission", shown(topic))
            }
            Kind::Topic { topic, code } => write!(f, "topic {}: {code}", shown(topic)),
            Kind::NoPartition { topic, partition, count: 1 } => {
                write!(f, "topic {topic} has only partition 0, not {partition}")
            }
            Kind::NoPartition { topic, partition, count } => {
                write!(f, "topic {topic} has partitions 0 to {}, not {partition}", count.saturating_sub(1))
            }
            Kind::NoLeader { topic, partition, code } => {
                write!(f, "partition {topic}-{partition} has no leader now: {code}")
            }
            Kind::Waited { goal, after, .. } => write!(f, "{goal} within {after:?}"),
        }
    }
}

impl Other {
    fn describe(&self, place: &Where<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found, for_good } = self;
        match found {
            Some(found) => write!(f, "{place} is of cluster {found}, not of {expected}")?,
            None => write!(f, "another broker answers where {place} of cluster {expected} should")?,
        }
        f.write_str(": check where the address leads")?;
        match for_good {
            true => f.write_str(
                "; with metadata.recovery.strategy=none no other cluster is ever gone on with: make a new client for it",
            ),
            false => Ok(()),
        }
    }
}

struct Where<'a>(Option<&'a Place>);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("the broker"),
            Some(Place { node, address }) if node.0 < 0 => write!(f, "{address}"),
            Some(Place { node, address }) => write!(f, "broker {node} ({address})"),
        }
    }
}

impl fmt::Debug for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetError")
            .field("kind", &self.cause.kind)
            .field("place", &self.cause.place)
            .field("possibly_written", &self.possibly_written)
            .finish()
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.kind.source()
    }
}

/// What tokio-util's codecs need: a failed read or write is a broken connection.
impl From<io::Error> for NetError {
    fn from(source: io::Error) -> Self {
        Self::new(Kind::Disconnected { during_setup: false, source: Some(source) })
    }
}

/// The bytes of a correlation id, which every response has.
const LEAST_RESPONSE: usize = 4;

/// Whether what a broker says of a topic may be otherwise later, or elsewhere: one that has failed within says so, and is no
/// judge of the topic.
#[must_use]
pub fn topic_error_may_pass(code: ErrorCode) -> bool {
    code.is_retriable() || code == ErrorCode::UNKNOWN_SERVER_ERROR
}
