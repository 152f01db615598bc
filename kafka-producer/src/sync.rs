//! What locks and waits by itself and is small enough takes its locks from here, so that `tests/model` can put in those of
//! a model checker, which tries every interleaving.

pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};

/// Whether somebody has panicked who held the lock.
pub(crate) fn is_poisoned<T>(mutex: &Mutex<T>) -> bool {
    mutex.is_poisoned()
}
