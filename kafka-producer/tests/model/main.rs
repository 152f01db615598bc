//! What locks, waits and wakes, under a model checker: every order in which threads can meet (with so many preemptions at
//! most) is tried, and a wake-up that is lost shows as a deadlock.
//!
//! The files checked are compiled here a second time, with the checker's locks.

#![expect(dead_code, reason = "only a part of what is compiled a second time is used here")]

mod gates;
mod outcomes;

mod sync {
    use std::sync::OnceLock as Once;

    use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn is_poisoned<T>(_: &Mutex<T>) -> bool {
        false
    }

    /// As that of std: set once, read without a lock. The flag is what the checker sees of it.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        is_set: AtomicBool,
        value: Once<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { is_set: AtomicBool::new(false), value: Once::new() }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(true, Ordering::Release);
            Ok(())
        }
    }
}

mod error {
    #[derive(Debug)]
    pub(crate) struct Failure;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum EndedBy {}

    impl Failure {
        pub(crate) fn ended_by(&self) -> Option<EndedBy> {
            None
        }
    }
}

mod sender {
    #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct LaneId(pub(crate) u32);
}

#[path = "../../src/plane/gate.rs"]
mod gate;
#[path = "../../src/delivery/outcome.rs"]
mod outcome;
#[path = "../../src/waiters.rs"]
mod waiters;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}
