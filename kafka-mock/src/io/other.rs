//! [`OtherCluster`]: a cluster that addresses of a [`MockCluster`](super::MockCluster) lead to.

use bytes::Bytes;
use kafka_wire::{NodeId, PartitionId};

use super::shared::Shared;
use crate::records::StoredRecord;
use crate::script::{Change, Rule};
use crate::state::Recorded;
use crate::state::{Cluster, Refusal};

/// Another cluster behind addresses of a mock cluster: what is in it, and what happens to it.
///
/// See [`Change::Reroute`].
#[derive(Debug)]
pub struct OtherCluster<'a> {
    shared: &'a Shared,
    id: String,
}

impl<'a> OtherCluster<'a> {
    pub(super) fn new(shared: &'a Shared, id: String) -> Self {
        Self { shared, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Everything a partition holds, decoded; nothing where there is no such partition.
    #[must_use]
    pub fn records(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        self.batches(topic, partition).into_iter().flat_map(crate::records::stored_records).collect()
    }

    /// The batches a partition holds as bytes, oldest first; nothing where there is no such partition.
    #[must_use]
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<Bytes> {
        self.ask(|other| other.batches(topic, PartitionId(partition))).unwrap_or_default()
    }

    /// First offset kept and the offset after the last record of a partition.
    #[must_use]
    pub fn offsets(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        self.ask(|other| other.offsets(topic, PartitionId(partition)))
    }

    /// The broker that leads a partition, and the leader epoch.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(NodeId, i32)> {
        self.ask(|other| other.leader(topic, PartitionId(partition)))
    }

    /// The latest requests that came to it, oldest first, if [`Builder::record_requests`](super::Builder::record_requests) asked
    /// for them.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.ask(|other| Some(other.recorded().cloned().collect())).unwrap_or_default()
    }

    /// How often rules of this name have acted on what came to it.
    #[must_use]
    pub fn fired(&self, name: &str) -> u64 {
        self.ask(|other| Some(other.fired(name))).unwrap_or_default()
    }

    /// Changes it.
    ///
    /// # Errors
    /// When what it is about is not there, or cannot be so.
    pub fn carry_out(&self, change: Change) -> Result<(), Refusal> {
        self.shared.change("other: carry out", |cluster| match cluster.other_mut(&self.id) {
            Some(other) => other.carry_out(change),
            None => Ok(()),
        })
    }

    /// One more rule for what comes to it, behind those that are there. The rules of the first cluster are not its rules.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.change("other: add rule", |cluster| {
            if let Some(other) = cluster.other_mut(&self.id) {
                other.add_rule(rule);
            }
        });
    }

    fn ask<T>(&self, question: impl FnOnce(&Cluster) -> Option<T>) -> Option<T> {
        question(self.shared.lock("other").other(&self.id)?)
    }
}
