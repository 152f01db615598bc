//! A cluster and a client that has nothing but frames.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_mock::{Answer, CloseReason, Cluster, ClusterConfig, Now, Waiting};
use kafka_wire::messages::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};
use kafka_wire::{
    Acks, CorrelationId, ErrorCode, NodeId, PartitionId, Records, Request, TopicId, TransactionalId,
};

use crate::batch::NOW_MS;

/// The broker that leads partition 0 of every new topic.
pub(crate) const LEADER: NodeId = NodeId(1);

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) now: Now,
}

impl World {
    /// Three brokers, and the topic `orders` with three partitions: broker 1 leads partition 0, 2 leads 1, 3 leads 2.
    pub(crate) fn new() -> Self {
        Self::with(ClusterConfig::default().brokers(3))
    }

    pub(crate) fn with(config: ClusterConfig) -> Self {
        let mut cluster = Cluster::new(config);
        for (node, port) in [(1, 9092), (2, 9093), (3, 9094)] {
            cluster.set_address(NodeId(node), "mock", port);
        }
        cluster.create_topic("orders", 3).expect("a legal topic");
        Self { cluster, now: Now::new(start(), NOW_MS) }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = Now::new(self.now.instant + time, self.now.timestamp + time.as_millis() as i64);
    }

    /// What the cluster does about a request.
    pub(crate) fn ask<R: Request>(&mut self, node: NodeId, version: i16, request: &R) -> Answer {
        self.cluster.handle(node, frame(request, version), self.now)
    }

    /// The response to a request that has one at once.
    #[track_caller]
    pub(crate) fn call<R: Request>(&mut self, node: NodeId, version: i16, request: &R) -> R::Response {
        let answer = self.ask(node, version, request);
        response::<R>(answer, version)
    }

    #[track_caller]
    pub(crate) fn resume<R: Request>(&mut self, node: NodeId, version: i16, waiting: Waiting) -> R::Response {
        let answer = self.cluster.resume(node, waiting, self.now);
        response::<R>(answer, version)
    }

    pub(crate) fn topic_id(&mut self) -> TopicId {
        let request = kafka_wire::messages::MetadataRequest { topics: None, ..Default::default() };
        self.call(LEADER, 12, &request).topics[0].topic_id
    }

    /// Produces to partition 0 of `orders` with acks=all.
    #[track_caller]
    pub(crate) fn produce(&mut self, version: i16, batch: impl Into<Bytes>) -> PartitionProduceResponse {
        let request = self.request(version, Acks::ALL, batch);
        only(self.call(LEADER, version, &request))
    }

    /// Produces and expects it to be refused.
    #[track_caller]
    pub(crate) fn refused(&mut self, version: i16, batch: impl Into<Bytes>) -> ErrorCode {
        let response = self.produce(version, batch);
        assert_eq!(response.base_offset, -1);
        assert_eq!(self.end(), self.cluster.offsets("orders", PartitionId(0)).expect("exists").1);
        response.error_code
    }

    /// The offset after the last record of partition 0.
    pub(crate) fn end(&self) -> i64 {
        self.cluster.offsets("orders", PartitionId(0)).expect("exists").1
    }

    /// A request for partition 0 of `orders`.
    pub(crate) fn request(&mut self, version: i16, acks: Acks, batch: impl Into<Bytes>) -> ProduceRequest {
        let mut data = TopicProduceData {
            partition_data: vec![PartitionProduceData {
                index: PartitionId(0),
                records: Some(Records::from(batch.into())),
            }],
            ..Default::default()
        };
        if version >= 13 {
            data.topic_id = self.topic_id();
        } else {
            data.name = "orders".into();
        }
        ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![data], ..Default::default() }
    }
}

pub(crate) fn transactional(mut request: ProduceRequest, id: &str) -> ProduceRequest {
    request.transactional_id = Some(TransactionalId::from(id));
    request
}

/// The one partition of a response.
#[track_caller]
pub(crate) fn only(mut response: ProduceResponse) -> PartitionProduceResponse {
    assert_eq!(response.responses.len(), 1);
    let mut topic = response.responses.remove(0);
    assert_eq!(topic.partition_responses.len(), 1);
    topic.partition_responses.remove(0)
}

/// A request as a frame, without its length.
pub(crate) fn frame<R: Request>(request: &R, version: i16) -> Bytes {
    let frame = kafka_wire::encode_request(request, version, CORRELATION, Some("a test")).expect("encodes");
    frame.into_bytes().slice(4..)
}

#[track_caller]
pub(crate) fn response<R: Request>(answer: Answer, version: i16) -> R::Response {
    let frame = reply(answer);
    let (correlation_id, response) = kafka_wire::decode_response(&frame, version).expect("decodes");
    assert_eq!(correlation_id, CORRELATION);
    response
}

/// The bytes of an answer, without their length.
#[track_caller]
pub(crate) fn reply(answer: Answer) -> Bytes {
    match answer {
        Answer::Reply(frame) => frame.into_bytes().slice(4..),
        other => panic!("not a reply: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn closed(answer: Answer) -> CloseReason {
    match answer {
        Answer::Close(reason) => reason,
        other => panic!("not closed: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn waits(answer: Answer) -> Waiting {
    match answer {
        Answer::Wait(waiting) => waiting,
        other => panic!("does not wait: {other:?}"),
    }
}

pub(crate) const CORRELATION: CorrelationId = CorrelationId(77);

#[expect(clippy::disallowed_methods, reason = "a test has to start somewhere")]
fn start() -> Instant {
    Instant::now()
}
