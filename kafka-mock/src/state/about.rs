//! What a request is about, in the names of the cluster.

use kafka_wire::{PartitionId, TopicName};

use super::Cluster;
use crate::request::{Body, Request};

impl Cluster {
    /// The topics that a request names, with their partitions where it names them.
    pub(crate) fn about(&self, request: &Request) -> Vec<(TopicName, Option<PartitionId>)> {
        let mut about = Vec::new();
        let mut name = |name: Option<TopicName>, partitions: &mut dyn Iterator<Item = PartitionId>| {
            let Some(name) = name else { return };
            about.extend(partitions.map(|partition| (name.clone(), Some(partition))));
        };
        match &request.body {
            Body::Produce(body, _) => body.topic_data.iter().for_each(|topic| {
                let partitions = &mut topic.partition_data.iter().map(|partition| partition.index);
                name(self.name_of(&topic.name, topic.topic_id), partitions);
            }),
            Body::Fetch(body) => body.topics.iter().for_each(|topic| {
                let partitions = &mut topic.partitions.iter().map(|partition| partition.partition);
                name(self.name_of(&topic.topic, topic.topic_id), partitions);
            }),
            Body::ListOffsets(body) => body.topics.iter().for_each(|topic| {
                let partitions = &mut topic.partitions.iter().map(|partition| partition.partition_index);
                name(Some(topic.name.clone()), partitions);
            }),
            Body::Metadata(body) => match &body.topics {
                // All of them.
                None => about.extend(self.topics().map(|topic| (topic.name.clone(), None))),
                Some(topics) => about.extend(topics.iter().filter_map(|topic| {
                    let name = topic.name.clone().unwrap_or_default();
                    self.name_of(&name, topic.topic_id).map(|name| (name, None))
                })),
            },
            Body::CreateTopics(body) => {
                about.extend(body.topics.iter().map(|topic| (topic.name.clone(), None)));
            }
            Body::CreatePartitions(body) => {
                about.extend(body.topics.iter().map(|topic| (topic.name.clone(), None)));
            }
            Body::DeleteTopics(body) => {
                about.extend(body.topic_names.iter().map(|name| (name.clone(), None)));
                about.extend(body.topics.iter().filter_map(|topic| {
                    let name = topic.name.clone().unwrap_or_default();
                    self.name_of(&name, topic.topic_id).map(|name| (name, None))
                }));
            }
            Body::DescribeConfigs(body) => {
                let names = body.resources.iter().map(|resource| resource.resource_name.as_str());
                about.extend(names.map(|name| (TopicName::from(name), None)));
            }
            Body::ApiVersions(_) | Body::InitProducerId(_) | Body::DescribeCluster(_) | Body::Unserved(_) => {
            }
        }
        about
    }
}
