//! [`Shared`]: what a proxy's handle and its tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_wire::{ApiKey, NodeId};
use tokio::sync::watch;

use super::ports::{Openings, Ports};
use crate::io::LogLine;
use crate::proxy::{Head, Judge, Line, Lines, Resets, Tamper, Verdict, Way};

/// What the handle and the tasks share.
pub(super) struct Shared {
    ports: Mutex<Ports>,
    judge: Mutex<Judge>,
    pub(super) lines: watch::Sender<Lines>,
    pub(super) resets: watch::Sender<Resets>,
    pub(super) activity: watch::Sender<()>,
    pub(super) connections: AtomicU64,
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

    pub(super) fn counter(&self, way: Way, api: ApiKey) -> Option<&AtomicU64> {
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
