//! [`Metadata`]: which topics are wanted, what is known of them, and when and whom to ask.

mod action;
mod config;
mod kept;
mod lag;
mod nodes;
mod refresh;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_wire::{
    ErrorCode, NodeId, TopicName,
    messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic},
};

pub use self::{
    action::{Action, ClusterChange, Update},
    config::MetadataConfig,
    nodes::SILENT_LOAD,
    view::{Broker, ClusterView, LeaderHint, PartitionView, TopicView},
};
use self::{
    kept::Kept,
    lag::{Doubts, Missing, Verdict, Witness},
    nodes::Nodes,
    refresh::Refresh,
};
use crate::{
    backoff::Backoff,
    config::Endpoint,
    conn::Expectation,
    enquiry::{Brokers, Enquiry, EnquiryRules, Pick, Question, Ticket, To},
    error::{Kind, NetError, Other, Place},
    feed::Status,
};

/// The state machine behind a [`ClusterView`]: it says when to ask which broker for what, and reads the answers. It
/// sends nothing itself; its owner carries [`Action::Ask`] through a connection and reports back.
///
/// - questions: [`view`](Self::view), [`fatal_since`](Self::fatal_since), ...
/// - inputs: [`handle_response`](Self::handle_response), [`handle_failure`](Self::handle_failure),
///   [`handle_status`](Self::handle_status), [`handle_proof`](Self::handle_proof),
///   [`handle_leader_hints`](Self::handle_leader_hints);
/// - commands: [`want`](Self::want), [`request_update`](Self::request_update);
/// - outputs: [`poll_action`](Self::poll_action) until it gives none, after any input or command;
///   [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Metadata {
    config: MetadataConfig,
    bootstrap: BTreeMap<NodeId, Broker>,
    view: Arc<ClusterView>,
    nodes: Nodes,
    /// Which cluster this is.
    kept: Kept,
    /// Brokers that are to be hung up on, since they are of another cluster.
    left: Vec<NodeId>,
    /// How often in a row the bootstrap list was returned to because none of the brokers it leads to is there, or is of this
    /// cluster.
    returns: u32,
    topics: BTreeMap<TopicName, Wanted>,
    /// Brokers of the view that the last answer did not name.
    missing: Missing,
    /// Whose answer that was.
    answered_last: Option<NodeId>,
    /// With so many topics, those are forgotten of which nobody knows anything.
    look_at: usize,
    refresh: Refresh,
    /// When to ask, whom, and whom else.
    enquiry: Enquiry<About>,
    /// All connections are to be closed, since they lead nowhere.
    must_hang_up: bool,
    update_count: u64,
    fatal: Option<NetError>,
    fatal_count: u64,
    last_failure: Option<NetError>,
}

#[derive(Debug)]
struct Wanted {
    last_use: Instant,
    /// Not asked for yet.
    is_new: bool,
    doubts: Doubts,
}

/// What a question is about.
#[derive(Debug, Clone)]
struct About {
    /// The address of the broker that was asked.
    address: Endpoint,
    /// Every topic, not only the new ones.
    is_full: bool,
}

/// The brokers, for a question about the cluster.
struct Informed<'a, L> {
    nodes: &'a mut Nodes,
    load: L,
}

impl<L: Fn(NodeId) -> Option<usize>> Brokers for Informed<'_, L> {
    fn pick(&mut self, _: To, may_ask: &dyn Fn(NodeId) -> bool, now: Instant) -> Pick {
        self.nodes.pick_informed(|node| (self.load)(node).filter(|_| may_ask(node)), now)
    }

    fn is_connecting(&self) -> bool {
        false
    }
}

impl Metadata {
    /// Nothing is known but the bootstrap list. `rng` gives the jitter.
    #[must_use]
    pub fn new(endpoints: &[Endpoint], config: MetadataConfig, mut rng: fastrand::Rng) -> Self {
        let bootstrap: BTreeMap<_, _> = (1..)
            .map(|index: i32| NodeId(-index))
            .zip(endpoints)
            .map(|(node, endpoint)| (node, Broker::at(node, endpoint.clone())))
            .collect();
        let backoff = Backoff::new(config.retry_backoff, config.retry_backoff_max);
        let mut nodes = Nodes::starting_at(rng.usize(..bootstrap.len().max(1)));
        nodes.replace(&bootstrap);
        let patience = config.rebootstrap_patience();
        let kept = Kept::new(config.cluster_check, config.rebootstrap, patience, endpoints);
        Self {
            enquiry: Enquiry::new(
                To::Any,
                EnquiryRules { patience: ANSWER_PATIENCE, max_asked: MAX_ASKED, backoff },
            ),
            refresh: Refresh::new(config.max_age, backoff, rng),
            config,
            view: Arc::new(ClusterView { brokers: bootstrap.clone(), ..ClusterView::default() }),
            bootstrap,
            nodes,
            kept,
            left: Vec::new(),
            returns: 0,
            topics: BTreeMap::new(),
            missing: Missing::default(),
            answered_last: None,
            look_at: MAX_UNKNOWN,
            must_hang_up: false,
            update_count: 0,
            fatal: None,
            fatal_count: 0,
            last_failure: None,
        }
    }

    /// The cluster as last heard of.
    #[must_use]
    pub fn view(&self) -> &Arc<ClusterView> {
        &self.view
    }

    /// Whether the topic is wanted.
    #[must_use]
    pub fn is_wanted(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// What a broker of the view must show before it is told anything: see [`Feed::expectation`](crate::Feed::expectation).
    #[must_use]
    pub fn expectation(&self) -> Option<Expectation> {
        self.kept.expectation()
    }

    /// How many good answers there have been, those that brought nothing new included.
    #[must_use]
    pub fn update_count(&self) -> u64 {
        self.update_count
    }

    /// How many hopeless failures there have been: to be remembered when a wait begins.
    #[must_use]
    pub fn fatal_count(&self) -> u64 {
        self.fatal_count
    }

    /// The last hopeless failure (authentication, a port that speaks another protocol, a version nobody knows), if
    /// there was one after `count`: whoever waits since then should give up. Later waits try again.
    #[must_use]
    pub fn fatal_since(&self, count: u64) -> Option<&NetError> {
        self.fatal.as_ref().filter(|_| self.fatal_count > count)
    }

    /// The last failure of a connection or an update since the last good answer: why a wait takes so long.
    #[must_use]
    pub fn last_failure(&self) -> Option<&NetError> {
        self.last_failure.as_ref()
    }

    /// Somebody uses the topic: it is asked for, and kept for `max_idle` from now. Returns whether it is new.
    ///
    /// Cheap, but a map lookup: call it per batch or per second, not per record. Of topics without a partition, very many of
    /// which are names of nothing, no more than some ten thousand are kept, the last ones used: who waits for one wants it
    /// again and again.
    pub fn want(&mut self, topic: &TopicName, now: Instant) -> bool {
        if let Some(wanted) = self.topics.get_mut(topic) {
            wanted.last_use = now;
            return false;
        }
        if self.topics.len() >= self.look_at {
            self.forget_unknown();
        }
        self.topics.insert(topic.clone(), Wanted { last_use: now, is_new: true, doubts: Doubts::default() });
        true
    }

    /// Forgets the older half of the topics without a partition, if there are too many: who sends to whatever name he is
    /// given must not fill the memory with names of nothing, whether or not brokers answer.
    fn forget_unknown(&mut self) {
        let topics = &self.view.topics;
        let is_unknown = |name: &TopicName| topics.get(name).is_none_or(|topic| topic.partitions.is_empty());
        let unknown = self.topics.iter().filter(|(name, _)| is_unknown(name));
        let mut uses: Vec<_> = unknown.map(|(_, wanted)| wanted.last_use).collect();
        if uses.len() >= MAX_UNKNOWN {
            let (_, median, _) = uses.select_nth_unstable(MAX_UNKNOWN / 2);
            let median = *median;
            self.topics.retain(|name, wanted| wanted.last_use > median || !is_unknown(name));
        }
        // Looked through once for many new names, so that each costs little.
        self.look_at = self.topics.len() + MAX_UNKNOWN / 2;
    }

    /// Somebody has reason to think that the view is out of date. Updates still keep their distance.
    pub fn request_update(&mut self) {
        self.refresh.request();
    }

    /// The same, where the last answer lacks something: who gave it may lag behind, so another broker is asked first.
    pub fn request_update_elsewhere(&mut self) {
        if let Some(node) = self.answered_last {
            self.nodes.note_answer(node, true);
        }
        self.refresh.request();
    }

    /// The connection of a node changed its state. A failure asks for an update; the broker may have moved or died.
    pub fn handle_status(&mut self, node: NodeId, status: &Status, now: Instant) {
        self.nodes.handle_status(node, status, now);
        if matches!(status, Status::Ready) && node.0 >= 0 {
            self.returns = 0;
        }
        let Status::Down { error, .. } = status else { return };
        self.give_up_asked(|asked| asked.node == node, now);
        if error.is_idle() || error.is_aborted() {
            return;
        }
        self.refresh.request();
        self.last_failure = Some(error.clone());
        // A connection that was begun before a change was held against the cluster of then.
        let expected = error.clusters().map(|(expected, _)| expected);
        let is_of_now = expected.is_some() && expected == self.kept.id().map(|id| &**id);
        if is_of_now && error.is_other_cluster() {
            self.note_other(node, error, now);
        } else if is_of_now && error.is_other_broker() {
            self.kept.heard();
        }
        if !error.is_retriable() && self.nodes.are_all_hopeless() {
            self.broadcast(error.clone());
        }
    }

    /// The broker behind a new connection has shown that it is of the cluster that was expected.
    pub fn handle_proof(&mut self, node: NodeId) {
        self.kept.heard();
        self.nodes.note_same(node);
    }

    /// An update could not be sent, or was not answered. One that is no longer waited for is ignored.
    pub fn handle_failure(&mut self, ticket: Ticket, error: &NetError, now: Instant) {
        let asked = self.enquiry.question(ticket).map(|asked| asked.node);
        self.give_up_asked(|asked| asked.ticket == ticket, now);
        let Some(node) = asked.filter(|_| !error.is_aborted()) else { return };
        self.last_failure = Some(error.clone());
        if !error.is_retriable() {
            self.note_no_use(node, error);
        }
    }

    /// A broker describes no cluster: others are asked before it. What does not pass by itself is told once all of them say so.
    fn note_no_use(&mut self, node: NodeId, error: &NetError) {
        if error.is_retriable() {
            self.nodes.note_answer(node, true);
            return;
        }
        self.nodes.note_useless(node);
        if self.nodes.are_all_hopeless() {
            self.broadcast(error.clone());
        }
    }

    /// An update was answered. One that is no longer waited for is ignored.
    pub fn handle_response(&mut self, ticket: Ticket, response: MetadataResponse, now: Instant) -> Update {
        let Some(asked) = self.enquiry.question(ticket).cloned() else { return Update::default() };
        if response.error_code == ErrorCode::REBOOTSTRAP_REQUIRED {
            return self.handle_return(&asked, now);
        }
        let brokers: BTreeMap<NodeId, Broker> = response
            .brokers
            .iter()
            .filter_map(|broker| {
                Broker::named(broker.node_id, &broker.host, broker.port, broker.rack.as_deref())
            })
            .map(|broker| (broker.node, broker))
            .collect();
        let error = match response.error_code {
            ErrorCode::NONE if brokers.is_empty() => Some(NetError::new(Kind::NoBrokers)),
            ErrorCode::NONE => None,
            code => Some(NetError::new(Kind::Refused { doing: "to describe the cluster", code })),
        };
        if let Some(error) = error {
            self.note_no_use(asked.node, &error);
            self.give_up_asked(|asked| asked.ticket == ticket, now);
            self.last_failure = Some(error);
            return Update::default();
        }
        let Question { node, about: About { ref address, is_full }, .. } = asked;
        self.nodes.note_useful(node);
        let (id, is_last) = (response.cluster_id.as_deref(), self.is_last_of_list(node, now));
        let change = match self.kept.judge(address, id, is_last, now) {
            kept::Verdict::Same => {
                self.nodes.note_same(node);
                None
            }
            kept::Verdict::Changed { from } => Some(self.change_cluster(from)),
            kept::Verdict::Other => return self.leave(&asked, id, now),
        };
        self.last_failure = None;
        self.update_count += 1;
        // Earlier questions were about nothing else. Later ones may be about a topic that this one did not name, and are
        // answered by the old cluster if another one has taken its place.
        self.enquiry.forget_until(ticket);
        self.enquiry.forget(|_| change.is_some());
        self.enquiry.succeed();
        let controller = Some(response.controller_id).filter(|node| brokers.contains_key(node));
        let witness = Witness::new(node, &self.view, &brokers);
        let is_same = change.is_none();
        let (kept, brokers) = self.with_missing(brokers, node, is_same);
        let (topics, lags) = self.merge_topics(is_full, is_same, response.topics, witness, &brokers);
        let (generation, cluster_id) = (self.view.generation, self.kept.id().cloned());
        let view = ClusterView { generation, cluster_id, controller, topics, brokers };
        let is_broker_unknown =
            !kept.is_empty() && view.topics.values().any(|topic| topic.is_led_by_any(&kept));
        let is_open = is_broker_unknown || self.topics.values().any(|wanted| wanted.doubts.is_open);
        let is_partial = change.is_some() && !is_full;
        let needs_refresh = is_open || is_partial || view.topics.values().any(|topic| topic.needs_refresh());
        let mut update = self.take(view);
        if change.is_some() {
            self.nodes.start_over(&self.view.brokers);
            (update.cluster, update.brokers) = (change, true);
        }
        let node = self.known_as(node);
        self.answered_last = Some(node);
        self.nodes.note_answer(node, lags || is_broker_unknown);
        if !(lags || needs_refresh) {
            self.nodes.forget_lags();
        }
        let changed = update != Update::default();
        self.refresh.succeeded(is_full, changed && !needs_refresh, now);
        if needs_refresh {
            self.refresh.request();
        }
        update
    }

    /// A broker says that the bootstrap list is to be returned to. Where that cannot be, it is one that is of no help.
    fn handle_return(&mut self, asked: &Question<About>, now: Instant) -> Update {
        if self.config.rebootstrap && !self.view.is_bootstrap() {
            self.give_up_asked(|_| true, now);
            return self.rebootstrap();
        }
        let (node, ticket) = (asked.node, asked.ticket);
        let place = Place { node, address: asked.about.address.to_string().into() };
        let code = ErrorCode::REBOOTSTRAP_REQUIRED;
        self.last_failure =
            Some(NetError::at(Kind::Refused { doing: "to describe the cluster", code }, &place));
        self.nodes.note_answer(node, true);
        self.give_up_asked(|asked| asked.ticket == ticket, now);
        Update::default()
    }

    /// Whether every other address of the bootstrap list was tried, since it was returned to.
    fn is_last_of_list(&self, node: NodeId, now: Instant) -> bool {
        let list = self.bootstrap.keys().copied().filter(|other| *other != node);
        !self.nodes.may_any_be_same(list, |node| self.enquiry.is_silent(node, now), now)
    }

    /// Which broker of the view an address of the bootstrap list leads to, as far as can be seen.
    fn known_as(&self, node: NodeId) -> NodeId {
        let Some(address) = self.bootstrap.get(&node) else { return node };
        let same = self.view.brokers.values().find(|broker| broker.endpoint == address.endpoint);
        same.map_or(node, |broker| broker.node)
    }

    /// The brokers of the next view, and which of them the answer does not name, in order.
    fn with_missing(
        &mut self,
        mut named: BTreeMap<NodeId, Broker>,
        witness: NodeId,
        is_same_cluster: bool,
    ) -> (Vec<NodeId>, BTreeMap<NodeId, Broker>) {
        if !is_same_cluster {
            self.missing.forget();
            return (Vec::new(), named);
        }
        let nodes = &self.nodes;
        let kept = self.missing.kept(&self.view, &named, witness, |node| nodes.is_ready(node));
        let ids = kept.iter().map(|broker| broker.node).collect();
        named.extend(kept.into_iter().map(|broker| (broker.node, broker)));
        (ids, named)
    }

    /// An answer named the new leaders of partitions (KIP-951), possibly with their addresses. A hint is taken if it is newer
    /// than what is known, and the address with it; otherwise an update is asked for, as without the hint. Beside what is
    /// different then: which hints were taken, in their order.
    ///
    /// One new view comes of all hints together, since it costs as much as there are partitions of their topics.
    pub fn handle_leader_hints(&mut self, hints: &[LeaderHint<'_>]) -> (Update, Vec<bool>) {
        let mut next: Option<ClusterView> = None;
        let taken = hints.iter().map(|hint| {
            let is_news = next.as_ref().unwrap_or(&self.view).is_news(hint);
            if is_news {
                next.get_or_insert_with(|| ClusterView::clone(&self.view)).follow(hint);
            } else {
                self.refresh.request();
            }
            is_news
        });
        let taken = taken.collect();
        (next.map_or_else(Update::default, |view| self.take(view)), taken)
    }

    /// Whom to ask something that any broker can answer; `load` gives the calls that a connected node has in flight,
    /// [`SILENT_LOAD`] and more if it has not answered any for long, `None` if it takes none now. A [`Pick::Connect`] counts as
    /// being dialled from now on.
    ///
    /// Only brokers of the view are asked. An address of the bootstrap list may lead anywhere, until a broker there has said
    /// which cluster it is of.
    pub fn pick(&mut self, load: impl Fn(NodeId) -> Option<usize>, now: Instant) -> Pick {
        if self.view.is_bootstrap() { Pick::Wait } else { self.nodes.pick(load, now) }
    }

    /// Whether a broker of the view can be asked, and if not, why not. A [`Pick::Connect`] counts as being dialled from now on.
    pub fn reach(&mut self, node: NodeId, now: Instant) -> Pick {
        self.nodes.reach(node, now)
    }

    /// The next thing to do; `load` as in [`pick`](Self::pick). If it keeps a broker out, poll again when that changes.
    pub fn poll_action(&mut self, load: impl Fn(NodeId) -> Option<usize>, now: Instant) -> Option<Action> {
        // First, since it is told of each of them.
        if let Some(node) = self.left.pop() {
            return Some(Action::HangUpOn(node));
        }
        if std::mem::take(&mut self.must_hang_up) {
            return Some(Action::HangUp);
        }
        if self.rebootstrap_deadline().is_some_and(|deadline| deadline <= now) {
            self.refresh.restart_clock();
            self.give_up_asked(|_| true, now);
            self.rebootstrap();
            return std::mem::take(&mut self.must_hang_up).then_some(Action::HangUp);
        }
        if self.due(now).is_none_or(|due| due > now) {
            return None;
        }
        let is_first = self.enquiry.questions().is_empty();
        if is_first {
            self.refresh.trying(now);
            self.kept.trying(now);
        }
        let (wanted, mut brokers) = (self.wanted(now), Informed { nodes: &mut self.nodes, load });
        match self.enquiry.poll(wanted, &mut brokers, now)? {
            Pick::Ready(node) => Some(self.ask(node, now)),
            Pick::Connect(node) => Some(Action::Connect(node)),
            Pick::Wait => None,
            Pick::Nobody => {
                if !is_first || !self.config.rebootstrap || self.view.is_bootstrap() {
                    return None;
                }
                self.refresh.restart_clock();
                if self.returns > 0 {
                    self.refresh.pause(self.returns - 1, now);
                }
                self.returns = self.returns.saturating_add(1);
                self.rebootstrap();
                std::mem::take(&mut self.must_hang_up).then_some(Action::HangUp)
            }
        }
    }

    /// When [`poll_action`](Self::poll_action) has something to give although nothing happens; `None` is never.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        // Due and still nothing to do: what is missing is a broker.
        let duty =
            self.due(now).and_then(|due| if due > now { Some(due) } else { self.nodes.next_change(now) });
        [duty, self.rebootstrap_deadline()].into_iter().flatten().min()
    }

    /// When the next question is due: the first one for its own reasons, others because that one has no answer.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.enquiry.due(self.wanted(now))
    }

    /// From when on an answer is wanted.
    fn wanted(&self, now: Instant) -> Option<Instant> {
        let is_any_new = self.topics.values().any(|wanted| wanted.is_new);
        let new = is_any_new.then(|| self.refresh.due_for_new(self.enquiry.failures(), now));
        [self.refresh.due(now), new].into_iter().flatten().min()
    }

    /// When the bootstrap list is gone back to. While it is what is known, there is nothing to go back to, and questions
    /// that are out keep their time.
    fn rebootstrap_deadline(&self) -> Option<Instant> {
        if !self.config.rebootstrap || self.view.is_bootstrap() {
            return None;
        }
        self.refresh.trying_since()?.checked_add(self.config.rebootstrap_patience())
    }

    /// Questions that get no answer. With another one that is about everything still out, nothing is lost.
    fn give_up_asked(&mut self, which: impl Fn(&Question<About>) -> bool, now: Instant) {
        let rng = self.refresh.rng();
        if self.enquiry.give_up(which, |asked| asked.about.is_full, now, rng) {
            self.refresh.request();
        }
    }

    fn ask(&mut self, node: NodeId, now: Instant) -> Action {
        // One beside another is about everything, so that it does not matter which is answered.
        let is_full =
            !self.enquiry.questions().is_empty() || self.refresh.due(now).is_some_and(|due| due <= now);
        if is_full {
            let max_idle = self.config.max_idle;
            self.topics.retain(|_, wanted| {
                wanted.is_new || now.saturating_duration_since(wanted.last_use) < max_idle
            });
            self.refresh.asked_for_all();
        }
        let asked_for = self.topics.iter_mut().filter(|(_, wanted)| is_full || wanted.is_new);
        let topics = asked_for.map(|(name, wanted)| {
            // Should this fail, the next question is about every topic.
            wanted.is_new = false;
            topic_by_name(name.clone())
        });
        let request = MetadataRequest {
            topics: Some(topics.collect()),
            allow_auto_topic_creation: self.config.allow_auto_topic_creation,
            ..MetadataRequest::default()
        };
        // One that left the view meanwhile is hung up on, and its answer not waited for.
        let address = self.view.brokers.get(&node).map(|broker| broker.endpoint.clone());
        let address = address.unwrap_or_else(|| Endpoint::new("", 0));
        let ticket = self.enquiry.ask(node, About { address, is_full }, now);
        Action::Ask { node, ticket, request }
    }

    /// The topics of the next view, and whether the answer was older than the view. Those nobody wants (any more) are left out,
    /// whatever the answer has. `is_same`: it is the cluster that was known; what is known of another one's topics does not
    /// hold.
    fn merge_topics(
        &mut self,
        is_full: bool,
        is_same: bool,
        answered: Vec<MetadataResponseTopic>,
        witness: Witness,
        brokers: &BTreeMap<NodeId, Broker>,
    ) -> (BTreeMap<TopicName, Arc<TopicView>>, bool) {
        let known = if is_same { self.view.topics.clone() } else { BTreeMap::new() };
        let (mut topics, mut lags) = (known, false);
        if is_full {
            topics.retain(|name, _| self.topics.contains_key(name));
        }
        for mut answer in answered {
            let Some(name) = answer.name.take() else { continue };
            // The name that is kept is the one all clones of which share their bytes.
            let Some(kept) = self.topics.get_key_value(&name).map(|(name, _)| name.clone()) else { continue };
            let Some(wanted) = self.topics.get_mut(&name) else { continue };
            lags |= answer.error_code == ErrorCode::UNKNOWN_SERVER_ERROR;
            let old = topics.get(&name);
            let (verdict, is_older) = wanted.doubts.judge(old.map(|old| &**old), &answer, witness);
            lags |= is_older;
            if verdict == Verdict::Outdated {
                continue;
            }
            let is_short = verdict == Verdict::Short;
            let (merged, is_older) =
                TopicView::merge(old.map(|old| &**old), kept.clone(), answer, is_short, brokers);
            lags |= is_older;
            if old.is_none_or(|old| **old != merged) {
                topics.insert(kept, Arc::new(merged));
            }
        }
        (without_lost_leaders(topics, brokers), lags)
    }

    /// Makes a view the current one, and says what is different.
    fn take(&mut self, mut view: ClusterView) -> Update {
        let old = &self.view;
        let is_same = |name: &TopicName, topic: &Arc<TopicView>| {
            old.topics.get(name).is_some_and(|old| Arc::ptr_eq(old, topic) || old == topic)
        };
        let changed = view.topics.iter().filter(|(name, topic)| !is_same(name, topic)).map(|(name, _)| name);
        let gone = old.topics.keys().filter(|name| !view.topics.contains_key(*name));
        let update = Update {
            topics: changed.chain(gone).cloned().collect(),
            brokers: old.brokers != view.brokers,
            cluster: None,
        };
        if update.brokers {
            self.nodes.replace(&view.brokers);
            if !view.is_bootstrap() {
                self.kept.note_brokers(view.brokers.values().map(|broker| broker.endpoint.clone()));
            }
        }
        view.generation = old.generation;
        if view != **old {
            view.generation += 1;
            self.view = Arc::new(view);
        }
        update
    }

    /// Back to the bootstrap list. What is known of topics stays, without leaders.
    fn rebootstrap(&mut self) -> Update {
        self.refresh.request();
        if self.view.is_bootstrap() {
            return Update::default();
        }
        self.must_hang_up = true;
        self.missing.forget();
        self.take_bootstrap()
    }

    /// A view of the bootstrap list; and of the brokers last known, where other clusters answer for some of them: whether this
    /// one is gone shows in what all of them say.
    fn take_bootstrap(&mut self) -> Update {
        let mut brokers = self.bootstrap.clone();
        let first = brokers.len() as i32 + 1;
        let more = (first..).map(|index| NodeId(-index)).zip(self.kept.more_addresses());
        brokers.extend(more.map(|(node, address)| (node, Broker::at(node, address.clone()))));
        let topics = without_lost_leaders(self.view.topics.clone(), &brokers);
        let view = ClusterView { controller: None, brokers, topics, ..ClusterView::clone(&self.view) };
        let update = self.take(view);
        // Those that have answered come after the others.
        let heard = self.view.brokers.values().filter(|broker| self.kept.is_other(&broker.endpoint));
        heard.for_each(|broker| self.nodes.note_other_before(broker.node));
        update
    }

    /// The broker behind a connection is of another cluster.
    fn note_other(&mut self, node: NodeId, error: &NetError, now: Instant) {
        let Some(broker) = self.view.brokers.get(&node) else { return };
        self.kept.note_other(&broker.endpoint, error.clusters().and_then(|(_, found)| found), now);
        self.return_if_gone(now);
    }

    /// Where no broker of the view is of the cluster any more, the bootstrap list may know where it is.
    fn return_if_gone(&mut self, now: Instant) -> Update {
        if self.view.is_bootstrap() || !self.kept.is_gone_from_view() {
            return Update::default();
        }
        // Where the list leads to the same brokers again, the way round may be short: it is not taken without a pause.
        self.refresh.pause(self.returns, now);
        self.returns = self.returns.saturating_add(1);
        self.give_up_asked(|_| true, now);
        self.rebootstrap()
    }

    /// The broker that has answered a question is of another cluster: others are asked.
    fn leave(&mut self, asked: &Question<About>, found: Option<&str>, now: Instant) -> Update {
        let Question { node, about: About { ref address, is_full }, .. } = *asked;
        self.enquiry.forget(|other| other.ticket == asked.ticket);
        let Some(Expectation { cluster, for_good }) = self.kept.expectation() else {
            return Update::default();
        };
        let other = Other { expected: cluster, found: found.map(Arc::from), for_good };
        let place = Place { node, address: address.to_string().into() };
        self.last_failure = Some(NetError::at(Kind::OtherCluster(Box::new(other)), &place));
        self.left.push(node);
        let misses = self.nodes.note_other(node);
        let until = now.checked_add(self.refresh.delay(misses));
        self.nodes.bar(node, until);
        if is_full || self.enquiry.questions().is_empty() {
            self.refresh.request();
        }
        if self.view.is_bootstrap() {
            return self.take_bootstrap();
        }
        self.return_if_gone(now)
    }

    /// Another cluster has taken the place of the one that was kept.
    fn change_cluster(&mut self, from: Arc<str>) -> ClusterChange {
        self.left.clear();
        self.returns = 0;
        self.topics.values_mut().for_each(|wanted| wanted.doubts = Doubts::default());
        ClusterChange { from, to: self.kept.id().cloned().unwrap_or_default() }
    }

    fn broadcast(&mut self, error: NetError) {
        self.fatal = Some(error);
        self.fatal_count += 1;
    }
}

/// How long a broker may take to answer before another one is asked as well. Metadata is answered from memory, in
/// milliseconds; but brokers work on one request of a connection at a time, so that it may wait behind a Produce request that
/// waits for replicas, up to `request.timeout.ms`. Long enough that a busy broker is not asked twice as a rule.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// How many brokers may have the same question at a time.
const MAX_ASKED: usize = 3;
/// So many topics without a partition are too many.
const MAX_UNKNOWN: usize = 10_000;

fn topic_by_name(name: TopicName) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name), ..MetadataRequestTopic::default() }
}

/// No partition is led by a broker that the view does not have.
fn without_lost_leaders(
    mut topics: BTreeMap<TopicName, Arc<TopicView>>,
    brokers: &BTreeMap<NodeId, Broker>,
) -> BTreeMap<TopicName, Arc<TopicView>> {
    let is_lost =
        |partition: &PartitionView| partition.leader.is_some_and(|leader| !brokers.contains_key(&leader));
    for topic in topics.values_mut().filter(|topic| topic.partitions.iter().any(is_lost)) {
        let partitions = Arc::make_mut(topic).partitions.iter_mut();
        partitions.for_each(|partition| partition.leave_lost_leader(brokers));
    }
    topics
}
