//! [`Turns`]: who drains next where more is ready than can be sealed at once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kafka_wire::NodeId;

use super::timers::{Timer, Timers};

/// Nodes that found no room to seal: those that have not been served go first, in the order in which they came, and then those that
/// may have more. Nobody takes room before the first of them, so that one busy broker does not keep the compressor from all others.
///
/// A node that is called and does not come (its pump was ended, or gets no turn) is passed over after a while: the timer `Turn`
/// runs while the first one is waited for.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// They came, and there was no room.
    refused: VecDeque<NodeId>,
    /// They took the last room there was.
    served: VecDeque<NodeId>,
}

impl Turns {
    /// Whether a node may drain now. If not, it has a place in the queue from now on.
    pub(super) fn admits(&mut self, node: NodeId, has_room: bool, timers: &mut Timers) -> bool {
        let may_drain = has_room && self.first().is_none_or(|first| first == node);
        if !may_drain && !self.refused.contains(&node) {
            self.remove(node, timers);
            self.refused.push_back(node);
        }
        may_drain
    }

    /// A node has drained what it could. `is_starved`: it may have more, for which there is no room.
    pub(super) fn took(&mut self, node: NodeId, is_starved: bool, timers: &mut Timers) {
        self.remove(node, timers);
        if is_starved {
            self.served.push_back(node);
        }
    }

    /// There is room: gives who is to be woken.
    pub(super) fn call(&self, now: Instant, timers: &mut Timers) -> Option<NodeId> {
        let first = self.first()?;
        if !timers.is_set(Timer::Turn) {
            timers.set_at(Timer::Turn, now.checked_add(PATIENCE));
        }
        Some(first)
    }

    /// Whether there is room for a node that had none.
    pub(super) fn has_called(&self, node: NodeId, timers: &Timers) -> bool {
        timers.is_set(Timer::Turn) && self.first() == Some(node)
    }

    /// A node cannot come: it has no connection.
    pub(super) fn leave(&mut self, node: NodeId, timers: &mut Timers) {
        self.remove(node, timers);
    }

    /// Passes over a node that was called and did not come. Whether there was one.
    pub(super) fn handle_timeout(&mut self, now: Instant, timers: &mut Timers) -> bool {
        let is_late = timers.is_due(Timer::Turn, now);
        if let (true, Some(first)) = (is_late, self.first()) {
            self.remove(first, timers);
        }
        is_late
    }

    pub(super) fn clear(&mut self, timers: &mut Timers) {
        *self = Self::default();
        timers.stop(Timer::Turn);
    }

    fn first(&self) -> Option<NodeId> {
        self.refused.front().or_else(|| self.served.front()).copied()
    }

    fn remove(&mut self, node: NodeId, timers: &mut Timers) {
        if self.first() == Some(node) {
            timers.stop(Timer::Turn);
        }
        self.refused.retain(|other| *other != node);
        self.served.retain(|other| *other != node);
    }
}

/// A pump that is woken comes within a moment, unless its thread is kept from it.
const PATIENCE: Duration = Duration::from_millis(100);
