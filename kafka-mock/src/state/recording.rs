//! What was asked, by whom, and with which bytes: for tests that look back.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::time::Instant;

use bytes::Bytes;
use kafka_batch::{BatchHeader, HEADER_SIZE};
use kafka_wire::{ApiKey, CorrelationId, NodeId, PartitionId, ProducerEpoch, ProducerId, TopicName};

use super::Cluster;
use crate::request::{Body, Request};

/// A request as it came, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// When it came.
    pub at: Instant,
    /// The broker it came to.
    pub node: NodeId,
    /// The connection that brought it: they are numbered over all brokers, in the order they were accepted, from 1 on.
    pub connection: u64,
    /// What the client calls itself.
    pub client_id: Option<String>,
    /// The API asked.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// The number that the answer repeats.
    pub correlation_id: CorrelationId,
    /// The topics it names, with the partitions where it names them.
    pub topics: Vec<(TopicName, Option<PartitionId>)>,
    /// What was to be appended, if it was a Produce request.
    pub batches: Vec<RecordedBatch>,
}

/// A batch of a Produce request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedBatch {
    /// Where it was to go; `None` for a topic id that nobody has (KIP-516).
    pub topic: Option<TopicName>,
    /// The partition.
    pub partition: PartitionId,
    /// Bytes in all.
    pub size: usize,
    /// A hash of all of its bytes: two attempts that have the same sent the same.
    pub hash: u64,
    /// The producer's id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// How many records it says it has.
    pub record_count: i32,
}

/// The latest requests.
#[derive(Debug)]
pub(crate) struct Recording {
    requests: VecDeque<Recorded>,
    limit: usize,
}

impl Recording {
    pub(crate) fn new(limit: usize) -> Self {
        Self { requests: VecDeque::new(), limit }
    }

    fn is_on(&self) -> bool {
        self.limit > 0
    }

    fn push(&mut self, recorded: Recorded) {
        if self.requests.len() >= self.limit {
            self.requests.pop_front();
        }
        self.requests.push_back(recorded);
    }
}

impl Cluster {
    /// The latest requests, oldest first: as many as [`ClusterConfig::record_requests`](crate::ClusterConfig::record_requests)
    /// allows. Requests to a broker that is down are among them, frames that are no requests are not.
    pub fn recorded(&self) -> impl Iterator<Item = &Recorded> {
        self.recording.requests.iter()
    }

    /// Notes a request down, if it is to be noted down.
    pub(crate) fn record(&mut self, node: NodeId, request: &Request, at: Instant) {
        if self.recording.is_on() {
            let recorded = self.describe(node, request, at);
            self.recording.push(recorded);
        }
    }

    fn describe(&self, node: NodeId, request: &Request, at: Instant) -> Recorded {
        Recorded {
            at,
            node,
            connection: request.connection,
            client_id: request.client_id().map(str::to_owned),
            api: request.api(),
            version: request.version(),
            correlation_id: request.header.correlation_id,
            topics: self.about(request),
            batches: self.batches_of(request),
        }
    }

    fn batches_of(&self, request: &Request) -> Vec<RecordedBatch> {
        let Body::Produce(body, _) = &request.body else { return Vec::new() };
        let mut batches = Vec::new();
        for data in &body.topic_data {
            let topic = self.name_of(&data.name, data.topic_id);
            for partition in &data.partition_data {
                let bytes = partition.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
                batches.push(RecordedBatch::of(topic.clone(), partition.index, &bytes));
            }
        }
        batches
    }
}

impl RecordedBatch {
    fn of(topic: Option<TopicName>, partition: PartitionId, bytes: &Bytes) -> Self {
        let header = bytes.first_chunk::<HEADER_SIZE>().map(BatchHeader::decode);
        // With fixed keys: the same bytes have the same hash in every run.
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Self {
            topic,
            partition,
            size: bytes.len(),
            hash: hasher.finish(),
            producer_id: header.map_or(ProducerId::NONE, |header| header.producer_id),
            producer_epoch: header.map_or(ProducerEpoch::NONE, |header| header.producer_epoch),
            base_sequence: header.map_or(-1, |header| header.base_sequence),
            record_count: header.map_or(0, |header| header.record_count),
        }
    }
}
