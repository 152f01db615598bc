//! What a script, or a test, does to the cluster itself.

use std::time::Duration;

use kafka_wire::{ApiKey, NodeId, PartitionId, TopicName, VersionRange};

/// Something that happens to the cluster: told to it at run time, by a rule, or by the clock.
///
/// [`Cluster::carry_out`](crate::Cluster::carry_out) and [`MockCluster::carry_out`](crate::MockCluster::carry_out) do it at
/// once, [`Rule::change`](crate::Rule::change) on cue, [`Script::at`](crate::Script::at) at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Another broker leads a partition, under a new leader epoch.
    MoveLeader {
        /// The partition's topic.
        topic: TopicName,
        /// The partition; `None` for all of the topic.
        partition: Option<PartitionId>,
        /// The new leader; `None` for the next broker that is up.
        to: Option<NodeId>,
    },
    /// A replica that lags behind leads a partition, under a new leader epoch: an unclean election
    /// (`unclean.leader.election.enable`). What it lacks is gone, acknowledged or not: the log ends earlier. Of idempotent
    /// producers the partition knows what is left in the log: of each the last five batches, by which the next number is
    /// judged; one of which nothing is left may begin with any number.
    ElectUnclean {
        /// The partition's topic.
        topic: TopicName,
        /// The partition; `None` for all of the topic.
        partition: Option<PartitionId>,
        /// The new leader; `None` for the next broker that is up.
        to: Option<NodeId>,
        /// How many batches it lacks, of those at the end of the log.
        batches: usize,
    },
    /// A broker ends: its port is closed, its connections break, its partitions go to replicas that are up. A partition
    /// without one has no leader until a replica is back.
    StopBroker(NodeId),
    /// A broker that was stopped is back, on the same port. It leads what nobody else could. Of what was appended before it
    /// went down it knows the last batch of each idempotent producer in a partition: another one that comes again is out of
    /// order. Replicas that stayed up know the last five.
    StartBroker(NodeId),
    /// A topic comes into being.
    CreateTopic {
        /// Its name.
        topic: TopicName,
        /// How many partitions it gets.
        partitions: i32,
    },
    /// A topic and all it holds is gone.
    DeleteTopic {
        /// Its name.
        topic: TopicName,
    },
    /// A topic is deleted and created again: empty, with another id (KIP-516), and its leader epochs start over.
    RecreateTopic {
        /// Its name.
        topic: TopicName,
        /// How many partitions it gets; `None` for as many as it had.
        partitions: Option<i32>,
    },
    /// A topic gets more partitions.
    GrowTopic {
        /// Its name.
        topic: TopicName,
        /// How many it has then.
        partitions: i32,
    },
    /// Fewer versions of an API are served, as by an older broker. A range without any that is known here takes the API
    /// away. To connections that are open this is as if the broker had been replaced behind their back.
    LimitVersions {
        /// The API.
        api: ApiKey,
        /// What is left of its versions.
        versions: VersionRange,
    },
    /// Clients are told another address of a broker from now on. It goes on listening where it did.
    Advertise {
        /// The broker.
        node: NodeId,
        /// The host that clients are told.
        host: String,
        /// The port that clients are told.
        port: u16,
    },
    /// The address of a broker leads to another broker from now on: of another cluster, or of the same one. Connections to it
    /// break. The cluster whose broker had the address does not notice, and goes on naming it; stop the broker, too, if it is
    /// to be gone.
    ///
    /// Another cluster comes into being when it is named for the first time, with the same topics, empty and with ids of its own.
    /// Of its brokers those are up that an address leads to: it tells clients these addresses, and there is a replica of
    /// everything on each. See [`Cluster::other`](crate::Cluster::other).
    Reroute {
        /// Whose address it is.
        address: NodeId,
        /// The id of the other cluster; `None` for the cluster whose address it is.
        cluster: Option<String>,
        /// The broker it leads to; `None` for the one of the address's own id.
        broker: Option<NodeId>,
    },
    /// The cluster ends, and another one begins under the same addresses: with another cluster id, topics of the same names but
    /// other ids, empty logs, and leader epochs and producer ids that start over, so that new producers get the ids that old ones
    /// had. Connections break; brokers that were stopped stay so.
    Wipe {
        /// The id of the new one; `None` for one that follows from the old one's.
        cluster_id: Option<String>,
    },
    /// A broker does not hear of something: its Metadata leaves it out until it [catches up](Self::CatchUp).
    LagBehind {
        /// The broker.
        broker: NodeId,
        /// What it does not know.
        lag: Lag,
    },
    /// A broker knows everything again.
    CatchUp(NodeId),
    /// A partition forgets the idempotent producers it knew, as brokers do after a time without records.
    ForgetProducers {
        /// The partition's topic.
        topic: TopicName,
        /// The partition; `None` for all of the topic.
        partition: Option<PartitionId>,
    },
}

/// What a broker has not heard of, so that its Metadata answers do not tell it. Everything else it does as the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lag {
    /// Everything that changes from now on: its answers stay as they are now.
    View,
    /// That a topic has more than so many partitions.
    Partitions {
        /// The topic.
        topic: TopicName,
        /// How many it knows.
        count: i32,
    },
    /// A topic, by its name or its id.
    Topic(TopicName),
    /// Another broker: it is not named, and what it leads has no leader.
    Broker(NodeId),
}

/// A change with its time, and how often it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// After the script began.
    pub(crate) first: Duration,
    pub(crate) every: Option<Duration>,
    /// How often in all.
    pub(crate) times: u64,
    pub(crate) change: Change,
}
