//! What the [`Sender`](super::Sender) wants done outside of it, where no lock is held.

use std::sync::Arc;

use kafka_wire::{ErrorCode, NodeId, TopicName};

use super::{LaneId, Sealed, log::Event};
use crate::delivery::{BatchResult, Outcome};

/// Things to be done where no lock is held.
#[derive(Debug, Default)]
#[must_use = "callers wait for what is in here"]
pub(crate) struct Effects {
    /// Outcomes to be set.
    pub(crate) resolved: Vec<Resolution>,
    /// Batches nobody needs any more: dropping them may wake those who wait for memory.
    pub(crate) released: Vec<Sealed>,
    /// Nodes whose pump has something new to look at.
    pub(crate) wake: Vec<NodeId>,
    /// Partitions that have another leader.
    pub(crate) routes: Vec<Route>,
    /// Partitions that appeared.
    pub(crate) grown: Vec<Grown>,
    /// What there is to know about topics now.
    pub(crate) news: Vec<News>,
    /// Batches to be made smaller.
    pub(crate) splits: Vec<SplitJob>,
    /// Brokers came, left or moved: see [`view`](super::Sender::view).
    pub(crate) brokers: bool,
    /// All connections lead nowhere.
    pub(crate) hang_up: bool,
    /// All connections lead to another cluster than the one that is meant now: each is to be hung up on, also where its broker's
    /// id is known, before anything else is done.
    pub(crate) begins_anew: bool,
    /// Nodes that are to be hung up on, and may be connected to again.
    pub(crate) hang_up_on: Vec<NodeId>,
    /// No broker can be used, and waiting will not help: see [`hopeless_since`](super::Sender::hopeless_since).
    pub(crate) hopeless: bool,
    /// Everything that waits is to be given up with this error; later batches may fare better.
    pub(crate) refused: Option<ErrorCode>,
    /// Everything is to be given up: see [`abort`](super::Sender::abort).
    pub(crate) fatal: Option<ErrorCode>,
    /// [`poll_timeout`](super::Sender::poll_timeout) may be another now.
    pub(crate) timer: bool,
    /// What is to be logged.
    pub(crate) events: Vec<Event>,
}

impl Effects {
    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            resolved,
            released,
            wake,
            routes,
            grown,
            news,
            splits,
            brokers,
            hang_up,
            begins_anew,
            hang_up_on,
            hopeless,
            refused,
            fatal,
            timer,
            events,
        } = self;
        resolved.is_empty()
            && released.is_empty()
            && wake.is_empty()
            && routes.is_empty()
            && grown.is_empty()
            && news.is_empty()
            && splits.is_empty()
            && events.is_empty()
            && hang_up_on.is_empty()
            && !(*brokers
                || *hang_up
                || *begins_anew
                || *hopeless
                || refused.is_some()
                || fatal.is_some()
                || *timer)
    }

    /// Everything was carried out. The lists are empty, and keep their memory.
    pub(crate) fn reset(&mut self) {
        (self.brokers, self.hang_up, self.hopeless, self.timer) = (false, false, false, false);
        (self.refused, self.fatal, self.begins_anew) = (None, None, false);
        debug_assert!(self.is_empty(), "what was carried out was taken out");
    }

    /// Takes over what is to be done by others.
    pub(super) fn append(&mut self, others: &mut Self) {
        self.resolved.append(&mut others.resolved);
        self.released.append(&mut others.released);
        self.wake.append(&mut others.wake);
        self.routes.append(&mut others.routes);
        self.grown.append(&mut others.grown);
        self.news.append(&mut others.news);
        self.splits.append(&mut others.splits);
        self.hang_up_on.append(&mut others.hang_up_on);
        self.events.append(&mut others.events);
        self.brokers |= others.brokers;
        self.hang_up |= others.hang_up;
        self.begins_anew |= others.begins_anew;
        self.hopeless |= others.hopeless;
        self.timer |= others.timer;
        self.refused = self.refused.or(others.refused);
        self.fatal = self.fatal.or(others.fatal);
        others.reset();
    }

    /// A node's pump is to look.
    pub(super) fn wake(&mut self, node: NodeId) {
        if !self.wake.contains(&node) {
            self.wake.push(node);
        }
    }
}

/// A batch has its result.
#[derive(Debug)]
pub(crate) struct Resolution {
    pub(crate) outcome: Arc<Outcome>,
    pub(crate) result: BatchResult,
}

/// Where a partition's records go.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) lane: LaneId,
    pub(crate) leader: Option<NodeId>,
}

/// Partitions of a topic that appeared. Their lanes are the next ones, in order.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) topic: TopicName,
    /// The first of them.
    pub(crate) first: u32,
    pub(crate) lanes: Vec<LaneId>,
}

/// What there is to know about a topic now.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) topic: TopicName,
    /// How many partitions it has.
    pub(crate) partitions: u32,
    /// What is wrong with it, as far as the brokers say.
    pub(crate) trouble: Option<ErrorCode>,
    /// Partitions that have a leader.
    pub(crate) available: Vec<u32>,
}

/// A batch that is too large for its broker.
#[derive(Debug)]
pub(crate) struct SplitJob {
    pub(crate) lane: LaneId,
    pub(crate) key: u64,
    pub(crate) batch: Sealed,
}
