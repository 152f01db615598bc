//! [`MockCluster`]: the handle a test holds.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use kafka_wire::{ApiKey, NodeId, PartitionId};
use tokio::task::JoinSet;

use super::other::OtherCluster;
use super::shared::Shared;
use super::{clock, host_and_port, until};
use crate::records::StoredRecord;
use crate::script::{Change, Rule, Script};
use crate::state::Recorded;
use crate::state::{Cluster, Refusal};

/// A Kafka cluster behind TCP ports of this machine, in this process. It ends when it is dropped.
///
/// The crate's front page shows a test with it.
#[derive(Debug)]
pub struct MockCluster {
    shared: Arc<Shared>,
    listening: Vec<Listening>,
    /// One task a broker, which owns the tasks of its connections.
    tasks: JoinSet<()>,
}

/// Where clients find a broker.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) node: NodeId,
    pub(super) is_controller: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl MockCluster {
    pub(super) fn new(shared: Arc<Shared>, listening: Vec<Listening>, tasks: JoinSet<()>) -> Self {
        Self { shared, listening, tasks }
    }

    /// The id of the cluster.
    #[must_use]
    pub fn id(&self) -> String {
        self.cluster("id").id().to_owned()
    }

    /// The addresses of all brokers, for a client's `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let brokers = self.listening.iter().filter(|listening| !listening.is_controller);
        brokers.map(Listening::address).collect::<Vec<_>>().join(",")
    }

    /// The ids of the brokers: 1, 2 and so on.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.listening.iter().filter(|listening| !listening.is_controller).map(|listening| listening.node)
    }

    /// The ids of the controllers, which follow on those of the brokers. Clients have no use for them, but may be given their
    /// [addresses](Self::address) by mistake.
    pub fn controllers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.listening.iter().filter(|listening| listening.is_controller).map(|listening| listening.node)
    }

    /// The address of one broker, or controller.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.listening.iter().find(|listening| listening.node == node).map(Listening::address)
    }

    /// Everything a partition holds, decoded; nothing where there is no such partition.
    #[must_use]
    pub fn records(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        // Decoding is left until the lock is free again.
        let batches = self.cluster("records").batches(topic, PartitionId(partition)).unwrap_or_default();
        batches.into_iter().flat_map(crate::records::stored_records).collect()
    }

    /// The batches a partition holds as bytes, oldest first; nothing where there is no such partition.
    #[must_use]
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<Bytes> {
        self.cluster("batches").batches(topic, PartitionId(partition)).unwrap_or_default()
    }

    /// First offset kept and the offset after the last record of a partition.
    #[must_use]
    pub fn offsets(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        self.cluster("offsets").offsets(topic, PartitionId(partition))
    }

    /// The broker that leads a partition, and the leader epoch.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(NodeId, i32)> {
        self.cluster("leader").leader(topic, PartitionId(partition))
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// When the name is illegal or taken, or the number of partitions is out of range.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), Refusal> {
        self.change("create topic", |cluster| cluster.create_topic(name, partitions).map(drop))
    }

    /// Deletes a topic and all it holds. One created under the same name afterwards has another id.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn delete_topic(&self, name: &str) -> Result<(), Refusal> {
        self.change("delete topic", |cluster| cluster.delete_topic(name))
    }

    /// Changes a setting of a topic, by Kafka's name for it.
    ///
    /// # Errors
    /// When there is no such topic or setting, or the value does not fit it.
    pub fn set_topic_config(&self, name: &str, setting: &str, value: &str) -> Result<(), Refusal> {
        self.change("topic config", |cluster| cluster.set_topic_config(name, setting, value))
    }

    /// Moves the leadership of a partition to another broker, under a new leader epoch.
    ///
    /// # Errors
    /// When there is no such partition or broker.
    pub fn move_leader(&self, topic: &str, partition: i32, node: NodeId) -> Result<(), Refusal> {
        self.change("move leader", |cluster| cluster.move_leader(topic, PartitionId(partition), node))
    }

    /// Gives a topic more partitions, `partitions` in all.
    ///
    /// # Errors
    /// When there is no such topic, or it has as many already.
    pub fn grow_topic(&self, name: &str, partitions: i32) -> Result<(), Refusal> {
        self.carry_out(Change::GrowTopic { topic: name.into(), partitions })
    }

    /// Stops a broker: see [`Change::StopBroker`].
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn stop_broker(&self, node: NodeId) -> Result<(), Refusal> {
        self.carry_out(Change::StopBroker(node))
    }

    /// Has a broker come back that was stopped: see [`Change::StartBroker`].
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn start_broker(&self, node: NodeId) -> Result<(), Refusal> {
        self.carry_out(Change::StartBroker(node))
    }

    /// Changes the cluster.
    ///
    /// # Errors
    /// When what it is about is not there, or cannot be so.
    pub fn carry_out(&self, change: Change) -> Result<(), Refusal> {
        self.change("carry out", |cluster| cluster.carry_out(change))
    }

    /// The other cluster of this id, which addresses of this one can be made to [lead to](Change::Reroute). It comes into being
    /// when it is named for the first time. `None` for this cluster's own id, and where there are too many.
    #[must_use]
    pub fn other(&self, id: &str) -> Option<OtherCluster<'_>> {
        let is_there = self.change("other", |cluster| cluster.other_mut(id).is_some());
        is_there.then(|| OtherCluster::new(&self.shared, id.to_owned()))
    }

    /// Runs a script from now on, beside what other scripts say.
    ///
    /// # Errors
    /// When it limits the versions of an API that is not served.
    pub fn run_script(&self, script: Script) -> Result<(), Refusal> {
        let now = clock::now();
        self.change("run script", |cluster| cluster.run_script(script, now))
    }

    /// One more rule, behind those that are there.
    pub fn add_rule(&self, rule: Rule) {
        self.change("add rule", |cluster| cluster.add_rule(rule));
    }

    /// Forgets all rules, and whatever a script would still do. What it did stays done.
    pub fn clear_script(&self) {
        self.change("clear script", Cluster::clear_script);
    }

    /// How often rules of this name have acted.
    #[must_use]
    pub fn fired(&self, name: &str) -> u64 {
        self.cluster("fired").fired(name)
    }

    /// The latest requests, oldest first, if [`Builder::record_requests`](crate::Builder::record_requests) asked for them.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.cluster("recorded").recorded().cloned().collect()
    }

    /// Waits until something holds of the cluster; it is looked at for each request, connection and change.
    ///
    /// ```
    /// # use kafka_mock::MockCluster;
    /// # async fn wait(cluster: &MockCluster) {
    /// // Until the tenth record is in.
    /// cluster.until(|cluster| cluster.offsets("orders", 0).is_some_and(|(_, end)| end >= 10)).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        until(&self.shared.activity, || holds(self)).await;
    }

    /// How many requests of an API came to all brokers together, answered or not.
    #[must_use]
    pub fn requests(&self, api: ApiKey) -> u64 {
        self.shared.counter(api).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How many connections were accepted so far by all brokers together.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Stops all brokers and waits until their ports are closed. Dropping the cluster stops them as well, without waiting.
    ///
    /// # Cancel safety
    /// Dropped half way, the brokers stop all the same.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    fn cluster(&self, purpose: &'static str) -> MutexGuard<'_, Cluster> {
        self.shared.lock(purpose)
    }

    fn change<T>(&self, purpose: &'static str, change: impl FnOnce(&mut Cluster) -> T) -> T {
        self.shared.change(purpose, change)
    }
}

impl Listening {
    fn address(&self) -> String {
        host_and_port(&self.host, self.port)
    }
}
