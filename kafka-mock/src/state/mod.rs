//! The cluster as plain data: brokers, topics, leaders, logs, producers. No socket, no clock, no task, and no request: those
//! are answered above it.

mod about;
mod changes;
mod others;
mod recording;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use kafka_wire::{ApiKey, ErrorCode, NodeId, PartitionId, ProducerId, TopicId, TopicName, VersionRange};

use crate::config::ClusterConfig;
use crate::log::{Log, StoredBatch};
use crate::producers::MAX_PRODUCERS;
use crate::random::Random;
use crate::script::Running;
use crate::settings::TopicSettings;
use crate::topic::{Partition, Topic, is_legal_name};
use others::Others;
use recording::Recording;
use views::View;

pub use recording::{Recorded, RecordedBatch};

/// The time, told to the cluster with every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Now {
    /// Monotonic, for waiting.
    pub instant: Instant,
    /// Wall time in milliseconds since the epoch, for what records carry.
    pub timestamp: i64,
}

impl Now {
    /// Both readings of one moment.
    #[must_use]
    pub fn new(instant: Instant, timestamp: i64) -> Self {
        Self { instant, timestamp }
    }
}

/// A broker as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: NodeId,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why the cluster did not do as told, in the words of an answer: a code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What a client is answered.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence that goes with it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Refusal {}

/// A Kafka cluster in memory, all brokers in one value.
///
/// Requests go in as the bytes of a frame, answers come out as one: [`handle`](Self::handle). The cluster's owner moves
/// the bytes and tells the time; [`MockCluster`](crate::MockCluster) does it over TCP, a simulation may do it without sockets.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) config: ClusterConfig,
    brokers: Vec<Broker>,
    controllers: Vec<Broker>,
    topics: BTreeMap<TopicName, Topic>,
    names_by_id: BTreeMap<TopicId, TopicName>,
    /// Names with a '.' or '_', as they appear in the names of metrics.
    metric_names: BTreeSet<String>,
    partition_count: usize,
    /// Bytes of all logs together.
    log_bytes: u64,
    next_producer_id: i64,
    /// Gives the topic ids: the same cluster id and history, the same ids.
    ids: Random,
    change: u64,
    /// Brokers that were stopped.
    pub(crate) down: BTreeSet<NodeId>,
    /// How often each was.
    pub(crate) stops: BTreeMap<NodeId, u64>,
    /// APIs of which fewer versions are served than are known.
    pub(crate) versions: BTreeMap<ApiKey, VersionRange>,
    pub(crate) script: Running,
    /// Moves when a broker comes or goes, or something new is to happen at a time.
    pub(crate) control: u64,
    /// What went wrong with a script.
    pub(crate) notes: Vec<String>,
    pub(crate) recording: Recording,
    pub(crate) others: Others,
    /// Brokers that do not know everything.
    pub(crate) views: BTreeMap<NodeId, View>,
}

/// Questions.
impl Cluster {
    /// Its id, as Metadata and DescribeCluster tell it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.config.cluster_id
    }

    /// A number that moves whenever a waiting request may have something to be answered with.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.change + self.changes_elsewhere()
    }

    /// The broker that answers for the controller: the first that is up.
    pub(crate) fn controller(&self) -> NodeId {
        self.brokers_up().next().map_or(NodeId::NONE, |broker| broker.id)
    }

    pub(crate) fn brokers_up(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().filter(|broker| self.is_up(broker.id))
    }

    pub(crate) fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    pub(crate) fn controllers(&self) -> &[Broker] {
        &self.controllers
    }

    pub(crate) fn is_controller(&self, node: NodeId) -> bool {
        self.controllers.iter().any(|controller| controller.id == node)
    }

    /// All brokers and controllers.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.brokers.iter().chain(&self.controllers).map(|member| member.id)
    }

    /// A broker or a controller.
    pub(crate) fn member(&self, id: NodeId) -> Option<&Broker> {
        self.brokers.iter().chain(&self.controllers).find(|member| member.id == id)
    }

    pub(crate) fn broker(&self, id: NodeId) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.id == id)
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(self.names_by_id.get(&id)?)
    }

    /// The id of a topic (KIP-516).
    #[must_use]
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.topic(name).map(|topic| topic.id)
    }

    /// Who leads a partition, and under which epoch.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: PartitionId) -> Option<(NodeId, i32)> {
        self.topic(topic)?.partition(partition).map(|partition| (partition.leader, partition.leader_epoch))
    }

    /// First offset kept and the offset after the last record of a partition.
    #[must_use]
    pub fn offsets(&self, topic: &str, partition: PartitionId) -> Option<(i64, i64)> {
        let log = &self.topic(topic)?.partition(partition)?.log;
        Some((log.start_offset(), log.end_offset()))
    }

    /// The batches of a partition that are kept, oldest first, each with its offsets and leader epoch filled in.
    #[must_use]
    pub fn batches(&self, topic: &str, partition: PartitionId) -> Option<Vec<Bytes>> {
        let log = &self.topic(topic)?.partition(partition)?.log;
        Some(log.batches().map(|batch| batch.bytes.clone()).collect())
    }
}

/// How it begins.
impl Cluster {
    /// A cluster with brokers and nothing in it.
    #[must_use]
    pub fn new(config: ClusterConfig) -> Self {
        let member = |id| Broker { id, host: "127.0.0.1".to_owned(), port: 0 };
        Self {
            recording: Recording::new(config.recorded_requests),
            ids: Random::new(hash(&config.cluster_id)),
            brokers: config.nodes().map(member).collect(),
            controllers: config.controller_nodes().map(member).collect(),
            config,
            topics: BTreeMap::new(),
            names_by_id: BTreeMap::new(),
            metric_names: BTreeSet::new(),
            partition_count: 0,
            log_bytes: 0,
            next_producer_id: FIRST_PRODUCER_ID,
            change: 0,
            down: BTreeSet::new(),
            stops: BTreeMap::new(),
            versions: BTreeMap::new(),
            script: Running::default(),
            control: 0,
            notes: Vec::new(),
            others: Others::default(),
            views: BTreeMap::new(),
        }
    }
}

/// Commands.
impl Cluster {
    /// Where clients are told to find a broker, or a controller. Unknown ids are ignored.
    pub fn set_address(&mut self, node: NodeId, host: &str, port: u16) {
        let mut members = self.brokers.iter_mut().chain(&mut self.controllers);
        if let Some(broker) = members.find(|member| member.id == node) {
            host.clone_into(&mut broker.host);
            broker.port = port;
        }
    }

    /// Creates a topic, its leaders spread over the brokers, with three replicas where there are as many brokers.
    ///
    /// # Errors
    /// As CreateTopics answers them: an illegal or existing name, no partition, too many.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> Result<TopicId, Refusal> {
        let plan = self.spread(0, partitions, self.default_replication_factor())?;
        self.add_topic(name, plan, TopicSettings::default())
    }

    /// Changes a setting of a topic, by Kafka's name for it.
    ///
    /// # Errors
    /// When there is no such topic or setting, or the value does not fit it.
    pub fn set_topic_config(&mut self, name: &str, setting: &str, value: &str) -> Result<(), Refusal> {
        let topic = self.topics.get_mut(name).ok_or_else(|| no_topic(name))?;
        topic.settings.set(setting, value).map_err(|message| Refusal::new(ErrorCode::INVALID_CONFIG, message))
    }

    /// Deletes a topic and all it holds.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), Refusal> {
        let topic = self.topics.remove(name).ok_or_else(|| no_topic(name))?;
        self.names_by_id.remove(&topic.id);
        metric_name(name).map(|name| self.metric_names.remove(&name));
        self.partition_count -= topic.partitions.len();
        self.log_bytes -= topic.partitions.iter().map(|partition| partition.log.bytes()).sum::<u64>();
        self.change += 1;
        Ok(())
    }

    /// Moves the leadership of a partition to another broker, under a new leader epoch.
    ///
    /// # Errors
    /// When there is no such partition or broker.
    pub fn move_leader(&mut self, topic: &str, partition: PartitionId, node: NodeId) -> Result<(), Refusal> {
        if self.broker(node).is_none() {
            return Err(no_broker(node));
        }
        let found = self.topics.get_mut(topic).and_then(|topic| topic.partition_mut(partition));
        let moved = found.ok_or_else(|| {
            Refusal::new(
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                format!("there is no partition {topic}-{partition}"),
            )
        })?;
        moved.lead(node);
        self.change += 1;
        Ok(())
    }

    /// Has a broker restart so fast that no other broker takes its place. It loses what a broker does not have on its disk: of each
    /// idempotent producer it remembers the last batch in a partition, and no longer the last five. Another one is out of
    /// order when it comes again, whether the broker leads the partition now or later.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn restart_broker(&mut self, node: NodeId) -> Result<(), Refusal> {
        if self.broker(node).is_none() {
            return Err(no_broker(node));
        }
        self.partitions_mut().for_each(|partition| partition.restart(node));
        Ok(())
    }

    /// Has a broker lead a partition that lacks its last `batches` batches: see
    /// [`Change::ElectUnclean`](crate::Change::ElectUnclean). Answers how many records that were.
    ///
    /// # Errors
    /// As [`move_leader`](Self::move_leader).
    pub fn elect_unclean(
        &mut self,
        topic: &str,
        partition: PartitionId,
        node: NodeId,
        batches: usize,
    ) -> Result<u64, Refusal> {
        self.move_leader(topic, partition, node)?;
        let found = self.topics.get_mut(topic).and_then(|topic| topic.partition_mut(partition));
        let Some(partition) = found else { return Ok(0) };
        let before = partition.log.bytes();
        let records = partition.lose(batches);
        self.log_bytes -= before - partition.log.bytes();
        Ok(records)
    }

    /// Creates a topic with the replicas planned for each of its partitions.
    pub(crate) fn add_topic(
        &mut self,
        name: &str,
        plan: Vec<Vec<NodeId>>,
        settings: TopicSettings,
    ) -> Result<TopicId, Refusal> {
        self.check_new_topic(name, plan.len())?;
        let partitions: Vec<_> = plan.into_iter().filter_map(Partition::new).collect();
        let id = self.next_topic_id();
        self.metric_names.extend(metric_name(name));
        let name = TopicName::from(name);
        self.partition_count += partitions.len();
        self.names_by_id.insert(id, name.clone());
        self.topics.insert(name.clone(), Topic { id, name, partitions, settings });
        self.change += 1;
        Ok(id)
    }

    /// Whether a topic of this name and size could be created.
    pub(crate) fn check_new_topic(&self, name: &str, partitions: usize) -> Result<(), Refusal> {
        if !is_legal_name(name) {
            let rule =
                "a topic name has 1 to 249 letters, digits, '.', '_' or '-' and is neither '.' nor '..'";
            return Err(Refusal::new(
                ErrorCode::INVALID_TOPIC_EXCEPTION,
                format!("{name:?} is no topic name: {rule}"),
            ));
        }
        if self.topics.contains_key(name) {
            return Err(Refusal::new(
                ErrorCode::TOPIC_ALREADY_EXISTS,
                format!("topic '{name}' already exists"),
            ));
        }
        if metric_name(name).is_some_and(|name| self.metric_names.contains(&name)) {
            let message = format!(
                "topic '{name}' differs from another one only in '.' and '_', which metrics cannot tell apart"
            );
            return Err(Refusal::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
        }
        self.check_room(partitions)
    }

    /// Adds partitions to a topic.
    pub(crate) fn add_partitions(&mut self, name: &str, plan: Vec<Vec<NodeId>>) -> Result<(), Refusal> {
        self.check_room(plan.len())?;
        let topic = self.topics.get_mut(name).ok_or_else(|| no_topic(name))?;
        let before = topic.partitions.len();
        topic.partitions.extend(plan.into_iter().filter_map(Partition::new));
        self.partition_count += topic.partitions.len() - before;
        self.change += 1;
        Ok(())
    }

    /// Whether so many more partitions are within the limit.
    pub(crate) fn check_room(&self, partitions: usize) -> Result<(), Refusal> {
        if self.partition_count.saturating_add(partitions) > self.config.max_partitions {
            let limit = self.config.max_partitions;
            return Err(Refusal::new(
                ErrorCode::INVALID_PARTITIONS,
                format!("{partitions} more partitions would exceed the mock cluster's limit of {limit}"),
            ));
        }
        Ok(())
    }

    /// Replicas for each of `count` new partitions from number `first` on: leaders in turn over the brokers, followers on the
    /// next ones.
    pub(crate) fn spread(
        &self,
        first: usize,
        count: i32,
        replication_factor: i16,
    ) -> Result<Vec<Vec<NodeId>>, Refusal> {
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            return Err(no_partition());
        }
        self.check_room(count)?;
        let brokers = self.brokers.len();
        let factor = usize::try_from(replication_factor).unwrap_or(0);
        if factor == 0 || factor > brokers {
            return Err(Refusal::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                format!(
                    "replication factor {replication_factor} is not between 1 and the number of brokers, {brokers}"
                ),
            ));
        }
        let replicas = |partition: usize| (0..factor).map(move |replica| (partition + replica) % brokers);
        let ids =
            |partition| replicas(partition).filter_map(|index| Some(self.brokers.get(index)?.id)).collect();
        Ok((first..first + count).map(ids).collect())
    }

    pub(crate) fn default_replication_factor(&self) -> i16 {
        i16::try_from(self.brokers.len().min(DEFAULT_REPLICAS)).unwrap_or(1)
    }

    pub(crate) fn topic_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.topics.get_mut(name)
    }

    pub(crate) fn partitions_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.topics.values_mut().flat_map(|topic| &mut topic.partitions)
    }

    /// Something changed that a waiting request may be about.
    pub(crate) fn touch(&mut self) {
        self.change += 1;
    }

    /// Puts a batch at the end of a partition's log and drops what is then beyond a bound.
    pub(crate) fn append(&mut self, topic: &str, index: PartitionId, batch: StoredBatch) {
        let cluster_bound = self.config.retention;
        let Some(topic) = self.topics.get_mut(topic) else { return };
        let (name, bound) = (topic.name.clone(), topic.settings.retention(cluster_bound));
        let Some(partition) = topic.partition_mut(index) else { return };
        let log = &mut partition.log;
        let before = log.bytes();
        log.append(batch);
        log.retain(bound);
        self.log_bytes = self.log_bytes + log.bytes() - before;
        while self.log_bytes > self.config.memory {
            let Some(freed) = log.drop_oldest() else { break };
            self.log_bytes -= freed;
        }
        self.change += 1;
        self.shrink(&name, index);
    }

    /// Drops the oldest batches of the largest logs until all fit into the memory allowed. The newest of each goes only where
    /// nothing else is left, and that of the partition that was just written never.
    fn shrink(&mut self, name: &TopicName, index: PartitionId) {
        while self.log_bytes > self.config.memory {
            let logs = self.partitions_mut().map(|partition| &mut partition.log);
            let mut freed = logs.max_by_key(|log| log.droppable_bytes()).and_then(Log::drop_oldest);
            if freed.is_none() {
                let others = self.topics.values_mut().flat_map(|topic| {
                    let is_its = topic.name == *name;
                    let numbered = topic.partitions.iter_mut().zip((0..).map(PartitionId));
                    numbered.filter(move |(_, other)| !is_its || *other != index)
                });
                let logs = others.map(|(partition, _)| &mut partition.log);
                freed = logs.max_by_key(|log| log.bytes()).and_then(Log::drop_last);
            }
            let Some(freed) = freed else { return };
            self.log_bytes -= freed;
        }
    }

    /// Producers that each partition may remember: the more partitions there are, the fewer.
    pub(crate) fn producers_per_partition(&self) -> usize {
        let share = MAX_PRODUCERS_IN_ALL / self.partition_count.max(1);
        share.clamp(LEAST_PRODUCERS, MAX_PRODUCERS)
    }

    /// A producer id that no producer has yet. Brokers hand ids out from blocks, so the first one is not telling.
    pub(crate) fn next_producer_id(&mut self) -> ProducerId {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        ProducerId(id)
    }

    /// A topic id like a random one (KIP-516), from a generator that begins with the cluster's id.
    fn next_topic_id(&mut self) -> TopicId {
        let mut half = || u128::from(self.ids.next());
        TopicId((half() << 64 | half()).to_be_bytes())
    }
}

/// Commands of clusters that take each other's place.
impl Cluster {
    /// What a new cluster holds comes in the place of what this one held. Addresses, scripts and what is known of this one stay.
    pub(crate) fn take_place(&mut self, begun: Self) {
        let Self { config, topics, names_by_id, metric_names, partition_count, ids, .. } = begun;
        self.config = config;
        self.topics = topics;
        self.names_by_id = names_by_id;
        self.metric_names = metric_names;
        self.partition_count = partition_count;
        self.log_bytes = 0;
        self.next_producer_id = FIRST_PRODUCER_ID;
        self.ids = ids;
        self.views.clear();
        self.change += 1;
    }
}

pub(crate) fn no_partition() -> Refusal {
    Refusal::new(ErrorCode::INVALID_PARTITIONS, "the number of partitions must be greater than 0")
}

pub(crate) fn no_broker(node: NodeId) -> Refusal {
    Refusal::new(ErrorCode::BROKER_ID_NOT_REGISTERED, format!("there is no broker {node}"))
}

/// What brokers call a topic in their metrics, where that is not its name.
fn metric_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

pub(crate) fn no_topic(name: &str) -> Refusal {
    Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("there is no topic '{name}'"))
}

/// FNV-1a: the same on every machine.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

const FIRST_PRODUCER_ID: i64 = 1000;

/// Producers that all partitions together remember, as far as each can remember a few.
const MAX_PRODUCERS_IN_ALL: usize = 1_000_000;
const LEAST_PRODUCERS: usize = 8;

/// Replicas of a partition when a request leaves the number open, if there are as many brokers.
const DEFAULT_REPLICAS: usize = 3;
