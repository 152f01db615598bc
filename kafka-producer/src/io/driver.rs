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

use super::{ABORTED, Caller, OPEN, Shared, afterwards::Afterwards, feed::PumpFeed, now};
use crate::{
    error::{EndedBy, FailureKind},
    plane::gate::{End, Gate},
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
    let driver =
        Driver { shared, pumps: Vec::new(), last_busy: None, is_busy: false, stalls: false, end_by: None };
    driver.run()
}

struct Driver {
    shared: Arc<Shared>,
    pumps: Vec<Pump>,
    /// When a batch was last seen waiting.
    last_busy: Option<Instant>,
    /// That was not long ago: the clock is looked at often.
    is_busy: bool,
    /// A broker took nothing when it was last looked.
    stalls: bool,
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
                                self.shared.clock.refresh(now);
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
        if shared.is_fork() {
            shared.end_fork();
            self.end_by.get_or_insert(now);
            return None;
        }
        shared.clock.refresh(now);
        shared.alarms.ring(now);
        let (mut afterwards, purpose) = (Afterwards::default(), "to keep the time");
        shared.with_control_reusing(&mut afterwards, purpose, Caller::Driver, |control, afterwards| {
            control.sender.handle_timeout(now);
            let orphans: Vec<_> = shared.nowhere.lock().index.keys().collect();
            control.sender.want_leaders(orphans, now);
            for gate in shared.all_gates() {
                shared.expire(control, afterwards, &gate, now);
            }
            if let Some(timeout) = shared.settings.partitioner_availability_timeout {
                self.stalls = shared.see_to_stalls(control, timeout, self.stalls, now);
            }
        });
        let fatal = shared.lock("to look for a fatal error").sender.fatal();
        if let Some(code) = fatal.filter(|_| shared.life.load(Ordering::Acquire) != ABORTED) {
            shared.abort(FailureKind::Rejected(code));
        }
        self.see_to_pumps();
        self.see_to_end(now);
        self.next_turn(now)
    }

    fn next_turn(&mut self, now: Instant) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        // First the flag, then the gates: a batch begun in between is seen, or signals.
        shared.ticking.store(false, Ordering::SeqCst);
        let gates = shared.all_gates();
        let due: Vec<_> = gates.iter().filter_map(|gate| gate.lock().index.first_expiry()).collect();
        if shared.begun.swap(false, Ordering::Relaxed) || !due.is_empty() {
            self.last_busy = Some(now);
        }
        // Batches come and go: for a while it is cheaper to look again than to be woken for each.
        let busy_until = self.last_busy.map(|busy| busy + GRACE).filter(|until| *until > now);
        shared.ticking.store(busy_until.is_some(), Ordering::SeqCst);
        // However short the linger: a batch that cannot leave stays open, and its records' times come from the clock.
        self.is_busy = busy_until.is_some();
        let timeout = shared.lock("to ask for the next time-out").sender.poll_timeout(now);
        shared.alarms.arm(due.into_iter().chain(busy_until).chain(timeout).chain(self.end_by).min())
    }

    /// A pump for each broker of the view.
    fn see_to_pumps(&mut self) {
        let shared = Arc::clone(&self.shared);
        let view = Arc::clone(shared.lock("to look at the cluster").sender.view());
        for broker in view.brokers.values() {
            // Looked at each time: a pump that is started may be the end of everything.
            if shared.life.load(Ordering::Acquire) == ABORTED || self.end_by.is_some() {
                break;
            }
            let gate = shared.gate(broker.node);
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
        let feed = PumpFeed::new(Arc::clone(shared), Arc::clone(&gate));
        let seed = shared.lock("to draw a seed").sender.draw_seed();
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

    /// Ends the pumps once nothing is left to be done.
    fn see_to_end(&mut self, now: Instant) {
        let shared = &self.shared;
        let life = shared.life.load(Ordering::Acquire);
        if life == OPEN || self.end_by.is_some() {
            return;
        }
        let control = shared.lock("to see whether everything is resolved");
        let is_done =
            control.sender.is_drained() && control.lanes.iter().all(|lane| lane.lock().queue.is_empty());
        drop(control);
        if is_done {
            self.end_by = Some(now + END_PATIENCE);
            let end = if life == ABORTED { End::Abort } else { End::Finish };
            for gate in shared.all_gates() {
                gate.end(end);
            }
        }
    }

    fn is_over(&self) -> bool {
        let patient = self.end_by.is_some_and(|end_by| now() < end_by);
        self.end_by.is_some() && (!patient || self.pumps.iter().all(Pump::has_ended))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.end_by.is_none() {
            self.shared.abort(FailureKind::Ended(EndedBy::Runtime));
        }
        for pump in &self.pumps {
            pump.task.abort();
        }
        self.shared.over();
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
            self.shared.abort(FailureKind::Ended(EndedBy::Runtime));
        }
        self.shared.signal.set();
    }
}

/// How long the driver goes on to look after the last batch was sent. Much less than any batch lives.
const GRACE: Duration = Duration::from_millis(100);

/// How long pumps may take to hang up.
const END_PATIENCE: Duration = Duration::from_secs(1);
