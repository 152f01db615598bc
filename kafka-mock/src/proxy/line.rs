//! [`Line`]: what connections are like, whatever is sent over them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_wire::NodeId;

use super::tamper::Way;

/// The state of the line between clients and brokers. A new one says nothing special.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "nothing is done before a proxy has it"]
pub struct Line {
    pub(crate) rate: Option<u64>,
    pub(crate) lifetime: Option<(Duration, Duration)>,
    paused: [bool; 2],
    cut_after: [Option<u64>; 2],
    pub(crate) accept: Accept,
    pub(crate) leads_to: Option<String>,
}

/// What becomes of a client that connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Accept {
    #[default]
    Forward,
    Hold,
    Refuse,
}

impl Line {
    /// All is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many bytes a second, for each connection and direction. At least one.
    pub fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = Some(bytes_per_second.max(1));
        self
    }

    /// Each new connection is reset after a time between these two, by the proxy's seeded generator.
    pub fn lifetime(mut self, lifetime: RangeInclusive<Duration>) -> Self {
        self.lifetime = Some((*lifetime.start(), *lifetime.end()));
        self
    }

    /// Nothing is passed on in a direction. Neither side hears of it: paused both ways, this is a black hole.
    pub fn pause(mut self, way: Way) -> Self {
        self.paused[index(way)] = true;
        self
    }

    /// Each new connection is reset once it has carried so many bytes in a direction.
    pub fn cut_after(mut self, way: Way, bytes: u64) -> Self {
        self.cut_after[index(way)] = Some(bytes);
        self
    }

    /// New connections are accepted, and then nothing happens on them.
    pub fn hold(mut self) -> Self {
        self.accept = Accept::Hold;
        self
    }

    /// New connections are reset at once.
    pub fn refuse(mut self) -> Self {
        self.accept = Accept::Refuse;
        self
    }

    /// New connections lead to this address, `host:port`, whatever broker clients mean to reach: to one of another cluster,
    /// say, to which the address was given. Its answers pass as they are, its own addresses in them.
    pub fn leads_to(mut self, address: impl Into<String>) -> Self {
        self.leads_to = Some(address.into());
        self
    }

    pub(crate) fn is_paused(&self, way: Way) -> bool {
        self.paused[index(way)]
    }

    pub(crate) fn bytes_before_cut(&self, way: Way) -> Option<u64> {
        self.cut_after[index(way)]
    }
}

fn index(way: Way) -> usize {
    match way {
        Way::Requests => 0,
        Way::Responses => 1,
    }
}

/// How often all connections were reset, and those to some brokers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resets {
    pub(crate) all: u64,
    pub(crate) by_node: BTreeMap<NodeId, u64>,
}

impl Resets {
    pub(crate) fn of(&self, node: Option<NodeId>) -> (u64, u64) {
        (self.all, node.and_then(|node| self.by_node.get(&node)).copied().unwrap_or_default())
    }
}

/// The line of all brokers, and those of some.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) all: Line,
    pub(crate) by_node: BTreeMap<NodeId, Line>,
}

impl Lines {
    pub(crate) fn of(&self, node: Option<NodeId>) -> &Line {
        node.and_then(|node| self.by_node.get(&node)).unwrap_or(&self.all)
    }
}
