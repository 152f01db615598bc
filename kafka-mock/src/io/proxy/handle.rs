//! [`Proxy`]: the handle a test holds, and what it shares with the proxy's tasks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_wire::{ApiKey, NodeId};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::builder::LogLine;
use super::super::until;
use super::builder::ProxyBuilder;
use super::ports::{self, Openings, Ports};
use crate::proxy::{Head, Judge, Line, Lines, Resets, Tamper, Verdict, Way};

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
    /// A proxy in front of these servers, named as in a client's `bootstrap.servers`.
    pub fn builder(upstream: impl Into<String>) -> ProxyBuilder {
        ProxyBuilder::new(upstream.into())
    }

    pub(super) fn start(listener: TcpListener, port: u16, (shared, opened): (Arc<Shared>, Openings)) -> Self {
        let mut task = JoinSet::new();
        task.spawn(ports::run(listener, Arc::clone(&shared), opened));
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

/// What the handle and the tasks share.
pub(super) struct Shared {
    ports: Mutex<Ports>,
    judge: Mutex<Judge>,
    pub(super) lines: watch::Sender<Lines>,
    pub(super) resets: watch::Sender<Resets>,
    activity: watch::Sender<()>,
    connections: AtomicU64,
    frames: [Vec<AtomicU64>; 2],
    log: LogLine,
}

impl Shared {
    pub(super) fn new(
        (ports, opened): (Ports, Openings),
        tampers: Vec<Tamper>,
        line: Line,
        seed: u64,
        log: LogLine,
    ) -> (Arc<Self>, Openings) {
        let mut judge = Judge::new(seed);
        tampers.into_iter().for_each(|tamper| judge.add(tamper));
        let counters = || (0..COUNTED_APIS).map(|_| AtomicU64::new(0)).collect();
        let shared = Self {
            ports: Mutex::new(ports),
            judge: Mutex::new(judge),
            lines: watch::Sender::new(Lines { all: line, ..Default::default() }),
            resets: watch::Sender::new(Resets::default()),
            activity: watch::Sender::new(()),
            connections: AtomicU64::new(0),
            frames: [counters(), counters()],
            log,
        };
        (Arc::new(shared), opened)
    }

    /// What is done to a frame; it is counted as well.
    pub(super) fn verdict(&self, way: Way, node: Option<NodeId>, head: &Head) -> Verdict {
        if let Some(counter) = self.counter(way, head.asked.api) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let verdict = self.judge("frame").judge(way, node, head);
        self.stir();
        verdict
    }

    pub(super) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.stir();
    }

    pub(super) fn ports(&self, purpose: &'static str) -> MutexGuard<'_, Ports> {
        lock(&self.ports, purpose)
    }

    pub(super) fn judge(&self, purpose: &'static str) -> MutexGuard<'_, Judge> {
        lock(&self.judge, purpose)
    }

    /// A line for people.
    pub(super) fn log(&self, line: &str) {
        tracing::warn!("{line}");
        if let Some(log) = &self.log {
            log(line);
        }
    }

    fn stir(&self) {
        if self.activity.receiver_count() > 0 {
            self.activity.send_replace(());
        }
    }

    fn counter(&self, way: Way, api: ApiKey) -> Option<&AtomicU64> {
        let [requests, responses] = &self.frames;
        let counters = match way {
            Way::Requests => requests,
            Way::Responses => responses,
        };
        counters.get(usize::try_from(api.0).ok()?)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("lines", &*self.lines.borrow()).finish_non_exhaustive()
    }
}

/// What is locked is whole at each moment, also where a task has panicked. The purpose is for the reader.
fn lock<'a, T>(mutex: &'a Mutex<T>, _purpose: &'static str) -> MutexGuard<'a, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Frames are counted for API keys below this one.
const COUNTED_APIS: usize = 128;
