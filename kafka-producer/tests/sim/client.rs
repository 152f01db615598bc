//! The producer without its shell: the engine, driven by one owner on one thread, who has all the time there is.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use kafka_batch::{CHUNK_SIZE, Chunk, Compression, Compressor, Limits, QueueSettings, Ticket};
use kafka_net::{Backoff, CallResult, ClusterView, Demand, Endpoint, Expectation, Metadata, MetadataConfig};
use kafka_net::{Next, Status};
use kafka_wire::{Acks, ErrorCode, NodeId, TopicName};

use super::{
    brokers::address,
    invariants::{Checker, Flag, Violation},
    plan::Setup,
};
use crate::{
    delivery::{BatchResult, Outcome},
    error::FailureKind,
    plane::{
        self, After, Caller, Done, GateFeed, Job, Life, Plane, PlaneSettings, Source, Surroundings,
        Unresolved, gate::End,
    },
    purge::Purge,
    record::Record,
    sender::{Call, Reply, Sender, SenderSettings},
};

/// Everything of a producer but its sockets.
pub(crate) struct Client {
    pub(crate) plane: Plane,
    after: After,
    gates: Vec<Gate>,
    compressor: Compressor,
    /// The driver is to take its turn.
    pub(crate) signal: bool,
    /// Everything is resolved, and nothing more will come.
    is_over: bool,
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

/// One broker's side of the engine, and whether its pump is to look at it.
struct Gate {
    feed: GateFeed,
    woken: Arc<Flag>,
}

/// A record that waits for memory or for its partition.
pub(crate) struct Blocked {
    topic: TopicName,
    partition: u32,
    size: usize,
    pub(crate) until: Instant,
    pub(crate) ticket: Option<(Ticket, Arc<Flag>)>,
    granted: Vec<Chunk>,
    /// Its topic was asked for.
    wanted: bool,
}

/// What became of a record that was to be appended.
pub(crate) enum Accepted {
    Yes,
    /// It waits.
    Blocked,
    Refused,
}

impl Client {
    pub(crate) fn new(setup: &Setup, rng: &mut fastrand::Rng, now: Instant) -> Self {
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
        let sender = Sender::new(settings, metadata, rng.u64(..));
        let settings = PlaneSettings {
            queues,
            seals_elsewhere: setup.compress,
            ignores_keys: false,
            is_adaptive: true,
            availability_timeout: None,
        };
        let surroundings = Surroundings { wall: || 1, process: || 1, seed: 1 };
        Self {
            plane: Plane::new(
                NEXT_ID.fetch_add(1, Ordering::Relaxed),
                settings,
                None,
                sender,
                surroundings,
                now,
            ),
            after: After::default(),
            gates: Vec::new(),
            compressor: Compressor::new(compression).expect("compiled in"),
            signal: true,
            is_over: false,
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
        self.plane.settings.seals_elsewhere
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.plane.life() != Life::Open
    }

    /// Whether no pump is to begin any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_over || self.plane.life() == Life::Aborted
    }

    pub(crate) fn is_identified(&self) -> bool {
        self.plane.look().sender.is_identified()
    }

    pub(crate) fn fatal(&self) -> Option<ErrorCode> {
        self.plane.look().sender.fatal()
    }

    pub(crate) fn view(&self) -> Arc<ClusterView> {
        self.plane.view()
    }

    /// Whether no record waits for its answer.
    pub(crate) fn is_drained(&self) -> bool {
        self.plane.is_drained()
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
            match self.plane.pool.poll_grant(*ticket, &waker) {
                Some(chunks) => (blocked.granted, blocked.ticket) = (chunks, None),
                None => return Accepted::Blocked,
            }
        }
        let partition = i32::try_from(blocked.partition).expect("few");
        let value = checker.next_value(blocked.size);
        let record = Record::to(blocked.topic.as_str()).partition(partition).timestamp(1).value(&value);
        let appended = match self.plane.append_fast(&record) {
            Some(delivery) => Ok(delivery),
            None => {
                let mut source = match blocked.granted.is_empty() {
                    true => Source::Pool(&self.plane.pool),
                    false => Source::Granted(&mut blocked.granted),
                };
                let appended = self.plane.append_slow(&record, &mut source, false, now, &mut self.after);
                self.carry_out();
                appended
            }
        };
        match appended {
            Ok(delivery) => {
                checker.accepted(&blocked.topic, partition, blocked.size, delivery);
                Accepted::Yes
            }
            Err(plane::Stop::Refused(_)) => Accepted::Refused,
            Err(plane::Stop::Yield) => unreachable!("it is not to yield"),
            Err(plane::Stop::Topic(..)) => {
                if !mem::replace(&mut blocked.wanted, true) {
                    self.plane.want_topic(&blocked.topic, now, &mut self.after);
                    self.carry_out();
                }
                Accepted::Blocked
            }
            Err(plane::Stop::Room(chunks)) => {
                blocked.granted = Vec::new();
                let flag = Arc::new(Flag::default());
                let waker = Waker::from(Arc::clone(&flag));
                let ticket = self.plane.pool.wait(chunks, &waker);
                self.plane.press(&mut self.after);
                self.carry_out();
                if let Some(chunks) = self.plane.pool.poll_grant(ticket, &waker) {
                    blocked.granted = chunks;
                    return self.try_send(blocked, now, checker);
                }
                blocked.ticket = Some((ticket, flag));
                Accepted::Blocked
            }
        }
    }

    /// Gives up waiting.
    pub(crate) fn cancel(&self, blocked: &Blocked) {
        if let Some((ticket, _)) = blocked.ticket {
            self.plane.pool.cancel(ticket);
        }
    }

    /// Closes every open batch, and gives all that is unresolved.
    pub(crate) fn flush(&mut self, now: Instant) -> Unresolved {
        let unresolved = self.plane.flush(now, &mut self.after);
        self.carry_out();
        unresolved
    }

    /// Takes no more records.
    pub(crate) fn close(&mut self, now: Instant) {
        self.plane.close(now, &mut self.after);
        self.carry_out();
        for blocked in mem::take(&mut self.blocked) {
            self.cancel(&blocked);
        }
    }

    /// Gives everything up.
    pub(crate) fn abort(&mut self, kind: FailureKind, now: Instant) {
        self.plane.abort(kind, now, &mut self.after);
        self.carry_out();
        for blocked in mem::take(&mut self.blocked) {
            self.cancel(&blocked);
        }
    }

    /// Gives some of it up, and goes on.
    pub(crate) fn purge(&mut self, what: Purge, kind: FailureKind, now: Instant) {
        self.plane.purge(what, kind, now, &mut self.after);
        self.carry_out();
    }

    /// The driver's turn: what is due and belongs to no broker. Says when there is more.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Instant> {
        let mut after = After::new(Caller::Driver);
        self.plane.turn(now, &mut after);
        self.is_over = self.is_over || self.plane.finish(&mut after);
        self.carry_out_of(&mut after);
        self.signal = false;
        self.plane.next_turn(now).due
    }

    /// A pump asks for a call.
    pub(crate) fn poll_call(&mut self, gate: usize, now: Instant) -> Next<Call> {
        self.at(gate, |plane, gate, waker, after| gate.feed.poll_call(plane, waker, now, after))
    }

    /// Whether a broker should be connected to, or when.
    pub(crate) fn demand(&mut self, gate: usize, now: Instant) -> Demand {
        self.at(gate, |plane, gate, waker, after| gate.feed.poll_demand(plane, waker, now, after))
    }

    pub(crate) fn reply(&mut self, gate: usize, call: &Call, result: CallResult<Reply>, now: Instant) {
        self.at(gate, |plane, gate, _, after| gate.feed.on_reply(plane, call, result, now, after));
    }

    pub(crate) fn status(&mut self, gate: usize, status: &Status, now: Instant) {
        self.at(gate, |plane, gate, _, after| gate.feed.on_status(plane, status, now, after));
    }

    pub(crate) fn proven(&mut self, gate: usize, now: Instant) {
        self.at(gate, |plane, gate, _, after| gate.feed.on_proven(plane, now, after));
    }

    pub(crate) fn expectation(&self, gate: usize) -> Option<Expectation> {
        self.gates[gate].feed.expectation(&self.plane)
    }

    /// A pump does something at its gate, and what it leaves to be done.
    fn at<R>(&mut self, gate: usize, f: impl FnOnce(&Plane, &mut Gate, &Waker, &mut After) -> R) -> R {
        let gate = &mut self.gates[gate];
        let waker = Waker::from(Arc::clone(&gate.woken));
        let mut after = After::new(Caller::Pump(gate.feed.node()));
        let result = f(&self.plane, gate, &waker, &mut after);
        self.carry_out_of(&mut after);
        result
    }

    /// A job is done.
    pub(crate) fn done(&mut self, job: Job, now: Instant) {
        let split = match &job {
            Job::Split(split) => Some(split.batch.predicted_size()),
            Job::Seal(_) => None,
        };
        let before = self.plane.pool.used();
        let done = job.run(&self.plane.pool, &mut self.compressor);
        if let (Some(size), Done::Split { parts, .. }) = (split, &done) {
            self.note_overdraft(self.plane.pool.used() - before, parts.len(), size);
        }
        self.plane.handle_done(done, now, &mut self.after);
        self.carry_out();
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

    fn carry_out(&mut self) {
        let mut after = mem::take(&mut self.after);
        self.carry_out_of(&mut after);
        self.after = after;
    }

    fn carry_out_of(&mut self, after: &mut After) {
        for resolution in after.resolved() {
            let address = Arc::as_ptr(&resolution.outcome) as usize;
            if !self.resolved.insert(address) {
                let what = format!("a batch was resolved twice, now with {:?}", resolution.result);
                self.violation = Some(Violation { invariant: "I5", what });
                continue;
            }
            self.failures += u64::from(matches!(resolution.result, BatchResult::Failed(_)));
            self.kept.push(Arc::clone(&resolution.outcome));
        }
        self.signal |= after.carry_out(&self.plane, |job| self.jobs.push(job));
        if self.first_sequence != 0 {
            // Before anything is sent: partitions that are new, or all once there is an id.
            self.plane.look().sender.number_from(self.first_sequence);
        }
    }

    /// The gate of a node, which may be another one than before if the node left and came back.
    pub(crate) fn gate(&mut self, node: NodeId) -> usize {
        let gate = self.plane.gate(node);
        let known = self.gates.iter().position(|known| Arc::ptr_eq(known.feed.gate(), &gate));
        known.unwrap_or_else(|| {
            let woken = Arc::new(Flag::default());
            woken.set(true);
            self.gates.push(Gate { feed: GateFeed::new(&self.plane, gate), woken });
            self.gates.len() - 1
        })
    }

    pub(crate) fn is_woken(&self, gate: usize) -> bool {
        self.gates[gate].woken.is_set()
    }

    /// A pump is to look, or has begun to.
    pub(crate) fn set_woken(&self, gate: usize, is_woken: bool) {
        self.gates[gate].woken.set(is_woken);
    }

    pub(crate) fn end_of(&self, gate: usize) -> End {
        self.gates[gate].feed.gate().lock().end
    }

    /// Ends a pump.
    pub(crate) fn end(&self, gate: usize) {
        self.gates[gate].feed.gate().end(End::Abort);
    }

    /// Another pump begins at a gate.
    pub(crate) fn reopen(&self, gate: usize) {
        self.gates[gate].feed.gate().reopen();
        self.set_woken(gate, true);
    }

    /// Whether all is forgotten that kept memory.
    pub(crate) fn forget_kept(&mut self) {
        self.kept.clear();
        self.jobs.clear();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        plane::forget(self.plane.id);
    }
}

/// No two clients of the process have the same.
static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 32);
