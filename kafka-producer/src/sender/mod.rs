//! [`Sender`]: the control plane of the producer, without I/O.
//!
//! It consists of rooms, each of which owns a part of the state, and alone writes it: their fields are private.
//!
//! | room | owns |
//! |---|---|
//! | [`identity`] | who numbers the batches, whom that was asked of |
//! | [`routes`] | the metadata, topics and their lanes, which cluster is meant |
//! | [`partition`] | unresolved batches ([`ledger`], [`evidence`]), the leader, what was missing |
//! | [`outbox`] | what is to be sent to which node, what is in flight, connections |
//! | [`turns`] | how many batches are being sealed, who drains next |
//! | [`expiry`] | when to look into which ledger |
//! | [`timers`] | when there is something to do although nothing happens |
//! | [`outlet`] | what is to be done outside, counted and logged; whether all is resolved |
//!
//! The methods of [`Sender`] find what an event is about, once, and hand it on: a partition its event, with the other rooms beside
//! it ([`Cx`]). They stand with what they are about: `produce` (requests), `reply` (answers), `ending` (batches given up), `cluster`
//! (connections, metadata, the producer id), `change` (another cluster).

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
mod outbox;
mod outlet;
mod partition;
mod produce;
mod reply;
mod routes;
mod sequence;
mod timers;
mod turns;
mod waits;

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_net::{Backoff, Metadata};
use kafka_wire::{Acks, ErrorCode, NodeId};

pub(crate) use self::{
    call::{Call, Reply},
    effects::{Effects, Grown, News, Resolution, Route, SplitJob},
    ending::Unsent,
    log::{guarded, tell_other},
    produce::{Drained, Supply},
};
use self::{
    expiry::Expiries,
    identity::IdentityMachine,
    ledger::Numbers,
    outbox::Outbox,
    outlet::Outlet,
    partition::{Cx, Partition, Partitions},
    routes::Routes,
    timers::Timers,
    turns::Turns,
};
use crate::{
    delivery::Outcome,
    planted::planted,
    stats::{BrokerStats, Counters},
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
    partitions: Partitions,
    identity: IdentityMachine,
    routes: Routes,
    outbox: Outbox,
    turns: Turns,
    expiries: Expiries,
    timers: Timers,
    out: Outlet,
    rng: fastrand::Rng,
    /// Which parts of a request have their answer, while a response is read: kept so that none needs another list.
    answered: Vec<bool>,
    /// A panic has ended it: see [`tear_down`](Self::tear_down).
    is_torn_down: bool,
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

impl Sender {
    pub(crate) fn new(settings: SenderSettings, metadata: Metadata, seed: u64) -> Self {
        let mut timers = Timers::default();
        let identity = IdentityMachine::new(settings.idempotent, &mut timers);
        let turns = Turns::new(settings.max_sealing);
        Self {
            settings,
            partitions: Partitions::default(),
            identity,
            routes: Routes::new(metadata),
            outbox: Outbox::default(),
            turns,
            expiries: Expiries::default(),
            timers,
            out: Outlet::new(),
            rng: fastrand::Rng::with_seed(seed),
            answered: Vec::new(),
            is_torn_down: false,
        }
    }

    /// (A) Whether no drained batch is without its answer.
    pub(crate) fn is_drained(&self) -> bool {
        self.out.is_drained()
    }

    /// (A) The counters kept here.
    pub(crate) fn counters(&self) -> &Counters {
        &self.out.counters
    }

    /// (A) The outcomes of all unresolved batches, with their record counts.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = (&Arc<Outcome>, u32)> {
        let entries = self.partitions.iter().flat_map(Partition::entries);
        let entries = entries.filter(|entry| !planted!(FlushMisses) || entry.batch.is_some());
        entries.map(|entry| (&entry.outcome, entry.count))
    }

    /// (A) What there is to say about each broker.
    pub(crate) fn broker_stats(&self) -> Vec<BrokerStats> {
        self.outbox.stats().collect()
    }

    /// (C) Randomness for somebody else, by the sender's own generator.
    pub(crate) fn draw_seed(&mut self) -> u64 {
        self.rng.u64(..)
    }

    /// (A) An error that no later batch can escape.
    pub(crate) fn fatal(&self) -> Option<ErrorCode> {
        self.out.fatal()
    }

    /// (A) What there is to say about it, beside the code.
    pub(crate) fn fatal_reason(&self) -> Option<&Arc<str>> {
        self.out.fatal_reason()
    }

    /// (A) Whether anything is to be done outside since [`move_effects`](Self::move_effects) was last called.
    pub(crate) fn has_effects(&self) -> bool {
        !self.out.effects.is_empty()
    }

    /// (D) What is to be done outside, since the last call.
    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.out.effects)
    }

    /// (D) What is to be done outside, since the last call. Lists that were carried out are filled again without an allocation.
    pub(crate) fn move_effects(&mut self, into: &mut Effects) {
        if into.is_empty() {
            std::mem::swap(&mut self.out.effects, into);
        } else {
            into.append(&mut self.out.effects);
        }
    }

    /// (D) The error with which everything that waits is to be given up, if there is one; later batches may fare better.
    pub(crate) fn take_refused(&mut self) -> Option<ErrorCode> {
        self.out.effects.refused.take()
    }

    /// Whether requests can be made: not before there is a producer id, unless batches go out without numbers.
    fn has_numbers(&self) -> bool {
        !matches!(self.identity.numbers(), Some(Numbers::Wanted))
    }

    /// The partitions, and the other rooms beside them.
    fn rooms(&mut self, now: Instant) -> (&mut Partitions, Cx<'_>) {
        let cx = Cx {
            now,
            settings: &self.settings,
            identity: &mut self.identity,
            routes: &mut self.routes,
            outbox: &mut self.outbox,
            expiries: &mut self.expiries,
            timers: &mut self.timers,
            rng: &mut self.rng,
            out: &mut self.out,
        };
        (&mut self.partitions, cx)
    }

    /// The partition that an event is about, and the other rooms beside it.
    fn partition(&mut self, lane: LaneId, now: Instant) -> Option<(&mut Partition, Cx<'_>)> {
        let (partitions, cx) = self.rooms(now);
        Some((partitions.of_mut(lane)?, cx))
    }

    /// An event of every partition.
    fn each_partition(&mut self, now: Instant, mut event: impl FnMut(&mut Partition, &mut Cx<'_>)) {
        let (partitions, mut cx) = self.rooms(now);
        partitions.iter_mut().for_each(|partition| event(partition, &mut cx));
    }

    /// There is room to seal: whoever had to stop for the lack of it goes on.
    fn wake_next(&mut self, next: Option<NodeId>) {
        if let Some(node) = next {
            self.out.wake(node);
        }
    }
}

#[cfg(test)]
impl Sender {
    /// (A) Who leads a partition, as far as is known, and since which epoch.
    pub(crate) fn leader_of(&self, lane: LaneId) -> Option<(Option<NodeId>, Option<i32>)> {
        self.partitions.of(lane).map(|partition| (partition.leader(), partition.leader_epoch()))
    }

    /// (A) Whether the producer has an id.
    pub(crate) fn is_identified(&self) -> bool {
        self.identity.known().is_some()
    }

    /// (A) Whether everything that was taken out of a partition's lane is resolved.
    pub(crate) fn has_nothing_out(&self, lane: LaneId) -> bool {
        self.partitions.of(lane).is_some_and(Partition::is_empty)
    }

    /// (A) How many Produce requests a node has not answered, and since when it is connected to, if it is and could be sent more.
    pub(crate) fn requests_out(&self, node: NodeId) -> Option<(usize, Instant)> {
        let has_numbers = !self.identity.is_idempotent() || self.is_identified();
        self.outbox.requests_out(node).filter(|_| has_numbers)
    }

    /// (C) Partitions that nothing was sent to begin with this sequence, as if so many records had gone before.
    pub(crate) fn number_from(&mut self, sequence: i32) {
        let Some(identity) = self.identity.known() else { return };
        for ledger in self.partitions.iter_mut().map(Partition::ledger_mut) {
            if ledger.identity() == sequence::Identity::NONE {
                ledger.set_identity(identity);
                ledger.set_next(sequence);
            }
        }
    }

    /// The ledger of a partition that is known.
    fn ledger(&mut self, lane: u32) -> &mut ledger::Ledger<Sealed> {
        self.partitions.of_mut(LaneId(lane)).expect("known").ledger_mut()
    }
}
