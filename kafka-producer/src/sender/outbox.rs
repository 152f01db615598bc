//! [`Outbox`]: what is to be sent to which node, and what is on its way there.
//!
//! What is to be sent, and what a node has asked for (a pause), belongs to the node. What is on its way belongs to the link,
//! the connection by which it went.
//!
//! # Invariants
//! * Offers follow the rules of [`Offers`], whose file alone writes them and what a partition knows of its own.
//! * A link has so many requests in flight as went out by it and have not come back, lost or answered.
//! * Connections, and what is in flight, are of the cluster that is meant: after a change none of them counts.

mod offers;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use kafka_net::{Demand, SILENT_LOAD, Status};
use kafka_wire::NodeId;

pub(super) use self::offers::{Offer, Offers, Standing};
use super::{
    LaneId,
    call::Call,
    waits::{Spans, Wait},
};
use crate::{
    stats::{BrokerStats, NodeStats},
    timeline::WaitReason,
};

/// All nodes, as far as batches are concerned.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    nodes: BTreeMap<NodeId, Node>,
    last_offer: u64,
}

/// A connection to a node: one of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) node: NodeId,
    /// Less than [`LINKS`].
    number: u8,
}

impl Link {
    /// The only one.
    pub(super) const fn to(node: NodeId) -> Self {
        Self { node, number: 0 }
    }
}

/// A broker, as far as batches are concerned.
#[derive(Debug)]
struct Node {
    offers: Offers,
    /// Calls that any node could have been asked.
    control: VecDeque<Call>,
    /// It is to be connected to, although there is nothing to send yet.
    wanted: bool,
    /// When it asked for a pause.
    throttled: Spans,
    stats: NodeStats,
    links: [LinkState; LINKS],
}

/// What belongs to a link.
#[derive(Debug)]
struct LinkState {
    connection: Connection,
    /// When there was no connection.
    unconnected: Spans,
    /// Produce requests that are not answered.
    in_flight: usize,
    /// When one of them was last answered, or the first of them was sent.
    heard: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Connection {
    #[default]
    None,
    Connecting,
    Ready,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            offers: Offers::default(),
            control: VecDeque::new(),
            wanted: false,
            throttled: Spans::there(),
            stats: NodeStats::default(),
            links: [const { LinkState::new() }; LINKS],
        }
    }
}

impl LinkState {
    const fn new() -> Self {
        Self { connection: Connection::None, unconnected: Spans::missing(), in_flight: 0, heard: None }
    }

    /// Since when requests are out of which none is answered, if it is so.
    fn silent_since(&self) -> Option<Instant> {
        self.heard.filter(|_| self.in_flight > 0)
    }
}

impl Node {
    fn in_flight(&self) -> usize {
        self.links.iter().map(|link| link.in_flight).sum()
    }

    fn is_ready(&self) -> bool {
        self.links.iter().any(|link| link.connection == Connection::Ready)
    }

    fn silent_since(&self) -> Option<Instant> {
        self.links.iter().filter_map(LinkState::silent_since).min()
    }

    /// What speaks against asking it something that any node could be asked: what it has to do before, and above all that it
    /// has not answered for a while. A question waits for all that was sent before it.
    fn load(&self, now: Instant) -> usize {
        let is_silent = |heard: Instant| now.saturating_duration_since(heard) >= SILENT_AFTER;
        let silent = self.silent_since().is_some_and(is_silent);
        self.in_flight() + self.control.len() + if silent { SILENT_LOAD } else { 0 }
    }

    /// Whether anybody still has business with it.
    fn is_used(&self) -> bool {
        let is_connected = self.links.iter().any(|link| link.connection != Connection::None);
        !self.offers.is_empty() || !self.control.is_empty() || self.in_flight() > 0 || is_connected
    }

    fn demand(&self, now: Instant) -> Demand {
        match self.offers.next() {
            _ if self.wanted || self.in_flight() > 0 || !self.control.is_empty() => Demand::Connect,
            _ if self.offers.has_sendable() => Demand::Connect,
            Some(time) if time > now => Demand::Later(time),
            Some(_) => Demand::Connect,
            None => Demand::Rest,
        }
    }
}

impl Outbox {
    /// Puts a partition among those its leader is asked about, unless it is there.
    pub(super) fn offer(&mut self, lane: LaneId, standing: &mut Standing, leader: NodeId) {
        if let Some(offer) = standing.renew(lane, &mut self.last_offer) {
            self.nodes.entry(leader).or_default().offers.add(offer);
        }
    }

    /// What was to be sent from a time on can be sent once that has come. `stands`: what [`Standing::ripen`] says of an offer.
    pub(super) fn ripen(&mut self, node: NodeId, stands: impl FnMut(Offer) -> bool, now: Instant) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.offers.ripen(stands, now);
        }
    }

    /// The offers to a node that can be taken up now.
    pub(super) fn sendable(&self, node: NodeId) -> impl Iterator<Item = Offer> {
        self.nodes.get(&node).into_iter().flat_map(|node| node.offers.sendable())
    }

    /// Takes the offers to a node out, to be [put back](Self::put_offers) before anything else is offered.
    pub(super) fn take_offers(&mut self, node: NodeId) -> Option<Offers> {
        self.nodes.get_mut(&node).map(|node| std::mem::take(&mut node.offers))
    }

    pub(super) fn put_offers(&mut self, node: NodeId, offers: Offers) {
        if let Some(node) = self.nodes.get_mut(&node) {
            debug_assert!(node.offers.is_empty(), "nothing is offered meanwhile");
            node.offers = offers;
        }
    }

    /// Whether a node has anything to look at.
    pub(super) fn has_work(&self, node: NodeId) -> bool {
        let has_work = |node: &Node| node.wanted || !node.offers.is_empty() || !node.control.is_empty();
        self.nodes.get(&node).is_some_and(has_work)
    }

    /// Whether a node should be connected to, or from when on: not for what backs off.
    pub(super) fn demand(&self, node: NodeId, now: Instant) -> Demand {
        self.nodes.get(&node).map_or(Demand::Rest, |node| node.demand(now))
    }

    /// A node is to be connected to.
    pub(super) fn want(&mut self, node: NodeId) {
        self.nodes.entry(node).or_default().wanted = true;
    }

    /// A node is to be asked something that any could have been asked.
    pub(super) fn enqueue(&mut self, node: NodeId, call: Call) {
        self.nodes.entry(node).or_default().control.push_back(call);
    }

    /// The next call to a node that any could have been asked.
    pub(super) fn control_call(&mut self, node: NodeId) -> Option<Call> {
        let node = self.nodes.get_mut(&node)?;
        node.wanted = false;
        node.control.pop_front()
    }

    /// A Produce request goes out.
    pub(super) fn note_request(&mut self, to: Link, batches: usize, bytes: u64, now: Instant) {
        let Some(node) = self.nodes.get_mut(&to.node) else { return };
        let Some(link) = node.links.get_mut(usize::from(to.number)) else { return };
        if link.in_flight == 0 {
            link.heard = Some(now);
        }
        link.in_flight += 1;
        let in_flight = node.in_flight();
        node.stats.requested(batches as u64, bytes, in_flight as u64);
    }

    /// A Produce request that was made at `since` came back.
    pub(super) fn note_reply(&mut self, from: Link, is_answer: bool, since: Instant, now: Instant) {
        let Some(node) = self.nodes.get_mut(&from.node) else { return };
        let Some(link) = node.links.get_mut(usize::from(from.number)) else { return };
        link.in_flight = link.in_flight.saturating_sub(1);
        link.heard = Some(now);
        node.stats.answered(is_answer, now.saturating_duration_since(since));
    }

    /// A broker asked for a pause. The connection keeps it; here it is noted for those who ask why something took long.
    pub(super) fn note_throttle(&mut self, node: NodeId, milliseconds: i32, now: Instant) {
        let time = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
        let Some(node) = self.nodes.get_mut(&node).filter(|_| !time.is_zero()) else { return };
        node.stats.throttled(time);
        if let Some(end) = now.checked_add(time) {
            node.throttled.push(Some(now), end);
        }
    }

    /// Another broker answered in the place of this one.
    pub(super) fn note_misled(&mut self, node: NodeId) {
        self.nodes.entry(node).or_default().stats.misled();
    }

    /// A connection changed its state.
    pub(super) fn handle_status(&mut self, id: Link, status: &Status, now: Instant) {
        let node = self.nodes.entry(id.node).or_default();
        let Some(link) = node.links.get_mut(usize::from(id.number)) else { return };
        link.unconnected.note(!matches!(status, Status::Ready), now);
        link.connection = match status {
            Status::Connecting => {
                node.stats.dialled();
                Connection::Connecting
            }
            Status::Ready => Connection::Ready,
            Status::Down { error, .. } => {
                node.stats.down(error);
                node.wanted = false;
                // Nobody can be asked this here any more. What was sent has been told before.
                node.control.clear();
                Connection::None
            }
            _ => link.connection,
        };
    }

    /// Nodes are others now, whatever their ids. What was counted of them is kept by their ids.
    pub(super) fn move_to_another_cluster(&mut self, now: Instant) {
        for node in self.nodes.values_mut() {
            node.offers = Offers::default();
            node.control.clear();
            node.wanted = false;
            for link in &mut node.links {
                (link.connection, link.in_flight, link.heard) = (Connection::None, 0, None);
                link.unconnected.note(true, now);
            }
        }
    }

    /// Forgets the nodes that are no brokers any more, unless somebody has business with them.
    pub(super) fn retain(&mut self, is_broker: impl Fn(NodeId) -> bool) {
        self.nodes.retain(|id, node| is_broker(*id) || node.is_used());
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// What speaks against asking a node something that any could be asked.
    pub(super) fn load(&self, node: NodeId, now: Instant) -> Option<usize> {
        Some(self.nodes.get(&node)?.load(now))
    }

    pub(super) fn is_connecting(&self) -> bool {
        let mut links = self.nodes.values().flat_map(|node| &node.links);
        links.any(|link| link.connection == Connection::Connecting)
    }

    /// Nodes that there is a connection to.
    pub(super) fn ready(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|(_, node)| node.is_ready()).map(|(id, _)| *id)
    }

    /// Which node has had requests for the longest time without any answer, and for how long, if that is long.
    pub(super) fn silence(&self, now: Instant) -> Option<(Duration, NodeId)> {
        let silent = self.nodes.iter().filter_map(|(id, node)| {
            node.silent_since().map(|since| (now.saturating_duration_since(since), *id))
        });
        silent.max().filter(|(time, _)| *time >= SILENT_AFTER)
    }

    pub(super) fn stats(&self) -> impl Iterator<Item = BrokerStats> {
        let brokers = self.nodes.iter().filter(|(id, _)| id.0 >= 0);
        brokers
            .map(|(id, node)| node.stats.snapshot(*id, node.in_flight(), node.is_ready(), node.offers.len()))
    }

    /// The times at which there was no connection to a node, or it had asked for a pause, are explained by that.
    pub(super) fn explain(&self, node: NodeId, wait: &mut Wait) {
        match self.nodes.get(&node) {
            Some(node) => {
                for link in &node.links {
                    wait.explain(WaitReason::Connection, &link.unconnected);
                }
                wait.explain(WaitReason::Throttled, &node.throttled);
            }
            // Nobody ever asked for a connection to it.
            None => wait.explain(WaitReason::Connection, &Spans::missing()),
        }
    }
}

#[cfg(test)]
impl Outbox {
    /// How many requests a node has not answered, and since when it is connected to, if it is.
    pub(super) fn requests_out(&self, node: NodeId) -> Option<(usize, Instant)> {
        let link = &self.nodes.get(&node)?.links[0];
        let since = link.unconnected.there_since().filter(|_| link.connection == Connection::Ready)?;
        Some((link.in_flight, since))
    }

    /// All nodes, and whether anybody has business with them.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, bool)> {
        self.nodes.iter().map(|(id, node)| (*id, node.is_used()))
    }
}

/// Connections to a node.
const LINKS: usize = 1;

/// A node that has had a Produce request for so long without answering any is asked other things only if nobody else can be:
/// it may be waiting for its replicas, or be frozen. Longer than most answers take.
const SILENT_AFTER: Duration = Duration::from_secs(1);
