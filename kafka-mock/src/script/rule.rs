//! [`Rule`]: which requests, how often, and what then.

use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_wire::{
    ApiKey, ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId, TopicName, VersionRange,
};

use super::change::Change;
use super::malform::Malformation;
use crate::occasions::Occasions;

/// Requests, and how the cluster misbehaves on them.
///
/// Conditions narrow the requests down; all of them have to hold. Of the requests that are left, [`skip`](Self::skip),
/// [`times`](Self::times) and [`probability`](Self::probability) say which ones the rule acts on: each rule counts for
/// itself. What it does then is said by any number of the other methods. Where several rules act on one request, all do what
/// they say, in the order they were given; of two errors for the same partition the first counts.
///
/// ```
/// use std::time::Duration;
///
/// use kafka_mock::{Change, Rule};
/// use kafka_wire::{ApiKey, ErrorCode, NodeId};
///
/// // The third and fourth batch for orders-0 are appended, but the leader says that too few replicas have them.
/// Rule::on(ApiKey::PRODUCE)
///     .topic("orders")
///     .partition(0)
///     .skip(2)
///     .times(2)
///     .error_after_apply(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
///
/// // Broker 2 dies when it is written to for the first time, and is back two seconds later.
/// Rule::on(ApiKey::PRODUCE)
///     .broker(NodeId(2))
///     .times(1)
///     .change(Change::StopBroker(NodeId(2)))
///     .change_later(Duration::from_secs(2), Change::StartBroker(NodeId(2)));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a rule does nothing until a script has it"]
pub struct Rule {
    pub(super) name: Option<String>,
    pub(super) when: When,
    pub(super) occasions: Occasions,
    pub(super) steps: Vec<Step>,
}

/// The conditions of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct When {
    pub(super) api: Option<ApiKey>,
    pub(super) broker: Option<NodeId>,
    pub(super) topic: Option<TopicName>,
    pub(super) partition: Option<PartitionId>,
    pub(super) client_id: Option<String>,
    pub(super) versions: Option<VersionRange>,
}

/// One thing a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Refuse(ErrorCode),
    Fail(ErrorCode),
    Delay(Duration, Duration),
    Silence { applied: bool },
    Disconnect { applied: bool, reset: bool },
    Throttle(Duration),
    Producer(Option<ProducerId>, ProducerEpoch),
    StaleLeaders,
    Malform(Malformation),
    Change(Change),
    ChangeAfter(Change),
    ChangeLater(Duration, Change),
}

/// Conditions.
impl Rule {
    /// Requests of one API.
    pub fn on(api: ApiKey) -> Self {
        Self { when: When { api: Some(api), ..Default::default() }, ..Self::on_any() }
    }

    /// All requests.
    pub fn on_any() -> Self {
        Self { name: None, when: When::default(), occasions: Occasions::default(), steps: Vec::new() }
    }

    /// Under this name it is asked how often it acted: [`MockCluster::fired`](crate::MockCluster::fired).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only those that come to this broker.
    pub fn broker(mut self, node: NodeId) -> Self {
        self.when.broker = Some(node);
        self
    }

    /// Only those that name this topic, by its name or its id. An error concerns this topic alone.
    pub fn topic(mut self, topic: impl Into<TopicName>) -> Self {
        self.when.topic = Some(topic.into());
        self
    }

    /// Only those that name a partition of this number. An error concerns it alone.
    pub fn partition(mut self, partition: i32) -> Self {
        self.when.partition = Some(PartitionId(partition));
        self
    }

    /// Only those of clients that call themselves so.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.when.client_id = Some(client_id.into());
        self
    }

    /// Only those in one of these versions.
    pub fn versions(mut self, versions: RangeInclusive<i16>) -> Self {
        self.when.versions = Some(VersionRange::new(*versions.start(), *versions.end()));
        self
    }
}

counts!(Rule, "script");

/// What it does.
impl Rule {
    /// Answers with this code and does not do what was asked.
    ///
    /// In the place the API has for it: with Produce, Fetch and ListOffsets for each partition that the rule's conditions
    /// name, or all; with Metadata and those that are about topics for each topic, though `LEADER_NOT_AVAILABLE` and its like
    /// stand with the partitions of a Metadata answer, as brokers have it; else for the whole answer. It takes an API that
    /// [is served](crate#what-is-served), and with any other the rule has no effect.
    pub fn error(self, code: ErrorCode) -> Self {
        self.step(Step::Refuse(code))
    }

    /// Does what was asked, and answers with this code all the same. Otherwise as [`error`](Self::error).
    pub fn error_after_apply(self, code: ErrorCode) -> Self {
        self.step(Step::Fail(code))
    }

    /// Holds the answer back for so long. Later requests are read and done meanwhile, and answered after it.
    pub fn delay(self, delay: Duration) -> Self {
        self.step(Step::Delay(delay, delay))
    }

    /// Holds each answer back for a time between these two, by the script's seeded generator.
    pub fn delay_between(self, delay: RangeInclusive<Duration>) -> Self {
        self.step(Step::Delay(*delay.start(), *delay.end()))
    }

    /// Does not do what was asked, and neither answers nor does anything more on this connection. It stays open.
    pub fn silence(self) -> Self {
        self.step(Step::Silence { applied: false })
    }

    /// Does what was asked, but neither answers nor does anything more on this connection. It stays open.
    pub fn silence_after_apply(self) -> Self {
        self.step(Step::Silence { applied: true })
    }

    /// Closes the connection and does not do what was asked.
    pub fn disconnect(self) -> Self {
        self.step(Step::Disconnect { applied: false, reset: false })
    }

    /// Does what was asked, and closes the connection instead of an answer.
    pub fn disconnect_after_apply(self) -> Self {
        self.step(Step::Disconnect { applied: true, reset: false })
    }

    /// Does what was asked, and resets the connection (RST) instead of an answer.
    pub fn reset_after_apply(self) -> Self {
        self.step(Step::Disconnect { applied: true, reset: true })
    }

    /// Answers at once that the client has to wait so long, and reads nothing more of the connection until then (KIP-219).
    pub fn throttle(self, time: Duration) -> Self {
        self.step(Step::Throttle(time))
    }

    /// Hands out this epoch to who asks for a producer id, and this id if it is given.
    pub fn producer(self, id: Option<ProducerId>, epoch: ProducerEpoch) -> Self {
        self.step(Step::Producer(id, epoch))
    }

    /// Tells in a Metadata answer who led each partition before its leader moved last, as a broker does that is behind.
    pub fn stale_leaders(self) -> Self {
        self.step(Step::StaleLeaders)
    }

    /// Spoils the bytes of the answer.
    pub fn malform(self, how: Malformation) -> Self {
        self.step(Step::Malform(how))
    }

    /// Changes the cluster before it does what was asked.
    pub fn change(self, change: Change) -> Self {
        self.step(Step::Change(change))
    }

    /// Changes the cluster after it did what was asked, before it answers.
    pub fn change_after_apply(self, change: Change) -> Self {
        self.step(Step::ChangeAfter(change))
    }

    /// Changes the cluster so long after.
    pub fn change_later(self, delay: Duration, change: Change) -> Self {
        self.step(Step::ChangeLater(delay, change))
    }

    pub(super) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl When {
    /// Whether topic and partition have to be looked for.
    pub(super) fn is_about_partitions(&self) -> bool {
        self.topic.is_some() || self.partition.is_some()
    }

    /// Whether this topic and partition are meant. What a request does not say holds for all: one that names a topic and no
    /// partition, as Metadata does, is about each of its partitions.
    pub(super) fn is_about(&self, topic: Option<&TopicName>, partition: Option<PartitionId>) -> bool {
        let same_topic = self.topic.as_ref().is_none_or(|wanted| topic == Some(wanted));
        same_topic
            && self.partition.is_none_or(|wanted| partition.is_none_or(|partition| partition == wanted))
    }
}
