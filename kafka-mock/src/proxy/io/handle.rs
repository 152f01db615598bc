//! [`Proxy`]: the handle a test holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_wire::{ApiKey, NodeId};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::listener;
use super::ports::Openings;
use super::shared::Shared;
use crate::io::until;
use crate::proxy::{Line, Lines, Tamper, Way};

/// A proxy between clients and brokers. It ends when it is dropped.
///
/// The [module's page](crate::proxy) shows a test with it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// Where clients start.
    port: u16,
    /// One task that accepts and owns all others.
    task: JoinSet<()>,
}

impl Proxy {
    pub(super) fn start(listener: TcpListener, port: u16, (shared, opened): (Arc<Shared>, Openings)) -> Self {
        let mut task = JoinSet::new();
        task.spawn(listener::run(listener, Arc::clone(&shared), opened));
        Self { shared, port, task }
    }

    /// The address that clients start at, for their `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.shared.ports("bootstrap").told(self.port)
    }

    /// The address that clients are told of a broker, once it is known.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.shared.ports("address").address(node)
    }

    /// Does something to frames from now on, beside what was told before.
    pub fn add_tamper(&self, tamper: Tamper) {
        self.shared.judge("add tamper").add(tamper);
    }

    /// Does nothing to frames any more.
    pub fn clear_tampers(&self) {
        self.shared.judge("clear tampers").clear();
    }

    /// How often tampers of this name have acted.
    #[must_use]
    pub fn fired(&self, name: &str) -> u64 {
        self.shared.judge("fired").fired(name)
    }

    /// Changes what all connections are like, those to brokers with a line of their own among them. What is said of new
    /// connections does not change those that are there.
    pub fn set_line(&self, line: Line) {
        self.shared.lines.send_modify(|lines| *lines = Lines { all: line, ..Default::default() });
    }

    /// Changes what connections to one broker are like.
    pub fn set_line_of(&self, node: NodeId, line: Line) {
        self.shared.lines.send_modify(|lines| _ = lines.by_node.insert(node, line));
    }

    /// Resets all connections that are there.
    pub fn reset_all(&self) {
        self.shared.resets.send_modify(|resets| resets.all += 1);
    }

    /// Resets the connections to one broker that are there, but for those where clients have started.
    pub fn reset_of(&self, node: NodeId) {
        self.shared.resets.send_modify(|resets| *resets.by_node.entry(node).or_default() += 1);
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many frames of an API began to pass in a direction, whatever became of them.
    #[must_use]
    pub fn frames(&self, way: Way, api: ApiKey) -> u64 {
        self.shared.counter(way, api).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Waits until something holds of the proxy; it is looked at for each frame and each connection.
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        until(&self.shared.activity, || holds(self)).await;
    }

    /// Stops the proxy and waits until its ports are closed. Dropping it stops it as well, without waiting.
    ///
    /// # Cancel safety
    /// Dropped half way, it stops all the same.
    pub async fn shutdown(mut self) {
        self.task.shutdown().await;
    }
}
