//! Metadata: brokers, topics, leaders.

use std::collections::BTreeSet;

use kafka_wire::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use kafka_wire::{ErrorCode, NodeId, TopicId, TopicName};

use crate::state::Cluster;
use crate::topic::is_legal_name;

pub(super) fn answer(
    cluster: &mut Cluster,
    node: NodeId,
    version: i16,
    request: &MetadataRequest,
) -> MetadataResponse {
    let topics = match &request.topics {
        None => cluster.topics_known_to(node),
        // Before version 1 there was no null, and an empty list meant all.
        Some(wanted) if wanted.is_empty() && version == 0 => cluster.topics_known_to(node),
        Some(wanted) => {
            let may_create = request.allow_auto_topic_creation && cluster.config.auto_create;
            // Each once, however often it is named: a small request must not make a huge answer.
            let mut answered = BTreeSet::new();
            let wanted = wanted.iter().filter(|topic| answered.insert((topic.topic_id, topic.name.as_ref())));
            wanted.map(|topic| look_up(cluster, node, version, topic, may_create)).collect()
        }
    };
    MetadataResponse {
        brokers: cluster.brokers_known_to(node),
        cluster_id: Some(cluster.id().to_owned()),
        controller_id: cluster.controller_known_to(node),
        topics,
        ..Default::default()
    }
}

fn look_up(
    cluster: &mut Cluster,
    node: NodeId,
    version: i16,
    wanted: &MetadataRequestTopic,
    may_create: bool,
) -> MetadataResponseTopic {
    let by_id = wanted.topic_id != TopicId::default();
    // Versions 10 and 11 have the field but not yet the meaning (KIP-516).
    if by_id && version < FIRST_BY_ID {
        return missing(wanted.name.clone(), wanted.topic_id, ErrorCode::INVALID_REQUEST);
    }
    if by_id {
        let known = cluster.topic_id_known_to(node, wanted.topic_id);
        return known.unwrap_or_else(|| missing(None, wanted.topic_id, ErrorCode::UNKNOWN_TOPIC_ID));
    }
    let Some(name) = wanted.name.clone() else {
        return missing(None, wanted.topic_id, ErrorCode::INVALID_REQUEST);
    };
    if let Some(topic) = cluster.topic_known_to(node, &name) {
        return topic;
    }
    if !is_legal_name(name.as_str()) {
        return missing(Some(name), TopicId::default(), ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    // One that only this broker does not know is there already.
    let may_create = may_create && cluster.topic(name.as_str()).is_none();
    let code = if may_create { create(cluster, &name) } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    missing(Some(name), TopicId::default(), code)
}

/// Creates a topic because a client asked for it. As with a real cluster it is there for the next request, not for this one.
fn create(cluster: &mut Cluster, name: &TopicName) -> ErrorCode {
    match cluster.create_topic(name.as_str(), cluster.config.default_partitions) {
        Ok(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(refusal) => refusal.code(),
    }
}

fn missing(name: Option<TopicName>, topic_id: TopicId, error_code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic { error_code, name, topic_id, ..Default::default() }
}

/// The first version in which a topic can be asked for by id.
const FIRST_BY_ID: i16 = 12;
