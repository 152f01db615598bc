//! What tests look at.

use std::{sync::Arc, time::Instant};

use kafka_batch::Wait;
use kafka_wire::{NodeId, TopicName};

use super::Plane;

impl Plane {
    /// Looks at the leader of each partition, as far as it is known, and since which epoch, until `f` finds what it looks for.
    pub(crate) fn find_leader<R>(
        &self,
        mut f: impl FnMut(&TopicName, i32, NodeId, i32) -> Option<R>,
    ) -> Option<R> {
        let control = self.control();
        control.lanes.iter().find_map(|lane| {
            let (leader, epoch) = control.sender.leader_of(lane.id)?;
            f(&lane.topic, lane.partition, leader?, epoch?)
        })
    }

    /// Partitions of which something waits in its lane and nothing is on its way, with their leader: nothing but its own time
    /// keeps that back.
    pub(crate) fn kept_back(&self) -> Vec<(NodeId, TopicName, i32)> {
        let control = self.control();
        let lanes = control.lanes.iter().filter(|lane| control.sender.has_nothing_out(lane.id));
        let lanes = lanes.filter(|lane| !lane.lock().queue.is_empty());
        let lanes = lanes.map(|lane| (lane.lock().gate.node, lane.topic.clone(), lane.partition));
        lanes.filter(|(node, ..)| *node != NodeId::NONE).collect()
    }

    /// Partitions of which something lingers and nothing is on its way, since when it could have been sent, and how many requests
    /// their leader has not answered.
    pub(crate) fn lingering(&self) -> Vec<(TopicName, i32, Instant, usize)> {
        let control = self.control();
        let mut found = Vec::new();
        for lane in control.lanes.iter().filter(|lane| control.sender.has_nothing_out(lane.id)) {
            let gate = Arc::clone(&lane.lock().gate);
            // One without a leader goes nowhere.
            let is_full = Arc::ptr_eq(&gate, &self.nowhere) || gate.lock().is_full();
            let wait = lane.lock().queue.readiness().map(|readiness| readiness.wait);
            let out = control.sender.requests_out(gate.node).filter(|_| !is_full);
            if let (Some(Wait::Linger(until)), Some((out, connected))) = (wait, out) {
                let linger = self.settings.queues.linger;
                let since = until.checked_sub(linger).unwrap_or(until).max(connected);
                found.push((lane.topic.clone(), lane.partition, since, out));
            }
        }
        found
    }
}
