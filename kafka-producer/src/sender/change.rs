//! Another cluster has taken the place of the one that was produced to (KIP-1242).
//!
//! Numbers, epochs, offsets and what answers prove are facts about one cluster's logs. None of them holds in another, even if it
//! has the same brokers, topics and leaders by name. So the sender begins anew, with the batches that surely are in no log.

use std::{sync::Arc, time::Instant};

use kafka_net::{ClusterChange, Expectation};
use kafka_wire::{NodeId, TopicId, TopicName};

use super::{
    Connection, LaneId, Sealed, Sender,
    ledger::{Entry, Place},
    log::Event,
};
use crate::{error::FailureKind, planted::planted};

impl Sender {
    /// (A) What a broker must show before it is told anything but that.
    pub(crate) fn expectation(&self) -> Option<Expectation> {
        if planted!(ClusterUnchecked) { None } else { self.metadata.expectation() }
    }

    /// (B) The broker behind a new connection has shown that it is of the cluster that was expected.
    pub(crate) fn handle_proof(&mut self, node: NodeId) {
        self.metadata.handle_proof(node);
    }

    /// A broker has answered for another cluster: its connection is hung up.
    pub(super) fn hang_up_on(&mut self, node: NodeId) {
        if let Some(error) = self.metadata.last_failure().filter(|error| error.is_other_broker()) {
            self.nodes.entry(node).or_default().stats.misled();
            self.effects.events.push(Event::OtherBroker(error.clone()));
        }
        self.effects.hang_up_on.push(node);
    }

    /// Begins anew in another cluster.
    ///
    /// A batch that may be in the old log is given up: no answer can tell any more, and in the new log it must not be written,
    /// lest it be in both. What was never written, or is proven not appended, gets new numbers under a new producer id, in the
    /// same order.
    pub(super) fn change_cluster(&mut self, change: ClusterChange, now: Instant) {
        self.cluster_number = self.cluster_number.wrapping_add(1);
        self.counters.cluster_changes += 1;
        self.effects.events.push(Event::ClusterChanged(change.clone()));
        self.effects.begins_anew = true;
        self.change = Some(Arc::new(change));
        for lane in (0..self.partitions.len() as u32).map(LaneId) {
            self.give_up_doubtful(lane, now);
            self.forget_partition(lane, now);
        }
        self.forget_nodes(now);
        if !planted!(NumbersOutliveCluster) {
            self.identity.handle_cluster_change(now, &mut self.timers);
        }
        for topic in self.topics.values_mut() {
            topic.id = TopicId::ZERO;
        }
        let topics: Vec<TopicName> = self.topics.keys().cloned().collect();
        topics.iter().for_each(|topic| self.apply_topic(topic, now));
    }

    /// Gives up what may be in the old log.
    fn give_up_doubtful(&mut self, lane: LaneId, now: Instant) {
        let Some(partition) = self.partition(lane) else { return };
        // Looked at before any is taken out, since that may tell of those behind it.
        let doubtful = |at: usize| match partition.ledger.entry(at) {
            Some(entry) if planted!(DoubtOutlivesCluster) => matches!(entry.place, Place::InFlight { .. }),
            _ => partition.ledger.is_doubtful(at, false),
        };
        let keys: Vec<u64> = partition
            .ledger
            .iter()
            .enumerate()
            .filter(|(at, _)| doubtful(*at))
            .map(|(_, entry)| entry.key)
            .collect();
        if !keys.is_empty() {
            let is_meant = |entry: &Entry<Sealed>| keys.contains(&entry.key);
            self.fail_where(lane, FailureKind::ClusterChanged, now, is_meant);
        }
    }

    /// What was learnt of a partition was learnt of another one.
    fn forget_partition(&mut self, lane: LaneId, now: Instant) {
        self.apply_leader(lane, None, None, now);
        let Some(partition) = self.partition_mut(lane) else { return };
        partition.leader_epoch = None;
        partition.is_by_name = true;
        (partition.offer, partition.rests) = (None, false);
        if !planted!(NumbersOutliveCluster) {
            partition.ledger.move_to_another_cluster();
        }
    }

    /// Nodes are others now, whatever their ids. What was counted of them is kept by their ids.
    fn forget_nodes(&mut self, now: Instant) {
        for node in self.nodes.values_mut() {
            node.sendable.clear();
            node.later.clear();
            node.control.clear();
            (node.in_flight, node.heard, node.wanted) = (0, None, false);
            node.connection = Connection::None;
            node.unconnected.note(true, now);
        }
    }

    /// Whether a call was made in the cluster that there is now. An answer from another one says nothing here.
    pub(super) fn is_of_now(&self, cluster_number: u32) -> bool {
        self.cluster_number == cluster_number
    }

    /// The change that ended a batch.
    pub(super) fn change_for(&self, kind: FailureKind) -> Option<Arc<ClusterChange>> {
        self.change.clone().filter(|_| kind == FailureKind::ClusterChanged)
    }
}
