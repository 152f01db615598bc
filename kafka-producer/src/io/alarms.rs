//! [`Alarms`]: when callers of the producer are to be woken who wait for something else.
//!
//! Callers have no timers of the runtime's own: they may wait on any thread, and longer than the runtime lives, whose timers
//! panic once it is gone. The driver keeps the time for all of them, and its end ends every wait.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use kafka_batch::wake_all;

use super::{driver::Signal, now};

/// Who is to be woken when.
pub(crate) struct Alarms {
    signal: Arc<Signal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    /// When the driver looks next; none if it has no reason of its own to.
    armed: Option<Instant>,
    /// There is no driver any more.
    is_over: bool,
}

impl Alarms {
    pub(super) fn new(signal: Arc<Signal>) -> Arc<Self> {
        Arc::new(Self { signal, state: Mutex::default() })
    }

    /// Wakes those whose time has come.
    pub(super) fn ring(&self, now: Instant) {
        let due = {
            let mut state = self.lock();
            if state.waiting.first_key_value().is_none_or(|((time, _), _)| *time > now) {
                return;
            }
            // Those after now, of any number.
            let later = state.waiting.split_off(&(now, u64::MAX));
            mem::replace(&mut state.waiting, later)
        };
        wake_all(due.into_values());
    }

    /// When the driver has to look again, which does so by `deadline` in any case.
    pub(super) fn arm(&self, deadline: Option<Instant>) -> Option<Instant> {
        let mut state = self.lock();
        let first = state.waiting.first_key_value().map(|((time, _), _)| *time);
        state.armed = deadline.into_iter().chain(first).min();
        state.armed
    }

    /// Every wait is over, also those that begin from now on.
    pub(super) fn end(&self) {
        let waiting = {
            let mut state = self.lock();
            state.is_over = true;
            mem::take(&mut state.waiting)
        };
        wake_all(waiting.into_values());
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Nothing foreign runs under this lock, and no waker is cloned or dropped.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarms").finish_non_exhaustive()
    }
}

/// Ends one wait, on whatever thread.
#[derive(Debug)]
pub(crate) struct Timer {
    alarms: Arc<Alarms>,
    deadline: Option<Instant>,
    key: Option<u64>,
}

impl Timer {
    /// A timer for a time, or for none but the producer's end.
    pub(crate) fn new(alarms: &Arc<Alarms>, deadline: Option<Instant>) -> Self {
        Self { alarms: Arc::clone(alarms), deadline, key: None }
    }

    /// Ready when the time has come, or when nobody keeps the time any more: the producer's tasks are gone.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = now();
        // Cloned before the lock is taken; it, or the one it replaces, is dropped after the lock.
        let mut waker = cx.waker().clone();
        let mut state = self.alarms.lock();
        if state.is_over {
            return Poll::Ready(());
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if deadline <= now {
            let key = self.key.take();
            let kept = key.and_then(|key| state.waiting.remove(&(deadline, key)));
            drop(state);
            drop(kept);
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        match state.waiting.get_mut(&(deadline, key)) {
            Some(kept) => mem::swap(kept, &mut waker),
            None => drop(state.waiting.insert((deadline, key), waker)),
        }
        let is_early = state.armed.is_none_or(|armed| deadline < armed);
        drop(state);
        if is_early {
            self.alarms.signal.set();
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some((deadline, key)) = self.deadline.zip(self.key) else { return };
        let waker = self.alarms.lock().waiting.remove(&(deadline, key));
        drop(waker);
    }
}
