//! What a cluster is made of and how much it may hold.

use kafka_wire::NodeId;

use crate::log::Retention;

/// The shape and the limits of a [`Cluster`](crate::Cluster).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    pub(crate) cluster_id: String,
    pub(crate) brokers: u16,
    pub(crate) controllers: u16,
    pub(crate) auto_create: bool,
    pub(crate) default_partitions: i32,
    pub(crate) retention: Retention,
    pub(crate) memory: u64,
    pub(crate) max_partitions: usize,
    pub(crate) discard: bool,
    pub(crate) recorded_requests: usize,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            cluster_id: DEFAULT_CLUSTER_ID.to_owned(),
            brokers: 1,
            controllers: 0,
            auto_create: false,
            default_partitions: 1,
            retention: Retention { bytes: DEFAULT_PARTITION_BYTES, records: u64::MAX },
            memory: DEFAULT_MEMORY,
            max_partitions: DEFAULT_MAX_PARTITIONS,
            discard: false,
            recorded_requests: 0,
        }
    }
}

impl ClusterConfig {
    /// The id of the cluster, by which clients tell it from others: `kafkaMockClusterInMem0` unless set. Kafka's own ids have
    /// 22 characters; any text is taken here. Topic ids follow from it, so that clusters with different ids have different
    /// ones for topics of the same name.
    #[must_use]
    pub fn cluster_id(mut self, id: impl Into<String>) -> Self {
        self.cluster_id = id.into();
        self
    }

    /// How many brokers there are, with ids from 1 on. At least one; 1 unless set.
    #[must_use]
    pub fn brokers(mut self, count: u16) -> Self {
        self.brokers = count.clamp(1, MAX_BROKERS);
        self
    }

    /// How many controllers of a KRaft quorum there are besides, with ids behind those of the brokers. They are no brokers: they
    /// name neither Metadata nor Produce nor InitProducerId, and hang up on who asks for these. None unless set.
    #[must_use]
    pub fn controllers(mut self, count: u16) -> Self {
        self.controllers = count.min(MAX_BROKERS);
        self
    }

    /// Whether a topic that a client asks for comes into being, as with `auto.create.topics.enable`. Off unless set, so that
    /// a misspelt topic shows.
    #[must_use]
    pub fn auto_create(mut self, enabled: bool) -> Self {
        self.auto_create = enabled;
        self
    }

    /// How many partitions a topic gets when nobody says: `num.partitions`. 1 unless set.
    #[must_use]
    pub fn default_partitions(mut self, count: i32) -> Self {
        self.default_partitions = count.max(1);
        self
    }

    /// Bytes one partition's log keeps; older batches go. 256 MiB unless set. The newest batch is always kept.
    #[must_use]
    pub fn partition_bytes(mut self, bytes: u64) -> Self {
        self.retention.bytes = bytes;
        self
    }

    /// Records one partition's log keeps; older batches go. Unlimited unless set.
    #[must_use]
    pub fn partition_records(mut self, records: u64) -> Self {
        self.retention.records = records;
        self
    }

    /// Bytes all logs together keep: beyond it the oldest batches go, first of the partition that is written to. The newest
    /// batch of a partition goes only when the others have no more than that; of the one that is written to it stays. 2 GiB
    /// unless set.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Partitions of all topics together; a topic beyond it is refused with `INVALID_PARTITIONS`. 100 000 unless set.
    #[must_use]
    pub fn max_partitions(mut self, count: usize) -> Self {
        self.max_partitions = count;
        self
    }

    /// Makes the brokers a sink: produced batches are neither looked at nor kept, only counted and acknowledged.
    ///
    /// For measuring a producer: what the other end does with a batch then does not depend on the batch's size. No checksum,
    /// no sequences, nothing to fetch; offsets rise by the record count that each batch claims.
    #[must_use]
    pub fn discard(mut self, enabled: bool) -> Self {
        self.discard = enabled;
        self
    }

    /// How many requests are remembered, the latest ones, for [`Cluster::recorded`](crate::Cluster::recorded). None unless set.
    #[must_use]
    pub fn record_requests(mut self, count: usize) -> Self {
        self.recorded_requests = count;
        self
    }

    /// The ids of the brokers.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=i32::from(self.brokers)).map(NodeId)
    }

    /// The ids of the controllers.
    pub fn controller_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        let brokers = i32::from(self.brokers);
        (brokers + 1..=brokers + i32::from(self.controllers)).map(NodeId)
    }
}

/// 22 characters, as of 16 bytes in base 64.
const DEFAULT_CLUSTER_ID: &str = "kafkaMockClusterInMem0";

/// More brokers than this share one machine's ports badly.
const MAX_BROKERS: u16 = 1000;

const DEFAULT_PARTITION_BYTES: u64 = 256 << 20;

const DEFAULT_MEMORY: u64 = 2 << 30;

const DEFAULT_MAX_PARTITIONS: usize = 100_000;
