//! The driver's turn: what is due and belongs to no broker's connection.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Control, Life, Plane, after::After, gate::End};
use crate::error::FailureKind;

/// What the driver remembers from one turn to the next.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// When a batch was last seen waiting.
    last_busy: Option<Instant>,
    /// A broker took nothing when it was last looked.
    stalls: bool,
}

/// When the driver is to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextTurn {
    /// For a turn.
    pub(crate) due: Option<Instant>,
    /// Batches are open, or were not long ago: the clock is to be looked at every [`CLOCK_TICK`](crate::CLOCK_TICK), without
    /// a turn.
    pub(crate) is_busy: bool,
}

impl Plane {
    /// Does what is due.
    pub(crate) fn turn(&self, now: Instant, after: &mut After) {
        self.wall.refresh(now);
        let fatal = self.locked(now, after, |control, after| {
            control.sender.handle_timeout(now);
            let orphans: Vec<_> = self.nowhere.lock().index.keys().collect();
            control.sender.want_leaders(orphans, now);
            for gate in self.all_gates() {
                self.expire(control, &gate, now, after);
            }
            if let Some(timeout) = self.settings.availability_timeout {
                control.ticks.stalls = self.mark_stalled(control, timeout, now);
            }
            control.sender.fatal()
        });
        if let Some(code) = fatal.filter(|_| self.life() != Life::Aborted) {
            self.abort(FailureKind::Rejected(code), now, after);
        }
    }

    /// When there is more to do.
    pub(crate) fn next_turn(&self, now: Instant) -> NextTurn {
        // First the flag, then the gates: a batch begun in between is seen, or signals.
        self.ticking.store(false, Ordering::SeqCst);
        let gates = self.all_gates();
        let mut due: Vec<_> = gates.iter().filter_map(|gate| gate.lock().index.first_expiry()).collect();
        let is_begun = self.begun.swap(false, Ordering::Relaxed);
        let mut control = self.control();
        if is_begun || !due.is_empty() {
            control.ticks.last_busy = Some(now);
        }
        // Batches come and go: for a while it is cheaper to look again than to be woken for each.
        let busy_until = control.ticks.last_busy.map(|busy| busy + GRACE).filter(|until| *until > now);
        self.ticking.store(busy_until.is_some(), Ordering::SeqCst);
        due.extend(busy_until);
        due.extend(control.sender.poll_timeout(now));
        // However short the linger: a batch that cannot leave stays open, and its records' times come from the clock.
        NextTurn { due: due.into_iter().min(), is_busy: busy_until.is_some() }
    }

    /// Looks at the clock, for the records of open batches.
    pub(crate) fn tick(&self, now: Instant) {
        self.wall.refresh(now);
    }

    /// A batch was begun: from now on time matters.
    #[inline]
    pub(super) fn batch_begun(&self, after: &mut After) {
        self.begun.store(true, Ordering::Relaxed);
        if !self.ticking.load(Ordering::SeqCst) {
            after.call_driver();
        }
    }

    /// Whether no record waits for its answer.
    pub(crate) fn is_drained(&self) -> bool {
        let control = self.control();
        control.sender.is_drained() && control.lanes.iter().all(|lane| lane.lock().queue.is_empty())
    }

    /// Once the producer is closed and everything is resolved, ends the pumps. True if that is so.
    pub(crate) fn finish(&self, after: &mut After) -> bool {
        let life = self.life();
        if life == Life::Open {
            return false;
        }
        let is_done = self.is_drained();
        if is_done {
            let end = if life == Life::Aborted { End::Abort } else { End::Finish };
            for gate in self.all_gates() {
                after.wake(gate.ended(end));
            }
        }
        is_done
    }

    /// Marks the lanes of brokers that took nothing for so long although there is something for them, so that records that can
    /// go elsewhere do. True if there is such a broker.
    fn mark_stalled(&self, control: &Control, timeout: Duration, now: Instant) -> bool {
        let stalls = self.all_gates().iter().filter(|gate| gate.lock().see_to_stall(timeout, now)).count();
        if stalls > 0 || control.ticks.stalls {
            for lane in control.lanes.iter() {
                let gate = Arc::clone(&lane.lock().gate);
                lane.set_stalled(gate.lock().is_stalled);
            }
        }
        stalls > 0
    }
}

/// How long the driver goes on to look after the last batch was sent. Much less than any batch lives.
const GRACE: Duration = Duration::from_millis(100);
