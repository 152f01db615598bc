//! [`Expiries`]: in which ledger to look for expired batches, and when.

use std::{collections::BTreeSet, time::Instant};

use super::{
    LaneId,
    timers::{Timer, Timers},
};

/// The ledgers that are not empty, by when to look into them. Each has one entry, which may be early, and knows it.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    queue: BTreeSet<(Instant, LaneId)>,
}

/// What a partition knows of its entry.
#[derive(Debug, Default)]
pub(super) struct Expiry(Option<Instant>);

impl Expiries {
    /// A batch of a partition expires then. Whether it is the first of all to do so.
    pub(super) fn enter(
        &mut self,
        lane: LaneId,
        known: &mut Expiry,
        deadline: Instant,
        timers: &mut Timers,
    ) -> bool {
        // Batches expire in their order: the entry there is, if there is one, comes first.
        if known.0.is_some() {
            return false;
        }
        known.0 = Some(deadline);
        self.queue.insert((deadline, lane));
        self.arm(timers);
        self.queue.first() == Some(&(deadline, lane))
    }

    /// A partition whose time has come, without its entry, which is to be [forgotten](Expiry::clear).
    pub(super) fn pop_due(&mut self, now: Instant, timers: &mut Timers) -> Option<LaneId> {
        let (due, lane) = self.queue.first().copied().filter(|(due, _)| *due <= now)?;
        self.queue.remove(&(due, lane));
        self.arm(timers);
        Some(lane)
    }

    /// Those that have an entry: also what was resolved since, until it would have expired.
    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneId> {
        self.queue.iter().map(|(_, lane)| *lane)
    }

    pub(super) fn clear(&mut self, timers: &mut Timers) {
        self.queue.clear();
        self.arm(timers);
    }

    fn arm(&self, timers: &mut Timers) {
        timers.set_at(Timer::Expiry, self.queue.first().map(|(due, _)| *due));
    }
}

impl Expiry {
    /// The entry was taken out.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
