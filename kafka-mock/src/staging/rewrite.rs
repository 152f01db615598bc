//! Answers of the handlers with other fields: error codes, throttling, producer ids, leaders of yesterday.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::messages::{
    ApiVersionsResponse, CreatePartitionsResponse, CreatePartitionsTopicResult, CreateTopicsResponse,
    DeletableTopicResult, DeleteTopicsResponse, DescribeClusterResponse, DescribeConfigsResponse,
    FetchResponse, InitProducerIdResponse, ListOffsetsResponse, MetadataResponse, ProduceResponse,
};
use kafka_wire::{
    ApiKey, ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, RequestHeader, Response, TopicName,
};

use super::{Refused, SCRIPTED};
use crate::close::CloseReason;
use crate::script::Errors;
use crate::state::Cluster;

/// What is other in an answer.
pub(super) struct Fields<'a> {
    pub(super) refused: &'a Errors,
    pub(super) failed: &'a Errors,
    pub(super) throttle: Option<Duration>,
    pub(super) producer: Option<(Option<ProducerId>, ProducerEpoch)>,
    pub(super) stale_leaders: bool,
}

impl Fields<'_> {
    fn error(&self, topic: Option<&TopicName>, partition: Option<PartitionId>) -> Option<ErrorCode> {
        self.refused.of(topic, partition).or_else(|| self.failed.of(topic, partition))
    }

    /// The error of an answer that has only one, or of the answer as a whole.
    fn any_error(&self) -> Option<ErrorCode> {
        self.refused.first().or_else(|| self.failed.first())
    }

    fn throttle(&self, field: &mut i32) {
        if let Some(time) = self.throttle {
            *field = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        }
    }
}

/// The answer with other fields. One of an API that is not served stays as it is.
pub(super) fn answer(
    cluster: &Cluster,
    fields: &Fields<'_>,
    header: &RequestHeader,
    frame: &Bytes,
    refused: Refused,
) -> Result<Bytes, CloseReason> {
    match header.api_key {
        ApiKey::PRODUCE => edit::<ProduceResponse>(header, frame, |it| produce(cluster, fields, it)),
        ApiKey::FETCH => edit::<FetchResponse>(header, frame, |it| fetch(cluster, fields, it)),
        ApiKey::LIST_OFFSETS => edit::<ListOffsetsResponse>(header, frame, |it| list_offsets(fields, it)),
        ApiKey::METADATA => edit::<MetadataResponse>(header, frame, |it| metadata(cluster, fields, it)),
        ApiKey::API_VERSIONS => edit::<ApiVersionsResponse>(header, frame, |it| {
            fields.throttle(&mut it.throttle_time_ms);
            it.error_code = fields.any_error().unwrap_or(it.error_code);
        }),
        ApiKey::INIT_PRODUCER_ID => {
            edit::<InitProducerIdResponse>(header, frame, |it| init_producer_id(fields, it))
        }
        ApiKey::DESCRIBE_CLUSTER => edit::<DescribeClusterResponse>(header, frame, |it| {
            fields.throttle(&mut it.throttle_time_ms);
            it.error_code = fields.any_error().unwrap_or(it.error_code);
        }),
        ApiKey::DESCRIBE_CONFIGS => edit::<DescribeConfigsResponse>(header, frame, |it| {
            fields.throttle(&mut it.throttle_time_ms);
            for result in &mut it.results {
                let topic = TopicName::from(result.resource_name.as_str());
                result.error_code = fields.error(Some(&topic), None).unwrap_or(result.error_code);
            }
        }),
        ApiKey::CREATE_TOPICS => edit::<CreateTopicsResponse>(header, frame, |it| {
            fields.throttle(&mut it.throttle_time_ms);
            for topic in &mut it.topics {
                topic.error_code = fields.failed.of(Some(&topic.name), None).unwrap_or(topic.error_code);
            }
            it.topics.extend(refused.created());
        }),
        ApiKey::DELETE_TOPICS => edit::<DeleteTopicsResponse>(header, frame, |it| {
            fields.throttle(&mut it.throttle_time_ms);
            for topic in &mut it.responses {
                topic.error_code = fields.failed.of(topic.name.as_ref(), None).unwrap_or(topic.error_code);
            }
            it.responses.extend(refused.topics.into_iter().map(|(name, error_code)| DeletableTopicResult {
                name: Some(name),
                error_code,
                error_message: Some(SCRIPTED.to_owned()),
                ..Default::default()
            }));
        }),
        ApiKey::CREATE_PARTITIONS => edit::<CreatePartitionsResponse>(header, frame, |it| {
            fields.throttle(&mut it.throttle_time_ms);
            for topic in &mut it.results {
                topic.error_code = fields.failed.of(Some(&topic.name), None).unwrap_or(topic.error_code);
            }
            it.results.extend(refused.topics.into_iter().map(|(name, error_code)| {
                CreatePartitionsTopicResult { name, error_code, error_message: Some(SCRIPTED.to_owned()) }
            }));
        }),
        _ => Ok(frame.clone()),
    }
}

fn edit<R: Response>(
    header: &RequestHeader,
    frame: &Bytes,
    change: impl FnOnce(&mut R),
) -> Result<Bytes, CloseReason> {
    let body = frame.slice(frame.len().min(LENGTH)..);
    let edited =
        kafka_wire::decode_response::<R>(&body, header.api_version).and_then(|(id, mut response)| {
            change(&mut response);
            kafka_wire::encode_response(&response, header.api_version, id)
        });
    match edited {
        Ok(frame) => Ok(frame.into_bytes()),
        Err(source) => Err(CloseReason::Unencodable { api: header.api_key, source }),
    }
}

/// What was refused was so by the handler already, which told the rest of the fields.
fn produce(cluster: &Cluster, fields: &Fields<'_>, response: &mut ProduceResponse) {
    fields.throttle(&mut response.throttle_time_ms);
    for topic in &mut response.responses {
        let name = cluster.name_of(&topic.name, topic.topic_id);
        for partition in &mut topic.partition_responses {
            if let Some(code) = fields.failed.of(name.as_ref(), Some(partition.index)) {
                partition.error_code = code;
                partition.base_offset = -1;
                partition.log_append_time_ms = -1;
                partition.error_message = Some(SCRIPTED.to_owned());
            }
        }
    }
}

fn fetch(cluster: &Cluster, fields: &Fields<'_>, response: &mut FetchResponse) {
    fields.throttle(&mut response.throttle_time_ms);
    for topic in &mut response.responses {
        let name = cluster.name_of(&topic.topic, topic.topic_id);
        for partition in &mut topic.partitions {
            if let Some(code) = fields.error(name.as_ref(), Some(partition.partition_index)) {
                partition.error_code = code;
                partition.high_watermark = -1;
                partition.records = None;
            }
        }
    }
}

fn list_offsets(fields: &Fields<'_>, response: &mut ListOffsetsResponse) {
    fields.throttle(&mut response.throttle_time_ms);
    for topic in &mut response.topics {
        for partition in &mut topic.partitions {
            if let Some(code) = fields.error(Some(&topic.name), Some(partition.partition_index)) {
                partition.error_code = code;
                (partition.offset, partition.timestamp, partition.leader_epoch) = (-1, -1, -1);
            }
        }
    }
}

fn init_producer_id(fields: &Fields<'_>, response: &mut InitProducerIdResponse) {
    fields.throttle(&mut response.throttle_time_ms);
    if let Some((id, epoch)) = fields.producer {
        response.producer_id = id.unwrap_or(response.producer_id);
        response.producer_epoch = epoch;
    }
    if let Some(code) = fields.any_error() {
        response.error_code = code;
        response.producer_id = ProducerId::NONE;
        response.producer_epoch = ProducerEpoch::NONE;
    }
}

fn metadata(cluster: &Cluster, fields: &Fields<'_>, response: &mut MetadataResponse) {
    fields.throttle(&mut response.throttle_time_ms);
    if let Some(code @ ErrorCode::REBOOTSTRAP_REQUIRED) = fields.any_error() {
        response.error_code = code;
        return;
    }
    for topic in &mut response.topics {
        let name = topic.name.clone();
        for partition in &mut topic.partitions {
            let index = partition.partition_index;
            let known = name.as_ref().and_then(|name| cluster.topic(name.as_str())?.partition(index));
            if let (true, Some((leader, epoch))) =
                (fields.stale_leaders, known.and_then(|known| known.before))
            {
                (partition.leader_id, partition.leader_epoch) = (leader, epoch);
            }
            let code = fields.error(name.as_ref(), Some(index));
            if let Some(code) = code.filter(|code| OF_PARTITIONS.contains(code)) {
                partition.error_code = code;
                partition.leader_id = NodeId::NONE;
            }
        }
        let code = fields.error(name.as_ref(), None);
        if let Some(code) = code.filter(|code| !OF_PARTITIONS.contains(code)) {
            topic.error_code = code;
            topic.partitions.clear();
        }
    }
}

/// Codes that stand with the partitions of a Metadata answer.
const OF_PARTITIONS: [ErrorCode; 3] =
    [ErrorCode::LEADER_NOT_AVAILABLE, ErrorCode::LISTENER_NOT_FOUND, ErrorCode::REPLICA_NOT_AVAILABLE];

/// Bytes of the length in front of a frame.
const LENGTH: usize = 4;
