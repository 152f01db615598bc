//! Tasks, locks and the clock: the only part that names tokio.
//!
//! One pump for each broker ([`feed`]), a driver for what belongs to none of them, and blocking threads for
//! compression. They share [`Shared`]. Decisions are the [`Sender`]'s and the queues'; here they are only carried out,
//! where no lock is held.

mod afterwards;
mod alarms;
mod clock;
mod compress;
mod driver;
mod end;
mod feed;
mod host;
mod workers;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use kafka_batch::{DrainedBatch, Pool, QueueSettings, SendReason, wake_all};
use kafka_net::NetConfig;
use kafka_wire::{ErrorCode, NodeId, TopicName};

#[cfg(test)]
pub(crate) use self::clock::simulated;
use self::{
    afterwards::{Afterwards, Caller},
    alarms::Alarms,
    clock::{Clock, Pause},
    compress::Compressors,
    driver::Signal,
    end::PROCESS_PAUSE,
};
pub(crate) use self::{
    alarms::Timer,
    clock::now,
    host::{Host, Tasks},
};
use crate::{
    config::Settings,
    delivery::Outcome,
    error::{EndedBy, FailureKind, Refusal},
    partitioner::Partitioner,
    plane::{TopicShared, gate::Gate, lanes::LaneTable, topics::Topics},
    planted::planted,
    purge::{Purge, Purged},
    sender::{LaneId, Sender, Unsent},
    stats::Stats,
    waiters::Waiters,
};

/// What the handles of a producer and its tasks share.
pub(crate) struct Shared {
    /// No two producers of the process have the same.
    pub(crate) id: u64,
    pub(crate) settings: Settings,
    pub(crate) queue_settings: QueueSettings,
    pub(crate) partitioner: Option<Arc<dyn Partitioner>>,
    /// Neither a partitioner nor a setting changes where records go.
    pub(crate) is_plain: bool,
    pub(crate) clock: Clock,
    pub(crate) pool: Arc<Pool>,
    pub(crate) alarms: Arc<Alarms>,
    tasks: Arc<dyn Tasks>,
    /// The process that asks, and the one that made the producer.
    process: fn() -> u32,
    born_in: u32,
    process_looks: Pause,
    net: Arc<NetConfig>,
    topics: Topics,
    gates: RwLock<BTreeMap<NodeId, Arc<Gate>>>,
    /// The gate of partitions without a leader. Nobody pumps there.
    nowhere: Arc<Gate>,
    control: Mutex<Control>,
    compressors: Compressors,
    signal: Arc<Signal>,
    /// The driver looks at the clock often: batches are open.
    ticking: AtomicBool,
    /// A batch was begun since the driver last looked.
    begun: AtomicBool,
    /// One of the `OPEN`, `CLOSED`, ... below.
    life: AtomicU8,
    /// A panic has ended it.
    is_stopped: AtomicBool,
    /// Why it is not open any more: the first reason there was.
    ended_by: OnceLock<EndedBy>,
}

/// What the sender's lock protects.
pub(crate) struct Control {
    pub(crate) sender: Sender,
    lanes: LaneTable,
    /// Who waits for the end of the tasks.
    closing: Waiters,
    is_over: bool,
}

impl Shared {
    pub(crate) fn new(
        id: u64,
        settings: Settings,
        queue_settings: QueueSettings,
        partitioner: Option<Arc<dyn Partitioner>>,
        net: NetConfig,
        sender: Sender,
        host: &Host,
    ) -> Arc<Self> {
        let signal = Arc::new(Signal::default());
        let is_plain = partitioner.is_none() && !settings.partitioner_ignore_keys;
        Arc::new_cyclic(|shared| Self {
            id,
            is_plain,
            clock: Clock::new(),
            pool: Pool::new(&queue_settings.limits),
            alarms: Alarms::new(Arc::clone(&signal)),
            tasks: Arc::clone(&host.tasks),
            process: host.process,
            born_in: (host.process)(),
            process_looks: Pause::new(now(), PROCESS_PAUSE),
            net: Arc::new(net),
            // Other numbers than those of the sender.
            topics: Topics::new(!host.seed),
            gates: RwLock::default(),
            nowhere: Gate::new(NodeId::NONE),
            control: Mutex::new(Control {
                sender,
                lanes: LaneTable::default(),
                closing: Waiters::new(),
                is_over: false,
            }),
            compressors: Compressors::new(settings.compression, shared.clone()),
            signal,
            ticking: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            life: AtomicU8::new(OPEN),
            is_stopped: AtomicBool::new(false),
            ended_by: OnceLock::new(),
            settings,
            queue_settings,
            partitioner,
        })
    }

    /// Starts the tasks.
    pub(crate) fn start(self: &Arc<Self>) {
        drop(self.tasks.start(Box::pin(driver::drive(Arc::clone(self)))));
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

    /// Somebody waits for a topic.
    pub(crate) fn want_topic(&self, topic: &TopicName) {
        self.with_control("to want a topic", |control, _| control.sender.want_topic(topic, now()));
    }

    /// Why no broker answers, in words.
    pub(crate) fn connection_trouble(&self) -> Option<Arc<str>> {
        self.lock("to ask for the last failure").sender.last_failure().map(Arc::from)
    }

    /// Which broker keeps memory from becoming free, in words.
    pub(crate) fn silence(&self) -> Option<Arc<str>> {
        let sender = &self.lock("to ask who answers nothing").sender;
        sender.silence(now()).or_else(|| sender.last_failure()).map(Arc::from)
    }

    /// How many hopeless failures there were: for [`hopeless_since`](Self::hopeless_since).
    pub(crate) fn hopeless_count(&self) -> u64 {
        self.lock("to begin a wait").sender.hopeless_count()
    }

    /// A failure that came after the given count, and that waiting does not cure.
    pub(crate) fn hopeless_since(&self, count: u64) -> Option<Arc<str>> {
        self.lock("to look for a hopeless failure").sender.hopeless_since(count).map(Arc::from)
    }

    /// Somebody waits for memory: whatever lingers must go.
    pub(crate) fn press(&self) {
        self.all_gates().iter().for_each(|gate| gate.wake());
    }

    /// Whether a node's pump has more to look at than its gate: calls to be made, or somebody who waits for memory.
    fn has_work(&self, node: NodeId) -> bool {
        self.lock("to see whether there is something to send").sender.has_work(node)
            || self.pool.waiting() > 0
    }

    /// A batch was begun: from now on time matters.
    #[inline]
    pub(crate) fn batch_begun(&self) {
        self.begun.store(true, Ordering::Relaxed);
        if !self.ticking.load(Ordering::SeqCst) {
            self.signal.set();
        }
    }

    /// Closes every open batch, so that it is sent, and gives the outcomes of all that is unresolved with the number of
    /// records of each.
    pub(crate) fn flush(&self, reason: SendReason) -> Vec<(Arc<Outcome>, u32)> {
        self.with_control("to flush", |control, afterwards| {
            let mut outcomes: Vec<_> =
                control.sender.unresolved().map(|(it, count)| (Arc::clone(it), count)).collect();
            for lane in control.lanes.iter() {
                let gate = Arc::clone(&lane.lock().gate);
                let mut state = gate.lock();
                let mut guard = lane.lock();
                guard.queue.close(reason);
                guard.closed |= reason == SendReason::Close;
                let in_lane = guard.queue.tags().filter(|_| !planted!(FlushMissesLane));
                outcomes.extend(in_lane.map(|(outcome, count)| (Arc::clone(outcome), count)));
                lane.report(&mut state, &guard);
                drop(guard);
                afterwards.wakers.extend(state.waker_for(true));
            }
            outcomes
        })
    }

    /// Gives up some of what is not resolved; the producer goes on.
    pub(crate) fn purge(&self, what: Purge, kind: FailureKind) -> Purged {
        self.with_control("to purge", |control, afterwards| {
            let now = now();
            let mut purged = control.sender.purge(what, kind, now);
            if !what.takes_queued() {
                return purged;
            }
            for lane in control.lanes.iter() {
                let gate = Arc::clone(&lane.lock().gate);
                let mut state = gate.lock();
                let mut guard = lane.lock();
                if guard.queue.is_empty() {
                    continue;
                }
                let batches = guard.queue.drain_all(SendReason::Flush);
                lane.report(&mut state, &guard);
                drop((guard, state));
                for batch in batches {
                    purged.queued += u64::from(batch.count());
                    control.sender.give_up(lane.id, &unsent(&batch), kind, now);
                    afterwards.dropped.push(batch);
                }
            }
            purged
        })
    }

    /// A snapshot of what was done.
    pub(crate) fn stats(&self) -> Stats {
        let control = self.lock("to take a snapshot");
        let mut stats = control.sender.counters().snapshot(self.queue_settings.limits.batch_limit());
        stats.records = control.lanes.iter().map(|lane| lane.lock().queue.appended()).sum();
        stats.brokers = control.sender.broker_stats();
        drop(control);
        stats.buffer_used = self.pool.used() as u64;
        stats.buffer_limit = self.pool.limit() as u64;
        stats.buffer_waiting = self.pool.waiting() as u64;
        stats
    }

    /// Who is taken for the leader of each partition, and since which epoch.
    #[cfg(test)]
    pub(crate) fn leaders(&self) -> Vec<(TopicName, i32, NodeId, i32)> {
        let control = self.lock("to look who leads");
        let led = control.lanes.iter().filter_map(|lane| {
            let (leader, epoch) = control.sender.leader_of(lane.id)?;
            Some((lane.topic.clone(), lane.partition, leader?, epoch?))
        });
        led.collect()
    }

    /// Partitions of which something lingers and nothing is on its way, since when it could have been sent, and how many requests
    /// their leader has not answered.
    #[cfg(test)]
    pub(crate) fn lingering(&self) -> Vec<(TopicName, i32, Instant, usize)> {
        let control = self.lock("to look what lingers");
        let mut found = Vec::new();
        for lane in control.lanes.iter().filter(|lane| control.sender.has_nothing_out(lane.id)) {
            let gate = Arc::clone(&lane.lock().gate);
            // One without a leader goes nowhere.
            let is_full = Arc::ptr_eq(&gate, &self.nowhere) || gate.lock().is_full();
            let wait = lane.lock().queue.readiness().map(|readiness| readiness.wait);
            let out = control.sender.requests_out(gate.node).filter(|_| !is_full);
            if let (Some(kafka_batch::Wait::Linger(until)), Some((out, connected))) = (wait, out) {
                let since = until.checked_sub(self.queue_settings.linger).unwrap_or(until).max(connected);
                found.push((lane.topic.clone(), lane.partition, since, out));
            }
        }
        found
    }

    /// The partitions of a topic as last heard of.
    pub(crate) fn partitions(&self, topic: &TopicName) -> Vec<kafka_net::PartitionView> {
        let control = self.lock("to look at a topic");
        control.sender.view().topic(topic.as_str()).map(|topic| topic.partitions.clone()).unwrap_or_default()
    }

    /// Keeps an eye on brokers that take nothing although there is something for them: records that can go elsewhere do.
    /// Whether there is such a broker. `before`: whether there was one when it was last looked.
    fn see_to_stalls(&self, control: &Control, timeout: Duration, before: bool, now: Instant) -> bool {
        let stalls = self.all_gates().iter().filter(|gate| gate.lock().see_to_stall(timeout, now)).count();
        if stalls > 0 || before {
            for lane in control.lanes.iter() {
                let gate = Arc::clone(&lane.lock().gate);
                lane.set_stalled(gate.lock().is_stalled);
            }
        }
        stalls > 0
    }

    /// Gives up the batches of a gate that waited too long, before they were sent.
    fn expire(&self, control: &mut Control, afterwards: &mut Afterwards, gate: &Arc<Gate>, now: Instant) {
        let mut state = gate.lock();
        if state.index.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        let expired: Vec<LaneId> = state.index.expired(now).collect();
        for id in expired {
            let Some(lane) = control.lanes.get(id) else { continue };
            let mut guard = lane.lock();
            if !Arc::ptr_eq(&guard.gate, gate) {
                state.index.update(id, None);
                continue;
            }
            let batches = guard.queue.expire(now);
            lane.report(&mut state, &guard);
            drop(guard);
            for batch in batches {
                control.sender.give_up(id, &unsent(&batch), FailureKind::Expired, now);
                afterwards.dropped.push(batch);
            }
        }
    }

    /// Wakes all who wait for a topic, to look for other news than the topic's own.
    fn wake_topics(&self) {
        for topic in self.topics.all() {
            wake_all(topic.learn(topic.trouble()));
        }
    }

    /// The gate of a node, made if need be.
    fn gate(&self, node: NodeId) -> Arc<Gate> {
        if let Some(gate) = self.gates().get(&node) {
            return Arc::clone(gate);
        }
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(node).or_insert_with(|| Gate::new(node)))
    }

    /// Every gate, the one of partitions without a leader included. Owned, so that other locks can be taken.
    fn all_gates(&self) -> Vec<Arc<Gate>> {
        self.gates().values().chain([&self.nowhere]).cloned().collect()
    }

    /// The gates by node. No other lock is taken, but for a gate's own, while this is held.
    fn gates(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<NodeId, Arc<Gate>>> {
        self.gates.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sender's lock. The purpose is for whoever reads the code.
    pub(crate) fn lock(&self, _purpose: &'static str) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(|poisoned| {
            // A panic while somebody only looked. What it left is not looked at again.
            let mut control = poisoned.into_inner();
            self.control.clear_poison();
            self.tear_down(&mut control);
            self.signal.set();
            control
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).finish_non_exhaustive()
    }
}

fn unsent(batch: &DrainedBatch<Arc<Outcome>>) -> Unsent<'_> {
    Unsent { outcome: batch.tag(), count: batch.count(), begun: batch.created() }
}

/// How many batches are worth compressing at once.
pub(crate) fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Kafka's rule for names.
fn is_legal(name: &str) -> bool {
    (1..=MAX_TOPIC_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

const MAX_TOPIC_NAME: usize = 249;

/// Records are accepted.
const OPEN: u8 = 0;
/// No more records; what was accepted goes on.
const CLOSED: u8 = 1;
/// Nothing goes on.
const ABORTED: u8 = 2;
