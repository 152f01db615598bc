//! Which brokers can be talked to, and which one to ask when any will do.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kafka_wire::NodeId;

use super::view::Broker;
use crate::{config::Endpoint, enquiry::Pick, error::NetError, feed::Status};

/// The brokers of the view, with the state of the connection to each.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    nodes: BTreeMap<NodeId, Node>,
    /// Where the search begins, so that equals take turns.
    turn: usize,
}

#[derive(Debug)]
struct Node {
    endpoint: Endpoint,
    link: Link,
    /// Dialled last; `None` is never.
    dialled: Option<Instant>,
    /// Whoever it is that answers there, he does not do what is asked of a broker.
    is_useless: bool,
    /// Its last answer was older than what others said.
    lags: bool,
    /// It is of another cluster, and left alone until then.
    barred: Option<Instant>,
    /// How often that was found in a row.
    misses: u32,
}

impl Node {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            link: Link::Rest,
            dialled: None,
            is_useless: false,
            lags: false,
            barred: None,
            misses: 0,
        }
    }

    fn is_barred(&self, now: Instant) -> bool {
        self.barred.is_some_and(|until| now < until)
    }
}

#[derive(Debug)]
enum Link {
    /// Never dialled, or closed without a fault.
    Rest,
    Connecting {
        since: Instant,
    },
    Ready,
    Down {
        until: Option<Instant>,
        error: NetError,
    },
}

/// How well a broker can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    /// Or silent.
    Lagging,
    Useless,
}

impl Nodes {
    pub(crate) fn starting_at(turn: usize) -> Self {
        Self { nodes: BTreeMap::new(), turn }
    }

    /// Takes the brokers of a new view; those that were there before at the same address keep their state.
    pub(crate) fn replace(&mut self, brokers: &BTreeMap<NodeId, Broker>) {
        let mut old = std::mem::take(&mut self.nodes);
        for broker in brokers.values() {
            let node = old.remove(&broker.node).filter(|node| node.endpoint == broker.endpoint);
            let node = node.unwrap_or_else(|| Node::new(broker.endpoint.clone()));
            self.nodes.insert(broker.node, node);
        }
    }

    /// Takes the brokers of another cluster, to which no connection leads.
    pub(crate) fn start_over(&mut self, brokers: &BTreeMap<NodeId, Broker>) {
        self.nodes.clear();
        self.replace(brokers);
    }

    /// A broker is of another cluster. How often that was so before, in a row.
    pub(crate) fn note_other(&mut self, node: NodeId) -> u32 {
        let Some(node) = self.nodes.get_mut(&node) else { return 0 };
        let misses = node.misses;
        node.misses = misses.saturating_add(1);
        misses
    }

    /// That was found before the broker was in this list.
    pub(crate) fn note_other_before(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.misses = node.misses.max(1);
        }
    }

    /// A broker is of the cluster that is meant.
    pub(crate) fn note_same(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            (node.misses, node.barred) = (0, None);
        }
    }

    /// Whether one of these may still be of the cluster that is meant, as far as was tried lately; `is_silent` says who was
    /// asked and has not answered for a while.
    pub(crate) fn may_any_be_same(
        &self,
        nodes: impl Iterator<Item = NodeId>,
        is_silent: impl Fn(NodeId) -> bool,
        now: Instant,
    ) -> bool {
        let mut known = nodes.filter_map(|id| Some((id, self.nodes.get(&id)?)));
        known.any(|(id, node)| match node.link {
            _ if node.misses > 0 || node.is_useless => false,
            Link::Rest => node.dialled.is_none(),
            Link::Connecting { since } => now.saturating_duration_since(since) < PATIENCE,
            Link::Ready => !is_silent(id),
            // Whatever it was, it was tried.
            Link::Down { .. } => false,
        })
    }

    /// A broker is left alone until then.
    pub(crate) fn bar(&mut self, node: NodeId, until: Option<Instant>) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.barred = until;
        }
    }

    pub(crate) fn handle_status(&mut self, node: NodeId, status: &Status, now: Instant) {
        let Some(node) = self.nodes.get_mut(&node) else { return };
        // Another connection may lead to another program.
        node.is_useless &= !matches!(status, Status::Ready);
        node.link = match status {
            Status::Connecting => match node.link {
                Link::Connecting { since } => Link::Connecting { since },
                _ => {
                    node.dialled = Some(now);
                    Link::Connecting { since: now }
                }
            },
            Status::Ready => Link::Ready,
            Status::Down { error, .. } if error.is_idle() || error.is_aborted() => Link::Rest,
            Status::Down { error, retry_after } => {
                Link::Down { until: now.checked_add(*retry_after), error: error.clone() }
            }
        };
    }

    /// A connected broker cannot do what every broker should.
    pub(crate) fn note_useless(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.is_useless = true;
        }
    }

    /// It does what every broker should: it may not have been able to for a while.
    pub(crate) fn note_useful(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.is_useless = false;
        }
    }

    /// A broker answered: older news than others (or none), or not.
    pub(crate) fn note_answer(&mut self, node: NodeId, lags: bool) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.lags = lags;
        }
    }

    /// All is known that was missing: whoever lagged may have caught up.
    pub(crate) fn forget_lags(&mut self) {
        self.nodes.values_mut().for_each(|node| node.lags = false);
    }

    /// Whether there is a connection to a broker.
    pub(crate) fn is_ready(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| matches!(node.link, Link::Ready))
    }

    /// Picks a broker; `load` gives the calls a ready one has in flight, `None` if it can take none. The caller dials
    /// a [`Pick::Connect`] now.
    pub(crate) fn pick(&mut self, load: impl Fn(NodeId) -> Option<usize>, now: Instant) -> Pick {
        self.pick_by(load, false, now)
    }

    /// As [`pick`](Self::pick), for a question about the cluster: one that lags or is silent is asked only if no other one can
    /// be, those included that have to be connected to first.
    pub(crate) fn pick_informed(&mut self, load: impl Fn(NodeId) -> Option<usize>, now: Instant) -> Pick {
        self.pick_by(load, true, now)
    }

    fn pick_by(&mut self, load: impl Fn(NodeId) -> Option<usize>, informed: bool, now: Instant) -> Pick {
        let count = self.nodes.len();
        if count == 0 {
            return Pick::Nobody;
        }
        self.turn = self.turn.wrapping_add(1) % count;
        let in_turn = || self.nodes.iter().cycle().skip(self.turn).take(count);
        let is_silent = |id: NodeId| load(id).is_some_and(|load| load >= SILENT_LOAD);
        let standing = |id: NodeId, node: &Node| match node.is_useless {
            true => Standing::Useless,
            false if informed && (node.lags || is_silent(id)) => Standing::Lagging,
            false => Standing::Good,
        };
        let least = |wanted: Standing| {
            let ready = in_turn().filter(|(id, node)| {
                matches!(node.link, Link::Ready) && standing(**id, node) == wanted && !node.is_barred(now)
            });
            let loads = ready.filter_map(|(&id, _)| load(id).map(|load| (load, id)));
            loads.min_by_key(|&(load, _)| load).map(|(_, id)| id)
        };
        if let Some(id) = least(Standing::Good) {
            return Pick::Ready(id);
        }
        // One that takes long does not keep us from trying another beside it.
        let fresh = |since: Instant| now.saturating_duration_since(since) < PATIENCE;
        if in_turn().any(|(_, node)| matches!(node.link, Link::Connecting { since } if fresh(since))) {
            return Pick::Wait;
        }
        let dialable = in_turn().filter(|(_, node)| match node.link {
            _ if node.is_barred(now) => false,
            Link::Rest => true,
            Link::Down { until, .. } => until.is_some_and(|until| until <= now),
            Link::Connecting { .. } | Link::Ready => false,
        });
        let lags = |node: &Node| informed && node.lags;
        // First those of which nothing is known, not even that they are of another cluster.
        let is_known = |node: &Node| node.dialled.is_some() || node.misses > 0;
        let oldest = dialable.min_by_key(|(_, node)| (lags(node), is_known(node), node.dialled));
        let is_better = oldest.is_some_and(|(_, node)| !lags(node));
        if let (false, Some(id)) = (is_better, least(Standing::Lagging)) {
            return Pick::Ready(id);
        }
        let oldest = oldest.map(|(&id, _)| id);
        // With nobody else left, one that was of no use is asked again: it may have learnt.
        if let (None, Some(id)) = (oldest, least(Standing::Useless)) {
            return Pick::Ready(id);
        }
        if let Some(node) = oldest.and_then(|id| self.nodes.get_mut(&id)) {
            node.link = Link::Connecting { since: now };
            node.dialled = Some(now);
        }
        match oldest {
            Some(id) => Pick::Connect(id),
            None if self
                .nodes
                .values()
                .all(|node| matches!(node.link, Link::Down { .. }) || node.is_barred(now)) =>
            {
                Pick::Nobody
            }
            None => Pick::Wait,
        }
    }

    /// As [`pick`](Self::pick), with one broker to pick from.
    pub(crate) fn reach(&mut self, node: NodeId, now: Instant) -> Pick {
        let Some(known) = self.nodes.get_mut(&node).filter(|known| !known.is_barred(now)) else {
            return Pick::Nobody;
        };
        match known.link {
            Link::Ready => return Pick::Ready(node),
            Link::Connecting { .. } => return Pick::Wait,
            Link::Down { until, .. } if until.is_none_or(|until| until > now) => return Pick::Nobody,
            Link::Rest | Link::Down { .. } => {}
        }
        (known.link, known.dialled) = (Link::Connecting { since: now }, Some(now));
        Pick::Connect(node)
    }

    /// When [`pick`](Self::pick) may give something else although nobody reports.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        let changes = self.nodes.values().filter_map(|node| match node.link {
            Link::Connecting { since } => since.checked_add(PATIENCE),
            Link::Down { until, .. } => until,
            Link::Rest | Link::Ready => None,
        });
        let barred = self.nodes.values().filter_map(|node| node.barred);
        changes.chain(barred).filter(|&change| change > now).min()
    }

    /// Whether every broker failed for a reason that does not pass by itself.
    pub(crate) fn are_all_hopeless(&self) -> bool {
        let is_hopeless = |node: &Node| match &node.link {
            Link::Down { error, .. } => !error.is_retriable(),
            Link::Ready => node.is_useless,
            Link::Rest | Link::Connecting { .. } => false,
        };
        !self.nodes.is_empty() && self.nodes.values().all(is_hopeless)
    }
}

/// The load of a broker that has not answered for a while: a question would wait behind what it was asked before. More than any
/// number of calls.
pub const SILENT_LOAD: usize = 1 << 20;

/// How long a connection may be in the making before another broker is dialled beside it.
const PATIENCE: Duration = Duration::from_secs(1);
