//! Everything at once: a flush of what is open, a purge of what is not resolved, the expiry of what waited too long.

use std::{sync::Arc, time::Instant};

use kafka_batch::SendReason;

use super::{Control, Plane, after::After, gate::Gate, unsent};
use crate::{
    delivery::Outcome,
    error::FailureKind,
    planted::planted,
    purge::{Purge, Purged},
    sender::LaneId,
};

/// The answers that are still due, and of how many records each is.
pub(crate) type Unresolved = Vec<(Arc<Outcome>, u32)>;

impl Plane {
    /// Closes every open batch, so that it is sent, and gives the outcomes of all that is unresolved.
    pub(crate) fn flush(&self, now: Instant, after: &mut After) -> Unresolved {
        self.flush_for(SendReason::Flush, now, after)
    }

    /// The same for a reason; when the producer is closed, no lane takes a batch any more.
    pub(super) fn flush_for(&self, reason: SendReason, now: Instant, after: &mut After) -> Unresolved {
        self.locked(now, after, |control, after| {
            let mut outcomes: Unresolved =
                control.sender.unresolved().map(|(it, count)| (Arc::clone(it), count)).collect();
            for lane in control.lanes.iter() {
                let gate = Arc::clone(&lane.lock().gate);
                let mut state = gate.lock();
                let mut guard = lane.lock();
                guard.queue.close(reason);
                guard.closed |= reason == SendReason::Close;
                let in_lane = guard.queue.tags().filter(|_| !planted!(FlushMissesLane));
                outcomes.extend(in_lane.map(|(outcome, count)| (Arc::clone(outcome), count)));
                lane.report(&mut state, &guard);
                drop(guard);
                after.wake(state.waker_for(true));
            }
            outcomes
        })
    }

    /// Gives up some of what is not resolved; the producer goes on.
    pub(crate) fn purge(&self, what: Purge, kind: FailureKind, now: Instant, after: &mut After) -> Purged {
        self.locked(now, after, |control, after| self.purge_locked(control, what, kind, now, after))
    }

    pub(super) fn purge_locked(
        &self,
        control: &mut Control,
        what: Purge,
        kind: FailureKind,
        now: Instant,
        after: &mut After,
    ) -> Purged {
        let mut purged = control.sender.purge(what, kind, now);
        if what.takes_queued() {
            purged.queued += self.give_up_lanes(control, kind, now, after);
        }
        purged
    }

    /// Gives up everything that is in a lane; how many records that are.
    pub(super) fn give_up_lanes(
        &self,
        control: &mut Control,
        kind: FailureKind,
        now: Instant,
        after: &mut After,
    ) -> u64 {
        let mut records = 0;
        for lane in control.lanes.iter() {
            let gate = Arc::clone(&lane.lock().gate);
            let mut state = gate.lock();
            let mut guard = lane.lock();
            if guard.queue.is_empty() {
                continue;
            }
            let batches = guard.queue.drain_all(SendReason::Close);
            lane.report(&mut state, &guard);
            drop((guard, state));
            for batch in batches {
                records += u64::from(batch.count());
                control.sender.give_up(lane.id, &unsent(&batch), kind, now);
                after.drop_batch(batch);
            }
        }
        records
    }

    /// Gives up the batches of a gate that waited too long before they were sent.
    pub(super) fn expire(&self, control: &mut Control, gate: &Arc<Gate>, now: Instant, after: &mut After) {
        let mut state = gate.lock();
        if state.index.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        let expired: Vec<LaneId> = state.index.expired(now).collect();
        for id in expired {
            let Some(lane) = control.lanes.get(id) else { continue };
            let mut guard = lane.lock();
            if !Arc::ptr_eq(&guard.gate, gate) {
                state.index.update(id, None);
                continue;
            }
            let batches = guard.queue.expire(now);
            lane.report(&mut state, &guard);
            drop(guard);
            for batch in batches {
                control.sender.give_up(id, &unsent(&batch), FailureKind::Expired, now);
                after.drop_batch(batch);
            }
        }
    }
}
