//! The body of the fuzz target `sender_ops`; its inputs are replayed, and others made up, by `cargo test`.
//!
//! A list of operations on a `Sender` with its queues and memory, two bytes each, beside brokers that take batches by
//! Kafka's rules. Requests and answers pass as bytes, in any version. Connections break, brokers freeze and work on what
//! they had read when nobody waits for it any more, restart and remember less, answer late, and with any code that they could
//! mean. After every step: each batch has one answer; a number that reached a broker is never another record's; no more
//! batches are unresolved than a broker remembers; logs are in order and have nothing twice; what is acknowledged is where
//! it was said to be; what is said not to be persisted never gets there; no loss is told of. In the end all is resolved, and
//! no memory is in use.

mod log;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kafka_batch::{
    Compression, Compressor, DrainedBatch, Limits, PartitionQueue, Pool, QueueSettings, Record, SendReason,
    Stamp, Ticket,
};
use kafka_net::{
    Answer, Backoff, Call as _, CallResult, Endpoint, Metadata, MetadataConfig, NetError, Next, Status,
};
use kafka_wire::{
    Acks, CorrelationId, ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, TopicId, TopicName,
    decode_request, decode_request_header, encode_response,
    messages::{
        InitProducerIdResponse, LeaderIdAndEpoch, MetadataResponse, MetadataResponseBroker,
        MetadataResponsePartition, MetadataResponseTopic, PartitionProduceResponse, ProduceRequest,
        ProduceResponse, TopicProduceResponse,
    },
};

use self::log::{Arrived, Log};
use crate::{
    delivery::{Delivery, Outcome},
    error::{FailureKind, Persistence},
    plane::InOrder,
    purge::Purge,
    sender::{Call, Drained, Effects, LaneId, Reply, Sender, SenderSettings, SplitJob, Unsent},
};

/// Runs the operations in `data` from the given start of time.
///
/// # Panics
/// If the sender breaks one of its promises.
pub fn sender_ops(data: &[u8], start: Instant) {
    let Some((&[mode, version], ops)) = data.split_first_chunk() else { return };
    let mut world = World::new(mode, version, start);
    for op in ops.chunks_exact(2).take(MAX_OPS) {
        if let &[op, detail] = op {
            world.apply(op, detail);
            world.check();
        }
    }
    world.finish();
}

struct World {
    sender: Sender,
    pool: Arc<Pool>,
    queues: QueueSettings,
    lanes: Vec<Lane>,
    compressor: Compressor,
    now: Instant,
    /// Who leads each partition, since which epoch.
    leaders: [(NodeId, i32); PARTITIONS],
    logs: [Log; PARTITIONS],
    /// In which version Produce is spoken.
    version: i16,
    next_id: i64,
    first_epoch: i16,
    sealing: Vec<Drained>,
    splits: Vec<SplitJob>,
    requests: Vec<Request>,
    /// Questions that any broker could have been asked.
    controls: VecDeque<(NodeId, Call)>,
    /// Requests that brokers have read, and whose connections are gone.
    strays: VecDeque<(NodeId, Arrived)>,
    tickets: VecDeque<Ticket>,
    sent: Vec<Sent>,
    /// Outcomes that were set, by their address; they are kept, so that no other one has it.
    resolved: BTreeSet<*const Outcome>,
    kept: Vec<Arc<Outcome>>,
    is_aborted: bool,
}

struct Lane {
    queue: PartitionQueue<Arc<Outcome>>,
    partition: i32,
    leader: Option<NodeId>,
}

/// A Produce request without answer.
struct Request {
    node: NodeId,
    call: Call,
    version: i16,
    parts: Vec<Arrived>,
    /// What the broker says, which has worked on it; the answer is on its way.
    answers: Option<Vec<PartitionProduceResponse>>,
}

struct Sent {
    partition: usize,
    delivery: Delivery,
}

impl World {
    fn new(mode: u8, version: u8, now: Instant) -> Self {
        let settings = SenderSettings {
            acks: Acks::ALL,
            idempotent: true,
            max_unresolved: 5,
            max_request_size: 4096,
            retries: if mode & 2 == 0 { i32::MAX as u32 } else { 3 },
            retry_backoff: Backoff::new(Duration::from_millis(100), Duration::from_millis(400)),
            request_timeout: Duration::from_secs(5),
            linger: Duration::ZERO,
            min_produce_version: 3,
            max_sealing: if mode & 4 == 0 { usize::MAX } else { 2 },
        };
        let seeds = [Endpoint::new("seed", 9092)];
        let metadata = Metadata::new(&seeds, MetadataConfig::default(), fastrand::Rng::with_seed(1));
        let queues = QueueSettings {
            limits: Limits::new(1024, 4096, 256 << 10).expect("they fit"),
            linger: Duration::ZERO,
            delivery_timeout: DELIVERY_TIMEOUT,
        };
        let mut world = Self {
            sender: Sender::new(settings, metadata, 7),
            pool: Pool::new(&queues.limits),
            queues,
            lanes: Vec::new(),
            compressor: Compressor::new(Compression::None).expect("compiled in"),
            now,
            leaders: [(NODES[0], 0), (NODES[1], 0), (NODES[2], 0)],
            logs: Default::default(),
            version: 9 + i16::from(version % 5),
            next_id: 0,
            first_epoch: if mode & 1 == 0 { 0 } else { i16::MAX - 1 },
            sealing: Vec::new(),
            splits: Vec::new(),
            requests: Vec::new(),
            controls: VecDeque::new(),
            strays: VecDeque::new(),
            tickets: VecDeque::new(),
            sent: Vec::new(),
            resolved: BTreeSet::new(),
            kept: Vec::new(),
            is_aborted: false,
        };
        world.sender.want_topic(&topic(), now);
        // Nothing can be appended before the topic is known.
        for _ in 0..6 {
            world.settle();
            world.connect_all();
            world.poll_all();
            world.answer_controls();
        }
        assert_eq!(world.lanes.len(), PARTITIONS, "the topic is known");
        world
    }

    fn apply(&mut self, op: u8, detail: u8) {
        let node = NODES[usize::from(detail) % NODES.len()];
        let more = usize::from(detail) / NODES.len();
        if op >= RESTART {
            return self.restart(node, more % 6);
        }
        if op >= WORK {
            return self.work_ahead(node);
        }
        match op % 20 {
            0 | 1 => self.append(usize::from(detail) % PARTITIONS, more % 8),
            2 => self.draw(node),
            3 => self.seal(),
            4 | 5 => self.poll(node),
            6 | 7 => self.serve(node),
            8 => self.answer_any(node, more),
            9 => self.lose(node, more % 4),
            10 => self.late(detail),
            11 => self.pass(Duration::from_millis(u64::from(detail) * 20)),
            12 => {
                // Exactly when it asked to be told.
                if let Some(due) = self.sender.poll_timeout(self.now) {
                    self.pass(due.saturating_duration_since(self.now));
                }
            }
            13 => self.leaders[more % PARTITIONS] = (node, self.leaders[more % PARTITIONS].1 + 1),
            14 => self.answer_control(detail),
            15 => self.split(),
            16 => self.purge([Purge::Queued, Purge::InFlight, Purge::All][more % 3], FailureKind::Purged),
            17 => self.up_or_down(node, more % 2 == 0),
            18 => self.cancel(),
            _ => {
                self.sender.want_topic(&topic(), self.now);
                self.settle();
            }
        }
    }

    /// Appends records to a partition as a batch, or waits for memory.
    fn append(&mut self, partition: usize, records: usize) {
        let Some(lane) = self.lanes.get_mut(partition).filter(|_| self.sent.len() < MAX_RECORDS) else {
            return;
        };
        for _ in 0..=records {
            let number = u32::try_from(self.sent.len()).expect("few").to_be_bytes();
            let mut value = number.to_vec();
            value.resize(100, number[3]);
            let record = Record { timestamp: 1, value: Some(&value), ..Record::default() };
            let outcome = || Arc::new(Outcome::new(topic(), lane.partition));
            let mut source = &self.pool;
            match lane.queue.append_slow(&record, self.now, &mut source, outcome).slot {
                Ok(slot) => {
                    self.sent.push(Sent { partition, delivery: Delivery::new(slot.tag, slot.index) });
                }
                Err(_) => {
                    self.tickets.push_back(self.pool.wait(1, Waker::noop()));
                    break;
                }
            }
        }
        lane.queue.close(SendReason::Full);
        if lane.leader.is_none() {
            self.sender.want_leaders([LaneId(u32::try_from(partition).expect("few"))], self.now);
        }
        self.settle();
    }

    /// Somebody who waits for memory gets it or not, and waits no longer.
    fn cancel(&mut self) {
        let Some(ticket) = self.tickets.pop_front() else { return };
        if self.pool.poll_grant(ticket, Waker::noop()).is_none() {
            self.pool.cancel(ticket);
        }
    }

    fn draw(&mut self, node: NodeId) {
        let led = self.lanes.iter_mut().map(|lane| (lane.leader == Some(node)).then_some(&mut lane.queue));
        let mut supply = InOrder::new(led);
        self.sender.drain(node, self.now, &mut supply, &mut self.sealing);
        self.settle();
    }

    fn seal(&mut self) {
        for Drained { lane, key, batch, stamp } in std::mem::take(&mut self.sealing) {
            let sealed = batch.seal(stamp, &mut self.compressor);
            self.sender.handle_sealed(lane, key, sealed, self.now);
        }
        self.settle();
    }

    fn split(&mut self) {
        for job in std::mem::take(&mut self.splits) {
            let partition = job.batch.tag().partition();
            let make = || Arc::new(Outcome::new(topic(), partition));
            let parts = job.batch.split(&self.pool, make).expect("several records");
            let parts = parts.into_iter().map(|part| part.seal(Stamp::NONE, &mut self.compressor));
            self.sender.handle_split(job.lane, job.key, parts.collect(), self.now);
        }
        self.settle();
    }

    /// A connection takes what there is for it. What it takes is written, or never will be.
    fn poll(&mut self, node: NodeId) {
        for _ in 0..5 {
            if self.requests.iter().filter(|request| request.node == node).count() >= 5 {
                return;
            }
            let Next::Call(mut call) = self.sender.poll_call(node, self.now) else { break };
            if !matches!(call, Call::Produce(_)) {
                self.controls.push_back((node, call));
                continue;
            }
            // As a connection chooses it.
            let version = self.version.min(call.versions().max);
            let frame = call.encode(version, CorrelationId(1), "fuzz").expect("it can be encoded");
            let parts = read(&frame.into_bytes());
            self.requests.push(Request { node, call, version, parts, answers: None });
        }
        self.settle();
    }

    fn first(&mut self, node: NodeId) -> Option<Request> {
        let at = self.requests.iter().position(|request| request.node == node)?;
        Some(self.requests.remove(at))
    }

    /// A broker works on its oldest request, and answers.
    fn serve(&mut self, node: NodeId) {
        let Some(request) = self.first(node) else { return };
        self.finish_off(request);
    }

    fn finish_off(&mut self, mut request: Request) {
        let answers = request.answers.take();
        let work =
            |world: &mut Self| request.parts.iter().map(|part| world.work(request.node, part)).collect();
        let answers = answers.unwrap_or_else(|| work(self));
        self.respond(&request, answers);
    }

    /// A broker works on the next request. The answer comes later.
    fn work_ahead(&mut self, node: NodeId) {
        let next = |request: &Request| request.node == node && request.answers.is_none();
        let Some(at) = self.requests.iter().position(next) else { return };
        let parts = self.requests[at].parts.clone();
        self.requests[at].answers = Some(parts.iter().map(|part| self.work(node, part)).collect());
    }

    fn work(&mut self, node: NodeId, batch: &Arrived) -> PartitionProduceResponse {
        self.arrive(batch);
        let (leader, epoch) = self.leaders[batch.partition];
        if leader != node {
            return PartitionProduceResponse {
                current_leader: LeaderIdAndEpoch { leader_id: leader, leader_epoch: epoch },
                ..answer(batch, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)
            };
        }
        match self.logs[batch.partition].append(batch) {
            Ok(offset) => answer(batch, ErrorCode::NONE, offset),
            Err(code) => answer(batch, code, -1),
        }
    }

    /// A broker has the bytes of a batch.
    fn arrive(&mut self, batch: &Arrived) {
        let sent = &self.sent;
        let is_resolved = |record: u32| sent[record as usize].delivery.peek().is_some();
        self.logs[batch.partition].note(batch, is_resolved);
    }

    /// A broker answers its oldest request with a code it could mean: where that leaves it open whether the batch was
    /// appended, it was or was not.
    fn answer_any(&mut self, node: NodeId, more: usize) {
        let Some(request) = self.first(node) else { return };
        if request.answers.is_some() {
            return self.finish_off(request);
        }
        let (code, may_append) = CODES[more % CODES.len()];
        let appends = may_append && more / CODES.len() % 2 == 0;
        let mut answers = Vec::new();
        for part in &request.parts {
            self.arrive(part);
            if appends && self.leaders[part.partition].0 == node {
                // What a broker cannot append it refuses for that.
                if let Err(code) = self.logs[part.partition].append(part) {
                    answers.push(answer(part, code, -1));
                    continue;
                }
            }
            answers.push(answer(part, code, -1));
        }
        if more % 7 == 6 {
            // It says nothing about one of them.
            answers.pop();
        }
        self.respond(&request, answers);
    }

    fn respond(&mut self, request: &Request, answers: Vec<PartitionProduceResponse>) {
        let topics = TopicProduceResponse { name: topic(), topic_id: ID, partition_responses: answers };
        // Each version has one of the two.
        let topics = match request.version {
            13.. => TopicProduceResponse { name: TopicName::default(), ..topics },
            _ => TopicProduceResponse { topic_id: TopicId::ZERO, ..topics },
        };
        let response = ProduceResponse { responses: vec![topics], ..ProduceResponse::default() };
        let version = request.version;
        let frame = encode_response(&response, version, CorrelationId(1)).expect("it can be encoded");
        let body = request.call.decode(version, frame.into_bytes().slice(4..)).expect("decodes");
        let reply = Ok(Answer::Reply { body, version });
        self.reply(request.node, &request.call, reply);
    }

    fn reply(&mut self, node: NodeId, call: &Call, result: CallResult<Reply>) {
        self.sender.handle_reply(node, call, result, self.now);
        self.settle();
    }

    /// A connection breaks. The broker may have read what was written, and work on it some time.
    fn lose(&mut self, node: NodeId, written: usize) {
        let mut count = 0;
        while let Some(request) = self.first(node) {
            let is_written = count < written;
            count += 1;
            if is_written {
                request.parts.iter().for_each(|part| self.arrive(part));
                let unanswered = request.parts.iter().filter(|_| request.answers.is_none());
                self.strays.extend(unanswered.map(|part| (node, part.clone())));
            }
            let is_written = is_written || request.answers.is_some();
            self.reply(node, &request.call, Err(NetError::aborted(is_written)));
        }
        for at in (0..self.controls.len()).rev() {
            if self.controls[at].0 == node {
                let Some((_, call)) = self.controls.remove(at) else { continue };
                self.reply(node, &call, Err(NetError::aborted(true)));
            }
        }
        self.up_or_down(node, false);
    }

    /// A broker restarts. It had worked on some of what it had read, and no answer was sent.
    fn restart(&mut self, node: NodeId, worked: usize) {
        self.lose(node, usize::MAX);
        let mut left = worked;
        for (reader, batch) in std::mem::take(&mut self.strays) {
            if reader != node {
                self.strays.push_back((reader, batch));
            } else if left > 0 && self.leaders[batch.partition].0 == node {
                left -= 1;
                let _ = self.logs[batch.partition].append(&batch);
            }
        }
        for (log, (leader, _)) in self.logs.iter_mut().zip(&self.leaders) {
            if *leader == node {
                log.restart();
            }
        }
    }

    /// A broker works on a request of a connection that is gone: of several such connections, in any order.
    fn late(&mut self, detail: u8) {
        if self.strays.is_empty() {
            return;
        }
        let at = usize::from(detail) % self.strays.len();
        let Some((_, batch)) = self.strays.remove(at) else { return };
        // Whoever has it leads the partition now, or refuses it.
        if detail & 0x80 == 0 {
            let _ = self.logs[batch.partition].append(&batch);
        }
    }

    fn up_or_down(&mut self, node: NodeId, is_up: bool) {
        let is_busy = self.requests.iter().any(|request| request.node == node)
            || self.controls.iter().any(|(asked, _)| *asked == node);
        if is_busy && !is_up {
            return;
        }
        let down =
            || Status::Down { error: NetError::aborted(false), retry_after: Duration::from_millis(50) };
        let status = if is_up { Status::Ready } else { down() };
        self.sender.handle_status(node, &status, self.now);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.sender.handle_timeout(self.now);
        self.settle();
        for (lane, id) in self.lanes.iter_mut().zip(0..) {
            for batch in lane.queue.expire(self.now) {
                self.sender.give_up(LaneId(id), &unsent(&batch), FailureKind::Expired, self.now);
            }
        }
        self.settle();
    }

    /// Somebody answers the oldest question: well, badly, or not at all.
    fn answer_control(&mut self, detail: u8) {
        let Some((node, call)) = self.controls.pop_front() else { return };
        let is_metadata = matches!(call, Call::Metadata(_));
        let code = match detail % 8 {
            0 => return self.reply(node, &call, Err(NetError::aborted(true))),
            1 if is_metadata => ErrorCode::LEADER_NOT_AVAILABLE,
            1 => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            2 if !is_metadata && detail > 200 => ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
            _ => ErrorCode::NONE,
        };
        let frame = if is_metadata {
            encode_response(&self.metadata(code, detail % 8 == 3), CONTROL_METADATA, CorrelationId(1))
        } else {
            let id = self.next_id;
            self.next_id += 1;
            let response = InitProducerIdResponse {
                error_code: code,
                producer_id: ProducerId(id),
                producer_epoch: ProducerEpoch(self.first_epoch),
                ..InitProducerIdResponse::default()
            };
            encode_response(&response, CONTROL_INIT, CorrelationId(1))
        };
        let version = if is_metadata { CONTROL_METADATA } else { CONTROL_INIT };
        let frame = frame.expect("it can be encoded").into_bytes().slice(4..);
        let body = call.decode(version, frame).expect("decodes");
        self.reply(node, &call, Ok(Answer::Reply { body, version }));
    }

    fn metadata(&self, code: ErrorCode, is_stale: bool) -> MetadataResponse {
        let broker = |node: &NodeId| MetadataResponseBroker {
            node_id: *node,
            host: "broker".to_owned(),
            port: 9092 + node.0,
            ..MetadataResponseBroker::default()
        };
        let partition = |(index, (leader, epoch)): (i32, &(NodeId, i32))| MetadataResponsePartition {
            error_code: code,
            partition_index: PartitionId(index),
            leader_id: if code.is_err() { NodeId::NONE } else { *leader },
            // A broker that is behind has an older one, with whoever led then.
            leader_epoch: if is_stale { epoch - 1 } else { *epoch },
            ..MetadataResponsePartition::default()
        };
        MetadataResponse {
            brokers: NODES.iter().map(broker).collect(),
            topics: vec![MetadataResponseTopic {
                name: Some(topic()),
                topic_id: ID,
                partitions: (0..).zip(&self.leaders).map(partition).collect(),
                ..MetadataResponseTopic::default()
            }],
            ..MetadataResponse::default()
        }
    }

    fn purge(&mut self, what: Purge, kind: FailureKind) {
        self.sender.purge(what, kind, self.now);
        if what.takes_queued() {
            self.drop_queued(kind);
        }
        self.settle();
    }

    fn drop_queued(&mut self, kind: FailureKind) {
        for (lane, id) in self.lanes.iter_mut().zip(0..) {
            for batch in lane.queue.drain_all(SendReason::Flush) {
                self.sender.give_up(LaneId(id), &unsent(&batch), kind, self.now);
            }
        }
    }

    /// Does what the shell would do.
    fn settle(&mut self) {
        let mut effects = Effects::default();
        self.sender.move_effects(&mut effects);
        for resolution in effects.resolved {
            assert!(self.resolved.insert(Arc::as_ptr(&resolution.outcome)), "a batch has two answers");
            drop(resolution.outcome.resolve(resolution.result));
            self.kept.push(resolution.outcome);
        }
        drop(effects.released);
        for grown in effects.grown {
            for partition in (grown.first..).take(grown.lanes.len()) {
                let queue = PartitionQueue::new(self.queues);
                let partition = i32::try_from(partition).expect("few");
                self.lanes.push(Lane { queue, partition, leader: None });
            }
        }
        for route in effects.routes {
            if let Some(lane) = self.lanes.get_mut(route.lane.0 as usize) {
                lane.leader = route.leader;
            }
        }
        self.splits.extend(effects.splits);
        if let Some(code) = effects.refused {
            self.purge(Purge::All, FailureKind::Rejected(code));
        }
        if let Some(code) = self.sender.fatal().filter(|_| !self.is_aborted) {
            self.is_aborted = true;
            self.sender.abort(FailureKind::Rejected(code), self.now);
            self.drop_queued(FailureKind::Rejected(code));
            self.settle();
        }
    }

    /// What must hold after every step.
    fn check(&self) {
        for (number, sent) in self.sent.iter().enumerate() {
            let number = u32::try_from(number).expect("few");
            let log = &self.logs[sent.partition].records;
            let place = || log.iter().position(|record| *record == number);
            match sent.delivery.peek() {
                None => {}
                Some(Ok(metadata)) => {
                    let place = place().unwrap_or_else(|| panic!("{number} is acknowledged and not there"));
                    let place = i64::try_from(place).expect("few");
                    assert!(metadata.offset.is_none_or(|offset| offset == place), "{number} is at {place}");
                }
                Some(Err(error)) => match error.persistence() {
                    Persistence::NotPersisted => assert_eq!(place(), None, "{number}: {error}"),
                    Persistence::Persisted => assert!(place().is_some(), "{number}: {error}"),
                    Persistence::PossiblyPersisted => {}
                },
            }
        }
        assert_eq!(self.sender.counters().losses, 0, "these brokers lose nothing");
        // Splits may overdraw it by as much as they split.
        let overdraft = self.pool.limit() / 2;
        assert!(self.pool.used() <= self.pool.limit() + overdraft, "memory: {}", self.pool.used());
    }

    fn connect_all(&mut self) {
        for node in self.sender.view().brokers.keys().copied().collect::<Vec<_>>() {
            self.up_or_down(node, true);
        }
    }

    fn poll_all(&mut self) {
        for node in self.sender.view().brokers.keys().copied().collect::<Vec<_>>() {
            self.draw(node);
            self.seal();
            self.poll(node);
        }
    }

    fn answer_controls(&mut self) {
        for _ in 0..self.controls.len() {
            self.answer_control(GOOD);
        }
    }

    /// Faults end. Everything must have its answer before long, and be truthful about it for ever.
    fn finish(&mut self) {
        let until = self.now + DELIVERY_TIMEOUT + Duration::from_secs(5);
        let is_drained =
            |world: &Self| world.sender.is_drained() && world.lanes.iter().all(|lane| lane.queue.is_empty());
        while !is_drained(self) {
            assert!(self.now < until, "not everything is resolved in its time");
            self.connect_all();
            self.poll_all();
            self.answer_controls();
            for node in NODES {
                while self.requests.iter().any(|request| request.node == node) {
                    self.serve(node);
                }
            }
            self.split();
            self.check();
            self.pass(Duration::from_millis(500));
        }
        for (number, sent) in self.sent.iter().enumerate() {
            assert!(sent.delivery.peek().is_some(), "{number} has no answer");
        }
        while !self.strays.is_empty() {
            self.late(0);
        }
        while !self.tickets.is_empty() {
            self.cancel();
        }
        for request in std::mem::take(&mut self.requests) {
            self.finish_off(request);
        }
        self.seal();
        self.split();
        self.check();
        assert_eq!(self.pool.used(), 0, "memory returns");
    }
}

/// The batches of a request as they are read from the wire.
fn read(frame: &Bytes) -> Vec<Arrived> {
    let frame = frame.slice(4..);
    let (header, body) = decode_request_header(&frame).expect("a header");
    let request: ProduceRequest = decode_request(&header, body).expect("a request");
    let topics = request.topic_data.iter().inspect(|data| {
        assert!(data.topic_id == ID || data.name == topic(), "of no topic: {data:?}");
    });
    let read = |data: &kafka_wire::messages::PartitionProduceData| {
        let bytes = data.records.as_ref().expect("records").to_bytes();
        Arrived::read(usize::try_from(data.index.0).expect("a partition"), bytes)
    };
    topics.flat_map(|topic| &topic.partition_data).map(read).collect()
}

fn answer(batch: &Arrived, code: ErrorCode, base_offset: i64) -> PartitionProduceResponse {
    let index = PartitionId(i32::try_from(batch.partition).expect("few"));
    PartitionProduceResponse { index, error_code: code, base_offset, ..PartitionProduceResponse::default() }
}

fn unsent(batch: &DrainedBatch<Arc<Outcome>>) -> Unsent<'_> {
    Unsent { outcome: batch.tag(), count: batch.count(), begun: batch.created() }
}

fn topic() -> TopicName {
    TopicName::from("orders")
}

/// What a broker may say about a batch, and whether it may have appended it all the same.
const CODES: [(ErrorCode, bool); 22] = [
    (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, true),
    (ErrorCode::REQUEST_TIMED_OUT, true),
    (ErrorCode::NOT_LEADER_OR_FOLLOWER, true),
    (ErrorCode::KAFKA_STORAGE_ERROR, true),
    (ErrorCode::UNKNOWN_SERVER_ERROR, true),
    (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, true),
    (ErrorCode(999), true),
    (ErrorCode::MESSAGE_TOO_LARGE, false),
    (ErrorCode::INVALID_RECORD, false),
    (ErrorCode::CORRUPT_MESSAGE, false),
    (ErrorCode::NOT_ENOUGH_REPLICAS, false),
    (ErrorCode::MESSAGE_TOO_LARGE, false),
    (ErrorCode::UNKNOWN_TOPIC_ID, false),
    (ErrorCode::INVALID_TIMESTAMP, false),
    (ErrorCode::THROTTLING_QUOTA_EXCEEDED, false),
    (ErrorCode::TOPIC_AUTHORIZATION_FAILED, false),
    (ErrorCode::FENCED_LEADER_EPOCH, true),
    (ErrorCode::UNKNOWN_PRODUCER_ID, false),
    (ErrorCode::INVALID_PRODUCER_EPOCH, false),
    (ErrorCode::NETWORK_EXCEPTION, true),
    (ErrorCode::POLICY_VIOLATION, false),
    (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, false),
];
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const PARTITIONS: usize = 3;
const ID: TopicId = TopicId([7; 16]);
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// In which versions questions are answered.
const CONTROL_METADATA: i16 = 12;
const CONTROL_INIT: i16 = 4;
/// The detail with which a question is answered well.
const GOOD: u8 = 7;
/// Operations from here on are restarts.
const RESTART: u8 = 250;
/// Those from here on are work on requests whose answers come later.
const WORK: u8 = 246;
const MAX_OPS: usize = 1_000;
const MAX_RECORDS: usize = 2_000;
