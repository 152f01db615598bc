//! The engine of a producer: where records wait, which of them go next, and what becomes of them. Without tasks, sockets or
//! a clock.
//!
//! The [`Plane`] owns, and no other module touches:
//! * the topics of the producer by name, and their lanes ([`lanes`]): one queue of batches for each partition;
//! * the gates ([`gate`]): which lanes of a broker have something, and whether its pump must be woken for it;
//! * the [`Sender`] with the table of lanes, behind the sender's lock;
//! * the memory of batches, the time of records, and how far the producer's life has come ([`end`]).
//!
//! Locks are taken in the order sender, gate, lane. Every method is told the time. A method that changes anything but the
//! open batch of a lane fills an [`After`] with what is left to do outside, where no lock is held: deliveries to resolve, wakers
//! to run, batches to seal or split, a turn of the driver. No method returns a guard, and none runs foreign code (a waker, a
//! partitioner, a subscriber of tracing) under a lock.
//!
//! Tasks on a runtime, a simulation on one thread and a fuzzer drive it by the same calls, and decide nothing:
//! [`append_fast`](Plane::append_fast) and [`append_slow`](Plane::append_slow) for records, a [`GateFeed`] for each broker,
//! [`turn`](Plane::turn) when it is due, [`handle_done`](Plane::handle_done) for work that was handed out.

mod after;
mod append;
mod draw;
mod end;
mod feed;
mod flush;
pub(crate) mod gate;
mod jobs;
mod lanes;
mod route;
mod topic;
mod topics;
mod turn;
mod wall;
#[cfg(test)]
mod watch;

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU8},
    },
    time::{Duration, Instant},
};

use kafka_batch::{DrainedBatch, Pool, QueueSettings};
use kafka_net::PartitionView;
use kafka_wire::{ErrorCode, NodeId, TopicName};

#[cfg(any(test, fuzzing))]
pub(crate) use self::draw::InOrder;
pub(crate) use self::{
    after::{After, Caller, Job},
    append::{Source, Stop, forget},
    end::Life,
    feed::GateFeed,
    flush::Unresolved,
    jobs::{Done, Lost},
    topic::TopicShared,
};
use self::{
    end::PROCESS_PAUSE,
    gate::Gate,
    lanes::LaneTable,
    topics::Topics,
    turn::Ticks,
    wall::{Pause, Wall},
};
use crate::{
    delivery::Outcome,
    error::{EndedBy, Refusal},
    partitioner::Partitioner,
    sender::{Sender, Unsent},
    stats::Stats,
};

/// What the engine must know of the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaneSettings {
    pub(crate) queues: QueueSettings,
    /// Batches are sealed elsewhere, since that takes long: with a codec.
    pub(crate) seals_elsewhere: bool,
    /// `partitioner.ignore.keys`
    pub(crate) ignores_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`
    pub(crate) is_adaptive: bool,
    /// `partitioner.availability.timeout.ms`
    pub(crate) availability_timeout: Option<Duration>,
}

/// What the engine takes from the process it lives in. Functions of the system: they are called outside every lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// The wall clock, in milliseconds since the epoch.
    pub(crate) wall: fn() -> i64,
    /// The id of the process that asks. Costs a call of the system.
    pub(crate) process: fn() -> u32,
    /// Where the walks over partitions begin.
    pub(crate) seed: u64,
}

/// The engine of one producer.
pub(crate) struct Plane {
    /// No two producers of the process have the same.
    pub(crate) id: u64,
    pub(crate) settings: PlaneSettings,
    pub(crate) pool: Arc<Pool>,
    partitioner: Option<Arc<dyn Partitioner>>,
    /// Neither a partitioner nor a setting changes where records go.
    is_plain: bool,
    wall: Wall,
    topics: Topics,
    gates: RwLock<BTreeMap<NodeId, Arc<Gate>>>,
    /// The gate of partitions without a leader. Nobody pumps there.
    nowhere: Arc<Gate>,
    control: Mutex<Control>,
    /// The driver looks at the clock often: batches are open.
    ticking: AtomicBool,
    /// A batch was begun since the driver last looked.
    begun: AtomicBool,
    /// A [`Life`].
    life: AtomicU8,
    /// A panic has ended it.
    is_stopped: AtomicBool,
    /// A panic was seen where nothing could be left to do for it.
    is_untold: AtomicBool,
    /// Why it is not open any more: the first reason there was.
    ended_by: OnceLock<EndedBy>,
    process: fn() -> u32,
    /// The process that made it.
    born_in: u32,
    process_looks: Pause,
}

/// What the sender's lock protects.
pub(crate) struct Control {
    pub(crate) sender: Sender,
    lanes: LaneTable,
    ticks: Ticks,
}

impl Plane {
    pub(crate) fn new(
        id: u64,
        settings: PlaneSettings,
        partitioner: Option<Arc<dyn Partitioner>>,
        sender: Sender,
        surroundings: Surroundings,
        now: Instant,
    ) -> Self {
        let Surroundings { wall, process, seed } = surroundings;
        Self {
            id,
            is_plain: partitioner.is_none() && !settings.ignores_keys,
            pool: Pool::new(&settings.queues.limits),
            settings,
            partitioner,
            wall: Wall::new(wall, now),
            topics: Topics::new(seed),
            gates: RwLock::default(),
            nowhere: Gate::new(NodeId::NONE),
            control: Mutex::new(Control { sender, lanes: LaneTable::default(), ticks: Ticks::default() }),
            ticking: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            life: AtomicU8::new(Life::Open as u8),
            is_stopped: AtomicBool::new(false),
            is_untold: AtomicBool::new(false),
            ended_by: OnceLock::new(),
            process,
            born_in: process(),
            process_looks: Pause::new(now, PROCESS_PAUSE),
        }
    }

    /// A topic by its name, known or not.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<TopicShared>, Refusal> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic);
        }
        if !is_legal(name) {
            let topic = TopicName::from(name);
            return Err(Refusal::TopicRefused { topic, code: ErrorCode::INVALID_TOPIC_EXCEPTION });
        }
        Ok(self.topics.named(&TopicName::from(name), self.id))
    }

    /// A caller waits for a topic.
    pub(crate) fn want_topic(&self, topic: &TopicName, now: Instant, after: &mut After) {
        self.locked(now, after, |control, _| control.sender.want_topic(topic, now));
    }

    /// A caller waits for memory: whatever lingers must go.
    pub(crate) fn press(&self, after: &mut After) {
        for gate in self.all_gates() {
            let waker = gate.lock().wakeup();
            after.wake(waker);
        }
    }

    /// Why no broker answers, in words.
    pub(crate) fn connection_trouble(&self) -> Option<Arc<str>> {
        self.control().sender.last_failure().map(Arc::from)
    }

    /// Which broker keeps memory from becoming free, in words.
    pub(crate) fn silence(&self, now: Instant) -> Option<Arc<str>> {
        let sender = &self.control().sender;
        sender.silence(now).or_else(|| sender.last_failure()).map(Arc::from)
    }

    /// How many hopeless failures there were: for [`hopeless_since`](Self::hopeless_since).
    pub(crate) fn hopeless_count(&self) -> u64 {
        self.control().sender.hopeless_count()
    }

    /// A failure that came after the given count, and that waiting does not cure.
    pub(crate) fn hopeless_since(&self, count: u64) -> Option<Arc<str>> {
        self.control().sender.hopeless_since(count).map(Arc::from)
    }

    /// The brokers of the cluster, as last heard of.
    pub(crate) fn view(&self) -> Arc<kafka_net::ClusterView> {
        Arc::clone(self.control().sender.view())
    }

    /// The partitions of a topic, as last heard of.
    pub(crate) fn partitions(&self, topic: &TopicName) -> Vec<PartitionView> {
        let control = self.control();
        control.sender.view().topic(topic.as_str()).map(|topic| topic.partitions.clone()).unwrap_or_default()
    }

    /// Randomness for a connection, by the sender's own generator.
    pub(crate) fn draw_seed(&self) -> u64 {
        self.control().sender.draw_seed()
    }

    /// A snapshot of what was done.
    pub(crate) fn stats(&self) -> Stats {
        let control = self.control();
        let mut stats = control.sender.counters().snapshot(self.settings.queues.limits.batch_limit());
        stats.records = control.lanes.iter().map(|lane| lane.lock().queue.appended()).sum();
        stats.brokers = control.sender.broker_stats();
        drop(control);
        stats.buffer_used = self.pool.used() as u64;
        stats.buffer_limit = self.pool.limit() as u64;
        stats.buffer_waiting = self.pool.waiting() as u64;
        stats
    }

    /// The gate of a node, made if need be.
    pub(crate) fn gate(&self, node: NodeId) -> Arc<Gate> {
        if let Some(gate) = self.gates().get(&node) {
            return Arc::clone(gate);
        }
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(node).or_insert_with(|| Gate::new(node)))
    }

    /// Whether a node has another gate by now, since it left and came back.
    fn is_replaced(&self, gate: &Arc<Gate>) -> bool {
        self.gates().get(&gate.node).is_some_and(|current| !Arc::ptr_eq(current, gate))
    }

    /// Every gate, the one of partitions without a leader included. Owned, so that other locks can be taken.
    fn all_gates(&self) -> Vec<Arc<Gate>> {
        self.gates().values().chain([&self.nowhere]).cloned().collect()
    }

    /// The gates by node. No other lock is taken, but for a gate's own, while this is held.
    fn gates(&self) -> RwLockReadGuard<'_, BTreeMap<NodeId, Arc<Gate>>> {
        self.gates.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sender's lock.
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(|poisoned| {
            // What a panic has left is not looked at again.
            let mut control = poisoned.into_inner();
            self.control.clear_poison();
            self.tear_down(&mut control);
            control
        })
    }

    /// The sender's lock, for tests that look at it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn look(&self) -> MutexGuard<'_, Control> {
        self.control()
    }

    /// Runs `f` under the sender's lock, and routes what it leaves: the rest is in `after`.
    ///
    /// A panic in there ends the producer, since it may have left the sender's state half changed; then it goes on to the
    /// caller.
    fn locked<R>(&self, now: Instant, after: &mut After, f: impl FnOnce(&mut Control, &mut After) -> R) -> R {
        let unwinding = Unwinding { plane: self, after };
        let (result, is_torn) = {
            let mut control = self.control();
            let result = f(&mut control, unwinding.after);
            self.settle(&mut control, now, unwinding.after);
            (result, self.must_stop(&control))
        };
        if is_torn {
            self.stop(unwinding.after);
        }
        mem::forget(unwinding);
        result
    }
}

/// The engine is doing something under the sender's lock. Dropped only by a panic in there.
struct Unwinding<'a> {
    plane: &'a Plane,
    after: &'a mut After,
}

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.plane.stop(self.after);
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane").field("id", &self.id).finish_non_exhaustive()
    }
}

fn unsent(batch: &DrainedBatch<Arc<Outcome>>) -> Unsent<'_> {
    Unsent { outcome: batch.tag(), count: batch.count(), begun: batch.created() }
}

/// Kafka's rule for names.
fn is_legal(name: &str) -> bool {
    (1..=MAX_TOPIC_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

const MAX_TOPIC_NAME: usize = 249;
