//! [`TopicShared`]: what is known of a topic, for every record that goes there.

use std::{
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
};

use kafka_wire::{ErrorCode, TopicName};

use super::lanes::Lane;
use crate::{partitioner::Spread, waiters::Waiters};

/// What all handles of a topic share. Metadata updates write it, records only read.
pub(crate) struct TopicShared {
    pub(crate) name: TopicName,
    /// The producer it belongs to.
    pub(crate) producer: u64,
    /// No two topics of the process have the same.
    pub(crate) key: u64,
    lanes: Lanes,
    /// Zero while the topic is not known.
    count: AtomicU32,
    pub(crate) spread: Spread,
    waiting: Mutex<Waiting>,
}

/// The lanes of a topic, by partition. Partitions are only ever added: then another link is.
struct Lanes {
    here: OnceLock<Box<[Lane]>>,
    more: OnceLock<Box<Self>>,
}

#[derive(Default)]
struct Waiting {
    /// Why the topic cannot be used, as far as brokers said.
    trouble: Option<ErrorCode>,
    waiters: Waiters,
}

impl TopicShared {
    pub(crate) fn new(name: TopicName, producer: u64, seed: u64) -> Self {
        Self {
            name,
            producer,
            key: NEXT_KEY.fetch_add(1, Ordering::Relaxed),
            lanes: Lanes::new(),
            count: AtomicU32::new(0),
            spread: Spread::new(seed),
            waiting: Mutex::default(),
        }
    }

    /// The number of partitions; zero while it is not known.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// The lane of a partition, if there is such a partition.
    #[inline]
    pub(crate) fn lane(&self, partition: u32) -> Option<&Lane> {
        let at = partition as usize;
        let here = self.lanes.here.get()?;
        match here.get(at) {
            Some(lane) => Some(lane),
            None => self.lanes.beyond(at),
        }
    }

    /// Whether the topic exists, or ever did.
    pub(crate) fn exists(&self) -> bool {
        self.lanes.here.get().is_some()
    }

    /// Adds lanes for partitions that appeared; records go there once they are [counted](Self::set_count). Called by one
    /// task at a time.
    pub(crate) fn grow(&self, lanes: Vec<Lane>) {
        self.lanes.push(lanes.into_boxed_slice());
    }

    /// How many partitions there are, and how many there were. There may be lanes of more: the topic was made again with fewer.
    pub(crate) fn set_count(&self, count: u32) -> u32 {
        self.count.swap(count, Ordering::AcqRel)
    }

    /// The lanes from a partition on, those included of partitions that are no more.
    pub(crate) fn lanes_from(&self, partition: u32) -> impl Iterator<Item = &Lane> {
        (partition..).map_while(|partition| self.lane(partition))
    }

    /// What brokers last said about the topic, if it was no good.
    pub(crate) fn trouble(&self) -> Option<ErrorCode> {
        self.lock().trouble
    }

    /// Notes news, and gives those who wait for them.
    #[must_use = "those who wait must be woken"]
    pub(crate) fn learn(&self, trouble: Option<ErrorCode>) -> Vec<Waker> {
        let mut waiting = self.lock();
        waiting.trouble = trouble;
        waiting.waiters.take_all()
    }

    /// Wakes at the next news. `key` is what an earlier call gave; cancel with it.
    pub(crate) fn wait(&self, key: Option<u64>, waker: &Waker) -> u64 {
        // Foreign code: cloned before the lock is taken, and what is not kept of the two is dropped after it.
        let (mut waker, mut key) = (waker.clone(), key);
        let mut waiting = self.lock();
        waiting.waiters.keep(&mut key, &mut waker);
        drop(waiting);
        key.unwrap_or_default()
    }

    /// Waits no longer.
    pub(crate) fn cancel(&self, key: u64) {
        let waker = self.lock().waiters.cancel(key);
        drop(waker);
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiters.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TopicShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicShared")
            .field("name", &self.name)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Lanes {
    const fn new() -> Self {
        Self { here: OnceLock::new(), more: OnceLock::new() }
    }

    #[cold]
    fn beyond(&self, mut at: usize) -> Option<&Lane> {
        let mut link = self;
        loop {
            let here = link.here.get()?;
            match here.get(at) {
                Some(lane) => return Some(lane),
                None => at -= here.len(),
            }
            link = link.more.get()?;
        }
    }

    fn push(&self, lanes: Box<[Lane]>) {
        let Err(lanes) = self.here.set(lanes) else { return };
        self.more.get_or_init(|| Box::new(Self::new())).push(lanes);
    }
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);
