//! Which partitions have something for one leader, in turn, without looking at the others.

use std::collections::VecDeque;
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
    /// By key. Partitions without a batch stay for a while: most get another one soon, and then nothing has to move.
    entries: Vec<Entry<K>>,
    /// How many entries have a batch.
    live: usize,
    /// A bit for each entry.
    ready: Bits,
    /// When those that linger are ready.
    later: Times<K>,
    expiries: Times<K>,
    /// Where the next round begins.
    start: Bound<K>,
}

#[derive(Debug, Clone)]
struct Entry<K> {
    key: K,
    readiness: Option<Readiness>,
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
            entries: Vec::new(),
            live: 0,
            ready: Bits { words: Vec::new(), count: 0 },
            later: Times::new(),
            expiries: Times::new(),
            start: Bound::Unbounded,
        }
    }

    /// Replaces what is known about a partition; `None` removes it.
    pub fn update(&mut self, key: K, readiness: Option<Readiness>) {
        let at = match self.position(key) {
            Ok(at) => at,
            Err(_) if readiness.is_none() => return,
            Err(at) => self.insert(at, key),
        };
        let Some(entry) = self.entries.get_mut(at) else { return };
        let old = std::mem::replace(&mut entry.readiness, readiness);
        if old == readiness {
            return;
        }
        self.live = self.live + usize::from(readiness.is_some()) - usize::from(old.is_some());
        // Only what changed: most updates leave one of the two as it is.
        let (was, is) = (old.map(|old| old.wait), readiness.map(|new| new.wait));
        if was != is {
            self.ready.set(at, is == Some(Wait::Ready));
            if let Some(Wait::Linger(until)) = is {
                self.later.insert(until, key);
            }
            // What did not wait until a time has none that no longer holds.
            if matches!(was, Some(Wait::Linger(_))) {
                self.forget_waits(key);
            }
        }
        let is = readiness.map(|new| new.expires_at);
        if old.map(|old| old.expires_at) != is {
            if let Some(expires_at) = is {
                self.expiries.insert(expires_at, key);
            }
            self.forget_expiries(key);
        }
    }

    /// What is known about a partition.
    #[must_use]
    pub fn readiness(&self, key: K) -> Option<Readiness> {
        find(&self.entries, key)
    }

    /// Whether any partition is ready at `now`.
    #[must_use]
    pub fn has_ready(&self, now: Instant) -> bool {
        self.ready.count > 0 || self.later.first().is_some_and(|(until, _)| until <= now)
    }

    /// When a partition is ready that is not yet, if none is told of before.
    #[must_use]
    pub fn first_wait(&self) -> Option<Instant> {
        self.later.first().map(|(until, _)| until)
    }

    /// When to look again if nothing is told before: the first end of a linger time, or the first expiry. In the
    /// past if that is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.later.first(), self.expiries.first()) {
            (Some((until, _)), Some((expires_at, _))) => Some(until.min(expires_at)),
            (one, other) => one.or(other).map(|(at, _)| at),
        }
    }

    /// Whether there is something to do at `now`: a partition is ready, or a batch expired.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.ready.count > 0 || self.poll_timeout().is_some_and(|at| at <= now)
    }

    /// Begins a round where the last one ended, over what is ready at `now`.
    pub fn round(&mut self, now: Instant) -> Round<K> {
        while let Some((_, key)) = self.later.first().filter(|&(until, _)| until <= now) {
            self.later.remove_first();
            if let Ok(at) = self.position(key) {
                if let Some(Entry { readiness: Some(readiness), .. }) = self.entries.get_mut(at) {
                    readiness.wait = Wait::Ready;
                    self.ready.set(at, true);
                }
            }
            if let Some((_, next)) = self.later.first() {
                self.forget_waits(next);
            }
        }
        Round { from: self.start, at: self.start, wrapped: false }
    }

    /// The next ready partition of this round. Partitions updated meanwhile are seen as they are now, none twice.
    pub fn next(&mut self, round: &mut Round<K>) -> Option<K> {
        let mut key = self.first_ready(round.at);
        if round.wrapped {
            key = key.filter(|&key| !is_at_or_after(key, round.from));
        } else if key.is_none() && round.from != Bound::Unbounded {
            round.wrapped = true;
            key = self.first_ready(Bound::Unbounded).filter(|&key| !is_at_or_after(key, round.from));
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

    /// Partitions that still linger and may go along with a request that is made anyway: the one first whose linger time
    /// ends first.
    pub fn lingering_longest(&self) -> impl Iterator<Item = K> {
        let lingers = |&&(until, key): &&(Instant, K)| {
            self.readiness(key).map(|it| it.wait) == Some(Wait::Linger(until))
        };
        self.later.times.iter().filter(lingers).map(|&(_, key)| key)
    }

    /// When the first batch expires.
    #[must_use]
    pub fn first_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(expires_at, _)| expires_at)
    }

    /// The partitions that have a batch which is expired at `now`; they stay until they are updated.
    pub fn expired(&self, now: Instant) -> impl Iterator<Item = K> {
        let due = self.expiries.times.iter().take_while(move |&&(at, _)| at <= now);
        due.filter(|&&(at, key)| expires_at(&self.entries, at, key)).map(|&(_, key)| key)
    }

    /// All partitions that have a batch.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().filter(|entry| entry.readiness.is_some()).map(|entry| entry.key)
    }

    /// Whether no partition has a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    fn position(&self, key: K) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.key.cmp(&key))
    }

    /// Where the entries from a bound on begin.
    fn from(&self, bound: Bound<K>) -> usize {
        match bound {
            Bound::Unbounded => 0,
            _ => self.entries.partition_point(|entry| !is_at_or_after(entry.key, bound)),
        }
    }

    fn first_ready(&self, from: Bound<K>) -> Option<K> {
        let at = self.ready.first_from(self.from(from))?;
        self.entries.get(at).map(|entry| entry.key)
    }

    /// Makes an entry for a partition that is seen for the first time, or again after a long while.
    #[cold]
    fn insert(&mut self, mut at: usize, key: K) -> usize {
        if self.entries.len() >= 2 * self.live + MAX_IDLE {
            self.entries.retain(|entry| entry.readiness.is_some());
            at = self.from(Bound::Included(key));
        }
        self.entries.insert(at, Entry { key, readiness: None });
        self.ready = Bits::default();
        for (at, entry) in self.entries.iter().enumerate() {
            self.ready.set(at, entry.readiness.is_some_and(|it| it.wait == Wait::Ready));
        }
        at
    }

    /// Restores what `first` relies on, that the first time is true, after a change of this partition's.
    fn forget_waits(&mut self, changed: K) {
        let Self { entries, later, live, .. } = self;
        later.clean(changed, *live, |until, key| {
            find(entries, key).map(|it| it.wait) == Some(Wait::Linger(until))
        });
    }

    /// The same for the expiries.
    fn forget_expiries(&mut self, changed: K) {
        let Self { entries, expiries, live, .. } = self;
        expiries.clean(changed, *live, |at, key| expires_at(entries, at, key));
    }
}

impl<K: Copy + Ord> Default for ReadyIndex<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn find<K: Ord>(entries: &[Entry<K>], key: K) -> Option<Readiness> {
    let at = entries.binary_search_by(|entry| entry.key.cmp(&key)).ok()?;
    entries.get(at)?.readiness
}

fn expires_at<K: Ord>(entries: &[Entry<K>], at: Instant, key: K) -> bool {
    find(entries, key).is_some_and(|it| it.expires_at == at)
}

/// Times of partitions, in order. Those that hold no more are not looked for: they leave when they come first, or when they
/// are too many. Nearly all are added behind all others.
#[derive(Debug, Clone)]
struct Times<K> {
    times: VecDeque<(Instant, K)>,
}

impl<K: Copy + Ord> Times<K> {
    const fn new() -> Self {
        Self { times: VecDeque::new() }
    }

    fn first(&self) -> Option<(Instant, K)> {
        self.times.front().copied()
    }

    fn remove_first(&mut self) {
        self.times.pop_front();
    }

    fn insert(&mut self, time: Instant, key: K) {
        let new = (time, key);
        if self.times.back().is_none_or(|last| *last < new) {
            self.times.push_back(new);
            return;
        }
        // Once, though it may have been true before.
        if let Err(at) = self.times.binary_search(&new) {
            self.times.insert(at, new);
        }
    }

    /// Forgets what does not hold any more: at the front always, elsewhere when more than half of all does not.
    fn clean(&mut self, changed: K, live: usize, holds: impl Fn(Instant, K) -> bool) {
        if self.first().is_some_and(|(_, key)| key == changed) {
            while self.first().is_some_and(|(time, key)| !holds(time, key)) {
                self.times.pop_front();
            }
        }
        if self.times.len() > 2 * live + MAX_IDLE {
            self.times.retain(|&(time, key)| holds(time, key));
        }
    }
}

/// A set of small numbers.
#[derive(Debug, Clone, Default)]
struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    fn set(&mut self, at: usize, is_in: bool) {
        let (word, bit) = (at / 64, 1 << (at % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            if (*word & bit != 0) != is_in {
                *word ^= bit;
                self.count = if is_in { self.count + 1 } else { self.count - 1 };
            }
        }
    }

    /// The first one that is not below `at`.
    fn first_from(&self, at: usize) -> Option<usize> {
        let mut mask = u64::MAX << (at % 64);
        for (index, word) in self.words.iter().enumerate().skip(at / 64) {
            let rest = word & mask;
            if rest != 0 {
                return Some(index * 64 + rest.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}

/// How much that holds no more is kept beside what does.
const MAX_IDLE: usize = 64;

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
    fn lingering_becomes_ready_in_time() {
        let now = start();
        let at = |ms| now + Duration::from_millis(ms);
        let mut index = ReadyIndex::new();
        index.update(1, Some(Readiness { wait: Wait::Linger(at(10)), expires_at: at(100) }));
        index.update(2, Some(Readiness { wait: Wait::Linger(at(5)), expires_at: at(4) }));
        index.update(3, Some(Readiness { wait: Wait::Linger(at(20)), expires_at: at(100) }));
        assert_eq!(index.poll_timeout(), Some(at(4)), "an expiry comes first");
        assert!(!index.has_ready(at(4)));
        assert_eq!(index.expired(at(4)).collect::<Vec<_>>(), [2]);
        assert_eq!(index.lingering_longest().collect::<Vec<_>>(), [2, 1, 3]);
        index.begin_with(2);
        assert!(index.has_ready(at(5)));
        assert_eq!(all(&mut index, at(10)), [2, 1]);
        index.update(1, None);
        index.update(2, None);
        assert_eq!(index.poll_timeout(), Some(at(20)));
        index.update(3, None);
        assert!(index.is_empty() && index.poll_timeout().is_none());
    }

    /// Against the plainest thing that could be right, over more partitions than a word has bits, which come and go.
    #[test]
    fn agrees_with_a_plain_map() {
        let begin = start();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut random = 1_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut index = ReadyIndex::new();
        let mut map = std::collections::BTreeMap::new();
        for step in 0..4_000 {
            let now = at(step / 10);
            let key = draw(300);
            let soon = at(step / 10 + draw(20));
            let wait = if draw(3) == 0 { Wait::Ready } else { Wait::Linger(soon) };
            let new = Readiness { wait, expires_at: at(step / 10 + draw(40)) };
            // Phases in which there are many, and few.
            let new = (draw(10) < if step % 1000 < 500 { 8 } else { 2 }).then_some(new);
            index.update(key, new);
            match new {
                Some(new) => map.insert(key, new),
                None => map.remove(&key),
            };
            let times = |it: &Readiness| match it.wait {
                Wait::Linger(until) => Some(until.min(it.expires_at)),
                Wait::Ready => Some(it.expires_at),
            };
            assert_eq!(index.poll_timeout(), map.values().filter_map(times).min(), "step {step}");
            assert_eq!(index.first_expiry(), map.values().map(|it| it.expires_at).min());
            assert_eq!(index.is_empty(), map.is_empty());
            if step % 7 == 0 {
                let mut round = index.round(now);
                for it in map.values_mut() {
                    if matches!(it.wait, Wait::Linger(until) if until <= now) {
                        it.wait = Wait::Ready;
                    }
                }
                let mut ready: Vec<_> = std::iter::from_fn(|| index.next(&mut round)).collect();
                ready.sort_unstable();
                let is_ready = |(key, it): (&u64, &Readiness)| (it.wait == Wait::Ready).then_some(*key);
                assert_eq!(ready, map.iter().filter_map(is_ready).collect::<Vec<_>>());
                let mut expired: Vec<_> = index.expired(now).collect();
                expired.sort_unstable();
                let is_over = |(key, it): (&u64, &Readiness)| (it.expires_at <= now).then_some(*key);
                assert_eq!(expired, map.iter().filter_map(is_over).collect::<Vec<_>>());
                let lingers =
                    |(key, it): (&u64, &Readiness)| matches!(it.wait, Wait::Linger(_)).then_some(*key);
                let mut lingering: Vec<_> = index.lingering_longest().collect();
                lingering.sort_unstable();
                assert_eq!(lingering, map.iter().filter_map(lingers).collect::<Vec<_>>());
            }
            assert!(index.keys().eq(map.keys().copied()));
            assert!(index.later.times.len() <= 2 * map.len() + MAX_IDLE, "bounded");
        }
    }
}
