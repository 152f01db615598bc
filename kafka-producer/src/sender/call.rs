//! [`Call`]: the requests a producer makes, and what it needs to go on once they are answered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_net::Ticket;
use kafka_wire::{
    Acks, ApiKey, CorrelationId, FrameBuf, Message as _, PartitionId, Records, Response as _, TopicId,
    TopicName, VersionRange, WireError, decode_response, encode_request,
    messages::{
        InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse,
        PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
    },
};

use super::LaneId;

/// A request of the producer, on its way.
#[derive(Debug)]
pub(crate) enum Call {
    Produce(ProduceCall),
    Metadata(MetadataCall),
    InitProducerId { cluster_number: u32 },
}

/// What a broker answered.
#[derive(Debug)]
pub(crate) enum Reply {
    Produce(ProduceResponse),
    Metadata(MetadataResponse),
    InitProducerId(InitProducerIdResponse),
}

/// A question about the cluster.
#[derive(Debug)]
pub(crate) struct MetadataCall {
    pub(super) ticket: Ticket,
    pub(super) request: MetadataRequest,
}

/// One Produce request: at most one batch of each partition.
#[derive(Debug)]
pub(crate) struct ProduceCall {
    pub(super) acks: Acks,
    pub(in crate::sender) timeout_ms: i32,
    /// When it was made.
    pub(super) since: Instant,
    /// In which cluster: how many there were before it.
    pub(super) cluster_number: u32,
    /// Ordered by topic.
    pub(super) parts: Vec<Part>,
    /// The oldest version that can carry the codec.
    pub(super) min_version: i16,
}

/// A batch in a request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) lane: LaneId,
    /// Which entry of the ledger, and which attempt of it, this is.
    pub(super) key: u64,
    pub(super) attempt: u32,
    pub(super) topic: TopicName,
    /// The id the topic had when the request was made: the answer names no other (KIP-516).
    pub(super) topic_id: TopicId,
    pub(super) partition: PartitionId,
    /// Moved into the frame.
    pub(super) records: Records,
}

impl Part {
    /// Whether an answer about this partition is the answer to this part.
    pub(super) fn answers(&self, topic: &TopicProduceResponse, partition: PartitionId) -> bool {
        // Versions that know ids give no names, and the other way round.
        let same_topic =
            if topic.topic_id.is_zero() { self.topic == topic.name } else { self.topic_id == topic.topic_id };
        self.partition == partition && same_topic
    }
}

impl ProduceCall {
    fn request(&mut self) -> ProduceRequest {
        // Nearly always of one topic.
        let mut topic_data = Vec::with_capacity(1);
        for parts in self.parts.chunk_by_mut(|a, b| a.topic == b.topic) {
            let Some(Part { topic, topic_id, .. }) = parts.first() else { continue };
            let (name, topic_id) = (topic.clone(), *topic_id);
            let partition_data = parts.iter_mut().map(|part| PartitionProduceData {
                index: part.partition,
                records: Some(std::mem::take(&mut part.records)),
            });
            topic_data.push(TopicProduceData { name, topic_id, partition_data: partition_data.collect() });
        }
        ProduceRequest { transactional_id: None, acks: self.acks, timeout_ms: self.timeout_ms, topic_data }
    }

    /// A topic that has no id cannot be named in versions that know nothing but ids.
    fn versions(&self) -> VersionRange {
        let named = self.parts.iter().any(|part| part.topic_id.is_zero());
        VersionRange::new(self.min_version, if named { LAST_BY_NAME } else { LAST })
    }
}

impl kafka_net::Call for Call {
    type Reply = Reply;

    fn api_key(&self) -> ApiKey {
        match self {
            Self::Produce(_) => ApiKey::PRODUCE,
            Self::Metadata(_) => ApiKey::METADATA,
            Self::InitProducerId { .. } => ApiKey::INIT_PRODUCER_ID,
        }
    }

    fn versions(&self) -> VersionRange {
        match self {
            Self::Produce(call) => call.versions(),
            Self::Metadata(_) => MetadataRequest::VERSIONS,
            Self::InitProducerId { .. } => InitProducerIdRequest::VERSIONS,
        }
    }

    fn encode(
        &mut self,
        version: i16,
        correlation_id: CorrelationId,
        client_id: &str,
    ) -> Result<FrameBuf, WireError> {
        match self {
            Self::Produce(call) => encode_request(&call.request(), version, correlation_id, Some(client_id)),
            Self::Metadata(call) => encode_request(&call.request, version, correlation_id, Some(client_id)),
            Self::InitProducerId { .. } => {
                encode_request(&init_producer_id(), version, correlation_id, Some(client_id))
            }
        }
    }

    fn decode(&self, version: i16, frame: Bytes) -> Result<Reply, WireError> {
        Ok(match self {
            Self::Produce(_) => Reply::Produce(decode_response(&frame, version)?.1),
            Self::Metadata(_) => Reply::Metadata(decode_response(&frame, version)?.1),
            Self::InitProducerId { .. } => Reply::InitProducerId(decode_response(&frame, version)?.1),
        })
    }

    fn throttle(&self, reply: &Reply) -> Duration {
        match reply {
            Reply::Produce(reply) => reply.throttle_time(),
            Reply::Metadata(reply) => reply.throttle_time(),
            Reply::InitProducerId(reply) => reply.throttle_time(),
        }
    }

    fn expects_reply(&self) -> bool {
        !matches!(self, Self::Produce(ProduceCall { acks: Acks(0), .. }))
    }
}

/// Asks for a producer id outside transactions: no id of ours, and the longest time-out there is.
fn init_producer_id() -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    }
}

/// The last version of Produce that names topics; later ones give ids.
pub(super) const LAST_BY_NAME: i16 = 12;
const LAST: i16 = 13;
