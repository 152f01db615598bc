//! [`Turns`]: who drains next where more is ready than can be sealed at once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kafka_wire::NodeId;

/// Nodes that found no room to seal: those that have not been served go first, in the order in which they came, and then those that
/// may have more. Nobody takes room before the first of them, so that one busy broker does not keep the compressor from all others.
///
/// A node that is called and does not come (its pump was ended, or gets no turn) is passed over after a while.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// They came, and there was no room.
    refused: VecDeque<NodeId>,
    /// They took the last room there was.
    served: VecDeque<NodeId>,
    /// How long the first one is waited for, once there is room.
    called_until: Option<Instant>,
}

impl Turns {
    /// Whether a node may drain now. If not, it has a place in the queue from now on.
    pub(super) fn admits(&mut self, node: NodeId, has_room: bool) -> bool {
        let may_drain = has_room && self.first().is_none_or(|first| first == node);
        if !may_drain && !self.refused.contains(&node) {
            self.remove(node);
            self.refused.push_back(node);
        }
        may_drain
    }

    /// A node has drained what it could. `is_starved`: it may have more, for which there is no room.
    pub(super) fn took(&mut self, node: NodeId, is_starved: bool) {
        self.remove(node);
        if is_starved {
            self.served.push_back(node);
        }
    }

    /// There is room: gives who is to be woken.
    pub(super) fn call(&mut self, now: Instant) -> Option<NodeId> {
        let first = self.first()?;
        self.called_until = self.called_until.or_else(|| now.checked_add(PATIENCE));
        Some(first)
    }

    /// Whether there is room for a node that had none.
    pub(super) fn has_called(&self, node: NodeId) -> bool {
        self.called_until.is_some() && self.first() == Some(node)
    }

    /// A node cannot come: it has no connection.
    pub(super) fn leave(&mut self, node: NodeId) {
        self.remove(node);
    }

    /// Passes over a node that was called and did not come. Whether there was one.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_late = self.called_until.is_some_and(|until| until <= now);
        if let (true, Some(first)) = (is_late, self.first()) {
            self.remove(first);
        }
        is_late
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.called_until
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn first(&self) -> Option<NodeId> {
        self.refused.front().or_else(|| self.served.front()).copied()
    }

    fn remove(&mut self, node: NodeId) {
        if self.first() == Some(node) {
            self.called_until = None;
        }
        self.refused.retain(|other| *other != node);
        self.served.retain(|other| *other != node);
    }
}

/// A pump that is woken comes within a moment, unless its thread is kept from it.
const PATIENCE: Duration = Duration::from_millis(100);
