//! What happens to a cluster beside requests: brokers come and go, leaders move, topics change, scripts run.

use std::time::Instant;

use kafka_wire::{ApiKey, ErrorCode, NodeId, PartitionId, TopicId, TopicName, VersionRange};

use super::{Cluster, Now, Refusal, no_broker, no_partition, no_topic};
use crate::producers::Producers;
use crate::script::{Change, Rule, Script};
use crate::topic::Partition;

/// Questions.
impl Cluster {
    /// Whether a broker was not stopped.
    #[must_use]
    pub fn is_up(&self, node: NodeId) -> bool {
        !self.down.contains(&node)
    }

    /// How often who answers at an address was stopped, or became another one: connections from before do not outlive it.
    pub(crate) fn stops(&self, node: NodeId) -> u64 {
        self.stops.get(&node).copied().unwrap_or(0)
    }

    /// When the next change of a script is due: then tell it with [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.script.poll_timeout()
    }

    /// How often rules of this name have acted.
    #[must_use]
    pub fn fired(&self, name: &str) -> u64 {
        self.script.fired(name)
    }

    /// Which versions of an API are served, of those that are known here.
    pub(crate) fn versions(&self, api: ApiKey, known: VersionRange) -> Option<VersionRange> {
        match self.versions.get(&api) {
            Some(&limit) => known.intersect(limit),
            None => Some(known),
        }
    }

    /// The name of a topic that is named by its name or, since KIP-516, by its id.
    pub(crate) fn name_of(&self, name: &TopicName, id: TopicId) -> Option<TopicName> {
        if id == TopicId::default() {
            Some(name.clone())
        } else {
            self.topic_by_id(id).map(|topic| topic.name.clone())
        }
    }

    /// Whether a partition has a leader that is up.
    pub(crate) fn is_led(&self, partition: &Partition) -> bool {
        self.is_up(partition.leader)
    }
}

/// Inputs.
impl Cluster {
    /// Lets happen what is due by a script.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(change) = self.script.poll_due(now.instant) {
            self.carry_out_on_cue(change);
        }
    }
}

/// Commands.
impl Cluster {
    /// Runs a script from now on, beside what other scripts say.
    ///
    /// # Errors
    /// When it limits the versions of an API that is not served.
    pub fn run_script(&mut self, script: Script, now: Now) -> Result<(), Refusal> {
        self.control += 1;
        for (api, versions) in self.script.add(script, now.instant) {
            self.carry_out(Change::LimitVersions { api, versions })?;
        }
        Ok(())
    }

    /// One more rule, behind those that are there.
    pub fn add_rule(&mut self, rule: Rule) {
        self.script.add_rule(rule);
    }

    /// Forgets all rules, and whatever a script would still do. What it did stays done.
    pub fn clear_script(&mut self) {
        self.script.clear();
    }

    /// Changes the cluster.
    ///
    /// # Errors
    /// When what it is about is not there, or cannot be so.
    pub fn carry_out(&mut self, change: Change) -> Result<(), Refusal> {
        match change {
            Change::MoveLeader { topic, partition, to } => {
                self.meant(&topic, partition)?.into_iter().try_for_each(|partition| {
                    let to = self.successor(&topic, partition, to);
                    self.move_leader(topic.as_str(), partition, to)
                })
            }
            Change::ElectUnclean { topic, partition, to, batches } => {
                self.meant(&topic, partition)?.into_iter().try_for_each(|partition| {
                    let to = self.successor(&topic, partition, to);
                    self.elect_unclean(topic.as_str(), partition, to, batches).map(drop)
                })
            }
            Change::StopBroker(node) => self.stop_broker(node),
            Change::StartBroker(node) => self.start_broker(node),
            Change::CreateTopic { topic, partitions } => {
                self.create_topic(topic.as_str(), partitions).map(drop)
            }
            Change::DeleteTopic { topic } => self.delete_topic(topic.as_str()),
            Change::RecreateTopic { topic, partitions } => {
                let found = self.topic(topic.as_str()).ok_or_else(|| no_topic(topic.as_str()))?;
                let had = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
                let count = partitions.unwrap_or(had);
                // Before it is gone for the sake of one that cannot be.
                if count < 1 {
                    return Err(no_partition());
                }
                self.check_room(usize::try_from(count.saturating_sub(had)).unwrap_or(0))?;
                self.delete_topic(topic.as_str())?;
                self.create_topic(topic.as_str(), count).map(drop)
            }
            Change::GrowTopic { topic, partitions } => self.grow(topic.as_str(), partitions),
            Change::LimitVersions { api, versions } => self.limit_versions(api, versions),
            Change::Advertise { node, host, port } => {
                self.known(node)?;
                self.set_address(node, &host, port);
                Ok(())
            }
            Change::Reroute { address, cluster, broker } => {
                self.reroute(address, cluster, broker.unwrap_or(address))
            }
            Change::Wipe { cluster_id } => self.wipe(cluster_id),
            Change::LagBehind { broker, lag } => {
                self.known(broker)?;
                self.lag_behind(broker, lag)
            }
            Change::CatchUp(broker) => {
                self.known(broker)?;
                self.catch_up(broker);
                Ok(())
            }
            Change::ForgetProducers { topic, partition } => {
                let found = self.topic_mut(topic.as_str()).ok_or_else(|| no_topic(topic.as_str()))?;
                for (partition_found, index) in found.partitions.iter_mut().zip((0..).map(PartitionId)) {
                    if partition.is_none_or(|wanted| wanted == index) {
                        partition_found.producers = Producers::default();
                    }
                }
                Ok(())
            }
        }
    }

    /// The same, where nobody hears of an error: it becomes a note.
    pub(crate) fn carry_out_on_cue(&mut self, change: Change) {
        let words = format!("{change:?}");
        if let Err(refusal) = self.carry_out(change) {
            if self.notes.len() < MAX_NOTES {
                self.notes.push(format!("the script's {words} was not possible: {refusal}"));
            }
        }
    }

    /// What went wrong that nobody was told of yet.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The partitions that a change is about: the one it names, or all of its topic.
    fn meant(&self, topic: &TopicName, named: Option<PartitionId>) -> Result<Vec<PartitionId>, Refusal> {
        if let Some(partition) = named {
            return Ok(vec![partition]);
        }
        let found = self.topic(topic.as_str()).ok_or_else(|| no_topic(topic.as_str()))?;
        Ok((0..).map(PartitionId).take(found.partitions.len()).collect())
    }

    /// Who leads a partition next: who is named, or the next broker that is up.
    fn successor(&self, topic: &TopicName, partition: PartitionId, named: Option<NodeId>) -> NodeId {
        match (named, self.leader(topic.as_str(), partition)) {
            (None, Some((leader, _))) => self.next_up(leader).unwrap_or(leader),
            (named, _) => named.unwrap_or(NodeId::NONE),
        }
    }

    /// The first broker after this one that is up, in turn.
    fn next_up(&self, after: NodeId) -> Option<NodeId> {
        let ids = || self.brokers().iter().map(|broker| broker.id);
        let later = ids().filter(|&id| id > after);
        later.chain(ids().filter(|&id| id < after)).find(|&id| self.is_up(id))
    }

    fn stop_broker(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.known(node)?;
        if !self.down.insert(node) {
            return Ok(());
        }
        self.disconnect_from(node);
        self.partitions_mut().for_each(|partition| partition.restart(node));
        let down = self.down.clone();
        for partition in self.partitions_mut().filter(|partition| partition.leader == node) {
            let successor = partition.replicas.iter().copied().find(|replica| !down.contains(replica));
            if let Some(successor) = successor {
                partition.lead(successor);
            }
        }
        self.control += 1;
        self.touch();
        Ok(())
    }

    fn start_broker(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.known(node)?;
        if !self.down.remove(&node) {
            return Ok(());
        }
        let down = self.down.clone();
        for partition in self.partitions_mut() {
            let is_orphan = partition.leader == node || down.contains(&partition.leader);
            if is_orphan && partition.replicas.contains(&node) {
                partition.lead(node);
            }
        }
        self.control += 1;
        self.touch();
        Ok(())
    }

    fn grow(&mut self, topic: &str, partitions: i32) -> Result<(), Refusal> {
        let found = self.topic(topic).ok_or_else(|| no_topic(topic))?;
        let present = found.partitions.len();
        let replicas = i16::try_from(found.replication_factor()).unwrap_or(i16::MAX);
        let added = partitions.saturating_sub(i32::try_from(present).unwrap_or(i32::MAX));
        if added <= 0 {
            let message =
                format!("topic '{topic}' has {present} partitions already, and is to have {partitions}");
            return Err(Refusal::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        let plan = self.spread(present, added, replicas)?;
        self.add_partitions(topic, plan)
    }

    fn limit_versions(&mut self, api: ApiKey, versions: VersionRange) -> Result<(), Refusal> {
        if api.api().is_none() {
            return Err(Refusal::new(ErrorCode::UNSUPPORTED_VERSION, format!("{api} is not served anyway")));
        }
        self.versions.insert(api, versions);
        Ok(())
    }

    fn known(&self, node: NodeId) -> Result<(), Refusal> {
        match self.member(node) {
            Some(_) => Ok(()),
            None => Err(no_broker(node)),
        }
    }
}

/// Sentences kept for who asks; nobody may.
const MAX_NOTES: usize = 100;
