//! The ports of the proxy: one where clients start, and one for each broker that becomes known.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use kafka_wire::NodeId;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::io::host_and_port;

/// Which port stands for which broker.
#[derive(Debug)]
pub(super) struct Ports {
    /// Where they are opened.
    ip: IpAddr,
    /// What clients are told instead of it.
    host: String,
    /// The port that was opened last, if they are not just free ones.
    last_port: Option<u16>,
    /// Where clients that start here are sent, in turn.
    upstream: Vec<(String, u16)>,
    next_upstream: usize,
    nodes: BTreeMap<NodeId, Node>,
    openings: mpsc::UnboundedSender<Opened>,
}

#[derive(Debug)]
struct Node {
    host: String,
    port: u16,
    /// The one that stands for it.
    own_port: u16,
}

/// Ports that were opened and have no task yet.
pub(super) type Openings = mpsc::UnboundedReceiver<Opened>;

/// A port that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) node: NodeId,
    pub(super) listener: TcpListener,
}

impl Ports {
    pub(super) fn new(
        ip: IpAddr,
        host: String,
        last_port: Option<u16>,
        upstream: Vec<(String, u16)>,
    ) -> (Self, Openings) {
        let (openings, opened) = mpsc::unbounded_channel();
        let nodes = BTreeMap::new();
        (Self { ip, host, last_port, upstream, next_upstream: 0, nodes, openings }, opened)
    }

    /// The address that clients are told of a broker.
    pub(super) fn address(&self, node: NodeId) -> Option<String> {
        self.nodes.get(&node).map(|node| self.told(node.own_port))
    }

    /// One of the ports, as clients are told of it.
    pub(super) fn told(&self, port: u16) -> String {
        host_and_port(&self.host, port)
    }

    /// Where a connection to one of the ports goes.
    pub(super) fn upstream(&mut self, node: Option<NodeId>) -> (String, u16) {
        if let Some(node) = node.and_then(|node| self.nodes.get(&node)) {
            return (node.host.clone(), node.port);
        }
        let index = self.next_upstream % self.upstream.len().max(1);
        self.next_upstream = index + 1;
        self.upstream.get(index).cloned().unwrap_or_default()
    }

    /// The address that stands for a broker; its port is opened if it was not known.
    pub(super) fn stand_in(
        &mut self,
        node: NodeId,
        host: &str,
        port: i32,
    ) -> io::Result<Option<(String, u16)>> {
        // A negative id or port is nobody's.
        let Ok(port) = u16::try_from(port) else { return Ok(None) };
        if node.0 < 0 || port == 0 {
            return Ok(None);
        }
        if let Some(known) = self.nodes.get_mut(&node) {
            host.clone_into(&mut known.host);
            known.port = port;
            return Ok(Some((self.host.clone(), known.own_port)));
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(io::Error::other(format!("a proxy stands in for {MAX_NODES} brokers at most")));
        }
        let wanted = match self.last_port {
            None => 0,
            Some(last) => last.checked_add(1).ok_or_else(|| io::Error::other("no port after 65535"))?,
        };
        let listener = bind(SocketAddr::new(self.ip, wanted))?;
        let own_port = listener.local_addr()?.port();
        self.last_port = self.last_port.map(|_| wanted);
        self.nodes.insert(node, Node { host: host.to_owned(), port, own_port });
        // The task that takes it ends with the proxy; then nobody needs the port.
        let _ = self.openings.send(Opened { node, listener });
        Ok(Some((self.host.clone(), own_port)))
    }
}

/// Listens, at once: a client may be told the address in the next moment.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Brokers a proxy stands in for.
const MAX_NODES: usize = 1000;
