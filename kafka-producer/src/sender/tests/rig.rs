//! A sender, its lanes, and a cluster that says what the test tells it to.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_batch::{
    BatchHeader, Compression, Compressor, HEADER_SIZE, Limits, PartitionQueue, Pool, QueueSettings, Record,
    SendReason,
};
use kafka_net::{Answer, Backoff, Demand, Endpoint, Metadata, MetadataConfig, NetError, Next, Status};
use kafka_wire::{
    Acks, ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, TopicId, TopicName,
    messages::{
        InitProducerIdResponse, LeaderIdAndEpoch, MetadataResponse, MetadataResponseBroker,
        MetadataResponsePartition, MetadataResponseTopic, PartitionProduceResponse, ProduceResponse,
        TopicProduceResponse,
    },
};

use super::super::{Call, Drained, Reply, Sender, SenderSettings, call::ProduceCall};
use crate::{
    delivery::{Delivery, Outcome, RecordMetadata},
    error::DeliveryError,
    plane::InOrder,
};

pub(super) const A: NodeId = NodeId(1);
pub(super) const B: NodeId = NodeId(2);

/// All of it, with its clock.
pub(super) struct Rig {
    pub(super) sender: Sender,
    pub(super) now: Instant,
    pub(super) settings: QueueSettings,
    pool: Arc<Pool>,
    lanes: Vec<Lane>,
    /// The leaders and their epochs, by partition.
    pub(super) leaders: Vec<(NodeId, i32)>,
    /// Batches given out to be split.
    splits: Vec<super::super::SplitJob>,
    pub(super) fatal: Option<ErrorCode>,
    /// The last effects wake whoever calls `handle_timeout`.
    pub(super) wants_driver: bool,
    /// What all that waited was given up for.
    pub(super) refused: Option<ErrorCode>,
    /// How many partitions the topic was last said to have.
    pub(super) counted: u32,
    /// The topic's id; another one is another topic.
    pub(super) topic_id: TopicId,
    /// What is wrong with the topic.
    pub(super) topic_error: ErrorCode,
    /// The cluster's id; another one is another cluster.
    pub(super) cluster_id: &'static str,
    /// What a request for a producer id is answered.
    pub(super) init: ErrorCode,
    pub(super) producer_id: i64,
    pub(super) init_epoch: i16,
}

struct Lane {
    queue: PartitionQueue<Arc<Outcome>>,
    partition: i32,
}

/// What a broker saw of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
    pub(super) count: i32,
}

/// A request on its way, and to whom.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) node: NodeId,
    pub(super) call: ProduceCall,
    pub(super) seen: Vec<Seen>,
}

impl Rig {
    pub(super) fn new(partitions: i32) -> Self {
        Self::with(partitions, |_| {})
    }

    pub(super) fn with(partitions: i32, change: impl FnOnce(&mut SenderSettings)) -> Self {
        let mut settings = SenderSettings {
            acks: Acks::ALL,
            idempotent: true,
            max_unresolved: 5,
            max_request_size: 1 << 20,
            retries: i32::MAX as u32,
            retry_backoff: Backoff::new(Duration::from_millis(100), Duration::from_millis(100)),
            request_timeout: Duration::from_secs(30),
            linger: Duration::ZERO,
            min_produce_version: 3,
            max_sealing: usize::MAX,
        };
        change(&mut settings);
        // What a cluster must have answered before another one is believed is the metadata's own business, and tested there.
        let mut config = MetadataConfig::default();
        config.cluster_check = false;
        let metadata = Metadata::new(&[Endpoint::new("seed", 9092)], config, fastrand::Rng::with_seed(1));
        let settings_of_queues = QueueSettings {
            limits: Limits::new(16 << 10, 1 << 20, 32 << 20).expect("they fit"),
            linger: Duration::ZERO,
            delivery_timeout: Duration::from_secs(120),
        };
        let mut rig = Self {
            sender: Sender::new(settings, metadata, 7),
            now: start(),
            pool: Pool::new(&settings_of_queues.limits),
            settings: settings_of_queues,
            lanes: Vec::new(),
            leaders: vec![(A, 1); partitions as usize],
            splits: Vec::new(),
            fatal: None,
            wants_driver: false,
            refused: None,
            counted: 0,
            topic_id: TopicId::ZERO,
            cluster_id: "first",
            topic_error: ErrorCode::NONE,
            init: ErrorCode::NONE,
            producer_id: 77,
            init_epoch: 0,
        };
        rig.sender.want_topic(&topic(), rig.now);
        rig.come_up();
        for node in [A, B] {
            rig.connection(node, true);
        }
        rig
    }

    /// Answers what the sender asks the cluster until it asks no more.
    pub(super) fn come_up(&mut self) {
        for _ in 0..8 {
            self.settle_effects();
            let mut nodes: Vec<_> = self.sender.view().brokers.keys().copied().collect();
            nodes.sort();
            for node in nodes {
                if self.sender.demand(node, self.now) == Demand::Connect {
                    self.sender.handle_status(node, &Status::Ready, self.now);
                }
                while let Next::Call(call) = self.sender.poll_call(node, self.now) {
                    self.answer_control(node, call);
                }
            }
            self.settle_effects();
        }
    }

    pub(super) fn answer_control(&mut self, node: NodeId, call: Call) {
        let body = match &call {
            Call::Metadata(_) => Reply::Metadata(self.metadata()),
            Call::InitProducerId { .. } => Reply::InitProducerId(InitProducerIdResponse {
                error_code: self.init,
                producer_id: ProducerId(self.producer_id),
                producer_epoch: ProducerEpoch(self.init_epoch),
                ..Default::default()
            }),
            Call::Produce(_) => panic!("nothing was to be sent"),
        };
        self.sender.handle_reply(node, &call, reply(body), self.now);
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = |node: NodeId| MetadataResponseBroker {
            node_id: node,
            host: "broker".to_owned(),
            port: 9092 + node.0,
            ..Default::default()
        };
        let partitions =
            self.leaders.iter().zip(0..).map(|((leader, epoch), index)| MetadataResponsePartition {
                partition_index: PartitionId(index),
                leader_id: *leader,
                leader_epoch: *epoch,
                ..Default::default()
            });
        MetadataResponse {
            cluster_id: Some(self.cluster_id.to_owned()),
            brokers: vec![broker(A), broker(B)],
            topics: vec![MetadataResponseTopic {
                name: Some(topic()),
                error_code: self.topic_error,
                topic_id: self.topic_id,
                partitions: partitions.collect(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// Brings up what the sender wants to connect to, and answers nothing but what any broker could be asked.
    pub(super) fn answer_controls(&mut self) {
        for _ in 0..3 {
            for node in [A, B] {
                if self.sender.demand(node, self.now) == Demand::Connect {
                    self.sender.handle_status(node, &Status::Ready, self.now);
                }
                while let Some(call) = self.sender.control_call(node) {
                    self.answer_control(node, call);
                }
            }
            self.settle_effects();
        }
    }

    /// Tells the sender of new leaders, as an answer to its question for them.
    pub(super) fn refresh(&mut self) {
        self.sender.want_topic(&topic(), self.now);
        self.advance(Duration::from_secs(2));
        self.answer_controls();
    }

    /// Does what the shell would do.
    pub(super) fn settle_effects(&mut self) {
        let effects = self.sender.take_effects();
        for resolution in effects.resolved {
            drop(resolution.outcome.resolve(resolution.result));
        }
        for grown in effects.grown {
            for partition in grown.first..grown.first + grown.lanes.len() as u32 {
                let queue = PartitionQueue::new(self.settings);
                self.lanes.push(Lane { queue, partition: partition as i32 });
            }
        }
        self.counted = effects.news.last().map_or(self.counted, |news| news.partitions);
        self.splits.extend(effects.splits);
        self.fatal = self.fatal.or(effects.fatal);
        self.wants_driver = effects.timer;
        self.refused = self.refused.or(effects.refused);
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.now += time;
        self.sender.handle_timeout(self.now);
        self.settle_effects();
    }

    /// Appends a batch of its own.
    pub(super) fn batch(&mut self, partition: usize, records: u32) -> Vec<Delivery> {
        let lane = &mut self.lanes[partition];
        let record = Record { timestamp: 1, value: Some(b"0123456789"), ..Record::default() };
        let outcome = || Arc::new(Outcome::new(topic(), lane.partition));
        let mut source = &self.pool;
        let slots: Vec<_> = (0..records)
            .map(|_| {
                lane.queue.append_slow(&record, self.now, &mut source, outcome).slot.expect("there is room")
            })
            .collect();
        lane.queue.close(SendReason::Full);
        slots.into_iter().map(|slot| Delivery::new(slot.tag, slot.index)).collect()
    }

    /// Drains what is ready into the ledger; gives what is to be sealed.
    pub(super) fn drain(&mut self, node: NodeId) -> Vec<Drained> {
        let mut drained = Vec::new();
        let leader = |partition: i32| self.leaders.get(partition as usize).map(|(leader, _)| *leader);
        let led = self.lanes.iter_mut();
        let led = led.map(|lane| (leader(lane.partition) == Some(node)).then_some(&mut lane.queue));
        let mut supply = InOrder::new(led);
        self.sender.drain(node, self.now, &mut supply, &mut drained);
        drained
    }

    /// Seals what was drained.
    pub(super) fn seal(&mut self, drained: Vec<Drained>) {
        let mut compressor = Compressor::new(Compression::None).expect("compiled in");
        for Drained { lane, key, batch, stamp } in drained {
            self.sender.handle_sealed(lane, key, batch.seal(stamp, &mut compressor), self.now);
        }
        self.settle_effects();
    }

    /// The next request to a node, if there is one. Whatever else is asked goes unanswered.
    pub(super) fn request(&mut self, node: NodeId) -> Option<Request> {
        let drained = self.drain(node);
        self.seal(drained);
        loop {
            match self.sender.poll_call(node, self.now) {
                Next::Call(Call::Produce(call)) => {
                    let seen = call.parts.iter().map(|part| seen(part.partition, &part.records)).collect();
                    return Some(Request { node, call, seen });
                }
                Next::Call(_) => {}
                _ => return None,
            }
        }
    }

    /// All requests there are now.
    pub(super) fn requests(&mut self, node: NodeId) -> VecDeque<Request> {
        std::iter::from_fn(|| self.request(node)).collect()
    }

    /// Answers each part of a request.
    pub(super) fn answer(&mut self, request: Request, answers: &[(ErrorCode, i64)]) {
        let parts = request.call.parts.iter().zip(answers);
        let answers = parts.map(|(part, (code, offset))| answer(part.partition, *code, *offset)).collect();
        self.respond(request, answers);
    }

    pub(super) fn respond(&mut self, request: Request, answers: Vec<PartitionProduceResponse>) {
        let responses =
            vec![TopicProduceResponse { name: topic(), partition_responses: answers, ..Default::default() }];
        self.respond_with(request, ProduceResponse { responses, ..Default::default() });
    }

    pub(super) fn respond_with(&mut self, request: Request, response: ProduceResponse) {
        let body = Reply::Produce(response);
        self.sender.handle_reply(request.node, &Call::Produce(request.call), reply(body), self.now);
        self.settle_effects();
    }

    /// The connection breaks before an answer.
    pub(super) fn lose(&mut self, request: Request, written: bool) {
        let error = Err(NetError::aborted(written));
        self.sender.handle_reply(request.node, &Call::Produce(request.call), error, self.now);
        self.settle_effects();
    }

    /// The connection does not take it.
    pub(super) fn refuse(&mut self, request: Request, error: NetError) {
        self.sender.handle_reply(request.node, &Call::Produce(request.call), Err(error), self.now);
        self.settle_effects();
    }

    /// The connection of a node comes up, or breaks.
    pub(super) fn connection(&mut self, node: NodeId, is_up: bool) {
        let down = Status::Down { error: NetError::aborted(false), retry_after: Duration::from_millis(50) };
        let status = if is_up { Status::Ready } else { down };
        self.sender.handle_status(node, &status, self.now);
        self.settle_effects();
    }

    /// Makes two of each batch that is too large.
    pub(super) fn split(&mut self) {
        let mut compressor = Compressor::new(Compression::None).expect("compiled in");
        for job in std::mem::take(&mut self.splits) {
            let make = || Arc::new(Outcome::new(topic(), job.batch.tag().partition()));
            let parts = job.batch.split(&self.pool, make).expect("several records");
            let parts = parts.into_iter().map(|part| part.seal(kafka_batch::Stamp::NONE, &mut compressor));
            self.sender.handle_split(job.lane, job.key, parts.collect(), self.now);
        }
        self.settle_effects();
    }
}

pub(super) fn topic() -> TopicName {
    TopicName::from("orders")
}

pub(super) fn answer(partition: PartitionId, code: ErrorCode, base_offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse { index: partition, error_code: code, base_offset, ..Default::default() }
}

/// A refusal that names the new leader (KIP-951).
pub(super) fn moved(partition: PartitionId, leader: NodeId, epoch: i32) -> PartitionProduceResponse {
    PartitionProduceResponse {
        current_leader: LeaderIdAndEpoch { leader_id: leader, leader_epoch: epoch },
        ..answer(partition, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)
    }
}

fn reply(body: Reply) -> kafka_net::CallResult<Reply> {
    Ok(Answer::Reply { body, version: 12 })
}

fn seen(partition: PartitionId, records: &kafka_wire::Records) -> Seen {
    let bytes = records.to_bytes();
    let header = bytes.first_chunk::<HEADER_SIZE>().expect("a header");
    let header = BatchHeader::decode(header);
    Seen {
        partition: partition.0,
        epoch: header.producer_epoch.0,
        sequence: header.base_sequence,
        count: header.record_count,
    }
}

/// What a delivery says now.
pub(super) fn result(delivery: &Delivery) -> Option<Result<RecordMetadata, DeliveryError>> {
    delivery.peek()
}

pub(super) fn offset(delivery: &Delivery) -> Option<i64> {
    result(delivery)?.ok()?.offset
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}
