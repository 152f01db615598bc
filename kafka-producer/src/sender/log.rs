//! What is logged, and a bound on it.
//!
//! Nothing is logged where a lock is held: a subscriber is foreign code, and may itself send through this producer.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use kafka_net::{ClusterChange, NetError};
use kafka_wire::{ErrorCode, NodeId, TopicName};

use super::sequence::Identity;
use crate::error::{FailureKind, Persistence};

/// Something to be logged by whoever carries out the [`Effects`](super::Effects).
#[derive(Debug)]
pub(crate) enum Event {
    ProducerId(Identity),
    EpochBumped {
        topic: TopicName,
        partition: i32,
        epoch: i16,
    },
    TopicKnown {
        topic: TopicName,
        partitions: usize,
    },
    TopicGrown {
        topic: TopicName,
        before: usize,
        partitions: usize,
    },
    NotAcknowledged {
        topic: TopicName,
        partition: i32,
        node: NodeId,
        code: ErrorCode,
    },
    Splitting {
        topic: TopicName,
        partition: i32,
    },
    GivenUp {
        topic: TopicName,
        partition: i32,
        records: u32,
        reason: FailureKind,
        persistence: Persistence,
    },
    Lost {
        topic: TopicName,
        partition: i32,
    },
    MoreHeldBack {
        lines: u64,
    },
    NoBrokerAnswers,
    /// Another broker than the one that is meant has answered.
    OtherBroker(NetError),
    ClusterChanged(ClusterChange),
    Fatal(ErrorCode),
}

impl Event {
    /// To be called where no lock is held.
    pub(crate) fn log(self) {
        guarded(|| self.tell());
    }

    fn tell(self) {
        match self {
            Self::ProducerId(Identity { id, epoch }) => {
                tracing::debug!(producer_id = id.0, epoch = epoch.0, "producer id acquired");
            }
            Self::EpochBumped { topic, partition, epoch } => {
                tracing::debug!(%topic, partition, epoch, "epoch bumped");
            }
            Self::TopicKnown { topic, partitions } => tracing::debug!(%topic, partitions, "topic known"),
            Self::TopicGrown { topic, before, partitions } => {
                tracing::info!(%topic, before, partitions, "topic has grown: from now on keys go to other partitions");
            }
            Self::NotAcknowledged { topic, partition, node, code } => {
                tracing::debug!(%topic, partition, %node, %code, "batch not acknowledged");
            }
            Self::Splitting { topic, partition } => {
                tracing::debug!(%topic, partition, "batch too large: splitting it");
            }
            Self::GivenUp { topic, partition, records, reason, persistence } => {
                tracing::warn!(%topic, partition, records, ?reason, ?persistence, "batch given up");
            }
            Self::Lost { topic, partition } => tracing::error!(
                %topic,
                partition,
                "the brokers lost records that they had acknowledged: was a leader elected that did not have them?"
            ),
            Self::MoreHeldBack { lines } => {
                tracing::warn!(lines, "more batches were given up, or lost by brokers");
            }
            Self::NoBrokerAnswers => {
                tracing::info!("no known broker answers: returning to the bootstrap list");
            }
            Self::OtherBroker(error) => tell_other(&error),
            Self::ClusterChanged(ClusterChange { from, to, .. }) => tracing::warn!(
                %from,
                %to,
                "another cluster has taken the place of the one that was produced to: batches that may be in its log are given up"
            ),
            Self::Fatal(code) => tracing::error!(%code, "the producer cannot go on"),
        }
    }
}

/// Tells that an address leads to another broker than the one that is meant. To be called where no lock is held.
pub(crate) fn tell_other(error: &NetError) {
    let (node, address) = (error.node().map_or(-1, |node| node.0), error.address().unwrap_or_default());
    let (expected, found) = error.clusters().unwrap_or_default();
    tracing::warn!(node, address, expected, found, %error, "no connection to a broker: it is not the one that is meant");
}

/// Logs. A subscriber that panics does not keep from its work who logs.
pub(crate) fn guarded(log: impl FnOnce()) {
    // The panic hook has said what there is to say.
    let _ = panic::catch_unwind(AssertUnwindSafe(log));
}

/// Lets through so many lines a second, and counts the others.
#[derive(Debug)]
pub(super) struct LogBudget {
    left: u32,
    held_back: u64,
    refill_at: Option<Instant>,
}

impl LogBudget {
    pub(super) const fn new() -> Self {
        Self { left: LINES, held_back: 0, refill_at: None }
    }

    /// Whether a line may be logged.
    pub(super) fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.held_back += 1;
                false
            }
        }
    }

    /// Time has passed. Gives what is to be said of the lines that were not let through.
    pub(super) fn refill(&mut self, now: Instant) -> Option<Event> {
        if self.refill_at.is_some_and(|at| now < at) {
            return None;
        }
        let lines = self.held_back;
        *self = Self { refill_at: now.checked_add(PERIOD), ..Self::new() };
        (lines > 0).then_some(Event::MoreHeldBack { lines })
    }
}

/// Lines in a period.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn so_many_lines_and_no_more_until_the_next_period() {
        let start = Instant::now();
        let mut log = LogBudget::new();
        assert!(log.refill(start).is_none());
        assert_eq!((0..100).filter(|_| log.take()).count(), 10);
        assert!(log.refill(start + PERIOD / 2).is_none());
        assert!(!log.take());
        let rest = log.refill(start + PERIOD);
        assert!(matches!(rest, Some(Event::MoreHeldBack { lines: 91 })), "{rest:?}");
        assert!(log.take());
    }
}
