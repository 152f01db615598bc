//! [`Sender`]: the control plane of the producer, without I/O.

mod call;
mod change;
mod cluster;
mod disposition;
mod effects;
mod ending;
mod evidence;
mod expiry;
mod identity;
mod ledger;
mod log;
mod produce;
mod reply;
mod sequence;
mod timers;
mod turns;
mod waits;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_net::{Backoff, ClusterChange, Metadata, SILENT_LOAD};
use kafka_wire::{Acks, ErrorCode, NodeId, TopicId, TopicName};

pub(crate) use self::{
    call::{Call, Reply},
    effects::{Effects, Grown, News, Resolution, Route, SplitJob},
    ending::Unsent,
    log::{guarded, tell_other},
    produce::{Drained, Supply},
};
use self::{
    expiry::{Expiries, Expiry},
    identity::IdentityMachine,
    ledger::{Ledger, Numbers},
    log::LogBudget,
    timers::Timers,
    turns::Turns,
    waits::Spans,
};
use crate::{
    delivery::Outcome,
    planted::planted,
    stats::{BrokerStats, Counters, NodeStats},
};

/// A sealed batch, carrying the outcome its records wait for.
pub(crate) type Sealed = kafka_batch::SealedBatch<Arc<Outcome>>;

/// The state machine between the lanes and the connections.
///
/// It owns the ledgers of all partitions, the picture of the cluster, and the producer's identity. It is told the
/// time and asked for output; it owns no socket, task, lock or clock.
///
/// Its methods come in four kinds:
/// * (A) questions: `&self`, no time;
/// * (B) inputs: `handle_*`, with `now`;
/// * (C) commands: a verb, with `now` where it matters;
/// * (D) outputs: `poll_*`, and the [`Effects`] that inputs and commands leave behind.
///
/// After each B, C or D, [`move_effects`](Self::move_effects) must be called, and what it gives be carried out
/// where no lock is held.
#[derive(Debug)]
pub(crate) struct Sender {
    settings: SenderSettings,
    partitions: Vec<Partition>,
    topics: BTreeMap<TopicName, TopicState>,
    nodes: BTreeMap<NodeId, Node>,
    metadata: Metadata,
    /// How many clusters there were before this one. Calls carry it, since answers of another one are nobody's.
    cluster_number: u32,
    /// How this one came.
    change: Option<Arc<ClusterChange>>,
    identity: IdentityMachine,
    timers: Timers,
    /// An error that no later batch can escape, and what there is to say about it.
    fatal: Option<ErrorCode>,
    fatal_reason: Option<Arc<str>>,
    /// Partitions without a leader that had batches in their ledger when they lost it.
    orphans: BTreeSet<LaneId>,
    /// A panic has ended it: see [`tear_down`](Self::tear_down).
    is_torn_down: bool,
    /// The batch that is on its way into its ledger or out of it. A panic would lose it otherwise.
    on_its_way: Option<OnItsWay>,
    expiries: Expiries,
    /// Batches in all ledgers.
    unresolved: usize,
    /// When their topics are next said to be wanted.
    keep_topics_at: Option<Instant>,
    /// Batches that were drained and are not sealed yet.
    sealing: usize,
    last_offer: u64,
    /// How often batches were drained.
    drains: u64,
    /// Nodes that had more to drain than could be sealed.
    turns: Turns,
    /// Which parts of a request have their answer, while a response is read: kept so that none needs another list.
    answered: Vec<bool>,
    rng: fastrand::Rng,
    effects: Effects,
    counters: Counters,
    log: LogBudget,
}

/// What the sender must know of the settings.
#[derive(Debug, Clone)]
pub(crate) struct SenderSettings {
    pub(crate) acks: Acks,
    pub(crate) idempotent: bool,
    /// Unresolved batches of a partition, over all connections.
    pub(crate) max_unresolved: usize,
    pub(crate) max_request_size: usize,
    /// Attempts beyond the first.
    pub(crate) retries: u32,
    pub(crate) retry_backoff: Backoff,
    pub(crate) request_timeout: Duration,
    /// How long a batch may wait for records to join it.
    pub(crate) linger: Duration,
    /// The oldest version of Produce that can carry the codec.
    pub(crate) min_produce_version: i16,
    /// How many drained batches may wait to be sealed.
    pub(crate) max_sealing: usize,
}

/// A partition that is produced to; an index.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId(pub(crate) u32);

#[derive(Debug)]
struct Partition {
    topic: TopicName,
    partition: i32,
    leader: Option<NodeId>,
    leader_epoch: Option<i32>,
    ledger: Ledger<Sealed>,
    /// The last answer named it by no id, or there was none.
    is_by_name: bool,
    /// The number of the offer to its leader that stands, if one does.
    offer: Option<u64>,
    /// That offer holds from a later time on.
    rests: bool,
    expiry: Expiry,
    /// When it had no leader.
    leaderless: Spans,
    /// When its topic did not have it any more.
    gone: Spans,
    /// The [`drain`](Sender::drain) that last took a batch of it.
    drained_in: u64,
}

/// A batch that is in no ledger for a moment.
#[derive(Debug)]
struct OnItsWay {
    outcome: Arc<Outcome>,
    count: u32,
    may_be_written: bool,
}

/// A partition has something for a node. Void if the partition has made another offer since.
#[derive(Debug, Clone, Copy)]
struct Offer {
    lane: LaneId,
    number: u64,
}

#[derive(Debug)]
struct TopicState {
    /// Another id is another topic of the same name (KIP-516).
    id: TopicId,
    /// How many partitions it has under this id, as far as was told.
    count: usize,
    /// By partition index; those included that it had under another id.
    lanes: Vec<LaneId>,
    /// When brokers did not know it any more.
    gone: Spans,
    /// Batches of it wait until the cluster has told of it again.
    is_awaited: bool,
    /// What the cluster told last has fewer partitions than the same topic had before metadata forgot it.
    is_short: bool,
}

impl Default for TopicState {
    fn default() -> Self {
        Self {
            id: TopicId::ZERO,
            count: 0,
            lanes: Vec::new(),
            gone: Spans::there(),
            is_awaited: false,
            is_short: false,
        }
    }
}

/// A broker, as far as batches are concerned.
#[derive(Debug)]
struct Node {
    /// Partitions with a batch in the ledger that can be sent, in turn.
    sendable: VecDeque<Offer>,
    /// Partitions with a batch that can be sent from a time on, by that time and the offer's number.
    later: BTreeMap<(Instant, u64), LaneId>,
    /// Produce requests that are not answered.
    in_flight: usize,
    /// When it last answered one of them, or was sent the first of them.
    heard: Option<Instant>,
    /// Calls that any node could have been asked.
    control: VecDeque<Call>,
    /// It is to be connected to, although there is nothing to send yet.
    wanted: bool,
    connection: Connection,
    /// When there was no connection.
    unconnected: Spans,
    /// When it asked for a pause.
    throttled: Spans,
    stats: NodeStats,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            sendable: VecDeque::new(),
            later: BTreeMap::new(),
            in_flight: 0,
            heard: None,
            control: VecDeque::new(),
            wanted: false,
            connection: Connection::None,
            unconnected: Spans::missing(),
            throttled: Spans::there(),
            stats: NodeStats::default(),
        }
    }
}

impl Node {
    /// What speaks against asking it something that any node could be asked: what it has to do before, and above all that it
    /// has not answered for a while. A question waits for all that was sent before it.
    fn load(&self, now: Instant) -> usize {
        let is_silent = |heard: Instant| now.saturating_duration_since(heard) >= SILENT_AFTER;
        let silent = self.in_flight > 0 && self.heard.is_some_and(is_silent);
        self.in_flight + self.control.len() + if silent { SILENT_LOAD } else { 0 }
    }

    /// Whether anybody still has business with it.
    fn is_used(&self) -> bool {
        let is_idle = self.sendable.is_empty() && self.later.is_empty() && self.control.is_empty();
        !is_idle || self.in_flight > 0 || self.connection != Connection::None
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Connection {
    #[default]
    None,
    Connecting,
    Ready,
}

impl Sender {
    pub(crate) fn new(settings: SenderSettings, metadata: Metadata, seed: u64) -> Self {
        let mut timers = Timers::default();
        let identity = IdentityMachine::new(settings.idempotent, &mut timers);
        Self {
            settings,
            partitions: Vec::new(),
            topics: BTreeMap::new(),
            nodes: BTreeMap::new(),
            metadata,
            cluster_number: 0,
            change: None,
            identity,
            timers,
            fatal: None,
            fatal_reason: None,
            orphans: BTreeSet::new(),
            is_torn_down: false,
            on_its_way: None,
            expiries: Expiries::default(),
            unresolved: 0,
            keep_topics_at: None,
            sealing: 0,
            last_offer: 0,
            drains: 0,
            turns: Turns::default(),
            answered: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            effects: Effects::default(),
            counters: Counters::default(),
            log: LogBudget::new(),
        }
    }

    /// (A) Whether no drained batch is without its answer.
    pub(crate) fn is_drained(&self) -> bool {
        self.unresolved == 0
    }

    /// (A) The counters kept here.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// (A) The outcomes of all unresolved batches, with their record counts.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = (&Arc<Outcome>, u32)> {
        let entries = self.partitions.iter().flat_map(|partition| partition.ledger.iter());
        let entries = entries.filter(|entry| !planted!(FlushMisses) || entry.batch.is_some());
        entries.map(|entry| (&entry.outcome, entry.count))
    }

    /// (A) What there is to say about each broker.
    pub(crate) fn broker_stats(&self) -> Vec<BrokerStats> {
        let brokers = self.nodes.iter().filter(|(id, _)| id.0 >= 0);
        let stats = brokers.map(|(id, node)| {
            let waiting = node.sendable.len() + node.later.len();
            node.stats.snapshot(*id, node.in_flight, node.connection == Connection::Ready, waiting)
        });
        stats.collect()
    }

    /// Whether requests can be made: not before there is a producer id, unless batches go out without numbers.
    fn has_numbers(&self) -> bool {
        !matches!(self.identity.numbers(), Some(Numbers::Wanted))
    }

    /// (C) Randomness for somebody else, by the sender's own generator.
    pub(crate) fn draw_seed(&mut self) -> u64 {
        self.rng.u64(..)
    }

    /// (A) An error that no later batch can escape.
    pub(crate) fn fatal(&self) -> Option<ErrorCode> {
        self.fatal
    }

    /// (A) What there is to say about it, beside the code.
    pub(crate) fn fatal_reason(&self) -> Option<&Arc<str>> {
        self.fatal_reason.as_ref()
    }

    /// (A) Whether anything is to be done outside since [`move_effects`](Self::move_effects) was last called.
    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// (D) What is to be done outside, since the last call.
    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// (D) What is to be done outside, since the last call. Lists that were carried out are filled again without an allocation.
    pub(crate) fn move_effects(&mut self, into: &mut Effects) {
        if into.is_empty() {
            std::mem::swap(&mut self.effects, into);
        } else {
            into.append(&mut self.effects);
        }
    }

    /// (D) The error with which everything that waits is to be given up, if there is one; later batches may fare better.
    pub(crate) fn take_refused(&mut self) -> Option<ErrorCode> {
        self.effects.refused.take()
    }

    /// (A) Who leads a partition, as far as is known, and since which epoch.
    #[cfg(test)]
    pub(crate) fn leader_of(&self, lane: LaneId) -> Option<(Option<NodeId>, Option<i32>)> {
        self.partition(lane).map(|partition| (partition.leader, partition.leader_epoch))
    }

    /// (A) Whether the producer has an id.
    #[cfg(test)]
    pub(crate) fn is_identified(&self) -> bool {
        self.identity.known().is_some()
    }

    /// (A) Whether everything that was taken out of a partition's lane is resolved.
    #[cfg(test)]
    pub(crate) fn has_nothing_out(&self, lane: LaneId) -> bool {
        self.partition(lane).is_some_and(|partition| partition.ledger.is_empty())
    }

    /// (A) How many Produce requests a node has not answered, and since when it is connected to, if it is and could be sent more.
    #[cfg(test)]
    pub(crate) fn requests_out(&self, node: NodeId) -> Option<(usize, Instant)> {
        let has_numbers = !self.identity.is_idempotent() || self.identity.known().is_some();
        let node = self.nodes.get(&node).filter(|_| has_numbers)?;
        let since =
            node.unconnected.there_since().filter(|_| matches!(node.connection, Connection::Ready))?;
        Some((node.in_flight, since))
    }

    /// (C) Partitions that nothing was sent to begin with this sequence, as if so many records had gone before.
    #[cfg(test)]
    pub(crate) fn number_from(&mut self, sequence: i32) {
        let Some(identity) = self.identity.known() else { return };
        for partition in &mut self.partitions {
            if partition.ledger.identity() == sequence::Identity::NONE {
                partition.ledger.set_identity(identity);
                partition.ledger.set_next(sequence);
            }
        }
    }

    fn partition(&self, lane: LaneId) -> Option<&Partition> {
        self.partitions.get(lane.0 as usize)
    }

    fn partition_mut(&mut self, lane: LaneId) -> Option<&mut Partition> {
        self.partitions.get_mut(lane.0 as usize)
    }
}

/// A node that has had a Produce request for so long without answering any is asked other things only if nobody else can be:
/// it may be waiting for its replicas, or be frozen. Longer than most answers take.
const SILENT_AFTER: Duration = Duration::from_secs(1);
