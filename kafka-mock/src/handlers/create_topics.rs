//! CreateTopics.

use std::collections::BTreeMap;

use kafka_wire::messages::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
    CreateTopicsRequest, CreateTopicsResponse,
};
use kafka_wire::{ErrorCode, NodeId, TopicId, TopicName};

use super::describe_configs::source;
use crate::settings::TopicSettings;
use crate::state::{Cluster, Refusal};

pub(super) fn answer(
    cluster: &mut Cluster,
    version: i16,
    request: &CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut named = BTreeMap::<&TopicName, usize>::new();
    for topic in &request.topics {
        *named.entry(&topic.name).or_default() += 1;
    }
    let results = request.topics.iter().map(|wanted| {
        let created = if named.get(&wanted.name).is_some_and(|&times| times > 1) {
            Err(Refusal::new(
                ErrorCode::INVALID_REQUEST,
                format!("topic '{}' is in the request twice", wanted.name),
            ))
        } else {
            create(cluster, version, wanted, request.validate_only)
        };
        result(wanted, created)
    });
    CreateTopicsResponse { topics: results.collect(), ..Default::default() }
}

/// What came into being, or would have.
struct Created {
    id: TopicId,
    partitions: usize,
    replication_factor: usize,
    settings: TopicSettings,
}

fn create(
    cluster: &mut Cluster,
    version: i16,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<Created, Refusal> {
    let mut settings = TopicSettings::default();
    for config in &wanted.configs {
        let value = config.value.as_deref().ok_or_else(|| {
            Refusal::new(ErrorCode::INVALID_CONFIG, format!("topic config {} has no value", config.name))
        })?;
        settings
            .set(&config.name, value)
            .map_err(|message| Refusal::new(ErrorCode::INVALID_CONFIG, message))?;
    }
    let plan = if wanted.assignments.is_empty() {
        spread(cluster, version, wanted)?
    } else {
        assigned(cluster, wanted)?
    };
    let (partitions, replication_factor) = (plan.len(), plan.first().map_or(0, Vec::len));
    let id = if validate_only {
        cluster.check_new_topic(wanted.name.as_str(), partitions)?;
        TopicId::default()
    } else {
        cluster.add_topic(wanted.name.as_str(), plan, settings.clone())?
    };
    Ok(Created { id, partitions, replication_factor, settings })
}

/// -1 stands for the broker's default since version 4 (KIP-464).
fn spread(cluster: &Cluster, version: i16, wanted: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, Refusal> {
    let may_default = version >= 4;
    let partitions = match wanted.num_partitions {
        -1 if may_default => cluster.config.default_partitions,
        count => count,
    };
    let replication_factor = match wanted.replication_factor {
        -1 if may_default => cluster.default_replication_factor(),
        factor => factor,
    };
    cluster.spread(0, partitions, replication_factor)
}

/// Replicas as the client placed them, partition by partition.
fn assigned(cluster: &Cluster, wanted: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, Refusal> {
    if wanted.num_partitions != -1 || wanted.replication_factor != -1 {
        let message =
            "with manual assignments both the number of partitions and the replication factor must be -1";
        return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
    }
    let mut by_partition = BTreeMap::new();
    for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &wanted.assignments {
        super::check_replicas(cluster, broker_ids)?;
        by_partition.insert(*partition_index, broker_ids.clone());
    }
    let consecutive = by_partition.keys().zip(0..).all(|(partition, index)| partition.0 == index);
    if by_partition.len() != wanted.assignments.len() || !consecutive {
        let message = "assignments must name each partition once, numbered from 0 on";
        return Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    Ok(by_partition.into_values().collect())
}

fn result(wanted: &CreatableTopic, created: Result<Created, Refusal>) -> CreatableTopicResult {
    let name = wanted.name.clone();
    match created {
        Ok(created) => CreatableTopicResult {
            name,
            topic_id: created.id,
            error_message: None,
            num_partitions: i32::try_from(created.partitions).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(created.replication_factor).unwrap_or(i16::MAX),
            configs: Some(configs(&created.settings)),
            ..Default::default()
        },
        Err(refusal) => CreatableTopicResult {
            name,
            error_code: refusal.code(),
            error_message: Some(refusal.message().to_owned()),
            ..Default::default()
        },
    }
}

fn configs(settings: &TopicSettings) -> Vec<CreatableTopicConfigs> {
    let entries = settings.entries().map(|entry| CreatableTopicConfigs {
        name: entry.setting.name.to_owned(),
        value: Some(entry.value.to_owned()),
        config_source: source(entry.is_default),
        ..Default::default()
    });
    entries.collect()
}
