//! What must hold where clusters come and go: each has its own logs, and its own producer ids.

use super::*;

/// What is known of the clusters that there were.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    /// The topics of clusters that ended: their logs are gone, and were true.
    ended: BTreeSet<TopicId>,
    /// Producer ids that the present cluster gave to the producer.
    given: BTreeSet<i64>,
    /// Records of which a broker said that they are in the log, and they were, in a log of its cluster.
    vouched: BTreeSet<u64>,
}

impl Checker {
    /// The cluster is no more, nor what it knew of producers and their numbers.
    pub(crate) fn wiped(&mut self, topics: impl Iterator<Item = TopicId>) {
        self.tally.add("clusters wiped", 1);
        self.clusters.ended.extend(topics);
        self.clusters.given.clear();
        self.numbers.clear();
        self.bytes.clear();
        self.unresolved.clear();
        self.remembered.clear();
    }

    /// A broker gave a producer id.
    pub(crate) fn gave(&mut self, producer: i64) {
        self.clusters.given.insert(producer);
    }

    /// Numbers under this producer id are of the present cluster.
    pub(super) fn check_given(&mut self, producer: i64) {
        if !self.clusters.given.contains(&producer) {
            let what = format!("a batch is numbered under {producer}, which the cluster did not give");
            self.violated("cluster", what);
        }
    }

    /// A broker said of a batch that it is in the log.
    pub(crate) fn vouched(&mut self, data: &PartitionProduceData) {
        let bytes = data.records.as_ref().map(kafka_wire::Records::to_bytes).unwrap_or_default();
        for (_, ids) in read(&bytes) {
            let there = ids.into_iter().filter(|id| self.is_in_present_log(*id));
            let there: Vec<u64> = there.collect();
            self.clusters.vouched.extend(there);
        }
    }

    /// Whether a record that was acknowledged is in a log of the cluster that said so, as far as one has ended.
    pub(super) fn is_true_of_its_cluster(&self, id: u64) -> bool {
        self.clusters.ended.is_empty() || self.clusters.vouched.contains(&id) || self.is_in_present_log(id)
    }

    fn is_in_present_log(&self, id: u64) -> bool {
        let mut present = self.logs.iter().filter(|((topic, _), _)| !self.clusters.ended.contains(topic));
        present.any(|(_, log)| log.records.contains(&id))
    }

    /// Whether a record got into a log of a cluster that ended.
    pub(super) fn is_in_ended_log(&self, id: u64) -> bool {
        let mut ended = self.logs.iter().filter(|((topic, _), _)| self.clusters.ended.contains(topic));
        ended.any(|(_, log)| log.records.contains(&id))
    }
}
