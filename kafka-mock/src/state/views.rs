//! Brokers that have not heard of everything yet: what their Metadata leaves out.

use std::collections::BTreeMap;

use kafka_wire::messages::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use kafka_wire::{ErrorCode, NodeId, PartitionId, TopicId, TopicName};

use super::{Broker, Cluster, Refusal};
use crate::script::Lag;
use crate::topic::Topic;

/// What a broker knows, where that is not everything.
#[derive(Debug, Default)]
pub(crate) struct View {
    lags: Vec<Lag>,
    snapshot: Option<Snapshot>,
}

/// What there was at a time.
#[derive(Debug)]
struct Snapshot {
    brokers: Vec<MetadataResponseBroker>,
    controller: NodeId,
    topics: BTreeMap<TopicName, MetadataResponseTopic>,
}

/// Questions of a broker about what it knows.
impl Cluster {
    pub(crate) fn brokers_known_to(&self, node: NodeId) -> Vec<MetadataResponseBroker> {
        let Some(view) = self.views.get(&node) else { return self.brokers_up().map(broker).collect() };
        let mut brokers = match &view.snapshot {
            Some(snapshot) => snapshot.brokers.clone(),
            None => self.brokers_up().map(broker).collect(),
        };
        brokers.retain(|broker| !view.lags.contains(&Lag::Broker(broker.node_id)));
        brokers
    }

    pub(crate) fn controller_known_to(&self, node: NodeId) -> NodeId {
        let snapshot = self.views.get(&node).and_then(|view| view.snapshot.as_ref());
        snapshot.map_or_else(|| self.controller(), |snapshot| snapshot.controller)
    }

    pub(crate) fn topics_known_to(&self, node: NodeId) -> Vec<MetadataResponseTopic> {
        let snapshot = self.views.get(&node).and_then(|view| view.snapshot.as_ref());
        let names: Vec<&TopicName> = match snapshot {
            Some(snapshot) => snapshot.topics.keys().collect(),
            None => self.topics().map(|topic| &topic.name).collect(),
        };
        names.into_iter().filter_map(|name| self.topic_known_to(node, name)).collect()
    }

    pub(crate) fn topic_known_to(&self, node: NodeId, name: &TopicName) -> Option<MetadataResponseTopic> {
        let now = || self.topic(name.as_str()).map(|topic| found(self, topic));
        let Some(view) = self.views.get(&node) else { return now() };
        let known = match &view.snapshot {
            Some(snapshot) => snapshot.topics.get(name).cloned(),
            None => now(),
        };
        known.and_then(|known| view.narrowed(known))
    }

    pub(crate) fn topic_id_known_to(&self, node: NodeId, id: TopicId) -> Option<MetadataResponseTopic> {
        let snapshot = self.views.get(&node).and_then(|view| view.snapshot.as_ref());
        let name = match snapshot {
            Some(snapshot) => snapshot.topics.values().find(|topic| topic.topic_id == id)?.name.clone()?,
            None => self.topic_by_id(id)?.name.clone(),
        };
        self.topic_known_to(node, &name)
    }
}

/// Commands.
impl Cluster {
    pub(crate) fn lag_behind(&mut self, node: NodeId, lag: Lag) -> Result<(), Refusal> {
        let snapshot = (lag == Lag::View).then(|| Snapshot {
            brokers: self.brokers_up().map(broker).collect(),
            controller: self.controller(),
            topics: self.topics().map(|topic| (topic.name.clone(), found(self, topic))).collect(),
        });
        let view = self.views.entry(node).or_default();
        if snapshot.is_some() {
            view.snapshot = snapshot;
        } else if view.lags.len() >= MAX_LAGS {
            let message = format!("broker {node} does not know {MAX_LAGS} things already");
            return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
        } else if !view.lags.contains(&lag) {
            view.lags.push(lag);
        }
        Ok(())
    }

    pub(crate) fn catch_up(&mut self, node: NodeId) {
        self.views.remove(&node);
    }
}

impl View {
    /// A topic without what is not known of it.
    fn narrowed(&self, mut topic: MetadataResponseTopic) -> Option<MetadataResponseTopic> {
        for lag in &self.lags {
            match lag {
                Lag::View => {}
                Lag::Topic(unknown) if Some(unknown) == topic.name.as_ref() => return None,
                Lag::Partitions { topic: less, count } if Some(less) == topic.name.as_ref() => {
                    topic.partitions.truncate(usize::try_from(*count).unwrap_or(0));
                }
                Lag::Broker(unknown) => {
                    for partition in topic.partitions.iter_mut().filter(|it| it.leader_id == *unknown) {
                        partition.leader_id = NodeId::NONE;
                        partition.error_code = ErrorCode::LEADER_NOT_AVAILABLE;
                    }
                }
                Lag::Topic(_) | Lag::Partitions { .. } => {}
            }
        }
        Some(topic)
    }
}

fn broker(broker: &Broker) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: broker.id,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        ..Default::default()
    }
}

fn found(cluster: &Cluster, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
        let is_led = cluster.is_led(partition);
        let up = |&node: &NodeId| cluster.is_up(node);
        MetadataResponsePartition {
            error_code: if is_led { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
            partition_index: PartitionId(index),
            leader_id: if is_led { partition.leader } else { NodeId::NONE },
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.replicas.iter().copied().filter(up).collect(),
            offline_replicas: partition.replicas.iter().copied().filter(|node| !up(node)).collect(),
        }
    });
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        partitions: partitions.collect(),
        ..Default::default()
    }
}

/// Things that one broker does not know.
const MAX_LAGS: usize = 1000;
