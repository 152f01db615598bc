//! [`Cluster`]: the brokers of a cluster as the owner of calls sees them.
//!
//! A table of brokers says which of them has to be connected to, which calls wait for each, and how much each has to do. A
//! [`Client`](crate::Client) needs one beside its [`Metadata`], and so does a producer. The table carries out what the metadata asks for, and what any [`Enquiry`] does.
//!
//! # Who owns which state
//!
//! | state | owner |
//! |---|---|
//! | the view, its refresh, which brokers may be dialled and when | [`Metadata`] |
//! | calls that wait for a broker, calls in flight, when it was heard | `Cluster` |
//! | when an enquiry asks which broker | [`Enquiry`] |
//! | pumps and their wakers, hanging up, what an answer means | the owner of the `Cluster` |
//!
//! # Invariants
//!
//! 1. A call waits for one broker, and leaves the table once: by [`poll_call`](Cluster::poll_call), to be sent, or because it
//!    was withdrawn.
//! 2. A broker is needed, so that its pump connects, for as long as a call waits for it; and from when the metadata or an
//!    enquiry has chosen it until it is ready or down.
//! 3. The load of a broker counts what was sent to it and what waits for it, and is [`SILENT_LOAD`] or more only if it has not
//!    answered for as long as the owner has said.
//! 4. Questions about the cluster are sent before other calls, which may depend on them.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_wire::{NodeId, messages::MetadataRequest};

use crate::{
    enquiry::{Brokers, Enquiry, Pick, Ticket, To},
    feed::Status,
    metadata::{Action, ClusterView, Metadata, SILENT_LOAD},
};

/// What is known of a cluster, what waits for each of its brokers, and how busy they are. `C` is what is called.
///
/// - questions: [`view`](Self::view), [`load`](Self::load), [`is_needed`](Self::is_needed), ...
/// - inputs: [`handle_status`](Self::handle_status), [`handle_sent`](Self::handle_sent),
///   [`handle_answered`](Self::handle_answered), and those of the [metadata](Self::metadata_mut);
/// - commands: [`enqueue`](Self::enqueue), [`pursue`](Self::pursue), [`withdraw`](Self::withdraw), ...
/// - outputs: [`poll_duty`](Self::poll_duty) until it gives none, after any input or command; [`poll_call`](Self::poll_call).
#[derive(Debug)]
pub struct Cluster<C> {
    metadata: Metadata,
    nodes: BTreeMap<NodeId, Peer<C>>,
    silent_after: Option<Duration>,
}

/// A broker, as far as calls are concerned.
#[derive(Debug)]
struct Peer<C> {
    /// Calls that wait for it.
    queue: VecDeque<C>,
    /// It is to be connected to, although no call waits.
    is_wanted: bool,
    link: PeerLink,
    in_flight: usize,
    /// When it last answered, or was sent the first call of those in flight.
    heard: Option<Instant>,
}

/// The state of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerLink {
    Down,
    Connecting,
    Ready,
}

impl<C> Default for Peer<C> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), is_wanted: false, link: PeerLink::Down, in_flight: 0, heard: None }
    }
}

impl<C> Peer<C> {
    fn silence(&self, now: Instant) -> Option<Duration> {
        self.heard.filter(|_| self.in_flight > 0).map(|heard| now.saturating_duration_since(heard))
    }
}

/// What the owner of a [`Cluster`] has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duty {
    /// Wake the pump of this broker: it has become [needed](Cluster::is_needed).
    Wake(NodeId),
    /// Hang up on every broker at once; the view holds the bootstrap list again.
    HangUp,
    /// Hang up on this broker at once: it is of another cluster. [`Metadata::last_failure`] says which. It stays in the view,
    /// and may be connected to again.
    HangUpOn(NodeId),
}

impl<C> Cluster<C> {
    /// Nothing waits yet. A broker that has calls in flight and answers none for `silent_after` counts as silent: its load is
    /// [`SILENT_LOAD`] and more. With `None` none does, as where a broker may take its time for an answer.
    #[must_use]
    pub fn new(metadata: Metadata, silent_after: Option<Duration>) -> Self {
        Self { metadata, nodes: BTreeMap::new(), silent_after }
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata, for its inputs and commands.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The cluster as last heard of.
    #[must_use]
    pub fn view(&self) -> &Arc<ClusterView> {
        self.metadata.view()
    }

    /// Whether a broker is to be connected to, or to stay connected: a call waits for it, or it is to be asked.
    #[must_use]
    pub fn is_needed(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.is_wanted || !node.queue.is_empty())
    }

    /// Whether a broker has calls, waiting or in flight, or a connection.
    #[must_use]
    pub fn is_used(&self, node: NodeId) -> bool {
        let is_used = |it: &Peer<C>| !it.queue.is_empty() || it.in_flight > 0 || it.link != PeerLink::Down;
        self.nodes.get(&node).is_some_and(is_used)
    }

    /// Whether a broker has a connection that takes calls.
    #[must_use]
    pub fn is_ready(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.link == PeerLink::Ready)
    }

    /// Brokers that have a connection that takes calls.
    pub fn ready_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|(_, node)| node.link == PeerLink::Ready).map(|(id, _)| *id)
    }

    /// How many calls of a broker are in flight.
    #[must_use]
    pub fn in_flight(&self, node: NodeId) -> usize {
        self.nodes.get(&node).map_or(0, |node| node.in_flight)
    }

    /// What speaks against asking a broker something that any can answer: the calls it has to answer before.
    #[must_use]
    pub fn load(&self, node: NodeId, now: Instant) -> usize {
        load(&self.nodes, self.silent_after, node, now)
    }

    /// The broker that has had calls for the longest time without answering any, and for how long.
    #[must_use]
    pub fn most_silent(&self, now: Instant) -> Option<(NodeId, Duration)> {
        let silent = self.nodes.iter().filter_map(|(id, node)| Some((node.silence(now)?, *id)));
        silent.max().map(|(time, id)| (id, time))
    }

    /// The connection of a broker changed its state. Calls that wait for it go on waiting, unless they are
    /// [withdrawn](Self::withdraw); what was in flight has come back before.
    pub fn handle_status(&mut self, node: NodeId, status: &Status, now: Instant) {
        let known = self.nodes.entry(node).or_default();
        match status {
            Status::Connecting => known.link = PeerLink::Connecting,
            Status::Ready => known.link = PeerLink::Ready,
            Status::Down { .. } => (known.link, known.is_wanted) = (PeerLink::Down, false),
        }
        self.metadata.handle_status(node, status, now);
    }

    /// A call is sent to a broker, to be counted until it is [answered](Self::handle_answered).
    pub fn handle_sent(&mut self, node: NodeId, now: Instant) {
        let node = self.nodes.entry(node).or_default();
        if node.in_flight == 0 {
            node.heard = Some(now);
        }
        node.in_flight += 1;
    }

    /// A call that was counted has come back.
    pub fn handle_answered(&mut self, node: NodeId, now: Instant) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.in_flight = node.in_flight.saturating_sub(1);
            node.heard = Some(now);
        }
    }

    /// A call waits for a broker, whose pump is to be woken.
    pub fn enqueue(&mut self, node: NodeId, call: C) {
        self.nodes.entry(node).or_default().queue.push_back(call);
    }

    /// Asks what an enquiry has to ask now, with a call of its question. The broker whose pump is to be woken, if there is
    /// one. For an enquiry that has a [single broker](To) to ask, an update is requested if the view does not have it.
    pub fn pursue<A>(
        &mut self,
        enquiry: &mut Enquiry<A>,
        about: A,
        wanted: Option<Instant>,
        now: Instant,
        call: impl FnOnce(Ticket) -> C,
    ) -> Option<NodeId> {
        match enquiry.poll(wanted, self, now)? {
            Pick::Ready(node) => {
                let ticket = enquiry.ask(node, about, now);
                self.enqueue(node, call(ticket));
                Some(node)
            }
            Pick::Connect(node) => {
                self.want(node);
                Some(node)
            }
            // A connection comes up, or a back-off ends: both lead here again.
            Pick::Wait | Pick::Nobody => None,
        }
    }

    /// A broker for a call that any can answer. If it has to be connected to, it is [needed](Self::is_needed) now.
    pub fn pick(&mut self, now: Instant) -> Pick {
        let pick = Brokers::pick(self, To::Any, &|_| true, now);
        if let Pick::Connect(node) = pick {
            self.want(node);
        }
        pick
    }

    /// Takes calls back that wait for a broker.
    pub fn withdraw(&mut self, node: NodeId, mut which: impl FnMut(&C) -> bool) -> Vec<C> {
        let Some(node) = self.nodes.get_mut(&node) else { return Vec::new() };
        let mut withdrawn = Vec::new();
        for _ in 0..node.queue.len() {
            let Some(call) = node.queue.pop_front() else { break };
            if which(&call) {
                withdrawn.push(call);
            } else {
                node.queue.push_back(call);
            }
        }
        withdrawn
    }

    /// Forgets a broker that has no connection any more. Returns the calls that waited for one.
    pub fn forget(&mut self, node: NodeId) -> VecDeque<C> {
        self.nodes.remove(&node).map_or_else(VecDeque::new, |node| node.queue)
    }

    /// Forgets every broker, as when another cluster has taken the place of this one. The calls that waited for them.
    pub fn forget_all(&mut self) -> impl Iterator<Item = (NodeId, VecDeque<C>)> + use<C> {
        mem::take(&mut self.nodes).into_iter().map(|(id, node)| (id, node.queue))
    }

    /// Forgets brokers that the view does not have, unless they are [used](Self::is_used).
    pub fn forget_unused(&mut self) {
        let view = Arc::clone(self.view());
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        for node in nodes.into_iter().filter(|node| !view.brokers.contains_key(node)) {
            if !self.is_used(node) {
                self.nodes.remove(&node);
            }
        }
    }

    /// The next call that waits for a broker, whose connection takes one. It is in flight if that is
    /// [told](Self::handle_sent).
    pub fn poll_call(&mut self, node: NodeId) -> Option<C> {
        let node = self.nodes.get_mut(&node)?;
        node.is_wanted = false;
        node.queue.pop_front()
    }

    /// The next thing to do; `call` makes a call of a question about the cluster.
    pub fn poll_duty(
        &mut self,
        now: Instant,
        call: impl FnOnce(Ticket, MetadataRequest) -> C,
    ) -> Option<Duty> {
        let (nodes, silent_after) = (&self.nodes, self.silent_after);
        let action = self.metadata.poll_action(|node| Some(load(nodes, silent_after, node, now)), now)?;
        Some(match action {
            Action::Connect(node) => {
                self.want(node);
                Duty::Wake(node)
            }
            Action::Ask { node, ticket, request } => {
                self.nodes.entry(node).or_default().queue.push_front(call(ticket, request));
                Duty::Wake(node)
            }
            Action::HangUp => Duty::HangUp,
            Action::HangUpOn(node) => Duty::HangUpOn(node),
        })
    }

    fn want(&mut self, node: NodeId) {
        self.nodes.entry(node).or_default().is_wanted = true;
    }
}

impl<C> Brokers for Cluster<C> {
    fn pick(&mut self, to: To, may_ask: &dyn Fn(NodeId) -> bool, now: Instant) -> Pick {
        let node = match to {
            To::Any => {
                let (nodes, silent_after) = (&self.nodes, self.silent_after);
                let load = |node| may_ask(node).then(|| load(nodes, silent_after, node, now));
                return self.metadata.pick(load, now);
            }
            To::Controller => self.view().controller,
            To::Node(node) => Some(node),
        };
        match node.filter(|node| self.view().brokers.contains_key(node)) {
            Some(node) if may_ask(node) => self.metadata.reach(node, now),
            Some(_) => Pick::Nobody,
            None => {
                self.metadata.request_update();
                Pick::Nobody
            }
        }
    }

    fn is_connecting(&self) -> bool {
        self.nodes.values().any(|node| node.link == PeerLink::Connecting)
    }
}

/// Calls that a broker has to answer, and what speaks against it if it is silent.
fn load<C>(
    nodes: &BTreeMap<NodeId, Peer<C>>,
    silent_after: Option<Duration>,
    node: NodeId,
    now: Instant,
) -> usize {
    let Some(node) = nodes.get(&node) else { return 0 };
    let is_silent = silent_after.is_some_and(|after| node.silence(now).is_some_and(|time| time >= after));
    node.in_flight + node.queue.len() + if is_silent { SILENT_LOAD } else { 0 }
}

#[cfg(test)]
mod tests;
