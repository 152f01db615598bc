//! [`Timers`]: what the sender does because time has passed, in one table.
//!
//! A timer belongs to one owner, which alone sets and stops it. A timer that is overdue stays in the table until its owner has
//! looked at it, so that [`poll_timeout`](super::Sender::poll_timeout), the minimum of the table, forgets no duty.

use std::time::Instant;

/// A duty that time brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// Batches expire. Set by [`Expiries`](super::expiry::Expiries).
    Expiry,
    /// A node that was called to drain did not come. Set by [`Turns`](super::turns::Turns).
    Turn,
    /// A producer id is to be asked for, or asked for elsewhere as well. Set by the
    /// [`IdentityMachine`](super::identity::IdentityMachine).
    Identity,
    /// Nodes that gave odd answers may be asked for a producer id again. Set as `Identity` is.
    Elsewhere,
    /// Metadata has something to ask. It keeps its own time, so that this is set when the table is looked at.
    Metadata,
}

impl Timer {
    const COUNT: usize = 5;
}

/// When a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Whenever it is looked at.
    AtOnce,
    At(Instant),
}

/// All timers, with their deadlines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timers {
    due: [Option<Due>; Timer::COUNT],
}

impl Timers {
    /// A timer is due then, or is stopped.
    pub(super) fn set(&mut self, timer: Timer, due: Option<Due>) {
        self.due[timer as usize] = due;
    }

    pub(super) fn set_at(&mut self, timer: Timer, at: Option<Instant>) {
        self.set(timer, at.map(Due::At));
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.set(timer, None);
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.due[timer as usize].is_some()
    }

    /// Whether a timer is due by now.
    pub(super) fn is_due(&self, timer: Timer, now: Instant) -> bool {
        self.due[timer as usize].is_some_and(|due| due <= Due::At(now))
    }

    /// The owner of a timer has looked at it: if it was due, it is due no more.
    pub(super) fn pass(&mut self, timer: Timer, now: Instant) {
        if self.is_due(timer, now) {
            self.stop(timer);
        }
    }

    /// The earliest deadline, which may be in the past.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.due.iter().flatten().min().map(|due| match due {
            Due::AtOnce => now,
            Due::At(time) => *time,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn the_next_deadline_is_the_least_one_and_an_overdue_one_stays_until_it_is_looked_at() {
        let zero = Instant::now();
        let at = |seconds| zero + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        assert_eq!(timers.next(zero), None);
        let all = [Timer::Expiry, Timer::Turn, Timer::Identity, Timer::Elsewhere, Timer::Metadata];
        assert_eq!(all.len(), Timer::COUNT);
        for (timer, seconds) in all.into_iter().zip([5, 4, 3, 2, 1]) {
            timers.set_at(timer, Some(at(seconds)));
            assert_eq!(timers.next(at(9)), Some(at(seconds)));
        }
        timers.pass(Timer::Metadata, zero);
        assert_eq!(timers.next(at(9)), Some(at(1)), "it was not due");
        for (timer, next) in all.into_iter().rev().zip([Some(2), Some(3), Some(4), Some(5), None]) {
            timers.pass(timer, at(5));
            assert_eq!(timers.next(at(9)), next.map(at));
        }
        timers.set(Timer::Identity, Some(Due::AtOnce));
        timers.set_at(Timer::Expiry, Some(zero));
        assert_eq!(timers.next(at(9)), Some(at(9)), "at once comes first");
        timers.pass(Timer::Identity, zero);
        assert_eq!(timers.next(at(9)), Some(zero), "and is over once it was looked at");
    }
}
