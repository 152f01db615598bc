//! [`Routes`]: what is known of the cluster, of topics, and which lanes they have.
//!
//! It owns the metadata, the topics, and which cluster is meant. Who leads a partition the partition itself knows: it is told
//! what was learnt here.
//!
//! # Invariants
//! * A topic's lanes are by partition index, and stay, also where the topic has fewer partitions under another id.
//! * A partition that lost its leader with batches in its ledger is among the orphans until it has a leader or none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_net::{ClusterChange, ClusterView, Expectation, Metadata, TopicView};
use kafka_wire::{ErrorCode, TopicId, TopicName};

use super::{LaneId, waits::Spans};
use crate::{error::FailureKind, planted::planted};

/// The cluster, as far as is known.
#[derive(Debug)]
pub(super) struct Routes {
    metadata: Metadata,
    topics: BTreeMap<TopicName, TopicState>,
    /// How many clusters there were before this one. Calls carry it, since answers of another one are nobody's.
    cluster_number: u32,
    /// How this one came.
    change: Option<Arc<ClusterChange>>,
    /// Partitions without a leader that had batches in their ledger when they lost it.
    orphans: BTreeSet<LaneId>,
    /// When their topics are next said to be wanted.
    keep_topics_at: Option<Instant>,
}

#[derive(Debug)]
struct TopicState {
    /// Another id is another topic of the same name (KIP-516).
    id: TopicId,
    /// How many partitions it has under this id, as far as was told.
    count: usize,
    /// By partition index; those included that it had under another id.
    lanes: Vec<LaneId>,
    /// When brokers did not know it any more.
    gone: Spans,
    /// Batches of it wait until the cluster has told of it again.
    is_awaited: bool,
    /// What the cluster told last has fewer partitions than the same topic had before metadata forgot it.
    is_short: bool,
}

impl Default for TopicState {
    fn default() -> Self {
        Self {
            id: TopicId::ZERO,
            count: 0,
            lanes: Vec::new(),
            gone: Spans::there(),
            is_awaited: false,
            is_short: false,
        }
    }
}

/// What was learnt of a topic.
#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) view: Arc<TopicView>,
    /// All of its lanes.
    pub(super) lanes: Vec<LaneId>,
    /// How many of them there were before.
    pub(super) known: usize,
    /// How many partitions it has now: those behind them nobody leads.
    pub(super) count: usize,
    /// It is another topic of the same name.
    pub(super) is_another: bool,
    /// Batches of it waited for that.
    pub(super) was_awaited: bool,
}

impl Routes {
    pub(super) fn new(metadata: Metadata) -> Self {
        Self {
            metadata,
            topics: BTreeMap::new(),
            cluster_number: 0,
            change: None,
            orphans: BTreeSet::new(),
            keep_topics_at: None,
        }
    }

    /// The cluster as last heard of.
    pub(super) fn view(&self) -> &Arc<ClusterView> {
        self.metadata.view()
    }

    /// The metadata, to be asked what to do, and to be told what came of it.
    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(super) fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The id of a topic; none while metadata does not have it.
    pub(super) fn topic_id(&self, topic: &TopicName) -> Option<TopicId> {
        self.metadata.view().topic(topic.as_str()).map(|topic| topic.id)
    }

    /// Batches of a topic wait until the cluster has told of it again.
    pub(super) fn await_topic(&mut self, topic: &TopicName) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.is_awaited = true;
        }
    }

    /// When brokers did not know a topic any more.
    pub(super) fn gone(&self, topic: &TopicName) -> Option<&Spans> {
        self.topics.get(topic).map(|topic| &topic.gone)
    }

    /// All topics there are lanes for, or were.
    pub(super) fn topics(&self) -> Vec<TopicName> {
        self.topics.keys().cloned().collect()
    }

    /// Takes in what the view says of a topic. `next`: the first lane there is not yet. None if the view does not have the
    /// topic: it was not used for long, and its last leaders are as good a guess as any.
    pub(super) fn learn(&mut self, name: &TopicName, next: LaneId, now: Instant) -> Option<Learnt> {
        let view = self.metadata.view().topic(name.as_str()).map(Arc::clone)?;
        let topic = self.topics.entry(name.clone()).or_default();
        let known = topic.lanes.len();
        let added = view.partitions.len().saturating_sub(known) as u32;
        topic.lanes.extend((next.0..next.0 + added).map(LaneId));
        topic.gone.note(known > 0 && view.error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, now);
        let was_awaited = std::mem::take(&mut topic.is_awaited);
        // A broker that lags: under one id the number of partitions never falls. Metadata knows, unless it forgot the topic.
        let is_same = topic.id == view.id && !view.id.is_zero();
        topic.is_short = is_same && view.partitions.len() < topic.count;
        topic.count = if topic.is_short { topic.count } else { view.partitions.len() };
        let is_another = std::mem::replace(&mut topic.id, view.id) != view.id;
        let (lanes, count) = (topic.lanes.clone(), topic.count);
        Some(Learnt { view, lanes, known, count, is_another, was_awaited })
    }

    /// Whether it is time to say again which topics are wanted.
    pub(super) fn keeps_topics(&mut self, now: Instant) -> bool {
        let is_time = self.keep_topics_at.is_none_or(|at| now >= at);
        if is_time {
            self.keep_topics_at = now.checked_add(KEEP_TOPICS_EVERY);
        }
        is_time
    }

    /// A partition has lost its leader, and has batches in its ledger.
    pub(super) fn note_orphan(&mut self, lane: LaneId) {
        self.orphans.insert(lane);
    }

    /// Asks for leaders of what was drained before they were lost, and for topics that lack partitions. `is_orphan`: whether a
    /// partition still lacks one, and has batches in its ledger.
    pub(super) fn see_to_orphans(&mut self, is_orphan: impl Fn(LaneId) -> bool) {
        if planted!(LeaderlessUnasked) {
            return;
        }
        let view = self.metadata.view();
        if self.topics.iter().any(|(name, topic)| topic.is_short && view.topic(name.as_str()).is_some()) {
            self.metadata.request_update();
        }
        while let Some(lane) = self.orphans.first().copied() {
            if is_orphan(lane) {
                self.metadata.request_update();
                return;
            }
            self.orphans.pop_first();
        }
    }

    /// What a broker must show before it is told anything but that.
    pub(super) fn expectation(&self) -> Option<Expectation> {
        if planted!(ClusterUnchecked) { None } else { self.metadata.expectation() }
    }

    pub(super) fn cluster_number(&self) -> u32 {
        self.cluster_number
    }

    /// Whether a call was made in the cluster that there is now. An answer from another one says nothing here.
    pub(super) fn is_of_now(&self, cluster_number: u32) -> bool {
        self.cluster_number == cluster_number
    }

    /// Another cluster is meant from now on.
    pub(super) fn move_to_another_cluster(&mut self, change: ClusterChange) {
        self.cluster_number = self.cluster_number.wrapping_add(1);
        self.change = Some(Arc::new(change));
    }

    /// Topics are others, whatever their names.
    pub(super) fn forget_topic_ids(&mut self) {
        for topic in self.topics.values_mut() {
            topic.id = TopicId::ZERO;
        }
    }

    /// The change that ended a batch.
    pub(super) fn change_for(&self, kind: FailureKind) -> Option<Arc<ClusterChange>> {
        self.change.clone().filter(|_| kind == FailureKind::ClusterChanged)
    }

    /// The lanes of a topic: only what planted bugs are told.
    pub(super) fn lanes(&self, topic: Option<&TopicName>) -> Vec<LaneId> {
        topic.and_then(|topic| self.topics.get(topic)).map(|topic| topic.lanes.clone()).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.topics.clear();
        self.orphans.clear();
    }
}

/// Less than the shortest `metadata.max.idle.ms`, after which a topic nobody wants is forgotten.
const KEEP_TOPICS_EVERY: Duration = Duration::from_secs(2);
