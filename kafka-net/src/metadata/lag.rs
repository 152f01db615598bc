//! Which answers are older than what is known already. Brokers learn of changes one after the other, and one that lags is
//! asked as well as any other.
//!
//! * **Fewer partitions** under the same topic id are old news: a topic never loses one. Where there are no ids (Metadata before
//!   version 10), the topic may have been made again: that is believed once a second broker says the same.
//! * **Another id** is another topic of that name, and is believed at once. There is no order between two ids: one that was
//!   replaced before is taken for old, until a second broker says it, and nobody contradicts it in between. So whichever is
//!   the topic's id in the end is found once brokers agree, and while they do not, one that lags changes nothing.
//! * **A broker that is not named** may be one that is not known there yet. It stays until a second broker does not name it
//!   either, or the same one again while there is no connection to it.
//!
//! A second broker is one with another id than the first; an address of the bootstrap list is none, since it may lead to either.
//! Where only one broker is known, its second answer has to do: it comes after a back-off.

use std::collections::BTreeMap;

use kafka_wire::{ErrorCode, NodeId, TopicId, messages::MetadataResponseTopic};

use super::view::{Broker, ClusterView, TopicView};

/// Who answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Witness {
    pub(super) node: NodeId,
    /// There is nobody else to be asked.
    pub(super) is_only: bool,
}

impl Witness {
    /// The one that an answer came from, which named these brokers.
    pub(super) fn new(node: NodeId, view: &ClusterView, named: &BTreeMap<NodeId, Broker>) -> Self {
        let known = view.brokers.range(NodeId(0)..).count();
        Self { node, is_only: known.max(named.len()) <= 1 }
    }
}

/// What is made of an answer about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken.
    Taken,
    /// It does not have all partitions. What it has is taken; the others are as they were.
    Short,
    /// Nothing of it is taken.
    Outdated,
}

/// What answers about a topic said that nobody has confirmed.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    claim: Option<(Claim, NodeId)>,
    /// Ids that were replaced, oldest first.
    former: Vec<TopicId>,
    /// The last answer was not taken, or not whole: the topic is asked for again.
    pub(super) is_open: bool,
}

/// What a first broker said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// The topic has this many partitions, fewer than were known.
    Fewer(usize),
    /// The topic has this id, as it had before.
    Id(TopicId),
}

impl Doubts {
    /// An answer came about a topic of which this was known. Whether whoever gave it lags behind is the second value.
    pub(super) fn judge(
        &mut self,
        old: Option<&TopicView>,
        new: &MetadataResponseTopic,
        witness: Witness,
    ) -> (Verdict, bool) {
        let Some(old) = old.filter(|old| !old.partitions.is_empty()) else { return self.take() };
        if new.error_code.is_err() {
            let is_unknown = new.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            // Its error keeps the questions coming, if it may pass.
            self.is_open = false;
            return (Verdict::Taken, is_unknown);
        }
        let (known, told) = (old.id, new.topic_id);
        let has_ids = !known.is_zero() && !told.is_zero();
        if has_ids && known != told {
            if self.former.contains(&told) && !self.is_confirmed(Claim::Id(told), witness) {
                self.is_open = true;
                return (Verdict::Outdated, true);
            }
            self.former.retain(|former| *former != told);
            if self.former.len() >= MAX_FORMER {
                self.former.remove(0);
            }
            self.former.push(known);
            return self.take();
        }
        let count = new.partitions.len();
        if count >= old.partitions.len() || (!has_ids && self.is_confirmed(Claim::Fewer(count), witness)) {
            return self.take();
        }
        self.is_open = true;
        (Verdict::Short, true)
    }

    /// Nothing is doubted any more.
    fn take(&mut self) -> (Verdict, bool) {
        (self.claim, self.is_open) = (None, false);
        (Verdict::Taken, false)
    }

    /// Whether somebody else said the same before; if not, this one said it first.
    fn is_confirmed(&mut self, claim: Claim, witness: Witness) -> bool {
        if witness.node.0 < 0 {
            return false;
        }
        match self.claim {
            Some((said, first)) if said == claim => first != witness.node || witness.is_only,
            _ => {
                self.claim = Some((claim, witness.node));
                false
            }
        }
    }
}

/// Brokers that an answer did not name, and whose answer that was.
#[derive(Debug, Default)]
pub(super) struct Missing(BTreeMap<NodeId, NodeId>);

impl Missing {
    /// Which brokers of the view stay although an answer does not name them.
    pub(super) fn kept(
        &mut self,
        view: &ClusterView,
        named: &BTreeMap<NodeId, Broker>,
        witness: NodeId,
        is_ready: impl Fn(NodeId) -> bool,
    ) -> Vec<Broker> {
        let before = std::mem::take(&mut self.0);
        let unnamed = view.brokers.values().filter(|it| it.node.0 >= 0 && !named.contains_key(&it.node));
        let kept = unnamed.filter(|broker| match before.get(&broker.node) {
            None => true,
            Some(&first) => witness.0 < 0 || (first == witness && is_ready(broker.node)),
        });
        let kept: Vec<_> = kept.cloned().collect();
        let first = |node| before.get(&node).copied().filter(|first| first.0 >= 0).unwrap_or(witness);
        self.0 = kept.iter().map(|broker| (broker.node, first(broker.node))).collect();
        kept
    }

    /// Nothing is known of any broker.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// How many replaced ids of a topic are remembered.
const MAX_FORMER: usize = 8;
