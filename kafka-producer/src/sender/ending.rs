//! Batches that are given up, whatever for.

use std::{sync::Arc, time::Instant};

use super::{Effects, LaneId, Sender};
use crate::{
    delivery::Outcome,
    error::{FailureKind, Persistence},
    purge::{Purge, Purged},
};

impl Sender {
    /// (B) A batch was lost where it was sealed or split: a codec panicked, or no thread could be started.
    pub(crate) fn handle_lost(&mut self, lane: LaneId, key: u64, was_sealing: bool, now: Instant) {
        if was_sealing {
            let next = self.turns.give_room(now, &mut self.timers);
            self.wake_next(next);
        }
        if let Some((partition, mut cx)) = self.partition(lane, now) {
            partition.handle_lost(key, &mut cx);
        }
    }

    /// (C) Gives up a batch that never left its lane.
    pub(crate) fn give_up(&mut self, lane: LaneId, batch: &Unsent<'_>, kind: FailureKind, now: Instant) {
        let (partitions, mut cx) = self.rooms(now);
        cx.give_up(partitions.of(lane), batch, kind);
    }

    /// (B) Time has passed: gives up what is overdue.
    pub(super) fn expire(&mut self, now: Instant) {
        let (partitions, mut cx) = self.rooms(now);
        while let Some(lane) = cx.expiries.pop_due(now, cx.timers) {
            if let Some(partition) = partitions.of_mut(lane) {
                partition.expire(&mut cx);
            }
        }
    }

    /// (C) Gives everything up.
    pub(crate) fn abort(&mut self, kind: FailureKind, now: Instant) {
        self.each_partition(now, |partition, cx| partition.fail_where(kind, |_| true, cx));
    }

    /// (C) Gives everything up after a panic has left this half changed: no more is looked at than the batches themselves. From
    /// here on nothing is sent, asked or waited for. What may have been written may be in the log.
    pub(crate) fn tear_down(&mut self, kind: FailureKind) {
        self.is_torn_down = true;
        let batches = self.partitions.tear_down().map(|entry| {
            let persistence = match entry.attempts {
                _ if entry.is_proven() => Persistence::Persisted,
                0 if !entry.evidence.is_in_doubt() => Persistence::NotPersisted,
                _ => Persistence::PossiblyPersisted,
            };
            (entry.outcome, entry.count, persistence, entry.batch)
        });
        self.out.tear_down(kind, batches);
        self.outbox.clear();
        self.routes.clear();
        self.expiries.clear(&mut self.timers);
        self.turns.clear(&mut self.timers);
    }

    /// (C) Adds to what is to be done outside what a panic kept from being done: each batch gets one answer, the first that was
    /// found for it.
    pub(crate) fn owe(&mut self, effects: Effects) {
        self.out.owe(effects);
    }

    /// (C) Gives up what is in flight, or what waits here to be sent, or both. Numbers stay safe: a partition of which a
    /// number may have been used goes on under a new epoch, once what is left of it is settled.
    pub(crate) fn purge(&mut self, what: Purge, kind: FailureKind, now: Instant) -> Purged {
        let mut purged = Purged::default();
        self.each_partition(now, |partition, cx| partition.purge(what, kind, &mut purged, cx));
        purged
    }
}

/// A batch that never left its lane.
#[derive(Debug)]
pub(crate) struct Unsent<'a> {
    pub(crate) outcome: &'a Arc<Outcome>,
    pub(crate) count: u32,
    pub(crate) begun: Instant,
}
