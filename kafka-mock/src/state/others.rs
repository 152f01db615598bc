//! Other clusters: behind the addresses of this one, or in its place.

use std::collections::BTreeMap;

use kafka_wire::{ErrorCode, NodeId};

use super::{Cluster, Refusal, hash, no_broker};
use crate::random::Random;
use crate::topic::Topic;

/// Which clusters stand behind a cluster's addresses besides itself.
#[derive(Debug, Default)]
pub(crate) struct Others {
    by_id: BTreeMap<String, Cluster>,
    /// Addresses, each named by the broker it was given to, that lead elsewhere.
    routes: BTreeMap<NodeId, Route>,
}

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    /// `None`: a broker of the cluster whose address it is.
    cluster: Option<String>,
    node: NodeId,
}

/// Questions.
impl Cluster {
    /// A cluster that addresses of this one lead to, or led to: see [`Change::Reroute`](crate::Change::Reroute).
    #[must_use]
    pub fn other(&self, id: &str) -> Option<&Self> {
        self.others.by_id.get(id)
    }

    /// The broker that answers at an address, of whichever cluster. Addresses are named by the broker they were given to.
    pub(crate) fn own_at(&self, address: NodeId) -> NodeId {
        self.others.routes.get(&address).map_or(address, |route| route.node)
    }

    /// Whether who answers at an address was not stopped.
    pub(crate) fn is_up_at(&self, address: NodeId) -> bool {
        match self.others.routes.get(&address) {
            Some(Route { cluster: Some(id), node }) => self.other(id).is_some_and(|other| other.is_up(*node)),
            _ => self.is_up(self.own_at(address)),
        }
    }

    /// The addresses at which a broker of this cluster answers.
    fn addresses_of(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let is_here = |address| self.others.routes.get(&address).is_none_or(|route| route.cluster.is_none());
        self.nodes().filter(move |&address| is_here(address) && self.own_at(address) == node)
    }

    /// Changes of the other clusters, for who waits for one.
    pub(crate) fn changes_elsewhere(&self) -> u64 {
        self.others.by_id.values().map(Self::change).sum()
    }
}

/// Inputs.
impl Cluster {
    /// The other cluster that an address leads to, and the broker there; nothing where it leads to this one.
    pub(crate) fn other_at(&mut self, address: NodeId) -> Option<(&mut Self, NodeId)> {
        let Route { cluster, node } = self.others.routes.get(&address)?;
        Some((self.others.by_id.get_mut(cluster.as_ref()?)?, *node))
    }
}

/// Commands.
impl Cluster {
    /// The other cluster of this id. It comes into being with the first call: as many brokers as this one has, all of them
    /// stopped until an address leads to one; the same topics, without records and with ids of its own; each broker has a
    /// replica of everything. It serves the versions that this one serves. `None` for this cluster's own id, and where there are too many.
    pub fn other_mut(&mut self, id: &str) -> Option<&mut Self> {
        if id == self.id() || !self.others.by_id.contains_key(id) && self.others.by_id.len() >= MAX_OTHERS {
            return None;
        }
        if !self.others.by_id.contains_key(id) {
            let other = self.likeness(id);
            self.others.by_id.insert(id.to_owned(), other);
        }
        self.others.by_id.get_mut(id)
    }

    /// Has an address lead to another broker, of this cluster or of another one; to whom it was given, if that is named.
    pub(crate) fn reroute(
        &mut self,
        address: NodeId,
        cluster: Option<String>,
        node: NodeId,
    ) -> Result<(), Refusal> {
        let place = self.member(address).ok_or_else(|| no_broker(address))?;
        let (host, port) = (place.host.clone(), place.port);
        self.member(node).ok_or_else(|| no_broker(node))?;
        let cluster = cluster.filter(|id| id != self.id());
        if let Some(id) = &cluster {
            let other = self.other_mut(id).ok_or_else(too_many)?;
            other.set_address(node, &host, port);
        }
        let route = Route { cluster, node };
        match route == (Route { cluster: None, node: address }) {
            true => self.others.routes.remove(&address),
            false => self.others.routes.insert(address, route),
        };
        self.see_to_others();
        self.disconnect(address);
        self.touch();
        Ok(())
    }

    /// Ends this cluster and begins another one in its place: see [`Change::Wipe`](crate::Change::Wipe).
    pub(crate) fn wipe(&mut self, id: Option<String>) -> Result<(), Refusal> {
        let id = id.unwrap_or_else(|| id_after(self.id()));
        if id == self.id() || self.others.by_id.contains_key(&id) {
            let message = format!("there is a cluster of the id {id:?} already");
            return Err(Refusal::new(ErrorCode::INCONSISTENT_CLUSTER_ID, message));
        }
        let mut begun = Self::new(self.config.clone().cluster_id(id));
        for topic in self.topics() {
            let plan = topic.partitions.iter().map(|partition| partition.replicas.clone()).collect();
            begun.adopt(topic, plan)?;
        }
        self.take_place(begun);
        self.lead_preferred();
        self.nodes().collect::<Vec<_>>().into_iter().for_each(|address| self.disconnect(address));
        Ok(())
    }

    /// Connections at the addresses of a broker end with it.
    pub(crate) fn disconnect_from(&mut self, node: NodeId) {
        self.addresses_of(node).collect::<Vec<_>>().into_iter().for_each(|address| self.disconnect(address));
    }

    fn disconnect(&mut self, address: NodeId) {
        *self.stops.entry(address).or_default() += 1;
        self.control += 1;
    }

    /// A cluster like this one, of another id.
    fn likeness(&self, id: &str) -> Self {
        let mut other = Self::new(self.config.clone().cluster_id(id));
        let nodes: Vec<NodeId> = self.config.nodes().collect();
        for topic in self.topics() {
            let plan = (0..topic.partitions.len()).map(|first| {
                let mut replicas = nodes.clone();
                replicas.rotate_left(first % nodes.len());
                replicas
            });
            // Whatever this one could hold, so can that one.
            let adopted = other.adopt(topic, plan.collect());
            debug_assert!(adopted.is_ok(), "{adopted:?}");
        }
        other.down.extend(self.nodes());
        other.versions = self.versions.clone();
        other
    }

    fn adopt(&mut self, topic: &Topic, plan: Vec<Vec<NodeId>>) -> Result<(), Refusal> {
        self.add_topic(topic.name.as_str(), plan, topic.settings.clone()).map(drop)
    }

    /// In other clusters those brokers are up that an address leads to.
    fn see_to_others(&mut self) {
        let Others { by_id, routes } = &mut self.others;
        for (id, other) in by_id {
            let reached: Vec<NodeId> = routes
                .values()
                .filter(|route| route.cluster.as_ref() == Some(id))
                .map(|route| route.node)
                .collect();
            other.down = other.nodes().filter(|node| !reached.contains(node)).collect();
            other.lead_preferred();
            other.touch();
        }
    }

    /// Each partition is led by the first of its replicas that is up, under a new epoch where that is another one.
    fn lead_preferred(&mut self) {
        let down = self.down.clone();
        for partition in self.partitions_mut() {
            let first = partition.replicas.iter().copied().find(|replica| !down.contains(replica));
            if let Some(first) = first.filter(|&first| first != partition.leader) {
                partition.lead(first);
            }
        }
    }
}

/// A cluster id as a new cluster would draw it: 22 characters, as of 16 bytes in base 64.
fn id_after(id: &str) -> String {
    let mut random = Random::new(hash(id));
    let digit = |number: u64| char::from(DIGITS[(number % DIGITS.len() as u64) as usize]);
    (0..CLUSTER_ID_LEN).map(|_| digit(random.next())).collect()
}

fn too_many() -> Refusal {
    Refusal::new(ErrorCode::INVALID_REQUEST, format!("there are {MAX_OTHERS} other clusters already"))
}

/// Clusters besides the first one.
const MAX_OTHERS: usize = 16;

const CLUSTER_ID_LEN: usize = 22;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
