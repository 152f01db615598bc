//! What the rules that act on one request add up to.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::{ErrorCode, PartitionId, ProducerEpoch, ProducerId, TopicName};

use super::change::Change;
use super::malform::Malformation;
use super::rule::{Step, When};

/// An answer that a script has its hand in: what is written, when, and what becomes of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    pub(crate) frame: Option<Bytes>,
    pub(crate) delay: Duration,
    pub(crate) then: Then,
}

/// What becomes of a connection after a scripted answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// It goes on.
    GoOn,
    /// It goes on, but nothing more is read from it for so long.
    Pause(Duration),
    /// It stays open, and nothing is ever answered on it again.
    Silence,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

impl Scripted {
    /// The bytes to write, whatever they look like; `None` for no answer.
    #[must_use]
    pub fn frame(&self) -> Option<&Bytes> {
        self.frame.as_ref()
    }

    /// How long the answer, and with it all later ones of the connection, is held back.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// What comes after it.
    #[must_use]
    pub fn then(&self) -> Then {
        self.then
    }
}

/// What is to be done about one request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    /// Something is to happen later because of it.
    pub(crate) has_scheduled: bool,
    /// Errors instead of what was asked.
    pub(crate) refused: Errors,
    /// Errors in spite of what was done.
    pub(crate) failed: Errors,
    pub(crate) before: Vec<Change>,
    pub(crate) after: Vec<Change>,
    /// How the connection ends, and whether what was asked is done.
    pub(crate) end: Option<(Then, bool)>,
    pub(crate) throttle: Option<Duration>,
    pub(crate) producer: Option<(Option<ProducerId>, ProducerEpoch)>,
    pub(crate) stale_leaders: bool,
    pub(crate) malformations: Vec<Malformation>,
}

/// Errors, and what each is about.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<(When, ErrorCode)>);

impl Errors {
    /// The error for a topic or partition, if there is one.
    pub(crate) fn of(&self, topic: Option<&TopicName>, partition: Option<PartitionId>) -> Option<ErrorCode> {
        self.0.iter().find(|(when, _)| when.is_about(topic, partition)).map(|&(_, code)| code)
    }

    /// The first error.
    pub(crate) fn first(&self) -> Option<ErrorCode> {
        self.0.first().map(|&(_, code)| code)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Plan {
    /// Adds one thing that a rule does. The first end counts: what comes after it would not be seen.
    pub(super) fn take(&mut self, when: &When, step: Step) {
        match step {
            Step::Refuse(code) => self.refused.0.push((when.clone(), code)),
            Step::Fail(code) => self.failed.0.push((when.clone(), code)),
            Step::Silence { applied } => _ = self.end.get_or_insert((Then::Silence, applied)),
            Step::Disconnect { applied, reset } => {
                let then = if reset { Then::Reset } else { Then::Close };
                self.end.get_or_insert((then, applied));
            }
            Step::Throttle(time) => self.throttle = Some(self.throttle.unwrap_or_default().max(time)),
            Step::Producer(id, epoch) => _ = self.producer.get_or_insert((id, epoch)),
            Step::StaleLeaders => self.stale_leaders = true,
            Step::Malform(how) => self.malformations.push(how),
            Step::Change(change) => self.before.push(change),
            Step::ChangeAfter(change) => self.after.push(change),
            // These two take a generator and a clock, and were seen to before.
            Step::Delay(..) | Step::ChangeLater(..) => {}
        }
    }

    /// Whether the answer has other fields than the handler's.
    pub(crate) fn rewrites(&self) -> bool {
        !self.refused.is_empty()
            || !self.failed.is_empty()
            || self.throttle.is_some()
            || self.producer.is_some()
            || self.stale_leaders
    }
}
