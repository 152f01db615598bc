//! Who leads a partition, and which partition it is: what the cluster tells of it.

use std::time::Instant;

use kafka_wire::NodeId;

use super::{
    super::{effects::Route, ledger::Place},
    Cx, Partition,
};
use crate::{error::FailureKind, planted::planted};

impl Partition {
    /// The cluster names its leader, or none.
    pub(in crate::sender) fn lead_by(&mut self, leader: Option<NodeId>, epoch: Option<i32>, cx: &mut Cx<'_>) {
        let old = self.leader;
        let is_newer = epoch > self.leader_epoch;
        if old == leader && !is_newer {
            return;
        }
        self.leader = leader;
        self.leader_epoch = epoch.max(self.leader_epoch);
        self.leaderless.note(leader.is_none(), cx.now);
        if self.is_orphan() {
            cx.routes.note_orphan(self.lane);
        }
        if let Some(leader) = leader {
            // A leader that was elected out of turn may not know the producer.
            self.ledger.forget();
            self.ledger.end_rest(cx.now);
            if cx.identity.is_idempotent() {
                self.recall(leader, cx);
            }
        }
        if old != leader {
            // What the old leader was offered is void.
            self.standing.withdraw();
            cx.out.effects.routes.push(Route { lane: self.lane, leader });
        }
        if !self.ledger.is_empty() {
            self.offer(cx);
        }
    }

    /// What is still out at an old leader is to be sent to the new one with the same numbers. The old leader's answer may
    /// never come, or say nothing that counts; numbers make it safe to ask the new one as well.
    fn recall(&mut self, leader: NodeId, cx: &mut Cx<'_>) {
        for at in 0..self.ledger.len() {
            let Some(entry) = self.ledger.entry(at) else { continue };
            let (Place::InFlight { link, .. }, attempts) = (entry.place, entry.attempts) else { continue };
            if link.node == leader {
                continue;
            }
            let why = format!("broker {leader} leads the partition now");
            self.note_attempt(at, link.node, None, Some(why), cx);
            let delay = cx.settings.retry_backoff.delay(attempts.saturating_sub(1), cx.rng);
            let from = if self.ledger.may_hop(at) { cx.now } else { cx.now + delay };
            self.ledger.abandon(at, from);
        }
    }

    /// Its topic has it, or has it no more.
    pub(in crate::sender) fn note_gone(&mut self, is_gone: bool, now: Instant) {
        self.gone.note(is_gone, now);
    }

    /// The cluster has told of its topic again, for which batches waited.
    pub(in crate::sender) fn end_wait_for_topic(&mut self, cx: &mut Cx<'_>) {
        if self.leader.is_some() {
            self.leaderless.note(false, cx.now);
            self.offer_more(cx);
        }
    }

    /// Its topic is another one of the same name, whose epochs begin again.
    pub(in crate::sender) fn start_over(&mut self) {
        self.ledger.start_over(self.is_by_name);
        self.leader_epoch = None;
    }

    /// Another cluster has taken the place of the one there was. What may be in the old log is given up; what was learnt of a
    /// partition was learnt of another one.
    pub(in crate::sender) fn move_to_another_cluster(&mut self, cx: &mut Cx<'_>) {
        self.give_up_doubtful(cx);
        self.lead_by(None, None, cx);
        self.leader_epoch = None;
        self.is_by_name = true;
        self.standing.withdraw();
        if !planted!(NumbersOutliveCluster) {
            self.ledger.move_to_another_cluster();
        }
    }

    /// Gives up what may be in the old log.
    fn give_up_doubtful(&mut self, cx: &mut Cx<'_>) {
        // Looked at before any is taken out, since that may tell of those behind it.
        let doubtful = |at: usize| match self.ledger.entry(at) {
            Some(entry) if planted!(DoubtOutlivesCluster) => matches!(entry.place, Place::InFlight { .. }),
            _ => self.ledger.is_doubtful(at, false),
        };
        let entries = self.ledger.iter().enumerate().filter(|(at, _)| doubtful(*at));
        let keys: Vec<u64> = entries.map(|(_, entry)| entry.key).collect();
        if !keys.is_empty() {
            self.fail_where(FailureKind::ClusterChanged, |entry| keys.contains(&entry.key), cx);
        }
    }
}
