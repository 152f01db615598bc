//! The body of the fuzz target `sender_ops`; its inputs are replayed, and others made up, by `cargo test`.
//!
//! A list of operations on the engine, two bytes each, beside brokers that take batches by
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
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kafka_batch::{Compression, Compressor, Limits, QueueSettings, Ticket};
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
    plane::{self, After, GateFeed, Job, Plane, PlaneSettings, Source, Stop, Surroundings, gate::End},
    purge::Purge,
    record::Record,
    sender::{Call, Reply, Sender, SenderSettings},
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
    plane: Plane,
    after: After,
    /// The pumps' sides of the engine, by node.
    feeds: BTreeMap<NodeId, GateFeed>,
    compressor: Compressor,
    now: Instant,
    /// Who leads each partition, since which epoch.
    leaders: [(NodeId, i32); PARTITIONS],
    logs: [Log; PARTITIONS],
    /// In which version Produce is spoken.
    version: i16,
    next_id: i64,
    first_epoch: i16,
    /// Batches that are sealed or split elsewhere.
    jobs: Vec<Job>,
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

impl Drop for World {
    fn drop(&mut self) {
        plane::forget(self.plane.id);
    }
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
        // Sealed elsewhere, so that things happen between a batch's drawing and its sealing.
        let plane_settings = PlaneSettings {
            queues,
            seals_elsewhere: true,
            ignores_keys: false,
            is_adaptive: true,
            availability_timeout: None,
        };
        let surroundings = Surroundings { wall: || 1, process: || 1, seed: 1 };
        let sender = Sender::new(settings, metadata, 7);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut world = Self {
            plane: Plane::new(id, plane_settings, None, sender, surroundings, now),
            after: After::default(),
            feeds: BTreeMap::new(),
            compressor: Compressor::new(Compression::None).expect("compiled in"),
            now,
            leaders: [(NODES[0], 0), (NODES[1], 0), (NODES[2], 0)],
            logs: Default::default(),
            version: 9 + i16::from(version % 5),
            next_id: 0,
            first_epoch: if mode & 1 == 0 { 0 } else { i16::MAX - 1 },
            jobs: Vec::new(),
            requests: Vec::new(),
            controls: VecDeque::new(),
            strays: VecDeque::new(),
            tickets: VecDeque::new(),
            sent: Vec::new(),
            resolved: BTreeSet::new(),
            kept: Vec::new(),
        };
        world.plane.want_topic(&topic(), now, &mut world.after);
        // Nothing can be appended before the topic is known.
        for _ in 0..6 {
            world.settle();
            world.connect_all();
            world.poll_all();
            world.answer_controls();
        }
        assert_eq!(world.plane.partitions(&topic()).len(), PARTITIONS, "the topic is known");
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
                if let Some(due) = self.plane.next_turn(self.now).due {
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
                self.plane.want_topic(&topic(), self.now, &mut self.after);
                self.settle();
            }
        }
    }

    /// Appends records to a partition as a batch, or waits for memory.
    fn append(&mut self, partition: usize, records: usize) {
        if self.sent.len() >= MAX_RECORDS {
            return;
        }
        let index = i32::try_from(partition).expect("few");
        for _ in 0..=records {
            let number = u32::try_from(self.sent.len()).expect("few").to_be_bytes();
            let mut value = number.to_vec();
            value.resize(100, number[3]);
            let record = Record::to("orders").partition(index).timestamp(1).value(&value);
            let appended = match self.plane.append_fast(&record) {
                Some(delivery) => Ok(delivery),
                None => {
                    let mut source = Source::Pool(&self.plane.pool);
                    self.plane.append_slow(&record, &mut source, false, self.now, &mut self.after)
                }
            };
            match appended {
                Ok(delivery) => self.sent.push(Sent { partition, delivery }),
                Err(Stop::Room(chunks)) => {
                    self.tickets.push_back(self.plane.pool.wait(chunks, Waker::noop()));
                    self.plane.press(&mut self.after);
                    break;
                }
                // The producer has ended.
                Err(_) => break,
            }
            self.settle();
        }
        drop(self.plane.flush(self.now, &mut self.after));
        self.settle();
    }

    /// Somebody who waits for memory gets it or not, and waits no longer.
    fn cancel(&mut self) {
        let Some(ticket) = self.tickets.pop_front() else { return };
        if self.plane.pool.poll_grant(ticket, Waker::noop()).is_none() {
            self.plane.pool.cancel(ticket);
        }
    }

    /// A pump whose gate was closed hangs up, and another one begins.
    fn renew(&mut self, node: NodeId) {
        let gate = self.plane.gate(node);
        let Some(feed) = self.feeds.get(&node) else { return };
        let is_other = !Arc::ptr_eq(feed.gate(), &gate);
        if !is_other && gate.lock().end == End::Open {
            return;
        }
        self.lose(node, usize::MAX);
        gate.reopen();
        if is_other {
            self.feeds.remove(&node);
        }
    }

    /// Does something at a pump's side of the engine.
    fn at<R>(&mut self, node: NodeId, f: impl FnOnce(&mut GateFeed, &Plane, Instant, &mut After) -> R) -> R {
        let gate = self.plane.gate(node);
        let feed = self.feeds.entry(node).or_insert_with(|| GateFeed::new(&self.plane, Arc::clone(&gate)));
        let result = f(feed, &self.plane, self.now, &mut self.after);
        self.settle();
        result
    }

    /// Takes batches out of their lanes ahead of a request.
    fn draw(&mut self, node: NodeId) {
        self.renew(node);
        self.at(node, |feed, plane, now, after| _ = feed.poll_demand(plane, Waker::noop(), now, after));
    }

    fn seal(&mut self) {
        self.work_off(|job| matches!(job, Job::Seal(_)));
    }

    fn split(&mut self) {
        self.work_off(|job| matches!(job, Job::Split(_)));
    }

    /// Does the work that is done elsewhere.
    fn work_off(&mut self, is_meant: impl Fn(&Job) -> bool) {
        let (meant, others) = std::mem::take(&mut self.jobs).into_iter().partition(is_meant);
        self.jobs = others;
        let meant: Vec<Job> = meant;
        for job in meant {
            let done = job.run(&self.plane.pool, &mut self.compressor);
            self.plane.handle_done(done, self.now, &mut self.after);
        }
        self.settle();
    }

    /// A connection takes what there is for it. What it takes is written, or never will be.
    fn poll(&mut self, node: NodeId) {
        self.renew(node);
        for _ in 0..5 {
            if self.requests.iter().filter(|request| request.node == node).count() >= 5 {
                return;
            }
            let next =
                self.at(node, |feed, plane, now, after| feed.poll_call(plane, Waker::noop(), now, after));
            let Next::Call(mut call) = next else { break };
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
        self.at(node, |feed, plane, now, after| feed.on_reply(plane, call, result, now, after));
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
        self.at(node, |feed, plane, now, after| feed.on_status(plane, &status, now, after));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.plane.turn(self.now, &mut self.after);
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
        self.plane.purge(what, kind, self.now, &mut self.after);
        self.settle();
    }

    /// Carries out what the engine leaves to be done, and lets the driver have its turn.
    fn settle(&mut self) {
        for _ in 0..MAX_TURNS {
            for resolution in self.after.resolved() {
                assert!(self.resolved.insert(Arc::as_ptr(&resolution.outcome)), "a batch has two answers");
                self.kept.push(Arc::clone(&resolution.outcome));
            }
            if !self.after.carry_out(&self.plane, |job| self.jobs.push(job)) {
                return;
            }
            self.plane.turn(self.now, &mut self.after);
        }
        self.after.carry_out(&self.plane, |job| self.jobs.push(job));
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
        assert_eq!(self.plane.look().sender.counters().losses, 0, "these brokers lose nothing");
        // Splits may overdraw it by as much as they split.
        let overdraft = self.plane.pool.limit() / 2;
        assert!(
            self.plane.pool.used() <= self.plane.pool.limit() + overdraft,
            "memory: {}",
            self.plane.pool.used()
        );
    }

    fn connect_all(&mut self) {
        for node in self.plane.view().brokers.keys().copied().collect::<Vec<_>>() {
            self.up_or_down(node, true);
        }
    }

    fn poll_all(&mut self) {
        for node in self.plane.view().brokers.keys().copied().collect::<Vec<_>>() {
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
        while !self.plane.is_drained() {
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
        assert_eq!(self.plane.pool.used(), 0, "memory returns");
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
/// How often the driver has its turn after a step.
const MAX_TURNS: usize = 8;
const MAX_OPS: usize = 1_000;
const MAX_RECORDS: usize = 2_000;
/// No two worlds of the process have the same producer.
static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 48);
