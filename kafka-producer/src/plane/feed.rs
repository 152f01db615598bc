//! [`GateFeed`]: what one broker's pump asks for calls and tells replies.
//!
//! Owner: the pump. It holds batches only between two locks of one call: what is drained is sealed and handed in, or handed
//! out to be compressed, before the call returns.

use std::{fmt, sync::Arc, task::Waker, time::Instant};

use kafka_batch::{Compression, Compressor};
use kafka_net::{CallResult, Demand, Expectation, Next, Status};
use kafka_wire::NodeId;

use super::{
    Control, Plane,
    after::After,
    draw::Draw,
    gate::{Armed, End, Gate},
    lanes::GateDraw,
};
use crate::sender::{Call, Drained, LaneId, Reply, Sealed};

/// One broker's side of the engine.
pub(crate) struct GateFeed {
    gate: Arc<Gate>,
    /// Seals batches without a codec. With one, that is done on other threads.
    sealer: Option<Compressor>,
    drained: Vec<Drained>,
    sealed: Vec<(LaneId, u64, Sealed)>,
    is_ready: bool,
}

impl GateFeed {
    pub(crate) fn new(plane: &Plane, gate: Arc<Gate>) -> Self {
        // The codec "none" is always compiled in.
        let seals_here = !plane.settings.seals_elsewhere;
        let sealer = if seals_here { Compressor::new(Compression::None).ok() } else { None };
        Self { gate, sealer, drained: Vec::new(), sealed: Vec::new(), is_ready: false }
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn node(&self) -> NodeId {
        self.gate.node
    }

    /// Whether the connection takes calls.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether a panic has left the gate half changed: then nobody may go on.
    fn is_torn(&self, plane: &Plane, after: &mut After) -> bool {
        let is_torn = self.gate.is_torn();
        if is_torn {
            plane.stop(after);
        }
        is_torn
    }

    /// Whether the broker should be connected to. As [`kafka_net::Feed::poll_demand`].
    pub(crate) fn poll_demand(
        &mut self,
        plane: &Plane,
        waker: &Waker,
        now: Instant,
        after: &mut After,
    ) -> Demand {
        if self.is_torn(plane, after) {
            return Demand::Abort;
        }
        let mut waker = Some(waker.clone());
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
            let is_due = state.index.has_ready(now) || (!state.index.is_empty() && plane.pool.waiting() > 0);
            if is_due && !self.is_ready {
                return Demand::Connect;
            }
            state.index.first_wait()
        };
        if self.is_ready && self.sealer.is_none() {
            // Compress while the window is full.
            self.drain(plane, false, now, after, |_, _| ());
            after.seal(&mut self.drained);
        }
        let demand = plane.control().sender.demand(self.gate.node, now);
        match (demand, first) {
            (Demand::Rest, Some(first)) => Demand::Later(first),
            (Demand::Later(time), Some(first)) => Demand::Later(time.min(first)),
            (demand, _) => demand,
        }
    }

    /// The next call. As [`kafka_net::Feed::poll_call`].
    pub(crate) fn poll_call(
        &mut self,
        plane: &Plane,
        waker: &Waker,
        now: Instant,
        after: &mut After,
    ) -> Next<Call> {
        if self.is_torn(plane, after) {
            return Next::Abort;
        }
        plane.wall.refresh(now);
        for _ in 0..MAX_LOOKS {
            let glance = match self.gate.glance(now) {
                Ok(glance) => glance,
                Err(End::Abort) => return Next::Abort,
                Err(End::Open | End::Finish) => return Next::Finish,
            };
            // Each call and each reply leads to a look, and most looks end here.
            let wait = if glance.is_due || plane.has_work(self.gate.node) {
                match self.look(plane, now, after) {
                    Next::Wait(time) => time,
                    next => return next,
                }
            } else {
                None
            };
            if let Some(wait) = self.gate.rest(glance, wait, now, waker) {
                return Next::Wait(wait);
            }
        }
        // There is always something new: let the connection write in between.
        after.wake([waker.clone()]);
        Next::Wait(None)
    }

    /// A call has its reply.
    pub(crate) fn on_reply(
        &mut self,
        plane: &Plane,
        call: &Call,
        result: CallResult<Reply>,
        now: Instant,
        after: &mut After,
    ) {
        let node = self.gate.node;
        plane.locked(now, after, |control, _| control.sender.handle_reply(node, call, result, now));
    }

    /// Which cluster is meant, for the next connection.
    pub(crate) fn expectation(&self, plane: &Plane) -> Option<Expectation> {
        plane.control().sender.expectation()
    }

    /// The broker has shown that it is the one that is meant.
    pub(crate) fn on_proven(&self, plane: &Plane, now: Instant, after: &mut After) {
        plane.locked(now, after, |control, _| {
            if plane.gates().get(&self.gate.node).is_some_and(|current| Arc::ptr_eq(current, &self.gate)) {
                control.sender.handle_proof(self.gate.node);
            }
        });
    }

    /// What became of the connection.
    pub(crate) fn on_status(&mut self, plane: &Plane, status: &Status, now: Instant, after: &mut After) {
        self.is_ready = matches!(status, Status::Ready);
        let gate = &self.gate;
        plane.locked(now, after, |control, _| {
            // An old pump may outlive its broker's removal and return: its status says nothing of the next pump's connection.
            if !plane.is_replaced(gate) {
                control.sender.handle_status(gate.node, status, now);
            }
        });
    }

    /// Takes what is ready, seals it, and asks for a call. What was taken may have to wait for what went before it in its
    /// partition: then it leaves the request to others, for which there was no room beside it.
    fn look(&mut self, plane: &Plane, now: Instant, after: &mut After) -> Next<Call> {
        for _ in 1..MAX_LOOKS {
            let (next, has_taken) = self.look_once(plane, now, after);
            if !has_taken || !matches!(next, Next::Wait(_)) {
                return next;
            }
        }
        self.look_once(plane, now, after).0
    }

    /// The next call, and whether something was taken and sealed for it.
    fn look_once(&mut self, plane: &Plane, now: Instant, after: &mut After) -> (Next<Call>, bool) {
        let gate = Arc::clone(&self.gate);
        let seals_here = self.sealer.is_some();
        let next = self.drain(plane, true, now, after, |control, drained| {
            if drained.is_empty() || !seals_here { next_call(control, &gate, now) } else { Next::Wait(None) }
        });
        let Some(sealer) = &mut self.sealer else {
            after.seal(&mut self.drained);
            return (next, false);
        };
        if self.drained.is_empty() {
            return (next, false);
        }
        // Outside every lock.
        for Drained { lane, key, batch, stamp } in self.drained.drain(..) {
            self.sealed.push((lane, key, batch.seal(stamp, sealer)));
        }
        let sealed = &mut self.sealed;
        let next = plane.locked(now, after, |control, _| {
            for (lane, key, batch) in sealed.drain(..) {
                control.sender.handle_sealed(lane, key, batch, now);
            }
            next_call(control, &gate, now)
        });
        (next, true)
    }

    /// Takes what is ready out of the lanes; and with `takes_along` what lingers there, if a request is made anyway. With `f`,
    /// what comes of it is looked at under the same lock.
    fn drain<R>(
        &mut self,
        plane: &Plane,
        takes_along: bool,
        now: Instant,
        after: &mut After,
        f: impl FnOnce(&mut Control, &[Drained]) -> R,
    ) -> R {
        let Self { gate, drained, .. } = self;
        plane.locked(now, after, |control, after| {
            let what = Draw { now, pressure: plane.pool.waiting() > 0, takes_along };
            let mut draw = GateDraw::new(&control.lanes, gate, what);
            if draw.has_expired() {
                drop(draw);
                plane.expire(control, gate, now, after);
                draw = GateDraw::new(&control.lanes, gate, what);
            }
            control.sender.drain(gate.node, now, &mut draw, drained);
            drop(draw);
            debug_assert!(fits_a_request(drained, plane), "what is drained at once goes in one request");
            f(control, drained)
        })
    }
}

impl Plane {
    /// Whether a node's pump has more to look at than its gate: calls to be made, or a caller that waits for memory.
    fn has_work(&self, node: NodeId) -> bool {
        self.control().sender.has_work(node) || self.pool.waiting() > 0
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

/// Whether batches fit into `max.request.size`. One alone always goes.
fn fits_a_request(drained: &[Drained], plane: &Plane) -> bool {
    let size: usize = drained.iter().map(|drained| drained.batch.size()).sum();
    drained.len() < 2 || size <= plane.settings.queues.limits.max_request_size()
}

impl fmt::Debug for GateFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFeed").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// How often a pump looks for a call before it lets its connection write.
const MAX_LOOKS: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kafka_wire::NodeId;

    use super::*;
    use crate::{Producer, io::now};

    #[tokio::test]
    async fn what_becomes_of_an_old_connection_says_nothing_of_the_next_one() {
        let producer = Producer::builder(["127.0.0.1:1"]).connect().await.expect("good settings");
        let (shared, node) = (producer.shared(), NodeId(7));
        let dials = || {
            let brokers = producer.stats().brokers;
            brokers.iter().find(|broker| broker.node == node.0).map_or(0, |broker| broker.dials)
        };
        let feed = || GateFeed::new(&shared.plane, shared.plane.gate(node));
        let connects = |feed: &mut GateFeed| {
            shared.act(|plane, after| feed.on_status(plane, &Status::Connecting, now(), after));
        };
        let mut old = feed();
        connects(&mut old);
        assert_eq!(dials(), 1);
        // It leaves the view while an answer is waited for, and comes back.
        shared.plane.gates.write().expect("no panic").remove(&node);
        connects(&mut old);
        assert_eq!(dials(), 2, "it is the only one there is");
        let mut new = feed();
        connects(&mut old);
        assert_eq!(dials(), 2);
        connects(&mut new);
        assert_eq!(dials(), 3);
        producer.close(Duration::ZERO).await.expect("nothing was sent");
    }
}
