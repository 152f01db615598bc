//! [`MockCluster`]: the handle a test holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use kafka_wire::{ApiKey, NodeId, PartitionId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::builder::{Builder, ConnectionLimits, LogLine};
use super::other::OtherCluster;
use super::{clock, host_and_port, until};
use crate::answer::{Answer, Waiting};
use crate::close::CloseReason;
use crate::config::ClusterConfig;
use crate::records::StoredRecord;
use crate::request::Request;
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
    /// One broker on a free port, no topics, unless told otherwise.
    pub fn builder() -> Builder {
        Builder::new()
    }

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

    /// The latest requests, oldest first, if [`Builder::record_requests`] asked for them.
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

/// What the handle and the tasks share.
pub(super) struct Shared {
    cluster: Mutex<Cluster>,
    /// The cluster's [`change`](Cluster::change), for those who wait for it to move.
    changes: watch::Sender<u64>,
    /// The cluster's count of brokers that came or went and of things to happen, for listeners and the time keeper.
    pub(super) control: watch::Sender<u64>,
    /// Moves with every request, connection and change, for those who wait.
    activity: watch::Sender<()>,
    discard: bool,
    pub(super) limits: ConnectionLimits,
    requests: Vec<AtomicU64>,
    connections: AtomicU64,
    log: LogLine,
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        config: &ClusterConfig,
        limits: ConnectionLimits,
        log: LogLine,
    ) -> Self {
        Self {
            changes: watch::Sender::new(cluster.change()),
            cluster: Mutex::new(cluster),
            control: watch::Sender::new(0),
            activity: watch::Sender::new(()),
            discard: config.discard,
            limits,
            requests: (0..COUNTED_APIS).map(|_| AtomicU64::new(0)).collect(),
            connections: AtomicU64::new(0),
            log,
        }
    }

    /// Answers a frame. Decoding and looking at batches happen before the lock is taken.
    pub(super) fn answer(&self, node: NodeId, connection: u64, frame: &Bytes) -> Answer {
        let mut request = match Request::decode(frame) {
            Ok(request) => request.from_connection(connection),
            Err(reason) => {
                if let CloseReason::NotServed { api, .. } | CloseReason::Malformed { api: Some(api), .. } =
                    &reason
                {
                    self.count(*api);
                    self.stir();
                }
                return Answer::Close(reason);
            }
        };
        self.count(request.api());
        if !request.is_served() {
            let client = request.client_id().unwrap_or_default();
            self.log(&format!("client {client:?} asked for {}: {HINT}", request.api()));
        }
        if !self.discard {
            request.inspect();
        }
        self.change("answer", |cluster| cluster.apply(node, request, clock::now()))
    }

    /// Asks again for an answer that was put off.
    pub(super) fn resume(&self, node: NodeId, waiting: Waiting) -> Answer {
        self.change("resume", |cluster| cluster.resume(node, waiting, clock::now()))
    }

    /// Does something to the cluster and tells who waits.
    pub(super) fn change<T>(&self, purpose: &'static str, change: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut cluster = self.lock(purpose);
        let result = change(&mut cluster);
        self.let_go(cluster);
        result
    }

    /// Lets happen what a script has due; when to come again.
    pub(super) fn catch_up(&self) -> Option<Instant> {
        let mut cluster = self.lock("catch up");
        let next = cluster.poll_timeout()?;
        let now = clock::now();
        if next > now.instant {
            return Some(next);
        }
        cluster.handle_timeout(now);
        let next = cluster.poll_timeout();
        self.let_go(cluster);
        next
    }

    /// Whether who answers at an address is up, and how often it was stopped or became another one.
    pub(super) fn condition(&self, node: NodeId) -> (bool, u64) {
        let cluster = self.lock("condition");
        (cluster.is_up_at(node), cluster.stops(node))
    }

    /// Gives the lock back and tells who waits.
    fn let_go(&self, mut cluster: MutexGuard<'_, Cluster>) {
        let (state, control, notes) = (cluster.change(), cluster.control, cluster.take_notes());
        drop(cluster);
        raise(&self.changes, state);
        raise(&self.control, control);
        self.stir();
        notes.iter().for_each(|note| self.log(note));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The number of a new connection, from 1 on.
    pub(super) fn count_connection(&self) -> u64 {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.stir();
        number
    }

    /// Has those look who wait for something.
    fn stir(&self) {
        if self.activity.receiver_count() > 0 {
            self.activity.send_replace(());
        }
    }

    /// A line for people.
    pub(super) fn log(&self, line: &str) {
        tracing::warn!("{line}");
        if let Some(log) = &self.log {
            log(line);
        }
    }

    fn count(&self, api: ApiKey) {
        if let Some(counter) = self.counter(api) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter(&self, api: ApiKey) -> Option<&AtomicU64> {
        self.requests.get(usize::try_from(api.0).ok()?)
    }

    /// No state of the cluster is half changed where a handler panics, so the lock is used on. The purpose is for the reader.
    pub(super) fn lock(&self, _purpose: &'static str) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Tells those who wait that a count has moved.
fn raise(told: &watch::Sender<u64>, count: u64) {
    told.send_if_modified(|known| {
        // Two that moved it may come here in the other order.
        let newer = count > *known;
        *known = count.max(*known);
        newer
    });
}

/// What helps whoever ran into a missing API.
const HINT: &str = "group and transaction APIs are not served; to consume, name partitions and offsets \
                    (the console consumer: --partition N --offset earliest)";

/// Requests are counted for API keys below this one.
const COUNTED_APIS: usize = 128;
