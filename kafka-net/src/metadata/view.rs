//! [`ClusterView`]: what the cluster looked like when it was last asked.

use std::{collections::BTreeMap, sync::Arc};

use kafka_wire::{
    ErrorCode, NodeId, PartitionId, TopicId, TopicName,
    messages::{MetadataResponsePartition, MetadataResponseTopic},
};

use crate::{config::Endpoint, error::topic_error_may_pass};

/// An immutable snapshot of the cluster: brokers, and the topics that are wanted with their leaders.
///
/// Shared by `Arc`; a change makes a new view with a higher generation. Topics that did not change keep their `Arc`,
/// so comparing pointers tells what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterView {
    /// Rises with every change.
    pub generation: u64,
    /// The cluster's own id, once known.
    pub cluster_id: Option<Arc<str>>,
    /// The broker that answers requests for the controller.
    pub controller: Option<NodeId>,
    /// The brokers by id. While nothing is known of the cluster: the bootstrap list, with ids from -1 down.
    pub brokers: BTreeMap<NodeId, Broker>,
    /// The wanted topics that the cluster has said something about.
    pub topics: BTreeMap<TopicName, Arc<TopicView>>,
}

impl ClusterView {
    /// A topic, if the cluster has said anything about it.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicView>> {
        self.topics.get(name)
    }

    /// A topic by its id. Looks through all topics.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicView>> {
        self.topics.values().find(|topic| topic.id == id && !id.is_zero())
    }

    /// The leader of a partition, if it is known and there is one.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: PartitionId) -> Option<NodeId> {
        self.topic(topic)?.partition(partition)?.leader
    }

    /// Whether the brokers are only the bootstrap list.
    #[must_use]
    pub fn is_bootstrap(&self) -> bool {
        self.brokers.keys().next().is_none_or(|node| node.0 < 0)
    }

    /// Whether a hint names a newer leader than is known here, and where that is.
    pub(super) fn is_news(&self, hint: &LeaderHint<'_>) -> bool {
        let known = self.topic(hint.topic.as_str()).and_then(|topic| topic.partition(hint.partition));
        let is_newer =
            known.is_some_and(|known| known.leader_epoch.is_none_or(|epoch| epoch < hint.leader_epoch));
        let is_placed = self.brokers.contains_key(&hint.leader) || hint.broker().is_some();
        is_newer && hint.leader_epoch >= 0 && is_placed
    }

    /// Takes a hint over that is [news](Self::is_news).
    pub(super) fn follow(&mut self, hint: &LeaderHint<'_>) {
        if let Some(broker) = hint.broker() {
            self.brokers.insert(hint.leader, broker.clone());
        }
        let Some(topic) = self.topics.get_mut(hint.topic) else { return };
        let index = usize::try_from(hint.partition.0).unwrap_or(usize::MAX);
        if let Some(partition) = Arc::make_mut(topic).partitions.get_mut(index) {
            partition.leader = Some(hint.leader);
            partition.leader_epoch = Some(hint.leader_epoch);
            partition.error = ErrorCode::NONE;
        }
    }
}

/// A broker and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Its id; negative for an entry of the bootstrap list.
    pub node: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its rack, if it tells one.
    pub rack: Option<Arc<str>>,
}

impl Broker {
    /// Whoever listens there.
    pub(super) fn at(node: NodeId, endpoint: Endpoint) -> Self {
        Self { node, endpoint, rack: None }
    }

    /// A broker as a response names it; `None` if nobody could connect there.
    #[must_use]
    pub fn named(node: NodeId, host: &str, port: i32, rack: Option<&str>) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|&port| port != 0)?;
        if node.0 < 0 || host.is_empty() {
            return None;
        }
        Some(Self { node, endpoint: Endpoint::new(host, port), rack: rack.map(Arc::from) })
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicView {
    /// Its name.
    pub name: TopicName,
    /// Its id; [`TopicId::ZERO`] if the brokers are too old to have one.
    pub id: TopicId,
    /// Whether it belongs to Kafka itself.
    pub is_internal: bool,
    /// What the cluster last said of the topic as a whole: no error, unknown, not allowed, ... The partitions are
    /// then those last known, possibly none.
    pub error: ErrorCode,
    /// The partitions by index.
    pub partitions: Vec<PartitionView>,
}

impl TopicView {
    /// A partition; `None` if the topic has not so many.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&PartitionView> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }

    /// Whether one of these brokers leads any of its partitions. They are in order: there may be very many of both.
    pub(super) fn is_led_by_any(&self, brokers: &[NodeId]) -> bool {
        let mut leaders = self.partitions.iter().filter_map(|partition| partition.leader);
        leaders.any(|leader| brokers.binary_search(&leader).is_ok())
    }

    /// Whether the cluster said something about it that may pass by itself, so that asking again makes sense.
    pub(crate) fn needs_refresh(&self) -> bool {
        (self.error.is_err() && topic_error_may_pass(self.error))
            || self.partitions.iter().any(|partition| partition.leader.is_none())
    }

    /// What a response says, merged with what was known. Whether it was older than that is the second value.
    ///
    /// Leader epochs only rise (KIP-320): a broker that lags behind does not take us back to an old leader. With
    /// another topic id it is another topic, whatever its epochs. `is_short`: the response leaves partitions out, which are as
    /// they were.
    pub(super) fn merge(
        old: Option<&Self>,
        name: TopicName,
        new: MetadataResponseTopic,
        is_short: bool,
        brokers: &BTreeMap<NodeId, Broker>,
    ) -> (Self, bool) {
        let mut topic = Self {
            name,
            id: new.topic_id,
            is_internal: new.is_internal,
            error: new.error_code,
            partitions: Vec::new(),
        };
        if new.error_code.is_err() {
            if let Some(old) = old {
                topic.id = old.id;
                topic.is_internal = old.is_internal;
                topic.partitions.clone_from(&old.partitions);
            }
            return (topic, false);
        }
        let same = old.filter(|old| old.id == new.topic_id || old.id.is_zero() || new.topic_id.is_zero());
        // Whoever knows no ids does not say that it has none; and what leaves partitions out may be about another topic.
        if let Some(old) = same.filter(|_| new.topic_id.is_zero() || is_short) {
            topic.id = old.id;
        }
        // Partitions are numbered from zero without gaps; a number beyond the count is none we could keep.
        topic.partitions = vec![PartitionView::UNKNOWN; new.partitions.len()];
        if let Some(old) = same.filter(|_| is_short) {
            topic.partitions.clone_from(&old.partitions);
            topic.partitions.iter_mut().for_each(|partition| partition.leave_lost_leader(brokers));
        }
        let mut is_old = false;
        for partition in new.partitions {
            let id = partition.partition_index;
            let old = same.and_then(|old| old.partition(id));
            let place = usize::try_from(id.0).ok().and_then(|index| topic.partitions.get_mut(index));
            if let Some(place) = place {
                is_old |= old.is_some_and(|old| old.is_newer(&partition));
                *place = PartitionView::merge(old, partition, brokers);
            }
        }
        (topic, is_old)
    }
}

/// A partition and its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionView {
    /// Who takes its records; `None` while there is nobody, or the broker is not in the view.
    pub leader: Option<NodeId>,
    /// Rises with each change of the leader; `None` if the brokers do not tell.
    pub leader_epoch: Option<i32>,
    /// Why there is no leader.
    pub error: ErrorCode,
    /// Who has a copy.
    pub replicas: Vec<NodeId>,
    /// Whose copy is in sync.
    pub in_sync: Vec<NodeId>,
}

impl PartitionView {
    const UNKNOWN: Self = Self {
        leader: None,
        leader_epoch: None,
        error: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        replicas: Vec::new(),
        in_sync: Vec::new(),
    };

    /// Whether an answer is older than this. One without an epoch (a broker before 2.4, or one without a leader to name)
    /// cannot be called older.
    fn is_newer(&self, answer: &MetadataResponsePartition) -> bool {
        answer.leader_epoch >= 0 && self.leader_epoch.is_some_and(|epoch| answer.leader_epoch < epoch)
    }

    /// No partition is led by a broker that the view does not have.
    pub(super) fn leave_lost_leader(&mut self, brokers: &BTreeMap<NodeId, Broker>) {
        if self.leader.is_some_and(|leader| !brokers.contains_key(&leader)) {
            self.leader = None;
            self.error = ErrorCode::LEADER_NOT_AVAILABLE;
        }
    }

    fn merge(old: Option<&Self>, new: MetadataResponsePartition, brokers: &BTreeMap<NodeId, Broker>) -> Self {
        let leader_epoch = (new.leader_epoch >= 0).then_some(new.leader_epoch);
        let old_epoch = old.and_then(|old| old.leader_epoch);
        if let Some(old) = old.filter(|old| old.is_newer(&new)) {
            let mut kept = old.clone();
            // The old leader may have left the cluster meanwhile.
            kept.leave_lost_leader(brokers);
            return kept;
        }
        // REPLICA_NOT_AVAILABLE says that some follower is down: nothing that keeps from sending to the leader.
        let is_led = new.error_code.is_ok() || new.error_code == ErrorCode::REPLICA_NOT_AVAILABLE;
        let leader = is_led.then_some(new.leader_id).filter(|leader| brokers.contains_key(leader));
        let error = match (leader, is_led) {
            (Some(_), _) => ErrorCode::NONE,
            (None, true) => ErrorCode::LEADER_NOT_AVAILABLE,
            (None, false) => new.error_code,
        };
        Self {
            leader,
            leader_epoch: leader_epoch.max(old_epoch),
            error,
            replicas: new.replica_nodes,
            in_sync: new.isr_nodes,
        }
    }
}

/// The new leader of a partition, as an answer to Produce or Fetch names it (KIP-951).
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "built by whoever read such an answer")]
pub struct LeaderHint<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Its leader.
    pub leader: NodeId,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The leader's address, if the answer has it.
    pub endpoint: Option<Broker>,
}

impl LeaderHint<'_> {
    /// Where the leader is, as far as the answer says.
    pub(super) fn broker(&self) -> Option<&Broker> {
        self.endpoint.as_ref().filter(|broker| broker.node == self.leader)
    }
}
