//! From ready batches to Produce requests.

use std::{sync::Arc, time::Instant};

use kafka_batch::{DrainedBatch, Stamp};
use kafka_net::Next;
use kafka_wire::NodeId;

use super::{
    Call, LaneId, Sealed, Sender,
    call::{Part, ProduceCall},
    ledger::{Candidate, Numbers},
    outbox::{Link, Offer},
};
use crate::{delivery::Outcome, planted::slip};

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
        // While there are no numbers no request is made: what is ready stays in its lane, and what lingers there, too.
        if self.fatal().is_some() || !self.has_numbers() || !self.turns.admits(node, &mut self.timers) {
            return;
        }
        self.ripen(node, now);
        let mut size = self.waiting_size(node, now);
        let (drain, mut wanted, mut is_new) = (self.turns.begin(), None, false);
        while self.turns.has_room() && size < self.settings.max_request_size {
            let room = self.settings.max_request_size - size;
            let (partitions, mut cx) = self.rooms(now);
            let mut admits = |lane: LaneId| partitions.of(lane).is_some_and(|it| it.has_room(drain));
            let Some((lane, batch)) = supply.draw(now, room, size == 0, &mut admits) else { break };
            let Some(partition) = partitions.of_mut(lane) else {
                debug_assert!(false, "only partitions of ours have lanes");
                break;
            };
            size += batch.size();
            if wanted.as_ref() != Some(partition.topic()) {
                is_new |= cx.routes.metadata_mut().want(partition.topic(), now);
                wanted = Some(partition.topic().clone());
            }
            let (key, stamp) = partition.enter(&batch, drain, &mut cx);
            self.turns.take_room();
            into.push(Drained { lane, key, batch, stamp });
        }
        let next = self.turns.end(node, now, &mut self.timers);
        self.wake_next(next);
        if is_new {
            // It was not used for so long that it was forgotten.
            self.advance(now);
        }
    }

    /// (B) A drained batch is sealed, and can be sent.
    pub(crate) fn handle_sealed(&mut self, lane: LaneId, key: u64, batch: Sealed, now: Instant) {
        let next = self.turns.give_room(now, &mut self.timers);
        self.wake_next(next);
        self.out.counters.sealed(batch.predicted_size(), batch.size());
        if let Some((partition, mut cx)) = self.partition(lane, now) {
            partition.handle_sealed(key, batch, &mut cx);
        }
    }

    /// (A) Whether [`drain`](Self::drain) or [`poll_call`](Self::poll_call) may have something to do, to say, or to note about a node
    /// whatever its lanes have.
    pub(crate) fn has_work(&self, node: NodeId) -> bool {
        self.outbox.has_work(node) || self.turns.has_called(node, &self.timers)
    }

    /// (D) The next request for a node that can take one.
    pub(crate) fn poll_call(&mut self, node: NodeId, now: Instant) -> Next<Call> {
        if let Some(call) = self.control_call(node) {
            return Next::Call(call);
        }
        // After a long sleep of the process, a pump may run before the driver: what is overdue must not go out.
        self.expire(now);
        let link = Link::to(node);
        let (parts, wait) = self.collect_parts(link, now);
        if parts.is_empty() {
            return Next::Wait(wait);
        }
        self.out.counters.requested(parts.len());
        let bytes = parts.iter().map(|part| part.records.len() as u64).sum();
        self.outbox.note_request(link, parts.len(), bytes, now);
        Next::Call(Call::Produce(ProduceCall {
            acks: self.settings.acks,
            since: now,
            cluster_number: self.routes.cluster_number(),
            // Not zero, which would tell the broker to wait for no replica.
            timeout_ms: i32::try_from(self.settings.request_timeout.as_millis()).unwrap_or(i32::MAX).max(1),
            parts,
            min_version: self.settings.min_produce_version,
        }))
    }

    /// The next call to a node that any broker could have been asked.
    pub(super) fn control_call(&mut self, node: NodeId) -> Option<Call> {
        self.outbox.control_call(node)
    }

    /// Sends what can be sent by a link, and says when there will be more, if only time is missing.
    fn collect_parts(&mut self, link: Link, now: Instant) -> (Vec<Part>, Option<Instant>) {
        self.ripen(link.node, now);
        let (partitions, mut cx) = self.rooms(now);
        let mut size = 0;
        let numbers = cx.identity.numbers();
        let identity = match numbers {
            Some(Numbers::By(identity) | Numbers::Fading(identity)) => Some(identity),
            Some(Numbers::Wanted) | None => None,
        };
        let Some(mut offers) = cx.outbox.take_offers(link.node) else { return (Vec::new(), None) };
        let waiting = offers.sendable_count();
        slip!();
        let mut parts: Vec<Part> = Vec::with_capacity(waiting);
        for _ in 0..waiting {
            let Some(offer) = offers.pop() else { break };
            // One that does not stand was made to another node since.
            let partition = partitions.of_mut(offer.lane);
            let Some(partition) = partition.filter(|it| it.standing.is(offer)) else { continue };
            let same = parts.last().filter(|part| part.topic == *partition.topic());
            let same = same.map(|part| part.topic_id);
            let Some(topic_id) = same.or_else(|| cx.routes.topic_id(partition.topic())) else {
                partition.await_topic(&mut cx);
                continue;
            };
            match partition.candidate(now, numbers) {
                Candidate::Now(at) => {
                    let Some(its_size) = partition.size_of(at) else { continue };
                    if size + its_size > cx.settings.max_request_size && !parts.is_empty() {
                        // The next request begins with it.
                        offers.put_back(offer);
                        break;
                    }
                    size += its_size;
                    parts.extend(partition.send(link, at, topic_id, identity, &mut cx));
                    if partition.has_more() {
                        // Behind all others, so that each has its turn.
                        offers.add(offer);
                    } else {
                        partition.standing.withdraw();
                    }
                }
                Candidate::At(time) => offers.rest(offer, &mut partition.standing, time),
                // Whatever it waits for offers it again.
                Candidate::None => partition.standing.withdraw(),
            }
        }
        let wait = offers.next();
        cx.outbox.put_offers(link.node, offers);
        // Names are compared only where they differ: nearly always they are one.
        parts.sort_unstable_by(|a: &Part, b| match a.topic == b.topic {
            true => a.partition.cmp(&b.partition),
            false => a.topic.cmp(&b.topic),
        });
        (parts, wait)
    }

    /// What was to be sent to a node from a time on can be sent once that has come.
    fn ripen(&mut self, node: NodeId, now: Instant) {
        let partitions = &mut self.partitions;
        let stands = |offer: Offer| {
            partitions.of_mut(offer.lane).is_some_and(|partition| partition.standing.ripen(offer))
        };
        self.outbox.ripen(node, stands, now);
    }

    /// The sizes of the batches that wait to be sent to a node, or for their seal. What is offered and backs off, or waits for
    /// something else, does not go into the next request: it takes no room from what can be sent.
    fn waiting_size(&self, node: NodeId, now: Instant) -> usize {
        let numbers = self.identity.numbers();
        let offers = self.outbox.sendable(node);
        let partitions = offers.filter_map(|offer| {
            self.partitions.of(offer.lane).filter(|partition| partition.standing.is(offer))
        });
        partitions.map(|partition| partition.waiting_size(now, numbers)).sum()
    }
}
