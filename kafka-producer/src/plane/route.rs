//! The part of what the sender wants that must keep its order, and so is done under its lock: which gate a partition's lane is
//! at, which gates there are, how many partitions a topic has. No foreign code runs here.

use std::{
    mem,
    sync::{Arc, PoisonError},
    time::Instant,
};

use kafka_batch::{PartitionQueue, SendReason};

use super::{
    Control, Life, Plane,
    after::{After, Caller, Calls},
    gate::End,
    lanes::Lane,
    topic::TopicShared,
};
use crate::{
    error::FailureKind,
    planted::planted,
    purge::Purge,
    sender::{Effects, Grown, News, Route},
};

impl Plane {
    /// Takes what the sender wants done, and does what must keep its order.
    pub(super) fn settle(&self, control: &mut Control, now: Instant, after: &mut After) {
        if let Some(code) = control.sender.take_refused() {
            self.purge_locked(control, Purge::All, FailureKind::Rejected(code), now, after);
        }
        self.settle_effects(control, after);
    }

    pub(super) fn settle_effects(&self, control: &mut Control, after: &mut After) {
        if !control.sender.has_effects() {
            return;
        }
        let (effects, calls) = after.parts();
        let had_resolved = effects.resolved.len();
        control.sender.move_effects(effects);
        let resolves = effects.resolved.len() > had_resolved && !planted!(EndUnseen);
        if resolves && self.life() != Life::Open {
            calls.turn_due = true;
        }
        self.route(control, effects, calls);
    }

    /// Each wish is taken out as it is met: a caller may call the engine again before it carries out what was left.
    fn route(&self, control: &mut Control, effects: &mut Effects, calls: &mut Calls) {
        if mem::take(&mut effects.begins_anew) {
            // Leaders get new gates from now on, also those whose ids were there before.
            let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
            for (_, gate) in mem::take(&mut *gates) {
                calls.wake(gate.ended(End::Abort));
            }
        }
        for node in effects.hang_up_on.drain(..) {
            calls.wake(self.gates().get(&node).and_then(|gate| gate.ended(End::Abort)));
        }
        effects.grown.drain(..).for_each(|grown| self.grow(control, &grown));
        effects.routes.drain(..).for_each(|route| self.lead(control, &route, calls));
        effects.news.drain(..).for_each(|news| self.learn(news, calls));
        let (brokers, hangs_up) = (mem::take(&mut effects.brokers), mem::take(&mut effects.hang_up));
        if brokers || hangs_up {
            // A broker that comes back gets another gate, so that this end is the end.
            let end = if hangs_up { End::Abort } else { End::Finish };
            let view = control.sender.view();
            let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
            gates.retain(|node, gate| {
                let stays = view.brokers.contains_key(node);
                if !stays {
                    calls.wake(gate.ended(end));
                }
                stays
            });
        }
        if !effects.wake.is_empty() {
            let gates = self.gates();
            let caller = calls.caller;
            for node in effects.wake.drain(..).filter(|node| Caller::Pump(*node) != caller) {
                let waker = gates.get(&node).and_then(|gate| gate.lock().wakeup());
                calls.wake(waker);
            }
        }
        if mem::take(&mut effects.hopeless) {
            self.wake_topics(calls);
        }
        let is_fatal = effects.fatal.take().is_some();
        if mem::take(&mut effects.timer) || brokers || is_fatal {
            calls.turn_due = true;
        }
    }

    /// Partitions appeared: each gets a lane.
    fn grow(&self, control: &mut Control, grown: &Grown) {
        // The topic's name may be forgotten by now, if no caller waits for it any more. Now it stays.
        let topic = self.topics.named(&grown.topic, self.id);
        let closed = self.life() != Life::Open;
        let lanes = (grown.first..).zip(&grown.lanes).map(|(index, expected)| {
            let id = control.lanes.push(&topic, index);
            debug_assert_eq!(id, *expected, "lanes are numbered alike on both sides");
            let partition = i32::try_from(index).unwrap_or(i32::MAX);
            let queue = PartitionQueue::new(self.settings.queues);
            let queue = if self.settings.seals_elsewhere { queue } else { queue.with_checksums() };
            Lane::new(id, grown.topic.clone(), partition, queue, Arc::clone(&self.nowhere), closed)
        });
        let lanes = lanes.collect();
        topic.grow(lanes);
    }

    /// A partition has another leader, or none: its lane moves to that gate.
    fn lead(&self, control: &Control, route: &Route, calls: &mut Calls) {
        let gate = route.leader.map_or_else(|| Arc::clone(&self.nowhere), |node| self.gate(node));
        let Some(lane) = control.lanes.get(route.lane) else { return };
        let old = mem::replace(&mut lane.lock().gate, Arc::clone(&gate));
        if !Arc::ptr_eq(&old, &gate) {
            // The old leader would be dialled for an entry that stays. An append that tells the old gate finds the lane gone.
            old.lock().index.update(lane.id, None);
        }
        let mut state = gate.lock();
        lane.report(&mut state, &lane.lock());
        calls.wake(state.waker_for(true));
    }

    /// There is news of a topic.
    fn learn(&self, news: News, calls: &mut Calls) {
        let Some(topic) = self.topics.get(news.topic.as_str()) else { return };
        let before = topic.set_count(news.partitions);
        close_gone(&topic, before, news.partitions, calls);
        topic.spread.set_available(news.available);
        calls.wake(topic.learn(news.trouble).into_iter().filter(|_| !planted!(DeafTopic)));
    }

    /// Wakes all callers that wait for a topic, to look for other news than the topic's own.
    pub(super) fn wake_topics(&self, calls: &mut Calls) {
        for topic in self.topics.all() {
            calls.wake(topic.learn(topic.trouble()));
        }
    }
}

/// The topic has another number of partitions than before. Those that are no more take no records: the open batch is closed,
/// so that the fast path leaves it alone.
fn close_gone(topic: &TopicShared, before: u32, now: u32, calls: &mut Calls) {
    if before == now {
        return;
    }
    for (lane, partition) in topic.lanes_from(before.min(now)).zip(before.min(now)..) {
        let gate = Arc::clone(&lane.lock().gate);
        let mut state = gate.lock();
        let mut guard = lane.lock();
        guard.is_gone = partition >= now && !planted!(GoneTakesRecords);
        if guard.is_gone && guard.queue.close(SendReason::Full) {
            lane.report(&mut state, &guard);
            drop(guard);
            calls.wake(state.waker_for(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_mock::MockCluster;
    use kafka_wire::NodeId;

    use super::*;
    use crate::{Producer, Record, io::now};

    /// What is left to do may be of several calls: what was done for the first is not done again for the second.
    #[tokio::test]
    async fn a_wish_that_was_met_is_not_met_again_for_the_next_call() {
        let producer = Producer::builder(["127.0.0.1:1"]).connect().await.expect("good settings");
        let plane = &producer.shared().plane;
        let (mut effects, mut calls) = (Effects::default(), Calls::default());
        effects.begins_anew = true;
        let old = plane.gate(NodeId(7));
        plane.route(&mut plane.control(), &mut effects, &mut calls);
        assert_eq!(old.lock().end, End::Abort, "it leads to the old cluster");
        let new = plane.gate(NodeId(7));
        plane.route(&mut plane.control(), &mut effects, &mut calls);
        assert_eq!(new.lock().end, End::Open, "it leads to the new one");
        producer.close(Duration::ZERO).await.expect("nothing was sent");
    }

    /// Else the pump of a dead leader would dial it for as long as the batch may live.
    #[tokio::test]
    async fn a_leader_that_lost_a_partition_has_nothing_of_it_at_its_gate() {
        let cluster = MockCluster::builder().brokers(2).topic("orders", 1).start().await.expect("it starts");
        let producer = Producer::builder([cluster.bootstrap_servers()]);
        let producer = producer.linger(Duration::from_secs(30)).connect().await.expect("good");
        let delivery = producer.send(Record::to("orders").partition(0).value("v")).await.expect("accepted");
        let shared = producer.shared();
        let has_entry = |node| !shared.plane.gate(NodeId(node)).lock().index.is_empty();
        let (leader, _) = cluster.leader("orders", 0).expect("exists");
        let other = 3 - leader.0;
        assert!(has_entry(leader.0), "the batch lingers there");
        cluster.move_leader("orders", 0, NodeId(other)).expect("exists");
        shared.act(|plane, after| plane.want_topic(&"orders".into(), now(), after));
        while !has_entry(other) {
            tokio::task::yield_now().await;
        }
        assert!(!has_entry(leader.0), "it is the other one's now");
        producer.flush().await.expect("open");
        delivery.await.expect("delivered");
    }
}
