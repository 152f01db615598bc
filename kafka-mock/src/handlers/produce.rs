//! Produce: judged step by step as a broker does, appended, answered partition by partition.

use kafka_wire::messages::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use kafka_wire::{Acks, ErrorCode, NodeId, PartitionId, RequestHeader, TopicName};

use super::reply;
use crate::answer::Answer;
use crate::close::CloseReason;
use crate::fault::Fault;
use crate::inspect::{Inspected, claimed_count};
use crate::log::StoredBatch;
use crate::producers::{Appended, BatchNumbers, Verdict};
use crate::state::{Cluster, Now};
use crate::topic::{Partition, Topic};

/// What became of one partition's batch.
type Outcome = Result<Acknowledged, Fault>;

/// What a positive answer says.
struct Acknowledged {
    base_offset: i64,
    /// Where the topic wants it, the time of the append. Of a batch that comes again, brokers tell its largest timestamp here;
    /// else there is none.
    log_append_time_ms: i64,
}

pub(super) fn answer(
    cluster: &mut Cluster,
    node: NodeId,
    header: &RequestHeader,
    request: ProduceRequest,
    batches: Option<Vec<Result<Inspected, Fault>>>,
    now: Now,
) -> Answer {
    let acks = request.acks;
    let version = header.api_version;
    let response = if cluster.config.discard {
        respond(cluster, version, request, |cluster, topic, data| discard(cluster, node, topic, data))
    } else {
        let mut batches = batches.unwrap_or_else(|| crate::inspect::request(&request, version)).into_iter();
        let of_request =
            Common { node, acks, now, refused: refuse_transaction(&request, batches.as_slice()) };
        respond(cluster, version, request, |cluster, topic, data| match batches.next() {
            Some(batch) => append(cluster, &of_request, topic, data.index, batch),
            None => Err(Fault::new(ErrorCode::UNKNOWN_SERVER_ERROR, "a batch was not inspected")),
        })
    };
    if acks != Acks::NONE {
        return reply(header, &response);
    }
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match partitions.map(|partition| partition.error_code).find(|code| code.is_err()) {
        None => Answer::Silence,
        Some(code) => Answer::Close(CloseReason::FailedWithoutAcks { code }),
    }
}

/// What all batches of a request share.
struct Common {
    node: NodeId,
    acks: Acks,
    now: Now,
    /// Set when the request as a whole is refused.
    refused: Option<Fault>,
}

/// Goes over the partitions in order, and puts what `judge` says of each into the response.
fn respond(
    cluster: &mut Cluster,
    version: i16,
    request: ProduceRequest,
    mut judge: impl FnMut(&mut Cluster, &Result<TopicName, Fault>, &PartitionProduceData) -> Outcome,
) -> ProduceResponse {
    let mut hinted = Vec::new();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = resolve(cluster, version, &data);
        let mut partition_responses = Vec::with_capacity(data.partition_data.len());
        for partition in &data.partition_data {
            let outcome = judge(cluster, &topic, partition);
            let found =
                topic.as_ref().ok().and_then(|name| cluster.topic(name.as_str())?.partition(partition.index));
            partition_responses.push(partition_response(
                version,
                partition.index,
                outcome,
                found,
                &mut hinted,
            ));
        }
        responses.push(TopicProduceResponse {
            name: data.name,
            topic_id: data.topic_id,
            partition_responses,
        });
    }
    ProduceResponse { responses, node_endpoints: super::endpoints(cluster, hinted), ..Default::default() }
}

/// The topic's name; by its id since KIP-516.
fn resolve(cluster: &Cluster, version: i16, data: &TopicProduceData) -> Result<TopicName, Fault> {
    if version >= FIRST_BY_ID {
        let topic = cluster.topic_by_id(data.topic_id).map(|topic| topic.name.clone());
        return topic
            .ok_or_else(|| Fault::new(ErrorCode::UNKNOWN_TOPIC_ID, "there is no topic with this id"));
    }
    let topic = cluster.topic(data.name.as_str()).map(|topic| topic.name.clone());
    topic.ok_or_else(|| Fault::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic"))
}

/// A batch with the transactional bit needs a transactional id that may be used, which a null one never may.
fn refuse_transaction(request: &ProduceRequest, batches: &[Result<Inspected, Fault>]) -> Option<Fault> {
    let transactional = batches.iter().flatten().any(|batch| batch.header.is_transactional());
    (transactional && request.transactional_id.is_none()).then(|| {
        let message = "a transactional batch in a request without a transactional id";
        Fault::new(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, message)
    })
}

/// Judges one batch and appends it.
fn append(
    cluster: &mut Cluster,
    common: &Common,
    topic: &Result<TopicName, Fault>,
    index: PartitionId,
    batch: Result<Inspected, Fault>,
) -> Outcome {
    if let Some(fault) = &common.refused {
        return Err(fault.clone().before_log());
    }
    let name = topic.as_ref().map_err(|fault| fault.clone().before_log())?;
    let (topic, partition) = find(cluster, name, index).map_err(Fault::before_log)?;
    let batch = batch?;
    check_request(common, partition, &batch).map_err(Fault::before_log)?;
    batch.check(&topic.settings, common.now.timestamp)?;

    let header = &batch.header;
    let numbers = BatchNumbers::of(header);
    match numbers.map_or(Verdict::Next, |numbers| partition.judge(numbers, common.now.timestamp)) {
        Verdict::Next => {}
        Verdict::Duplicate(first) => {
            let (base_offset, log_append_time_ms) = (first.base_offset, first.max_timestamp);
            return Ok(Acknowledged { base_offset, log_append_time_ms });
        }
        Verdict::Refused(code) => {
            return Err(refused_numbers(
                code,
                header.producer_id.0,
                header.producer_epoch.0,
                header.base_sequence,
            ));
        }
    }
    let base_offset = partition.log.end_offset();
    let append_time = topic.settings.log_append_time.then_some(common.now.timestamp);
    let max_timestamp = append_time.unwrap_or(header.max_timestamp);
    let appended = Appended { base_offset, max_timestamp };
    let stored = StoredBatch {
        base_offset,
        end_offset: base_offset + i64::from(header.record_count),
        max_timestamp,
        leader_epoch: partition.leader_epoch,
        bytes: batch.stored_at(base_offset, partition.leader_epoch, append_time),
    };
    cluster.append(name.as_str(), index, stored);
    let most = cluster.producers_per_partition();
    let partition = cluster.topic_mut(name.as_str()).and_then(|topic| topic.partition_mut(index));
    if let (Some(partition), Some(numbers)) = (partition, numbers) {
        partition.producers.record(numbers, appended, common.now.timestamp, most);
    }
    Ok(Acknowledged { base_offset, log_append_time_ms: append_time.unwrap_or(-1) })
}

fn find<'a>(
    cluster: &'a Cluster,
    name: &TopicName,
    index: PartitionId,
) -> Result<(&'a Topic, &'a Partition), Fault> {
    let topic = cluster.topic(name.as_str());
    let found = topic.and_then(|topic| Some((topic, topic.partition(index)?)));
    found.ok_or_else(|| {
        Fault::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("topic '{name}' has no partition {index}"))
    })
}

/// What a broker checks before it looks at a batch's bytes. Replicas are never too few: all are in sync, and a broker
/// wants no more than there are, whatever `min.insync.replicas` says.
fn check_request(common: &Common, partition: &Partition, batch: &Inspected) -> Result<(), Fault> {
    if ![Acks::NONE, Acks::LEADER, Acks::ALL].contains(&common.acks) {
        let message = format!("acks is {}, and must be 0, 1 or -1", common.acks);
        return Err(Fault::new(ErrorCode::INVALID_REQUIRED_ACKS, message));
    }
    if batch.header.is_transactional() {
        let message = "there is no transaction: the mock cluster has none";
        return Err(Fault::new(ErrorCode::INVALID_TXN_STATE, message));
    }
    if partition.leader != common.node {
        let message = format!("broker {} is not the leader, broker {} is", common.node, partition.leader);
        return Err(Fault::new(ErrorCode::NOT_LEADER_OR_FOLLOWER, message));
    }
    Ok(())
}

fn refused_numbers(code: ErrorCode, producer: i64, epoch: i16, sequence: i32) -> Fault {
    Fault::new(code, format!("sequence {sequence} of producer {producer} in epoch {epoch} cannot be next"))
}

/// Counts a batch's records and acknowledges them.
fn discard(
    cluster: &mut Cluster,
    node: NodeId,
    topic: &Result<TopicName, Fault>,
    data: &PartitionProduceData,
) -> Outcome {
    let name = topic.as_ref().map_err(|fault| fault.clone().before_log())?;
    let count = data.records.as_ref().map_or(0, claimed_count);
    let found = cluster.topic_mut(name.as_str()).and_then(|topic| topic.partition_mut(data.index));
    let partition =
        found.ok_or_else(|| Fault::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "no such partition"))?;
    if partition.leader != node {
        let fault = Fault::new(ErrorCode::NOT_LEADER_OR_FOLLOWER, "this broker is not the leader");
        return Err(fault.before_log());
    }
    Ok(Acknowledged { base_offset: partition.log.skip(count), log_append_time_ms: -1 })
}

fn partition_response(
    version: i16,
    index: PartitionId,
    outcome: Outcome,
    partition: Option<&Partition>,
    hinted: &mut Vec<NodeId>,
) -> PartitionProduceResponse {
    let log_start_offset = partition.map_or(-1, |partition| partition.log.start_offset());
    let fault = match outcome {
        Ok(Acknowledged { base_offset, log_append_time_ms }) => {
            return PartitionProduceResponse {
                index,
                base_offset,
                log_append_time_ms,
                log_start_offset,
                ..Default::default()
            };
        }
        Err(fault) => fault,
    };
    let record_errors = fault.records.into_iter().map(|(batch_index, message)| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: Some(message),
    });
    let mut response = PartitionProduceResponse {
        index,
        error_code: fault.code,
        base_offset: -1,
        log_start_offset: if fault.tells_log_start { log_start_offset } else { -1 },
        record_errors: record_errors.collect(),
        error_message: Some(fault.message),
        ..Default::default()
    };
    if let (true, ErrorCode::NOT_LEADER_OR_FOLLOWER, Some(partition)) =
        (version >= FIRST_WITH_HINTS, fault.code, partition)
    {
        response.current_leader = super::hint(partition, hinted);
    }
    response
}

/// Topics are named by id from this version on (KIP-516).
const FIRST_BY_ID: i16 = 13;

/// Answers tell the current leader and where it is from this version on (KIP-951).
const FIRST_WITH_HINTS: i16 = 10;
