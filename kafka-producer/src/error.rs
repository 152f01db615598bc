//! What can go wrong, one type for each moment at which it can.

use std::{error, fmt, sync::Arc, time::Duration};

use kafka_batch::CHUNK_SIZE;
use kafka_net::ClusterChange;
use kafka_wire::{ErrorCode, TopicName};

use crate::{
    millis::Millis,
    timeline::{Timeline, Waited},
};

/// Whether a record that was not acknowledged may be in the log all the same.
///
/// It is a fact kept for the life of a batch: once an attempt may have reached a broker, only an answer that
/// settles that very attempt takes the doubt away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the three values are all there can be")]
pub enum Persistence {
    /// The record is not in the log, and never will be.
    NotPersisted,
    /// The record may be in the log, or may still get there.
    PossiblyPersisted,
    /// The record is in the log.
    Persisted,
}

impl fmt::Display for Persistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPersisted => "it is not in the log",
            Self::PossiblyPersisted => "it may be in the log",
            Self::Persisted => "it is in the log",
        })
    }
}

/// A record was not accepted: it is still the caller's, and surely not in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// Boxed: what is returned for every record should be small.
    kind: Box<Refusal>,
}

/// Why a record is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The topic did not turn up within `max.block.ms`.
    TopicUnavailable { topic: TopicName, waited: Duration, code: Option<ErrorCode>, hint: Option<Arc<str>> },
    /// A broker said that the topic cannot be used, and waiting will not help.
    TopicRefused { topic: TopicName, code: ErrorCode },
    /// No broker can be used, and waiting will not help.
    Unreachable { topic: TopicName, why: Arc<str> },
    /// The topic has no such partition.
    NoPartition { topic: TopicName, partition: i32, count: i32, waited: Duration },
    /// The record's batch of one is over a limit.
    TooLarge { size: usize, limit: usize, setting: &'static str, asked: usize },
    /// The timestamp is below zero.
    Timestamp(i64),
    /// No room in `buffer.memory` within `max.block.ms`, and the broker that answers nothing, if it is one's fault.
    NoRoom { waited: Duration, asked: usize, hint: Option<Arc<str>> },
    /// The producer accepts nothing any more.
    Closed(EndedBy),
    /// The producer met an error that no later attempt can cure.
    Fatal { code: ErrorCode, why: Option<Arc<str>> },
}

impl SendError {
    #[cold]
    pub(crate) fn new(kind: Refusal) -> Self {
        Self { kind: Box::new(kind) }
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        match &*self.kind {
            Refusal::TopicUnavailable { .. } | Refusal::NoPartition { .. } | Refusal::NoRoom { .. } => true,
            Refusal::TopicRefused { .. }
            | Refusal::Unreachable { .. }
            | Refusal::TooLarge { .. }
            | Refusal::Timestamp(_)
            | Refusal::Closed(_)
            | Refusal::Fatal { .. } => false,
        }
    }

    /// Whether `max.block.ms` ran out.
    pub fn is_timeout(&self) -> bool {
        self.is_retriable()
    }

    /// Whether the record is over a size limit.
    pub fn is_too_large(&self) -> bool {
        matches!(*self.kind, Refusal::TooLarge { .. })
    }

    /// Whether there was no room in `buffer.memory`.
    pub fn is_no_room(&self) -> bool {
        matches!(*self.kind, Refusal::NoRoom { .. })
    }

    /// Whether the producer is closed: by a handle, or because its tasks cannot go on. The text says which.
    pub fn is_closed(&self) -> bool {
        matches!(*self.kind, Refusal::Closed(_))
    }

    /// What a broker last said of the topic or of us, if it said anything.
    pub fn code(&self) -> Option<ErrorCode> {
        match &*self.kind {
            Refusal::TopicUnavailable { code, .. } => *code,
            Refusal::TopicRefused { code, .. } | Refusal::Fatal { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl error::Error for SendError {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicUnavailable { topic, waited, code, hint } => {
                write!(
                    f,
                    "topic \"{}\" is not known after {} (max.block.ms)",
                    shown(topic),
                    Millis(*waited)
                )?;
                match (code, hint) {
                    (Some(code), _) if *code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => f.write_str(
                        ": the brokers say that it does not exist; create it, or allow them to create topics",
                    ),
                    (Some(code), _) => write!(f, ": the brokers say {code}"),
                    (None, Some(hint)) => write!(f, ": {hint}"),
                    (None, None) => f.write_str(": no broker has answered yet; check bootstrap.servers"),
                }
            }
            Self::TopicRefused { topic, code } => {
                write!(f, "topic \"{}\" cannot be used: {code}", shown(topic))
            }
            Self::Unreachable { topic, why } => {
                write!(f, "topic \"{}\" is out of reach: {why}", shown(topic))
            }
            Self::NoPartition { topic, partition, count, waited } => write!(
                f,
                "topic \"{}\" has no partition {partition} after {} (max.block.ms): it has {count}",
                shown(topic),
                Millis(*waited)
            ),
            Self::TooLarge { size, limit, setting, asked } if limit == asked => write!(
                f,
                "the record needs a batch of {size} bytes and {setting} is {limit}: send less, or raise {setting}"
            ),
            // Only memory is not used to its last byte.
            Self::TooLarge { size, limit, setting, asked } => write!(
                f,
                "the record needs a batch of {size} bytes, and {setting}={asked} has room for one of {limit}, since it is \
                 taken in chunks of {CHUNK_SIZE} bytes: send less, or raise {setting}"
            ),
            Self::Timestamp(timestamp) => write!(f, "the timestamp {timestamp} lies before 1970"),
            Self::NoRoom { waited, asked, hint } => write!(
                f,
                "no room in buffer.memory={asked} after {} (max.block.ms): {}",
                Millis(*waited),
                hint.as_deref().unwrap_or("the brokers take less than is sent")
            ),
            Self::Closed(EndedBy::Handle) => f.write_str("the producer is closed"),
            Self::Closed(by) => write!(f, "the producer is closed: {by}"),
            Self::Fatal { code, why: None } => {
                write!(f, "the producer cannot go on: {code}; make a new one")
            }
            Self::Fatal { code, why: Some(why) } => {
                write!(f, "the producer cannot go on: {code}, {why}; make a new one")
            }
        }
    }
}

/// A topic's name as it may stand in a message: on one line, and not longer than a name may be.
fn shown(topic: &TopicName) -> String {
    let name = topic.as_str();
    let mut shown: String = name.chars().take(MAX_TOPIC).flat_map(char::escape_debug).collect();
    if name.chars().nth(MAX_TOPIC).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The longest name of a topic.
const MAX_TOPIC: usize = 249;

/// What ended a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// A handle closed it, or the last one was dropped.
    Handle,
    /// Its tasks are gone: their runtime was shut down.
    Runtime,
    /// A panic left its state half changed: nobody may go on with that.
    Panic,
    /// This process is a fork of the one it belongs to.
    Fork,
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handle => "the producer was closed first",
            Self::Runtime => "the producer's runtime was shut down",
            Self::Panic => "a panic in the producer ended it, which is a bug; the panic's message says more",
            Self::Fork => {
                "this process is a fork of the one that the producer belongs to; make one of its own"
            }
        })
    }
}

/// A record was not accepted at once: it is still the caller's, and surely not in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrySendError {
    /// None: nothing is wrong but that `send` would have to wait.
    refused: Option<SendError>,
    wait: Option<Wait>,
}

/// What `send` would wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Room in `buffer.memory`.
    Room,
    /// The topic, or the partition, to become known.
    Topic,
}

impl TrySendError {
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { refused: Some(SendError::new(refusal)), wait: None }
    }

    pub(crate) fn wait(wait: Wait) -> Self {
        Self { refused: None, wait: Some(wait) }
    }

    /// Whether [`send`](crate::Producer::send) would have waited: for room, or for the topic to become known.
    pub fn would_wait(&self) -> bool {
        self.wait.is_some()
    }

    /// Whether there is no room in `buffer.memory` now.
    pub fn is_no_room(&self) -> bool {
        self.wait == Some(Wait::Room)
    }

    /// The error `send` would have given at once, if it would.
    pub fn as_send_error(&self) -> Option<&SendError> {
        self.refused.as_ref()
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.refused, self.wait) {
            (Some(error), _) => fmt::Display::fmt(error, f),
            (None, Some(Wait::Topic)) => f.write_str("the topic is not known yet: `send` would wait for it"),
            (None, _) => f.write_str("no room in buffer.memory now: `send` would wait for it"),
        }
    }
}

impl error::Error for TrySendError {}

/// An accepted record was not acknowledged.
///
/// Ask whether it may be in the log ([`persistence`](Self::persistence)) before sending it again. Cheap to clone.
#[derive(Clone)]
pub struct DeliveryError {
    failure: Arc<Failure>,
    index: u32,
}

/// Why a batch is given up: shared by the errors of its records.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    pub(crate) kind: FailureKind,
    pub(crate) persistence: Persistence,
    /// The batch's size before compression; zero where it is not known.
    pub(crate) size: usize,
    pub(crate) message: Option<String>,
    /// The two clusters, where the one was sent to, and the other came.
    pub(crate) change: Option<Arc<ClusterChange>>,
    /// What the broker said of single records (KIP-467), by index.
    pub(crate) records: Vec<(i32, Option<String>)>,
    pub(crate) timeline: Timeline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A broker refused it.
    Rejected(ErrorCode),
    /// `retries` attempts failed, the last one so.
    Exhausted(Option<ErrorCode>),
    /// `delivery.timeout.ms` is over.
    Expired,
    /// [`purge`](crate::Producer::purge) gave it up.
    Purged,
    /// The producer ended before it was sent or answered.
    Ended(EndedBy),
    /// It was lost where it was compressed or split: a codec panicked, or there was no thread to do it on.
    Lost,
    /// Another cluster took the place of the one that it was sent to, and no answer will come.
    ClusterChanged,
}

impl Failure {
    pub(crate) fn new(topic: TopicName, partition: i32, kind: FailureKind, persistence: Persistence) -> Self {
        Self {
            topic,
            partition,
            kind,
            persistence,
            size: 0,
            message: None,
            change: None,
            records: Vec::new(),
            timeline: Timeline::default(),
        }
    }

    /// What ended the producer, if that ended the batch.
    pub(crate) fn ended_by(&self) -> Option<EndedBy> {
        match self.kind {
            FailureKind::Ended(by) => Some(by),
            _ => None,
        }
    }
}

impl DeliveryError {
    pub(crate) fn new(failure: Arc<Failure>, index: u32) -> Self {
        Self { failure, index }
    }

    /// Whether the record may be in the log all the same.
    pub fn persistence(&self) -> Persistence {
        self.failure.persistence
    }

    /// What the broker said, where an answer ended it.
    pub fn code(&self) -> Option<ErrorCode> {
        match self.failure.kind {
            FailureKind::Rejected(code) => Some(code),
            FailureKind::Exhausted(code) => code,
            FailureKind::Expired
            | FailureKind::Purged
            | FailureKind::Ended(_)
            | FailureKind::Lost
            | FailureKind::ClusterChanged => None,
        }
    }

    /// What the record's batch went through: the attempts, and what it waited for before each and in the end.
    pub fn timeline(&self) -> &Timeline {
        &self.failure.timeline
    }

    /// The topic the record was for.
    pub fn topic(&self) -> &str {
        self.failure.topic.as_str()
    }

    /// The partition the record was for.
    pub fn partition(&self) -> i32 {
        self.failure.partition
    }

    /// Whether `delivery.timeout.ms` ended it.
    pub fn is_timeout(&self) -> bool {
        matches!(self.failure.kind, FailureKind::Expired)
    }

    /// Whether [`purge`](crate::Producer::purge) ended it.
    pub fn is_purged(&self) -> bool {
        matches!(self.failure.kind, FailureKind::Purged)
    }

    /// Whether it was sent to a cluster whose place another one took before it was acknowledged. Nobody can say any more
    /// whether it is in the old one's log, and it was not written to the new one.
    pub fn is_cluster_change(&self) -> bool {
        matches!(self.failure.kind, FailureKind::ClusterChanged)
    }

    /// The ids of the cluster that it was sent to, and of the one that took its place.
    pub fn clusters(&self) -> Option<(&str, &str)> {
        self.failure.change.as_ref().map(|change| (&*change.from, &*change.to))
    }

    /// Whether the end of the producer ended it: it was closed, or its tasks could not go on. The text says which.
    pub fn is_aborted(&self) -> bool {
        matches!(self.failure.kind, FailureKind::Ended(_))
    }

    /// Whether this very record was refused, not only another one of its batch.
    fn is_culprit(&self) -> bool {
        let records = &self.failure.records;
        records.is_empty() || records.iter().any(|(index, _)| u32::try_from(*index) == Ok(self.index))
    }

    fn message(&self) -> Option<&str> {
        let own = self.failure.records.iter().find(|(index, _)| u32::try_from(*index) == Ok(self.index));
        own.and_then(|(_, message)| message.as_deref()).or(self.failure.message.as_deref())
    }
}

impl DeliveryError {
    /// The last attempt, and what it waited for longest since.
    fn fmt_course(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeline = &self.failure.timeline;
        let longest = |waits: &[Waited]| waits.iter().max_by_key(|waited| waited.time).copied();
        match (timeline.last(), longest(timeline.waited())) {
            (Some(last), wait) => {
                write!(f, "; last attempt at broker {} ", last.node)?;
                match (&last.code, &last.error) {
                    (Some(code), _) => write!(f, "gave {code}")?,
                    (None, Some(error)) => write!(f, "had no answer: {error}")?,
                    (None, None) => write!(f, "had no answer after {}", Millis(last.took))?,
                }
                wait.map_or(Ok(()), |wait| write!(f, ", then {wait}"))
            }
            (None, Some(wait)) => write!(f, "; never sent: {wait}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { topic, partition, kind, persistence, .. } = &*self.failure;
        write!(f, "record for {topic}-{partition} not acknowledged: ")?;
        match kind {
            FailureKind::Rejected(_) if !self.is_culprit() => {
                f.write_str("another record of its batch was refused")?;
            }
            FailureKind::Rejected(code) => write!(f, "refused, {code}")?,
            FailureKind::Exhausted(Some(code)) => write!(f, "out of retries, last {code}")?,
            FailureKind::Exhausted(None) => f.write_str("out of retries, last answer missing")?,
            FailureKind::Expired => f.write_str("delivery.timeout.ms is over")?,
            FailureKind::Ended(by) => fmt::Display::fmt(by, f)?,
            FailureKind::Purged => f.write_str("it was purged")?,
            FailureKind::ClusterChanged => {
                let (from, to) = self.clusters().unwrap_or_default();
                write!(f, "it was sent to cluster {from}, whose place cluster {to} has taken")?;
            }
            FailureKind::Lost => f.write_str("it could not be compressed or split, see the log")?,
        }
        if let Some(message) = self.message() {
            write!(f, " ({message})")?;
        }
        if self.code() == Some(ErrorCode::MESSAGE_TOO_LARGE) && self.failure.size > 0 {
            write!(
                f,
                ": its batch has {} bytes before compression; compare max.message.bytes of the topic and \
                 message.max.bytes of the brokers",
                self.failure.size
            )?;
        }
        self.fmt_course(f)?;
        write!(f, "; {persistence}")
    }
}

impl fmt::Debug for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryError")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("kind", &self.failure.kind)
            .field("persistence", &self.persistence())
            .field("record", &self.index)
            .field("timeline", &self.timeline())
            .finish()
    }
}

impl error::Error for DeliveryError {}
