//! Records without a key: they stay with one partition for a batch, then go to another.
//!
//! The choice belongs to the thread, so that threads do not meet at one lane. While nobody contends, a thread joins
//! the batch that another one has open: batches are fuller that way when little is sent.

use std::{
    cell::Cell,
    sync::{
        RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// The partition a thread stays with, and its random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sticky {
    /// The topic's key; zero is none's.
    topic: u64,
    partition: u32,
}

thread_local! {
    static STICKY: Cell<Sticky> = const { Cell::new(Sticky { topic: 0, partition: 0 }) };
    /// Zero until first used.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
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
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// Partitions that have a leader. When none has, all are as good.
    available: RwLock<Vec<u32>>,
    /// Where the last thread went that began a batch: others join it there. It is a hint, and may be out of range.
    open: AtomicU32,
}

impl Spread {
    /// Pushed here by metadata updates.
    pub(crate) fn set_available(&self, partitions: Vec<u32>) {
        *self.available.write().unwrap_or_else(std::sync::PoisonError::into_inner) = partitions;
    }

    /// Where another thread began a batch.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Draws a partition, each as likely as any other, but not the one that was just left.
    pub(crate) fn draw(&self, count: u32, left: Option<u32>) -> u32 {
        let available = self.available.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let drawn = match available.as_slice() {
            [] => pick(count, left, |at| at),
            some => pick(some.len() as u32, left, |at| some[at as usize]),
        };
        drop(available);
        self.open.store(drawn, Ordering::Relaxed);
        drawn
    }
}

/// A random one of `count`; not `left`, if there is a choice. From each one to each other is equally likely, so in the
/// long run all are visited equally often.
fn pick(count: u32, left: Option<u32>, name: impl Fn(u32) -> u32) -> u32 {
    let drawn = name(random(count.max(1)));
    if Some(drawn) != left || count < 2 {
        return drawn;
    }
    // Drawn again once: then move on by a random step, so that this ends.
    let at = (0..count).find(|&at| name(at) == drawn).unwrap_or(0);
    name((at + 1 + random(count - 1)) % count)
}

/// A random number below `bound`: splitmix64, seeded by the order in which threads first come here.
fn random(bound: u32) -> u32 {
    let mut state = RANDOM.get();
    if state == 0 {
        state = NEXT_SEED.fetch_add(1, Ordering::Relaxed).wrapping_mul(0xd134_2543_de82_ef95) | 1;
    }
    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The high half of a 32 x 32 bit product is uniform below `bound`, to within one in four thousand million.
    (((mixed >> 32) * u64::from(bound)) >> 32) as u32
}

/// Makes this thread's random numbers those of a simulation.
#[cfg(test)]
pub(crate) fn reseed(seed: u64) {
    RANDOM.set(seed.wrapping_mul(0xd134_2543_de82_ef95) | 1);
}

static NEXT_SEED: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_partitions_are_drawn_equally_often() {
        for count in [1, 2, 3, 12, 100] {
            let spread = Spread::default();
            let rounds = 2000 * count;
            let mut seen = vec![0u32; count as usize];
            let mut left = None;
            for _ in 0..rounds {
                let drawn = spread.draw(count, left);
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
    fn only_partitions_with_a_leader_are_drawn_unless_none_has_one() {
        let spread = Spread::default();
        spread.set_available(vec![1, 4]);
        let mut left = None;
        for _ in 0..100 {
            let drawn = spread.draw(6, left);
            assert!(drawn == 1 || drawn == 4);
            left = Some(drawn);
        }
        spread.set_available(vec![4]);
        assert_eq!(spread.draw(6, Some(4)), 4);
        spread.set_available(Vec::new());
        assert!((0..100).map(|_| spread.draw(6, None)).any(|drawn| drawn == 0));
    }

    #[test]
    fn a_thread_stays_with_one_topic_at_a_time() {
        Sticky::stay(7, 3);
        assert_eq!(Sticky::current(7), Some(3));
        assert_eq!(Sticky::current(8), None);
    }
}
