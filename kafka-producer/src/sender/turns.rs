//! [`Turns`]: who drains next where more is ready than can be sealed at once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use kafka_wire::NodeId;

use super::timers::{Timer, Timers};

/// How many batches are being sealed, and the nodes that found no room for more: those that have not been served go first, in
/// the order in which they came, and then those that may have more. Nobody takes room before the first of them, so that one busy
/// broker does not keep the compressor from all others.
///
/// A node that is called and does not come (its pump was ended, or gets no turn) is passed over after a while: the timer `Turn`
/// runs while the first one is waited for.
#[derive(Debug)]
pub(super) struct Turns {
    /// Batches that were drained and are not sealed yet.
    sealing: usize,
    /// How many may be.
    max_sealing: usize,
    /// How often batches were drained.
    drains: u64,
    /// They came, and there was no room.
    refused: VecDeque<NodeId>,
    /// They took the last room there was.
    served: VecDeque<NodeId>,
}

impl Turns {
    pub(super) fn new(max_sealing: usize) -> Self {
        Self { sealing: 0, max_sealing, drains: 0, refused: VecDeque::new(), served: VecDeque::new() }
    }

    /// Whether one more batch can be sealed.
    pub(super) fn has_room(&self) -> bool {
        self.sealing < self.max_sealing
    }

    /// Whether a node may drain now. If not, it has a place in the queue from now on.
    pub(super) fn admits(&mut self, node: NodeId, timers: &mut Timers) -> bool {
        if !self.is_bounded() {
            return true;
        }
        let may_drain = self.has_room() && self.first().is_none_or(|first| first == node);
        if !may_drain && !self.refused.contains(&node) {
            self.remove(node, timers);
            self.refused.push_back(node);
        }
        may_drain
    }

    /// A node drains: gives the number of this time.
    pub(super) fn begin(&mut self) -> u64 {
        self.drains += 1;
        self.drains
    }

    /// A batch was drained.
    pub(super) fn take_room(&mut self) {
        self.sealing += 1;
    }

    /// A node has drained what it could. If there is no room left, it may have more. Gives who is to be woken.
    pub(super) fn end(&mut self, node: NodeId, now: Instant, timers: &mut Timers) -> Option<NodeId> {
        if !self.is_bounded() {
            return None;
        }
        self.remove(node, timers);
        if !self.has_room() {
            self.served.push_back(node);
        }
        self.call(now, timers)
    }

    /// A batch is sealed, or lost. Gives who is to be woken.
    pub(super) fn give_room(&mut self, now: Instant, timers: &mut Timers) -> Option<NodeId> {
        self.sealing = self.sealing.saturating_sub(1);
        self.call(now, timers)
    }

    /// Whether there is room for a node that had none.
    pub(super) fn has_called(&self, node: NodeId, timers: &Timers) -> bool {
        timers.is_set(Timer::Turn) && self.first() == Some(node)
    }

    /// A node cannot come: it has no connection. Gives who is to be woken.
    pub(super) fn leave(&mut self, node: NodeId, now: Instant, timers: &mut Timers) -> Option<NodeId> {
        self.remove(node, timers);
        self.call(now, timers)
    }

    /// Passes over a node that was called and did not come. Gives who is to be woken.
    pub(super) fn handle_timeout(&mut self, now: Instant, timers: &mut Timers) -> Option<NodeId> {
        if !timers.is_due(Timer::Turn, now) {
            return None;
        }
        if let Some(first) = self.first() {
            self.remove(first, timers);
        }
        self.call(now, timers)
    }

    pub(super) fn clear(&mut self, timers: &mut Timers) {
        *self = Self::new(self.max_sealing);
        timers.stop(Timer::Turn);
    }

    fn is_bounded(&self) -> bool {
        self.max_sealing != usize::MAX
    }

    /// If there is room, whoever had to stop for the lack of it goes on, the first one first.
    fn call(&self, now: Instant, timers: &mut Timers) -> Option<NodeId> {
        let first = self.first().filter(|_| self.has_room())?;
        if !timers.is_set(Timer::Turn) {
            timers.set_at(Timer::Turn, now.checked_add(PATIENCE));
        }
        Some(first)
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
