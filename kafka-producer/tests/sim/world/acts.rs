//! What happens in a run: what users do, and what befalls brokers and the network.

use super::*;

/// A minute, and what an answer may take.
const RELIED_ON: Duration = Duration::from_secs(75);

impl World {
    /// What users do, and all else.
    pub(super) fn act(&mut self, act: Act) {
        say!(self, "{act:?}");
        let now = self.now;
        match act {
            Act::Send { topic, partition, count, size } => self.send(topic, partition, count, size),
            Act::DropDeliveries { count } => self.checker.drop_deliveries(count),
            Act::CancelBlocked { count } => {
                for _ in 0..count {
                    let Some(blocked) = self.client.blocked.pop_front() else { break };
                    self.client.cancel(&blocked);
                    self.checker.tally.add("sends cancelled", 1);
                }
            }
            Act::Purge { what } => {
                self.checker.tally.add("purges", 1);
                self.client.purge(what, FailureKind::Purged, now);
            }
            Act::Flush => {
                let outcomes = self.client.flush(now);
                self.flushes.push(Flush { count: self.checker.count(), outcomes });
            }
            Act::Close { patience } => {
                self.client.close(now);
                self.close_by = Some(now + patience);
            }
            other => self.befall(other),
        }
    }

    /// What brokers and the network do.
    #[expect(clippy::too_many_lines, reason = "a table: a few lines for each act")]
    fn befall(&mut self, act: Act) {
        let now = self.now;
        match act {
            Act::MoveLeader { topic, partition, to } => {
                self.checker.tally.add("leaders moved", 1);
                self.brokers.move_leader(topic, partition, node(to));
            }
            Act::UncleanElection { topic, partition, to, batches } => {
                self.checker.tally.add("unclean elections", 1);
                self.brokers.elect_unclean(topic, partition, node(to), batches, &mut self.checker);
            }
            Act::Wipe { strangers } => {
                // Everything is under the old addresses when it begins anew.
                self.brokers.astray().into_iter().for_each(|node| self.lead_back(node));
                let wall = self.wall();
                let at = self.brokers.now(now, wall);
                self.brokers.wipe(strangers, at, &mut self.checker);
                self.conns.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| self.break_off(id));
            }
            Act::Stranger { topic, partition, count } => {
                let wall = self.wall();
                let at = self.brokers.now(now, wall);
                self.brokers.write_as_stranger(topic, partition, count, at, &mut self.checker);
            }
            Act::Astray { broker, time } => {
                let broker = node(broker);
                // Who knows no cluster yet takes the first that answers.
                let is_known = self.client.view().brokers.keys().any(|node| node.0 >= 0);
                if is_known && self.brokers.lead_astray(broker) {
                    self.checker.tally.add("addresses led astray", 1);
                    self.conns_of(broker).into_iter().for_each(|id| self.break_off(id));
                    self.schedule(now + time, Event::LeadBack(broker));
                }
            }
            Act::Lag { broker, unheard, time } => {
                self.checker.tally.add("brokers lagged behind", 1);
                self.brokers.lag_behind(node(broker), unheard);
                self.schedule(now + time, Event::CatchUp(node(broker)));
            }
            Act::CreateLateTopic => self.brokers.create(self.plan.setup.topics.len() - 1),
            Act::Recreate { topic } => {
                self.checker.tally.add("topics recreated", 1);
                self.brokers.recreate(topic, None, &mut self.checker);
            }
            Act::Shrink { topic, partitions } => {
                self.checker.tally.add("topics shrunk", 1);
                self.brokers.recreate(topic, Some(partitions), &mut self.checker);
            }
            Act::Grow { topic } => {
                let wall = self.wall();
                let wall = self.brokers.now(now, wall);
                self.brokers.grow(topic, wall);
            }
            Act::LimitMessages { topic, bytes } => self.brokers.limit_messages(topic, bytes),
            Act::ForgetProducers => {
                // Nothing may be on its way: in truth a day has passed.
                let is_idle =
                    self.conns.values().all(|conn| conn.requests.is_empty() && conn.up.pieces.is_empty());
                // Within a minute the producer relies on being known, and brokers remember a day: the clocks of the two are
                // not moved together, so the minute must have passed.
                let quiet = (now - self.start).saturating_sub(self.checker.last_arrival);
                if self.client.is_drained() && is_idle && quiet > RELIED_ON {
                    self.checker.tally.add("producers forgotten", 1);
                    self.brokers.forget_producers();
                }
            }
            Act::Crash { broker, time, refuses, leaves } => {
                self.checker.tally.add("brokers crashed", 1);
                let broker = node(broker);
                self.brokers.crash(broker, leaves);
                self.hangs.insert(broker, !refuses);
                self.conns_of(broker).into_iter().for_each(|id| self.break_off(id));
                self.schedule(now + time, Event::Revive(broker));
            }
            Act::Freeze { broker, time } => {
                self.checker.tally.add("brokers frozen", 1);
                self.frozen.insert(node(broker), now + time);
                self.schedule(now + time, Event::Thaw(node(broker)));
            }
            Act::Slow { broker, time, by } => {
                self.checker.tally.add("brokers slow", 1);
                self.slow.insert(node(broker), (now + time, by));
            }
            Act::Inject { broker, fault, count } => self.brokers.inject(broker.map(node), fault, count),
            Act::Cut { broker, way, after, delivers } => {
                for id in self.conns_of(node(broker)) {
                    if after == 0 {
                        self.checker.tally.add("connections cut", 1);
                        self.break_conn(id, delivers);
                    } else if let Some(conn) = self.conns.get_mut(&id) {
                        conn.pipe(way).cut_after = Some(after);
                    }
                }
            }
            Act::Stall { broker, way, time } => {
                self.checker.tally.add("ways stalled", 1);
                if let Some(weather) = self.weathers.get_mut(&(node(broker), way)) {
                    weather.stalled_until = Some(now + time);
                }
            }
            Act::Trickle { broker, way, piece, time } => {
                if let Some(weather) = self.weathers.get_mut(&(node(broker), way)) {
                    weather.piece = Some((piece, now + time));
                }
            }
            Act::Send { .. }
            | Act::DropDeliveries { .. }
            | Act::CancelBlocked { .. }
            | Act::Purge { .. }
            | Act::Flush
            | Act::Close { .. } => unreachable!("{act:?} is the users'"),
        }
    }

    /// The address leads to its broker again.
    pub(super) fn lead_back(&mut self, broker: NodeId) {
        if self.brokers.lead_back(broker) {
            say!(self, "the address of {broker} leads to it again");
            self.conns_of(broker).into_iter().for_each(|id| self.break_off(id));
        }
    }

    /// The broker's end is gone, with everything that it has not answered.
    fn break_off(&mut self, id: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.requests.clear();
            conn.busy = false;
        }
        self.break_conn(id, false);
    }

    pub(super) fn send(&mut self, topic: usize, partition: u32, count: u32, size: usize) {
        let topic = TopicName::from(name(topic).as_str());
        self.checker.now = self.now - self.start;
        for _ in 0..count {
            let accepted = self.client.send(&topic, partition, size, self.now, &mut self.checker);
            if matches!(accepted, Accepted::Blocked) {
                self.checker.tally.add("sends blocked", 1);
                self.schedule(self.now + self.plan.setup.max_block, Event::LookAtBlocked);
            }
        }
    }
}
