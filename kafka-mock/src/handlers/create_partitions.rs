//! CreatePartitions: a topic grows.

use kafka_wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use kafka_wire::{ErrorCode, NodeId};

use crate::state::{Cluster, Refusal};

pub(super) fn answer(cluster: &mut Cluster, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|wanted| {
        let (error_code, error_message) = match grow(cluster, &wanted, request.validate_only) {
            Ok(()) => (ErrorCode::NONE, None),
            Err(refusal) => (refusal.code(), Some(refusal.message().to_owned())),
        };
        CreatePartitionsTopicResult { name: wanted.name, error_code, error_message }
    });
    CreatePartitionsResponse { results: results.collect(), ..Default::default() }
}

fn grow(cluster: &mut Cluster, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    let Some(topic) = cluster.topic(wanted.name.as_str()) else {
        let message = format!("there is no topic '{}'", wanted.name);
        return Err(Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
    };
    let present = topic.partitions.len();
    let added = i64::from(wanted.count) - i64::try_from(present).unwrap_or(i64::MAX);
    if added <= 0 {
        let message = format!(
            "topic '{}' has {present} partitions, which {} would not increase",
            wanted.name, wanted.count
        );
        return Err(Refusal::new(ErrorCode::INVALID_PARTITIONS, message));
    }
    let plan = match &wanted.assignments {
        None => {
            let replicas = i16::try_from(topic.replication_factor()).unwrap_or(i16::MAX);
            cluster.spread(present, i32::try_from(added).unwrap_or(i32::MAX), replicas)?
        }
        Some(assignments) => {
            let plan: Vec<Vec<NodeId>> =
                assignments.iter().map(|assignment| assignment.broker_ids.clone()).collect();
            if i64::try_from(plan.len()) != Ok(added) {
                let message = format!("{added} partitions are added, and {} assignments given", plan.len());
                return Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
            for replicas in &plan {
                super::check_replicas(cluster, replicas)?;
            }
            plan
        }
    };
    if validate_only {
        cluster.check_room(plan.len())
    } else {
        cluster.add_partitions(wanted.name.as_str(), plan)
    }
}
