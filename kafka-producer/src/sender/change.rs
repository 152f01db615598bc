//! Another cluster has taken the place of the one that was produced to (KIP-1242).
//!
//! Numbers, epochs, offsets and what answers prove are facts about one cluster's logs. None of them holds in another, even if it
//! has the same brokers, topics and leaders by name. So the sender begins anew, with the batches that surely are in no log.

use std::time::Instant;

use kafka_net::{ClusterChange, Expectation};
use kafka_wire::NodeId;

use super::{Sender, log::Event};
use crate::planted::planted;

impl Sender {
    /// (A) What a broker must show before it is told anything but that.
    pub(crate) fn expectation(&self) -> Option<Expectation> {
        self.routes.expectation()
    }

    /// (B) The broker behind a new connection has shown that it is of the cluster that was expected.
    pub(crate) fn handle_proof(&mut self, node: NodeId) {
        self.routes.metadata_mut().handle_proof(node);
    }

    /// A broker has answered for another cluster: its connection is hung up.
    pub(super) fn hang_up_on(&mut self, node: NodeId) {
        if let Some(error) = self.routes.metadata().last_failure().filter(|error| error.is_other_broker()) {
            self.outbox.note_misled(node);
            self.out.tell(Event::OtherBroker(error.clone()));
        }
        self.out.effects.hang_up_on.push(node);
    }

    /// Begins anew in another cluster.
    ///
    /// A batch that may be in the old log is given up: no answer can tell any more, and in the new log it must not be written,
    /// lest it be in both. What was never written, or is proven not appended, gets new numbers under a new producer id, in the
    /// same order.
    pub(super) fn change_cluster(&mut self, change: ClusterChange, now: Instant) {
        self.out.counters.cluster_changes += 1;
        self.out.tell(Event::ClusterChanged(change.clone()));
        self.out.effects.begins_anew = true;
        self.routes.move_to_another_cluster(change);
        self.each_partition(now, |partition, cx| partition.move_to_another_cluster(cx));
        self.outbox.move_to_another_cluster(now);
        if !planted!(NumbersOutliveCluster) {
            self.identity.handle_cluster_change(now, &mut self.timers);
        }
        self.routes.forget_topic_ids();
        self.apply_topics(now);
    }
}
