//! [`Waiters`]: those who wait for something, each under a key, so that whoever goes away takes his waker along.

use std::{collections::BTreeMap, mem, task::Waker};

/// Wakers by key. Behind somebody's lock: no waker is cloned or dropped here.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Waiters {
    /// Keeps a waker under a key, which is given if there is none. What was kept before, or is kept already, is in `waker`
    /// afterwards: to be dropped after the lock.
    pub(crate) fn keep(&mut self, key: &mut Option<u64>, waker: &mut Waker) {
        let key = *key.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        match self.wakers.get_mut(&key) {
            Some(kept) => mem::swap(kept, waker),
            None => {
                let kept = mem::replace(waker, Waker::noop().clone());
                self.wakers.insert(key, kept);
            }
        }
    }

    /// Gives up a place.
    #[must_use = "it is dropped after the lock"]
    pub(crate) fn cancel(&mut self, key: u64) -> Option<Waker> {
        self.wakers.remove(&key)
    }

    /// All of them, to be woken after the lock.
    #[must_use = "those who wait must be woken"]
    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        mem::take(&mut self.wakers).into_values().collect()
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }
}
