//! [`Shared`]: what a mock cluster's handle and its tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use kafka_wire::{ApiKey, NodeId};
use tokio::sync::watch;

use super::{LogLine, clock};
use crate::answer::{Answer, Waiting};
use crate::close::CloseReason;
use crate::config::ClusterConfig;
use crate::request::Request;
use crate::state::Cluster;

/// What connections may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    pub(super) max_frame: usize,
    pub(super) max_connections: usize,
}

/// What the handle and the tasks share.
pub(super) struct Shared {
    cluster: Mutex<Cluster>,
    /// The cluster's [`change`](Cluster::change), for those who wait for it to move.
    changes: watch::Sender<u64>,
    /// The cluster's count of brokers that came or went and of things to happen, for listeners and the time keeper.
    pub(super) control: watch::Sender<u64>,
    /// Moves with every request, connection and change, for those who wait.
    pub(super) activity: watch::Sender<()>,
    discard: bool,
    pub(super) limits: ConnectionLimits,
    requests: Vec<AtomicU64>,
    pub(super) connections: AtomicU64,
    log: LogLine,
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        config: &ClusterConfig,
        limits: ConnectionLimits,
        log: LogLine,
    ) -> Self {
        Self {
            changes: watch::Sender::new(cluster.change()),
            cluster: Mutex::new(cluster),
            control: watch::Sender::new(0),
            activity: watch::Sender::new(()),
            discard: config.discard,
            limits,
            requests: (0..COUNTED_APIS).map(|_| AtomicU64::new(0)).collect(),
            connections: AtomicU64::new(0),
            log,
        }
    }

    /// Answers a frame. Decoding and looking at batches happen before the lock is taken.
    pub(super) fn answer(&self, node: NodeId, connection: u64, frame: &Bytes) -> Answer {
        let mut request = match Request::decode(frame) {
            Ok(request) => request.from_connection(connection),
            Err(reason) => {
                if let CloseReason::NotServed { api, .. } | CloseReason::Malformed { api: Some(api), .. } =
                    &reason
                {
                    self.count(*api);
                    self.stir();
                }
                return Answer::Close(reason);
            }
        };
        self.count(request.api());
        if !request.is_served() {
            let client = request.client_id().unwrap_or_default();
            self.log(&format!("client {client:?} asked for {}: {HINT}", request.api()));
        }
        if !self.discard {
            request.inspect();
        }
        self.change("answer", |cluster| cluster.apply(node, request, clock::now()))
    }

    /// Asks again for an answer that was put off.
    pub(super) fn resume(&self, node: NodeId, waiting: Waiting) -> Answer {
        self.change("resume", |cluster| cluster.resume(node, waiting, clock::now()))
    }

    /// Does something to the cluster and tells who waits.
    pub(super) fn change<T>(&self, purpose: &'static str, change: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut cluster = self.lock(purpose);
        let result = change(&mut cluster);
        self.let_go(cluster);
        result
    }

    /// Lets happen what a script has due; when to come again.
    pub(super) fn catch_up(&self) -> Option<Instant> {
        let mut cluster = self.lock("catch up");
        let next = cluster.poll_timeout()?;
        let now = clock::now();
        if next > now.instant {
            return Some(next);
        }
        cluster.handle_timeout(now);
        let next = cluster.poll_timeout();
        self.let_go(cluster);
        next
    }

    /// Whether who answers at an address is up, and how often it was stopped or became another one.
    pub(super) fn condition(&self, node: NodeId) -> (bool, u64) {
        let cluster = self.lock("condition");
        (cluster.is_up_at(node), cluster.stops(node))
    }

    /// Gives the lock back and tells who waits.
    fn let_go(&self, mut cluster: MutexGuard<'_, Cluster>) {
        let (state, control, notes) = (cluster.change(), cluster.control, cluster.take_notes());
        drop(cluster);
        raise(&self.changes, state);
        raise(&self.control, control);
        self.stir();
        notes.iter().for_each(|note| self.log(note));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The number of a new connection, from 1 on.
    pub(super) fn count_connection(&self) -> u64 {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.stir();
        number
    }

    /// Has those look who wait for something.
    fn stir(&self) {
        if self.activity.receiver_count() > 0 {
            self.activity.send_replace(());
        }
    }

    /// A line for people.
    pub(super) fn log(&self, line: &str) {
        tracing::warn!("{line}");
        if let Some(log) = &self.log {
            log(line);
        }
    }

    fn count(&self, api: ApiKey) {
        if let Some(counter) = self.counter(api) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counter(&self, api: ApiKey) -> Option<&AtomicU64> {
        self.requests.get(usize::try_from(api.0).ok()?)
    }

    /// No state of the cluster is half changed where a handler panics, so the lock is used on. The purpose is for the reader.
    pub(super) fn lock(&self, _purpose: &'static str) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Tells those who wait that a count has moved.
fn raise(told: &watch::Sender<u64>, count: u64) {
    told.send_if_modified(|known| {
        // Two that moved it may come here in the other order.
        let newer = count > *known;
        *known = count.max(*known);
        newer
    });
}

/// The way around a missing API, for its caller.
const HINT: &str = "group and transaction APIs are not served; to consume, name partitions and offsets \
                    (the console consumer: --partition N --offset earliest)";

/// Requests are counted for API keys below this one.
const COUNTED_APIS: usize = 128;
