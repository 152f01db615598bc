//! What the cluster tells, and what it is asked: connections, metadata, the producer id.

use std::{sync::Arc, time::Instant};

use kafka_net::{Action, Answer, Broker, CallResult, Demand, LeaderHint, Pick, Status};
use kafka_wire::{
    ErrorCode, NodeId, TopicName,
    messages::{MetadataResponseTopic, ProduceResponse},
};

use super::{
    Call, LaneId, Partition, Reply, Sender,
    call::{MetadataCall, ProduceCall},
    effects::{Grown, News},
    identity::Heard,
    log::Event,
    outbox::Link,
    partition::{Cx, Partitions},
    sequence::Identity,
    timers::Timer,
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
        let metadata = self.routes.metadata_mut();
        if !metadata.want(topic, now) {
            metadata.request_update_elsewhere();
        }
        self.advance(now);
    }

    /// (A) Whether a node should be connected to, or from when on: not for what backs off.
    pub(crate) fn demand(&self, node: NodeId, now: Instant) -> Demand {
        self.outbox.demand(node, now)
    }

    /// (A) Why nothing is known yet, in words.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.routes.metadata().last_failure().map(ToString::to_string)
    }

    /// (A) Which broker has had batches for the longest time without any answer, and for how long, in words.
    pub(crate) fn silence(&self, now: Instant) -> Option<String> {
        let (time, id) = self.outbox.silence(now)?;
        let place = self.view().brokers.get(&id).map_or_else(String::new, |it| format!(" ({})", it.endpoint));
        Some(format!("broker {}{place} has answered nothing for {} s", id.0, time.as_secs()))
    }

    /// (A) How many failures there were that no later attempt is likely to cure.
    pub(crate) fn hopeless_count(&self) -> u64 {
        self.routes.metadata().fatal_count()
    }

    /// (A) The last such failure, if it came after the given count.
    pub(crate) fn hopeless_since(&self, count: u64) -> Option<String> {
        self.routes.metadata().fatal_since(count).map(ToString::to_string)
    }

    /// (A) The cluster as last heard of.
    pub(crate) fn view(&self) -> &Arc<kafka_net::ClusterView> {
        self.routes.view()
    }

    /// (B) The connection of a node changed its state.
    pub(crate) fn handle_status(&mut self, id: NodeId, status: &Status, now: Instant) {
        if self.is_torn_down {
            return;
        }
        self.outbox.handle_status(Link::to(id), status, now);
        if matches!(status, Status::Down { .. }) {
            self.identity.handle_down(id, now, &mut self.timers);
            let next = self.turns.leave(id, now, &mut self.timers);
            self.wake_next(next);
        }
        let metadata = self.routes.metadata_mut();
        let before = metadata.fatal_count();
        metadata.handle_status(id, status, now);
        self.out.effects.hopeless |= metadata.fatal_count() > before;
        self.advance(now);
    }

    /// (B) Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let held_back = self.out.log.refill(now);
        self.out.effects.events.extend(held_back);
        self.expire(now);
        self.see_to_orphans();
        let next = self.turns.handle_timeout(now, &mut self.timers);
        self.wake_next(next);
        self.advance(now);
    }

    /// (D) When [`handle_timeout`](Self::handle_timeout) has something to do although nothing else happens.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_torn_down {
            return None;
        }
        let mut timers = self.timers;
        timers.set_at(Timer::Metadata, self.routes.metadata().poll_timeout(now));
        timers.next(now)
    }

    /// What is known is out of date.
    pub(super) fn request_refresh(&mut self, now: Instant) {
        self.routes.metadata_mut().request_update();
        self.advance(now);
    }

    /// Carries out what the metadata asks for, and asks for a producer id.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.is_torn_down {
            return;
        }
        self.keep_topics(now);
        loop {
            let outbox = &self.outbox;
            match self.routes.metadata_mut().poll_action(|id| outbox.load(id, now), now) {
                None => break,
                Some(Action::Connect(node)) => self.connect(node),
                Some(Action::Ask { node, ticket, request }) => {
                    self.enqueue(node, Call::Metadata(MetadataCall { ticket, request }));
                }
                Some(Action::HangUp) => {
                    self.out.tell(Event::NoBrokerAnswers);
                    self.out.effects.hang_up = true;
                    self.out.effects.brokers = true;
                    // No partition has a leader any more.
                    self.leave_lost_leaders(now);
                    self.apply_topics(now);
                }
                Some(Action::HangUpOn(node)) => self.hang_up_on(node),
                Some(other) => debug_assert!(false, "an action nobody carries out: {other:?}"),
            }
        }
        self.ask_identity(now);
        self.out.effects.timer = true;
    }

    /// The topics of unresolved batches stay among the wanted, however long they take.
    fn keep_topics(&mut self, now: Instant) {
        if !self.routes.keeps_topics(now) {
            return;
        }
        // What has been resolved since has its entry there until it would have expired.
        for partition in self.expiries.lanes().filter_map(|lane| self.partitions.of(lane)) {
            if !partition.is_empty() {
                self.routes.metadata_mut().want(partition.topic(), now);
            }
        }
    }

    /// Asks for leaders of partitions that lost theirs.
    fn see_to_orphans(&mut self) {
        let partitions = &self.partitions;
        self.routes.see_to_orphans(|lane| partitions.of(lane).is_some_and(Partition::is_orphan));
    }

    /// Asks for a producer id, if that is due.
    fn ask_identity(&mut self, now: Instant) {
        let (metadata, outbox) = (self.routes.metadata_mut(), &self.outbox);
        let load = |id: NodeId| outbox.load(id, now);
        match self.identity.poll_ask(metadata, load, || outbox.is_connecting(), now, &mut self.timers) {
            Some(Pick::Ready(node)) => {
                let cluster_number = self.routes.cluster_number();
                self.enqueue(node, Call::InitProducerId { cluster_number });
            }
            Some(Pick::Connect(node)) => self.connect(node),
            // A connection comes up, or a backoff ends: both lead here again.
            _ => {}
        }
    }

    fn connect(&mut self, node: NodeId) {
        self.outbox.want(node);
        self.out.wake(node);
    }

    fn enqueue(&mut self, node: NodeId, call: Call) {
        self.outbox.enqueue(node, call);
        self.out.wake(node);
    }

    pub(super) fn handle_metadata(&mut self, call: &MetadataCall, result: CallResult<Reply>, now: Instant) {
        let before = self.routes.metadata().fatal_count();
        match result {
            Ok(Answer::Reply { body: Reply::Metadata(response), .. }) => {
                let believed = planted!(StaleLeader).then(|| response.topics.clone());
                let left_out = planted!(LaggingBelieved).then(|| response.topics.clone());
                let update = self.routes.metadata_mut().handle_response(call.ticket, response, now);
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
            Err(error) => self.routes.metadata_mut().handle_failure(call.ticket, &error, now),
        }
        self.out.effects.hopeless |= self.routes.metadata().fatal_count() > before;
        self.see_to_orphans();
        self.advance(now);
    }

    pub(super) fn handle_init_producer_id(&mut self, node: NodeId, result: &CallResult<Reply>, now: Instant) {
        let Some(failures) = self.identity.failures_before(result) else { return };
        let again = now + self.settings.retry_backoff.delay(failures, &mut self.rng);
        let (view, timers) = (self.routes.view(), &mut self.timers);
        match self.identity.handle_reply(node, result, again, view, now, timers) {
            Heard::NotYet => {}
            Heard::Given(identity) => {
                self.out.tell(Event::ProducerId(identity));
                // What is ready was left where it is.
                self.outbox.ready().for_each(|node| self.out.wake(node));
                self.each_partition(now, Partition::handle_identity);
            }
            Heard::Unauthorised { code, old } => self.refuse_identity(code, old, now),
            Heard::Hopeless { code, why } => self.out.give_up_all(code, why),
        }
        self.advance(now);
    }

    /// There is no right to get a producer id. What waits for one is told; what goes on under the one there was is not
    /// concerned.
    fn refuse_identity(&mut self, code: ErrorCode, old: Option<Identity>, now: Instant) {
        let Some(old) = old else {
            self.out.effects.refused = Some(code);
            return;
        };
        let kind = FailureKind::Rejected(code);
        self.each_partition(now, |partition, cx| partition.refuse_identity(old, kind, cx));
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
        let (update, taken) = self.routes.metadata_mut().handle_leader_hints(&hints);
        self.apply(&update, now);
        lanes.into_iter().zip(taken).filter_map(|(lane, is_taken)| is_taken.then_some(lane)).collect()
    }

    /// Takes over what an answer brought.
    fn apply(&mut self, update: &kafka_net::Update, now: Instant) {
        self.out.effects.brokers |= update.brokers;
        if update.brokers {
            self.leave_lost_leaders(now);
            let view = self.routes.view();
            self.outbox.retain(|id| view.brokers.contains_key(&id));
        }
        let (partitions, mut cx) = self.rooms(now);
        update.topics.iter().for_each(|topic| cx.apply_topic(topic, partitions));
    }

    /// Takes over what the view says of all topics.
    pub(super) fn apply_topics(&mut self, now: Instant) {
        let (partitions, mut cx) = self.rooms(now);
        cx.routes.topics().iter().for_each(|topic| cx.apply_topic(topic, partitions));
    }

    /// No partition is led by a broker that is gone, also where the topic was not used for so long that the view does
    /// not have it.
    fn leave_lost_leaders(&mut self, now: Instant) {
        let view = Arc::clone(self.routes.view());
        self.each_partition(now, |partition, cx| {
            if partition.leader().is_some_and(|leader| !view.brokers.contains_key(&leader)) {
                partition.lead_by(None, None, cx);
            }
        });
    }

    /// (C) Partitions without leader have something to send: their topics are kept among the wanted, and asked for until there
    /// are leaders, whether or not the cluster named the partitions when it was last asked.
    pub(crate) fn want_leaders(&mut self, lanes: impl IntoIterator<Item = LaneId>, now: Instant) {
        let (metadata, mut is_needed) = (self.routes.metadata_mut(), false);
        for partition in lanes.into_iter().filter_map(|lane| self.partitions.of(lane)) {
            is_needed |= metadata.want(partition.topic(), now);
            if partition.leader().is_none() && !planted!(LeaderlessUnasked) {
                metadata.request_update();
                is_needed = true;
            }
        }
        if is_needed {
            self.advance(now);
        }
    }

    /// Takes leaders from an answer as they are: only when that bug is planted.
    fn believe(&mut self, topics: &[MetadataResponseTopic], now: Instant) {
        let (partitions, mut cx) = self.rooms(now);
        for topic in topics {
            let lanes = cx.routes.lanes(topic.name.as_ref());
            for (lane, told) in lanes.into_iter().zip(&topic.partitions) {
                let leader = (told.leader_id.0 >= 0).then_some(told.leader_id);
                if let Some(partition) = partitions.of_mut(lane) {
                    partition.lead_by(leader, Some(told.leader_epoch), &mut cx);
                }
            }
        }
    }

    /// Takes the leaders away of what an answer leaves out: only when that bug is planted.
    fn leave_out(&mut self, topic: &MetadataResponseTopic, now: Instant) {
        let (partitions, mut cx) = self.rooms(now);
        for lane in cx.routes.lanes(topic.name.as_ref()).into_iter().skip(topic.partitions.len()) {
            if let Some(partition) = partitions.of_mut(lane) {
                partition.lead_by(None, None, &mut cx);
            }
        }
    }
}

impl Cx<'_> {
    /// Tells a topic's partitions what the view says of it.
    fn apply_topic(&mut self, name: &TopicName, partitions: &mut Partitions) {
        let Some(learnt) = self.routes.learn(name, partitions.next_lane(), self.now) else { return };
        let (view, lanes, count) = (learnt.view, learnt.lanes, learnt.count);
        for index in learnt.known..lanes.len() {
            partitions.push(name, index as i32, self.settings.max_unresolved);
        }
        slip!();
        if learnt.is_another {
            lanes
                .iter()
                .for_each(|lane| partitions.of_mut(*lane).into_iter().for_each(Partition::start_over));
        }
        self.tell_growth(name, learnt.known, &lanes);
        let mut available = Vec::new();
        for (at, lane) in lanes.iter().enumerate() {
            let Some(partition) = partitions.of_mut(*lane) else { continue };
            match view.partitions.get(at) {
                Some(told) => partition.lead_by(told.leader, told.leader_epoch, self),
                // Made again with fewer partitions: nobody leads the others.
                None if at >= count => partition.lead_by(None, None, self),
                None => {}
            }
        }
        for (at, lane) in lanes.iter().enumerate() {
            let Some(partition) = partitions.of_mut(*lane) else { continue };
            partition.note_gone(at >= count, self.now);
            if learnt.was_awaited {
                partition.end_wait_for_topic(self);
            }
            if at < count && partition.leader().is_some() {
                available.push(at as u32);
            }
        }
        self.out.effects.news.push(News {
            topic: name.clone(),
            partitions: count as u32,
            trouble: Some(view.error).filter(|code| code.is_err()),
            available,
        });
    }

    /// Partitions of a topic appeared, behind those that were known.
    fn tell_growth(&mut self, topic: &TopicName, known: usize, lanes: &[LaneId]) {
        let added = lanes.get(known..).filter(|added| !added.is_empty());
        let Some(added) = added.map(<[LaneId]>::to_vec) else { return };
        let (topic, partitions) = (topic.clone(), lanes.len());
        self.out.tell(match known {
            0 => Event::TopicKnown { topic: topic.clone(), partitions },
            before => Event::TopicGrown { topic: topic.clone(), before, partitions },
        });
        self.out.effects.grown.push(Grown { topic, first: known as u32, lanes: added });
    }
}
