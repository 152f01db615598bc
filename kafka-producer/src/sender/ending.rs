//! Batches that are given up, and what is told of their course.

use std::{sync::Arc, time::Instant};

use kafka_wire::{ErrorCode, NodeId};

use super::{
    Effects, LaneId, OnItsWay, Resolution, Sealed, Sender,
    ledger::{Entry, Place},
    log::Event,
    waits::{Spans, Wait},
};
use crate::{
    delivery::{BatchResult, Outcome},
    error::{Failure, FailureKind, Persistence},
    planted::planted,
    purge::{Purge, Purged},
    timeline::{Attempt, WaitReason, Waited},
};

impl Sender {
    /// (B) A batch was lost where it was sealed or split: a codec panicked, or no thread could be started.
    pub(crate) fn handle_lost(&mut self, lane: LaneId, key: u64, was_sealing: bool, now: Instant) {
        if was_sealing {
            self.sealing = self.sealing.saturating_sub(1);
            self.call_next(now);
        }
        let Some(at) = self.partition(lane).and_then(|partition| partition.ledger.find(key)) else { return };
        self.fail(lane, at, FailureKind::Lost, None, now);
        self.settle(lane, now);
    }

    /// (C) Gives up a batch that never left its lane.
    pub(crate) fn give_up(&mut self, lane: LaneId, batch: &Unsent<'_>, kind: FailureKind, now: Instant) {
        // After a panic there are no partitions any more, and still it gets its answer.
        let (topic, index) = (batch.outcome.topic().clone(), batch.outcome.partition());
        let leader = self.partition(lane).and_then(|partition| partition.leader);
        if self.log.take() {
            let (topic, records, persistence) = (topic.clone(), batch.count, Persistence::NotPersisted);
            self.effects.events.push(Event::GivenUp {
                topic,
                partition: index,
                records,
                reason: kind,
                persistence,
            });
        }
        let mut failure = Failure::new(topic, index, kind, Persistence::NotPersisted);
        if self.fatal.is_some_and(|code| kind == FailureKind::Rejected(code)) {
            failure.message = self.fatal_reason.as_deref().map(str::to_owned);
        }
        let own = [(WaitReason::Gathering, batch.begun, self.linger_end(batch.begun, now))];
        let rest = self.explain(lane, leader, Wait::new(batch.begun, now), &own);
        failure.timeline.end(now.saturating_duration_since(batch.begun), rest);
        self.counters.failed += u64::from(batch.count);
        let result = BatchResult::Failed(Arc::new(failure));
        self.effects.resolved.push(Resolution { outcome: Arc::clone(batch.outcome), result });
    }

    /// (B) Time has passed: gives up what is overdue.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(lane) = self.expiries.pop_due(now, &mut self.timers) {
            if let Some(partition) = self.partition_mut(lane) {
                partition.expiry.clear();
            }
            let may_expire = |entry: &Entry<Sealed>| {
                !(planted!(NeverExpires) && matches!(entry.place, Place::InFlight { .. }))
            };
            self.fail_where(lane, FailureKind::Expired, now, |entry| {
                entry.deadline <= now && may_expire(entry)
            });
            let entries = self.partition(lane).into_iter().flat_map(|partition| partition.ledger.iter());
            let entries = entries.filter(|entry| may_expire(entry));
            if let Some(next) = entries.map(|entry| entry.deadline).min() {
                self.expire_by(lane, next);
            }
            self.settle(lane, now);
        }
    }

    /// (C) Gives everything up.
    pub(crate) fn abort(&mut self, kind: FailureKind, now: Instant) {
        for lane in (0..self.partitions.len() as u32).map(LaneId) {
            self.fail_where(lane, kind, now, |_| true);
        }
    }

    /// (C) Gives everything up after a panic has left this half changed: no more is looked at than the batches themselves. From
    /// here on nothing is sent, asked or waited for. What may have been written may be in the log.
    pub(crate) fn tear_down(&mut self, kind: FailureKind) {
        self.is_torn_down = true;
        let (mut owed, mut released) = (Effects::default(), Vec::new());
        let mut owe = |outcome: Arc<Outcome>, count, persistence| {
            self.counters.failed += u64::from(count);
            let failure = Failure::new(outcome.topic().clone(), outcome.partition(), kind, persistence);
            let result = BatchResult::Failed(Arc::new(failure));
            owed.resolved.push(Resolution { outcome, result });
        };
        let entries = std::mem::take(&mut self.partitions).into_iter();
        for entry in entries.flat_map(|partition| partition.ledger.into_entries()) {
            let persistence = match entry.attempts {
                _ if entry.is_proven() => Persistence::Persisted,
                0 if !entry.evidence.is_in_doubt() => Persistence::NotPersisted,
                _ => Persistence::PossiblyPersisted,
            };
            owe(entry.outcome, entry.count, persistence);
            released.extend(entry.batch);
        }
        if let Some(OnItsWay { outcome, count, may_be_written }) = self.on_its_way.take() {
            let persistence = match may_be_written {
                true => Persistence::PossiblyPersisted,
                false => Persistence::NotPersisted,
            };
            owe(outcome, count, persistence);
        }
        self.nodes.clear();
        self.topics.clear();
        self.expiries.clear(&mut self.timers);
        self.orphans.clear();
        self.turns.clear(&mut self.timers);
        (self.unresolved, self.sealing) = (0, 0);
        owed.released = released;
        let before = std::mem::take(&mut self.effects);
        self.owe(before);
        self.owe(owed);
    }

    /// (C) Adds to what is to be done outside what a panic kept from being done: each batch gets one answer, the first that was
    /// found for it.
    pub(crate) fn owe(&mut self, effects: Effects) {
        for resolution in effects.resolved {
            let mut known = self.effects.resolved.iter();
            let is_known = known.any(|other| Arc::ptr_eq(&other.outcome, &resolution.outcome));
            if !is_known && !resolution.outcome.is_resolved() {
                self.effects.resolved.push(resolution);
            }
        }
        self.effects.released.extend(effects.released);
        self.effects.events.extend(effects.events);
    }

    /// (C) Gives up what is in flight, or what waits here to be sent, or both. Numbers stay safe: a partition of which a
    /// number may have been used goes on under a new epoch, once what is left of it is settled.
    pub(crate) fn purge(&mut self, what: Purge, kind: FailureKind, now: Instant) -> Purged {
        let mut purged = Purged::default();
        for lane in (0..self.partitions.len() as u32).map(LaneId) {
            let Some(partition) = self.partition(lane).filter(|partition| !partition.ledger.is_empty())
            else {
                continue;
            };
            for entry in partition.ledger.iter() {
                match entry.place {
                    Place::InFlight { .. } if what.takes_in_flight() => {
                        purged.in_flight += u64::from(entry.count);
                    }
                    Place::InFlight { .. } => {}
                    _ if what.takes_queued() => purged.queued += u64::from(entry.count),
                    _ => {}
                }
            }
            self.fail_where(lane, kind, now, |entry| match entry.place {
                Place::InFlight { .. } => what.takes_in_flight(),
                _ => what.takes_queued(),
            });
            self.settle(lane, now);
        }
        purged
    }

    /// Gives up some batches of a partition.
    pub(super) fn fail_where(
        &mut self,
        lane: LaneId,
        kind: FailureKind,
        now: Instant,
        is_meant: impl Fn(&Entry<Sealed>) -> bool,
    ) {
        let mut at = 0;
        while let Some(entry) = self.partition(lane).and_then(|it| it.ledger.entry(at)) {
            if !is_meant(entry) {
                at += 1;
                continue;
            }
            if let Place::InFlight { node, .. } = entry.place {
                let why = match kind {
                    FailureKind::Expired => "delivery.timeout.ms ended the wait for it",
                    _ => "it was not waited for any longer",
                };
                self.note_attempt(lane, at, node, now, None, Some(why.to_owned()));
            }
            self.fail(lane, at, kind, None, now);
        }
    }

    /// A batch of a partition expires then.
    pub(super) fn expire_by(&mut self, lane: LaneId, deadline: Instant) {
        let Some(partition) = self.partitions.get_mut(lane.0 as usize) else { return };
        let is_first = self.expiries.enter(lane, &mut partition.expiry, deadline, &mut self.timers);
        self.effects.timer |= is_first;
    }

    /// Notes what came of the latest attempt.
    pub(super) fn note_attempt(
        &mut self,
        lane: LaneId,
        at: usize,
        node: NodeId,
        now: Instant,
        code: Option<ErrorCode>,
        error: Option<String>,
    ) {
        let Some(entry) = self.partition_mut(lane).and_then(|it| it.ledger.entry_mut(at)) else { return };
        let Place::InFlight { since, .. } = entry.place else { return };
        let (begun, idle_since) = (entry.begun, entry.idle_since);
        entry.idle_since = now;
        let Some(entry) = self.partition(lane).and_then(|it| it.ledger.entry(at)) else { return };
        let waits = self.explain_entry(lane, Some(node), entry, idle_since, since);
        let attempt = Attempt {
            waits,
            node,
            sent_after: since.saturating_duration_since(begun),
            took: now.saturating_duration_since(since),
            code,
            error,
        };
        if let Some(entry) = self.partition_mut(lane).and_then(|it| it.ledger.entry_mut(at)) {
            entry.timeline.push(attempt);
        }
    }

    /// What a batch waits for that is about to be given up; nothing if it is on the wire.
    pub(super) fn last_wait(&self, lane: LaneId, at: usize, now: Instant) -> Vec<Waited> {
        let Some(partition) = self.partition(lane) else { return Vec::new() };
        match partition.ledger.entry(at) {
            Some(entry) if !matches!(entry.place, Place::InFlight { .. }) => {
                self.explain_entry(lane, partition.leader, entry, entry.idle_since, now)
            }
            _ => Vec::new(),
        }
    }

    /// What a batch in the ledger waited for between two times.
    fn explain_entry(
        &self,
        lane: LaneId,
        node: Option<NodeId>,
        entry: &Entry<Sealed>,
        from: Instant,
        to: Instant,
    ) -> Vec<Waited> {
        let mut own = Vec::new();
        if let Some(end) = entry.rests_until {
            own.push((WaitReason::BackOff, from, end));
        }
        own.push((WaitReason::Sealing, entry.entered, entry.sealed.unwrap_or(to)));
        own.push((WaitReason::Gathering, entry.begun, self.linger_end(entry.begun, entry.entered)));
        self.explain(lane, node, Wait::new(from, to), &own)
    }

    /// What a batch waited for: what was missing explains the time first, then what it went through itself.
    fn explain(
        &self,
        lane: LaneId,
        node: Option<NodeId>,
        mut wait: Wait,
        own: &[(WaitReason, Instant, Instant)],
    ) -> Vec<Waited> {
        if let Some(partition) = self.partition(lane) {
            if let Some(topic) = self.topics.get(&partition.topic) {
                wait.explain(WaitReason::TopicGone, &topic.gone);
            }
            wait.explain(WaitReason::PartitionGone, &partition.gone);
            wait.explain(WaitReason::Metadata, &partition.leaderless);
        }
        wait.explain(WaitReason::ProducerId, self.identity.nameless());
        match node.map(|node| self.nodes.get(&node)) {
            Some(Some(node)) => {
                wait.explain(WaitReason::Connection, &node.unconnected);
                wait.explain(WaitReason::Throttled, &node.throttled);
            }
            // Nobody ever asked for a connection to it.
            Some(None) => wait.explain(WaitReason::Connection, &Spans::missing()),
            None => {}
        }
        for (reason, from, to) in own {
            wait.take(*reason, (Some(*from), *to));
        }
        wait.end(WaitReason::InFlight)
    }

    /// Until when a batch waited for records to join it: until it left its lane, but no longer than it may.
    fn linger_end(&self, begun: Instant, left_lane: Instant) -> Instant {
        begun.checked_add(self.settings.linger).map_or(left_lane, |end| end.min(left_lane))
    }
}

/// A batch that never left its lane.
#[derive(Debug)]
pub(crate) struct Unsent<'a> {
    pub(crate) outcome: &'a Arc<Outcome>,
    pub(crate) count: u32,
    pub(crate) begun: Instant,
}
