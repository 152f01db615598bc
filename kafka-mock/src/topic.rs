//! Topics and their partitions: who leads them, under which epoch, and what they hold.

use std::collections::BTreeMap;

use kafka_batch::{BatchHeader, HEADER_SIZE};
use kafka_wire::{ErrorCode, NodeId, PartitionId, TopicId, TopicName};

use crate::log::Log;
use crate::producers::{Appended, BatchNumbers, Producers, Verdict};
use crate::settings::TopicSettings;

/// A topic of the cluster.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) name: TopicName,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) settings: TopicSettings,
}

impl Topic {
    /// The partition with this number, if the topic has it.
    pub(crate) fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(id.0).ok()?)
    }

    /// The partition with this number, if the topic has it.
    pub(crate) fn partition_mut(&mut self, id: PartitionId) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(id.0).ok()?)
    }

    /// As many replicas as each of its partitions has.
    pub(crate) fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }
}

/// A partition: its place in the cluster and its log.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) leader: NodeId,
    /// Goes up with every change of leader.
    pub(crate) leader_epoch: i32,
    /// Who led it before, under which epoch.
    pub(crate) before: Option<(NodeId, i32)>,
    /// All of them in sync, always: there is one log, whoever leads it.
    pub(crate) replicas: Vec<NodeId>,
    pub(crate) log: Log,
    /// What a replica knows that was always up.
    pub(crate) producers: Producers,
    /// Replicas that restarted, each with the end of the log when it last went down: what came then it was told as by any
    /// leader, and remembers.
    restarts: BTreeMap<NodeId, i64>,
}

impl Partition {
    /// An empty partition led by the first of its replicas.
    pub(crate) fn new(replicas: Vec<NodeId>) -> Option<Self> {
        let leader = *replicas.first()?;
        Some(Self {
            leader,
            leader_epoch: 0,
            before: None,
            replicas,
            log: Log::default(),
            producers: Producers::default(),
            restarts: BTreeMap::new(),
        })
    }

    /// Has another broker lead it, or the same one again, under a new epoch.
    pub(crate) fn lead(&mut self, node: NodeId) {
        // The new leader takes the place of the old one if it was no replica yet.
        if !self.replicas.contains(&node) {
            self.replicas.retain(|&replica| replica != self.leader);
            self.restarts.remove(&self.leader);
            self.replicas.push(node);
        }
        self.before = Some((self.leader, self.leader_epoch));
        self.leader = node;
        self.leader_epoch += 1;
    }

    /// A broker goes down, and comes back when it may.
    pub(crate) fn restart(&mut self, node: NodeId) {
        if self.replicas.contains(&node) {
            self.restarts.insert(node, self.log.end_offset());
        }
    }

    /// What its leader says of a batch by the batch's numbers.
    pub(crate) fn judge(&self, numbers: BatchNumbers, now: i64) -> Verdict {
        let restart = self.restarts.get(&self.leader).copied().unwrap_or(0);
        match self.producers.judge(numbers, now) {
            Verdict::Duplicate(batch) if self.producers.is_forgotten(numbers.producer, batch, restart) => {
                Verdict::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
            }
            verdict => verdict,
        }
    }

    /// Loses its last batches. Answers how many records they held.
    pub(crate) fn lose(&mut self, batches: usize) -> u64 {
        let before = self.log.end_offset();
        self.log.truncate(batches);
        let left = self.log.batches().filter_map(|batch| {
            let header = BatchHeader::decode(batch.bytes.first_chunk::<HEADER_SIZE>()?);
            let appended = Appended { base_offset: batch.base_offset, max_timestamp: batch.max_timestamp };
            Some((BatchNumbers::of(&header)?, appended))
        });
        let end = self.log.end_offset();
        self.producers.reload(end, left);
        self.restarts.values_mut().for_each(|restart| *restart = end.min(*restart));
        u64::try_from(before - end).unwrap_or(0)
    }
}

/// Whether a broker would take this as a topic's name.
pub(crate) fn is_legal_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Kafka's limit: a directory named after topic and partition must fit the file system.
const MAX_NAME_LEN: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_are_kafkas() {
        for legal in ["a", "orders", "A.b_c-9", &"x".repeat(249)] {
            assert!(is_legal_name(legal), "{legal}");
        }
        for illegal in ["", ".", "..", "a b", "a/b", "é", &"x".repeat(250)] {
            assert!(!is_legal_name(illegal), "{illegal}");
        }
    }
}
