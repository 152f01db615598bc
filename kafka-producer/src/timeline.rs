//! What a batch went through that was not acknowledged: its attempts, and what it waited for before each.

use std::{fmt, ops::Deref, time::Duration};

use kafka_wire::{ErrorCode, NodeId};

use crate::millis::Millis;

/// The attempts to write a batch that failed, oldest first, and its waits. It can be printed, a line for each attempt.
///
/// Bounded: of a batch that was sent often, the first attempts are kept and the last one.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    attempts: Vec<Attempt>,
    omitted: u32,
    rest: Vec<Waited>,
    ended_after: Duration,
}

/// One attempt to write a batch, and what came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// What the batch waited for before it was sent: for the first attempt since its first record came, for others since
    /// the attempt before ended.
    pub waits: Vec<Waited>,
    /// The broker.
    pub node: NodeId,
    /// When it was sent, counted from when the batch was begun.
    pub sent_after: Duration,
    /// How long its answer, or the end of its connection, took.
    pub took: Duration,
    /// What the broker said, if it answered.
    pub code: Option<ErrorCode>,
    /// Why there is no answer, if there is none.
    pub error: Option<String>,
}

/// A batch waited so long for something. Where it waited for several things at once, the first in the list of reasons
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// For what.
    pub reason: WaitReason,
    /// How long.
    pub time: Duration,
}

/// What a batch can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WaitReason {
    /// For its topic, which the brokers do not know any more.
    TopicGone,
    /// For its partition, which the topic has no more: it was made again with fewer.
    PartitionGone,
    /// For its partition to have a leader that we know of.
    Metadata,
    /// For a producer id, without which no batch can be numbered.
    ProducerId,
    /// For a connection to the leader.
    Connection,
    /// Because the broker asked for a pause (a quota).
    Throttled,
    /// Between two attempts, by `retry.backoff.ms`.
    BackOff,
    /// For the codec.
    Sealing,
    /// For more records to join it, by `linger.ms`.
    Gathering,
    /// For its turn: requests or batches of its partition were in flight, as many as there may be, or earlier ones had to
    /// be settled first.
    InFlight,
}

impl WaitReason {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopicGone => "the topic does not exist any more",
            Self::PartitionGone => "the partition does not exist any more",
            Self::Metadata => "no leader known",
            Self::ProducerId => "no producer id",
            Self::Connection => "no connection",
            Self::Throttled => "throttled by the broker",
            Self::BackOff => "backing off",
            Self::Sealing => "being compressed",
            Self::Gathering => "gathering records",
            Self::InFlight => "others in flight",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Millis(self.time), self.reason)
    }
}

impl Timeline {
    /// The attempts, oldest first: the first ones, and the last.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// How many attempts between the first ones and the last are left out.
    pub fn omitted(&self) -> u32 {
        self.omitted
    }

    /// What the batch waited for when it was given up, since its last attempt ended; empty if it was not waiting.
    pub fn waited(&self) -> &[Waited] {
        &self.rest
    }

    /// When the batch was given up, counted from when it was begun.
    pub fn ended_after(&self) -> Duration {
        self.ended_after
    }

    pub(crate) fn push(&mut self, attempt: Attempt) {
        if self.attempts.len() >= MAX_ATTEMPTS {
            self.attempts.pop();
            self.omitted = self.omitted.saturating_add(1);
        }
        self.attempts.push(attempt);
    }

    pub(crate) fn end(&mut self, after: Duration, rest: Vec<Waited>) {
        self.ended_after = after;
        self.rest = rest;
    }
}

impl Deref for Timeline {
    type Target = [Attempt];

    fn deref(&self) -> &[Attempt] {
        &self.attempts
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: sent to broker {}", Millis(self.sent_after), self.node)?;
        waits(f, " after ", &self.waits)?;
        write!(f, "; after {} ", Millis(self.took))?;
        match (&self.code, &self.error) {
            (Some(code), _) => write!(f, "it answered {code}"),
            (None, Some(error)) => write!(f, "no answer: {error}"),
            (None, None) => f.write_str("no answer"),
        }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, attempt) in self.attempts.iter().enumerate() {
            if self.omitted > 0 && at + 1 == self.attempts.len() {
                writeln!(f, "({} more attempts)", self.omitted)?;
            }
            writeln!(f, "{attempt}")?;
        }
        write!(f, "{}: given up", Millis(self.ended_after))?;
        waits(f, " after ", &self.rest)
    }
}

fn waits(f: &mut fmt::Formatter<'_>, lead: &str, waits: &[Waited]) -> fmt::Result {
    for (at, wait) in waits.iter().enumerate() {
        write!(f, "{}{wait}", if at == 0 { lead } else { ", " })?;
    }
    Ok(())
}

/// How many attempts of a batch are kept: the first ones, and the last.
const MAX_ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u64) -> Attempt {
        Attempt {
            waits: vec![Waited { reason: WaitReason::BackOff, time: Duration::from_millis(100) }],
            node: NodeId(1),
            sent_after: Duration::from_millis(number * 100),
            took: Duration::from_micros(2_345),
            code: Some(ErrorCode::NOT_ENOUGH_REPLICAS),
            error: None,
        }
    }

    #[test]
    fn the_first_attempts_and_the_last_are_kept() {
        let mut timeline = Timeline::default();
        (0..1000).for_each(|number| timeline.push(attempt(number)));
        assert_eq!((timeline.len(), timeline.omitted()), (8, 992));
        assert_eq!(timeline[6].sent_after, Duration::from_millis(600));
        assert_eq!(timeline[7].sent_after, Duration::from_millis(99_900));
    }

    #[test]
    fn it_is_printed_a_line_for_each_attempt() {
        let mut timeline = Timeline::default();
        timeline.push(attempt(1));
        timeline.end(
            Duration::from_secs(120),
            vec![
                Waited { reason: WaitReason::Metadata, time: Duration::from_secs(3) },
                Waited { reason: WaitReason::Connection, time: Duration::from_secs(117) },
            ],
        );
        assert_eq!(
            timeline.to_string(),
            "100 ms: sent to broker 1 after 100 ms backing off; after 2 ms it answered NOT_ENOUGH_REPLICAS (19)\n\
             120000 ms: given up after 3000 ms no leader known, 117000 ms no connection"
        );
    }
}
