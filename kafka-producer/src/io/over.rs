//! [`Over`]: that the tasks of a producer have ended, and who waits for it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use kafka_batch::wake_all;

use crate::waiters::Waiters;

/// The end of the tasks.
#[derive(Default)]
pub(crate) struct Over {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_over: bool,
    waiting: Waiters,
}

impl Over {
    /// The tasks have ended.
    pub(super) fn set(&self) {
        let wakers = {
            let mut state = self.lock();
            state.is_over = true;
            state.waiting.take_all()
        };
        wake_all(wakers);
    }

    /// Whether the tasks have ended; if not, the waker is kept under the key, which an earlier call gave.
    pub(crate) fn poll(&self, key: &mut Option<u64>, waker: &Waker) -> bool {
        // Foreign code: cloned before the lock is taken, and dropped after it unless it is kept.
        let mut waker = waker.clone();
        let mut state = self.lock();
        if !state.is_over {
            state.waiting.keep(key, &mut waker);
        }
        state.is_over
    }

    /// Waits no longer.
    pub(crate) fn cancel(&self, key: u64) {
        let waker = self.lock().waiting.cancel(key);
        drop(waker);
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").finish_non_exhaustive()
    }
}
