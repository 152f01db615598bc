//! The producer without its shell: the real queues, ready indices, memory and sender, composed as `io/` does it, for one
//! owner and without locks.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use kafka_batch::{
    AppendError, CHUNK_SIZE, Chunk, Compression, Compressor, DrainedBatch, Limits, PartitionQueue, Pool,
    QueueSettings, ReadyIndex, Record, SendReason, Stamp, Ticket,
};
use kafka_net::{Backoff, CallResult, Demand, Endpoint, Metadata, MetadataConfig, Next, Status};
use kafka_wire::{Acks, ErrorCode, NodeId, TopicName};

use super::{
    brokers::address,
    invariants::{Checker, Flag, Violation},
    plan::Setup,
};
use crate::{
    append::Source,
    delivery::{BatchResult, Delivery, Outcome},
    error::FailureKind,
    plane::draw::{Draw, Lanes, Taken},
    purge::Purge,
    sender::{Call, Drained, Effects, LaneId, Reply, Sender, SenderSettings, SplitJob, Supply, Unsent},
};

/// Everything of a producer but its sockets.
pub(crate) struct Client {
    pub(crate) sender: Sender,
    pub(crate) pool: Arc<Pool>,
    queues: QueueSettings,
    lanes: Vec<Lane>,
    /// The first one is of partitions without a leader; nobody pumps there.
    pub(crate) gates: Vec<Gate>,
    by_node: BTreeMap<NodeId, usize>,
    topics: BTreeMap<TopicName, Vec<LaneId>>,
    compression: Compression,
    compressor: Compressor,
    /// The driver is to take its turn.
    pub(crate) signal: bool,
    pub(crate) is_closed: bool,
    pub(crate) is_aborted: bool,
    pub(crate) blocked: VecDeque<Blocked>,
    pub(crate) jobs: Vec<Job>,
    /// Outcomes that were set.
    resolved: BTreeSet<usize>,
    /// They are kept, so that no other one has their address.
    kept: Vec<Arc<Outcome>>,
    /// Batches given up.
    pub(crate) failures: u64,
    first_sequence: i32,
    max_block: Duration,
    /// At most so much of the memory in use was taken by splits.
    pub(crate) overdrawn: usize,
    /// What was seen here and must not be: a batch resolved twice, a split that took more memory than it may.
    pub(crate) violation: Option<Violation>,
}

struct Lane {
    topic: TopicName,
    partition: i32,
    queue: PartitionQueue<Arc<Outcome>>,
    gate: usize,
}

/// What one broker's pump looks at.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) node: NodeId,
    pub(crate) index: ReadyIndex<LaneId>,
    pub(crate) woken: bool,
    pub(crate) end: End,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Open,
    Finish,
    Abort,
}

/// A record that waits for memory or for its partition.
pub(crate) struct Blocked {
    pub(crate) topic: TopicName,
    pub(crate) partition: u32,
    pub(crate) size: usize,
    pub(crate) until: Instant,
    pub(crate) ticket: Option<(Ticket, Arc<Flag>)>,
    granted: Vec<Chunk>,
    /// Its topic was asked for.
    wanted: bool,
}

/// Work outside of every lock, which takes its time.
pub(crate) enum Job {
    Seal(Drained),
    Split(SplitJob),
}

/// What became of a record that was to be appended.
pub(crate) enum Accepted {
    Yes,
    /// It waits.
    Blocked,
    Refused,
}

enum Stop {
    Room(usize),
    Partition,
    Refused,
}

impl Client {
    pub(crate) fn new(setup: &Setup, rng: &mut fastrand::Rng) -> Self {
        let limits = Limits::new(setup.batch_size, setup.max_request_size, setup.buffer_memory)
            .expect("the plan's limits fit together");
        let queues = QueueSettings { limits, linger: setup.linger, delivery_timeout: setup.delivery_timeout };
        let bootstrap: Vec<Endpoint> = (0..setup.nodes())
            .map(|broker| {
                let (host, port) = address(broker);
                Endpoint::new(host, port)
            })
            .collect();
        let mut config = MetadataConfig::default();
        config.retry_backoff = setup.retry_backoff;
        let metadata = Metadata::new(&bootstrap, config, rng.fork());
        let compression = if setup.compress { Compression::Snappy } else { Compression::None };
        let settings = SenderSettings {
            acks: Acks(setup.acks),
            idempotent: setup.idempotent,
            max_unresolved: setup.max_in_flight.min(5),
            max_request_size: setup.max_request_size,
            retries: setup.retries,
            retry_backoff: Backoff::new(setup.retry_backoff, setup.retry_backoff * 10),
            request_timeout: setup.request_timeout,
            linger: setup.linger,
            min_produce_version: 3,
            max_sealing: if setup.compress { 2 } else { usize::MAX },
        };
        Self {
            sender: Sender::new(settings, metadata, rng.u64(..)),
            pool: Pool::new(&limits),
            queues,
            lanes: Vec::new(),
            gates: vec![Gate { node: NodeId::NONE, ..Gate::default() }],
            by_node: BTreeMap::new(),
            topics: BTreeMap::new(),
            compression,
            compressor: Compressor::new(compression).expect("compiled in"),
            signal: true,
            is_closed: false,
            is_aborted: false,
            blocked: VecDeque::new(),
            jobs: Vec::new(),
            resolved: BTreeSet::new(),
            kept: Vec::new(),
            failures: 0,
            first_sequence: setup.first_sequence,
            max_block: setup.max_block,
            overdrawn: 0,
            violation: None,
        }
    }

    pub(crate) fn compresses(&self) -> bool {
        self.compression != Compression::None
    }

    /// Hands a record over.
    pub(crate) fn send(
        &mut self,
        topic: &TopicName,
        partition: u32,
        size: usize,
        now: Instant,
        checker: &mut Checker,
    ) -> Accepted {
        if self.is_closed {
            return Accepted::Refused;
        }
        let mut blocked = Blocked {
            topic: topic.clone(),
            partition,
            size,
            until: now + self.max_block,
            ticket: None,
            granted: Vec::new(),
            wanted: false,
        };
        let accepted = self.try_send(&mut blocked, now, checker);
        if matches!(accepted, Accepted::Blocked) {
            self.blocked.push_back(blocked);
        }
        accepted
    }

    /// Appends a record, or lets it wait for what is missing.
    pub(crate) fn try_send(
        &mut self,
        blocked: &mut Blocked,
        now: Instant,
        checker: &mut Checker,
    ) -> Accepted {
        if let Some((ticket, flag)) = &blocked.ticket {
            let waker = Waker::from(Arc::clone(flag));
            match self.pool.poll_grant(*ticket, &waker) {
                Some(chunks) => (blocked.granted, blocked.ticket) = (chunks, None),
                None => return Accepted::Blocked,
            }
        }
        match self.append(blocked, now, checker) {
            Ok(()) => Accepted::Yes,
            Err(Stop::Refused) => Accepted::Refused,
            Err(Stop::Partition) => {
                if !std::mem::replace(&mut blocked.wanted, true) {
                    self.sender.want_topic(&blocked.topic, now);
                    self.settle(None, now);
                }
                Accepted::Blocked
            }
            Err(Stop::Room(chunks)) => {
                blocked.granted = Vec::new();
                let flag = Arc::new(Flag::default());
                let waker = Waker::from(Arc::clone(&flag));
                let ticket = self.pool.wait(chunks, &waker);
                // Whatever lingers must go.
                self.gates.iter_mut().for_each(|gate| gate.woken = true);
                if let Some(chunks) = self.pool.poll_grant(ticket, &waker) {
                    blocked.granted = chunks;
                    return self.try_send(blocked, now, checker);
                }
                blocked.ticket = Some((ticket, flag));
                Accepted::Blocked
            }
        }
    }

    fn append(&mut self, blocked: &mut Blocked, now: Instant, checker: &mut Checker) -> Result<(), Stop> {
        let lanes = self.topics.get(&blocked.topic);
        let Some(&id) = lanes.and_then(|lanes| lanes.get(blocked.partition as usize)) else {
            return Err(Stop::Partition);
        };
        let value = checker.next_value(blocked.size);
        let record = Record { timestamp: 1, value: Some(&value), ..Record::default() };
        let lane = &mut self.lanes[id.0 as usize];
        let slot = match lane.queue.append_fast(&record) {
            Some(slot) => slot,
            None => {
                let make = || Arc::new(Outcome::new(lane.topic.clone(), lane.partition));
                let mut source = match blocked.granted.is_empty() {
                    true => Source::Pool(&self.pool),
                    false => Source::Granted(&mut blocked.granted),
                };
                let appended = lane.queue.append_slow(&record, now, &mut source, make);
                let gate = &mut self.gates[lane.gate];
                gate.index.update(id, lane.queue.readiness());
                gate.woken |= appended.edges.any();
                self.signal |= appended.edges.any();
                match appended.slot {
                    Ok(slot) => slot,
                    Err(AppendError::NoRoom { chunks }) if chunks * (16 << 10) <= self.pool.limit() => {
                        return Err(Stop::Room(chunks));
                    }
                    Err(_) => return Err(Stop::Refused),
                }
            }
        };
        let (topic, partition) = (lane.topic.clone(), lane.partition);
        checker.accepted(&topic, partition, blocked.size, Delivery::new(slot.tag, slot.index));
        Ok(())
    }

    /// Gives up waiting.
    pub(crate) fn cancel(&self, blocked: &Blocked) {
        if let Some((ticket, _)) = blocked.ticket {
            self.pool.cancel(ticket);
        }
    }

    /// Closes every open batch, and gives all that is unresolved.
    pub(crate) fn flush(&mut self, reason: SendReason) -> Vec<(Arc<Outcome>, u32)> {
        let mut outcomes: Vec<_> =
            self.sender.unresolved().map(|(outcome, count)| (Arc::clone(outcome), count)).collect();
        for (lane, id) in self.lanes.iter_mut().zip(0..) {
            lane.queue.close(reason);
            outcomes.extend(lane.queue.tags().map(|(outcome, count)| (Arc::clone(outcome), count)));
            let gate = &mut self.gates[lane.gate];
            gate.index.update(LaneId(id), lane.queue.readiness());
            gate.woken = true;
        }
        outcomes
    }

    /// Takes no more records.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.flush(SendReason::Close);
        for blocked in std::mem::take(&mut self.blocked) {
            self.cancel(&blocked);
        }
        self.signal = true;
    }

    /// Gives everything up.
    pub(crate) fn abort(&mut self, kind: FailureKind, now: Instant) {
        self.is_aborted = true;
        self.close();
        self.sender.abort(kind, now);
        let mut dropped = Vec::new();
        for (lane, id) in self.lanes.iter_mut().zip(0..) {
            for batch in lane.queue.drain_all(SendReason::Close) {
                self.sender.give_up(LaneId(id), &unsent(&batch), kind, now);
                dropped.push(batch);
            }
            self.gates[lane.gate].index.update(LaneId(id), None);
        }
        self.settle(None, now);
        for gate in &mut self.gates {
            gate.end = End::Abort;
            gate.woken = true;
        }
    }

    /// Gives some of it up, and goes on.
    pub(crate) fn purge(&mut self, what: Purge, kind: FailureKind, now: Instant) {
        self.sender.purge(what, kind, now);
        if what.takes_queued() {
            for (lane, id) in self.lanes.iter_mut().zip(0..) {
                for batch in lane.queue.drain_all(SendReason::Flush) {
                    self.sender.give_up(LaneId(id), &unsent(&batch), kind, now);
                }
                self.gates[lane.gate].index.update(LaneId(id), None);
            }
        }
        self.settle(None, now);
    }

    /// Whether no record waits for its answer.
    pub(crate) fn is_drained(&self) -> bool {
        self.sender.is_drained() && self.lanes.iter().all(|lane| lane.queue.is_empty())
    }

    /// The driver's turn: what is due and belongs to no broker. Says when there is more.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Instant> {
        self.sender.handle_timeout(now);
        let orphans: Vec<LaneId> = self.gates[0].index.keys().collect();
        self.sender.want_leaders(orphans, now);
        for gate in 0..self.gates.len() {
            self.expire(gate, now);
        }
        self.settle(None, now);
        self.signal = false;
        if let Some(code) = self.sender.fatal().filter(|_| !self.is_aborted) {
            self.abort(FailureKind::Rejected(code), now);
        }
        let due = self.gates.iter().filter_map(|gate| gate.index.first_expiry());
        due.chain(self.sender.poll_timeout(now)).min()
    }

    fn expire(&mut self, gate: usize, now: Instant) {
        let expired: Vec<LaneId> = self.gates[gate].index.expired(now).collect();
        for id in expired {
            let lane = &mut self.lanes[id.0 as usize];
            if lane.gate != gate {
                self.gates[gate].index.update(id, None);
                continue;
            }
            let batches = lane.queue.expire(now);
            self.gates[gate].index.update(id, lane.queue.readiness());
            for batch in batches {
                self.sender.give_up(id, &unsent(&batch), FailureKind::Expired, now);
            }
        }
    }

    /// A pump asks for a call.
    pub(crate) fn poll_call(&mut self, gate: usize, now: Instant) -> Next<Call> {
        match self.gates[gate].end {
            End::Open => {}
            End::Finish => return Next::Finish,
            End::Abort => return Next::Abort,
        }
        let node = self.gates[gate].node;
        self.gates[gate].woken = false;
        let has_work = self.sender.has_work(node) || self.pool.waiting() > 0;
        let wait = if self.gates[gate].index.is_due(now) || has_work {
            match self.look(gate, now) {
                Next::Wait(time) => time,
                next => return next,
            }
        } else {
            None
        };
        let due = self.gates[gate].index.poll_timeout().filter(|due| *due > now);
        Next::Wait(wait.into_iter().chain(due).min())
    }

    fn look(&mut self, gate: usize, now: Instant) -> Next<Call> {
        for _ in 1..MAX_LOOKS {
            let (next, has_taken) = self.look_once(gate, now);
            if !has_taken || !matches!(next, Next::Wait(_)) {
                return next;
            }
        }
        self.look_once(gate, now).0
    }

    /// The next call, and whether something was taken and sealed for it.
    fn look_once(&mut self, gate: usize, now: Instant) -> (Next<Call>, bool) {
        let node = self.gates[gate].node;
        let drained = self.drain(gate, now);
        let has_taken = !drained.is_empty() && !self.compresses();
        if self.compresses() {
            self.jobs.extend(drained.into_iter().map(Job::Seal));
        } else {
            for Drained { lane, key, batch, stamp } in drained {
                let sealed = batch.seal(stamp, &mut self.compressor);
                self.sender.handle_sealed(lane, key, sealed, now);
            }
        }
        let next = self.sender.poll_call(node, now);
        self.settle(Some(gate), now);
        (next, has_taken)
    }

    /// Takes what is ready out of the lanes.
    fn drain(&mut self, gate: usize, now: Instant) -> Vec<Drained> {
        self.expire(gate, now);
        let mut drained = Vec::new();
        let takes_along = !self.compresses();
        let pressure = self.pool.waiting() > 0;
        let node = self.gates[gate].node;
        let index = &mut self.gates[gate].index;
        let draw = Draw { now, pressure, takes_along };
        let mut draw = GateDraw { lanes: &mut self.lanes, index, gate, draw };
        self.sender.drain(node, now, &mut draw, &mut drained);
        // What goes along, or goes because somebody waits for memory, goes in the same request.
        let sizes: Vec<usize> = drained.iter().map(|drained| drained.batch.size()).collect();
        let limit = self.queues.limits.max_request_size();
        if sizes.len() > 1 && sizes.iter().sum::<usize>() > limit {
            let what = format!("batches of {sizes:?} bytes are drained for a request of {limit} at most");
            self.violation = Some(Violation { invariant: "size", what });
        }
        self.settle(Some(gate), now);
        drained
    }

    /// Whether a broker should be connected to, or when; `is_ready`: it is, and takes no call.
    pub(crate) fn demand(&mut self, gate: usize, is_ready: bool, now: Instant) -> Demand {
        if is_ready && self.compresses() {
            let drained = self.drain(gate, now);
            self.jobs.extend(drained.into_iter().map(Job::Seal));
        }
        let Gate { node, index, .. } = &self.gates[gate];
        let is_due = index.has_ready(now) || (!index.is_empty() && self.pool.waiting() > 0);
        match (self.sender.demand(*node, now), index.first_wait()) {
            _ if is_due && !is_ready => Demand::Connect,
            (Demand::Rest, Some(first)) => Demand::Later(first),
            (Demand::Later(time), Some(first)) => Demand::Later(time.min(first)),
            (demand, _) => demand,
        }
    }

    /// A job is done.
    pub(crate) fn done(&mut self, job: Job, now: Instant) {
        match job {
            Job::Seal(Drained { lane, key, batch, stamp }) => {
                let sealed = batch.seal(stamp, &mut self.compressor);
                self.sender.handle_sealed(lane, key, sealed, now);
            }
            Job::Split(SplitJob { lane, key, batch }) => {
                let (topic, partition) = (batch.tag().topic().clone(), batch.tag().partition());
                let make = || Arc::new(Outcome::new(topic.clone(), partition));
                let before = self.pool.used();
                match batch.split(&self.pool, make) {
                    Ok(split) => {
                        let (took, parts) = (self.pool.used() - before, split.len());
                        self.note_overdraft(took, parts, batch.predicted_size());
                        let compressor = &mut self.compressor;
                        let parts = split.into_iter().map(|part| part.seal(Stamp::NONE, compressor));
                        let parts = parts.collect();
                        self.sender.handle_split(lane, key, parts, now);
                    }
                    Err(_) => self.sender.handle_lost(lane, key, false, now),
                }
            }
        }
        self.settle(None, now);
    }

    /// The parts of a batch are there beside it, in chunks of their own: as many as their bytes fill, and one more for
    /// each part, which seldom fills its last. A batch of small records in one chunk may so need a chunk for each.
    fn note_overdraft(&mut self, took: usize, parts: usize, size: usize) {
        self.overdrawn += took;
        if took > (parts + size.div_ceil(CHUNK_SIZE)) * CHUNK_SIZE {
            let what = format!("{took} bytes for {parts} parts of a batch of {size} bytes");
            self.violation = Some(Violation { invariant: "I7", what });
        }
    }

    pub(crate) fn reply(&mut self, gate: usize, call: &Call, result: CallResult<Reply>, now: Instant) {
        let was_known = self.sender.is_identified();
        self.sender.handle_reply(self.gates[gate].node, call, result, now);
        if !was_known && self.sender.is_identified() && self.first_sequence != 0 {
            self.sender.number_from(self.first_sequence);
        }
        self.settle(Some(gate), now);
    }

    pub(crate) fn status(&mut self, gate: usize, status: &Status, now: Instant) {
        self.sender.handle_status(self.gates[gate].node, status, now);
        self.settle(None, now);
    }

    /// Carries out what the sender wants done. `from`: the gate of the pump that looks again anyway.
    pub(crate) fn settle(&mut self, from: Option<usize>, now: Instant) {
        while self.sender.has_effects() {
            let effects = self.sender.take_effects();
            self.carry_out(effects, from, now);
        }
    }

    fn carry_out(&mut self, effects: Effects, from: Option<usize>, now: Instant) {
        if effects.begins_anew {
            for (_, gate) in std::mem::take(&mut self.by_node) {
                (self.gates[gate].end, self.gates[gate].woken) = (End::Abort, true);
            }
        }
        for node in effects.hang_up_on {
            if let Some(gate) = self.by_node.remove(&node) {
                (self.gates[gate].end, self.gates[gate].woken) = (End::Abort, true);
                // Its lanes go on at the gate of the next connection.
                let next = self.gate(node);
                for (id, lane) in (0..).zip(&mut self.lanes).filter(|(_, lane)| lane.gate == gate) {
                    lane.gate = next;
                    self.gates[next].index.update(LaneId(id), lane.queue.readiness());
                }
            }
        }
        for grown in effects.grown {
            let known = self.topics.entry(grown.topic.clone()).or_default();
            for (partition, lane) in (grown.first..).zip(&grown.lanes) {
                assert_eq!(lane.0 as usize, self.lanes.len(), "lanes are numbered alike on both sides");
                assert_eq!(partition as usize, known.len(), "partitions appear in order");
                known.push(*lane);
                self.lanes.push(Lane {
                    topic: grown.topic.clone(),
                    partition: partition as i32,
                    queue: PartitionQueue::new(self.queues),
                    gate: 0,
                });
            }
            if self.sender.is_identified() && self.first_sequence != 0 {
                self.sender.number_from(self.first_sequence);
            }
        }
        for route in effects.routes {
            let gate = route.leader.map_or(0, |node| self.gate(node));
            let lane = &mut self.lanes[route.lane.0 as usize];
            let old = std::mem::replace(&mut lane.gate, gate);
            if old != gate {
                self.gates[old].index.update(route.lane, None);
            }
            self.gates[gate].index.update(route.lane, lane.queue.readiness());
            self.gates[gate].woken = true;
        }
        if effects.brokers || effects.hang_up {
            let end = if effects.hang_up { End::Abort } else { End::Finish };
            let view = Arc::clone(self.sender.view());
            let gates = &mut self.gates;
            self.by_node.retain(|node, gate| {
                let stays = view.brokers.contains_key(node);
                if !stays {
                    gates[*gate].end = end;
                    gates[*gate].woken = true;
                }
                stays
            });
        }
        for node in effects.wake {
            if let Some(&gate) = self.by_node.get(&node) {
                self.gates[gate].woken |= from != Some(gate);
            }
        }
        for resolution in effects.resolved {
            let address = Arc::as_ptr(&resolution.outcome) as usize;
            if !self.resolved.insert(address) {
                let what = format!("a batch was resolved twice, now with {:?}", resolution.result);
                self.violation = Some(Violation { invariant: "I5", what });
                continue;
            }
            self.failures += u64::from(matches!(resolution.result, BatchResult::Failed(_)));
            self.kept.push(Arc::clone(&resolution.outcome));
            resolution.outcome.resolve(resolution.result).into_iter().for_each(Waker::wake);
        }
        drop(effects.released);
        if let Some(code) = effects.refused {
            self.purge(Purge::All, FailureKind::Rejected(code), now);
        }
        self.jobs.extend(effects.splits.into_iter().map(Job::Split));
        self.signal |= effects.brokers || effects.timer || effects.fatal.is_some();
    }

    /// The gate of a node, made if need be.
    pub(crate) fn gate(&mut self, node: NodeId) -> usize {
        let gates = &mut self.gates;
        *self.by_node.entry(node).or_insert_with(|| {
            gates.push(Gate { node, woken: true, ..Gate::default() });
            gates.len() - 1
        })
    }

    /// Why a partition has no leader, and so on: for the transcript.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (LaneId, &TopicName, i32)> {
        self.lanes.iter().zip(0..).map(|(lane, id)| (LaneId(id), &lane.topic, lane.partition))
    }

    /// Partitions of which something waits in its lane and nothing is on its way, with the gate of their leader: nothing but its
    /// own time keeps that back.
    pub(crate) fn lingering(&self) -> impl Iterator<Item = (usize, &TopicName, i32)> {
        let lanes = self.lanes.iter().filter(|lane| lane.gate != 0 && !lane.queue.is_empty());
        let lanes = lanes.map(|lane| (lane.gate, &lane.topic, lane.partition));
        lanes.filter(|(_, topic, partition)| {
            let mut unresolved = self.sender.unresolved().map(|(outcome, _)| outcome);
            !unresolved.any(|it| it.topic() == *topic && it.partition() == *partition)
        })
    }

    /// Whether all is forgotten that kept memory.
    pub(crate) fn forget_kept(&mut self) {
        self.kept.clear();
        self.jobs.clear();
    }

    pub(crate) fn fatal(&self) -> Option<ErrorCode> {
        self.sender.fatal()
    }
}

/// How often a pump looks for a call with what it has taken.
const MAX_LOOKS: usize = 8;

fn unsent(batch: &DrainedBatch<Arc<Outcome>>) -> Unsent<'_> {
    Unsent { outcome: batch.tag(), count: batch.count(), begun: batch.created() }
}

/// What a pump draws from: the lanes of one gate.
struct GateDraw<'a> {
    lanes: &'a mut [Lane],
    index: &'a mut ReadyIndex<LaneId>,
    gate: usize,
    draw: Draw,
}

impl Lanes for GateDraw<'_> {
    fn index(&mut self) -> &mut ReadyIndex<LaneId> {
        self.index
    }

    fn visit(
        &mut self,
        id: LaneId,
        take: impl FnOnce(&mut PartitionQueue<Arc<Outcome>>) -> Taken,
    ) -> Option<Taken> {
        let lane = self.lanes.get_mut(id.0 as usize).filter(|lane| lane.gate == self.gate)?;
        let taken = take(&mut lane.queue);
        if taken.is_change() {
            self.index.update(id, lane.queue.readiness());
        }
        Some(taken)
    }
}

impl Supply for GateDraw<'_> {
    fn draw(
        &mut self,
        now: Instant,
        room: usize,
        alone: bool,
        admits: &mut dyn FnMut(LaneId) -> bool,
    ) -> Option<(LaneId, DrainedBatch<Arc<Outcome>>)> {
        let mut round = self.index.round(now);
        self.draw.next(self, &mut round, room, alone, admits)
    }
}
