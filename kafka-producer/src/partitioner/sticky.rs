//! Records without a key: they stay with one partition for a batch, then go to another.
//!
//! The choice belongs to the thread, so that threads do not meet at one lane. While nobody contends, a thread joins
//! the batch that another one has open: batches are fuller that way when little is sent.
//!
//! Where nothing waits, partitions are drawn without putting them back: the batches that are filled one after the other are
//! then of different partitions, and go out in one request for each broker instead of several.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// The partition a thread stays with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sticky {
    /// The topic's key; zero is none's.
    topic: u64,
    partition: u32,
}

thread_local! {
    static STICKY: Cell<Sticky> = const { Cell::new(Sticky { topic: 0, partition: 0 }) };
}

impl Sticky {
    /// The partition this thread stays with in a topic, if that is the topic it last sent to.
    #[inline]
    pub(crate) fn current(topic: u64) -> Option<u32> {
        let sticky = STICKY.get();
        (sticky.topic == topic).then_some(sticky.partition)
    }

    /// This thread stays with a partition from now on.
    pub(crate) fn stay(topic: u64, partition: u32) {
        STICKY.set(Self { topic, partition });
    }
}

/// The partitions of a topic that records without a key may go to.
#[derive(Debug)]
pub(crate) struct Spread {
    drawing: Mutex<Drawing>,
    /// Where the last thread went that began a batch: others join it there. It is a hint, and may be out of range.
    open: AtomicU32,
}

/// What partitions are drawn by.
#[derive(Debug)]
struct Drawing {
    /// Seeded from outside: the processes of a fleet must not all walk the same way.
    rng: fastrand::Rng,
    /// Partitions that have a leader. When none has, all are as good.
    available: Vec<u32>,
    walk: Walk,
    /// How likely each is, by what waits there. Nothing if all are as good.
    weights: Weights,
    /// Draws by weight so far.
    draws: u32,
}

/// How many batches wait for a partition; none if its broker takes nothing.
pub(crate) type Load<'a> = &'a dyn Fn(u32) -> Option<u32>;

/// Partitions, each more likely the fewer batches wait there (KIP-794).
#[derive(Debug, Default)]
struct Weights {
    partitions: Vec<u32>,
    /// The sums of the weights up to each partition.
    sums: Vec<u64>,
}

impl Weights {
    /// Weighs partitions. None is left where that makes no difference: where no more than an open batch waits anywhere, or
    /// as much everywhere, and each broker takes what it gets.
    fn weigh(&mut self, partitions: impl Iterator<Item = u32>, load: Load<'_>) {
        self.partitions.clear();
        self.sums.clear();
        let mut is_any_stalled = false;
        for partition in partitions {
            match load(partition) {
                Some(load) => {
                    self.partitions.push(partition);
                    self.sums.push(u64::from(load));
                }
                None => is_any_stalled = true,
            }
        }
        let most = self.sums.iter().max().copied().unwrap_or(0);
        let least = self.sums.iter().min().copied().unwrap_or(0);
        if !is_any_stalled && (most == least || most < BACKLOG) {
            self.partitions.clear();
            self.sums.clear();
        }
        let mut sum = 0;
        for load in &mut self.sums {
            sum += most + 1 - *load;
            *load = sum;
        }
    }

    /// One less than this is the largest number that [`pick`](Self::pick) takes.
    fn total(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    fn pick(&self, number: u64) -> Option<u32> {
        self.partitions.get(self.sums.partition_point(|sum| *sum <= number)).copied()
    }
}

impl Spread {
    pub(crate) fn new(seed: u64) -> Self {
        let drawing = Drawing {
            rng: fastrand::Rng::with_seed(seed),
            available: Vec::new(),
            walk: Walk::default(),
            weights: Weights::default(),
            draws: 0,
        };
        Self { drawing: Mutex::new(drawing), open: AtomicU32::new(0) }
    }

    /// Pushed here by metadata updates.
    pub(crate) fn set_available(&self, partitions: Vec<u32>) {
        self.lock().available = partitions;
    }

    /// Where another thread began a batch.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Draws a partition: by what waits there, if that is asked for and differs; else one after the other in an order that is
    /// drawn anew each time around, but not the one that was just left.
    pub(crate) fn draw(&self, count: u32, left: Option<u32>, load: Option<Load<'_>>) -> u32 {
        let mut drawing = self.lock();
        let by_load = load.and_then(|load| drawing.draw_by_load(count, load));
        let drawn = by_load.unwrap_or_else(|| drawing.walk_on(count, left));
        drop(drawing);
        self.open.store(drawn, Ordering::Relaxed);
        drawn
    }

    /// Held for a draw. What waits at partitions is asked for under it, which takes no lock.
    fn lock(&self) -> MutexGuard<'_, Drawing> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way around so many places that comes to each of them once, by equal steps; and then another one.
#[derive(Debug, Default)]
struct Walk {
    count: u32,
    at: u32,
    step: u32,
    /// Places it has not come to yet.
    rest: u32,
}

impl Walk {
    /// The next place by its name; not `left`, if there is a choice.
    fn pick(
        &mut self,
        count: u32,
        left: Option<u32>,
        rng: &mut fastrand::Rng,
        name: impl Fn(u32) -> u32,
    ) -> u32 {
        let drawn = name(self.next(count, rng));
        if Some(drawn) == left && count > 1 { name(self.next(count, rng)) } else { drawn }
    }

    fn next(&mut self, count: u32, rng: &mut fastrand::Rng) -> u32 {
        if count < 2 {
            return 0;
        }
        if self.count != count || self.rest == 0 {
            self.rest = count;
            // Each step that has no divisor in common with the count comes to all places.
            self.step = rng.u32(1..count);
            while !are_coprime(self.step, count) {
                self.step -= 1;
            }
            // Anywhere but where the last way ended.
            self.at = if self.count == count { self.at + rng.u32(1..count) } else { rng.u32(..count) };
            self.count = count;
        } else {
            self.at += self.step;
        }
        self.at %= count;
        self.rest -= 1;
        self.at
    }
}

fn are_coprime(mut a: u32, mut b: u32) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

impl Drawing {
    fn walk_on(&mut self, count: u32, left: Option<u32>) -> u32 {
        match self.available.as_slice() {
            [] => self.walk.pick(count, left, &mut self.rng, |at| at),
            some => self.walk.pick(some.len() as u32, left, &mut self.rng, |at| some[at as usize]),
        }
    }

    fn draw_by_load(&mut self, count: u32, load: Load<'_>) -> Option<u32> {
        // Weighed anew so often that a draw looks at a few partitions on average, however many there are.
        if self.draws % (count / WEIGHED_A_DRAW).max(1) == 0 {
            match self.available.as_slice() {
                [] => self.weights.weigh(0..count, load),
                some => self.weights.weigh(some.iter().copied(), load),
            }
        }
        self.draws = self.draws.wrapping_add(1);
        let total = u32::try_from(self.weights.total()).unwrap_or(u32::MAX);
        if total == 0 {
            return None;
        }
        self.weights.pick(u64::from(self.rng.u32(..total))).filter(|drawn| *drawn < count)
    }
}

/// Fewer batches than this are no backlog: one is open, and one or two were closed since the pumps last had a turn.
const BACKLOG: u64 = 4;
/// How many partitions are looked at for a draw, on average.
const WEIGHED_A_DRAW: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_partitions_are_drawn_equally_often() {
        for count in [1, 2, 3, 12, 100] {
            let spread = Spread::new(1);
            let rounds = 2000 * count;
            let mut seen = vec![0u32; count as usize];
            let mut left = None;
            for _ in 0..rounds {
                let drawn = spread.draw(count, left, None);
                assert!(count == 1 || Some(drawn) != left, "the next batch goes elsewhere");
                seen[drawn as usize] += 1;
                left = Some(drawn);
            }
            for times in seen {
                assert!((1700..2300).contains(&times), "{times} of 2000 expected, {count} partitions");
            }
        }
    }

    #[test]
    fn none_is_drawn_again_before_all_others_were() {
        for count in [2, 3, 12, 30, 101] {
            let spread = Spread::new(1);
            let mut steps = Vec::new();
            for _ in 0..50 {
                let drawn: Vec<u32> = (0..count).map(|_| spread.draw(count, None, None)).collect();
                let mut sorted = drawn.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>());
                steps.push((drawn[1] + count - drawn[0]) % count);
            }
            steps.sort_unstable();
            steps.dedup();
            assert!(count < 5 || steps.len() > 1, "the order differs from one time around to the next");
        }
    }

    #[test]
    fn the_way_follows_from_the_seed_and_differs_from_one_to_the_next() {
        let way = |seed| {
            let spread = Spread::new(seed);
            (0..48).map(|_| spread.draw(12, None, None)).collect::<Vec<_>>()
        };
        assert_eq!(way(7), way(7));
        let mut ways: Vec<_> = (0..100).map(way).collect();
        let mut firsts: Vec<_> = ways.iter().map(|way| way[0]).collect();
        ways.sort_unstable();
        ways.dedup();
        assert_eq!(ways.len(), 100, "a fleet of a hundred walks a hundred ways");
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 12, "and begins everywhere");
    }

    #[test]
    fn only_partitions_with_a_leader_are_drawn_unless_none_has_one() {
        let spread = Spread::new(1);
        spread.set_available(vec![1, 4]);
        let mut left = None;
        for _ in 0..100 {
            let drawn = spread.draw(6, left, None);
            assert!(drawn == 1 || drawn == 4);
            left = Some(drawn);
        }
        spread.set_available(vec![4]);
        assert_eq!(spread.draw(6, Some(4), None), 4);
        spread.set_available(Vec::new());
        assert!((0..100).map(|_| spread.draw(6, None, None)).any(|drawn| drawn == 0));
    }

    /// How often each partition is picked in one cycle of draws.
    fn picks(loads: &[Option<u32>]) -> Vec<u32> {
        let mut weights = Weights::default();
        weights.weigh(0..loads.len() as u32, &|partition| loads[partition as usize]);
        let mut picks = vec![0; loads.len()];
        for number in 0..weights.total() {
            picks[weights.pick(number).expect("below the total") as usize] += 1;
        }
        picks
    }

    #[test]
    fn the_less_waits_the_likelier_a_partition_is() {
        assert_eq!(picks(&[5, 0, 3, 0, 1].map(Some)), [1, 6, 3, 6, 5]);
        assert_eq!(picks(&[1, 7, 2].map(Some)), [7, 1, 6]);
        assert_eq!(picks(&[Some(9), None, Some(9)]), [1, 0, 1], "a broker that takes nothing gets nothing");
        assert_eq!(picks(&[None, None]), [0, 0]);
        assert_eq!(picks(&[3, 3, 3].map(Some)), [0, 0, 0], "all alike: no weights");
        assert_eq!(picks(&[0, 1, 0].map(Some)), [0, 0, 0], "no backlog");
    }

    #[test]
    fn by_load_only_partitions_with_a_leader_are_drawn() {
        let spread = Spread::new(1);
        spread.set_available(vec![1, 2, 4]);
        let load = |partition: u32| if partition == 2 { None } else { Some(partition) };
        let drawn: Vec<u32> = (0..1000).map(|_| spread.draw(6, None, Some(&load))).collect();
        let count = |partition| drawn.iter().filter(|drawn| **drawn == partition).count();
        assert_eq!(count(1) + count(4), 1000);
        assert!((720..880).contains(&count(1)), "{} of 800 expected", count(1));
        // Where all brokers are stuck, each is as good.
        let stuck = |_| None;
        assert!((0..100).any(|_| spread.draw(6, None, Some(&stuck)) == 2));
    }

    #[test]
    fn a_thread_stays_with_one_topic_at_a_time() {
        Sticky::stay(7, 3);
        assert_eq!(Sticky::current(7), Some(3));
        assert_eq!(Sticky::current(8), None);
    }
}
