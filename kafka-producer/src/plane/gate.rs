//! Gates: which partitions of a broker have something, and whether its pump must be woken for it.
//!
//! A [`Gate`] is what one broker's pump looks at. It looks in three steps: it [glances](Gate::glance), does what there is
//! to do without this lock, and [rests](Gate::rest) unless something was told meanwhile. Who tells something takes the
//! waker if the pump would not look in time by itself.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use kafka_batch::ReadyIndex;
use kafka_wire::NodeId;

use crate::{
    sender::LaneId,
    sync::{Mutex, MutexGuard, is_poisoned},
};

/// What a broker's pump looks at.
pub(crate) struct Gate {
    pub(crate) node: NodeId,
    state: Mutex<GateState>,
}

/// What the lock of a gate protects.
#[derive(Default)]
pub(crate) struct GateState {
    pub(crate) index: ReadyIndex<LaneId>,
    waker: Option<Waker>,
    /// When the pump looks again by itself.
    armed: Armed,
    /// Rises with everything the pump should look at.
    told: u64,
    pub(crate) end: End,
    /// Since when something is due that the broker does not take, as far as was seen.
    held_up: Option<Instant>,
    /// That was too long.
    pub(crate) is_stalled: bool,
}

/// A gate that is locked.
pub(crate) type GateGuard<'a> = MutexGuard<'a, GateState>;

/// What a pump saw at a glance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glance {
    seen: u64,
    pub(crate) is_due: bool,
}

/// When a pump looks at its gate again without being woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Armed {
    /// Never.
    #[default]
    Off,
    /// At this time.
    At(Instant),
    /// When its connection takes a call again: it is woken for nothing but that.
    Full,
}

/// Whether a pump goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Open,
    /// Its broker is gone, or everything is resolved.
    Finish,
    /// Hang up at once.
    Abort,
}

impl Gate {
    pub(crate) fn new(node: NodeId) -> Arc<Self> {
        Arc::new(Self { node, state: Mutex::default() })
    }

    /// For the ready index, and to sleep or wake.
    pub(crate) fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic has left the index half changed: whoever sees it ends the producer.
    pub(crate) fn is_torn(&self) -> bool {
        is_poisoned(&self.state)
    }

    #[cfg(test)]
    pub(crate) fn is_locked(&self) -> bool {
        self.state.try_lock().is_err()
    }

    /// The first look of the pump: whether there is something, and what [`rest`](Self::rest) wants to know.
    pub(crate) fn glance(&self, now: Instant) -> Result<Glance, End> {
        let mut state = self.lock();
        // Its broker takes a request.
        state.held_up = None;
        match state.end {
            End::Open => Ok(Glance { seen: state.told, is_due: state.index.is_due(now) }),
            end => Err(end),
        }
    }

    /// The pump goes to sleep, until it is woken or until a time: the one given, or when something is due. No if something
    /// was told since the glance, when nobody was registered to be woken for it.
    pub(crate) fn rest(
        &self,
        glance: Glance,
        until: Option<Instant>,
        now: Instant,
        waker: &Waker,
    ) -> Option<Option<Instant>> {
        // Cloned before the lock is taken; it, or the one it replaces, is dropped after the lock.
        let mut waker = Some(waker.clone());
        let mut state = self.lock();
        if state.told != glance.seen {
            return None;
        }
        // What is due already is held up by something that ends with a wake.
        let due = state.index.poll_timeout().filter(|due| *due > now);
        let until = until.into_iter().chain(due).min();
        state.sleep(&mut waker, until.map_or(Armed::Off, Armed::At));
        Some(until)
    }

    /// Lets a new pump begin where an old one has ended.
    pub(crate) fn reopen(&self) {
        self.lock().end = End::Open;
    }

    /// Wakes the pump, whatever it waits for.
    #[cfg(test)]
    pub(crate) fn wake(&self) {
        let waker = self.lock().wakeup();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the pump.
    pub(crate) fn end(&self, end: End) {
        if let Some(waker) = self.ended(end) {
            waker.wake();
        }
    }

    /// Ends the pump once its waker is run.
    #[must_use = "the pump must be woken to see it"]
    pub(crate) fn ended(&self, end: End) -> Option<Waker> {
        let mut state = self.lock();
        if state.end != End::Abort {
            state.end = end;
        }
        state.wakeup()
    }
}

impl GateState {
    /// Whether the pump, when it last looked, had a connection that took no further call.
    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.armed == Armed::Full
    }

    /// The waker, for something that the pump must look at in any case.
    pub(crate) fn wakeup(&mut self) -> Option<Waker> {
        self.told += 1;
        self.waker.take()
    }

    /// Looks whether the broker takes what is due, and gives whether it has not for too long.
    pub(crate) fn see_to_stall(&mut self, timeout: Duration, now: Instant) -> bool {
        self.held_up = if self.index.is_due(now) { self.held_up.or(Some(now)) } else { None };
        self.is_stalled = self.held_up.is_some_and(|since| now.saturating_duration_since(since) > timeout);
        self.is_stalled
    }

    /// The pump goes to sleep, until `waker` is woken. The one it replaces is in its place, to be dropped after the lock.
    pub(crate) fn sleep(&mut self, waker: &mut Option<Waker>, armed: Armed) {
        self.armed = armed;
        mem::swap(&mut self.waker, waker);
    }

    /// The waker, if the pump would not look in time by itself.
    pub(crate) fn waker_for(&mut self, full: bool) -> Option<Waker> {
        self.told += 1;
        let wake = match self.armed {
            Armed::Full => false,
            Armed::Off => true,
            Armed::At(time) => full || self.index.poll_timeout().is_some_and(|due| due < time),
        };
        if wake { self.waker.take() } else { None }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("node", &self.node).finish_non_exhaustive()
    }
}
