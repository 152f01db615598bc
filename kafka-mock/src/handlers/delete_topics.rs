//! DeleteTopics: by name, and by id since version 6.

use kafka_wire::messages::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kafka_wire::{ErrorCode, TopicId, TopicName};

use crate::state::Cluster;

pub(super) fn answer(cluster: &mut Cluster, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), TopicId::default()));
    let by_either =
        request.topics.into_iter().map(|DeleteTopicState { name, topic_id, .. }| (name, topic_id));
    let responses = by_name.chain(by_either).map(|(name, topic_id)| delete(cluster, name, topic_id));
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}

fn delete(cluster: &mut Cluster, name: Option<TopicName>, topic_id: TopicId) -> DeletableTopicResult {
    let by_id = topic_id != TopicId::default();
    if name.is_some() == by_id {
        let message = "a topic is named either by its name or by its id";
        return failed(name, topic_id, ErrorCode::INVALID_REQUEST, message);
    }
    let found = match &name {
        Some(name) => cluster.topic(name.as_str()),
        None => cluster.topic_by_id(topic_id),
    };
    let Some((name, topic_id)) = found.map(|topic| (topic.name.clone(), topic.id)) else {
        let code = if by_id { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
        return failed(name, topic_id, code, "there is no such topic");
    };
    match cluster.delete_topic(name.as_str()) {
        Ok(()) => DeletableTopicResult { name: Some(name), topic_id, ..Default::default() },
        Err(refusal) => failed(Some(name), topic_id, refusal.code(), refusal.message()),
    }
}

fn failed(
    name: Option<TopicName>,
    topic_id: TopicId,
    error_code: ErrorCode,
    message: &str,
) -> DeletableTopicResult {
    DeletableTopicResult { name, topic_id, error_code, error_message: Some(message.to_owned()) }
}
