//! Which partitions have something for one leader, in turn, without looking at the others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Instant;

/// What a partition's next batch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the caller decides by it")]
pub enum Wait {
    /// Nothing: it can be sent.
    Ready,
    /// More records, until then. It may be sent before.
    Linger(Instant),
    /// A retry's backoff, until then. It may not be sent before.
    Backoff(Instant),
}

/// What a partition has: see [`PartitionQueue::readiness`](crate::PartitionQueue::readiness).
#[expect(clippy::exhaustive_structs, reason = "a plain value")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// What the next batch waits for.
    pub wait: Wait,
    /// When the first batch to expire does.
    pub expires_at: Instant,
}

/// The partitions that have batches for one leader: which are ready, when others will be, when batches expire, and whose turn
/// it is.
///
/// Building a request costs as much as there is ready, whatever the number of partitions. A plain value, told on edges: an
/// entry is a hint that may be older than the queue it speaks of, so the queue has the last word.
#[derive(Debug, Clone)]
pub struct ReadyIndex<K> {
    entries: BTreeMap<K, Readiness>,
    ready: BTreeSet<K>,
    /// Those that linger or back off, by when that ends.
    later: BTreeSet<(Instant, K)>,
    expiries: BTreeSet<(Instant, K)>,
    /// Where the next round begins.
    start: Bound<K>,
}

/// One pass over the ready partitions of a [`ReadyIndex`], each at most once.
#[derive(Debug, Clone, Copy)]
pub struct Round<K> {
    from: Bound<K>,
    at: Bound<K>,
    wrapped: bool,
}

impl<K: Copy + Ord> ReadyIndex<K> {
    /// An empty index.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            expiries: BTreeSet::new(),
            start: Bound::Unbounded,
        }
    }

    /// Replaces what is known about a partition; `None` removes it.
    pub fn update(&mut self, key: K, readiness: Option<Readiness>) {
        let old = self.entries.get(&key).copied();
        // Only what changed: most updates leave one of the two as it is.
        let (was, is) = (old.map(|old| old.wait), readiness.map(|new| new.wait));
        if was != is {
            match was {
                Some(Wait::Ready) => _ = self.ready.remove(&key),
                Some(Wait::Linger(until) | Wait::Backoff(until)) => _ = self.later.remove(&(until, key)),
                None => {}
            }
            match is {
                Some(Wait::Ready) => _ = self.ready.insert(key),
                Some(Wait::Linger(until) | Wait::Backoff(until)) => _ = self.later.insert((until, key)),
                None => {}
            }
        }
        let (was, is) = (old.map(|old| old.expires_at), readiness.map(|new| new.expires_at));
        if was != is {
            was.map(|at| self.expiries.remove(&(at, key)));
            is.map(|at| self.expiries.insert((at, key)));
        }
        match readiness {
            Some(new) => _ = self.entries.insert(key, new),
            None => _ = self.entries.remove(&key),
        }
    }

    /// What is known about a partition.
    #[must_use]
    pub fn readiness(&self, key: K) -> Option<Readiness> {
        self.entries.get(&key).copied()
    }

    /// Whether any partition is ready at `now`.
    #[must_use]
    pub fn has_ready(&self, now: Instant) -> bool {
        !self.ready.is_empty() || self.later.first().is_some_and(|&(until, _)| until <= now)
    }

    /// When to look again if nothing is told before: the first end of a linger time or backoff, or the first expiry. In the
    /// past if that is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let later = self.later.first().map(|&(until, _)| until);
        let expiry = self.expiries.first().map(|&(expires_at, _)| expires_at);
        later.into_iter().chain(expiry).min()
    }

    /// Whether there is something to do at `now`: a partition is ready, or a batch expired.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        !self.ready.is_empty() || self.poll_timeout().is_some_and(|at| at <= now)
    }

    /// Begins a round where the last one ended, over what is ready at `now`.
    pub fn round(&mut self, now: Instant) -> Round<K> {
        while let Some(&(until, key)) = self.later.first().filter(|&&(until, _)| until <= now) {
            self.later.remove(&(until, key));
            self.ready.insert(key);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.wait = Wait::Ready;
            }
        }
        Round { from: self.start, at: self.start, wrapped: false }
    }

    /// The next ready partition of this round. Partitions updated meanwhile are seen as they are now, none twice.
    pub fn next(&mut self, round: &mut Round<K>) -> Option<K> {
        let mut key = self.ready.range((round.at, Bound::Unbounded)).next().copied();
        if round.wrapped {
            key = key.filter(|&key| !is_at_or_after(key, round.from));
        } else if key.is_none() && round.from != Bound::Unbounded {
            round.wrapped = true;
            key = self.ready.first().copied().filter(|&key| !is_at_or_after(key, round.from));
        }
        let key = key?;
        round.at = Bound::Excluded(key);
        self.start = Bound::Excluded(key);
        Some(key)
    }

    /// The next round begins with this partition: its batch did not fit.
    pub fn begin_with(&mut self, key: K) {
        self.start = Bound::Included(key);
    }

    /// Partitions that still linger and may go along with a request that is made anyway, from where the next round begins.
    pub fn lingering(&self) -> impl Iterator<Item = K> {
        let lingers =
            |(&key, readiness): (&K, &Readiness)| matches!(readiness.wait, Wait::Linger(_)).then_some(key);
        let end = match self.start {
            Bound::Included(key) => Bound::Excluded(key),
            Bound::Excluded(key) => Bound::Included(key),
            Bound::Unbounded => Bound::Unbounded,
        };
        let first = self.entries.range((self.start, Bound::Unbounded));
        let then = (end != Bound::Unbounded).then(|| self.entries.range((Bound::Unbounded, end)));
        first.chain(then.into_iter().flatten()).filter_map(lingers)
    }

    /// Partitions that still linger, the one first whose linger time ends first.
    pub fn lingering_longest(&self) -> impl Iterator<Item = K> {
        let lingers =
            |key: &K| matches!(self.entries.get(key).map(|entry| entry.wait), Some(Wait::Linger(_)));
        self.later.iter().map(|&(_, key)| key).filter(lingers)
    }

    /// When the first batch expires.
    #[must_use]
    pub fn first_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|&(expires_at, _)| expires_at)
    }

    /// The partitions that have a batch which is expired at `now`; they stay until they are updated.
    pub fn expired(&self, now: Instant) -> impl Iterator<Item = K> {
        self.expiries.iter().take_while(move |&&(at, _)| at <= now).map(|&(_, key)| key)
    }

    /// All partitions that have a batch.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.keys().copied()
    }

    /// Whether no partition has a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Copy + Ord> Default for ReadyIndex<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn is_at_or_after<K: Ord>(key: K, bound: Bound<K>) -> bool {
    match bound {
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
        Bound::Unbounded => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    fn all(index: &mut ReadyIndex<u8>, now: Instant) -> Vec<u8> {
        let mut round = index.round(now);
        std::iter::from_fn(|| index.next(&mut round)).collect()
    }

    fn ready(at: Instant) -> Option<Readiness> {
        Some(Readiness { wait: Wait::Ready, expires_at: at })
    }

    #[test]
    fn those_that_linger_are_named_oldest_first_and_no_others() {
        let now = start();
        let second = Duration::from_secs(1);
        let waits = |wait| Some(Readiness { wait, expires_at: now + 60 * second });
        let mut index = ReadyIndex::new();
        index.update(1, waits(Wait::Linger(now + 3 * second)));
        index.update(2, waits(Wait::Backoff(now + second)));
        index.update(3, waits(Wait::Linger(now + 2 * second)));
        index.update(4, waits(Wait::Ready));
        assert_eq!(index.lingering_longest().collect::<Vec<_>>(), [3, 1]);
        index.update(3, None);
        assert_eq!(index.lingering_longest().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_round_visits_each_once_and_the_next_goes_on() {
        let now = start();
        let mut index = ReadyIndex::new();
        for key in [1, 2, 3, 4] {
            index.update(key, ready(now));
        }
        let mut round = index.round(now);
        assert_eq!(index.next(&mut round), Some(1));
        assert_eq!(index.next(&mut round), Some(2));
        assert_eq!(all(&mut index, now), [3, 4, 1, 2]);
        index.begin_with(2);
        assert_eq!(all(&mut index, now), [2, 3, 4, 1]);
        index.update(1, None);
        assert_eq!(all(&mut index, now), [2, 3, 4]);
        let mut round = index.round(now);
        assert_eq!(index.next(&mut round), Some(2));
        index.update(2, ready(now));
        index.update(3, None);
        assert_eq!(index.next(&mut round), Some(4));
        assert_eq!(index.next(&mut round), None, "2 is ready again, but had its turn");
    }

    #[test]
    fn lingering_and_backing_off_become_ready_in_time() {
        let now = start();
        let at = |ms| now + Duration::from_millis(ms);
        let mut index = ReadyIndex::new();
        index.update(1, Some(Readiness { wait: Wait::Linger(at(10)), expires_at: at(100) }));
        index.update(2, Some(Readiness { wait: Wait::Backoff(at(5)), expires_at: at(4) }));
        index.update(3, Some(Readiness { wait: Wait::Linger(at(20)), expires_at: at(100) }));
        assert_eq!(index.poll_timeout(), Some(at(4)), "an expiry comes first");
        assert!(!index.has_ready(at(4)));
        assert_eq!(index.expired(at(4)).collect::<Vec<_>>(), [2]);
        assert_eq!(index.lingering().collect::<Vec<_>>(), [1, 3]);
        index.begin_with(2);
        assert_eq!(index.lingering().collect::<Vec<_>>(), [3, 1]);
        assert!(index.has_ready(at(5)));
        assert_eq!(all(&mut index, at(10)), [2, 1]);
        index.update(1, None);
        index.update(2, None);
        assert_eq!(index.poll_timeout(), Some(at(20)));
        index.update(3, None);
        assert!(index.is_empty() && index.poll_timeout().is_none());
    }
}
