//! [`Partition`]: its unresolved batches, and what is known of it.
//!
//! A partition owns its ledger, who leads it, and when it had no leader. An event of one partition is one call here: who has
//! the event finds the partition once and hands it [the other rooms](Cx).
//!
//! # Invariants
//! * What the leader of before was offered is void once there is another one.
//! * After each answer, and whenever batches were given up, a partition that needs another epoch has it, or waits for a
//!   producer id ([`settle`](Partition::settle)).

mod answers;
mod ending;
mod leaders;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use kafka_batch::{DrainedBatch, Stamp};
use kafka_wire::{NodeId, PartitionId, Records, TopicId, TopicName};

use super::{
    LaneId, Sealed, SenderSettings, SplitJob,
    call::Part,
    expiry::{Expiries, Expiry},
    identity::IdentityMachine,
    ledger::{Arrival, Candidate, Entry, Ledger, Numbers, Place},
    log::Event,
    outbox::{Link, Outbox, Standing},
    outlet::Outlet,
    routes::Routes,
    sequence::Identity,
    timers::Timers,
    waits::Spans,
};
use crate::{
    delivery::Outcome,
    error::FailureKind,
    planted::{planted, slip},
};

#[derive(Debug)]
pub(super) struct Partition {
    lane: LaneId,
    topic: TopicName,
    index: i32,
    leader: Option<NodeId>,
    leader_epoch: Option<i32>,
    ledger: Ledger<Sealed>,
    /// The last answer named it by no id, or there was none.
    is_by_name: bool,
    /// The outbox's: its offer to its leader.
    pub(super) standing: Standing,
    /// The expiries': its entry there.
    expiry: Expiry,
    /// When it had no leader.
    leaderless: Spans,
    /// When its topic did not have it any more.
    gone: Spans,
    /// The [`drain`](super::Sender::drain) that last took a batch of it.
    drained_in: u64,
}

/// The other rooms of the sender: what an event of a partition is handed.
pub(super) struct Cx<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a SenderSettings,
    pub(super) identity: &'a mut IdentityMachine,
    pub(super) routes: &'a mut Routes,
    pub(super) outbox: &'a mut Outbox,
    pub(super) expiries: &'a mut Expiries,
    pub(super) timers: &'a mut Timers,
    pub(super) rng: &'a mut fastrand::Rng,
    pub(super) out: &'a mut Outlet,
}

/// All partitions that are produced to, by their lanes.
#[derive(Debug, Default)]
pub(super) struct Partitions(Vec<Partition>);

impl Partitions {
    pub(super) fn of(&self, lane: LaneId) -> Option<&Partition> {
        self.0.get(lane.0 as usize)
    }

    pub(super) fn of_mut(&mut self, lane: LaneId) -> Option<&mut Partition> {
        self.0.get_mut(lane.0 as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.0.iter_mut()
    }

    /// The lane that the next partition gets.
    pub(super) fn next_lane(&self) -> LaneId {
        LaneId(self.0.len() as u32)
    }

    /// A partition of a topic appeared: it gets the next lane.
    pub(super) fn push(&mut self, topic: &TopicName, index: i32, max_unresolved: usize) {
        self.0.push(Partition {
            lane: self.next_lane(),
            topic: topic.clone(),
            index,
            leader: None,
            leader_epoch: None,
            ledger: Ledger::new(max_unresolved),
            is_by_name: true,
            standing: Standing::default(),
            expiry: Expiry::default(),
            leaderless: Spans::missing(),
            gone: Spans::there(),
            drained_in: 0,
        });
    }

    /// Takes all batches out, after a panic.
    pub(super) fn tear_down(&mut self) -> impl Iterator<Item = Entry<Sealed>> + use<> {
        std::mem::take(&mut self.0).into_iter().flat_map(|partition| partition.ledger.into_entries())
    }
}

impl Partition {
    pub(super) fn topic(&self) -> &TopicName {
        &self.topic
    }

    pub(super) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whether none of its batches is unresolved.
    pub(super) fn is_empty(&self) -> bool {
        self.ledger.is_empty()
    }

    pub(super) fn is_orphan(&self) -> bool {
        self.leader.is_none() && !self.ledger.is_empty()
    }

    /// Its batches, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<Sealed>> {
        self.ledger.iter()
    }

    /// Whether one more batch may be taken out of its lane, in this drain.
    pub(super) fn has_room(&self, drain: u64) -> bool {
        self.ledger.has_room() && self.drained_in != drain
    }

    /// What it can send next, as [`Ledger::candidate`] says.
    pub(super) fn candidate(&self, now: Instant, numbers: Option<Numbers>) -> Candidate {
        self.ledger.candidate(now, numbers)
    }

    /// The sizes of its batches that wait to be sent, if it can send one now, or for their seal.
    pub(super) fn waiting_size(&self, now: Instant, numbers: Option<Numbers>) -> usize {
        let goes_now = matches!(self.candidate(now, numbers), Candidate::Now(_));
        let entries = self.ledger.iter().filter(|entry| match entry.place {
            Place::Waiting(_) => goes_now,
            Place::Sealing => true,
            _ => false,
        });
        entries.map(|entry| entry.size).sum()
    }

    /// A batch was drained: gives its key, and the numbers it will have if all goes well.
    pub(super) fn enter(
        &mut self,
        batch: &DrainedBatch<Arc<Outcome>>,
        drain: u64,
        cx: &mut Cx<'_>,
    ) -> (u64, Stamp) {
        self.drained_in = drain;
        let key = self.ledger.enter(Arrival {
            count: batch.count(),
            begun: batch.created(),
            entered: cx.now,
            deadline: batch.expires_at(),
            outcome: Arc::clone(batch.tag()),
            size: batch.size(),
        });
        slip!();
        let stamp = cx.identity.known().map_or(Stamp::NONE, |identity| {
            let (identity, base_sequence) = self.ledger.expected(identity);
            stamp(identity, base_sequence)
        });
        cx.out.enter(1);
        cx.out.counters.drained(batch.reason(), batch.count(), batch.size());
        self.expire_by(batch.expires_at(), cx);
        (key, stamp)
    }

    /// A batch is sealed, and can be sent.
    pub(super) fn handle_sealed(&mut self, key: u64, batch: Sealed, cx: &mut Cx<'_>) {
        // It may have expired meanwhile.
        let Some(at) = self.ledger.find(key) else {
            cx.out.effects.released.push(batch);
            return;
        };
        if let Some(entry) = self.ledger.entry_mut(at) {
            entry.batch = Some(batch);
            entry.sealed = Some(cx.now);
            entry.place = Place::Waiting(cx.now);
        }
        self.offer(cx);
    }

    /// Sends one batch, which [`candidate`](Self::candidate) named: its number is given, its header stamped.
    pub(super) fn send(
        &mut self,
        link: Link,
        at: usize,
        topic_id: TopicId,
        identity: Option<Identity>,
        cx: &mut Cx<'_>,
    ) -> Option<Part> {
        if self.ledger.entry(at).is_none_or(|entry| entry.batch.is_none()) {
            debug_assert!(false, "what is to be sent has its bytes");
            // Else it would count as in flight, and nobody could answer for it.
            self.fail(at, FailureKind::Lost, None, cx);
            return None;
        }
        let (identity, sequence, attempt) = self.ledger.send(at, link, cx.now, identity);
        slip!();
        let entry = self.ledger.entry_mut(at)?;
        if attempt > 1 {
            cx.out.counters.retries += 1;
        }
        let batch = entry.batch.as_mut()?;
        batch.stamp(stamp(identity, sequence));
        Some(Part {
            lane: self.lane,
            key: entry.key,
            attempt,
            topic: self.topic.clone(),
            topic_id,
            partition: PartitionId(self.index),
            records: match planted!(EarlyCredit) {
                false => batch.records(),
                // A copy, which nobody counts.
                true => Records::from_chunks([Bytes::from(batch.records().to_bytes().to_vec())]),
            },
        })
    }

    /// Whether a batch waits here, to be sent or for its bytes. What waits is newer than what is in flight: it is seen at the
    /// first look.
    pub(super) fn has_more(&self) -> bool {
        self.ledger.iter().rev().any(|entry| !matches!(entry.place, Place::InFlight { .. }))
    }

    /// The size of a batch.
    pub(super) fn size_of(&self, at: usize) -> Option<usize> {
        self.ledger.entry(at).map(|entry| entry.size)
    }

    /// Its topic is not known any more: its id may be another one by now, and so may its leaders.
    pub(super) fn await_topic(&mut self, cx: &mut Cx<'_>) {
        self.standing.withdraw();
        self.leaderless.note(true, cx.now);
        cx.routes.await_topic(&self.topic);
    }

    /// Puts it among those its leader is asked about, and wakes the leader's pump.
    pub(super) fn offer(&mut self, cx: &mut Cx<'_>) {
        let Some(leader) = self.leader else { return };
        cx.outbox.offer(self.lane, &mut self.standing, leader);
        if !planted!(LostWakeUp) {
            cx.out.wake(leader);
        }
    }

    /// A batch left the ledger: those behind it may have waited for that, and the lane may give one more.
    fn offer_more(&mut self, cx: &mut Cx<'_>) {
        if self.ledger.iter().any(|entry| matches!(entry.place, Place::Waiting(_))) {
            self.offer(cx);
        } else if let Some(leader) = self.leader {
            cx.out.wake(leader);
        }
    }

    /// Bumps the epoch if it is needed, once each of the batches has its answer.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        if cx.identity.known().is_none() || !self.ledger.is_settled() {
            return;
        }
        match cx.identity.next_for(self.ledger.identity(), cx.now, cx.timers) {
            Some(next) => {
                self.ledger.renumber(next);
                let (topic, partition, epoch) = (self.topic.clone(), self.index, next.epoch.0);
                cx.out.tell(Event::EpochBumped { topic, partition, epoch });
                self.offer(cx);
            }
            // The epochs are used up: the partition waits for a new producer id, while others go on under the old one.
            // Asked for by the driver: who is here is in the middle of an answer.
            None => cx.out.effects.timer = true,
        }
    }

    /// There is a producer id: what waited for it goes on.
    pub(super) fn handle_identity(&mut self, cx: &mut Cx<'_>) {
        self.settle(cx);
        if !self.ledger.is_empty() {
            self.offer(cx);
        }
    }

    /// There is no right to a producer id that comes after this one: what waits for another one is given up.
    pub(super) fn refuse_identity(&mut self, old: Identity, kind: FailureKind, cx: &mut Cx<'_>) {
        if self.ledger.waits_for_another_than(old) {
            self.fail_where(kind, |_| true, cx);
        }
    }

    /// Hands a batch out to be made smaller.
    fn split(&mut self, at: usize, cx: &mut Cx<'_>) {
        if cx.identity.is_idempotent() {
            // Its numbers reached a broker: its parts get others, under the next epoch.
            self.ledger.want_bump();
        }
        let Some(entry) = self.ledger.entry_mut(at) else { return };
        let Some(batch) = entry.batch.take() else { return };
        entry.place = Place::Splitting;
        let (lane, key) = (self.lane, entry.key);
        cx.out.tell(Event::Splitting { topic: self.topic.clone(), partition: self.index });
        cx.out.effects.splits.push(SplitJob { lane, key, batch });
        cx.out.counters.splits += 1;
        self.settle(cx);
    }

    /// A batch was split. Its parts take its place.
    pub(super) fn handle_split(&mut self, key: u64, parts: Vec<Sealed>, cx: &mut Cx<'_>) {
        let Some(at) = self.ledger.find(key) else {
            // Given up meanwhile, the parts with it.
            cx.out.effects.released.extend(parts);
            return;
        };
        let (mut first, mut children) = (0, Vec::new());
        for part in &parts {
            let told = if planted!(SplitOffsets) { &parts[0] } else { part };
            children.push((first, Arc::clone(told.tag())));
            first += part.count();
        }
        let entries = parts
            .into_iter()
            .map(|batch| (Arc::clone(batch.tag()), batch.count(), batch.predicted_size(), batch));
        let entries: Vec<_> = entries.collect();
        let added = entries.len().saturating_sub(1);
        let Some(whole) = self.ledger.entry(at).map(|entry| Arc::clone(&entry.outcome)) else { return };
        self.note_on_its_way(at, cx);
        self.ledger.replace(key, entries, cx.now);
        slip!();
        cx.out.replace(whole, children.into_boxed_slice(), added);
        self.offer(cx);
    }

    /// A batch is about to leave the ledger.
    fn note_on_its_way(&self, at: usize, cx: &mut Cx<'_>) {
        let Some(entry) = self.ledger.entry(at) else { return };
        let may_be_written = entry.attempts > 0 || entry.evidence.is_in_doubt();
        cx.out.note_on_its_way(&entry.outcome, entry.count, may_be_written);
    }

    /// A batch expires then.
    fn expire_by(&mut self, deadline: Instant, cx: &mut Cx<'_>) {
        cx.out.effects.timer |= cx.expiries.enter(self.lane, &mut self.expiry, deadline, cx.timers);
    }
}

#[cfg(test)]
impl Partition {
    pub(super) fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    pub(super) fn ledger_mut(&mut self) -> &mut Ledger<Sealed> {
        &mut self.ledger
    }
}

fn stamp(identity: Identity, base_sequence: i32) -> Stamp {
    Stamp { producer_id: identity.id, producer_epoch: identity.epoch, base_sequence, transactional: false }
}
