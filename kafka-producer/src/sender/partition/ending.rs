//! Batches that are given up, and what is told of their course.

use std::{sync::Arc, time::Instant};

use kafka_wire::{ErrorCode, NodeId, messages::PartitionProduceResponse};

use super::{
    super::{
        Sealed, Unsent,
        ledger::{Entry, Place},
        waits::Wait,
    },
    Cx, Partition,
};
use crate::{
    delivery::BatchResult,
    error::{Failure, FailureKind, Persistence},
    planted::{planted, slip},
    purge::{Purge, Purged},
    timeline::{Attempt, WaitReason, Waited},
};

impl Partition {
    /// A batch was lost where it was sealed or split.
    pub(in crate::sender) fn handle_lost(&mut self, key: u64, cx: &mut Cx<'_>) {
        let Some(at) = self.ledger.find(key) else { return };
        self.fail(at, FailureKind::Lost, None, cx);
        self.settle(cx);
    }

    /// The time of its entry among the expiries has come: gives up what is overdue.
    pub(in crate::sender) fn expire(&mut self, cx: &mut Cx<'_>) {
        self.expiry.clear();
        let may_expire = |entry: &Entry<Sealed>| {
            !(planted!(NeverExpires) && matches!(entry.place, Place::InFlight { .. }))
        };
        let now = cx.now;
        self.fail_where(FailureKind::Expired, |entry| entry.deadline <= now && may_expire(entry), cx);
        let entries = self.ledger.iter().filter(|entry| may_expire(entry));
        if let Some(next) = entries.map(|entry| entry.deadline).min() {
            self.expire_by(next, cx);
        }
        self.settle(cx);
    }

    /// Gives up what is in flight, or what waits here to be sent, or both, and counts it.
    pub(in crate::sender) fn purge(
        &mut self,
        what: Purge,
        kind: FailureKind,
        purged: &mut Purged,
        cx: &mut Cx<'_>,
    ) {
        if self.ledger.is_empty() {
            return;
        }
        for entry in self.ledger.iter() {
            match entry.place {
                Place::InFlight { .. } if what.takes_in_flight() => {
                    purged.in_flight += u64::from(entry.count);
                }
                Place::InFlight { .. } => {}
                _ if what.takes_queued() => purged.queued += u64::from(entry.count),
                _ => {}
            }
        }
        let is_meant = |entry: &Entry<Sealed>| match entry.place {
            Place::InFlight { .. } => what.takes_in_flight(),
            _ => what.takes_queued(),
        };
        self.fail_where(kind, is_meant, cx);
        self.settle(cx);
    }

    /// Gives up some of the batches.
    pub(in crate::sender) fn fail_where(
        &mut self,
        kind: FailureKind,
        is_meant: impl Fn(&Entry<Sealed>) -> bool,
        cx: &mut Cx<'_>,
    ) {
        let mut at = 0;
        while let Some(entry) = self.ledger.entry(at) {
            if !is_meant(entry) {
                at += 1;
                continue;
            }
            if let Place::InFlight { link, .. } = entry.place {
                let why = match kind {
                    FailureKind::Expired => "delivery.timeout.ms ended the wait for it",
                    _ => "it was not waited for any longer",
                };
                self.note_attempt(at, link.node, None, Some(why.to_owned()), cx);
            }
            self.fail(at, kind, None, cx);
        }
    }

    /// Gives a batch up.
    pub(super) fn fail(
        &mut self,
        at: usize,
        kind: FailureKind,
        answer: Option<&PartitionProduceResponse>,
        cx: &mut Cx<'_>,
    ) {
        let rest = self.last_wait(at, cx);
        let doubt = self.ledger.is_doubtful(at, answer.is_some());
        self.note_on_its_way(at, cx);
        let Some(mut entry) = self.ledger.give_up(at, answer.is_some()) else { return };
        slip!();
        let persistence = match doubt {
            // Where it is in the log, that log may be gone.
            _ if kind == FailureKind::ClusterChanged => Persistence::PossiblyPersisted,
            _ if entry.is_proven() => Persistence::Persisted,
            true => Persistence::PossiblyPersisted,
            false => Persistence::NotPersisted,
        };
        let mut failure = Failure::new(self.topic.clone(), self.index, kind, persistence);
        failure.size = entry.size;
        failure.timeline = std::mem::take(&mut entry.timeline);
        failure.timeline.end(cx.now.saturating_duration_since(entry.begun), rest);
        failure.message = cx.out.explain_fatal(kind);
        failure.change = cx.routes.change_for(kind);
        if let Some(answer) = answer {
            failure.message.clone_from(&answer.error_message);
            let errors = answer.record_errors.iter();
            failure.records =
                errors.map(|it| (it.batch_index, it.batch_index_error_message.clone())).collect();
        }
        cx.out.note_given_up((&self.topic, self.index), entry.count, kind, persistence);
        let result = BatchResult::Failed(Arc::new(failure));
        cx.out.resolve(entry.outcome, entry.batch, entry.attempts, result);
        self.offer_more(cx);
    }

    /// Notes what came of the latest attempt.
    pub(super) fn note_attempt(
        &mut self,
        at: usize,
        node: NodeId,
        code: Option<ErrorCode>,
        error: Option<String>,
        cx: &Cx<'_>,
    ) {
        let Some(entry) = self.ledger.entry(at) else { return };
        let Place::InFlight { since, .. } = entry.place else { return };
        let attempt = Attempt {
            waits: self.explain_entry(Some(node), entry, (entry.idle_since, since), cx),
            node,
            sent_after: since.saturating_duration_since(entry.begun),
            took: cx.now.saturating_duration_since(since),
            code,
            error,
        };
        if let Some(entry) = self.ledger.entry_mut(at) {
            entry.idle_since = cx.now;
            entry.timeline.push(attempt);
        }
    }

    /// What a batch waits for that is about to be given up; nothing if it is on the wire.
    fn last_wait(&self, at: usize, cx: &Cx<'_>) -> Vec<Waited> {
        match self.ledger.entry(at) {
            Some(entry) if !matches!(entry.place, Place::InFlight { .. }) => {
                self.explain_entry(self.leader, entry, (entry.idle_since, cx.now), cx)
            }
            _ => Vec::new(),
        }
    }

    /// What a batch in the ledger waited for between two times.
    fn explain_entry(
        &self,
        node: Option<NodeId>,
        entry: &Entry<Sealed>,
        (from, to): (Instant, Instant),
        cx: &Cx<'_>,
    ) -> Vec<Waited> {
        let mut own = Vec::new();
        if let Some(end) = entry.rests_until {
            own.push((WaitReason::BackOff, from, end));
        }
        own.push((WaitReason::Sealing, entry.entered, entry.sealed.unwrap_or(to)));
        own.push((WaitReason::Gathering, entry.begun, cx.linger_end(entry.begun, entry.entered)));
        cx.explain(Some(self), node, Wait::new(from, to), &own)
    }
}

impl Cx<'_> {
    /// Gives up a batch that never left its lane. After a panic there is no partition any more, and still it gets its answer.
    pub(in crate::sender) fn give_up(
        &mut self,
        partition: Option<&Partition>,
        batch: &Unsent<'_>,
        kind: FailureKind,
    ) {
        let (topic, index) = (batch.outcome.topic(), batch.outcome.partition());
        let persistence = Persistence::NotPersisted;
        self.out.note_given_up((topic, index), batch.count, kind, persistence);
        let mut failure = Failure::new(topic.clone(), index, kind, persistence);
        failure.message = self.out.explain_fatal(kind);
        let own = [(WaitReason::Gathering, batch.begun, self.linger_end(batch.begun, self.now))];
        let leader = partition.and_then(|partition| partition.leader);
        let rest = self.explain(partition, leader, Wait::new(batch.begun, self.now), &own);
        failure.timeline.end(self.now.saturating_duration_since(batch.begun), rest);
        self.out.tell_result(Arc::clone(batch.outcome), BatchResult::Failed(Arc::new(failure)));
    }

    /// What a batch waited for: what was missing explains the time first, then what it went through itself.
    fn explain(
        &self,
        partition: Option<&Partition>,
        node: Option<NodeId>,
        mut wait: Wait,
        own: &[(WaitReason, Instant, Instant)],
    ) -> Vec<Waited> {
        if let Some(partition) = partition {
            if let Some(gone) = self.routes.gone(&partition.topic) {
                wait.explain(WaitReason::TopicGone, gone);
            }
            wait.explain(WaitReason::PartitionGone, &partition.gone);
            wait.explain(WaitReason::Metadata, &partition.leaderless);
        }
        wait.explain(WaitReason::ProducerId, self.identity.nameless());
        if let Some(node) = node {
            self.outbox.explain(node, &mut wait);
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
