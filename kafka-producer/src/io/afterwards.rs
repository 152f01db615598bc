//! What the sender wants done, and how: in part under its lock, the rest where no lock is held.

use std::{
    mem,
    sync::{Arc, PoisonError, atomic::Ordering},
    task::Waker,
};

use kafka_batch::{Compression, DrainedBatch, PartitionQueue, SendReason, wake_all};
use kafka_wire::NodeId;

use super::{Control, OPEN, Shared};
use crate::{
    delivery::Outcome,
    error::FailureKind,
    plane::{Lane, TopicShared, gate::End},
    planted::planted,
    purge::Purge,
    sender::Effects,
};

/// What is done once the locks are gone. A pump keeps its own, so that the lists are not allocated for each request.
#[derive(Default)]
pub(super) struct Afterwards {
    /// What the sender wants.
    pub(super) effects: Effects,
    /// It wants something, which most looks at it do not lead to.
    any_effects: bool,
    pub(super) wakers: Vec<Waker>,
    /// Batches that were given up before they were sent.
    pub(super) dropped: Vec<DrainedBatch<Arc<Outcome>>>,
}

/// Who asks for something to be done under the sender's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Anyone,
    /// The pump of this node, which needs no waking.
    Pump(NodeId),
    /// The driver in its turn: it looks at everything after that.
    Driver,
}

/// Something is done under the sender's lock. Dropped only by a panic in there.
struct Unwinding<'a> {
    shared: &'a Shared,
    afterwards: &'a mut Afterwards,
    caller: Caller,
}

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        let Self { shared, afterwards, caller } = self;
        {
            // The lock says that somebody has panicked, which empties the sender.
            let mut control = shared.lock("to see what a panic has left");
            control.sender.owe(mem::take(&mut afterwards.effects));
            afterwards.effects = control.sender.take_effects();
            afterwards.any_effects = true;
        }
        shared.carry_out(afterwards, *caller);
        shared.stop();
    }
}

impl Shared {
    /// Runs `f` under the sender's lock, and what it leaves to be done after it.
    pub(super) fn with_control<R>(
        &self,
        purpose: &'static str,
        f: impl FnOnce(&mut Control, &mut Afterwards) -> R,
    ) -> R {
        self.with_control_reusing(&mut Afterwards::default(), purpose, Caller::Anyone, f)
    }

    /// The same for a caller that looks at some of it by itself, with lists that were used before.
    ///
    /// A panic in there ends the producer, since it may have left the sender's state half changed; then it goes on to the
    /// caller.
    pub(super) fn with_control_reusing<R>(
        &self,
        afterwards: &mut Afterwards,
        purpose: &'static str,
        caller: Caller,
        f: impl FnOnce(&mut Control, &mut Afterwards) -> R,
    ) -> R {
        if afterwards.any_effects {
            // A panic kept the last ones from being carried out.
            self.carry_out(afterwards, caller);
        }
        let unwinding = Unwinding { shared: self, afterwards, caller };
        let (result, is_torn) = {
            let mut control = self.lock(purpose);
            let result = f(&mut control, unwinding.afterwards);
            self.collect(&mut control, unwinding.afterwards, caller);
            (result, control.lanes.is_torn() && self.mark_torn())
        };
        self.carry_out(unwinding.afterwards, caller);
        mem::forget(unwinding);
        if is_torn {
            self.stop();
        }
        result
    }

    /// Takes what the sender wants done, and does what must keep its order.
    fn collect(&self, control: &mut Control, afterwards: &mut Afterwards, caller: Caller) {
        if control.sender.has_effects() {
            control.sender.swap_effects(&mut afterwards.effects);
            afterwards.any_effects = true;
            let Afterwards { effects, wakers, .. } = afterwards;
            self.route(control, effects, wakers, caller);
        }
    }

    /// The part of the effects that must keep its order, and so is done under the lock. Nothing foreign runs here.
    fn route(&self, control: &mut Control, effects: &mut Effects, wakers: &mut Vec<Waker>, caller: Caller) {
        if effects.begins_anew {
            // Whoever leads a partition from now on gets another gate, whatever its id.
            let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
            for (_, gate) in mem::take(&mut *gates) {
                wakers.extend(gate.ended(End::Abort));
            }
        }
        for node in effects.hang_up_on.drain(..) {
            wakers.extend(self.gates().get(&node).and_then(|gate| gate.ended(End::Abort)));
        }
        for grown in effects.grown.drain(..) {
            // Its name may be forgotten by now: whoever wanted it went away. Now it stays.
            let topic = self.topics.named(&grown.topic, self.id);
            let mut lanes = Vec::with_capacity(grown.lanes.len());
            let closed = self.life.load(Ordering::Acquire) != OPEN;
            for (index, expected) in (grown.first..).zip(&grown.lanes) {
                let id = control.lanes.push(&topic, index);
                debug_assert_eq!(id, *expected, "lanes are numbered alike on both sides");
                let partition = i32::try_from(index).unwrap_or(i32::MAX);
                let gate = Arc::clone(&self.nowhere);
                let queue = PartitionQueue::new(self.queue_settings);
                let is_plain = self.settings.compression == Compression::None;
                let queue = if is_plain { queue.with_checksums() } else { queue };
                lanes.push(Lane::new(id, grown.topic.clone(), partition, queue, gate, closed));
            }
            topic.grow(lanes);
        }
        for route in effects.routes.drain(..) {
            let gate = route.leader.map_or_else(|| Arc::clone(&self.nowhere), |node| self.gate(node));
            let Some(lane) = control.lanes.get(route.lane) else { continue };
            let old = mem::replace(&mut lane.lock().gate, Arc::clone(&gate));
            if !Arc::ptr_eq(&old, &gate) {
                // Else the old leader would be dialled for it. Who tells the old gate from now on finds that the lane is not there.
                old.lock().index.update(lane.id, None);
            }
            let mut state = gate.lock();
            lane.report(&mut state, &lane.lock());
            wakers.extend(state.waker_for(true));
        }
        for news in effects.news.drain(..) {
            let Some(topic) = self.topics.get(news.topic.as_str()) else { continue };
            let before = topic.set_count(news.partitions);
            close_gone(&topic, before, news.partitions, wakers);
            topic.spread.set_available(news.available);
            wakers.extend(topic.learn(news.trouble).into_iter().filter(|_| !planted!(DeafTopic)));
        }
        if effects.brokers || effects.hang_up {
            // A broker that comes back gets another gate, so that this end is the end.
            let end = if effects.hang_up { End::Abort } else { End::Finish };
            let view = control.sender.view();
            let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
            gates.retain(|node, gate| {
                let stays = view.brokers.contains_key(node);
                if !stays {
                    wakers.extend(gate.ended(end));
                }
                stays
            });
        }
        effects.wake.retain(|node| Caller::Pump(*node) != caller);
        if effects.wake.is_empty() {
            return;
        }
        let gates = self.gates();
        for node in effects.wake.drain(..) {
            if let Some(gate) = gates.get(&node) {
                wakers.extend(gate.lock().wakeup());
            }
        }
    }

    /// The part of the effects that may run foreign code: outside every lock.
    fn carry_out(&self, afterwards: &mut Afterwards, caller: Caller) {
        let Afterwards { effects, any_effects, wakers, dropped } = afterwards;
        if !*any_effects {
            wake_all(wakers.drain(..));
            dropped.clear();
            return;
        }
        let any_resolved = !effects.resolved.is_empty();
        for resolution in effects.resolved.drain(..) {
            let wakers = resolution.outcome.resolve(resolution.result);
            wake_all(wakers.into_iter().filter(|_| !planted!(SilentResolve)));
        }
        wake_all(wakers.drain(..));
        // The last reference to a batch gives its memory back, which may wake those who wait for it.
        if planted!(ReleasedKept) {
            mem::forget((mem::take(&mut effects.released), mem::take(dropped)));
        }
        effects.released.clear();
        dropped.clear();
        for job in effects.splits.drain(..) {
            self.compressors.split(job);
        }
        for event in effects.events.drain(..) {
            event.log();
        }
        let (brokers, timer) = (effects.brokers, effects.timer);
        let (hopeless, refused, fatal) = (effects.hopeless, effects.refused, effects.fatal);
        effects.reset();
        *any_effects = false;
        if hopeless {
            self.wake_topics();
        }
        if let Some(code) = refused {
            self.purge(Purge::All, FailureKind::Rejected(code));
        }
        let ending = any_resolved && !planted!(EndUnseen) && self.life.load(Ordering::Acquire) != OPEN;
        if (brokers || timer || fatal.is_some() || ending) && caller != Caller::Driver {
            self.signal.set();
        }
    }
}

/// The topic has another number of partitions than before. Those that are no more take no records: the open batch is closed,
/// so that the fast path leaves it alone.
fn close_gone(topic: &TopicShared, before: u32, now: u32, wakers: &mut Vec<Waker>) {
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
            wakers.extend(state.waker_for(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_mock::MockCluster;
    use kafka_wire::{NodeId, TopicName};

    use super::*;
    use crate::{Producer, Record, delivery::BatchResult, sender::Resolution};

    /// Else the pump of a dead leader would dial it for as long as the batch may live.
    #[tokio::test]
    async fn a_leader_that_lost_a_partition_has_nothing_of_it_at_its_gate() {
        let cluster = MockCluster::builder().brokers(2).topic("orders", 1).start().await.expect("it starts");
        let producer = Producer::builder([cluster.bootstrap_servers()]);
        let producer = producer.linger(Duration::from_secs(30)).connect().await.expect("good");
        let delivery = producer.send(Record::to("orders").partition(0).value("v")).await.expect("accepted");
        let shared = producer.shared();
        let has_entry = |node| !shared.gate(NodeId(node)).lock().index.is_empty();
        let (leader, _) = cluster.leader("orders", 0).expect("exists");
        let other = 3 - leader.0;
        assert!(has_entry(leader.0), "the batch lingers there");
        cluster.move_leader("orders", 0, NodeId(other)).expect("exists");
        shared.want_topic(&"orders".into());
        while !has_entry(other) {
            tokio::task::yield_now().await;
        }
        assert!(!has_entry(leader.0), "it is the other one's now");
        producer.flush().await.expect("open");
        delivery.await.expect("delivered");
    }

    #[tokio::test]
    async fn effects_that_a_panic_has_left_over_are_finished() {
        let producer = Producer::builder(["127.0.0.1:1"]).connect().await.expect("good settings");
        let outcome = Arc::new(Outcome::new(TopicName::from("orders"), 0));
        let mut left = Afterwards { any_effects: true, ..Afterwards::default() };
        let result = BatchResult::Acknowledged { base_offset: 7, log_append_time: None };
        left.effects.resolved.push(Resolution { outcome: Arc::clone(&outcome), result });
        let shared = producer.shared();
        shared.with_control_reusing(&mut left, "to do something else", Caller::Anyone, |_, _| ());
        assert!(outcome.is_resolved());
        producer.close(Duration::ZERO).await.expect("nothing was sent");
    }
}
