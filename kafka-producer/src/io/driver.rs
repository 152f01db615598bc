//! The driver: starts pumps, keeps the time that belongs to no connection, and sees to the end.

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use kafka_net::{Endpoint, io::keep_connected};
use kafka_wire::NodeId;
use tokio::{task::AbortHandle, time::sleep_until};

use super::{Shared, feed::PumpFeed, now};
use crate::{
    error::EndedBy,
    plane::{
        After, Caller, GateFeed, Life, Plane,
        gate::{End, Gate},
    },
    planted::planted,
};

/// Wakes the driver; set while it runs, it makes it run again.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
}

#[derive(Debug, Default)]
struct SignalState {
    is_set: bool,
    waker: Option<Waker>,
}

impl Signal {
    pub(super) fn set(&self) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_set = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it was set since the last time; from now on it is not.
    fn take(&self) -> bool {
        mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).is_set)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock is taken; it, or the one it replaces, is dropped after the lock.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_set {
            return Poll::Ready(());
        }
        mem::swap(&mut state.waker, &mut waker);
        Poll::Pending
    }
}

/// Runs until everything is over. Dropped before that, be it before its first turn (its runtime was shut down), it gives
/// everything up, truthfully.
pub(super) fn drive(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let after = After::new(Caller::Driver);
    let driver = Driver { shared, after, pumps: Vec::new(), is_busy: false, end_by: None };
    driver.run()
}

struct Driver {
    shared: Arc<Shared>,
    /// Lists for what is to be done after the engine's locks are let go.
    after: After,
    pumps: Vec<Pump>,
    /// Batches are open: the clock is looked at often.
    is_busy: bool,
    /// When pumps that do not end by themselves are left alone. Set once everything is resolved.
    end_by: Option<Instant>,
}

/// The task of one broker's connection.
struct Pump {
    gate: Arc<Gate>,
    endpoint: Endpoint,
    task: AbortHandle,
    has_ended: Arc<AtomicBool>,
}

impl Pump {
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

impl Driver {
    async fn run(mut self) {
        loop {
            // What is set from here on leads to another turn.
            self.shared.signal.take();
            let deadline = self.turn(now());
            if self.is_over() {
                break;
            }
            let mut sleep = self.wait(deadline, now()).map(|until| Box::pin(sleep_until(until.into())));
            // The runtime may be shutting down, and only takes a task that gives way: so it does after each turn.
            let mut gives_way = !planted!(RuntimeEndUnseen);
            let signal = &self.shared.signal;
            poll_fn(|cx| {
                let is_due = signal.poll(cx).is_ready()
                    || loop {
                        let Some(sleep) = &mut sleep else { break false };
                        if sleep.as_mut().poll(cx).is_pending() {
                            break false;
                        }
                        let now = now();
                        match self.wait(deadline, now) {
                            Some(until) if until > now => {
                                self.shared.plane.tick(now);
                                sleep.as_mut().reset(until.into());
                            }
                            _ => break true,
                        }
                    };
                if !is_due {
                    return Poll::Pending;
                }
                if mem::take(&mut gives_way) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Until when there is nothing to do but to wait: to the deadline, or until the clock is to be looked at, which is no turn.
    fn wait(&self, deadline: Option<Instant>, now: Instant) -> Option<Instant> {
        let tick = self.is_busy.then(|| now + crate::CLOCK_TICK);
        match (deadline, tick) {
            (Some(deadline), Some(tick)) => Some(deadline.min(tick)),
            (deadline, tick) => deadline.or(tick),
        }
    }

    /// Does what is due, and says when there is more.
    fn turn(&mut self, now: Instant) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        if shared.plane.is_fork() {
            shared.act(|plane, after| plane.end_fork(after));
            self.end_by.get_or_insert(now);
            return None;
        }
        shared.alarms.ring(now);
        shared.act_reusing(&mut self.after, |plane, after| plane.turn(now, after));
        self.see_to_pumps();
        if self.end_by.is_none() && shared.act_reusing(&mut self.after, Plane::finish) {
            self.end_by = Some(now + END_PATIENCE);
        }
        let next = shared.plane.next_turn(now);
        self.is_busy = next.is_busy;
        shared.alarms.arm(next.due.into_iter().chain(self.end_by).min())
    }

    /// A pump for each broker of the view.
    fn see_to_pumps(&mut self) {
        let shared = Arc::clone(&self.shared);
        let view = shared.plane.view();
        for broker in view.brokers.values() {
            // Looked at each time: a pump that is started may be the end of everything.
            if shared.plane.life() == Life::Aborted || self.end_by.is_some() {
                break;
            }
            let gate = shared.plane.gate(broker.node);
            let old = self.pumps.iter_mut().find(|pump| Arc::ptr_eq(&pump.gate, &gate));
            match old {
                Some(pump) if pump.has_ended() => {
                    gate.reopen();
                    *pump = Self::start(&shared, broker.node, gate, &broker.endpoint);
                }
                // It moved: the old address is hung up on first.
                Some(pump) if pump.endpoint != broker.endpoint => gate.end(End::Abort),
                Some(_) => {}
                None => self.pumps.push(Self::start(&shared, broker.node, gate, &broker.endpoint)),
            }
        }
        self.pumps.retain(|pump| !pump.has_ended());
    }

    fn start(shared: &Arc<Shared>, node: NodeId, gate: Arc<Gate>, endpoint: &Endpoint) -> Pump {
        let feed = PumpFeed::new(Arc::clone(shared), GateFeed::new(&shared.plane, Arc::clone(&gate)));
        let seed = shared.plane.draw_seed();
        let has_ended = Arc::new(AtomicBool::new(false));
        let mut done =
            Done { shared: Arc::clone(shared), has_begun: false, has_ended: Arc::clone(&has_ended) };
        let (net, to) = (Arc::clone(&shared.net), endpoint.clone());
        let task = shared.tasks.start(Box::pin(async move {
            done.has_begun = true;
            keep_connected(node, to, net, fastrand::Rng::with_seed(seed), feed).await;
            drop(done);
        }));
        Pump { gate, endpoint: endpoint.clone(), task, has_ended }
    }

    fn is_over(&self) -> bool {
        let patient = self.end_by.is_some_and(|end_by| now() < end_by);
        self.end_by.is_some() && (!patient || self.pumps.iter().all(Pump::has_ended))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.end_by.is_none() {
            self.shared.abort(EndedBy::Runtime);
        }
        for pump in &self.pumps {
            pump.task.abort();
        }
        self.shared.over.set();
        self.shared.alarms.end();
    }
}

/// Tells the driver that a pump has ended, however it did.
struct Done {
    shared: Arc<Shared>,
    /// The pump has had a turn.
    has_begun: bool,
    has_ended: Arc<AtomicBool>,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        // A task that is dropped without a turn was started on a runtime that is shut down: the next one would fare the same.
        if !self.has_begun && !planted!(RuntimeEndUnseen) {
            self.shared.abort(EndedBy::Runtime);
        }
        self.shared.signal.set();
    }
}

/// How long pumps may take to hang up.
const END_PATIENCE: Duration = Duration::from_secs(1);
