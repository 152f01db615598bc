//! From ready batches to Produce requests.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use kafka_batch::{DrainedBatch, Stamp};
use kafka_net::Next;
use kafka_wire::{NodeId, PartitionId, Records, TopicId};

use super::{
    Call, LaneId, Offer, Sealed, Sender,
    call::{Part, ProduceCall},
    ledger::{Arrival, Candidate, Numbers, Place},
    sequence::Identity,
};
use crate::{
    delivery::Outcome,
    error::FailureKind,
    planted::{planted, slip},
};

/// Where the sender draws batches from: the lanes that one node leads.
pub(crate) trait Supply {
    /// A batch that is ready now, of a lane that `admits`; none of more than `room` bytes unless `alone`, when any
    /// size will do.
    fn draw(
        &mut self,
        now: Instant,
        room: usize,
        alone: bool,
        admits: &mut dyn FnMut(LaneId) -> bool,
    ) -> Option<(LaneId, DrainedBatch<Arc<Outcome>>)>;
}

/// A batch to be sealed, outside every lock.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) lane: LaneId,
    pub(crate) key: u64,
    pub(crate) batch: DrainedBatch<Arc<Outcome>>,
    /// The numbers it will be sent with, if all goes well: sealing with other ones would mean to do the checksum
    /// again.
    pub(crate) stamp: Stamp,
}

impl Sender {
    /// (C) Takes what is ready for a node into the ledgers, as much as one request can hold and one batch of each
    /// partition at most. Each batch must come back through [`handle_sealed`](Self::handle_sealed).
    pub(crate) fn drain(
        &mut self,
        node: NodeId,
        now: Instant,
        supply: &mut impl Supply,
        into: &mut Vec<Drained>,
    ) {
        let is_bounded = self.settings.max_sealing != usize::MAX;
        let has_room = self.sealing < self.settings.max_sealing;
        // While there are no numbers no request is made: what is ready stays in its lane, and what lingers there, too.
        if self.fatal.is_some() || !self.has_numbers() {
            return;
        }
        if is_bounded && !self.turns.admits(node, has_room, &mut self.timers) {
            return;
        }
        self.ripen(node, now);
        let mut size = self.waiting_size(node, now);
        self.drains += 1;
        let (drains, mut wanted, mut is_new) = (self.drains, None, false);
        while self.sealing < self.settings.max_sealing && size < self.settings.max_request_size {
            let room = self.settings.max_request_size - size;
            let partitions = &self.partitions;
            let mut admits = |lane: LaneId| {
                let partition = partitions.get(lane.0 as usize);
                partition.is_some_and(|it| it.ledger.has_room() && it.drained_in != drains)
            };
            let Some((lane, batch)) = supply.draw(now, room, size == 0, &mut admits) else { break };
            let Some(partition) = self.partitions.get_mut(lane.0 as usize) else {
                debug_assert!(false, "only partitions of ours have lanes");
                break;
            };
            size += batch.size();
            partition.drained_in = drains;
            if wanted.as_ref() != Some(&partition.topic) {
                is_new |= self.metadata.want(&partition.topic, now);
                wanted = Some(partition.topic.clone());
            }
            let key = partition.ledger.enter(Arrival {
                count: batch.count(),
                begun: batch.created(),
                entered: now,
                deadline: batch.expires_at(),
                outcome: Arc::clone(batch.tag()),
                size: batch.size(),
            });
            slip!();
            let stamp = self.identity.known().map_or(Stamp::NONE, |identity| {
                let (identity, base_sequence) = partition.ledger.expected(identity);
                stamp(identity, base_sequence)
            });
            self.sealing += 1;
            self.unresolved += 1;
            self.counters.drained(batch.reason(), batch.count(), batch.size());
            self.expire_by(lane, batch.expires_at());
            into.push(Drained { lane, key, batch, stamp });
        }
        if is_bounded {
            self.turns.took(node, self.sealing >= self.settings.max_sealing, &mut self.timers);
            self.call_next(now);
        }
        if is_new {
            // It was not used for so long that it was forgotten.
            self.advance(now);
        }
    }

    /// (B) A drained batch is sealed, and can be sent.
    pub(crate) fn handle_sealed(&mut self, lane: LaneId, key: u64, batch: Sealed, now: Instant) {
        self.sealing = self.sealing.saturating_sub(1);
        self.call_next(now);
        self.counters.sealed(batch.predicted_size(), batch.size());
        let Some(partition) = self.partition_mut(lane) else { return };
        // It may have expired meanwhile.
        let Some(at) = partition.ledger.find(key) else {
            self.effects.released.push(batch);
            return;
        };
        if let Some(entry) = partition.ledger.entry_mut(at) {
            entry.batch = Some(batch);
            entry.sealed = Some(now);
            entry.place = Place::Waiting(now);
        }
        self.offer(lane);
    }

    /// (A) Whether [`drain`](Self::drain) or [`poll_call`](Self::poll_call) may have something to do, to say, or to note about a node
    /// whatever its lanes have.
    pub(crate) fn has_work(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| {
            let has_batches = !node.sendable.is_empty() || !node.later.is_empty();
            node.wanted || has_batches || !node.control.is_empty()
        }) || self.turns.has_called(node, &self.timers)
    }

    /// (D) The next request for a node that can take one.
    pub(crate) fn poll_call(&mut self, node: NodeId, now: Instant) -> Next<Call> {
        if let Some(call) = self.control_call(node) {
            return Next::Call(call);
        }
        // After a long sleep of the process, a pump may run before the driver: what is overdue must not go out.
        self.expire(now);
        let (parts, wait) = self.collect_parts(node, now);
        if parts.is_empty() {
            return Next::Wait(wait);
        }
        self.counters.requested(parts.len());
        let bytes = parts.iter().map(|part| part.records.len() as u64).sum();
        if let Some(node) = self.nodes.get_mut(&node) {
            if node.in_flight == 0 {
                node.heard = Some(now);
            }
            node.in_flight += 1;
            node.stats.requested(parts.len() as u64, bytes, node.in_flight as u64);
        }
        Next::Call(Call::Produce(ProduceCall {
            acks: self.settings.acks,
            since: now,
            cluster_number: self.cluster_number,
            // Not zero, which would tell the broker to wait for no replica.
            timeout_ms: i32::try_from(self.settings.request_timeout.as_millis()).unwrap_or(i32::MAX).max(1),
            parts,
            min_version: self.settings.min_produce_version,
        }))
    }

    /// Sends what can be sent to a node, and says when there will be more, if only time is missing.
    fn collect_parts(&mut self, id: NodeId, now: Instant) -> (Vec<Part>, Option<Instant>) {
        self.ripen(id, now);
        let mut size = 0;
        let numbers = self.identity.numbers();
        let Some(node) = self.nodes.get_mut(&id) else { return (Vec::new(), None) };
        let (mut sendable, mut later) = (std::mem::take(&mut node.sendable), std::mem::take(&mut node.later));
        let waiting = sendable.len();
        slip!();
        let mut parts: Vec<Part> = Vec::with_capacity(waiting);
        for _ in 0..waiting {
            let Some(offer) = sendable.pop_front() else { break };
            let lane = offer.lane;
            let Some(partition) = self.partitions.get_mut(lane.0 as usize) else { continue };
            if partition.offer != Some(offer.number) {
                // It was offered to another node since.
                continue;
            }
            let same = parts.last().filter(|part| part.topic == partition.topic).map(|part| part.topic_id);
            let in_view = || self.metadata.view().topic(partition.topic.as_str()).map(|topic| topic.id);
            let Some(topic_id) = same.or_else(in_view) else {
                // Its id may be another one by now, and so may its leaders.
                partition.offer = None;
                partition.leaderless.note(true, now);
                if let Some(topic) = self.topics.get_mut(&partition.topic) {
                    topic.is_awaited = true;
                }
                continue;
            };
            match partition.ledger.candidate(now, numbers) {
                Candidate::Now(at) => {
                    let Some(entry) = partition.ledger.entry(at) else { continue };
                    if size + entry.size > self.settings.max_request_size && !parts.is_empty() {
                        // The next request begins with it.
                        sendable.push_front(offer);
                        break;
                    }
                    size += entry.size;
                    parts.extend(self.send(id, lane, at, topic_id, now));
                    let Some(partition) = self.partitions.get_mut(lane.0 as usize) else { continue };
                    // What waits is newer than what is in flight: it is seen at the first look.
                    let mut entries = partition.ledger.iter().rev();
                    if entries.any(|entry| !matches!(entry.place, Place::InFlight { .. })) {
                        // Behind all others, so that each has its turn.
                        sendable.push_back(offer);
                    } else {
                        partition.offer = None;
                    }
                }
                Candidate::At(time) => {
                    partition.rests = true;
                    later.insert((time, offer.number), lane);
                }
                // Whatever it waits for offers it again.
                Candidate::None => partition.offer = None,
            }
        }
        let wait = later.first_key_value().map(|((time, _), _)| *time);
        if let Some(node) = self.nodes.get_mut(&id) {
            debug_assert!(node.sendable.is_empty() && node.later.is_empty(), "nothing is offered meanwhile");
            (node.sendable, node.later) = (sendable, later);
        }
        // Names are compared only where they differ: nearly always they are one.
        parts.sort_unstable_by(|a: &Part, b| match a.topic == b.topic {
            true => a.partition.cmp(&b.partition),
            false => a.topic.cmp(&b.topic),
        });
        (parts, wait)
    }

    /// What was to be sent from a time on can be sent once that has come.
    fn ripen(&mut self, id: NodeId, now: Instant) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        while let Some(first) = node.later.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, number), lane) = first.remove_entry();
            let partition = self.partitions.get_mut(lane.0 as usize);
            if let Some(partition) = partition.filter(|partition| partition.offer == Some(number)) {
                partition.rests = false;
                node.sendable.push_back(Offer { lane, number });
            }
        }
    }

    /// Sends one batch: its number is given, its header stamped.
    fn send(
        &mut self,
        node: NodeId,
        lane: LaneId,
        at: usize,
        topic_id: TopicId,
        now: Instant,
    ) -> Option<Part> {
        let identity = match self.identity.numbers() {
            Some(Numbers::By(identity) | Numbers::Fading(identity)) => Some(identity),
            Some(Numbers::Wanted) | None => None,
        };
        let partition = self.partitions.get_mut(lane.0 as usize)?;
        if partition.ledger.entry(at).is_none_or(|entry| entry.batch.is_none()) {
            debug_assert!(false, "what is to be sent has its bytes");
            // Else it would count as in flight, and nobody could answer for it.
            self.fail(lane, at, FailureKind::Lost, None, now);
            return None;
        }
        let (identity, sequence, attempt) = partition.ledger.send(at, node, now, identity);
        slip!();
        let entry = partition.ledger.entry_mut(at)?;
        if attempt > 1 {
            self.counters.retries += 1;
        }
        let batch = entry.batch.as_mut()?;
        batch.stamp(stamp(identity, sequence));
        Some(Part {
            lane,
            key: entry.key,
            attempt,
            topic: partition.topic.clone(),
            topic_id,
            partition: PartitionId(partition.partition),
            records: match planted!(EarlyCredit) {
                false => batch.records(),
                // A copy, which nobody counts.
                true => Records::from_chunks([Bytes::from(batch.records().to_bytes().to_vec())]),
            },
        })
    }

    /// Puts a partition among those its leader is asked about, and wakes the leader's pump.
    pub(super) fn offer(&mut self, lane: LaneId) {
        let Some(partition) = self.partitions.get_mut(lane.0 as usize) else { return };
        let Some(leader) = partition.leader else { return };
        // One that rests may hold from now on: it is looked at again.
        if partition.offer.is_none() || partition.rests {
            self.last_offer += 1;
            partition.offer = Some(self.last_offer);
            partition.rests = false;
            let offer = Offer { lane, number: self.last_offer };
            self.nodes.entry(leader).or_default().sendable.push_back(offer);
        }
        if !planted!(LostWakeUp) {
            self.effects.wake(leader);
        }
    }

    /// If there is room to seal, whoever had to stop for the lack of it goes on, the first one first.
    pub(super) fn call_next(&mut self, now: Instant) {
        if self.sealing < self.settings.max_sealing {
            if let Some(node) = self.turns.call(now, &mut self.timers) {
                self.effects.wake(node);
            }
        }
    }

    /// The sizes of the batches that wait to be sent to a node, or for their seal. What is offered and backs off, or waits for
    /// something else, does not go into the next request: it takes no room from what can be sent.
    fn waiting_size(&self, node: NodeId, now: Instant) -> usize {
        let numbers = self.identity.numbers();
        let sendable = self.nodes.get(&node).into_iter().flat_map(|node| &node.sendable);
        let partitions = sendable.filter_map(|offer| {
            self.partition(offer.lane).filter(|partition| partition.offer == Some(offer.number))
        });
        let sizes = partitions.map(|partition| {
            let goes_now = matches!(partition.ledger.candidate(now, numbers), Candidate::Now(_));
            let entries = partition.ledger.iter().filter(|entry| match entry.place {
                Place::Waiting(_) => goes_now,
                Place::Sealing => true,
                _ => false,
            });
            entries.map(|entry| entry.size).sum::<usize>()
        });
        sizes.sum()
    }
}

fn stamp(identity: Identity, base_sequence: i32) -> Stamp {
    Stamp { producer_id: identity.id, producer_epoch: identity.epoch, base_sequence, transactional: false }
}
