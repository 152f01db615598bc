//! What the sender knows of the cluster, and who it is there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_net::{Action, Answer, Broker, CallResult, Demand, LeaderHint, Pick, Status};
use kafka_wire::{
    ErrorCode, NodeId, TopicName,
    messages::{MetadataResponseTopic, ProduceResponse},
};

use super::{
    Call, Connection, LaneId, Partition, Reply, SILENT_AFTER, Sender,
    call::{MetadataCall, ProduceCall},
    effects::{Grown, News, Route},
    expiry::Expiry,
    identity::Heard,
    ledger::{Ledger, Place},
    log::Event,
    sequence::Identity,
    timers::Timer,
    waits::Spans,
};
use crate::{
    error::FailureKind,
    planted::{planted, slip},
};

impl Sender {
    /// (C) Somebody waits for a topic, or for more partitions of it.
    pub(crate) fn want_topic(&mut self, topic: &TopicName, now: Instant) {
        if self.is_torn_down {
            return;
        }
        if !self.metadata.want(topic, now) {
            self.metadata.request_update_elsewhere();
        }
        self.advance(now);
    }

    /// (A) Whether a node should be connected to, or from when on: not for what backs off.
    pub(crate) fn demand(&self, node: NodeId, now: Instant) -> Demand {
        let Some(node) = self.nodes.get(&node) else { return Demand::Rest };
        let first = node.later.first_key_value().map(|((time, _), _)| *time);
        match first {
            _ if node.wanted || node.in_flight > 0 || !node.control.is_empty() => Demand::Connect,
            _ if !node.sendable.is_empty() => Demand::Connect,
            Some(time) if time > now => Demand::Later(time),
            Some(_) => Demand::Connect,
            None => Demand::Rest,
        }
    }

    /// (A) Why nothing is known yet, in words.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.metadata.last_failure().map(ToString::to_string)
    }

    /// (A) Which broker has had batches for the longest time without any answer, and for how long, in words.
    pub(crate) fn silence(&self, now: Instant) -> Option<String> {
        let silent = self.nodes.iter().filter(|(_, node)| node.in_flight > 0);
        let silent = silent.filter_map(|(id, node)| Some((now.saturating_duration_since(node.heard?), id)));
        let (time, id) = silent.max().filter(|(time, _)| *time >= SILENT_AFTER)?;
        let place = self.view().brokers.get(id).map_or_else(String::new, |it| format!(" ({})", it.endpoint));
        Some(format!("broker {}{place} has answered nothing for {} s", id.0, time.as_secs()))
    }

    /// (A) How many failures there were that no later attempt is likely to cure.
    pub(crate) fn hopeless_count(&self) -> u64 {
        self.metadata.fatal_count()
    }

    /// (A) The last such failure, if it came after the given count.
    pub(crate) fn hopeless_since(&self, count: u64) -> Option<String> {
        self.metadata.fatal_since(count).map(ToString::to_string)
    }

    /// (A) The cluster as last heard of.
    pub(crate) fn view(&self) -> &Arc<kafka_net::ClusterView> {
        self.metadata.view()
    }

    /// (B) The connection of a node changed its state.
    pub(crate) fn handle_status(&mut self, id: NodeId, status: &Status, now: Instant) {
        if self.is_torn_down {
            return;
        }
        let node = self.nodes.entry(id).or_default();
        node.unconnected.note(!matches!(status, Status::Ready), now);
        node.connection = match status {
            Status::Connecting => {
                node.stats.dialled();
                Connection::Connecting
            }
            Status::Ready => Connection::Ready,
            Status::Down { error, .. } => {
                node.stats.down(error);
                node.wanted = false;
                // Nobody can be asked this here any more. What was sent has been told before.
                node.control.clear();
                self.identity.handle_down(id, now, &mut self.timers);
                Connection::None
            }
            _ => node.connection,
        };
        if matches!(status, Status::Down { .. }) {
            self.turns.leave(id, &mut self.timers);
            self.call_next(now);
        }
        let before = self.metadata.fatal_count();
        self.metadata.handle_status(id, status, now);
        self.effects.hopeless |= self.metadata.fatal_count() > before;
        self.advance(now);
    }

    /// (B) Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.effects.events.extend(self.log.refill(now));
        self.expire(now);
        self.see_to_orphans();
        if self.turns.handle_timeout(now, &mut self.timers) {
            self.call_next(now);
        }
        self.advance(now);
    }

    /// (D) When [`handle_timeout`](Self::handle_timeout) has something to do although nothing else happens.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_torn_down {
            return None;
        }
        let mut timers = self.timers;
        timers.set_at(Timer::Metadata, self.metadata.poll_timeout(now));
        timers.next(now)
    }

    /// The next call to a node that any broker could have been asked.
    pub(super) fn control_call(&mut self, node: NodeId) -> Option<Call> {
        let node = self.nodes.get_mut(&node)?;
        node.wanted = false;
        node.control.pop_front()
    }

    /// What is known is out of date.
    pub(super) fn request_refresh(&mut self, now: Instant) {
        self.metadata.request_update();
        self.advance(now);
    }

    /// Carries out what the metadata asks for, and asks for a producer id.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.is_torn_down {
            return;
        }
        self.keep_topics(now);
        loop {
            let nodes = &self.nodes;
            let load = |id: NodeId| Some(nodes.get(&id)?.load(now));
            match self.metadata.poll_action(load, now) {
                None => break,
                Some(Action::Connect(node)) => self.connect(node),
                Some(Action::Ask { node, ticket, request }) => {
                    self.enqueue(node, Call::Metadata(MetadataCall { ticket, request }));
                }
                Some(Action::HangUp) => {
                    self.effects.events.push(Event::NoBrokerAnswers);
                    self.effects.hang_up = true;
                    self.effects.brokers = true;
                    // No partition has a leader any more.
                    self.leave_lost_leaders(now);
                    let topics: Vec<TopicName> = self.topics.keys().cloned().collect();
                    topics.iter().for_each(|topic| self.apply_topic(topic, now));
                }
                Some(Action::HangUpOn(node)) => self.hang_up_on(node),
                Some(other) => debug_assert!(false, "an action nobody carries out: {other:?}"),
            }
        }
        self.ask_identity(now);
        self.effects.timer = true;
    }

    /// The topics of unresolved batches stay among the wanted, however long they take.
    fn keep_topics(&mut self, now: Instant) {
        if self.keep_topics_at.is_some_and(|at| now < at) {
            return;
        }
        self.keep_topics_at = now.checked_add(KEEP_TOPICS_EVERY);
        for lane in self.expiries.lanes() {
            // What has been resolved since has its entry there until it would have expired.
            let partition = self.partitions.get(lane.0 as usize);
            if let Some(partition) = partition.filter(|partition| !partition.ledger.is_empty()) {
                self.metadata.want(&partition.topic, now);
            }
        }
    }

    /// Asks for a producer id, if that is due.
    fn ask_identity(&mut self, now: Instant) {
        let nodes = &self.nodes;
        let load = |id: NodeId| nodes.get(&id).map(|node| node.load(now));
        let is_connecting = || nodes.values().any(|node| node.connection == Connection::Connecting);
        match self.identity.poll_ask(&mut self.metadata, load, is_connecting, now, &mut self.timers) {
            Some(Pick::Ready(node)) => {
                self.enqueue(node, Call::InitProducerId { cluster_number: self.cluster_number });
            }
            Some(Pick::Connect(node)) => self.connect(node),
            // A connection comes up, or a backoff ends: both lead here again.
            _ => {}
        }
    }

    fn connect(&mut self, node: NodeId) {
        self.nodes.entry(node).or_default().wanted = true;
        self.effects.wake(node);
    }

    fn enqueue(&mut self, node: NodeId, call: Call) {
        self.nodes.entry(node).or_default().control.push_back(call);
        self.effects.wake(node);
    }

    pub(super) fn handle_metadata(&mut self, call: &MetadataCall, result: CallResult<Reply>, now: Instant) {
        let before = self.metadata.fatal_count();
        match result {
            Ok(Answer::Reply { body: Reply::Metadata(response), .. }) => {
                let believed = planted!(StaleLeader).then(|| response.topics.clone());
                let left_out = planted!(LaggingBelieved).then(|| response.topics.clone());
                let update = self.metadata.handle_response(call.ticket, response, now);
                if let Some(change) = &update.cluster {
                    self.change_cluster(change.clone(), now);
                }
                self.apply(&update, now);
                if let Some(topics) = believed {
                    self.believe(&topics, now);
                }
                left_out.into_iter().flatten().for_each(|topic| self.leave_out(&topic, now));
            }
            Ok(_) => debug_assert!(false, "a Metadata call gets a Metadata response"),
            Err(error) => self.metadata.handle_failure(call.ticket, &error, now),
        }
        self.effects.hopeless |= self.metadata.fatal_count() > before;
        self.see_to_orphans();
        self.advance(now);
    }

    pub(super) fn handle_init_producer_id(&mut self, node: NodeId, result: CallResult<Reply>, now: Instant) {
        let Some(failures) = self.identity.failures_before(&result) else { return };
        let again = now + self.settings.retry_backoff.delay(failures, &mut self.rng);
        let (view, timers) = (self.metadata.view(), &mut self.timers);
        match self.identity.handle_reply(node, &result, again, view, now, timers) {
            Heard::NotYet => {}
            Heard::Given(identity) => {
                self.effects.events.push(Event::ProducerId(identity));
                // What is ready was left where it is.
                for node in self
                    .nodes
                    .iter()
                    .filter(|(_, node)| node.connection == Connection::Ready)
                    .map(|(id, _)| *id)
                {
                    self.effects.wake(node);
                }
                for lane in (0..self.partitions.len() as u32).map(LaneId) {
                    self.settle(lane, now);
                    if self.partition(lane).is_some_and(|partition| !partition.ledger.is_empty()) {
                        self.offer(lane);
                    }
                }
            }
            Heard::Unauthorised { code, old } => self.refuse_identity(code, old, now),
            Heard::Hopeless { code, why } => {
                if let Some(why) = why {
                    self.fatal_reason.get_or_insert(why);
                }
                self.give_up_all(code);
            }
        }
        self.advance(now);
    }

    /// There is no right to get a producer id. What waits for one is told; what goes on under the one there was is not
    /// concerned.
    fn refuse_identity(&mut self, code: ErrorCode, old: Option<Identity>, now: Instant) {
        let Some(old) = old else {
            self.effects.refused = Some(code);
            return;
        };
        for lane in (0..self.partitions.len() as u32).map(LaneId) {
            if self.partition(lane).is_some_and(|partition| partition.ledger.waits_for_another_than(old)) {
                self.fail_where(lane, FailureKind::Rejected(code), now, |_| true);
            }
        }
    }

    /// No later batch can fare better.
    pub(super) fn give_up_all(&mut self, code: ErrorCode) {
        self.effects.events.push(Event::Fatal(code));
        self.fatal.get_or_insert(code);
        self.effects.fatal = self.fatal;
    }

    /// Bumps the epoch for a partition that needs it, once each of its batches has its answer.
    pub(super) fn settle(&mut self, lane: LaneId, now: Instant) {
        if self.identity.known().is_none() {
            return;
        }
        let Some(ledger) = self.partition(lane).map(|partition| &partition.ledger) else { return };
        if !ledger.is_settled() {
            return;
        }
        let used = ledger.identity();
        match self.identity.next_for(used, now, &mut self.timers) {
            Some(next) => {
                if let Some(partition) = self.partition_mut(lane) {
                    let (topic, index) = (partition.topic.clone(), partition.partition);
                    partition.ledger.renumber(next);
                    let epoch = next.epoch.0;
                    self.effects.events.push(Event::EpochBumped { topic, partition: index, epoch });
                }
                self.offer(lane);
            }
            // The epochs are used up: the partition waits for a new producer id, while others go on under the old one.
            // Asked for by the driver: who is here is in the middle of an answer.
            None => self.effects.timer = true,
        }
    }

    /// Takes over leaders that a response names (KIP-951), and says for which partitions it did.
    pub(super) fn learn_leaders(
        &mut self,
        call: &ProduceCall,
        response: &ProduceResponse,
        now: Instant,
    ) -> Vec<LaneId> {
        let (mut lanes, mut hints) = (Vec::new(), Vec::new());
        for topic in &response.responses {
            for answer in topic.partition_responses.iter().filter(|it| it.error_code.is_invalid_metadata()) {
                let hint = &answer.current_leader;
                if hint.leader_id.0 < 0 || hint.leader_epoch < 0 {
                    continue;
                }
                let Some(part) = call.parts.iter().find(|part| part.answers(topic, answer.index)) else {
                    continue;
                };
                let endpoint = response.node_endpoints.iter().find(|it| it.node_id == hint.leader_id);
                lanes.push(part.lane);
                hints.push(LeaderHint {
                    topic: &part.topic,
                    partition: answer.index,
                    leader: hint.leader_id,
                    leader_epoch: hint.leader_epoch,
                    endpoint: endpoint
                        .and_then(|it| Broker::named(it.node_id, &it.host, it.port, it.rack.as_deref())),
                });
            }
        }
        let (update, taken) = self.metadata.handle_leader_hints(&hints);
        self.apply(&update, now);
        lanes.into_iter().zip(taken).filter_map(|(lane, is_taken)| is_taken.then_some(lane)).collect()
    }

    /// Takes over what an answer brought.
    fn apply(&mut self, update: &kafka_net::Update, now: Instant) {
        self.effects.brokers |= update.brokers;
        if update.brokers {
            self.leave_lost_leaders(now);
            let view = Arc::clone(self.metadata.view());
            self.nodes.retain(|id, node| view.brokers.contains_key(id) || node.is_used());
        }
        for name in &update.topics {
            self.apply_topic(name, now);
        }
    }

    /// No partition is led by a broker that is gone, also where the topic was not used for so long that the view does
    /// not have it.
    fn leave_lost_leaders(&mut self, now: Instant) {
        let view = Arc::clone(self.metadata.view());
        for lane in (0..self.partitions.len() as u32).map(LaneId) {
            let leader = self.partition(lane).and_then(|partition| partition.leader);
            if leader.is_some_and(|leader| !view.brokers.contains_key(&leader)) {
                self.apply_leader(lane, None, None, now);
            }
        }
    }

    /// (C) Partitions without leader have something to send: their topics are kept among the wanted, and asked for until there
    /// are leaders, whether or not the cluster named the partitions when it was last asked.
    pub(crate) fn want_leaders(&mut self, lanes: impl IntoIterator<Item = LaneId>, now: Instant) {
        let mut is_needed = false;
        for lane in lanes {
            let Some(partition) = self.partitions.get(lane.0 as usize) else { continue };
            is_needed |= self.metadata.want(&partition.topic, now);
            if partition.leader.is_none() && !planted!(LeaderlessUnasked) {
                self.metadata.request_update();
                is_needed = true;
            }
        }
        if is_needed {
            self.advance(now);
        }
    }

    /// The same for what was drained before the leader was lost, and for topics that lack partitions.
    fn see_to_orphans(&mut self) {
        if planted!(LeaderlessUnasked) {
            return;
        }
        let view = self.metadata.view();
        if self.topics.iter().any(|(name, topic)| topic.is_short && view.topic(name.as_str()).is_some()) {
            self.metadata.request_update();
        }
        while let Some(lane) = self.orphans.first().copied() {
            let waits = |partition: &Partition| partition.leader.is_none() && !partition.ledger.is_empty();
            if self.partition(lane).is_some_and(waits) {
                self.metadata.request_update();
                return;
            }
            self.orphans.pop_first();
        }
    }

    /// Takes leaders from an answer as they are: only when that bug is planted.
    fn believe(&mut self, topics: &[MetadataResponseTopic], now: Instant) {
        for topic in topics {
            let known = topic.name.as_ref().and_then(|name| self.topics.get(name));
            let lanes = known.map(|known| known.lanes.clone()).unwrap_or_default();
            for (lane, partition) in lanes.into_iter().zip(&topic.partitions) {
                let leader = (partition.leader_id.0 >= 0).then_some(partition.leader_id);
                self.apply_leader(lane, leader, Some(partition.leader_epoch), now);
            }
        }
    }

    /// Takes the leaders away of what an answer leaves out: only when that bug is planted.
    fn leave_out(&mut self, topic: &MetadataResponseTopic, now: Instant) {
        let known = topic.name.as_ref().and_then(|name| self.topics.get(name));
        let lanes = known.map(|known| known.lanes.clone()).unwrap_or_default();
        let left_out = lanes.into_iter().skip(topic.partitions.len());
        left_out.for_each(|lane| self.apply_leader(lane, None, None, now));
    }

    pub(super) fn apply_topic(&mut self, name: &TopicName, now: Instant) {
        // A topic that is no longer in the view was not used for long. Its last leaders are as good a guess as any.
        let Some(view) = self.metadata.view().topic(name.as_str()).map(Arc::clone) else { return };
        let topic = self.topics.entry(name.clone()).or_default();
        let known = topic.lanes.len();
        let mut added = Vec::new();
        for index in known..view.partitions.len() {
            let lane = LaneId(self.partitions.len() as u32);
            topic.lanes.push(lane);
            added.push(lane);
            self.partitions.push(Partition {
                topic: name.clone(),
                partition: index as i32,
                leader: None,
                leader_epoch: None,
                ledger: Ledger::new(self.settings.max_unresolved),
                is_by_name: true,
                offer: None,
                rests: false,
                expiry: Expiry::default(),
                leaderless: Spans::missing(),
                gone: Spans::there(),
                drained_in: 0,
            });
        }
        slip!();
        let lanes = topic.lanes.clone();
        topic.gone.note(known > 0 && view.error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, now);
        let was_awaited = std::mem::take(&mut topic.is_awaited);
        // A broker that lags: under one id the number of partitions never falls. Metadata knows, unless it forgot the topic.
        let is_same = topic.id == view.id && !view.id.is_zero();
        topic.is_short = is_same && view.partitions.len() < topic.count;
        topic.count = if topic.is_short { topic.count } else { view.partitions.len() };
        let count = topic.count;
        if std::mem::replace(&mut topic.id, view.id) != view.id {
            for lane in &lanes {
                if let Some(partition) = self.partitions.get_mut(lane.0 as usize) {
                    partition.ledger.start_over(partition.is_by_name);
                    // Its epochs begin again.
                    partition.leader_epoch = None;
                }
            }
        }
        if !added.is_empty() {
            let partitions = lanes.len();
            self.effects.events.push(match known {
                0 => Event::TopicKnown { topic: name.clone(), partitions },
                before => Event::TopicGrown { topic: name.clone(), before, partitions },
            });
            self.effects.grown.push(Grown { topic: name.clone(), first: known as u32, lanes: added });
        }
        for (lane, partition) in lanes.iter().zip(&view.partitions) {
            self.apply_leader(*lane, partition.leader, partition.leader_epoch, now);
        }
        // Made again with fewer partitions: nobody leads the others.
        for lane in lanes.iter().skip(count) {
            self.apply_leader(*lane, None, None, now);
        }
        for (at, lane) in lanes.iter().enumerate() {
            let Some(partition) = self.partition_mut(*lane) else { continue };
            partition.gone.note(at >= count, now);
            if was_awaited && partition.leader.is_some() {
                partition.leaderless.note(false, now);
                self.offer_more(*lane);
            }
        }
        let is_led =
            |lane: &LaneId| self.partition(*lane).is_some_and(|partition| partition.leader.is_some());
        let led = lanes.iter().zip(0..count as u32).filter(|(lane, _)| is_led(lane));
        let available = led.map(|(_, index)| index).collect();
        self.effects.news.push(News {
            topic: name.clone(),
            partitions: count as u32,
            trouble: Some(view.error).filter(|code| code.is_err()),
            available,
        });
    }

    pub(super) fn apply_leader(
        &mut self,
        lane: LaneId,
        leader: Option<NodeId>,
        epoch: Option<i32>,
        now: Instant,
    ) {
        let idempotent = self.identity.is_idempotent();
        let Some(partition) = self.partition_mut(lane) else { return };
        let old = partition.leader;
        let is_newer = epoch > partition.leader_epoch;
        if old == leader && !is_newer {
            return;
        }
        partition.leader = leader;
        partition.leader_epoch = epoch.max(partition.leader_epoch);
        partition.leaderless.note(leader.is_none(), now);
        let is_orphan = leader.is_none() && !partition.ledger.is_empty();
        if is_orphan {
            self.orphans.insert(lane);
        }
        let Some(partition) = self.partition_mut(lane) else { return };
        if let Some(leader) = leader {
            // A leader that was elected out of turn may not know the producer.
            partition.ledger.forget();
            partition.ledger.end_rest(now);
            if idempotent {
                self.recall(lane, leader, now);
            }
        }
        let Some(partition) = self.partition_mut(lane) else { return };
        let offers = !partition.ledger.is_empty();
        if old != leader {
            // What the old leader was offered is void.
            partition.offer = None;
            self.effects.routes.push(Route { lane, leader });
        }
        if offers {
            self.offer(lane);
        }
    }

    /// What is still out at an old leader is to be sent to the new one with the same numbers. The old leader's answer may
    /// never come, or say nothing that counts; numbers make it safe to ask the new one as well.
    fn recall(&mut self, lane: LaneId, leader: NodeId, now: Instant) {
        let count = self.partition(lane).map_or(0, |partition| partition.ledger.len());
        for at in 0..count {
            let entry = self.partition(lane).and_then(|partition| partition.ledger.entry(at));
            let Some(Place::InFlight { node, .. }) = entry.map(|entry| entry.place) else { continue };
            if node == leader {
                continue;
            }
            let why = format!("broker {leader} leads the partition now");
            self.note_attempt(lane, at, node, now, None, Some(why));
            let attempts =
                self.partition(lane).and_then(|it| it.ledger.entry(at)).map_or(0, |it| it.attempts);
            let delay = self.settings.retry_backoff.delay(attempts.saturating_sub(1), &mut self.rng);
            if let Some(partition) = self.partition_mut(lane) {
                let from = if partition.ledger.may_hop(at) { now } else { now + delay };
                partition.ledger.abandon(at, from);
            }
        }
    }
}

/// Less than the shortest `metadata.max.idle.ms`, after which a topic nobody wants is forgotten.
const KEEP_TOPICS_EVERY: Duration = Duration::from_secs(2);
