//! [`PumpFeed`]: what one broker's pump asks for calls and tells replies.

use std::{fmt, sync::Arc, task::Context, time::Instant};

use kafka_batch::{Compression, Compressor};
use kafka_net::{CallResult, Demand, Expectation, Feed, Next, Offer, Status};

use super::{Afterwards, Caller, Control, Shared, compress};
use crate::{
    plane::{
        draw::Draw,
        gate::{Armed, End, Gate},
        lanes::GateDraw,
    },
    sender::{Call, Drained, LaneId, Reply, Sealed, guarded, tell_other},
};

/// The feed of one pump.
pub(super) struct PumpFeed {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    /// Seals batches without a codec. With one, that is done on other threads.
    sealer: Option<Compressor>,
    drained: Vec<Drained>,
    sealed: Vec<(LaneId, u64, Sealed)>,
    /// Lists for what is to be done after a lock is let go.
    afterwards: Afterwards,
    is_ready: bool,
    /// This process is a fork: see [`Shared::end_fork`].
    is_foreign: bool,
}

impl PumpFeed {
    pub(super) fn new(shared: Arc<Shared>, gate: Arc<Gate>) -> Self {
        let sealer = (shared.settings.compression == Compression::None).then(compress::no_codec);
        Self {
            shared,
            gate,
            sealer,
            drained: Vec::new(),
            sealed: Vec::new(),
            afterwards: Afterwards::default(),
            is_ready: false,
            is_foreign: false,
        }
    }

    /// Does something under the sender's lock, and what it leaves to be done after it.
    fn with_control<R>(
        &mut self,
        purpose: &'static str,
        f: impl FnOnce(&mut Control, &mut Afterwards) -> R,
    ) -> R {
        let caller = Caller::Pump(self.gate.node);
        self.shared.with_control_reusing(&mut self.afterwards, purpose, caller, f)
    }

    /// Takes what is ready out of the lanes; and with `takes_along` what lingers there, if a request is made anyway. With `f`,
    /// what comes of it is looked at under the same lock.
    fn drain<R>(
        &mut self,
        purpose: &'static str,
        takes_along: bool,
        now: Instant,
        f: impl FnOnce(&mut Control, &[Drained]) -> R,
    ) -> R {
        let Self { shared, gate, drained, afterwards, .. } = self;
        shared.with_control_reusing(afterwards, purpose, Caller::Pump(gate.node), |control, afterwards| {
            let what = Draw { now, pressure: shared.pool.waiting() > 0, takes_along };
            let mut draw = GateDraw::new(&control.lanes, gate, what);
            if draw.has_expired() {
                drop(draw);
                shared.expire(control, afterwards, gate, now);
                draw = GateDraw::new(&control.lanes, gate, what);
            }
            control.sender.drain(gate.node, now, &mut draw, drained);
            drop(draw);
            f(control, drained)
        })
    }

    /// Whether nobody may go on: in a fork of the process, where the connection is the parent's, or after a panic has left the
    /// gate half changed.
    fn is_over(&mut self) -> bool {
        if self.is_foreign {
            return true;
        }
        let is_torn = self.gate.is_torn();
        if is_torn {
            self.shared.stop();
        }
        is_torn
    }

    /// Takes what is ready, seals it, and asks for a call. What was taken may have to wait for what went before it in its
    /// partition: then it leaves the request to others, for which there was no room beside it.
    fn look(&mut self, now: Instant) -> Next<Call> {
        for _ in 1..MAX_LOOKS {
            let (next, has_taken) = self.look_once(now);
            if !has_taken || !matches!(next, Next::Wait(_)) {
                return next;
            }
        }
        self.look_once(now).0
    }

    /// The next call, and whether something was taken and sealed for it.
    fn look_once(&mut self, now: Instant) -> (Next<Call>, bool) {
        let gate = Arc::clone(&self.gate);
        let seals_here = self.sealer.is_some();
        let next = self.drain("to ask for a call", true, now, |control, drained| {
            if drained.is_empty() || !seals_here { next_call(control, &gate, now) } else { Next::Wait(None) }
        });
        match self.seal(now) {
            Some(next) => (next, true),
            None => (next, false),
        }
    }

    /// Seals what was drained, outside every lock.
    fn seal(&mut self, now: Instant) -> Option<Next<Call>> {
        if self.drained.is_empty() {
            return None;
        }
        let Some(sealer) = &mut self.sealer else {
            for drained in self.drained.drain(..) {
                self.shared.compressors.seal(drained);
            }
            return None;
        };
        for Drained { lane, key, batch, stamp } in self.drained.drain(..) {
            self.sealed.push((lane, key, batch.seal(stamp, sealer)));
        }
        let Self { shared, gate, sealed, afterwards, .. } = self;
        let purpose = "to hand in sealed batches";
        let next = shared.with_control_reusing(afterwards, purpose, Caller::Pump(gate.node), |control, _| {
            for (lane, key, batch) in sealed.drain(..) {
                control.sender.handle_sealed(lane, key, batch, now);
            }
            next_call(control, gate, now)
        });
        Some(next)
    }
}

/// The next call for a gate's node. None for a gate that was ended meanwhile: what there is now may be meant for another
/// connection to that node, in another cluster even.
fn next_call(control: &mut Control, gate: &Gate, now: Instant) -> Next<Call> {
    match gate.lock().end {
        End::Abort => Next::Abort,
        End::Open | End::Finish => control.sender.poll_call(gate.node, now),
    }
}

impl Feed for PumpFeed {
    type Call = Call;

    fn poll_demand(&mut self, cx: &mut Context<'_>, now: Instant) -> Demand {
        let node = self.gate.node;
        // Where there is a connection, its pump has asked.
        if (!self.is_ready && self.is_foreign()) || self.is_over() {
            return Demand::Abort;
        }
        let mut waker = Some(cx.waker().clone());
        // Registered before it is looked: what changes in between wakes.
        let first = {
            let mut state = self.gate.lock();
            match state.end {
                End::Open => {}
                End::Finish => return Demand::Finish,
                End::Abort => return Demand::Abort,
            }
            // A connection that is there and takes no call asks again by itself, when it does.
            let is_full = self.is_ready && self.sealer.is_some();
            state.sleep(&mut waker, if is_full { Armed::Full } else { Armed::Off });
            // What lingers or backs off has time; unless somebody waits for the memory it is in.
            let is_due =
                state.index.has_ready(now) || (!state.index.is_empty() && self.shared.pool.waiting() > 0);
            if is_due && !self.is_ready {
                return Demand::Connect;
            }
            state.index.first_wait()
        };
        if self.is_ready && self.sealer.is_none() {
            // Compress while the window is full.
            self.drain("to drain ahead", false, now, |_, _| ());
            let next = self.seal(now);
            debug_assert!(next.is_none(), "sealed elsewhere");
        }
        match (self.shared.lock("to see whether a broker is needed").sender.demand(node, now), first) {
            (Demand::Rest, Some(first)) => Demand::Later(first),
            (Demand::Later(time), Some(first)) => Demand::Later(time.min(first)),
            (demand, _) => demand,
        }
    }

    fn poll_call(&mut self, cx: &mut Context<'_>, offer: Offer<'_>) -> Next<Call> {
        let (node, now) = (self.gate.node, offer.now);
        if self.is_over() {
            return Next::Abort;
        }
        self.shared.clock.refresh(now);
        for _ in 0..MAX_LOOKS {
            let glance = match self.gate.glance(now) {
                Ok(glance) => glance,
                Err(End::Abort) => return Next::Abort,
                Err(End::Open | End::Finish) => return Next::Finish,
            };
            // Each call and each reply leads to a look, and most looks end here.
            let wait = if glance.is_due || self.shared.has_work(node) {
                match self.look(now) {
                    Next::Wait(time) => time,
                    next => return next,
                }
            } else {
                None
            };
            if let Some(wait) = self.gate.rest(glance, wait, now, cx.waker()) {
                return Next::Wait(wait);
            }
        }
        // There is always something new: let the connection write in between.
        cx.waker().wake_by_ref();
        Next::Wait(None)
    }

    fn is_foreign(&mut self) -> bool {
        self.is_foreign = self.shared.is_fork();
        if self.is_foreign {
            self.shared.end_fork();
        }
        self.is_foreign
    }

    fn on_reply(&mut self, call: Call, result: CallResult<Reply>, now: Instant) {
        if self.is_foreign {
            // It was given up, and its lock may be held by a thread that is not here.
            return;
        }
        let node = self.gate.node;
        self.with_control("to hand in a reply", |control, _| {
            control.sender.handle_reply(node, &call, result, now);
        });
        drop(call);
    }

    fn expectation(&mut self) -> Option<Expectation> {
        self.shared.lock("to ask which cluster is meant").sender.expectation()
    }

    fn on_proven(&mut self, _: Instant) {
        let Self { shared, gate, .. } = self;
        shared.with_control("to note that it is the broker that is meant", |control, _| {
            if shared.gates().get(&gate.node).is_some_and(|current| Arc::ptr_eq(current, gate)) {
                control.sender.handle_proof(gate.node);
            }
        });
    }

    fn on_status(&mut self, status: Status, now: Instant) {
        if self.is_foreign {
            return;
        }
        self.is_ready = matches!(status, Status::Ready);
        let node = self.gate.node;
        if let Status::Down { error, retry_after } = &status {
            if error.is_other_broker() {
                guarded(|| tell_other(error));
            } else if !error.is_idle() && !error.is_aborted() {
                guarded(|| tracing::warn!(node = node.0, %error, ?retry_after, "no connection to a broker"));
            }
        }
        let Self { shared, gate, .. } = self;
        shared.with_control("to note a connection's status", |control, _| {
            // A pump that still waits for its last answers may outlive the absence of its broker from the view. What becomes
            // of its connection says nothing of the one that the next pump has.
            if shared.gates().get(&node).is_none_or(|current| Arc::ptr_eq(current, gate)) {
                control.sender.handle_status(node, &status, now);
            }
        });
    }
}

impl fmt::Debug for PumpFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PumpFeed").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// How often a pump looks for a call before it lets its connection write.
const MAX_LOOKS: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_wire::NodeId;

    use super::{super::now, *};
    use crate::Producer;

    #[tokio::test]
    async fn what_becomes_of_an_old_connection_says_nothing_of_the_next_one() {
        let producer = Producer::builder(["127.0.0.1:1"]).connect().await.expect("good settings");
        let (shared, node) = (producer.shared(), NodeId(7));
        let dials = || {
            let brokers = producer.stats().brokers;
            brokers.iter().find(|broker| broker.node == node.0).map_or(0, |broker| broker.dials)
        };
        let feed = |gate| PumpFeed::new(Arc::clone(shared), gate);
        let mut old = feed(shared.gate(node));
        old.on_status(Status::Connecting, now());
        assert_eq!(dials(), 1);
        // It leaves the view while an answer is waited for, and comes back.
        shared.gates.write().expect("no panic").remove(&node);
        old.on_status(Status::Connecting, now());
        assert_eq!(dials(), 2, "it is the only one there is");
        let mut new = feed(shared.gate(node));
        old.on_status(Status::Connecting, now());
        assert_eq!(dials(), 2);
        new.on_status(Status::Connecting, now());
        assert_eq!(dials(), 3);
        producer.close(Duration::ZERO).await.expect("nothing was sent");
    }
}
